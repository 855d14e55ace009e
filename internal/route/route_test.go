package route

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		plan        []Egress
		after, want Egress
		wrapped     bool
		away        []Egress
	}{
		{plan: []Egress{1, 2, 3}, after: 1, want: 2},
		{plan: []Egress{1, 2, 3}, after: 3, want: 1, wrapped: true},
		{plan: []Egress{1}, after: 1, want: 0, wrapped: true}, // there is no other one
		{plan: []Egress{1, 2}, after: 7, want: 1},             // it is not in the plan any more
		{plan: nil, after: 7, want: 0, wrapped: true},
		{plan: []Egress{1, 2, 3}, after: 1, want: 3, away: []Egress{2}},
		{plan: []Egress{1, 2, 3}, after: 2, want: 1, wrapped: true, away: []Egress{3}},
		{plan: []Egress{1, 2, 3}, after: 1, want: 0, wrapped: true, away: []Egress{2, 3}},
		{plan: []Egress{1, 2}, after: 7, want: 2, away: []Egress{1}},
	} {
		usable := func(e Egress) bool { return !slices.Contains(test.away, e) }
		if got, wrapped := (Plan{Egresses: test.plan}).After(test.after, usable); got != test.want || wrapped != test.wrapped {
			t.Errorf("after %s in %v without %v: %s, wrapped %t, want %s, %t", test.after, test.plan, test.away, got, wrapped, test.want, test.wrapped)
		}
	}
}

// The store keeps this text. A changed key needs a migration of what is stored, not a changed test.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	for stored, plan := range map[string]Plan{
		`{"egresses":[5,-3],"rule":"r","skipped":[{"egress":9,"reason":"too large"}]}`: {
			Egresses: []Egress{5, -3}, Rule: "r", Skipped: []Skipped{{9, "too large"}}},
		`{"egresses":[5],"rule":"r"}`:                  {Egresses: []Egress{5}, Rule: "r"},
		`{"egresses":[5,6,7],"overflow":2,"rule":"r"}`: {Egresses: []Egress{5, 6, 7}, Overflow: 2, Rule: "r"},
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
