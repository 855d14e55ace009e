// Package mxtest has a DNS server for tests that answers questions for MX records.
package mxtest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"postyard/internal/dns/dnstest"
)

// Zone answers for a domain, which is in lower case and without a dot at its end. It may be called concurrently.
type Zone func(domain string) ([]net.MX, dnsmessage.RCode)

// Serve runs a server on loopback until the test ends, and returns its address. It takes UDP, and TCP for answers of more
// than 512 bytes.
func Serve(t testing.TB, zone Zone) string {
	t.Helper()
	packets, listener := dnstest.Listen(t)
	var running sync.WaitGroup
	t.Cleanup(func() {
		_, _ = packets.Close(), listener.Close()
		running.Wait()
	})
	running.Go(func() { servePackets(t, packets, zone) })
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			serveStream(t, conn, zone)
		}
	})
	return packets.LocalAddr().String()
}

func servePackets(t testing.TB, conn net.PacketConn, zone Zone) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		if answer := reply(t, buf[:n], zone, 512); answer != nil {
			if _, err := conn.WriteTo(answer, from); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Errorf("DNS server: %v", err)
			}
		}
	}
}

// serveStream answers one question.
func serveStream(t testing.TB, conn net.Conn, zone Zone) {
	defer func() { _ = conn.Close() }()
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return // nobody asked
	}
	question := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, question); err != nil {
		t.Errorf("DNS server: %v", err)
		return
	}
	answer := reply(t, question, zone, 1<<16-1)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
		t.Errorf("DNS server: %v", err)
	}
}

// reply answers a question. An answer of more than limit bytes is replaced by the hint to ask by TCP.
func reply(t testing.TB, question []byte, zone Zone, limit int) []byte {
	var ask dnsmessage.Message
	if err := ask.Unpack(question); err != nil || len(ask.Questions) != 1 || ask.Questions[0].Type != dnsmessage.TypeMX {
		t.Errorf("DNS server: not a question for MX records: %v, %v", ask.Questions, err)
		return nil
	}
	q := ask.Questions[0]
	records, code := zone(strings.ToLower(strings.TrimSuffix(q.Name.String(), ".")))
	answer := dnsmessage.Message{Header: dnsmessage.Header{ID: ask.ID, Response: true, RecursionAvailable: true, RCode: code}, Questions: ask.Questions}
	for _, r := range records {
		answer.Answers = append(answer.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeMX, Class: dnsmessage.ClassINET, TTL: 300},
			Body:   &dnsmessage.MXResource{Pref: r.Pref, MX: dnsmessage.MustNewName(r.Host)},
		})
	}
	raw, err := answer.Pack()
	if err == nil && len(raw) > limit {
		answer.Answers, answer.Truncated = nil, true
		raw, err = answer.Pack()
	}
	if err != nil {
		t.Errorf("DNS server: %v", err)
	}
	return raw
}
