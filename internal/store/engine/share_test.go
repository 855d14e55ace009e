package engine

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawLanes(t *rapid.T) []Lane {
	var lanes []Lane
	for id := range rapid.IntRange(0, 5).Draw(t, "lanes") {
		l := Lane{ID: id, Room: rapid.SampledFrom([]int{0, 1, 7, 1000}).Draw(t, "room")}
		for range rapid.IntRange(0, 6).Draw(t, "flows") {
			l.Flows = append(l.Flows, Flow{Lane: id, Priority: rapid.IntRange(-1, 1).Draw(t, "priority"), SubAccount: rapid.Int32Range(1, 4).Draw(t, "sub"),
				Pool: rapid.Int32().Draw(t, "pool"), Ready: rapid.SampledFrom([]int{1, 2, 50, 1000}).Draw(t, "ready")})
		}
		lanes = append(lanes, l)
	}
	return lanes
}

// What is dealt is all that may be, and never more: of the total, of a lane's room, of what is there.
func TestDealGivesAllThatMayBe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lanes, total := drawLanes(t), rapid.IntRange(0, 300).Draw(t, "total")
		Deal(lanes, total)
		given, could := 0, 0
		for _, l := range lanes {
			mine, ready := 0, 0
			for _, f := range l.Flows {
				if f.Share < 0 || f.Share > f.Ready {
					t.Fatalf("share %d of %d", f.Share, f.Ready)
				}
				mine, ready = mine+f.Share, ready+f.Ready
			}
			if mine > l.Room {
				t.Fatalf("%d dealt in a lane with room for %d", mine, l.Room)
			}
			given, could = given+mine, could+min(ready, l.Room)
		}
		if given != min(total, could) {
			t.Fatalf("%d dealt, of %d that may be", given, min(total, could))
		}
	})
}

// Nobody gets more than another one who is left wanting: neither lanes, nor the sub-accounts of one priority. A lower priority
// gets something only when the higher ones have all they need.
func TestDealIsFair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lanes, total := drawLanes(t), rapid.IntRange(1, 300).Draw(t, "total")
		Deal(lanes, total)
		type party struct{ got, cap int }
		fair := func(what string, all []party) {
			for _, a := range all {
				for _, b := range all {
					if a.got > b.got+1 && b.got < b.cap {
						t.Fatalf("%s: one got %d, another only %d of %d", what, a.got, b.got, b.cap)
					}
				}
			}
		}
		var parties []party
		for _, l := range lanes {
			p := party{}
			subs := map[int]map[int32]party{}
			for _, f := range l.Flows {
				p.got, p.cap = p.got+f.Share, p.cap+f.Ready
				if subs[f.Priority] == nil {
					subs[f.Priority] = map[int32]party{}
				}
				s := subs[f.Priority][f.SubAccount]
				subs[f.Priority][f.SubAccount] = party{s.got + f.Share, s.cap + f.Ready}
			}
			p.cap = min(p.cap, l.Room)
			parties = append(parties, p)
			lower := false
			for _, priority := range []int{1, 0, -1} {
				var list []party
				got, ready := 0, 0
				for _, s := range subs[priority] {
					list = append(list, s)
					got, ready = got+s.got, ready+s.cap
				}
				fair("sub-accounts", list)
				if lower && got < ready {
					t.Fatalf("a lower priority than %d was served although that has %d of %d", priority, got, ready)
				}
				lower = lower || got > 0
			}
		}
		fair("lanes", parties)
	})
}

// With one permit at a time everybody has a turn: lanes, sub-accounts however many pools they have, and their pools.
func TestTurns(t *testing.T) {
	t.Parallel()
	var turns Turns
	got := map[[3]int]int{}
	for range 120 {
		var lanes []Lane
		for _, id := range turns.Order(7, []int{3, 11, 0}) {
			l, sub := Lane{ID: id, Room: 100}, turns.Look(7, id, 0).Sub
			for i := range int32(4) { // in the ring, from the one after the last
				next := (max(sub, 0)+i)%4 + 1
				for pool := range next { // the n-th has n pools
					l.Flows = append(l.Flows, Flow{Lane: id, SubAccount: next, Pool: pool + 1, Ready: 5})
				}
			}
			lanes = append(lanes, l)
		}
		turns.Deal(7, lanes, 1, nil)
		var taken []Flow
		for _, l := range lanes {
			for _, f := range l.Flows {
				if f.Share > 0 {
					taken = append(taken, f)
				}
				got[[3]int{l.ID, int(f.SubAccount), int(f.Pool)}] += f.Share
			}
		}
		turns.Looked(7, nil, taken, time.Unix(1000, 0), time.Time{})
	}
	subs := map[[2]int]int{}
	for k, n := range got {
		subs[[2]int{k[0], k[1]}] += n
		if n == 0 {
			t.Errorf("pool %d of sub-account %d in lane %d had no turn", k[2], k[1], k[0])
		}
	}
	for k, n := range subs {
		if n != 10 {
			t.Errorf("sub-account %d in lane %d had %d turns, want 10", k[1], k[0], n)
		}
	}
}
