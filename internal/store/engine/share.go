package engine

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"postyard/internal/route"
)

// Flow is the ready messages of one sub-account and pool in a lane.
type Flow struct {
	Lane       int // mailbox.Class.ID
	Priority   int // as stored: the lower goes first
	SubAccount int32
	Pool       int32
	Chain      []int32 // the sub-account and those above it, itself first
	Ready      int     // how many there are, counted up to what may be claimed
	Share      int     // how many to take
}

// Lane is the flows of one lane, in the order in which they are to be served.
type Lane struct {
	ID    int
	Room  int // how many messages its limit lets go
	Flows []Flow

	pools map[sender]int32 // the pool that was served last: the pools of a sub-account take turns as well
}

// sender is a sub-account in a priority of a lane.
type sender struct {
	priority   int
	subAccount int32
}

// Deal sets the share of every flow, total messages at most. The lanes get equal parts, as far as they have messages and room
// for them. Within a lane the flows of one priority are served before those of the next; there the sub-accounts get equal
// parts, and within a sub-account its pools. What is left over of a division goes to the first ones. The flows are put into the order
// in which they are served.
func Deal(lanes []Lane, total int) {
	caps := make([]int, len(lanes))
	for i := range lanes {
		for _, f := range lanes[i].Flows {
			caps[i] += f.Ready
		}
		caps[i] = min(caps[i], lanes[i].Room)
	}
	for i, part := range divide(total, caps) {
		lanes[i].deal(part)
	}
}

func (l *Lane) deal(total int) {
	slices.SortStableFunc(l.Flows, func(a, b Flow) int { return cmp.Compare(a.Priority, b.Priority) })
	for rest := l.Flows; len(rest) > 0 && total > 0; {
		n := 1
		for n < len(rest) && rest[n].Priority == rest[0].Priority {
			n++
		}
		total -= dealEqually(rest[:n], total, l.pools)
		rest = rest[n:]
	}
}

// dealEqually divides over the sub-accounts of flows, all of one priority, and returns how much it gave.
func dealEqually(flows []Flow, total int, last map[sender]int32) (given int) {
	var order []int32
	of := map[int32][]Flow{}
	for _, f := range flows {
		if of[f.SubAccount] == nil {
			order = append(order, f.SubAccount)
		}
		of[f.SubAccount] = append(of[f.SubAccount], f)
	}
	caps := make([]int, len(order))
	for i, sub := range order {
		for _, f := range of[sub] {
			caps[i] += f.Ready
		}
	}
	rest := flows
	for i, part := range divide(total, caps) {
		given += part
		pools := of[order[i]]
		start := max(slices.IndexFunc(pools, func(f Flow) bool { return f.Pool > last[sender{f.Priority, f.SubAccount}] }), 0)
		pools = slices.Concat(pools[start:], pools[:start])
		for k, share := range divide(part, ready(pools)) {
			pools[k].Share = share
		}
		rest = rest[copy(rest, pools):]
	}
	return given
}

func ready(flows []Flow) []int {
	caps := make([]int, len(flows))
	for i, f := range flows {
		caps[i] = f.Ready
	}
	return caps
}

// divide gives everyone an equal part of a total, but nobody more than its cap; what one does not need goes to the others.
func divide(total int, caps []int) []int {
	parts := make([]int, len(caps))
	for total > 0 {
		var hungry []int
		for i := range caps {
			if parts[i] < caps[i] {
				hungry = append(hungry, i)
			}
		}
		if len(hungry) == 0 {
			break
		}
		each := total / len(hungry)
		if each == 0 { // what cannot be divided
			hungry, each = hungry[:total], 1
		}
		for _, i := range hungry {
			part := min(each, caps[i]-parts[i])
			parts[i] += part
			total -= part
		}
	}
	return parts
}

// Turns remembers who was served last, so that everybody has a turn when there is not enough for all. It is for fairness only:
// what it forgets with the process does no harm.
type Turns struct {
	mu   sync.Mutex
	last map[route.Egress]*turn
}

// turn is that of an egress: the lane that was served last, and the turns in each lane.
type turn struct {
	lane  int
	lanes map[int]laneTurn
	free  time.Time // see Looked
}

type laneTurn struct {
	pools map[sender]int32 // the last ones
	looks map[int]Look     // by priority: behind the sub-account that was served last, unless a look went on from there
}

// mostRemembered bounds of how many sub-accounts a lane remembers the pool that was served last.
const mostRemembered = 1000

func (t *Turns) of(e route.Egress) *turn {
	if t.last == nil {
		t.last = map[route.Egress]*turn{}
	}
	if t.last[e] == nil {
		t.last[e] = &turn{lane: -1, lanes: map[int]laneTurn{}}
	}
	return t.last[e]
}

// Order puts lanes into the order of their turns: those after the one that was served last come first.
func (t *Turns) Order(e route.Egress, lanes []int) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.of(e).lane
	slices.Sort(lanes)
	i, _ := slices.BinarySearch(lanes, last+1)
	return slices.Concat(lanes[i:], lanes[:i])
}

// Deal deals by the turns, see [Deal], as far as the senders' limits go, and notes which lanes and pools were served: the next turn begins
// after the last one in line that got something. Of sub-accounts [Turns.Looked] notes it.
func (t *Turns) Deal(e route.Egress, lanes []Lane, total int, s *Senders) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn := t.of(e)
	for i := range lanes {
		lanes[i].pools = turn.lanes[lanes[i].ID].pools
	}
	Deal(lanes, total)
	s.cut(lanes)
	for i := range lanes {
		if turn.serve(&lanes[i]) {
			turn.lane = lanes[i].ID
		}
	}
}

// serve notes what was dealt in a lane, and tells whether anything was.
func (t *turn) serve(lane *Lane) (served bool) {
	l := t.lanes[lane.ID]
	for _, f := range lane.Flows {
		if f.Share == 0 {
			continue
		}
		if l.pools == nil || len(l.pools) >= mostRemembered {
			l.pools = map[sender]int32{}
		}
		l.pools[sender{f.Priority, f.SubAccount}] = f.Pool
		served = true
	}
	if served {
		t.lanes[lane.ID] = l
	}
	return served
}
