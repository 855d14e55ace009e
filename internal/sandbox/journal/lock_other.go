//go:build !unix

package journal

import (
	"errors"
	"os"
)

// ErrLocked is returned by Open when another process has the journal open, on systems that can tell.
var ErrLocked = errors.New("another process uses this data directory")

// swap makes fresh the file at path and returns it open; the old file is closed first, as some systems rename no open file. After
// an error the journal is closed for good.
func swap(old, fresh *os.File, path string) (*os.File, error) {
	if err := errors.Join(old.Close(), fresh.Close()); err != nil {
		return old, err
	}
	if err := os.Rename(fresh.Name(), path); err != nil {
		return old, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return old, err
	}
	return file, nil
}

func lock(*os.File) error { return nil }
