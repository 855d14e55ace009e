package catchup

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// pass is one TPSP being caught up with.
type pass struct {
	service *Service
	tpsp    *directory.TPSP // as it was when the pass began
	debt    time.Time       // since when it has to be caught up with
	since   time.Time       // since when this pass does
	began   time.Time
	manual  bool     // a user asked for it
	tries   int      // passes before it that failed, in a row
	stale   bool     // there was a gap since it began; guarded by Service.mu
	missing []string // what the provider does not let be read

	asked, reports, recorded, duplicates atomic.Int64
}

func (p *pass) isStale() bool {
	p.service.mu.Lock()
	defer p.service.mu.Unlock()
	return p.stale
}

// errFull means that enough passes are under way.
var errFull = errors.New("enough providers are being caught up with")

// begin opens a pass; the caller must call end. What happened before read need not be asked for again. most bounds how many
// passes there may be, 0 does not.
func (s *Service) begin(t *directory.TPSP, debt, read time.Time, most int) (*pass, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrStopped
	case s.passes[t.ID] != nil:
		return nil, ErrRunning
	case most > 0 && len(s.passes) >= most:
		return nil, errFull
	}
	p := &pass{service: s, tpsp: t, debt: debt, since: debt, began: s.Now(), tries: s.states[t.ID].tries}
	for _, later := range []time.Time{read, t.Created} { // nothing of ours was there before it was created
		if later.After(p.since) {
			p.since = later
		}
	}
	s.passes[t.ID] = p
	s.working.Add(1)
	return p, nil
}

func (s *Service) end(p *pass) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.passes, p.tpsp.ID)
	s.working.Done()
}

func (p *pass) lease() string { return fmt.Sprintf("catch-up/%d", p.tpsp.ID) }

// hold takes the lease of the pass, which keeps other nodes off.
func (s *Service) hold(ctx context.Context, p *pass) (bool, error) {
	return s.Store.Lease(ctx, p.lease(), s.Holder, leaseFor)
}

// run makes the pass, whose lease it renews and gives back. It ends when ctx does, the lease is lost, or the server stops.
func (s *Service) run(ctx context.Context, p *pass) error {
	working, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		s.renew(working, cancel, p)
	}()
	err := s.read(working, p)
	if cause := context.Cause(working); cause != nil && err != nil {
		err = cause
	}
	cancel(nil)
	<-renewed
	release, done := context.WithTimeout(context.WithoutCancel(ctx), renewEvery)
	defer done()
	if err := s.Store.Release(release, p.lease(), s.Holder); err != nil {
		s.Log.Warn("lease of a catch-up not given back", "tpsp", p.tpsp.ID, "error", err)
	}
	return err
}

// renew keeps the lease until ctx ends, and ends the work when it is lost.
func (s *Service) renew(ctx context.Context, cancel context.CancelCauseFunc, p *pass) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	sure := s.Now().Add(leaseFor)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.stop:
			cancel(ErrStopped)
			return
		case <-ticker.C:
		}
		held, err := s.hold(ctx, p)
		switch {
		case err == nil && held:
			sure = s.Now().Add(leaseFor)
		case err == nil, s.Now().After(sure):
			cancel(errors.New("the lease was lost"))
			return
		}
	}
}

// read asks the provider what happened since, and then about each message that is still awaited.
func (s *Service) read(ctx context.Context, p *pass) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.Log.Error("the adapter failed while catching up", "tpsp", p.tpsp.ID, "cause", cause, "stack", string(debug.Stack()))
			err = fmt.Errorf("the adapter failed: %v", cause)
		}
	}()
	adapter := s.Providers[p.tpsp.Type]
	if adapter == nil {
		return errors.New("this version has no adapter for the provider's type")
	}
	err = s.readAt(ctx, p, adapter, p.tpsp, p.began)
	for _, was := range p.tpsp.Since(p.mailSince()) {
		err = errors.Join(err, s.readPast(ctx, p, adapter, was))
	}
	return err
}

// mailSince is since when the mail went out that is asked for: as long ago as mail may be under way, and at least since the change of each
// connection that is still to be read again. Its late events have no other way to us.
func (p *pass) mailSince() time.Time {
	from := p.since.Add(-transit)
	for i := range p.tpsp.Past {
		if was := &p.tpsp.Past[i]; !was.NextTry.IsZero() && was.Switched.Before(from) {
			from = was.Switched
		}
	}
	return from
}

// A connection that was replaced may be gone with its address: it is taken to be when it has not answered goneTries times in a row and the
// change was goneAfter ago. By then hardly anything still happens to mail that went out there.
const (
	goneAfter = 7 * 24 * time.Hour
	goneTries = 8 // passes take three hours for that; the tries to remove its webhook count as well, and are known after a restart
)

