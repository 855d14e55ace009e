package postmark

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
)

const (
	// serverHeader is the Server header of every answer (PM-sim 10).
	serverHeader = "Postyard-Sandbox (Postmark simulator)"

	contentType     = "application/json; charset=utf-8"
	headerErrorCode = "X-PM-ApiErrorCode"

	maxBody      = 10 << 20
	maxBatchBody = 50 << 20
)

// access says which token opens a route.
type access uint8

const (
	byServer  access = iota
	bySending        // a server token, or the test token
	byAccount
)

type route struct {
	method string
	path   []string // lower case; "*" is a parameter
	access access
	limit  int64
	handle func(*Simulator, *call) (any, error)
}

// call is one request to a route.
type call struct {
	*http.Request
	server *server  // of the token; nil for the account token and the test token
	test   bool     // the test token
	args   []string // what the stars of the path stand for
	body   []byte   // nil when there was none, or null (PM-sim 3)
}

// query returns a query value; keys ignore case (PM-sim 2).
func (c *call) query(key string) string {
	for name, values := range c.URL.Query() {
		if strings.EqualFold(name, key) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// ServeHTTP answers one API request.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", serverHeader)
	w.Header().Set("Cache-Control", "private")
	answer, err := s.serve(w, r)
	if err == nil {
		s.write(w, http.StatusOK, answer)
		return
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		s.log.ErrorContext(r.Context(), "postmark request failed", "method", r.Method, "path", r.URL.Path, "err", err)
		f = &failure{status: http.StatusInternalServerError, code: codeUnexpected, message: usualText(codeUnexpected)}
	}
	if f.status == http.StatusRequestEntityTooLarge {
		w.WriteHeader(f.status) // the real body is unknown; an empty one is the hardest to read
		return
	}
	w.Header().Set(headerErrorCode, strconv.Itoa(f.code))
	if f.body == nil {
		f.body = errorBody{ErrorCode: f.code, Message: f.message}
	}
	s.write(w, f.status, f.body)
}

func (s *Simulator) write(w http.ResponseWriter, status int, answer any) {
	body, err := encode(answer)
	if err != nil {
		s.log.Error("postmark answer cannot be encoded", "err", err)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	found, args, err := match(r)
	if err != nil {
		return nil, err
	}
	c := &call{Request: r, args: args}
	if err := s.authenticate(c, found.access); err != nil {
		return nil, err
	}
	if c.body, err = read(w, r, found.limit); err != nil {
		return nil, err
	}
	return found.handle(s, c)
}

// match finds the route of a path, ignoring case and one trailing slash (PM-sim 2).
func match(r *http.Request) (*route, []string, error) {
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/"), "/")
	known := false
	for i := range routes {
		candidate := &routes[i]
		args, ok := candidate.matches(segments)
		if !ok {
			continue
		}
		if candidate.method == r.Method {
			return candidate, args, nil
		}
		known = true
	}
	if known {
		return nil, nil, &failure{status: http.StatusMethodNotAllowed, code: http.StatusMethodNotAllowed,
			message: "The requested resource does not support http method '" + r.Method + "'."}
	}
	return nil, nil, &failure{status: http.StatusNotFound, code: http.StatusNotFound,
		message: "The requested resource was not found."}
}

func (r *route) matches(segments []string) (args []string, ok bool) {
	if len(segments) != len(r.path) {
		return nil, false
	}
	for i, want := range r.path {
		switch {
		case want == "*" && segments[i] != "":
			args = append(args, segments[i])
		case !strings.EqualFold(want, segments[i]):
			return nil, false
		}
	}
	return args, true
}

// read takes the body in and insists on JSON where there is one (PM-sim 3, 7, 8).
func read(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	tooLarge := &failure{status: http.StatusRequestEntityTooLarge}
	var buffer bytes.Buffer
	if r.ContentLength > 0 {
		buffer.Grow(int(min(r.ContentLength, limit)) + bytes.MinRead)
	}
	n, err := buffer.ReadFrom(io.LimitReader(r.Body, limit+1))
	if n > limit {
		// Take in some more, so that most clients get to read the answer.
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBatchBody))
		return nil, tooLarge
	}
	if err != nil {
		return nil, &failure{status: http.StatusBadRequest, code: codeJSON, message: "The request body ended early."}
	}
	body := bytes.TrimSpace(buffer.Bytes())
	if r.Method == http.MethodGet || r.Method == http.MethodDelete || len(body) == 0 {
		return nil, nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &failure{status: http.StatusUnsupportedMediaType, code: 409,
			message: "The 'Content-Type' header must be 'application/json'."}
	}
	if string(body) == "null" {
		return nil, nil
	}
	return body, nil
}

// decode reads a JSON object into the struct that v points to; wrong types are named field by field (PM-sim 7).
func decode(raw []byte, v any) error {
	err := json.Unmarshal(raw, v)
	if err == nil {
		return nil
	}
	if !json.Valid(raw) {
		return fail(codeJSON, "Received invalid JSON input.")
	}
	names := wrongFields(raw, reflect.TypeOf(v).Elem())
	if len(names) == 0 {
		return fail(codeJSON, "Received invalid JSON input. A JSON object was expected.")
	}
	return fail(codeType, "Invalid request field(s): '%s'.", strings.Join(names, "', '"))
}

// wrongFields tries each field of a struct on its own.
func wrongFields(raw []byte, shape reflect.Type) []string {
	var fields map[string]json.RawMessage
	if shape.Kind() != reflect.Struct || json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	var names []string
	for i := range shape.NumField() {
		name := fieldName(shape.Field(i))
		for given, value := range fields {
			if strings.EqualFold(given, name) && json.Unmarshal(value, reflect.New(shape.Field(i).Type).Interface()) != nil {
				names = append(names, name)
			}
		}
	}
	return names
}

func fieldName(field reflect.StructField) string {
	if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
		return name
	}
	return field.Name
}

// Limits of all lists.
const (
	maxCount = 500
	maxSum   = 10_000 // of count and offset
)

// paging reads count and offset; both are required. code is the ErrorCode of the list.
func (c *call) paging(code int) (count, offset int, err error) {
	count, errCount := strconv.Atoi(c.query("count"))
	offset, errOffset := strconv.Atoi(c.query("offset"))
	switch {
	case errCount != nil || count < 1 || count > maxCount:
		return 0, 0, fail(code, "The 'Count' parameter must be a number from 1 to %d.", maxCount)
	case errOffset != nil || offset < 0 || count+offset > maxSum:
		return 0, 0, fail(code, "The 'Offset' parameter must be a number from 0, and 'Count' plus 'Offset' at most %d.", maxSum)
	}
	return count, offset, nil
}
