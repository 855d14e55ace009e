package providertest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
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
		if o.SenderOnly && o.Class != provider.Account {
			t.Errorf("outcome %d (%v) is about the sender", i, o.Class)
		}
		hidden(t, fmt.Sprintf("%+v", o))
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

// send sends n messages, all of which come to one of the classes.
func (h Harness) send(t *testing.T, ctx context.Context, conn provider.Connection, n int, classes ...provider.Class) []provider.Outcome {
	t.Helper()
	batch := h.batch(t, n)
	outcomes := h.adapter(t).Send(ctx, conn, batch)
	sound(t, outcomes, batch)
	all(t, outcomes, classes...)
	return outcomes
}

func testSendNothing(t *testing.T, h Harness) {
	conn := h.play(t, func(conn net.Conn) {
		if _, ok := h.Wire.Hear(conn); ok {
			t.Error("a call was made")
		}
	})
	if outcomes := h.adapter(t).Send(t.Context(), conn, nil); len(outcomes) != 0 {
		t.Errorf("%d outcomes for no message", len(outcomes))
	}
}

func testSendInOrder(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	conn := h.serve(t, nil)
	for n := 1; n <= min(7, adapter.Capabilities().BatchSize); n++ {
		h.inOrder(t, adapter, conn, n, -1)
	}
}

func testSendOneRefused(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	for n := 1; n <= min(4, adapter.Capabilities().BatchSize); n++ {
		for bad := range n {
			h.inOrder(t, adapter, h.serve(t, map[string]bool{recipient(bad): true}), n, bad)
		}
	}
}

// inOrder sends n messages, of which the provider refuses one.
func (h Harness) inOrder(t *testing.T, adapter provider.Adapter, conn provider.Connection, n, bad int) {
	t.Helper()
	batch := h.batch(t, n)
	outcomes := adapter.Send(t.Context(), conn, batch)
	sound(t, outcomes, batch)
	ids := make(map[string]bool)
	for i, o := range outcomes {
		want := provider.Accepted
		if i == bad || bad >= 0 && h.WholeCalls {
			want = provider.Rejected
		}
		if o.Class != want || want == provider.Rejected && o.WholeCall != (h.WholeCalls && n > 1) {
			t.Errorf("%d messages, number %d refused: outcome %d is %v (%s), want %v", n, bad, i, o.Class, o.Text, want)
		}
		if o.Class == provider.Accepted && (o.ProviderMessageID == "" || ids[o.ProviderMessageID] && !h.SharedIDs) {
			t.Errorf("outcome %d: the provider's id %q is missing or not its own", i, o.ProviderMessageID)
		}
		ids[o.ProviderMessageID] = true
	}
}

func testSendAllRefused(t *testing.T, h Harness) {
	n := several(h.adapter(t))
	refused := make(map[string]bool)
	for i := range n {
		refused[recipient(i)] = true
	}
	for i, o := range h.send(t, t.Context(), h.serve(t, refused), n, provider.Rejected) {
		if o.Unsent || o.ProviderMessageID != "" {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
}

func testSendConcurrent(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	conn := h.serve(t, nil)
	var calls sync.WaitGroup
	for range 8 {
		batch := h.batch(t, several(adapter))
		calls.Go(func() {
			outcomes := adapter.Send(t.Context(), conn, batch)
			sound(t, outcomes, batch)
			all(t, outcomes, provider.Accepted)
		})
	}
	calls.Wait()
}

func testCancelledBefore(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	conn := h.play(t, func(conn net.Conn) {
		if _, ok := h.Wire.Hear(conn); ok {
			t.Error("a call was made")
		}
	})
	for i, o := range h.send(t, ctx, conn, several(h.adapter(t)), provider.Transient) {
		if !o.Unsent && !o.Unwritten {
			t.Errorf("outcome %d blames the provider: %+v", i, o)
		}
	}
}

func testCancelledMeanwhile(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	testGivenUp(t, h, ctx, cancel)
}

// testNoAnswer has a call's time end while the provider thinks.
func testNoAnswer(t *testing.T, h Harness) {
	ctx := &expiring{Context: t.Context(), done: make(chan struct{})}
	testGivenUp(t, h, ctx, sync.OnceFunc(func() { close(ctx.done) }))
}

// expiring is a context whose deadline passes when the test says so.
type expiring struct {
	context.Context
	done chan struct{}
}

func (e *expiring) Done() <-chan struct{} { return e.done }

func (e *expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// testGivenUp ends a call while the provider thinks. Those messages of it that had not left by then are not sent.
func testGivenUp(t *testing.T, h Harness, ctx context.Context, end func()) {
	adapter := h.adapter(t)
	conn := h.play(t, func(conn net.Conn) {
		if _, ok := h.Wire.Hear(conn); ok {
			end()
			_, _ = conn.Read(make([]byte, 1)) // until the other side goes away
		}
	})
	batch := h.batch(t, several(adapter))
	done := make(chan []provider.Outcome, 1)
	var call sync.WaitGroup
	call.Go(func() { done <- adapter.Send(ctx, conn, batch) })
	select {
	case outcomes := <-done:
		sound(t, outcomes, batch)
		if !slices.ContainsFunc(outcomes, func(o provider.Outcome) bool { return o.Class == provider.Ambiguous }) {
			t.Errorf("the provider has heard one: %+v", outcomes) // not always the first: several calls may be made beside each other
		}
		for i, o := range outcomes {
			if o.Class != provider.Ambiguous && (o.Class != provider.Transient || !o.Unsent && !o.Unwritten) {
				t.Errorf("outcome %d: %+v", i, o)
			}
		}
	case <-time.After(prompt):
		t.Fatal("Send does not return when its context ends")
	}
	call.Wait()
}

func testStatuses(t *testing.T, h Harness) { h.testAnswers(t, h.Wire.Statuses) }

func testReplies(t *testing.T, h Harness) { h.testAnswers(t, h.Replies) }

// testAnswers gives answers to single messages.
func (h Harness) testAnswers(t *testing.T, replies []Reply) {
	if len(replies) == 0 {
		t.Fatal("the harness has none")
	}
	for _, r := range replies {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			got := h.send(t, t.Context(), h.answer(t, r.Bytes), 1, r.Want.Class)[0]
			if diff := cmp.Diff(marks(r.Want, r.Want), marks(got, r.Want)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, got.Text)
			}
			if r.Want.HTTPStatus != 0 && got.HTTPStatus != r.Want.HTTPStatus {
				t.Errorf("HTTPStatus = %d", got.HTTPStatus)
			}
		})
	}
}

