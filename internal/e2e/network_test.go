package e2e

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// line is a TCP connection to somewhere that can be cut: a proxy on loopback.
type line struct {
	to       string
	listener net.Listener
	mu       sync.Mutex
	open     map[net.Conn]bool
	dead     bool // new connections are refused
	running  sync.WaitGroup
}

// newLine opens a line to an address.
func newLine(t *testing.T, to string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{to: to, listener: listener, open: map[net.Conn]bool{}}
	l.running.Go(l.accept)
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		l.cut(true)
		l.running.Wait()
	})
	return l
}

func (l *line) addr() string { return l.listener.Addr().String() }

func (l *line) accept() {
	for {
		from, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		to, err := net.Dial("tcp", l.to)
		if err != nil || !l.keep(from, to) {
			_ = from.Close()
			if to != nil {
				_ = to.Close()
			}
			continue
		}
		l.running.Go(func() { l.carry(from, to) })
		l.running.Go(func() { l.carry(to, from) })
	}
}

// keep takes note of two ends; it refuses them while the line is dead.
func (l *line) keep(ends ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return false
	}
	for _, c := range ends {
		l.open[c] = true
	}
	return true
}

func (l *line) carry(from, to net.Conn) {
	_, _ = io.Copy(to, from) // ends with either end
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range []net.Conn{from, to} {
		_ = c.Close()
		delete(l.open, c)
	}
}

// cut ends every connection at once, and refuses new ones when it is to stay dead.
func (l *line) cut(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
	for c := range l.open {
		_ = c.Close()
	}
}

// mend lets connections through again.
func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = false
}

// balancer stands in front of nodes, as a load balancer does: each request goes to the next one. A node that cannot be
// reached, or has not answered lately, is passed over; a call that broke is answered 502, because nobody knows what became
// of it.
type balancer struct {
	*httptest.Server
	turn atomic.Uint64
	out  []atomic.Int64 // until when a node is passed over, in UNIX nanoseconds
}

// How long the balancer waits for an answer, and how long it passes over a node that gave none.
const (
	answerTime = 4 * time.Second
	outTime    = 5 * time.Second
)

func newBalancer(t *testing.T, nodes []string) *balancer {
	t.Helper()
	b := &balancer{}
	b.out = make([]atomic.Int64, len(nodes))
	transport := &http.Transport{MaxIdleConnsPerHost: 64, ResponseHeaderTimeout: answerTime}
	proxies := make([]*httputil.ReverseProxy, len(nodes))
	for i, node := range nodes {
		target := &url.URL{Scheme: "http", Host: node}
		proxies[i] = &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
				b.out[i].Store(time.Now().Add(outTime).UnixNano())
				w.WriteHeader(http.StatusBadGateway)
			}}
	}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range nodes {
			i := b.turn.Add(1) % uint64(len(nodes))
			if time.Now().UnixNano() > b.out[i].Load() && reachable(nodes[i]) {
				proxies[i].ServeHTTP(w, r)
				return
			}
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(func() { b.Close(); transport.CloseIdleConnections() })
	return b
}

// reachable tells whether somebody listens. One that is stopped (SIGSTOP) still does, in its kernel.
func reachable(node string) bool {
	c, err := net.Dial("tcp", node)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
