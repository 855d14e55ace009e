package ssrf

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Options says how a transport connects. A field that is zero has the default given with it.
type Options struct {
	// AllowPrivate switches the check off: every address may be reached. For providers and webhooks on the own network.
	AllowPrivate bool

	ConnectTimeout        time.Duration // resolving and connecting; 10 s
	TLSHandshakeTimeout   time.Duration // 10 s
	ResponseHeaderTimeout time.Duration // from the end of the request to the answer's headers; 0 = until the request's context ends
	IdleConnTimeout       time.Duration // how long an unused connection is kept; 90 s
	KeepAlive             time.Duration // interval of TCP keep-alive probes; 15 s

	MaxIdleConns        int // unused connections kept in all; 256
	MaxIdleConnsPerHost int // unused connections kept to one host; 16
	MaxConnsPerHost     int // connections to one host, in use or not; 0 = no limit

	MaxResponseHeaderBytes int64 // 64 KiB

	Resolver *net.Resolver // nil = the system's
	TLS      *tls.Config   // nil = Go's defaults; the transport takes a copy
}

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
		Timeout:        orDefault(o.ConnectTimeout, 10*time.Second),
		KeepAlive:      orDefault(o.KeepAlive, 15*time.Second),
		Resolver:       o.Resolver,
		ControlContext: control(check),
	}
	return &http.Transport{
		Proxy:                  nil, // see the package comment
		DialContext:            dialer.DialContext,
		TLSClientConfig:        o.TLS.Clone(),
		ForceAttemptHTTP2:      true, // net/http tries HTTP/2 by itself only with its own dialer
		TLSHandshakeTimeout:    orDefault(o.TLSHandshakeTimeout, 10*time.Second),
		ResponseHeaderTimeout:  o.ResponseHeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        orDefault(o.IdleConnTimeout, 90*time.Second),
		MaxIdleConns:           orDefault(o.MaxIdleConns, 256),
		MaxIdleConnsPerHost:    orDefault(o.MaxIdleConnsPerHost, 16),
		MaxConnsPerHost:        o.MaxConnsPerHost,
		MaxResponseHeaderBytes: orDefault(o.MaxResponseHeaderBytes, 64<<10),
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

func orDefault[T comparable](value, def T) T {
	var zero T
	if value == zero {
		return def
	}
	return value
}
