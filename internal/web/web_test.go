package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/account"
	"postyard/internal/directory"
	"postyard/internal/member"
	"postyard/internal/secret"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

const password = "correct horse battery"

// site is the dashboard of a fresh server, on a clock that tests move.
type site struct {
	*testing.T
	url     string
	key     string // of the account
	members *member.Service
	log     bytes.Buffer

	mu sync.Mutex
	at time.Time
}

func newSite(t *testing.T, public string) *site {
	t.Helper()
	s := &site{T: t, at: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	db, err := sqlite.Open(t.Context(), sqlitetest.Dir(t))
	s.must(err)
	t.Cleanup(func() { _ = db.Close() })
	dir, err := directory.Open(t.Context(), db)
	s.must(err)
	accounts := account.New(dir, db, secret.NewBox(secret.NewKey()), time.Now)
	fresh, _, err := accounts.Bootstrap(t.Context(), "Pied Piper")
	s.must(err)
	s.key = fresh.AccountKey.Reveal()
	server := httptest.NewUnstartedServer(nil)
	s.url = "http://" + server.Listener.Addr().String()
	if public == "" {
		public = s.url
	}
	s.members, err = member.New(member.Config{Store: db, Accounts: accounts, PublicURL: public, Now: func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.at
	}})
	s.must(err)
	h, err := New(Config{Members: s.members, Directory: dir, PublicURL: public, Log: slog.New(slog.NewTextHandler(&s.log, nil))})
	s.must(err)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "id")
		if h.Serves(r) {
			h.ServeHTTP(w, r)
			return
		}
		h.Unknown(w, r)
	})
	server.Start()
	t.Cleanup(server.Close)
	return s
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) later(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

// browser is one with its cookie, which it keeps however the server marks it.
type browser struct {
	*site
	cookie string
	csrf   string
}

type answer struct {
	*testing.T
	status int
	header http.Header
	body   string
}

func (b *browser) do(method, path, body string, header ...string) answer {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, b.url+path, strings.NewReader(body))
	b.must(err)
	if b.cookie != "" {
		r.Header.Set("Cookie", b.cookie)
	}
	r.Header.Set("X-CSRF-Token", b.csrf)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	b.must(err)
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	b.must(err)
	for _, c := range res.Cookies() {
		if b.cookie = c.Name + "=" + c.Value; c.MaxAge < 0 {
			b.cookie = ""
		}
	}
	var begun sessionAnswer
	if json.Unmarshal(got, &begun) == nil && begun.CSRF != "" {
		b.csrf = begun.CSRF
	}
	return answer{b.T, res.StatusCode, res.Header, string(got)}
}

// is checks a status, and that the body has some words.
func (a answer) is(status int, words ...string) answer {
	a.Helper()
	if a.status != status {
		a.Errorf("status %d, want %d: %.300s", a.status, status, a.body)
	}
	for _, w := range words {
		if !strings.Contains(a.body, w) {
			a.Errorf("no %s in %.300s", w, a.body)
		}
	}
	return a
}

func (s *site) credentials(email, password string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
}

