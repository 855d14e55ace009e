package dispatch

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
)

// mood says how a provider of hanging answers a call: after how long its first byte comes, and after how long the rest. A
// negative time is never.
type mood struct{ first, rest time.Duration }

var (
	well  = mood{}
	hangs = mood{first: -1}
)

// moody is an adapter that answers in the mood of the moment in which a call begins.
func moody(sizes *calls, now *atomic.Pointer[mood]) postmark {
	wait := func(ctx context.Context, d time.Duration) bool {
		if d < 0 {
			<-ctx.Done()
			return false
		}
		select {
		case <-time.After(d):
			return true
		case <-ctx.Done():
			return false
		}
	}
	return postmark{lookup: nothing, check: func(ctx context.Context) error {
		if !wait(ctx, now.Load().first) {
			return ctx.Err()
		}
		return nil
	}, sender: sender{send: func(ctx context.Context, batch []provider.Outgoing) []provider.Outcome {
		sizes.add(len(batch))
		m := *now.Load()
		if err := provider.Leaving(ctx); err != nil {
			return same(len(batch), provider.Outcome{Class: provider.Transient, Unsent: true, Text: err.Error()})
		}
		if !wait(ctx, m.first) {
			return same(len(batch), provider.Outcome{Class: provider.Ambiguous, Text: "time-out"})
		}
		provider.Answered(ctx)
		if !wait(ctx, m.rest) {
			return same(len(batch), provider.Outcome{Class: provider.Ambiguous, Text: "cut"})
		}
		return same(len(batch), provider.Outcome{Class: provider.Accepted})
	}}}
}

// hanging runs a test over a provider with moods.
func hanging(t *testing.T, concurrency int, test func(t *testing.T, h *hang)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &hang{queue: newQueue(), sizes: &calls{}}
		h.set(well)
		d, stop := dispatcherOver(t, h.queue, moody(h.sizes, &h.mood), concurrency)
		h.dispatcher = d
		defer stop()
		synctest.Wait()
		test(t, h)
	})
}

type hang struct {
	*queue
	sizes      *calls
	mood       atomic.Pointer[mood]
	dispatcher *Dispatcher
}

func (h *hang) set(m mood) { h.mood.Store(&m) }

// send adds messages and waits until what follows at once has happened.
func (h *hang) send(n int) {
	h.add(n)
	h.dispatcher.Wake(1)
	synctest.Wait()
}

func (h *hang) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// With many calls on the wire, a provider that hangs is stopped within 10 s of the first, and gets no mail.
func TestManyCallsHang(t *testing.T) {
	hanging(t, 8, func(t *testing.T, h *hang) {
		h.set(hangs)
		began := time.Now()
		h.send(200)
		if n := len(h.sizes.made()); n != 8 {
			t.Fatalf("%d calls on the wire", n)
		}
		h.pass(defaultPatience + 10*time.Millisecond)
		health, waiting := h.state()
		if !health.Stopped || health.Reason != "the provider hangs: no answer for 8s" || health.Since.Sub(began) > 10*time.Second {
			t.Errorf("health %+v after %s", health, health.Since.Sub(began))
		}
		h.pass(firstProbe - 20*time.Millisecond)
		if n := len(h.sizes.made()); n != 8 || waiting != 120 {
			t.Errorf("%d calls before the probe, %d messages wait", n, waiting)
		}
		h.pass(50 * time.Second)
		if made := h.sizes.made(); len(made) != 8 {
			t.Errorf("calls after probes: %v", made)
		}
	})
}

// A message that hangs alone is noticed as soon, and new ones do not follow it.
func TestOneCallHangs(t *testing.T) {
	hanging(t, 8, func(t *testing.T, h *hang) {
		h.set(hangs)
		h.send(1)
		h.pass(9 * time.Second)
		if health, _ := h.state(); !health.Stopped {
			t.Errorf("health %+v", health)
		}
		h.send(50)
		h.pass(3 * time.Second)
		if made := h.sizes.made(); len(made) != 1 {
			t.Errorf("calls to a provider that hangs: %v", made)
		}
	})
}

// A provider that comes back is used at once, whatever still hangs from before.
func TestAProviderComesBack(t *testing.T) {
	hanging(t, 2, func(t *testing.T, h *hang) {
		h.set(hangs)
		h.send(60)
		h.pass(9 * time.Second)
		h.set(well)
		h.pass(firstProbe)
		if health, waiting := h.state(); health != (directory.Health{}) || waiting != 0 {
			t.Errorf("health %+v, %d wait, calls %v", health, waiting, h.sizes.made())
		}
		if made := h.sizes.made(); len(made) < 5 || made[2] != 1 || made[3] != 2 || made[4] > 4 {
			t.Errorf("it is flooded: calls %v", made)
		}
		h.pass(time.Minute) // the calls of before end
		if health, _ := h.state(); health.Stopped {
			t.Errorf("calls of before stop it again: %+v", health)
		}
	})
}

// A provider that is slow, but answers, is not kept from its mail.
func TestASlowProviderIsUsed(t *testing.T) {
	hanging(t, 2, func(t *testing.T, h *hang) {
		h.set(mood{first: 9 * time.Second})
		h.send(20)
		h.pass(8500 * time.Millisecond)
		if health, _ := h.state(); !health.Stopped {
			t.Errorf("health %+v", health)
		}
		h.pass(time.Second)
		if health, _ := h.state(); health.Stopped {
			t.Errorf("health %+v after the answers", health)
		}
	})
}

// A long answer is none that is missing.
func TestAnAnswerThatDrips(t *testing.T) {
	hanging(t, 2, func(t *testing.T, h *hang) {
		h.set(mood{first: time.Second, rest: 40 * time.Second})
		h.send(20)
		h.pass(30 * time.Second)
		if health, _ := h.state(); health.Stopped {
			t.Errorf("health %+v", health)
		}
	})
}

// A call that hangs while others are answered is a failure among others.
func TestOneOfManyHangs(t *testing.T) {
	hanging(t, 8, func(t *testing.T, h *hang) {
		h.set(hangs)
		h.send(1)
		h.set(mood{first: time.Second})
		for range 20 {
			h.send(1)
			h.pass(2 * time.Second)
		}
		if health, waiting := h.state(); health.Stopped || waiting != 0 {
			t.Errorf("health %+v, %d wait", health, waiting)
		}
	})
}

// What keeps a whole call from being made, and does not say for how long, is not tried again without a pause.
func TestACallThatCannotBeMadeRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		made, q := &calls{}, newQueue()
		d, stop := dispatcherOver(t, q, postmark{lookup: nothing, sender: sender{send: func(_ context.Context, batch []provider.Outgoing) []provider.Outcome {
			if made.add(len(batch)); len(made.made()) > 1000 {
				return same(len(batch), provider.Outcome{Class: provider.Accepted})
			}
			return same(len(batch), provider.Outcome{Class: provider.Transient, Unsent: true, Text: "not sent"})
		}}}, 1)
		defer stop()
		q.add(2)
		d.Wake(1)
		<-time.After(10 * time.Second)
		synctest.Wait()
		if n := len(made.made()); n < 5 || n > 11 {
			t.Errorf("%d calls in 10 s", n)
		}
		if health, waiting := q.state(); health.Stopped || waiting != 2 {
			t.Errorf("health %+v, %d messages wait", health, waiting)
		}
	})
}
