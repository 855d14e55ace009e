package app

import (
	"bytes"
	"io"
	"testing"
	"time"

	"postyard/internal/route"
)

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

// The outage of a large provider on 2024-09-16 lasted for 9 h 40 min.
const longOutage = 9*time.Hour + 40*time.Minute

// firstThenSecond sends everything through the first provider; the others are for fallback.
func firstThenSecond(houses []*house) string {
	return `{"` + houses[0].tpsp.Egress().String() + `":"100","` + houses[1].tpsp.Egress().String() + `":"0"}`
}

// TestLongOutage replays an outage of many hours of the first provider, which refuses connections or takes them and says
// nothing. The other one carries the mail meanwhile, nothing is lost or doubled, and the first is used again when it is back.
func TestLongOutage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ begin, end func(*yard, *house) }{
		"refusing": {
			func(_ *yard, h *house) { h.refuses.Store(true); h.listener.cut() },
			func(_ *yard, h *house) { h.refuses.Store(false) },
		},
		"hanging": {
			func(y *yard, h *house) { h.faults(y, fault{"kind": "hang", "path": "/"}) },
			func(y *yard, h *house) { h.faults(y) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newYard(t, 2, route.Volume, firstThenSecond, nil, func(y *yard) {
				first := y.houses[0]
				flow := func(length time.Duration) {
					for end := time.Now().Add(length); time.Now().Before(end); {
						y.send(40)
						<-time.After(10 * time.Minute)
					}
				}
				flow(10 * time.Minute)
				test.begin(y, first)
				began := time.Now()
				y.send(1)
				<-time.After(10 * time.Second)
				if h := y.health(first); !h.Stopped || h.Since.Sub(began) > 10*time.Second {
					t.Errorf("health %+v, 10 s after the outage began at %s", h, began)
				}
				flow(longOutage - 10*time.Second)
				test.end(y, first)
				over := time.Now()
				for range 16 {
					y.send(1)
					<-time.After(4 * time.Second)
				}
				<-time.After(20 * time.Minute) // what was in doubt is settled
				found := y.arrivals()
				y.wantEachOnce(found)
				y.check(found, began, over)
			})
		})
	}
}

// check looks at the times of an outage of the first provider.
func (y *yard) check(found map[string][]arrival, began, over time.Time) {
	during, late, back := 0, 0, time.Time{}
	for id, submitted := range y.accepted {
		if len(found[id]) != 1 {
			continue
		}
		a := found[id][0]
		if !submitted.Before(began) && submitted.Before(over) {
			during++
			if a.house != 1 || a.at.Sub(submitted) > time.Minute {
				late++
			}
		}
		if a.house == 0 && a.at.After(over) && (back.IsZero() || a.at.Before(back)) {
			back = a.at
		}
	}
	if during < 1000 || late*1000 > during {
		y.Errorf("%d of %d messages were not sent by the other provider within a minute", late, during)
	}
	if back.IsZero() || back.Sub(over) > time.Minute+4*time.Second { // mail comes every four seconds
		y.Errorf("the first provider was used again after %s", back.Sub(over))
	}
	y.Logf("%d messages during the outage, %d of them late; back after %s", during, late, back.Sub(over))
}

// TestBadTimes has the first provider come and go, or refuse half of the calls. Nothing is lost, doubled or late.
func TestBadTimes(t *testing.T) {
	t.Parallel()
	for name, minute := range map[string]func(*yard, *house, int){
		"flapping": func(_ *yard, h *house, i int) {
			if h.refuses.Store(i%2 == 0); i%2 == 0 {
				h.listener.cut()
			}
		},
		"half of the calls fail": func(y *yard, h *house, _ int) {
			h.faults(y, fault{"kind": "status", "status": 503, "path": "/email", "probability": 0.5})
		},
		"half of the answers are lost": func(y *yard, h *house, _ int) {
			h.faults(y, fault{"kind": "reset_after", "path": "/email", "probability": 0.5})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newYard(t, 2, route.RoundRobin, nil, nil, func(y *yard) {
				for i := range 20 {
					minute(y, y.houses[0], i)
					for range 3 {
						y.send(10)
						<-time.After(10 * time.Second)
					}
				}
				y.houses[0].refuses.Store(false)
				y.houses[0].faults(y)
				<-time.After(20 * time.Minute)
				found := y.arrivals()
				y.wantEachOnce(found)
				late := 0
				for id, submitted := range y.accepted {
					if len(found[id]) == 1 && found[id][0].at.Sub(submitted) > time.Minute {
						late++
					}
				}
				if late > 0 {
					t.Errorf("%d of %d messages left after more than a minute", late, len(y.accepted))
				}
			})
		})
	}
}
