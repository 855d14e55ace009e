package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

var (
	explainKeys = []string{"messageID", "state", "waiting", "dueAt", "attempts", "mark", "tpspId", "ipId", "providerMessageId", "plan"}
	attemptKeys = []string{"n", "egress", "tpspId", "ipId", "provider", "began", "finished", "durationMs", "class", "httpStatus", "code", "text", "answer", "takenBack"}
)

// TestExplain tells where a message stands before anything was sent: the world has no dispatcher.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	var got explainAnswer
	a := w.asAccount("GET", messages+w.mail("ana@gmail.com")[0]+"/explain", nil).ok(200, &got)
	wantKeys(t, a.body, explainKeys...)
	if got.State != "queued" || got.Mark != "" || got.Attempts == nil || len(got.Attempts) != 0 || len(got.Plan.Egresses) != 1 ||
		got.Plan.Egresses[0] != fmt.Sprintf("TPSP_%d", got.TPSPID) || !strings.Contains(got.Plan.Rule, "postmark-pool") ||
		got.Waiting != "it is ready, and waits for its turn" || got.DueAt != 0 {
		t.Errorf("%s", a.body)
	}
}

// TestExplainAttempts plays the dispatcher: one call is refused, one ends without an answer, and the provider is asked.
func TestExplainAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	id := w.mail("ana@gmail.com")[0]
	egress := route.TPSP(made.ID)
	now := time.Now().UTC().Truncate(time.Millisecond)
	question := store.Claim{Egress: egress, Limit: 1, Owner: "o", Now: now, LeaseUntil: now.Add(time.Hour)}
	settle := func(jobs []store.Job, err error, s store.Settlement) {
		t.Helper()
		if err != nil || len(jobs) != 1 {
			t.Fatalf("claimed %d (%v)", len(jobs), err)
		}
		s.Job, s.Owner, s.Egress = &jobs[0], "o", egress
		if err := w.db.Settle(t.Context(), []store.Settlement{s}); err != nil {
			t.Fatal(err)
		}
	}
	explain := func() (got explainAnswer) {
		t.Helper()
		a := w.asAccount("GET", messages+id+"/explain", nil).ok(200, &got)
		var raw struct{ Attempts []json.RawMessage }
		if err := json.Unmarshal(a.body, &raw); err != nil {
			t.Fatal(err)
		}
		for _, one := range raw.Attempts {
			wantKeys(t, one, attemptKeys...)
		}
		return got
	}
	claimed, err := w.db.Claim(t.Context(), question)
	jobs := claimed.Jobs
	if got := explain(); got.State != "sending" || got.Waiting != "the provider is being called" || len(got.Attempts) != 1 ||
		got.Attempts[0] != (attemptAnswer{N: 1, Egress: egress.String(), TPSPID: made.ID, Provider: "Postmark", Began: nanos(now)}) {
		t.Errorf("while it is called: %+v", got)
	}
	settle(jobs, err, store.Settlement{Trigger: lifecycle.Requeue, At: now.Add(1500 * time.Millisecond), Waiting: "throttled: slow down", DueAt: now.Add(time.Hour),
		Outcome: &provider.Outcome{Class: provider.Throttled, HTTPStatus: 429, Code: "429", Text: "slow down"}})
	if got := explain(); got.State != "queued" || got.Waiting != "throttled: slow down" || got.DueAt != nanos(now.Add(time.Hour)) {
		t.Errorf("while it waits: %+v", got)
	}
	question.Now = now.Add(2 * time.Hour)
	claimed, err = w.db.Claim(t.Context(), question)
	jobs = claimed.Jobs
	settle(jobs, err, store.Settlement{Trigger: lifecycle.Doubt, At: question.Now.Add(time.Second), DueAt: question.Now, Waiting: "in doubt",
		Outcome: &provider.Outcome{Class: provider.Ambiguous, Text: "reset"}})
	jobs, err = w.db.ClaimUnknown(t.Context(), question)
	settle(jobs, err, store.Settlement{Trigger: lifecycle.Accept, At: question.Now.Add(time.Minute), Answer: "the provider has it", Sent: 70,
		Outcome: &provider.Outcome{Class: provider.Accepted, ProviderMessageID: "pm-1"}})
	got := explain()
	first := attemptAnswer{N: 1, Egress: egress.String(), TPSPID: made.ID, Provider: "Postmark", Began: nanos(now), Finished: nanos(now.Add(1500 * time.Millisecond)),
		DurationMs: 1500, Class: "throttled", HTTPStatus: 429, Code: "429", Text: "slow down"}
	second := attemptAnswer{N: 2, Egress: egress.String(), TPSPID: made.ID, Provider: "Postmark", Began: nanos(question.Now), Finished: nanos(question.Now.Add(time.Second)),
		DurationMs: 1000, Class: "accepted", Text: "reset", Answer: "the provider has it"}
	if got.State != "sent" || got.Waiting != "" || got.DueAt != 0 || got.ProviderMessageID != "pm-1" || len(got.Attempts) != 2 ||
		got.Attempts[0] != first || got.Attempts[1] != second {
		t.Errorf("%+v", got)
	}
	if _, err := w.db.Ingest(t.Context(), []store.Parsed{{Fresh: true, Sent: 70, Now: question.Now, Receipt: store.Receipt{AccountID: w.account.ID, TPSPID: made.ID,
		ReceivedAt: now}, Reports: []provider.Report{{Kind: event.Dropped, Type: 74, MessageID: uuid.MustParse(id), Recipient: "ana@gmail.com", OccurredAt: now, Identity: "i",
		Refused: provider.Account, SMTPDescription: "under review"}}}}); err != nil {
		t.Fatal(err)
	}
	if got := explain(); got.State != "queued" || got.Waiting != "taken back by the provider: under review" || got.Attempts[1].Class != "accepted" ||
		got.Attempts[1].TakenBack != "account: under review" || got.Attempts[0].TakenBack != "" {
		t.Errorf("taken back: %+v", got)
	}
	w.call("GET", messages+id+"/explain", map[string]string{"X-Account-ApiKey": w.secondAccount()}, nil).refused(404, "not_found", "")
	if other, err := w.db.Attempts(t.Context(), w.account.ID+1, mail.ID{}); err != nil || len(other) != 0 {
		t.Errorf("%v, %v", other, err)
	}
}

// A message that waits for a provider that is not used says so, and names the egresses that were passed over.
func TestExplainPlan(t *testing.T) {
	t.Parallel()
	plan := planAnswerOf(route.Plan{Egresses: []route.Egress{5, -2}, Rule: "r", Skipped: []route.Skipped{{Egress: 7, Reason: "no template"}}})
	if fmt.Sprint(plan) != "{r [TPSP_5 IP_2] [{TPSP_7 no template}]}" {
		t.Errorf("%+v", plan)
	}
}
