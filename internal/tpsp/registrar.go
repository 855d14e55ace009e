package tpsp

import (
	"context"
	"sync"
	"time"

	"postyard/internal/directory"
)

const (
	parallel = 4               // TPSPs that the Registrar works on at the same time
	setback  = 5 * time.Second // least time between two steps for one TPSP, when nothing could be recorded
)

// Registrar finishes, in the background, what the Service could not: registering webhooks, and removing those of deleted
// TPSPs and of past connections. It checks every hour that those which were registered still stand. Messages that turn up late for a deleted TPSP are the dispatcher's.
type Registrar struct {
	service *Service

	mu        sync.Mutex
	notBefore map[int32]time.Time // a TPSP's next step is not before this
}

// NewRegistrar returns the Registrar of a Service. There must be one only.
func NewRegistrar(s *Service) *Registrar {
	return &Registrar{service: s, notBefore: make(map[int32]time.Time)}
}

// Run works until ctx ends, and returns when its last step has ended. It must start after the server listens on the public
// URL, because providers probe that while they register.
func (r *Registrar) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.service.hints:
		}
		if ctx.Err() != nil {
			return // both were ready, and select took the other
		}
		r.pass(ctx)
		if next := r.next(); !next.IsZero() {
			timer.Reset(max(next.Sub(r.service.Now()), 0))
		} else {
			timer.Stop()
		}
	}
}

// pass takes every step that is due and waits for them.
func (r *Registrar) pass(ctx context.Context) {
	var steps sync.WaitGroup
	defer steps.Wait()
	slots := make(chan struct{}, parallel)
	for _, t := range r.service.Directory.Current().EveryTPSP() {
		due := r.due(t)
		if due.IsZero() || due.After(r.service.Now()) {
			continue
		}
		slots <- struct{}{}
		if ctx.Err() != nil {
			return
		}
		steps.Go(func() {
			defer func() { <-slots }()
			r.step(ctx, t.ID)
		})
	}
}

// step does what is to be done for one TPSP, unless the Service is at it; that wakes us when it is through.
func (r *Registrar) step(ctx context.Context, id int32) {
	s := r.service
	r.mu.Lock()
	r.notBefore[id] = s.Now().Add(setback)
	r.mu.Unlock()
	if !s.begin(ctx, id) {
		return
	}
	defer s.end(ctx, id)
	t := s.Directory.Current().AnyTPSP(id) // anew: it may have changed until we held it
	if t == nil {
		return
	}
	webhook := r.webhookDue(t)
	switch {
	case webhook.IsZero() || webhook.After(s.Now()):
	case t.Deleted.IsZero():
		s.register(ctx, t)
		if t = s.Directory.Current().AnyTPSP(id); t == nil { // past webhooks go by what came of it
			return
		}
	default:
		callCtx, cancel := context.WithTimeout(ctx, setupTimeout)
		s.remove(callCtx, t)
		cancel()
	}
	for i := range t.Past {
		if due := pastDue(t, &t.Past[i]); !due.IsZero() && !due.After(s.Now()) && s.holds(ctx, id) {
			callCtx, cancel := context.WithTimeout(ctx, setupTimeout)
			s.finishPast(callCtx, t, t.Past[i])
			cancel()
		}
	}
}

// next returns when the next step is due, zero when nothing is to be done.
func (r *Registrar) next() time.Time {
	var next time.Time
	for _, t := range r.service.Directory.Current().EveryTPSP() {
		if r.service.busy.is(t.ID) {
			continue
		}
		next = earlier(next, r.due(t))
	}
	return next
}

// due returns when there is something to do for the TPSP, zero when there is nothing.
func (r *Registrar) due(t *directory.TPSP) time.Time {
	due := r.webhookDue(t)
	for i := range t.Past {
		due = earlier(due, pastDue(t, &t.Past[i]))
	}
	if due.IsZero() || r.service.Adapters[t.Type] == nil {
		return time.Time{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if least := r.notBefore[t.ID]; due.Before(least) {
		return least
	}
	return due
}

// pastDue returns when something is to be done for a past connection, zero when nothing is. The removal of its webhook waits for the
// registration of the one that replaces it, however often that fails.
func pastDue(t *directory.TPSP, p *directory.PastHook) time.Time {
	if p.Removed.IsZero() && !replaced(t) {
		return time.Time{}
	}
	return p.NextTry
}

// webhookDue returns when the TPSP's webhook has to be registered, checked or removed, zero when nothing is left of it.
func (r *Registrar) webhookDue(t *directory.TPSP) time.Time {
	w := t.Webhook
	switch {
	case r.service.Adapters[t.Type] == nil, w.State == "":
		return time.Time{}
	case t.Deleted.IsZero() && w.State == directory.WebhookRegistered:
		switch known := r.service.busy.of(t.ID); {
		case !known.nextCheck.IsZero():
			return known.nextCheck
		case !known.confirmed:
			return t.Created
		}
	case w.NextTry.IsZero():
		return t.Created
	}
	return w.NextTry
}

// earlier returns the earlier of two times; the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
