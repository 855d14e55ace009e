package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/plan"
	"postyard/internal/store"
	"postyard/internal/webhook"
)

// attentionAnswer is something that somebody should look at. Nothing but what is known already is looked at: it asks no provider.
type attentionAnswer struct {
	Kind         string `json:"kind"`
	Severity     string `json:"severity"` // fail: mail or events do not get through; warn: some do not, or are meant to wait; note: to know before it matters
	TPSPID       int32  `json:"tpspId"`   // the ids say what it is about; 0: not about one
	IPID         int32  `json:"ipId"`
	IPPoolID     int32  `json:"ipPoolId"`
	WebhookID    int32  `json:"webhookId"`
	SubAccountID int32  `json:"subAccountId"`
	Name         string `json:"name"` // of what it is about
	Message      string `json:"message"`
	Fix          string `json:"fix"`   // what puts it right, "" when it ends by itself
	Since        int64  `json:"since"` // 0: it is not known
	Until        int64  `json:"until"` // when it is tried again or ends; 0: it is not known
}

// The severities.
const (
	severe  = "fail"
	caution = "warn"
	note    = "note"
)

// hooksLookedAt is how many webhooks of an account are looked at.
const hooksLookedAt = 200

// poolSeverity is how grave a warning of a pool is; what is told of the provider itself is left out.
var poolSeverity = map[string]string{plan.PoolPaused: caution, plan.Empty: severe, plan.NotConnected: caution,
	plan.UnreadableMetaData: severe, plan.GoneEgress: caution, plan.ProviderPaused: "", plan.ProviderAway: "", plan.SenderRefused: ""}

func (s *server) attention(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	current, now := s.Directory.Current(), s.Now()
	answers := []attentionAnswer{}
	tpsps, ips := current.TPSPs(a.ID), current.IPs(a.ID)
	if len(tpsps)+len(ips) == 0 {
		answers = append(answers, attentionAnswer{Kind: "no_provider", Severity: severe, Name: a.Name, Message: "no mail can leave: no provider is connected",
			Fix: "connect one: POST /api/v1/account/tpsp, or postyard connect"})
	}
	for _, t := range slices.Concat(tpsps, ips) {
		answers = append(answers, s.attentionTo(t, now)...)
	}
	for _, p := range current.Pools(a.ID) {
		for _, warning := range s.Planner.Warnings(current, p) {
			severity, known := poolSeverity[warning.Code]
			if !known {
				severity = note
			}
			if severity == "" {
				continue
			}
			fix := ""
			if warning.Code == plan.PoolPaused {
				fix = fmt.Sprintf("let its mail go on: POST /api/v1/account/ippool/%d/resume", p.ID)
			}
			answers = append(answers, attentionAnswer{Kind: warning.Code, Severity: severity, IPPoolID: p.ID, TPSPID: warning.Egress.TPSPID(), IPID: warning.Egress.IPID(),
				Name: p.Name, Message: warning.Message, Fix: fix})
		}
	}
	for _, sub := range current.SubAccounts(a.ID) {
		if !sub.Blocked.IsZero() {
			answers = append(answers, attentionAnswer{Kind: "sub_account_blocked", Severity: caution, SubAccountID: sub.ID, Name: sub.Name, Since: nanos(sub.Blocked),
				Message: "it is blocked: its sends are refused, and its mail waits"})
		}
		if sub.Paused {
			answers = append(answers, attentionAnswer{Kind: "sub_account_paused", Severity: caution, SubAccountID: sub.ID, Name: sub.Name, Message: "its mail waits",
				Fix: fmt.Sprintf("let it go on: POST /api/v1/account/subaccount/%d/resume", sub.ID)})
		}
	}
	hooks, err := s.Webhooks.Endpoints(r.Context(), store.EndpointFilter{AccountID: a.ID, Limit: hooksLookedAt})
	if err != nil {
		return err
	}
	for i := range hooks {
		if answer, ok := attentionToHook(r, &hooks[i]); ok {
			answers = append(answers, answer)
		}
	}
	grave := []string{severe, caution, note}
	slices.SortStableFunc(answers, func(a, b attentionAnswer) int {
		return cmp.Compare(slices.Index(grave, a.Severity), slices.Index(grave, b.Severity))
	})
	return reply(w, http.StatusOK, answers)
}

