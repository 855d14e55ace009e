package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go's collector runs whenever the heap has doubled. Ours is small and much is thrown away, so it would run dozens of times a second under
// load. It may grow to five times what lives as long as that is little; what lives is never allowed less than its double.
const (
	heapGrowth  = 400         // percent
	easyMemory  = 128 << 20   // bytes that Go may use without being sparing, see debug.SetMemoryLimit
	besideHeap  = 32 << 20    // bytes for stacks, and for what the runtime needs itself
	memoryEvery = time.Second // how often it is looked at
)

// paceCollector tells Go's collector how sparing it is to be, and goes on doing so until ctx ends. It leaves it alone when the environment gives GOGC or GOMEMLIMIT.
func paceCollector(ctx context.Context) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if os.Getenv(name) != "" {
			return
		}
	}
	debug.SetGCPercent(heapGrowth)
	debug.SetMemoryLimit(easyMemory)
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for limit := int64(easyMemory); ; {
		metrics.Read(sample)
		if next := memoryLimit(sample[0].Value.Uint64()); next != limit {
			limit = next
			debug.SetMemoryLimit(limit)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// memoryLimit is how much Go may use when so many bytes were alive last. It moves in steps, because every change stops the world.
func memoryLimit(live uint64) int64 {
	const step = 32 << 20
	return max(easyMemory, (int64(live)*2+besideHeap+step-1)/step*step)
}
