// Package peer tells whom a request comes from.
//
// It comes from its peer, the other end of the connection. When that is a reverse proxy that is believed, it comes from whom the proxy names in
// X-Forwarded-For. Which proxies are believed is decided once, by the option trusted-proxies or by [Standing], and holds for the sessions of members, the
// audit log, and the limits of wrong passwords and keys. Tracking believes [Neighbours] as well, because nothing hangs on what it is told: an
// address that a visitor made up is only shown with their own open or click, and an operator who names no proxy still learns where mail is read.
//
// The package must import nothing of ours.
package peer

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Proxies are the networks of reverse proxies that are believed. None believes nobody.
type Proxies []netip.Prefix

var loopback = Proxies{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// Neighbours are this machine and private networks.
var Neighbours = append(Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("fc00::/7")}, loopback...)

// Standing are the proxies that are believed where none are named: those on this machine, if the public URL leads to another one, so that there has to be
// a proxy. Without one, each request could come from another address, if it were believed.
func Standing(publicURL string) Proxies {
	public, err := url.Parse(publicURL)
	if err != nil {
		return nil
	}
	addr, err := netip.ParseAddr(public.Hostname())
	if host := public.Hostname(); host == "" || host == "localhost" || err == nil && addr.IsLoopback() {
		return nil
	}
	return loopback
}

// And are the proxies of both.
func (p Proxies) And(others Proxies) Proxies { return append(p[:len(p):len(p)], others...) }

func (p Proxies) have(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// Of is where a request comes from: the address of its peer, or, when that is one of the proxies, the last one in X-Forwarded-For that is none of
// them. What stands before it is what clients may write. It is not valid when it is not known.
func (p Proxies) Of(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := plain(from.Addr())
	said := r.Header.Values("X-Forwarded-For")
	if len(said) == 0 || !p.have(addr) {
		return addr
	}
	for rest := strings.Join(said, ","); p.have(addr); {
		cut := strings.LastIndexByte(rest, ',')
		client, ok := parse(rest[cut+1:])
		if !ok {
			break
		}
		addr = client
		if cut < 0 {
			break
		}
		rest = rest[:cut]
	}
	return addr
}

// parse reads an address, which some proxies write with its port.
func parse(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		return plain(with.Addr()), err == nil
	}
	return plain(addr), true
}

// Customer is what attempts are counted by: an IPv4 address, or what one customer has of IPv6. It is not valid when the address is not.
func Customer(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	prefix, _ := a.Prefix(bits) // an address has as many bits
	return prefix
}

// Text is an address as it is stored and shown, "" when it is not known.
func Text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
