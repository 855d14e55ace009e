package peer

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestOf(t *testing.T) {
	t.Parallel()
	edge := Standing("https://post.example.com").And(Proxies{netip.MustParsePrefix("192.0.2.0/28"), netip.MustParsePrefix("2001:db8:f::/48")})
	for _, c := range []struct {
		proxies   Proxies
		remote    string
		forwarded []string
		want      string
		customer  string
	}{
		{nil, "198.51.100.1:1", nil, "198.51.100.1", "198.51.100.1/32"},
		{nil, "[::ffff:198.51.100.1]:1", nil, "198.51.100.1", "198.51.100.1/32"},
		{nil, "[2001:db8:1:2:3::4]:1", nil, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"},
		{nil, "[fe80::1%eth0]:1", nil, "fe80::1", "fe80::/64"},
		{nil, "127.0.0.1:1", []string{"203.0.113.1"}, "127.0.0.1", "127.0.0.1/32"},
		{edge, "198.51.100.1:1", []string{"203.0.113.1"}, "198.51.100.1", "198.51.100.1/32"}, // anybody can say so
		{edge, "127.0.0.1:1", []string{"203.0.113.1"}, "203.0.113.1", "203.0.113.1/32"},
		{edge, "[::ffff:127.0.0.1]:1", []string{"::ffff:203.0.113.1"}, "203.0.113.1", "203.0.113.1/32"},
		{edge, "127.0.0.1:1", []string{"10.0.0.1", "1.2.3.4, 203.0.113.1"}, "203.0.113.1", "203.0.113.1/32"},
		{edge, "127.0.0.1:1", []string{"1.2.3.4, 203.0.113.1", "192.0.2.3"}, "203.0.113.1", "203.0.113.1/32"}, // a proxy in front of the proxy
		{edge, "[2001:db8:f::1]:1", []string{"1.2.3.4, 203.0.113.1,192.0.2.3 , 127.0.0.1"}, "203.0.113.1", "203.0.113.1/32"},
		{edge, "127.0.0.1:1", []string{"192.0.2.3"}, "192.0.2.3", "192.0.2.3/32"}, // the proxy itself
		{edge, "127.0.0.1:1", []string{"203.0.113.1:4711"}, "203.0.113.1", "203.0.113.1/32"},
		{edge, "127.0.0.1:1", []string{"[2001:db8::7]:4711"}, "2001:db8::7", "2001:db8::/64"},
		{edge, "127.0.0.1:1", []string{"1.2.3.4, nonsense"}, "127.0.0.1", "127.0.0.1/32"},
		{edge, "127.0.0.1:1", []string{""}, "127.0.0.1", "127.0.0.1/32"},
		{edge, "127.0.0.1:1", []string{"1.2.3.4, "}, "127.0.0.1", "127.0.0.1/32"},
		{edge, "[::1]:1", []string{"nonsense"}, "::1", "::/64"},
		{edge, "pipe", []string{"203.0.113.1"}, "", "invalid Prefix"},
		{Neighbours, "10.1.2.3:1", []string{"203.0.113.1"}, "203.0.113.1", "203.0.113.1/32"},
		{Neighbours, "192.0.2.3:1", []string{"203.0.113.1"}, "192.0.2.3", "192.0.2.3/32"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = c.remote
		r.Header["X-Forwarded-For"] = c.forwarded
		got := c.proxies.Of(r)
		if Text(got) != c.want || Customer(got).String() != c.customer {
			t.Errorf("%s %v: %q, %s", c.remote, c.forwarded, Text(got), Customer(got))
		}
	}
}

// A proxy on this machine is believed where the public URL says that there is one.
func TestStanding(t *testing.T) {
	t.Parallel()
	here := netip.MustParseAddr("127.0.0.1")
	for url, want := range map[string]bool{"http://127.0.0.1:8025": false, "http://[::1]:8025": false, "http://localhost:8025": false, "": false, "://": false,
		"https://post.example.com": true, "http://192.0.2.1:8025": true} {
		if got := Standing(url).have(here); got != want {
			t.Errorf("%s: %t", url, got)
		}
	}
	if a, b := Standing("https://x.example").And(Neighbours), Standing("https://x.example").And(nil); len(a) != 8 || len(b) != 2 {
		t.Errorf("%v, %v", a, b)
	}
}
