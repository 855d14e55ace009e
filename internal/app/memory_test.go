package app

import (
	"context"
	"math"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int64{0: 128 << 20, 48 << 20: 128 << 20, 48<<20 + 1: 160 << 20, 300 << 20: 640 << 20} {
		if got := memoryLimit(live); got != want {
			t.Errorf("with %d bytes alive the limit is %d, want %d", live, got, want)
		}
	}
}

// What the environment says holds; else the collector is told.
func TestPaceCollector(t *testing.T) {
	growth, limit := debug.SetGCPercent(70), debug.SetMemoryLimit(-1)
	t.Cleanup(func() {
		debug.SetGCPercent(growth)
		debug.SetMemoryLimit(limit)
	})
	for _, c := range []struct {
		gogc, gomemlimit string
		growth           int
		limited          bool
	}{{"", "", heapGrowth, true}, {"50", "", 70, false}, {"", "1GiB", 70, false}} {
		t.Setenv("GOGC", c.gogc)
		t.Setenv("GOMEMLIMIT", c.gomemlimit)
		debug.SetGCPercent(70)
		debug.SetMemoryLimit(math.MaxInt64)
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); paceCollector(ctx) }()
			time.Sleep(3 * memoryEvery)
			stop()
			<-ended
		})
		if got, limit := debug.SetGCPercent(70), debug.SetMemoryLimit(-1); got != c.growth || (limit < math.MaxInt64) != c.limited {
			t.Errorf("%+v: the heap may grow by %d percent, up to %d bytes", c, got, limit)
		}
	}
}
