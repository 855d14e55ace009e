// Package journal keeps what must survive a crash of the sandbox: an append-only file of JSON lines, read back on start.
//
// Append returns after the write system call, so that a killed process loses nothing it acknowledged; a machine that loses
// power may lose the last seconds, because the file is not fsynced. A last line without its end is what a kill leaves behind: it
// was never acknowledged and is cut off on Open. A broken line before the last one is an error, because then something else has
// written to the file.
//
// One process at a time owns a journal; Open takes a lock on the file.
package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// maxLine is the longest line in bytes that Open reads: a message of Postmark's size limit plus its envelope.
const maxLine = 64 << 20

// Journal is an open file; a nil Journal keeps nothing. It is safe for concurrent use.
type Journal struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// Open opens or creates the file at path, hands every complete line to replay in order, and is then ready to append. The line
// is only valid during the call. An error of replay ends Open, unless it is about an incomplete last line.
func Open(path string, replay func(line []byte) error) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	good, err := load(file, path, replay)
	if err == nil {
		err = prepare(file, good)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %s: %w", path, err), file.Close())
	}
	return &Journal{path: path, file: file}, nil
}

// load returns the offset up to which the file is whole.
func load(file *os.File, path string, replay func([]byte) error) (good int64, err error) {
	if err := lock(file); err != nil {
		return 0, err
	}
	if err := inPlace(file, path); err != nil {
		return 0, err
	}
	r := bufio.NewReaderSize(file, 1<<20)
	var long []byte
	for number := 1; ; {
		part, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if long = append(long, part...); len(long) > maxLine {
				return 0, fmt.Errorf("line %d is longer than %d bytes", number, maxLine)
			}
			continue
		case errors.Is(err, io.EOF):
			return good, nil
		case err != nil:
			return 0, err
		}
		line := part
		if len(long) > 0 {
			line = append(long, part...)
		}
		if err := replay(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return 0, fmt.Errorf("line %d: %w", number, err)
		}
		good += int64(len(line))
		long = long[:0]
		number++
	}
}

// inPlace tells whether the file is still the one at path: the process that had it may have replaced it.
func inPlace(file *os.File, path string) error {
	mine, err := file.Stat()
	if err != nil {
		return err
	}
	current, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(mine, current) {
		return ErrLocked
	}
	return nil
}

func prepare(file *os.File, end int64) error {
	if err := file.Truncate(end); err != nil {
		return err
	}
	_, err := file.Seek(end, io.SeekStart)
	return err
}

// Append writes whole lines, each of which ends in a newline, in one system call. After an error the journal is closed for good,
// because what follows half a line could not be read back.
func (j *Journal) Append(lines []byte) error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(lines); err != nil {
		err = errors.Join(err, j.file.Close())
		return fmt.Errorf("journal: append: %w", err)
	}
	return nil
}

// Replace puts whole lines, or nothing, in place of all that is in the file. A kill leaves either the old lines or the new ones.
func (j *Journal) Replace(lines []byte) error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Stat(); err != nil { // closed
		return fmt.Errorf("journal: replace: %w", err)
	}
	fresh, err := draft(j.path+draftSuffix, lines)
	if err == nil {
		j.file, err = swap(j.file, fresh, j.path)
	}
	if err != nil {
		return fmt.Errorf("journal: replace: %w", err)
	}
	return nil
}

// draftSuffix names the file that is about to become the journal; one that a kill left behind is written over.
const draftSuffix = ".new"

// draft returns a new file with the lines, owned by this process.
func draft(path string, lines []byte) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err = lock(file); err == nil {
		_, err = file.Write(lines)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Close closes the file. Appending afterwards is an error.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("journal: close: %w", err)
	}
	return nil
}
