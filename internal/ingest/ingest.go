// Package ingest takes the webhooks of providers: it checks who sends, turns the body into events, and answers once these are
// durable. A body that cannot become events now (its message is not known, it cannot be read, the store cannot record it) is
// made durable as it came before the answer, and tried again or kept for people. A report is never refused because its message
// is unknown: providers drop what they get a 4xx for.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/groupcommit"
	"postyard/internal/provider"
	"postyard/internal/store"
)

const (
	ingestBatch = 250              // reports that become events in one transaction; bounds how long the writer is busy
	holdFor     = 10 * time.Minute // how long an unattributed report waits for its message
	firstHold   = 10 * time.Second // when it is tried again first; then six times later, ...
	pollEvery   = 2 * time.Second  // how often held receipts are looked for
	maxHeader   = 512              // bytes of a header that is kept; longer ones are left out
)

// Hooks tells how the webhook of a TPSP stands at its provider, and how the provider is reached.
type Hooks interface {
	Hook(t *directory.TPSP) (provider.Hook, error)
	Connection(t *directory.TPSP) (provider.Connection, error)
}

// Config is what a Service is made of.
type Config struct {
	Store     store.Inbox
	Directory *directory.Directory
	Providers provider.Registry
	Hooks     Hooks
	Log       *slog.Logger
	Now       func() time.Time
}

// Service takes webhooks while Run runs.
type Service struct {
	Config
	fresh *groupcommit.Committer[store.Parsed]
	wake  chan struct{} // bodies were stored that are due
}

// New returns a Service.
func New(c Config) *Service {
	s := &Service{Config: c, wake: make(chan struct{}, 1)}
	s.fresh = groupcommit.New(groupcommit.Config[store.Parsed]{
		Commit: s.take,
		Shared: func(err error) bool { return errors.Is(err, store.ErrUnavailable) },
		Weigh:  func(p store.Parsed) int { return max(len(p.Reports), 1) },
		Limit:  ingestBatch,
	})
	return s
}

// ErrUnauthorized means that a webhook carries the credentials of none of the account's TPSPs.
var ErrUnauthorized = errors.New("the webhook's credentials are missing or wrong")

// keptHeaders are the request headers that are stored with a body, for Parse and for people. Never Authorization: it holds
// the password.
var keptHeaders = []string{"Content-Type", "User-Agent", "X-Pm-Webhook-Trace-Id", "X-Pm-Retries-Remaining"}

// Receive checks who sends against memory, so that an absent database never looks like a wrong password, and returns
// when what the body says is durable. The error is ErrUnauthorized or wraps store.ErrUnavailable.
func (s *Service) Receive(ctx context.Context, accountID int32, typ provider.Type, h http.Header, body []byte) error {
	d := provider.Delivery{Header: h, Body: body}
	from, _ := s.sender(ctx, accountID, typ, d) // an error counts only if nobody sent it, also at the second look
	if from == nil {
		// Another node may have connected the provider just now: its first call comes while the webhook is registered.
		if err := s.Directory.Refresh(ctx); err != nil {
			return fmt.Errorf("receive webhook: %w: %w", store.ErrUnavailable, err)
		}
		var err error
		switch from, err = s.sender(ctx, accountID, typ, d); {
		case from != nil:
		case err != nil:
			return fmt.Errorf("receive webhook: %w: %w", store.ErrUnavailable, err)
		default:
			return ErrUnauthorized
		}
	}
	if greeting, err := from.greet(ctx, d); greeting || err != nil {
		return err
	}
	kept := make(map[string]string, len(keptHeaders))
	for _, name := range keptHeaders {
		if v := h.Get(name); v != "" && len(v) <= maxHeader {
			kept[name] = v
		}
	}
	p := s.parse(store.Receipt{AccountID: accountID, TPSPID: from.tpsp.ID, Headers: kept, Body: body, ReceivedAt: s.Now()})
	p.Fresh = true
	err := s.fresh.Do(ctx, p)
	switch {
	case errors.Is(err, groupcommit.ErrClosed):
		return fmt.Errorf("%w: stopping", store.ErrUnavailable)
	case err != nil:
		return fmt.Errorf("receive webhook: %w", err)
	}
	return nil
}

