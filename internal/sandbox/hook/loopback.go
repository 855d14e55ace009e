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
	return &http.Client{
		Timeout: timeout,
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

// Post sends one body to a local URL and returns the final status. It is what deliveries and probes have in common.
func (e *Engine) Post(ctx context.Context, target string, header http.Header, body []byte) (status int, err error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return 0, errors.New("the URL cannot be parsed")
	}
	if !Local(parsed) {
		return 0, ErrNotLoopback
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the request cannot be built")
	}
	req.Header = header
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
