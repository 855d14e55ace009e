package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

const (
	idlePoll   = 30 * time.Second       // longest sleep of one process alone; hints and due times wake a runner earlier
	storeRetry = time.Second            // after the store failed
	hush       = 100 * time.Millisecond // how long hints wait while nothing can be sent: every group of accepted mail brings one
	claimCalls = 2                      // most calls that one claim is for: it holds the store's writer
	vainClaims = 8                      // most claims in a row that take nothing although there is more to look at
	lookPause  = 50 * time.Millisecond  // least time after some: the store's writer has other things to do
	tolerance  = time.Minute            // a gap in serving that is longer than a sleep by this does not count against the provider

	// leaseMargin is how much longer a claim lasts than what it is for may take. It is for recording the outcome, and for
	// clocks that differ: after it others count the claimer as dead.
	leaseMargin = 15 * time.Second
)

// runner carries the messages of one egress. Its fields belong to the goroutine of run; calls report to it by channels.
type runner struct {
	d      *Dispatcher
	egress route.Egress
	log    *slog.Logger
	wake   chan struct{}
	ended  chan ending

	breaker breaker
	pace    pace
	paused  time.Time // throttled until then
	limited time.Time // when a limit lets a message go that waits for it; zero when none does
	full    []mailbox.Class
	lookAt  time.Time // no claim before this, after some in vain
	look    bool      // there is something to look at then

	evacuation, abandoning, overflow moving // of messages that wait here
	flights                          map[*flight]bool
	line                             line
	questions                        int       // on the wire
	breadth                          breadth   // of the next one
	askFrom                          time.Time // no question before this, after one was not answered; zero: the last one was
	answered                         time.Time // when the last question was
	retryAt                          time.Time // not before this, after the store failed
	started                          time.Time // since when this process has served the egress without a gap
	served                           time.Time // when it did so last
	unsaved                          bool      // the health could not be saved
	returned                         returned
}

// ending is how a call or a question ended.
type ending struct {
	asked      bool
	unanswered bool // the question was
	size       int  // how many messages it was about

	probed  bool
	failure error // of the probe

	flight *flight
	unmade bool // no call was made, for reasons of ours
	class  provider.Class
	words  string
	retry  time.Duration // Throttled: when to go on
	slow   bool          // the call timed out
	seen   senders       // the senders of the call, see sendersIn
}

func newRunner(d *Dispatcher, e route.Egress) *runner {
	return &runner{d: d, egress: e, log: d.Log.With("egress", e.String()), wake: make(chan struct{}, 1),
		ended: make(chan ending), flights: map[*flight]bool{}, started: d.Now(), breadth: newBreadth(), pace: newPace(d.BatchSize, d.Concurrency)}
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
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.wake:
			if wait := r.served.Add(hush).Sub(r.d.Now()); wait > 0 && r.held() {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		case e := <-r.ended:
			r.note(ctx, e)
			r.noteAll(ctx)
		case <-ctx.Done():
			r.finish()
			return
		}
		r.listen(ctx)
		r.noteReturned(ctx)
		sleep := r.work(ctx, wire, &running)
		timer.Reset(min(sleep, r.patience()))
	}
}

// held tells whether nothing could be sent just now, whatever there is.
func (r *runner) held() bool { return r.busy() || r.d.Now().Before(r.paused) }

// noteAll learns from whatever else has ended meanwhile.
func (r *runner) noteAll(ctx context.Context) {
	for {
		select {
		case e := <-r.ended:
			r.note(ctx, e)
		default:
			return
		}
	}
}

// finish waits for what is on the wire.
func (r *runner) finish() {
	for len(r.flights)+r.questions > 0 || r.breaker.probing {
		r.count(<-r.ended)
	}
}

func (r *runner) count(e ending) {
	switch {
	case e.probed:
		r.breaker.probing = false
	case e.asked:
		r.questions--
	default:
		delete(r.flights, e.flight)
	}
}

