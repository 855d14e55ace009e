package route

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func carryAll(Egress) string { return "" }

func TestMake(t *testing.T) {
	t.Parallel()
	refuse := func(bad ...Egress) func(Egress) string {
		return func(e Egress) string {
			if slices.Contains(bad, e) {
				return fmt.Sprintf("%s cannot", e)
			}
			return ""
		}
	}
	three := []Egress{5, -3, 9}
	for name, test := range map[string]struct {
		members []Egress
		seq     uint64
		refuse  func(Egress) string
		want    Plan
	}{
		"one":           {[]Egress{5}, 7, carryAll, Plan{Egresses: []Egress{5}, Rule: `pool "p", round robin over 1, turn 1`}},
		"first turn":    {three, 0, carryAll, Plan{Egresses: []Egress{5, -3, 9}, Rule: `pool "p", round robin over 3, turn 1`}},
		"second turn":   {three, 1, carryAll, Plan{Egresses: []Egress{-3, 9, 5}, Rule: `pool "p", round robin over 3, turn 2`}},
		"round again":   {three, 5, carryAll, Plan{Egresses: []Egress{9, 5, -3}, Rule: `pool "p", round robin over 3, turn 3`}},
		"the last seq":  {three, 1<<64 - 1, carryAll, Plan{Egresses: []Egress{5, -3, 9}, Rule: `pool "p", round robin over 3, turn 1`}},
		"one skipped":   {three, 1, refuse(-3), Plan{Egresses: []Egress{9, 5}, Rule: `pool "p", round robin over 2, turn 2`, Skipped: []Skipped{{-3, "IP_3 cannot"}}}},
		"all skipped":   {three[:2], 1, refuse(5, -3), Plan{Skipped: []Skipped{{5, "TPSP_5 cannot"}, {-3, "IP_3 cannot"}}}},
		"an empty pool": {nil, 1, carryAll, Plan{}},
	} {
		got := Make(&Pool{Name: "p", Members: test.members}, test.seq, test.refuse)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]Egress{5, -3, 9}, three); diff != "" {
		t.Errorf("Make changed the pool:\n%s", diff)
	}
}

func drawPool(t *rapid.T) *Pool {
	ids := rapid.SliceOfNDistinct(rapid.Int32Range(-20, 20).Filter(func(id int32) bool { return id != 0 }), 1, 9, rapid.ID).Draw(t, "members")
	pool := &Pool{Name: "p"}
	for _, id := range ids {
		pool.Members = append(pool.Members, Egress(id))
	}
	return pool
}

// G6 for round robin: over any run of consecutive sequence numbers the first choices are equal to within one.
func TestMakeIsFair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pool := drawPool(t)
		start := rapid.Uint64Range(0, 1<<62).Draw(t, "start")
		n := rapid.IntRange(1, 300).Draw(t, "n")
		first := map[Egress]int{}
		for i := range n {
			first[Make(pool, start+uint64(i), carryAll).First()]++
		}
		k := len(pool.Members)
		for _, e := range pool.Members {
			if first[e] < n/k || first[e] > (n+k-1)/k {
				t.Fatalf("%s was first %d times of %d over %d egresses", e, first[e], n, k)
			}
		}
	})
}

// Every member is in the plan once or was skipped with its reason, and Next visits the whole plan and comes back.
func TestMakeForgetsNobody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pool := drawPool(t)
		unable := rapid.SliceOfDistinct(rapid.SampledFrom(pool.Members), rapid.ID).Draw(t, "unable")
		plan := Make(pool, rapid.Uint64().Draw(t, "seq"), func(e Egress) string {
			if slices.Contains(unable, e) {
				return "no " + e.String()
			}
			return ""
		})
		seen := slices.Clone(plan.Egresses)
		for _, s := range plan.Skipped {
			if s.Reason != "no "+s.Egress.String() || !slices.Contains(unable, s.Egress) {
				t.Fatalf("skipped %+v", s)
			}
			seen = append(seen, s.Egress)
		}
		slices.Sort(seen)
		if want := slices.Sorted(slices.Values(pool.Members)); !slices.Equal(seen, want) {
			t.Fatalf("plan and skipped are %v, the members %v", seen, want)
		}
		at := plan.First()
		for _, want := range plan.Egresses {
			if at != want {
				t.Fatalf("Next visits %s, want %s of %v", at, want, plan.Egresses)
			}
			at = plan.Next(at)
		}
		if at != plan.First() {
			t.Fatalf("Next does not go round %v", plan.Egresses)
		}
	})
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		plan        []Egress
		after, want Egress
	}{
		{[]Egress{1, 2, 3}, 1, 2},
		{[]Egress{1, 2, 3}, 3, 1},
		{[]Egress{1}, 1, 1},
		{[]Egress{1, 2}, 7, 1}, // it is not in the plan any more
		{nil, 7, 0},
	} {
		if got := (Plan{Egresses: test.plan}).Next(test.after); got != test.want {
			t.Errorf("Next(%s) of %v = %s, want %s", test.after, test.plan, got, test.want)
		}
	}
}

// The store keeps this text. A changed key needs a migration of what is stored, not a changed test.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	for stored, plan := range map[string]Plan{
		`{"egresses":[5,-3],"rule":"r","skipped":[{"egress":9,"reason":"too large"}]}`: {
			Egresses: []Egress{5, -3}, Rule: "r", Skipped: []Skipped{{9, "too large"}}},
		`{"egresses":[5],"rule":"r"}`: {Egresses: []Egress{5}, Rule: "r"},
	} {
		text, err := json.Marshal(plan)
		if err != nil || string(text) != stored {
			t.Errorf("stored form (%v):\n%s", err, cmp.Diff(stored, string(text)))
		}
		var back Plan
		if err := json.Unmarshal([]byte(stored), &back); err != nil || !cmp.Equal(back, plan) {
			t.Errorf("read back (%v):\n%s", err, cmp.Diff(plan, back))
		}
	}
}

func TestEgress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		egress Egress
		text   string
		tpsp   int32
	}{{TPSP(5), "TPSP_5", 5}, {-3, "IP_3", 0}, {0, "TPSP_0", 0}} {
		if test.egress.String() != test.text || test.egress.TPSPID() != test.tpsp {
			t.Errorf("%d is %s with TPSP %d, want %+v", int32(test.egress), test.egress, test.egress.TPSPID(), test)
		}
	}
}
