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
	MessageID         string          `json:"messageID"`
	State             string          `json:"state"`   // queued, sending, unknown, sent, delivered, bounced, dropped
	Waiting           string          `json:"waiting"` // while pending: why
	DueAt             int64           `json:"dueAt"`   // while pending: until when, in ns; 0 when it may leave at once
	Mark              string          `json:"mark"`    // resent: may be a duplicate; unconfirmed: may be lost; "" for all others
	TPSPID            int32           `json:"tpspId"`
	ProviderMessageID string          `json:"providerMessageId"`
	Plan              planAnswer      `json:"plan"`
	Attempts          []attemptAnswer `json:"attempts"` // in their order
}

// attemptAnswer is one call to a provider.
type attemptAnswer struct {
	N          int    `json:"n"`
	Egress     string `json:"egress"` // TPSP_5
	TPSPID     int32  `json:"tpspId"`
	Provider   string `json:"provider"` // the provider's name in this account
	Began      int64  `json:"began"`
	Finished   int64  `json:"finished"`   // 0 while the call is open
	DurationMs int64  `json:"durationMs"` // 0 while the call is open
	Class      string `json:"class"`      // accepted, rejected, inactive, transient, throttled, account, ambiguous; "" while the call is open
	HTTPStatus int    `json:"httpStatus"` // 0 when there was no answer
	Code       string `json:"code"`       // the provider's own
	Text       string `json:"text"`       // the provider's words, or the transport's
	Answer     string `json:"answer"`     // what the provider said when it was asked about the attempt
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
	attempts, err := s.Journal.Attempts(r.Context(), a.ID, m.ID)
	if err != nil {
		return err
	}
	answer := explainAnswer{MessageID: m.ID.String(), State: m.State.String(), Mark: markNames[m.Mark], TPSPID: m.Egress.TPSPID(),
		ProviderMessageID: m.ProviderID, Plan: planAnswerOf(m.Plan), Attempts: make([]attemptAnswer, len(attempts))}
	for i := range attempts {
		answer.Attempts[i] = s.attemptAnswerOf(&attempts[i])
	}
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
	case m.Waiting == "" && m.State == lifecycle.Queued:
		return "it is ready, and waits for its turn"
	default:
		return m.Waiting
	}
}

func (s *server) attemptAnswerOf(a *store.Attempt) attemptAnswer {
	answer := attemptAnswer{N: a.N, Egress: a.Egress.String(), TPSPID: a.Egress.TPSPID(), Began: nanos(a.Began), HTTPStatus: a.HTTPStatus,
		Code: a.Code, Text: a.Text, Answer: a.Answer}
	if t := s.Directory.Current().AnyTPSP(a.Egress.TPSPID()); t != nil {
		answer.Provider = t.Name
	}
	if !a.Finished.IsZero() {
		answer.Finished, answer.DurationMs, answer.Class = nanos(a.Finished), a.Finished.Sub(a.Began).Milliseconds(), a.Class.String()
	}
	return answer
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
