package engine

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/route"
)

// TestPlansAreReadAsWritten compares with encoding/json, both ways.
func TestPlansAreReadAsWritten(t *testing.T) {
	t.Parallel()
	egress := rapid.Map(rapid.Int32(), func(n int32) route.Egress { return route.Egress(n) })
	rapid.Check(t, func(t *rapid.T) {
		p := route.Plan{Egresses: rapid.SliceOfN(egress, 1, 4).Draw(t, "egresses"), Overflow: rapid.IntRange(0, 3).Draw(t, "overflow"), Rule: rapid.String().Draw(t, "rule")}
		if rapid.Bool().Draw(t, "skips") {
			p.Skipped = []route.Skipped{{Egress: 7, Reason: rapid.String().Draw(t, "reason")}}
		}
		slow, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		quick, err := EncodePlan(&p)
		if err != nil {
			t.Fatal(err)
		}
		var want route.Plan
		if err := json.Unmarshal(slow, &want); err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{slow, quick} {
			var got route.Plan
			if err := DecodePlan(text, &got); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", text, diff)
			}
		}
	})
}

func TestBadPlans(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", "[]", `{"egresses":["a"]}`, `{"egresses":[1e3]}`, `{"egresses":[9999999999]}`, `{"rule":1}`} {
		var p route.Plan
		if err := DecodePlan([]byte(text), &p); err == nil {
			t.Errorf("%q became %+v", text, p)
		}
	}
}

func FuzzDecodePlan(f *testing.F) {
	f.Add(`{"egresses":[1,2],"overflow":1,"rule":"round robin"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var got, want route.Plan
		err, wanted := DecodePlan([]byte(text), &got), json.Unmarshal([]byte(text), &want)
		if (err == nil) != (wanted == nil) {
			t.Fatalf("%v, encoding/json says %v", err, wanted)
		}
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			t.Fatal(diff)
		}
	})
}
