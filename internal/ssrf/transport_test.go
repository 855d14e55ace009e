package ssrf

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// target is a server on loopback that counts what reaches it.
func target(t *testing.T) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(s.Close)
	return s, &hits
}

func client(t *testing.T, tr *http.Transport) *http.Client {
	t.Helper()
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 5 * time.Second}
}

func get(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func wantBlocked(t *testing.T, err error, addr string) {
	t.Helper()
	blocked, ok := errors.AsType[*BlockedError](err)
	if !ok || blocked.Addr != netip.MustParseAddr(addr) {
		t.Errorf("err = %v, want a BlockedError for %s", err, addr)
	}
}

func TestTransportRefusesLoopback(t *testing.T) {
	t.Parallel()
	s, hits := target(t)
	_, err := get(t, client(t, NewTransport(Options{})), s.URL)
	wantBlocked(t, err, "127.0.0.1")
	if hits.Load() != 0 {
		t.Error("the request arrived")
	}
}

func TestTransportAllowPrivate(t *testing.T) {
	t.Parallel()
	s, _ := target(t)
	body, err := get(t, client(t, NewTransport(Options{AllowPrivate: true})), s.URL)
	if err != nil || body != "hello" {
		t.Errorf("got %q, %v", body, err)
	}
}

// A name that is public when somebody looks it up to check it, and loopback when the request is made.
func TestTransportRefusesDNSRebinding(t *testing.T) {
	t.Parallel()
	s, hits := target(t)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	answers := []netip.Addr{netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("127.0.0.1")}
	var asked atomic.Int64
	resolver := fakeResolver(t, func(string) []netip.Addr {
		return []netip.Addr{answers[min(asked.Add(1), 2)-1]}
	})

	u, err := CheckURL("https://rebind.example:"+port+"/", false)
	if err != nil {
		t.Fatal(err)
	}
	first, err := resolver.LookupNetIP(t.Context(), "ip4", u.Hostname()+".")
	if err != nil || len(first) != 1 || CheckAddr(first[0]) != nil {
		t.Fatalf("the first look-up gives %v, %v; it should pass", first, err)
	}
	_, err = get(t, client(t, NewTransport(Options{Resolver: resolver})), "http://rebind.example.:"+port+"/")
	wantBlocked(t, err, "127.0.0.1")
	if hits.Load() != 0 {
		t.Error("the request arrived")
	}
}

// With AllowPrivate the same resolver leads to the server: what the test above refuses is the address, not the set-up.
func TestTransportUsesTheResolver(t *testing.T) {
	t.Parallel()
	s, hits := target(t)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resolver := fakeResolver(t, func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	tr := NewTransport(Options{Resolver: resolver, AllowPrivate: true})
	if body, err := get(t, client(t, tr), "http://hooks.example.:"+port+"/"); err != nil || body != "hello" || hits.Load() != 1 {
		t.Errorf("got %q, %v", body, err)
	}
}

// Of several addresses each is checked: here both are refused, whichever is tried first.
func TestTransportChecksEveryAddress(t *testing.T) {
	t.Parallel()
	var checked atomic.Int64
	resolver := fakeResolver(t, func(string) []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.168.0.1")}
	})
	tr := newTransport(Options{Resolver: resolver}, func(a netip.Addr) error {
		checked.Add(1)
		return CheckAddr(a)
	})
	_, err := get(t, client(t, tr), "http://many.example.:80/")
	if _, ok := errors.AsType[*BlockedError](err); !ok || checked.Load() != 2 {
		t.Errorf("err = %v after %d checks, want a BlockedError after 2", err, checked.Load())
	}
}

// The server that may be reached sends the client to one that may not.
func TestTransportRefusesRedirectTarget(t *testing.T) {
	t.Parallel()
	for _, location := range []string{"http://127.0.0.2:9/", "http://[::1]:9/", "http://169.254.169.254/latest/", "http://[::ffff:10.0.0.1]/"} {
		t.Run(location, func(t *testing.T) {
			t.Parallel()
			var redirected atomic.Bool
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				redirected.Store(true)
				http.Redirect(w, r, location, http.StatusTemporaryRedirect)
			}))
			t.Cleanup(s.Close)
			public := netip.MustParseAddr("127.0.0.1") // plays the public server
			tr := newTransport(Options{}, func(a netip.Addr) error {
				if a == public {
					return nil
				}
				return CheckAddr(a)
			})
			_, err := get(t, client(t, tr), s.URL)
			if _, ok := errors.AsType[*BlockedError](err); !ok || !redirected.Load() {
				t.Errorf("err = %v, redirected %v; want a BlockedError after the redirect", err, redirected.Load())
			}
		})
	}
}

