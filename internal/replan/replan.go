// Package replan plans waiting messages anew when the IP pool that they belong to was changed, or the provider that they wait
// for takes other messages than before.
//
// What is to be done stands in the store, written in the transaction of the change, so it survives a stop. Of several nodes
// one does it, in chunks, while mail flows; a message that is claimed meanwhile keeps its plan.
package replan

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/plan"
	"postyard/internal/route"
	"postyard/internal/store"
)

const (
	chunk    = 200              // messages looked at in one go
	look     = 30 * time.Second // how often it is looked for work that nobody told of
	leaseFor = time.Minute      // renewed with every chunk
	lease    = "replan"
)

// Store is the part of the store that the package needs.
type Store interface {
	Replans(ctx context.Context) ([]store.Replan, error)
	Replanned(ctx context.Context, id int64) error
	Queued(ctx context.Context, f store.QueuedFilter, after mail.ID, limit int) ([]store.Queued, mail.ID, error)
	Rearrange(ctx context.Context, batch []store.Move, now time.Time) (int, error)
	Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error)
	Release(ctx context.Context, name, holder string) error
}

// Config is what a Service works with.
type Config struct {
	Store     Store
	Directory *directory.Directory
	Planner   *plan.Planner
	Holder    string // this run of this node, as the holder of leases
	Wake      func(route.Egress)
	Now       func() time.Time
	Log       *slog.Logger
}

// Service plans anew. It works while Run runs.
type Service struct {
	Config
	hints chan struct{}
}

// New returns a Service.
func New(c Config) *Service { return &Service{Config: c, hints: make(chan struct{}, 1)} }

// Hint tells that there may be something to do. It never blocks.
func (s *Service) Hint() {
	select {
	case s.hints <- struct{}{}:
	default:
	}
}

// Run works until ctx ends.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		if err := s.pass(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("waiting messages could not be planned anew; trying again", "error", err)
		}
		select {
		case <-s.hints:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// pass does all there is to do, unless another node is at it.
func (s *Service) pass(ctx context.Context) (err error) {
	todo, err := s.Store.Replans(ctx)
	if err != nil || len(todo) == 0 {
		return err
	}
	held, err := s.Store.Lease(ctx, lease, s.Holder, leaseFor)
	if err != nil || !held {
		return err
	}
	defer func() { err = errors.Join(err, s.Store.Release(context.WithoutCancel(ctx), lease, s.Holder)) }()
	if err := s.Directory.Refresh(ctx); err != nil { // another node may have made the change
		return err
	}
	for i := range todo {
		if done, err := s.do(ctx, &todo[i]); err != nil || !done {
			return err
		}
		if err := s.Store.Replanned(ctx, todo[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// do plans the messages of one change anew. done is false when the lease was lost.
func (s *Service) do(ctx context.Context, r *store.Replan) (done bool, err error) {
	f := store.QueuedFilter{AccountID: r.AccountID, PoolID: r.PoolID, Egress: r.Egress, Content: true}
	for after, moved := (mail.ID{}), 0; ; {
		list, last, err := s.Store.Queued(ctx, f, after, chunk)
		if err != nil {
			return false, err
		}
		n, err := s.move(ctx, list, r.Reason)
		if err != nil {
			return false, err
		}
		moved += n
		if after = last; last == (mail.ID{}) {
			if moved > 0 {
				s.Log.Info("waiting messages were planned anew", "reason", r.Reason, "messages", moved)
			}
			return true, nil
		}
		if held, err := s.Store.Lease(ctx, lease, s.Holder, leaseFor); err != nil || !held {
			return false, err
		}
	}
}

// move gives messages their new plans.
func (s *Service) move(ctx context.Context, list []store.Queued, reason string) (int, error) {
	var moves []store.Move
	for i := range list {
		if m := s.plan(&list[i], reason); m != nil {
			moves = append(moves, *m)
		}
	}
	if len(moves) == 0 {
		return 0, nil
	}
	n, err := s.Store.Rearrange(ctx, moves, s.Now())
	for _, to := range store.Targets(moves) {
		s.Wake(to)
	}
	return n, err
}

// plan makes the new plan of a message. It is nil when the message stays as it is: its pool is gone, or nothing that the pool
// leads to now can carry it.
func (s *Service) plan(q *store.Queued, reason string) *store.Move {
	made, bad := s.Planner.Again(s.Directory.Current(), plan.Waiting{AccountID: q.AccountID, PoolID: q.PoolID, Content: q.Content, Mailbox: q.Mailbox,
		Seq: rand.Uint64()}) // its own place in the sequence was taken when it was accepted
	if bad != nil {
		return nil
	}
	if slices.Equal(slices.Sorted(slices.Values(made.Egresses)), slices.Sorted(slices.Values(q.Plan.Egresses))) {
		return &store.Move{ID: q.ID, From: q.Egress, To: q.Egress, Plan: &q.Plan} // it keeps its turn; the pool's priority may be another one
	}
	made.Rule += "; planned anew: " + reason
	return &store.Move{ID: q.ID, From: q.Egress, To: made.First(), Plan: &made}
}
