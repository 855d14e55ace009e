package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/postgres/pgtest"
)

func TestOneHolderOfALease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := open(t, w.url, "two")
	var winners atomic.Int64
	var running sync.WaitGroup
	for i := range 8 {
		db := []*DB{w.db, two}[i%2]
		running.Go(func() {
			ok, err := db.Lease(t.Context(), "sweep", fmt.Sprint("holder ", i), time.Hour)
			w.must(err)
			if ok {
				winners.Add(1)
			}
		})
	}
	running.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d holders", winners.Load())
	}
}

// A node whose clock is wrong goes by the database's.
func TestAClockThatIsOff(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-2 * time.Minute, 2 * time.Minute} {
		db, err := Open(t.Context(), Config{URL: pgtest.Database(t), Node: "one", Log: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return time.Now().Add(off) }})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if diff := time.Since(db.Now()).Abs(); diff > time.Second {
			t.Errorf("with a clock that is %s off, the time is %s off", off, diff)
		}
	}
}

// Nodes that start together on an empty database both find it ready.
func TestNodesStartTogether(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Empty(t, "")
	ids := make([]string, 3)
	var running sync.WaitGroup
	for i := range ids {
		running.Go(func() {
			db, err := Open(t.Context(), Config{URL: url, Node: fmt.Sprint(i), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = db.installation
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if ids[0] == "" || ids[0] != ids[1] || ids[0] != ids[2] {
		t.Errorf("installations %q", ids)
	}
}

// A provider is deleted while messages are accepted for it: either they are refused, or the deletion sees them.
func TestDeletionAndAcceptance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := open(t, w.url, "two")
	for range 10 {
		second := directory.TPSP{AccountID: w.account.ID, Name: "second", Type: provider.Postmark, Stream: "s", SealedKey: []byte("k")}
		pool := route.Pool{Name: "second"}
		w.must(w.db.CreateTPSP(t.Context(), &second, &pool))
		batch, _ := w.submissions(3)
		for i := range batch {
			m := &batch[i].Messages[0]
			m.Spread, m.PoolID = true, pool.ID
			m.Plan = func(uint64) store.Planned {
				return store.Planned{Plan: route.Plan{Egresses: []route.Egress{second.Egress()}}, Processed: 69}
			}
		}
		var accepted, deleted error
		var running sync.WaitGroup
		running.Go(func() { accepted = w.db.Accept(t.Context(), batch) })
		running.Go(func() { deleted = two.DeleteTPSP(t.Context(), w.account.ID, second.ID, false, time.Now()) })
		running.Wait()
		refused := errors.Is(accepted, store.ErrConflict) || errors.Is(accepted, store.ErrNotFound)
		if accepted != nil && !refused || deleted != nil && !errors.Is(deleted, store.ErrConflict) || refused == (deleted != nil) {
			t.Fatalf("accepted: %v, deleted: %v", accepted, deleted)
		}
		if deleted != nil {
			w.must(w.db.DeleteTPSP(t.Context(), w.account.ID, second.ID, true, time.Now()))
		}
	}
}
