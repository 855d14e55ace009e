package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"postyard/internal/provider"
)

// maxUnasked is how many bytes a server may say without being asked anew: answers have a line or two, a certificate some thousand
// bytes.
const maxUnasked = 256 << 10

var errTalkative = errors.New("the server says more than an answer")

// past is a deadline that is over.
var past = time.Unix(1, 0)

// wire is the connection below TLS and SMTP. What leaves passes the fence of the call that has it, and a call's end ends what is
// under way on it. One goroutine works on it at a time.
type wire struct {
	net.Conn
	call    context.Context
	release func() bool // stops watching the call's end
	late    error       // why something was held back
	left    atomic.Int64
	unasked int // bytes read since something left
}

// board lends the wire to a call.
func (w *wire) board(ctx context.Context) error {
	w.call, w.late, w.unasked = ctx, nil, 0
	if err := w.Conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	conn := w.Conn
	w.release = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) }) // a connection that is closed needs none
	return nil
}

// alight takes the wire back. It returns false when the call has ended: then the wire is of no use any more.
func (w *wire) alight() bool {
	fit := w.release()
	w.call = context.Background()
	return fit
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if err := w.call.Err(); err != nil {
		return 0, err
	}
	if err := provider.Leaving(w.call); err != nil {
		w.late = err
		return 0, err
	}
	w.unasked = 0
	n, err := w.Conn.Write(p)
	w.left.Add(int64(n))
	return n, err
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.unasked > maxUnasked {
		return 0, errTalkative
	}
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.unasked += n
		provider.Answered(w.call)
	}
	return n, err
}

// SetDeadline implements net.Conn: the deadline is the call's, whatever the library has in mind.
func (*wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (*wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (*wire) SetWriteDeadline(time.Time) error { return nil }

// greeted is a connection on which greeting and EHLO are over. go-smtp begins STARTTLS with a client of its own, which wants to
// greet and to say EHLO as "localhost": here it hears what it wants to hear, and what it says of that does not leave.
type greeted struct {
	net.Conn
	script io.Reader
	hushed bool
}

func afterHello(conn net.Conn) *greeted {
	return &greeted{Conn: conn, script: strings.NewReader("220 greeted\r\n250-greeted\r\n250 STARTTLS\r\n")}
}

// Read implements net.Conn.
func (g *greeted) Read(p []byte) (int, error) {
	if n, err := g.script.Read(p); err == nil {
		return n, nil
	}
	return g.Conn.Read(p)
}

// Write implements net.Conn.
func (g *greeted) Write(p []byte) (int, error) {
	if !g.hushed {
		g.hushed = true
		return len(p), nil
	}
	return g.Conn.Write(p)
}
