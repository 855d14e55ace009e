package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDashboardTypes keeps the dashboard's types of bodies and answers as the API's document has them.
func TestDashboardTypes(t *testing.T) {
	t.Parallel()
	const path = "../web/ui/src/schema.ts"
	var notes map[string]string
	if err := json.Unmarshal(notesFile, &notes); err != nil {
		t.Fatal(err)
	}
	of := newSchemas(notes)
	document((&server{}).operations(), of)
	var b strings.Builder
	b.WriteString("// The bodies and answers of the API. Written from the code by `go test ./internal/api -update`.\n")
	for _, name := range slices.Sorted(maps.Keys(of.list)) {
		typ := of.list[name]
		if typ.Properties == nil {
			fmt.Fprintf(&b, "\nexport type %s = %s;\n", name, typescript(typ))
			continue
		}
		fmt.Fprintf(&b, "\nexport interface %s {\n", name)
		for _, key := range typ.Properties.names {
			p := typ.Properties.of[key]
			if p.Description != "" {
				fmt.Fprintf(&b, "  /** %s */\n", strings.ReplaceAll(p.Description, "*/", "* /"))
			}
			mark := "?"
			if slices.Contains(typ.Required, key) {
				mark = ""
			}
			fmt.Fprintf(&b, "  %q%s: %s;\n", key, mark, typescript(p))
		}
		b.WriteString("}\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(have)); diff != "" {
		t.Errorf("%s is stale; go test ./internal/api -update (-code +file):\n%s", path, diff)
	}
}

// typescript writes a schema as a type.
func typescript(s *schema) string {
	switch {
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case len(s.AnyOf) > 0:
		var kinds []string
		for _, o := range s.AnyOf {
			kinds = append(kinds, typescript(o))
		}
		return strings.Join(kinds, " | ")
	case s.Properties != nil:
		var fields []string
		for _, key := range s.Properties.names {
			fields = append(fields, fmt.Sprintf("%q: %s", key, typescript(s.Properties.of[key])))
		}
		return "{ " + strings.Join(fields, "; ") + " }"
	}
	switch s.Type {
	case "string", "boolean", "null":
		return s.Type
	case "integer", "number":
		return "number"
	case "array":
		return "(" + typescript(s.Items) + ")[]"
	case "object":
		if others, ok := s.Others.(*schema); ok {
			return "Record<string, " + typescript(others) + ">"
		}
		return "Record<string, unknown>"
	}
	return "unknown"
}
