package clock_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"postyard/internal/sandbox/clock"
)

var start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func TestManualClock(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(start)
	soon, _ := c.At(start.Add(time.Minute))
	later, _ := c.At(start.Add(time.Hour))
	given, stop := c.At(start.Add(time.Minute))
	now, _ := c.At(start)
	stop()
	c.Advance(time.Minute)
	select {
	case at := <-soon:
		if !at.Equal(start.Add(time.Minute)) {
			t.Errorf("fired at %v", at)
		}
	default:
		t.Error("did not fire")
	}
	if len(later) != 0 || len(given) != 0 || len(now) != 1 {
		t.Errorf("later %d, given up %d, now %d", len(later), len(given), len(now))
	}
	if !c.Now().Equal(start.Add(time.Minute)) {
		t.Errorf("now %v", c.Now())
	}
}

func TestAwaitSleeper(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(start)
	found := make(chan bool)
	go func() { found <- c.AwaitSleeper(t.Context().Done(), start.Add(time.Hour)) }()
	c.At(start.Add(time.Minute))
	c.At(start.Add(time.Hour))
	if !<-found {
		t.Error("the sleeper was not seen")
	}
	closed := make(chan struct{})
	close(closed)
	if c.AwaitSleeper(closed, start) {
		t.Error("a sleeper that is not there was seen")
	}
}

// Functions run when they are due, earliest first, and in the order they were added when due together.
func TestTimetableOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		delays := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 40).Draw(r, "delays")
		c := clock.NewManual(start)
		table := clock.NewTimetable(c)
		var ran []int
		done := make(chan struct{})
		for i, d := range delays {
			table.At(start.Add(time.Duration(d)*time.Second), func() {
				if c.Now().Before(start.Add(time.Duration(d) * time.Second)) {
					r.Errorf("%d ran early", i)
				}
				if ran = append(ran, i); len(ran) == len(delays) {
					close(done)
				}
			})
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		c.Advance(10 * time.Second)
		go func() { table.Run(ctx); close(ended) }()
		<-done
		stop()
		<-ended
		want := make([]int, len(delays))
		for i := range want {
			want[i] = i
		}
		slices.SortStableFunc(want, func(a, b int) int { return delays[a] - delays[b] })
		if !slices.Equal(want, ran) {
			r.Errorf("ran %v, want %v", ran, want)
		}
	})
}

// On the system's clock the timetable sleeps until something is due, also when it is added to an idle table, or before others.
func TestTimetableSleeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		table := clock.NewTimetable(clock.System{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { table.Run(ctx); close(ended) }()
		synctest.Wait()
		var ran []time.Duration
		note := func() { ran = append(ran, time.Since(begin)) }
		table.At(begin.Add(time.Hour), note)
		synctest.Wait()
		table.At(begin.Add(time.Minute), note)
		<-time.After(2 * time.Hour) // of the bubble
		synctest.Wait()
		if !slices.Equal(ran, []time.Duration{time.Minute, time.Hour}) {
			t.Errorf("ran after %v", ran)
		}
		table.At(time.Now().Add(time.Hour), note)
		if table.Len() != 1 {
			t.Errorf("%d entries", table.Len())
		}
		table.Clear()
		<-time.After(2 * time.Hour)
		stop()
		<-ended
		if len(ran) != 2 || table.Len() != 0 {
			t.Errorf("a cleared entry ran")
		}
	})
}

// moving is a clock that moves just before someone goes to sleep.
type moving struct{ *clock.Manual }

func (m moving) At(due time.Time) (<-chan time.Time, func()) {
	m.Advance(time.Minute)
	return m.Manual.At(due)
}

func TestAdvanceMeetsSleep(t *testing.T) {
	t.Parallel()
	c := moving{clock.NewManual(start)}
	table := clock.NewTimetable(c)
	ctx, stop := context.WithCancel(t.Context())
	table.At(start.Add(time.Minute), stop)
	table.Run(ctx)
}

