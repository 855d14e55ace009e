package postgres

import (
	"strings"
	"sync"
	"testing"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// rate reports how many of something were done per second.
func rate(b *testing.B, n int, unit string) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), unit+"/s")
	b.ReportMetric(0, "ns/op")
}

// Acceptance in the group commits that a busy server makes.
func BenchmarkAccept(b *testing.B) {
	w := newWorld(b)
	n := 0
	for b.Loop() {
		n += len(w.accept(400))
	}
	rate(b, n, "messages")
}

// The way of a message from the queue to "sent", for two calls at a time.
func BenchmarkClaimAndSettle(b *testing.B) {
	w := newWorld(b)
	n := 0
	for b.Loop() {
		b.StopTimer()
		w.accept(400)
		w.accept(400)
		b.StartTimer()
		var senders sync.WaitGroup
		for range 2 {
			senders.Go(func() { w.send(w.db, 400) })
		}
		senders.Wait()
		n += 800
	}
	rate(b, n, "messages")
}

// The way of a webhook from the wire to an event.
func BenchmarkIngest(b *testing.B) {
	w := newWorld(b)
	body := `{"RecordType":"Delivery","Details":"` + strings.Repeat("x", 900) + `"}`
	n := 0
	for b.Loop() {
		b.StopTimer()
		ids := w.accept(200)
		w.send(w.db, len(ids))
		reports := reportsOf(ids, event.Delivered)
		b.StartTimer()
		w.receive(len(ids), body)
		if res, left := w.ingest(w.db, reports); res.Recorded != len(ids) || len(left) != 0 {
			b.Fatalf("%+v, %d left", res, len(left))
		}
		n += len(ids)
	}
	rate(b, n, "events")
}

// All at once, as in production: the three ways share the journal's door.
func BenchmarkAll(b *testing.B) {
	w := newWorld(b)
	n := 0
	w.accept(400)
	for b.Loop() {
		batch, ids := w.submissions(400)
		done := make(chan error, 1)
		go func() { done <- w.db.Accept(b.Context(), batch) }()
		w.send(w.db, 400)
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		n += len(ids)
	}
	rate(b, n, "messages")
}

// Books: one page of entries out of many messages.
func BenchmarkEntries(b *testing.B) {
	w := newWorld(b)
	for range 10 {
		w.accept(400)
	}
	w.send(w.db, 4000)
	n := 0
	var after mail.ID
	for b.Loop() {
		entries, err := w.db.Entries(b.Context(), w.account.ID, after, 500)
		if err != nil {
			b.Fatal(err)
		}
		if after = (mail.ID{}); len(entries) == 500 {
			after = entries[499].ID
		}
		n += len(entries)
	}
	rate(b, n, "entries")
}

// Acceptance while there are suppressions.
func BenchmarkAcceptSuppressing(b *testing.B) {
	w := newWorld(b)
	_, err := w.db.Suppress(b.Context(), []store.Suppression{{AccountID: 1, SubAccountID: 1, Email: "gone@example.net"}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n += len(w.accept(400))
	}
	rate(b, n, "messages")
}
