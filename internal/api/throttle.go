package api

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"postyard/internal/peer"
)

// Wrong keys cost a look at the store, so of one address so many are looked up in a second, and so many at once. Right keys are not
// kept waiting by them.
const (
	wrongKeysPerSecond = 100
	wrongKeysAtOnce    = 1000
)

// throttle limits requests: of each key, and of each address that comes with keys that nobody has.
type throttle struct {
	perSecond int // of a key; 0: as many as there are
	now       func() time.Time

	mu        sync.Mutex
	keys      map[keyOwner]*rate.Limiter // of keys that there are, so they cannot become many
	addresses recentAddresses
}

// keyOwner is whose key it is: sub-accounts and accounts are numbered apart.
type keyOwner struct {
	kind auth
	id   int32
}

func newThrottle(perSecond int, now func() time.Time) *throttle {
	return &throttle{perSecond: perSecond, now: now, keys: map[keyOwner]*rate.Limiter{}}
}

// admit counts a request of a key, or refuses it.
func (t *throttle) admit(owner keyOwner) error {
	if t.perSecond == 0 {
		return nil
	}
	t.mu.Lock()
	limiter := t.keys[owner]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Limit(t.perSecond), t.perSecond)
		t.keys[owner] = limiter
	}
	t.mu.Unlock()
	if limiter.AllowN(t.now(), 1) {
		return nil
	}
	return rateLimited(string(owner.kind), "there are more requests with this key than the server takes in a second")
}

// wrongKey counts a key that nobody is known to have, by where it comes from, or refuses to look it up.
func (t *throttle) wrongKey(from netip.Addr, header auth) error {
	t.mu.Lock()
	limiter := t.addresses.of(peer.Customer(from))
	t.mu.Unlock()
	if limiter.AllowN(t.now(), 1) {
		return nil
	}
	return rateLimited(string(header), "too many requests with wrong keys come from this address")
}

// rateLimited asks the client to come again: every limit lets at least one request in within a second.
func rateLimited(field, message string) *problem {
	return &problem{status: http.StatusTooManyRequests, retryAfter: time.Second, Code: "rate_limited", Message: message, Field: field}
}

// recentAddresses remembers the addresses that came last. Those that did not come while many others did are forgotten.
type recentAddresses struct {
	young, old map[netip.Prefix]*rate.Limiter
}

// generation is how many addresses are remembered at least, and half of how many at most.
const generation = 4096

func (a *recentAddresses) of(from netip.Prefix) *rate.Limiter {
	if known := a.young[from]; known != nil {
		return known
	}
	limiter := a.old[from]
	if limiter == nil {
		limiter = rate.NewLimiter(wrongKeysPerSecond, wrongKeysAtOnce)
	}
	if len(a.young) == generation || a.young == nil {
		a.young, a.old = make(map[netip.Prefix]*rate.Limiter), a.young
	}
	a.young[from] = limiter
	return limiter
}
