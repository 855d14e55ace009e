package api

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postyard/internal/web"
)

// newSite is a world with its dashboard.
func newSite(t *testing.T) (*world, *web.Handler) {
	t.Helper()
	var w *world
	var dashboard *web.Handler
	w = newWorldWith(t, func(c *Config) {
		members, _ := c.Members.(web.Members)
		var err error
		if dashboard, err = web.New(web.Config{Members: members, Directory: c.Directory, PublicURL: "http://127.0.0.1", Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		c.Web = dashboard
	})
	return w, dashboard
}

// The dashboard's paths and the API's are apart: a page that hid an operation would be answered with HTML.
func TestTheDashboardHidesNothing(t *testing.T) {
	t.Parallel()
	w, dashboard := newSite(t)
	for _, o := range (&server{}).operations() {
		for _, slash := range []string{"", "/"} {
			path := strings.NewReplacer("{id}", "7", "{provider}", "postmark", "{token}", "x", "{email}", "x@example.com").Replace(o.Path) + slash
			if dashboard.Serves(httptest.NewRequest(o.Method, path, http.NoBody)) {
				t.Errorf("%s %s is a page", o.Method, path)
			}
		}
	}
	html := map[string]string{"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
	for _, c := range []struct {
		method, path string
		header       map[string]string
		status       int
		page         bool
	}{
		{"GET", "/", nil, 200, true},
		{"GET", "/providers/new", nil, 200, true},
		{"HEAD", "/providers", nil, 200, true},
		{"POST", "/providers", nil, 404, false},
		{"POST", "/", nil, 404, false},
		{"GET", "/nothing", nil, 404, false},
		{"GET", "/nothing", map[string]string{"Accept": "*/*"}, 404, false},
		{"GET", "/nothing", html, 404, true},
		{"GET", "/api/v1/nothing", nil, 404, false},
		{"POST", "/nothing", html, 404, false},
		{"GET", "/docs", html, 200, true}, // the API's own
		{"GET", "/healthz", html, 200, false},
		{"GET", "/openapi.json", html, 200, false},
		{"GET", "/api/v1/account/tpsp", html, 401, false},
		{"GET", "/web/session", html, 401, false},
		{"PATCH", "/web/session", nil, 405, false},
	} {
		a := w.call(c.method, c.path, c.header, nil)
		if page := strings.HasPrefix(a.header.Get("Content-Type"), "text/html"); a.status != c.status || page != c.page {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.header.Get("Content-Type"))
		}
		if a.header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s is not observed", c.method, c.path)
		}
	}
}

// A session that begins at /web opens the API, with one cookie.
func TestSignedInAtTheDashboard(t *testing.T) {
	t.Parallel()
	w, _ := newSite(t)
	a := w.call("POST", "/web/setup", map[string]string{"Content-Type": "application/json"}, map[string]string{"accountKey": w.accountKey, "name": "Richard", "email": "r@example.com", "password": memberPassword})
	var begun struct{ CSRF string }
	a.ok(200, &begun)
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	w.call("GET", "/api/v1/account/tpsp", map[string]string{"Cookie": cookie}, nil).ok(200, nil)
	w.call("POST", "/api/v1/account/subaccount", map[string]string{"Cookie": cookie}, map[string]string{"name": "x"}).refused(403, "csrf", "X-CSRF-Token")
	w.call("POST", "/api/v1/account/subaccount", map[string]string{"Cookie": cookie, "X-CSRF-Token": begun.CSRF}, map[string]string{"name": "x"}).ok(201, nil)
	w.call("DELETE", "/web/session", map[string]string{"Cookie": cookie, "X-CSRF-Token": begun.CSRF}, nil)
	w.call("GET", "/api/v1/account/tpsp", map[string]string{"Cookie": cookie}, nil).refused(401, "signed_out", "")
	if strings.Contains(w.log.String(), memberPassword) || strings.Contains(w.log.String(), cookie[len("postyard_session="):]) {
		t.Error("the log tells a secret")
	}
}
