package ses_test

import (
	"testing"
)

// What the intake spends on one webhook: reading it, and telling who it is from.
func BenchmarkParse(b *testing.B) {
	adapter, body := newAdapter(b), enveloped(events["delivery"], "1")
	b.ReportAllocs()
	for b.Loop() {
		if reports, err := adapter.Parse(nil, body); err != nil || len(reports) != 2 {
			b.Fatal(err)
		}
	}
}
