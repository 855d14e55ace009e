package sendgrid

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/settings"
)

const (
	serverHeader = "Postyard-Sandbox (SendGrid simulator)"
	contentType  = "application/json"
	messageID    = "X-Message-Id"

	maxBody = 30 << 20 // bytes of a message
)

// Texts that are not about one field.
const (
	textKey     = "The provided authorization grant is invalid, expired, or revoked"
	textNoKey   = "authorization required"
	textCredits = "Maximum credits exceeded"
	textSender  = "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved. " +
		"Visit https://sendgrid.com/docs/for-developers/sending-email/sender-identity/ to see the Sender Identity requirements"
	textForbidden  = "access forbidden"
	textBadRequest = "Bad Request"
	textJSON       = "Content-Type should be application/json."
	textUTF8       = "Invalid UTF8 in request"
	textBlocked    = "too many bad requests, temporary block"
	textRate       = "too many requests"
	textNoHook     = "Invalid id provided."
)

// problem is one entry of an error answer.
type problem struct {
	Message string  `json:"message"`
	Field   *string `json:"field"`
	Help    *string `json:"help"`
}

// failure is an error answer of the API.
type failure struct {
	status int
	body   any // nil is none
}

func (f *failure) Error() string { return fmt.Sprintf("status %d: %v", f.status, f.body) }

type errorBody struct {
	Errors []problem `json:"errors"`
}

// fail is an error answer that is about no field.
func fail(status int, text string) *failure {
	return &failure{status: status, body: errorBody{[]problem{{Message: text}}}}
}

// call is one request to a route.
type call struct {
	*http.Request
	id   string // what the star of the path stands for
	body []byte
}

// reply is the answer to a call that succeeded. A nil body is an empty answer.
type reply struct {
	status int
	header http.Header
	body   any
}

type route struct {
	method string
	path   []string // "*" is a parameter
	handle func(*Simulator, *call) (reply, error)
}

func at(method, path string, handle func(*Simulator, *call) (reply, error)) route {
	return route{method: method, path: strings.Split(path, "/"), handle: handle}
}

// routes are tried in order.
var routes = []route{
	at(http.MethodPost, "v3/mail/send", (*Simulator).send),
	at(http.MethodGet, "v3/user/profile", (*Simulator).profile),

	at(http.MethodPost, "v3/user/webhooks/event/settings", (*Simulator).createWebhook),
	at(http.MethodGet, "v3/user/webhooks/event/settings", (*Simulator).getWebhook),
	at(http.MethodPatch, "v3/user/webhooks/event/settings", (*Simulator).editWebhook),
	at(http.MethodGet, "v3/user/webhooks/event/settings/all", (*Simulator).listWebhooks),
	at(http.MethodGet, "v3/user/webhooks/event/settings/signed", (*Simulator).getSigning),
	at(http.MethodPatch, "v3/user/webhooks/event/settings/signed", (*Simulator).editSigning),
	at(http.MethodGet, "v3/user/webhooks/event/settings/signed/*", (*Simulator).getSigning),
	at(http.MethodPatch, "v3/user/webhooks/event/settings/signed/*", (*Simulator).editSigning),
	at(http.MethodGet, "v3/user/webhooks/event/settings/*", (*Simulator).getWebhook),
	at(http.MethodPatch, "v3/user/webhooks/event/settings/*", (*Simulator).editWebhook),
	at(http.MethodDelete, "v3/user/webhooks/event/settings/*", (*Simulator).deleteWebhook),
	at(http.MethodPost, "v3/user/webhooks/event/test", (*Simulator).testWebhook),
}

// ServeHTTP answers one API request.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", serverHeader)
	answer, err := s.serve(w, r)
	if err != nil {
		f, ok := errors.AsType[*failure](err)
		if !ok {
			s.log.ErrorContext(r.Context(), "sendgrid request failed", "method", r.Method, "path", r.URL.Path, "err", err)
			f = fail(http.StatusInternalServerError, "internal error")
		}
		answer = reply{status: f.status, body: f.body}
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	body, err := encode(answer.body)
	if err != nil {
		s.log.ErrorContext(r.Context(), "sendgrid answer cannot be encoded", "err", err)
		answer.status, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(answer.status)
	_, _ = w.Write(body) // the client may be gone
}

func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) (reply, error) {
	found, id, err := match(r)
	if err != nil {
		return reply{}, err
	}
	if err := authenticate(r); err != nil {
		return reply{}, err
	}
	c := &call{Request: r, id: id}
	if c.body, err = read(w, r); err != nil {
		return reply{}, err
	}
	return found.handle(s, c)
}

