// Package strictjson reads the JSON that people write by hand for the control API: one value, no unknown fields, and errors that
// name the field and the rule instead of the program's types.
//
// It imports nothing but the standard library.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// Decode reads one JSON value into what v points to. Fields that the value does not name keep what they have. The error's text is
// for the one who wrote the JSON.
func Decode(raw []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return explain(err, reflect.TypeOf(v).Elem())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the JSON value, at byte %d", dec.InputOffset())
	}
	return nil
}

func explain(err error, shape reflect.Type) error {
	if errors.Is(err, io.EOF) {
		return errors.New("it is empty")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON ends early")
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("this is not JSON, at byte %d: %s", syntax.Offset, syntax.Error())
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return explainType(wrong)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown field %s; known are %s", name, strings.Join(fields(shape), ", "))
	}
	return errors.New("this JSON cannot be read")
}

func explainType(wrong *json.UnmarshalTypeError) error {
	subject := wrong.Field
	if subject == "" {
		subject = "it"
	}
	return fmt.Errorf("%s must be %s, got %s", subject, wanted(wrong.Type), given(wrong.Value))
}

// wanted names what a field of a type takes, in the words of JSON.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Pointer:
		return wanted(t.Elem())
	}
	return "an object"
}

// given words the decoder's name of what it found: "string", "number", "number 1.5", "bool", "array", "object".
func given(value string) string {
	switch value {
	case "bool":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	kind, literal, _ := strings.Cut(value, " ")
	if _, err := strconv.ParseFloat(literal, 64); literal != "" && (err == nil || errors.Is(err, strconv.ErrRange)) {
		return literal
	}
	return "a " + kind
}

// fields are the names that an object of a struct's shape, or a list of them, may have.
func fields(shape reflect.Type) []string {
	for shape.Kind() == reflect.Slice || shape.Kind() == reflect.Pointer {
		shape = shape.Elem()
	}
	if shape.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for field := range shape.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case !field.IsExported() || name == "-":
		case name != "":
			names = append(names, name)
		default:
			names = append(names, field.Name)
		}
	}
	return names
}
