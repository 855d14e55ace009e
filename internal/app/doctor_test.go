package app

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/provider"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// front is a reverse proxy that can spoil what passes.
type front struct {
	*httptest.Server
	target atomic.Pointer[url.URL]
	spoil  atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool] // it may have answered: then nothing passes
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(f.target.Load()) }, Transport: transport}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if spoil := f.spoil.Load(); spoil != nil && (*spoil)(w, r) {
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { f.Close(); transport.CloseIdleConnections() })
	return f
}

func (f *front) to(t *testing.T, target string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	f.target.Store(u)
}

// cut ends the connection of a request without an answer.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// ward is a stage whose doctor is asked. What people reach, and one more provider, stand behind fronts.
type ward struct {
	*stage
	public *front
	fixes  map[string]struct{} // that were seen
}

func newWard(t *testing.T, change ...func(*config.Config, *Server)) *ward {
	t.Helper()
	w := &ward{public: newFront(t), fixes: map[string]struct{}{}}
	w.stage = newStage(t, append([]func(*config.Config, *Server){func(c *config.Config, s *Server) {
		c.PublicURL = w.public.URL
		if s != nil {
			w.public.to(t, "http://"+s.listener.Addr().String())
			s.examiner.Patience = 2 * time.Second
		}
	}}, change...)...)
	waitFor(t, "the templates", func() bool { return len(w.templates()) == 1 })
	return w
}

// diagnosis is what the doctor says, by check: the worst status, and the messages.
type diagnosis struct {
	status map[string]string
	words  map[string]string
	fix    map[string]string
}

func (w *ward) examine(what client.Examination) diagnosis {
	w.t.Helper()
	began := time.Now()
	list, err := w.api.Doctor(w.t.Context(), what)
	if err != nil {
		w.t.Fatal(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		w.t.Errorf("it took %s", took)
	}
	d := diagnosis{map[string]string{}, map[string]string{}, map[string]string{}}
	for _, c := range list {
		if c.Message == "" || (c.Status == "ok") != (c.Fix == "") && c.Check != "waiting" {
			w.t.Errorf("%+v", c)
		}
		for _, hidden := range []string{sandbox.DemoServerToken, sandbox.DemoSMTPPassword, w.AccountAPIKey} {
			if strings.Contains(c.Message+c.Fix, hidden) {
				w.t.Errorf("a secret in %+v", c)
			}
		}
		if rank := []string{"", "ok", "warn", "fail"}; slices.Index(rank, c.Status) > slices.Index(rank, d.status[c.Check]) {
			d.status[c.Check], d.fix[c.Check] = c.Status, c.Fix
		}
		d.words[c.Check] += c.Message + "\n"
		w.fixes[c.Fix] = struct{}{}
	}
	return d
}

// ailing are the checks that are not ok, or not as well as they were.
func (d diagnosis) ailing(status string, before diagnosis) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(d.status)) {
		if d.status[name] == status && before.status[name] != status {
			names = append(names, name)
		}
	}
	return names
}

// apply calls the operation that a fix names, with the body that is in it or the given one.
func (w *ward) apply(fix, body string) {
	w.t.Helper()
	m := regexp.MustCompile(`(GET|POST|PUT|DELETE) (/api/v1/\S+?)(?: with (\{.*?\}))?(?:[,;]|$)`).FindStringSubmatch(fix)
	if m == nil {
		w.t.Fatalf("no operation in %q", fix)
	}
	if body == "" {
		body = m[3]
	}
	req, err := http.NewRequestWithContext(w.t.Context(), m[1], w.URL+m[2], strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Account-ApiKey", w.AccountAPIKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if answer, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s (%v)", m[1], m[2], res.StatusCode, answer, err)
	}
}

// postmark calls the API of the simulated Postmark.
func (w *ward) postmark(method, path, body string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.SandboxURL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Postmark-Server-Token", sandbox.DemoServerToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(res.Body); err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s (%v)", method, path, res.StatusCode, answer.String(), err)
	}
	return answer.String()
}

func (w *ward) hook() string {
	w.t.Helper()
	return "/webhooks/" + w.server.directory.Current().AnyTPSP(w.TPSPID).Webhook.Ref
}

// ailment is something that is broken, the check that shows it, and its repair, which gets what the doctor said.
type ailment struct {
	name   string
	ask    client.Examination
	hurt   func(*ward)
	check  string
	status string // warn, fail
	words  string // in the message
	fix    string // in the fix
	repair func(*ward, string)
	stays  string // the status afterwards, "" for ok
}

