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

// Looked is how far a claim has looked at the flows of a lane and priority without having found what it wanted.
type Looked struct {
	Lane, Priority int
	Look
	Whole bool // nothing is left of the round
}

// fresh begins a round after the sub-account that was served last.
func (l laneTurn) fresh() Look { return Look{Sub: l.sub, Pool: NoMore, Until: l.sub} }

// Look returns where a claim begins to look at the flows of a lane and priority.
func (t *Turns) Look(e route.Egress, lane, priority int) Look {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of(e).lanes[lane]
	if look, known := l.looks[priority]; known {
		return look
	}
	return l.fresh()
}

// Looks returns where a claim begins to look: in the lanes and priorities where that is known, and for each lane where it begins in the
// other ones.
func (t *Turns) Looks(e route.Egress) (known, others []Looked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, l := range t.of(e).lanes {
		others = append(others, Looked{Lane: id, Look: l.fresh()})
		for priority, look := range l.looks {
			known = append(known, Looked{Lane: id, Priority: priority, Look: look})
		}
	}
	return known, others
}

// Looked notes how far a claim has looked, which flows it has taken messages of, and when a limit lets go what waits for it (zero: nothing
// waits for one). more tells whether flows are left at which no claim has looked since one took a message; when they have all been
// looked at in vain, it is not said again, and the rounds begin anew. earliest is the first of the times that those claims told.
func (t *Turns) Looked(e route.Egress, looked []Looked, taken []Flow, now, free time.Time) (more bool, earliest time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn := t.of(e)
	type place struct{ lane, priority int }
	served := map[place]bool{}
	for i := range taken { // the next round begins after the one that was served last
		served[place{taken[i].Lane, taken[i].Priority}] = true
		delete(turn.lanes[taken[i].Lane].looks, taken[i].Priority)
	}
	for _, at := range looked {
		if served[place{at.Lane, at.Priority}] {
			continue
		}
		l := turn.lanes[at.Lane]
		if l.looks == nil {
			l.looks = map[int]Look{}
		}
		at.done = l.looks[at.Priority].done
		if at.Whole {
			at.Look = l.fresh()
			at.done = true
		}
		more = more || !at.done
		l.looks[at.Priority] = at.Look
		turn.lanes[at.Lane] = l
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
