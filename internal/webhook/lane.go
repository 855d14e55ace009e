package webhook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postyard/internal/sendpost"
	"postyard/internal/store"
)

// How deliveries are tried.
const (
	callsOfLane  = 8    // calls to one endpoint at a time
	manyFlying   = 256  // calls from which on every endpoint has one at a time
	mostFlying   = 512  // calls at a time
	queued       = 1000 // deliveries of an endpoint that are kept in mind
	loadBelow    = 200  // when others are read
	loadAtOnce   = 500
	bodiesAtOnce = 32 // that are made when one is missing

	backOffAfter = 5 // failures in a row
	firstWait    = time.Second
	longestWait  = 5 * time.Minute
	mostWait     = time.Hour      // that a receiver may ask for (Retry-After)
	giveUpAfter  = 75 * time.Hour // without a success the endpoint is paused
	mostTries    = 10
	jitter       = 0.2
)

// gaps are the times between the ten tries of a delivery; together they are 75 hours.
var gaps = [mostTries - 1]time.Duration{5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 30*time.Hour + 23*time.Minute + 55*time.Second}

// spread makes a time up to a fifth shorter or longer.
func (s *Service) spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + jitter*(2*s.Jitter()-1)))
}

// lane is the way to one endpoint. It belongs to the leader's mutex.
type lane struct {
	ep    *endpoint
	state store.EndpointStanding

	queue  []store.Delivery
	held   map[int64]bool // by Seq: what is in the queue, under way, or not recorded
	after  int64          // what waits for nothing is in the queue, or was, up to this Seq
	behind bool           // there may be more in the store
	again  bool           // behind was said while loading
	look   time.Time      // when deliveries whose time has come are to be read; zero: there are none

	rounds  int // of backing off: calls that failed since it began
	flying  int
	loading bool
	stalled bool
	gone    bool // the endpoint was deleted
	timer   *time.Timer
	timed   time.Time // when it goes off; zero: it does not
}

// backOff is how long an endpoint is left alone after so many rounds.
func backOff(rounds int) time.Duration {
	if rounds > 8 { // 2^9 s is more
		return longestWait
	}
	return min(firstWait<<rounds, longestWait)
}

// backsOff tells whether the endpoint is tried by one delivery at a time.
func (p *lane) backsOff() bool { return p.state.Failures >= backOffAfter }

// open tells whether anything may be posted.
func (p *lane) open() bool { return !p.gone && p.ep.Enabled && p.ep.Paused == "" }

// idle tells whether the lane can be forgotten.
func (p *lane) idle() bool {
	return p.ep.Named && len(p.queue) == 0 && len(p.held) == 0 && p.flying == 0 && !p.behind && !p.loading && !p.stalled && p.look.IsZero()
}

func (p *lane) disarm() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timed = time.Time{}
}

// adopt makes the lanes those of the endpoints.
func (l *leader) adopt(all map[int32]*endpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.lanes {
		if all[id] == nil {
			p.gone = true
			p.disarm()
			delete(l.lanes, id)
		}
	}
	now := l.Now()
	for id, ep := range all {
		p := l.lanes[id]
		switch {
		case p == nil:
			p = &lane{ep: ep, state: ep.Standing, held: map[int64]bool{}, behind: true, rounds: max(ep.Standing.Failures-backOffAfter, 0)}
			l.lanes[id] = p
		case p.ep.Paused != "" && ep.Paused == "" && l.pausing(id): // it is not recorded yet
			ep = p.ep
		case p.ep.Paused != "" && ep.Paused == "", p.backsOff() && ep.Standing.Failures == 0: // a user wants it to be tried now
			p.state.Failures, p.state.FailingAt, p.state.NextTry, p.rounds = 0, time.Time{}, time.Time{}, 0
		}
		p.ep, p.look = ep, now
		l.kick(p)
	}
}

// pausing tells whether it is still to be recorded that an endpoint is paused.
func (l *leader) pausing(id int32) bool {
	return slices.ContainsFunc(l.pauses, func(p pause) bool { return p.id == id })
}

// hand gives new deliveries to the lanes.
func (l *leader) hand(keys []store.DeliveryKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	touched := map[*lane]bool{}
	for _, k := range keys {
		p := l.lanes[k.EndpointID]
		if p == nil {
			if p = l.newLane(k.EndpointID, k.Seq-1); p == nil {
				continue // deleted; what was written for it is swept away
			}
		}
		switch {
		case p.behind:
			p.again = true
		case k.Seq > p.after && !p.held[k.Seq]:
			p.queue, p.held[k.Seq], p.after = append(p.queue, store.Delivery{DeliveryKey: k}), true, k.Seq
			p.behind = len(p.queue) >= queued
		}
		touched[p] = true
	}
	for p := range touched {
		l.kick(p)
	}
}