// TestDoctor breaks one thing after the other: that check fails and no other does, and what it says repairs it.
func TestDoctor(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	healthy := w.examine(client.Examination{Template: w.Template})
	for name, status := range healthy.status {
		if status != "ok" && name != "pool" { // one provider alone has no fallback
			t.Errorf("healthy: %s is %s: %s", name, status, healthy.words[name])
		}
	}
	for _, a := range ailments {
		t.Run(a.name, func(t *testing.T) {
			part := *w
			part.stage = w.as(t)
			w := &part
			before := w.examine(client.Examination{})
			a.hurt(w)
			var ill diagnosis
			waitFor(t, a.check, func() bool { ill = w.examine(a.ask); return ill.status[a.check] == a.status })
			if diff := cmp.Diff([]string{a.check}, ill.ailing(a.status, before)); diff != "" {
				t.Errorf("%s: %s\n%v", a.status, diff, ill.words)
			}
			if failed := ill.ailing("fail", before); a.status == "warn" && len(failed) > 0 {
				t.Errorf("%v failed: %v", failed, ill.words)
			}
			if !strings.Contains(ill.words[a.check], a.words) || !strings.Contains(ill.fix[a.check], a.fix) {
				t.Errorf("%q\nfix: %q", ill.words[a.check], ill.fix[a.check])
			}
			a.repair(w, ill.fix[a.check])
			want := before.status[a.check]
			if a.stays != "" {
				want = a.stays
			} else if a.ask != (client.Examination{}) {
				want = "ok"
			}
			waitFor(t, "the repair of "+a.check, func() bool { ill = w.examine(a.ask); return ill.status[a.check] == want })
			if failed := ill.ailing("fail", before); len(failed) > 0 {
				t.Errorf("afterwards %v failed: %v", failed, ill.words)
			}
		})
	}
	wantRealFixes(t, w.fixes)
}