// marks are what follows from an outcome beside its class.
func marks(o, want provider.Outcome) map[string]any {
	m := map[string]any{"SenderOnly": o.SenderOnly, "Elsewhere": o.Elsewhere, "Own": o.Own, "Bounce": o.Bounce, "RetryAfter": o.RetryAfter}
	if want.Code != "" {
		m["Code"] = o.Code
	}
	if want.InactiveAddresses != nil {
		m["InactiveAddresses"] = o.InactiveAddresses
	}
	return m
}

// testClass: the harness knows an answer of each class. That the provider accepts is what all other cases are about.
func testClass(t *testing.T, h Harness, class provider.Class) {
	if class == provider.Accepted {
		h.send(t, t.Context(), h.serve(t, nil), 1, provider.Accepted)
		return
	}
	var some []Reply
	for _, r := range slices.Concat(h.Replies, h.Wire.Statuses) {
		if r.Want.Class == class {
			some = append(some, r)
		}
	}
	if never := slices.Contains(h.Never, class); never != (len(some) == 0) {
		t.Fatalf("%d answers are %v, and that it is never so is %t", len(some), class, never)
	}
	adapter := h.adapter(t)
	for _, r := range some {
		// What is said of one message of several must not be said of others that nobody answered for: it is the whole call, or doubt.
		batch := h.batch(t, several(adapter))
		outcomes := adapter.Send(t.Context(), h.answer(t, r.Bytes), batch)
		sound(t, outcomes, batch)
		for i, o := range outcomes {
			if o.Class == provider.Accepted || o.Class == provider.Inactive && class != provider.Inactive {
				t.Errorf("%s: outcome %d is %v: %s", r.Name, i, o.Class, o.Text)
			}
		}
	}
}

func testGarbage(t *testing.T, h Harness) {
	if len(h.Wire.Garbage) == 0 {
		t.Fatal("the harness has none")
	}
	for name, answer := range h.Wire.Garbage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h.send(t, t.Context(), h.answer(t, answer), 1, provider.Ambiguous)
			adapter := h.adapter(t)
			batch := h.batch(t, several(adapter))
			outcomes := adapter.Send(t.Context(), h.answer(t, answer), batch)
			sound(t, outcomes, batch)
			all(t, outcomes, provider.Ambiguous, provider.Transient)
			if outcomes[0].Class != provider.Ambiguous {
				t.Errorf("of several: %+v", outcomes[0])
			}
		})
	}
}

func testLater(t *testing.T, h Harness) {
	if h.Wire.Later == nil {
		for _, r := range slices.Concat(h.Replies, h.Wire.Statuses) {
			if r.Want.RetryAfter != 0 {
				t.Errorf("%s: a provider without a word for it asks to wait", r.Name)
			}
		}
		return
	}
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 250 * time.Millisecond, "86400": 15 * time.Minute, "soon": 0,
	} {
		if got := h.send(t, t.Context(), h.answer(t, h.Wire.Later(value)), 1, provider.Throttled)[0].RetryAfter; got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// testElsewhere makes sure that neither the key nor the message travels to where an answer points.
func testElsewhere(t *testing.T, h Harness) {
	address := Listen(t, func(conn net.Conn) {
		if n, _ := conn.Read(make([]byte, 1)); n > 0 {
			t.Error("the adapter went there")
		}
	})
	for name, answer := range h.Wire.Elsewhere(address) {
		t.Log(name)
		h.send(t, t.Context(), h.answer(t, answer), 1, provider.Account, provider.Ambiguous, provider.Rejected)
	}
}
