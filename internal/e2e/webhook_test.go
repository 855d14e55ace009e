package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/secret"
	"postyard/internal/store/postgres/pgtest"
)

// receiver takes webhooks as a user's program would, verifies them with the library of Standard Webhooks, and can die and come back.
type receiver struct {
	t       *testing.T
	address string
	server  *http.Server
	ended   chan struct{}

	mu       sync.Mutex
	secrets  map[string]string // by path
	status   int               // that it answers
	got      map[string]map[string]received
	calls    int
	unsigned int
}

// received is one event, as often as it came.
type received struct {
	times int
	first time.Time
	Event struct {
		EventID     string
		MessageID   string
		Type        int
		To          string
		SubmittedAt int64
	}
	EmailMessage json.RawMessage
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, address: freePort(t), secrets: map[string]string{}, status: http.StatusOK, got: map[string]map[string]received{}}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *receiver) start() {
	r.t.Helper()
	var listener net.Listener
	eventually(r.t, "the receiver's port is free", 5*time.Second, func() (free bool) {
		var err error
		listener, err = net.Listen("tcp", r.address)
		return err == nil
	})
	r.server, r.ended = &http.Server{Handler: r}, make(chan struct{})
	go func() {
		defer close(r.ended)
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			r.t.Error(err)
		}
	}()
}

// kill cuts all connections.
func (r *receiver) kill() {
	_ = r.server.Close()
	<-r.ended
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // cut
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if key := r.secrets[req.URL.Path]; key != "" {
		verifier, err := webhooks.NewWebhook(key)
		if err == nil {
			err = verifier.Verify(body, req.Header)
		}
		if err != nil {
			r.unsigned++
			r.t.Errorf("signature: %v", err)
		}
	}
	if r.status != http.StatusOK {
		w.WriteHeader(r.status)
		return
	}
	var e received
	if err := json.Unmarshal(body, &e); err != nil {
		r.t.Errorf("%s: %v", body, err)
	}
	if e.Event.EventID != req.Header.Get("Webhook-Id") {
		r.t.Errorf("event %q came as %q", e.Event.EventID, req.Header.Get("Webhook-Id"))
	}
	at := r.got[req.URL.Path]
	if at == nil {
		at = map[string]received{}
		r.got[req.URL.Path] = at
	}
	if known, ok := at[e.Event.EventID]; ok {
		known.times++
		at[e.Event.EventID] = known
		return
	}
	e.times, e.first = 1, time.Now()
	at[e.Event.EventID] = e
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// events returns what came to a path, by event id.
func (r *receiver) events(path string) map[string]received {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]received, len(r.got[path]))
	for id, e := range r.got[path] {
		all[id] = e
	}
	return all
}

// url is one of the receiver's URLs.
func (r *receiver) url(path string) string { return "http://" + r.address + path }

var allToggles = []string{"processed", "delivered", "dropped", "softBounced", "hardBounced", "opened", "clicked", "unsubscribed", "spam", "sent", "smtpDropped",
	"uniqueOpen", "uniqueClick"}

// hook makes a webhook of the account that gets everything, and teaches the receiver its secret.
func (r *receiver) hook(s *demo.Scene, path string) (id int) {
	r.t.Helper()
	body := map[string]any{"url": r.url(path), "enabled": true}
	for _, name := range allToggles {
		body[name] = true
	}
	var made struct{ ID int }
	r.account(s, http.MethodPost, "/webhook", body, &made)
	r.learn(s, path, made.ID)
	return made.ID
}

func (r *receiver) learn(s *demo.Scene, path string, id int) {
	r.t.Helper()
	var key struct{ Secret string }
	r.account(s, http.MethodGet, fmt.Sprintf("/webhook/%d/secret", id), nil, &key)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets[path] = key.Secret
}

// account calls an operation of the account, which must succeed.
func (r *receiver) account(s *demo.Scene, method, path string, in, out any) {
	r.t.Helper()
	accountCall(r.t, s, method, path, in, out)
}

func accountCall(t *testing.T, s *demo.Scene, method, path string, in, out any) {
	t.Helper()
	status, err := call(t.Context(), method, s.URL+"/api/v1/account"+path, map[string]string{"X-Account-ApiKey": s.AccountAPIKey}, in, out)
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s %s: %d (%v)", method, path, status, err)
	}
}

