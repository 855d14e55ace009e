package docs

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/provider/postmark"
)

// TestEventTable writes the catalogue, and what becomes of Postmark's reports: the adapter reads one of each.
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
	b.WriteString("\n## What Postmark's reports become\n\n" + postmarkTable(t))
	fresh(t, "events.md", b.String())
}

// TestGuideHasTheTable keeps the table of the Postmark guide, which stands between two comments.
func TestGuideHasTheTable(t *testing.T) {
	t.Parallel()
	const page = "postmark/event-types.md"
	between := regexp.MustCompile(`(?s)(<!-- written from the code -->\n).*?(<!-- end -->)`)
	text := read(t, page)
	if !between.MatchString(text) {
		t.Fatal("the page has no place for the table")
	}
	fresh(t, page, between.ReplaceAllString(text, "${1}\n"+postmarkTable(t)+"\n${2}"))
}

// fresh compares a document with what it has to be, or writes it.
func fresh(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Errorf("%s is stale; go test ./docs -update (-code +document):\n%s", path, diff)
	}
}

// postmarkTable says what becomes of each report.
func postmarkTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| when | type |\n|---|---|\n")
	row := func(when string, typ event.Type) {
		info, ok := event.Describe(typ)
		if !ok {
			t.Fatalf("%s: there is no type %d", when, typ)
		}
		fmt.Fprintf(&b, "| %s | %d %s |\n", when, typ, info.Name)
	}
	of := func(f event.Family, k event.Kind) event.Type {
		typ, _ := event.TypeOf(f, k)
		return typ
	}
	row("the API accepted the message", of(event.Postmark, event.Processed))
	row("Postmark accepted it", of(event.Postmark, event.Sent))
	row("webhook Delivery", reported(t, `"RecordType":"Delivery"`))
	kinds := map[event.Type][]string{}
	for _, name := range postmark.BounceTypes() {
		typ := reported(t, fmt.Sprintf(`"RecordType":"Bounce","Type":%q`, name))
		kinds[typ] = append(kinds[typ], name)
	}
	if odd := reported(t, `"RecordType":"Bounce","Type":"Unheard","TypeCode":1`); odd != of(event.Postmark, event.HardBounced) {
		t.Errorf("TypeCode 1 is %d", odd)
	}
	for _, typ := range slices.Sorted(maps.Keys(kinds)) {
		names := strings.Join(kinds[typ], ", ")
		if typ == of(event.Postmark, event.HardBounced) {
			names += "; or with TypeCode 1"
		}
		row("webhook Bounce of type "+names, typ)
	}
	row("webhook Bounce of a type that is not known here", reported(t, `"RecordType":"Bounce","Type":"Unheard","TypeCode":424242`))
	row("Postmark refused it for good", of(event.Postmark, event.Dropped))
	row("webhook Open, the first and later ones", reported(t, `"RecordType":"Open","FirstOpen":true`))
	row("webhook Click", reported(t, `"RecordType":"Click","OriginalLink":"https://example.com"`))
	row("webhook SpamComplaint", reported(t, `"RecordType":"SpamComplaint"`))
	row("the message expired, or its provider was deleted, before any provider had it", of(event.Native, event.Dropped))
	return b.String()
}

// reported has the adapter read a report.
func reported(t *testing.T, fields string) event.Type {
	t.Helper()
	const common = `,"ServerID":7,"MessageID":"883953f4-6105-42a2-a16a-77a8eac79483","Email":"ana@example.com","Recipient":"ana@example.com",` +
		`"DeliveredAt":"2024-09-16T09:00:00Z","BouncedAt":"2024-09-16T09:00:00Z","ReceivedAt":"2024-09-16T09:00:00Z"}`
	reports, err := postmark.New(postmark.Config{}).Parse(http.Header{}, []byte("{"+fields+common))
	if err != nil || len(reports) != 1 {
		t.Fatalf("%s: %d reports (%v)", fields, len(reports), err)
	}
	return reports[0].Type
}