// setUp makes the first owner, in a browser of theirs.
func (s *site) setUp() *browser {
	s.Helper()
	b := &browser{site: s}
	b.do("POST", "/web/setup", fmt.Sprintf(`{"accountKey":%q,"name":"Richard","email":"richard@example.com","password":%q}`, s.key, password)).is(200)
	return b
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	stranger := &browser{site: s}
	stranger.do("GET", "/web/session", "").is(401, `"code":"signed_out"`, `"setup":true`, `"requestId":"id"`)
	stranger.do("POST", "/web/setup", `{"accountKey":"AAAAAAAAAAAAAAAAAAAA","name":"R","email":"r@example.com","password":"`+password+`"}`).is(401, `"invalid_api_key"`, `"accountKey"`)
	stranger.do("POST", "/web/setup", fmt.Sprintf(`{"accountKey":%q,"name":"R","email":"r@example.com","password":"short"}`, s.key)).is(422, `"password_too_short"`, `"field":"password"`)
	b := s.setUp()
	got := b.do("GET", "/web/session", "").is(200)
	want := fmt.Sprintf(`{"member":{"id":1,"email":"richard@example.com","name":"Richard","role":"owner"},"account":{"id":1,"name":"Pied Piper"},"csrf":%q,"publicUrl":%q}`+"\n",
		b.csrf, s.url)
	if got.body != want || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v %s", got.header, got.body)
	}
	stranger.do("GET", "/web/session", "").is(401, `"setup":false`)
	stranger.do("POST", "/web/setup", fmt.Sprintf(`{"accountKey":%q,"name":"R","email":"r@example.com","password":%q}`, s.key, password)).is(409, `"already_set_up"`)
	stranger.do("POST", "/web/session", s.credentials("richard@example.com", "wrong password")).is(401, `"wrong_credentials"`)
	if stranger.cookie != "" {
		t.Errorf("a cookie %q for a wrong password", stranger.cookie)
	}
	other := &browser{site: s}
	other.do("POST", "/web/session", s.credentials(" Richard@Example.com", password)).is(200, `"owner"`)
	var list []placeAnswer
	s.must(json.Unmarshal([]byte(b.do("GET", "/web/sessions", "").is(200).body), &list))
	if len(list) != 2 || list[0].Current == list[1].Current || list[0].Address != "127.0.0.1" {
		t.Errorf("sessions %+v", list)
	}
	b.do("DELETE", "/web/sessions", "").is(204)
	other.do("GET", "/web/session", "").is(401)
	b.do("PUT", "/web/password", `{"current":"wrong password","password":"another good one"}`).is(422, `"wrong_password"`, `"field":"current"`)
	b.do("PUT", "/web/password", `{"current":"`+password+`","password":"another good one"}`).is(204)
	b.do("GET", "/web/session", "").is(200)
	stranger.do("POST", "/web/session", s.credentials("richard@example.com", password)).is(401)
	old := b.cookie
	b.do("DELETE", "/web/session", "", "X-CSRF-Token", "").is(403, `"csrf"`)
	b.do("DELETE", "/web/session", "").is(204)
	if b.cookie != "" {
		t.Errorf("the cookie stays: %q", b.cookie)
	}
	b.do("DELETE", "/web/session", "").is(204)
	b.cookie = old
	b.do("GET", "/web/session", "").is(401)
	b.do("PUT", "/web/password", `{}`).is(401, `"signed_out"`)
	b.cookie = ""
	b.do("POST", "/web/session", s.credentials("richard@example.com", "another good one")).is(200)
	s.later(member.MaxIdle)
	b.do("GET", "/web/session", "").is(401, `"signed_out"`, `"setup":false`)
	if strings.Contains(s.log.String(), password) || s.log.Len() > 0 {
		t.Errorf("log: %s", s.log.String())
	}
}

func TestJoining(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.setUp()
	_, invitation, err := s.members.Invite(t.Context(), 1, "monica@example.com", "Monica", "viewer")
	s.must(err)
	token, found := strings.CutPrefix(invitation, s.url+"/join#")
	if !found {
		t.Fatalf("invitation %q", invitation)
	}
	b := &browser{site: s}
	b.do("POST", "/web/session", s.credentials("monica@example.com", "")).is(401, `"wrong_credentials"`)
	b.do("POST", "/web/invitation", `{"token":"`+token+`x","password":"`+password+`"}`).is(404, `"invalid_invitation"`, `"field":"token"`)
	b.do("POST", "/web/invitation", `{"token":"`+token+`","password":"short"}`).is(422, `"password_too_short"`)
	b.do("POST", "/web/invitation", `{"token":"`+token+`","password":"`+password+`"}`).is(200, `"viewer"`)
	b.do("GET", "/web/session", "").is(200, `"monica@example.com"`)
	(&browser{site: s}).do("POST", "/web/invitation", `{"token":"`+token+`","password":"`+password+`"}`).is(404)
}

