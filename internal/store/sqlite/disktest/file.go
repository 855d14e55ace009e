package disktest

import (
	"bytes"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// ahead is the room for our sqlite3_file in front of the operating system's one, which follows in the same memory.
const ahead = 16

// file is an open file.
type file struct {
	disk    *Disk
	name    string // "" when it is not recorded
	id      int
	real    uintptr // the operating system's sqlite3_file
	syncDir bool    // the next sync takes the directory along
}

var files sync.Map // sqlite3_file to *file

func fileOf(p uintptr) *file {
	f, _ := files.Load(p)
	return f.(*file)
}

func (f *file) methods() *sqlite3.Tsqlite3_io_methods {
	return at[sqlite3.Tsqlite3_io_methods](at[sqlite3.Tsqlite3_file](f.real).FpMethods)
}

func (f *file) record(o Op) {
	if f.name != "" {
		o.Name, o.File = f.name, f.id
		f.disk.append(o)
	}
}

// The functions of sqlite3_io_methods, by what they take.
type (
	plainFunc  = func(tls *libc.TLS, p uintptr) int32
	moveFunc   = func(tls *libc.TLS, p, buf uintptr, n int32, offset int64) int32 // xRead and xWrite
	sizeFunc   = func(tls *libc.TLS, p uintptr, size int64) int32
	intFunc    = func(tls *libc.TLS, p uintptr, v int32) int32
	outFunc    = func(tls *libc.TLS, p, out uintptr) int32
	ctlFunc    = func(tls *libc.TLS, p uintptr, op int32, arg uintptr) int32
	mapFunc    = func(tls *libc.TLS, p uintptr, page, size, extend int32, out uintptr) int32
	lockFunc   = func(tls *libc.TLS, p uintptr, offset, n, flags int32) int32
	voidFunc   = func(tls *libc.TLS, p uintptr)
	fetchFunc  = func(tls *libc.TLS, p uintptr, offset int64, n int32, out uintptr) int32
	returnFunc = func(tls *libc.TLS, p uintptr, offset int64, page uintptr) int32
)

var methods = sqlite3.Tsqlite3_io_methods{
	FiVersion: 3,

	FxClose:    pointer[plainFunc](closeFile),
	FxRead:     pointer[moveFunc](readFile),
	FxWrite:    pointer[moveFunc](writeFile),
	FxTruncate: pointer[sizeFunc](truncateFile),
	FxSync:     pointer[intFunc](syncFile),

	// The rest goes straight through.
	FxFileSize: pointer[outFunc](func(tls *libc.TLS, p, out uintptr) int32 {
		f := fileOf(p)
		return function[outFunc](f.methods().FxFileSize)(tls, f.real, out)
	}),
	FxLock: pointer[intFunc](func(tls *libc.TLS, p uintptr, v int32) int32 {
		f := fileOf(p)
		return function[intFunc](f.methods().FxLock)(tls, f.real, v)
	}),
	FxUnlock: pointer[intFunc](func(tls *libc.TLS, p uintptr, v int32) int32 {
		f := fileOf(p)
		return function[intFunc](f.methods().FxUnlock)(tls, f.real, v)
	}),
	FxCheckReservedLock: pointer[outFunc](func(tls *libc.TLS, p, out uintptr) int32 {
		f := fileOf(p)
		return function[outFunc](f.methods().FxCheckReservedLock)(tls, f.real, out)
	}),
	FxFileControl: pointer[ctlFunc](func(tls *libc.TLS, p uintptr, op int32, arg uintptr) int32 {
		f := fileOf(p)
		return function[ctlFunc](f.methods().FxFileControl)(tls, f.real, op, arg)
	}),
	FxSectorSize: pointer[plainFunc](func(tls *libc.TLS, p uintptr) int32 {
		f := fileOf(p)
		return function[plainFunc](f.methods().FxSectorSize)(tls, f.real)
	}),
	FxDeviceCharacteristics: pointer[plainFunc](func(tls *libc.TLS, p uintptr) int32 {
		f := fileOf(p)
		return function[plainFunc](f.methods().FxDeviceCharacteristics)(tls, f.real)
	}),
	FxShmMap: pointer[mapFunc](func(tls *libc.TLS, p uintptr, page, size, extend int32, out uintptr) int32 {
		f := fileOf(p)
		return function[mapFunc](f.methods().FxShmMap)(tls, f.real, page, size, extend, out)
	}),
	FxShmLock: pointer[lockFunc](func(tls *libc.TLS, p uintptr, offset, n, flags int32) int32 {
		f := fileOf(p)
		return function[lockFunc](f.methods().FxShmLock)(tls, f.real, offset, n, flags)
	}),
	FxShmBarrier: pointer[voidFunc](func(tls *libc.TLS, p uintptr) {
		f := fileOf(p)
		function[voidFunc](f.methods().FxShmBarrier)(tls, f.real)
	}),
	FxShmUnmap: pointer[intFunc](func(tls *libc.TLS, p uintptr, v int32) int32 {
		f := fileOf(p)
		return function[intFunc](f.methods().FxShmUnmap)(tls, f.real, v)
	}),
	FxFetch: pointer[fetchFunc](func(tls *libc.TLS, p uintptr, offset int64, n int32, out uintptr) int32 {
		f := fileOf(p)
		return function[fetchFunc](f.methods().FxFetch)(tls, f.real, offset, n, out)
	}),
	FxUnfetch: pointer[returnFunc](func(tls *libc.TLS, p uintptr, offset int64, page uintptr) int32 {
		f := fileOf(p)
		return function[returnFunc](f.methods().FxUnfetch)(tls, f.real, offset, page)
	}),
}

func closeFile(tls *libc.TLS, p uintptr) int32 {
	f := fileOf(p)
	files.Delete(p)
	return function[plainFunc](f.methods().FxClose)(tls, f.real)
}

func readFile(tls *libc.TLS, p, buf uintptr, n int32, offset int64) int32 {
	f := fileOf(p)
	if code := f.disk.fails(Read, f.name); code != 0 {
		return code
	}
	return function[moveFunc](f.methods().FxRead)(tls, f.real, buf, n, offset)
}

func writeFile(tls *libc.TLS, p, buf uintptr, n int32, offset int64) int32 {
	f := fileOf(p)
	code := f.disk.fails(Write, f.name)
	if code != 0 {
		n /= 2
	}
	if rc := function[moveFunc](f.methods().FxWrite)(tls, f.real, buf, n, offset); rc != sqlite3.SQLITE_OK {
		return rc
	}
	f.record(Op{Kind: Write, Offset: offset, Data: bytes.Clone(unsafe.Slice(at[byte](buf), n))})
	return code
}

func truncateFile(tls *libc.TLS, p uintptr, size int64) int32 {
	f := fileOf(p)
	if code := f.disk.fails(Truncate, f.name); code != 0 {
		return code
	}
	rc := function[sizeFunc](f.methods().FxTruncate)(tls, f.real, size)
	if rc == sqlite3.SQLITE_OK {
		f.record(Op{Kind: Truncate, Offset: size})
	}
	return rc
}

// syncFile does not sync: the log says what it is worth, and the real files are thrown away.
func syncFile(_ *libc.TLS, p uintptr, _ int32) int32 {
	f := fileOf(p)
	if code := f.disk.fails(Sync, f.name); code != 0 {
		f.record(Op{Kind: FailSync})
		return code
	}
	f.record(Op{Kind: Sync})
	if f.syncDir {
		f.syncDir = false
		f.record(Op{Kind: SyncDir})
	}
	return sqlite3.SQLITE_OK
}
