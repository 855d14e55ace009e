package dispatch

import (
	"context"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
)

// note learns from the end of a call, a question or a probe.
func (r *runner) note(ctx context.Context, e ending) {
	r.count(e)
	now := r.d.Now()
	switch {
	case e.probed:
		r.noteProbe(ctx, e, now)
		return
	case e.asked:
		if e.unanswered {
			r.askFrom = now.Add(askAgain)
			r.breadth.failed(e.size)
		} else {
			r.askFrom, r.answered = time.Time{}, now
			r.breadth.answered()
		}
		return
	case e.unmade:
		if e.retry > 0 {
			r.paused = later(r.paused, now.Add(e.retry)) // what is behind these would fare no better
		}
		if e.flight.made {
			r.pace.slower() // its refusals took all the time: a smaller batch gets further
		}
		return
	case e.class == provider.Throttled:
		r.line.hear(now)
		r.paused = later(r.paused, now.Add(e.retry))
		r.pace.slower()
	case e.slow && !e.flight.silent:
		r.pace.slower()
	case r.answers(e.class):
		r.line.hear(now)
		r.pace.faster() // it answers
		if r.breaker.wary && !r.breaker.open {
			r.paused = later(r.paused, now.Add(verdict))
		}
	}
	r.noteSenders(ctx, e.seen, now)
	reason := r.breaker.reason
	if r.breaker.ended(e.flight, e.class, e.words, now) {
		r.switched()
	}
	if reason != r.breaker.reason {
		r.showHealth(ctx)
	}
}

// answers tells whether a call of the class shows that the provider works.
func (*runner) answers(c provider.Class) bool {
	return c == provider.Accepted || c == provider.Rejected || c == provider.Inactive
}

// switched follows the breaker.
func (r *runner) switched() {
	if r.breaker.open {
		r.log.Warn("the provider is not used for now", "reason", r.breaker.reason)
		return
	}
	r.log.Info("the provider is used again")
	r.pace.restart()
}

// listen counts calls as failed that have been silent for too long.
func (r *runner) listen(ctx context.Context) {
	now, reason := r.d.Now(), r.breaker.reason
	for f := range r.flights {
		since, waits := f.waits()
		if f.silent || !waits || now.Sub(since) < r.d.Patience {
			continue
		}
		r.pace.slower()
		if r.breaker.quiet(f, r.line.heard().Before(since), r.d.Patience, now) {
			r.switched()
		}
	}
	if reason != r.breaker.reason {
		r.showHealth(ctx)
	}
}

// patience returns when the next call will have been silent for too long, from now.
func (r *runner) patience() time.Duration {
	now, next := r.d.Now(), idlePoll
	for f := range r.flights {
		if since, waits := f.waits(); waits && !f.silent {
			next = min(next, since.Add(r.d.Patience).Sub(now))
		}
	}
	return max(next, 0) + time.Millisecond
}

// busy tells whether as many calls are on the wire as may be. Silent ones make way for others, so that a provider that comes
// back is used at once, but only as many as there may be in all.
func (r *runner) busy() bool { return r.free() <= 0 }

// free returns how many more calls may begin.
func (r *runner) free() int {
	silent := 0
	for f := range r.flights {
		if f.silent {
			silent++
		}
	}
	return r.pace.calls - (len(r.flights) - min(silent, r.pace.maxCalls))
}

// showHealth saves how the egress stands, for people, for planning, and for the other nodes. What cannot be saved is tried
// again.
func (r *runner) showHealth(ctx context.Context) {
	var health directory.Health
	if b := &r.breaker; b.open {
		health = directory.Health{Stopped: true, Reason: b.reason, Since: b.since, ProbeAt: b.probeAt, Wait: b.wait}
	}
	err := r.save(ctx, func(ctx context.Context) error { return r.d.Store.UpdateHealth(ctx, int32(r.egress), health) })
	r.unsaved = err != nil
	if err != nil {
		r.log.Error("the provider's health could not be saved; trying again", "error", err)
	}
}

// save runs a change of the configuration, and takes it up.
func (r *runner) save(ctx context.Context, change func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := change(ctx); err != nil {
		return err
	}
	return r.d.Directory.Reload(ctx)
}

// follow takes up what another node has found out: the breaker's state is that of the egress, not of a node.
func (r *runner) follow(h directory.Health) {
	b := &r.breaker
	switch {
	case r.unsaved:
	case h.Stopped && !b.open:
		b.become(breaker{open: true, reason: h.Reason, since: h.Since, probeAt: h.ProbeAt, wait: max(h.Wait, firstProbe)})
		if r.served.IsZero() { // a process that starts finds out at once
			b.probeAt = time.Time{}
		}
		r.switched()
	case h.Stopped && !b.probing:
		b.reason, b.probeAt, b.wait = h.Reason, h.ProbeAt, max(h.Wait, firstProbe)
	case !h.Stopped && b.open && !b.probing:
		b.try(r.d.Now())
		r.switched()
	}
}