// inLog returns all events of the account, by id.
func inLog(t *testing.T, s *demo.Scene) map[string]client.Event {
	t.Helper()
	api := &client.Client{URL: s.URL, AccountKey: secret.NewString(s.AccountAPIKey)}
	all := map[string]client.Event{}
	var page []client.Event
	for after := ""; ; {
		path := "/api/v1/account/event/?limit=1000"
		if after != "" {
			path += "&after=" + after
		}
		page = nil
		if err := api.Account(t.Context(), http.MethodGet, path, nil, &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			all[e.EventID] = e
			after = e.EventID
		}
		if len(page) < 1000 {
			return all
		}
	}
}

// complete waits until every event of the log came to the path.
func (r *receiver) complete(s *demo.Scene, path string, within time.Duration) {
	r.t.Helper()
	eventually(r.t, "every event comes to "+path, within, func() bool {
		want, got := inLog(r.t, s), r.events(path)
		for id := range want {
			if _, ok := got[id]; !ok {
				return false
			}
		}
		return len(got) >= len(want)
	})
	log := inLog(r.t, s)
	for id := range r.events(path) {
		if _, ok := log[id]; !ok {
			r.t.Errorf("%s is in no log", id)
		}
	}
}

// TestWebhooks has events posted to two webhooks and a URL that the message names, within a second each.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"SQLite": nil, "PostgreSQL": {"--database", pgtest.Database(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append([]string{"demo", "--json", "--no-traffic", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--sandbox-listen", "127.0.0.1:0"}, args...)...)
			scene := &demo.Scene{}
			p.decode(`"accountApiKey"`, scene)
			r := newReceiver(t)
			one, _ := r.hook(scene, "/one"), r.hook(scene, "/two")
			email := map[string]any{"from": map[string]string{"email": demo.Sender}, "to": []any{map[string]any{"email": "ann@gmail.com", "customFields": map[string]any{"n": 7}}},
				"tpspTemplate": scene.Template, "ippool": scene.Pool, "webhookEndpoint": r.url("/named"), "headers": map[string]string{"X-Order": "1"}}
			var sent []client.Sent
			if status, err := call(t.Context(), http.MethodPost, scene.URL+"/api/v1/subaccount/email/", map[string]string{"X-SubAccount-ApiKey": scene.SubAccounts[0].APIKey},
				email, &sent); err != nil || status != http.StatusOK {
				t.Fatalf("send: %d (%v)", status, err)
			}
			eventually(t, "the message is delivered", 10*time.Second, func() bool {
				for _, e := range inLog(t, scene) {
					if e.Type == 71 {
						return true
					}
				}
				return false
			})
			for _, path := range []string{"/one", "/two", "/named"} {
				r.complete(scene, path, 5*time.Second)
			}
			if r.unsigned > 0 {
				t.Errorf("%d without a signature", r.unsigned)
			}
			var attempts []struct {
				EventID string
				Status  int
				Outcome string
			}
			eventually(t, "each event is recorded as posted, once", 10*time.Second, func() bool { // which is after it was answered
				r.account(scene, http.MethodGet, fmt.Sprintf("/webhook/%d/attempts", one), nil, &attempts)
				return len(attempts) >= len(inLog(t, scene))
			})
			if len(attempts) != len(inLog(t, scene)) {
				t.Errorf("%d attempts: %+v", len(attempts), attempts)
			}
			message := ""
			for id, e := range r.events("/named") {
				if e.Event.SubmittedAt > 1e11 {
					t.Errorf("submittedAt %d is not in seconds", e.Event.SubmittedAt)
				}
				if message == "" {
					message = string(e.EmailMessage)
				}
				if string(e.EmailMessage) != message {
					t.Errorf("%s has another emailMessage", id)
				}
			}
			t.Log(message)
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestWebhookKills kills the server, and the receiver, again and again while events are posted: every event arrives, each under one id.
func TestWebhookKills(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"SQLite": nil, "PostgreSQL": {"--database", pgtest.Database(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"demo", "--json", "--no-traffic", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--sandbox-url", calmWitness(t)}, args...)
			r, random := newReceiver(t), seeded(t)
			p := start(t, args...)
			scene := &demo.Scene{}
			p.decode(`"accountApiKey"`, scene)
			r.hook(scene, "/one")
			const kills = 4
			acknowledged := newLedger()
			for i := range kills {
				load, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				for j := range 3 {
					running.Go(func() { acknowledged.sendUntil(load, t, scene, fmt.Sprintf("w%d-%d", i, j)) })
				}
				acknowledged.waitFor(t, 20)
				<-time.After(time.Duration(random.IntN(300)) * time.Millisecond)
				if i%2 == 0 {
					p.kill()
				} else {
					r.kill()
					<-time.After(time.Duration(random.IntN(300)) * time.Millisecond)
					r.start()
				}
				stop()
				running.Wait()
				if i%2 == 0 {
					p = start(t, args...)
					scene = &demo.Scene{}
					p.decode(`"accountApiKey"`, scene)
				}
			}
			acknowledged.settle(t, scene, 2*time.Minute)
			r.complete(scene, "/one", 2*time.Minute)
			doubled := 0
			for _, e := range r.events("/one") {
				doubled += e.times - 1
			}
			t.Logf("%d events, %d of them more than once", len(r.events("/one")), doubled)
		})
	}
}

