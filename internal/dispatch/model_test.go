package dispatch

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// TestModel drives the real store and the real decisions through random histories: two nodes that crash, stall and wake too
// late, providers that take mail without saying so, show it late, report about it in any order and take it back. After each step the books
// must balance, and in the end every message must have an end.
func TestModel(t *testing.T) {
	t.Parallel()
	db, checks := openStore(t), 0
	rapid.Check(t, func(rt *rapid.T) {
		checks++
		w := newWorld(rt, db, fmt.Sprintf("account %d", checks))
		for i := range w.houses {
			w.houses[i].policy = rapid.SampledFrom([]directory.Policy{directory.AtLeastOnce, directory.AtMostOnce}).Draw(rt, "policy")
			w.houses[i].capable.CanLookup = rapid.IntRange(0, 3).Draw(rt, "cannot be asked") > 0
		}
		rt.Repeat(map[string]func(*rapid.T){
			"accept": w.accept, "claim": w.claim, "claim again": w.claim, "call": w.call, "call again": w.call, "settle": w.settle,
			"settle again": w.settle, "question": w.question, "answer": w.answer, "answer again": w.answer, "report": w.report,
			"take back": w.takeBack, "report late": w.reportLate, "pass": w.pass, "sweep": w.sweep, "crash": w.crash, "expire": w.expire, "delete": w.delete, "move": w.move, "": w.check,
		})
		w.drain(rt)
	})
}

func (w *world) accept(t *rapid.T) {
	n := rapid.IntRange(1, 3).Draw(t, "messages")
	plan := w.plan(rapid.IntRange(0, 3).Draw(t, "plan"))
	w.submit(t, n, plan)
}

// claim is one node's, for one egress.
func (w *world) claim(t *rapid.T) {
	w.claimFor(t, w.node(t), w.house(t), rapid.IntRange(1, 4).Draw(t, "limit"))
}

func (w *world) claimFor(t *rapid.T, n *node, h *house, limit int) {
	lease := w.now.Add(modelTimeout + leaseMargin)
	claimed, err := w.db.Claim(w.ctx, store.Claim{Egress: h.egress, Limit: limit, Owner: n.owner(), Now: w.now, LeaseUntil: lease})
	must(t, err)
	if jobs := claimed.Jobs; len(jobs) > 0 {
		n.trips = append(n.trips, &trip{house: h, jobs: jobs, until: lease.Add(-leaseMargin)})
	}
}

// call has a claimed batch go to the provider, if it still may.
func (w *world) call(t *rapid.T) {
	_, trip := w.pick(t, func(c *trip) bool { return c.outcomes == nil && !c.question })
	if trip == nil {
		t.Skip("nothing is claimed")
	}
	ctx := provider.WithWatch(w.ctx, provider.Watch{Until: trip.until, Now: func() time.Time { return w.now }, Asked: func() {}, Heard: func() {}})
	for i := range trip.jobs {
		o := provider.Outcome{Class: provider.Transient, Unsent: true, Text: "late"}
		if provider.Leaving(ctx) == nil {
			o = trip.house.take(t, w, &trip.jobs[i])
		}
		trip.outcomes = append(trip.outcomes, o)
	}
}

// settle records what a call gave, however late.
func (w *world) settle(t *rapid.T) {
	n, trip := w.pick(t, func(c *trip) bool { return c.outcomes != nil })
	if trip == nil {
		t.Skip("no call has ended")
	}
	batch := make([]store.Settlement, len(trip.jobs))
	for i := range trip.jobs {
		batch[i] = decide(&trip.jobs[i], &trip.outcomes[i], trip.house.capable, modelRules, w.now, 0.5, always)
		batch[i].Owner = n.owner()
	}
	must(t, w.db.Settle(w.ctx, batch))
	n.drop(trip)
}

func (w *world) question(t *rapid.T) {
	w.questionFor(t, w.node(t), w.house(t), rapid.IntRange(1, 4).Draw(t, "limit"))
}

func (w *world) questionFor(t *rapid.T, n *node, h *house, limit int) {
	jobs, err := w.db.ClaimUnknown(w.ctx, store.Claim{Egress: h.egress, Limit: limit, Owner: n.owner(), Now: w.now,
		LeaseUntil: w.now.Add(modelTimeout + leaseMargin)})
	must(t, err)
	if len(jobs) > 0 {
		n.trips = append(n.trips, &trip{house: h, jobs: jobs, question: true})
	}
}

