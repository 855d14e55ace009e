package api

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of operations in docs/api.md anew")

// TestOperationsAreDocumented keeps the table in docs/api.md as the router has it.
func TestOperationsAreDocumented(t *testing.T) {
	t.Parallel()
	const path = "../../docs/api.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(raw), "-update` -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- end of operations -->")
	if !ok1 || !ok2 {
		t.Fatal("docs/api.md has lost its marks")
	}
	var b strings.Builder
	b.WriteString(head + "-update` -->\n\n| operation | key | does |\n|---|---|---|\n")
	for _, o := range (&server{}).operations() {
		key := "`" + string(o.Auth) + "`"
		switch o.Auth {
		case noKey:
			key = "none"
		case webhookKey:
			key = string(o.Auth)
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", o.Method, o.Path, key, o.Summary)
	}
	want := b.String() + "\n<!-- end of operations -->" + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("docs/api.md is stale; go test ./internal/api -update (-code +document):\n%s", diff)
	}
}
