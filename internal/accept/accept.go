// Package accept turns requests into durable messages: it validates the whole request, plans every message, and returns
// when all of it is on disk. Nothing is stored of a request that is refused.
package accept

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	store.Idempotency
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
	Templates Templates // nil: there are no stored ones, and tags are not looked at
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
	running running
}

// placed are the submissions of a call, with where their messages went.
type placed struct {
	submissions []store.Submission
	first       []route.Egress // of every message, set when it is planned
}

func (p placed) weight() (n int) {
	for i := range p.submissions {
		n += len(p.submissions[i].Messages) + len(p.submissions[i].Content)/weightBytes
	}
	return n
}

// New returns a Service; it accepts while Run runs.
func New(c Config) *Service {
	s := &Service{Config: c}
	s.commits = groupcommit.New(groupcommit.Config[placed]{
		Commit: s.commit,
		Shared: func(err error) bool { return errors.Is(err, store.ErrUnavailable) },
		Weigh:  placed.weight,
		Limit:  commitWeight,
	})
	return s
}

// commit stores a batch and wakes the egresses that its messages wait for, also when its callers have hung up.
func (s *Service) commit(ctx context.Context, batch []placed) error {
	submissions := make([]store.Submission, 0, len(batch))
	for i := range batch {
		submissions = append(submissions, batch[i].submissions...)
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

// BlockedError refuses a request of a sub-account for which nothing is sent.
type BlockedError struct {
	Reason string
}

// Error implements error.
func (e *BlockedError) Error() string { return e.Reason }

// unblocked refuses requests of a sub-account that is blocked, or that stands under one.
func (s *Service) unblocked(sub *directory.SubAccount) error {
	view := s.Directory.Current()
	if now := view.SubAccount(sub.AccountID, sub.ID); now != nil && view.Blocker(now) != nil {
		return &BlockedError{Reason: directory.WhyBlocked(view.Chain(sub.AccountID, sub.ID))}
	}
	return nil
}

// Accept stores the messages of requests, of all or of none, and returns one result per recipient. The error is a *mail.FieldError when
// a request breaks a rule (in a *PartError, if there are several), a *BlockedError when the sub-account may not send, an *OverloadedError when they may come again later, or wraps
// store.ErrUnavailable.
func (s *Service) Accept(ctx context.Context, sub *directory.SubAccount, requests ...*Request) ([]Result, error) {
	results, _, err := s.accept(ctx, sub, requests, nil)
	return results, err
}

// Check returns the error that Accept would, and stores nothing.
func (s *Service) Check(ctx context.Context, sub *directory.SubAccount, requests ...*Request) error {
	if err := s.unblocked(sub); err != nil {
		return err
	}
	if err := s.prepare(ctx, sub.AccountID, requests); err != nil {
		return err
	}
	_, _, err := s.current(ctx, sub, requests, nil, func(placed) error { return nil })
	return err
}

// accept returns the results, and what was encoded of them when the call is to be kept.
func (s *Service) accept(ctx context.Context, sub *directory.SubAccount, requests []*Request, once *Once) ([]Result, []byte, error) {
	if err := s.unblocked(sub); err != nil {
		return nil, nil, err
	}
	if err := s.admit(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.prepare(ctx, sub.AccountID, requests); err != nil {
		return nil, nil, err
	}
	results, answer, err := s.current(ctx, sub, requests, once, func(p placed) error {
		if once == nil && len(p.first) == 0 {
			return nil
		}
		if err := s.commits.Do(ctx, p); err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		return nil
	})
	switch {
	case errors.Is(err, groupcommit.ErrClosed):
		return nil, nil, fmt.Errorf("%w: stopping", store.ErrUnavailable)
	case outdated(err):
		return nil, nil, &OverloadedError{Reason: "the IP pool is being changed", RetryAfter: time.Second}
	}
	return results, answer, err
}

// PartError says which one of several requests is refused.
type PartError struct {
	Part int // from 0
	Err  error
}

// Error implements error.
func (e *PartError) Error() string { return fmt.Sprintf("request %d: %s", e.Part+1, e.Err) }

// Unwrap implements errors.Unwrap.
func (e *PartError) Unwrap() error { return e.Err }

// part names the request that an error is about.
func part(requests []*Request, i int, err error) error {
	if len(requests) < 2 {
		return err
	}
	return &PartError{i, err}
}

// prepare fills in stored templates, and looks whether requests keep the rules.
func (s *Service) prepare(ctx context.Context, accountID int32, requests []*Request) error {
	for i, r := range requests {
		if err := s.personalise(ctx, accountID, r); err != nil {
			return part(requests, i, err)
		}
		if bad := checkRequest(r); bad != nil {
			return part(requests, i, bad)
		}
		if bad := checkWebhook(&r.Content, s.AllowPrivate); bad != nil {
			return part(requests, i, bad)
		}
	}
	return nil
}

// current plans requests by the configuration of now, hands what was planned on, and does it anew when that was outdated. It returns the results,
// and what was encoded of them.
func (s *Service) current(ctx context.Context, sub *directory.SubAccount, requests []*Request, once *Once, hand func(placed) error) ([]Result, []byte, error) {
	results, answer, err := s.place(sub, requests, once, hand)
	if outdated(err) || isRefusal(err) && s.unknownPool(sub.AccountID, requests) {
		// A provider or the pool was deleted between the plan and the commit, or another node has made the pool. Nothing is stored yet.
		if err := s.Directory.Refresh(ctx); err != nil {
			return nil, nil, fmt.Errorf("accept: %w", err)
		}
		results, answer, err = s.place(sub, requests, once, hand)
	}
	return results, answer, err
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

// unknownPool tells whether this node knows no pool for one of the requests.
func (s *Service) unknownPool(accountID int32, requests []*Request) bool {
	view := s.Directory.Current()
	return slices.ContainsFunc(requests, func(r *Request) bool {
		_, bad := choosePool(view, accountID, r.Content.Pool)
		return bad != nil
	})
}

// place plans the messages of requests by the configuration of now, and hands them on.
func (s *Service) place(sub *directory.SubAccount, requests []*Request, once *Once, hand func(placed) error) (results []Result, answer []byte, err error) {
	view := s.Directory.Current()
	n := 0
	for _, r := range requests {
		n += len(r.Recipients)
	}
	all := placed{make([]store.Submission, 0, len(requests)), make([]route.Egress, n)}
	results = make([]Result, 0, n)
	planned := 0
	for i, r := range requests {
		pool, bad := choosePool(view, sub.AccountID, r.Content.Pool)
		if bad != nil {
			return nil, nil, part(requests, i, bad)
		}
		submission, some, err := s.compose(view, sub, pool, r, all.first[planned:])
		if err != nil {
			return nil, nil, part(requests, i, err)
		}
		planned += len(submission.Messages)
		all.submissions, results = append(all.submissions, submission), append(results, some...)
	}
	all.first = all.first[:planned]
	if once != nil {
		if answer, err = once.Answer(results); err != nil {
			return nil, nil, fmt.Errorf("accept: encode answer: %w", err)
		}
		all.submissions[0].Keep = &store.KeptAnswer{Key: once.Key, Hash: once.Hash, Answer: answer}
	}
	if err := hand(all); err != nil {
		return nil, nil, err
	}
	return results, answer, nil
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
// one of its messages. Where each message goes is told to first when it is planned.
func (s *Service) compose(view *directory.Snapshot, sub *directory.SubAccount, pool *route.Pool, req *Request, first []route.Egress) (
	submission store.Submission, results []Result, err error) {
	content, err := req.Content.Encode()
	if err != nil {
		return submission, nil, fmt.Errorf("accept: encode content: %w", err)
	}
	now, n := s.Now(), len(req.Recipients)
	submission = store.Submission{AccountID: sub.AccountID, SubAccountID: sub.ID, Content: content, Groups: req.Content.Groups, Hook: req.Content.WebhookEndpoint, SubmittedAt: now,
		Messages: make([]store.NewMessage, 0, n)}
	if domain := mail.Domain(req.Content.From.Email); view.Whitelisted(sub.AccountID, domain) {
		submission.Domain = domain
	}
	results = make([]Result, n)
	course := s.Planner.Course(view, pool, &req.Content)
	if bad := course.Refusal(); bad != nil {
		return submission, nil, bad
	}
	spread := course.Spread()
	for i := range req.Recipients {
		r := &req.Recipients[i]
		results[i] = Result{To: r.Email, SubmittedAt: now}
		if code, bad := checkRecipient(r, i); bad != nil {
			if req.Strict {
				return submission, nil, bad
			}
			results[i].Code, results[i].Message = code, bad.Error()
			continue
		}
		class := s.Mailboxes.Class(mail.Domain(r.Email))
		prepared, bad := course.To(class)
		if bad != nil {
			return submission, nil, bad
		}
		id, err := newID(now)
		if err != nil {
			return submission, nil, fmt.Errorf("accept: make message id: %w", err)
		}
		encoded, err := r.Encode()
		if err != nil {
			return submission, nil, fmt.Errorf("accept: encode recipient: %w", err)
		}
		results[i].ID = id
		to := &first[len(submission.Messages)]
		copies, without := copiesOf(r)
		submission.Messages = append(submission.Messages, store.NewMessage{ID: id, Recipient: encoded, To: r.Email, Mailbox: class, PoolID: pool.ID,
			Copies: copies, Without: without, Spread: spread, Plan: func(seq uint64) store.Planned {
				planned := course.Plan(prepared, seq)
				*to = planned.First()
				return store.Planned{Plan: planned, Processed: s.Planner.Processed(view, planned)}
			}})
	}
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
