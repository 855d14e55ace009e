package engine

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
)

// HoldsKept is how long it is remembered when a limit held a lane: longer than any message may wait.
const HoldsKept = 60 * 24 * time.Hour

// HoldsJoin is how far apart two times in which a limit held a lane may be to be kept as one.
const HoldsJoin = time.Minute

// forgetEvery is how often what is not needed any more is removed.
const forgetEvery = time.Minute

// Forgot remembers when it was removed last.
type Forgot struct{ last atomic.Int64 }

// Again tells whether it is time to remove it again, and takes that as done.
func (f *Forgot) Again(now time.Time) bool { return f.After(now, forgetEvery) }

// After is Again with a time of its own.
func (f *Forgot) After(now time.Time, every time.Duration) bool {
	if now.Sub(Time(f.last.Load())).Abs() < every {
		return false
	}
	f.last.Store(Stamp(now))
	return true
}

// Old is a waiting message as [Holds.Due] looks at it.
type Old struct {
	ID        mail.ID
	Egress    route.Egress
	Lane      int
	Chain     []int32 // its sub-account, and those above it
	Submitted int64   // Stamp
	TTL       int64   // of its pool, in nanoseconds; 0 is the server's
	Waiting   string
}

// Holds are the times in which limits held lanes, and those of sub-accounts what stands under them. A message may have been moved from
// one egress to another meanwhile, so those of all egresses count for it: rather too long than too short.
type Holds struct {
	lanes  map[int][]hold
	subs   map[int32][]hold
	joined map[flowKey][]hold // those of a lane and a sub-account's chain together, made when the first message asks
}

type hold struct{ since, until int64 }

type flowKey struct {
	lane int
	sub  int32
}

// NewHolds returns holds of nothing.
func NewHolds() Holds { return Holds{map[int][]hold{}, map[int32][]hold{}, map[flowKey][]hold{}} }

// Add adds a time in which a lane was held.
func (h Holds) Add(lane int, since, until int64) {
	h.lanes[lane] = append(h.lanes[lane], hold{since, until})
}

// AddSub adds a time in which the limit of a sub-account was reached.
func (h Holds) AddSub(id int32, since, until int64) {
	h.subs[id] = append(h.subs[id], hold{since, until})
}

// Whose returns the sub-accounts whose holds count for old messages, and since when: what ended before no message has seen.
func Whose(old []Old) (subs []int32, since int64) {
	found := map[int32]bool{}
	since = math.MaxInt64
	for i := range old {
		since = min(since, old[i].Submitted)
		for _, id := range old[i].Chain {
			found[id] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), since
}

// of returns when a message was held, in order and apart from each other.
func (h Holds) of(m *Old) []hold {
	key := flowKey{m.Lane, m.Chain[0]}
	list, known := h.joined[key]
	if known {
		return list
	}
	all := slices.Clone(h.lanes[m.Lane])
	for _, id := range m.Chain {
		all = append(all, h.subs[id]...)
	}
	slices.SortFunc(all, func(a, b hold) int { return cmp.Compare(a.since, b.since) })
	for _, next := range all {
		if n := len(list); n > 0 && next.since <= list[n-1].until {
			list[n-1].until = max(list[n-1].until, next.until)
			continue
		}
		list = append(list, next)
	}
	h.joined[key] = list
	return list
}

// held returns for how long a message was held between two moments.
func (h Holds) held(m *Old, from, to int64) (n int64) {
	list := h.of(m)
	first, _ := slices.BinarySearchFunc(list, from, func(h hold, from int64) int { return cmp.Compare(h.until, from) })
	for _, hold := range list[first:] {
		n += max(min(hold.until, to)-max(hold.since, from), 0)
	}
	return n
}

// Drops returns what becomes of old messages whose time to live is over, and the last one of all of them.
func (h Holds) Drops(old []Old, e store.Expiry) (moves []store.Move, last mail.ID) {
	for i := range old {
		last = old[i].ID
		if move, due := h.Due(&old[i], e); due {
			moves = append(moves, move)
		}
	}
	return moves, last
}

// Due returns what becomes of a message whose time to live is over. ok is false when it is not.
func (h Holds) Due(m *Old, e store.Expiry) (move store.Move, ok bool) {
	ttl, now := int64(e.TTL), Stamp(e.Now)
	if m.TTL > 0 {
		ttl = m.TTL
	}
	if now-m.Submitted-h.held(m, m.Submitted, now) < ttl {
		return move, false
	}
	return store.Move{ID: m.ID, From: m.Egress, Drop: Expired(m.Waiting)}, true
}
