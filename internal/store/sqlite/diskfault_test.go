package sqlite

import (
	"errors"
	"math/rand/v2"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"postyard/internal/store/sqlite/disktest"
)

// TestDiskFaults: a store on a disk that fails now and then refuses, and never acknowledges what may be lost. When the trouble
// is over it works again by itself, with nothing in it of what it refused, and a power loss at any moment loses nothing.
func TestDiskFaults(t *testing.T) {
	t.Parallel()
	forSeeds(t, func(t *testing.T, seed uint64) {
		l := newWorkload(t, seed)
		l.faults = true
		l.run(80)
		l.faults = false
		l.look()
		l.accept()
		l.look()
		l.must(l.close())
		if err := l.losePower(cuts); err != nil {
			t.Error(err)
		}
	})
}

// TestTroubleIsTold: while the disk refuses, every operation says that the store is unavailable; none says that it is done.
func TestTroubleIsTold(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]disktest.Fault{
		"full":         always(disktest.Write, sqlite3.SQLITE_FULL),
		"cannot write": always(disktest.Write, sqlite3.SQLITE_IOERR_WRITE),
		"cannot sync":  always(disktest.Sync, sqlite3.SQLITE_IOERR_FSYNC),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newWorkload(t, 1)
			l.run(0)
			l.accept()
			l.claim()
			l.receive()
			operations := []func(){l.accept, l.receive, func() { l.settle(1) }, l.ingest, l.claim}
			l.accept()
			l.faults = true
			l.disk.Fail(fault)
			for _, f := range operations {
				f()
			}
			if l.denied != len(operations) {
				t.Errorf("refused %d of %d", l.denied, len(operations))
			}
			l.faults = false
			l.disk.Fail(nil)
			l.look()
			for _, f := range operations {
				f()
			}
			l.look()
			l.must(l.close())
		})
	}
}

// TestRefusedThenOpened: a commit that was refused because the log could not be synced is still in the kernel's memory when
// the next process reads the log. It must be on disk before anything is written behind it, and syncing it is not enough.
func TestRefusedThenOpened(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seeds uint64
		loses bool
	}{
		"renewed": {seeds, false},
		"synced":  {100, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err error
			for seed := uint64(0); seed < c.seeds && err == nil; seed++ {
				l := newWorkload(t, seed)
				if c.loses {
					l.files.open = func(path string) (file, error) {
						f, err := l.disk.OpenFile(path)
						return onlySynced{f}, err
					}
				}
				l.run(0)
				l.accept()
				l.faults = true
				l.disk.Fail(always(disktest.Sync, sqlite3.SQLITE_IOERR_FSYNC))
				l.accept()
				if l.denied != 1 {
					t.Fatal("not refused")
				}
				_ = l.close() // it cannot sync either, and leaves the log
				l.disk.Fail(nil)
				l.faults = false
				l.start()
				l.receive()
				err = l.losePower(5)
				l.must(l.close())
			}
			if errors.Is(err, errLost) != c.loses {
				t.Errorf("lost: %v", err)
			}
		})
	}
}

// TestSpoiltCheckpoint: the disk refuses to sync the database file in a checkpoint that ends what readers had cut short. The engine makes no
// other one, whoever asks, until the next process does all of it anew. SQLite's own checkpoints would go on, and lose pages.
func TestSpoiltCheckpoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seeds uint64
		loses bool
	}{
		"ours":     {seeds, false},
		"SQLite's": {100, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err error
			for seed := uint64(0); seed < c.seeds && err == nil; seed++ {
				l := newWorkload(t, seed)
				l.every = 1 << 30 // none but those below
				l.run(0)
				var told []error
				l.must(l.db.OnSpoilt(l.ctx(), func(err error) { told = append(told, err) }))
				move := func() (err error) {
					l.must(l.db.writer.do(&job{ctx: l.ctx(), rank: rest, other: func() error {
						if c.loses {
							_ = l.db.writer.run("PRAGMA wal_checkpoint(PASSIVE)") // SQLite does not tell
						} else {
							err = l.db.writer.checkpoint("PASSIVE")
						}
						return nil
					}}))
					return err
				}
				l.accept()
				l.hold()
				l.accept()
				l.must(move()) // as far as the reader lets it
				l.release()
				l.disk.Fail(fileSync)
				for range 2 {
					if err := move(); errors.Is(err, ErrSpoilt) == c.loses {
						t.Fatalf("the checkpoint says %v", err)
					}
					l.disk.Fail(nil)
				}
				l.accept()
				l.accept()
				l.must(l.close())
				if !c.loses {
					if len(told) != 1 {
						t.Errorf("told %v", told)
					}
					l.start()
					l.accept()
					l.must(l.db.checkpoint(l.ctx()))
					l.must(l.close())
				}
				err = l.losePower(20)
			}
			if (err != nil) != c.loses {
				t.Errorf("lost: %v", err)
			}
		})
	}
}

// onlySynced is a file of which nothing is written anew.
type onlySynced struct{ file }

func (onlySynced) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

// look compares the running store with what it acknowledged.
func (l *workload) look() {
	l.t.Helper()
	w, err := observe(l.ctx(), l.db)
	if err == nil {
		err = l.history.undone(w)
	}
	l.must(err)
}

func always(kind disktest.Kind, code int32) disktest.Fault {
	return func(k disktest.Kind, _ string) int32 {
		if k == kind {
			return code
		}
		return 0
	}
}

// fileSync fails the syncs of the database file, which checkpoints make.
func fileSync(kind disktest.Kind, name string) int32 {
	if kind == disktest.Sync && name == fileName {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	return 0
}

// trouble invents what is wrong with the disk from now on; half of the time nothing is.
func (l *workload) trouble() disktest.Fault {
	faults := []disktest.Fault{
		always(disktest.Write, sqlite3.SQLITE_FULL),
		always(disktest.Write, sqlite3.SQLITE_IOERR_WRITE),
		always(disktest.Sync, sqlite3.SQLITE_IOERR_FSYNC),
		fileSync,
		always(disktest.Truncate, sqlite3.SQLITE_IOERR_TRUNCATE),
		always(disktest.Delete, sqlite3.SQLITE_IOERR_DELETE),
	}
	i := l.rng.IntN(2 * len(faults))
	if i >= len(faults) {
		return nil
	}
	share := []float64{0.05, 0.5, 1}[l.rng.IntN(3)]
	rng := rand.New(rand.NewPCG(l.rng.Uint64(), 0))
	return func(k disktest.Kind, name string) int32 {
		if rng.Float64() < share {
			return faults[i](k, name)
		}
		return 0
	}
}
