package engine

import (
	"testing"

	"pgregory.net/rapid"
)

// A message was held at every moment in which its lane was, or the limit of a sub-account of its chain, and each moment counts once.
func TestHeld(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const days = 40
		type span struct{ since, until int64 }
		lanes, subs := map[int][]span{}, map[int32][]span{}
		h := NewHolds()
		chains := map[int32][]int32{1: {1}, 2: {2, 1}, 3: {3, 2, 1}, 4: {4}}
		for range rapid.IntRange(0, 12).Draw(t, "holds") {
			since := rapid.Int64Range(0, days).Draw(t, "since")
			s := span{since, since + rapid.Int64Range(0, 9).Draw(t, "length")}
			if rapid.Bool().Draw(t, "of a lane") {
				lane := rapid.IntRange(0, 1).Draw(t, "lane")
				lanes[lane] = append(lanes[lane], s)
				h.Add(lane, s.since, s.until)
				continue
			}
			id := rapid.Int32Range(1, 4).Draw(t, "id")
			subs[id] = append(subs[id], s)
			h.AddSub(id, s.since, s.until)
		}
		for range 8 {
			m := Old{Lane: rapid.IntRange(0, 1).Draw(t, "lane"), Chain: chains[rapid.Int32Range(1, 4).Draw(t, "sub")]}
			from := rapid.Int64Range(0, days).Draw(t, "from")
			to := from + rapid.Int64Range(0, 20).Draw(t, "to")
			var want int64
			for at := from; at < to; at++ {
				held := false
				all := lanes[m.Lane]
				for _, id := range m.Chain {
					all = append(all[:len(all):len(all)], subs[id]...)
				}
				for _, s := range all {
					held = held || s.since <= at && at < s.until
				}
				if held {
					want++
				}
			}
			if got := h.held(&m, from, to); got != want {
				t.Fatalf("%+v was held for %d of %d to %d, want %d", m, got, from, to, want)
			}
		}
	})
}

// What was held in long is put together once for all messages of a sub-account in a lane.
func TestHeldOnce(t *testing.T) {
	h := NewHolds()
	for i := range int64(2000) {
		h.Add(1, 10*i, 10*i+5)
		h.AddSub(7, 10*i+3, 10*i+7)
	}
	m := Old{Lane: 1, Chain: []int32{8, 7}}
	h.held(&m, 0, 1)
	if n := testing.AllocsPerRun(10, func() { h.held(&m, 30, 9000) }); n != 0 {
		t.Errorf("%f allocations", n)
	}
}
