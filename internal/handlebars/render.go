package handlebars

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
)

// ErrTooLarge is returned when a rendering would pass MaxOutput or take too many steps.
var ErrTooLarge = errors.New("what the template gives is too large")

// Render fills the template. The error is ErrTooLarge.
func (t *Template) Render(m Model) (string, error) {
	r := &renderer{escape: t.escape, root: m.root}
	r.out.Grow(len(t.source))
	if err := r.nodes(t.nodes, &scope{value: rootOf(m)}); err != nil {
		return "", err
	}
	return r.out.String(), nil
}

func rootOf(m Model) any {
	if m.root == nil {
		return &object{}
	}
	return m.root
}

// scope is what paths begin at.
type scope struct {
	value  any
	parent *scope // where ../ leads
	frame  *frame // of the innermost loop
	names  *name  // of block parameters, the innermost first
}

// frame is what a loop tells of an item.
type frame struct {
	index  int
	key    any
	last   bool
	parent *frame
}

type name struct {
	name   string
	value  any
	parent *name
}

type renderer struct {
	out    strings.Builder
	steps  int
	escape bool
	root   *object
}

// step counts work.
func (r *renderer) step(n int) error {
	if r.steps += n; r.steps > maxSteps || r.out.Len() > MaxOutput {
		return ErrTooLarge
	}
	return nil
}

func (r *renderer) nodes(nodes []node, s *scope) error {
	for i := range nodes {
		n := &nodes[i]
		if err := r.step(1); err != nil {
			return err
		}
		switch {
		case n.block != nil:
			if err := r.block(n.block, s); err != nil {
				return err
			}
		case n.value != nil:
			r.print(r.value(n.value, s), !n.raw && r.escape)
		default:
			r.out.WriteString(n.text)
		}
	}
	return r.step(0)
}

func (r *renderer) print(value any, escape bool) {
	text := r.display(value)
	if escape {
		_, _ = htmlEscaper.WriteString(&r.out, text) // a Builder does not fail
		return
	}
	r.out.WriteString(text)
}

