package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/secret"
	"postyard/internal/store/postgres"
	"postyard/internal/store/postgres/pgtest"
)

// node is one of several servers on one database.
type node struct {
	t      *testing.T
	listen string
	args   []string
	wire   *line // to the database
	*process
}

func (n *node) start() {
	n.process = startWith(n.t, []string{"POSTYARD_SECRET_KEY=" + strings.Repeat("0f", 32)}, n.args...)
}

// cluster is three nodes behind a balancer, on one database, with a sandbox as the witness.
type cluster struct {
	t        *testing.T
	database *pgtest.Cluster
	nodes    []*node
	scene    *demo.Scene
}

// freePort finds a port that a node can come back to: none of those that the system gives to whoever asks for any.
func freePort(t *testing.T) string {
	t.Helper()
	const first, ports = 20_000, 10_000
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(ports)))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		return l.Addr().String()
	}
	t.Fatal("no free port")
	return ""
}

func newCluster(t *testing.T, sandbox string) *cluster {
	t.Helper()
	c := &cluster{t: t, database: pgtest.New(t)}
	dsn, err := url.Parse(c.database.Empty(t, "")) // the nodes make its tables, all at once
	if err != nil {
		t.Fatal(err)
	}
	real := dsn.Host
	var addresses []string
	for range 3 {
		addresses = append(addresses, freePort(t))
	}
	front := newBalancer(t, addresses)
	for i, offset := range []string{"0s", "2m", "-2m"} { // clocks that disagree
		n := &node{t: t, listen: addresses[i], wire: newLine(t, real)}
		dsn.Host = n.wire.addr()
		n.args = []string{"serve", "--listen", n.listen, "--data", t.TempDir(), "--database", dsn.String(), "--public-url", front.URL,
			"--allow-private", "--call-timeout", "2s", "--ask-after", "1s,2s,3s", "--clock-offset", offset, "--log-format", "json"}
		c.nodes = append(c.nodes, n)
		n.start() // all at once, on a fresh database
	}
	c.connect(front.URL, sandbox)
	return c
}

// connect finds the keys, which one of the nodes printed, and connects the sandbox through the balancer: whatever one node
// is told, the others must know.
func (c *cluster) connect(front, sandbox string) {
	t := c.t
	t.Helper()
	c.scene = &demo.Scene{URL: front, SandboxURL: sandbox, Template: "welcome-template"}
	var subAccount string
	for _, n := range c.nodes {
		n.line(`"serving"`)
	}
	eventually(t, "the keys are printed", 10*time.Second, func() bool { // on another line of output than "serving"
		made := 0
		for _, n := range c.nodes {
			if account, sub, ok := keysIn(n.stdout()); ok {
				made, c.scene.AccountAPIKey, subAccount = made+1, account, sub
			}
		}
		if made > 1 {
			t.Fatal("two nodes made the first account")
		}
		return made == 1
	})
	c.scene.SubAccounts = []client.SubAccountInfo{{Name: "default", APIKey: subAccount}}
	api := &client.Client{URL: front, AccountKey: secret.NewString(c.scene.AccountAPIKey)}
	made, err := api.CreateTPSP(t.Context(), client.NewTPSP{Type: 4, Name: "Postmark", Key: "sandbox-server-token", Endpoint: sandbox, MessageStream: "outbound"})
	if err != nil || made.WebhookStatus.State != "registered" {
		t.Fatalf("connect: %+v (%v)", made, err)
	}
	c.scene.TPSPID, c.scene.Pool = made.ID, made.IPPool.Name
}

// harm does one bad thing to the cluster and undoes it.
func (c *cluster) harm(ctx context.Context, random *rand.Rand) (what string) {
	n := c.nodes[random.IntN(len(c.nodes))]
	switch random.IntN(10) {
	case 0, 1, 2, 3:
		n.kill()
		pause(ctx, time.Duration(random.IntN(1500))*time.Millisecond)
		n.start()
		return "kill"
	case 4, 5:
		n.signal(syscall.SIGSTOP)
		pause(ctx, time.Duration(random.IntN(5000))*time.Millisecond)
		n.signal(syscall.SIGCONT)
		return "pause"
	case 6:
		n.wire.cut(false)
		return "cut"
	case 7:
		n.wire.cut(true)
		pause(ctx, time.Duration(random.IntN(4000))*time.Millisecond)
		n.wire.mend()
		return "cut off"
	case 8:
		c.must(c.database.Restart())
		return "database restart"
	default:
		c.must(c.database.Kill())
		pause(ctx, time.Duration(random.IntN(1000))*time.Millisecond)
		c.must(c.database.Start())
		return "database kill"
	}
}

func (c *cluster) must(err error) {
	if err != nil {
		c.t.Error(err)
	}
}

