package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Names of Postmark's headers.
const (
	serverHeader  = "X-Postmark-Server-Token"
	accountHeader = "X-Postmark-Account-Token"
	codeHeader    = "X-Pm-Apierrorcode"
)

const (
	maxAnswer   = 1 << 20  // bytes of an answer that are read
	maxKept     = 64 << 10 // bytes of a body that are kept
	maxText     = 4 << 10  // bytes of a body that is no JSON
	callTimeout = time.Minute
)

// exchange is one request and what came back, as it was.
type exchange struct {
	purpose string
	method  string
	path    string
	query   url.Values
	header  http.Header
	sent    []byte // at most maxKept
	size    int64  // of what was sent

	status  int // 0: no answer
	answer  http.Header
	body    []byte
	cut     bool // the body has more
	err     error
	started time.Time
	took    time.Duration
}

// code is the ErrorCode of an answer, 0 when it has none.
func (e *exchange) code() int {
	var body struct{ ErrorCode *int }
	if json.Unmarshal(e.body, &body) == nil && body.ErrorCode != nil && *body.ErrorCode != 0 {
		return *body.ErrorCode
	}
	code, err := strconv.Atoi(e.answer.Get(codeHeader))
	if err != nil {
		return 0
	}
	return code
}

// message is what an answer says in words.
func (e *exchange) message() string {
	var body struct{ Message string }
	if json.Unmarshal(e.body, &body) != nil {
		return ""
	}
	return body.Message
}

// ok tells whether Postmark did what it was asked for.
func (e *exchange) ok() bool { return e.err == nil && e.status == http.StatusOK && e.code() == 0 }

// answered tells whether Postmark took the question up: it was not throttled, and nothing failed at Postmark.
func (e *exchange) answered() bool {
	return e.status != 0 && e.status != http.StatusTooManyRequests && e.status < http.StatusInternalServerError
}

// besides tells whether a refusal is about the sender, the account or the moment: whatever was asked for, the answer would be the same.
func (e *exchange) besides() bool {
	const senderUnknown, senderUnconfirmed, accountPending, accountRefused = 400, 401, 412, 413 // ErrorCodes
	switch e.code() {
	case senderUnknown, senderUnconfirmed, accountPending, accountRefused, http.StatusTooManyRequests:
		return true
	}
	return e.status == http.StatusUnauthorized || !e.answered()
}

// seen puts an answer into a few words.
func (e *exchange) seen() string {
	if e.status == 0 {
		return "no answer"
	}
	text := fmt.Sprintf("HTTP %d", e.status)
	if code := e.code(); code != 0 {
		text += fmt.Sprintf(", ErrorCode %d", code)
	}
	if message := e.message(); message != "" {
		text += fmt.Sprintf(", %.300q", message)
	}
	return text
}

// recorder is a transport that keeps what passes through it. It follows no redirects.
type recorder struct {
	base http.RoundTripper
	now  func() time.Time

	mu      sync.Mutex
	purpose string
	kept    []*exchange
	limited []*exchange // those that were answered 429, of the whole run
}

// begin names what the next calls are for.
func (r *recorder) begin(purpose string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.purpose = purpose
}

// take returns what was kept since it was called last.
func (r *recorder) take() []*exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.kept
	r.kept = nil
	return kept
}

// last is the newest exchange, nil when there is none.
func (r *recorder) last() *exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) == 0 {
		return nil
	}
	return r.kept[len(r.kept)-1]
}

func (r *recorder) throttled() []*exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.limited)
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	e := &exchange{method: req.Method, path: req.URL.Path, query: req.URL.Query(), header: req.Header.Clone(), started: r.now()}
	sent := &tee{}
	if req.Body != nil {
		req = req.Clone(req.Context())
		sent.from = req.Body
		req.Body = sent
	}
	resp, err := r.base.RoundTrip(req) // its body is closed below; the caller gets a copy
	e.sent, e.size = sent.kept()
	if err == nil {
		e.status, e.answer = resp.StatusCode, resp.Header
		e.body, e.err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		e.cut = len(e.body) > maxAnswer
		e.body = e.body[:min(len(e.body), maxAnswer)]
		_ = resp.Body.Close() // what it held has been read, or is not wanted
		rest := io.Reader(http.NoBody)
		if e.err != nil {
			rest = failing{e.err}
		}
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(e.body), rest))
	} else {
		e.err = err
	}
	e.took = r.now().Sub(e.started)
	r.mu.Lock()
	defer r.mu.Unlock()
	e.purpose = r.purpose
	r.kept = append(r.kept, e)
	if e.status == http.StatusTooManyRequests {
		r.limited = append(r.limited, e)
	}
	return resp, err
}

type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// tee keeps the beginning of what is read. The transport may read on while its caller has an answer already.
type tee struct {
	from io.ReadCloser

	mu    sync.Mutex
	start []byte
	size  int64
}

// Read implements io.Reader.
func (t *tee) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.size += int64(n)
	t.start = append(t.start, p[:min(n, maxKept-len(t.start))]...)
	return n, err
}

// Close implements io.Closer.
func (t *tee) Close() error { return t.from.Close() }

func (t *tee) kept() ([]byte, int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.start), t.size
}

// request is one call of ours.
type request struct {
	method, path string
	query        url.Values
	body         any           // encoded as JSON; nil for none; []byte as it is
	header       string        // which token header is sent: serverHeader unless it is set
	token        func() string // nil: the token of the run
}

var errNoAnswer = errors.New("Postmark gave no answer")

// call makes one call and keeps it. The error is about a call without an answer.
func (s *session) call(ctx context.Context, purpose string, c request) (*exchange, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("encode the request to %s: %w", c.path, err)
		}
		body = bytes.NewReader(encoded)
	}
	target := s.endpoint + c.path
	if len(c.query) > 0 {
		target += "?" + c.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, c.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("build the request to %s: the URL is not valid", c.path)
	}
	token, header := s.token(), serverHeader
	if c.token != nil {
		token = c.token()
	}
	if c.header != "" {
		header = c.header
	}
	req.Header.Set(header, token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Postyard")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	s.recorder.begin(purpose)
	resp, err := s.recorder.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close() // a copy in memory
	}
	e := s.recorder.last()
	if err := ctx.Err(); err != nil && e.status == 0 {
		return e, fmt.Errorf("%s %s: %w: %w", c.method, s.redactor.text(c.path), errNoAnswer, err)
	}
	if e.status == 0 {
		return e, fmt.Errorf("%s %s: %w: %s", c.method, s.redactor.text(c.path), errNoAnswer, s.redactor.text(e.err.Error()))
	}
	return e, nil
}

// keptHeaders are the headers whose values are written; of the others, only the names.
var keptHeaders = []string{"Accept", "Accept-Encoding", "Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Expect",
	"Retry-After", "Server", "User-Agent", "X-Pm-Apierrorcode", "X-Pm-Webhook-Trace-Id", "X-Pm-Webhook-Event-Id", "X-Pm-Retries-Remaining"}

// headers returns what is written of a header.
func (r *redactor) headers(h http.Header) map[string]string {
	out := map[string]string{}
	for name, values := range h {
		out[r.text(name)] = "[not shown]"
		if slices.Contains(keptHeaders, name) || strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Ratelimit") {
			out[name] = r.text(strings.Join(values, ", "))
		}
	}
	return out
}
