// Package accept turns requests into durable messages: it validates the whole request, plans every message, and returns
// when all of it is on disk. Nothing is stored of a request that is refused.
package accept

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/groupcommit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
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

// Templates knows the templates of providers; *template.Service does.
type Templates interface {
	// Carried returns a content as an egress would be handed it, or why there is none.
	Carried(t *directory.TPSP, capable provider.Capabilities, c *mail.Content) (*mail.Content, *mail.FieldError)
}

// Mailboxes tells the mailbox provider of a recipient's domain, at once.
type Mailboxes interface {
	Class(domain string) mailbox.Class
}

// Config is what a Service is made of.
type Config struct {
	Store     Store
	Directory *directory.Directory
	Providers provider.Registry
	Templates Templates // nil: every message leaves as it is
	Mailboxes Mailboxes
	Now       func() time.Time

	MaxBacklog int64                     // pending messages from which on requests are refused; 0 is no limit
	Room       func() error              // says why nothing may be written just now (a full disk), or nil
	Wake       func(egress route.Egress) // called after messages for an egress became durable
}

// Service accepts requests.
type Service struct {
	Config
	commits *groupcommit.Committer[store.Submission]
}

// New returns a Service; it accepts while Run runs.
func New(c Config) *Service {
	s := &Service{Config: c}
	s.commits = groupcommit.New(groupcommit.Config[store.Submission]{
		Commit: s.commit,
		Shared: func(err error) bool { return errors.Is(err, store.ErrUnavailable) },
		Weigh:  func(s store.Submission) int { return len(s.Messages) + len(s.Content)/weightBytes },
		Limit:  commitWeight,
	})
	return s
}

// commit stores a batch and wakes the egresses that it may leave through, also when its callers have hung up.
func (s *Service) commit(ctx context.Context, batch []store.Submission) error {
	if err := s.Store.Accept(ctx, batch); err != nil {
		return err
	}
	view, woken := s.Directory.Current(), map[int32]bool{}
	for i := range batch {
		pool := view.Pool(batch[i].AccountID, batch[i].Messages[0].PoolID)
		if pool == nil || woken[pool.ID] {
			continue
		}
		woken[pool.ID] = true
		for _, e := range pool.Members {
			s.Wake(e)
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
	results, err := s.place(ctx, sub, req)
	if errors.Is(err, store.ErrConflict) || isRefusal(err) && s.unknownPool(sub.AccountID, req.Content.Pool) {
		// A provider was deleted between the plan and the commit, or another node has made the pool. Nothing is stored yet.
		if err := s.Directory.Refresh(ctx); err != nil {
			return nil, fmt.Errorf("accept: %w", err)
		}
		results, err = s.place(ctx, sub, req)
	}
	switch {
	case errors.Is(err, groupcommit.ErrClosed):
		return nil, fmt.Errorf("%w: stopping", store.ErrUnavailable)
	case errors.Is(err, store.ErrConflict):
		return nil, &OverloadedError{Reason: "the IP pool is being changed", RetryAfter: time.Second}
	}
	return results, err
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
	refusals, bad := s.refusals(view, pool, &req.Content)
	if bad != nil {
		return nil, bad
	}
	submission, results, err := s.compose(view, sub, pool, req, refusals, s.Now())
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

// refusals asks the adapter of every member of the pool whether it can carry the content. When none can, the first reason
// is the answer to the whole request.
func (s *Service) refusals(view *directory.Snapshot, pool *route.Pool, c *mail.Content) (map[route.Egress]string, *mail.FieldError) {
	refused := map[route.Egress]string{}
	var first *mail.FieldError
	for _, e := range pool.Members {
		t := view.AnyTPSP(e.TPSPID())
		if t == nil || !t.Deleted.IsZero() {
			refused[e] = "it is not connected any more"
			continue
		}
		adapter := s.Providers[t.Type]
		if adapter == nil {
			refused[e] = "this version does not know its kind of provider"
			continue
		}
		if bad := carried(c, t, adapter, s.Templates); bad != nil {
			refused[e] = bad.Message
			if first == nil {
				first = bad
			}
		}
	}
	if len(refused) < len(pool.Members) {
		return refused, nil
	}
	if first == nil {
		first = mail.Invalid("empty_ippool", "ippool", "the IP pool %q has no provider", pool.Name)
	}
	return nil, first
}

// carried says why a message cannot leave through an egress, or nil. A template that the provider does not have may be
// rendered for it.
func carried(c *mail.Content, t *directory.TPSP, adapter provider.Adapter, templates Templates) *mail.FieldError {
	if templates != nil {
		var bad *mail.FieldError
		if c, bad = templates.Carried(t, adapter.Capabilities(), c); bad != nil {
			return bad
		}
	}
	return adapter.CanCarry(c, provider.Terms{Raw: t.AllowRaw})
}

// compose builds the submission and the answers.
func (s *Service) compose(view *directory.Snapshot, sub *directory.SubAccount, pool *route.Pool, req *Request, refusals map[route.Egress]string, now time.Time) (store.Submission, []Result, error) {
	content, err := json.Marshal(&req.Content)
	if err != nil {
		return store.Submission{}, nil, fmt.Errorf("accept: encode content: %w", err)
	}
	submission := store.Submission{AccountID: sub.AccountID, SubAccountID: sub.ID, Content: content, SubmittedAt: now,
		Messages: make([]store.NewMessage, 0, len(req.Recipients))}
	results := make([]Result, len(req.Recipients))
	plan := s.planner(view, pool, refusals)
	for i := range req.Recipients {
		r := &req.Recipients[i]
		results[i] = Result{To: r.Email, SubmittedAt: now}
		if code, why := checkRecipient(r, i); code != Accepted {
			results[i].Code, results[i].Message = code, why
			continue
		}
		id, err := newID(now)
		if err != nil {
			return store.Submission{}, nil, fmt.Errorf("accept: make message id: %w", err)
		}
		encoded, err := json.Marshal(r)
		if err != nil {
			return store.Submission{}, nil, fmt.Errorf("accept: encode recipient: %w", err)
		}
		results[i].ID = id
		submission.Messages = append(submission.Messages, store.NewMessage{ID: id, Recipient: encoded, To: r.Email,
			Mailbox: s.Mailboxes.Class(mail.Domain(r.Email)), PoolID: pool.ID, Spread: len(pool.Members) > 1, Plan: plan})
	}
	return submission, results, nil
}

// newID makes an id that sorts by the store's clock, which all nodes share, and not by this machine's (RFC 9562 section 5.7).
func newID(now time.Time) (mail.ID, error) {
	id, err := uuid.NewV7()
	for i, ms := 5, uint64(max(now.UnixMilli(), 0)); i >= 0; i, ms = i-1, ms>>8 {
		id[i] = byte(ms)
	}
	return id, err
}

// planner returns what the store calls with each message's place in the pool's sequence.
func (s *Service) planner(view *directory.Snapshot, pool *route.Pool, refusals map[route.Egress]string) func(uint64) store.Planned {
	return func(seq uint64) store.Planned {
		plan := route.Make(pool, seq, func(e route.Egress) string { return refusals[e] })
		family := event.Native
		if t := view.AnyTPSP(plan.First().TPSPID()); t != nil {
			family = s.Providers[t.Type].Capabilities().Family
		}
		processed, _ := event.TypeOf(family, event.Processed) // the native family has it, so every family does
		return store.Planned{Plan: plan, Processed: processed}
	}
}
