package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// A node that knows of no suppressions minds the first one that another node makes.
func TestSuppressionsOfAnotherNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := open(t, w.url, "two")
	w.accept(2) // which finds none
	if held, err := w.db.Suppressed(t.Context(), []store.SuppressionKey{{SubAccountID: w.sub.ID, Email: customer(1)}}); err != nil || len(held) != 0 {
		t.Fatalf("fresh: %v, %v", held, err)
	}
	now := time.Now()
	_, err := other.Suppress(t.Context(), []store.Suppression{{AccountID: w.account.ID, SubAccountID: w.sub.ID, Email: customer(1), Since: now, Created: now}}, nil)
	w.must(err)
	if w.db.suppressing.some.Load() {
		t.Fatal("it is known already")
	}
	ids := w.accept(2)
	for i, want := range []lifecycle.State{lifecycle.Queued, lifecycle.Dropped} {
		m, err := w.db.Message(t.Context(), w.account.ID, ids[i])
		if w.must(err); m.State != want {
			t.Errorf("message %d is %s", i, m.State)
		}
	}
	w.db.suppressing.checked.Store(0) // a second has passed
	if held, err := w.db.Suppressed(t.Context(), []store.SuppressionKey{{SubAccountID: w.sub.ID, Email: customer(1)}}); err != nil || len(held) != 1 {
		t.Errorf("before the wire: %v, %v", held, err)
	}
	w.wantBooks()
}

// Reports, users, lists and pushes about the same addresses, from two nodes at once, wait for each other and not in a circle.
func TestSuppressionsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := []*DB{w.db, open(t, w.url, "two")}
	const n = 20
	ids := w.accept(n)
	w.send(w.db, n)
	var running sync.WaitGroup
	var mu sync.Mutex
	var failures []error
	each := func(what string, do func(db *DB, round int) error) {
		for i, db := range nodes {
			running.Go(func() {
				for round := range 10 {
					if err := do(db, 2*round+i); err != nil {
						mu.Lock()
						failures = append(failures, fmt.Errorf("%s: %w", what, err))
						mu.Unlock()
					}
				}
			})
		}
	}
	emails := make([]string, n)
	for i := range emails {
		emails[i] = customer((i * 7) % n) // in another order
	}
	push := []int32{w.tpsp.ID}
	each("reports", func(db *DB, round int) error {
		reports := reportsOf(ids, event.HardBounced)
		for i := range reports {
			reports[i].Suppresses, reports[i].Identity = true, fmt.Sprint(round)
		}
		_, err := db.Ingest(t.Context(), []store.Parsed{{Receipt: store.Receipt{AccountID: w.account.ID, TPSPID: w.tpsp.ID}, Reports: reports, Sent: 70, Now: time.Now()}})
		return err
	})
	each("users", func(db *DB, round int) error {
		var list []store.Suppression
		for _, email := range emails {
			list = append(list, store.Suppression{AccountID: w.account.ID, SubAccountID: w.sub.ID, Email: email, Since: time.Now(), Created: time.Now()})
		}
		_, err := db.Suppress(t.Context(), list, push)
		_, err2 := db.Reactivate(t.Context(), w.account.ID, w.sub.ID, emails[round%n:], time.Now(), push)
		return errors.Join(err, err2)
	})
	each("lists", func(db *DB, round int) error {
		c := store.ListChange{AccountID: w.account.ID, TPSPID: w.tpsp.ID, DefaultSubAccount: w.sub.ID, ReadAt: time.Now(), Now: time.Now(), Gone: emails[:round]}
		for _, email := range emails[round:] {
			c.Listed = append(c.Listed, provider.Listed{Email: email, At: time.Now()})
		}
		_, err := db.MirrorSuppressions(t.Context(), c)
		return err
	})
	each("pushes", func(db *DB, _ int) error {
		due, err := db.Pushes(t.Context(), w.tpsp.ID, time.Now(), 50)
		outcomes := make([]store.PushOutcome, len(due))
		for i := range due {
			outcomes[i] = store.PushOutcome{Push: due[i], Done: true, Mirror: true, At: time.Now()}
		}
		return errors.Join(err, db.Pushed(t.Context(), outcomes))
	})
	running.Wait()
	for _, err := range failures {
		t.Error(err)
	}
	w.wantBooks()
}

// What is forgotten is found by an index, among all that is suppressed.
func TestForgottenByIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.conn()
	w.exec(conn, `SET enable_seqscan = off`)
	rows, err := conn.Query(t.Context(), `EXPLAIN `+forgetReleased, engine.ForgottenAtOnce, int64(1))
	w.must(err)
	steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.must(err)
	if plan := strings.Join(steps, "\n"); !strings.Contains(plan, "suppression_released") {
		t.Error(plan)
	}
}
