package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"postyard/internal/books"
	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

const cancelPath = messages + "cancel"

func TestDrill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	id := w.mail("ana@gmail.com")[0]
	var got tpspAnswer
	began := time.Now()
	a := w.asAccount("POST", path+"/drill", map[string]int{"seconds": 60}).ok(200, &got)
	wantKeys(t, a.body, tpspKeys...)
	if ends := time.Unix(0, got.Health.ProbeAt); got.Health.State != "drill" || ends.Before(began.Add(59*time.Second)) || ends.After(time.Now().Add(time.Minute)) {
		t.Errorf("%+v", got.Health)
	}
	if w.changed.Load() != 1 {
		t.Error("what waits was not told")
	}
	if why := w.explain(id); !strings.Contains(why.Waiting, "rehearsed until ") || why.DueAt != got.Health.ProbeAt {
		t.Errorf("%+v", why)
	}
	w.asAccount("POST", path+"/drill/", map[string]int{"seconds": 0}).ok(200, &got)
	if got.Health.State != "ok" || w.changed.Load() != 2 {
		t.Errorf("%+v", got.Health)
	}
	w.asAccount("POST", path+"/drill", `{}`).refused(422, "missing_seconds", "seconds")
	w.asAccount("POST", path+"/drill", `{"seconds":"60"}`).refused(422, "wrong_type", "seconds")
	for _, seconds := range []int{-1, 86_401} {
		w.asAccount("POST", path+"/drill", map[string]int{"seconds": seconds}).refused(422, "invalid_seconds", "seconds")
	}
	w.asAccount("POST", path+"9/drill", `{}`).refused(404, "not_found", "")
}

func TestPausing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	id := w.mail("ana@gmail.com")[0]
	for path, name := range map[string]string{
		fmt.Sprintf("/api/v1/account/subaccount/%d", w.subAccount.ID): "default",
		fmt.Sprintf("/api/v1/account/ippool/%d", made.IPPool.ID):      "postmark-pool",
	} {
		for _, paused := range []bool{true, true, false, false} { // twice is as good as once
			verb, before := "/resume", w.changed.Load()
			if paused {
				verb = "/pause"
			}
			var got struct{ Paused *bool }
			w.asAccount("POST", path+verb, nil).ok(200, &got)
			if got.Paused == nil || *got.Paused != paused || w.changed.Load() != before+1 {
				t.Errorf("%s%s: %v", path, verb, got.Paused)
			}
			why := w.explain(id)
			if held := strings.HasSuffix(why.Waiting, fmt.Sprintf("%q is paused", name)); held != paused || why.DueAt != 0 {
				t.Errorf("%s%s: %+v", path, verb, why)
			}
			now := time.Now().UTC()
			if due, err := w.db.Claim(t.Context(), store.Claim{Egress: route.TPSP(made.ID), Limit: 1, Owner: "o", Now: now, LeaseUntil: now.Add(time.Minute)}); err != nil ||
				(len(due.Jobs) == 0) != paused {
				t.Fatalf("%s%s: %d may leave (%v)", path, verb, len(due.Jobs), err)
			} else if !paused {
				w.giveBack(due.Jobs)
			}
		}
	}
	w.asAccount("POST", "/api/v1/account/subaccount/999/pause", nil).refused(404, "not_found", "")
	w.asAccount("POST", "/api/v1/account/ippool/999/pause", nil).refused(404, "not_found", "")
	w.asAccount("POST", "/api/v1/account/subaccount/x/resume", nil).refused(404, "not_found", "")
}

