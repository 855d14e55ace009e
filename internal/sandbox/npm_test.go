package sandbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postyard/internal/sandbox"
	"postyard/internal/sandbox/clock"
)

const npmDir = "testdata/npm"

// PM-sim 54, and 22 for the client's view of inactive recipients: every method of Postmark's own client for Node, in both major lines, works
// against the sandbox as it is. run.js says what is asked of each.
func TestOfficialClient(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test needs Node.js 18 or newer; on Debian: apt-get install nodejs npm")
	}
	for _, line := range []string{"postmark4", "postmark5"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(filepath.Join(npmDir, "node_modules", line, "package.json")); err != nil {
				t.Fatalf("%s is missing: make npm (or npm ci in internal/sandbox/%s)", line, npmDir)
			}
			b := setup(t, func(cfg *sandbox.Config) { cfg.Clock, cfg.DeliveryDelay = clock.System{}, -1 })
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, node, filepath.Join(npmDir, "run.js"), line, strings.TrimPrefix(b.url, "http://"), sandbox.DemoAccountToken)
			cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*") // 4.x asks a proxy even for this machine
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var methods int
			if _, err := fmt.Sscanf(string(out), "%d methods", &methods); err != nil || methods < 80 {
				t.Errorf("only %q", out)
			}
		})
	}
}

// The packages are pinned, and no host is: npm takes them from wherever it is told to.
func TestOfficialClientIsPinned(t *testing.T) {
	t.Parallel()
	for name, pattern := range map[string]string{"package.json": `"postmark[45]": "npm:postmark@[45]\.[0-9]+\.[0-9]+"`,
		"package-lock.json": `"integrity": "sha512-`} {
		raw, err := os.ReadFile(filepath.Join(npmDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(pattern).Match(raw) {
			t.Errorf("%s has no %s", name, pattern)
		}
		if regexp.MustCompile(`"resolved"|registry`).Match(raw) {
			t.Errorf("%s names a host", name)
		}
	}
}