// take makes a batch durable, as events if that can be.
func (s *Service) take(ctx context.Context, batch []store.Parsed) error {
	res, err := s.Store.Ingest(ctx, batch)
	if err == nil {
		s.tell(batch, res)
		return nil
	}
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	s.Log.Warn("webhooks could not be recorded at once", "bodies", len(batch), "error", err)
	receipts := make([]store.Receipt, len(batch))
	for i := range batch {
		receipts[i] = batch[i].Receipt
	}
	if err := s.Store.Receive(ctx, receipts); err != nil {
		return err
	}
	select {
	case s.wake <- struct{}{}: // process finds out which of them it is
	default:
	}
	return nil
}

// origin is who sent a webhook request.
type origin struct {
	tpsp    *directory.TPSP
	adapter provider.Adapter
	conn    provider.Connection
	hook    provider.Hook
}

// sender finds who sent a request, or nil. It looks at all TPSPs whatever it finds, so the time tells nothing. TPSPs that were
// deleted still count, and so do connections that were replaced: their last events are on the way. The error is that of one of
// which it could not be told.
func (s *Service) sender(ctx context.Context, accountID int32, typ provider.Type, d provider.Delivery) (from *origin, err error) {
	adapter, known := s.Providers[typ]
	now := s.Now()
	look := func(t *directory.TPSP) {
		o, unknown := s.origin(ctx, adapter, t, d)
		if o != nil {
			from = o
		}
		err = errors.Join(err, unknown)
	}
	for _, t := range s.Directory.Current().EveryTPSP() {
		if !known || t.AccountID != accountID || t.Type != typ {
			continue
		}
		look(t)
		for i := range t.Past {
			if p := &t.Past[i]; p.Valid(now) {
				look(t.As(p))
			}
		}
	}
	return from, err
}

// origin tells whether a request comes from the webhook of a TPSP; nil when it does not.
func (s *Service) origin(ctx context.Context, adapter provider.Adapter, t *directory.TPSP, d provider.Delivery) (*origin, error) {
	hook, err := s.Hooks.Hook(t)
	if err != nil {
		s.Log.Error("webhook credentials cannot be read", "tpsp", t.ID, "error", err)
		return nil, nil
	}
	conn, err := s.Hooks.Connection(t)
	if err != nil {
		s.Log.Error("the connection cannot be read", "tpsp", t.ID, "error", err)
		return nil, nil
	}
	authentic, err := adapter.Authentic(ctx, conn, hook, d)
	if err != nil {
		return nil, fmt.Errorf("TPSP %d: %w", t.ID, err)
	}
	if !authentic {
		return nil, nil
	}
	return &origin{t, adapter, conn, hook}, nil
}

// greet answers a provider that asks whether its reports are wanted.
func (o *origin) greet(ctx context.Context, d provider.Delivery) (greeting bool, err error) {
	g, ok := o.adapter.(provider.Greeter)
	if !ok {
		return false, nil
	}
	if greeting, err = g.Greet(ctx, o.conn, o.hook, d); err != nil {
		return false, fmt.Errorf("receive webhook: %w: %w", store.ErrUnavailable, err)
	}
	return greeting, nil
}

