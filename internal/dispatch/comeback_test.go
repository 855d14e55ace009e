package dispatch

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// A message that is taken back goes to the next egress of its plan at once; when all had their turn, after a pause that grows.
func TestComeback(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		plan     []route.Egress
		from     route.Egress
		away     []route.Egress
		failures int
		to       route.Egress
		wait     time.Duration
	}{
		"the next one":                {[]route.Egress{1, 2, 3}, 1, nil, 0, 2, 0},
		"one is away":                 {[]route.Egress{1, 2, 3}, 1, []route.Egress{2}, 0, 3, 0},
		"all had their turn":          {[]route.Egress{1, 2}, 2, nil, 1, 1, 3750 * time.Millisecond},
		"many rounds":                 {[]route.Egress{1, 2}, 2, nil, 40, 1, 675 * time.Second},
		"no other":                    {[]route.Egress{1}, 1, nil, 0, 1, 3750 * time.Millisecond},
		"no other, again":             {[]route.Egress{1}, 1, nil, 3, 1, 15 * time.Second},
		"all others are away":         {[]route.Egress{1, 2}, 1, []route.Egress{2}, 0, 1, 3750 * time.Millisecond},
		"it is not in the plan (now)": {[]route.Egress{1, 2}, 7, nil, 0, 1, 0},
	} {
		usable := func(e route.Egress) bool {
			for _, away := range test.away {
				if e == away {
					return false
				}
			}
			return true
		}
		to, due := comeback(&store.Comeback{Egress: test.from, Plan: route.Plan{Egresses: test.plan}, Failures: test.failures, Now: clock}, 0.5, usable)
		var want time.Time
		if test.wait > 0 {
			want = clock.Add(test.wait)
		}
		if to != test.to || !due.Equal(want) {
			t.Errorf("%s: to %d at %s, want %d at %s", name, to, due, test.to, want)
		}
	}
}

// What is taken back opens the breaker at once; the trial after it waits for what becomes of its first message.
func TestBreakerTakenBack(t *testing.T) {
	t.Parallel()
	var b breaker
	now := clock
	reason := store.TakenBack + "suspended"
	if !b.tookBack(now, reason, now) || !b.open || b.reason != reason || !b.due(now.Add(firstProbe)) {
		t.Fatalf("it is not open: %+v", b)
	}
	if b.tookBack(now, reason, now.Add(time.Second)) {
		t.Error("it opens twice")
	}
	now = now.Add(firstProbe)
	if b.probed(false, "", now); b.open || !b.trial || !b.wary {
		t.Fatalf("no wary trial: %+v", b)
	}
	if b.tookBack(now.Add(-1), reason, now.Add(time.Second)) {
		t.Error("mail of before the trial counts")
	}
	if b.ended(&flight{}, provider.Accepted, "", now); !b.trial || b.wary {
		t.Errorf("an acceptance ends the trial: %+v", b)
	}
	if !b.tookBack(now, reason, now) || b.wait != 2*firstProbe {
		t.Errorf("it does not open again for longer: %+v", b)
	}
	for range 10 {
		b.probed(false, "", now)
		b.tookBack(now, reason, now)
	}
	if b.wait != lastRefusal {
		t.Errorf("at last it waits for %s", b.wait)
	}
	b.probed(false, "", now)
	b.ended(&flight{}, provider.Accepted, "", now)
	if b.ended(&flight{}, provider.Accepted, "", now.Add(verdict)); b.trial {
		t.Errorf("the trial does not end: %+v", b)
	}
}

