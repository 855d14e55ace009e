package dispatch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

const (
	askBatch     = 500 // most messages in one question
	maxQuestions = 4   // at a time; a question about many messages of a busy stream takes seconds
)

// mostQuestions is how many questions a provider gets at a time; one that is in trouble gets one, until it has answered it.
func (r *runner) mostQuestions() int {
	if !r.askFrom.IsZero() || r.breaker.open && r.answered.Before(r.breaker.since) {
		return 1
	}
	return maxQuestions
}

// ask puts questions about messages whose outcome is unknown, each about messages of its own. A provider that could not
// answer the last one is left alone for a while.
func (r *runner) ask(ctx, wire context.Context, running *sync.WaitGroup, target *directory.TPSP, now time.Time) error {
	for r.questions < r.mostQuestions() && !now.Before(r.askFrom) {
		lease := r.lease(now)
		jobs, err := r.d.Store.ClaimUnknown(ctx, store.Claim{Egress: r.egress, Limit: askBatch, Owner: r.d.owner, Now: now, LeaseUntil: lease})
		if err != nil || len(jobs) == 0 {
			return err
		}
		r.questions++
		running.Go(func() { r.ended <- r.question(wire, target, jobs, lease.Add(-leaseMargin)) })
	}
	return nil
}

// question asks the provider which of the messages it has, and records the answers.
func (r *runner) question(wire context.Context, target *directory.TPSP, jobs []store.Job, until time.Time) ending {
	adapter := r.d.Providers[target.Type]
	q := inquiry{capable: adapter.Capabilities(), policy: target.Policy, asking: r.started}
	var found []provider.Found
	if q.capable.CanLookup {
		found, q.failure = r.lookup(wire, target, adapter, jobs, until)
	}
	byID := make(map[mail.ID]*provider.Found, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	q.now = r.d.Now()
	batch := make([]store.Settlement, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		q.found = byID[j.ID]
		batch[i] = decideAnswer(j, &q, r.d.Rules)
		batch[i].Owner = r.d.owner
	}
	r.settle(wire, batch)
	r.log.Info("provider asked about unknown outcomes", "messages", len(jobs), "found", len(found), "error", q.failure)
	return ending{asked: true, unanswered: q.failure != nil}
}

func (r *runner) lookup(wire context.Context, target *directory.TPSP, a provider.Adapter, jobs []store.Job, until time.Time) (found []provider.Found, err error) {
	defer func() {
		if p := recover(); p != nil {
			found, err = nil, fmt.Errorf("the adapter failed: %v", p)
		}
	}()
	conn, err := r.d.Connections.Connection(target)
	if err != nil {
		return nil, err
	}
	ids, since := make([]mail.ID, len(jobs)), jobs[0].SentAt
	for i, j := range jobs {
		ids[i] = j.ID
		if j.SentAt.Before(since) {
			since = j.SentAt
		}
	}
	ctx, cancel := context.WithTimeout(wire, until.Sub(r.d.Now()))
	defer cancel()
	return a.Lookup(ctx, conn, ids, since)
}
