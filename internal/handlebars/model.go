package handlebars

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Model is what templates are filled from. It is immutable: many goroutines may render from it at once.
type Model struct{ root *object }

// object is a JSON object that keeps the order of its keys.
type object struct {
	keys   []string
	values []any // nil, bool, string, json.Number, []any, *object
	index  map[string]int
}

// fewKeys is how many keys are looked through one by one.
const fewKeys = 8

func (o *object) find(key string) int {
	if o.index != nil {
		if i, ok := o.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range o.keys {
		if o.keys[i] == key {
			return i
		}
	}
	return -1
}

// set sets a key; the last value of one that comes again counts, at its first place.
func (o *object) set(key string, value any) {
	if i := o.find(key); i >= 0 {
		o.values[i] = value
		return
	}
	o.keys, o.values = append(o.keys, key), append(o.values, value)
	switch {
	case o.index != nil:
		o.index[key] = len(o.keys) - 1
	case len(o.keys) > fewKeys:
		o.index = make(map[string]int, 2*len(o.keys))
		for i, k := range o.keys {
			o.index[k] = i
		}
	}
}

// ParseModel reads a JSON object. Numbers stay as they are written.
func ParseModel(raw []byte) (Model, error) {
	if !json.Valid(raw) {
		return Model{}, errors.New("handlebars: model: not JSON")
	}
	r := &reader{text: string(raw)} // one copy, which all its texts share
	root, ok := r.value(0).(*object)
	switch {
	case r.deep:
		return Model{}, fmt.Errorf("handlebars: model: it nests more than %d deep", maxNesting)
	case !ok:
		return Model{}, errors.New("handlebars: model: not a JSON object")
	}
	return Model{root}, nil
}

// With returns the model with another value of a field of its root.
func (m Model) With(key, value string) Model {
	root := &object{}
	if m.root != nil {
		for i, k := range m.root.keys {
			root.set(k, m.root.values[i])
		}
	}
	root.set(key, value)
	return Model{root}
}

// reader reads JSON that is known to be valid.
type reader struct {
	text string
	at   int
	deep bool
}

// next returns the byte after white space.
func (r *reader) next() byte {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
	return r.text[r.at]
}

func (r *reader) value(depth int) any {
	if depth > maxNesting {
		r.deep = true
	}
	if r.deep {
		return nil
	}
	switch r.next() {
	case '{':
		o := &object{}
		r.each('}', func() {
			key := r.quoted()
			r.next() // the colon
			r.at++
			o.set(key, r.value(depth+1))
		})
		return o
	case '[':
		list := []any{}
		r.each(']', func() { list = append(list, r.value(depth+1)) })
		return list
	case '"':
		return r.quoted()
	case 't':
		r.at += len("true")
		return true
	case 'f':
		r.at += len("false")
		return false
	case 'n':
		r.at += len("null")
		return nil
	}
	begin := r.at
	for r.at < len(r.text) && strings.IndexByte("+-.0123456789eE", r.text[r.at]) >= 0 {
		r.at++
	}
	return json.Number(r.text[begin:r.at])
}

// each reads what stands between brackets or braces.
func (r *reader) each(end byte, item func()) {
	r.at++
	for r.next() != end {
		if item(); r.deep {
			return
		}
		if r.next() == ',' {
			r.at++
		}
	}
	r.at++
}

func (r *reader) quoted() string {
	r.next()
	begin, plain := r.at, true
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if c := r.text[r.at]; c == '\\' {
			r.at++
			plain = false
		} else if c >= utf8.RuneSelf {
			plain = false // it may not be UTF-8
		}
	}
	r.at++
	if plain {
		return r.text[begin+1 : r.at-1]
	}
	var text string
	if err := json.Unmarshal([]byte(r.text[begin:r.at]), &text); err != nil {
		return "" // the text is valid
	}
	return text
}
