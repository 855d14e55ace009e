package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestRenew: the bytes stay, and a log that is not there is none to renew.
func TestRenew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	by := files{open: openFile}
	if err := by.renew(path); err != nil {
		t.Errorf("no log: %v", err)
	}
	for _, size := range []int{0, 1, 1 << 20, 5<<20 + 7} {
		want := bytes.Repeat([]byte("0123456789abc"), size/13+1)[:size]
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := by.renew(path); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes became %d (%v)", size, len(got), err)
		}
	}
}
