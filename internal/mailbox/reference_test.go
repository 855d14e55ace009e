package mailbox

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of docs/mailbox-providers.md")

// rules says in the document's words what the code knows by rule; TestDocument checks each by its sample.
var rules = map[Class][]struct{ words, sample string }{
	Microsoft: {
		{"`hotmail`, `outlook` and `live` in the forms of every country (`.com`, `.de`, `.co.uk`, `.com.br`)", "live.com.br"},
	},
	Yahoo:          {{"`yahoo` in the forms of every country", "yahoo.co.uk"}},
	Yandex:         {{"`yandex` in the forms of every country", "yandex.com.tr"}},
	GMX:            {{"`gmx` in the forms of every country", "gmx.at"}},
	Office365:      {{"all below `onmicrosoft.com`", "contoso.onmicrosoft.com"}},
	AmazonWorkMail: {{"all below `awsapps.com`", "contoso.awsapps.com"}},
	Default:        {{"everyone else", "mail.contoso.com"}},
}

// The document has every class, and every name of the tables.
func TestDocument(t *testing.T) {
	t.Parallel()
	const file, head = "../../docs/mailbox-providers.md", "| id | key | names of domains | mail hosts |\n|---|---|---|---|\n"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, got, ok := strings.Cut(string(raw), head)
	if !ok {
		t.Fatalf("%s has no table", file)
	}
	want := rows(t)
	if *update {
		if err := os.WriteFile(file, []byte(text+head+want), 0o644); err != nil {
			t.Fatal(err)
		}
		got = want
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is stale: run go test ./internal/mailbox -update (-code +document):\n%s", file, diff)
	}
}

func rows(t *testing.T) string {
	domains, names := map[Class][]string{}, map[Class][]string{}
	for _, d := range slices.Sorted(maps.Keys(consumer())) {
		domains[consumer()[d]] = append(domains[consumer()[d]], code(d))
	}
	for _, r := range hosts() {
		names[r.class] = append(names[r.class], code(strings.Join(r.labels, ".")))
	}
	var b strings.Builder
	for id, class := range Classes() {
		known := domains[class]
		for _, r := range rules[class] {
			if got := ByDomain(r.sample); got != class {
				t.Errorf("%s: %q is %s", class, r.sample, got)
			}
			known = append(known, r.words)
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", id, class, cell(known), cell(names[class]))
	}
	return b.String()
}

func code(s string) string { return "`" + s + "`" }

func cell(list []string) string {
	if len(list) == 0 {
		return "–"
	}
	return strings.Join(list, ", ")
}
