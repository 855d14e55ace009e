package tpsp

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// leaseFor is how long a node has a TPSP for one step, should it die meanwhile: longer than a step can take.
const leaseFor = setupTimeout + 3*recordTimeout

// begin reports whether the caller may work on the TPSP's webhook; if so, it must call end.
func (s *Service) begin(ctx context.Context, id int32) bool {
	if !s.busy.begin(id) {
		return false
	}
	held, err := s.Store.Lease(ctx, leaseName(id), s.Holder, leaseFor)
	if err != nil {
		s.Log.WarnContext(ctx, "lease of a webhook not taken", "tpsp", id, "error", err)
	}
	if !held {
		s.busy.end(id)
	}
	return held
}

// lookAgain is how often take looks whether the TPSP is free.
const lookAgain = 500 * time.Millisecond

// take is begin for somebody who waits: for as long as a step takes. It fails with ErrBusy.
func (s *Service) take(ctx context.Context, id int32) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for !s.begin(ctx, id) {
		select {
		case <-ctx.Done():
			return ErrBusy
		case <-again.C:
		}
	}
	return nil
}

// holds renews what begin took for another step. It returns false when it was lost.
func (s *Service) holds(ctx context.Context, id int32) bool {
	held, err := s.Store.Lease(context.WithoutCancel(ctx), leaseName(id), s.Holder, leaseFor)
	if err != nil {
		s.Log.WarnContext(ctx, "lease of a webhook not renewed", "tpsp", id, "error", err)
	}
	return held
}

func (s *Service) end(ctx context.Context, id int32) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := s.Store.Release(ctx, leaseName(id), s.Holder); err != nil {
		s.Log.WarnContext(ctx, "lease of a webhook not given back", "tpsp", id, "error", err)
	}
	s.busy.end(id)
}

func leaseName(id int32) string { return fmt.Sprintf("webhook/%d", id) }

// exclusive lets one goroutine at a time work on the webhook of a TPSP, and remembers what this process knows of each.
type exclusive struct {
	mu    sync.Mutex
	busy  map[int32]bool
	known map[int32]knowledge
}

// knowledge is what a process knows of a webhook beyond what is stored.
type knowledge struct {
	confirmed bool      // it was seen at the provider, with today's URL
	tries     int       // checks that did not reach the provider, in a row
	nextCheck time.Time // after such a one; zero: as stored
	lost      time.Time // since when events may be lost, while that could not be stored; zero: it is
}

func newExclusive() exclusive {
	return exclusive{busy: make(map[int32]bool), known: make(map[int32]knowledge)}
}

func (e *exclusive) begin(id int32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.busy[id] {
		return false
	}
	e.busy[id] = true
	return true
}

func (e *exclusive) end(id int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.busy, id)
}

// is reports whether someone works on the TPSP.
func (e *exclusive) is(id int32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.busy[id]
}

func (e *exclusive) of(id int32) knowledge {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.known[id]
}

// learn keeps what the caller, who holds the TPSP, knows now.
func (e *exclusive) learn(id int32, k knowledge) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known[id] = k
}
