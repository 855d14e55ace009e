package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/sendpost"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

// world is a store with an account and a service that posts, on a clock that runs as fast as the work is done, and receivers that are reached over pipes.
type world struct {
	*testing.T
	db      *sqlite.DB
	service *Service
	stop    func()
	account int32
	other   int32 // account
	sub     int32
	pool    route.Pool
	tpsp    directory.TPSP
	named   string // webhookEndpoint of what is accepted

	receivers map[string]*receiver // by host
}

// receiver is a user's program.
type receiver struct {
	mu     sync.Mutex
	answer func(*call) (status int, after time.Duration) // nil: 200 at once
	calls  []*call
	dead   bool
}

// call is what a receiver got.
type call struct {
	at     time.Time
	path   string
	header http.Header
	body   []byte
	sendpost.Hook
}

func (r *receiver) set(answer func(*call) (int, time.Duration)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) all() []*call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*call(nil), r.calls...)
}

// times returns how often each event came.
func (r *receiver) times() map[string]int {
	n := map[string]int{}
	for _, c := range r.all() {
		n[c.Event.EventID]++
	}
	return n
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	c := &call{at: time.Now(), path: req.URL.Path, header: req.Header, body: body}
	if err := json.Unmarshal(body, &c.Hook); err != nil {
		panic(err)
	}
	r.mu.Lock()
	r.calls = append(r.calls, c)
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		return
	}
	status, after := answer(c)
	if after > 0 {
		select {
		case <-time.After(after):
		case <-req.Context().Done():
		}
	}
	w.WriteHeader(status)
}

// pipes is a listener of connections within the process.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// inWorld runs a test in a bubble with receivers at http://a.example, http://b.example and http://c.example.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	inPatientWorld(t, 0, test)
}

// inPatientWorld is inWorld with a service that looks for what nobody hinted at so often only: days pass quickly.
func inPatientWorld(t *testing.T, poll time.Duration, test func(w *world)) {
	t.Helper()
	dir := sqlitetest.Dir(t)
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, receivers: map[string]*receiver{}}
		listeners := map[string]*pipes{}
		var serving sync.WaitGroup
		var servers []*http.Server
		defer func() {
			for _, s := range servers {
				_ = s.Close()
			}
			serving.Wait()
		}()
		for _, host := range []string{"a.example", "b.example", "c.example"} {
			p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
			r := &receiver{}
			server := &http.Server{Handler: r}
			serving.Go(func() { _ = server.Serve(p) })
			servers = append(servers, server)
			w.receivers[host], listeners[host+":80"] = r, p
		}
		transport := &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			p := listeners[address]
			if p == nil {
				return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
			}
			r := w.receivers[address[:len(address)-3]]
			r.mu.Lock()
			dead := r.dead
			r.mu.Unlock()
			if dead {
				return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("connection refused")}
			}
			here, there := net.Pipe()
			select {
			case p.conns <- there:
				return here, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}, MaxIdleConnsPerHost: 16}
		defer transport.CloseIdleConnections()
		var err error
		w.db, err = sqlite.Open(t.Context(), dir)
		w.must(err)
		defer func() { w.must(w.db.Close()) }()
		w.setUp(transport)
		w.service.Poll = poll
		w.start()
		defer func() { w.stop() }()
		test(w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) setUp(transport http.RoundTripper) {
	a := directory.Account{Name: "one", KeyHash: secret.Hash("one"), SealedKey: []byte("k"), Created: time.Now()}
	s := directory.SubAccount{Name: "default", Default: true, KeyHash: secret.Hash("s"), SealedKey: []byte("k"), Created: time.Now()}
	w.must(w.db.CreateAccount(w.Context(), &a, &s))
	b := directory.Account{Name: "two", KeyHash: secret.Hash("two"), SealedKey: []byte("k"), Created: time.Now()}
	d := directory.SubAccount{Name: "default", Default: true, KeyHash: secret.Hash("d"), SealedKey: []byte("k"), Created: time.Now()}
	w.must(w.db.CreateAccount(w.Context(), &b, &d))
	w.account, w.sub, w.other = a.ID, s.ID, b.ID
	w.tpsp = directory.TPSP{AccountID: a.ID, Name: "Postmark", Type: provider.Postmark, SealedKey: []byte("k"), Stream: "outbound", Created: time.Now(),
		Webhook: directory.Webhook{State: directory.WebhookPending, SealedPassword: []byte("p")}}
	w.pool = route.Pool{Name: "pool", WarmupInterval: 24, Created: time.Now()}
	w.must(w.db.CreateTPSP(w.Context(), &w.tpsp, &w.pool))
	dir, err := directory.Open(w.Context(), w.db)
	w.must(err)
	w.service = New(Config{Store: w.db, Directory: dir, Box: secret.NewBox(secret.NewKey()), Transport: transport, AllowPrivate: true, Installation: "test", Holder: "one",
		Now: time.Now, Jitter: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler)})
}

