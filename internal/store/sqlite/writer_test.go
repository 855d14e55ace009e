package sqlite

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"postyard/internal/store"
)

// TestSharedTransactions has several jobs wait while the writer is busy. They share a transaction; one that fails, panics or is
// given up leaves nothing behind, and takes nobody with it.
func TestSharedTransactions(t *testing.T) {
	t.Parallel()
	const jobs, bad = 4, 2
	given, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context // of the bad one
		end  func() error    // of the bad one, after it has written
		want string          // in the bad one's error; empty: it succeeds
	}{
		"all are well":     {t.Context(), func() error { return nil }, ""},
		"one fails":        {t.Context(), func() error { return store.ErrNotFound }, store.ErrNotFound.Error()},
		"one panics":       {t.Context(), func() error { panic("no luck") }, "no luck"},
		"one was given up": {given, func() error { return nil }, context.Canceled.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := Open(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}()
			var told []int
			list := make([]*job, jobs)
			for i := range list {
				list[i] = &job{ctx: t.Context(), rank: accepting, err: make(chan error, 1), run: func(t *tx) error {
					_, err := t.exec(`INSERT INTO template_mirror (tpsp_id, synced_at, revision) VALUES (?, 0, 0)`, i)
					t.onCommit(func() { told = append(told, i) })
					if i == bad {
						return errors.Join(err, c.end())
					}
					return err
				}}
			}
			list[bad].ctx = c.ctx
			share(t, db, list)
			wanted := jobs
			for i, j := range list {
				err := <-j.err
				switch {
				case i == bad && c.want != "":
					wanted--
					if err == nil || !strings.Contains(err.Error(), c.want) {
						t.Errorf("the bad one: %v", err)
					}
				case err != nil:
					t.Errorf("job %d: %v", i, err)
				}
			}
			var rows int
			if err := db.readPool.QueryRowContext(t.Context(), `SELECT count(*) FROM template_mirror`).Scan(&rows); err != nil || rows != wanted || len(told) != wanted {
				t.Errorf("%d rows, %v told of their commit, want %d (%v)", rows, told, wanted, err)
			}
		})
	}
}

// TestSharingIsFair: a job that takes long does not keep those of other ranks out, whoever comes after it.
func TestSharingIsFair(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	list := make([]*job, 4)
	for i, r := range []rank{accepting, accepting, settling, claiming} {
		list[i] = &job{ctx: t.Context(), rank: r, err: make(chan error, 1), run: func(*tx) error {
			time.Sleep(shareFor) // the time that is shared is over after the first
			return nil
		}}
	}
	onWriter(t, db, list, func(w *writer) { w.share(list[0]) })
	for i, want := range []bool{true, false, true, true} {
		if done := len(list[i].err) == 1; done != want {
			t.Errorf("job %d of rank %d: done is %t", i, list[i].rank, done)
		}
	}
}

// TestTransactionCannotBegin: whoever waits for a transaction that could not begin is told so.
func TestTransactionCannotBegin(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	only := &job{ctx: t.Context(), rank: accepting, err: make(chan error, 1), run: func(*tx) error { return nil }}
	onWriter(t, db, []*job{only}, func(w *writer) {
		if err := w.run("BEGIN IMMEDIATE"); err != nil { // one inside of another is refused
			t.Error(err)
		}
		w.share(only)
	})
	select {
	case err := <-only.err:
		if err == nil {
			t.Error("no error")
		}
	default:
		t.Error("nobody was told")
	}
}

// share has the writer find jobs that wait when it takes the first.
func share(t *testing.T, db *DB, list []*job) {
	t.Helper()
	onWriter(t, db, list, func(w *writer) {
		for j := list[0]; j != nil; j = w.waiting(rest) {
			w.share(j)
		}
	})
}

// onWriter does something as the writer, while all jobs but the first wait.
func onWriter(t *testing.T, db *DB, list []*job, do func(*writer)) {
	t.Helper()
	if err := db.writer.do(&job{ctx: t.Context(), rank: rest, other: func() error {
		w := &writer{connection: db.writer.connection}
		for r := range w.jobs {
			w.jobs[r] = make(chan *job, len(list))
		}
		for _, j := range list[1:] {
			w.jobs[j.rank] <- j
		}
		do(w)
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
}