var ailments = []ailment{
	{name: "events are missing", check: "catch_up", status: "fail", words: "could not be read back", fix: "postyard catch-up --tpsp 1 --since",
		hurt: func(w *ward) {
			w.faults(fault{"kind": "status", "status": 422, "path": "/bounces"})
			if err := w.server.store.CatchUpFrom(w.t.Context(), w.TPSPID, time.Now().Add(-time.Hour)); err != nil {
				w.t.Fatal(err)
			}
			if err := w.server.directory.Reload(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			_, _ = w.api.CatchUp(w.t.Context(), client.CatchUp{Since: "1h", TPSPID: w.TPSPID}) // it begins at once, and fails
		},
		repair: func(w *ward, _ string) {
			w.faults()
			if _, err := w.api.CatchUp(w.t.Context(), client.CatchUp{Since: "2h", TPSPID: w.TPSPID}); err != nil {
				w.t.Fatal(err)
			}
		}},
	{name: "the token is refused", check: "token", status: "fail", words: "HTTP 401", fix: "PUT /api/v1/account/tpsp/1 with",
		hurt:   func(w *ward) { w.faults(fault{"kind": "status", "status": 401, "errorCode": 10, "path": "/server"}) },
		repair: func(w *ward, _ string) { w.faults() }},
	{name: "the provider is away", check: "provider", status: "fail", words: "could not be reached", fix: "let this machine reach the provider",
		hurt:   func(w *ward) { w.faults(fault{"kind": "reset_before", "path": "/"}) },
		repair: func(w *ward, _ string) { w.faults() }},
	{name: "the provider hangs", check: "provider", status: "fail", words: "no answer in time", fix: "let this machine reach the provider",
		hurt:   func(w *ward) { w.faults(fault{"kind": "hang", "path": "/"}) },
		repair: func(w *ward, _ string) { w.faults() }},
	{name: "a trigger is off", check: "webhook", status: "fail", words: "changed at the provider: its trigger Bounce is off", fix: "POST /api/v1/account/tpsp/1/webhook",
		hurt: func(w *ward) {
			w.postmark("PUT", w.hook(), `{"Triggers": {"Bounce": {"Enabled": false}}, "Verify": true}`)
		},
		repair: func(w *ward, fix string) { w.apply(strings.Replace(fix, " registers", ", registers", 1), "") }},
	{name: "the public URL is away", check: "public_url", status: "fail", words: "does not answer", fix: "--public-url",
		hurt: func(w *ward) {
			w.public.spoil.Store(new(func(rw http.ResponseWriter, r *http.Request) bool {
				away := r.URL.Path == "/healthz" || strings.HasPrefix(r.URL.Path, "/tpsp/")
				if away {
					cut(rw)
				}
				return away
			}))
		},
		repair: func(w *ward, _ string) { w.public.spoil.Store(nil) }},
	{name: "a proxy takes the credentials away", check: "webhook_delivery", status: "fail", words: "HTTP 401", fix: "with the header Authorization",
		hurt: func(w *ward) {
			w.public.spoil.Store(new(func(_ http.ResponseWriter, r *http.Request) bool { r.Header.Del("Authorization"); return false }))
		},
		repair: func(w *ward, _ string) { w.public.spoil.Store(nil) }},
	{name: "a proxy does not pass webhooks", check: "webhook_delivery", status: "fail", words: "HTTP 404 instead of 200", fix: "pass /tpsp/",
		hurt: func(w *ward) {
			w.public.spoil.Store(new(func(rw http.ResponseWriter, r *http.Request) bool {
				lost := strings.HasPrefix(r.URL.Path, "/tpsp/")
				if lost {
					http.NotFound(rw, r)
				}
				return lost
			}))
		},
		repair: func(w *ward, _ string) { w.public.spoil.Store(nil) }},
	{name: "the provider is paused", check: "in_use", status: "warn", words: "is paused", fix: "PUT",
		hurt: func(w *ward) {
			if _, err := w.api.UpdateTPSP(w.t.Context(), w.TPSPID, client.TPSPChange{Active: new(false)}); err != nil {
				w.t.Fatal(err)
			}
		},
		repair: func(w *ward, fix string) { w.apply(fix, "") }},
	{name: "an outage is rehearsed", check: "in_use", status: "warn", words: "rehearsed", fix: "postyard drill --end 1",
		hurt: func(w *ward) {
			if err := w.api.Drill(w.t.Context(), w.TPSPID, 600, nil); err != nil {
				w.t.Fatal(err)
			}
		},
		repair: func(w *ward, _ string) {
			if err := w.api.Drill(w.t.Context(), w.TPSPID, 0, nil); err != nil {
				w.t.Fatal(err)
			}
		}},
	{name: "mail waits behind a paused pool", check: "waiting", status: "warn", words: "messages wait, 3: 3 because the IP pool", fix: "postyard resume --ippool",
		hurt: func(w *ward) {
			pool := w.poolID(w.Pool)
			if err := w.api.PausePool(w.t.Context(), pool, true); err != nil {
				w.t.Fatal(err)
			}
			w.send("a@gmail.com", "b@gmail.com", "c@yahoo.com")
		},
		repair: func(w *ward, _ string) {
			if err := w.api.PausePool(w.t.Context(), w.poolID(w.Pool), false); err != nil {
				w.t.Fatal(err)
			}
		}},
	{name: "a limit holds mail", check: "waiting", status: "warn", words: "limit of 1 messages an hour is reached", fix: "ratePerHour",
		hurt: func(w *ward) {
			if _, err := w.api.UpdateTPSP(w.t.Context(), w.TPSPID, client.TPSPChange{RatePerHour: new(1)}); err != nil {
				w.t.Fatal(err)
			}
			w.send("a@gmail.com", "b@gmail.com")
		},
		repair: func(w *ward, fix string) {
			w.apply(strings.Replace(fix, ` with "ratePerHour" or "mailboxLimits"`, "", 1), `{"ratePerHour": 0}`)
		}},
	{name: "a template is missing", ask: client.Examination{Template: "receipt"}, check: "template", status: "fail", words: "no other has it",
		fix: "then postyard templates sync", hurt: func(*ward) {},
		repair: func(w *ward, _ string) {
			w.postmark("POST", "/templates", `{"Name": "Receipt", "Alias": "receipt", "Subject": "s", "TextBody": "t"}`)
			if d := w.examine(client.Examination{Template: "receipt"}); d.status["template"] != "warn" || !strings.Contains(d.fix["template"], "postyard templates sync --tpsp 1") {
				w.t.Errorf("before it is read: %v", d)
			}
			if _, err := w.api.SyncTemplates(w.t.Context(), 0); err != nil {
				w.t.Fatal(err)
			}
		}},
	{name: "a pool is missing", ask: client.Examination{IPPool: "news"}, check: "pool", status: "fail", words: `no IP pool named "news"`, fix: "POST /api/v1/account/ippool",
		hurt: func(*ward) {}, repair: func(w *ward, fix string) { w.apply(fix, "") }, stays: "warn"}, // it has no fallback
	{name: "no pool leads to the provider", check: "in_pool", status: "fail", words: "no IP pool leads to it", fix: `"tpsps": [1]`,
		hurt: func(w *ward) {
			pools, err := w.api.Pools(w.t.Context())
			if err != nil {
				w.t.Fatal(err)
			}
			for _, p := range pools {
				if err := w.api.Account(w.t.Context(), "DELETE", fmt.Sprintf("/api/v1/account/ippool/%d?force=true", p.ID), nil, nil); err != nil {
					w.t.Fatal(err)
				}
			}
		},
		repair: func(w *ward, fix string) { w.apply(strings.Replace(fix, `"..."`, strconv.Quote(w.Pool), 1), "") }},
	{name: "a sender is refused", check: "senders", status: "fail", words: "mail from example.com is refused", fix: "verify example.com",
		hurt: func(w *ward) {
			w.faults(fault{"kind": "status", "status": 422, "errorCode": 400, "path": "/email"})
			w.send("a@gmail.com")
		},
		repair: func(w *ward, _ string) { w.faults() }},
	{name: "webhooks are garbage", check: "webhook_bodies", status: "warn", words: "1 webhook bodies could not be read", fix: "postyard catch-up --tpsp 1",
		hurt: func(w *ward) { w.report("{") }, repair: func(*ward, string) {}, stays: "warn"},
	{name: "the provider is stopped", check: "in_use", status: "fail", words: "not used for now", fix: "by itself at",
		hurt: func(w *ward) {
			w.faults(fault{"kind": "status", "status": 401, "path": "/email"})
			w.send("a@gmail.com")
		},
		repair: func(w *ward, _ string) { w.faults() }},
}

func (w *ward) poolID(name string) int32 {
	w.t.Helper()
	pools, err := w.api.Pools(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(pools, func(p client.Pool) bool { return p.Name == name })
	if i < 0 {
		w.t.Fatalf("no pool %q in %v", name, pools)
	}
	return pools[i].ID
}

// wantRealFixes looks up what fixes name: operations in the API's document, commands in the command line's.
func wantRealFixes(t *testing.T, fixes map[string]struct{}) {
	t.Helper()
	raw, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`/\d+`)
	named := 0
	for fix := range fixes {
		for _, m := range regexp.MustCompile(`(GET|POST|PUT|DELETE) (/api/v1/[a-z0-9/{}-]+)`).FindAllStringSubmatch(fix, -1) {
			named++
			if operation := m[1] + " " + id.ReplaceAllString(m[2], "/{id}"); !strings.Contains(string(raw), "`"+operation+"`") {
				t.Errorf("there is no operation %s, which %q names", operation, fix)
			}
		}
	}
	if named < 5 {
		t.Errorf("only %d operations were named", named)
	}
}

// What failed is told in the provider's words, and what nobody knows is told while nobody knows it.
func TestDoctorOnMailInTrouble(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.faults(fault{"kind": "status", "status": 422, "errorCode": 300, "path": "/email", "count": 1})
	id := w.send("a@gmail.com")[0]
	var d diagnosis
	waitFor(t, "the failure", func() bool { d = w.examine(client.Examination{}); return d.status["errors"] == "warn" })
	if !strings.Contains(d.words["errors"], "1 rejected") || !strings.Contains(d.words["errors"], "HTTP 422, code 300") || d.fix["errors"] != "postyard message "+id {
		t.Errorf("%v", d)
	}
	w.settings(fault{"dropWebhooks": true}) // a report would settle what is in doubt
	w.faults(fault{"kind": "reset_after", "path": "/email", "count": 1}, fault{"kind": "status", "status": 500, "path": "/messages"})
	w.send("b@gmail.com")
	waitFor(t, "the doubt", func() bool {
		d = w.examine(client.Examination{TPSPID: w.TPSPID})
		return d.status["waiting"] == "warn" && strings.Contains(d.words["waiting"], "their outcome is unknown")
	})
	w.faults()
	waitFor(t, "the answer", func() bool { return w.examine(client.Examination{}).status["waiting"] == "ok" })
}

// A stream that was archived is told, with those that could be used.
func TestDoctorOnAStream(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.postmark("POST", "/message-streams", `{"ID": "extra", "Name": "Extra", "MessageStreamType": "Transactional"}`)
	made, err := w.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.Postmark), Name: "Extra", Key: sandbox.DemoServerToken, Endpoint: w.SandboxURL,
		MessageStream: "extra"})
	if err != nil {
		t.Fatal(err)
	}
	ask := client.Examination{TPSPID: made.ID}
	before := w.examine(ask)
	w.postmark("POST", "/message-streams/extra/archive", "")
	d := w.examine(ask)
	if !slices.Equal(d.ailing("fail", before), []string{"stream"}) || !strings.Contains(d.words["stream"], `"extra" is archived; available: `) ||
		!strings.Contains(d.words["stream"], "broadcast") || !strings.Contains(d.fix["stream"], "messageStream") || before.status["stream"] != "ok" {
		t.Errorf("%v", d)
	}
	w.postmark("POST", "/message-streams/extra/unarchive", "")
	if d := w.examine(ask); len(d.ailing("fail", before)) > 0 {
		t.Errorf("%v", d)
	}
}

