package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
)

// laneIn finds a lane in an answer.
func laneIn(t *testing.T, of throttleAnswer, class mailbox.Class) laneAnswer {
	t.Helper()
	for _, l := range of.Lanes {
		if l.Provider == string(class) {
			return l
		}
	}
	t.Fatalf("no lane %s in %+v", class, of)
	return laneAnswer{}
}

// TestThrottles tells, lane by lane, what is taken of limits, what waits, why, and until when.
func TestThrottles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	egress := route.TPSP(made.ID)
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	look := func() throttleAnswer {
		t.Helper()
		if err := w.dir.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []throttleAnswer
		w.asAccount("GET", fmt.Sprintf("/api/v1/account/throttles?tpspId=%d", made.ID), nil).ok(200, &got)
		if len(got) != 1 || got[0].TPSPID != made.ID || got[0].Name != "Postmark" {
			t.Fatalf("%+v", got)
		}
		return got[0]
	}
	if got := look(); len(got.Lanes) != 0 || got.Total.Waiting != 0 || got.Total.Taken != 0 || got.State != "ok" {
		t.Errorf("nothing was sent: %+v", got)
	}
	ids := w.mail("a@gmail.com", "b@gmail.com", "c@yahoo.com")
	w.asAccount("PUT", path, `{"mailboxLimits": {"gmail": 1}}`).ok(200, nil)
	now := time.Now().UTC()
	claimed, err := w.db.Claim(t.Context(), store.Claim{Egress: egress, Limit: 9, Owner: "o", Now: now, LeaseUntil: now.Add(claimLength)})
	if err != nil || len(claimed.Jobs) != 2 {
		t.Fatalf("%+v, %v", claimed, err)
	}
	_, free := limit.Room(1, []limit.Use{{Span: limit.SpanOf(now), N: 1}}, now, claimLength)
	got := look()
	gmail := laneIn(t, got, mailbox.Gmail)
	if gmail.RatePerHour != 1 || gmail.Taken != 1 || gmail.Waiting != 1 || gmail.More || gmail.FreeAt != nanos(free) || gmail.Oldest == 0 || len(gmail.Waits) != 1 {
		t.Fatalf("%+v", gmail)
	}
	why := gmail.Waits[0]
	if why.Reason != "the provider's limit of 1 messages an hour to gmail is reached" || why.Until != nanos(free) || why.Messages != 1 || why.Oldest != gmail.Oldest ||
		!strings.Contains(strings.Join(ids, " "), why.MessageID) || w.explain(why.MessageID).DueAt != why.Until {
		t.Errorf("%+v", why)
	}
	if yahoo := laneIn(t, got, mailbox.Yahoo); yahoo.Taken != 1 || yahoo.Waiting != 0 || yahoo.RatePerHour != 0 || yahoo.FreeAt != 0 || len(yahoo.Waits) != 0 {
		t.Errorf("%+v", yahoo)
	}
	if got.Total.Taken != 2 || got.Total.Waiting != 1 || got.Total.Oldest != gmail.Oldest || got.Total.Provider != "" || len(got.Total.Waits) != 0 {
		t.Errorf("%+v", got.Total)
	}
	// What holds it longest is told, as an explanation of the message does.
	reason := func(want string, until time.Time) {
		t.Helper()
		waits := laneIn(t, look(), mailbox.Gmail).Waits
		if len(waits) != 1 || !strings.Contains(waits[0].Reason, want) || waits[0].Until != nanos(until) {
			t.Errorf("%+v, want %q until %s", waits, want, until)
		}
		if told := w.explain(why.MessageID); !strings.Contains(told.Waiting, want) || told.DueAt != nanos(until) {
			t.Errorf("its explanation says %q until %d", told.Waiting, told.DueAt)
		}
	}
	w.asAccount("PUT", path, `{"ratePerHour": 2, "mailboxLimits": {"gmail": 5}}`).ok(200, nil)
	reason("the provider's limit of 2 messages an hour is reached", free)
	probe := time.Now().UTC().Add(time.Minute).Truncate(time.Second)
	if err := w.db.UpdateHealth(t.Context(), made.ID, health("no answer", probe)); err != nil {
		t.Fatal(err)
	}
	reason("the provider is not used for now: no answer", probe)
	if err := w.db.PauseSubAccount(t.Context(), w.account.ID, w.subAccount.ID, true); err != nil {
		t.Fatal(err)
	}
	reason(`the sub-account "default" is paused`, time.Time{})
	if waits := laneIn(t, look(), mailbox.Gmail).Waits; waits[0].SubAccountID != w.subAccount.ID || waits[0].IPPoolID != 0 {
		t.Errorf("%+v", waits)
	}

	w.asAccount("GET", "/api/v1/account/throttles?tpspId=99", nil).refused(404, "not_found", "")
	w.asAccount("GET", "/api/v1/account/throttles?ipId=x", nil).refused(400, "invalid_parameter", "ipId")
	other := w.secondAccount()
	w.call("GET", fmt.Sprintf("/api/v1/account/throttles?tpspId=%d", made.ID), map[string]string{"X-Account-ApiKey": other}, nil).refused(404, "not_found", "")
	var theirs []throttleAnswer
	if w.call("GET", "/api/v1/account/throttles", map[string]string{"X-Account-ApiKey": other}, nil).ok(200, &theirs); len(theirs) != 0 {
		t.Errorf("another account sees %+v", theirs)
	}
}

