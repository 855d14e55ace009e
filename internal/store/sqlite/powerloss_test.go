package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postyard/internal/store/sqlite/disktest"
)

// TestPowerLoss: whatever the disk makes of the writes that were not synced when the power goes, everything that was
// acknowledged is there, and an operation under way is there whole or not at all.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	forSeeds(t, func(t *testing.T, seed uint64) {
		l := newWorkload(t, seed)
		l.run(60)
		l.must(l.close())
		if l.checkpoints() == 0 {
			t.Error("no checkpoint: the workload does not test them")
		}
		if err := l.losePower(cuts); err != nil {
			t.Error(err)
		}
	})
}

// checkpoints counts those that ran inside of operations.
func (l *workload) checkpoints() (n int) {
	h := history{world: newWorld()}
	for _, o := range l.disk.Log(0) {
		h.read(o)
		if o.Kind == disktest.Sync && o.Name == fileName && h.current != nil {
			n++
		}
	}
	return n
}

// TestPowerLossIsFound: an engine that syncs too little loses mail in these tests. With NORMAL, SQLite syncs for checkpoints
// only: what was acknowledged is lost, and the database stays consistent. With OFF, it breaks as well.
func TestPowerLossIsFound(t *testing.T) {
	t.Parallel()
	for level, breaks := range map[string]bool{"NORMAL": false, "OFF": true} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			lost, broken := 0, 0
			for seed := uint64(0); seed < 30 && (lost == 0 || breaks && broken == 0); seed++ {
				l := newWorkload(t, seed)
				l.pragmas += "PRAGMA synchronous = " + level
				l.run(30)
				l.must(l.close())
				for range cuts { // one by one: the first that loses mail would hide those that break the database
					switch err := l.losePower(1); {
					case errors.Is(err, errLost):
						lost++
					case err != nil:
						broken++
					}
				}
			}
			if lost == 0 || breaks != (broken > 0) {
				t.Errorf("lost mail %d times, broke the database %d times", lost, broken)
			}
		})
	}
}

// forSeeds runs a test that does things at random, by seeds that its name tells.
func forSeeds(t *testing.T, test func(t *testing.T, seed uint64)) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			test(t, seed)
		})
	}
}

// losePower cuts the power about n times in what the disk has gone through, and opens what is left. Half of the cuts are where
// it matters most: right after an acknowledgement. Then life goes on, and now and then the power is lost again.
func (l *workload) losePower(n int) error { return l.losePowerAfter(history{world: newWorld()}, 0, n) }

// losePowerAfter begins with what was known before the log, and leaves alone its first operations.
func (l *workload) losePowerAfter(h history, first, n int) error {
	log := l.disk.Log(0)
	acknowledgements := 0
	for _, o := range log {
		if o.Mark == (acknowledged{}) {
			acknowledgements++
		}
	}
	p := disktest.NewPlatter(l.rng)
	for i, o := range log {
		p.Apply(o)
		h.read(o)
		cut := l.rng.IntN(2*len(log)) < n
		if o.Mark == (acknowledged{}) {
			cut = l.rng.IntN(2*acknowledgements) < n
		}
		if !cut || i < first {
			continue
		}
		if err := l.liveOn(h, p.PowerLoss(), n > 1 && l.rng.IntN(4) == 0); err != nil {
			return fmt.Errorf("power lost after operation %d of the disk: %w\n%s", i, err, before(log[:i+1]))
		}
	}
	return nil
}

// liveOn opens what a power loss has left.
func (l *workload) liveOn(h history, left map[string][]byte, again bool) error {
	next := *l
	next.use(disktest.New(l.t))
	next.dir, next.history, next.jobs, next.faults = l.t.TempDir(), h, nil, false
	next.made += 1000 // names of its own
	if err := next.disk.Put(next.dir, left); err != nil {
		return err
	}
	next.seen = len(next.disk.Log(0))
	first := next.seen
	if err := next.open(); err != nil {
		return err
	}
	if next.history.world.TPSPs > 0 {
		next.accept()
		next.receive()
	}
	err := next.close()
	if err == nil && again {
		err = next.losePowerAfter(h, first, 1)
	}
	return err
}

// before describes the end of a log.
func before(log []disktest.Op) string {
	var lines []string
	for _, o := range log[max(0, len(log)-60):] {
		lines = append(lines, o.String())
	}
	return strings.Join(lines, "\n")
}

// TestDisk: the disk sees everything that is written to the files.
func TestDisk(t *testing.T) {
	t.Parallel()
	l := newWorkload(t, 1)
	l.run(50)
	p := disktest.NewPlatter(rand.New(rand.NewPCG(0, 0)))
	for _, o := range l.disk.Log(0) {
		p.Apply(o)
	}
	for name, want := range p.Seen() {
		if got, err := os.ReadFile(filepath.Join(l.dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, recorded %d (%v)", name, len(got), len(want), err)
		}
	}
	l.must(l.close())
}
