package providertest

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"postyard/internal/provider"
)

func testDialRefused(t *testing.T, h Harness) {
	h.send(t, t.Context(), h.down(t), several(h.adapter(t)), provider.Transient)
}

func testNoSuchHost(t *testing.T, h Harness) {
	adapter := h.New(t, func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "provider.invalid", IsNotFound: true}
	})
	batch := h.batch(t, several(adapter))
	outcomes := adapter.Send(t.Context(), h.connection(h.Wire.Endpoint("provider.invalid:2525", false)), batch)
	sound(t, outcomes, batch)
	all(t, outcomes, provider.Transient)
}

// playTLS starts a provider at an endpoint that is encrypted from the first byte.
func (h Harness) playTLS(t *testing.T, play func(conn net.Conn)) provider.Connection {
	t.Helper()
	return h.connection(h.Wire.Endpoint(Listen(t, play), true))
}

func testTLSFails(t *testing.T, h Harness) {
	conn := h.playTLS(t, func(conn net.Conn) { say(conn, []byte("this is not TLS at all\r\n")) })
	h.send(t, t.Context(), conn, 1, provider.Transient)
}

func testCertificate(t *testing.T, h Harness) {
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	certificates := server.TLS.Certificates
	conn := h.playTLS(t, func(conn net.Conn) {
		encrypted := tls.Server(conn, &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS12})
		if _, ok := h.Wire.Hear(encrypted); ok {
			t.Error("the adapter trusts a certificate that nobody signed")
		}
	})
	h.send(t, t.Context(), conn, 1, provider.Transient)
}

// Whether a request was written into the void or could not be written is a matter of timing.
var beforeOrDoubt = []provider.Class{provider.Transient, provider.Ambiguous}

func testClosedBefore(t *testing.T, h Harness) {
	h.send(t, t.Context(), h.play(t, func(net.Conn) {}), 1, beforeOrDoubt...)
}

func testResetBefore(t *testing.T, h Harness) {
	h.send(t, t.Context(), h.play(t, func(conn net.Conn) { Reset(conn) }), 1, beforeOrDoubt...)
}

func testResetMeanwhile(t *testing.T, h Harness) {
	conn := h.play(t, func(conn net.Conn) {
		if h.Wire.HearPart(conn) {
			Reset(conn)
		}
	})
	h.send(t, t.Context(), conn, 1, beforeOrDoubt...)
}

func testClosedAfter(t *testing.T, h Harness) {
	h.send(t, t.Context(), h.play(t, func(conn net.Conn) { _, _ = h.Wire.Hear(conn) }), 1, provider.Ambiguous)
}

func testResetAfter(t *testing.T, h Harness) {
	conn := h.play(t, func(conn net.Conn) {
		if _, ok := h.Wire.Hear(conn); ok {
			Reset(conn)
		}
	})
	h.send(t, t.Context(), conn, 1, provider.Ambiguous)
}

// accepting has the provider's answer to one message that it accepts.
func (h Harness) accepting(t *testing.T) []byte {
	t.Helper()
	var mu sync.Mutex
	var whole []byte
	conn := h.play(t, func(conn net.Conn) {
		if accepts, ok := h.Wire.Hear(conn); ok {
			mu.Lock()
			whole = accepts
			mu.Unlock()
			say(conn, accepts)
		}
	})
	h.send(t, t.Context(), conn, 1, provider.Accepted)
	mu.Lock()
	defer mu.Unlock()
	return whole
}

// testCutAnswer cuts an answer that accepts a message everywhere: no part of it is proof of anything but doubt, least of all of failure.
func testCutAnswer(t *testing.T, h Harness) {
	whole := bytes.TrimSpace(h.accepting(t))
	if head, body, ok := bytes.Cut(whole, []byte("\r\n\r\n")); ok && len(body) > 0 {
		// An answer that ends with its connection, instead of by its length, is cut more cleanly.
		endless := append(withoutLength(head), []byte("\r\n\r\n")...)
		for cut := range body {
			h.send(t, t.Context(), h.answer(t, append(bytes.Clone(endless), body[:cut]...)), 1, provider.Ambiguous)
			if t.Failed() {
				return
			}
		}
	}
	for cut := range whole {
		want := []provider.Class{provider.Ambiguous}
		if h.Wire.Enough > 0 && cut >= h.Wire.Enough {
			want = append(want, provider.Accepted)
		}
		h.send(t, t.Context(), h.answer(t, whole[:cut]), 1, want...)
		if t.Failed() {
			t.Logf("cut after %q", whole[:cut])
			return
		}
	}
}

// withoutLength takes the length out of an answer's head.
func withoutLength(head []byte) []byte {
	var kept [][]byte
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if !bytes.HasPrefix(bytes.ToLower(line), []byte("content-length:")) {
			kept = append(kept, line)
		}
	}
	return bytes.Join(kept, []byte("\r\n"))
}

func testResetAnswer(t *testing.T, h Harness) {
	whole := h.accepting(t)
	part := len(whole) / 2
	if h.Wire.Enough > 0 {
		part = h.Wire.Enough - 1
	}
	conn := h.play(t, func(conn net.Conn) {
		if _, ok := h.Wire.Hear(conn); ok {
			say(conn, whole[:part])
			Reset(conn)
		}
	})
	h.send(t, t.Context(), conn, 1, provider.Ambiguous)
}

// testEndlessAnswer: what a provider says is read as far as an answer may go, and no further.
func testEndlessAnswer(t *testing.T, h Harness) {
	conn := h.play(t, func(conn net.Conn) {
		if _, ok := h.Wire.Hear(conn); !ok {
			return
		}
		say(conn, h.Wire.Endless)
		for said := len(h.Wire.Endless); said < 1<<30; said += len(h.Wire.Filler) {
			if _, err := conn.Write(h.Wire.Filler); err != nil {
				return
			}
		}
		t.Error("a gigabyte of an answer was read")
	})
	h.send(t, t.Context(), conn, 1, provider.Ambiguous)
}

// Listen accepts connections on loopback and lets play have each, then closes it. All ends with the test, also what nobody has used.
func Listen(t *testing.T, play func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if open == nil { // it is over
				_ = conn.Close()
			} else {
				open[conn] = true
			}
			mu.Unlock()
			running.Go(func() {
				play(conn)
				mu.Lock()
				defer mu.Unlock()
				delete(open, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Errorf("close the listener: %v", err)
		}
		mu.Lock()
		for conn := range open { // one that was made for a call that was given up before it left
			_ = conn.Close()
		}
		open = nil
		mu.Unlock()
		running.Wait()
	})
	return listener.Addr().String()
}

// Reset makes closing the connection a reset (RST) instead of an orderly end.
func Reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// ClosedAddress returns a loopback address where nothing listens, and where nobody else will as long as the test runs: it is
// the near end of a connection.
func ClosedAddress(t *testing.T) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", Listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}
