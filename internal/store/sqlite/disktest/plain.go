package disktest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// File is a file that is opened past SQLite.
type File struct {
	*os.File
	file file
}

// OpenFile opens a file that exists.
func (d *Disk) OpenFile(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	return &File{File: f, file: file{disk: d, name: name, id: d.opened(name)}}, nil
}

// WriteAt implements io.WriterAt.
func (f *File) WriteAt(b []byte, offset int64) (int, error) {
	if code := f.file.disk.fails(Write, f.file.name); code != 0 {
		return 0, fmt.Errorf("write %s: code %d", f.file.name, code)
	}
	n, err := f.File.WriteAt(b, offset)
	f.file.record(Op{Kind: Write, Offset: offset, Data: bytes.Clone(b[:n])})
	return n, err
}

// Sync does not sync, as for SQLite.
func (f *File) Sync() error {
	if code := f.file.disk.fails(Sync, f.file.name); code != 0 {
		f.file.record(Op{Kind: FailSync})
		return fmt.Errorf("sync %s: code %d", f.file.name, code)
	}
	f.file.record(Op{Kind: Sync})
	return nil
}