// answer ends a question; what the provider says is what it shows at that moment.
func (w *world) answer(t *rapid.T) {
	n, trip := w.pick(t, func(c *trip) bool { return c.question })
	if trip == nil {
		t.Skip("nothing is asked")
	}
	q := inquiry{capable: trip.house.capable, policy: trip.house.policy, asking: w.began, now: w.now}
	if !w.draining && rapid.IntRange(0, 3).Draw(t, "the question fails") == 0 {
		q.failure = fmt.Errorf("HTTP 500")
	}
	batch := make([]store.Settlement, len(trip.jobs))
	for i := range trip.jobs {
		q.found = nil
		if q.failure == nil && q.capable.CanLookup {
			q.found = trip.house.show(trip.jobs[i].ID, w.now)
		}
		batch[i] = decideAnswer(&trip.jobs[i], &q, modelRules)
		batch[i].Owner = n.owner()
		if batch[i].Mark == store.MarkResent {
			w.resent[trip.jobs[i].ID] = true
		}
	}
	must(t, w.db.Settle(w.ctx, batch))
	n.drop(trip)
}

// report has a provider tell of something that happened to a message that it has, perhaps again.
func (w *world) report(t *rapid.T) {
	h := w.house(t)
	if len(h.order) == 0 {
		t.Skip("the provider has nothing")
	}
	id := rapid.SampledFrom(h.order).Draw(t, "message")
	kinds := []event.Kind{event.Delivered, event.HardBounced, event.SoftBounced, event.Opened, event.Spam}
	r := provider.Report{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), MessageID: id, ProviderMessageID: h.has[id].name, Recipient: w.to[id],
		Final: rapid.Bool().Draw(t, "final"), OccurredAt: h.has[id].at}
	if h.has[id].copies || rapid.IntRange(0, 4).Draw(t, "about a copy") == 0 {
		r.Recipient = "copy@example.net"
	}
	r.Type, _ = event.TypeOf(event.Postmark, r.Kind)
	r.Identity = fmt.Sprintf("%s %d %d %t %s", id, h.egress, r.Kind, r.Final, r.Recipient)
	w.ingest(t, h, r)
	h.has[id].ended = h.has[id].ended || r.Recipient == w.to[id] && engine.TriggerOf(&r, false) != lifecycle.Accept
}

// takeBack has a provider say that it does not carry a message after all. It has it no more.
func (w *world) takeBack(t *rapid.T) {
	h := w.house(t)
	if len(h.order) == 0 {
		t.Skip("the provider has nothing")
	}
	id := rapid.SampledFrom(h.order).Draw(t, "message")
	p := h.has[id]
	if p.times > 1 || p.copies || p.ended {
		t.Skip("it has sent it")
	}
	w.check(t)
	was := w.states[id].State
	w.back[id]++
	delete(h.has, id)
	h.order = slices.DeleteFunc(h.order, func(other mail.ID) bool { return other == id })
	h.past = append(h.past, past{id, p.name})
	w.ingest(t, h, w.refusal(t, h, h.past[len(h.past)-1], 0))
	if w.check(t); was == lifecycle.Sent && !w.resent[id] && w.states[id].State != lifecycle.Queued {
		t.Fatalf("%s is %s after it was taken back", id, w.states[id].State)
	}
}

func (w *world) refusal(t *rapid.T, h *house, p past, words int) provider.Report {
	r := provider.Report{Kind: event.Dropped, MessageID: p.id, ProviderMessageID: p.name, Recipient: w.to[p.id], OccurredAt: w.now,
		Refused:  rapid.SampledFrom([]provider.Class{provider.Account, provider.Throttled, provider.Transient}).Draw(t, "class"),
		Identity: fmt.Sprintf("%s back %d %s", p.name, words, p.id)}
	r.Type, _ = event.TypeOf(event.Postmark, r.Kind)
	return r
}

// reportLate has a provider tell of a message that it took back: the same once more, in other words, or something that it did before. That
// changes no state.
func (w *world) reportLate(t *rapid.T) {
	h := w.house(t)
	if len(h.past) == 0 {
		t.Skip("the provider took nothing back")
	}
	p := rapid.SampledFrom(h.past).Draw(t, "message")
	r := w.refusal(t, h, p, rapid.IntRange(0, 2).Draw(t, "words"))
	if kind := rapid.SampledFrom([]event.Kind{event.Dropped, event.SoftBounced, event.Opened}).Draw(t, "kind"); kind != event.Dropped {
		r.Kind, r.Identity = kind, fmt.Sprintf("%s %d", r.Identity, kind)
		r.Type, _ = event.TypeOf(event.Postmark, kind)
	} else if rapid.Bool().Draw(t, "for good") {
		r.Refused, r.Identity = provider.Accepted, r.Identity+" for good"
	}
	w.check(t)
	was := w.states[p.id]
	w.ingest(t, h, r)
	if w.check(t); w.states[p.id].State != was.State || w.states[p.id].Egress != was.Egress {
		t.Fatalf("%s went from %s at %s to %s at %s by a report of whom it left", p.id, was.State, was.Egress, w.states[p.id].State, w.states[p.id].Egress)
	}
}

