// Package accept turns requests into durable messages: it validates the whole request, plans every message, and returns
// when all of it is on disk. Nothing is stored of a request that is refused.
package accept

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/groupcommit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/plan"
	"postyard/internal/route"
	"postyard/internal/store"
)

// DefaultPool is the pool that a request without `ippool` goes to, when the account has more than one.
const DefaultPool = "default"

// commitWeight is how many messages one transaction holds at most; it bounds how long the writer is busy.
const commitWeight = 400

// weightBytes is how many bytes of content weigh as much as a message.
const weightBytes = 16 << 10

// comeBack is what an overloaded server asks clients to wait.
const comeBack = 30 * time.Second

// Store is the part of the store that accepting needs.
type Store interface {
	Accept(ctx context.Context, batch []store.Submission) error
	Backlog(ctx context.Context) (int64, error)
}

// Mailboxes tells the mailbox provider of a recipient's domain, at once.
type Mailboxes interface {
	Class(domain string) mailbox.Class
}

// Config is what a Service is made of.
type Config struct {
	Store     Store
	Directory *directory.Directory
	Planner   *plan.Planner
	Mailboxes Mailboxes
	Now       func() time.Time

	AllowPrivate bool // webhookEndpoint may lead to private addresses

	MaxBacklog int64                     // pending messages from which on requests are refused; 0 is no limit
	Room       func() error              // says why nothing may be written just now (a full disk), or nil
	Wake       func(egress route.Egress) // called after messages for an egress became durable
}

// Service accepts requests.
type Service struct {
	Config
	commits *groupcommit.Committer[placed]
}

// placed is a submission with where its messages went.
type placed struct {
	store.Submission
	first []route.Egress // of every message, set when it is planned
}

// New returns a Service; it accepts while Run runs.
func New(c Config) *Service {
	s := &Service{Config: c}
	s.commits = groupcommit.New(groupcommit.Config[placed]{
		Commit: s.commit,
		Shared: func(err error) bool { return errors.Is(err, store.ErrUnavailable) },
		Weigh:  func(s placed) int { return len(s.Messages) + len(s.Content)/weightBytes },
		Limit:  commitWeight,
	})
	return s
}

// commit stores a batch and wakes the egresses that its messages wait for, also when its callers have hung up.
func (s *Service) commit(ctx context.Context, batch []placed) error {
	submissions := make([]store.Submission, len(batch))
	for i := range batch {
		submissions[i] = batch[i].Submission
	}
	if err := s.Store.Accept(ctx, submissions); err != nil {
		return err
	}
	woken := map[route.Egress]bool{}
	for i := range batch {
		for _, e := range batch[i].first {
			if !woken[e] && e != 0 { // a suppressed message goes nowhere
				woken[e] = true
				s.Wake(e)
			}
		}
	}
	return nil
}

// Run commits accepted requests until ctx ends; what was handed over before is still committed.
func (s *Service) Run(ctx context.Context) { s.commits.Run(ctx) }

// OverloadedError refuses a request for now: nothing of it was stored.
type OverloadedError struct {
	Reason     string
	RetryAfter time.Duration
}

// Error implements error.
func (e *OverloadedError) Error() string { return e.Reason }

// Accept stores the messages of a request and returns one result per recipient. The error is a *mail.FieldError when the
// request breaks a rule, an *OverloadedError when it may come again later, or wraps store.ErrUnavailable.
func (s *Service) Accept(ctx context.Context, sub *directory.SubAccount, req *Request) ([]Result, error) {
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	if bad := checkRequest(req); bad != nil {
		return nil, bad
	}
	if bad := checkWebhook(&req.Content, s.AllowPrivate); bad != nil {
		return nil, bad
	}
	results, err := s.place(ctx, sub, req)
	if outdated(err) || isRefusal(err) && s.unknownPool(sub.AccountID, req.Content.Pool) {
		// A provider or the pool was deleted between the plan and the commit, or another node has made the pool. Nothing is stored yet.
		if err := s.Directory.Refresh(ctx); err != nil {
			return nil, fmt.Errorf("accept: %w", err)
		}
		results, err = s.place(ctx, sub, req)
	}
	switch {
	case errors.Is(err, groupcommit.ErrClosed):
		return nil, fmt.Errorf("%w: stopping", store.ErrUnavailable)
	case outdated(err):
		return nil, &OverloadedError{Reason: "the IP pool is being changed", RetryAfter: time.Second}
	}
	return results, err
}

// outdated tells whether the store refused a request because what it was planned by was deleted meanwhile.
func outdated(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)
}

// isRefusal tells whether an error refuses the request, of which nothing was stored.
func isRefusal(err error) bool {
	_, refused := errors.AsType[*mail.FieldError](err)
	return refused
}

// unknownPool tells whether this node knows no pool for a request.
func (s *Service) unknownPool(accountID int32, name string) bool {
	_, bad := choosePool(s.Directory.Current(), accountID, name)
	return bad != nil
}

// place plans the messages of a request by the configuration of now, and stores them.
func (s *Service) place(ctx context.Context, sub *directory.SubAccount, req *Request) ([]Result, error) {
	view := s.Directory.Current()
	pool, bad := choosePool(view, sub.AccountID, req.Content.Pool)
	if bad != nil {
		return nil, bad
	}
	submission, results, err := s.compose(view, sub, pool, req)
	if err != nil || len(submission.Messages) == 0 {
		return results, err
	}
	if err := s.commits.Do(ctx, submission); err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	return results, nil
}

