package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"postyard/internal/member"
)

// requestIDHeader names a request, in both directions.
const requestIDHeader = "X-Request-Id"

// maxRequestID is the longest request id that we take over from a client.
const maxRequestID = 128

// exchange is a request's context, and remembers what was answered. One value for both, and for the router's context, is what
// keeps a request cheap.
type exchange struct {
	context.Context
	response
	id     [1]string // as a header has it
	routed *chi.Context

	operation *operation      // nil until it is known which
	session   *member.Session // of who is signed in and sent no key
	owner     any             // for whom the server itself asks, who was let in already; nil: whoever asks has to prove it
}

// exchangeOf returns the exchange that a request's context belongs to, or nil.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

type exchangeKey struct{}

// Value implements context.Context.
func (x *exchange) Value(key any) any {
	switch key {
	case exchangeKey{}:
		return x
	case chi.RouteCtxKey:
		return x.routed
	}
	return x.Context.Value(key)
}

// requestID returns the id of the request that a context belongs to.
func requestID(ctx context.Context) string {
	x := exchangeOf(ctx)
	if x == nil {
		return ""
	}
	return x.id[0]
}

// logged is a path as it is logged. The tokens in those of mail unsubscribe whoever they are of, and hold links.
func logged(path string) string {
	if !strings.HasPrefix(path, "/track/") {
		return path
	}
	if parts := strings.SplitN(path, "/", 5); len(parts) == 5 {
		return strings.Join(append(parts[:4], "..."), "/")
	}
	return path
}

// observe gives every request an id, turns a panic into an answer, and logs what became of it. Neither keys nor queries,
// which may name recipients, are logged, nor the tokens of mail.
func (s *server) observe(next http.Handler) http.Handler {
	routes := sync.Pool{New: func() any { return chi.NewRouteContext() }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := r.Header.Get(requestIDHeader)
		if !saneID(id) {
			id = rand.Text()
		}
		routed, _ := routes.Get().(*chi.Context)
		routed.Reset()
		x := &exchange{Context: r.Context(), response: response{ResponseWriter: w}, id: [1]string{id}, routed: routed}
		r = r.WithContext(x)
		w.Header()[requestIDHeader] = x.id[:]
		defer func() {
			if cause := recover(); cause != nil {
				s.recovered(&x.response, r, cause)
			}
			if s.Log.Enabled(x, slog.LevelDebug) {
				s.Log.DebugContext(x, "request", "method", r.Method, "path", logged(r.URL.Path), "status", x.status,
					"bytes", x.bytes, "took", time.Since(began), "requestId", id)
			}
		}()
		next.ServeHTTP(&x.response, r)
		routes.Put(routed)
	})
}

// recovered answers a request whose handler panicked.
func (s *server) recovered(w *response, r *http.Request, cause any) {
	if cause == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
		panic(cause)
	}
	s.Log.ErrorContext(r.Context(), "panic", "method", r.Method, "path", logged(r.URL.Path), "requestId", requestID(r.Context()),
		"cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer is on its way: the client must see that it is broken
	}
	s.refuse(w, r, internalError)
}

func saneID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// response remembers what was answered.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *response) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController through.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// reply answers with JSON. Nothing is written when v cannot be encoded.
func reply(w http.ResponseWriter, status int, v any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // it is served as JSON, with nosniff
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	replyEncoded(w, status, body.Bytes())
	return nil
}

// Headers of every answer. The lists are shared: they are only read.
var (
	contentType        = []string{"application/json"} // CL-8
	contentTypeOptions = []string{"nosniff"}
	cacheControl       = []string{"no-store"} // keys and addresses are in it
)

// replyEncoded answers with JSON that is encoded already. That the client is gone is no error of ours.
func replyEncoded(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["X-Content-Type-Options"] = contentTypeOptions
	h["Cache-Control"] = cacheControl
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
