package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// maxKeyFile is the most that is read of a key file, in bytes. The longest form of a key has 64 characters.
const maxKeyFile = 256

// LoadOrCreateKey reads the key file at path, or creates it with a random key and mode 0600 when there is none; its
// directory must exist. The file appears whole or not at all, is on disk when the call returns, and an existing one is
// never replaced: of several processes that start at once, all get the same key.
//
// A file that group or others may read, that is no regular file, or that holds no key is an error, never a new key:
// what the old key sealed would be lost.
func LoadOrCreateKey(path string) (Key, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, fmt.Errorf("create key file: %w", err)
	}
	// Also after losing the race: the winner may not have come to it yet.
	if err := syncDir(filepath.Dir(path)); err != nil {
		return Key{}, fmt.Errorf("create key file: %w", err)
	}
	return loadKey(path)
}

func loadKey(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w", err)
	}
	if err := checkKeyFile(path, info); err != nil {
		return Key{}, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w", err)
	}
	if len(content) > maxKeyFile {
		return Key{}, fmt.Errorf("key file %s: longer than %d bytes: %w", path, maxKeyFile, errKey)
	}
	key, err := ParseKey(string(content))
	if err != nil {
		return Key{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// checkKeyFile looks at the open file, not at the path, so that it cannot be exchanged between check and reading.
func checkKeyFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("key file %s: not a regular file", path)
	}
	// Windows has no such bits: Go reports 0666 for every writable file there.
	if perm := info.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("key file %s: mode %04o lets group or others at it; run: chmod 600 %s", path, perm, path)
	}
	return nil
}

// createKey writes a random key to a temporary file and links it to path, which fails with [fs.ErrExist] when there is
// one; a rename would overwrite it.
func createKey(path string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if rmErr := os.Remove(tmp.Name()); err == nil {
			err = rmErr
		}
	}()
	if err := writeSynced(tmp, NewKey().Encode()+"\n"); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}

func writeSynced(f *os.File, content string) error {
	_, err := f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a new name in dir durable. Windows cannot sync a directory and keeps names by its journal.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
