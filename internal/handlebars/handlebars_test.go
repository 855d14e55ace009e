package handlebars

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func render(t *testing.T, source, model string, options ...Option) string {
	t.Helper()
	tpl, err := Parse(source, options...)
	if err != nil {
		t.Fatalf("%q: %v", source, err)
	}
	m, err := ParseModel([]byte(model))
	if err != nil {
		t.Fatal(err)
	}
	out, err := tpl.Render(m)
	if err != nil {
		t.Fatalf("%q: %v", source, err)
	}
	return out
}

const order = `{"name":"Ana","user":{"address":{"city":"Köln"},"first name":"A"},"items":[{"n":"tea","q":2},{"n":"cake","q":1}],
	"zero":0,"none":null,"empty":"","no":false,"yes":true,"list":[],"tags":["a","b"],"obj":{"z":1,"a":2,"m":{"k":3}},"key":"z","html":"<b>&\"'` + "`" + `=",
	"price":19.90,"big":12345678901234567890,"small":0.0000001,"huge":1e21,"true thing":1,"1st":"one","nested":[[1,[2]],3]}`

func TestRender(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"no tags":                      "no tags",
		"":                             "",
		"Hello {{name}}!":              "Hello Ana!",
		"{{ name }}|{{\tname\n}}":      "Ana|Ana",
		"{{user.address.city}}":        "Köln",
		"{{user/address/city}}":        "Köln",
		"{{user.[first name]}}":        "A",
		"{{[true thing]}}":             "1",
		"{{1st}}":                      "one",
		"{{missing}}{{missing.a.b}}":   "",
		"{{none}}{{empty}}":            "",
		"{{zero}} {{no}} {{yes}}":      "0 false true",
		"{{price}} {{big}} {{small}}":  "19.9 12345678901234567890 1e-7",
		"{{huge}}":                     "1e+21",
		"{{tags}} {{nested}} {{obj}}":  "a,b 1,2,3 [object Object]",
		"{{.name}} {{./name}}":         "Ana Ana",
		"{{this.name}} {{@root.name}}": "Ana Ana",
		"{{tags.[0]}}{{tags.1}}":       "ab",
		"{{tags.2}}{{tags.[01]}}":      "",
		"{{tags.length}} {{name.length}} {{user.address.city.length}}": "2 3 4",
		"{{! a }}b{{!-- {{c}} --}}d{{!--~}}e--}}":                      "bd",
		`\{{name}} \\{{name}}`:                                         `{{name}} \Ana`,
		`a\{{{name}}} {{name}}`:                                        `a{{{name}}} Ana`,

		"{{#if name}}A{{else}}B{{/if}}":                                                              "A",
		"{{#if zero}}A{{else}}B{{/if}}":                                                              "B",
		"{{#if zero includeZero=true}}A{{/if}}":                                                      "A",
		"{{#if empty}}A{{^}}B{{/if}}":                                                                "B",
		"{{#if list}}A{{else}}B{{/if}}":                                                              "B",
		"{{#if obj}}A{{/if}}":                                                                        "A",
		"{{#if no}}A{{else if yes}}B{{else}}C{{/if}}":                                                "B",
		"{{#if no}}A{{else if none}}B{{else}}C{{/if}}":                                               "C",
		"{{#if no}}A{{else if none}}B{{else if yes}}C{{/if}}":                                        "C",
		"{{#if no}}A{{else each tags}}{{this}}{{/if}}":                                               "ab",
		"{{#unless no}}A{{else}}B{{/unless}}":                                                        "A",
		"{{#each items}}{{q}} {{n}}{{#unless @last}}, {{/unless}}{{/each}}":                          "2 tea, 1 cake",
		"{{#each items}}{{@index}}{{@key}}{{@first}}{{../name}} {{/each}}":                           "00trueAna 11falseAna ",
		"{{#each items as |item i|}}{{i}}{{item.n}}{{n}}{{/each}}":                                   "0teatea1cakecake",
		"{{#each obj}}{{@key}}{{#if m}}{{else}}={{this}}{{/if}};{{/each}}":                           "z=1;a=2;m=[object Object];",
		"{{#each list}}A{{else}}B{{/each}}":                                                          "B",
		"{{#each name}}A{{else}}B{{/each}}":                                                          "B",
		"{{#each tags}}{{.}}{{this}}{{/each}}":                                                       "aabb",
		"{{#each tags}}{{#if this}}{{../name}}{{/if}}{{/each}}":                                      "AnaAna",
		"{{#each items}}{{#each ../tags}}{{@../index}}{{@index}}{{this}}{{../n}} {{/each}}{{/each}}": "00atea 01btea 10acake 11bcake ",
		"{{#with user}}{{address.city}}{{../name}}{{/with}}":                                         "KölnAna",
		"{{#with user as |u|}}{{u.address.city}}{{/with}}":                                           "Köln",
		"{{#with none}}A{{else}}{{name}}{{/with}}":                                                   "Ana",
		"{{#user}}{{address.city}}{{/user}}":                                                         "Köln",
		"{{#items}}{{n}}{{/items}}":                                                                  "teacake",
		"{{#yes}}{{name}}{{/yes}}{{#no}}A{{/no}}":                                                    "Ana",
		"{{^no}}A{{/no}}{{^yes}}B{{else}}C{{/yes}}":                                                  "AC",
		"{{#name}}{{this}}{{/name}}":                                                                 "Ana",
		"{{lookup obj key}}{{lookup tags 1}}{{lookup obj 'a'}}":                                      "1b2",
		"{{#with (lookup items 0)}}{{n}}{{/with}}":                                                   "tea",
		"{{lookup (lookup items 1) \"n\"}}":                                                          "cake",
		"{{#each (lookup obj 'm')}}{{@key}}{{/each}}":                                                "k",
		"{{\"name\"}}{{'a\\'b'}}{{12}}{{-1.5}}{{true}}{{null}}{{undefined}}":                         "namea'b12-1.5true",
		"{{../name}}{{#with user}}{{../../name}}{{/with}}{{@index}}{{@nothing}}":                     "",
		"a {{~name~}} b": "aAnab",
		"a {{~#if yes~}} b {{~else~}} c {{~/if~}} d": "abd",
		"a {{~! c ~}} b{{~!-- d --~}} e":             "abe",
		"a {{{~name~}}} b":                           "",
		"{{~{name}~}} b":                             "Anab",

		"a\n{{#if yes}}\nb\n{{/if}}\nc":             "a\nb\nc",
		"a\r\n  {{#if yes}}  \r\nb\r\n{{/if}}\r\nc": "a\r\nb\r\nc",
		"{{#if no}}\nb\n{{else}}\nc\n{{/if}}\n":     "c\n",
		"{{#each tags}}\n- {{this}}\n{{/each}}\n":   "- a\n- b\n",
		"a\n{{! comment }}\nb":                      "a\nb",
		"a\n{{name}}\nb":                            "a\nAna\nb",
		"a\n{{#if yes}} b\n{{/if}}\nc":              "a\n b\nc",
		"a {{#if yes}}\nb{{/if}}\n":                 "a \nb\n",
		"  {{#if yes}}\n  b\n  {{/if}}  ":           "  b\n",
		"{{#if yes}}{{#if yes}}\nb\n{{/if}}{{/if}}": "\nb\n",
	} {
		if strings.HasPrefix(source, "a {{{~") { // Handlebars refuses it, too
			if _, err := Parse(source); err == nil {
				t.Errorf("%q is taken", source)
			}
			continue
		}
		if got := render(t, source, order); got != want {
			t.Errorf("%q gives %q, want %q", source, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	const source = "{{html}} {{{html}}} {{&html}}"
	raw := "<b>&\"'`="
	if got := render(t, source, order); got != raw+" "+raw+" "+raw {
		t.Errorf("as text: %q", got)
	}
	if got := render(t, source, order, EscapeHTML()); got != "&lt;b&gt;&amp;&quot;&#x27;&#x60;&#x3D; "+raw+" "+raw {
		t.Errorf("as HTML: %q", got)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"a\n{{name":                             "line 2: a tag is not closed",
		"{{":                                    "line 1: a tag is not closed",
		"\n\n{{}}":                              "line 3: a name is missing",
		"{{{name}}":                             `line 1: '}' is not expected here: the tag should end with }}}`,
		"{{name}":                               `line 1: '}' is not expected here: the tag should end with }}`,
		"{{#if name}}\n\na":                     `line 1: the block "if" is not closed: {{/if}} is missing`,
		"{{#if a}}\n{{#each b}}\n{{/if}}":       `line 3: {{/if}} does not close the block "each" of line 2`,
		"a\n{{/if}}":                            "line 2: {{/if}} closes no block",
		"{{else}}":                              "line 1: {{else}} stands outside of a block",
		"{{#if a}}{{else}}{{else}}{{/if}}":      "line 1: {{else}} comes after the last one of its block",
		"{{#if}}a{{/if}}":                       "line 1: {{#if}} needs a value",
		"{{#if a b}}a{{/if}}":                   "line 1: {{#if}} takes one value",
		"{{#if a includeZero=1}}{{/if}}":        "line 1: includeZero is true or false",
		"{{upper name}}":                        `line 1: there is no helper "upper": there are if, unless, each, with and lookup`,
		"{{#list items}}{{/list}}":              `line 1: there is no helper "list": there are if, unless, each, with and lookup`,
		"{{log name}}":                          `line 1: there is no helper "log": there are if, unless, each, with and lookup`,
		"{{lookup a}}":                          "line 1: {{lookup}} takes two values",
		"{{lookup a (b c)}}":                    `line 1: there is no helper "b": there are if, unless, each, with and lookup`,
		"{{lookup a (lookup b c}}":              "line 1: a parenthesis is not closed",
		"{{> partial}}":                         "line 1: partials and decorators are not supported",
		"{{#> partial}}{{/partial}}":            "line 1: partials and decorators are not supported",
		"{{* decorator}}":                       "line 1: partials and decorators are not supported",
		"{{{{raw}}}}{{{{/raw}}}}":               "line 1: raw blocks, {{{{name}}}}, are not supported",
		"{{! a":                                 "line 1: a comment is not closed",
		"{{!-- a }}":                            "line 1: a comment is not closed",
		"{{\"a}}":                               "line 1: a string is not closed",
		"{{[a}}":                                "line 1: a bracket is not closed",
		"{{@}}":                                 "line 1: a name is missing",
		"{{a.}}":                                "line 1: a name is missing",
		"{{a..b}}":                              `line 1: '.' is not expected here`,
		"{{#each a as |b}}{{/each}}":            "line 1: one or two names stand between the bars of as |item key|",
		"{{#each a as |a b c|}}{{/each}}":       "line 1: one or two names stand between the bars of as |item key|",
		"{{#each a as ||}}{{/each}}":            "line 1: a name is missing between the bars of as |item key|",
		"{{#each a as b}}{{/each}}":             `line 1: "as" is followed by names: as |item key|`,
		"{{(a)}}":                               "line 1: a value is missing",
		strings.Repeat("{{#if a}}", 65):         "line 1: blocks nest more than 64 deep",
		strings.Repeat("{{a}}", maxTags+1):      "line 1: there are more than 20000 tags",
		"{{lookup " + strings.Repeat("(", 1000): "line 1: a value is missing",
		"{{a" + strings.Repeat(".a", 40) + "}}": "line 1: a path has more than 32 parts",
		strings.Repeat("a", MaxSource+1):        "line 1: a template has at most 5242880 bytes",
	} {
		_, err := Parse(source)
		mistake, ok := errors.AsType[*SyntaxError](err)
		if !ok || mistake.Error() != want {
			t.Errorf("%.60q: %v, want %s", source, err, want)
		}
	}
}

// The reserved name is the root's, wherever it stands, and is seen without rendering.
func TestReserved(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"{{u}} {{#each l}}{{u}}{{this.u}}{{#with this as |u|}}{{u}}{{/with}}{{/each}} {{#if u}}{{{u}}}{{/if}}": "U UitemU U",
		"{{@root.u}}": "U", "{{#with u}}{{this}}{{/with}}": "U", "{{lookup @root u}}{{lookup @root 'u'}}": "U",
		"{{x.y}}": "",
	} {
		tpl, err := Parse(source, Reserve("u"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := ParseModel([]byte(`{"u":"own","l":[{"u":"item"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.Render(m.With("u", "U")); err != nil || got != want {
			t.Errorf("%s gives %q, %v, want %q", source, got, err, want)
		}
		if tpl.UsesReserved() != strings.Contains(source, "u}}") {
			t.Errorf("%s: %v", source, tpl.UsesReserved())
		}
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	const source = "{{{ pm:unsubscribe }}} {{name}} {{~pm:unsubscribe_url~}} {{#if pm:x}}{{/if}}{{../pm:a}}{{name.pm:a}}"
	if got := render(t, source, order, Keep("pm:")); got != "{{{ pm:unsubscribe }}} Ana {{~pm:unsubscribe_url~}} " {
		t.Errorf("%q", got)
	}
	if got := render(t, source, order); got != " Ana" {
		t.Errorf("%q", got)
	}
}

func TestBadModels(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "null", "[]", `"a"`, `{"a":1`, `{"a":1}{}`, `{"a":[}`, `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}"} {
		if m, err := ParseModel([]byte(raw)); err == nil {
			t.Errorf("%q is taken: %+v", raw, m)
		}
	}
	var none Model
	tpl, err := Parse("{{a}}{{@root.a}}b")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tpl.Render(none); got != "b" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got := render(t, "{{a}}{{b}}", `{"a":1,"b":2,"a":3}`); got != "32" {
		t.Errorf("twice the same key: %s", got)
	}
}

// What a small template makes of a large model is bounded, in bytes and in time.
func TestBounds(t *testing.T) {
	t.Parallel()
	list := `{"l":[` + strings.Repeat("1,", 9999) + `1],"s":"` + strings.Repeat("x", 1<<20) + `","n":` + strings.Repeat("9", 1<<20) + `}`
	m, err := ParseModel([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat("{{#each @root.l}}", 10) + "%" + strings.Repeat("{{/each}}", 10)
	for _, inner := range []string{"", "x", "{{@root.s}}", "{{@root.s.length}}", "{{#if @root.n}}{{/if}}", "{{#if (lookup @root @root.l)}}{{/if}}",
		"{{lookup @root @root.s}}", "{{" + strings.Repeat("../", 1<<16) + "a}}", "{{a" + strings.Repeat("a", 1<<20) + "}}"} {
		tpl, err := Parse(strings.ReplaceAll(deep, "%", inner))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if out, err := tpl.Render(m); !errors.Is(err, ErrTooLarge) || out != "" {
			t.Errorf("%.30s: %d bytes, %v", inner, len(out), err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%.30s took %v", inner, took)
		}
	}
}

// Parsing takes time in proportion to the source, whatever it is.
func TestParsingIsLinear(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{" ", "{", "}", "{{!", "{{! ", "{{!--", "--", "{{a", "\n", `\{{`, `\`, "{{a}}\n", "[", "'", "(", ".", "../", "@", "~", "{{~a~}} "} {
		for _, frame := range [][2]string{{"", ""}, {"{{", "}}"}, {"{{!", ""}, {"{{!--", "}}"}, {"{{a", "}}"}, {"{{lookup a ", ""}, {"{{'", ""}} {
			source := frame[0] + strings.Repeat(piece, (1<<17)/len(piece)) + frame[1]
			began := time.Now()
			_, _ = Parse(source) // it takes milliseconds; with the square of it, minutes
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("%q of %q took %v", frame, piece, took)
			}
		}
	}
}

// Models are what encoding/json reads, in the order of the text.
func FuzzParseModel(f *testing.F) {
	for _, seed := range []string{order, `{}`, ` { "a" : [ 1 , -2.5e+3 , "\u00e9\ud83d\ude00\n" , null , true , false , { } , [ ] ] } `, `{"a":"\xff"}`, `[1]`, `{"a":1,"a":2}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		m, err := ParseModel([]byte(raw))
		dec := json.NewDecoder(strings.NewReader(raw))
		dec.UseNumber()
		var want map[string]any
		if !json.Valid([]byte(raw)) || dec.Decode(&want) != nil || want == nil {
			if err == nil {
				t.Fatalf("%q is taken", raw)
			}
			return
		}
		if err != nil {
			if strings.Contains(err.Error(), "deep") {
				return
			}
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, plain(m.root)); diff != "" {
			t.Fatalf("%q: %s", raw, diff)
		}
	})
}

// plain is a value as encoding/json has it.
func plain(v any) any {
	switch v := v.(type) {
	case *object:
		out := map[string]any{}
		for i, k := range v.keys {
			out[k] = plain(v.values[i])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"{{name}}", "{{#if a}}b{{else if c}}d{{else}}e{{/if}}", "{{#each a as |b c|}}{{@index}}{{/each}}", `\{{a}} {{!-- b --}}`,
		"{{~{a}~}}", "{{lookup (lookup a 'b') 1}}", "{{^a}}b{{/a}}", "\n {{#a}} \r\n{{/a}}\n", "{{a.[b c].../d}}", "{{@root.a}}{{../b}}{{this}}{{.}}"} {
		f.Add(seed, `{"a":[{"b":1}],"b":{"c":"d"},"name":"<"}`)
	}
	f.Fuzz(func(t *testing.T, source, model string) {
		tpl, err := Parse(source, EscapeHTML(), Reserve("name"))
		if err != nil {
			mistake, ok := errors.AsType[*SyntaxError](err)
			if !ok || mistake.Line < 1 || mistake.Line > strings.Count(source, "\n")+1 || mistake.Message == "" {
				t.Fatalf("%q: %v", source, err)
			}
			return
		}
		m, err := ParseModel([]byte(model))
		if err != nil {
			return
		}
		one, err := tpl.Render(m)
		two, err2 := tpl.Render(m)
		if one != two || (err == nil) != (err2 == nil) || len(one) > 2*MaxOutput+len(source) {
			t.Fatalf("%q gives %q, then %q", source, one, two)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	source := strings.Repeat("<p>Some text of a letter, with words that stand between tags</p>\n", 300) + "Hello {{user.name}}, {{#each items}}{{n}} {{/each}}"
	b.SetBytes(int64(len(source)))
	for b.Loop() {
		if _, err := Parse(source, EscapeHTML()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	tpl, err := Parse("Hello {{name}} of {{user.address.city}}: {{#each items}}{{q}} {{n}}{{#unless @last}}, {{/unless}}{{/each}}", EscapeHTML())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	m, err := ParseModel([]byte(order))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := tpl.Render(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseModel(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseModel([]byte(order)); err != nil {
			b.Fatal(err)
		}
	}
}
