package dispatch

import (
	"context"
	"log/slog"
	"maps"
	"testing"
	"time"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

// openStore opens the real store in a directory of the test's.
func openStore(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlitetest.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// A node stands still during a call for longer than its claim holds, and others take the message over. When it wakes it
// writes nothing, and what it knows counts only when it proves that the provider has the message.
func TestANodeThatWakesTooLate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		written bool // when it fell asleep
		outcome provider.Outcome
		state   lifecycle.State
		class   provider.Class
	}{
		"before it writes":   {false, provider.Outcome{}, lifecycle.Unknown, provider.Transient},
		"with an acceptance": {true, provider.Outcome{Class: provider.Accepted, ProviderMessageID: "pm-1"}, lifecycle.Sent, provider.Accepted},
		"with a refusal":     {true, provider.Outcome{Class: provider.Rejected, Text: "no"}, lifecycle.Unknown, provider.Rejected},
		"with a failure":     {true, provider.Outcome{Class: provider.Transient, HTTPStatus: 503}, lifecycle.Unknown, provider.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, openStore(t), "acme")
			d := w.dispatcher(t)
			wrote := 0
			d.Providers = provider.Registry{provider.Postmark: postmark{lookup: nothing, sender: sender{send: func(ctx context.Context, batch []provider.Outgoing) []provider.Outcome {
				if test.written {
					wrote++
				}
				w.now = w.now.Add(d.CallTimeout + leaseMargin)
				if err := d.sweepOnce(ctx, w.now); err != nil {
					t.Error(err)
				}
				if err := provider.Leaving(ctx); err != nil && !test.written {
					return same(len(batch), provider.Outcome{Class: provider.Transient, Unsent: true, Text: err.Error()})
				}
				return same(len(batch), test.outcome)
			}}}}
			w.submit(t, 1, w.plan(0))
			r := newRunner(d, w.houses[0].egress)
			lease := r.lease(w.now)
			claimed, err := w.db.Claim(t.Context(), store.Claim{Egress: r.egress, Limit: 1, Owner: d.owner, Now: w.now, LeaseUntil: lease})
			must(t, err)
			r.call(t.Context(), d.Directory.Current().AnyTPSP(r.egress.TPSPID()), claimed.Jobs, &flight{until: lease.Add(-leaseMargin), now: d.Now, line: &r.line})
			entries, err := w.db.Entries(t.Context(), w.account, mail.ID{}, 10)
			must(t, err)
			e := entries[0]
			if e.State != test.state || len(e.Calls) != 1 || e.Calls[0].Class != test.class || e.Calls[0].Finished.IsZero() || test.written != (wrote == 1) {
				t.Errorf("%s after %d writes: %+v", e.State, wrote, e.Calls)
			}
		})
	}
}

// dispatcher works on the world's store and by its clock.
func (w *world) dispatcher(t *testing.T) *Dispatcher {
	t.Helper()
	d, err := directory.Open(t.Context(), w.db)
	must(t, err)
	return New(Config{Store: w.db, Directory: d, Connections: connections{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
		Jitter: func() float64 { return 0.5 }, Node: "n", Run: "1", Rules: modelRules, BatchSize: 10, Concurrency: 1, CallTimeout: modelTimeout, TTL: time.Hour})
}

// What waits for a provider that was deleted goes to another one of its plan, rather to one in use, and is dropped when there is
// none. An outage moves it as well, and what has nowhere to go stays.
func TestMessagesMoveOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openStore(t), "acme")
	d := w.dispatcher(t)
	first, second := w.houses[0].egress, w.houses[1].egress
	w.submit(t, 2, w.plan(1)) // the second one only
	w.submit(t, 3, w.plan(2)) // the second one, then the first
	r := newRunner(d, second)
	at := func() map[route.Egress]int {
		t.Helper()
		n := map[route.Egress]int{}
		for _, id := range w.ids {
			m, err := w.db.Message(t.Context(), w.account, id)
			must(t, err)
			if m.State == lifecycle.Dropped {
				m.Egress = 0
			}
			n[m.Egress]++
		}
		return n
	}
	move := func(pass func(context.Context, *directory.TPSP, time.Time) (bool, error), want map[route.Egress]int) {
		t.Helper()
		must(t, d.Directory.Reload(t.Context()))
		more, err := pass(t.Context(), d.Directory.Current().AnyTPSP(second.TPSPID()), w.now)
		must(t, err)
		if got := at(); more || !maps.Equal(got, want) {
			t.Errorf("they wait for %v, want %v (more: %t)", got, want, more)
		}
		w.now = w.now.Add(moveIdle)
	}
	evacuate := func(ctx context.Context, target *directory.TPSP, now time.Time) (bool, error) {
		return r.evacuate(ctx, target, "it is down", now)
	}
	stop := func(e route.Egress, stopped bool) {
		t.Helper()
		must(t, w.db.UpdateHealth(t.Context(), e.TPSPID(), directory.Health{Stopped: stopped, Reason: "down", Since: w.now}))
	}
	stop(first, true)
	move(evacuate, map[route.Egress]int{second: 5})
	stop(first, false)
	move(evacuate, map[route.Egress]int{second: 2, first: 3})
	w.submit(t, 1, w.plan(2))
	stop(first, true)
	must(t, w.db.DeleteTPSP(t.Context(), w.account, second.TPSPID(), true, w.now))
	move(r.abandon, map[route.Egress]int{0: 2, first: 4})
}