// TestDeletingAPausedSubAccount lets its mail go on: nobody could resume it any more.
func TestDeletingAPausedSubAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	var sub subAccountAnswer
	w.asAccount("POST", "/api/v1/account/subaccount/", `{"name": "second"}`).ok(201, &sub)
	path := fmt.Sprintf("/api/v1/account/subaccount/%d", sub.ID)
	w.asAccount("POST", path+"/pause", nil).ok(200, nil)
	w.call("POST", "/api/v1/subaccount/email/", map[string]string{"X-SubAccount-ApiKey": sub.APIKey}, email("ana@gmail.com")).ok(200, nil)
	w.asAccount("DELETE", path, nil).ok(200, nil)
	now := time.Now().UTC()
	if due, err := w.db.Claim(t.Context(), store.Claim{Egress: route.TPSP(made.ID), Limit: 1, Owner: "o", Now: now, LeaseUntil: now.Add(time.Minute)}); err != nil ||
		len(due.Jobs) != 1 {
		t.Errorf("%d may leave (%v)", len(due.Jobs), err)
	}
	if w.changed.Load() != 2 {
		t.Error("what waits was not told")
	}
}

// giveBack has claimed messages wait again, as if nothing had been sent.
func (w *world) giveBack(jobs []store.Job) {
	w.t.Helper()
	var batch []store.Settlement
	for i := range jobs {
		batch = append(batch, store.Settlement{Job: &jobs[i], Owner: "o", Trigger: lifecycle.Requeue, Egress: jobs[i].Egress, At: time.Now().UTC(),
			Outcome: &provider.Outcome{Class: provider.Transient, Unsent: true}})
	}
	if err := w.db.Settle(w.t.Context(), batch); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) explain(id string) (got explainAnswer) {
	w.t.Helper()
	wantKeys(w.t, w.asAccount("GET", messages+id+"/explain", nil).ok(200, &got).body, explainKeys...)
	return got
}

// waiting returns which of some messages still wait.
func (w *world) waiting(ids map[string]string) map[string]bool {
	w.t.Helper()
	left := map[string]bool{}
	for name, id := range ids {
		if w.explain(id).State == "queued" {
			left[name] = true
		}
	}
	return left
}

// TestCancel cancels by each selector and by several at once, after having counted.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body  string
		stays string
	}{
		"a group":                {`{"group": "news"}`, "plain broadcast other"},
		"a pool":                 {`{"ippool": " postmark-pool-2 "}`, "plain news other"},
		"a sub-account":          {`{"subAccountId": %d}`, "plain news broadcast newscast"},
		"a group in a pool":      {`{"group": "news", "ippool": "postmark-pool-2"}`, "plain news broadcast other"},
		"nobody fits all":        {`{"group": "news", "ippool": "postmark-pool-2", "subAccountId": %d}`, "plain news broadcast newscast other"},
		"a group that is not it": {`{"group": "New"}`, "plain news broadcast newscast other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.connect("Postmark", "outbound")
			w.connect("Postmark", "broadcast")
			var second subAccountAnswer
			w.asAccount("POST", "/api/v1/account/subaccount/", `{"name": "second"}`).ok(201, &second)
			ids := map[string]string{}
			for name, message := range map[string]struct {
				key, pool string
				groups    []string
			}{
				"plain": {w.subKey, "postmark-pool", nil}, "news": {w.subKey, "postmark-pool", []string{"a", "news"}},
				"broadcast": {w.subKey, "postmark-pool-2", nil}, "newscast": {w.subKey, "postmark-pool-2", []string{"news"}},
				"other": {second.APIKey, "postmark-pool", []string{"newer"}},
			} {
				body := email(name + "@example.com")
				body["ippool"], body["groups"] = message.pool, message.groups
				var sent []emailResponse
				w.call("POST", "/api/v1/subaccount/email/", map[string]string{"X-SubAccount-ApiKey": message.key}, body).ok(200, &sent)
				ids[name] = sent[0].MessageID
			}
			body := c.body
			if strings.Contains(body, "%d") {
				body = fmt.Sprintf(body, second.ID)
			}
			stays := map[string]bool{}
			for _, name := range strings.Fields(c.stays) {
				stays[name] = true
			}
			gone := int64(len(ids) - len(stays))
			var got cancelAnswer
			a := w.asAccount("POST", cancelPath, strings.Replace(body, "{", `{"dryRun": true, `, 1)).ok(200, &got)
			wantKeys(t, a.body, "dryRun", "matched", "cancelled", "more", "next")
			if got != (cancelAnswer{DryRun: true, Matched: gone}) || len(w.waiting(ids)) != len(ids) {
				t.Errorf("dry run: %s, %d wait", a.body, len(w.waiting(ids)))
			}
			a = w.asAccount("POST", cancelPath, body).ok(200, &got)
			if got != (cancelAnswer{Matched: gone, Cancelled: gone}) {
				t.Errorf("%s", a.body)
			}
			left := w.waiting(ids)
			for name, id := range ids {
				if left[name] != stays[name] {
					t.Errorf("%s waits: %t", name, left[name])
				}
				if stays[name] {
					continue
				}
				var events []eventAnswer
				w.asAccount("GET", messages+id+"/events", nil).ok(200, &events)
				if len(events) != 2 || events[1].Type != 1 || events[1].EventMetadata.SMTPDescription+events[1].SMTPDescription == "" {
					t.Errorf("%+v", events)
				}
			}
			w.balance(left)
		})
	}
}

