package disktest

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite is C, translated to Go: its structures are outside of Go's memory, its pointers are numbers, and a pointer to a
// function is the address of a Go function's value. The three functions below are all that this takes.

// at looks at a structure in C's memory.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// function turns a C function pointer into a Go function.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&struct{ p uintptr }{p})) }

// pointer turns a Go function into a C function pointer. The function must not capture anything: a closure could be moved.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) }

// The functions of a VFS that are called or replaced here.
type (
	openFunc   = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	deleteFunc = func(tls *libc.TLS, vfs, path uintptr, syncDir int32) int32
)

// vfs is the C side of a Disk: a copy of the operating system's VFS that opens and deletes files by way of the Disk.
type vfs struct {
	name string
	tls  *libc.TLS
	self uintptr // our sqlite3_vfs
	real uintptr // the operating system's
}

var (
	lastDisk atomic.Int64
	disks    sync.Map // pAppData of our sqlite3_vfs to *Disk
)

func (v *vfs) register(d *Disk) error {
	id := uintptr(lastDisk.Add(1))
	v.tls = libc.NewTLS()
	v.name = fmt.Sprintf("disktest%d", id)
	v.real = sqlite3.Xsqlite3_vfs_find(v.tls, 0)
	name, err := libc.CString(v.name)
	if err != nil {
		return err
	}
	v.self = libc.Xcalloc(v.tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	c := at[sqlite3.Tsqlite3_vfs](v.self)
	*c = *at[sqlite3.Tsqlite3_vfs](v.real)
	c.FzName, c.FpAppData, c.FpNext = name, id, 0
	c.FszOsFile += ahead
	c.FxOpen, c.FxDelete = pointer[openFunc](openFile), pointer[deleteFunc](deleteFile)
	disks.Store(id, d)
	if rc := sqlite3.Xsqlite3_vfs_register(v.tls, v.self, 0); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("register the disk with SQLite: code %d", rc)
	}
	return nil
}

func (v *vfs) unregister() error {
	rc := sqlite3.Xsqlite3_vfs_unregister(v.tls, v.self)
	if rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("unregister the disk: code %d", rc)
	}
	c := at[sqlite3.Tsqlite3_vfs](v.self)
	disks.Delete(c.FpAppData)
	libc.Xfree(v.tls, c.FzName)
	libc.Xfree(v.tls, v.self)
	v.tls.Close()
	return nil
}

func diskOf(vfs uintptr) *Disk {
	d, _ := disks.Load(at[sqlite3.Tsqlite3_vfs](vfs).FpAppData)
	return d.(*Disk)
}

// openFile is xOpen.
func openFile(tls *libc.TLS, vfs, name, p uintptr, flags int32, outFlags uintptr) int32 {
	const recorded = sqlite3.SQLITE_OPEN_MAIN_DB | sqlite3.SQLITE_OPEN_WAL | sqlite3.SQLITE_OPEN_MAIN_JOURNAL | sqlite3.SQLITE_OPEN_SUPER_JOURNAL
	d := diskOf(vfs)
	f := &file{disk: d, real: p + ahead}
	if name != 0 && flags&recorded != 0 {
		f.name = filepath.Base(libc.GoString(name))
	}
	at[sqlite3.Tsqlite3_file](p).FpMethods = 0 // tells SQLite that there is nothing to close
	if code := d.fails(Create, f.name); code != 0 {
		return code
	}
	if rc := function[openFunc](at[sqlite3.Tsqlite3_vfs](d.real).FxOpen)(tls, d.real, name, f.real, flags, outFlags); rc != sqlite3.SQLITE_OK {
		return rc
	}
	if f.name != "" {
		f.id = d.opened(f.name)
		// As the operating system's VFS does: the first sync of a log that may be new takes the directory along.
		f.syncDir = flags&sqlite3.SQLITE_OPEN_CREATE != 0 && flags&sqlite3.SQLITE_OPEN_MAIN_DB == 0
	}
	files.Store(p, f)
	at[sqlite3.Tsqlite3_file](p).FpMethods = uintptr(unsafe.Pointer(&methods))
	return sqlite3.SQLITE_OK
}

// deleteFile is xDelete.
func deleteFile(tls *libc.TLS, vfs, path uintptr, syncDir int32) int32 {
	d := diskOf(vfs)
	if code := d.fails(Delete, filepath.Base(libc.GoString(path))); code != 0 {
		return code
	}
	rc := function[deleteFunc](at[sqlite3.Tsqlite3_vfs](d.real).FxDelete)(tls, d.real, path, syncDir)
	if rc == sqlite3.SQLITE_OK {
		d.deleted(libc.GoString(path))
		if syncDir&1 != 0 {
			d.append(Op{Kind: SyncDir})
		}
	}
	return rc
}
