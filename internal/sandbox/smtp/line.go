package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"postyard/internal/sandbox/fault"
)

// line is a client's connection. It can be watched for its end while nobody reads.
type line struct {
	net.Conn
	receiver *Receiver
	back     []byte // was read while the line was watched
}

// Read implements net.Conn.
func (l *line) Read(p []byte) (int, error) {
	if len(l.back) > 0 {
		n := copy(p, l.back)
		l.back = l.back[n:]
		return n, nil
	}
	return l.Conn.Read(p)
}

// Close implements net.Conn.
func (l *line) Close() error {
	l.receiver.mu.Lock()
	delete(l.receiver.lines, l)
	l.receiver.mu.Unlock()
	return l.Conn.Close()
}

// reset ends the connection with a TCP reset.
func (l *line) reset() {
	if tcp, ok := l.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // on failure the close below still ends it
	}
	_ = l.Close()
}

// watch returns a context that ends when the client goes, and a function that ends the watch.
func (l *line) watch() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		var b [512]byte
		for {
			n, err := l.Conn.Read(b[:])
			l.back = append(l.back, b[:n]...)
			if err != nil || len(l.back) > maxMessage {
				return
			}
		}
	}()
	return ctx, func() {
		_ = l.SetReadDeadline(time.Unix(1, 0)) // ends the read; a connection that is closed has ended it
		<-ended
		_ = l.SetReadDeadline(time.Time{})
		cancel()
	}
}

// suffer has a fault happen on the line. done tells that what was asked is not to be done any more, with the answer in err.
func (l *line) suffer(rule fault.Rule, freed <-chan struct{}) (done bool, err error) {
	switch rule.Kind {
	case fault.Status:
		return true, refusal(rule)
	case fault.Delay:
		ctx, stop := l.watch()
		defer stop()
		if rule.Wait(ctx, freed) {
			return false, nil
		}
	case fault.Hang:
		ctx, stop := l.watch()
		defer stop()
		select {
		case <-ctx.Done():
		case <-freed:
		}
		_ = l.Close()
	case fault.ResetBefore:
		l.reset()
	default:
		return false, nil
	}
	return true, errGone
}

// errGone is an answer that nobody hears.
var errGone = &gosmtp.SMTPError{Code: 421, EnhancedCode: gosmtp.EnhancedCode{4, 4, 2}, Message: "the connection has ended"}

// gate is a listener whose connections may have faults before the server greets.
type gate struct {
	net.Listener
	receiver *Receiver
}

func (r *Receiver) gate(l net.Listener) *gate { return &gate{Listener: l, receiver: r} }

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l := &line{Conn: conn, receiver: g.receiver}
		if !g.receiver.admit(l) {
			_ = conn.Close()
			continue
		}
		rule, freed, ok := g.receiver.pick("connect")
		if !ok || rule.Kind == fault.ResetAfter {
			return l, nil
		}
		if rule.Kind == fault.Delay {
			return &late{line: l, rule: rule, freed: freed}, nil
		}
		g.receiver.faulty.Go(func() {
			if _, err := l.suffer(rule, freed); !errors.Is(err, errGone) {
				_, _ = fmt.Fprintf(l, "%s\r\n", greeting(err)) // the client may be gone
			}
			_ = l.Close()
		})
	}
}

func greeting(err error) string {
	refused, ok := errors.AsType[*gosmtp.SMTPError](err)
	if !ok {
		return "421 sorry"
	}
	if refused.EnhancedCode == gosmtp.NoEnhancedCode {
		return fmt.Sprintf("%d %s", refused.Code, refused.Message)
	}
	e := refused.EnhancedCode
	return fmt.Sprintf("%d %d.%d.%d %s", refused.Code, e[0], e[1], e[2], refused.Message)
}

// late is a connection on which the first word takes a while.
type late struct {
	*line
	rule  fault.Rule
	freed <-chan struct{}
	once  sync.Once
}

// Write implements net.Conn.
func (l *late) Write(p []byte) (int, error) {
	l.once.Do(func() { l.rule.Wait(context.Background(), l.freed) })
	return l.line.Write(p)
}

// admit keeps track of a connection, unless the receiver is closed.
func (r *Receiver) admit(l *line) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.lines[l] = struct{}{}
	return true
}

// lineOf finds the line below TLS.
func lineOf(conn net.Conn) *line {
	for {
		switch c := conn.(type) {
		case *line:
			return c
		case *late:
			return c.line
		case *tls.Conn:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