// newLane makes the lane of an endpoint that messages name, which had nothing to do until now.
func (l *leader) newLane(id int32, after int64) *lane {
	ep := l.namedByID[id]
	if ep == nil {
		return nil
	}
	p := &lane{ep: ep, state: ep.Standing, held: map[int64]bool{}, after: after}
	if state, ok := l.stood[id]; ok { // since the endpoint was read
		p.state = state
	}
	p.rounds = max(p.state.Failures-backOffAfter, 0)
	l.lanes[id] = p
	return p
}

// kick starts what a lane may do now, and says when it is to be looked at again.
func (l *leader) kick(p *lane) {
	for l.start(p) {
	}
	l.load(p)
	if p.idle() {
		p.disarm()
		delete(l.lanes, p.ep.ID)
		l.stood[p.ep.ID] = p.state
	}
}

// start starts a call, if the lane may make one now.
func (l *leader) start(p *lane) bool {
	if l.stopping || !p.open() || len(p.queue) == 0 {
		return false
	}
	now := l.Now()
	if p.state.NextTry.After(now) {
		l.arm(p, now, p.state.NextTry)
		return false
	}
	share := callsOfLane
	if p.backsOff() || l.flying >= manyFlying {
		share = 1
	}
	if p.flying >= share {
		return false
	}
	if l.flying >= mostFlying || len(l.outcomes) >= mostUnrecorded {
		if !p.stalled {
			p.stalled = true
			l.stalled = append(l.stalled, p)
		}
		return false
	}
	d := p.queue[0]
	p.queue = p.queue[1:]
	p.flying++
	l.flying++
	probe := p.backsOff()
	ep := p.ep
	var ahead []int64
	if _, ok := l.bodies.get(d.Seq); !ok {
		for _, next := range p.queue[:min(len(p.queue), bodiesAtOnce-1)] {
			ahead = append(ahead, next.Seq)
		}
	}
	l.calls.Go(func() { l.deliver(p, ep, d, probe, ahead) })
	return true
}

// arm has the lane looked at again at a time.
func (l *leader) arm(p *lane, now, at time.Time) {
	if l.stopping || !p.timed.IsZero() && !at.Before(p.timed) && p.timed.After(now) {
		return
	}
	p.disarm()
	p.timed = at
	p.timer = time.AfterFunc(at.Sub(now), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		p.timed = time.Time{}
		if l.lanes[p.ep.ID] == p {
			l.kick(p)
		}
	})
}

