package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postyard/internal/provider"
	"postyard/internal/secret"
	"postyard/internal/ssrf"
	"postyard/internal/store"
)

// Bounds of a call.
const (
	callFor    = 10 * time.Second
	mostAnswer = 4 << 10 // bytes that are read of an answer
	mostWords  = 500     // bytes that are kept of what went wrong
)

// endpoint is one that can be posted to.
type endpoint struct {
	store.Endpoint
	keys [][]byte // that sign, the newest first
}

// prepare opens the secrets of an endpoint.
func (s *Service) prepare(e *store.Endpoint) (*endpoint, error) {
	_, key, err := s.open(e.Secret)
	if err != nil {
		return nil, fmt.Errorf("webhook %d: %w", e.ID, err)
	}
	p := &endpoint{Endpoint: *e, keys: [][]byte{key}}
	if len(e.Former) > 0 {
		_, former, err := s.open(e.Former)
		if err != nil {
			return nil, fmt.Errorf("webhook %d: %w", e.ID, err)
		}
		p.keys = append(p.keys, former)
	}
	return p, nil
}

// sign returns the signatures of a body, as Standard Webhooks has them: with the former key as well while it is valid.
func (e *endpoint) sign(id, timestamp string, body []byte, now time.Time) string {
	keys := e.keys
	if !now.Before(e.FormerTo) {
		keys = keys[:1]
	}
	var b strings.Builder
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(' ')
		}
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(id + "." + timestamp + ".")) // never fails
		_, _ = mac.Write(body)
		b.WriteString("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return b.String()
}

// answer is what came of a call.
type answer struct {
	at     time.Time
	took   time.Duration
	status int    // 0: there was none
	err    string // why it is no success, "" when it is
	wait   time.Duration
}

// gone tells whether the receiver wants nothing any more.
func (a *answer) gone() bool { return a.status == http.StatusGone }

// call posts a body to an endpoint.
func (s *Service) call(ctx context.Context, e *endpoint, id string, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	a := answer{at: s.Now()}
	began := time.Now()
	defer func() { a.took = time.Since(began) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		a.err = "the URL is not valid"
		return a
	}
	timestamp := strconv.FormatInt(a.at.Unix(), 10)
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "Postyard")
	h["webhook-id"] = []string{id} // in lower case, as Standard Webhooks writes them
	h["webhook-timestamp"] = []string{timestamp}
	h["webhook-signature"] = []string{e.sign(id, timestamp, body, a.at)}
	res, err := s.http.Do(req)
	if err != nil {
		a.err = words(ctx, err)
		a.took = time.Since(began)
		return a
	}
	defer func() { _ = res.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(res.Body, mostAnswer)) // the status has said it
	a.status, a.took = res.StatusCode, time.Since(began)
	if res.StatusCode < 200 || res.StatusCode > 299 {
		a.err = provider.Clean(strings.TrimSpace(fmt.Sprintf("HTTP %d %s", res.StatusCode, said)), mostWords)
		if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
			a.wait = min(time.Duration(seconds)*time.Second, mostWait)
		}
	}
	return a
}

// words says what went wrong, without the URL, which may hold a secret.
func words(ctx context.Context, err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*ssrf.BlockedError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return "the host's name could not be resolved: " + provider.Clean(e.Err, mostWords)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is not signed by anybody known"
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", callFor)
	}
	return provider.Clean(err.Error(), mostWords)
}

// Secret returns the secret of an endpoint of an account.
func (s *Service) Secret(ctx context.Context, accountID, id int32) (secret.String, error) {
	e, err := s.Endpoint(ctx, accountID, id)
	if err != nil {
		return secret.String{}, err
	}
	text, _, err := s.open(e.Secret)
	return text, err
}
