package app

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// disk watches the free space under the data directory. It looks at most once a second.
type disk struct {
	dir   string
	least uint64
	now   func() time.Time

	mu   sync.Mutex
	next time.Time
	err  error
}

func newDisk(dir string, least int64, now func() time.Time) *disk {
	return &disk{dir: dir, least: uint64(max(least, 0)), now: now}
}

// room says why nothing may be written just now, or nil.
func (d *disk) room() error {
	if d.least == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.now(); !now.Before(d.next) {
		d.next, d.err = now.Add(time.Second), d.look()
	}
	return d.err
}

func (d *disk) look() error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &fs); err != nil {
		return fmt.Errorf("the free disk space cannot be read: %w", err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < d.least {
		return fmt.Errorf("the disk is nearly full: %d MiB are free, %d MiB are kept", free>>20, d.least>>20)
	}
	return nil
}

// fsyncTime measures how long the disk takes to make a small write durable: the median of a few tries.
func fsyncTime(dir string) (median time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".fsync-*")
	if err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer func() { _ = f.Close() }()
	var took [5]time.Duration
	for i := range took {
		began := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took[:])
	return took[2], nil
}
