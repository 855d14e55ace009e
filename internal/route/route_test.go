package route

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
