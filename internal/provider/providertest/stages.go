package providertest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"postyard/internal/provider"
)

// stage is how far the other side plays along before it closes the connection.
type stage struct {
	scheme string
	play   func(net.Conn)
	want   []provider.Class
}

var stages = map[string]stage{
	"TLS fails": {
		scheme: "https",
		play:   func(conn net.Conn) { _, _ = io.WriteString(conn, "this is not TLS at all\r\n") },
		want:   []provider.Class{provider.Transient},
	},
	"closed before the request is read": {
		play: func(net.Conn) {},
		// Whether the request was written into the void or could not be written is a matter of timing.
		want: []provider.Class{provider.Transient, provider.Ambiguous},
	},
	"closed after the request": {
		play: func(conn net.Conn) { readRequest(conn) },
		want: []provider.Class{provider.Ambiguous},
	},
	"reset after the request": {
		play: func(conn net.Conn) {
			if readRequest(conn) {
				Reset(conn)
			}
		},
		want: []provider.Class{provider.Ambiguous},
	},
	"half a status line": {
		play: func(conn net.Conn) {
			if readRequest(conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 20")
			}
		},
		want: []provider.Class{provider.Ambiguous},
	},
	"not HTTP": {
		play: func(conn net.Conn) {
			if readRequest(conn) {
				_, _ = io.WriteString(conn, "220 mail.example ESMTP "+Key+"\r\n")
			}
		},
		want: []provider.Class{provider.Ambiguous},
	},
	"status without a body": {
		play: func(conn net.Conn) {
			if readRequest(conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			}
		},
		want: []provider.Class{provider.Ambiguous},
	},
	"503 without a body": {
		play: func(conn net.Conn) {
			if readRequest(conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n<html>")
			}
		},
		want: []provider.Class{provider.Transient},
	},
}

// readRequest reads a whole request.
func readRequest(conn net.Conn) bool {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

// testStages breaks the connection at each stage of a call.
func testStages(t *testing.T, h Harness) {
	for name, stage := range stages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scheme := stage.scheme
			if scheme == "" {
				scheme = "http"
			}
			conn := h.connection(scheme + "://" + Listen(t, stage.play))
			batch := h.batch(t, 1)
			outcomes := h.adapter(t).Send(t.Context(), conn, batch)
			sound(t, outcomes, batch)
			all(t, outcomes, stage.want...)
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		adapter := h.adapter(t)
		batch := h.batch(t, min(3, adapter.Capabilities().BatchSize))
		outcomes := adapter.Send(t.Context(), h.connection("http://"+ClosedAddress(t)), batch)
		sound(t, outcomes, batch)
		all(t, outcomes, provider.Transient)
	})
	t.Run("no such host", func(t *testing.T) {
		t.Parallel()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "provider.invalid", IsNotFound: true}
		}}
		batch := h.batch(t, 1)
		outcomes := h.New(transport).Send(t.Context(), h.connection("http://provider.invalid"), batch)
		sound(t, outcomes, batch)
		all(t, outcomes, provider.Transient)
	})
	t.Run("an answer cut at every byte", func(t *testing.T) {
		t.Parallel()
		testCutAnswer(t, h)
	})
}

// testCutAnswer records an answer that accepts a message and cuts it everywhere: no part of it is proof of anything but
// doubt, least of all of failure.
func testCutAnswer(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	batch := h.batch(t, 1)
	recorder := &recordingWriter{header: make(http.Header)}
	var once sync.Once
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = io.Copy(&body, r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body.Bytes()))
		once.Do(func() { h.Answer(recorder, r, nil) })
		_, _ = w.Write(recorder.body.Bytes())
	})
	all(t, adapter.Send(t.Context(), h.connection(url), batch), provider.Accepted)

	whole := bytes.TrimSpace(recorder.body.Bytes())
	for cut := range len(whole) {
		address := Listen(t, func(conn net.Conn) {
			if readRequest(conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"+string(whole[:cut]))
			}
		})
		outcomes := adapter.Send(t.Context(), h.connection("http://"+address), batch)
		sound(t, outcomes, batch)
		all(t, outcomes, provider.Ambiguous)
		if t.Failed() {
			return
		}
	}
}

// recordingWriter keeps a handler's answer.
type recordingWriter struct {
	header http.Header
	body   bytes.Buffer
}

func (w *recordingWriter) Header() http.Header         { return w.header }
func (w *recordingWriter) WriteHeader(int)             {}
func (w *recordingWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

// Listen accepts connections on loopback and lets play have each, then closes it. All ends with the test.
func Listen(t *testing.T, play func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = conn.Close() }()
				play(conn)
			})
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Errorf("close the listener: %v", err)
		}
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
