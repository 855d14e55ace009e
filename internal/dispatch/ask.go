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

// breadth is how many messages one question is about. One about too many does not end in time, and would be put again and again: after a
// question that was not answered it is half as many, and with every answer twice as many again, but only slowly as many as failed.
type breadth struct{ now, most int }

func newBreadth() breadth { return breadth{askBatch, askBatch} }

func (b *breadth) failed(size int) {
	b.most = min(b.most, max(size/2, 1))
	b.now = b.most
}

func (b *breadth) answered() {
	b.most = min(b.most+max(b.most/16, 1), askBatch)
	b.now = min(2*b.now, b.most)
}

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
		jobs, err := r.d.Store.ClaimUnknown(ctx, store.Claim{Egress: r.egress, Limit: r.breadth.now, Owner: r.d.owner, Now: now, LeaseUntil: lease})
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
	q := inquiry{capable: r.capable(target), policy: target.Policy, asking: r.started}
	var said answers
	if q.capable.CanLookup {
		said = r.lookup(wire, target, adapter, jobs, until)
	}
	q.now = r.d.Now()
	batch := make([]store.Settlement, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		q.found, q.failure = said.found[j.ID], said.failure
		if q.failure == nil {
			q.failure = said.before[j.ID]
		}
		batch[i] = decideAnswer(j, &q, r.d.Rules)
		batch[i].Owner = r.d.owner
	}
	r.settle(wire, batch)
	r.log.Info("provider asked about unknown outcomes", "messages", len(jobs), "found", len(said.found), "error", said.failure,
		"not answered by past connections", len(said.before))
	return ending{asked: true, unanswered: said.failure != nil, size: len(jobs)}
}

// answers are what a provider said about messages.
type answers struct {
	found   map[mail.ID]*provider.Found
	failure error             // why today's connection could not answer
	before  map[mail.ID]error // why a past one could not, for messages that may have gone out there
}

// lookup asks the provider about messages: at today's connection, and about those that may have gone out before it was made, at the past
// ones as well. Only what all of them deny may be sent again.
func (r *runner) lookup(wire context.Context, target *directory.TPSP, a provider.Adapter, jobs []store.Job, until time.Time) answers {
	ctx, cancel := context.WithTimeout(wire, until.Sub(r.d.Now()))
	defer cancel()
	said := answers{found: make(map[mail.ID]*provider.Found, len(jobs)), before: map[mail.ID]error{}}
	ids, oldest := sought(jobs, &said, time.Time{})
	said.failure = r.lookupAt(ctx, target, a, ids, oldest, &said)
	for _, was := range target.Since(oldest) {
		ids, since := sought(jobs, &said, was.Until)
		if len(ids) == 0 {
			continue
		}
		if err := r.lookupAt(ctx, was.TPSP, a, ids, since, &said); err != nil {
			err = fmt.Errorf("at the connection that was replaced: %w", err)
			for _, id := range ids {
				said.before[id] = err
			}
		}
	}
	return said
}

// sought lists the messages that were not found so far and went out before a time, and when the oldest of them did; the zero time is none.
func sought(jobs []store.Job, said *answers, before time.Time) (ids []mail.ID, oldest time.Time) {
	for i := range jobs {
		j := &jobs[i]
		if said.found[j.ID] != nil || !before.IsZero() && !j.SentAt.Before(before) {
			continue
		}
		if ids = append(ids, j.ID); oldest.IsZero() || j.SentAt.Before(oldest) {
			oldest = j.SentAt
		}
	}
	return ids, oldest
}

// lookupAt asks at one connection. What was found counts also beside an error.
func (r *runner) lookupAt(ctx context.Context, t *directory.TPSP, a provider.Adapter, ids []mail.ID, since time.Time, said *answers) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the adapter failed: %v", p)
		}
	}()
	conn, err := r.d.Connections.Connection(t)
	if err != nil {
		return err
	}
	found, err := a.Lookup(ctx, conn, ids, since)
	for i := range found {
		said.found[found[i].ID] = &found[i]
	}
	return err
}