func match(r *http.Request) (*route, string, error) {
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/"), "/")
	allowed := ""
	for i := range routes {
		candidate := &routes[i]
		id, ok := candidate.matches(segments)
		if !ok {
			continue
		}
		if candidate.method == r.Method {
			return candidate, id, nil
		}
		allowed = candidate.method
	}
	if allowed != "" {
		return nil, "", fail(http.StatusMethodNotAllowed, allowed+" method allowed only")
	}
	return nil, "", fail(http.StatusNotFound, "not found")
}

func (r *route) matches(segments []string) (id string, ok bool) {
	if len(segments) != len(r.path) {
		return "", false
	}
	for i, want := range r.path {
		switch {
		case want == "*" && segments[i] != "":
			id = segments[i]
		case want != segments[i]:
			return "", false
		}
	}
	return id, true
}

// bearer returns the key of a request, and whether it names one at all.
func bearer(r *http.Request) (key string, ok bool) {
	scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(key), ok && strings.EqualFold(scheme, "Bearer")
}

func authenticate(r *http.Request) error {
	key, ok := bearer(r)
	switch {
	case !ok:
		return fail(http.StatusUnauthorized, textNoKey)
	case key != DemoKey:
		return fail(http.StatusUnauthorized, textKey)
	}
	return nil
}

// read takes the body in and insists on JSON where there is to be one.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var buffer bytes.Buffer
	if r.ContentLength > 0 {
		buffer.Grow(int(min(r.ContentLength, maxBody)) + bytes.MinRead)
	}
	n, err := buffer.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	if n > maxBody {
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody)) // so that most clients get to read the answer
		return nil, &failure{status: http.StatusRequestEntityTooLarge}      // the real body is unknown; an empty one is the hardest to read
	}
	if err != nil {
		return nil, fail(http.StatusBadRequest, textBadRequest)
	}
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return nil, nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != contentType {
		return nil, fail(http.StatusUnsupportedMediaType, textJSON)
	}
	body := buffer.Bytes()
	switch {
	case !utf8.Valid(body):
		return nil, fail(http.StatusUnsupportedMediaType, textUTF8)
	case !json.Valid(body) || bytes.TrimLeft(body, " \t\r\n")[0] != '{':
		return nil, fail(http.StatusBadRequest, textBadRequest)
	}
	return body, nil
}

// encode is JSON without HTML escapes and without a newline.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// linger waits for as long as a send takes. When the client goes meanwhile, nothing is done.
func (s *Simulator) linger(c *call, now settings.Settings) error {
	latency := now.SendLatency()
	if err := clock.Linger(c.Context(), s.clock, latency); err != nil { // not by the timetable, which a reset clears
		return fail(http.StatusInternalServerError, "the client is gone") // nobody reads it
	}
	return nil
}

// rateWindow is after how long a fault of status 429 says that requests are taken again.
const rateWindow = 10 * time.Second

// Wording is how the API words a status that a fault asks for. SendGrid has texts where others have codes; errorCode counts through
// those that a status has: 401/1 is "Maximum credits exceeded", 403/1 "access forbidden", 403/2 the block after too many bad requests.
func (s *Simulator) Wording(status, errorCode int) (http.Header, []byte) {
	header := http.Header{"Server": {serverHeader}}
	if status == http.StatusTooManyRequests {
		header.Set("X-RateLimit-Limit", "600")
		header.Set("X-RateLimit-Remaining", "0")
		header.Set("X-RateLimit-Reset", strconv.FormatInt(s.clock.Now().Add(rateWindow).Unix(), 10))
	}
	text, field := usualText(status, errorCode)
	if text == "" {
		return header, nil
	}
	one := problem{Message: text}
	if field != "" {
		one.Field = &field
	}
	body, err := encode(errorBody{[]problem{one}})
	if err != nil {
		return header, nil
	}
	header.Set("Content-Type", contentType)
	return header, body
}

// usualText is "" for a status whose body is not known.
func usualText(status, errorCode int) (text, field string) {
	switch status {
	case http.StatusBadRequest:
		return textBadRequest, ""
	case http.StatusUnauthorized:
		return []string{textKey, textCredits, textNoKey}[min(max(errorCode, 0), 2)], ""
	case http.StatusForbidden:
		if errorCode <= 0 {
			return textSender, "from"
		}
		return []string{textForbidden, textBlocked}[min(errorCode, 2)-1], ""
	case http.StatusUnsupportedMediaType:
		return textJSON, ""
	case http.StatusTooManyRequests:
		return textRate, ""
	}
	return "", ""
}
