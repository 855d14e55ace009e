package postgres

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/store/storetest"
)

func (w *world) wantBooks() {
	w.Helper()
	if err := storetest.CheckBooks(w.Context(), w.db, w.account.ID); err != nil {
		w.Error(err)
	}
}

// claimAtOnce has several goroutines of each node claim so many messages at a time until nothing is left. Of what they got, each is told
// of at a time.
func (w *world) claimAtOnce(nodes []*DB, goroutines, limit int, each func(*DB, store.Job)) {
	var mu sync.Mutex
	var running sync.WaitGroup
	for _, db := range nodes {
		for range goroutines {
			running.Go(func() {
				for empty := 0; empty < 3; {
					jobs := w.claim(db, limit)
					if len(jobs) == 0 {
						empty++
					}
					mu.Lock()
					for _, j := range jobs {
						each(db, j)
					}
					mu.Unlock()
				}
			})
		}
	}
	running.Wait()
}

// Nodes that claim at the same time share the limits of the provider.
func TestNodesShareLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := []*DB{w.db, open(t, w.url, "two"), open(t, w.url, "three")}
	for range 3 {
		w.accept(200)
	}
	p := w.tpsp
	p.Limits = limit.Limits{PerHour: 100, Mailbox: map[mailbox.Class]int{mailbox.Gmail: 7}}
	w.must(w.db.UpdateTPSP(t.Context(), &p))
	claimed, gmail := 0, 0
	w.claimAtOnce(nodes, 3, 9, func(_ *DB, j store.Job) {
		if claimed++; j.Mailbox == mailbox.Gmail {
			gmail++
		}
	})
	if claimed != 100 || gmail > 7 {
		t.Errorf("%d claimed, %d of them to Gmail; the limits are 100 and 7", claimed, gmail)
	}
}

// Nodes that claim at the same time never get the same message, and leave none.
func TestClaimsNeverOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := []*DB{w.db, open(t, w.url, "two"), open(t, w.url, "three")}
	const total = 900
	for range 3 {
		w.accept(total / 3)
	}
	seen := map[mail.ID]string{}
	w.claimAtOnce(nodes, 2, 40, func(db *DB, j store.Job) {
		if other, taken := seen[j.ID]; taken {
			w.Errorf("%s is claimed by %s and %s", j.ID, other, db.Node())
		}
		seen[j.ID] = db.Node()
	})
	if len(seen) != total {
		t.Errorf("claimed %d of %d", len(seen), total)
	}
	w.wantBooks()
}

// Two nodes read the same webhooks, and webhooks that report the same: each event counts once.
func TestReportsCountOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := open(t, w.url, "two")
	ids := w.accept(120)
	w.send(w.db, len(ids))
	reports := reportsOf(ids, event.Delivered)
	w.receive(len(ids), "first copy")
	w.receive(len(ids), "second copy")
	now := w.db.Now().Add(time.Second)
	var recorded, duplicates atomic.Int64
	var running sync.WaitGroup
	for _, db := range []*DB{w.db, two, w.db, two} {
		running.Go(func() {
			for round := 0; ; round++ {
				receipts, err := db.Received(t.Context(), now, 17)
				if err != nil || len(receipts) == 0 {
					w.must(err)
					return
				}
				batch := make([]store.Parsed, len(receipts))
				for i, r := range receipts {
					// Ids count up from 1: both copies of a report have the same remainder.
					batch[i] = store.Parsed{Receipt: r, Reports: reports[r.ID%int64(len(ids)):][:1], Sent: 70, Now: now}
				}
				res, err := db.Ingest(t.Context(), batch)
				w.must(err)
				recorded.Add(int64(res.Recorded))
				duplicates.Add(int64(res.Duplicates))
				again, err := w.db.Ingest(t.Context(), batch) // the answer got lost
				w.must(err)
				if !cmp.Equal(again, store.IngestResult{}) {
					w.Errorf("receipts are ingested twice: %+v", again)
				}
			}
		})
	}
	running.Wait()
	if recorded.Load() != 120 || duplicates.Load() != 120 {
		t.Errorf("%d recorded, %d duplicates", recorded.Load(), duplicates.Load())
	}
	w.wantBooks()
}

// A provider whose call to one node broke off calls another one: what comes fresh to both counts once, and what has to wait is
// tried by one of them.
func TestFreshReportsOnTwoNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := open(t, w.url, "two")
	ids := w.accept(120)
	w.send(w.db, len(ids))
	reports := reportsOf(ids, event.Delivered)
	stranger := report(mail.ID{}, "", event.Delivered)
	stranger.ProviderMessageID = "someone-else"
	now := w.db.Now()
	var recorded, duplicates, held atomic.Int64
	var running sync.WaitGroup
	for _, db := range []*DB{w.db, two, w.db, two} {
		running.Go(func() {
			for rest := reports; len(rest) > 0; rest = rest[20:] {
				batch := make([]store.Parsed, 20)
				for i := range batch {
					batch[i] = store.Parsed{Fresh: true, Reports: rest[i : i+1], Sent: 70, Now: now, HoldTo: now,
						Receipt: store.Receipt{AccountID: w.account.ID, TPSPID: w.tpsp.ID, Body: []byte("{}"), ReceivedAt: now}}
				}
				batch[7].Reports = append([]provider.Report{stranger}, batch[7].Reports...)
				res, err := db.Ingest(t.Context(), batch)
				w.must(err)
				recorded.Add(int64(res.Recorded))
				duplicates.Add(int64(res.Duplicates))
				held.Add(int64(res.Held))
			}
		})
	}
	running.Wait()
	if recorded.Load() != 120 || duplicates.Load() != 360 || held.Load() != 24 {
		t.Errorf("%d recorded, %d duplicates, %d held", recorded.Load(), duplicates.Load(), held.Load())
	}
	one, err := w.db.Received(t.Context(), now, 10)
	w.must(err)
	other, err := two.Received(t.Context(), now, 100)
	w.must(err)
	if len(one) != 10 || len(other) != 14 {
		t.Errorf("%d and %d receipts wait", len(one), len(other))
	}
	w.wantBooks()
}

