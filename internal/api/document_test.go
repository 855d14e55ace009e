package api

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/books"
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

// TestOurFieldsAreDocumented looks up the fields of operations that SendPost has not.
func TestOurFieldsAreDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for section, fields := range map[string][]any{
		"Providers":    {usageAnswer{}, healthAnswer{}, refusalAnswer{}},
		"Brakes":       {pausedAnswer{}, cancelRequest{}, cancelAnswer{}},
		"Explanations": {explainAnswer{}, planAnswer{}, skippedAnswer{}, attemptAnswer{}},
		"IP pools":     {poolSettings{}, warningAnswer{}, routeAnswer{}, namedEgress{}, wayAnswer{}, passedOverAnswer{}, firstChoiceAnswer{}},
		"Verification": {verifyAnswer{}, stateCounts{}, differenceAnswer{}, counterAnswer{}, facetAnswer{}, awaitingAnswer{}},
		"Statistics": {domainRow{}, reasonRow{}, deviceRow{}, clientRow{}, osRow{}, countryRow{}, engagement{}, delayAnswer{}, delaySpan{}, countAnswer{},
			tpspRow{}, ipRow{}, subAccountRow{}, providerRow{}, groupRow{}, counters{}, coreCounters{}, statCounters{}, totalCounters{}, cycleAnswer{}},
		"Doctor":       {checkAnswer{}},
		"Now":          {throttleAnswer{}, laneAnswer{}, waitAnswer{}, attentionAnswer{}},
		"Suppressions": {importAnswer{}, lineAnswer{}},
		"Labels":       {labelAnswer{}, label{}, labelRequest{}},
		"IPs":          {ipSettings{}, allocateRequest{}, ipChanges{}},
	} {
		_, text, _ := strings.Cut(string(raw), "\n## "+section+"\n")
		text, _, ok := strings.Cut(text, "\n## ")
		if !ok {
			t.Errorf("docs/api.md has no section %s", section)
		}
		for _, v := range fields {
			for i := range reflect.TypeOf(v).NumField() {
				if reflect.TypeOf(v).Field(i).Anonymous {
					continue // stands in the list itself
				}
				if name := reflect.TypeOf(v).Field(i).Tag.Get("json"); name == "" || !strings.Contains(text, "`"+name+"`") {
					t.Errorf("%s: %T has a field `%s`", section, v, name)
				}
			}
		}
	}
	for _, kind := range []books.Kind{books.KindState, books.KindQueue, books.KindEvents, books.KindAttempts, books.KindProof, books.KindMark,
		books.KindCounter, books.KindOwner, books.KindFacet, books.KindUnique, books.KindLabel} {
		if !strings.Contains(string(raw), "\n| `"+string(kind)+"` | ") {
			t.Errorf("differences of kind %s are not in docs/api.md", kind)
		}
	}
}
