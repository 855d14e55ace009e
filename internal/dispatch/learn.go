package dispatch

import (
	"context"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
)

// note learns from the end of a call or a question.
func (r *runner) note(ctx context.Context, e ending) {
	r.count(e)
	now := r.d.Now()
	if e.asked {
		if e.unanswered {
			r.askFrom = now.Add(askAgain)
		} else {
			r.askFrom, r.answered = time.Time{}, now
		}
		return
	}
	if e.unmade {
		r.breaker.unmade(e.flight)
		if e.flight.made {
			r.pace.slower() // its refusals took all the time: a smaller batch gets further
		}
		return
	}
	switch {
	case e.class == provider.Throttled:
		r.line.hear(now)
		r.paused = later(r.paused, now.Add(e.retry))
		r.pace.slower()
	case e.slow && !e.flight.silent:
		r.pace.slower()
	case r.answers(e.class):
		r.line.hear(now)
		r.pace.faster() // it answers
	}
	reason := r.breaker.reason
	refusals := r.refused.learn(e.seen)
	switched := r.breaker.ended(e.flight, e.class, e.words, now)
	if switched {
		r.switched()
	}
	if refusals || reason != r.breaker.reason || r.answers(e.class) && r.staleStop(now) {
		r.showHealth(ctx, now)
	}
}

// answers tells whether a call of the class shows that the provider works.
func (*runner) answers(c provider.Class) bool {
	return c == provider.Accepted || c == provider.Rejected || c == provider.Inactive
}

// staleStop tells whether the provider is shown as stopped although it is used here, and for longer than the node that stopped
// it would need to probe it: that node is gone.
func (r *runner) staleStop(now time.Time) bool {
	t := r.d.Directory.Current().AnyTPSP(r.egress.TPSPID())
	return !r.breaker.open && t != nil && t.Health.Stopped && now.Sub(t.Health.Since) > 2*lastProbe
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
		r.showHealth(ctx, now)
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
func (r *runner) busy() bool {
	if r.breaker.open {
		return r.breaker.probing
	}
	silent := 0
	for f := range r.flights {
		if f.silent {
			silent++
		}
	}
	return len(r.flights)-min(silent, r.pace.maxCalls) >= r.pace.calls
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
