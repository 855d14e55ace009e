package web_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"postyard/internal/e2e/programtest"
)

// node runs a program of the dashboard's folder and returns what it prints. It must succeed.
func node(t *testing.T, limit time.Duration, environ []string, args ...string) {
	t.Helper()
	if _, err := os.Stat("ui/node_modules/.package-lock.json"); errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the dashboard's tests need what `make npm` installs")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir = "ui"
	cmd.Env = append(os.Environ(), environ...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node %v: %v\n%s", args, err, out)
	}
	t.Logf("%s", out)
}

// TestAssetsAreFresh builds the dashboard again: what is committed must be what its sources give.
func TestAssetsAreFresh(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	node(t, time.Minute, nil, "build.mjs", dir)
	built, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(built) == 0 {
		t.Fatalf("built %v, %v", built, err)
	}
	committed, err := os.ReadDir("dist")
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) != len(built) {
		t.Errorf("dist has %d files, the build gives %d", len(committed), len(built))
	}
	for _, path := range built {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(filepath.Join("dist", filepath.Base(path)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, have) {
			t.Errorf("dist/%s is stale; (cd internal/web/ui && npm run build)", filepath.Base(path))
		}
	}
}

// TestTypes checks the dashboard's types, those of the API's answers among them.
func TestTypes(t *testing.T) {
	t.Parallel()
	node(t, 2*time.Minute, nil, "node_modules/typescript/bin/tsc", "--noEmit")
}

// TestBrowser walks through the dashboard of a demo in Chromium: every page and flow, wide in light and narrow in dark. Pictures of the pages are
// left in ui/shots, or where SHOTS says.
func TestBrowser(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "postyard")
	if err := programtest.Build(t.Context(), binary); err != nil {
		t.Fatal(err)
	}
	node(t, 10*time.Minute, []string{"POSTYARD=" + binary, "POSTYARD_DNS=off", "GORACE=halt_on_error=1"}, "test/run.mjs")
}
