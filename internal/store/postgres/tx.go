package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"postyard/internal/store"
)

// tries is how often a transaction is run that lost against another one, or found its connection broken.
const tries = 4

// write runs one transaction and returns when it is durable. A caller whose context ends before it has a connection leaves
// nothing behind; once the transaction runs, it is seen through, for as long as writeTime allows. It may be run again, so run
// must not keep anything from an earlier time.
func (db *DB) write(ctx context.Context, pool *pgxpool.Pool, op string, run func(*tx) error) error {
	end := time.Now().Add(writeTime)
	for try := 1; ; try++ {
		t := &tx{}
		err := t.transact(ctx, pool, end, run)
		switch {
		case err == nil:
			return nil
		case t.conn == nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case try == tries || time.Now().After(end):
			return failed(op, err)
		case t.lost(err) || hasCode(err, deadlockDetected, serializationFailure):
		default:
			return failed(op, err)
		}
	}
}

// lost tells whether the transaction ended with its connection, for sure, so that a new connection may do: the server was
// restarted while the connection was idle. A server that says farewell before it answers anything has done nothing.
func (t *tx) lost(err error) bool {
	return t.broken && (!t.committing || !t.begun && hasCode(err, adminShutdown, crashShutdown))
}

// tx is one transaction. Statements are queued and travel together with flush: at the latest at the end, with the events
// and the commit. So what a statement returns is there after the next flush, and the journal's door is open for as long as
// the server needs, and no longer.
type tx struct {
	conn       *pgxpool.Conn
	ctx        context.Context
	queue      *pgx.Batch
	sent       bool // anything was
	begun      bool // the server has answered
	committing bool
	broken     bool // the connection
	journal    journal
	suppressed []store.Suppression // by reports and answers
	held       withholding
}

func (t *tx) transact(ctx context.Context, pool *pgxpool.Pool, end time.Time, run func(*tx) error) (err error) {
	if t.conn, err = acquire(ctx, pool); err != nil {
		return err
	}
	defer t.conn.Release() // closes the connection when the transaction is still open
	var cancel context.CancelFunc
	t.ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), end)
	defer cancel()
	t.queue = &pgx.Batch{}
	t.queue.Queue(`begin`).Exec(func(pgconn.CommandTag) error { t.begun = true; return nil })
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("transaction panicked: %v", p)
		}
		if err != nil {
			err = t.abandon(pool, err)
		}
	}()
	if err := run(t); err != nil {
		return err
	}
	return t.commit()
}

// acquire takes a connection out of a pool.
func acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	waiting, cancel := context.WithTimeout(ctx, acquireTime)
	defer cancel()
	conn, err := pool.Acquire(waiting)
	if err != nil {
		return nil, unavailable(err)
	}
	return conn, nil
}

// abandon rolls back. When the connection is broken, the others of the pool are as well, most likely.
func (t *tx) abandon(pool *pgxpool.Pool, err error) error {
	if t.sent && !t.conn.Conn().IsClosed() {
		_, _ = t.conn.Exec(t.ctx, `rollback`) // if it fails, the connection is closed
	}
	if !t.conn.Conn().IsClosed() {
		return err
	}
	t.broken = true
	pool.Reset()
	return unavailable(err)
}

func (t *tx) commit() error {
	if !t.sent && t.queue.Len() == 1 { // begin
		return nil
	}
	t.writeSuppressions()
	t.journal.write(t)
	t.committing = true
	t.queue.Queue(`commit`).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return errors.New("the server rolled back")
		}
		return nil
	})
	return t.flush()
}

// flush sends what is queued and waits for the answers.
func (t *tx) flush() error {
	queue := t.queue
	t.queue = &pgx.Batch{}
	if queue.Len() == 0 {
		return nil
	}
	t.sent = true
	return t.conn.SendBatch(t.ctx, queue).Close()
}

// exec queues a statement.
func (t *tx) exec(sql string, args ...any) { t.queue.Queue(sql, args...) }

// count queues a statement and counts the rows that it touches.
func (t *tx) count(n *int, sql string, args ...any) {
	*n = 0
	t.queue.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
		*n = int(tag.RowsAffected())
		return nil
	})
}

// row queues a query of one row. Without one, dest stays as it is.
func (t *tx) row(dest []any, sql string, args ...any) {
	t.each(func(rows pgx.Rows) error { return rows.Scan(dest...) }, sql, args...)
}

// each queues a query and calls scan for every row.
func (t *tx) each(scan func(pgx.Rows) error, sql string, args ...any) {
	t.queue.Queue(sql, args...).Query(func(rows pgx.Rows) error { return scanAll(rows, scan) })
}

func scanAll(rows pgx.Rows, scan func(pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// read runs queries on one connection, for as long as ctx and queryTime allow. It may run them again, so run must not keep
// anything from an earlier time.
func read(ctx context.Context, pool *pgxpool.Pool, op string, run func(context.Context, *pgx.Conn) error) error {
	bounded, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	for try := 1; ; try++ {
		broken, err := readOnce(bounded, pool, run)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !broken || try == tries || bounded.Err() != nil:
			return failed(op, err)
		}
	}
}

func readOnce(ctx context.Context, pool *pgxpool.Pool, run func(context.Context, *pgx.Conn) error) (broken bool, err error) {
	conn, err := acquire(ctx, pool)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	if err = run(ctx, conn.Conn()); err != nil && conn.Conn().IsClosed() {
		if ctx.Err() == nil {
			pool.Reset()
		}
		return true, unavailable(err)
	}
	return false, err
}

// list reads all rows of a query.
func list[T any](ctx context.Context, pool *pgxpool.Pool, op string, scan func(pgx.Rows) (T, error), sql string, args ...any) (all []T, err error) {
	err = read(ctx, pool, op, func(ctx context.Context, conn *pgx.Conn) error {
		all = nil
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		return scanAll(rows, func(rows pgx.Rows) error {
			item, err := scan(rows)
			all = append(all, item)
			return err
		})
	})
	return all, err
}

// one reads a single row; found is false when there is none.
func one(ctx context.Context, pool *pgxpool.Pool, op string, dest []any, sql string, args ...any) (found bool, err error) {
	err = read(ctx, pool, op, func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, sql, args...).Scan(dest...)
		found = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return found, err
}

// snapshot runs queries that see the same moment.
func snapshot(ctx context.Context, pool *pgxpool.Pool, op string, ask func(*tx)) error {
	return read(ctx, pool, op, func(ctx context.Context, conn *pgx.Conn) error {
		t := &tx{queue: &pgx.Batch{}}
		t.exec(`begin isolation level repeatable read read only`)
		ask(t)
		t.exec(`commit`)
		return conn.SendBatch(ctx, t.queue).Close()
	})
}

// column takes one column out of rows, as unnest wants it.
func column[R, V any](rows []R, value func(*R) V) []V {
	values := make([]V, len(rows))
	for i := range rows {
		values[i] = value(&rows[i])
	}
	return values
}
