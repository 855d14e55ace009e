package postmark

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzSplit: what is valid is taken apart as encoding/json does it, and nothing panics.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{`{}`, ` {"a" : 1 , "b":"x\"}", "c":[{"d":"]"},2],"a":null}` + "\n", `{"a\u0062\n":"\ud800","":-1.5e3}`, `null`, `[{"a":1}]`,
		`{"a":{"b":{}},"t":true`, `{"a"`, `{"a":`, `{"a\`, "{\"\xff\":\"\xff\"}", `{"a":1,`, `"a"`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, ok := split(raw)
		if !json.Valid(raw) {
			return // only that it came back
		}
		var want record
		err := json.Unmarshal(raw, &want)
		if isObject := err == nil && want != nil; isObject != ok {
			t.Fatalf("%q is an object: %v", raw, ok)
		}
		if !ok {
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", raw, diff)
		}
		for key, value := range want {
			var text string
			if json.Unmarshal(value, &text) == nil && value[0] == '"' && plain(value) != text {
				t.Errorf("%q of %q is %q", value, key, plain(value))
			}
		}
	})
}
