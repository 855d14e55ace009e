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

// ask puts one question at a time about messages whose outcome is unknown.
func (r *runner) ask(ctx, wire context.Context, running *sync.WaitGroup, target *directory.TPSP, now time.Time) error {
	if r.asking {
		return nil
	}
	jobs, err := r.d.Store.ClaimUnknown(ctx, store.Claim{Egress: r.egress, Limit: askBatch, Owner: r.d.owner, Now: now,
		LeaseUntil: r.lease(now)})
	if err != nil || len(jobs) == 0 {
		return err
	}
	r.asking = true
	running.Go(func() { r.ended <- r.question(wire, target, jobs) })
	return nil
}

// question asks the provider which of the messages it has, and records the answers.
func (r *runner) question(wire context.Context, target *directory.TPSP, jobs []store.Job) ending {
	adapter := r.d.Providers[target.Type]
	found, failure := r.lookup(wire, target, adapter, jobs)
	byID := make(map[mail.ID]*provider.Found, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	now := r.d.Now()
	batch := make([]store.Settlement, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		batch[i] = decideAnswer(j, byID[j.ID], failure, adapter.Capabilities().Family, r.d.Rules, r.started, now)
		batch[i].Owner = r.d.owner
	}
	r.settle(wire, batch)
	r.log.Info("provider asked about unknown outcomes", "messages", len(jobs), "found", len(found), "error", failure)
	return ending{asked: true}
}

func (r *runner) lookup(wire context.Context, target *directory.TPSP, a provider.Adapter, jobs []store.Job) (found []provider.Found, err error) {
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
	ctx, cancel := context.WithTimeout(wire, r.d.CallTimeout)
	defer cancel()
	return a.Lookup(ctx, conn, ids, since)
}
