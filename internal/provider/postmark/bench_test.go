package postmark_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

// BenchmarkParse is what a webhook costs between its body and its report.
func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"delivery", "open", "click", "hardbounce"} {
		b.Run(name, func(b *testing.B) {
			body, adapter := readFixture(b, name), newFuzzAdapter()
			b.ReportAllocs()
			for b.Loop() {
				if reports, err := adapter.Parse(http.Header{}, body); err != nil || len(reports) != 1 {
					b.Fatal(len(reports), err)
				}
			}
		})
	}
}

func BenchmarkAuthentic(b *testing.B) {
	adapter, want := newFuzzAdapter(), provider.Credentials{Username: "tpsp-77", Password: secret.NewString("xT9kY7hW1q5bNnE3uR8s")}
	h := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(want.Username+":"+want.Password.Reveal()))}}
	hook, d := provider.Hook{Credentials: want}, provider.Delivery{Header: h}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := adapter.Authentic(b.Context(), provider.Connection{}, hook, d); !ok || err != nil {
			b.Fatal("not authentic", err)
		}
	}
}