// A steered clock runs with the machine's until it is held; moved, it wakes who is due; released, it runs on from where it stands.
func TestSteeredClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewSteered()
		begin := time.Now()
		at := func(want time.Duration) {
			t.Helper()
			if got := c.Now().Sub(begin); got != want {
				t.Errorf("it is %v, want %v", got, want)
			}
		}
		fires := func(fired <-chan time.Time, want time.Duration) {
			t.Helper()
			if got := (<-fired).Sub(begin); got != want {
				t.Errorf("fired at %v, want %v", got, want)
			}
		}
		silent := func(fired <-chan time.Time) {
			t.Helper()
			synctest.Wait()
			if len(fired) != 0 {
				t.Error("fired")
			}
		}
		minute, _ := c.At(begin.Add(time.Minute))
		past, _ := c.At(begin)
		fires(past, 0)
		fires(minute, time.Minute) // by the machine's clock
		hour, _ := c.At(begin.Add(time.Hour))
		given, stop := c.At(begin.Add(time.Hour))
		c.Hold()
		<-time.After(2 * time.Hour)
		at(time.Minute)
		silent(hour)
		if held, offset := c.Held(); !held || offset != -2*time.Hour {
			t.Errorf("held %v, %v off", held, offset)
		}
		forward := func(d time.Duration) {
			t.Helper()
			if err := c.Advance(d); err != nil {
				t.Error(err)
			}
		}
		forward(58 * time.Minute)
		silent(hour)
		stop()
		forward(time.Minute)
		fires(hour, time.Hour)
		silent(given)
		soon, _ := c.At(begin.Add(61 * time.Minute))
		c.Release()
		c.Release()
		fires(soon, 61*time.Minute)
		if now := time.Since(begin); now != 2*time.Hour+2*time.Minute {
			t.Errorf("the machine's clock is at %v", now)
		}
		if err := c.AdvanceTo(begin); !errors.Is(err, clock.ErrBack) {
			t.Errorf("it went back: %v", err)
		}
		day, _ := c.At(begin.Add(24 * time.Hour))
		if err := c.AdvanceTo(begin.Add(24*time.Hour - time.Second)); err != nil {
			t.Errorf("it did not go forward: %v", err)
		}
		fires(day, 24*time.Hour) // running, a second later
		week, _ := c.At(begin.Add(7 * 24 * time.Hour))
		c.Hold()
		c.Reset()
		<-week // its time may never come
		if held, offset := c.Held(); held || offset != 0 || time.Until(c.Now()) != 0 {
			t.Errorf("held %v, %v off", held, offset)
		}
	})
}

// However a steered clock is moved, it never goes back, and is never further ahead of the machine's than MaxAhead.
func TestSteeredClockHasAnEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		c := clock.NewSteered()
		step := rapid.Int64Range(-1, math.MaxInt64)
		for range rapid.IntRange(1, 20).Draw(r, "steps") {
			before := c.Now()
			var err error
			switch rapid.IntRange(0, 3).Draw(r, "kind") {
			case 0:
				c.Hold()
			case 1:
				c.Release()
			case 2:
				err = c.Advance(time.Duration(step.Draw(r, "by")))
			case 3:
				to := before.AddDate(rapid.IntRange(0, 7000).Draw(r, "years"), 0, 0)
				if err = c.AdvanceTo(to); err == nil && c.Now().Before(to) {
					r.Errorf("it is %v after a move to %v", c.Now(), to)
				}
			}
			if err != nil && !errors.Is(err, clock.ErrBack) && !errors.Is(err, clock.ErrTooFar) {
				r.Error(err)
			}
			_, offset := c.Held()
			if now := c.Now(); now.Before(before) || offset > clock.MaxAhead || time.Until(now) > clock.MaxAhead {
				r.Fatalf("it was %v, and is %v, %v off (%v)", before, now, offset, err)
			}
		}
	})
}

func TestNextOfATimetable(t *testing.T) {
	t.Parallel()
	table := clock.NewTimetable(clock.NewManual(start))
	if _, ok := table.Next(); ok {
		t.Error("something waits")
	}
	table.At(start.Add(time.Hour), func() {})
	table.At(start.Add(time.Minute), func() {})
	if due, ok := table.Next(); !ok || !due.Equal(start.Add(time.Minute)) {
		t.Errorf("%v %v", due, ok)
	}
}