// htmlEscaper escapes what Handlebars does.
var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;", "`", "&#x60;", "=", "&#x3D;")

func (r *renderer) block(b *block, s *scope) error {
	value := r.value(&b.subject, s)
	some := r.truthy(value)
	switch b.helper {
	case helperIf, helperUnless:
		if n, isNumber := value.(json.Number); isNumber && b.includeZero && n != "" {
			some = true
		}
		return r.either(b, s, some != (b.helper == helperUnless))
	case helperEach:
		return r.each(b, s, value)
	case helperWith:
		if some {
			return r.nodes(b.body, s.into(b, value, nil, s.frame))
		}
		return r.nodes(b.other, s)
	}
	switch value.(type) {
	case []any:
		return r.each(b, s, value)
	case *object, string, json.Number:
		if some {
			return r.nodes(b.body, s.into(b, value, nil, s.frame))
		}
	}
	return r.either(b, s, some)
}

func (r *renderer) either(b *block, s *scope, first bool) error {
	if first {
		return r.nodes(b.body, s)
	}
	return r.nodes(b.other, s)
}

// into returns the scope of a block's body.
func (s *scope) into(b *block, value, key any, f *frame) *scope {
	inner := &scope{value: value, parent: s, frame: f, names: s.names}
	for i, n := range b.params {
		v := value
		if i == 1 {
			v = key
		}
		inner.names = &name{n, v, inner.names}
	}
	return inner
}

func (r *renderer) each(b *block, s *scope, value any) error {
	n := 0
	list, isList := value.([]any)
	o, isObject := value.(*object)
	switch {
	case isList:
		n = len(list)
	case isObject:
		n = len(o.keys)
	}
	if n == 0 {
		return r.nodes(b.other, s)
	}
	for i := range n {
		if err := r.step(1); err != nil {
			return err
		}
		var key, item any
		if isObject {
			key, item = o.keys[i], o.values[i]
		} else {
			key, item = json.Number(strconv.Itoa(i)), list[i]
		}
		if err := r.nodes(b.body, s.into(b, item, key, &frame{index: i, key: key, last: i == n-1, parent: s.frame})); err != nil {
			return err
		}
	}
	return nil
}

// value returns what an expression is worth.
func (r *renderer) value(e *expr, s *scope) any {
	switch {
	case len(e.args) == 2:
		of, name := r.value(&e.args[0], s), r.display(r.value(&e.args[1], s))
		return r.field(of, name)
	case e.path == nil:
		return e.literal
	}
	p := e.path
	r.steps += p.cost
	if p.data {
		return r.data(p, s.frame)
	}
	from := s
	for range p.up {
		if from = from.parent; from == nil {
			return nil
		}
	}
	value, rest := from.value, p.segments
	if p.up == 0 && !p.here && len(rest) > 0 {
		for n := s.names; n != nil; n = n.parent {
			if n.name == rest[0] {
				value, rest = n.value, rest[1:]
				break
			}
		}
	}
	return r.follow(value, rest)
}

func (r *renderer) follow(value any, segments []string) any {
	for _, segment := range segments {
		value = r.field(value, segment)
	}
	return value
}

// data returns what a path that begins with @ leads to.
func (r *renderer) data(p *path, f *frame) any {
	if p.segments[0] == rootName {
		return r.follow(rootOf(Model{r.root}), p.segments[1:])
	}
	for i := 0; i < p.up && f != nil; i++ {
		f = f.parent
	}
	if f == nil || len(p.segments) > 1 {
		return nil
	}
	switch p.segments[0] {
	case "index":
		return json.Number(strconv.Itoa(f.index))
	case "key":
		return f.key
	case "first":
		return f.index == 0
	case "last":
		return f.last
	}
	return nil
}

// field returns a field of an object, an item of a list, or the length of a list or a text; nil when there is none.
func (r *renderer) field(value any, name string) any {
	switch v := value.(type) {
	case *object:
		if i := v.find(name); i >= 0 {
			return v.values[i]
		}
	case []any:
		if name == "length" {
			return json.Number(strconv.Itoa(len(v)))
		}
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) && strconv.Itoa(i) == name {
			return v[i]
		}
	case string:
		if name == "length" {
			r.steps += len(v) / stepBytes
			return json.Number(strconv.Itoa(utf16Length(v)))
		}
	}
	return nil
}

// truthy tells whether a block runs for a value: false, null, "", 0 and an empty list are nothing.
func (r *renderer) truthy(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		r.steps += len(v) / stepBytes
		f, err := v.Float64()
		return err != nil || f != 0
	case []any:
		return len(v) > 0
	}
	return true
}

// utf16Length is what JavaScript counts.
func utf16Length(text string) (n int) {
	for _, c := range text {
		n += utf16.RuneLen(c)
	}
	return n
}

// display prints a value as JavaScript does.
func (r *renderer) display(value any) string {
	r.steps++
	switch v := value.(type) {
	case string:
		r.steps += len(v) / stepBytes
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		r.steps += len(v) / stepBytes
		return displayNumber(v)
	case []any:
		items := make([]string, len(v))
		for i := range v {
			items[i] = r.display(v[i])
		}
		return strings.Join(items, ",")
	case *object:
		return "[object Object]"
	}
	return ""
}

// displayNumber prints whole numbers with all their digits, and others as JavaScript does.
func displayNumber(n json.Number) string {
	text := string(n)
	if !strings.ContainsAny(text, ".eE") {
		if text == "-0" {
			return "0"
		}
		return text
	}
	f, err := n.Float64()
	if err != nil {
		return text
	}
	if f == 0 {
		return "0"
	}
	if size := math.Abs(f); size >= 1e21 || size < 1e-6 {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
		return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
