package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postyard/internal/accept"
	"postyard/internal/account"
	"postyard/internal/audit"
	"postyard/internal/catchup"
	"postyard/internal/directory"
	"postyard/internal/doctor"
	"postyard/internal/domain"
	"postyard/internal/ingest"
	"postyard/internal/ip"
	"postyard/internal/ippool"
	"postyard/internal/mailbox/mx"
	"postyard/internal/member"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/provider/smtp"
	"postyard/internal/route"
	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/hook"
	simulator "postyard/internal/sandbox/postmark"
	"postyard/internal/sandbox/settings"
	mailstore "postyard/internal/sandbox/store"
	"postyard/internal/secret"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
	"postyard/internal/suppress"
	"postyard/internal/template"
	"postyard/internal/tpsp"
	"postyard/internal/track"
	"postyard/internal/webhook"
)

// world is a whole server over real HTTP, with a database on disk, in front of a simulated Postmark. Only the dispatcher is
// missing: mail stays in the queue.
type world struct {
	t        *testing.T
	db       *sqlite.DB
	dir      *directory.Directory
	accounts *account.Service
	tpsps    *tpsp.Service
	domains  *domain.Service   // it is not running
	zone     zone              // DNS
	servers  ip.Servers        // of the operator's own IPs; nobody has one yet
	catching *catchup.Service  // it is not running
	mirror   *template.Service // nor is it
	tracking *track.Service
	members  *member.Service
	log      *lockedBuffer
	changed  atomic.Int64 // how often waiting mail was told to look again
	ahead    atomic.Int64 // by how much the doctor's clock is, in ns

	url     string // of the API
	sandbox string // of the simulated Postmark

	account    *directory.Account
	accountKey string
	subAccount *directory.SubAccount
	subKey     string
}

// claimLength is how long claims of the dispatcher would last.
const claimLength = 75 * time.Second

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, func(*Config) {})
}

