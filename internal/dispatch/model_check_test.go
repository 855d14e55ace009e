package dispatch

import (
	"maps"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// check looks at every message after each step.
func (w *world) check(t *rapid.T) {
	entries, err := w.db.Entries(w.ctx, w.account, mail.ID{}, 10_000)
	must(t, err)
	if len(entries) != len(w.ids) {
		t.Fatalf("%d messages are stored, %d were accepted", len(entries), len(w.ids))
	}
	w.pending = 0
	for _, e := range entries {
		if e.State.Pending() {
			w.pending++
		}
		checkState(t, &e)
		w.checkAttempts(t, &e)
		w.checkCopies(t, &e)
		if before, seen := w.states[e.ID]; seen && !reachable(before.State, e.State, w.back[e.ID] > 0) {
			t.Fatalf("%s went from %s to %s", e.ID, before.State, e.State)
		}
		w.states[e.ID] = e
	}
}

// checkState: a message is queued exactly while it is pending, and its events add up to its state.
func checkState(t *rapid.T, e *store.Entry) {
	if e.Queued != e.State.Pending() || e.Queued && e.Stored != lifecycle.Queued {
		t.Fatalf("%s is %s, stored %s, queued %t", e.ID, e.State, e.Stored, e.Queued)
	}
	sum, sent := e.Sum(), 0
	for _, ev := range e.Events {
		if ev.Type == 70 {
			sent++
		}
	}
	if sum != e.Stored || len(e.Events) == 0 || e.Events[0].Type != 69 || sent > 1 {
		t.Fatalf("%s is stored as %s, its events add up to %s: %+v", e.ID, e.Stored, sum, e.Events)
	}
}

// checkAttempts: one attempt is open exactly while a sender has the message, and it is the last one.
func (w *world) checkAttempts(t *rapid.T, e *store.Entry) {
	if len(e.Calls) != e.Attempts {
		t.Fatalf("%s: %d attempts, %d counted", e.ID, len(e.Calls), e.Attempts)
	}
	back := 0
	for i, c := range e.Calls {
		if c.Refused != provider.Accepted {
			back++
		}
		open := e.State == lifecycle.Sending && i == len(e.Calls)-1
		if c.N != i+1 || c.Finished.IsZero() != open {
			t.Fatalf("%s is %s, attempts %+v", e.ID, e.State, e.Calls)
		}
	}
	if back > w.back[e.ID] {
		t.Fatalf("%s: %d attempts were taken back, of %d", e.ID, back, w.back[e.ID])
	}
}

// checkCopies: no provider has a message twice that was not marked, and what is said to be sent is there.
func (w *world) checkCopies(t *rapid.T, e *store.Entry) {
	times, copies := 0, false
	for i := range w.houses {
		if p := w.houses[i].has[e.ID]; p != nil {
			times += p.times
			copies = copies || p.copies
		}
	}
	marked := w.resent[e.ID]
	switch {
	case times > 1 && !marked:
		t.Fatalf("%s, %s, was taken %d times without a mark: %+v", e.ID, e.State, times, e.Calls)
	case marked && e.Mark == store.MarkNone && times > 1:
		t.Fatalf("%s was taken %d times, and its mark is gone", e.ID, times)
	case e.State == lifecycle.Dropped && times > 0 && !copies && !marked:
		t.Fatalf("%s is dropped, and a provider has it: %+v", e.ID, e.Calls)
	case !e.State.Pending() && e.State != lifecycle.Dropped && times == 0 && e.Mark != store.MarkUnconfirmed:
		t.Fatalf("%s is %s, and no provider has it: %+v", e.ID, e.State, e.Calls)
	}
}

// reachable tells whether the table of states leads from one state to another; back tells that the message was taken back.
func reachable(from, to lifecycle.State, back bool) bool {
	seen := map[lifecycle.State]bool{from: true}
	for list := []lifecycle.State{from}; len(list) > 0; list = list[1:] {
		for trigger := lifecycle.Claim; trigger <= lifecycle.Bounce; trigger++ {
			next, moved := lifecycle.Next(list[0], trigger)
			if !moved || seen[next] || !back && list[0] == lifecycle.Sent && trigger == lifecycle.Requeue {
				continue
			}
			seen[next] = true
			list = append(list, next)
		}
	}
	return seen[to]
}

// checkCounters: the counters of every day are what its events add up to.
func (w *world) checkCounters(t *rapid.T) {
	for from := int64(0); ; {
		day, ok, err := w.db.NextDay(w.ctx, w.account, from)
		if must(t, err); !ok {
			return
		}
		from = day + 1
		want, upTo, err := w.db.Counted(w.ctx, w.account, day)
		must(t, err)
		got := map[store.Counter]int64{}
		for place, done := (store.TallyPlace{}), false; !done; {
			var part map[store.Counter]int64
			part, place, done, err = w.db.Tally(w.ctx, w.account, day, upTo, place, 100)
			must(t, err)
			for c, n := range maps.All(part) {
				got[c] += n
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("the counters of day %d (-counted +events):\n%s", day, diff)
		}
	}
}
