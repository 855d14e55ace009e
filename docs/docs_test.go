// Package docs checks that the documents say what the code says.
package docs

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/cli"
	"postyard/internal/event"
	"postyard/internal/provider"
)

var update = flag.Bool("update", false, "write the generated documents anew")

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// documents are the paths of all documents below this directory.
func documents(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// column returns the code in the first column of the document's tables, as far as it matches.
func column(text, pattern string) []string {
	var cells []string
	for _, m := range regexp.MustCompile("(?m)^\\| `("+pattern+")` \\|").FindAllStringSubmatch(text, -1) {
		cells = append(cells, m[1])
	}
	slices.Sort(cells)
	return cells
}

// Every class of outcome has its row in the table of what follows.
func TestEveryClassIsInTheFailoverTable(t *testing.T) {
	t.Parallel()
	text := read(t, "failover.md")
	for class := provider.Class(0); class.String() != "invalid"; class++ {
		if !slices.Contains(column(text, "[a-z]+"), class.String()) {
			t.Errorf("failover.md does not say what follows from %q", class)
		}
	}
	for _, name := range column(text, "[a-z]+") {
		known := false
		for class := provider.Class(0); class.String() != "invalid"; class++ {
			known = known || class.String() == name
		}
		if !known {
			t.Errorf("failover.md has a class %q that does not exist", name)
		}
	}
}

func TestEveryPackageIsInTheTable(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, root := range []string{"../cmd", "../internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
			if strings.HasPrefix(dir, "internal/sandbox/") {
				dir = "internal/sandbox" // one program of its own; its package comment says what is inside
			}
			found[dir] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for dir := range found {
		want = append(want, dir)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, column(read(t, "architecture.md"), "(?:cmd|internal)/[a-z0-9/]+")); diff != "" {
		t.Errorf("packages (-code +document):\n%s", diff)
	}
}

func TestEveryDependencyIsExplained(t *testing.T) {
	t.Parallel()
	var want []string
	for _, line := range strings.Split(read(t, "../go.mod"), "\n") {
		if m := regexp.MustCompile(`^\s+(\S+/\S+) v\S+$`).FindStringSubmatch(line); m != nil {
			want = append(want, m[1])
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, column(read(t, "dependencies.md"), `[a-z.]+/\S+?`)); diff != "" {
		t.Errorf("direct dependencies (-go.mod +document):\n%s", diff)
	}
}

func TestEventTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`# Event types

Written from the code; ` + "`go test ./docs -update`" + ` writes it anew. The numbers are SendPost's. A family is who reports: a provider, or
Postyard itself (native). Numbers of providers that are not supported yet are reserved.

| type | name |
|---|---|
`)
	for _, info := range event.Catalogue() {
		fmt.Fprintf(&b, "| %d | %s |\n", info.Type, info.Name)
	}
	b.WriteString(`
## What Postmark's reports become

| when | type |
|---|---|
| the API accepted the message | 69 PM Processed |
| Postmark accepted it | 70 PM Sent |
| webhook Delivery | 71 PM Delivered |
| webhook Bounce of type HardBounce, or with TypeCode 1 | 72 PM Hard Bounced |
| webhook Bounce of any other type | 73 PM Soft Bounced |
| Postmark refused it for good | 74 PM Dropped |
| webhook Open, the first and later ones | 75 PM Open |
| webhook Click | 76 PM Click |
| webhook SpamComplaint | 77 PM Spam Report |
| it expired, or its provider was deleted, before any provider had it | 1 Dropped |
`)
	if *update {
		if err := os.WriteFile("events.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(b.String(), read(t, "events.md")); diff != "" {
		t.Errorf("events.md is stale; go test ./docs -update (-code +document):\n%s", diff)
	}
}

// TestCommandsExist looks up every command of the documents' shell blocks: targets of make, commands and flags of postyard.
func TestCommandsExist(t *testing.T) {
	t.Parallel()
	makefile := read(t, "../Makefile")
	known := map[string]string{}
	seen := 0
	for _, path := range append(documents(t), "../README.md") {
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(read(t, path), -1) {
			for _, line := range strings.Split(block[1], "\n") {
				words := strings.Fields(strings.SplitN(line, "#", 2)[0])
				switch {
				case len(words) > 1 && words[0] == "make":
					seen++
					if !strings.Contains(makefile, "\n"+words[1]+":") {
						t.Errorf("%s: make %s is not in the Makefile", path, words[1])
					}
				case len(words) > 1 && words[0] == "bin/postyard":
					seen++
					checkCommand(t, path, words[1:], known)
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d commands were found: is this test blind?", seen)
	}
}

func checkCommand(t *testing.T, path string, words []string, known map[string]string) {
	t.Helper()
	help, ok := known[words[0]]
	if !ok {
		var out, errs bytes.Buffer
		if code := cli.Main([]string{words[0], "--help"}, &out, &errs, nil); code != 0 {
			t.Errorf("%s: postyard %s: %s", path, words[0], errs.String())
		}
		help = out.String()
		known[words[0]] = help
	}
	for _, word := range words[1:] {
		if name, _, _ := strings.Cut(word, "="); strings.HasPrefix(name, "--") && !strings.Contains(help, name+" ") && !strings.Contains(help, name+"[=") {
			t.Errorf("%s: postyard %s has no flag %s", path, words[0], name)
		}
	}
}

// TestCitedStatementsStand keeps what comments cite and what the document explains the same.
func TestCitedStatementsStand(t *testing.T) {
	t.Parallel()
	cited := map[string]bool{}
	err := filepath.WalkDir("../internal", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, id := range regexp.MustCompile(`\b(?:PM|CL|RT|ST|API|WH|TP|CS|SG|SES|MG|SP)-[0-9]+\b`).FindAllString(string(raw), -1) {
			cited[id] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(cited)), column(read(t, "statements.md"), `[A-Z]+-[0-9]+`)); diff != "" {
		t.Errorf("statements (-cited +document):\n%s", diff)
	}
}

func TestLinksLead(t *testing.T) {
	t.Parallel()
	for _, path := range append(documents(t), "../README.md") {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(read(t, path), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}
