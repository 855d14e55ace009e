// Package catchup asks providers for the events that their webhooks could not bring: because this server was away for longer
// than webhooks are repeated, or because the webhook did not stand at the provider.
//
// The store says which TPSPs have to be caught up with, and since when:
//
//   - [Service.Run] records all the time that webhooks are being taken in. When that was not so for longer than silence,
//     every TPSP in use is to be caught up with.
//   - Package tpsp finds webhooks that are missing or were changed, and says the same of their TPSP.
//   - A user may ask for it: [Service.CatchUp].
//
// What is read back goes the way of webhooks, through store.Ingest, which knows a second copy by its identity. So it may be
// done at any time and as often as one likes, while webhooks arrive.
//
// One node at a time works on a TPSP, under a lease. A pass that fails is made again, after a minute at first and an hour at
// last. A TPSP whose webhook does not stand is asked every quarter of an hour until it does: that is slower than webhooks, but
// nothing is lost. Deleted TPSPs are only asked when a user names them.
package catchup

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

const (
	listenEvery = 30 * time.Second
	lookEvery   = 2 * time.Second // how often the directory, which is in memory, is looked at for what has to be caught up with

	// silence is how long nobody may have listened without a gap to be made up: so long a provider repeats every webhook.
	// Postmark's shortest schedule, of older days, ends after 21 minutes; today's after 72.
	silence = 10 * time.Minute

	// overlap is how far before a gap it is asked from: a webhook that was refused then was to be repeated during the gap.
	overlap = provider.WebhookRetries

	// transit is how long a message may be under way. Providers try again for hours, not for days.
	transit = 48 * time.Hour

	firstRetry  = time.Minute
	mostRetry   = time.Hour
	pollEvery   = 15 * time.Minute // while the webhook does not stand
	leaseFor    = 2 * time.Minute
	renewEvery  = 30 * time.Second
	atOnce      = 2    // TPSPs that are caught up with at the same time, unasked
	scanPage    = 2000 // messages that are looked at for those that await a report, in one go
	awaitedPage = 200  // messages that are asked for one by one, in one go
)

// Store is what the package needs of the storage contract.
type Store interface {
	Listening(ctx context.Context, silence, overlap time.Duration) (gap time.Duration, err error)
	Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error)
	Release(ctx context.Context, name, holder string) error
	CaughtUp(ctx context.Context, tpspID int32, from time.Time) error
	Awaiting(ctx context.Context, egress route.Egress, from, before time.Time, after mail.ID, limit int) ([]store.Awaited, mail.ID, error)
	Message(ctx context.Context, accountID int32, id mail.ID) (*store.Message, error)
	Ingest(ctx context.Context, batch []store.Parsed) (store.IngestResult, error)
}

// Connections tells how to reach a TPSP's account; *tpsp.Service does.
type Connections interface {
	Connection(t *directory.TPSP) (provider.Connection, error)
}

// Config is what a Service works with. All fields are required.
type Config struct {
	Store       Store
	Directory   *directory.Directory
	Providers   provider.Registry
	Connections Connections
	Holder      string // this run of this node, as the holder of leases
	Log         *slog.Logger
	Now         func() time.Time
	Jitter      func() float64 // uniform in [0, 1)
}

// Service catches up. It is safe for concurrent use.
type Service struct {
	Config
	working sync.WaitGroup
	stop    chan struct{} // closed when no pass may go on

	mu     sync.Mutex
	closed bool
	passes map[int32]*pass // under way
	states map[int32]State // of TPSPs that are to be caught up with
}

// State is where catching up with a TPSP stands.
type State struct {
	Running bool
	Error   string    // why the last pass failed, "" when it did not
	NextTry time.Time // zero: at once
	tries   int       // failed passes in a row
	read    time.Time // what happened before was read back
}

// New returns a Service.
func New(c Config) *Service {
	return &Service{Config: c, stop: make(chan struct{}), passes: map[int32]*pass{}, states: map[int32]State{}}
}

// ErrRunning means that the TPSP is being caught up with already, here or by another node; ErrStopped, that the server ends.
var (
	ErrRunning = errors.New("this provider is being caught up with already; try again when that is done")
	ErrStopped = errors.New("the server is stopping")
)

// State returns where catching up with a TPSP stands on this node.
func (s *Service) State(tpspID int32) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.states[tpspID]
	state.Running = s.passes[tpspID] != nil
	return state
}

// Run records that webhooks are taken in, and catches up with what has to be, until ctx ends. It returns when the last pass
// has ended, those that users asked for included.
func (s *Service) Run(ctx context.Context) {
	defer s.working.Wait()
	defer s.Stop()
	listening, looking := time.NewTicker(listenEvery), time.NewTicker(lookEvery)
	defer listening.Stop()
	defer looking.Stop()
	s.listen(ctx)
	for {
		s.start(ctx)
		select {
		case <-listening.C:
			s.listen(ctx)
		case <-looking.C:
		case <-ctx.Done():
			return
		}
	}
}