// work starts as many calls as may run now and returns how long to sleep.
func (r *runner) work(ctx, wire context.Context, running *sync.WaitGroup) time.Duration {
	now := r.d.Now()
	if wait := r.retryAt.Sub(now); wait > 0 {
		return wait
	}
	target := r.d.Directory.Current().Egress(r.egress)
	if target == nil || r.d.Providers[target.Type] == nil {
		return r.d.Poll // nothing can carry its mail; it waits for a version of the program that can
	}
	if r.unsaved {
		r.showHealth(ctx)
		target = r.d.Directory.Current().Egress(r.egress) // what was saved is in it now
	}
	r.follow(target.Health)
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
	if !r.served.IsZero() && now.Sub(r.served) > r.d.Poll+tolerance {
		r.started = now // the store was away, or the machine stood still: nobody could ask
	}
	r.served = now
	if arrived(due.Ask, now) {
		if err := r.ask(ctx, wire, running, target, now); err != nil {
			return 0, err
		}
	}
	waits := due.Ready || !due.Send.IsZero()
	more := false
	switch why := r.away(target, now); {
	case !target.Deleted.IsZero():
		if waits {
			more, err = r.abandon(ctx, target, now)
		}
	case why != "":
		if err = r.probe(ctx, wire, running, target, now); err == nil && waits {
			more, err = r.evacuate(ctx, target, why, now)
		}
	case due.Ready || arrived(due.Send, now):
		r.evacuation = moving{}
		if err = r.fill(ctx, wire, running, target, now); err == nil && r.limited.After(now) && len(r.full) > 0 {
			more, err = r.spill(ctx, target, now)
		}
	}
	if err == nil && r.breaker.doubted() {
		err = r.probe(ctx, wire, running, target, now)
	}
	if more {
		return 0, err
	}
	return r.nap(due, target, now), err
}

// away says why no mail leaves through the egress, or "". A breaker that has just opened counts although nobody else knows of it yet.
func (r *runner) away(target *directory.TPSP, now time.Time) string {
	why := target.Away(now)
	if why == "" && r.breaker.open {
		why = target.Stopped(r.breaker.reason)
	}
	return why
}

// arrived tells whether a due time has come; the zero time never comes.
func arrived(due, now time.Time) bool { return !due.IsZero() && !due.After(now) }

// fill claims and starts calls until the pace, the limits or the queue ends it. One claim serves several calls where several may
// begin. After claims in vain it rests: so many may be held that each claim looks at few of them, and new mail brings the next round.
func (r *runner) fill(ctx, wire context.Context, running *sync.WaitGroup, target *directory.TPSP, now time.Time) error {
	if r.look = now.Before(r.lookAt); r.look {
		return nil
	}
	for vain := 0; !r.breaker.open && !r.busy() && !now.Before(r.paused); {
		lease := r.lease(now)
		claimed, err := r.d.Store.Claim(ctx, store.Claim{Egress: r.egress, Limit: r.pace.batch * min(r.free(), claimCalls), Owner: r.d.owner, Now: now, LeaseUntil: lease})
		if err != nil {
			return err
		}
		jobs := claimed.Jobs
		r.limited, r.full = claimed.Free, claimed.Full
		if len(jobs) == 0 && claimed.More && vain+1 < vainClaims {
			vain++
			continue
		}
		if len(jobs) == 0 {
			if r.look = claimed.More; r.look || vain > 0 {
				ended := r.d.Now()
				r.lookAt = ended.Add(max(lookPause, 2*ended.Sub(now)))
			}
			return nil
		}
		vain = 0
		for part := range slices.Chunk(jobs, r.pace.batch) {
			f := &flight{until: lease.Add(-leaseMargin), now: r.d.Now, line: &r.line}
			f.asked()
			r.flights[f] = true
			running.Go(func() { r.ended <- r.call(wire, target, part, f) })
		}
	}
	return nil
}

// lease returns how long a claim holds. A call, and all calls of a batch that is halved, end by leaseMargin before.
func (r *runner) lease(now time.Time) time.Time { return now.Add(ClaimLength(r.d.CallTimeout)) }

// ClaimLength is how long a claim of a message lasts, by the deadline of a call.
func ClaimLength(callTimeout time.Duration) time.Duration { return callTimeout + leaseMargin }

// nap returns how long the runner may sleep. The end of a call and new messages wake it earlier.
func (r *runner) nap(due store.Due, target *directory.TPSP, now time.Time) time.Duration {
	next := now.Add(r.d.Poll)
	if !due.Ask.IsZero() && r.questions < r.mostQuestions() { // else the end of one wakes the runner
		next = earlier(next, later(due.Ask, r.askFrom))
	}
	if r.breaker.doubted() && !r.breaker.probing {
		next = earlier(next, r.breaker.probeAt)
	}
	if r.unsaved {
		next = earlier(next, now.Add(storeRetry))
	}
	soon := func(at time.Time) {
		if at.After(now) {
			next = earlier(next, at)
		}
	}
	switch waits := due.Ready || !due.Send.IsZero(); {
	case !target.Deleted.IsZero():
		if waits {
			soon(r.abandoning.next)
		}
	case r.away(target, now) != "":
		if waits {
			soon(r.evacuation.next)
		}
		if r.breaker.open && !r.breaker.probing {
			next = earlier(next, r.breaker.probeAt)
		}
		soon(target.Drill)
	case waits && !r.busy():
		if r.look {
			soon(later(r.paused, r.lookAt))
		}
		if due.Ready {
			soon(later(r.paused, r.limited))
			soon(r.overflow.next)
		}
		if !due.Send.IsZero() {
			soon(later(due.Send, r.paused))
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