// readPast reads what happened at a connection that was replaced. One that its provider refuses for good, because the key was revoked, or
// that is gone, keeps nothing from being caught up with.
func (s *Service) readPast(ctx context.Context, p *pass, adapter provider.Adapter, was directory.Retired) error {
	before := p.began
	if was.Until.Before(before) {
		before = was.Until
	}
	err := s.readAt(ctx, p, adapter, was.TPSP, before)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, failed := errors.AsType[*storeError](err); failed {
		return err
	}
	conn, opened := s.Connections.Connection(was.TPSP)
	if opened != nil {
		return errors.Join(err, opened)
	}
	if refused, ok := errors.AsType[*provider.SetupError](adapter.Check(ctx, conn)); ok && !refused.Retry {
		p.misses("what happened at the connection that was replaced: " + refused.Message)
		return nil
	}
	if p.began.After(was.Until.Add(goneAfter)) && max(p.tries, was.Tries) >= goneTries {
		p.misses("what happened at the connection that was replaced, which cannot be reached any more: " + plain(err))
		return nil
	}
	return fmt.Errorf("at the connection that was replaced: %w", err)
}

// misses remembers, once, what the provider does not let be read.
func (p *pass) misses(what ...string) {
	for _, m := range what {
		if !slices.Contains(p.missing, m) {
			p.missing = append(p.missing, m)
		}
	}
}

// readAt reads at one connection what happened since, and about messages that were submitted before a time.
func (s *Service) readAt(ctx context.Context, p *pass, adapter provider.Adapter, t *directory.TPSP, before time.Time) error {
	conn, err := s.Connections.Connection(t)
	if err != nil {
		return err
	}
	sent, _ := event.TypeOf(adapter.Capabilities().Family, event.Sent)
	yield := func(reports []provider.Report) error { return s.ingest(ctx, p, sent, reports) }
	missing, err := adapter.History(ctx, conn, provider.Past{Since: p.since, Yield: yield,
		Open: func(ctx context.Context, id mail.ID) (bool, error) { return s.open(ctx, p, id) }})
	p.misses(missing...)
	return errors.Join(err, s.readAwaited(ctx, p, before, func(list []provider.Sent) error {
		missing, err := adapter.Fates(ctx, conn, list, yield)
		p.misses(missing...) // History may have asked about it, too
		return err
	}))
}

// open tells whether a message has not come to its end, so that its details are worth a question.
func (s *Service) open(ctx context.Context, p *pass, id mail.ID) (bool, error) {
	m, err := s.Store.Message(ctx, p.tpsp.AccountID, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, s.storeFailed(err)
	}
	if !m.State.Pending() && m.State != lifecycle.Sent {
		return false, nil
	}
	p.asked.Add(1)
	return true, nil
}

// readAwaited asks about the messages that the provider has and did not report about, which may be older than the span.
func (s *Service) readAwaited(ctx context.Context, p *pass, before time.Time, ask func([]provider.Sent) error) error {
	var after mail.ID
	for {
		awaited, last, err := s.Store.Awaiting(ctx, p.tpsp.Egress(), p.since.Add(-transit), before, after, scanPage)
		if err != nil {
			return s.storeFailed(err)
		}
		if last == (mail.ID{}) {
			return nil
		}
		for few := range slices.Chunk(awaited, awaitedPage) {
			list := make([]provider.Sent, len(few))
			for i, a := range few {
				list[i] = provider.Sent{ID: a.ID, ProviderMessageID: a.ProviderID}
			}
			p.asked.Add(int64(len(list)))
			if err := ask(list); err != nil {
				return err
			}
		}
		after = last
	}
}

// ingest records reports as if webhooks had brought them.
func (s *Service) ingest(ctx context.Context, p *pass, sent event.Type, reports []provider.Report) error {
	p.reports.Add(int64(len(reports)))
	now, known := s.Now(), s.Directory.Current()
	for i := range reports {
		if !known.Owns(p.tpsp.AccountID, reports[i].TPSPID) {
			reports[i].TPSPID = 0
		}
	}
	return s.record(ctx, p, store.Parsed{Reports: reports, Sent: sent, Now: now,
		Receipt: store.Receipt{AccountID: p.tpsp.AccountID, TPSPID: p.tpsp.ID, ReceivedAt: now}})
}

// record stores reports; when that fails for a reason of one of them, the others are stored all the same.
func (s *Service) record(ctx context.Context, p *pass, parsed store.Parsed) error {
	res, err := s.Store.Ingest(ctx, []store.Parsed{parsed})
	switch {
	case err == nil:
		p.recorded.Add(int64(res.Recorded))
		p.duplicates.Add(int64(res.Duplicates))
		return nil
	case errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil || len(parsed.Reports) < 2:
		return s.storeFailed(err)
	}
	first, second := parsed, parsed
	half := len(parsed.Reports) / 2
	first.Reports, second.Reports = parsed.Reports[:half], parsed.Reports[half:]
	return errors.Join(s.record(ctx, p, first), s.record(ctx, p, second))
}

// storeError is what users are told of a store that failed.
type storeError struct{ cause error }

// Error implements error.
func (*storeError) Error() string {
	return "what was read back could not be compared with what is stored; the server's log says why"
}

// Unwrap implements errors.Unwrap.
func (e *storeError) Unwrap() error { return e.cause }

func (s *Service) storeFailed(err error) error {
	s.Log.Error("store failed while catching up", "error", err)
	return &storeError{err}
}
