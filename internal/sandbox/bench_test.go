package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postyard/internal/sandbox"
	"postyard/internal/sandbox/store"
)

// batchBody is a batchWithTemplates request of n messages as a gateway sends them.
func batchBody(tb testing.TB, n, first int) []byte {
	tb.Helper()
	messages := make([]object, n)
	for i := range messages {
		messages[i] = object{"From": "app@example.com", "To": fmt.Sprintf("user%d@example.net", first+i),
			"TemplateAlias": sandbox.DemoTemplateAlias, "MessageStream": "outbound", "Tag": "bench",
			"TemplateModel": object{"name": "Ana", "product_name": "Acme", "action_url": "https://example.com/start",
				"note": strings.Repeat("x", 1500)},
			"Metadata": object{"accountId": "1", "tpspId": "1", "subAccountId": "2", "emailType": "gmail",
				"messageId": fmt.Sprintf("0197-%d", first+i), "messageSubject": "Welcome"}}
	}
	raw, err := json.Marshal(object{"Messages": messages})
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// BenchmarkBatchWithTemplates sends batches of 100 over real HTTP, with a webhook that takes every Delivery event. It reports
// messages and events per second of the whole.
func BenchmarkBatchWithTemplates(b *testing.B) {
	for _, onDisk := range []bool{false, true} {
		b.Run(fmt.Sprintf("disk=%v", onDisk), func(b *testing.B) { benchmarkBatch(b, onDisk) })
	}
}

func benchmarkBatch(b *testing.B, onDisk bool) {
	cfg := sandbox.Config{DeliveryDelay: -1}
	if onDisk {
		cfg.DataDir = b.TempDir()
	}
	box, err := sandbox.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	server := httptest.NewServer(box.Handler())
	var got atomic.Int64
	arrived := make(chan struct{}, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got.Add(1)
		select {
		case arrived <- struct{}{}:
		default:
		}
	}))
	defer func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		server.Close()
		hook.Close()
		if err := box.Close(); err != nil {
			b.Error(err)
		}
	}()
	post := func(path string, body []byte) {
		req, err := http.NewRequest(http.MethodPost, server.URL+path, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("X-Postmark-Server-Token", sandbox.DemoServerToken)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
			b.Fatal(err, res.StatusCode)
		}
		_ = res.Body.Close()
	}
	post("/webhooks", []byte(`{"Url":"`+hook.URL+`","Triggers":{"Delivery":{"Enabled":true}}}`))
	got.Store(0)

	const size = 100
	bodies := make([][]byte, b.N)
	for i := range bodies {
		bodies[i] = batchBody(b, size, i*size)
	}
	b.ResetTimer()
	for _, body := range bodies {
		post("/email/batchWithTemplates", body)
	}
	accepted := b.Elapsed()
	for got.Load() < int64(b.N*size) {
		<-arrived
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N*size)/accepted.Seconds(), "accepted/s")
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkMessage shows what the sandbox does for one message of a templated batch of 100, from the request in memory to the last
// of its events, per message: with nobody listening, and with a webhook that hears of its delivery and its open. The receiver of the
// webhook works in the same process.
func BenchmarkMessage(b *testing.B) {
	b.Run("unheard", func(b *testing.B) { benchmarkMessage(b, `{"webhookBeforeAnswer":true,"dropWebhooks":true}`, 0) })
	b.Run("delivered and opened", func(b *testing.B) { benchmarkMessage(b, `{"webhookBeforeAnswer":true,"openDelivered":true}`, 2) })
}

func benchmarkMessage(b *testing.B, settings string, told int64) {
	box, err := sandbox.New(sandbox.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	var got atomic.Int64
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got.Add(1)
	}))
	defer func() {
		stop()
		if err := errors.Join(<-ended, box.Close()); err != nil {
			b.Error(err)
		}
		hook.Close()
	}()
	call := func(method, path string, body []byte) {
		r := httptest.NewRequest(method, path, bytes.NewReader(body))
		r.Header.Set("X-Postmark-Server-Token", sandbox.DemoServerToken)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if box.Handler().ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
	call(http.MethodPut, "/sandbox/settings", []byte(settings))
	call(http.MethodPost, "/webhooks", []byte(`{"Url":"`+hook.URL+`","HttpAuth":{"Username":"u","Password":"p"},"Triggers":{"Delivery":{"Enabled":true},"Open":{"Enabled":true}}}`))
	got.Store(0)
	const size = 100
	body := batchBody(b, size, 0)
	n := int64(0)
	b.ReportAllocs()
	for b.Loop() { // a send is answered when its webhooks are
		call(http.MethodPost, "/email/batchWithTemplates", body)
		n += size
	}
	if got.Load() != n*told {
		b.Errorf("%d messages, %d webhooks", n, got.Load())
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/message")
}

// BenchmarkFindAmongMany looks mails up by metadata and recipient in a store of 1,000,000.
func BenchmarkFindAmongMany(b *testing.B) {
	s := store.Memory(func() time.Time { return start })
	const total = 1_000_000
	batch := make([]store.New, 0, 1000)
	for i := range total {
		batch = append(batch, store.New{ID: fmt.Sprint(i), Keys: []string{store.Key(store.FieldMetadata("messageid"), fmt.Sprint(i)),
			store.Key(store.FieldRecipient, fmt.Sprintf("user%d@example.net", i)), store.Key("stream", "outbound")}})
		if len(batch) == cap(batch) {
			if _, err := s.Add(batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	for name, keys := range map[string][]string{
		"messageId":            {store.Key(store.FieldMetadata("messageid"), "777777")},
		"recipient and stream": {store.Key(store.FieldRecipient, "user777777@example.net"), store.Key("stream", "outbound")},
		"stream":               {store.Key("stream", "outbound")},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if n, page := s.Find(store.Query{Keys: keys, Limit: 100, Newest: true}); n == 0 || len(page) == 0 {
					b.Fatal("not found")
				}
			}
		})
	}
}