// What one node records is known to the others: the egress, or the sender domain, is away for all of them.
func TestTakenBackOnNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openStore(t), "acme")
	one, two := w.dispatcher(t), w.dispatcher(t)
	e := w.houses[0].egress
	r, other := newRunner(one, e), newRunner(two, e)
	one.runners[e] = r
	report := func(change func(*provider.Report)) {
		t.Helper()
		w.submit(t, 1, w.plan(3))
		id := w.ids[len(w.ids)-1]
		claimed, err := w.db.Claim(t.Context(), store.Claim{Egress: e, Limit: 1, Owner: "o", Now: w.now, LeaseUntil: w.now.Add(time.Minute)})
		must(t, err)
		must(t, w.db.Settle(t.Context(), []store.Settlement{{Job: &claimed.Jobs[0], Owner: "o", Trigger: lifecycle.Accept, Sent: 70, At: w.now,
			Outcome: &provider.Outcome{Class: provider.Accepted, ProviderMessageID: id.String()}}}))
		typ, _ := event.TypeOf(event.Postmark, event.Dropped)
		rep := provider.Report{Kind: event.Dropped, Type: typ, MessageID: id, Recipient: w.to[id], OccurredAt: w.now, Identity: id.String(), Refused: provider.Account,
			Detail: event.Detail{SMTPDescription: "under review"}}
		change(&rep)
		res, err := one.Ingest(t.Context(), w.db, []store.Parsed{{Fresh: true, Reports: []provider.Report{rep}, Sent: 70, Now: w.now,
			Receipt: store.Receipt{AccountID: w.account, TPSPID: e.TPSPID(), Body: []byte("{}"), ReceivedAt: w.now}}})
		must(t, err)
		if len(res.Back) != 1 || res.Back[0].To == 0 {
			t.Fatalf("%+v", res)
		}
		r.noteReturned(t.Context())
		must(t, two.Directory.Reload(t.Context()))
		other.follow(two.Directory.Current().Egress(e).Health)
	}
	// Its sender is refused: only that domain goes elsewhere.
	report(func(r *provider.Report) { r.SenderOnly = true })
	at := func() *directory.TPSP { return two.Directory.Current().Egress(e) }
	if at().Refuses("example.com", w.now) == "" || at().Refuses("other.com", w.now) != "" || at().Away(w.now) != "" {
		t.Fatalf("%+v", at())
	}
	// An acceptance shows nothing before its time, puts the domain on trial then, and lets it in when nothing came of that.
	accepted := func() directory.Refusal {
		t.Helper()
		r.noteSenders(t.Context(), senders{"example.com": ""}, w.now)
		if refused := one.Directory.Current().Egress(e).Refused; len(refused) > 0 {
			return refused[0]
		}
		return directory.Refusal{}
	}
	was := accepted()
	if !isReturn(was.Reason) || !was.ProbeAt.Equal(w.now.Add(firstRefusal)) {
		t.Errorf("%+v", was)
	}
	w.now = was.ProbeAt
	trial := accepted()
	if !isTrial(trial.Reason) || !trial.ProbeAt.Equal(w.now.Add(verdict)) || trial.Wait != firstRefusal {
		t.Errorf("%+v", trial)
	}
	if again := accepted(); !cmp.Equal(trial, again) {
		t.Errorf("%+v", again)
	}
	report(func(r *provider.Report) { r.SenderOnly = true })
	if got := at().Refused; len(got) != 1 || !isReturn(got[0].Reason) || got[0].Wait != 2*firstRefusal {
		t.Errorf("%+v", got)
	}
	w.now = w.now.Add(2 * firstRefusal)
	accepted()
	w.now = w.now.Add(verdict)
	if left := accepted(); left.Domain != "" {
		t.Errorf("%+v", left)
	}
	// What is transient, or old news, says nothing of the egress.
	report(func(r *provider.Report) { r.Refused = provider.Transient })
	report(func(r *provider.Report) { r.OccurredAt = w.now.Add(-stale) })
	if at().Away(w.now) != "" || r.breaker.open {
		t.Errorf("%+v", at())
	}
	report(func(r *provider.Report) { r.Refused = provider.Throttled })
	if at().Away(w.now) != "" || !r.paused.Equal(w.now.Add(throttleWait)) {
		t.Errorf("%+v, paused until %s", at(), r.paused)
	}
	// The whole account: nobody uses it any more.
	report(func(*provider.Report) {})
	if away := at().Away(w.now); !strings.HasSuffix(away, "taken back by the provider: under review") || !r.breaker.open || !other.breaker.open {
		t.Errorf("%q, %+v, %+v", away, r.breaker, other.breaker)
	}
	must(t, w.db.UpdateHealth(t.Context(), e.TPSPID(), directory.Health{}))
	must(t, two.Directory.Reload(t.Context()))
	if other.follow(at().Health); other.breaker.open || !other.breaker.wary {
		t.Errorf("%+v", other.breaker)
	}
}

// Without a runner, while the dispatcher does not run, what is taken back is recorded all the same.
func TestTakenBackAtRest(t *testing.T) {
	t.Parallel()
	d := New(Config{Log: slog.New(slog.DiscardHandler), Node: "n", Run: "1"})
	back := []store.Comeback{{Egress: 1, To: 2, Class: provider.Account, At: clock, Now: clock}}
	res, err := d.Ingest(t.Context(), recorder{back}, make([]store.Parsed, 1))
	if err != nil || len(res.Back) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

type recorder struct{ back []store.Comeback }

func (r recorder) Ingest(context.Context, []store.Parsed) (store.IngestResult, error) {
	return store.IngestResult{Back: r.back}, nil
}
