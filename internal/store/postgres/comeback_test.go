package postgres

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// Two nodes are told that messages are taken back while they are told other things about them, and while outcomes of the calls come in:
// each message is queued again, once.
func TestTakenBackOnTwoNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := open(t, w.url, "two")
	ids := w.accept(120)
	jobs := w.claim(w.db, len(ids))
	for len(jobs) < len(ids) {
		more := w.claim(w.db, len(ids))
		if len(more) == 0 {
			t.Fatalf("claimed %d of %d", len(jobs), len(ids))
		}
		jobs = append(jobs, more...)
	}
	w.must(w.db.Settle(t.Context(), w.accepted(w.db, jobs[:60])))
	refusals := reportsOf(ids, event.Dropped)
	for i := range refusals {
		refusals[i].Refused = provider.Account
	}
	backwards := slices.Clone(refusals)
	slices.Reverse(backwards)
	var running sync.WaitGroup
	var back atomic.Int64
	tell := func(db *DB, reports []provider.Report) {
		running.Go(func() {
			for few := range slices.Chunk(reports, 10) {
				res, err := db.Ingest(t.Context(), []store.Parsed{{Fresh: true, Reports: few, Sent: 70, Now: db.Now(),
					Receipt: store.Receipt{AccountID: w.account.ID, TPSPID: w.tpsp.ID, Body: []byte("{}"), ReceivedAt: db.Now()}}})
				w.must(err)
				back.Add(int64(len(res.Back)))
			}
		})
	}
	tell(w.db, refusals)
	tell(two, backwards)
	tell(two, reportsOf(ids, event.Opened))
	for _, part := range [][]store.Job{jobs[60:], jobs[:60]} {
		running.Go(func() {
			for few := range slices.Chunk(part, 7) {
				w.must(w.db.Settle(t.Context(), w.accepted(w.db, few)))
			}
		})
	}
	running.Wait()
	if back.Load() != 120 {
		t.Errorf("%d came back", back.Load())
	}
	for _, id := range ids {
		if m := w.message(id); m.State != lifecycle.Queued || m.Attempts != 1 {
			t.Fatalf("%+v", m)
		}
	}
	w.wantBooks()
	for _, j := range w.claim(two, 10) {
		if j.Failures != 1 || j.Attempt != 2 {
			t.Fatalf("%+v", j)
		}
	}
}
