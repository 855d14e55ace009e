package cli

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postyard/internal/sandbox"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	box, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	out := filepath.Join(t.TempDir(), "answers")
	run := func(environ []string, args ...string) (code int, said, failed string) {
		var o, e bytes.Buffer
		args = append([]string{"record", "--endpoint", server.URL, "--recipient", "jane.doe@example.com", "--out", out}, args...)
		code = Main(args, &o, &e, environ)
		return code, o.String(), e.String()
	}
	environ := []string{"POSTYARD_RECORD_TOKEN=" + sandbox.DemoServerToken}
	if code, _, failed := run(nil, "--yes"); code != 1 || !strings.Contains(failed, "POSTYARD_RECORD_TOKEN") {
		t.Errorf("without a token: %d, %s", code, failed)
	}
	if code, _, failed := run(environ, "--record-token=x"); code != 1 || !strings.Contains(failed, "unknown flag") {
		t.Errorf("the token as a flag: %d, %s", code, failed)
	}
	// Nobody answers.
	code, said, failed := run(environ)
	if code != 1 || !strings.Contains(failed, "the answer was not yes") || !strings.Contains(said, "Go on?") || !strings.Contains(said, "at most") {
		t.Errorf("without consent: %d, %s, %s", code, said, failed)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without consent: %v", err)
	}
	code, said, failed = run(environ, "--yes", "--only", "5,7,12")
	if code != 0 || !strings.Contains(said, "4 defaults confirmed, 0 contradicted, 0 open") {
		t.Errorf("%d, %s, %s", code, said, failed)
	}
	for _, text := range []string{said, failed} {
		if strings.Contains(text, sandbox.DemoServerToken) {
			t.Errorf("the token is told: %s", text)
		}
	}
	if entries, err := os.ReadDir(out); err != nil || len(entries) != 4 {
		t.Errorf("%v, %v", entries, err)
	}
}
