package ssrf

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// fakeResolver returns a resolver that asks a name server of ours, over a pipe: nothing leaves the process. answer gives
// the IPv4 addresses of a name, once for each question; IPv6 questions get an empty answer.
func fakeResolver(t *testing.T, answer func(name string) []netip.Addr) *net.Resolver {
	t.Helper()
	var servers sync.WaitGroup
	t.Cleanup(servers.Wait)
	return &net.Resolver{
		PreferGo:     true,
		StrictErrors: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()                    // no PacketConn: the resolver speaks DNS over TCP
			servers.Go(func() { serveDNS(server, answer) }) // ends when the resolver closes its side
			return client, nil
		},
	}
}

// serveDNS answers questions framed as RFC 1035, section 4.2.2 has it, until conn is closed.
func serveDNS(conn net.Conn, answer func(name string) []netip.Addr) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	for {
		var length uint16
		if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
			return
		}
		query := make([]byte, length)
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply, err := replyTo(query, answer)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

func replyTo(query []byte, answer func(name string) []netip.Addr) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true},
		Questions: m.Questions,
	}
	q := m.Questions[0]
	if q.Type == dnsmessage.TypeA {
		for _, a := range answer(q.Name.String()) {
			reply.Answers = append(reply.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1},
				Body:   &dnsmessage.AResource{A: a.As4()},
			})
		}
	}
	return reply.Pack()
}