// A clock that is wrong shows against the provider's.
func TestDoctorOnTheClock(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	behind := newFront(t)
	behind.to(t, w.SandboxURL)
	made, err := w.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.Postmark), Name: "Behind", Key: sandbox.DemoServerToken, Endpoint: behind.URL,
		MessageStream: "broadcast"})
	if err != nil {
		t.Fatal(err)
	}
	behind.spoil.Store(new(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		return false
	}))
	before := w.examine(client.Examination{TPSPID: w.TPSPID})
	d := w.examine(client.Examination{TPSPID: made.ID})
	if diff := cmp.Diff([]string{"clock"}, d.ailing("warn", before)); diff != "" || !strings.Contains(d.words["clock"], "ahead of") || before.status["clock"] != "ok" {
		t.Errorf("%s %v", diff, d)
	}
}

// A mail server is asked whether it lets us in.
func TestDoctorOnAMailServer(t *testing.T) {
	t.Parallel()
	w := newWard(t, func(c *config.Config, s *Server) {
		c.SMTPListen = "127.0.0.1:0"
		if s != nil {
			s.examiner.Patience = 10 * time.Second // nothing here hangs
		}
	})
	door := newDoor(t, strings.TrimPrefix(w.SMTP.URL, "smtp://"))
	host, port, err := net.SplitHostPort(door.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var made client.TPSP
	if err := w.api.Account(t.Context(), "POST", "/api/v1/account/tpsp", map[string]any{"type": 6, "name": "Relay", "endpoint": "smtp://" + net.JoinHostPort(host, port),
		"key": w.SMTP.User, "secret": w.SMTP.Password, "domain": "relay.example.com"}, &made); err != nil {
		t.Fatal(err)
	}
	ask := client.Examination{TPSPID: made.ID, Template: w.Template}
	before := w.examine(ask)
	if _, asked := before.status["webhook"]; asked || before.status["server"] != "ok" || before.status["template"] != "ok" {
		t.Errorf("%v", before)
	}
	door.shut.Store(true)
	if d := w.examine(ask); !slices.Equal(d.ailing("fail", before), []string{"server"}) {
		t.Errorf("%v", d)
	}
	door.shut.Store(false)
	w.faults(fault{"provider": "smtp", "path": "/auth", "kind": "status", "status": 535, "body": "5.7.8 no, " + w.SMTP.Password})
	if d := w.examine(ask); !slices.Equal(d.ailing("fail", before), []string{"server"}) || !strings.Contains(d.words["server"], "535") ||
		!strings.Contains(d.words["server"], secret.Redacted) {
		t.Errorf("%v", d)
	}
	w.faults()
	if d := w.examine(ask); len(d.ailing("fail", before)) > 0 {
		t.Errorf("%v", d)
	}
	if err := w.api.SubAccount(t.Context(), "POST", "/api/v1/subaccount/domain", map[string]string{"name": "shop.example"}, nil); err != nil {
		t.Fatal(err)
	}
	if d := w.examine(ask); d.status["domains"] != "warn" || !strings.Contains(d.words["domains"], "mail from shop.example leaves without a signature: not looked at") {
		t.Errorf("%v", d)
	}
}

// door passes connections on, unless it is shut.
type door struct {
	listener net.Listener
	shut     atomic.Bool
}

func newDoor(t *testing.T, target string) *door {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{listener: l}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", target)
			if d.shut.Load() || err != nil {
				_ = in.Close()
				if err == nil {
					_ = out.Close()
				}
				continue
			}
			for from, to := range map[net.Conn]net.Conn{in: out, out: in} {
				passing.Go(func() {
					_, _ = io.Copy(to, from)
					_ = to.Close()
				})
			}
		}
	})
	t.Cleanup(func() { _ = l.Close(); passing.Wait() })
	return d
}
