package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/net/html"
)

// observed checks every answer that tests get against the document, by a validator of its own, and remembers which operations they saw.
type observed struct {
	operations []operation
	answers    map[string]*jsonschema.Schema // by method and path
	bodies     map[string]*jsonschema.Schema
	refusal    *jsonschema.Schema

	mu   sync.Mutex
	seen map[string]bool // successes
}

// watched is the observed of all tests.
var watched = sync.OnceValues(newObserved)

func newObserved() (*observed, error) {
	made, err := (&server{}).describe()
	if err != nil {
		return nil, err
	}
	text, err := jsonschema.UnmarshalJSON(bytes.NewReader(made.document))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	const name = "openapi.json"
	if err := c.AddResource(name, text); err != nil {
		return nil, err
	}
	t := &observed{operations: (&server{}).operations(), answers: map[string]*jsonschema.Schema{}, bodies: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	if t.refusal, err = c.Compile(name + "#/components/schemas/Problem"); err != nil {
		return nil, err
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for i := range t.operations {
		o := &t.operations[i]
		at := name + "#/paths/" + url.PathEscape(escape.Replace(o.Path)) + "/" + strings.ToLower(o.Method)
		if o.gives != nil {
			if t.answers[o.name()], err = c.Compile(fmt.Sprintf("%s/responses/%d/content/application~1json/schema", at, o.status)); err != nil {
				return nil, err
			}
		}
		if o.takes != nil {
			if t.bodies[o.name()], err = c.Compile(at + "/requestBody/content/application~1json/schema"); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// name is how an operation is told from others.
func (o *operation) name() string { return o.Method + " " + o.Path }

// find returns the operation that a request is for, nil when there is none. What is written out goes before what is in braces.
func (t *observed) find(method, path string) *operation {
	var found *operation
	segments, best := strings.Split(strings.TrimSuffix(path, "/"), "/"), -1
	for i := range t.operations {
		o := &t.operations[i]
		pattern := strings.Split(o.Path, "/")
		if o.Method != method || len(pattern) != len(segments) {
			continue
		}
		literal := 0
		for j := range pattern {
			switch {
			case pattern[j] == segments[j]:
				literal++
			case !strings.HasPrefix(pattern[j], "{") || segments[j] == "":
				literal = -1 << 30
			}
		}
		if literal > best {
			best, found = literal, o
		}
	}
	return found
}

// check compares an answer with the document. What no operation is for is not its business.
func (t *observed) check(method, target string, request []byte, status int, header http.Header, body []byte) error {
	at, err := url.Parse(target)
	if err != nil {
		return err
	}
	o := t.find(method, at.Path)
	if o == nil {
		return nil
	}
	if o.foreign && (status >= http.StatusBadRequest || !json.Valid(request) || o.gives == nil && status == http.StatusOK) {
		return nil // other vendors' forms and refusals; a dry run
	}
	if status >= http.StatusBadRequest {
		if o.people && strings.HasPrefix(header.Get("Content-Type"), "text/html") || method == http.MethodHead {
			return nil
		}
		return valid(t.refusal, body)
	}
	if status != o.status {
		return fmt.Errorf("%s: status %d, documented is %d", o.name(), status, o.status)
	}
	t.mu.Lock()
	t.seen[o.name()] = true
	t.mu.Unlock()
	for name := range at.Query() {
		// Some tests give these to operations that ignore them.
		if !slices.Contains([]string{"group", "limit", "url", "u", "redirect"}, name) && !slices.ContainsFunc(o.query, func(p parameter) bool { return p.Name == name }) {
			return fmt.Errorf("%s took the parameter %s, which is not documented", o.name(), name)
		}
	}
	if s := t.bodies[o.name()]; s != nil && len(bytes.TrimSpace(request)) > 0 {
		if err := valid(s, request); err != nil && !bytes.Contains(request, []byte("null")) { // null is taken for a key that is absent
			return fmt.Errorf("%s: the body: %w in %s", o.name(), err, request)
		}
	}
	if o.gives == nil {
		if media, _, _ := strings.Cut(header.Get("Content-Type"), ";"); media != "" && !slices.Contains(o.media, media) || media == "" && len(o.media) > 0 {
			return fmt.Errorf("%s: Content-Type %q, documented is %q", o.name(), media, o.media)
		}
		return nil
	}
	if err := valid(t.answers[o.name()], body); err != nil {
		return fmt.Errorf("%s: %w in %s", o.name(), err, body)
	}
	return nil
}

func valid(s *jsonschema.Schema, body []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// unseen are the operations that no test made succeed.
func (t *observed) unseen() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for i := range t.operations {
		if name := t.operations[i].name(); !t.seen[name] {
			list = append(list, name)
		}
	}
	return list
}

func TestDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	w.call("GET", "/openapi.json", nil, nil).ok(200, &doc)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
	ids := map[string]bool{}
	for _, o := range (&server{}).operations() {
		raw := doc.Paths[o.Path][strings.ToLower(o.Method)]
		var one struct {
			ID         string `json:"operationId"`
			Parameters []struct {
				Name string `json:"name"`
				In   string `json:"in"`
			} `json:"parameters"`
			Security []map[string][]string `json:"security"`
		}
		if err := json.Unmarshal(raw, &one); err != nil {
			t.Fatalf("%s: %v", o.name(), err)
		}
		if o.status == 0 {
			t.Errorf("%s does not say what it answers", o.name())
		}
		for _, p := range o.query {
			if !slices.Contains([]string{"integer", "boolean", "string", "date"}, p.Kind) || p.Summary == "" {
				t.Errorf("%s: the parameter %+v", o.name(), p)
			}
		}
		if ids[one.ID] {
			t.Errorf("%s: the operationId %s is there twice", o.name(), one.ID)
		}
		ids[one.ID] = true
		if inPath := strings.Count(o.Path, "{"); inPath != strings.Count(string(raw), `"in":"path"`) {
			t.Errorf("%s: %s", o.name(), raw)
		}
		names := map[string]bool{}
		for _, p := range one.Parameters {
			if names[p.In+p.Name] {
				t.Errorf("%s: the parameter %s is there twice", o.name(), p.Name)
			}
			names[p.In+p.Name] = true
		}
		if (len(one.Security) == 0) != (o.Auth == noKey) {
			t.Errorf("%s: security %v", o.name(), one.Security)
		}
	}
	if len(ids) != len((&server{}).operations()) {
		t.Errorf("%d operations", len(ids))
	}

	for path, want := range map[string]string{
		"/api/v1/subaccount/suppression/bulk": `true multipart/form-data text/csv`,
		"/api/v1/account/event/export":        `false application/json`,
		"/api/v1/subaccount/email/ses/v1":     `true application/json application/x-www-form-urlencoded`,
	} {
		var one struct {
			Body struct {
				Required bool                       `json:"required"`
				Content  map[string]json.RawMessage `json:"content"`
			} `json:"requestBody"`
		}
		if err := json.Unmarshal(doc.Paths[path]["post"], &one); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(append([]string{fmt.Sprint(one.Body.Required)}, slices.Sorted(maps.Keys(one.Body.Content))...), " "); got != want {
			t.Errorf("%s takes %s, want %s", path, got, want)
		}
	}
}

type generic[T any] struct {
	Value T `json:"value"`
}

// TestSchemas has what types come to.
func TestSchemas(t *testing.T) {
	t.Parallel()
	type inner struct {
		A int32 `json:"a"`
	}
	type outer struct {
		inner
		List []*outer         `json:"list"`
		Map  map[string]inner `json:"map"`
		Null *inner           `json:"null"`
		Some *inner           `json:"some,omitempty"`
		Raw  json.RawMessage  `json:"raw"`
		One  generic[int]     `json:"one"`
		Two  generic[string]  `json:"two"`
		No   string           `json:"-"`
	}
	s := newSchemas(map[string]string{"api.inner.a": "a note"})
	if got := s.of(reflect.TypeFor[outer](), inAnswers); got.Ref != "#/components/schemas/Outer" {
		t.Fatalf("%+v", got)
	}
	raw, err := json.Marshal(s.list["Outer"])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"object","properties":{"a":{"type":"integer","format":"int32","description":"a note"},` +
		`"list":{"type":"array","items":{"$ref":"#/components/schemas/Outer"}},` +
		`"map":{"type":"object","additionalProperties":{"$ref":"#/components/schemas/Inner"}},` +
		`"null":{"anyOf":[{"$ref":"#/components/schemas/Inner"},{"type":"null"}]},"some":{"$ref":"#/components/schemas/Inner"},"raw":{},` +
		`"one":{"$ref":"#/components/schemas/Generic"},"two":{"$ref":"#/components/schemas/ApiGeneric"}},` +
		`"required":["a","list","map","null","raw","one","two"],"additionalProperties":false}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
	if got := s.of(reflect.TypeFor[struct {
		A string `json:"a"`
	}](), inRequests); got.Others != nil || got.Required != nil {
		t.Errorf("a request: %+v", got)
	}
}

// TestNotes keeps notes.json as the comments of the fields have it.
func TestNotes(t *testing.T) {
	t.Parallel()
	of := newSchemas(nil)
	document((&server{}).operations(), of)
	notes, parsed := map[string]string{}, map[string]map[string]string{}
	for typ := range of.seen {
		pkg := typ.PkgPath()
		if typ.Name() == "" {
			continue
		}
		if parsed[pkg] == nil {
			var err error
			if parsed[pkg], err = fieldComments(filepath.Join("..", "..", strings.TrimPrefix(pkg, "postyard/"))); err != nil {
				t.Fatal(err)
			}
		}
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if note := parsed[pkg][plainName(typ)+"."+typ.Field(i).Name]; note != "" && key != "" {
				notes[noteKey(typ, key)] = note
			}
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(notes); err != nil {
		t.Fatal(err)
	}
	const path = "notes.json"
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(raw)); diff != "" {
		t.Errorf("%s is stale; go test ./internal/api -update (-code +file):\n%s", path, diff)
	}
}

// marks are references in comments that say nothing to readers of the API.
var marks = regexp.MustCompile(`^(CL|ST|PM|API)-\d+: |\s*\((CL|ST|PM|API)-\d+\)`)

// fieldComments reads the comments of fields of a package's structs, by "Type.Field".
func fieldComments(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	comments := map[string]string{}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range of.Fields.List {
					text := field.Comment.Text()
					if text == "" {
						text = field.Doc.Text()
					}
					text = strings.TrimSpace(marks.ReplaceAllString(strings.Join(strings.Fields(text), " "), ""))
					for _, name := range field.Names {
						comments[spec.Name.Name+"."+name.Name] = text
					}
				}
			}
			return true
		})
	}
	return comments, nil
}

func TestPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.call("GET", "/docs", nil, nil)
	if got := a.header.Get("Content-Type"); a.status != 200 || got != "text/html; charset=utf-8" {
		t.Fatalf("%d, %q", a.status, got)
	}
	if got := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'; style-src 'sha256-") || strings.Contains(got, "unsafe") {
		t.Errorf("Content-Security-Policy %q", got)
	}
	if n := bytes.Count(a.body, []byte("in the form of the other vendor")); n != 4 { // SendGrid's, and three of SES
		t.Errorf("%d operations refuse in another form", n)
	}
	doc, err := html.Parse(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	ids, links, styles := map[string]bool{}, map[string]bool{}, 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "script", "img", "link", "iframe":
			t.Errorf("the page has a <%s>", n.Data)
		case "style":
			styles++
			if n.FirstChild.Data != pageStyle {
				t.Errorf("the style is not the one that the policy names")
			}
		}
		for _, attr := range n.Attr {
			switch attr.Key {
			case "id":
				if ids[attr.Val] {
					t.Errorf("the id %s is there twice", attr.Val)
				}
				ids[attr.Val] = true
			case "href":
				links[attr.Val] = true
			case "style", "onclick":
				t.Errorf("an attribute that the policy forbids: %s", attr.Key)
			}
		}
	}
	if styles != 1 {
		t.Errorf("%d styles", styles)
	}
	for link := range links {
		if anchor, inside := strings.CutPrefix(link, "#"); inside && !ids[anchor] {
			t.Errorf("%s leads nowhere", link)
		}
	}
	for _, o := range (&server{}).operations() {
		if !ids[operationID(&o)] {
			t.Errorf("%s is not on the page", o.name())
		}
	}
	if t.Failed() {
		t.Log(slices.Sorted(maps.Keys(ids)))
	}
}