// Two who set up at once: one wins, the other is told.
func TestTwoSetUpAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	answers := make(chan int, 4)
	var running sync.WaitGroup
	for i := range cap(answers) {
		running.Go(func() {
			body := fmt.Sprintf(`{"accountKey":%q,"name":"R","email":"r%d@example.com","password":%q}`, s.key, i, password)
			answers <- (&browser{site: s}).do("POST", "/web/setup", body).status
		})
	}
	running.Wait()
	count := map[int]int{}
	for range cap(answers) {
		count[<-answers]++
	}
	if count[200] != 1 || count[409] != cap(answers)-1 {
		t.Errorf("answers %v", count)
	}
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	b := s.setUp()
	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		words              string
	}{
		{"POST", "/web/session", `{"email":"` + strings.Repeat("a", maxBody) + `"}`, nil, 413, `"body_too_large"`},
		{"POST", "/web/session", ``, nil, 422, `"malformed_json"`},
		{"POST", "/web/session", `[]`, nil, 422, `"malformed_json"`},
		{"POST", "/web/session", `{"email":1}`, nil, 422, `"malformed_json"`},
		{"POST", "/web/session", strings.Repeat("[", 10_000), nil, 422, `"malformed_json"`},
		{"POST", "/web/session", `{"email":"richard@example.com\u0000","password":"x"}`, nil, 401, `"wrong_credentials"`},
		{"POST", "/web/session", `{"email":"richard@example.com' OR 1=1 --","password":"x"}`, nil, 401, `"wrong_credentials"`},
		{"POST", "/web/session", "{\"email\":\"\xff\xfe@example.com\",\"password\":\"x\"}", nil, 401, `"wrong_credentials"`},
		{"POST", "/web/session", s.credentials("richard@example.com", password), []string{"Origin", "https://evil.example"}, 403, `"csrf"`},
		{"POST", "/web/session", s.credentials("richard@example.com", password), []string{"Sec-Fetch-Site", "cross-site"}, 403, `"csrf"`},
		{"POST", "/web/setup", `{}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, `"csrf"`},
		{"POST", "/web/invitation", `{}`, []string{"Sec-Fetch-Site", "same-site"}, 403, `"csrf"`},
		// A browser that says nothing of where a request comes from has a form post one of these types, whatever the text is.
		{"POST", "/web/session", s.credentials("richard@example.com", password), []string{"Content-Type", "text/plain"}, 415, `"field":"Content-Type"`},
		{"POST", "/web/session", s.credentials("richard@example.com", password), []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, `"unsupported_media_type"`},
		{"POST", "/web/setup", s.credentials("richard@example.com", password), []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, `"unsupported_media_type"`},
		{"POST", "/web/invitation", s.credentials("richard@example.com", password), []string{"Content-Type", ""}, 415, `"unsupported_media_type"`},
		{"POST", "/web/session", s.credentials("richard@example.com", password), []string{"Content-Type", "text/plain; application/json"}, 415, `"unsupported_media_type"`},
		{"POST", "/web/session", s.credentials("richard@example.com", password), []string{"Content-Type", "Application/JSON; charset=utf-8"}, 200, `"owner"`},
		{"POST", "/web/session", s.credentials("richard@example.com", password), []string{"Origin", "null"}, 403, `"csrf"`},
		{"PUT", "/web/session", `{}`, nil, 405, `"method_not_allowed"`},
		{"GET", "/web/setup", ``, nil, 405, `"method_not_allowed"`},
		{"GET", "/web/", ``, nil, 404, `"unknown_path"`},
		{"GET", "/web/../web/nothing", ``, nil, 404, `"unknown_path"`},
		{"GET", "/web/session", ``, []string{"Cookie", "postyard_session=" + strings.Repeat("x", 8000)}, 401, `"signed_out"`},
	} {
		(&browser{site: s}).do(c.method, c.path, c.body, c.header...).is(c.status, c.words)
	}
	b.do("PUT", "/web/password", `{"current":"`+password+`","password":"`+strings.Repeat("x", 257)+`"}`).is(422, `"password_too_long"`)
	guesser := &browser{site: s}
	for range 60 {
		if a := guesser.do("POST", "/web/session", s.credentials("richard@example.com", "wrong password")); a.status == 429 {
			if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"too_many_tries"`) {
				t.Errorf("%v %s", a.header, a.body)
			}
			b.do("GET", "/web/session", "").is(200) // whoever is signed in is not kept out
			return
		}
	}
	t.Error("guessing has no end")
}

