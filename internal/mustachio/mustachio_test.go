package mustachio_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/mustachio"
)

func model(t testing.TB, raw string) map[string]any {
	t.Helper()
	m, err := mustachio.ParseModel([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// PM-sim 27.
func TestRender(t *testing.T) {
	t.Parallel()
	const data = `{"name":"Ana","html":"<b>&\"'</b>","yes":true,"no":false,"zero":0,"zerof":0.0,"minus":-0.0,"n":42,"f":1.50,"big":12345678901234567890,
		"tiny":0.0000001,"empty":"","none":null,"list":[1,"two",{"x":3}],"objects":[{"x":1},{"x":2}],"nothing":[],"bare":{},
		"co":{"name":"Acme","ceo":{"name":"Bo","items":["p","q"]}},"rows":[{"cells":["a","b"]},{"cells":["c"]}],"this":{"x":"literal"},"é":"accent"}`
	for source, want := range map[string]string{
		"plain { text } {{}} {a}":                               "plain { text } {{}} {a}",
		"{{name}} {{ name }}":                                   "Ana Ana",
		"{{html}}":                                              "&lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;",
		"{{{html}}}|{{&html}}|{{& html }}":                      `<b>&"'</b>|<b>&"'</b>|<b>&"'</b>`,
		"a{{! a comment }}b":                                    "ab",
		"{{yes}} {{no}} {{zero}} {{n}} {{f}}":                   "True False 0 42 1.5",
		"{{tiny}} {{big}}":                                      "1E-07 1.2345678901234567E+19",
		"[{{missing}}{{none}}{{empty}}{{list}}{{co}}]":          "[]",
		"{{co.ceo.name}} {{co.nope.name}}":                      "Bo ",
		"{{é}}":                                                 "accent",
		"{{#name}}yes{{/name}}{{^name}}no{{/name}}":             "yes",
		"{{#missing}}yes{{/missing}}{{^missing}}no{{/missing}}": "no",
		"{{#yes}}1{{/yes}}{{#no}}2{{/no}}{{#zero}}3{{/zero}}{{#zerof}}4{{/zerof}}{{#minus}}5{{/minus}}{{#empty}}6{{/empty}}" +
			"{{#nothing}}7{{/nothing}}{{#bare}}8{{/bare}}{{#none}}9{{/none}}": "1",
		"{{#co}}{{name}} {{ceo.name}} {{../name}}{{/co}}":             "Acme Bo Ana",
		"{{#co.ceo}}{{name}}, {{../name}}, {{../../name}}{{/co.ceo}}": "Bo, Acme, Ana",
		"{{#co}}[{{n}}]{{/co}}":                                       "[]", // no search in outer scopes
		"{{../../../name}}":                                           "Ana",
		"{{#list}}once{{/list}}":                                      "once",
		"{{#each list}}<{{.}}>{{/each}}":                              "<1><two><>",
		"{{#each objects}}{{x}}{{../../name}} {{/each}}":              "1Ana 2Ana ",
		"{{#each co.ceo.items}}{{.}}{{../../name}} {{/each}}":         "pBo qBo ",
		"{{#each rows}}({{#each cells}}{{.}}{{/each}}){{/each}}":      "(ab)(c)",
		"{{#each missing}}x{{/each}}{{#each nothing}}y{{/each}}":      "",
		"{{#co}}{{#each ceo.items}}{{.}}{{/each}}{{/co}}":             "pq",
		"{{#co.ceo.items}}{{#each .}}{{.}}{{/each}}{{/co.ceo.items}}": "pq",
		"{{#name}}A{{^name}}B{{/name}}":                               "A",
		"{{#missing}}A{{^missing}}B{{/missing}}":                      "B",
		"{{#name}}A{{#name}}B{{/name}}":                               "AB",
		"{{this.x}}":                                                  "literal",
		"{{^missing}}{{name}}[{{../name}}]{{/missing}}":               "[Ana]",
		"{{{{name}}}}":                 "{Ana}",
		"{{{name}}":                    "{Ana", // the shorter form is found inside
		"{{name}}}":                    "Ana}",
		"{{name\n}}":                   "Ana",
		"{{#each list}}{{ }}{{/each}}": "1two", // an empty path is the scope itself
		"{{#rows}}{{#each .}}{{../../name}}{{/each}}{{/rows}}": "AnaAna", // an item's parent is the list
		"{{#list}}{{#each .}}[{{.}}]{{/each}}{{/list}}":        "[1][two][]",
		"{{co.ceo../name}}":               "Acme", // ../ climbs one segment, wherever it stands
		"{{#co}}{{../../../name}}{{/co}}": "Ana",  // beyond the root is the root
		"{{list.x}}{{name.x}}{{yes.x}}":   "",
	} {
		tpl, err := mustachio.Parse(source, mustachio.EscapeHTML())
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		got, err := tpl.Render(model(t, data))
		if err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", source, got, err, want)
		}
	}
}

// PM-sim 27: subjects and text bodies are not escaped; HTML is, as .NET does it.
func TestEscaping(t *testing.T) {
	t.Parallel()
	data := model(t, `{"x":"<a href='#'>\"é\" ü 😀 日本 & ~</a>"}`)
	plain, err := mustachio.Parse("{{x}}")
	if err != nil {
		t.Fatal(err)
	}
	escaped, err := mustachio.Parse("{{x}}", mustachio.EscapeHTML())
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := plain.Render(data); got != "<a href='#'>\"é\" ü 😀 日本 & ~</a>" {
		t.Errorf("%q", got)
	}
	const want = "&lt;a href=&#39;#&#39;&gt;&quot;&#233;&quot; &#252; &#128512; 日本 &amp; ~&lt;/a&gt;"
	if got, _ := escaped.Render(data); got != want {
		t.Errorf("%q", got)
	}
}

// PM-sim 29: mistakes are errors with a place and Postmark's words.
func TestParseErrors(t *testing.T) {
	t.Parallel()
	const (
		mismatched = "It appears that open and closing elements are mismatched."
		noPath     = "The 'each' block being opened requires a model path to be specified in the form '{{#each <name>}}'."
		badClose   = "The syntax to close the 'each' block should be: '{{/each}}'."
		strayClose = "An 'each' block is being closed, but no corresponding opening element ('{{#each <name>}}') was detected."
	)
	invalid := func(path string) string {
		return "The path '" + path + "' is not valid. Please see documentation for examples of valid paths."
	}
	unclosed := func(path string) string {
		return "A scope block to the following path was opened but not closed: '" + path + "', please close it using the appropriate syntax."
	}
	for source, want := range map[string][]mustachio.Error{
		"{{first-name}}":                {{1, 1, invalid("first-name")}},
		"{{first name}}":                {{1, 1, invalid("first name")}},
		"é\n  {{@index}}":               {{2, 3, invalid("@index")}},
		"ü{{a...b}}":                    {{1, 2, invalid("a...b")}},
		"{{a/b}}":                       {{1, 1, invalid("a/b")}},
		"{{..}}":                        {{1, 1, invalid("..")}},
		"{{a..b}}":                      {{1, 1, invalid("a..b")}},
		"{{#if x}}{{/if x}}":            {{1, 1, invalid("if x")}},
		"{{#each}}{{/each}}":            {{1, 1, noPath}},
		"{{#each}}":                     {{1, 1, noPath}, {1, 1, unclosed("each")}},
		"{{#eachx}}{{/each}}":           {{1, 1, noPath}},
		"😀{{a-b}}":                      {{1, 3, invalid("a-b")}}, // in UTF-16 units
		"{{a\u0903}}{{½}}":              {{1, 1, invalid("a\u0903")}, {1, 7, invalid("½")}},
		"{{../..}}":                     {{1, 1, invalid("../..")}},
		"{{a..}}{{..//a}}{{/}}":         {{1, 1, invalid("a..")}, {1, 8, invalid("..//a")}, {1, 17, mismatched}},
		"{{{pm:unsubscribe}}}":          {{1, 1, invalid("pm:unsubscribe")}},
		"{{#each a}}{{/each a}}":        {{1, 12, badClose}, {1, 1, unclosed("a")}},
		"{{/each}}":                     {{1, 1, strayClose}},
		"{{#a}}{{/each}}{{/a}}":         {{1, 7, strayClose}},
		"{{#a}}{{#b}}{{/a}}{{/b}}":      {{1, 13, mismatched}, {1, 1, unclosed("a")}},
		"{{/a}}":                        {{1, 1, mismatched}},
		"{{#a}}":                        {{1, 1, unclosed("a")}},
		"{{^a.b}}\n{{#each c}}":         {{1, 1, unclosed("a.b")}, {2, 1, unclosed("c")}},
		"{{else}}{{#a}}x{{/a}}{{else}}": nil, // a value called else: silently nothing
	} {
		_, err := mustachio.Parse(source)
		var got []mustachio.Error
		if errs, ok := errors.AsType[mustachio.Errors](err); ok {
			got = errs
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", source, diff)
		}
	}
}

func TestRenderErrors(t *testing.T) {
	t.Parallel()
	tpl, err := mustachio.Parse("{{#each a}}x{{/each}}")
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{`{"a":"text"}`, `{"a":{"b":1}}`, `{"a":7}`, `{"a":true}`} {
		if _, err := tpl.Render(model(t, data)); !errors.Is(err, mustachio.ErrNotList) || !tpl.MayFail([]byte(data)) {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestMayFail(t *testing.T) {
	t.Parallel()
	long := `{"x":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, c := range []struct {
		source, model string
		want          bool
	}{
		{"{{a}} {{#b}}{{.}}{{/b}}", `{"a":1,"b":{"c":[2]}}`, false}, // no loop
		{strings.Repeat("{{x}}", 100), long, false},                 // of no ordinary size
		{"{{#each a}}x{{/each}}", `{"b":7,"c":"an a","d":["a b"],"ab":{"A":1}}`, false},
		{"{{#each a}}x{{/each}}", `{"b":{"a":7}}`, true}, // further in, which is not looked at
		{"{{#each a}}x{{/each}}", `{"\u0061":7}`, true},
		{"{{#each a}}x{{/each}}", `"{\\"a\\":7}"`, true}, // a string that holds an object
		{"{{#each .}}x{{/each}}", `{"b":7}`, true},
		{"{{#a}}{{#each .}}x{{/each}}{{/a}}", `{"b":7}`, false},
		{"{{#a}}{{#each .}}x{{/each}}{{/a}}", `{"a":7}`, true},
		{"{{^a}}{{#each b}}x{{/each}}{{/a}}", `{"b":7}`, true},
		{"{{^a}}{{#each b}}x{{/each}}{{/a}}", `{"a":7}`, false},
		{"{{#each b.c}}{{#each d}}x{{/each}}{{/each}}", `{"b":7,"d":8}`, false},
		{"{{#each b.c}}x{{/each}}{{#each d}}x{{/each}}", `{"b":7,"d":8}`, true},
		{"{{#each a.b}}{{#each ../}}x{{/each}}{{/each}}", `{"b":7}`, true},
		{strings.Repeat("{{x}}", 100) + "{{#each a}}{{/each}}", long, true}, // too much to print
	} {
		tpl, err := mustachio.Parse(c.source, mustachio.EscapeHTML())
		if err != nil {
			t.Fatal(err)
		}
		if got := tpl.MayFail([]byte(c.model)); got != c.want {
			t.Errorf("%.50s: %v for %.50s", c.source, got, c.model)
		}
	}
}

// What surely does not fail does not, whatever the template and the model.
func TestMayFailIsSure(t *testing.T) {
	t.Parallel()
	blocks := [][2]string{{"{{#a}}", "{{/a}}"}, {"{{^a}}", "{{/a}}"}, {"{{#b.c}}", "{{/b.c}}"}, {"{{#each a}}", "{{/each}}"}, {"{{#each b.c}}", "{{/each}}"},
		{"{{#each .}}", "{{/each}}"}, {"{{#each ../b}}", "{{/each}}"}, {"{{b}}", "{{../a}}"}}
	value := rapid.Deferred(func() *rapid.Generator[any] {
		scalar := rapid.SampledFrom([]any{nil, true, 0, 7, "", "a", "é"})
		return rapid.OneOf(scalar.AsAny(), rapid.Custom(func(r *rapid.T) any {
			object := map[string]any{}
			for _, key := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 3).Draw(r, "keys") {
				object[key] = rapid.OneOf(scalar.AsAny(), rapid.Just(any([]any{1, "x"})), rapid.Just(any(map[string]any{"c": 1})),
					rapid.Just(any(map[string]any{"c": []any{2}}))).Draw(r, key)
			}
			return object
		}))
	})
	sure := 0
	rapid.Check(t, func(r *rapid.T) {
		source := ""
		for _, block := range rapid.SliceOfN(rapid.SampledFrom(blocks), 1, 5).Draw(r, "blocks") {
			source = block[0] + source + block[1]
		}
		tpl, err := mustachio.Parse(source, mustachio.EscapeHTML())
		if err != nil {
			return // a block in one on the same path
		}
		object := map[string]any{}
		for _, key := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 3).Draw(r, "keys") {
			object[key] = value.Draw(r, key)
		}
		raw, err := json.Marshal(object)
		if err != nil {
			r.Fatal(err)
		}
		if tpl.MayFail(raw) {
			return
		}
		sure++
		if _, err := tpl.Render(model(t, string(raw))); err != nil {
			r.Fatalf("%s: %v", raw, err)
		}
	})
	if sure == 0 {
		t.Error("nothing was sure")
	}
}

// Small inputs cannot make much work: nested loops over one list grow without bound otherwise.
func TestRenderingIsBounded(t *testing.T) {
	t.Parallel()
	list := "[" + strings.Repeat("1,", 999) + "1]"
	data := model(t, `{"l":`+list+`,"long":"`+strings.Repeat("x", 1<<20)+`"}`)
	for _, source := range []string{
		"{{#each l}}{{#each ../../l}}{{#each ../../../../l}}x{{/each}}{{/each}}{{/each}}",
		"{{#each l}}{{../../long}}{{/each}}",
		"{{{long}}}{{{long}}}{{{long}}}{{{long}}}{{{long}}}{{{long}}}{{{long}}}{{{long}}}{{{long}}}{{{long}}}{{{long}}}",
		"{{#each l}}{{" + strings.Repeat("../", 1<<20) + "x}}{{/each}}", // a path is work, too
	} {
		tpl, err := mustachio.Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tpl.Render(data); !errors.Is(err, mustachio.ErrTooLarge) {
			t.Errorf("%s: %v", source, err)
		}
	}
	if _, err := mustachio.Parse(strings.Repeat("{{#a}}{{#b}}", 40) + strings.Repeat("{{/b}}{{/a}}", 40)); err == nil {
		t.Error("80 levels pass")
	}
	if _, err := mustachio.Parse(strings.Repeat("x", mustachio.MaxSource+1)); err == nil {
		t.Error("a source over the limit passes")
	}
}

func TestParseModel(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "[]", `"x"`, "{} {}", "{"} {
		if _, err := mustachio.ParseModel([]byte(bad)); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

// PM-sim 27: the switch for what Postmark's own examples have.
func TestHandlebars(t *testing.T) {
	t.Parallel()
	m := model(t, `{"a":{"b":"x"},"list":["p","q"],"rows":[{"n":1},{"n":2}],"no":false}`)
	for source, want := range map[string]string{
		"{{#if a}}{{a.b}}{{else}}none{{/if}}":                       "x",
		"{{#if no}}yes{{else}}no{{/if}}":                            "no",
		"{{#unless no}}yes{{else}}no{{/unless}}":                    "yes",
		"{{#unless a}}yes{{else}}no{{/unless}}":                     "no",
		"{{#if list.length}}some{{/if}}{{#if gone.length}}x{{/if}}": "some",
		"{{#if a}}{{#if no}}1{{else}}2{{/if}}{{else}}3{{/if}}":      "2",
		"{{#each list}}{{@index}}{{this}} {{/each}}{{@index}}":      "0p 1q ",
		"{{#each rows}}{{#if this.n}}{{this.n}}/{{/if}}{{/each}}":   "1/2/",
		"{{#a}}{{#if b}}{{b}}{{/if}}{{/a}}":                         "x",
	} {
		tpl, err := mustachio.Parse(source, mustachio.Handlebars())
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := tpl.Render(m); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", source, got, err, want)
		}
	}
	for _, source := range []string{"{{else}}", "{{/if}}", "{{#if a}}", "{{#if a}}{{/unless}}", "{{#if a}}{{#b}}{{/if}}{{/b}}", "{{#a}}{{else}}{{/a}}",
		"{{#if a b}}{{/if}}", "{{@key}}", "{{#each list}}{{/if}}{{/each}}", "{{#if a}}{{/a}}"} {
		if _, err := mustachio.Parse(source, mustachio.Handlebars()); err == nil {
			t.Errorf("%s passes", source)
		}
	}
	tpl, err := mustachio.Parse("{{#if a}}{{b}}{{/if}}", mustachio.Handlebars())
	if err != nil {
		t.Fatal(err)
	}
	if got := mustachio.Suggest(tpl); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// PM-sim 28.
func TestSuggest(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"nothing":                                         `{}`,
		"{{a}} {{b.c}}":                                   `{"a":"a_Value","b":{"c":"c_Value"}}`,
		"{{#a}}{{b}}{{../c}}{{/a}}":                       `{"a":{"b":"b_Value"},"c":"c_Value"}`,
		"{{#each a}}{{b}}{{../../c}}{{/each}}":            `{"a":[{"b":"b_Value"}],"c":"c_Value"}`,
		"{{#each a}}{{.}}{{/each}}":                       `{"a":["a_1","a_2","a_3"]}`,
		"{{#each a.b}}{{#each .}}{{x}}{{/each}}{{/each}}": `{"a":{"b":[[{"x":"x_Value"}]]}}`,
		"{{#a}}{{.}}{{/a}}":                               `{"a":"a_Value"}`,
	} {
		tpl, err := mustachio.Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(model(t, want), mustachio.Suggest(tpl, nil)); diff != "" {
			t.Errorf("%s: %s", source, diff)
		}
	}
}

// No template and no model make the engine panic, and what is parsed renders within the limits.
func FuzzRender(f *testing.F) {
	for _, source := range []string{"{{#each a}}{{../../b}}{{/each}}", "{{#x}}A{{^x}}B{{/x}}", "{{{a.b}}} {{& c}}", "{{! x }}{{../a}}",
		"{{#each .}}{{.}}{{/each}}", "{{#a.b}}{{/a.b}}", "{{#if x}}"} {
		f.Add(source, `{"a":[1,{"b":[2]}],"b":"<x>","x":true}`)
	}
	f.Fuzz(func(t *testing.T, source, raw string) {
		data, err := mustachio.ParseModel([]byte(raw))
		if err != nil {
			return
		}
		tpl, err := mustachio.Parse(source, mustachio.EscapeHTML())
		if err != nil {
			if errs, ok := errors.AsType[mustachio.Errors](err); !ok || len(errs) == 0 || errs.Error() == "" {
				t.Errorf("an error without a mistake: %v", err)
			}
			return
		}
		out, err := tpl.Render(data)
		if err != nil && !errors.Is(err, mustachio.ErrNotList) && !errors.Is(err, mustachio.ErrTooLarge) {
			t.Error(err)
		}
		if err == nil && !strings.Contains(source, "{{") && out != source {
			t.Errorf("plain text %q became %q", source, out)
		}
		if err != nil && len(source)*(len(raw)+32) < mustachio.MaxOutput/8 && !tpl.MayFail([]byte(strings.TrimSpace(raw))) {
			t.Errorf("what could not fail did: %v", err)
		}
		if _, err := tpl.Render(mustachio.Suggest(tpl)); err != nil && !tpl.MayFail(suggested(t, tpl)) {
			t.Errorf("the suggested model fails: %v", err)
		}
	})
}

func suggested(t *testing.T, tpl *mustachio.Template) []byte {
	t.Helper()
	raw, err := json.Marshal(mustachio.Suggest(tpl))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func BenchmarkRender(b *testing.B) {
	tpl, err := mustachio.Parse(strings.Repeat("Hello {{name}}, {{#each items}}<li>{{.}}</li>{{/each}}{{^gone}}there{{/gone}} ", 10), mustachio.EscapeHTML())
	if err != nil {
		b.Fatal(err)
	}
	data := model(b, `{"name":"Ana & Bo","items":["a","b","c"]}`)
	for b.Loop() {
		if _, err := tpl.Render(data); err != nil {
			b.Fatal(err)
		}
	}
}
