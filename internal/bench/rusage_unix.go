//go:build unix

package bench

import (
	"os"
	"runtime"
	"syscall"
)

// peakAfter returns the largest resident set that an ended process had, in bytes.
func peakAfter(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss // bytes there, kilobytes elsewhere
	}
	return usage.Maxrss << 10
}
