package accept_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/store"
)

func once(key, body string) accept.Once {
	return accept.Once{Key: key, Hash: sha256.Sum256([]byte(body)), Answer: func(results []accept.Result) ([]byte, error) {
		return fmt.Append(nil, results[0].ID, " ", results[0].Code), nil
	}}
}

func (b *bench) acceptOnce(ctx context.Context, o accept.Once, requests ...*accept.Request) (string, bool, error) {
	answer, again, err := b.AcceptOnce(ctx, &directory.SubAccount{ID: 11, AccountID: 1}, o, requests...)
	return string(answer), again, err
}

func TestACallIsKnownAgain(t *testing.T) {
	t.Parallel()
	b := simple(t)
	first, again, err := b.acceptOnce(t.Context(), once("k", "body"), request())
	if err != nil || again || first != b.books.messages()[0].ID.String()+" 0" {
		t.Fatalf("%q, %t, %v", first, again, err)
	}
	second, again, err := b.acceptOnce(t.Context(), once("k", "body"), request())
	if err != nil || !again || second != first {
		t.Errorf("again: %q, %t, %v; want %q", second, again, err, first)
	}
	if _, _, err := b.acceptOnce(t.Context(), once("k", "another"), request()); !errors.Is(err, accept.ErrKeyReused) {
		t.Errorf("another body: %v", err)
	}
	if other, again, err := b.acceptOnce(t.Context(), once("l", "body"), request()); err != nil || again || other == first {
		t.Errorf("another key: %q, %t, %v", other, again, err)
	}
	if n := len(b.books.messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// A refusal keeps no key; an answer that took nobody does.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	b := simple(t)
	_, _, err := b.acceptOnce(t.Context(), once("k", "bad"), request(func(r *accept.Request) { r.Content.From.Email = "" }))
	if !isFieldError(err) {
		t.Fatal(err)
	}
	if _, again, err := b.acceptOnce(t.Context(), once("k", "good"), request()); err != nil || again {
		t.Errorf("after a refusal: %t, %v", again, err)
	}
	nobody := func(r *accept.Request) { r.Recipients[0].Email = "nobody" }
	first, _, err := b.acceptOnce(t.Context(), once("n", "n"), request(nobody))
	if err != nil {
		t.Fatal(err)
	}
	if second, again, err := b.acceptOnce(t.Context(), once("n", "n"), request(nobody)); err != nil || !again || second != first {
		t.Errorf("nobody, again: %q, %t, %v, want %q", second, again, err, first)
	}
	if n := len(b.books.messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// While a call waits for its commit, another one with its key is turned away; a client that hangs up does not make a second message.
func TestACallInWork(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	b := start(t, pools(pool(31, "postmark-pool", 101)), func(c *accept.Config) { c.Store = &gate{Store: c.Store, entered: entered, leave: leave} })
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, _, err := b.acceptOnce(ctx, once("k", "body"), request())
		gone <- err
	}()
	<-entered
	if _, _, err := b.acceptOnce(t.Context(), once("k", "body"), request()); !errors.Is(err, accept.ErrKeyInUse) {
		t.Errorf("while it is in work: %v", err)
	}
	hangUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the client hung up: %v", err)
	}
	repeated := make(chan error)
	go func() {
		_, _, err := b.acceptOnce(t.Context(), once("k", "body"), request())
		repeated <- err
	}()
	leave <- struct{}{}
	for range 4 { // the repeated one may come before or after the commit: it meets the kept answer there, or the taken key
		select {
		case <-entered:
			leave <- struct{}{}
			continue
		case err := <-repeated:
			if err != nil {
				t.Errorf("repeated: %v", err)
			}
		}
		break
	}
	if n := len(b.books.messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// gate lets commits through one by one.
type gate struct {
	accept.Store
	entered, leave chan struct{}
}

func (g *gate) Accept(ctx context.Context, batch []store.Submission) error {
	g.entered <- struct{}{}
	<-g.leave
	return g.Store.Accept(ctx, batch)
}

func isFieldError(err error) bool {
	_, ok := errors.AsType[*mail.FieldError](err)
	return ok
}

// Several requests are one: all of them are stored or none.
func TestSeveralRequests(t *testing.T) {
	t.Parallel()
	b := simple(t)
	second := request(func(r *accept.Request) { r.Content.Subject = "Other" })
	results, err := b.Accept(t.Context(), &directory.SubAccount{ID: 11, AccountID: 1}, request(), second)
	if err != nil || len(results) != 2 {
		t.Fatalf("%v, %v", results, err)
	}
	saved := b.books.messages()
	if len(saved) != 2 || saved[0].ID != results[0].ID || saved[1].ID != results[1].ID || saved[1].Content.Subject != "Other" {
		t.Errorf("stored %+v", saved)
	}
	bad := request(func(r *accept.Request) { r.Strict, r.Recipients[0].Email = true, "nobody" })
	_, err = b.Accept(t.Context(), &directory.SubAccount{ID: 11, AccountID: 1}, request(), bad)
	if p, ok := errors.AsType[*accept.PartError](err); !ok || p.Part != 1 || !isFieldError(err) {
		t.Errorf("a bad second one: %v", err)
	}
	if err := b.Check(t.Context(), &directory.SubAccount{ID: 11, AccountID: 1}, request(), bad); !isFieldError(err) {
		t.Errorf("checked: %v", err)
	}
	if err := b.Check(t.Context(), &directory.SubAccount{ID: 11, AccountID: 1}, request()); err != nil {
		t.Errorf("a good one is checked: %v", err)
	}
	if n := len(b.books.messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
}
