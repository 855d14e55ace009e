package engine

import (
	"time"

	"postyard/internal/route"
)

// NoMore is after every pool.
const NoMore = 1<<31 - 1

// Look is where a claim begins to look at the flows of a lane and priority: behind a flow, and from there once round. A claim looks at few
// of them, for those that are held (paused, blocked, or without room) may be many and cost a look each; the next one goes on behind them.
type Look struct {
	Sub, Pool int32 // the flow behind which it begins
	Wrapped   bool  // the round has come to the last flow, and gone on with the first one
	Until     int32 // after this sub-account a wrapped round is complete
	done      bool  // a round was complete since the rounds began
}

// Looked is how far a claim has looked at the flows of a lane and priority without having found all that it wanted.
type Looked struct {
	Lane, Priority int
	Look
	Whole bool // nothing is left of the round
	Found bool // flows that may be served, but fewer than it wanted
}

// behind is a round that begins with the sub-account after one.
func behind(sub int32) Look { return Look{Sub: sub, Pool: NoMore, Until: sub} }

// Look returns where a claim begins to look at the flows of a lane and priority.
func (t *Turns) Look(e route.Egress, lane, priority int) Look {
	t.mu.Lock()
	defer t.mu.Unlock()
	if look, known := t.of(e).lanes[lane].looks[priority]; known {
		return look
	}
	return behind(-1)
}

// Looks returns where a claim begins to look, in the lanes and priorities that do not begin with the first flow.
func (t *Turns) Looks(e route.Egress) (known []Looked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, l := range t.of(e).lanes {
		for priority, look := range l.looks {
			known = append(known, Looked{Lane: id, Priority: priority, Look: look})
		}
	}
	return known
}

// Looked notes how far a claim has looked, which flows it has taken messages of, and when a limit lets go what waits for it (zero: nothing
// waits for one). more tells whether flows are left at which no claim has looked since one took a message; when they have all been
// looked at in vain, it is not said again, and the rounds begin anew. earliest is the first of the times that those claims told.
func (t *Turns) Looked(e route.Egress, looked []Looked, taken []Flow, now, free time.Time) (more bool, earliest time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn := t.of(e)
	type place struct{ lane, priority int }
	served := map[place]*Flow{} // the last one
	for i := range taken {
		served[place{taken[i].Lane, taken[i].Priority}] = &taken[i]
	}
	for at, f := range served { // each priority has turns of its own: others are served by the same claims
		turn.looksOf(at.lane)[at.priority] = behind(f.SubAccount)
	}
	for _, at := range looked {
		looks := turn.looksOf(at.Lane)
		if f := served[place{at.Lane, at.Priority}]; f != nil {
			if !at.Whole && at.Sub == f.SubAccount { // perhaps it has more pools than were looked at: they go on
				looks[at.Priority] = Look{Sub: at.Sub, Pool: at.Pool, Until: at.Sub}
			}
			continue
		}
		if at.Found { // there was no room in the lane, or others went first: they have their turn still
			continue
		}
		at.done = looks[at.Priority].done
		if at.Whole {
			at.Look = behind(at.Until)
			at.done = true
		}
		more = more || !at.done
		looks[at.Priority] = at.Look
	}
	if free.IsZero() || turn.free.After(now) && turn.free.Before(free) {
		free = turn.free
	}
	if turn.free = free; more && len(taken) == 0 {
		return more, free
	}
	turn.free = time.Time{}
	for _, l := range turn.lanes {
		for priority, look := range l.looks {
			l.looks[priority] = Look{Sub: look.Sub, Pool: look.Pool, Until: look.Sub}
		}
	}
	return more, free
}

// looksOf returns the looks of a lane, of which there are as many as it has had priorities.
func (t *turn) looksOf(lane int) map[int]Look {
	l := t.lanes[lane]
	if l.looks == nil {
		l.looks = map[int]Look{}
		t.lanes[lane] = l
	}
	return l.looks
}
