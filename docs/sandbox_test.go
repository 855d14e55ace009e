package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// simulated is what the sandbox does as Postmark does it, by number. Tests name the numbers that they are about: "PM-sim 4, 5".
var simulated = [...]string{
	1:  "the API at the root, without a version, by plain HTTP on this machine",
	2:  "paths and query keys in any case, with or without a slash at the end; unknown query keys",
	3:  "`null`, `{}` and nothing as the body of calls that need none",
	4:  "every success is 200, in JSON",
	5:  "every error has ErrorCode and Message, and X-PM-ApiErrorCode",
	6:  "a missing, wrong or other kind of token",
	7:  "bodies that are not JSON; fields of the wrong type, by name",
	8:  "bodies that are too large",
	9:  "unknown routes",
	10: "only tokens that cannot be taken for real ones",
	11: "the answer to a send",
	12: "the test token",
	13: "bodies, recipients, addresses, with the recorded texts",
	14: "50 recipients",
	15: "limits of metadata",
	16: "senders: verified domains and confirmed addresses",
	17: "streams that cannot be sent on",
	18: "attachments",
	19: "batches: order, refused items, 500 at most",
	20: "sends with templates",
	21: "each recipient has events of their own",
	22: "inactive recipients, all or some",
	23: "suppression is per stream",
	24: "accounts that are pending or not approved",
	25: "the degraded answer",
	26: "templates are made, changed, deleted; their rules",
	27: "rendering: Mustachio, layouts, inlined styles",
	28: "validation of templates and the suggested model",
	29: "helpers of other languages are mistakes, unless switched on",
	30: "rendering that fails after acceptance bounces",
	31: "streams of a server, their rules and limits",
	32: "archiving streams, or not",
	33: "all fields of a server",
	34: "webhooks are made, changed, deleted; their rules",
	35: "webhooks are verified by probes",
	36: "statistics of webhooks",
	37: "what a webhook's request is like",
	38: "which answers are retried, and when",
	39: "nothing leaves this machine",
	40: "retries on a clock that can be held and advanced",
	41: "every send leads to a delivery, after a delay that can be set",
	42: "recipients with a fate",
	43: "opens, clicks, complaints, unsubscriptions on demand, where they can happen",
	44: "exactly the documented keys of events",
	45: "PostFirstOpenOnly and IncludeContent",
	46: "duplicates, disorder, and webhooks before the answer",
	47: "the sample events of the dashboard",
	48: "search and details of messages, lists of opens and clicks, with a lag if wanted",
	49: "bounces, their reactivation, counts by type",
	50: "suppression lists",
	51: "outbound statistics",
	52: "faults",
	53: "accepted, then the connection is reset",
	54: "Postmark's own client for Node, 4.x and 5.x",
	55: "the same seed gives the same ids",
	56: "pages that show mail, events and webhook attempts",
}

// simNumbers finds the numbers in a comment. Those of a range do not count: whoever names one is to say which test is about which.
func simNumbers(comment string) (numbers []int) {
	list := regexp.MustCompile(`PM-sim ([0-9]+(?:(?:, and |, | and )[0-9]+)*)( to |-|–)?`)
	for _, m := range list.FindAllStringSubmatch(strings.Join(strings.Fields(comment), " "), -1) {
		found := regexp.MustCompile(`[0-9]+`).FindAllString(m[1], -1)
		if m[2] != "" {
			found = found[:len(found)-1]
		}
		for _, text := range found {
			if n, err := strconv.Atoi(text); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	return numbers
}

func TestNumbersOfComments(t *testing.T) {
	t.Parallel()
	for comment, want := range map[string][]int{"PM-sim 4": {4}, "PM-sim 5, 6, 10.": {5, 6, 10}, "PM-sim 13 to 18": nil, "PM-sim 1, 13 to 18": {1},
		"PM-sim 54, and 22 for": {54, 22}, "PM-sim\n7 and 8: x. PM-sim 9": {7, 8, 9}, "PM-sim 3-5": nil, "PM-12": nil} {
		if diff := cmp.Diff(want, simNumbers(comment)); diff != "" {
			t.Errorf("%q: %s", comment, diff)
		}
	}
}

// simTests are the tests below internal, by the numbers in their comments.
func simTests(t *testing.T) map[int][]string {
	t.Helper()
	tests := map[int][]string{}
	err := filepath.WalkDir("../internal", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules":
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, one := range file.Decls {
			f, ok := one.(*ast.FuncDecl)
			if !ok || f.Doc == nil || f.Recv != nil || !regexp.MustCompile(`^(Test|Fuzz|Example)`).MatchString(f.Name.Name) {
				continue
			}
			for _, n := range simNumbers(f.Doc.Text()) {
				if !slices.Contains(tests[n], f.Name.Name) {
					tests[n] = append(tests[n], f.Name.Name)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// TestSandboxStatements keeps the table of what the sandbox does, and by which test it is shown.
func TestSandboxStatements(t *testing.T) {
	t.Parallel()
	tests := simTests(t)
	var b strings.Builder
	b.WriteString("# What the sandbox does as Postmark does it\n\nWritten from the tests, whose comments name these numbers; `go test ./docs -update` writes it anew.\n\n" +
		"| PM-sim | what | shown by |\n|---|---|---|\n")
	for n, what := range simulated {
		if n == 0 {
			continue
		}
		if len(tests[n]) == 0 {
			t.Errorf("PM-sim %d has no test", n)
		}
		names := slices.Sorted(slices.Values(tests[n]))
		fmt.Fprintf(&b, "| %d | %s | %s |\n", n, what, strings.Join(names, ", "))
		delete(tests, n)
	}
	for n, names := range tests {
		t.Errorf("%v are about PM-sim %d, which there is not", names, n)
	}
	const path = "sandbox-statements.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(b.String(), read(t, path)); diff != "" {
		t.Errorf("%s is stale; go test ./docs -update (-tests +document):\n%s", path, diff)
	}
}
