package secret

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestLoadOrCreateKeyCreatesOnceAndKeeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "secret.key")
	first, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Equal(second) {
		t.Error("the second start got another key")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode = %o, want 600", info.Mode().Perm())
	}
	wantOnlyFile(t, dir, "secret.key")
}

func TestLoadOrCreateKeyGivesConcurrentStartersOneKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "secret.key")
	keys := make([]Key, 16)
	errs := make([]error, len(keys))
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i], errs[i] = LoadOrCreateKey(path) })
	}
	wg.Wait()
	for i := range keys {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if !keys[i].Equal(keys[0]) {
			t.Errorf("starter %d has another key", i)
		}
	}
	wantOnlyFile(t, dir, "secret.key")
}

func TestCreateKeyDoesNotOverwrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret.key")
	want := NewKey()
	writeFile(t, path, want.Encode(), 0o600)
	if err := createKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("createKey = %v, want ErrExist", err)
	}
	if got, err := LoadOrCreateKey(path); err != nil || !got.Equal(want) {
		t.Errorf("the existing key was replaced (err %v)", err)
	}
}

func TestLoadOrCreateKeyRefuses(t *testing.T) {
	t.Parallel()
	good := NewKey().Encode()
	for name, tc := range map[string]struct {
		content string
		mode    fs.FileMode
		want    string // part of the error
	}{
		"readable by group":  {good, 0o640, "chmod 600"},
		"readable by others": {good, 0o604, "chmod 600"},
		"empty":              {"", 0o600, "32 bytes"},
		"no key":             {"please change me", 0o600, "32 bytes"},
		"half a key":         {good[:20], 0o600, "32 bytes"},
		"too long":           {good + strings.Repeat("\n", maxKeyFile), 0o600, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && tc.mode != 0o600 {
				t.Skip("Windows has no permission bits")
			}
			path := filepath.Join(t.TempDir(), "secret.key")
			writeFile(t, path, tc.content, tc.mode)
			_, err := LoadOrCreateKey(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("err = %v; want one with %q and the path", err, tc.want)
			}
			if tc.content != "" && strings.Contains(err.Error(), tc.content) {
				t.Errorf("the error quotes the file: %v", err)
			}
			left, err := os.ReadFile(path)
			if err != nil || string(left) != tc.content {
				t.Errorf("the file was changed to %q (%v)", left, err)
			}
		})
	}
}

func TestLoadOrCreateKeyRefusesADirectory(t *testing.T) {
	t.Parallel()
	if _, err := LoadOrCreateKey(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("err = %v", err)
	}
}

func TestLoadOrCreateKeyNeedsTheDirectory(t *testing.T) {
	t.Parallel()
	_, err := LoadOrCreateKey(filepath.Join(t.TempDir(), "missing", "secret.key"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v, want ErrNotExist", err)
	}
}

func writeFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// wantOnlyFile fails when a temporary file was left behind.
func wantOnlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("directory holds %v, want only %s", entries, name)
	}
}