// A receipt is one node's for a while; then it comes again.
func TestReceiptsAreTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := open(t, w.url, "two")
	w.receive(3, "{}")
	now := w.db.Now().Add(time.Second)
	first, err := w.db.Received(t.Context(), now, 2)
	w.must(err)
	second, err := two.Received(t.Context(), now, 10)
	w.must(err)
	none, err := w.db.Received(t.Context(), now.Add(takenFor-time.Millisecond), 10)
	w.must(err)
	again, err := two.Received(t.Context(), now.Add(takenFor), 10)
	w.must(err)
	if len(first) != 2 || len(second) != 1 || len(none) != 0 || len(again) != 3 || first[0].ID != again[0].ID {
		t.Errorf("taken %v, %v, %v, %v", first, second, none, again)
	}
}

// Outcomes, reports, recoveries and sweeps of the same messages, on two nodes at once: nothing is stuck, and every message
// ends where the provider says.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := open(t, w.url, "two")
	var all []mail.ID
	for range 6 {
		ids := w.accept(60)
		all = append(all, ids...)
		jobs := w.claim(w.db, 60)
		if len(jobs) != 60 {
			t.Fatalf("claimed %d", len(jobs))
		}
		w.receive(120, "{}")
		reports := append(reportsOf(ids, event.Delivered), reportsOf(ids, event.Opened)...)
		slices.Reverse(reports)
		now := w.db.Now()
		var running sync.WaitGroup
		running.Go(func() { w.must(w.db.Settle(t.Context(), w.accepted(w.db, jobs[:30]))) })
		running.Go(func() {
			backwards := slices.Clone(jobs[20:])
			slices.Reverse(backwards)
			w.must(w.db.Settle(t.Context(), w.accepted(w.db, backwards)))
		})
		running.Go(func() {
			for _, db := range []*DB{w.db, two} {
				w.ingest(db, reports[:60])
				reports = reports[60:]
			}
		})
		running.Go(func() {
			_, err := two.Recover(t.Context(), store.Recovery{Now: now.Add(time.Hour), AskAt: now})
			w.must(err)
		})
		running.Go(func() {
			_, _, err := two.Expire(t.Context(), store.Expiry{TTL: time.Hour, Now: now, Limit: 100})
			w.must(err)
			var moves []store.Move
			for _, id := range all {
				moves = append(moves, store.Move{ID: id, From: w.tpsp.Egress(), To: w.tpsp.Egress()})
			}
			_, err = two.Rearrange(t.Context(), moves, now)
			w.must(err)
		})
		running.Wait()
	}
	for _, id := range all {
		if m := w.message(id); m.State != lifecycle.Delivered {
			t.Errorf("%s is %s", id, m.State)
		}
	}
	w.wantBooks()
	if n, err := w.db.Waiting(t.Context(), w.tpsp.Egress()); err != nil || n != 0 {
		t.Errorf("%d wait (%v)", n, err)
	}
	var deadlocks int
	_, err := one(t.Context(), w.db.work, "look", []any{&deadlocks}, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
	if err != nil || deadlocks != 0 {
		t.Errorf("%d deadlocks (%v): somebody takes locks out of order", deadlocks, err)
	}
}

// A reader that goes on after the last Seq it saw never misses an event, whatever commits meanwhile.
func TestReadersMissNoEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := []*DB{w.db, open(t, w.url, "two")}
	writing, done := context.WithCancel(t.Context())
	var writers, readers sync.WaitGroup
	for i := range 6 {
		db := nodes[i%len(nodes)]
		writers.Go(func() {
			for k := range 30 {
				batch, _ := w.submissions(1 + (i+k)%7)
				w.must(db.Accept(t.Context(), batch))
			}
		})
	}
	read := make([][]int64, 2)
	for i := range read {
		readers.Go(func() {
			after := int64(0)
			for {
				ended := writing.Err() != nil
				page, err := nodes[i].Events(t.Context(), store.EventFilter{AccountID: w.account.ID, After: after, Limit: 50})
				w.must(err)
				for _, e := range page {
					read[i] = append(read[i], e.Seq)
					after = e.Seq
				}
				if ended && len(page) == 0 {
					return
				}
			}
		})
	}
	writers.Wait()
	done()
	readers.Wait()
	var total int64
	counts, err := w.db.Counts(t.Context(), store.CountFilter{AccountID: w.account.ID, From: time.Now().Add(-24 * time.Hour), To: time.Now()})
	w.must(err)
	for _, c := range counts {
		total += c.N
	}
	for i, seqs := range read {
		if int64(len(seqs)) != total {
			t.Errorf("reader %d saw %d of %d events", i, len(seqs), total)
		}
	}
	w.wantBooks()
}
