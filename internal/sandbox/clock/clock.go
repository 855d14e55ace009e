// Package clock gives the sandbox its time: the system's, or one that a test moves by hand. Everything in the sandbox that
// waits (delivery delays, webhook retries, search lag) waits on a Clock, so that hours of retries can be tested in no time.
//
// It imports nothing but the standard library.
package clock

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Clock tells the time and wakes sleepers.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// At returns a channel that receives once it is due or later, and a function that gives the wait up.
	At(due time.Time) (fired <-chan time.Time, stop func())
}

// Linger waits by a clock, or until ctx ends, which is its error.
func Linger(ctx context.Context, c Clock, d time.Duration) error {
	if d == 0 {
		return nil
	}
	over, stop := c.At(c.Now().Add(d))
	defer stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// System is the machine's clock.
type System struct{}

// Now returns the machine's time in UTC.
func (System) Now() time.Time { return time.Now().UTC() }

// At waits on a time.Timer.
func (System) At(due time.Time) (<-chan time.Time, func()) {
	t := time.NewTimer(time.Until(due))
	return t.C, func() { t.Stop() }
}

// Manual is a clock that stands still until it is told to move. It is safe for concurrent use.
type Manual struct {
	mu     sync.Mutex
	now    time.Time
	waits  []*wait
	change chan struct{}
}

type wait struct {
	due   time.Time
	fired chan time.Time
}

// NewManual returns a clock that stands at start.
func NewManual(start time.Time) *Manual {
	return &Manual{now: start.UTC(), change: make(chan struct{})}
}

// Now returns the time the clock was last moved to.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// At returns a channel that receives when the clock has been moved to due or beyond.
func (m *Manual) At(due time.Time) (<-chan time.Time, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &wait{due: due, fired: make(chan time.Time, 1)}
	if !due.After(m.now) {
		w.fired <- m.now
		return w.fired, func() {}
	}
	m.waits = append(m.waits, w)
	m.changed()
	return w.fired, func() { m.forget(w) }
}

// Advance moves the clock and wakes everyone whose time has come.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	m.waits = slices.DeleteFunc(m.waits, func(w *wait) bool {
		if w.due.After(m.now) {
			return false
		}
		w.fired <- m.now
		return true
	})
	m.changed()
}

// AwaitSleeper blocks until someone waits for exactly due, or until done is closed; it tells which. Tests use it to know that
// the program has reached the wait they are about to end.
func (m *Manual) AwaitSleeper(done <-chan struct{}, due time.Time) bool {
	for {
		m.mu.Lock()
		found := slices.ContainsFunc(m.waits, func(w *wait) bool { return w.due.Equal(due) })
		change := m.change
		m.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-change:
		case <-done:
			return false
		}
	}
}

func (m *Manual) forget(gone *wait) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waits = slices.DeleteFunc(m.waits, func(w *wait) bool { return w == gone })
	m.changed()
}

// changed wakes AwaitSleeper; the caller holds the lock.
func (m *Manual) changed() {
	close(m.change)
	m.change = make(chan struct{})
}