// TestAttention lists what is known to be wrong, the gravest first, and no more once it is right.
func TestAttention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	look := func(header string) (kinds []string, all []attentionAnswer) {
		t.Helper()
		if err := w.dir.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.call("GET", "/api/v1/account/attention", map[string]string{"X-Account-ApiKey": header}, nil).ok(200, &all)
		rank := map[string]int{"fail": 0, "warn": 1, "note": 2}
		for i, a := range all {
			kinds = append(kinds, a.Kind)
			if i > 0 && rank[a.Severity] < rank[all[i-1].Severity] {
				t.Errorf("%s after %s", a.Severity, all[i-1].Severity)
			}
		}
		return kinds, all
	}
	has := func(kind, severity, words string) attentionAnswer {
		t.Helper()
		kinds, all := look(w.accountKey)
		for _, a := range all {
			if a.Kind == kind {
				if a.Severity != severity || !strings.Contains(a.Message, words) {
					t.Errorf("%+v, want %s: %s", a, severity, words)
				}
				return a
			}
		}
		t.Errorf("no %s in %q", kind, kinds)
		return attentionAnswer{}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	has("no_provider", "fail", "no provider is connected")
	made := w.connect("Postmark", "outbound")
	if kinds, _ := look(w.accountKey); strings.Contains(strings.Join(kinds, " "), "no_provider") {
		t.Errorf("there is a provider: %q", kinds)
	}
	if a := has("no_fallback", "note", "one"); a.IPPoolID == 0 || a.Name == "" {
		t.Errorf("%+v", a)
	}
	probe := time.Now().UTC().Add(time.Minute).Truncate(time.Second)
	must(w.db.UpdateHealth(t.Context(), made.ID, health("no answer", probe)))
	if a := has("stopped", "fail", "no answer"); a.TPSPID != made.ID || a.Name != "Postmark" || a.Until != nanos(probe) || a.Fix == "" {
		t.Errorf("%+v", a)
	}
	must(w.db.UpdateHealth(t.Context(), made.ID, health("", time.Time{})))
	must(w.db.Refuse(t.Context(), made.ID, refusal("example.com", probe)))
	if a := has("sender_refused", "warn", "mail from example.com is refused: not verified"); a.Until != nanos(probe) {
		t.Errorf("%+v", a)
	}
	w.asAccount("PUT", fmt.Sprintf("%s%d", tpsps, made.ID), `{"active": false}`).ok(200, nil)
	if a := has("paused", "warn", "the provider is paused"); !strings.Contains(a.Fix, `"active": true`) {
		t.Errorf("%+v", a)
	}
	w.asAccount("PUT", fmt.Sprintf("%s%d", tpsps, made.ID), `{"active": true}`).ok(200, nil)
	w.asAccount("POST", fmt.Sprintf("%s%d/drill", tpsps, made.ID), `{"seconds": 60}`).ok(200, nil)
	has("drill", "warn", "is rehearsed")
	w.asAccount("POST", fmt.Sprintf("/api/v1/account/subaccount/%d/pause", w.subAccount.ID), nil).ok(200, nil)
	if a := has("sub_account_paused", "warn", "its mail waits"); a.SubAccountID != w.subAccount.ID {
		t.Errorf("%+v", a)
	}
	var hook hookAnswer
	w.asAccount("POST", "/api/v1/account/webhook", `{"url": "https://hooks.example.com/x", "sent": true}`).ok(200, &hook)
	w.asAccount("POST", fmt.Sprintf("/api/v1/account/webhook/%d/pause", hook.ID), nil).ok(200, nil)
	if a := has("webhook_held", "warn", "its events wait"); a.WebhookID != hook.ID || a.Name != "https://hooks.example.com/x" || a.Since == 0 {
		t.Errorf("%+v", a)
	}
	if kinds, _ := look(w.secondAccount()); len(kinds) != 1 || kinds[0] != "no_provider" {
		t.Errorf("another account sees %q", kinds)
	}
}

// A webhook at a provider that does not stand, and a webhook of ours that fails, are told with what is known of them.
func TestAttentionOfWebhooks(t *testing.T) {
	t.Parallel()
	s := &server{Config: Config{Now: time.Now}}
	at := time.Now().Add(time.Minute)
	for state, want := range map[directory.WebhookState]string{directory.WebhookRegistered: "", directory.WebhookPending: "", directory.WebhookFailed: "webhook_failed",
		directory.WebhookUnverified: "webhook_unverified", directory.WebhookPaused: "webhook_paused"} {
		list := s.attentionTo(&directory.TPSP{ID: 4, Name: "x", Webhook: directory.Webhook{State: state, Error: "its words", NextTry: at}}, time.Now())
		switch {
		case want == "" && len(list) == 0:
		case len(list) != 1 || list[0].Kind != want || !strings.HasSuffix(list[0].Message, "its words") || list[0].Until != nanos(at) || list[0].TPSPID != 4 ||
			!strings.Contains(list[0].Fix, "/tpsp/4/webhook"):
			t.Errorf("%s: %+v", state, list)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	failing := &store.Endpoint{ID: 3, URL: "https://x.example", Enabled: true}
	if got, needed := attentionToHook(r, failing); needed {
		t.Errorf("%+v", got)
	}
	failing.Standing.Failures, failing.Standing.LastError, failing.Standing.NextTry = 50, "503", at
	if got, needed := attentionToHook(r, failing); !needed || got.Kind != "webhook_failing" || got.Severity != "fail" || got.WebhookID != 3 || got.Until != nanos(at) ||
		!strings.Contains(got.Message, "50 calls in a row failed: 503") {
		t.Errorf("%+v", got)
	}
}
