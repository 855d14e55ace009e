package providertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// prompt is how long something may take that should take no time; the machine may be busy.
const prompt = 10 * time.Second

func recipient(i int) string { return fmt.Sprintf("user%d@recipient.example", i) }

func newID(t *testing.T) mail.ID {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatalf("make an id: %v", err)
	}
	return id
}

// serve starts a provider that ends with the test.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// sound checks what holds for all outcomes, whatever happened.
func sound(t *testing.T, outcomes []provider.Outcome, batch []provider.Outgoing) {
	t.Helper()
	if len(outcomes) != len(batch) {
		t.Fatalf("%d outcomes for %d messages", len(outcomes), len(batch))
	}
	for i, o := range outcomes {
		if o.Class.String() == "invalid" {
			t.Errorf("outcome %d has no class: %+v", i, o)
		}
		if o.Class != provider.Accepted && o.Text == "" {
			t.Errorf("outcome %d (%v) does not say why", i, o.Class)
		}
		if len(o.Text) > provider.MaxText || !utf8.ValidString(o.Text) {
			t.Errorf("outcome %d has %d bytes of text, or invalid text: %q", i, len(o.Text), o.Text)
		}
		if o.WholeCall && len(batch) == 1 {
			t.Errorf("outcome %d is about the whole call, but a smaller batch there is none", i)
		}
		if strings.Contains(strings.ToLower(fmt.Sprintf("%+v", o)), strings.ToLower(Key)) {
			t.Errorf("outcome %d shows the key", i)
		}
	}
}

// all checks that every outcome has one of the classes.
func all(t *testing.T, outcomes []provider.Outcome, classes ...provider.Class) {
	t.Helper()
	for i, o := range outcomes {
		if !slices.Contains(classes, o.Class) {
			t.Errorf("outcome %d is %v (%s); want one of %v", i, o.Class, o.Text, classes)
		}
	}
}

func testCapabilities(t *testing.T, h Harness) {
	c := h.adapter(t).Capabilities()
	if c.BatchSize < 1 {
		t.Errorf("BatchSize = %d", c.BatchSize)
	}
	if c.CanLookup && h.Search == nil {
		t.Error("the adapter can look up, but the harness cannot play the search")
	}
	if err := h.adapter(t).CanCarry(h.Content(), provider.Terms{}); err != nil {
		t.Errorf("CanCarry refuses the suite's own content: %v", err)
	}
}

func testSendInOrder(t *testing.T, h Harness) { h.parties().sendInOrder(t) }

func (p parties) sendInOrder(t *testing.T) {
	adapter := p.adapter(t)
	size := min(7, adapter.Capabilities().BatchSize)
	for n := 1; n <= size; n++ {
		for bad := -1; bad < n; bad++ {
			refused := map[string]bool{recipient(bad): true}
			conn := p.serve(t, refused)
			batch := p.batch(t, n)
			outcomes := adapter.Send(t.Context(), conn, batch)
			sound(t, outcomes, batch)
			ids := make(map[string]bool)
			for i, o := range outcomes {
				want := provider.Accepted
				if i == bad {
					want = provider.Rejected
				}
				if o.Class != want {
					t.Errorf("%d messages, number %d refused: outcome %d is %v (%s), want %v", n, bad, i, o.Class, o.Text, want)
				}
				if o.Class == provider.Accepted && (o.ProviderMessageID == "" || ids[o.ProviderMessageID]) {
					t.Errorf("outcome %d: the provider's id %q is missing or not its own", i, o.ProviderMessageID)
				}
				ids[o.ProviderMessageID] = true
			}
		}
	}
}

