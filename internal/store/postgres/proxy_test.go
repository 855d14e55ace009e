package postgres

import (
	"net"
	"sync"
	"testing"
)

// proxy is a wire to the server that can be cut, or hang.
type proxy struct {
	listener net.Listener
	server   string
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool
	hangs chan struct{} // not nil while nothing passes; closed when it passes again
	fuse  int           // the wire is cut when so many pieces have passed; 0: it is not
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: server, conns: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.pass()
		p.cut()
		p.running.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			continue
		}
		p.running.Go(func() { p.copy(server, client) })
		p.running.Go(func() { p.copy(client, server) })
	}
}

// keep remembers a pair of connections, unless the wire is cut.
func (p *proxy) keep(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		_ = server.Close()
		return false
	}
	p.conns[client], p.conns[server] = true, true
	return true
}

func (p *proxy) copy(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		hangs := p.hangs
		burnt := p.fuse == 1
		p.fuse = max(p.fuse-1, 0)
		p.mu.Unlock()
		if hangs != nil {
			<-hangs
		}
		_, werr := to.Write(buf[:n])
		if burnt {
			p.cut()
		}
		if err != nil || werr != nil {
			return
		}
	}
}

// cut breaks every connection; new ones are refused until pass.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		_ = c.(*net.TCPConn).SetLinger(0) // the other end learns it at once
		_ = c.Close()
	}
	p.conns = map[net.Conn]bool{}
}

// cutAfter cuts the wire once n more pieces have passed.
func (p *proxy) cutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fuse = n
}

// hang lets nothing through until pass.
func (p *proxy) hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangs = make(chan struct{})
}

// pass makes the wire whole.
func (p *proxy) pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.fuse = false, 0
	if p.hangs != nil {
		close(p.hangs)
		p.hangs = nil
	}
}
