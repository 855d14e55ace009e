package handlebars

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mailgun/raymond/v2"
	"pgregory.net/rapid"
)

// writer makes templates of what both this package and raymond know.
type writer struct {
	*rapid.T
	out    strings.Builder
	strips bool // with ~, and without line breaks: where the two meet, raymond does not do what Handlebars does
}

func (w *writer) one(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(w.T, label)
}

func (w *writer) strip(tag string) string {
	if !w.strips {
		return tag
	}
	if rapid.IntRange(0, 9).Draw(w.T, "left") == 0 {
		tag = "{{~" + tag[2:]
	}
	if rapid.IntRange(0, 9).Draw(w.T, "right") == 0 {
		tag = tag[:len(tag)-2] + "~}}"
	}
	return tag
}

func (w *writer) tag(text string) { w.out.WriteString(w.strip("{{" + text + "}}")) }

// place is what a path may begin at. raymond climbs to the scopes around for what it does not find, so only what is there is asked for.
type place int

const (
	atObject place = iota
	atText
)

func (w *writer) path(at place) string {
	if at == atText {
		return w.one("path", "this", "@root.name")
	}
	return w.one("path", "name", "user.name", "user/html", "list", "items", "no", "yes", "empty", "none", "n", "this.name", "./n", "[name]")
}

func (w *writer) body(depth int, at place) {
	for range rapid.IntRange(1, 4).Draw(w.T, "parts") {
		w.part(depth, at)
	}
}

func (w *writer) part(depth int, at place) {
	kind := rapid.IntRange(0, 11).Draw(w.T, "kind")
	if depth == 0 {
		kind = max(kind, 5)
	}
	switch kind {
	case 0:
		w.block(w.one("helper", "if", "unless"), w.path(at), depth, at, at, true)
	case 1:
		w.block("each", w.one("texts", "@root.list", "@root.user.list", "@root.none"), depth, atText, at, true)
	case 2:
		w.block("each", w.one("objects", "@root.items", "@root.user.items"), depth, atObject, at, true)
	case 3:
		w.block("with", w.one("object", "@root.user", "@root.items.[0]"), depth, atObject, at, false)
	case 4:
		w.block("if", w.path(at), depth, at, at, true)
	case 5:
		w.tag("! a comment ")
	case 6:
		w.tag(w.one("data", "@index", "@first", "@last", "lookup @root.list 1", `lookup @root.user "name"`))
	case 7, 8:
		if value := w.one("value", "name", "user.name", "html", "n", "yes", "no", "empty", "this.name"); at == atObject {
			w.tag(value)
		} else {
			w.tag("this")
		}
	case 9:
		w.out.WriteString("{{{" + w.one("raw", "@root.html", "@root.name") + "}}}")
	case 10:
		w.out.WriteString(w.one("words", "a", " c ", "<p>", "\\{{x}} "))
	default:
		if w.strips {
			return
		}
		w.out.WriteString(w.one("text", "a", "\n", "\n  ", "b\n", " c ", "\r\n", "<p>", "\\{{x}} "))
	}
}

func (w *writer) block(helper, path string, depth int, inner, outer place, other bool) {
	w.tag("#" + helper + " " + path)
	w.body(depth-1, inner)
	if other && rapid.Bool().Draw(w.T, "else") {
		w.tag(w.one("word", "else", "^"))
		w.body(depth-1, outer)
	}
	w.tag("/" + helper)
}

// person is an object in which every path is found.
func person(name string, depth int) map[string]any {
	p := map[string]any{"name": name, "html": "<b>&" + name, "n": name + "7", "yes": "yes", "no": false, "empty": "", "none": []any{}, "list": []any{"x", "y" + name}}
	if depth > 0 {
		p["user"] = person(name+"u", depth-1)
		p["items"] = []any{person(name+"i", depth-1), person(name+"j", depth-1)}
	}
	return p
}

// Templates give what raymond, another implementation of Handlebars, makes of them. It is no better a judge than this package where the
// two print values differently: numbers, and objects and lists, which the generator keeps away from.
func TestAsRaymond(t *testing.T) {
	t.Parallel()
	values := person("A", 5)
	raw, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseModel(raw)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{T: t, strips: rapid.Bool().Draw(t, "strips")}
		w.body(3, atObject)
		source := "(" + w.out.String() + ")" // raymond takes other lines at the ends than Handlebars does
		tpl, err := Parse(source, EscapeHTML())
		if err != nil {
			t.Fatalf("%q: %v", source, err)
		}
		got, err := tpl.Render(m)
		if err != nil {
			t.Fatalf("%q: %v", source, err)
		}
		want, err := raymond.Render(source, values)
		if err != nil {
			t.Skip(err)
		}
		compared++
		if got != want {
			t.Fatalf("%q gives\n%q, raymond\n%q", source, got, want)
		}
	})
	if compared < 50 {
		t.Errorf("%d templates were compared", compared)
	}
}
