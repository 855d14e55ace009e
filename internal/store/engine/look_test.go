package engine

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever is held, of however many lanes and priorities: claims that look at a few flows each look at all of them before they say that
// nothing is left, say so soon, and tell the first time at which a limit lets anything go.
func TestRounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type place struct{ lane, priority int }
		type held struct{ sub, pool int32 }
		var turns Turns
		now := time.Unix(1000, 0)
		flows, seen := map[place][]held{}, map[place]map[held]bool{}
		most, longest := rapid.IntRange(1, 5).Draw(t, "most"), 0
		for range rapid.IntRange(1, 4).Draw(t, "places") {
			at := place{rapid.IntRange(0, 1).Draw(t, "lane"), rapid.IntRange(0, 1).Draw(t, "priority")}
			flows[at] = nil
			for sub := range rapid.Int32Range(1, 6).Draw(t, "subs") {
				for pool := range rapid.Int32Range(0, 3).Draw(t, "pools") {
					flows[at] = append(flows[at], held{sub + 1, pool})
				}
			}
		}
		for _, all := range flows {
			longest = max(longest, len(all))
		}
		first := now.Add(time.Duration(rapid.IntRange(1, 9).Draw(t, "free")) * time.Hour)
		claim := func() (more bool) {
			var looked []Looked
			var free time.Time
			for at, all := range flows {
				l := Looked{Lane: at.lane, Priority: at.priority, Look: turns.Look(7, at.lane, at.priority)}
				for left := most; len(all) > 0; left-- {
					if left == 0 {
						looked = append(looked, l)
						break
					}
					next := slices.IndexFunc(all, func(h held) bool { return cmp.Or(cmp.Compare(h.sub, l.Sub), cmp.Compare(h.pool, l.Pool)) > 0 })
					if next < 0 && !l.Wrapped {
						next, l.Wrapped = 0, true
					}
					if next < 0 || l.Wrapped && all[next].sub > l.Until {
						l.Whole = true
						looked = append(looked, l)
						break
					}
					l.Sub, l.Pool = all[next].sub, all[next].pool
					seen[at][all[next]] = true
					if next == 0 {
						free = first
					}
				}
			}
			more, earliest := turns.Looked(7, looked, nil, now, free)
			if !more && longest > 0 && !earliest.Equal(first) {
				t.Fatalf("free at %s, want %s", earliest, first)
			}
			return more
		}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for at := range flows {
				seen[at] = map[held]bool{}
			}
			claims := 1
			for claim() {
				if claims++; claims > longest+6 {
					t.Fatalf("%d claims of %d flows, %d each", claims, longest, most)
				}
			}
			for at, all := range flows {
				if len(seen[at]) != len(all) {
					t.Fatalf("%d of %d flows were looked at in %v", len(seen[at]), len(all), at)
				}
			}
			for at, all := range flows { // one is served
				if len(all) > 0 && rapid.Bool().Draw(t, "served") {
					f := Flow{Lane: at.lane, Priority: at.priority, SubAccount: all[rapid.IntRange(0, len(all)-1).Draw(t, "flow")].sub, Ready: 1}
					lanes := []Lane{{ID: at.lane, Room: 1, Flows: []Flow{f}}}
					turns.Deal(7, lanes, 1, nil)
					turns.Looked(7, nil, lanes[0].Flows, now, time.Time{})
					break
				}
			}
		}
	})
}