func (n *node) signal(s syscall.Signal) {
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Errorf("signal %v: %v", s, err)
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// TestCluster runs three nodes with clocks up to four minutes apart on one PostgreSQL, kills and pauses them, cuts their
// connections, and restarts and kills the database, while mail flows and the provider is in trouble.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, witness(t))
	acknowledged, random := newLedger(), seeded(t)
	load, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	for j := range senders {
		running.Go(func() { acknowledged.sendUntil(load, t, c.scene, fmt.Sprintf("c%d", j)) })
	}
	done := map[string]int{}
	sleeper := c.nodes[2]
	// One node is away for longer than its claims hold, and comes back in the middle of what it was doing.
	acknowledged.waitFor(t, 100)
	c.nodes = c.nodes[:2]
	sleeper.signal(syscall.SIGSTOP)
	woken := time.AfterFunc(longPause, func() { sleeper.signal(syscall.SIGCONT) })
	defer woken.Stop()
	for end := time.Now().Add(max(chaos(t), longPause)); done["kill"] < 3 || time.Now().Before(end); {
		done[c.harm(load, random)]++
		pause(load, time.Duration(random.IntN(1000))*time.Millisecond)
	}
	if woken.Stop() {
		sleeper.signal(syscall.SIGCONT)
	}
	stop()
	running.Wait()
	t.Logf("%v", done)
	calm(t, c.scene.SandboxURL)
	acknowledged.settle(t, c.scene, 3*time.Minute+chaos(t))
	c.nodes = append(c.nodes, sleeper)
	for _, n := range c.nodes {
		if code := n.stop(); code != 0 {
			t.Errorf("exit code %d after SIGTERM", code)
		}
	}
}

// longPause is longer than a claim of the cluster's nodes holds: the call's deadline of 2 s and 15 s.
const longPause = 25 * time.Second

// TestLostNode kills one of the nodes for good while many messages wait: the others carry what it had not begun to send
// within 15 s, and what it was sending after they have asked.
func TestLostNode(t *testing.T) {
	t.Parallel()
	var listening struct{ URL string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	c := newCluster(t, listening.URL)
	down := []map[string]any{{"path": "/email", "kind": "status", "status": 503}}
	if _, err := call(t.Context(), http.MethodPut, listening.URL+"/sandbox/faults", nil, down, nil); err != nil {
		t.Fatal(err)
	}
	acknowledged := newLedger()
	api := &client.Client{URL: "http://" + c.nodes[0].listen, SubAccountKey: secret.NewString(c.scene.SubAccounts[0].APIKey)}
	for i := range 20 {
		email := c.scene.FirstEmail()
		to := email.To[0]
		email.To = nil
		for k := range 50 {
			to.Email = fmt.Sprintf("lost-%d-%d@gmail.com", i, k)
			email.To = append(email.To, to)
		}
		sent, err := api.Send(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sent {
			acknowledged.add(s.MessageID)
		}
	}
	c.nodes[0].kill()
	calm(t, listening.URL)
	acknowledged.settle(t, c.scene, 60*time.Second)
}

// TestStoppedAtTheStart: a server that is asked to end while it waits for its database, or for another server that is making the first account,
// ends as one that serves does.
func TestStoppedAtTheStart(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	dsn, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	wire := newLine(t, dsn.Host)
	wire.cut(true)
	dsn.Host = wire.addr()
	n := &node{t: t, args: []string{"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--database", dsn.String(), "--log-format", "json"}}
	stopAt := func(text string) {
		t.Helper()
		n.start()
		n.line(text)
		if code := n.stop(); code != 0 || strings.Contains(n.output(), `"serving"`) {
			t.Errorf("at %q: exit code %d: %s", text, code, n.output())
		}
	}
	stopAt("the database does not answer")
	wire.mend()
	other, err := postgres.Open(t.Context(), postgres.Config{URL: database, Node: "other", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if mine, err := other.Lease(t.Context(), "bootstrap", "other", time.Minute); err != nil || !mine {
		t.Fatalf("%v (%v)", mine, err)
	}
	stopAt("database open")
}

// TestDatabaseAway: while the database does not answer, clients and providers are told to come back, and none waits for long;
// when it answers again, everything goes on by itself.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	var listening struct{ URL string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	c := newCluster(t, listening.URL)
	for _, n := range c.nodes {
		n.wire.cut(true)
	}
	key := map[string]string{"X-SubAccount-ApiKey": c.scene.SubAccounts[0].APIKey}
	for _, probe := range []struct {
		method, path string
		header       map[string]string
		want         int
	}{
		{http.MethodPost, "/api/v1/subaccount/email/", key, http.StatusServiceUnavailable},
		{http.MethodGet, "/api/v1/account/event", map[string]string{"X-Account-ApiKey": c.scene.AccountAPIKey}, http.StatusServiceUnavailable},
		{http.MethodPost, "/tpsp/postmark/account/1", map[string]string{"Authorization": "Basic eDp5"}, http.StatusServiceUnavailable},
		{http.MethodGet, "/readyz", nil, http.StatusServiceUnavailable},
		{http.MethodGet, "/healthz", nil, http.StatusOK},
	} {
		began := time.Now()
		var in any
		if probe.method == http.MethodPost {
			in = c.scene.FirstEmail()
		}
		status, header, err := exchange(t.Context(), probe.method, c.scene.URL+probe.path, probe.header, in, nil)
		retry := header.Get("Retry-After")
		if err != nil || status != probe.want || (probe.want == http.StatusServiceUnavailable) != (retry != "") {
			t.Errorf("%s %s: %d, Retry-After %q (%v), want %d", probe.method, probe.path, status, retry, err, probe.want)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%s %s took %v", probe.method, probe.path, took)
		}
	}
	for _, n := range c.nodes {
		n.wire.mend()
	}
	acknowledged := newLedger()
	api := &client.Client{URL: c.scene.URL, SubAccountKey: secret.NewString(c.scene.SubAccounts[0].APIKey)}
	eventually(t, "mail is taken again", longest, func() bool {
		sent, err := api.Send(t.Context(), c.scene.FirstEmail())
		if err == nil {
			acknowledged.add(sent[0].MessageID)
		}
		return err == nil
	})
	acknowledged.settle(t, c.scene, time.Minute)
}
