package route

import (
	"testing"

	"pgregory.net/rapid"
)

// Within a round, and over any number of turns from the first one, everybody is less than one turn from his share.
func TestScheduleKeepsEveryShare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 120), 1, MaxMembers).Draw(t, "weights")
		subset := set(rapid.Uint64().Draw(t, "subset"))
		sum := 0
		for i, w := range weights {
			if subset.has(i) {
				sum += w
			}
		}
		if sum == 0 || sum > MaxRound {
			t.Skip("no turns")
		}
		s := newSchedule(weights, subset)
		had := make([]int, len(weights))
		for n := 1; n <= len(s.turns)+3; n++ {
			i, before := s.at(uint64(n - 1))
			if uint64(had[i]) != before {
				t.Fatalf("turn %d is number %d of %d, want %d", n, before, i, had[i])
			}
			had[i]++
			for i, w := range weights {
				if !subset.has(i) {
					w = 0
				}
				if off := had[i]*sum - n*w; off <= -sum || off >= sum {
					t.Fatalf("after %d turns %d of weight %d/%d has had %d", n, i, w, sum, had[i])
				}
			}
		}
	})
}

// G6: over any 10,000 turns in a row, 70/30 are 7,000 and 3,000 to within one.
func TestSeventyToThirty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newSchedule([]int{7000, 3000}, 3)
		start := rapid.Uint64Range(0, 1<<62).Draw(t, "start")
		had := [2]int{}
		for n := range uint64(10_000) {
			i, _ := s.at(start + n)
			had[i]++
		}
		if had[0] < 6999 || had[0] > 7001 {
			t.Fatalf("from %d on: %v", start, had)
		}
	})
}

// Over any turns in a row, everybody is less than two from his share, so at most one where the share is a whole number.
func TestAnyWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 100), 1, 8).Draw(t, "weights")
		s := newSchedule(weights, 1<<len(weights)-1)
		start, n := rapid.Uint64Range(0, 1<<62).Draw(t, "start"), rapid.IntRange(1, 3000).Draw(t, "n")
		had, sum := make([]int, len(weights)), 0
		for k := range n {
			i, _ := s.at(start + uint64(k))
			had[i]++
		}
		for _, w := range weights {
			sum += w
		}
		for i, w := range weights {
			if off := had[i]*sum - n*w; off <= -2*sum || off >= 2*sum || n*w%sum == 0 && (off > sum || off < -sum) {
				t.Fatalf("%d of weight %d/%d had %d of %d turns from %d on", i, w, sum, had[i], n, start)
			}
		}
	})
}

func BenchmarkSchedule(b *testing.B) {
	weights := make([]int, MaxMembers)
	for i := range weights {
		weights[i] = 100 + i
	}
	for b.Loop() {
		newSchedule(weights, ^set(0))
	}
}
