package ssrf

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Options says how a transport connects. The zero Options are good.
type Options struct {
	// AllowPrivate switches the check off: every address may be reached. For providers and webhooks on the own network.
	AllowPrivate bool

	MaxIdleConnsPerHost int           // unused connections kept to one host; 0 = 16
	Resolver            *net.Resolver // nil = the system's
	TLS                 *tls.Config   // nil = Go's defaults; the transport takes a copy
}

// Bounds of every transport. How long an answer may take is the request's context to say.
const (
	connectTimeout   = 10 * time.Second // resolving and connecting
	handshakeTimeout = 10 * time.Second
	keepAlive        = 15 * time.Second // between TCP probes
	idleTimeout      = 90 * time.Second // of an unused connection
	maxIdle          = 256              // unused connections in all
	maxIdlePerHost   = 16
	maxHeader        = 64 << 10 // bytes of an answer's header
)

// NewTransport returns a transport that connects only to addresses that [CheckAddr] accepts. A refused one gives a
// *[BlockedError] before any packet is sent; when a name has several addresses, each is checked by itself and the
// accepted ones are used. Redirects that an [http.Client] follows come through the same check.
//
// The transport keeps connections alive: make one and share it. Close what is idle with CloseIdleConnections.
func NewTransport(o Options) *http.Transport {
	if o.AllowPrivate {
		return newTransport(o, func(netip.Addr) error { return nil })
	}
	return newTransport(o, CheckAddr)
}

func newTransport(o Options, check func(netip.Addr) error) *http.Transport {
	dialer := &net.Dialer{
		Timeout:        connectTimeout,
		KeepAlive:      keepAlive,
		Resolver:       o.Resolver,
		ControlContext: control(check),
	}
	return &http.Transport{
		Proxy:                  nil, // see the package comment
		DialContext:            dialer.DialContext,
		TLSClientConfig:        o.TLS.Clone(),
		ForceAttemptHTTP2:      false, // over HTTP/2 what was given to the transport may wait for a window long after we looked at the clock
		TLSHandshakeTimeout:    handshakeTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    cmp.Or(o.MaxIdleConnsPerHost, maxIdlePerHost),
		MaxResponseHeaderBytes: maxHeader,
	}
}

// control returns the hook that a net.Dialer calls for each socket between resolving and connecting: address is the IP
// address and port that the socket will connect to, whatever name or spelling it came from.
func control(check func(netip.Addr) error) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		if network != "tcp4" && network != "tcp6" {
			return fmt.Errorf("network %s is not allowed", network)
		}
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("check address: %w", err)
		}
		return check(ap.Addr())
	}
}
