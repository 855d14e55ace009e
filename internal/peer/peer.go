// Package peer tells whom a request comes from.
//
// The package must import nothing of ours.
package peer

import (
	"net/http"
	"net/netip"
	"strings"
)

// Nobody believes no proxy.
func Nobody(netip.Addr) bool { return false }

// Of is where a request comes from: the address of its peer, or, when the peer is one that believed names a proxy, what that says, in the last
// part of X-Forwarded-For, which is the part that no client writes. It is not valid when it is not known.
func Of(r *http.Request, believed func(netip.Addr) bool) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := plain(from.Addr())
	if said := r.Header.Values("X-Forwarded-For"); len(said) > 0 && believed(addr) {
		parts := strings.Split(said[len(said)-1], ",")
		if client, err := netip.ParseAddr(strings.TrimSpace(parts[len(parts)-1])); err == nil {
			addr = plain(client)
		}
	}
	return addr
}

// Text is an address as it is stored and shown, "" when it is not known.
func Text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
