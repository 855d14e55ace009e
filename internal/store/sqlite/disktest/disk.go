// Package disktest is a disk for tests of the SQLite engine: it remembers what was written to it, loses what was not synced,
// and fails when it is told to.
//
// It stands where SQLite meets the operating system, as a VFS (https://sqlite.org/vfs.html). Calls are performed on real
// files, so that the engine runs as it always does, and those that change the database or its logs go into a log of their
// own. From that log a Platter makes the files as they may be found after a power loss. Killing a process shows none of
// that: what it wrote is in the kernel's memory, and stays there.
package disktest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// Kind is what was done to the disk.
type Kind uint8

// The kinds of operations. A Read is only asked for faults, and never in the log.
const (
	Create   Kind = iota // the directory got a name, of a new and empty file
	Delete               // the directory lost a name
	SyncDir              // the directory's names are on disk
	Write                // bytes of a file
	Truncate             // the size of a file
	Sync                 // a file's bytes and size are on disk
	FailSync             // a sync that failed: nobody knows what is on disk, and the kernel has forgotten what is not
	Mark                 // a word of the test
	Read
)

var kinds = [...]string{"create", "delete", "sync directory", "write", "truncate", "sync", "fail to sync", "mark", "read"}

// String returns the kind's name.
func (k Kind) String() string { return kinds[k] }

// Op is one operation.
type Op struct {
	Kind   Kind
	Name   string // of the file, without its directory
	File   int    // which file; a name that is deleted and made again is another one
	Offset int64  // where a Write begins, or the size that a Truncate leaves
	Data   []byte // what was written
	Mark   any
}

// String describes the operation for people.
func (o Op) String() string {
	switch o.Kind {
	case Mark:
		return fmt.Sprintf("mark %v", o.Mark)
	case Write:
		return fmt.Sprintf("write %s %d+%d", o.Name, o.Offset, len(o.Data))
	case Truncate:
		return fmt.Sprintf("truncate %s to %d", o.Name, o.Offset)
	default:
		return o.Kind.String() + " " + o.Name
	}
}

// Fault decides whether an operation fails: it returns a result code of SQLite, or 0 to let it pass. A Write that fails has
// written its first half.
type Fault func(k Kind, name string) (code int32)

// Disk records one directory.
type Disk struct {
	vfs
	mu    sync.Mutex
	log   []Op
	names map[string]int
	made  int
	fault Fault
}

// New returns a disk. Databases that are opened by it must be closed when the test ends.
func New(t testing.TB) *Disk {
	t.Helper()
	d := &Disk{names: map[string]int{}}
	if err := d.register(d); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.unregister(); err != nil {
			t.Error(err)
		}
		d.log = nil // package testing holds on to what a test cleans up
	})
	return d
}

// VFS returns the name to open databases by.
func (d *Disk) VFS() string { return d.name }

// Mark writes a word of the test into the log.
func (d *Disk) Mark(v any) { d.append(Op{Kind: Mark, Mark: v}) }

// Fail makes f decide which operations fail; nil lets all of them pass again.
func (d *Disk) Fail(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// Log returns what happened so far, from the first operation that is wanted.
func (d *Disk) Log(first int) []Op {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log[first:])
}

// Put writes files into the directory, synced.
func (d *Disk) Put(dir string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o600); err != nil {
			return err
		}
		id := d.opened(name)
		d.append(Op{Kind: Write, Name: name, File: id, Data: files[name]})
		d.append(Op{Kind: Sync, Name: name, File: id})
	}
	d.append(Op{Kind: SyncDir})
	return nil
}

// fails asks the fault. Files without a name are SQLite's temporary ones, which nobody expects to survive.
func (d *Disk) fails(k Kind, name string) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault == nil || name == "" {
		return 0
	}
	return d.fault(k, name)
}

func (d *Disk) append(o Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, o)
}

// opened returns the number of the file with that name, which is new when the directory has no such name.
func (d *Disk) opened(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.names[name]
	if !ok {
		d.made++
		id = d.made
		d.names[name] = id
		d.log = append(d.log, Op{Kind: Create, Name: name, File: id})
	}
	return id
}

func (d *Disk) deleted(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := filepath.Base(path)
	if id, ok := d.names[name]; ok {
		delete(d.names, name)
		d.log = append(d.log, Op{Kind: Delete, Name: name, File: id})
	}
}
