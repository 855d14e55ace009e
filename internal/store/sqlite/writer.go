package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// rank orders the work that waits for the writer.
type rank int

const (
	accepting rank = iota // clients wait for these
	settling              // outcomes and webhooks
	claiming
	rest // configuration, sweeps; each has a transaction of its own
	ranks
)

// writer owns the only writing connection. Its goroutine does one job after another, always one of the lowest rank first;
// within a rank they are done in the order in which they came.
type writer struct {
	*connection
	checkpoints
	labels engine.LabelBook // of the writer's goroutine
	jobs   [ranks]chan *job
	quit   chan struct{}
	done   chan struct{}
	once   sync.Once

	suppressing atomic.Bool // there are suppressions, or were
}

// job is a piece of work: one part of a transaction (run), or something else with the connection (other).
type job struct {
	ctx   context.Context
	rank  rank
	run   func(*tx) error // may run more than once; only the last time counts
	other func() error
	err   chan error
}

func startWriter(ctx context.Context, dsn string) (*writer, error) {
	conn, err := connect(ctx, dsn)
	if err != nil {
		return nil, failed("open writing connection", err)
	}
	w := &writer{connection: conn, checkpoints: checkpoints{every: checkpointEvery}, quit: make(chan struct{}), done: make(chan struct{})}
	for i := range w.jobs {
		w.jobs[i] = make(chan *job)
	}
	go w.loop()
	return w, nil
}

// stop lets the running transaction end and refuses those that wait. A spoilt connection stays open: the end of the last one would be
// a checkpoint.
func (w *writer) stop() error {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	if w.spoilt != nil {
		return w.spoilt
	}
	return w.close()
}

// write runs one transaction on the writer, or its part of one, and returns when it is durable. A caller whose context ends
// before its turn leaves nothing behind; once the transaction runs, it is seen through.
func (db *DB) write(ctx context.Context, r rank, run func(*tx) error) error {
	return db.writer.do(&job{ctx: ctx, rank: r, run: run})
}

// checkpoint moves the whole write-ahead log into the database and empties it.
func (db *DB) checkpoint(ctx context.Context) error {
	return db.writer.do(&job{ctx: ctx, rank: rest, other: func() error {
		return db.writer.checkpoint("TRUNCATE")
	}})
}

// do has the writer do a job when its turn comes.
func (w *writer) do(j *job) error {
	j.err = make(chan error, 1)
	select {
	case w.jobs[j.rank] <- j:
	case <-j.ctx.Done():
		return context.Cause(j.ctx)
	case <-w.quit:
		return fmt.Errorf("%w: closing", store.ErrUnavailable)
	}
	return <-j.err
}

func (w *writer) loop() {
	defer close(w.done)
	for {
		j := w.next()
		switch {
		case j == nil:
			return
		case j.rank == rest:
			w.single(j)
		default:
			w.share(j)
			select {
			case j := <-w.jobs[rest]: // traffic that never ends does not keep it out
				w.single(j)
			default:
			}
		}
	}
}

// single does a job that shares nothing.
func (w *writer) single(j *job) {
	switch {
	case j.given():
	case j.other != nil:
		j.err <- j.other()
	default:
		j.err <- w.alone(j)
	}
}

// given tells whether the caller has given up, and lets it go.
func (j *job) given() bool {
	if j.ctx.Err() == nil {
		return false
	}
	j.err <- context.Cause(j.ctx)
	return true
}

// next takes the waiting job of the lowest rank; nil means stop.
func (w *writer) next() *job {
	if j := w.waiting(ranks); j != nil {
		return j
	}
	select {
	case j := <-w.jobs[accepting]:
		return j
	case j := <-w.jobs[settling]:
		return j
	case j := <-w.jobs[claiming]:
		return j
	case j := <-w.jobs[rest]:
		return j
	case <-w.quit:
		return nil
	}
}

// waiting takes a job that waits, of the lowest rank that is below a limit; nil when none does.
func (w *writer) waiting(below rank) *job {
	for _, jobs := range w.jobs[:below] {
		select {
		case j := <-jobs:
			return j
		default:
		}
	}
	return nil
}

// shareFor is for how long a transaction takes further jobs in. A commit costs as much as twenty messages, and every page that
// several jobs change is written once.
const shareFor = 3 * time.Millisecond

// share does a job, and those that wait meanwhile, in one transaction. When one of them fails, each gets one of its own.
func (w *writer) share(first *job) {
	if first.given() {
		return
	}
	jobs := []*job{first}
	err := w.transact(func(t *tx) error { return w.fill(t, &jobs) })
	if len(jobs) > 1 && err != nil {
		for _, j := range jobs {
			j.err <- w.alone(j)
		}
		return
	}
	for _, j := range jobs {
		j.err <- err
	}
}

// fill does the first job, then one of each other rank, so that none is kept out, then whatever waits, for as long as it may.
func (w *writer) fill(t *tx, jobs *[]*job) error {
	began := time.Now()
	first := (*jobs)[0]
	if err := t.do(first); err != nil {
		return err
	}
	take := func(j *job) error {
		if j.given() {
			return nil
		}
		*jobs = append(*jobs, j)
		return t.do(j)
	}
	for r := range rest {
		if r == first.rank {
			continue
		}
		select {
		case j := <-w.jobs[r]:
			if err := take(j); err != nil {
				return err
			}
		default:
		}
	}
	for time.Since(began) < shareFor {
		j := w.waiting(rest)
		if j == nil {
			return nil
		}
		if err := take(j); err != nil {
			return err
		}
	}
	return nil
}

// alone does a job in a transaction of its own.
func (w *writer) alone(j *job) error {
	return w.transact(func(t *tx) error { return t.do(j) })
}

// transact runs one transaction. It is durable when the error is nil, and undone otherwise.
func (w *writer) transact(run func(*tx) error) error {
	if err := w.run("BEGIN IMMEDIATE"); err != nil {
		return failed("begin", err)
	}
	w.labels.Trim()
	t := &tx{writer: w}
	err := t.attempt(run)
	if err == nil {
		err = failed("commit", w.run("COMMIT"))
	}
	if err != nil {
		w.labels.Forget()     // those that were not stored
		_ = w.run("ROLLBACK") // SQLite may have rolled back by itself
		return err
	}
	for _, f := range t.committed {
		f()
	}
	w.shorten()
	return nil
}

// attempt does what belongs into the transaction. A panic is an error like any other.
func (t *tx) attempt(run func(*tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("transaction panicked: %v", p)
		}
	}()
	if err := run(t); err != nil {
		return err
	}
	return t.flush()
}

// tx is one running transaction. What it knows of egresses and pools holds for all its jobs: what changes these has a
// transaction of its own.
type tx struct {
	writer     *writer
	events     []any // values of eventRows
	counters   map[counterKey]int64
	firsts     map[counterKey]int64
	facets     map[facetKey]*store.Sum
	labels     []any                  // values of labelRows
	egresses   map[route.Egress]error // what inUse found
	priorities map[int32]int          // of pools
	foreseen   map[mail.ID]*stored    // not asked for yet
	forgotten  []any                  // ids of receipts
	suppressed []store.Suppression    // by reports and answers
	committed  []func()
}

// do does a job.
func (t *tx) do(j *job) error {
	t.foreseen = nil
	return j.run(t)
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
