package ssrf

import (
	"fmt"
	"net/netip"
)

// BlockedError reports an address that requests may not go to. It reaches the caller of an [http.Client] wrapped in a
// *url.Error and a *net.OpError: use errors.As.
type BlockedError struct {
	Addr netip.Addr // as resolved; not the IPv4 address inside it
	Rule string     // what Addr is, such as "private (RFC 1918)"
}

func (e *BlockedError) Error() string {
	return fmt.Sprintf("address %s is not allowed: %s", e.Addr, e.Rule)
}

// CheckAddr returns a *[BlockedError] unless addr is an ordinary public unicast address. An IPv6 address that carries
// an IPv4 address (IPv4-mapped, NAT64, 6to4) is judged by that one, because that is where the packets go.
func CheckAddr(addr netip.Addr) error {
	if rule := refusal(addr.WithZone("")); rule != "" {
		return &BlockedError{Addr: addr, Rule: rule}
	}
	return nil
}

// refusal returns why addr, which has no zone, is refused, or "".
func refusal(addr netip.Addr) string {
	if !addr.IsValid() {
		return "not an IP address"
	}
	if v4, carrier, ok := embeddedIPv4(addr); ok {
		if rule := refusal(v4); rule != "" {
			return fmt.Sprintf("%s of %s, %s", carrier, v4, rule)
		}
		return ""
	}
	for _, s := range special {
		if s.prefix.Contains(addr) {
			return s.rule
		}
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return "outside IPv6 global unicast (RFC 4291)"
	}
	return ""
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour     = netip.MustParsePrefix("2002::/16")
)

// embeddedIPv4 returns the IPv4 address that addr carries and the name of the way in which it does.
func embeddedIPv4(addr netip.Addr) (v4 netip.Addr, carrier string, ok bool) {
	b := addr.As16()
	switch {
	case addr.Is4In6():
		return addr.Unmap(), "IPv4-mapped form (RFC 4291)", true
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:])), "NAT64 form (RFC 6052)", true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), "6to4 form (RFC 3056)", true
	}
	return netip.Addr{}, "", false
}

// special lists the ranges that are refused, from the IANA special-purpose address registries for IPv4 and IPv6. All of
// IPv6 outside 2000::/3 is refused anyway; what is listed of it has a name that helps.
var special = []struct {
	prefix netip.Prefix
	rule   string
}{
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback (RFC 1122)"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private (RFC 1918)"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private (RFC 1918)"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private (RFC 1918)"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local (RFC 3927)"}, // cloud metadata: 169.254.169.254
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT (RFC 6598)"},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified or this network (RFC 791)"},
	{netip.MustParsePrefix("192.0.0.0/24"), "IETF protocol assignments (RFC 6890)"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation (RFC 5737)"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation (RFC 5737)"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation (RFC 5737)"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay (RFC 7526)"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking (RFC 2544)"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast (RFC 5771)"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved or broadcast (RFC 1112)"},
	// A public address by its number, but every machine in Azure reaches its host's agent there.
	{netip.MustParsePrefix("168.63.129.16/32"), "platform service of a cloud"},

	{netip.MustParsePrefix("::1/128"), "loopback (RFC 4291)"},
	{netip.MustParsePrefix("::/128"), "unspecified (RFC 4291)"},
	{netip.MustParsePrefix("::/96"), "IPv4-compatible (RFC 4291)"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64 (RFC 8215)"},
	{netip.MustParsePrefix("100::/64"), "discard (RFC 6666)"},
	{netip.MustParsePrefix("fc00::/7"), "private (RFC 4193)"},
	{netip.MustParsePrefix("fe80::/10"), "link-local (RFC 4291)"},
	{netip.MustParsePrefix("fec0::/10"), "site-local (RFC 3879)"},
	{netip.MustParsePrefix("ff00::/8"), "multicast (RFC 4291)"},
	{netip.MustParsePrefix("2001::/23"), "IETF protocol assignments, Teredo, benchmarking (RFC 2928)"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation (RFC 3849)"},
	{netip.MustParsePrefix("3fff::/20"), "documentation (RFC 9637)"},
}
