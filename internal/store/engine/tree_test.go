package engine

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/store"
)

// However sub-accounts are moved: every path is that of its parent after the parent, nobody is above itself, and none in use is on too
// low a level. A move that is refused changes nothing, and one is refused only for its reason.
func TestTreeStaysATree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tree, parent := Tree{}, map[int32]int32{}
		const n = 9
		for id := int32(1); id <= n; id++ {
			tree[id] = Branch{}
		}
		depth := func(id int32) (d int) {
			for ; id != 0; id = parent[id] {
				d++
			}
			return d
		}
		above := func(id, of int32) bool {
			for ; of != 0; of = parent[of] {
				if of == id {
					return true
				}
			}
			return false
		}
		height := func(id int32) (h int) {
			for other := range tree {
				if above(id, other) && !tree[other].Deleted {
					h = max(h, depth(other)-depth(id)+1)
				}
			}
			return h
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			id, to := rapid.Int32Range(1, n).Draw(t, "sub"), rapid.Int32Range(0, n+1).Draw(t, "to")
			if rapid.IntRange(0, 9).Draw(t, "delete") == 0 {
				inUse := func(other int32) bool { return parent[other] == id && !tree[other].Deleted }
				if !slices.ContainsFunc([]int32{1, 2, 3, 4, 5, 6, 7, 8, 9}, inUse) {
					tree[id] = Branch{tree[id].Path, true}
				}
				continue
			}
			var want error
			switch {
			case tree[id].Deleted, to > n, to != 0 && tree[to].Deleted:
				want = store.ErrNotFound
			case above(id, to):
				want = store.ErrCircle
			case depth(to)+height(id) > directory.MaxLevels:
				want = store.ErrTooDeep
			}
			if parent[id] == to && !errors.Is(want, store.ErrNotFound) {
				want = nil
			}
			changed, err := tree.Move(id, to)
			if !errors.Is(err, want) {
				t.Fatalf("%d under %d: %v, want %v", id, to, err, want)
			}
			if err != nil && changed != nil {
				t.Fatalf("refused, and changed %v", changed)
			}
			if err == nil {
				if moved := parent[id] != to; slices.Contains(changed, id) != moved {
					t.Fatalf("changed %v", changed)
				}
				parent[id] = to
			}
			for one, b := range tree {
				var path []int32
				for up := parent[one]; up != 0; up = parent[up] {
					path = append(path, up)
				}
				if !slices.Equal(b.Path, path) {
					t.Fatalf("path of %d is %v, want %v", one, b.Path, path)
				}
			}
		}
	})
}

// What is dealt under the limits of senders is never more than any of them leaves, and something whenever something may go.
func TestDealUnderSenders(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lanes, total := drawLanes(t), rapid.IntRange(0, 300).Draw(t, "total")
		s := NewSenders(store.Claim{Limit: 300})
		room := map[int32]int{}
		for _, id := range []int32{1, 2, 3, 4, 10, 11} {
			if rapid.Bool().Draw(t, "limited") {
				room[id] = rapid.SampledFrom([]int{1, 3, 40}).Draw(t, "room")
				s.Limit(id, room[id], time.Time{})
			}
		}
		could := false
		for i := range lanes {
			for k := range lanes[i].Flows {
				f := &lanes[i].Flows[k]
				f.Chain = []int32{f.SubAccount, 10 + f.SubAccount%2}
				f.Ready = min(f.Ready, s.Room(f.Chain))
				could = could || lanes[i].Room > 0
			}
		}
		new(Turns).Deal(7, lanes, total, s)
		given, of := 0, map[int32]int{}
		for i := range lanes {
			for k := range lanes[i].Flows {
				f := &lanes[i].Flows[k]
				if f.Share < 0 || f.Share > f.Ready {
					t.Fatalf("share %d of %d", f.Share, f.Ready)
				}
				given += f.Share
				for _, id := range f.Chain {
					of[id] += f.Share
				}
			}
		}
		for id, left := range room {
			if of[id] > left {
				t.Fatalf("%d dealt to %d with room for %d", of[id], id, left)
			}
		}
		if given > total || (given == 0) == (could && total > 0) {
			t.Fatalf("%d dealt of %d", given, total)
		}
	})
}
