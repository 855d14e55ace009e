package app

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"postyard/internal/config"
	"postyard/internal/provider"
)

// wire breaks the way to the provider for a number of connections.
type wire struct {
	broken atomic.Int32
	dial   func(context.Context, string, string) (net.Conn, error)
	fail   func(net.Conn) (net.Conn, error)
}

// newWire has the provider's transport go through a wire that fails in this way.
func newWire(fail func(net.Conn) (net.Conn, error)) (*wire, func(*config.Config, *Server)) {
	w := &wire{fail: fail}
	return w, func(_ *config.Config, s *Server) {
		if s == nil {
			return
		}
		w.dial = s.transport.DialContext
		s.transport.DialContext = w.connect
	}
}

func (w *wire) connect(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.dial(ctx, network, address)
	if err != nil || w.broken.Add(-1) < 0 {
		return conn, err
	}
	return w.fail(conn)
}

// cut breaks the next n connections, and has the server connect anew.
func (w *wire) cut(s *stage, n int32) {
	w.broken.Store(n)
	s.server.transport.CloseIdleConnections()
}

// stingy is a connection that breaks when so many bytes were written.
type stingy struct {
	net.Conn
	left int
}

func (c *stingy) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:c.left])
	_ = c.Close()
	return n, errors.Join(err, syscall.EPIPE)
}

// TestBrokenWires breaks calls before and while the request is written: the provider cannot have it, and nobody has to ask.
func TestBrokenWires(t *testing.T) {
	t.Parallel()
	refused := func(conn net.Conn) (net.Conn, error) {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	for name, fail := range map[string]func(net.Conn) (net.Conn, error){
		"refused": refused,
		"no such host": func(conn net.Conn) (net.Conn, error) {
			_ = conn.Close()
			return nil, &net.DNSError{Err: "no such host", Name: "provider.invalid", IsNotFound: true}
		},
		"cut in the request's header": func(conn net.Conn) (net.Conn, error) { return &stingy{conn, 40}, nil },
		"cut in the request's body":   func(conn net.Conn) (net.Conn, error) { return &stingy{conn, 700}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, through := newWire(fail)
			s := newStage(t, through)
			w.cut(s, 2)
			ids := s.send("a@gmail.com", "b@yahoo.com", "c@example.net")
			s.want("[69 70 71]", 1, ids...)
			for _, id := range ids {
				for _, a := range s.attempts(id) {
					if a.Answer != "" || a.Class == provider.Ambiguous {
						t.Errorf("%+v", a)
					}
				}
			}
			if w.broken.Load() >= 0 {
				t.Error("no connection was broken")
			}
		})
	}
}
