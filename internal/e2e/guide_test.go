package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuide runs every command of the Postmark guide against the demo, page by page in the order of reading, as a user with a
// shell would: a command that fails fails the page.
func TestGuide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	demo := start(t, "demo", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--data", filepath.Join(dir, "postyard-demo"), "--json")
	demo.line(`"subAccounts"`)
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "bin", "postyard")); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```")
	for _, page := range []string{"overview", "setup", "sending-emails", "event-types", "analytics", "troubleshooting"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", "postmark", page+".md"))
		if err != nil {
			t.Fatal(err)
		}
		found := blocks.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s has no commands: is this test blind?", page)
		}
		for _, block := range found {
			shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block[1])
			shell.Dir, shell.Env = dir, environment(t)
			if out, err := shell.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s\n%s", page, err, strings.TrimSpace(block[1]), out)
			}
		}
	}
	if code := demo.stop(); code != 0 {
		t.Errorf("the demo ended with %d:\n%s", code, demo.log.String())
	}
}
