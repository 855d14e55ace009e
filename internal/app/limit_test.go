package app

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"postyard/internal/dispatch"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
)

// setLimits gives a provider its limits.
func (y *yard) setLimits(h *house, l limit.Limits) {
	y.Helper()
	h.tpsp.Limits = l
	y.must(y.db.UpdateTPSP(y.Context(), h.tpsp))
	y.must(y.dir.Reload(y.Context()))
	y.wake(h.tpsp.Egress())
}

// most returns the most arrivals in any window of this length.
func most(times []time.Time, window time.Duration) (n int) {
	slices.SortFunc(times, time.Time.Compare)
	for first, last := 0, 0; last < len(times); last++ {
		for !times[last].Before(times[first].Add(window)) {
			first++
		}
		n = max(n, last-first+1)
	}
	return n
}

// TestLimitsAtTheProvider lets two nodes send for some hours, while they are restarted and a provider has faults, and looks at what
// the providers saw: no 60 minutes with more than the limits, and hardly less than may be.
func TestLimitsAtTheProvider(t *testing.T) {
	t.Parallel()
	newYard(t, 2, route.RoundRobin, nil, func(c *dispatch.Config) { c.Poll = 5 * time.Minute }, func(y *yard) {
		const hours = 3
		limits := []limit.Limits{
			{PerHour: 200, Mailbox: map[mailbox.Class]int{mailbox.Gmail: 30, mailbox.Yahoo: 100}},
			{Mailbox: map[mailbox.Class]int{mailbox.Gmail: 80, mailbox.Microsoft: 5}},
		}
		for i, h := range y.houses {
			y.setLimits(h, limits[i])
		}
		for range 4 {
			y.send(1000)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for end := time.Now().Add(hours * time.Hour); time.Now().Before(end); {
			<-time.After(time.Duration(random.Int64N(int64(12 * time.Minute))))
			n := y.nodes[random.IntN(2)]
			n.stop()
			y.houses[0].faults(y)
			switch random.IntN(4) {
			case 0:
				y.houses[0].faults(y, fault{"kind": "reset_before", "path": "/email", "count": 3})
			case 1:
				y.houses[0].faults(y, fault{"kind": "status", "status": 503, "path": "/email", "count": 2})
			}
			y.start(n)
		}
		seen := map[string][]time.Time{}
		for _, list := range y.arrivals() {
			for _, a := range list {
				seen[fmt.Sprint(a.house)] = append(seen[fmt.Sprint(a.house)], a.at)
				lane := fmt.Sprint(a.house, " ", mailbox.ByDomain(mail.Domain(a.to)))
				seen[lane] = append(seen[lane], a.at)
			}
		}
		check := func(what string, perHour int) {
			t.Helper()
			times := seen[what]
			if n := most(times, time.Hour); n > perHour {
				t.Errorf("provider %s: %d messages within 60 minutes, the limit is %d", what, n, perHour)
			}
			if want := perHour * (hours - 1) * 95 / 100; len(times) < want {
				t.Errorf("provider %s: %d messages in %d hours, at %d an hour", what, len(times), hours, perHour)
			}
		}
		check("0", 200)
		for i, l := range limits {
			for _, class := range slices.Sorted(maps.Keys(l.Mailbox)) {
				if i == 0 && class == mailbox.Yahoo {
					continue // the provider's own limit is reached before
				}
				check(fmt.Sprint(i, " ", class), l.Mailbox[class])
			}
		}
		if n := len(seen["1 default"]); n != 500 {
			t.Errorf("%d messages left in a lane without a limit, of 500", n)
		}
	})
}
