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

// Whatever else always has mail, of whichever lanes and priorities, and however much is held: every flow that is not held is served before
// long, where its priority is served at all.
func TestNoFlowStarves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type place struct{ lane, priority int }
		type state struct {
			Flow
			held   bool
			passed int // claims that have looked here, or served others here, since this one was served
		}
		var turns Turns
		flows, all, pools := map[place][]*state{}, 0, rapid.Int32Range(1, 4).Draw(t, "pools")
		for lane := range rapid.IntRange(1, 2).Draw(t, "lanes") {
			for priority := range rapid.IntRange(1, 3).Draw(t, "priorities") {
				at := place{lane, priority}
				for _, sub := range rapid.SliceOfNDistinct(rapid.Int32Range(1, 30), 1, 10, rapid.ID).Draw(t, "subs") {
					for pool := range rapid.Int32Range(1, pools).Draw(t, "of it") {
						f := Flow{Lane: lane, Priority: priority, SubAccount: sub, Pool: pool + 1, Ready: rapid.IntRange(1, 3).Draw(t, "ready")}
						flows[at] = append(flows[at], &state{Flow: f, held: rapid.IntRange(0, 2).Draw(t, "held") == 0})
						all++
					}
				}
				slices.SortFunc(flows[at], func(a, b *state) int {
					return cmp.Or(cmp.Compare(a.SubAccount, b.SubAccount), cmp.Compare(a.Pool, b.Pool))
				})
			}
		}
		most, part := rapid.IntRange(1, 5).Draw(t, "most"), rapid.IntRange(int(pools)+1, 12).Draw(t, "part")
		total := rapid.SampledFrom([]int{1, 2, 3, 7, 1000}).Draw(t, "total")
		if pools > 1 && total < 1000 { // pools of which a claim sees only some, and serves only some of those, need not have equal turns
			part = 1000
		}
		for range 15 * all {
			var looked []Looked
			lanes := []Lane{{ID: 0, Room: 1000}, {ID: 1, Room: 1000}}
			for at, here := range flows {
				l := Looked{Lane: at.lane, Priority: at.priority, Look: turns.Look(7, at.lane, at.priority)}
				lane, subs, last := &lanes[at.lane], 0, int32(0)
				for left := part; ; left-- {
					if l.Found = subs > 0; left == 0 {
						looked = append(looked, l)
						break
					}
					next := slices.IndexFunc(here, func(f *state) bool { return cmp.Or(cmp.Compare(f.SubAccount, l.Sub), cmp.Compare(f.Pool, l.Pool)) > 0 })
					if next < 0 && !l.Wrapped {
						next, l.Wrapped = 0, true
					}
					if next < 0 || l.Wrapped && here[next].SubAccount > l.Until {
						l.Whole = true
						looked = append(looked, l)
						break
					}
					if f := here[next]; !f.held {
						if f.SubAccount != last {
							if subs == most {
								break
							}
							subs++
						}
						last = f.SubAccount
						lane.Flows = append(lane.Flows, f.Flow)
					}
					l.Sub, l.Pool = here[next].SubAccount, here[next].Pool
				}
			}
			turns.Deal(7, lanes, total, nil)
			var taken []Flow
			passed := map[place]bool{}
			for _, l := range lanes {
				found := map[place]bool{}
				for _, f := range l.Flows {
					at := place{f.Lane, f.Priority}
					found[at] = true
					if f.Share > 0 {
						taken = append(taken, f)
						passed[at] = true
					}
				}
				for at := range flows {
					passed[at] = passed[at] || at.lane == l.ID && !found[at]
				}
			}
			turns.Looked(7, looked, taken, time.Unix(1000, 0), time.Time{})
			for at := range passed {
				for _, f := range flows[at] {
					if !passed[at] || f.held {
						continue
					}
					if f.passed++; slices.ContainsFunc(taken, func(g Flow) bool {
						return g.Lane == f.Lane && g.Priority == f.Priority && g.SubAccount == f.SubAccount && g.Pool == f.Pool
					}) {
						f.passed = 0
					}
					if f.passed > 4*len(flows[at])+10 {
						t.Fatalf("pool %d of sub-account %d in %v waits for %d claims, of %d flows", f.Pool, f.SubAccount, at, f.passed, len(flows[at]))
					}
				}
			}
		}
	})
}
