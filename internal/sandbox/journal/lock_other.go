//go:build !unix

package journal

import (
	"errors"
	"os"
)

// ErrLocked is returned by Open when another process has the journal open, on systems that can tell.
var ErrLocked = errors.New("another process uses this data directory")

func lock(*os.File) error { return nil }
