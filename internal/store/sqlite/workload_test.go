package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/sqlite/disktest"
)

// workload drives a store at random, and keeps a model of what it was told is durable.
type workload struct {
	t       testing.TB
	rng     *rand.Rand
	disk    *disktest.Disk
	dir     string
	every   int    // pages between checkpoints
	pragmas string // of the writing connection, after the engine's own
	db      *DB
	history history
	seen    int // operations of the disk that are in the history
	account directory.Account
	sub     directory.SubAccount
	tpsp    directory.TPSP
	pool    route.Pool
	now     time.Time
	jobs    []store.Job // claimed and not settled
	reader  *sql.Tx     // keeps the log from being reused
	made    int         // names that were given
	files   files       // by way of the disk
	faults  bool        // the store may refuse
	denied  int         // how often it did
}

// newWorkload prepares one in a new directory. Checkpoints come often, and sometimes the cache is so small that pages of a
// transaction are in the log before it ends.
func newWorkload(t testing.TB, seed uint64) *workload {
	rng := rand.New(rand.NewPCG(seed, 0))
	pages := []int{3, 10, 25, 50}
	l := &workload{t: t, rng: rng, dir: t.TempDir(), now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC),
		every: pages[rng.IntN(len(pages))], history: history{world: newWorld()}}
	l.use(disktest.New(t))
	if rng.IntN(3) == 0 {
		l.pragmas += "PRAGMA cache_size = 5; PRAGMA cache_spill = 1;"
	}
	return l
}

// use puts the store on a disk.
func (l *workload) use(d *disktest.Disk) {
	l.disk, l.seen = d, 0
	l.files = files{vfs: d.VFS(), open: func(path string) (file, error) { return d.OpenFile(path) }}
}

func (l *workload) ctx() context.Context { return context.Background() }

func (l *workload) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// mark writes into the log of the disk, and reads that as the one who looks for losses will.
func (l *workload) mark(v any) {
	l.disk.Mark(v)
	for _, o := range l.disk.Log(l.seen) {
		l.history.read(o)
		l.seen++
	}
}

// open opens the store and looks whether it holds what it must.
func (l *workload) open() error {
	db, err := open(l.ctx(), l.dir, l.files)
	if err != nil {
		return err
	}
	if err := db.writer.do(&job{ctx: l.ctx(), rank: rest, other: func() error {
		db.writer.every = l.every
		return db.writer.run(l.pragmas)
	}}); err != nil {
		return errors.Join(err, db.Close())
	}
	found, err := observe(l.ctx(), db)
	if err == nil {
		found, err = l.history.match(found)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", errWrong, err), db.Close())
	}
	l.db = db
	l.mark(opened{found})
	return nil
}

// errWrong tells that a store can be opened and does not hold what it must.
var errWrong = errors.New("the store is wrong")

func (l *workload) close() error {
	l.release()
	err := l.db.Close()
	if errors.Is(err, ErrSpoilt) {
		l.die()
		err = nil
	}
	l.db = nil
	return err
}

// die makes the end of the process out of a store that was left open: its files, as they are in the kernel's memory, are found by the next one
// in a directory that has no locks.
func (l *workload) die() {
	left, dir := l.db, l.t.TempDir()
	for _, name := range []string{fileName, fileName + "-wal"} {
		seen, err := os.ReadFile(filepath.Join(l.dir, name))
		l.must(err)
		l.must(os.WriteFile(filepath.Join(dir, name), seen, 0o600))
	}
	l.dir = dir
	l.t.Cleanup(func() {
		_ = errors.Join(left.writer.close(), left.readPool.Close(), left.workPool.Close(), left.dir.Close())
	})
}

// do runs one operation of the store. It must do what it says or refuse; only a disk in trouble is a reason to refuse.
func (l *workload) do(name string, apply func(*world), op func() error) bool {
	l.t.Helper()
	l.mark(began{&step{name, apply}})
	err := op()
	if err == nil {
		l.mark(acknowledged{})
		return true
	}
	if !l.faults || !errors.Is(err, store.ErrUnavailable) {
		l.t.Fatalf("%s: %v", name, err)
	}
	l.denied++
	l.mark(refused{})
	return false
}

func (l *workload) world() *world { return &l.history.world }

func (l *workload) name(prefix string) string {
	l.made++
	return fmt.Sprintf("%s%d", prefix, l.made)
}

// configure makes an account with a provider.
func (l *workload) configure() {
	l.account = directory.Account{Name: "a", KeyHash: directory.KeyHash{1}, SealedKey: []byte("k"), Created: l.now}
	l.sub = directory.SubAccount{Name: "s", KeyHash: directory.KeyHash{2}, SealedKey: []byte("k"), Created: l.now}
	l.do("create account", func(w *world) { w.Accounts++ }, func() error { return l.db.CreateAccount(l.ctx(), &l.account, &l.sub) })
	l.tpsp = directory.TPSP{AccountID: l.account.ID, Name: "p", Type: provider.Postmark, SealedKey: []byte("k"), Created: l.now}
	l.pool = route.Pool{Name: "pool", Created: l.now}
	l.do("create provider", func(w *world) { w.TPSPs++ }, func() error { return l.db.CreateTPSP(l.ctx(), &l.tpsp, &l.pool) })
}

// run opens the store and does n things at random, on a disk in trouble when there may be faults.
func (l *workload) run(n int) {
	if l.faults {
		l.disk.Fail(l.trouble())
	}
	l.start()
	l.disk.Fail(nil)
	l.configure()
	for range n {
		if l.faults && l.rng.IntN(6) == 0 {
			l.disk.Fail(l.trouble())
		}
		l.act()
	}
	l.disk.Fail(nil)
}

// start opens the store. When the disk is in trouble it may fail, and must not when the trouble is over.
func (l *workload) start() {
	err := l.open()
	if err != nil && l.faults && !errors.Is(err, errWrong) {
		l.disk.Fail(nil)
		err = l.open()
	}
	l.must(err)
}

// act does something at random.
func (l *workload) act() {
	l.now = l.now.Add(time.Millisecond)
	switch n := l.rng.IntN(100); {
	case n < 25:
		l.accept()
	case n < 35:
		l.claim()
	case n < 40:
		l.ask()
	case n < 60:
		l.settle(l.rng.IntN(len(l.jobs) + 1))
	case n < 72:
		l.receive()
	case n < 86:
		l.ingest()
	case n < 90:
		value := l.name("key")
		l.do("set key check", func(w *world) { w.KeyCheck = cmp.Or(w.KeyCheck, value) }, func() error { return l.db.SetKeyCheck(l.ctx(), []byte(value)) })
	case n < 94:
		if l.reader == nil { // else it would wait for the reader
			l.do("checkpoint", func(*world) {}, func() error { return l.db.checkpoint(l.ctx()) })
		}
	case n < 97:
		l.hold()
	default:
		if err := l.close(); !l.faults {
			l.must(err)
		}
		l.start()
	}
}

// hold makes a reader stay where it is, or lets it go.
func (l *workload) hold() {
	if l.reader != nil {
		l.release()
		return
	}
	reader, err := l.db.readPool.BeginTx(l.ctx(), nil)
	l.must(err)
	l.reader = reader
	var n int
	l.must(reader.QueryRowContext(l.ctx(), `SELECT count(*) FROM event`).Scan(&n))
}

func (l *workload) release() {
	if l.reader != nil {
		_ = l.reader.Rollback()
		l.reader = nil
	}
}