// stopped is how streams end at once: tests that want them to go on change it.
func stopped() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func newWorldWith(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, log: &lockedBuffer{}}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if w.db, err = sqlite.Open(t.Context(), sqlitetest.Dir(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	w.servers = ip.Servers{"203.0.113.7": {Endpoint: "smtp://127.0.0.1", Port: 1}, "203.0.113.8": {Endpoint: "smtp://127.0.0.1", Port: 1}}
	if w.dir, err = directory.Open(t.Context(), ip.Loader{Loader: w.db, Servers: w.servers}); err != nil {
		t.Fatal(err)
	}
	box := secret.NewBox(secret.NewKey())
	w.accounts = account.New(w.dir, w.db, box, time.Now)
	fresh, created, err := w.accounts.Bootstrap(t.Context(), "Pied Piper")
	if err != nil || !created {
		t.Fatalf("Bootstrap: created %t, %v", created, err)
	}
	w.account, w.accountKey = fresh.Account, fresh.AccountKey.Reveal()
	w.subAccount, w.subKey = fresh.SubAccount, fresh.SubAccountKey.Reveal()
	w.sandbox = startSandbox(t)

	server := httptest.NewUnstartedServer(nil)
	w.url = "http://" + server.Listener.Addr().String()
	adapters := provider.Registry{provider.Postmark: postmark.New(postmark.Config{Transport: &http.Transport{}}), provider.IP: smtp.New(smtp.Config{Own: true}),
		provider.CustomSMTP: smtp.New(smtp.Config{AllowPrivate: true})}
	w.tpsps = tpsp.NewService(tpsp.Config{
		Directory: w.dir, Store: w.db, Adapters: adapters, Box: box, PublicURL: w.url, AllowPrivate: true,
		Now: time.Now, Jitter: func() float64 { return 0.5 }, Log: log,
	})
	if w.mirror, err = template.New(t.Context(), template.Config{
		Store: w.db, Directory: w.dir, Providers: adapters, Connections: w.tpsps, Holder: "test", Log: log, Now: time.Now,
	}); err != nil {
		t.Fatal(err)
	}
	planner := plan.New(adapters, time.Now)
	planner.Templates = w.mirror
	sender := accept.New(accept.Config{
		Store: w.db, Directory: w.dir, Planner: planner, Mailboxes: mx.New(mx.Config{}), Templates: w.mirror, Now: time.Now, AllowPrivate: true,
		Room: func() error { return nil }, Wake: func(route.Egress) {},
	})
	inbox := ingest.New(ingest.Config{
		Store: w.db, Directory: w.dir, Providers: adapters, Hooks: w.tpsps, Log: log, Now: time.Now,
	})
	w.tracking = track.New(track.Config{Key: box.Derive("track.token"), PublicURL: w.url, Store: w.db, Directory: w.dir, Providers: adapters, Log: log, Now: time.Now})
	runAll(t, sender.Run, inbox.Run, w.tracking.Run)
	catching := catchup.New(catchup.Config{
		Store: w.db, Directory: w.dir, Providers: adapters, Connections: w.tpsps, Holder: "test", Log: log, Now: time.Now,
		Jitter: func() float64 { return 0.5 },
	})
	w.catching = catching
	installation, err := w.db.Installation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hooks := webhook.New(webhook.Config{Store: w.db, Directory: w.dir, Box: box, Transport: &http.Transport{}, AllowPrivate: true, Installation: installation,
		Holder: "test", Now: time.Now, Jitter: func() float64 { return 0.5 }, Log: log})
	runAll(t, hooks.Run)
	examiner := doctor.New(doctor.Config{
		Directory: w.dir, Store: w.db, Adapters: adapters, Connections: w.tpsps, CatchUp: catching, Templates: w.mirror, Planner: planner, Webhooks: hooks, PublicURL: w.url,
		Transport: &http.Transport{}, Claim: claimLength, Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
	})
	w.domains = domain.New(domain.Config{Directory: w.dir, Store: w.db, Box: box, Resolver: &w.zone, MailHost: "mail.postyard.example", Holder: "test", Now: time.Now,
		Jitter: func() float64 { return 0.5 }, Log: log})
	config := Config{
		Webhooks: hooks, Doctor: examiner, Tracking: w.tracking, Kinds: adapters,
		Directory: w.dir, Accounts: w.accounts, Sender: sender, Providers: w.tpsps,
		Pools:   ippool.New(ippool.Config{Directory: w.dir, Store: w.db, Now: time.Now, Changed: func() { w.changed.Add(1) }}),
		IPs:     ip.New(ip.Config{Directory: w.dir, Store: w.db, Servers: w.servers, Now: time.Now}),
		Planner: planner, Mailboxes: mx.New(mx.Config{}), Journal: w.db, Events: w.db, Messages: w.db, Books: w.db, Statistics: w.db, Domains: w.domains, Ingest: inbox, CatchUp: catching,
		Queue: w.db, Claim: claimLength, Stopping: stopped(), Changed: func() { w.changed.Add(1) }, Now: time.Now, Templates: w.mirror, Fill: w.mirror,
		Installation: installation, Log: log,
		Suppressions: suppress.New(suppress.Config{Store: w.db, Directory: w.dir, Providers: adapters, Connections: w.tpsps, Holder: "test", Log: log,
			Now: time.Now, Jitter: func() float64 { return 0.5 }}),
	}
	if w.members, err = member.New(member.Config{Store: w.db, Accounts: w.accounts, PublicURL: w.url, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	config.Members = w.members
	config.Audit = audit.New(audit.Config{Store: w.db, Now: time.Now, Log: log})
	change(&config)
	server.Config.Handler = New(config)
	server.Start()
	t.Cleanup(server.Close)
	return w
}

// runAll runs background parts until the test ends.
func runAll(t *testing.T, parts ...func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range parts {
		running.Go(func() { run(ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
}

// startSandbox starts a simulated Postmark and returns its URL.
func startSandbox(t *testing.T) string {
	t.Helper()
	now := clock.System{}
	hooks, timetable := hook.New(now), clock.NewTimetable(now)
	sim, err := simulator.New(simulator.Deps{
		Clock: now, Timetable: timetable, Hooks: hooks, Settings: settings.NewCurrent(settings.Default()),
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	sim.Attach(mailstore.Memory(now.Now))
	runAll(t, hooks.Run, timetable.Run)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return server.URL
}

// answer is what a request got.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// call makes a request. body is a string as it is, nil for none, and JSON for anything else.
func (w *world) call(method, path string, header map[string]string, body any) answer {
	w.t.Helper()
	var content io.Reader
	var sent []byte
	switch b := body.(type) {
	case nil:
	case string:
		content, sent = strings.NewReader(b), []byte(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		content, sent = bytes.NewReader(encoded), encoded
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, content)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	documented, err := watched()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := documented.check(method, path, sent, res.StatusCode, res.Header, got); err != nil {
		w.t.Errorf("differs from the API's document: %v", err)
	}
	return answer{t: w.t, status: res.StatusCode, header: res.Header, body: got}
}

// asAccount makes a request with the account's key, asSub with the sub-account's.
func (w *world) asAccount(method, path string, body any) answer {
	w.t.Helper()
	return w.call(method, path, map[string]string{"X-Account-ApiKey": w.accountKey}, body)
}

func (w *world) asSub(method, path string, body any) answer {
	w.t.Helper()
	return w.call(method, path, map[string]string{"X-SubAccount-ApiKey": w.subKey}, body)
}

// ok reads an answer with that status.
func (a answer) ok(status int, into any) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d; body: %s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		a.t.Errorf("Content-Type %q", got)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			a.t.Fatalf("%v in %s", err, a.body)
		}
	}
	return a
}

// refused checks a refusal: its status, code, field, and that it has all the keys of one.
func (a answer) refused(status int, code, field string) problem {
	a.t.Helper()
	var p problem
	a.ok(status, &p)
	if p.Code != code || p.Field != field {
		a.t.Errorf("code %q, field %q, want %q, %q; body: %s", p.Code, p.Field, code, field, a.body)
	}
	if p.Message == "" || p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") {
		a.t.Errorf("message %q, requestId %q, header %q", p.Message, p.RequestID, a.header.Get("X-Request-Id"))
	}
	wantKeys(a.t, a.body, "code", "message", "field", "requestId")
	return p
}

// connect adds a Postmark provider and returns its answer.
func (w *world) connect(name, stream string) tpspAnswer {
	w.t.Helper()
	var got tpspAnswer
	w.asAccount("POST", "/api/v1/account/tpsp/", w.postmark(name, stream)).ok(200, &got)
	return got
}

// postmark is the body that adds a provider.
func (w *world) postmark(name, stream string) map[string]any {
	return map[string]any{
		"name": name, "type": 4, "key": simulator.DemoServerToken, "messageStream": stream, "endpoint": w.sandbox,
	}
}

// email is a request that a Postmark pool carries.
func email(to ...string) map[string]any {
	recipients := make([]map[string]any, len(to))
	for i, address := range to {
		recipients[i] = map[string]any{"email": address}
	}
	return map[string]any{
		"from": map[string]any{"email": "richard@example.com", "name": "Richard"}, "to": recipients,
		"tpspTemplate": simulator.DemoTemplateAlias,
	}
}

// mail sends one email to each address and returns the messages' ids.
func (w *world) mail(to ...string) []string {
	w.t.Helper()
	var got []emailResponse
	w.asSub("POST", "/api/v1/subaccount/email/", email(to...)).ok(200, &got)
	ids := make([]string, len(got))
	for i := range got {
		ids[i] = got[i].MessageID
	}
	return ids
}

// secondAccount makes another account and returns its key.
func (w *world) secondAccount() string {
	w.t.Helper()
	key := secret.APIKey()
	a := &directory.Account{Name: "Hooli", KeyHash: secret.Hash(key), SealedKey: []byte{1}, Created: time.Now()}
	s := &directory.SubAccount{
		Name: "default", Default: true, KeyHash: secret.Hash(secret.APIKey()), SealedKey: []byte{1}, Created: time.Now(),
	}
	if err := w.db.CreateAccount(w.t.Context(), a, s); err != nil {
		w.t.Fatal(err)
	}
	if err := w.dir.Reload(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return key
}

// wantKeys checks that a JSON object has exactly these keys.
func wantKeys(t *testing.T, body []byte, keys ...string) {
	t.Helper()
	var got map[string]json.RawMessage
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	for _, key := range keys {
		if _, ok := got[key]; !ok {
			t.Errorf("key %q is missing in %s", key, body)
		}
		delete(got, key)
	}
	for key := range got {
		t.Errorf("undocumented key %q in %s", key, body)
	}
}

// lockedBuffer takes a log from many goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