// calmWitness starts a sandbox that outlives the servers.
func calmWitness(t *testing.T) (url string) {
	t.Helper()
	var listening struct{ URL string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	return listening.URL
}

// TestWebhookLeaders kills the node that posts, one after another: another one goes on.
func TestWebhookLeaders(t *testing.T) {
	t.Parallel()
	c := newCluster(t, calmWitness(t))
	r := newReceiver(t)
	r.hook(c.scene, "/one")
	acknowledged := newLedger()
	load, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { acknowledged.sendUntil(load, t, c.scene, "leaders") })
	for _, n := range c.nodes { // one of them posts
		acknowledged.waitFor(t, 20)
		before := len(r.events("/one"))
		n.kill()
		eventually(t, "another node posts", time.Minute, func() bool { return len(r.events("/one")) > before+20 })
		n.start()
		n.line(`"serving"`)
	}
	stop()
	running.Wait()
	direct := *c.scene // the balancer may know a connection to a node that was killed
	direct.URL = "http://" + c.nodes[0].listen
	acknowledged.settle(t, &direct, 2*time.Minute)
	r.complete(&direct, "/one", time.Minute)
}

// TestWebhookCommands uses the commands as a person would.
func TestWebhookCommands(t *testing.T) {
	t.Parallel()
	p := start(t, "demo", "--json", "--no-traffic", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--sandbox-listen", "127.0.0.1:0")
	scene := &demo.Scene{}
	p.decode(`"accountApiKey"`, scene)
	r := newReceiver(t)
	environ := []string{"POSTYARD_URL=" + scene.URL, "POSTYARD_ACCOUNT_KEY=" + scene.AccountAPIKey}
	do := func(code int, want string, args ...string) {
		t.Helper()
		if got := run(t, environ, append([]string{"webhooks"}, args...)...); got.code != code || !strings.Contains(got.out+got.err, want) {
			t.Errorf("%v: code %d\n%s%s\nwant %q", args, got.code, got.out, got.err, want)
		}
	}
	do(1, "no kind", "add", r.url("/x"), "--events", "nothing")
	do(0, "hardBounced,spam", "add", r.url("/x"), "--events", "hardBounced,spam")
	do(1, "HTTP 403", "add", r.url("/x"))
	do(0, "ok", "list")
	do(0, "whsec_", "secret", "1")
	do(0, `"formerValidTo":1`, "secret", "1", "--rotate", "--json")
	do(0, "200", "test", "1", "--event", "delivered")
	do(0, " 72 ", "test", "1", "--type", "72")
	r.answer(http.StatusTeapot)
	do(1, "HTTP 418", "test", "1")
	do(0, "paused", "pause", "1")
	do(0, "a user paused it", "list")
	if got := run(t, environ, "doctor"); !strings.Contains(got.out, "postyard webhooks resume 1") {
		t.Errorf("doctor: %s", got.out)
	}
	do(0, "ok", "resume", "1")
	do(0, "TIME", "attempts", "1")
	do(0, "0 events", "replay", "1", "--missing")
	do(0, `"queued":0`, "replay", "1", "--from", "2026-01-01", "--json")
	do(1, "HTTP 422", "replay", "1")
	do(1, "no event", "replay", "1", "--event", "x")
	do(1, "not the id", "delete", "x")
	do(0, "deleted", "delete", "1")
	do(1, "HTTP 404", "delete", "1")
}
