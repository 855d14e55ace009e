package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"postyard/internal/peer"
)

// clocked is a throttle whose time stands still until it is moved.
func clocked(perSecond int) (t *throttle, pass func(time.Duration)) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	return newThrottle(perSecond, func() time.Time { return now }), func(d time.Duration) { now = now.Add(d) }
}

// admitted counts how many of n requests are let in.
func (t *throttle) admitted(owner keyOwner, n int) (in int) {
	for range n {
		if t.admit(owner) == nil {
			in++
		}
	}
	return in
}

func TestRateOfAKey(t *testing.T) {
	t.Parallel()
	limited, pass := clocked(5)
	one, other := keyOwner{subAccountKey, 1}, keyOwner{accountKey, 1}
	if n := limited.admitted(one, 20); n != 5 {
		t.Errorf("%d at once, want 5", n)
	}
	if n := limited.admitted(other, 20); n != 5 {
		t.Errorf("%d of another key", n)
	}
	pass(400 * time.Millisecond)
	if n := limited.admitted(one, 20); n != 2 {
		t.Errorf("%d after 0.4 s, want 2", n)
	}
	pass(time.Hour)
	if n := limited.admitted(one, 20); n != 5 {
		t.Errorf("%d after an hour, want 5", n)
	}
	pass(time.Second) // what the refusal asks for
	if p := problemOf(limited.admit(one)); p != &internalError {
		t.Errorf("after a second: %v", p)
	}
	free, _ := clocked(0)
	if n := free.admitted(one, 100_000); n != 100_000 {
		t.Errorf("%d without a limit", n)
	}
}

func comingFrom(addr string) netip.Addr {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = addr
	return peer.Proxies(nil).Of(r)
}

func TestWrongKeysOfAnAddress(t *testing.T) {
	t.Parallel()
	limited, pass := clocked(0)
	tried := func(n int, addr string) (in int) {
		for i := range n {
			if limited.wrongKey(comingFrom(fmt.Sprintf(addr, i%1000)), accountKey) == nil {
				in++
			}
		}
		return in
	}
	const all = 2 * wrongKeysAtOnce
	for _, addr := range []string{"192.0.2.1:%d", "[::ffff:192.0.2.2]:%d", "[2001:db8::%x]:80", "nowhere%.0d"} {
		if n := tried(all, addr); n != wrongKeysAtOnce {
			t.Errorf("%s: %d, want %d", addr, n, wrongKeysAtOnce)
		}
	}
	if n := tried(1, "192.0.2.2:%d"); n != 0 {
		t.Error("an IPv4 address within IPv6 is another one")
	}
	if n := tried(1, "[2001:db8:0:1::%x]:80"); n != 1 {
		t.Error("the next network is the same one")
	}
	pass(time.Second)
	if n := tried(all, "192.0.2.1:%d"); n != wrongKeysPerSecond {
		t.Errorf("%d in the next second", n)
	}
}

// However many addresses come, only so many are remembered, and the one that always comes is.
func TestAddressesAreForgotten(t *testing.T) {
	t.Parallel()
	limited, _ := clocked(0)
	for i := range 10 * generation {
		_ = limited.wrongKey(comingFrom(fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255)), accountKey) // each comes once
		if i%10 == 0 {
			_ = limited.wrongKey(comingFrom("192.0.2.1:80"), accountKey)
		}
	}
	if n := len(limited.addresses.young) + len(limited.addresses.old); n > 2*generation {
		t.Errorf("%d are remembered", n)
	}
	if limited.wrongKey(comingFrom("192.0.2.1:80"), accountKey) == nil {
		t.Error("the one that always comes was forgotten")
	}
}

// The refusals as clients see them, in every form.
func TestRateLimited(t *testing.T) {
	t.Parallel()
	const perSecond = 20
	limits, pass := clocked(perSecond) // however long a request takes
	var config Config
	w := rawWorldWith(t, func(c *Config) { config = *c })
	server := httptest.NewServer(newServer(config, limits))
	t.Cleanup(server.Close)
	w.url = server.URL
	refused := func(send func() answer) answer {
		t.Helper()
		a := send()
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("status %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
		}
		return a
	}
	sends := func() answer { return w.asSub("POST", sendPath, `{}`) }
	lists := func() answer { return w.asAccount("GET", "/api/v1/account/tpsp", nil) }
	for _, send := range []func() answer{sends, lists} {
		for range perSecond {
			if a := send(); a.status == http.StatusTooManyRequests {
				t.Fatalf("refused within the limit: %s", a.body)
			}
		}
	}
	refused(sends).refused(http.StatusTooManyRequests, "rate_limited", "X-SubAccount-ApiKey")
	refused(func() answer { return w.sendGrid(`{}`) }).refusedAsSendGrid(http.StatusTooManyRequests, "X-SubAccount-ApiKey")
	refused(func() answer { return w.asSub("POST", sesV2Path, `{}`) }).refusedAsSES(http.StatusTooManyRequests, "TooManyRequestsException", "X-SubAccount-ApiKey")
	refused(lists).refused(http.StatusTooManyRequests, "rate_limited", "X-Account-ApiKey")
	pass(time.Second)

	guess := func() answer {
		return w.call("GET", "/api/v1/account/tpsp", map[string]string{"X-Account-ApiKey": "nobody's"}, nil)
	}
	guess().refused(http.StatusUnauthorized, "invalid_api_key", "X-Account-ApiKey")
	for range wrongKeysAtOnce - 1 {
		if err := limits.wrongKey(comingFrom("127.0.0.1:80"), accountKey); err != nil {
			t.Fatal(err)
		}
	}
	refused(guess).refused(http.StatusTooManyRequests, "rate_limited", "X-Account-ApiKey")
	if a := lists(); a.status != http.StatusOK { // right keys still work
		t.Errorf("%d: %s", a.status, a.body)
	}
}
