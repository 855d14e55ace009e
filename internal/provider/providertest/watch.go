package providertest

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postyard/internal/provider"
)

// testWatch makes sure that who sends learns at once when the provider answers, and that nothing leaves too late.
func testWatch(t *testing.T, h Harness) {
	t.Run("the first byte of an answer", func(t *testing.T) {
		t.Parallel()
		testFirstByte(t, h)
	})
	t.Run("the time is over before the call", func(t *testing.T) {
		t.Parallel()
		conn := h.connection(serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/late/") { // a port may have been another test's before
				return
			}
			// The transport may send the headers when the body is refused to it; without the body they are no call.
			if body, err := io.ReadAll(r.Body); len(body) > 0 || err == nil {
				t.Error("a call was made")
			}
		}) + "/late")
		testLate(t, h, conn, &http.Transport{}, time.Now)
	})
	t.Run("the process stands still while it connects", func(t *testing.T) {
		t.Parallel()
		var late atomic.Bool
		address := Listen(t, func(conn net.Conn) {
			if readRequest(conn) {
				t.Error("the request left")
			}
		})
		dialer := &net.Dialer{}
		testLate(t, h, h.connection("http://"+address), &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				late.Store(true)
				return dialer.DialContext(ctx, network, address)
			},
		}, func() time.Time {
			if late.Load() {
				return time.Now()
			}
			return time.Now().Add(-time.Hour)
		})
	})
}

// testLate sends when, by the clock, the time is over at the latest when the connection stands.
func testLate(t *testing.T, h Harness, conn provider.Connection, transport *http.Transport, now func() time.Time) {
	t.Cleanup(transport.CloseIdleConnections)
	adapter := h.New(transport)
	batch := h.batch(t, min(3, adapter.Capabilities().BatchSize))
	ctx := provider.WithWatch(t.Context(), provider.Watch{Until: time.Now().Add(-time.Second), Now: now, Asked: func() {}, Heard: func() {}})
	outcomes := adapter.Send(ctx, conn, batch)
	sound(t, outcomes, batch)
	all(t, outcomes, provider.Transient)
	for i, o := range outcomes {
		if !o.Unsent {
			t.Errorf("outcome %d blames the provider: %+v", i, o)
		}
	}
}

// testFirstByte has a provider that answers late, and slowly.
func testFirstByte(t *testing.T, h Harness) {
	asked, heard := make(chan struct{}), make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		await(t, "the adapter to tell that it asks", asked)
		select {
		case <-heard:
			t.Error("the adapter hears what nobody said")
		default:
		}
		recorder := &recordingWriter{header: make(http.Header)}
		h.Answer(recorder, r, nil)
		body := recorder.body.Bytes()
		_, _ = w.Write(body[:1])
		_ = http.NewResponseController(w).Flush()
		await(t, "the adapter to tell of the first byte", heard)
		_, _ = w.Write(body[1:])
	})
	adapter := h.adapter(t)
	batch := h.batch(t, min(3, adapter.Capabilities().BatchSize))
	ctx := provider.WithWatch(t.Context(), provider.Watch{Until: time.Now().Add(time.Hour), Now: time.Now,
		Asked: sync.OnceFunc(func() { close(asked) }), Heard: sync.OnceFunc(func() { close(heard) })})
	outcomes := adapter.Send(ctx, h.connection(url), batch)
	sound(t, outcomes, batch)
	all(t, outcomes, provider.Accepted)
}

func await(t *testing.T, what string, done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(prompt):
		t.Errorf("waited in vain for %s", what)
	}
}