// start has the service post; stop ends it as a server does.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	var running sync.WaitGroup
	service := w.service // another one may take its place
	running.Go(func() { service.Run(ctx) })
	w.stop = func() { cancel(); running.Wait() }
}

// accept records a processed event for each recipient, and tells the service.
func (w *world) accept(to ...string) []mail.ID {
	w.Helper()
	c := mail.Content{From: mail.Address{Email: "shop@example.com", Name: "Shop"}, Subject: "Hello", Groups: []string{"g"}, Headers: map[string]string{"X-Order": "7"},
		CustomFields: json.RawMessage(`{"n":1,"s":"x"}`), HTML: "<p>secret body</p>", WebhookEndpoint: w.named}
	content, err := c.Encode()
	w.must(err)
	s := store.Submission{AccountID: w.account, SubAccountID: w.sub, Content: content, SubmittedAt: time.Now(), Hook: w.named}
	ids := make([]mail.ID, len(to))
	for i, email := range to {
		r := mail.Recipient{Address: mail.Address{Email: email, Name: "Ann"}, CC: []mail.Address{{Email: "copy@example.net", Name: "Copy"}}, CustomFields: json.RawMessage(`{"own":true}`)}
		text, err := r.Encode()
		w.must(err)
		ids[i] = uuid.Must(uuid.NewV7())
		s.Messages = append(s.Messages, store.NewMessage{ID: ids[i], Recipient: text, To: email, Mailbox: mailbox.ByDomain(mail.Domain(email)), PoolID: w.pool.ID,
			Plan: func(uint64) store.Planned {
				return store.Planned{Plan: route.Plan{Egresses: []route.Egress{w.tpsp.Egress()}, Rule: "test"}, Processed: 69}
			}})
	}
	w.must(w.db.Accept(w.Context(), []store.Submission{s}))
	w.service.Hint()
	return ids
}

// report records what the provider reports.
func (w *world) report(id mail.ID, to string, kind event.Kind, detail event.Detail) {
	w.Helper()
	typ, ok := event.TypeOf(event.Postmark, kind)
	if !ok {
		w.Fatalf("no type of kind %d", kind)
	}
	_, err := w.db.Ingest(w.Context(), []store.Parsed{{Receipt: store.Receipt{AccountID: w.account, TPSPID: w.tpsp.ID, Body: []byte("{}"), ReceivedAt: time.Now()}, Fresh: true,
		Reports: []provider.Report{{Kind: kind, Type: typ, MessageID: id, ProviderMessageID: id.String(), Identity: uuid.NewString(), Recipient: to, OccurredAt: time.Now(),
			Detail: detail}}, HoldTo: time.Now(), Sent: 70, Now: time.Now()}})
	w.must(err)
	w.service.Hint()
}

// hook makes a webhook of the account.
func (w *world) hook(url string, kinds store.HookKinds) *store.Endpoint {
	w.Helper()
	c := Change{URL: &url, Kinds: map[store.HookKinds]bool{}}
	for k := store.HookKinds(1); k&allKinds != 0; k <<= 1 {
		c.Kinds[k] = kinds&k != 0
	}
	e, err := w.service.Create(w.Context(), w.account, c)
	w.must(err)
	return e
}

// log returns the account's events.
func (w *world) log() []store.Event {
	w.Helper()
	events, err := w.db.Events(w.Context(), store.EventFilter{AccountID: w.account, Limit: 100_000})
	w.must(err)
	return events
}

func (w *world) eventID(e *store.Event) string { return sendpost.EventID("test", e.Seq) }

func (w *world) endpoint(id int32) *store.Endpoint {
	w.Helper()
	e, err := w.service.Endpoint(w.Context(), w.account, id)
	w.must(err)
	return e
}

func (w *world) standing(id int32) store.DeliveryCount {
	w.Helper()
	n, err := w.service.Standing(w.Context(), id)
	w.must(err)
	return n
}

func (w *world) tries(id int32) []store.Try {
	w.Helper()
	list, err := w.service.Tries(w.Context(), store.TryFilter{EndpointID: id, Limit: 10_000})
	w.must(err)
	return list
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
