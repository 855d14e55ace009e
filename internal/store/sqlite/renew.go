package sqlite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// file is an open file, past SQLite.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
}

func openFile(path string) (file, error) { return os.OpenFile(path, os.O_RDWR, 0) }

// renew writes a log that a former process left behind anew, with the bytes that are in it, and syncs it.
//
// When a sync fails, the kernel goes on to show what it could not write, and never tries again. SQLite would find a commit
// that was refused for that reason in the log, and put behind it what is acknowledged next. The sync of that would succeed,
// but not bring the lost part back, and after a power loss the log would end there. Within one process there is no such
// danger: the next commit is written over the one that failed.
func (by files) renew(path string) error {
	f, err := by.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.Join(rewrite(f), f.Close())
	}
	if err != nil {
		return fmt.Errorf("renew %s: %w", path, err)
	}
	return nil
}

func rewrite(f file) error {
	buf := make([]byte, 1<<20)
	for offset := int64(0); ; {
		n, err := f.ReadAt(buf, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return f.Sync()
		}
		if _, err := f.WriteAt(buf[:n], offset); err != nil {
			return err
		}
		offset += int64(n)
	}
}
