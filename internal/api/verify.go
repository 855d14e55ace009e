package api

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"postyard/internal/books"
	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/store"
)

// verifyAnswer tells whether an account's books balance. SendPost has nothing like it.
type verifyAnswer struct {
	OK              bool               `json:"ok"`
	CheckedAt       int64              `json:"checkedAt"` // when the verification began
	TookMs          int64              `json:"tookMs"`
	Messages        stateCounts        `json:"messages"`
	Events          int64              `json:"events"`
	Attempts        int64              `json:"attempts"`
	Days            int64              `json:"days"`
	Differences     []differenceAnswer `json:"differences"` // the first 1,000
	DifferenceCount int64              `json:"differenceCount"`
	Awaiting        []awaitingAnswer   `json:"awaiting"` // the first 100
	AwaitingCount   int64              `json:"awaitingCount"`
}

// stateCounts are the messages by state. Pending ones are queued, sending or unknown.
type stateCounts struct {
	Total     int64 `json:"total"`
	Pending   int64 `json:"pending"`
	Queued    int64 `json:"queued"`
	Sending   int64 `json:"sending"`
	Unknown   int64 `json:"unknown"`
	Sent      int64 `json:"sent"`
	Delivered int64 `json:"delivered"`
	Bounced   int64 `json:"bounced"`
	Dropped   int64 `json:"dropped"`
}

// differenceAnswer is about a message, or about a day.
type differenceAnswer struct {
	Kind       string         `json:"kind"`
	MessageID  string         `json:"messageID"`
	Day        string         `json:"day"`     // YYYY-MM-DD
	Counter    *counterAnswer `json:"counter"` // null when it is about no counter
	Facet      *facetAnswer   `json:"facet"`   // null when it is about no facet or label
	Stored     string         `json:"stored"`
	Recomputed string         `json:"recomputed"`
}

type counterAnswer struct {
	SubAccountID int32  `json:"subAccountId"`
	Egress       string `json:"egress"`
	Mailbox      string `json:"mailbox"`
	Type         int    `json:"type"`
	Name         string `json:"name"` // of the type
	Copy         bool   `json:"copy"`
}

// facetAnswer names a facet beside its counter, or a label.
type facetAnswer struct {
	Dimension    string `json:"dimension"`
	Value        string `json:"value"`
	SubAccountID int32  `json:"subAccountId"`
}

type awaitingAnswer struct {
	MessageID         string `json:"messageID"`
	Egress            string `json:"egress"`
	ProviderMessageID string `json:"providerMessageId"`
	Since             int64  `json:"since"`
}

// running keeps an account from starting a second verification: each reads all that the account has.
type running struct {
	mu       sync.Mutex
	accounts map[int32]bool
}

// begin returns false when one runs already.
func (r *running) begin(account int32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.accounts[account] {
		return false
	}
	if r.accounts == nil {
		r.accounts = map[int32]bool{}
	}
	r.accounts[account] = true
	return true
}

func (r *running) end(account int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.accounts, account)
}

// pageTime is what a page of a verification, and after the last one the answer, may take.
const pageTime = time.Minute

// maxAwaiting is ten years.
const maxAwaiting = 10 * 365 * 24 * time.Hour

func (s *server) verify(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	awaiting, err := length(r.URL.Query(), "awaiting", books.DefaultAwaiting, maxAwaiting)
	if err != nil {
		return err
	}
	if !s.verifying.begin(a.ID) {
		return &problem{status: http.StatusConflict, Code: "verification_running",
			Message: "a verification of this account is running already; wait for its end"}
	}
	defer s.verifying.end(a.ID)
	report, err := books.Verify(r.Context(), books.Options{AccountID: a.ID, Awaiting: awaiting, Now: time.Now, Progress: keepOpen(w)}, s.Books)
	if err != nil {
		return err
	}
	s.logVerification(r.Context(), a.ID, report)
	return reply(w, http.StatusOK, verifyAnswerOf(report))
}

// keepOpen returns what keeps the connection of a long request: the server's deadline for the answer is made for short ones.
func keepOpen(w http.ResponseWriter) func() {
	connection := http.NewResponseController(w)
	return func() {
		_ = connection.SetWriteDeadline(time.Now().Add(pageTime)) // a connection without deadlines has none to move
	}
}

func (s *server) logVerification(ctx context.Context, account int32, r *books.Report) {
	log := s.Log.InfoContext
	if !r.OK() {
		log = s.Log.ErrorContext
	}
	log(ctx, "books verified", "account", account, "messages", r.Messages, "differences", r.DifferenceCount, "awaiting", r.AwaitingCount,
		"took", r.Took, "requestId", requestID(ctx))
}

// length reads a length of time that may be absent.
func length(q url.Values, name string, absent, most time.Duration) (time.Duration, error) {
	text := q.Get(name)
	if text == "" {
		return absent, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return 0, badParameter(name, "must be a length of time from 0 to "+most.String()+", such as 24h or 1h30m")
	}
	return d, nil
}

func verifyAnswerOf(r *books.Report) verifyAnswer {
	n := r.States
	answer := verifyAnswer{OK: r.OK(), CheckedAt: nanos(r.CheckedAt), TookMs: r.Took.Milliseconds(),
		Messages: stateCounts{Total: r.Messages, Pending: n[lifecycle.Queued] + n[lifecycle.Sending] + n[lifecycle.Unknown],
			Queued: n[lifecycle.Queued], Sending: n[lifecycle.Sending], Unknown: n[lifecycle.Unknown], Sent: n[lifecycle.Sent],
			Delivered: n[lifecycle.Delivered], Bounced: n[lifecycle.Bounced], Dropped: n[lifecycle.Dropped]},
		Events: r.Events, Attempts: r.Attempts, Days: r.Days,
		Differences: make([]differenceAnswer, len(r.Differences)), DifferenceCount: r.DifferenceCount,
		Awaiting: make([]awaitingAnswer, len(r.Awaiting)), AwaitingCount: r.AwaitingCount}
	for i := range r.Differences {
		answer.Differences[i] = differenceAnswerOf(&r.Differences[i])
	}
	for i, one := range r.Awaiting {
		answer.Awaiting[i] = awaitingAnswer{one.Message.String(), one.Egress.String(), one.ProviderID, nanos(one.Since)}
	}
	return answer
}

func differenceAnswerOf(d *books.Difference) differenceAnswer {
	answer := differenceAnswer{Kind: string(d.Kind), Stored: d.Stored, Recomputed: d.Recomputed}
	if d.Message != (mail.ID{}) {
		answer.MessageID = d.Message.String()
	}
	if !d.Day.IsZero() {
		answer.Day = d.Day.Format(time.DateOnly)
	}
	if d.Counter != nil {
		answer.Counter = counterAnswerOf(*d.Counter)
	}
	if d.Facet != nil {
		answer.Facet = &facetAnswer{d.Facet.Dimension.String(), d.Facet.Value, d.Facet.SubAccountID}
	}
	return answer
}

// counterAnswerOf names a counter, as far as it has names: a wrong one may have none.
func counterAnswerOf(c store.Counter) *counterAnswer {
	info, _ := event.Describe(c.Type)
	class, _ := mailbox.ByID(c.Mailbox)
	return &counterAnswer{c.SubAccountID, c.Egress.String(), string(class), int(c.Type), info.Name, c.Copy}
}
