package ssrf

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckAddrRefuses(t *testing.T) {
	t.Parallel()
	for rule, addrs := range map[string]string{
		"loopback":          "127.0.0.1 127.255.255.255 ::1",
		"private":           "10.0.0.0 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 fc00::1 fd00:ec2::254 fdff:ffff::1",
		"link-local":        "169.254.0.1 169.254.169.254 fe80::1 fe80::1%eth0 febf::1",
		"carrier-grade NAT": "100.64.0.0 100.127.255.255 100.100.100.200",
		"unspecified":       "0.0.0.0 0.1.2.3 ::",
		"multicast":         "224.0.0.1 239.255.255.255 ff02::1",
		"reserved":          "240.0.0.1 255.255.255.255",
		"documentation":     "192.0.2.1 198.51.100.7 203.0.113.9 2001:db8::1 3fff::1",
		"benchmarking":      "198.18.0.1 198.19.255.255 2001:2::1",
		"IETF protocol":     "192.0.0.192 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2",
		"6to4 relay":        "192.88.99.1",
		"platform service":  "168.63.129.16",
		"site-local":        "fec0::1",
		"discard":           "100::1",
		"IPv4-compatible":   "::127.0.0.1 ::8.8.8.8",
		"local NAT64":       "64:ff9b:1::1 64:ff9b:1::8.8.8.8",
		"global unicast":    "4000::1 5f00::1 1000::1 64:ff9b:2::8.8.8.8 ::ffff:0:8.8.8.8",
		"IPv4-mapped form":  "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe",
		"NAT64 form":        "64:ff9b::127.0.0.1 64:ff9b::192.168.1.1",
		"6to4 form":         "2002:7f00:1::1 2002:a00:1:: 2002:c0a8:101::5",
	} {
		for _, a := range strings.Fields(addrs) {
			addr := netip.MustParseAddr(a)
			err := CheckAddr(addr)
			blocked, ok := errors.AsType[*BlockedError](err)
			if !ok {
				t.Errorf("CheckAddr(%s) = %v, want a BlockedError", a, err)
				continue
			}
			if blocked.Addr != addr || !strings.Contains(blocked.Rule, rule) || !strings.Contains(err.Error(), addr.String()) {
				t.Errorf("CheckAddr(%s) = %v, want the rule %q", a, err, rule)
			}
		}
	}
	if err := CheckAddr(netip.Addr{}); err == nil {
		t.Error("the zero Addr passes")
	}
}

func TestCheckAddrAccepts(t *testing.T) {
	t.Parallel()
	for _, a := range strings.Fields(`8.8.8.8 1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0
		168.63.129.17 169.253.255.255 169.255.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
		126.255.255.255 128.0.0.0 1.0.0.0 2606:4700::1111 2a00:1450::1 2001:4860:4860::8888 2001:200::1
		::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1`) {
		if err := CheckAddr(netip.MustParseAddr(a)); err != nil {
			t.Errorf("CheckAddr(%s) = %v", a, err)
		}
	}
}

// Wrapped into IPv6, an IPv4 address is refused or accepted as by itself.
func TestCheckAddrJudgesEmbeddedIPv4(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], rapid.Uint32().Draw(t, "IPv4"))
		v4 := netip.AddrFrom4(b)
		var nat, to4 [16]byte
		copy(nat[:], []byte{0, 0x64, 0xff, 0x9b})
		copy(nat[12:], b[:])
		copy(to4[:], []byte{0x20, 0x02, b[0], b[1], b[2], b[3]})
		want := CheckAddr(v4) == nil
		for _, a := range []netip.Addr{netip.AddrFrom16(v4.As16()), netip.AddrFrom16(nat), netip.AddrFrom16(to4)} {
			if got := CheckAddr(a) == nil; got != want {
				t.Fatalf("accepted: %s %v, %s %v", v4, want, a, got)
			}
		}
	})
}

// The standard library's own idea of special addresses is a subset of ours.
func TestCheckAddrCoversNetip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b [16]byte
		copy(b[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		for _, a := range []netip.Addr{netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[:4]))} {
			isSpecial := a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
			if isSpecial && CheckAddr(a) == nil {
				t.Fatalf("%s passes", a)
			}
		}
	})
}