// admit refuses requests while there is no room for them.
func (s *Service) admit(ctx context.Context) error {
	if err := s.Room(); err != nil {
		return &OverloadedError{Reason: err.Error(), RetryAfter: comeBack}
	}
	if s.MaxBacklog == 0 {
		return nil
	}
	backlog, err := s.Store.Backlog(ctx)
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	if backlog >= s.MaxBacklog {
		return &OverloadedError{Reason: fmt.Sprintf("%d messages are waiting to be sent already", backlog), RetryAfter: comeBack}
	}
	return nil
}

// choosePool finds the pool of a request. Without a name it is the pool named `default`, else the account's only one.
func choosePool(view *directory.Snapshot, accountID int32, name string) (*route.Pool, *mail.FieldError) {
	if name != "" {
		if pool := view.PoolNamed(accountID, name); pool != nil {
			return pool, nil
		}
		return nil, mail.Invalid("unknown_ippool", "ippool", "there is no IP pool named %q in this account", name)
	}
	if pool := view.PoolNamed(accountID, DefaultPool); pool != nil {
		return pool, nil
	}
	pools := view.Pools(accountID)
	switch len(pools) {
	case 0:
		return nil, mail.Invalid("no_ippool", "ippool", "this account has no IP pool yet: connect a provider first")
	case 1:
		return pools[0], nil
	default:
		return nil, mail.Invalid("missing_ippool", "ippool", "name an IP pool: the account has %d and none is named %q", len(pools), DefaultPool)
	}
}

// compose plans every message and builds the submission and the answers. The request is refused as a whole when nobody can carry
// one of its messages.
func (s *Service) compose(view *directory.Snapshot, sub *directory.SubAccount, pool *route.Pool, req *Request) (placed, []Result, error) {
	content, err := req.Content.Encode()
	if err != nil {
		return placed{}, nil, fmt.Errorf("accept: encode content: %w", err)
	}
	now, n := s.Now(), len(req.Recipients)
	submission := placed{first: make([]route.Egress, n), Submission: store.Submission{AccountID: sub.AccountID, SubAccountID: sub.ID, Content: content,
		Groups: req.Content.Groups, Hook: req.Content.WebhookEndpoint, SubmittedAt: now, Messages: make([]store.NewMessage, 0, n)}}
	if domain := mail.Domain(req.Content.From.Email); view.Whitelisted(sub.AccountID, domain) {
		submission.Domain = domain
	}
	results := make([]Result, n)
	course := s.Planner.Course(view, pool, &req.Content)
	if bad := course.Refusal(); bad != nil {
		return placed{}, nil, bad
	}
	spread := course.Spread()
	for i := range req.Recipients {
		r := &req.Recipients[i]
		results[i] = Result{To: r.Email, SubmittedAt: now}
		if code, why := checkRecipient(r, i); code != Accepted {
			results[i].Code, results[i].Message = code, why
			continue
		}
		class := s.Mailboxes.Class(mail.Domain(r.Email))
		prepared, bad := course.To(class)
		if bad != nil {
			return placed{}, nil, bad
		}
		id, err := newID(now)
		if err != nil {
			return placed{}, nil, fmt.Errorf("accept: make message id: %w", err)
		}
		encoded, err := r.Encode()
		if err != nil {
			return placed{}, nil, fmt.Errorf("accept: encode recipient: %w", err)
		}
		results[i].ID = id
		first := &submission.first[len(submission.Messages)]
		copies, without := copiesOf(r)
		submission.Messages = append(submission.Messages, store.NewMessage{ID: id, Recipient: encoded, To: r.Email, Mailbox: class, PoolID: pool.ID,
			Copies: copies, Without: without, Spread: spread, Plan: func(seq uint64) store.Planned {
				planned := course.Plan(prepared, seq)
				*first = planned.First()
				return store.Planned{Plan: planned, Processed: s.Planner.Processed(view, planned)}
			}})
	}
	submission.first = submission.first[:len(submission.Messages)]
	return submission, results, nil
}

// copiesOf returns the addresses of a recipient's copies, and what encodes the recipient without some of them.
func copiesOf(r *mail.Recipient) (emails []string, without func(gone func(string) bool) ([]byte, error)) {
	if len(r.CC)+len(r.BCC) == 0 {
		return nil, nil
	}
	for _, list := range [][]mail.Address{r.CC, r.BCC} {
		for i := range list {
			emails = append(emails, list[i].Email)
		}
	}
	return emails, func(gone func(string) bool) ([]byte, error) {
		rest := r.Without(gone)
		return rest.Encode()
	}
}

// newID makes an id that sorts by the store's clock, which all nodes share, and not by this machine's (RFC 9562 section 5.7).
func newID(now time.Time) (mail.ID, error) {
	id, err := uuid.NewV7()
	for i, ms := 5, uint64(max(now.UnixMilli(), 0)); i >= 0; i, ms = i-1, ms>>8 {
		id[i] = byte(ms)
	}
	return id, err
}
