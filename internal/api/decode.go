package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"postyard/internal/mail"
)

// Limits of request bodies.
const (
	maxBody  = 1 << 20
	maxDepth = 64 // of nested objects and lists; far beyond what a template needs

	// initialBody is what a Content-Length alone makes us reserve.
	initialBody = 64 << 10
	// maxDrain is how much of a body that is too large is read on, unkept, so that the client gets to read our answer
	// instead of a broken connection.
	maxDrain = 64 << 20
)

// readBody returns the request's body, or the refusal of one of more than limit bytes (413), or of one that takes too long (408).
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength <= limit {
		body, err := readUpTo(r.Body, limit, r.ContentLength)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.Header().Set("Connection", "close")
			return nil, &problem{status: http.StatusRequestTimeout, Code: "body_too_slow", Message: "the body did not come to its end in time"}
		}
		if err != nil {
			return nil, &problem{status: http.StatusBadRequest, Code: "body_unreadable", Message: "the body could not be read to its end"}
		}
		if int64(len(body)) <= limit {
			return body, nil
		}
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxDrain)); err != nil || n == maxDrain {
		w.Header().Set("Connection", "close")
	}
	return nil, &problem{
		status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Message: fmt.Sprintf("the body has more than %d bytes", limit),
	}
}

// readUpTo reads a body to its end, or until it has more than limit bytes. size is how many it is said to have; below 0, nothing is
// said.
func readUpTo(from io.Reader, limit, size int64) ([]byte, error) {
	if size < 0 {
		size = bytes.MinRead
	}
	body := make([]byte, 0, min(size, initialBody)+1) // its end is seen when there is room for more
	for {
		n, err := from.Read(body[len(body):min(int64(cap(body)), limit+1)])
		body = body[:len(body)+n]
		switch {
		case err == io.EOF || int64(len(body)) > limit:
			return body, nil
		case err != nil:
			return nil, err
		case len(body) == cap(body):
			body = slices.Grow(body, cap(body)) // twice as much
		}
	}
}

// decodeBody reads the request's body, of maxBody bytes at most, as one JSON object into dst, a pointer to a struct. Keys that dst does not have are
// ignored, as is the Content-Type. A refusal names the field.
func decodeBody(w http.ResponseWriter, r *http.Request, dst any) error {
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	return decode(body, dst)
}

func decode(body []byte, dst any) error {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return mail.Invalid("missing_body", "", "the body is empty; it must be a JSON object")
	}
	if depth(body) > maxDepth {
		return mail.Invalid("too_deep", "", "the body nests objects and lists more than %d deep", maxDepth)
	}
	if trimmed[0] != '{' && json.Valid(body) {
		return mail.Invalid("wrong_type", "", "the body must be a JSON object, not %s", kindOf(trimmed[0]))
	}
	err := json.Unmarshal(body, dst)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := pathAt(body, e.Offset)
		return mail.Invalid("wrong_type", field, "%s must be %s, not %s", field, wanted(e.Type), got(e.Value))
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return mail.Invalid("malformed_json", "", "the body is not valid JSON: %s, at byte %d", e.Error(), e.Offset)
	}
	return mail.Invalid("malformed_json", "", "the body is not valid JSON")
}

// depth returns how deep objects and lists nest. The text need not be valid.
func depth(body []byte) int {
	now, most, inString := 0, 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString:
			switch c {
			case '\\':
				i++ // what it escapes ends nothing
			case '"':
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			now++
			most = max(most, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return most
}

// kindOf names the JSON value that begins with c.
func kindOf(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// wanted names what a Go type takes.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "an object"
}

// got names what encoding/json found in its place: "array", "number 1.5".
func got(value string) string {
	word, rest, _ := strings.Cut(value, " ")
	switch word {
	case "array":
		return "a list"
	case "bool":
		return "true or false"
	case "number":
		return strings.TrimSpace("the number " + rest)
	case "string":
		return "a string"
	case "object":
		return "an object"
	}
	return value
}

// frame is one object or list that a scan of JSON is in.
type frame struct {
	list  bool
	index int    // of the element that is read, in a list
	key   string // of the value that is read, in an object
	inKey bool   // an object wants its next key
}

// pathAt names the value that ends at or after offset as a user would: "to[1].cc[0].email". body is valid JSON.
// encoding/json tells the offset of a value of the wrong type, but not the index in a list.
func pathAt(body []byte, offset int64) string {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var stack []frame
	for {
		token, err := dec.Token()
		if err != nil {
			return path(stack)
		}
		switch delim, _ := token.(json.Delim); {
		case delim == '{' || delim == '[':
			if dec.InputOffset() >= offset {
				return path(stack)
			}
			stack = append(stack, frame{list: delim == '[', inKey: delim == '{'})
			continue
		case delim == '}' || delim == ']':
			stack = stack[:len(stack)-1]
		case len(stack) > 0 && stack[len(stack)-1].inKey:
			top := &stack[len(stack)-1]
			top.key, _ = token.(string)
			top.inKey = false
			continue
		}
		// A value has ended.
		if dec.InputOffset() >= offset || len(stack) == 0 {
			return path(stack)
		}
		top := &stack[len(stack)-1]
		top.index++
		top.inKey = !top.list
	}
}

func path(stack []frame) string {
	var b strings.Builder
	for _, f := range stack {
		switch {
		case f.list:
			b.WriteString("[" + strconv.Itoa(f.index) + "]")
		case b.Len() > 0:
			b.WriteString("." + f.key)
		default:
			b.WriteString(f.key)
		}
	}
	return b.String()
}
