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
	"time"
)

// requestIDHeader names a request, in both directions.
const requestIDHeader = "X-Request-Id"

// maxRequestID is the longest request id that we take over from a client.
const maxRequestID = 128

type requestIDKey struct{}

// requestID returns the id of the request that a context belongs to.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// observe gives every request an id, turns a panic into an answer, and logs what became of it. Neither keys nor queries,
// which may name recipients, are logged.
func (s *server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := r.Header.Get(requestIDHeader)
		if !saneID(id) {
			id = rand.Text()
		}
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		w.Header().Set(requestIDHeader, id)
		observed := &response{ResponseWriter: w}
		defer func() {
			if cause := recover(); cause != nil {
				s.recovered(observed, r, cause)
			}
			if s.Log.Enabled(r.Context(), slog.LevelDebug) {
				s.Log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", observed.status,
					"bytes", observed.bytes, "took", time.Since(began), "requestId", id)
			}
		}()
		next.ServeHTTP(observed, r)
	})
}

// recovered answers a request whose handler panicked.
func (s *server) recovered(w *response, r *http.Request, cause any) {
	if cause == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
		panic(cause)
	}
	s.Log.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path, "requestId", requestID(r.Context()),
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

// replyEncoded answers with JSON that is encoded already. That the client is gone is no error of ours.
func replyEncoded(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json") // CL-8
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // keys and addresses are in it
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