// balance checks the books, and how many messages wait in them.
func (w *world) balance(waiting map[string]bool) {
	w.t.Helper()
	report, err := books.Verify(w.t.Context(), books.Options{AccountID: w.account.ID, Awaiting: time.Hour, Now: time.Now, Progress: func() {}}, w.db)
	if err != nil || !report.OK() || report.States[lifecycle.Queued] != int64(len(waiting)) {
		w.t.Errorf("%+v (%v), want %d to wait", report, err, len(waiting))
	}
}

func TestCancelRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	w.mail("ana@gmail.com")
	future := place{until: time.Now().Add(time.Hour)}.String()
	for body, refusal := range map[string][2]string{
		`{}`:                              {"missing_selector", "group"},
		`{"group": "", "ippool": " "}`:    {"missing_selector", "group"},
		`{"dryRun": true}`:                {"missing_selector", "group"},
		`{"ippool": "nowhere"}`:           {"unknown_ippool", "ippool"},
		`{"subAccountId": 0}`:             {"unknown_sub_account", "subAccountId"},
		`{"subAccountId": 999}`:           {"unknown_sub_account", "subAccountId"},
		`{"subAccountId": "1"}`:           {"wrong_type", "subAccountId"},
		`{"group": "a", "next": "x"}`:     {"invalid_next", "next"},
		`{"group": "a", "next": "1.c.0"}`: {"invalid_next", "next"},
		`{"group": "a", "next": "1.x.` + strings.Repeat("0", 32) + `"}`: {"invalid_next", "next"},
		`{"group": "a", "next": "` + future + `"}`:                      {"invalid_next", "next"},
	} {
		w.asAccount("POST", cancelPath, body).refused(422, refusal[0], refusal[1])
	}
	stranger := map[string]string{"X-Account-ApiKey": w.secondAccount()}
	w.call("POST", cancelPath, stranger, `{"ippool": "postmark-pool"}`).refused(422, "unknown_ippool", "ippool")
	w.call("POST", cancelPath, stranger, fmt.Sprintf(`{"subAccountId": %d}`, w.subAccount.ID)).refused(422, "unknown_sub_account", "subAccountId")
	var got cancelAnswer
	if w.call("POST", cancelPath, stranger, `{"group": ""  , "group": "a"}`).ok(200, &got); got != (cancelAnswer{}) {
		t.Errorf("%+v", got)
	}
	w.balance(map[string]bool{"ana": true})
}