func TestTransportRefusesOddSpellings(t *testing.T) {
	t.Parallel()
	c := client(t, NewTransport(Options{}))
	for _, host := range []string{"[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[64:ff9b::7f00:1]", "0.0.0.0"} {
		_, err := get(t, c, "http://"+host+":9/")
		if _, ok := errors.AsType[*BlockedError](err); !ok {
			t.Errorf("%s: err = %v, want a BlockedError", host, err)
		}
	}
}

func TestTransportIgnoresTheEnvironmentsProxy(t *testing.T) {
	var proxied atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Store(true) }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	resolver := fakeResolver(t, func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	s, hits := target(t)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tr := NewTransport(Options{AllowPrivate: true, Resolver: resolver})
	if tr.Proxy != nil {
		t.Error("the transport has a proxy function")
	}
	if _, err := get(t, client(t, tr), "http://hooks.example.:"+port+"/"); err != nil || proxied.Load() || hits.Load() != 1 {
		t.Errorf("err %v, proxied %v, hits %d", err, proxied.Load(), hits.Load())
	}
}

// An answer whose header does not end must not fill the memory.
func TestTransportBoundsTheHeader(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
	}))
	t.Cleanup(s.Close)
	if _, err := get(t, client(t, NewTransport(Options{AllowPrivate: true})), s.URL); err == nil {
		t.Error("a header of twice the bound was read")
	}
}

func TestTransportKeepsAsManyConnectionsAsAsked(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int]int{0: maxIdlePerHost, 5: 5} {
		if got := NewTransport(Options{MaxIdleConnsPerHost: asked}).MaxIdleConnsPerHost; got != want {
			t.Errorf("asked for %d: %d, want %d", asked, got, want)
		}
	}
}

func TestTransportKeepsConnectionsAlive(t *testing.T) {
	t.Parallel()
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := client(t, NewTransport(Options{AllowPrivate: true}))
	for range 5 {
		if _, err := get(t, c, s.URL); err != nil {
			t.Fatal(err)
		}
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections for 5 requests in a row", conns.Load())
	}
}

// TestTransportSpeaksHTTP1OverTLS also with a server that offers HTTP/2.
func TestTransportSpeaksHTTP1OverTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it reports the failed handshake below
	s.StartTLS()
	t.Cleanup(s.Close)
	own, ok := s.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the server's client has a %T", s.Client().Transport)
	}
	body, err := get(t, client(t, NewTransport(Options{AllowPrivate: true, TLS: own.TLSClientConfig})), s.URL)
	if err != nil || body != "HTTP/1.1" {
		t.Errorf("got %q, %v", body, err)
	}
	if _, err := get(t, client(t, NewTransport(Options{AllowPrivate: true})), s.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: err = %v", err)
	}
}

func TestControlRefusesOtherNetworks(t *testing.T) {
	t.Parallel()
	hook := control(func(netip.Addr) error { return nil })
	for _, tc := range [][2]string{{"udp4", "8.8.8.8:53"}, {"unix", "/run/docker.sock"}, {"tcp4", "no address"}} {
		if err := hook(context.Background(), tc[0], tc[1], nil); err == nil {
			t.Errorf("%s %s passes", tc[0], tc[1])
		}
	}
}
