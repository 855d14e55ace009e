package providertest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
)

// Silent is what the suite must know of an adapter whose provider does not speak HTTP and reports nothing.
type Silent struct {
	// New returns the adapter, which ends with the test.
	New func(t *testing.T) provider.Adapter

	// Serve starts a provider that takes each message, refuses those to the recipients in refused as invalid, and ends with the
	// test. Its connections have Key for a secret.
	Serve func(t *testing.T, refused map[string]bool) provider.Connection

	// Down returns a connection to nowhere.
	Down func(t *testing.T) provider.Connection

	// Locked starts a provider that does not accept Key.
	Locked func(t *testing.T) provider.Connection

	// Content returns what the messages of the suite carry.
	Content func() *mail.Content
}

// RunSilent runs the parts of the suite that such a provider can have.
func RunSilent(t *testing.T, s Silent) {
	t.Helper()
	p := parties{s.New, s.Serve, s.Content}
	for name, test := range map[string]func(*testing.T){
		"Capabilities":   s.testCapabilities,
		"SendInOrder":    p.sendInOrder,
		"SendConcurrent": p.sendConcurrent,
		"SendNothing": func(t *testing.T) {
			if outcomes := s.New(t).Send(t.Context(), s.Down(t), nil); len(outcomes) != 0 {
				t.Errorf("%d outcomes for no message", len(outcomes))
			}
		},
		"Down": func(t *testing.T) {
			p.send(t, t.Context(), s.Down(t), provider.Transient)
		},
		"Locked": func(t *testing.T) {
			p.send(t, t.Context(), s.Locked(t), provider.Account)
		},
		"Cancelled": func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			p.sendUnmade(t, ctx)
		},
		"Late": func(t *testing.T) {
			p.sendUnmade(t, provider.WithWatch(t.Context(), provider.Watch{Until: time.Now().Add(-time.Second), Now: time.Now,
				Asked: func() { t.Error("something left") }, Heard: func() {}}))
		},
		"Setup":  s.testSetup,
		"Silent": s.testSilent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// send sends a batch, all of which comes to one class.
func (p parties) send(t *testing.T, ctx context.Context, conn provider.Connection, want provider.Class) []provider.Outcome {
	t.Helper()
	adapter := p.adapter(t)
	batch := p.batch(t, min(3, adapter.Capabilities().BatchSize))
	outcomes := adapter.Send(ctx, conn, batch)
	sound(t, outcomes, batch)
	all(t, outcomes, want)
	return outcomes
}

// sendUnmade sends when nothing may leave, which the provider is not to be blamed for.
func (p parties) sendUnmade(t *testing.T, ctx context.Context) {
	t.Helper()
	for i, o := range p.send(t, ctx, p.serve(t, nil), provider.Transient) {
		if !o.Unsent {
			t.Errorf("outcome %d blames the provider: %+v", i, o)
		}
	}
}

func (s Silent) testCapabilities(t *testing.T) {
	c := s.New(t).Capabilities()
	if c.BatchSize < 1 || c.CanLookup || !c.Silent {
		t.Errorf("%+v", c)
	}
	if err := s.New(t).CanCarry(s.Content(), provider.Terms{}); err != nil {
		t.Errorf("CanCarry refuses the suite's own content: %v", err)
	}
}

func (s Silent) testSetup(t *testing.T) {
	adapter := s.New(t)
	if err := adapter.Check(t.Context(), s.Serve(t, nil)); err != nil {
		t.Errorf("a good connection: %v", err)
	}
	for name, tc := range map[string]struct {
		conn  provider.Connection
		retry bool
	}{"down": {s.Down(t), true}, "locked": {s.Locked(t), false}} {
		err := adapter.Check(t.Context(), tc.conn)
		refusal, ok := errors.AsType[*provider.SetupError](err)
		if !ok || refusal.Code == "" || refusal.Message == "" || refusal.Retry != tc.retry {
			t.Errorf("%s: %#v; want words and Retry %t", name, err, tc.retry)
			continue
		}
		secretless(t, name, err)
	}
}

// testSilent: there is nothing to register, to read back or to believe.
func (s Silent) testSilent(t *testing.T) {
	adapter, ctx := s.New(t), t.Context()
	conn := s.Serve(t, nil)
	ids := []mail.ID{newID(t)}
	if _, err := adapter.Lookup(ctx, conn, ids, time.Now()); err == nil {
		t.Error("Lookup without an error means that the provider does not have the message")
	}
	yield := func([]provider.Report) error { t.Error("a report"); return nil }
	for name, read := range map[string]func() ([]string, error){
		"History": func() ([]string, error) { return adapter.History(ctx, conn, provider.Past{Open: open, Yield: yield}) },
		"Fates":   func() ([]string, error) { return adapter.Fates(ctx, conn, []provider.Sent{{ID: ids[0]}}, yield) },
	} {
		if missing, err := read(); err != nil || len(missing) == 0 {
			t.Errorf("%s: missing %q, %v; want words", name, missing, err)
		}
	}
	if streams, err := adapter.Streams(ctx, conn); err != nil || len(streams) != 0 {
		t.Errorf("Streams: %v, %v", streams, err)
	}
	if ref, changed, err := adapter.Register(ctx, conn, provider.Hook{}); ref != "" || changed || err != nil {
		t.Errorf("Register: %q, %t, %v", ref, changed, err)
	}
	if err := adapter.Unregister(ctx, conn, provider.Hook{}); err != nil {
		t.Errorf("Unregister: %v", err)
	}
	r := http.Request{Header: make(http.Header)}
	r.SetBasicAuth("postyard", "password")
	hook := provider.Hook{Credentials: provider.Credentials{Username: "postyard", Password: secret.NewString("password")}}
	if authentic, err := adapter.Authentic(ctx, conn, hook, provider.Delivery{Header: r.Header}); authentic || err != nil {
		t.Errorf("a webhook is believed: %t, %v", authentic, err)
	}
	for _, body := range []string{"", "null", "[]", "{}", "<html>", "\x00\xff", strings.Repeat(`{"a":`, 20_000)} {
		if reports, err := adapter.Parse(http.Header{}, []byte(body)); err == nil {
			t.Errorf("Parse(%.20q) = %d reports without an error", body, len(reports))
		}
	}
}
