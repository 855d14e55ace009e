package mx

import (
	"context"
	"net"
)

// NewResolver returns a resolver that asks the DNS server at an address (host:port), or the system's when server is empty.
func NewResolver(server string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if server != "" {
			address = server
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// The resolver looks at the deadline of ctx only: without this, a server that stops would wait for lost answers.
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		if udp, ok := conn.(*net.UDPConn); ok {
			return &packets{udp, stop}, nil
		}
		return &stream{conn, stop}, nil
	}}
}

// packets and stream are connections that end with a context. The resolver tells them apart by net.PacketConn.
type (
	packets struct {
		*net.UDPConn
		stop func() bool
	}
	stream struct {
		net.Conn
		stop func() bool
	}
)

func (c *packets) Close() error { c.stop(); return c.UDPConn.Close() }
func (c *stream) Close() error  { c.stop(); return c.Conn.Close() }
