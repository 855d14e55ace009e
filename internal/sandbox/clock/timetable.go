package clock

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Timetable runs functions when their time has come, in order of due time and, within one, in the order they were added. The
// functions run one after the other on Run's goroutine and must not block.
type Timetable struct {
	clock Clock

	mu      sync.Mutex
	entries entries
	next    uint64
	wake    chan struct{}
}

// NewTimetable returns an empty timetable.
func NewTimetable(c Clock) *Timetable {
	return &Timetable{clock: c, wake: make(chan struct{}, 1)}
}

// At adds a function that is due at the given time; a time in the past means at once. Functions added before Run wait for it.
func (t *Timetable) At(due time.Time, do func()) {
	t.mu.Lock()
	heap.Push(&t.entries, entry{due: due, order: t.next, do: do})
	t.next++
	first := t.entries[0].order == t.next-1
	t.mu.Unlock()
	if first {
		t.nudge()
	}
}

// Clear forgets everything that is not due yet.
func (t *Timetable) Clear() {
	t.mu.Lock()
	t.entries = nil
	t.mu.Unlock()
	t.nudge()
}

// Len returns how many functions wait.
func (t *Timetable) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

// Next returns when the first function is due, if one waits.
func (t *Timetable) Next() (due time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) == 0 {
		return time.Time{}, false
	}
	return t.entries[0].due, true
}

// Run works the timetable until ctx ends.
func (t *Timetable) Run(ctx context.Context) {
	for ctx.Err() == nil {
		due := t.take()
		if due == nil {
			t.sleep(ctx)
			continue
		}
		due()
	}
}

// take removes the first entry if it is due.
func (t *Timetable) take() func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) == 0 || t.entries[0].due.After(t.clock.Now()) {
		return nil
	}
	return heap.Pop(&t.entries).(entry).do //nolint:forcetypeassert // container/heap knows no types
}

func (t *Timetable) sleep(ctx context.Context) {
	t.mu.Lock()
	var fired <-chan time.Time
	stop := func() {}
	if len(t.entries) > 0 {
		fired, stop = t.clock.At(t.entries[0].due)
	}
	t.mu.Unlock()
	defer stop()
	select {
	case <-fired:
	case <-t.wake:
	case <-ctx.Done():
	}
}

func (t *Timetable) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

type entry struct {
	due   time.Time
	order uint64
	do    func()
}

type entries []entry

func (e entries) Len() int { return len(e) }
func (e entries) Less(i, j int) bool {
	if e[i].due.Equal(e[j].due) {
		return e[i].order < e[j].order
	}
	return e[i].due.Before(e[j].due)
}
func (e entries) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any) {
	*e = append(*e, x.(entry)) //nolint:forcetypeassert // container/heap knows no types
}

func (e *entries) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = entry{}
	*e = old[:len(old)-1]
	return last
}
