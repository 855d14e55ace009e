package route

import "math/bits"

// set is a subset of a list of at most MaxMembers egresses, one bit each.
type set uint64

func (s set) has(i int) bool     { return s>>i&1 != 0 }
func (s set) with(i int) set     { return s | 1<<i }
func (s set) without(i int) set  { return s &^ (1 << i) }
func (s set) len() int           { return bits.OnesCount64(uint64(s)) }
func (s set) first() (index int) { return bits.TrailingZeros64(uint64(s)) }

// schedule is one round of turns: whose each turn is. Everybody with weight w of a sum of W has w of the W turns, and after
// any number of turns, counted from the first one, has had his share to within less than one.
type schedule struct {
	turns  []turn
	weight []int // by index in the list that the schedule is over
}

// turn tells whose a turn is, and which of his in the round it is.
type turn struct{ index, nth uint16 }

// newSchedule makes the schedule of weights, of which those in the subset count; their sum is at most MaxRound and above 0.
//
// It is the quota method: the j-th turn of weight w falls into [floor((j-1)W/w), ceil(jW/w)), and of those that may have a turn
// the one with the earliest end gets it. On one machine that always works out, so every turn falls into its window, and
// being in the windows is the same as having the share to within less than one.
func newSchedule(weights []int, subset set) *schedule {
	sum, common := 0, 0
	for i, w := range weights {
		if subset.has(i) {
			sum, common = sum+w, gcd(common, w)
		}
	}
	s := &schedule{turns: make([]turn, sum/common), weight: make([]int, len(weights))}
	type waiting struct{ index, weight, had, begin, end int } // begin and end are those of the next turn
	var with []waiting
	for i, w := range weights {
		if subset.has(i) && w > 0 {
			w /= common
			s.weight[i] = w
			with = append(with, waiting{index: i, weight: w, end: (len(s.turns) + w - 1) / w})
		}
	}
	round := len(s.turns)
	for t := range s.turns {
		best := -1
		for i := range with {
			if with[i].begin <= t && (best < 0 || with[i].end < with[best].end) {
				best = i
			}
		}
		next := &with[best]
		s.turns[t] = turn{uint16(next.index), uint16(next.had)}
		next.had++
		next.begin, next.end = next.had*round/next.weight, ((next.had+1)*round+next.weight-1)/next.weight // after the last turn: never
	}
	return s
}

// at returns whose a turn is, of all the turns from 0 on, and how many he had before.
func (s *schedule) at(t uint64) (index int, before uint64) {
	round := uint64(len(s.turns))
	it := s.turns[t%round]
	return int(it.index), t/round*uint64(s.weight[it.index]) + uint64(it.nth)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
