package ses

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// decode reads a JSON object into the struct that v points to. Names of fields are taken as they are spelt, unlike encoding/json does, and
// unknown ones are passed over, as AWS does.
func decode(raw []byte, v any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	if !json.Valid(raw) {
		return fail("SerializationException", "The request body is not valid JSON.")
	}
	return fill(raw, reflect.ValueOf(v).Elem(), "")
}

// fill reads a value; at is its place, for the error.
func fill(raw json.RawMessage, v reflect.Value, at string) error {
	if string(raw) == "null" {
		return nil
	}
	switch t := v.Type(); {
	case t == reflect.TypeFor[json.RawMessage](), t == reflect.TypeFor[[]byte]():
	case t.Kind() == reflect.Pointer:
		fresh := reflect.New(t.Elem())
		v.Set(fresh)
		return fill(raw, fresh.Elem(), at)
	case t.Kind() == reflect.Struct:
		return fillStruct(raw, v, at)
	case t.Kind() == reflect.Slice:
		return fillSlice(raw, v, at)
	}
	if json.Unmarshal(raw, v.Addr().Interface()) != nil {
		return misread(at)
	}
	return nil
}

func misread(at string) error {
	if at == "" {
		return fail("SerializationException", "The request body must be a JSON object.")
	}
	return fail("SerializationException", "The value of %s has the wrong type.", strings.TrimPrefix(at, "."))
}

func fillStruct(raw json.RawMessage, v reflect.Value, at string) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return misread(at)
	}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tag != "" {
			name = tag
		}
		if value, ok := fields[name]; ok {
			if err := fill(value, v.Field(i), at+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func fillSlice(raw json.RawMessage, v reflect.Value, at string) error {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return misread(at)
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := fill(item, list.Index(i), at); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}
