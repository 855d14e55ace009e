package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/dispatch"
	"postyard/internal/mail"
	"postyard/internal/mailbox/mx"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/replan"
	"postyard/internal/route"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

// yard is a server without its HTTP side on a clock that runs as fast as the work is done: the real store, planner, dispatcher
// and adapter, and simulated providers that are reached by HTTP over pipes.
type yard struct {
	*testing.T
	db        *sqlite.DB
	dir       *directory.Directory
	accepting *accept.Service
	pool      *route.Pool
	sub       *directory.SubAccount
	houses    []*house
	accepted  map[string]time.Time // by message id: when it was submitted
	nodes     []*node
}

// node is a process that dispatches.
type node struct {
	cfg  dispatch.Config
	runs int
	stop func()
	wake atomic.Pointer[dispatch.Dispatcher]
}

// start begins another run of a node.
func (y *yard) start(n *node) {
	n.runs++
	n.cfg.Run = fmt.Sprint(n.runs)
	d := dispatch.New(n.cfg)
	ctx, cancel := context.WithCancel(context.WithoutCancel(y.Context()))
	var running sync.WaitGroup
	running.Go(func() { y.must(d.Run(ctx)) })
	n.stop = func() { cancel(); running.Wait() }
	n.wake.Store(d)
}

// wake tells every node that an egress has something to do.
func (y *yard) wake(e route.Egress) {
	for _, n := range y.nodes {
		if d := n.wake.Load(); d != nil {
			d.Wake(e)
		}
	}
}

// house is a simulated provider, and how it can be reached.
type house struct {
	tpsp     *directory.TPSP
	sandbox  *sandbox.Sandbox
	listener *pipes
	refuses  atomic.Bool // connections
}

// pipes is a listener of connections within the process.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
	mu    sync.Mutex
	open  []net.Conn
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

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

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open = append(p.open, there)
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.done:
		return nil, syscall.ECONNREFUSED
	}
}

// cut ends all connections, as a machine does that goes down.
func (p *pipes) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		_ = c.Close()
	}
	p.open = nil
}

// connections opens the connections of the yard's providers.
type connections map[int32]provider.Connection

func (c connections) Connection(t *directory.TPSP) (provider.Connection, error) { return c[t.ID], nil }

// newYard runs test in a bubble, on a yard with two nodes and so many Postmark servers behind one pool; strategy and metadata are
// the pool's.
// change may alter the dispatcher's configuration.
func newYard(t *testing.T, providers int, strategy route.Strategy, metadata func([]*house) string, change func(*dispatch.Config), test func(*yard)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		y := &yard{T: t, accepted: map[string]time.Time{}}
		dir := sqlitetest.Dir(t)
		y.inBubble(dir, providers, strategy, metadata, change, test)
	})
}

func (y *yard) inBubble(dir string, providers int, strategy route.Strategy, metadata func([]*house) string, change func(*dispatch.Config), test func(*yard)) {
	ctx, stop := context.WithCancel(context.WithoutCancel(y.Context()))
	var running, servers sync.WaitGroup
	var err error
	y.db, err = sqlite.Open(ctx, dir)
	y.must(err)
	defer func() { y.must(y.db.Close()) }()
	defer servers.Wait()
	a := directory.Account{Name: "acme", KeyHash: secret.Hash("a"), SealedKey: []byte("k"), Created: time.Now()}
	y.sub = &directory.SubAccount{Name: "default", Default: true, KeyHash: secret.Hash("s"), SealedKey: []byte("k"), Created: time.Now()}
	y.must(y.db.CreateAccount(ctx, &a, y.sub))
	connected, hosts := connections{}, map[string]*house{}
	y.pool = &route.Pool{AccountID: a.ID, Name: "both", Strategy: strategy, Created: time.Now()}
	for i := range providers {
		name := fmt.Sprintf("house%d", i+1)
		h := &house{listener: newPipes(), tpsp: &directory.TPSP{AccountID: a.ID, Name: name, Type: provider.Postmark, SealedKey: []byte(name),
			KeyHash: secret.Hash(name), Stream: "outbound", Created: time.Now()}}
		y.must(y.db.CreateTPSP(ctx, h.tpsp, &route.Pool{Name: name, Created: time.Now()}))
		h.sandbox, err = sandbox.New(sandbox.Config{Seed: uint64(i + 1)})
		y.must(err)
		server := &http.Server{Handler: h.sandbox.Handler(), ReadHeaderTimeout: time.Hour}
		servers.Go(func() { y.must(h.sandbox.Run(ctx)) })
		servers.Go(func() {
			if err := server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
				y.Error(err)
			}
		})
		defer func() { y.must(errors.Join(server.Close(), h.sandbox.Close())) }()
		connected[h.tpsp.ID] = provider.Connection{AccountID: a.ID, TPSPID: h.tpsp.ID, Endpoint: "http://" + name + ".test", Stream: "outbound",
			Key: secret.NewString(sandbox.DemoServerToken)}
		hosts[name+".test:80"] = h
		y.houses = append(y.houses, h)
		y.pool.Members = append(y.pool.Members, h.tpsp.Egress())
	}
	if metadata != nil {
		y.pool.RoutingMetaData = metadata(y.houses)
	}
	y.must(y.db.CreatePool(ctx, y.pool))
	y.dir, err = directory.Open(ctx, y.db)
	y.must(err)
	transport := &http.Transport{MaxIdleConnsPerHost: 16, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		if hosts[addr].refuses.Load() {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		return hosts[addr].listener.dial(ctx)
	}}
	defer transport.CloseIdleConnections()
	adapters := provider.Registry{provider.Postmark: postmark.New(postmark.Config{Transport: transport})}
	planner := plan.New(adapters, time.Now)
	cfg := dispatch.Config{Store: y.db, Directory: y.dir, Providers: adapters, Connections: connected, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Jitter: rand.Float64, Poll: 2 * time.Minute, Sweep: time.Minute, BatchSize: 100, Concurrency: 4, CallTimeout: time.Minute, TTL: 72 * time.Hour, Grace: time.Minute,
		Rules: dispatch.Rules{AskAfter: []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute}, AmbiguousWait: 15 * time.Minute}}
	if change != nil {
		change(&cfg)
	}
	y.accepting = accept.New(accept.Config{Store: y.db, Directory: y.dir, Planner: planner, Mailboxes: mx.New(mx.Config{}), Now: time.Now,
		Room: func() error { return nil }, Wake: y.wake})
	anew := replan.New(replan.Config{Store: y.db, Directory: y.dir, Planner: planner, Holder: "run", Wake: y.wake, Now: time.Now, Log: cfg.Log})
	running.Go(func() { y.accepting.Run(ctx) })
	running.Go(func() { anew.Run(ctx) })
	for i := range 2 {
		cfg.Node = fmt.Sprintf("node%d", i+1)
		y.nodes = append(y.nodes, &node{cfg: cfg})
		y.start(y.nodes[i])
	}
	test(y)
	for _, n := range y.nodes {
		n.stop()
	}
	stop()
	running.Wait()
}

