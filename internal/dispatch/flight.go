package dispatch

import (
	"context"
	"sync"
	"time"

	"postyard/internal/provider"
)

// flight is one call on the wire. The adapter's goroutines tell it what happens; the rest belongs to the runner's.
type flight struct {
	until time.Time // when the call is to have ended
	now   func() time.Time
	line  *line

	made   bool // something of it reached the provider
	silent bool // counted as failed while it was on the wire
	failed bool // as the breaker counts

	mu   sync.Mutex
	owed time.Time // since when an answer is owed; zero: it has begun
}

// line remembers when anything was heard from a provider, in whichever call.
type line struct {
	mu   sync.Mutex
	last time.Time
}

func (l *line) hear(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = later(l.last, at)
}

func (l *line) heard() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// watched is the context of one call of the flight.
func (f *flight) watched(ctx context.Context) context.Context {
	f.asked()
	return provider.WithWatch(ctx, provider.Watch{Until: f.until, Now: f.now, Asked: f.asked, Heard: f.heard})
}

func (f *flight) asked() { f.owe(f.now()) }

func (f *flight) heard() {
	f.line.hear(f.now())
	f.owe(time.Time{})
}

func (f *flight) owe(since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owed = since
}

// waits returns since when an answer is owed; ok is false when none is.
func (f *flight) waits() (since time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.owed, !f.owed.IsZero()
}
