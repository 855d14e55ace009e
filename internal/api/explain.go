package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
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
	IPID              int32           `json:"ipId"` // 0: through a TPSP
	ProviderMessageID string          `json:"providerMessageId"`
	Plan              planAnswer      `json:"plan"`
	Attempts          []attemptAnswer `json:"attempts"` // in their order
}

// attemptAnswer is one call to a provider.
type attemptAnswer struct {
	N          int    `json:"n"`
	Egress     string `json:"egress"` // TPSP_5
	TPSPID     int32  `json:"tpspId"`
	IPID       int32  `json:"ipId"`
	Provider   string `json:"provider"` // the provider's name in this account, or the IP's address
	Began      int64  `json:"began"`
	Finished   int64  `json:"finished"`   // 0 while the call is open
	DurationMs int64  `json:"durationMs"` // 0 while the call is open
	Class      string `json:"class"`      // accepted, rejected, inactive, transient, throttled, account, ambiguous; "" while the call is open
	HTTPStatus int    `json:"httpStatus"` // 0 when there was no answer
	Code       string `json:"code"`       // the provider's own
	Text       string `json:"text"`       // the provider's words, or the transport's
	Answer     string `json:"answer"`     // what the provider said when it was asked about the attempt, or reported of it
	TakenBack  string `json:"takenBack"`  // accepted, and taken back by the provider later, for a reason of its own: its class and the provider's words
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
	answer := explainAnswer{MessageID: m.ID.String(), State: m.State.String(), Mark: markNames[m.Mark], TPSPID: m.Egress.TPSPID(), IPID: m.Egress.IPID(),
		ProviderMessageID: m.ProviderID, Plan: planAnswerOf(m.Plan), Attempts: make([]attemptAnswer, len(attempts))}
	for i := range attempts {
		answer.Attempts[i] = s.attemptAnswerOf(&attempts[i])
	}
	if m.State.Pending() {
		why, err := s.waiting(r.Context(), m, s.permitsOnce())
		if err != nil {
			return err
		}
		answer.Waiting, answer.DueAt = why.reason, nanos(why.until)
	}
	return reply(w, http.StatusOK, answer)
}

// wait is why a pending message has not left, and until when; the zero time when that is now, or up to somebody.
type wait struct {
	reason string
	until  time.Time
}

// waiting says why a pending message has not left. What keeps it longest comes first: the operator's brakes, then its own pause
// after a failure, then what its provider and the limits let through.
func (s *server) waiting(ctx context.Context, m *store.Message, permits asksPermits) (wait, error) {
	if m.State != lifecycle.Queued {
		if m.Waiting == "" && m.State == lifecycle.Sending {
			return wait{"the provider is being called", m.DueAt}, nil
		}
		return wait{m.Waiting, m.DueAt}, nil
	}
	now := s.Now()
	if why := s.braked(m, now); why.reason != "" {
		return why, nil
	}
	if m.Waiting != "" && m.DueAt.After(now) {
		return wait{m.Waiting, m.DueAt}, nil
	}
	t := s.Directory.Current().Egress(m.Egress)
	if t == nil {
		return wait{m.Waiting, m.DueAt}, nil
	}
	if away := t.Away(now); away != "" {
		return wait{away, after(t.Health.ProbeAt, now)}, nil
	}
	if domain := mail.Domain(m.Content.From.Email); t.Refuses(domain, now) != "" {
		i := slices.IndexFunc(t.Refused, func(r directory.Refusal) bool { return r.Domain == domain })
		return wait{t.Refuses(domain, now), t.Refused[i].ProbeAt}, nil
	}
	switch reached, err := s.anyLimitReached(ctx, m, t, now, permits); {
	case err != nil || reached.reason != "":
		return reached, err
	case m.Waiting != "":
		return wait{m.Waiting, m.DueAt}, nil
	}
	return wait{"it is ready, and waits for its turn", m.DueAt}, nil
}

// braked says which brake of the operator holds a message, if any.
func (s *server) braked(m *store.Message, now time.Time) wait {
	current := s.Directory.Current()
	pool, sub, t := current.Pool(m.AccountID, m.PoolID), current.SubAccount(m.AccountID, m.SubAccountID), current.Egress(m.Egress)
	blocked := directory.WhyBlocked(current.Chain(m.AccountID, m.SubAccountID))
	switch {
	case pool != nil && pool.Paused:
		return wait{reason: fmt.Sprintf("the IP pool %q is paused", pool.Name)}
	case sub != nil && sub.Paused:
		return wait{reason: fmt.Sprintf("the sub-account %q is paused", sub.Name)}
	case blocked != "":
		return wait{reason: blocked}
	case t != nil && t.Paused && t.Deleted.IsZero():
		return wait{reason: t.Away(now)}
	case t != nil && now.Before(t.Drill) && t.Deleted.IsZero():
		return wait{t.Away(now), t.Drill}
	}
	return wait{}
}

// after is a time if it is still to come, else zero.
func after(t, now time.Time) time.Time {
	if t.After(now) {
		return t
	}
	return time.Time{}
}

// anyLimitReached says which limit keeps a message longest, of its provider or of its sub-account and those above it, if one does.
func (s *server) anyLimitReached(ctx context.Context, m *store.Message, t *directory.TPSP, now time.Time, permits asksPermits) (wait, error) {
	reached, err := s.limitReached(ctx, t, m.Mailbox, now, permits)
	if err != nil {
		return reached, err
	}
	chain := s.Directory.Current().Chain(m.AccountID, m.SubAccountID)
	taken, err := s.Accounts.Taken(ctx, directory.Limited(chain), s.Claim)
	if why, until := directory.LimitReached(chain, taken, now, s.Claim); until.After(reached.until) {
		reached = wait{why, until}
	}
	return reached, err
}

// limitReached says which limit of its provider keeps the mail for a mailbox provider, and until when, if one does.
func (s *server) limitReached(ctx context.Context, t *directory.TPSP, class mailbox.Class, now time.Time, permits asksPermits) (wait, error) {
	lane := t.Limits.Mailbox[class]
	if t.Limits.PerHour == 0 && lane == 0 {
		return wait{}, nil
	}
	taken, err := permits(ctx, t.Egress(), now)
	if err != nil {
		return wait{}, fmt.Errorf("permits of TPSP %d: %w", t.ID, err)
	}
	var why wait
	if t.Limits.PerHour > 0 {
		if _, free := limit.Room(t.Limits.PerHour, taken.Whole, now, s.Claim); !free.IsZero() {
			why = wait{fmt.Sprintf("%s's limit of %d messages an hour is reached", t.Noun(), t.Limits.PerHour), free}
		}
	}
	if lane > 0 {
		if _, free := limit.Room(lane, taken.Lanes[class], now, s.Claim); free.After(why.until) {
			why = wait{fmt.Sprintf("%s's limit of %d messages an hour to %s is reached", t.Noun(), lane, class), free}
		}
	}
	return why, nil
}

func (s *server) attemptAnswerOf(a *store.Attempt) attemptAnswer {
	answer := attemptAnswer{N: a.N, Egress: a.Egress.String(), TPSPID: a.Egress.TPSPID(), IPID: a.Egress.IPID(), Began: nanos(a.Began), HTTPStatus: a.HTTPStatus,
		Code: a.Code, Text: a.Text, Answer: a.Answer}
	if t := s.Directory.Current().Egress(a.Egress); t != nil {
		answer.Provider = t.Name
	}
	if a.Refused != provider.Accepted {
		answer.TakenBack = a.Refused.String() + ": " + a.Refusal
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