func (y *yard) must(err error) {
	y.Helper()
	if err != nil {
		y.Fatal(err)
	}
}

// send hands one request with so many recipients in.
func (y *yard) send(n int) {
	y.Helper()
	req := &accept.Request{Content: mail.Content{From: mail.Address{Email: "hello@example.com"}, Pool: y.pool.Name, Template: sandbox.DemoTemplateAlias}}
	for i := range n {
		domain := []string{"gmail.com", "yahoo.com", "outlook.com", "example.org"}[i/2%4] // not in step with the turns of the pool
		req.Recipients = append(req.Recipients, mail.Recipient{Address: mail.Address{Email: fmt.Sprintf("u%d@%s", i, domain)}})
	}
	results, err := y.accepting.Accept(y.Context(), y.sub, req)
	y.must(err)
	for _, r := range results {
		y.accepted[r.ID.String()] = r.SubmittedAt
	}
}

// faults sets what goes wrong at a provider; none is nothing.
func (h *house) faults(y *yard, rules ...fault) {
	y.Helper()
	body, err := json.Marshal(append([]fault{}, rules...))
	y.must(err)
	y.control(h, http.MethodPut, "/sandbox/faults", body, nil)
}

// control calls the control API of a provider's simulator.
func (y *yard) control(h *house, method, path string, body []byte, out any) {
	y.Helper()
	w := httptest.NewRecorder()
	h.sandbox.Handler().ServeHTTP(w, httptest.NewRequestWithContext(y.Context(), method, path, bytesReader(body)))
	if w.Code >= 300 {
		y.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if out != nil {
		y.must(json.Unmarshal(w.Body.Bytes(), out))
	}
}

// arrival is a message at a provider.
type arrival struct {
	house int
	to    string
	at    time.Time
}

// arrivals returns what the providers have, by our id.
func (y *yard) arrivals() map[string][]arrival {
	y.Helper()
	found := map[string][]arrival{}
	for i, h := range y.houses {
		for offset := 0; ; {
			var page struct {
				Messages []struct {
					To         string            `json:"to"`
					Metadata   map[string]string `json:"metadata"`
					ReceivedAt time.Time         `json:"receivedAt"`
				} `json:"messages"`
			}
			y.control(h, http.MethodGet, fmt.Sprintf("/sandbox/messages?limit=500&offset=%d", offset), nil, &page)
			for _, m := range page.Messages {
				id := m.Metadata["messageId"]
				found[id] = append(found[id], arrival{i, m.To, m.ReceivedAt})
			}
			if offset += len(page.Messages); len(page.Messages) == 0 {
				break
			}
		}
	}
	return found
}

// wantEachOnce checks that what was accepted arrived once, and nothing else.
func (y *yard) wantEachOnce(found map[string][]arrival) {
	y.Helper()
	lost, doubled := 0, 0
	for id := range y.accepted {
		switch n := len(found[id]); {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
	}
	if lost+doubled > 0 || len(found) != len(y.accepted) {
		y.Errorf("of %d messages %d lost and %d doubled; %d arrived", len(y.accepted), lost, doubled, len(found))
	}
}

// health returns how a provider stands.
func (y *yard) health(h *house) directory.Health { return y.dir.Current().AnyTPSP(h.tpsp.ID).Health }

var _ store.Store = (*sqlite.DB)(nil)