func (w *world) pass(t *rapid.T) {
	w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Second, 12 * time.Second, time.Minute, 5 * time.Minute, 16 * time.Minute}).Draw(t, "time"))
}

func (w *world) sweep(t *rapid.T) {
	_, err := w.db.Recover(w.ctx, store.Recovery{Now: w.now, AskAt: w.now})
	must(t, err)
}

// crash ends a node with all that it knows, and starts it again.
func (w *world) crash(t *rapid.T) {
	n := w.node(t)
	n.run, n.trips = n.run+1, nil
	_, err := w.db.Recover(w.ctx, store.Recovery{Node: n.name, Owner: n.owner(), Now: w.now, AskAt: w.now.Add(modelRules.AskAfter[0])})
	must(t, err)
}

func (w *world) expire(t *rapid.T) {
	_, _, err := w.db.Expire(w.ctx, store.Expiry{TTL: modelTTL, Now: w.now, Limit: 1000})
	must(t, err)
}

// delete takes the second provider out of use, and drops or moves what waits for it.
func (w *world) delete(t *rapid.T) {
	h := &w.houses[1]
	if !h.deleted {
		if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
			t.Skip("not now")
		}
		must(t, w.db.DeleteTPSP(w.ctx, w.account, h.egress.TPSPID(), true, w.now))
		h.deleted = true
	}
	w.moveAll(t, h, store.Move{Drop: store.ReasonDeleted})
}

// move has what waits for a provider go to the other one, as far as it may, as an outage does.
func (w *world) move(t *rapid.T) {
	h := w.house(t)
	if h.deleted {
		t.Skip("it has nothing")
	}
	w.moveAll(t, h, store.Move{})
}

// moveAll moves what waits for a provider to the other one of its plan; what has none becomes what otherwise says.
func (w *world) moveAll(t *rapid.T, h *house, otherwise store.Move) {
	list, _, err := w.db.Queued(w.ctx, store.QueuedFilter{AccountID: w.account, Egress: h.egress}, mail.ID{}, 100_000)
	must(t, err)
	var moves []store.Move
	for _, q := range list {
		m := otherwise
		if to, _ := q.Plan.After(h.egress, func(e route.Egress) bool { return !w.houses[1].deleted || e != w.houses[1].egress }); to != 0 {
			m = store.Move{To: to, Waiting: "moved"}
		}
		if m != (store.Move{}) {
			m.ID, m.From = q.ID, h.egress
			moves = append(moves, m)
		}
	}
	_, err = w.db.Rearrange(w.ctx, moves, w.now)
	must(t, err)
}

// drain lets time pass and everything work until no message is pending. A node may stand still meanwhile, with what it has
// claimed, and wake at any moment.
func (w *world) drain(t *rapid.T) {
	w.draining = true
	stalled, wakes := w.stall(t)
	for round := range 60 {
		w.now = w.now.Add(time.Minute)
		w.sweep(t)
		w.settleAll(t)
		for i := range w.houses {
			w.claimFor(t, &w.nodes[round%2], &w.houses[i], 100)
			w.questionFor(t, &w.nodes[round%2], &w.houses[i], 100)
		}
		if w.houses[1].deleted {
			w.delete(t)
		}
		if round == wakes {
			w.nodes[0].trips = append(w.nodes[0].trips, stalled...)
		}
		w.settleAll(t)
		if w.check(t); w.pending == 0 && round >= wakes {
			w.checkCounters(t)
			return
		}
	}
	t.Fatalf("%d messages are still pending", w.pending)
}

// stall takes away what a node has claimed, and says in which round it wakes.
func (w *world) stall(t *rapid.T) (stalled []*trip, wakes int) {
	n := &w.nodes[0]
	stalled, n.trips = n.trips, nil
	return stalled, rapid.IntRange(0, 12).Draw(t, "the node wakes in round")
}

// settleAll ends whatever is under way, in any order.
func (w *world) settleAll(t *rapid.T) {
	for {
		_, trip := w.pick(t, nil)
		switch {
		case trip == nil:
			return
		case trip.question:
			w.answer(t)
		case trip.outcomes == nil:
			w.call(t)
		default:
			w.settle(t)
		}
		w.check(t)
	}
}
