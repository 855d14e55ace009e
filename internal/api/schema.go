package api

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// schema is a JSON Schema (2020-12) of what encoding/json makes of a Go type.
type schema struct {
	Ref         string      `json:"$ref,omitempty"`
	AnyOf       []*schema   `json:"anyOf,omitempty"`
	Type        string      `json:"type,omitempty"`
	Format      string      `json:"format,omitempty"`
	Description string      `json:"description,omitempty"`
	Items       *schema     `json:"items,omitempty"`
	Properties  *properties `json:"properties,omitempty"`
	Required    []string    `json:"required,omitempty"`
	Others      any         `json:"additionalProperties,omitempty"` // false, or the *schema of a map's values
}

// properties are those of an object, in the order of the struct's fields.
type properties struct {
	names []string
	of    map[string]*schema
}

// MarshalJSON keeps the order.
func (p *properties) MarshalJSON() ([]byte, error) {
	return marshalOrdered(p.names, func(name string) any { return p.of[name] })
}

// marshalOrdered writes a JSON object with its keys in this order.
func marshalOrdered(names []string, value func(string) any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(value(name))
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schemas describes types. Structs that have a name become components, which others refer to: a type may hold itself.
type schemas struct {
	notes map[string]string // of fields, by "package.type.key"
	types map[string]reflect.Type
	names map[reflect.Type]string
	list  map[string]*schema
	seen  map[reflect.Type]bool // structs whose fields stand in the list, in their own place or embedded
}

func newSchemas(notes map[string]string) *schemas {
	return &schemas{notes: notes, types: map[string]reflect.Type{}, names: map[reflect.Type]string{}, list: map[string]*schema{},
		seen: map[reflect.Type]bool{}}
}

// side is which way a value goes: in answers all keys are there and no others; in requests most may be absent, and others are ignored.
type side bool

const (
	inRequests side = false
	inAnswers  side = true
)

var (
	rawType  = reflect.TypeFor[json.RawMessage]()
	textType = reflect.TypeFor[encoding.TextMarshaler]()
	jsonType = reflect.TypeFor[json.Marshaler]()
	readType = reflect.TypeFor[json.Unmarshaler]()
)

// of returns the schema of a type. Types that it does not know are a mistake in the table of operations.
func (s *schemas) of(t reflect.Type, where side) *schema {
	switch {
	case t == rawType:
		return &schema{}
	case t.Kind() == reflect.Pointer:
		return s.of(t.Elem(), where)
	case t.Implements(jsonType), where == inRequests && reflect.PointerTo(t).Implements(readType): // it has a form of its own
		return &schema{}
	case t.Implements(textType):
		return &schema{Type: "string"}
	}
	switch t.Kind() {
	case reflect.String:
		return &schema{Type: "string"}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16:
		return &schema{Type: "integer", Format: "int32"}
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64:
		return &schema{Type: "integer", Format: "int64"}
	case reflect.Float32, reflect.Float64:
		return &schema{Type: "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return &schema{Type: "string", Format: "byte"}
		}
		return &schema{Type: "array", Items: s.of(t.Elem(), where)}
	case reflect.Map:
		return &schema{Type: "object", Others: s.of(t.Elem(), where)}
	case reflect.Struct:
		return s.object(t, where)
	case reflect.Interface:
		return &schema{}
	}
	panic(fmt.Sprintf("no JSON schema of %v", t))
}

// object returns a struct's schema, or a reference to it.
func (s *schemas) object(t reflect.Type, where side) *schema {
	if t.Name() == "" {
		return s.fields(t, where)
	}
	name, known := s.names[t]
	if !known {
		name = s.componentName(t)
		s.names[t], s.types[name] = name, t
		s.list[name] = s.fields(t, where)
	}
	return &schema{Ref: "#/components/schemas/" + name}
}

// componentName is the type's name without what it says of its use, and with its package where another one has the name.
func (s *schemas) componentName(t reflect.Type) string {
	name := capital(strings.TrimSuffix(plainName(t), "Answer"))
	if s.types[name] != nil {
		name = capital(packageOf(t)) + name
	}
	for base, n := name, 2; s.types[name] != nil; n++ {
		name = base + strconv.Itoa(n)
	}
	return name
}

func capital(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// plainName is a type's name without what it is made for.
func plainName(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return name
}

func packageOf(t reflect.Type) string { return t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:] }

func (s *schemas) fields(t reflect.Type, where side) *schema {
	object := &schema{Type: "object", Properties: &properties{of: map[string]*schema{}}}
	if where == inAnswers {
		object.Others = false
	}
	s.collect(t, where, object)
	if len(object.Properties.names) == 0 {
		object.Properties = nil
	}
	return object
}

// collect adds a struct's fields, those of embedded structs in their place.
func (s *schemas) collect(t reflect.Type, where side, object *schema) {
	s.seen[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case key == "-":
			continue
		case f.Anonymous && key == "" && embedded.Kind() == reflect.Struct:
			s.collect(embedded, where, object)
			continue
		case !f.IsExported():
			continue
		case key == "":
			key = f.Name
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		value := s.of(f.Type, where)
		if f.Type.Kind() == reflect.Pointer && !optional && where == inAnswers {
			value = &schema{AnyOf: []*schema{value, {Type: "null"}}}
		}
		if note := s.notes[noteKey(t, key)]; note != "" {
			value.Description = note
		}
		if object.Properties.of[key] == nil {
			object.Properties.names = append(object.Properties.names, key)
			if !optional && where == inAnswers {
				object.Required = append(object.Required, key)
			}
		}
		object.Properties.of[key] = value
	}
}

// noteKey is where the note of a field stands.
func noteKey(t reflect.Type, key string) string {
	return packageOf(t) + "." + plainName(t) + "." + key
}
