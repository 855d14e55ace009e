package dispatch

import (
	"context"
	"errors"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

const (
	lookChunk  = 2000             // messages looked at in one query
	lookChunks = 10               // queries before the runner looks at other things again
	moveAgain  = 5 * time.Second  // before the next pass, when this one moved something or something has changed since
	moveIdle   = 60 * time.Second // before the next pass otherwise
)

// moving is a pass over the messages that wait for an egress, to find those that may go elsewhere.
type moving struct {
	after mail.ID             // how far it has come
	moved int                 // by this pass
	next  time.Time           // when the next pass may begin
	seen  *directory.Snapshot // the configuration of the last one: while it stands, the next one is in no hurry
}

// usable tells whether mail of a sender may go to an egress at present.
func (d *Dispatcher) usable(e route.Egress, senderDomain string, now time.Time) bool {
	t := d.Directory.Current().Egress(e)
	return t != nil && t.Away(now) == "" && t.Refuses(senderDomain, now) == ""
}

// evacuate moves what waits for an egress that is away to the next one of its plan that is not. What has none stays.
func (r *runner) evacuate(ctx context.Context, target *directory.TPSP, why string, now time.Time) (more bool, err error) {
	f := store.QueuedFilter{AccountID: target.AccountID, Egress: r.egress, Movable: true}
	return r.move(ctx, &r.evacuation, f, now, func(q *store.Queued) store.Move {
		to, _ := q.Plan.After(r.egress, func(e route.Egress) bool { return r.d.usable(e, "", now) })
		return store.Move{To: to, Waiting: "moved on from " + r.egress.String() + ": " + why}
	})
}

// abandon moves what waits for a TPSP that was deleted to another egress of its plan, one that is in use if there is one, and drops
// what has none.
func (r *runner) abandon(ctx context.Context, target *directory.TPSP, now time.Time) (more bool, err error) {
	why := target.Away(now)
	f := store.QueuedFilter{AccountID: target.AccountID, Egress: r.egress}
	return r.move(ctx, &r.abandoning, f, now, func(q *store.Queued) store.Move {
		to, _ := q.Plan.After(r.egress, func(e route.Egress) bool { return r.d.usable(e, "", now) })
		if to == 0 {
			to, _ = q.Plan.After(r.egress, func(e route.Egress) bool { return r.d.Directory.Current().Uses(target.AccountID, e) != nil })
		}
		if to == 0 {
			return store.Move{Drop: why}
		}
		return store.Move{To: to, Waiting: "moved on from " + r.egress.String() + ": " + why}
	})
}

// spill moves what waits for a permit in lanes that are full to the overflow pool, for the pools that have one (RT-7).
func (r *runner) spill(ctx context.Context, target *directory.TPSP, now time.Time) (more bool, err error) {
	view := r.d.Directory.Current()
	pools := map[int32]*route.Pool{}
	for _, p := range view.Pools(target.AccountID) {
		if p.Overflow != 0 && slices.Contains(p.Members, r.egress) {
			pools[p.ID] = p
		}
	}
	if len(pools) == 0 {
		return false, nil
	}
	f := store.QueuedFilter{AccountID: target.AccountID, Egress: r.egress, Mailboxes: r.full, Movable: true}
	return r.move(ctx, &r.overflow, f, now, func(q *store.Queued) store.Move {
		pool := pools[q.PoolID]
		if pool == nil || q.Plan.Overflow == 0 {
			return store.Move{}
		}
		to := overflowOf(q.Plan, pool, func(e route.Egress) bool { return r.d.usable(e, "", now) })
		return store.Move{To: to, Waiting: "overflowed from " + r.egress.String() + ", whose limit is reached"}
	})
}

// move goes on with a pass. where says what becomes of a message; without a place to go to it stays. more tells that the pass is
// not over.
func (r *runner) move(ctx context.Context, m *moving, f store.QueuedFilter, now time.Time, where func(*store.Queued) store.Move) (more bool, err error) {
	view := r.d.Directory.Current()
	if m.after == (mail.ID{}) && now.Before(m.next) && (m.seen == view || now.Before(m.next.Add(moveAgain-moveIdle))) {
		return false, nil
	}
	for range lookChunks {
		list, last, err := r.d.Store.Queued(ctx, f, m.after, lookChunk)
		if err != nil {
			return false, err
		}
		n, err := r.moveSome(ctx, list, now, where)
		if err != nil {
			return false, err
		}
		m.moved += n
		if m.after = last; last == (mail.ID{}) {
			m.next, m.seen = now.Add(moveIdle), view
			if m.moved > 0 {
				r.log.Info("messages were moved to another provider", "messages", m.moved)
				m.next, m.moved = now.Add(moveAgain), 0
			}
			return false, nil
		}
	}
	return true, nil
}

func (r *runner) moveSome(ctx context.Context, list []store.Queued, now time.Time, where func(*store.Queued) store.Move) (int, error) {
	var moves []store.Move
	for i := range list {
		if m := where(&list[i]); m.To != 0 || m.Drop != "" {
			m.ID, m.From = list[i].ID, r.egress
			moves = append(moves, m)
		}
	}
	if len(moves) == 0 {
		return 0, nil
	}
	n, err := r.d.Store.Rearrange(ctx, moves, now)
	for _, to := range store.Targets(moves) {
		r.d.Wake(to)
	}
	return n, err
}

// overflowOf returns the first usable egress of a plan that the pool reaches by overflowing, or 0.
func overflowOf(p route.Plan, pool *route.Pool, usable func(route.Egress) bool) route.Egress {
	for _, e := range p.Egresses[min(p.Overflow, len(p.Egresses)):] {
		if !slices.Contains(pool.Members, e) && usable(e) {
			return e
		}
	}
	return 0
}

// noteSenders records which sender domains the provider refuses, and which it takes again.
func (r *runner) noteSenders(ctx context.Context, seen senders, now time.Time) {
	target := r.d.Directory.Current().Egress(r.egress)
	if target == nil {
		return
	}
	known := map[string]directory.Refusal{}
	for _, refusal := range target.Refused {
		known[refusal.Domain] = refusal
	}
	var changes []func(context.Context) error
	for domain, words := range seen {
		refusal, refused := known[domain]
		switch {
		case words == "" && (isReturn(refusal.Reason) || isTrial(refusal.Reason)) && now.Before(refusal.ProbeAt): // what was accepted so far shows nothing
		case words == "" && isReturn(refusal.Reason):
			refusal.Reason, refusal.ProbeAt = onTrial+refusal.Reason, now.Add(verdict)
			changes = append(changes, func(ctx context.Context) error { return r.d.Store.Refuse(ctx, target.ID, refusal) })
		case words == "" && refused:
			changes = append(changes, func(ctx context.Context) error { return r.d.Store.Admit(ctx, target.ID, domain) })
		case words == "", refused && now.Before(refusal.ProbeAt) && !isTrial(refusal.Reason), !refused && len(known) >= maxSenders:
		default:
			wait := firstRefusal
			if refused {
				wait = min(refusal.Wait*2, lastRefusal)
			}
			made := directory.Refusal{Domain: domain, Reason: provider.Clean(words, provider.MaxText), Since: now, ProbeAt: now.Add(wait), Wait: wait}
			known[domain] = made
			changes = append(changes, func(ctx context.Context) error { return r.d.Store.Refuse(ctx, target.ID, made) })
		}
	}
	if len(changes) == 0 {
		return
	}
	if err := r.save(ctx, func(ctx context.Context) (err error) {
		for _, change := range changes {
			err = errors.Join(err, change(ctx))
		}
		return err
	}); err != nil {
		r.log.Error("what the provider says of senders could not be saved", "error", err)
	}
}

// How long mail of a refused sender domain goes elsewhere before it tries the provider again.
const (
	firstRefusal = 30 * time.Second
	lastRefusal  = 15 * time.Minute
	maxSenders   = 100 // domains that are remembered of one egress; the mail of others waits all the same
)

// senders are sender domains of a call: with the provider's words where it refused one, with "" where it took the mail.
type senders map[string]string

// sendersIn returns the domains of a call's senders.
func sendersIn(jobs []store.Job, outcomes []provider.Outcome) senders {
	seen := senders{}
	for i := range jobs {
		o := &outcomes[i]
		switch {
		case o.SenderOnly:
			seen[mail.Domain(jobs[i].Content.From.Email)] = words(o)
		case o.Class == provider.Accepted:
			if domain := mail.Domain(jobs[i].Content.From.Email); seen[domain] == "" {
				seen[domain] = ""
			}
		}
	}
	return seen
}
