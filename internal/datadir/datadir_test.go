package datadir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func take(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTake(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "data")
	d := take(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
	if _, err := Take(path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("taken twice: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := take(t, path).Close(); err != nil {
		t.Error(err)
	}
}

func TestNode(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := take(t, path)
	defer func() { _ = d.Close() }()
	first, err := d.Node()
	again, err2 := d.Node()
	if err != nil || err2 != nil || first != again || !node.MatchString(first) {
		t.Errorf("named %q, then %q (%v, %v)", first, again, err, err2)
	}
	if err := os.WriteFile(filepath.Join(path, nodeName), []byte("a/b"), 0o600); err != nil {
		t.Fatal(err)
	}
	if other, err := d.Node(); err != nil || !node.MatchString(other) {
		t.Errorf("a name that cannot be used was kept: %q (%v)", other, err)
	}
}