// Stop ends all passes and starts no more. Run's end does it, too.
func (s *Service) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
}

// listen records that webhooks are taken in. A gap also shows in passes that are under way: they may have read before it.
func (s *Service) listen(ctx context.Context) {
	gap, err := s.Store.Listening(ctx, silence, overlap)
	if err != nil {
		if ctx.Err() == nil {
			s.Log.Error("that webhooks are taken in could not be recorded; trying again", "error", err)
		}
		return
	}
	if gap == 0 {
		return
	}
	s.Log.Warn("webhooks were not taken in for a while; catching up with every provider", "gap", gap.Round(time.Second))
	s.mu.Lock()
	for _, p := range s.passes {
		p.stale = true
	}
	s.mu.Unlock()
	if err := s.Directory.Reload(ctx); err != nil {
		s.Log.Error("directory not reloaded", "error", err)
	}
}

// start begins a pass for each TPSP that is due, a few at a time.
func (s *Service) start(ctx context.Context) {
	for _, t := range s.Directory.Current().EveryTPSP() {
		if t.CatchUp.IsZero() || !t.Deleted.IsZero() {
			s.forget(t.ID)
			continue
		}
		state := s.State(t.ID)
		if state.Running || s.Now().Before(state.NextTry) {
			continue
		}
		p, err := s.begin(t, t.CatchUp, state.read, atOnce)
		if err != nil {
			continue
		}
		go func() {
			defer s.end(p)
			switch held, err := s.hold(ctx, p); {
			case err != nil:
				s.failed(t.ID, err)
				return
			case !held:
				state.Error, state.NextTry = "", s.Now().Add(leaseFor) // another node is at it, and may pay the debt
				s.wait(t.ID, state)
				return
			}
			s.settle(ctx, p, s.run(ctx, p))
		}()
	}
}

// forget drops the state of a TPSP that need not be caught up with.
func (s *Service) forget(id int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.states, id)
}

// settle records what came of a pass.
func (s *Service) settle(ctx context.Context, p *pass, err error) {
	log := s.Log.With("tpsp", p.tpsp.ID, "since", p.since, "asked", p.asked.Load(), "recorded", p.recorded.Load(), "duplicates", p.duplicates.Load())
	switch {
	case err != nil && (ctx.Err() != nil || s.stopped()):
		log.Info("catching up was interrupted")
		return
	case err != nil && p.manual:
		log.Warn("catching up failed", "error", err)
		return
	case err != nil:
		log.Warn("catching up failed; trying again", "error", err)
		s.failed(p.tpsp.ID, err)
		return
	case len(p.missing) > 0:
		log.Warn("caught up, but for what the provider does not let be read", "missing", p.missing)
	default:
		log.Info("caught up")
	}
	s.paid(ctx, p)
}

// paid ends the debt of a TPSP, unless events may have been lost since the pass began. Then the next pass goes on from there.
func (s *Service) paid(ctx context.Context, p *pass) {
	id := p.tpsp.ID
	now := s.Directory.Current().AnyTPSP(id)
	next := State{read: p.began.Add(-overlap)}
	switch {
	case now == nil || now.CatchUp.IsZero():
		s.forget(id)
		return
	case now.CatchUp.Before(p.debt):
		return // it goes back further than this pass
	case !s.stands(now):
		next.NextTry = s.Now().Add(s.spread(pollEvery))
		s.wait(id, next)
		return
	case p.isStale() || !s.stands(p.tpsp) || now.Webhook.Ref != p.tpsp.Webhook.Ref || !now.Webhook.NextTry.Equal(p.tpsp.Webhook.NextTry):
		s.wait(id, next) // there was a gap, or the webhook was looked at and may have been put right
		return
	}
	err := s.Store.CaughtUp(ctx, id, now.CatchUp)
	if err == nil {
		err = s.Directory.Reload(ctx)
	}
	if err != nil {
		s.failed(id, err)
		return
	}
	s.forget(id)
}

// stands tells whether the provider reports by itself, or never will.
func (s *Service) stands(t *directory.TPSP) bool {
	return t.Webhook.State == directory.WebhookRegistered || s.Providers[t.Type].Capabilities().Silent || t.Mute()
}

// failed has the TPSP tried again later.
func (s *Service) failed(id int32, err error) {
	state := s.State(id)
	state.tries++
	state.Error = plain(err)
	state.NextTry = s.Now().Add(s.spread(min(firstRetry<<min(state.tries-1, 16), mostRetry)))
	s.wait(id, state)
}

// plain returns the words of an error. Many questions that had the same answer have it once.
func plain(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if !slices.ContainsFunc(lines, func(known string) bool { return strings.HasSuffix(known, line) }) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

func (s *Service) wait(id int32, state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[id] = state
}

// spread varies a wait by a fifth to both sides.
func (s *Service) spread(wait time.Duration) time.Duration {
	return time.Duration(float64(wait) * (0.8 + 0.4*s.Jitter()))
}

func (s *Service) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
