// Package httpcall makes the calls of adapters that speak HTTP, and tells how far each got: whether a provider may have acted on
// a request is what decides between sending a message again and asking first.
//
// It follows no redirect, caps what is read, lets [provider.Leaving] have the last word before anything leaves, and reports the
// first byte of an answer by [provider.Answered]. What a provider says is for its adapter to read.
package httpcall

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
	"time"

	"postyard/internal/provider"
)

// MaxAnswer caps what is read of an answer whose call does not say otherwise, in bytes.
const MaxAnswer = 8 << 20

// ErrAnswerTooLong means that an answer was longer than its call allows; what was read of it is there.
var ErrAnswerTooLong = errors.New("the answer is too long")

// Call is one request.
type Call struct {
	Method string
	URL    string
	Header http.Header
	Body   []byte // nil for none; Header says what it is
	Limit  int64  // caps what is read of the answer, in bytes; 0 is MaxAnswer
}

// Answer is what came back.
type Answer struct {
	Status  int // 0 when there was no answer
	Header  http.Header
	Body    []byte
	Err     error // why there is no answer, or why it ends early
	Written bool  // the whole request may have left: the provider may have acted on it
}

// SettingError says that a connection cannot be used as it is stored.
type SettingError struct{ Code, Field, Text string }

// Error implements error.
func (e *SettingError) Error() string { return e.Text }

// BaseURL returns where an API is, without a slash at the end; usual when the endpoint is "". Its error is a *SettingError.
func BaseURL(endpoint, usual string) (string, error) {
	if endpoint == "" {
		return usual, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", &SettingError{"invalid_endpoint", "endpoint", "the endpoint is not an http or https URL"}
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), nil
}

// Token returns a key as it goes into a header; what names it for people. Its error is a *SettingError.
func Token(key, what string) (string, error) {
	key = strings.TrimSpace(key)
	if key == "" {
		return "", &SettingError{"invalid_token", "key", "the " + what + " is missing"}
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &SettingError{"invalid_token", "key", "the " + what + " has characters that no key has"}
	}
	return key, nil
}

// NewTransport returns a transport for an adapter that was given none.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
	}
}

// Do makes one call and reads its answer. It follows no redirect: the key must not travel to another host. The transport must not
// repeat a POST that was written.
func Do(ctx context.Context, transport http.RoundTripper, c Call) Answer {
	sent := &progress{size: int64(len(c.Body)), leaving: func() error { return provider.Leaving(ctx) }}
	req, err := http.NewRequestWithContext(sent.trace(ctx), c.Method, c.URL, nil)
	if err != nil {
		return Answer{Err: errors.New("build the request: the URL is not valid")}
	}
	for name, values := range c.Header {
		req.Header[name] = values
	}
	if c.Body != nil {
		req.ContentLength = int64(len(c.Body))
		req.Body = sent.reader(c.Body)
		req.GetBody = func() (io.ReadCloser, error) {
			sent.restart() // the transport asks again only when it knows that nothing of the last try was processed
			return sent.reader(c.Body), nil
		}
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return sent.failure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	limit := cmp.Or(c.Limit, MaxAnswer)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(body)) > limit {
		body, err = body[:limit], ErrAnswerTooLong
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, Err: err, Written: true}
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
func (p *progress) failure(err error) Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	ans := Answer{Err: err}
	switch p.state.Load() {
	case wrote:
		ans.Written = true
	case writing:
		ans.Written = p.size > 0 && p.read >= p.size
	}
	if p.late != nil && !ans.Written {
		ans.Err = p.late // whatever the transport made of it
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