// Run takes webhooks, and processes those that were stored, until ctx ends. What is left is on disk and is processed after the
// next start.
func (s *Service) Run(ctx context.Context) {
	done := make(chan struct{})
	go func() { defer close(done); s.fresh.Run(ctx) }()
	defer func() { <-done }()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if err := s.process(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("webhooks could not be processed; trying again", "error", err)
		}
		select {
		case <-s.wake:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// process turns everything that is stored and due into events.
func (s *Service) process(ctx context.Context) error {
	for {
		receipts, err := s.Store.Received(ctx, s.Now(), ingestBatch)
		if err != nil {
			return fmt.Errorf("read received webhooks: %w", err)
		}
		if len(receipts) == 0 {
			return nil
		}
		if slices.ContainsFunc(receipts, func(r store.Receipt) bool { return s.Directory.Current().AnyTPSP(r.TPSPID) == nil }) {
			if err := s.Directory.Refresh(ctx); err != nil { // another node received it, and knows the provider already
				return err
			}
		}
		batch := make([]store.Parsed, len(receipts))
		for i := range receipts {
			batch[i] = s.parse(receipts[i])
		}
		if err := s.ingest(ctx, batch); err != nil {
			return err
		}
	}
}

// parse reads a body. What no adapter can read is garbage, which is kept for people.
func (s *Service) parse(r store.Receipt) (p store.Parsed) {
	p = store.Parsed{Receipt: r, Now: s.Now()}
	defer func() {
		if cause := recover(); cause != nil {
			p.Reports, p.Garbage = nil, fmt.Sprintf("reading it failed: %v", cause)
		}
	}()
	now := s.Directory.Current()
	t := now.AnyTPSP(r.TPSPID)
	if t == nil {
		p.Garbage = "its provider is not known any more"
		return p
	}
	adapter := s.Providers[t.Type]
	reports, err := adapter.Parse(header(r.Headers), r.Body)
	if err != nil {
		p.Garbage = err.Error()
		return p
	}
	for i := range reports {
		if !now.Owns(r.AccountID, reports[i].TPSPID) {
			reports[i].TPSPID = 0 // it counts for who it came by
		}
	}
	p.Reports = slices.DeleteFunc(reports, func(r provider.Report) bool { return r.Sample })
	p.Sent, _ = event.TypeOf(adapter.Capabilities().Family, event.Sent)
	p.HoldTo = holdUntil(r.ReceivedAt, p.Now)
	return p
}

// header returns what was kept of a request's header.
func header(kept map[string]string) http.Header {
	h, values := make(http.Header, len(kept)), make([]string, 0, len(kept))
	for name, value := range kept {
		values = append(values, value)
		h[http.CanonicalHeaderKey(name)] = values[len(values)-1 : len(values) : len(values)]
	}
	return h
}

// holdUntil says when an unattributed report is tried again: after 10 s, a minute, six minutes, and last after ten; the zero
// time gives up.
func holdUntil(received, now time.Time) time.Time {
	end := received.Add(holdFor)
	if !now.Before(end) {
		return time.Time{}
	}
	for wait := firstHold; wait < holdFor; wait *= 6 {
		if next := received.Add(wait); next.After(now) {
			return next
		}
	}
	return end
}

func firstGarbage(batch []store.Parsed) string {
	for i := range batch {
		if batch[i].Garbage != "" {
			return batch[i].Garbage
		}
	}
	return ""
}

// tell logs what became of a batch.
func (s *Service) tell(batch []store.Parsed, res store.IngestResult) {
	s.Log.Debug("webhooks processed", "bodies", len(batch), "result", res)
	if res.Garbage > 0 {
		s.Log.Warn("webhooks could not be read and are kept aside", "bodies", res.Garbage, "reason", firstGarbage(batch))
	}
}

// ingest records a batch that is stored; when that fails for a reason of one body, that one is kept as garbage and the others go on.
func (s *Service) ingest(ctx context.Context, batch []store.Parsed) error {
	res, err := s.Store.Ingest(ctx, batch)
	if err == nil {
		s.tell(batch, res)
		return nil
	}
	if errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	if len(batch) > 1 {
		half := len(batch) / 2
		return errors.Join(s.ingest(ctx, batch[:half]), s.ingest(ctx, batch[half:]))
	}
	s.Log.Error("a webhook could not be recorded and is kept as garbage", "receipt", batch[0].Receipt.ID, "error", err)
	batch[0].Reports, batch[0].Garbage = nil, "recording it failed: "+err.Error()
	if _, err := s.Store.Ingest(ctx, batch); err != nil {
		return fmt.Errorf("keep garbage: %w", err)
	}
	return nil
}
