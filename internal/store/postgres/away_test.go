package postgres

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	"postyard/internal/mail"
	"postyard/internal/store"
	"postyard/internal/store/postgres/pgtest"
)

// operations are one of every kind.
func (w *world) operations(db *DB) map[string]func(context.Context) error {
	egress := w.tpsp.Egress()
	return map[string]func(context.Context) error{
		"accept": func(ctx context.Context) error {
			batch, _ := w.submissions(1)
			return db.Accept(ctx, batch)
		},
		"receive": func(ctx context.Context) error {
			return db.Receive(ctx, []store.Receipt{{AccountID: w.account.ID, TPSPID: w.tpsp.ID, Body: []byte("{}"), ReceivedAt: time.Now()}})
		},
		"claim": func(ctx context.Context) error {
			_, err := db.Claim(ctx, store.Claim{Egress: egress + 1, Limit: 1, Owner: "o", Now: time.Now()})
			return err
		},
		"next due": func(ctx context.Context) error { _, err := db.NextDue(ctx, egress); return err },
		"recover": func(ctx context.Context) error {
			_, err := db.Recover(ctx, store.Recovery{Now: time.Unix(1, 0)})
			return err
		},
		"events": func(ctx context.Context) error {
			_, err := db.Events(ctx, store.EventFilter{AccountID: w.account.ID, Limit: 1})
			return err
		},
		"entries": func(ctx context.Context) error {
			_, err := db.Entries(ctx, w.account.ID, mail.ID{}, 1)
			return err
		},
		"lease":     func(ctx context.Context) error { _, err := db.Lease(ctx, "l", "h", time.Second); return err },
		"directory": func(ctx context.Context) error { _, err := db.LoadDirectory(ctx); return err },
		"revision":  func(ctx context.Context) error { _, err := db.DirectoryRevision(ctx); return err },
	}
}

// wantAway runs all operations at once: each has to say in time that the store is away.
func (w *world) wantAway(db *DB, within time.Duration) {
	w.Helper()
	var running sync.WaitGroup
	for name, run := range w.operations(db) {
		running.Go(func() {
			began := time.Now()
			err := run(w.Context())
			if took := time.Since(began); !errors.Is(err, store.ErrUnavailable) || took > within {
				w.Errorf("%s: %v after %s", name, err, took)
			}
		})
	}
	running.Wait()
}

// wantBack runs all operations until they work.
func (w *world) wantBack(db *DB) {
	w.Helper()
	for name, run := range w.operations(db) {
		for end := time.Now().Add(30 * time.Second); ; {
			err := run(w.Context())
			if err == nil {
				break
			}
			if !errors.Is(err, store.ErrUnavailable) || time.Now().After(end) {
				w.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// behindProxy opens the database through a wire that can fail.
func (w *world) behindProxy(t *testing.T) (*DB, *proxy) {
	t.Helper()
	u, err := url.Parse(w.url)
	w.must(err)
	wire := startProxy(t, u.Host)
	u.Host = wire.address()
	return open(t, u.String(), "far"), wire
}

func TestTheWireIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db, wire := w.behindProxy(t)
	w.wantBack(db)
	before := db.clock.offset.Load()
	wire.cut()
	w.wantAway(db, 10*time.Second)
	if err := db.clock.measure(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the clock was measured: %v", err)
	}
	if after := db.clock.offset.Load(); after != before {
		t.Errorf("the clock went from %d to %d while the database was away", before, after)
	}
	wire.pass()
	w.wantBack(db)
}

// Wherever in a node's start the database goes away, the node learns that it is away, and may try again.
func TestTheWireIsCutAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u, err := url.Parse(w.url)
	w.must(err)
	wire := startProxy(t, u.Host)
	u.Host = wire.address()
	for n := 1; ; n += 3 {
		wire.cutAfter(n)
		db, err := Open(t.Context(), Config{URL: u.String(), Node: "late", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			w.must(db.Close())
			if n < 20 {
				t.Errorf("it started with %d pieces: is this test blind?", n)
			}
			return
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("cut after %d pieces: %v", n, err)
		}
		wire.pass()
	}
}

func TestTheWireHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db, wire := w.behindProxy(t)
	w.wantBack(db)
	wire.hang()
	w.wantAway(db, 12*time.Second)
	wire.pass()
	w.wantBack(db)
	w.wantBooks()
}

func TestTheServerRestarts(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t)
	w := newWorldAt(t, server.Database(t))
	ids := w.accept(10)
	w.wantBack(w.db)
	w.must(server.Restart())
	for _, run := range w.operations(w.db) { // stale connections are replaced unseen
		w.must(run(t.Context()))
	}
	w.must(server.Kill())
	w.wantAway(w.db, 10*time.Second)
	w.must(server.Start())
	w.wantBack(w.db)
	for _, id := range ids {
		w.message(id)
	}
	w.must(server.Stop())
	if _, err := Open(t.Context(), Config{URL: w.url, Node: "two", Now: time.Now, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("opened a database that is away: %v", err)
	}
	w.must(server.Start())
}

// A caller that hangs up before its turn leaves nothing behind, and gets its own error.
func TestTheCallerHangsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cause := errors.New("hung up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	batch, ids := w.submissions(1)
	if err := w.db.Accept(ctx, batch); !errors.Is(err, cause) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("accept: %v", err)
	}
	if _, err := w.db.Message(t.Context(), w.account.ID, ids[0]); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the message: %v", err)
	}
	if _, err := w.db.Events(ctx, store.EventFilter{AccountID: 1, Limit: 1}); !errors.Is(err, cause) {
		t.Errorf("events: %v", err)
	}
	running, hangUp := context.WithCancel(t.Context())
	batch[0].Messages[0].Plan = func(plan func(uint64) store.Planned) func(uint64) store.Planned {
		return func(seq uint64) store.Planned { hangUp(); return plan(seq) }
	}(batch[0].Messages[0].Plan)
	w.must(w.db.Accept(running, batch)) // what has begun is seen through
	w.message(ids[0])
}

func TestAPanicInATransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	batch, _ := w.submissions(1)
	batch[0].Messages[0].Plan = func(uint64) store.Planned { panic("no plan") }
	if err := w.db.Accept(t.Context(), batch); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("accept: %v", err)
	}
	w.accept(1)
}

func TestBacklogWhileAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db, wire := w.behindProxy(t)
	wire.cut()
	if _, err := db.Backlog(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("never counted, and away: %v", err)
	}
	wire.pass()
	w.accept(3)
	n, err := db.Backlog(t.Context())
	w.must(err)
	w.accept(2)
	again, err := db.Backlog(t.Context())
	w.must(err)
	if n != 3 || again != 3 {
		t.Errorf("backlog %d, then %d: it is counted once a second at most", n, again)
	}
	db.backlog.last.Load().next = time.Time{}
	if n, err = db.Backlog(t.Context()); err != nil || n != 5 {
		t.Errorf("backlog %d after a while (%v)", n, err)
	}
	db.backlog.last.Load().next = time.Time{}
	wire.cut()
	if n, err = db.Backlog(t.Context()); err != nil || n != 5 {
		t.Errorf("backlog %d while away (%v)", n, err)
	}
}
