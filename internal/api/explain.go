package api

import (
	"net/http"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/route"
	"postyard/internal/store"
)

// explainAnswer tells where a message stands and why. SendPost has nothing like it, and its Message takes no extra keys.
type explainAnswer struct {
	MessageID         string     `json:"messageID"`
	State             string     `json:"state"`   // queued, sending, unknown, sent, delivered, bounced, dropped
	Waiting           string     `json:"waiting"` // while pending: why
	DueAt             int64      `json:"dueAt"`   // while pending: until when, in ns; 0 when it may leave at once
	Attempts          int        `json:"attempts"`
	Mark              string     `json:"mark"` // resent: may be a duplicate; unconfirmed: may be lost; "" for all others
	TPSPID            int32      `json:"tpspId"`
	ProviderMessageID string     `json:"providerMessageId"`
	Plan              planAnswer `json:"plan"`
}

// planAnswer is the route of a message.
type planAnswer struct {
	Rule     string          `json:"rule"`
	Egresses []string        `json:"egresses"` // in the order in which they are tried: TPSP_5
	Skipped  []skippedAnswer `json:"skipped"`
}

type skippedAnswer struct {
	Egress string `json:"egress"`
	Reason string `json:"reason"`
}

var markNames = map[store.Mark]string{store.MarkNone: "", store.MarkResent: "resent", store.MarkUnconfirmed: "unconfirmed"}

func (s *server) explainMessage(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	m, err := s.findMessage(r, a)
	if err != nil {
		return err
	}
	answer := explainAnswer{MessageID: m.ID.String(), State: m.State.String(), Attempts: m.Attempts, Mark: markNames[m.Mark],
		TPSPID: m.Egress.TPSPID(), ProviderMessageID: m.ProviderID, Plan: planAnswerOf(m.Plan)}
	if m.State.Pending() {
		answer.Waiting, answer.DueAt = s.waiting(m), nanos(m.DueAt)
	}
	return reply(w, http.StatusOK, answer)
}

// waiting says why a pending message has not left: what was said of it last, or that its provider is not used.
func (s *server) waiting(m *store.Message) string {
	t := s.Directory.Current().AnyTPSP(m.Egress.TPSPID())
	switch {
	case m.Waiting == "" && m.State == lifecycle.Queued && t != nil && t.Health.Stopped:
		return "the provider is not used for now: " + t.Health.Reason
	case m.Waiting == "" && m.State == lifecycle.Sending:
		return "the provider is being called"
	default:
		return m.Waiting
	}
}

func planAnswerOf(p route.Plan) planAnswer {
	answer := planAnswer{Rule: p.Rule, Egresses: make([]string, len(p.Egresses)), Skipped: make([]skippedAnswer, len(p.Skipped))}
	for i, e := range p.Egresses {
		answer.Egresses[i] = e.String()
	}
	for i, skipped := range p.Skipped {
		answer.Skipped[i] = skippedAnswer{skipped.Egress.String(), skipped.Reason}
	}
	return answer
}
