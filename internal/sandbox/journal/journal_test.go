package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postyard/internal/sandbox/journal"
)

func open(t testing.TB, path string) (*journal.Journal, []string) {
	t.Helper()
	var lines []string
	j, err := journal.Open(path, func(line []byte) error {
		lines = append(lines, string(line))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return j, lines
}

// However the file is cut, the whole lines before the cut are read back, and what is appended then follows them.
func TestTornFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		written := rapid.SliceOf(rapid.StringMatching(`[a-z{}"]{0,20}`)).Draw(r, "lines")
		all := ""
		for _, line := range written {
			all += line + "\n"
		}
		at := rapid.IntRange(0, len(all)).Draw(r, "cut")
		path := filepath.Join(dir, "j")
		if err := os.WriteFile(path, []byte(all[:at]), 0o600); err != nil {
			r.Fatal(err)
		}
		whole := strings.Count(all[:at], "\n")
		j, lines := open(t, path)
		if !slices.Equal(lines, written[:whole]) {
			r.Fatalf("read %q, want %q", lines, written[:whole])
		}
		if err := j.Append([]byte("new\n")); err != nil {
			r.Fatal(err)
		}
		if err := j.Close(); err != nil {
			r.Fatal(err)
		}
		j, lines = open(t, path)
		if want := append(slices.Clone(written[:whole]), "new"); !slices.Equal(lines, want) {
			r.Fatalf("read %q, want %q", lines, want)
		}
		if err := j.Close(); err != nil {
			r.Fatal(err)
		}
	})
}

func TestLongLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	long := strings.Repeat("x", 3<<20)
	if err := j.Append([]byte("a\n" + long + "\nb\n")); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, lines := open(t, path)
	if len(lines) != 3 || lines[0] != "a" || lines[1] != long || lines[2] != "b" {
		t.Errorf("%d lines", len(lines))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// What replaces the lines is all there is; what is appended follows it, and the journal still has one owner. A draft that a kill
// left behind is in nobody's way.
func TestReplace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(path+".new", []byte("a draft that is longer than what comes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, _ := open(t, path)
	for _, c := range []struct{ replace, want string }{{"b\nc\n", "b c d"}, {"", "d"}} {
		if err := errors.Join(j.Append([]byte("a\n")), j.Replace([]byte(c.replace)), j.Append([]byte("d\n"))); err != nil {
			t.Fatal(err)
		}
		if _, err := journal.Open(path, nil); !errors.Is(err, journal.ErrLocked) {
			t.Errorf("a second owner after the lines were replaced: %v", err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := j.Replace(nil); err == nil {
			t.Error("a closed journal took lines")
		}
		var lines []string
		if j, lines = open(t, path); strings.Join(lines, " ") != c.want {
			t.Errorf("%q, want %q", lines, c.want)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a draft is left: %v", err)
	}
}

func TestOneOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	if _, err := journal.Open(path, nil); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("a second owner: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestReplayErrorsNameTheLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(path, []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := errors.New("bad")
	_, err := journal.Open(path, func(line []byte) error {
		if string(line) == "b" {
			return bad
		}
		return nil
	})
	if !errors.Is(err, bad) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}
	open(t, path) // the lock has been let go
}

func TestAppendAfterCloseFails(t *testing.T) {
	t.Parallel()
	j, _ := open(t, filepath.Join(t.TempDir(), "j"))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("x\n")); err == nil {
		t.Error("appending to a closed journal is lost silently")
	}
	var none *journal.Journal
	if err := errors.Join(none.Append([]byte("x\n")), none.Replace(nil), none.Close()); err != nil {
		t.Errorf("no journal: %v", err)
	}
}
