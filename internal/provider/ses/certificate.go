package ses

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// Bounds of signing certificates.
const (
	maxCertificate   = 64 << 10         // bytes of one
	maxCertificates  = 16               // that are kept: Amazon changes its own once in a while
	certificateFetch = 10 * time.Second // how long fetching one may take
	minKeyBits       = 2048
)

// certificates keeps the signing certificates that were fetched, by their URLs. Only one is fetched at a time.
type certificates struct {
	fetching chan struct{} // holds a token while one is fetched

	mu    sync.Mutex
	known map[string]*x509.Certificate
	order []string // the oldest first
}

func newCertificates() *certificates {
	return &certificates{fetching: make(chan struct{}, 1), known: map[string]*x509.Certificate{}}
}

func (c *certificates) get(url string) *x509.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[url]
}

func (c *certificates) put(url string, cert *x509.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.order) == maxCertificates {
		delete(c.known, c.order[0])
		c.order = c.order[1:]
	}
	c.known[url], c.order = cert, append(c.order, url)
}

// signingKey returns the key in the certificate at a URL that has been found good. Its errors say nothing of the request.
func (a *Adapter) signingKey(ctx context.Context, t *target, url string) (*rsa.PublicKey, error) {
	kept := a.others
	if t.amazon {
		kept = a.amazons
	}
	cert, err := a.certificate(ctx, kept, url)
	if err != nil {
		return nil, fmt.Errorf("the signing certificate: %w", err)
	}
	if now := a.Now(); now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return nil, fmt.Errorf("the signing certificate is valid from %s to %s, which is not now: is the clock right?",
			cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the signing certificate: its key is not RSA")
	}
	return key, nil
}

func (a *Adapter) certificate(ctx context.Context, kept *certificates, url string) (*x509.Certificate, error) {
	if cert := kept.get(url); cert != nil {
		return cert, nil
	}
	ctx, cancel := context.WithTimeout(ctx, certificateFetch)
	defer cancel()
	select {
	case kept.fetching <- struct{}{}:
		defer func() { <-kept.fetching }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if cert := kept.get(url); cert != nil { // somebody else has just fetched it
		return cert, nil
	}
	cert, err := a.fetchCertificate(ctx, url)
	if err != nil {
		return nil, err
	}
	kept.put(url, cert)
	return cert, nil
}

func (a *Adapter) fetchCertificate(ctx context.Context, url string) (*x509.Certificate, error) {
	ans := httpcall.Do(ctx, a.Transport, httpcall.Call{Method: http.MethodGet, URL: url, Header: http.Header{"User-Agent": {a.UserAgent}}, Limit: maxCertificate})
	switch {
	case ans.Err != nil:
		return nil, fmt.Errorf("it cannot be fetched: %s", provider.Clean(ans.Err.Error(), maxField))
	case ans.Status != http.StatusOK:
		return nil, fmt.Errorf("it cannot be fetched: HTTP %d", ans.Status)
	}
	block, _ := pem.Decode(ans.Body)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("what was fetched is none")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("what was fetched is none: %w", err)
	}
	if key, ok := cert.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() < minKeyBits {
		return nil, fmt.Errorf("its key is not RSA of %d bits or more", minKeyBits)
	}
	return cert, nil
}