// TestCancelGoesOn has a time that is always over: each request does one step, and together they do all of it, once.
func TestCancelGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	const n = 2*cancelContentChunk + 1
	addresses := make([]string, n)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("u%d@example.com", i)
	}
	body := email(addresses...)
	body["groups"] = []string{"news"}
	w.asSub("POST", "/api/v1/subaccount/email/", body).ok(200, nil)
	s := &server{Config: Config{Queue: w.db, Directory: w.dir, Now: time.Now}}
	// One is on the wire while the first pass goes by, and waits again after it.
	now := time.Now().UTC()
	claimed, err := w.db.Claim(t.Context(), store.Claim{Egress: route.TPSP(made.ID), Limit: 1, Owner: "o", Now: now, LeaseUntil: now.Add(time.Minute)})
	if err != nil || len(claimed.Jobs) != 1 {
		t.Fatalf("%d, %v", len(claimed.Jobs), err)
	}
	in := cancelRequest{Group: "news"}
	var sum int64
	late := ""
	for round := 0; ; round++ {
		c, err := s.cancellation(w.account, &in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.run(t.Context(), func() bool { return false })
		if err != nil || got.Cancelled > cancelContentChunk || got.More != (got.Next != "") {
			t.Fatalf("%+v, %v", got, err)
		}
		if sum += got.Cancelled; !got.More {
			break
		}
		if in.Next = got.Next; round == 3 {
			w.giveBack(claimed.Jobs)
			body["to"] = email("late@example.com")["to"]
			var sent []emailResponse
			w.asSub("POST", "/api/v1/subaccount/email/", body).ok(200, &sent)
			late = sent[0].MessageID // it was sent after the cancellation began
		}
		if round > 20 {
			t.Fatal("it does not end")
		}
	}
	if sum != n {
		t.Errorf("%d were cancelled, want %d", sum, n)
	}
	if got := w.explain(late); got.State != "queued" {
		t.Errorf("%+v", got)
	}
	w.balance(map[string]bool{"late": true})
}

// broken is a queue that fails, or finds that what it looked at has left.
type broken struct {
	Queue
	gone bool
	err  error
}

func (b *broken) Rearrange(ctx context.Context, batch []store.Move, now time.Time) (int, error) {
	if b.gone { // by the hand of another node
		if _, err := b.Queue.Rearrange(ctx, batch, now); err != nil {
			return 0, err
		}
		return 0, nil
	}
	return 0, b.err
}

func TestCancelMeetsTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	w.mail("ana@gmail.com")
	queue := &broken{Queue: w.db, err: fmt.Errorf("write: %w", store.ErrUnavailable)}
	s := &server{Config: Config{Queue: queue, Directory: w.dir, Now: time.Now}}
	run := func() (cancelAnswer, error) {
		sub := w.subAccount.ID
		c, err := s.cancellation(w.account, &cancelRequest{SubAccountID: &sub})
		if err != nil {
			t.Fatal(err)
		}
		return c.run(t.Context(), func() bool { return true })
	}
	if got, err := run(); problemOf(err).status != http.StatusServiceUnavailable || got.Cancelled != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	w.balance(map[string]bool{"ana": true})
	queue.gone = true
	if got, err := run(); err != nil || got != (cancelAnswer{Matched: 1}) {
		t.Errorf("%+v, %v", got, err)
	}
	w.balance(nil)
}

