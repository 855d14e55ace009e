// Package dispatch carries accepted messages to their providers.
//
// Every egress has a runner of its own, so a slow or dead provider never delays another one. A runner claims due messages,
// hands them to the provider's adapter, lets decide turn each outcome into a settlement, and has the store record it. It
// also asks the provider about messages whose outcome is unknown. The package knows providers by their contract only.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Store is the part of the store that dispatching needs.
type Store interface {
	store.Queue
	UpdateHealth(ctx context.Context, tpspID int32, h directory.Health) error
	Refuse(ctx context.Context, tpspID int32, r directory.Refusal) error
	Admit(ctx context.Context, tpspID int32, domain string) error
	Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error)
	Release(ctx context.Context, name, holder string) error
}

// Connections opens the connection of a TPSP.
type Connections interface {
	Connection(t *directory.TPSP) (provider.Connection, error)
}

// Templates renders what a provider does not have; *template.Service does.
type Templates interface {
	// Outgoing returns the content with which a message leaves through an egress, or the outcome when there is none.
	Outgoing(ctx context.Context, t *directory.TPSP, capable provider.Capabilities, j *store.Job) (*mail.Content, *provider.Outcome)

	// Missing is told that a provider does not have a template.
	Missing(t *directory.TPSP, alias string)
}

// Tracking puts addresses of ours into what leaves; *track.Service does.
type Tracking interface {
	// Outgoing returns the content with which a message leaves through an egress, which may be the given one.
	Outgoing(egress route.Egress, capable provider.Capabilities, j *store.Job, c *mail.Content) *mail.Content
}

// Config is what a Dispatcher is made of.
type Config struct {
	Store       Store
	Directory   *directory.Directory
	Providers   provider.Registry
	Connections Connections
	Templates   Templates // nil: every message leaves as it is
	Tracking    Tracking  // nil: likewise

	Suppressions Suppressions // nil: nobody is suppressed
	Signers      Signers      // nil: nothing is signed

	Log    *slog.Logger
	Now    func() time.Time
	Jitter func() float64 // uniform in [0,1), spreads back-off

	Node        string        // names this process's node, see store.Coordination
	Run         string        // names this run of it; different for every start
	Rules       Rules         // how outcomes are decided
	BatchSize   int           // most messages in one call
	Concurrency int           // most calls to one provider at a time
	CallTimeout time.Duration // deadline of one call
	Patience    time.Duration // how long a call may show no byte of an answer before it counts as failed; 0 is 8 s
	TTL         time.Duration // how long a message may wait to be sent
	Grace       time.Duration // how long calls on the wire may go on after Run's context ended
	Poll        time.Duration // longest sleep of a runner; where nodes share a store, what others accept is found by looking. 0 is 30 s
	Sweep       time.Duration // how often ended claims and expired messages are looked for; both are looked up by an index. 0 is 5 s
}

// sweepEvery is how often ended claims and expired messages are looked for when the configuration does not say.
const sweepEvery = 5 * time.Second

// Dispatcher runs the egresses.
type Dispatcher struct {
	Config
	owner   string // in claims
	mu      sync.Mutex
	runners map[route.Egress]*runner
	start   func(*runner) // nil while Run does not run
	expired mail.ID       // the last one that the sweep has looked at
}

const (
	sweepChunk = 500 // messages that a step of a sweep looks at

	expireChunks = 10 // steps of one sweep that look for expired messages
)

// New returns a Dispatcher; it works while Run runs.
func New(c Config) *Dispatcher {
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.Poll == 0 {
		c.Poll = idlePoll
	}
	if c.Sweep == 0 {
		c.Sweep = sweepEvery
	}
	return &Dispatcher{Config: c, owner: store.OwnerOf(c.Node, c.Run), runners: map[route.Egress]*runner{}}
}

// Wake tells that an egress may have something to do. It never blocks.
func (d *Dispatcher) Wake(e route.Egress) {
	if r := d.runner(e); r != nil {
		r.wakeUp()
	}
}

