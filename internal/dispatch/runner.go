package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

const (
	idlePoll   = 30 * time.Second // longest sleep; hints and due times wake a runner earlier
	storeRetry = time.Second      // after the store failed
	askBatch   = 500              // most messages in one question
)

// runner carries the messages of one egress. Its fields belong to the goroutine of run; calls report to it by channels.
type runner struct {
	d      *Dispatcher
	egress route.Egress
	log    *slog.Logger
	wake   chan struct{}
	ended  chan ending

	breaker breaker
	refused senders // domains whose mail the provider refuses
	pace    pace
	paused  time.Time // throttled until then
	calls   int       // on the wire
	asking  bool
	retryAt time.Time // not before this, after the store failed
	started time.Time // when this process began with the egress
	unsaved bool      // the health could not be saved
}

// ending is how a call or a question ended.
type ending struct {
	asked bool
	probe bool // the call was the probe of an open breaker
	class provider.Class
	words string
	retry time.Duration // Throttled: when to go on
	slow  bool          // the call timed out
	seen  senders       // the senders of the call, see sendersIn
}

func newRunner(d *Dispatcher, e route.Egress) *runner {
	return &runner{d: d, egress: e, log: d.Log.With("egress", e.String()), wake: make(chan struct{}, 1),
		ended: make(chan ending), refused: senders{}, started: d.Now(), pace: newPace(d.BatchSize, d.Concurrency)}
}

func (r *runner) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends and every call has been recorded. Calls themselves run under wire, which lasts longer.
func (r *runner) run(ctx, wire context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	r.resume(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.wake:
		case <-timer.C:
		case e := <-r.ended:
			r.note(ctx, e)
		case <-ctx.Done():
			r.finish()
			return
		}
		timer.Reset(r.work(ctx, wire, &running))
	}
}

// resume takes up the health that the last process left: an egress that was stopped is probed before it is used.
func (r *runner) resume(ctx context.Context) {
	target := r.d.Directory.Current().AnyTPSP(r.egress.TPSPID())
	if target == nil || target.Health.Reason == "" {
		return
	}
	if h := target.Health; h.Stopped {
		r.breaker = breaker{open: true, reason: h.Reason, since: h.Since, probeAt: r.d.Now(), wait: firstProbe}
		return
	}
	r.showHealth(ctx, r.d.Now()) // which senders it refuses is learnt anew
}

// finish waits for what is on the wire.
func (r *runner) finish() {
	for r.calls > 0 || r.asking {
		r.count(<-r.ended)
	}
}

func (r *runner) count(e ending) {
	if e.asked {
		r.asking = false
	} else {
		r.calls--
	}
}

// note learns from the end of a call.
func (r *runner) note(ctx context.Context, e ending) {
	r.count(e)
	if e.asked {
		return
	}
	now := r.d.Now()
	switch {
	case e.class == provider.Throttled:
		r.paused = later(r.paused, now.Add(e.retry))
		r.pace.slower()
	case e.slow:
		r.pace.slower()
	case e.class == provider.Accepted, e.class == provider.Rejected, e.class == provider.Inactive:
		r.pace.faster() // it answers
	}
	refusals := r.refused.learn(e.seen)
	switched := r.breaker.ended(e.probe, e.class, e.words, now)
	if !refusals && !switched {
		return
	}
	switch {
	case switched && r.breaker.open:
		r.log.Warn("the provider is not used for now", "reason", r.breaker.reason)
	case switched:
		r.log.Info("the provider is used again")
		r.pace.restart()
	}
	r.showHealth(ctx, now)
}

// showHealth saves how the egress stands, for people. What cannot be saved is tried again.
func (r *runner) showHealth(ctx context.Context, now time.Time) {
	health := directory.Health{Stopped: r.breaker.open, Reason: r.breaker.reason, Since: r.breaker.since}
	if reason := r.refused.reason(); !health.Stopped && reason != "" {
		health.Reason, health.Since = reason, now
		if t := r.d.Directory.Current().AnyTPSP(r.egress.TPSPID()); t != nil && t.Health.Reason != "" && !t.Health.Stopped {
			health.Since = t.Health.Since
		}
	}
	err := r.saveHealth(ctx, health)
	r.unsaved = err != nil
	if err != nil {
		r.log.Error("the provider's health could not be saved; trying again", "error", err)
	}
}

