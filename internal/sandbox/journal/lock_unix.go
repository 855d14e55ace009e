//go:build unix

package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrLocked is returned by Open when another process has the journal open.
var ErrLocked = errors.New("another process uses this data directory")

// swap makes fresh the file at path and returns it; the old file is closed. After an error the old one is still in place.
func swap(old, fresh *os.File, path string) (*os.File, error) {
	if err := os.Rename(fresh.Name(), path); err != nil {
		return old, errors.Join(err, fresh.Close())
	}
	_ = old.Close() // nothing is written to it any more
	return fresh, nil
}

func lock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}
