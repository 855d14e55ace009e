package member

import (
	"net/http"
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

// addressOf is where a request comes from: an IP address, "" when it is not known.
func (s *Service) addressOf(r *http.Request) string { return peer.Text(s.Proxies.Of(r)) }

// source is what attempts are counted by.
func (s *Service) source(r *http.Request) string { return peer.Customer(s.Proxies.Of(r)).String() }

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
