package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"

	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
)

// rank orders the transactions that wait for the writer.
type rank int

const (
	accepting rank = iota // clients wait for these
	settling              // outcomes and webhooks
	rest                  // claims, configuration, sweeps
	ranks
)

// writer owns the only writing connection. Its goroutine runs one transaction after another, always the one of the lowest
// rank first; within a rank they run in the order in which they came.
type writer struct {
	*connection
	jobs [ranks]chan *job
	quit chan struct{}
	done chan struct{}
	once sync.Once
}

type job struct {
	ctx context.Context
	run func() error
	err chan error
}

func startWriter(ctx context.Context, dsn string) (*writer, error) {
	conn, err := connect(ctx, dsn)
	if err != nil {
		return nil, failed("open writing connection", err)
	}
	w := &writer{connection: conn, quit: make(chan struct{}), done: make(chan struct{})}
	for i := range w.jobs {
		w.jobs[i] = make(chan *job)
	}
	go w.loop()
	return w, nil
}

// stop lets the running transaction end and refuses those that wait.
func (w *writer) stop() error {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	return w.close()
}

// write runs one transaction on the writer and returns when it is durable. A caller whose context ends before its turn
// leaves nothing behind; once the transaction runs, it is seen through.
func (db *DB) write(ctx context.Context, r rank, run func(*tx) error) error {
	return db.writer.do(ctx, r, func() error { return db.writer.transact(run) })
}

// checkpoint moves the whole write-ahead log into the database and empties it.
func (db *DB) checkpoint(ctx context.Context) error {
	return db.writer.do(ctx, rest, func() error {
		return failed("checkpoint", db.writer.run("PRAGMA wal_checkpoint(TRUNCATE)"))
	})
}

// do runs something on the writer when its turn comes.
func (w *writer) do(ctx context.Context, r rank, run func() error) error {
	j := &job{ctx: ctx, run: run, err: make(chan error, 1)}
	select {
	case w.jobs[r] <- j:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.quit:
		return fmt.Errorf("%w: closing", store.ErrUnavailable)
	}
	return <-j.err
}

func (w *writer) loop() {
	defer close(w.done)
	for {
		j := w.next()
		if j == nil {
			return
		}
		if j.ctx.Err() != nil {
			j.err <- context.Cause(j.ctx)
			continue
		}
		j.err <- j.run()
	}
}

// next takes the waiting job of the lowest rank; nil means stop.
func (w *writer) next() *job {
	for _, jobs := range w.jobs {
		select {
		case j := <-jobs:
			return j
		default:
		}
	}
	select {
	case j := <-w.jobs[accepting]:
		return j
	case j := <-w.jobs[settling]:
		return j
	case j := <-w.jobs[rest]:
		return j
	case <-w.quit:
		return nil
	}
}

func (w *writer) transact(run func(*tx) error) (err error) {
	if err := w.run("BEGIN IMMEDIATE"); err != nil {
		return failed("begin", err)
	}
	t := &tx{writer: w}
	defer func() {
		if p := recover(); p != nil {
			_ = w.run("ROLLBACK")
			err = fmt.Errorf("transaction panicked: %v", p)
		}
	}()
	err = run(t)
	if err == nil {
		err = t.flush()
	}
	if err == nil {
		if err = w.run("COMMIT"); err == nil {
			for _, f := range t.committed {
				f()
			}
			return nil
		}
		err = failed("commit", err)
	}
	_ = w.run("ROLLBACK") // SQLite may have rolled back by itself
	return err
}

// tx is one running transaction.
type tx struct {
	writer     *writer
	events     []any // values of eventRows
	counters   map[counterKey]int64
	egresses   map[route.Egress]error // what inUse found
	priorities map[int32]int          // of pools
	foreseen   map[mail.ID]*stored    // not asked for yet
	forgotten  []any                  // ids of receipts
	committed  []func()
}

// onCommit runs f after the transaction is durable.
func (t *tx) onCommit(f func()) { t.committed = append(t.committed, f) }

func (t *tx) exec(query string, args ...any) (driver.Result, error) {
	res, err := t.writer.exec(query, args)
	return res, failed("write", err)
}

// changed runs a statement and returns how many rows it touched.
func (t *tx) changed(query string, args ...any) (int64, error) {
	res, err := t.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// one reads a single row; found is false when there is none.
func (t *tx) one(dest []any, query string, args ...any) (found bool, err error) {
	err = t.writer.query(query, args, func(r *row) (more bool, err error) {
		found = true
		return false, r.Scan(dest...)
	})
	return found && err == nil, failed("read", err)
}

// each reads all rows, so that the caller may write while it looks at them.
func each[T any](t *tx, scan func(*row) (T, error), query string, args ...any) (list []T, err error) {
	err = t.writer.query(query, args, func(r *row) (more bool, err error) {
		item, err := scan(r)
		list = append(list, item)
		return true, err
	})
	if err != nil {
		return nil, failed("read rows", err)
	}
	return list, nil
}

func collect[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) (list []T, err error) {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, failed("read row", err)
		}
		list = append(list, item)
	}
	return list, failed("read rows", rows.Err())
}