func testSendNothing(t *testing.T, h Harness) {
	conn := h.connection(serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a call to %s", r.URL.Path) }))
	if outcomes := h.adapter(t).Send(t.Context(), conn, nil); len(outcomes) != 0 {
		t.Errorf("%d outcomes for no message", len(outcomes))
	}
}

func testSendConcurrent(t *testing.T, h Harness) { h.parties().sendConcurrent(t) }

func (p parties) sendConcurrent(t *testing.T) {
	adapter := p.adapter(t)
	conn := p.serve(t, nil)
	var calls sync.WaitGroup
	for range 8 {
		batch := p.batch(t, min(3, adapter.Capabilities().BatchSize))
		calls.Go(func() {
			outcomes := adapter.Send(t.Context(), conn, batch)
			sound(t, outcomes, batch)
			all(t, outcomes, provider.Accepted)
		})
	}
	calls.Wait()
}

func testStatuses(t *testing.T, h Harness) {
	statuses := DefaultStatuses()
	for status, class := range h.Statuses {
		statuses[status] = class
	}
	for status, want := range statuses {
		for name, body := range map[string]string{
			"empty": "", "html": "<html><body><h1>Sorry</h1></body></html>", "key": `{"message":"` + Key + `"}`,
		} {
			t.Run(fmt.Sprintf("%d %s", status, name), func(t *testing.T) {
				t.Parallel()
				conn := h.connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.WriteHeader(status)
					_, _ = io.WriteString(w, body)
				}))
				batch := h.batch(t, 1)
				outcomes := h.adapter(t).Send(t.Context(), conn, batch)
				sound(t, outcomes, batch)
				all(t, outcomes, want)
				if outcomes[0].HTTPStatus != status {
					t.Errorf("HTTPStatus = %d", outcomes[0].HTTPStatus)
				}
			})
		}
	}
}

func testRetryAfter(t *testing.T, h Harness) {
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 250 * time.Millisecond, "86400": 15 * time.Minute, "soon": 0,
	} {
		conn := h.connection(serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if value != "" {
				w.Header().Set("Retry-After", value)
			}
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		batch := h.batch(t, 1)
		outcomes := h.adapter(t).Send(t.Context(), conn, batch)
		all(t, outcomes, provider.Throttled)
		if got := outcomes[0].RetryAfter; got != want {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}

func testGarbage(t *testing.T, h Harness) {
	for name, body := range map[string]string{
		"empty": "", "null": "null", "number": "7", "string": `"OK"`, "empty object": "{}", "empty array": "[]",
		"half": `{"message":"OK`, "html": "<html>Welcome to the hotel's network</html>", "binary": "\x00\xff\xfe\x80",
		"deep": strings.Repeat("[", 20_000), "key": Key, "long": strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := h.connection(serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
			adapter := h.adapter(t)
			for _, n := range []int{1, min(3, adapter.Capabilities().BatchSize)} {
				batch := h.batch(t, n)
				outcomes := adapter.Send(t.Context(), conn, batch)
				sound(t, outcomes, batch)
				all(t, outcomes, provider.Ambiguous)
			}
		})
	}
}

// testRedirect makes sure that the key does not travel to where an answer points.
func testRedirect(t *testing.T, h Harness) {
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a redirect was followed to %s", r.URL.Path) })
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect} {
		conn := h.connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.Path, status)
		}))
		batch := h.batch(t, 1)
		outcomes := h.adapter(t).Send(t.Context(), conn, batch)
		sound(t, outcomes, batch)
		all(t, outcomes, provider.Account, provider.Ambiguous)
	}
}

func testCancel(t *testing.T, h Harness) {
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		conn := h.connection(serve(t, func(_ http.ResponseWriter, _ *http.Request) { t.Error("a call was made") }))
		batch := h.batch(t, 1)
		outcomes := h.adapter(t).Send(ctx, conn, batch)
		sound(t, outcomes, batch)
		all(t, outcomes, provider.Transient)
	})
	t.Run("while the provider thinks", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		adapter := h.adapter(t)
		conn := h.connection(serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
		}))
		batch := h.batch(t, min(3, adapter.Capabilities().BatchSize))
		done := make(chan []provider.Outcome, 1)
		var call sync.WaitGroup
		call.Go(func() { done <- adapter.Send(ctx, conn, batch) })
		select {
		case outcomes := <-done:
			sound(t, outcomes, batch)
			all(t, outcomes, provider.Ambiguous)
		case <-time.After(prompt):
			t.Fatal("Send does not return when its context ends")
		}
		call.Wait()
	})
}
