package app

import (
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/demo"
	"postyard/internal/secret"
	"postyard/internal/store/postgres/pgtest"
)

// ask makes a request with a session's cookie and returns the status and the body; cookie is set when the answer sets one.
func ask(t *testing.T, method, url, body string, cookie *string, headers ...string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if *cookie != "" {
		r.Header.Set("Cookie", *cookie)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if set := res.Header.Get("Set-Cookie"); set != "" {
		*cookie, _, _ = strings.Cut(set, ";")
	}
	return res.StatusCode, string(got)
}

// TestSessionsOfTwoServers: a session that begins at one server is good at the other one, and what ends it there ends it here, with the next
// request.
func TestSessionsOfTwoServers(t *testing.T) {
	t.Parallel()
	database, key := secret.NewString(pgtest.Database(t)), secret.NewKey()
	var urls []string
	var api client.Client
	for range 2 {
		s, err := NewServer(t.Context(), config.Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Database: database, SecretKey: key, AllowPrivate: true,
			CallTimeout: 4 * time.Second, AskAfter: []time.Duration{time.Second}, AmbiguousWait: time.Minute, MessageTTL: time.Hour, ProviderConcurrency: 4,
			BatchSize: 50, ShutdownGrace: 5 * time.Second}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		fresh, created, err := s.Bootstrap(t.Context(), "Postyard")
		if err != nil {
			t.Fatal(s.Abort(err))
		}
		if created {
			api = client.Client{URL: s.URL, AccountKey: fresh.AccountKey}
		}
		runs(t, s.Run)
		urls = append(urls, s.URL)
	}
	if err := api.SetUpDashboard(t.Context(), demo.Owner, "Olivia", demo.Password); err != nil {
		t.Fatal(err)
	}
	m, err := api.Invite(t.Context(), demo.Viewer, "Victor", "admin")
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(m.Invitation, "#")
	cookie := ""
	if status, answer := ask(t, "POST", urls[1]+"/web/invitation", `{"token":"`+token+`","password":"`+demo.Password+`"}`, &cookie); status != 200 {
		t.Fatalf("join: %d %s", status, answer)
	}
	wants := func(url string, want int) {
		t.Helper()
		if status, answer := ask(t, "GET", url+"/api/v1/account/tpsp", "", &cookie); status != want {
			t.Errorf("%s: %d %s, want %d", url, status, answer, want)
		}
	}
	wants(urls[0], 200)
	wants(urls[1], 200)
	if err := api.RemoveMember(t.Context(), m.ID); err != nil { // at the first one
		t.Fatal(err)
	}
	wants(urls[1], 401)
	wants(urls[0], 401)
}

// TestDemoDashboard signs in with what the demo prints.
func TestDemoDashboard(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if s.Dashboard != (demo.Dashboard{URL: s.URL, Email: demo.Owner, Password: demo.Password}) {
		t.Errorf("dashboard %+v", s.Dashboard)
	}
	for email, role := range map[string]string{demo.Owner: `"owner"`, demo.Viewer: `"viewer"`} {
		cookie := ""
		if status, answer := ask(t, "POST", s.URL+"/web/session", `{"email":"`+email+`","password":"`+demo.Password+`"}`, &cookie); status != 200 || !strings.Contains(answer, role) {
			t.Errorf("%s: %d %s", email, status, answer)
		}
		if status, answer := ask(t, "GET", s.URL+"/api/v1/account/tpsp", "", &cookie); status != 200 || !strings.Contains(answer, demo.ProviderName) {
			t.Errorf("%s: %d %s", email, status, answer)
		}
	}
	cookie := ""
	if status, answer := ask(t, "GET", s.URL+"/", "", &cookie); status != 200 || !strings.Contains(answer, `<div id="app">`) {
		t.Errorf("page: %d %s", status, answer)
	}
}

// TestAddressesBehindAProxy: the list of sessions and the audit log tell the same address, and it is the client's only if the proxy is named.
func TestAddressesBehindAProxy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		proxies []netip.Prefix
		public  string
		want    string
	}{
		"nobody is believed at this machine's own address": {nil, "", "127.0.0.1"},
		"a proxy that is named":                            {[]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, "", "203.0.113.7"},
		"a public URL elsewhere":                           {nil, "http://post.example.com", "203.0.113.7"},
		"none":                                             {[]netip.Prefix{}, "http://post.example.com", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewServer(t.Context(), config.Config{Listen: "127.0.0.1:0", Data: t.TempDir(), PublicURL: c.public, TrustedProxies: c.proxies, SecretKey: secret.NewKey(),
				AllowPrivate: true, CallTimeout: 4 * time.Second, AskAfter: []time.Duration{time.Second}, AmbiguousWait: time.Minute, MessageTTL: time.Hour,
				ProviderConcurrency: 4, BatchSize: 50, ShutdownGrace: 5 * time.Second}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			fresh, _, err := s.Bootstrap(t.Context(), "Postyard")
			if err != nil {
				t.Fatal(s.Abort(err))
			}
			runs(t, s.Run)
			at := "http://" + s.listener.Addr().String()
			cookie := ""
			through := func(method, path, body string) string {
				t.Helper()
				status, answer := ask(t, method, at+path, body, &cookie, "X-Forwarded-For", "192.0.2.9, 203.0.113.7")
				if status != http.StatusOK {
					t.Fatalf("%s: %d %s", path, status, answer)
				}
				return answer
			}
			through("POST", "/web/setup", `{"accountKey":"`+fresh.AccountKey.Reveal()+`","name":"O","email":"o@example.com","password":"`+demo.Password+`"}`)
			for _, path := range []string{"/web/sessions", "/api/v1/account/audit"} {
				if answer := through("GET", path, ""); !strings.Contains(answer, `"address":"`+c.want+`"`) {
					t.Errorf("%s: no %s in %s", path, c.want, answer)
				}
			}
		})
	}
}