// Behind a proxy that speaks https, the cookie is one that only https sets and sends.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := newSite(t, "https://post.example.com")
	b := &browser{site: s}
	a := b.do("POST", "/web/setup", fmt.Sprintf(`{"accountKey":%q,"name":"R","email":"r@example.com","password":%q}`, s.key, password), "Origin", "https://post.example.com").is(200,
		`"publicUrl":"https://post.example.com"`)
	set := a.header.Get("Set-Cookie")
	for _, part := range []string{"__Host-postyard_session=", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"} {
		if !strings.Contains(set, part) {
			t.Errorf("no %s in %s", part, set)
		}
	}
	if strings.Contains(set, "Domain") {
		t.Errorf("cookie %s", set)
	}
	b.do("GET", "/web/session", "").is(200)
	b.cookie = strings.TrimPrefix(b.cookie, "__Host-") // as somebody in the network could set it
	b.do("GET", "/web/session", "").is(401)
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := &browser{site: newSite(t, "")}
	for _, path := range []string{"/", "/providers", "/providers/", "/providers/new", "/providers/7", "/messages/01a21797-d02e-7ec4-ab61-2c9e733c61a6", "/signin", "/setup", "/join", "/settings?x=y"} {
		a := b.do("GET", path, "").is(200, `<div id="app">`)
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-cache",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", path, name, got, want)
			}
		}
		policyHolds(t, a)
		if a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", path)
		}
	}
	for _, path := range []string{"/nothing", "/providers/7/x", "/assets/nothing.js", "/web.go", "/assets/../web.go", "/dist/app.js", "/index.html", "/assets/index.html", "//evil.example/"} {
		b.do("GET", path, "").is(404, `<div id="app">`)
	}
	if a := b.do("HEAD", "/", ""); a.status != 200 || a.body != "" || a.header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	page := b.do("GET", "/", "").body
	if strings.Contains(page, " style=") || strings.Contains(page, "{{") {
		t.Errorf("the policy forbids what is in the page: %s", page)
	}
	for from, want := range map[string]string{"none": "", "same-origin": "", "same-site": "same-origin", "cross-site": "same-origin"} {
		if got := b.do("GET", "/", "", "Sec-Fetch-Site", from).header.Get("Cross-Origin-Opener-Policy"); got != want {
			t.Errorf("from %s: Cross-Origin-Opener-Policy %q, want %q", from, got, want)
		}
	}
	tag := b.do("GET", "/", "").header.Get("ETag")
	if a := b.do("GET", "/", "", "If-None-Match", `"x", W/`+tag); a.status != 304 || a.body != "" {
		t.Errorf("%d %q", a.status, a.body)
	}
	b.do("GET", "/nothing", "", "If-None-Match", tag).is(404)
}

var inline = regexp.MustCompile(`(?s)<(script|style)>(.*?)</`)

