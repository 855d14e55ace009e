package engine

import (
	"time"

	"postyard/internal/limit"
	"postyard/internal/mailbox"
	"postyard/internal/store"
)

// WholeEgress stands where the limit or the permits of a lane have its mailbox provider.
const WholeEgress = -1

// Gate is what the limits of an egress let through in one claim: first the limits are told to it, then what is taken of them.
type Gate struct {
	claim  store.Claim
	limits map[int]int
	taken  map[int][]limit.Use
	full   []mailbox.Class
	free   time.Time
	holds  map[int]time.Time // until when, by lane
}

// NewGate returns the gate of a claim, without limits.
func NewGate(c store.Claim) *Gate {
	return &Gate{claim: c, limits: map[int]int{}, taken: map[int][]limit.Use{}}
}

// Limit sets the limit of a lane, or of [WholeEgress].
func (g *Gate) Limit(lane, perHour int) { g.limits[lane] = perHour }

// Limited returns what has a limit.
func (g *Gate) Limited() (lanes []int16) {
	for lane := range g.limits {
		lanes = append(lanes, int16(lane))
	}
	return lanes
}

// FirstSpan returns the first span of time that counts.
func (g *Gate) FirstSpan() int64 { return limit.First(g.claim.Now, g.length()) }

// length is how long the provider may take to see a message that is claimed.
func (g *Gate) length() time.Duration { return g.claim.LeaseUntil.Sub(g.claim.Now) }

// Taken tells how many permits were taken in a span; spans come in their order.
func (g *Gate) Taken(lane int, u limit.Use) { g.taken[lane] = append(g.taken[lane], u) }

// Room returns how many messages of a lane may go, or of [WholeEgress].
func (g *Gate) Room(lane int) int {
	room, _ := g.of(WholeEgress)
	if lane != WholeEgress {
		mine, _ := g.of(lane)
		room = min(room, mine)
	}
	return room
}

func (g *Gate) of(lane int) (room int, free time.Time) {
	perHour, limited := g.limits[lane]
	if !limited {
		return g.claim.Limit, time.Time{}
	}
	return limit.Room(perHour, g.taken[lane], g.claim.Now, g.length())
}

// Hold notes that messages of a lane without room wait.
func (g *Gate) Hold(lane int) {
	_, until := g.of(lane)
	if _, whole := g.of(WholeEgress); whole.After(until) {
		until = whole
	}
	if g.holds == nil {
		g.holds = map[int]time.Time{}
	}
	g.holds[lane] = until
	if g.free.IsZero() || until.Before(g.free) {
		g.free = until
	}
	if class, err := mailbox.ByID(lane); err == nil { // a lane of a newer version has no name here
		g.full = append(g.full, class)
	}
}

// Held returns the lanes in which messages wait for a permit, and when the first of them gets one.
func (g *Gate) Held() (full []mailbox.Class, free time.Time) { return g.full, g.free }

// Holds returns until when lanes have to wait.
func (g *Gate) Holds() map[int]time.Time { return g.holds }

// AddUse adds what was taken in a span, of a lane or of [WholeEgress].
func AddUse(p *store.Permits, lane int, u limit.Use) error {
	if lane == WholeEgress {
		p.Whole = append(p.Whole, u)
		return nil
	}
	class, err := mailbox.ByID(lane)
	if err != nil {
		return err
	}
	if p.Lanes == nil {
		p.Lanes = map[mailbox.Class][]limit.Use{}
	}
	p.Lanes[class] = append(p.Lanes[class], u)
	return nil
}
