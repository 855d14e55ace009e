// Package datadir is the data directory of a server: one process at a time has it, and it gives the server a name that
// stays the same over restarts.
package datadir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

const (
	lockName = "postyard.lock"
	nodeName = "node.id"
)

// Dir is a data directory that this process has.
type Dir struct {
	path string
	lock *os.File
}

// Take creates the directory with mode 0700 when it is missing, and takes it for this process. It fails when another
// process has it. The kernel gives it back however the process ends.
func Take(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open data directory: another process has %s open", path)
	}
	return &Dir{path: path, lock: f}, nil
}

// Close gives the directory back.
func (d *Dir) Close() error { return d.lock.Close() }

// node is what a name looks like: it goes into the claims of messages.
var node = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Node returns the name of this server among those that share a database. It is made on the first start. Nothing is lost
// with it: a server with a new name waits for the claims of its old one to end, as for those of any other.
func (d *Dir) Node() (string, error) {
	path := filepath.Join(d.path, nodeName)
	raw, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(raw)); err == nil && node.MatchString(name) {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the node's name: %w", err)
	}
	name := rand.Text()
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("name the node: %w", err)
	}
	return name, nil
}
