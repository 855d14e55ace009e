package clock

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// MaxAhead is how far a Steered clock can be ahead of the machine's: a hundred years.
const MaxAhead = 100 * 366 * 24 * time.Hour

// Why a Steered clock is not moved.
var (
	ErrBack   = errors.New("the clock does not go back")
	ErrTooFar = fmt.Errorf("the clock can be ahead of the machine's by %d days at most", MaxAhead/(24*time.Hour))
)

// Steered is the machine's clock until someone takes hold of it: it can be stopped, moved forward, and let run on from where it is. It
// never goes back, except by Reset. It is safe for concurrent use. Use NewSteered.
type Steered struct {
	mode atomic.Pointer[mode]

	mu    sync.Mutex // held while the mode changes and while waits come and go
	waits map[*steeredWait]struct{}
}

// mode is how a Steered clock runs. It is replaced, not changed.
type mode struct {
	held   bool
	at     time.Time     // where it stands while it is held
	offset time.Duration // from the machine's clock while it runs
}

type steeredWait struct {
	due   time.Time
	fired chan time.Time
	timer *time.Timer // nil while the clock is held
}

// NewSteered returns a clock that shows the machine's time.
func NewSteered() *Steered {
	s := &Steered{waits: map[*steeredWait]struct{}{}}
	s.mode.Store(&mode{})
	return s
}

// Now returns the clock's time in UTC.
func (s *Steered) Now() time.Time { return s.mode.Load().now() }

func (m *mode) now() time.Time {
	if m.held {
		return m.at
	}
	return time.Now().UTC().Add(m.offset)
}

// Held tells whether the clock stands still, and how far it is from the machine's: negative is behind.
func (s *Steered) Held() (held bool, offset time.Duration) {
	m := s.mode.Load()
	if m.held {
		return true, m.at.Sub(time.Now().Round(0))
	}
	return false, m.offset
}

// At returns a channel that receives when the clock has reached due.
func (s *Steered) At(due time.Time) (<-chan time.Time, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &steeredWait{due: due, fired: make(chan time.Time, 1)}
	s.waits[w] = struct{}{}
	s.arm(w)
	return w.fired, func() { s.forget(w) }
}

// Hold stops the clock where it is.
func (s *Steered) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(&mode{held: true, at: s.Now().Round(0)})
}

// Release lets a held clock run on from where it stands.
func (s *Steered) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mode.Load(); m.held {
		s.turn(&mode{offset: m.at.Sub(time.Now().Round(0))})
	}
}

// Advance moves the clock forward, held or not, and wakes everyone whose time has come. It fails with ErrBack or ErrTooFar, and does
// nothing then.
func (s *Steered) Advance(d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.advance(d)
}

// AdvanceTo moves the clock forward to a time. It fails like Advance.
func (s *Steered) AdvanceTo(to time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.advance(s.until(to))
}

// CanReach returns what AdvanceTo would, and does nothing.
func (s *Steered) CanReach(to time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.mode.Load().moved(s.until(to))
	return err
}

// until is how far ahead a time is; what is too far for a duration is the longest one.
func (s *Steered) until(to time.Time) time.Duration { return to.Sub(s.Now().Round(0)) }

// advance is called with the lock held.
func (s *Steered) advance(d time.Duration) error {
	m, err := s.mode.Load().moved(d)
	if err == nil {
		s.turn(m)
	}
	return err
}

// moved returns the mode of a clock that is further by d. How far it is ahead of the machine's clock is limited, whatever the step: a sum of
// steps would leave the range of a duration, and the clock would go back.
func (m *mode) moved(d time.Duration) (*mode, error) {
	if d < 0 {
		return nil, ErrBack
	}
	if m.held {
		if ahead := m.at.Sub(time.Now().Round(0)); d > MaxAhead || ahead > MaxAhead-d {
			return nil, ErrTooFar
		}
		return &mode{held: true, at: m.at.Add(d)}, nil
	}
	if d > MaxAhead || m.offset > MaxAhead-d {
		return nil, ErrTooFar
	}
	return &mode{offset: m.offset + d}, nil
}

// Reset goes back to the machine's time and wakes everyone, whatever they wait for: their time may never come.
func (s *Steered) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode.Store(&mode{})
	for w := range s.waits {
		s.wake(w)
	}
}

// turn puts a mode in force and sets the waits by it; the caller holds the lock.
func (s *Steered) turn(m *mode) {
	s.mode.Store(m)
	for w := range s.waits {
		s.arm(w)
	}
}

// arm wakes who is due, and sets the timer of who is not yet, if the clock runs; the caller holds the lock.
func (s *Steered) arm(w *steeredWait) {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	left := w.due.Sub(s.Now())
	switch {
	case left <= 0:
		s.wake(w)
	case !s.mode.Load().held:
		w.timer = time.AfterFunc(left, func() { s.ring(w) })
	}
}

// ring is what a timer does: the clock may have been turned since.
func (s *Steered) ring(w *steeredWait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, waiting := s.waits[w]; waiting {
		s.arm(w)
	}
}

// wake ends a wait; the caller holds the lock.
func (s *Steered) wake(w *steeredWait) {
	s.drop(w)
	w.fired <- s.Now()
}

func (s *Steered) forget(w *steeredWait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(w)
}

func (s *Steered) drop(w *steeredWait) {
	if w.timer != nil {
		w.timer.Stop()
	}
	delete(s.waits, w)
}
