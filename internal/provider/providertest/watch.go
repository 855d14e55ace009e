package providertest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postyard/internal/provider"
)

// testFirstByte has a provider that answers late, and slowly: who sends learns at once that it answers.
func testFirstByte(t *testing.T, h Harness) {
	asked, heard := make(chan struct{}), make(chan struct{}, 1<<16)
	conn := h.play(t, func(conn net.Conn) {
		answer, ok := h.Wire.Hear(conn)
		if !ok {
			return
		}
		await(t, "the adapter to tell that it asks", asked)
		for len(heard) > 0 {
			if <-heard; !h.Wire.Chatty {
				t.Error("the adapter hears what nobody said")
			}
		}
		say(conn, answer[:1])
		await(t, "the adapter to tell of the first byte", heard)
		say(conn, answer[1:])
	})
	ctx := provider.WithWatch(t.Context(), provider.Watch{Until: time.Now().Add(time.Hour), Now: time.Now,
		Asked: sync.OnceFunc(func() { close(asked) }), Heard: func() { heard <- struct{}{} }})
	h.send(t, ctx, conn, 1, provider.Accepted)
}

func await(t *testing.T, what string, done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(prompt):
		t.Errorf("waited in vain for %s", what)
	}
}

func testLateBefore(t *testing.T, h Harness) {
	h.testLate(t, h.adapter(t), time.Now)
}

func testLateConnecting(t *testing.T, h Harness) {
	var late atomic.Bool
	dialer := &net.Dialer{}
	adapter := h.New(t, func(ctx context.Context, network, address string) (net.Conn, error) {
		late.Store(true)
		return dialer.DialContext(ctx, network, address)
	})
	h.testLate(t, adapter, func() time.Time {
		if late.Load() {
			return time.Now()
		}
		return time.Now().Add(-time.Hour)
	})
}

// testLate sends when, by the clock, the time is over at the latest when the connection stands.
func (h Harness) testLate(t *testing.T, adapter provider.Adapter, now func() time.Time) {
	t.Helper()
	conn := h.play(t, func(conn net.Conn) {
		if _, ok := h.Wire.Hear(conn); ok {
			t.Error("the message left")
		}
	})
	batch := h.batch(t, several(adapter))
	ctx := provider.WithWatch(t.Context(), provider.Watch{Until: time.Now().Add(-time.Second), Now: now,
		Asked: func() { t.Error("an answer is owed to what may not leave") }, Heard: func() {}})
	outcomes := adapter.Send(ctx, conn, batch)
	sound(t, outcomes, batch)
	all(t, outcomes, provider.Transient)
	for i, o := range outcomes {
		if !o.Unsent {
			t.Errorf("outcome %d blames the provider: %+v", i, o)
		}
	}
}
