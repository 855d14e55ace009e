package mustachio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// ErrTooLarge is returned when a rendering would pass MaxOutput or take too many steps.
var ErrTooLarge = errors.New("mustachio: rendering is too large")

// ErrNotList is returned when {{#each}} meets an object or a scalar.
var ErrNotList = errors.New("mustachio: not a list")

// ParseModel decodes a JSON object into the form that Render takes, keeping numbers exact.
func ParseModel(raw []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var model map[string]any
	if err := dec.Decode(&model); err != nil {
		return nil, fmt.Errorf("mustachio: model: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("mustachio: model: more than one JSON value")
	}
	return model, nil
}

// Render fills the template from a model as encoding/json decodes it (ParseModel, or any map of maps, slices and scalars).
// Errors wrap ErrNotList or ErrTooLarge.
func (t *Template) Render(model map[string]any) (string, error) {
	r := &renderer{escape: t.escape}
	if err := r.nodes(t.nodes, &frame{value: model}); err != nil {
		return "", err
	}
	return r.out.String(), nil
}

// frame is a value and where it was found: each path segment is one frame, so that "../" climbs segments, not blocks.
type frame struct {
	value  any
	parent *frame
	place  int // of an item in its list, from 1
}

// index is the place in the innermost list, from 0; empty outside of lists.
func (f *frame) index() string {
	for ; f != nil; f = f.parent {
		if f.place > 0 {
			return strconv.Itoa(f.place - 1)
		}
	}
	return ""
}

func (f *frame) at(p path) *frame {
	for _, segment := range p {
		if segment == up {
			if f.parent != nil {
				f = f.parent
			}
			continue
		}
		var value any
		if object, ok := f.value.(map[string]any); ok {
			value = object[segment]
		}
		f = &frame{value: value, parent: f}
	}
	return f
}

type renderer struct {
	out    strings.Builder
	steps  int
	escape bool
}

func (r *renderer) nodes(nodes []node, scope *frame) error {
	for i := range nodes {
		n := &nodes[i]
		if r.steps += 1 + len(n.path); r.steps > maxSteps { // a long path is as much work as many nodes
			return ErrTooLarge
		}
		if err := r.node(n, scope); err != nil {
			return err
		}
		if r.out.Len() > MaxOutput {
			return ErrTooLarge
		}
	}
	return nil
}

func (r *renderer) node(n *node, scope *frame) error {
	if n.kind == tokenText {
		r.out.WriteString(n.text)
		return nil
	}
	found := scope.at(n.path)
	switch n.kind {
	case tokenOpen:
		if exists(found.value) {
			return r.nodes(n.children, found)
		}
	case tokenInverted:
		if !exists(found.value) {
			return r.nodes(n.children, found)
		}
	case tokenEach:
		return r.each(n, found)
	case tokenEscaped:
		if text := display(found.value); r.escape {
			escapeHTML(&r.out, text)
		} else {
			r.out.WriteString(text)
		}
	case tokenRaw:
		r.out.WriteString(display(found.value))
	case tokenIf, tokenUnless:
		if exists(found.value) == (n.kind == tokenIf) {
			return r.nodes(n.children, scope)
		}
	case tokenIndex:
		r.out.WriteString(scope.index())
	}
	return nil
}

func (r *renderer) each(n *node, found *frame) error {
	if !exists(found.value) {
		return nil
	}
	list, ok := found.value.([]any)
	if !ok {
		return fmt.Errorf("%w: '%s' is used like an array by the template, but is a scalar value or object in your model",
			ErrNotList, n.text)
	}
	for i, item := range list {
		if r.steps++; r.steps > maxSteps {
			return ErrTooLarge
		}
		if err := r.nodes(n.children, &frame{value: item, parent: found, place: i + 1}); err != nil {
			return err
		}
	}
	return nil
}

func exists(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case float64:
		return v != 0
	case int:
		return v != 0
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// display prints a scalar as the engine's runtime (.NET) does; objects and lists print nothing.
func display(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int:
		return strconv.Itoa(v)
	case float64:
		return displayFloat(v)
	case json.Number:
		if _, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return v.String()
		}
		if f, err := v.Float64(); err == nil {
			return displayFloat(f)
		}
		return v.String()
	}
	return ""
}

func displayFloat(f float64) string {
	if size := math.Abs(f); size != 0 && (size >= 1e15 || size < 1e-5) {
		return strconv.FormatFloat(f, 'G', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// escapeHTML writes text as .NET's HtmlEncode does: the five special characters, U+00A0 to U+00FF, and everything beyond the
// basic plane as numeric references.
func escapeHTML(out *strings.Builder, text string) {
	for _, c := range text {
		switch {
		case c == '&':
			out.WriteString("&amp;")
		case c == '<':
			out.WriteString("&lt;")
		case c == '>':
			out.WriteString("&gt;")
		case c == '"':
			out.WriteString("&quot;")
		case c == '\'':
			out.WriteString("&#39;")
		case c >= 0xA0 && c <= 0xFF, c > 0xFFFF:
			out.WriteString("&#")
			out.WriteString(strconv.Itoa(int(c)))
			out.WriteByte(';')
		default:
			out.WriteRune(c)
		}
	}
}
