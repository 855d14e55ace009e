package fault

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxSwallowed is how much of a request is read before a fault; larger ones are cut off while they are sent.
const maxSwallowed = 64 << 20

// swallow reads the request, so that the client has written all of it and the server notices when the client goes.
func swallow(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxSwallowed)) // a client that is gone already is no news
}

func answer(w http.ResponseWriter, r *http.Request, rule Rule, wording Wording) {
	swallow(w, r)
	header, body := wording(r, rule)
	if rule.ErrorCode == 0 && rule.ErrorType == "" && (rule.Body != "" || rule.ContentType != "") {
		header = http.Header{}
	}
	if rule.Body != "" {
		body = []byte(rule.Body)
		header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if rule.ContentType != "" {
		header.Set("Content-Type", rule.ContentType)
	}
	if rule.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(rule.RetryAfter))
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(rule.Status)
	_, _ = w.Write(body) // the client may be gone
}

func hang(w http.ResponseWriter, r *http.Request, freed <-chan struct{}) {
	swallow(w, r)
	select {
	case <-r.Context().Done():
	case <-freed:
	}
	cut(w, nil, false)
}

// dripEvery is the time between two bytes of an answer that drips.
const dripEvery = 100 * time.Millisecond

func drip(w http.ResponseWriter, r *http.Request, answer *recorder, freed <-chan struct{}) {
	maps.Copy(w.Header(), answer.header)
	w.Header().Set("Content-Length", strconv.Itoa(answer.body.Len()))
	w.WriteHeader(answer.status)
	ticker := time.NewTicker(dripEvery)
	defer ticker.Stop()
	for _, b := range answer.body.Bytes() {
		if _, err := w.Write([]byte{b}); err != nil || http.NewResponseController(w).Flush() != nil {
			return // the client is gone
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-freed:
			cut(w, nil, false)
			return
		}
	}
}

// cut writes last to the connection and ends it, with a TCP reset when asked to.
func cut(w http.ResponseWriter, last []byte, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // not HTTP/1: the server can only abort
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // on failure the close below still cuts the answer off
	}
	if len(last) > 0 {
		_, _ = conn.Write(last) // the client may be gone, here and below
	}
	_ = conn.Close()
}

// recorder keeps an answer that is not to be sent, or not whole.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// half is the answer as it goes over the wire, with its true length in the header and half of its body.
func (r *recorder) half(req *http.Request) []byte {
	header := r.header.Clone()
	header.Set("Content-Length", strconv.Itoa(r.body.Len()))
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %d %s\r\n", req.Proto, r.status, http.StatusText(r.status))
	_ = header.Write(&out) // a bytes.Buffer never fails
	out.WriteString("\r\n")
	out.Write(r.body.Bytes()[:r.body.Len()/2])
	return out.Bytes()
}
