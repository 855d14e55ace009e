package postmark

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"postyard/internal/provider"
)

// Names of Postmark's headers.
const (
	serverTokenHeader  = "X-Postmark-Server-Token"
	accountTokenHeader = "X-Postmark-Account-Token"
	errorCodeHeader    = "X-PM-ApiErrorCode" // repeats the ErrorCode of an error body
)

// maxAnswer caps what is read of an answer: 500 results, or 500 messages of a search with their metadata.
const maxAnswer = 8 << 20

var errAnswerTooLong = errors.New("the answer is too long")

// call is one request to Postmark.
type call struct {
	method  string
	path    string
	query   url.Values
	body    []byte // JSON; nil for none
	account bool   // send the key as an account token, to learn whether it is one
	limit   int64  // caps what is read of the answer; 0 is maxAnswer
}

// answer is what came back.
type answer struct {
	status  int // 0 when there was no answer
	header  http.Header
	body    []byte
	err     error // why there is no answer, or why it ends early
	written bool  // the whole request may have left: Postmark may have acted on it
}

// settingError says that a connection cannot be used as it is stored.
type settingError struct{ code, field, text string }

func (e *settingError) Error() string { return e.text }

// baseURL returns where the connection's API is, without a slash at the end.
func baseURL(conn provider.Connection) (string, error) {
	if conn.Endpoint == "" {
		return defaultEndpoint, nil
	}
	u, err := url.Parse(conn.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" {
		return "", &settingError{"invalid_endpoint", "endpoint", "the endpoint is not an http or https URL"}
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), nil
}

// token returns the connection's key as it goes into the header.
func token(conn provider.Connection) (string, error) {
	key := strings.TrimSpace(conn.Key.Reveal())
	if key == "" {
		return "", &settingError{"invalid_token", "key", "the Server API token is missing"}
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &settingError{"invalid_token", "key", "the Server API token has characters that no token has"}
	}
	return key, nil
}

// do makes one call and reads its answer. It follows no redirect: the token must not travel to another host.
func (a *Adapter) do(ctx context.Context, conn provider.Connection, c call) answer {
	sent := &progress{size: int64(len(c.body)), leaving: func() error { return provider.Leaving(ctx) }}
	req, err := a.request(sent.trace(ctx), conn, c, sent)
	if err != nil {
		return answer{err: err}
	}
	resp, err := a.transport.RoundTrip(req)
	if err != nil {
		return sent.failure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	limit := cmp.Or(c.limit, maxAnswer)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(body)) > limit {
		body, err = body[:limit], errAnswerTooLong
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: body, err: err, written: true}
}

func (a *Adapter) request(ctx context.Context, conn provider.Connection, c call, sent *progress) (*http.Request, error) {
	base, err := baseURL(conn)
	if err != nil {
		return nil, err
	}
	key, err := token(conn)
	if err != nil {
		return nil, err
	}
	target := base + c.path
	if len(c.query) > 0 {
		target += "?" + c.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, c.method, target, nil)
	if err != nil {
		return nil, errors.New("build the request: the URL is not valid")
	}
	if c.account {
		req.Header.Set(accountTokenHeader, key)
	} else {
		req.Header.Set(serverTokenHeader, key)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", a.userAgent)
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(c.body))
		req.Body = sent.reader(c.body)
		req.GetBody = func() (io.ReadCloser, error) {
			sent.restart() // the transport asks again only when it knows that nothing of the last try was processed
			return sent.reader(c.body), nil
		}
	}
	return req, nil
}

// progress observes how far a request got. What the transport reports decides; where it reports nothing (it may return
// before its writer does when the context ends), a body that was read to its end counts as sent.
type progress struct {
	size    int64
	leaving func() error // asked before anything is given out
	state   atomic.Int32

	mu   sync.Mutex
	read int64
	late error // why something was held back
	over bool  // the call has ended, and how was told: nothing may leave any more
}

const (
	writing  int32 = iota
	wrote          // handed to the connection as a whole
	cutShort       // the connection broke while the request was being written
)

func (p *progress) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { p.restart() },
		GotFirstResponseByte: func() { provider.Answered(ctx) },
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err != nil {
				p.state.Store(cutShort)
				return
			}
			p.state.Store(wrote)
		},
	})
}

func (p *progress) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = 0
	p.state.Store(writing)
}

// failure ends a call without an answer. A writer that the transport has left behind gives out no more after it.
func (p *progress) failure(err error) answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	ans := answer{err: err}
	switch p.state.Load() {
	case wrote:
		ans.written = true
	case writing:
		ans.written = p.size > 0 && p.read >= p.size
	}
	if p.late != nil && !ans.written {
		ans.err = p.late // whatever the transport made of it
	}
	return ans
}

// give copies what is left of a body, unless nothing may leave any more.
func (p *progress) give(dst []byte, left *bytes.Reader) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return 0, errOver
	}
	if left.Len() > 0 {
		if p.late = p.leaving(); p.late != nil {
			return 0, p.late
		}
	}
	n, err := left.Read(dst)
	p.read += int64(n)
	return n, err
}

var errOver = errors.New("the call is over")

func (p *progress) reader(body []byte) io.ReadCloser {
	return &givenBody{left: bytes.NewReader(body), progress: p}
}

// givenBody has no WriteTo: what leaves is to pass Read piece by piece.
type givenBody struct {
	left     *bytes.Reader
	progress *progress
}

// Read implements io.Reader.
func (b *givenBody) Read(dst []byte) (int, error) { return b.progress.give(dst, b.left) }

// Close implements io.Closer.
func (*givenBody) Close() error { return nil }
