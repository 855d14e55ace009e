// Package docs checks that the documents say what the code says.
package docs

import (
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/cli"
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
	product, oracle, found := strings.Cut(read(t, "dependencies.md"), "\n## The second module\n")
	if !found {
		t.Fatal("dependencies.md has no part about the second module")
	}
	const module = `[A-Za-z.]+/\S+?`
	if diff := cmp.Diff(direct(t, "../go.mod"), column(product, module)); diff != "" {
		t.Errorf("direct dependencies (-go.mod +document):\n%s", diff)
	}
	if diff := cmp.Diff(direct(t, "../internal/oracle/go.mod"), column(oracle, module)); diff != "" {
		t.Errorf("direct dependencies of the second module (-go.mod +document):\n%s", diff)
	}
}

// direct are the modules that a go.mod requires for its own sake.
func direct(t *testing.T, path string) []string {
	t.Helper()
	var modules []string
	for _, line := range strings.Split(read(t, path), "\n") {
		if m := regexp.MustCompile(`^\s+(\S+/\S+) v\S+$`).FindStringSubmatch(line); m != nil {
			modules = append(modules, m[1])
		}
	}
	slices.Sort(modules)
	return modules
}

// TestNoVendorCodeInTheProduct: code of email providers is in no go.mod but the oracle's, and none of it is linked into the program.
func TestNoVendorCodeInTheProduct(t *testing.T) {
	t.Parallel()
	vendor := regexp.MustCompile(`(?m)^\s*(github\.com/(?:aws|sendgrid|mailgun|SparkPost|keighl|mrz1836|mattbaird|resend|getbrevo|mailjet|mailersend)/\S+)`)
	if found := vendor.FindAllString(read(t, "../internal/oracle/go.mod"), -1); len(found) < 2 {
		t.Errorf("the oracle requires %q: is this test blind?", found)
	}
	for _, m := range vendor.FindAllStringSubmatch(read(t, "../go.mod"), -1) {
		if m[1] != "github.com/mailgun/raymond/v2" { // of tests
			t.Errorf("go.mod requires %s", m[1])
		}
	}
	linked, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "../cmd/postyard").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(linked), "\nmodernc.org/sqlite\n") {
		t.Error("the program has no database: is this test blind?")
	}
	if found := vendor.FindAllString(strings.Join(slices.Compact(strings.Split(string(linked), "\n")), "/\n"), -1); len(found) > 0 {
		t.Errorf("the program is linked with %q", found)
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

// statement is how a statement of the documents is named: by its kind and a number.
var statement = regexp.MustCompile(`\b(?:PM|CL|RT|ST|API|WH|TP|CS|SG|SES|MG|SP)-[0-9]+\b`)

// TestCitedStatementsStand keeps what comments cite and what the document explains the same.
func TestCitedStatementsStand(t *testing.T) {
	t.Parallel()
	cited := map[string]bool{}
	err := filepath.WalkDir("../internal", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		raw, err := os.ReadFile(path)
		for line := range strings.Lines(string(raw)) {
			if !strings.Contains(line, "-") { // most lines; the expression takes long with the race detector
				continue
			}
			for _, id := range statement.FindAllString(line, -1) {
				cited[id] = true
			}
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