// runner returns that of an egress. While Run does not run it may be nil: Run begins with every egress anyway.
func (d *Dispatcher) runner(e route.Egress) *runner {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.runners[e]
	if r == nil && d.start != nil {
		r = newRunner(d, e)
		d.runners[e] = r
		d.start(r)
	}
	return r
}

// WakeAll tells that every egress may have something to do: the configuration has changed.
func (d *Dispatcher) WakeAll() { d.wakeOthers(0) }

// wakeOthers wakes every egress but one.
func (d *Dispatcher) wakeOthers(e route.Egress) {
	for _, t := range d.Directory.Current().EveryEgress() {
		if t.Egress() != e {
			d.Wake(t.Egress())
		}
	}
}

// Run takes over what a dead process left, then dispatches until ctx ends. It returns when every call on the wire has
// ended and is recorded, at the latest after the grace period, when calls are cut and recorded as unknown.
func (d *Dispatcher) Run(ctx context.Context) error {
	if err := d.takeOver(ctx); err != nil {
		return fmt.Errorf("dispatch: recover: %w", err)
	}
	wire, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	var running sync.WaitGroup
	d.mu.Lock()
	d.start = func(r *runner) { running.Go(func() { r.run(ctx, wire) }) }
	d.mu.Unlock()
	for _, t := range d.Directory.Current().EveryEgress() {
		d.Wake(t.Egress())
	}
	running.Go(func() { d.sweep(ctx) })
	<-ctx.Done()
	d.mu.Lock()
	d.start = nil
	d.mu.Unlock()
	stopped := make(chan struct{})
	go func() { running.Wait(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(d.Grace):
		d.Log.Warn("calls on the wire did not end in time and are cut; their providers will be asked after the next start")
		cut(errors.New("shutting down"))
		<-stopped
	}
	return nil
}

// takeOver has the providers asked about what was on the wire when the last run of this node ended. It waits for a store that
// is away.
func (d *Dispatcher) takeOver(ctx context.Context) error {
	for ctx.Err() == nil {
		now := d.Now()
		n, err := d.Store.Recover(ctx, store.Recovery{Node: d.Node, Owner: d.owner, Now: now, AskAt: now.Add(d.Rules.AskAfter[0])})
		if n > 0 {
			d.Log.Info("messages were on the wire when the last process ended; their providers will be asked", "messages", n)
		}
		if err == nil || !errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil {
			return err
		}
		d.Log.Error("what the last process left cannot be taken over; trying again", "error", err)
		select {
		case <-time.After(storeRetry):
		case <-ctx.Done():
		}
	}
	return nil // stopped before it began
}

// sweep drops messages that have waited for too long, and takes over claims whose lease has ended: of an outcome that could
// not be recorded.
func (d *Dispatcher) sweep(ctx context.Context) {
	ticker := time.NewTicker(d.Sweep)
	defer ticker.Stop()
	for {
		if err := d.sweepOnce(ctx, d.Now()); err != nil && ctx.Err() == nil {
			d.Log.Error("expired messages and claims could not be swept", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *Dispatcher) sweepOnce(ctx context.Context, now time.Time) error {
	n, err := d.Store.Recover(ctx, store.Recovery{Now: now, AskAt: now})
	if err != nil {
		return err
	}
	if n > 0 {
		d.Log.Warn("claims ended without a record; the providers will be asked", "messages", n)
		d.WakeAll()
	}
	return d.expire(ctx, now)
}

// expire drops messages whose time to live is over. When many old ones wait, for limits or pools with a time of their own, it goes
// on where the last sweep ended.
func (d *Dispatcher) expire(ctx context.Context, now time.Time) error {
	for range expireChunks {
		n, last, err := d.Store.Expire(ctx, store.Expiry{TTL: d.TTL, Now: now, After: d.expired, Limit: sweepChunk})
		if err != nil {
			return err
		}
		if n > 0 {
			d.Log.Warn("messages expired", "messages", n)
		}
		if d.expired = last; last == (mail.ID{}) {
			return nil
		}
	}
	return nil
}