// attentionTo is what a provider or an IP needs.
func (s *server) attentionTo(t *directory.TPSP, now time.Time) (list []attentionAnswer) {
	about := attentionAnswer{TPSPID: t.Egress().TPSPID(), IPID: t.IPID(), Name: t.Name}
	path := fmt.Sprintf("/api/v1/account/tpsp/%d", about.TPSPID)
	if t.IsIP() {
		path = fmt.Sprintf("/api/v1/account/ip/%d", about.IPID)
	}
	add := func(kind, severity, message, fix string, since, until int64) {
		answer := about
		answer.Kind, answer.Severity, answer.Message, answer.Fix, answer.Since, answer.Until = kind, severity, message, fix, since, until
		list = append(list, answer)
	}
	switch health := healthAnswerOf(t, now); health.State {
	case "paused":
		add("paused", caution, health.Reason, `let mail leave through it: PUT `+path+` with "active": true`, 0, 0)
	case "missing":
		add("missing", severe, health.Reason, "add it to the configuration, or give it back: DELETE "+path, 0, 0)
	case "drill":
		add("drill", caution, health.Reason, `end it: POST `+path+`/drill with "seconds": 0`, 0, health.ProbeAt)
	case "stopped":
		add("stopped", severe, "no mail leaves through it: "+health.Reason, "put right what it names; mail tries the provider again by itself", health.Since, health.ProbeAt)
	}
	for i := range t.Refused {
		refused := &t.Refused[i]
		add("sender_refused", caution, "mail from "+refused.Domain+" is refused: "+refused.Reason, "verify the domain at the provider, or send it through another one",
			nanos(refused.Since), nanos(refused.ProbeAt))
	}
	again := "register it again: POST " + path + "/webhook"
	switch t.Webhook.State {
	case directory.WebhookFailed:
		add("webhook_failed", severe, "its webhook is not registered, so its events do not arrive: "+t.Webhook.Error, again, 0, nanos(t.Webhook.NextTry))
	case directory.WebhookUnverified:
		add("webhook_unverified", severe, "the provider has not verified the webhook and reports nothing: "+t.Webhook.Error, again, 0, nanos(t.Webhook.NextTry))
	case directory.WebhookPaused:
		add("webhook_paused", caution, "the provider does not report some kinds of events, as our URL kept failing: "+t.Webhook.Error, again, 0, nanos(t.Webhook.NextTry))
	}
	if c := s.pendingCatchUp(t); c != nil && c.State == "failed" {
		add("catch_up_failed", caution, "events could not be read back: "+c.Message, "nothing: it is tried again", c.Since, c.NextTry)
	}
	return list
}

// attentionToHook is what a webhook of the account needs, if anything.
func attentionToHook(r *http.Request, e *store.Endpoint) (answer attentionAnswer, needed bool) {
	answer = attentionAnswer{WebhookID: e.ID, Name: shownURL(r, e.URL)}
	path := fmt.Sprintf("/api/v1/account/webhook/%d", e.ID)
	switch webhook.StateOf(e) {
	case webhook.BackingOff:
		answer.Kind, answer.Severity, answer.Message = "webhook_failing", severe, fmt.Sprintf("%d calls in a row failed: %s", e.Standing.Failures, e.Standing.LastError)
		answer.Fix = "see what it answers: POST " + path + "/test"
		answer.Since, answer.Until = nanos(e.Standing.FailingAt), nanos(e.Standing.NextTry)
		return answer, true
	case webhook.Paused:
		answer.Kind, answer.Severity, answer.Message = "webhook_held", caution, "its events wait: "+e.Paused
		answer.Fix, answer.Since = "let them go on: POST "+path+"/resume", nanos(e.PausedAt)
		return answer, true
	}
	return answer, false
}
