package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/accept"
	"postyard/internal/api"
	"postyard/internal/directory"
)

// doorkeeper knows one key, and takes whatever it opens the door to.
type doorkeeper struct {
	api.Accounts
	api.Sender
}

func (doorkeeper) AuthenticateSubAccount(key string) *directory.SubAccount {
	if key != "key" {
		return nil
	}
	return &directory.SubAccount{ID: 1, AccountID: 1}
}

func (doorkeeper) Accept(context.Context, *directory.SubAccount, ...*accept.Request) ([]accept.Result, error) {
	return []accept.Result{{}}, nil
}

// serveSlow runs a test against a server with the limits that servers have, on a clock that does not wait.
func serveSlow(t *testing.T, test func(dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		log := slog.New(slog.DiscardHandler)
		server := newHTTPServer(api.New(api.Config{Accounts: doorkeeper{}, Sender: doorkeeper{}, Log: log}), log)
		served := make(chan error)
		go func() { served <- server.Serve(listener) }()
		test(func() net.Conn {
			conn, err := listener.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return conn
		})
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// answered reads until the server hangs up, and returns what it said and how long that took.
func answered(t *testing.T, conn net.Conn, write func() error) (status int, took time.Duration) {
	t.Helper()
	began := time.Now()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_ = write() // it fails when nobody reads any more
	}()
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	took = time.Since(began)
	_ = conn.Close()
	<-wrote
	if len(said) == 0 {
		return 0, took
	}
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(said))), nil)
	if err != nil {
		t.Fatalf("%q: %v", said, err)
	}
	_ = res.Body.Close()
	return res.StatusCode, took
}

// trickle writes a text, a byte every so often, for as long as anybody reads it.
func trickle(conn net.Conn, text string, every time.Duration) error {
	for i := range len(text) {
		if _, err := conn.Write([]byte{text[i]}); err != nil {
			return err
		}
		time.Sleep(every)
	}
	return nil
}

const requestLine = "POST /api/v1/subaccount/email HTTP/1.1\r\nHost: x\r\nX-SubAccount-ApiKey: key\r\n"

// Whoever keeps the server waiting is cut off.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	body := `{"to":"` + strings.Repeat("x", 4000) + `"}`
	for name, c := range map[string]struct {
		write  func(conn net.Conn) error
		status int
		within time.Duration
	}{
		"nothing comes": {func(net.Conn) error { return nil }, 0, headerTimeout},
		"the header trickles": {func(conn net.Conn) error {
			return trickle(conn, requestLine+strings.Repeat("X-More: 1\r\n", 100), time.Second)
		}, http.StatusBadRequest, headerTimeout},
		"the header has no end": {func(conn net.Conn) error { return trickle(conn, requestLine, 0) }, 0, headerTimeout},
		"the body trickles": {func(conn net.Conn) error {
			return trickle(conn, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", requestLine, len(body), body), 50*time.Millisecond)
		}, http.StatusRequestTimeout, requestTimeout},
		"a chunk trickles": {func(conn net.Conn) error {
			return trickle(conn, requestLine+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat("1\r\n \r\n", 1000), 50*time.Millisecond)
		}, http.StatusRequestTimeout, requestTimeout},
		"a body that is too large trickles": {func(conn net.Conn) error {
			return trickle(conn, requestLine+"Content-Length: 99999999\r\n\r\n"+body, 50*time.Millisecond)
		}, http.StatusRequestEntityTooLarge, requestTimeout},
		"a body without a right key trickles": {func(conn net.Conn) error {
			return trickle(conn, "POST /api/v1/subaccount/email HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n"+body, 50*time.Millisecond)
		}, http.StatusUnauthorized, requestTimeout},
		"a second request does not come": {func(conn net.Conn) error {
			_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			return err
		}, http.StatusOK, idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serveSlow(t, func(dial func() net.Conn) {
				conn := dial()
				status, took := answered(t, conn, func() error { return c.write(conn) })
				const late = time.Second
				if status != c.status || took > c.within+late {
					t.Errorf("status %d after %v, want %d within %v", status, took, c.status, c.within)
				}
			})
		})
	}
}

// A client that does not read its answer is cut off as well.
func TestAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	serveSlow(t, func(dial func() net.Conn) {
		conn := dial()
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(answerTimeout + time.Second)
		said, err := io.ReadAll(conn)
		if err != nil || len(said) != 0 {
			t.Errorf("%q, %v", said, err)
		}
		_ = conn.Close()
	})
}

func TestHeadersThatAreTooLarge(t *testing.T) {
	t.Parallel()
	serveSlow(t, func(dial func() net.Conn) {
		for size, want := range map[int]int{headerBytes / 2: http.StatusOK, 2 * headerBytes: http.StatusRequestHeaderFieldsTooLarge} {
			conn := dial()
			status, _ := answered(t, conn, func() error {
				_, err := fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", size))
				return err
			})
			if status != want {
				t.Errorf("%d bytes: status %d, want %d", size, status, want)
			}
		}
	})
}