// policyHolds finds that the page's policy allows what stands in the page, by its hash, and nothing else that is inline.
func policyHolds(t *testing.T, page answer) {
	t.Helper()
	rules := map[string]string{}
	for _, rule := range strings.Split(page.header.Get("Content-Security-Policy"), "; ") {
		name, sources, _ := strings.Cut(rule, " ")
		rules[name] = sources
	}
	want := map[string]string{"default-src": "'none'", "img-src": "'self' data:", "connect-src": "'self'", "font-src": "'self'", "frame-src": "'self'", "base-uri": "'none'",
		"form-action": "'self'", "frame-ancestors": "'none'"}
	parts := inline.FindAllStringSubmatch(page.body, -1)
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part[2]))
		want[part[1]+"-src"] = "'self' 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	if diff := cmp.Diff(want, rules); diff != "" || len(parts) != 2 {
		t.Errorf("%d parts of the page, policy (-want +got):\n%s", len(parts), diff)
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	b := &browser{site: newSite(t, "")}
	page := b.do("GET", "/", "").body
	for name, media := range map[string]string{"app.js": "text/javascript; charset=utf-8"} {
		at := strings.Index(page, assetPath+name)
		if at < 0 {
			t.Fatalf("the page does not link %s", name)
		}
		link, _, _ := strings.Cut(page[at:], `"`)
		plain := b.do("GET", link, "").is(200)
		packed := b.do("GET", link, "", "Accept-Encoding", "br;q=1.0, gzip;q=0.8, *;q=0.1").is(200)
		z, err := gzip.NewReader(strings.NewReader(packed.body))
		b.must(err)
		unpacked, err := io.ReadAll(z)
		b.must(err)
		if string(unpacked) != plain.body || len(packed.body) >= len(plain.body) || packed.header.Get("Content-Encoding") != "gzip" || plain.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d bytes, packed %d, %v", link, len(plain.body), len(packed.body), packed.header)
		}
		for _, a := range []answer{plain, packed} {
			for header, want := range map[string]string{"Content-Type": media, "Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding",
				"X-Content-Type-Options": "nosniff"} {
				if got := a.header.Get(header); got != want {
					t.Errorf("%s: %s %q, want %q", link, header, got, want)
				}
			}
		}
		if plain.header.Get("ETag") == packed.header.Get("ETag") {
			t.Errorf("%s: one tag for two bodies", link)
		}
		for _, stale := range []string{assetPath + name, assetPath + name + "?v=0123456789abcdef"} {
			a := b.do("GET", stale, "").is(200)
			if got := a.header.Get("Cache-Control"); got != "no-cache" {
				t.Errorf("%s: Cache-Control %q", stale, got)
			}
			if again := b.do("GET", stale, "", "If-None-Match", a.header.Get("ETag")); again.status != 304 || again.body != "" {
				t.Errorf("%s: %d", stale, again.status)
			}
		}
		b.do("POST", link, "").is(404)
	}
	for header, want := range map[string]bool{"": false, "gzip": true, "GZIP": true, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.5": true, "gzip;q=x": false, "gzipped": false} {
		if takesGzip(header) != want {
			t.Errorf("Accept-Encoding %q: %t", header, !want)
		}
	}
}

// A dashboard that lacks a part is told of at the start, and not by a page without style.
func TestAnIncompleteDashboard(t *testing.T) {
	t.Parallel()
	whole := fstest.MapFS{"dist/index.html": {Data: []byte("{{begin}} {{style}} {{program}}")}, "dist/app.css": {}, "dist/app.js": {Data: []byte("1")}, "dist/begin.js": {}}
	if page, _, assets, err := load(whole); err != nil || len(assets) != 1 || strings.Contains(string(page.body), "{{") {
		t.Errorf("%v, %v", assets, err)
	}
	for name := range whole {
		broken := fstest.MapFS{}
		for other, file := range whole {
			if other != name {
				broken[other] = file
			}
		}
		if _, _, _, err := load(broken); err == nil {
			t.Errorf("without %s nothing is said", name)
		}
	}
	whole["dist/index.html"].Data = []byte("{{begin}} {{style}}")
	if _, _, _, err := load(whole); err == nil {
		t.Error("a page without its program")
	}
}