func (r *runner) saveHealth(ctx context.Context, h directory.Health) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.d.Store.UpdateHealth(ctx, r.egress.TPSPID(), h); err != nil {
		return err
	}
	return r.d.Directory.Reload(ctx)
}

// work starts as many calls as may run now and returns how long to sleep.
func (r *runner) work(ctx, wire context.Context, running *sync.WaitGroup) time.Duration {
	now := r.d.Now()
	if wait := r.retryAt.Sub(now); wait > 0 {
		return wait
	}
	target := r.d.Directory.Current().AnyTPSP(r.egress.TPSPID())
	if target == nil || r.d.Providers[target.Type] == nil {
		return idlePoll // nothing can carry its mail; it waits for a version of the program that can
	}
	if r.unsaved {
		r.showHealth(ctx, now)
	}
	sleep, err := r.serve(ctx, wire, running, target, now)
	if err != nil {
		if ctx.Err() == nil {
			r.log.Error("messages could not be claimed", "error", err)
		}
		r.retryAt = now.Add(storeRetry)
		return storeRetry
	}
	return sleep
}

// serve does what is due and returns how long nothing will be, as far as is known.
func (r *runner) serve(ctx, wire context.Context, running *sync.WaitGroup, target *directory.TPSP, now time.Time) (time.Duration, error) {
	due, err := r.d.Store.NextDue(ctx, r.egress)
	if err != nil {
		return 0, err
	}
	if arrived(due.Ask, now) {
		if err := r.ask(ctx, wire, running, target, now); err != nil {
			return 0, err
		}
	}
	switch {
	case !target.Deleted.IsZero():
		err = r.abandon(ctx, now)
	case due.Ready || arrived(due.Send, now):
		err = r.fill(ctx, wire, running, target, now)
	}
	return r.nap(due, now), err
}

// arrived tells whether a due time has come; the zero time never comes.
func arrived(due, now time.Time) bool { return !due.IsZero() && !due.After(now) }

// fill claims and starts calls until the pace, the breaker or the queue ends it.
func (r *runner) fill(ctx, wire context.Context, running *sync.WaitGroup, target *directory.TPSP, now time.Time) error {
	for r.calls < r.pace.calls && !now.Before(r.paused) {
		limit := r.breaker.permits(now, r.pace.batch)
		if limit == 0 {
			return nil
		}
		lease := r.lease(now)
		jobs, err := r.d.Store.Claim(ctx, store.Claim{Egress: r.egress, Limit: limit, Owner: r.d.owner, Now: now, LeaseUntil: lease})
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			return nil
		}
		probe := r.breaker.began()
		r.calls++
		running.Go(func() {
			end := r.call(wire, target, jobs, lease)
			end.probe = probe
			r.ended <- end
		})
	}
	return nil
}

// lease returns how long a claim holds: long enough for a call, and for the calls of a batch that is halved.
func (r *runner) lease(now time.Time) time.Time { return now.Add(3 * r.d.CallTimeout) }

// abandon moves what still waits for a TPSP that was deleted to the next egress of its plan, or drops it.
func (r *runner) abandon(ctx context.Context, now time.Time) error {
	for moved := false; ; moved = true {
		n, err := r.d.Store.DropWaiting(ctx, r.egress, now, sweepChunk)
		if err != nil {
			return err
		}
		if n == 0 {
			if moved {
				r.d.wakeOthers(r.egress)
			}
			return nil
		}
	}
}

// nap returns how long the runner may sleep. The end of a call and new messages wake it earlier.
func (r *runner) nap(due store.Due, now time.Time) time.Duration {
	next := now.Add(idlePoll)
	if !due.Ask.IsZero() && !r.asking {
		next = earlier(next, due.Ask)
	}
	held := r.calls >= r.pace.calls || r.breaker.probing
	if due.Ready || !due.Send.IsZero() {
		send := later(due.Send, r.paused)
		if r.breaker.open {
			send = later(send, r.breaker.probeAt)
		}
		if !held && send.After(now) {
			next = earlier(next, send)
		}
	}
	return max(next.Sub(now), 0) + time.Millisecond
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
