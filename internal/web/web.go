// Package web serves the dashboard: its page, its assets, and the sessions of those who use it.
//
// The dashboard is a program that runs in the browser and knows the server by its public API, which takes a session's cookie in the place of a
// key. So all that is served here is one page, whatever its path, and what the API cannot offer: signing in and out. Nothing is loaded from
// elsewhere, and the policy of the page lets nothing be.
//
// The sources are in ui; dist holds what is built of them and is part of the program.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"postyard/internal/directory"
	"postyard/internal/member"
	"postyard/internal/store"
)

// Members signs people in and out; *member.Service does.
type Members interface {
	NeedsSetup(ctx context.Context) (bool, error)
	SetUp(ctx context.Context, r *http.Request, accountKey, name, email, password string) (token string, err error)
	SignIn(ctx context.Context, r *http.Request, email, password string) (token string, err error)
	Join(ctx context.Context, r *http.Request, invitation, password string) (token string, err error)
	Session(ctx context.Context, token string) (*member.Session, error)
	OfRequest(r *http.Request) (*member.Session, error)
	Foreign(r *http.Request) error
	Token(r *http.Request) string
	Cookie(token string) *http.Cookie
	SignOut(ctx context.Context, r *http.Request, now *member.Session) error
	Sessions(ctx context.Context, now *member.Session) ([]store.Session, error)
	SignOutOthers(ctx context.Context, r *http.Request, now *member.Session) error
	ChangePassword(ctx context.Context, r *http.Request, now *member.Session, was, password string) error
}

// Config is what the dashboard works with. All fields are required.
type Config struct {
	Members   Members
	Directory *directory.Directory
	PublicURL string // without a slash at the end
	Log       *slog.Logger
}

// Handler serves the dashboard.
type Handler struct {
	Config
	page   *asset
	policy string
	assets map[string]*asset // by path
}

// New returns a Handler.
func New(c Config) (*Handler, error) {
	h := &Handler{Config: c}
	var err error
	h.page, h.policy, h.assets, err = load(files)
	return h, err
}

// pages are the paths of the dashboard's pages. A "*" stands for one segment of any kind.
var pages = []string{
	"", "providers", "providers/*", "ippools", "ippools/*", "events", "messages", "messages/*", "analytics", "compare", "subaccounts", "subaccounts/*",
	"domains", "suppressions", "webhooks", "webhooks/*", "throttles", "audit", "members", "settings", "signin", "setup", "join",
}

// Serves tells whether a request is the dashboard's.
func (h *Handler) Serves(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, sessionPaths) {
		return true
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return h.assets[r.URL.Path] != nil || isPage(r.URL.Path)
}

func isPage(path string) bool {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if first, rest, found := strings.Cut(path, "/"); found && rest != "" && !strings.Contains(rest, "/") {
		path = first + "/*"
	}
	return slices.Contains(pages, path)
}

// ServeHTTP implements http.Handler, for the requests that are the dashboard's.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, sessionPaths) {
		h.session(w, r)
		return
	}
	if a := h.assets[r.URL.Path]; a != nil {
		a.serve(w, r, http.StatusOK)
		return
	}
	h.servePage(w, r, http.StatusOK)
}

// Unknown answers a browser that asks for what is not there: the page tells so.
func (h *Handler) Unknown(w http.ResponseWriter, r *http.Request) {
	h.servePage(w, r, http.StatusNotFound)
}

func (h *Handler) servePage(w http.ResponseWriter, r *http.Request, status int) {
	head := w.Header()
	head.Set("Content-Security-Policy", h.policy)
	head.Set("Referrer-Policy", "same-origin")
	head.Add("Vary", "Sec-Fetch-Site")
	if from := r.Header.Get("Sec-Fetch-Site"); from != "none" && from != "same-origin" {
		// Nobody keeps hold of a window of ours that they opened. It costs another process of the browser, 50 ms: not for who comes by themselves.
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	head.Set("X-Frame-Options", "DENY")
	head.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
	h.page.serve(w, r, status)
}
