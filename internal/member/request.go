package member

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"postyard/internal/peer"
)

// CSRFHeader carries what a session's page was told, in every request that changes something.
const CSRFHeader = "X-CSRF-Token"

// cookieName is the cookie of a session. With https its name has the prefix that keeps other hosts and plain http from setting it (RFC 6265bis).
func (s *Service) cookieName() string {
	if s.secure {
		return "__Host-postyard_session"
	}
	return "postyard_session"
}

// Cookie is what a browser gets with a session's token. With "" it forgets the one that it has.
func (s *Service) Cookie(token string) *http.Cookie {
	c := &http.Cookie{Name: s.cookieName(), Value: token, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode, //nolint:gosec // Secure with https
		MaxAge: int(MaxAge / time.Second)}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// Token is the token of the session that a request comes with, "" without one.
func (s *Service) Token(r *http.Request) string {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

// Foreign refuses, with ErrForged, a request that another site had a browser make.
func (s *Service) Foreign(r *http.Request) error {
	if s.origins.Check(r) != nil {
		return ErrForged
	}
	return nil
}

// OfRequest finds the session that a request comes with. It fails with ErrSignedOut, and with ErrForged for a request that may change
// something and does not prove to come from our own page.
func (s *Service) OfRequest(r *http.Request) (*Session, error) {
	now, err := s.Session(r.Context(), s.Token(r))
	if err != nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return now, err
	}
	if err := s.Foreign(r); err != nil {
		return nil, err
	}
	if !now.Proves(r.Header.Get(CSRFHeader)) {
		return nil, ErrForged
	}
	return now, nil
}

// AddressOf is where a request comes from: an IP address, "" when it is not known. A proxy on this machine is believed.
func AddressOf(r *http.Request) string { return peer.Text(peer.Of(r, netip.Addr.IsLoopback)) }

// sourceOf is what attempts are counted by: an IPv4 address, or what one customer has of IPv6.
func sourceOf(addr netip.Addr) string {
	const customer = 64 // bits
	if !addr.Is6() {
		return peer.Text(addr)
	}
	prefix, _ := addr.Prefix(customer) // an address has as many bits
	return prefix.String()
}

// source is what attempts are counted by. Only where a proxy stands in front, because the public URL leads to another machine, is it believed
// about addresses: otherwise each attempt could come from another one.
func (s *Service) source(r *http.Request) string {
	believed := peer.Nobody
	if s.proxied {
		believed = netip.Addr.IsLoopback
	}
	return sourceOf(peer.Of(r, believed))
}

// agentOf is a browser's name of itself, without what is no text.
func agentOf(r *http.Request) string {
	const most = 300
	agent := strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f {
			return -1
		}
		return c
	}, r.UserAgent())
	return agent[:min(len(agent), most)]
}
