package ses_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

// What the intake spends on reading one webhook.
func BenchmarkParse(b *testing.B) {
	adapter, body := newAdapter(b), enveloped(events["delivery"], "1")
	b.ReportAllocs()
	for b.Loop() {
		if reports, err := adapter.Parse(nil, body); err != nil || len(reports) != 2 {
			b.Fatal(err)
		}
	}
}

// BenchmarkSendFarAway sends full batches to a server that answers after 100 ms.
func BenchmarkSendFarAway(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-time.After(100 * time.Millisecond)
		_, _ = io.WriteString(w, `{"MessageId":"x"}`)
	}))
	b.Cleanup(server.Close)
	conn := provider.Connection{Endpoint: server.URL, Key: secret.NewString(keyID), Secret: secret.NewString(secretKey)}
	adapter, list := newAdapter(b), batch(50)
	n := 0
	for b.Loop() {
		for _, o := range adapter.Send(b.Context(), conn, list) {
			if o.Class != provider.Accepted {
				b.Fatalf("%+v", o)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
}
