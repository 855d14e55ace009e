package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// ErrNotLoopback is returned instead of connecting to a host that is not this machine.
var ErrNotLoopback = errors.New("the sandbox only calls hosts on this machine (localhost, 127.0.0.0/8, ::1)")

const maxRedirects = 10

// Local tells whether a URL's host is this machine by name: localhost, a name below it, or a loopback address. It does not
// resolve names, so that not even a DNS query leaves.
func Local(target *url.URL) bool {
	host := strings.ToLower(strings.TrimSuffix(target.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// newClient returns a client that connects to loopback addresses only, whatever a name resolves to and wherever a redirect leads.
func newClient() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: loopbackOnly}
	return &http.Client{ // requests have their time limit from their context
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			MaxIdleConns:        4 * perURL,
			MaxIdleConnsPerHost: perURL,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("stopped after %d redirects", maxRedirects)
			}
			if !Local(req.URL) {
				return ErrNotLoopback
			}
			return nil
		},
	}
}

func loopbackOnly(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return ErrNotLoopback
	}
	return nil
}

// request returns a request to a URL without what differs from one to the next, if it may be called.
func request(target string) (*http.Request, error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return nil, errors.New("the URL cannot be parsed")
	}
	if !Local(parsed) {
		return nil, ErrNotLoopback
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, target, http.NoBody)
	if err != nil {
		return nil, errors.New("the request cannot be built")
	}
	return req, nil
}

// Post sends one body to a local URL and returns the final status. It is what deliveries and probes have in common.
func (e *Engine) Post(ctx context.Context, target string, header http.Header, body []byte) (status int, err error) {
	bare, err := request(target)
	if err != nil {
		return 0, err
	}
	return e.post(ctx, bare, header, body)
}

// post sends a body with a request that is the same for all to one URL.
func (e *Engine) post(ctx context.Context, bare *http.Request, header http.Header, body []byte) (status int, err error) {
	req := bare.WithContext(ctx)
	req.Header = header
	if len(body) > 0 {
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	res, err := e.client.Do(req)
	if err != nil {
		return 0, redact(err)
	}
	defer func() { _ = res.Body.Close() }()
	// Read what is left, so that the connection can be used again, but not for ever. The status is known; errors no longer matter.
	_, _ = io.CopyN(io.Discard, res.Body, 1<<20)
	return res.StatusCode, nil
}

// redact drops the URL, which may carry a password, from an error of http.Client.
func redact(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
