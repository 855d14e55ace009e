package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
)

// probe asks a provider that is stopped whether it answers and takes our credentials, when it is time. Of several nodes one
// does.
func (r *runner) probe(ctx, wire context.Context, running *sync.WaitGroup, target *directory.TPSP, now time.Time) error {
	if !r.breaker.due(now) {
		return nil
	}
	lease := "probe/" + r.egress.String()
	held, err := r.d.Store.Lease(ctx, lease, r.d.owner, r.d.Patience+leaseMargin)
	if err != nil {
		return err
	}
	if !held {
		r.breaker.probeAt = now.Add(firstProbe) // another node probes, and tells
		return nil
	}
	r.breaker.probing = true
	running.Go(func() {
		err := r.check(wire, target)
		if free := r.d.Store.Release(context.WithoutCancel(wire), lease, r.d.owner); free != nil {
			r.log.Warn("a lease could not be given back; it ends by itself", "lease", lease, "error", free)
		}
		r.ended <- ending{probed: true, failure: err}
	})
	return nil
}

// check makes the call of a probe. A provider that is silent for as long as patience lasts has failed.
func (r *runner) check(wire context.Context, target *directory.TPSP) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the adapter failed: %v", p)
		}
	}()
	conn, err := r.d.Connections.Connection(target)
	if err != nil {
		return fmt.Errorf("the stored credentials cannot be read: %w", err)
	}
	ctx, cancel := context.WithTimeout(wire, r.d.Patience)
	defer cancel()
	err = r.d.Providers[target.Type].Check(ctx, conn)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the provider hangs: no answer for %s", r.d.Patience)
	}
	return err
}

// noteProbe learns from the end of a probe.
func (r *runner) noteProbe(ctx context.Context, e ending, now time.Time) {
	words := ""
	if e.failure != nil {
		words = provider.Clean(e.failure.Error(), provider.MaxText)
		r.log.Info("a probe failed", "reason", words)
	} else {
		r.line.hear(now)
	}
	wasOpen := r.breaker.open
	changed := r.breaker.probed(e.failure != nil, words, now)
	if changed {
		r.switched()
	}
	if wasOpen || changed {
		r.showHealth(ctx)
	}
}