// load reads deliveries of a lane when few are in mind.
func (l *leader) load(p *lane) {
	if l.stopping || p.loading || !p.open() || len(p.queue) >= loadBelow {
		return
	}
	now := l.Now()
	due := !p.look.IsZero() && !p.look.After(now)
	if !p.look.IsZero() && !due {
		l.arm(p, now, p.look)
	}
	if !due && !p.behind {
		return
	}
	p.loading, p.again = true, false
	id, after, behind, limit := p.ep.ID, p.after, p.behind, loadAtOnce+len(p.held)
	if due {
		p.look = time.Time{}
	}
	l.calls.Go(func() {
		var ready, delayed []store.Delivery
		var err error
		if due {
			delayed, err = l.Store.Delayed(l.calling, id, limit)
		}
		if behind && err == nil {
			ready, err = l.Store.Ready(l.calling, id, after, loadAtOnce)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		p.loading = false
		if p.gone {
			return
		}
		now := l.Now()
		if err != nil {
			l.Log.Warn("webhooks wait", "error", err)
			l.lookAt(p, now.Add(again))
			l.arm(p, now, now.Add(again))
			return
		}
		if due {
			p.take(delayed, limit, now, l)
		}
		if behind {
			for _, d := range ready {
				p.after = d.Seq
				p.enqueue(d)
			}
			p.behind = p.again || len(ready) == loadAtOnce
		}
		l.kick(p)
	})
}

// take queues deliveries whose time has come.
func (p *lane) take(delayed []store.Delivery, limit int, now time.Time, l *leader) {
	for _, d := range delayed {
		if d.DueAt.After(now) {
			l.lookAt(p, d.DueAt)
			return
		}
		p.enqueue(d)
	}
	if len(delayed) == limit {
		l.lookAt(p, now)
	}
}

func (p *lane) enqueue(d store.Delivery) {
	if !p.held[d.Seq] {
		p.held[d.Seq] = true
		p.queue = append(p.queue, d)
	}
}

// lookAt notes when deliveries whose time has come are to be read.
func (l *leader) lookAt(p *lane, at time.Time) {
	if p.look.IsZero() || at.Before(p.look) {
		p.look = at
	}
}

// deliver makes one call.
func (l *leader) deliver(p *lane, ep *endpoint, d store.Delivery, probe bool, ahead []int64) {
	body, err := l.body(l.calling, d.Seq, ahead)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.land(p)
		now := l.Now()
		p.queue = append([]store.Delivery{d}, p.queue...)
		if p.state.NextTry.Before(now.Add(again)) {
			p.state.NextTry = now.Add(again)
		}
		l.arm(p, now, p.state.NextTry)
		return
	}
	if body == nil {
		now := l.Now()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.land(p)
		l.settle(p, store.Try{DeliveryKey: d.DeliveryKey, Call: d.Calls + 1, At: now, Error: "the event cannot be read any more", Fate: store.GivenUp, Tries: d.Tries}, probe)
		l.kick(p)
		return
	}
	a := l.call(l.calling, ep, sendpost.EventID(l.Installation, d.Seq), body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.land(p)
	if a.err != "" && l.calling.Err() != nil { // we cut it: nobody knows, and it is posted again
		return
	}
	l.settle(p, l.judge(p, d, &a, probe), probe)
	l.kick(p)
	l.unstall()
}

// land notes that a call has ended.
func (l *leader) land(p *lane) {
	p.flying--
	l.flying--
}

// unstall lets lanes go on that had to wait for others.
func (l *leader) unstall() {
	for len(l.stalled) > 0 && l.flying < mostFlying && len(l.outcomes) < mostUnrecorded {
		p := l.stalled[0]
		l.stalled = l.stalled[1:]
		p.stalled = false
		if l.lanes[p.ep.ID] == p {
			l.kick(p)
		}
	}
}

// body returns the body for an event; nil when there is none any more. Those of ahead are made along with it.
func (l *leader) body(ctx context.Context, seq int64, ahead []int64) ([]byte, error) {
	if body, ok := l.bodies.get(seq); ok {
		return body, nil
	}
	events, err := l.Store.OutEvents(ctx, append([]int64{seq}, ahead...))
	if err != nil {
		return nil, err
	}
	list := make([]*store.OutEvent, len(events))
	for i := range events {
		list[i] = &events[i]
	}
	bodies, err := l.render(ctx, list)
	return bodies[seq], err
}

// judge says what becomes of a delivery and of its endpoint after a call.
func (l *leader) judge(p *lane, d store.Delivery, a *answer, probe bool) store.Try {
	now, s := l.Now(), &p.state
	t := store.Try{DeliveryKey: d.DeliveryKey, Call: d.Calls + 1, At: a.at, Took: a.took, Status: a.status, Error: a.err, Tries: d.Tries}
	s.LastAt, s.LastStatus, s.LastError = a.at, a.status, a.err
	if a.err == "" {
		s.Failures, s.FailingAt, s.NextTry, s.WorkedAt = 0, time.Time{}, time.Time{}, a.at
		return t
	}
	s.Failures++
	if s.FailingAt.IsZero() {
		s.FailingAt = a.at
	}
	switch failing := now.Sub(s.FailingAt); {
	case a.gone():
		t.Fate = store.Kept
		l.pause(p, "the receiver answered 410: it is gone")
	case failing >= giveUpAfter:
		t.Fate = store.Kept
		l.pause(p, fmt.Sprintf("nothing got through for %d hours; last: %s", int(failing.Hours()), a.err))
	case probe || s.Failures > backOffAfter:
		t.Fate = store.Kept
	default:
		if t.Tries++; t.Tries >= mostTries {
			t.Fate = store.GivenUp
			break
		}
		t.Fate, t.Next = store.Retry, now.Add(l.spread(gaps[t.Tries-1]))
		l.lookAt(p, t.Next)
	}
	switch {
	case probe:
		p.rounds++
		s.NextTry = now.Add(l.spread(backOff(p.rounds)))
	case s.Failures == backOffAfter: // calls that were made along with this one say nothing new
		p.rounds = 0
		s.NextTry = now.Add(l.spread(backOff(0)))
	}
	if until := now.Add(a.wait); a.wait > 0 && s.NextTry.Before(until) {
		s.NextTry = until
	}
	return t
}

// pause stops posting to an endpoint, and has that recorded.
func (l *leader) pause(p *lane, reason string) {
	if p.ep.Paused != "" {
		return
	}
	paused := *p.ep
	paused.Paused = reason
	p.ep = &paused
	l.pauses = append(l.pauses, pause{p.ep.AccountID, p.ep.ID, reason})
}