// TestExplainWaiting says why a message waits that nothing was said of, and until when.
func TestExplainWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	path, egress := fmt.Sprintf("%s%d", tpsps, made.ID), route.TPSP(made.ID)
	ids := w.mail("a@gmail.com", "b@gmail.com")
	is := func(id, waiting string, until time.Time) {
		t.Helper()
		if err := w.dir.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.explain(id); got.State != "queued" || !strings.Contains(got.Waiting, waiting) || got.DueAt != nanos(until) {
			t.Errorf("%q until %d, want %q until %d", got.Waiting, got.DueAt, waiting, nanos(until))
		}
	}
	set := func(body string) {
		t.Helper()
		w.asAccount("PUT", path, body).ok(200, nil)
	}
	at := func(d time.Duration) time.Time { return time.Now().UTC().Add(d).Truncate(time.Second) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now, never := time.Now().UTC(), time.Time{}
	claimed, err := w.db.Claim(t.Context(), store.Claim{Egress: egress, Limit: 1, Owner: "o", Now: now, LeaseUntil: now.Add(claimLength)})
	if err != nil || len(claimed.Jobs) != 1 {
		t.Fatalf("%+v, %v", claimed, err)
	}
	gmail, other := ids[0], w.mail("c@example.com")[0]
	if claimed.Jobs[0].ID.String() == gmail {
		gmail = ids[1]
	}
	_, free := limit.Room(1, []limit.Use{{Span: limit.SpanOf(now), N: 1}}, now, claimLength)
	set(`{"mailboxLimits": {"gmail": 1}}`)
	is(gmail, "the provider's limit of 1 messages an hour to gmail is reached", free)
	is(other, "it is ready", never)
	set(`{"mailboxLimits": {"gmail": 2}, "ratePerHour": 1}`)
	is(gmail, "the provider's limit of 1 messages an hour is reached", free)
	is(other, "the provider's limit of 1 messages an hour is reached", free)
	set(`{"ratePerHour": 2}`)
	is(gmail, "it is ready", never)

	probe := at(time.Minute)
	must(w.db.Refuse(t.Context(), made.ID, refusal("example.com", probe)))
	is(gmail, "the provider refuses mail from example.com: not verified", probe)
	must(w.db.Refuse(t.Context(), made.ID, refusal("example.com", at(-time.Minute))))
	is(gmail, "it is ready", never)
	must(w.db.UpdateHealth(t.Context(), made.ID, health("no answer", probe)))
	is(gmail, "the provider is not used for now: no answer", probe)
	must(w.db.UpdateHealth(t.Context(), made.ID, health("no answer", at(-time.Minute))))
	is(gmail, "the provider is not used for now: no answer", never)
	drill := at(2 * time.Minute)
	must(w.db.Drill(t.Context(), w.account.ID, made.ID, drill))
	is(gmail, "rehearsed until "+drill.Format(time.RFC3339), drill)
	set(`{"active": false}`)
	is(gmail, "the provider is paused", never)
	set(`{"active": true}`)
	must(w.db.Drill(t.Context(), w.account.ID, made.ID, never))
	must(w.db.UpdateHealth(t.Context(), made.ID, health("", never)))
	// After a failure it pauses on its own; that says more than what comes after.
	due := at(time.Hour)
	must(w.db.Settle(t.Context(), []store.Settlement{{Job: &claimed.Jobs[0], Owner: "o", Trigger: lifecycle.Requeue, Egress: egress, At: now, DueAt: due,
		Waiting: "throttled: slow down", Outcome: &provider.Outcome{Class: provider.Throttled}}}))
	set(`{"ratePerHour": 1}`)
	is(claimed.Jobs[0].ID.String(), "throttled: slow down", due)
	must(w.db.PauseSubAccount(t.Context(), w.account.ID, w.subAccount.ID, true))
	is(claimed.Jobs[0].ID.String(), `the sub-account "default" is paused`, never)
}

func FuzzPlace(f *testing.F) {
	f.Add(place{until: time.Unix(1, 2), clean: true, after: mail.ID{1, 2}}.String())
	f.Add("-1.d.00")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parsePlace(text)
		if again, still := parsePlace(p.String()); ok && (!still || again != p) {
			raw, err := json.Marshal(text)
			t.Errorf("%s: %+v, then %+v (%v)", raw, p, again, err)
		}
	})
}

func refusal(domain string, probe time.Time) directory.Refusal {
	return directory.Refusal{Domain: domain, Reason: "not verified", Since: time.Now().UTC(), ProbeAt: probe}
}

func health(reason string, probe time.Time) directory.Health {
	return directory.Health{Stopped: reason != "", Reason: reason, ProbeAt: probe}
}
