package compat

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the table of operations in docs/sendpost-compatibility.md anew")

func load(t *testing.T) *Contract {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContract(t *testing.T) {
	t.Parallel()
	c := load(t)
	if len(c.Operations) != 37 { // 33 rows, two of which have three methods
		t.Errorf("%d operations", len(c.Operations))
	}
	used := map[string]bool{}
	var use func(kind string)
	use = func(kind string) {
		kind = strings.Trim(kind, "[]{}?*")
		if _, known := c.Types[kind]; known && !used[kind] {
			used[kind] = true
			for _, of := range c.Types[kind] {
				use(of)
			}
		} else if !known && !slices.Contains([]string{"string", "bool", "int32", "int64", "number", "bit", "date", "object"}, kind) {
			t.Errorf("there is no type %s", kind)
		}
	}
	ids, places := map[string]bool{}, map[string]bool{}
	for _, o := range c.Operations {
		use(o.Answer)
		if place := o.Method + o.Path; ids[o.ID] || places[place] {
			t.Errorf("%s is there twice", o.ID)
		} else {
			ids[o.ID], places[place] = true, true
		}
		if o.Key != "account" && o.Key != "subaccount" || !strings.HasPrefix(o.Path, "/"+o.Key+"/") {
			t.Errorf("%s: key %q", o.ID, o.Key)
		}
		if !slices.Contains(o.Refusals, 401) || !slices.IsSorted(o.Refusals) {
			t.Errorf("%s: refusals %v", o.ID, o.Refusals)
		}
	}
	use("WebhookObject")
	for kind := range c.Types {
		if !used[kind] {
			t.Errorf("no answer has the type %s", kind)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	c := &Contract{Types: map[string]map[string]string{
		"Whole": {"id": "int32", "big": "int64", "kind": "bit", "name": "string", "is": "bool", "day": "date", "one": "Part", "some": "[Part]", "map": "{string}", "who": "object?", "deg": "number"},
		"Part":  {"at": "string", "more": "int32*"},
	}}
	o := &Operation{ID: "x", Answer: "Whole"}
	const good = `{"id":2147483647,"big":1567512491587205024,"kind":1,"name":"","is":true,"day":"2026-11-26","one":{"at":""},"some":[{"at":"","more":1}],"map":{"a":"b"},"who":null,"deg":-1.5}`
	if err := c.Check(o, []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ from, to, says string }{
		{`2147483647`, `2147483648`, "Whole.id is no int32"},
		{`2147483647`, `"1"`, "Whole.id is no int32"},
		{`2147483647`, `1.0`, "Whole.id is no int32"},
		{`2147483647`, `1e3`, "Whole.id is no int32"},
		{`1567512491587205024`, `null`, "Whole.big is null"},
		{`"kind":1`, `"kind":2`, "Whole.kind is no bit"},
		{`"kind":1`, `"kind":-1`, "Whole.kind is no bit"},
		{`"name":""`, `"name":1`, "Whole.name is no string"},
		{`true`, `"true"`, "Whole.is is no bool"},
		{`2026-11-26`, `26.11.2026`, "Whole.day is no date"},
		{`{"at":""}`, `{"at":"","extra":1}`, "Whole.one.extra is not documented"},
		{`{"at":"","more":1}`, `{"more":1}`, "Whole.some[0].at is missing"},
		{`[{"at":"","more":1}]`, `null`, "Whole.some is null"},
		{`[{"at":"","more":1}]`, `{}`, "Whole.some is no list"},
		{`"a":"b"`, `"a":5`, "Whole.map.a is no string"},
		{`"who":null`, `"who":"me"`, "Whole.who is no object"},
		{`-1.5`, `"1.5"`, "Whole.deg is no number"},
		{`-1.5}`, `-1.5} {}`, "more after"},
		{`{"id"`, `[{"id"`, "unexpected EOF|is no object|invalid"},
	} {
		text := strings.Replace(good, bad.from, bad.to, 1)
		err := c.Check(o, []byte(text))
		if text == good {
			t.Errorf("%s is not there", bad.from)
		}
		if err == nil || !slices.ContainsFunc(strings.Split(bad.says, "|"), func(says string) bool { return strings.Contains(err.Error(), says) }) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// However a client writes a body, it says the same.
func TestClientsWriteTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]any{rapid.String().Draw(t, "key"): []any{rapid.String().Draw(t, "text"), map[string]any{"a/b": "<&>'=\\\"\u00e9\U0001F600"}, nil, true}}
		for _, c := range Clients() {
			body, err := c.encode(want)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%s: %v in %s", c.Name, err, body)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: %s", c.Name, diff)
			}
		}
	})
	for name, want := range map[string]string{
		"Go":         "{\"a\":[\"\u00e9/<\",1]}\n",
		"Python":     `{"a": ["\u00e9/<", 1]}`,
		"JavaScript": "{\"a\":[\"\u00e9/<\",1]}",
		"Java":       "{\"a\":[\"\u00e9/\\u003c\",1]}",
		"PHP":        `{"a":["\u00e9\/<",1]}`,
	} {
		i := slices.IndexFunc(Clients(), func(c Client) bool { return c.Name == name })
		body, err := Clients()[i].encode(map[string]any{"a": []any{"\u00e9/<", 1}})
		if err != nil || string(body) != want {
			t.Errorf("%s: %s (%v), want %s", name, body, err, want)
		}
	}
}

// TestDocument keeps the table in docs/sendpost-compatibility.md as the contract has it.
func TestDocument(t *testing.T) {
	t.Parallel()
	const path = "../../docs/sendpost-compatibility.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(raw), "-update` -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- end of operations -->")
	if !ok1 || !ok2 {
		t.Fatal("the document has lost its marks")
	}
	var b strings.Builder
	b.WriteString(head + "-update` -->\n\n| operation | success | refusals | to be known |\n|---|---|---|---|\n")
	for _, o := range load(t).Operations {
		note := o.Note
		if o.Message != "" {
			note = strings.TrimSuffix("`"+strings.ReplaceAll(o.Message, "%s", "...")+"`; "+note, "; ")
		}
		fmt.Fprintf(&b, "| `%s %s` | %d `%s` | %s | %s |\n", o.Method, o.Path, o.Status, o.Answer, strings.Trim(fmt.Sprint(o.Refusals), "[]"), note)
	}
	want := b.String() + "\n<!-- end of operations -->" + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("the document is stale; go test ./internal/compat -update (-contract +document):\n%s", diff)
	}
}
