package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

const (
	idlePoll   = 30 * time.Second // longest sleep; hints and due times wake a runner earlier
	storeRetry = time.Second      // after the store failed
	askBatch   = 500              // most messages in one question
)

// runner carries the messages of one egress. Its fields belong to the goroutine of run; calls report to it by channels.
type runner struct {
	d      *Dispatcher
	egress route.Egress
	log    *slog.Logger
	wake   chan struct{}
	ended  chan ending

	breaker breaker
	refused senders // domains whose mail the provider refuses
	pace    pace
	paused  time.Time // throttled until then
	calls   int       // on the wire
	asking  bool
	retryAt time.Time // not before this, after the store failed
	started time.Time // when this process began with the egress
	unsaved bool      // the health could not be saved
}

// ending is how a call or a question ended.
type ending struct {
	asked bool
	probe bool // the call was the probe of an open breaker
	class provider.Class
	words string
	retry time.Duration // Throttled: when to go on
	slow  bool          // the call timed out
	seen  senders       // the senders of the call, see sendersIn
}

func newRunner(d *Dispatcher, e route.Egress) *runner {
	return &runner{d: d, egress: e, log: d.Log.With("egress", e.String()), wake: make(chan struct{}, 1),
		ended: make(chan ending), refused: senders{}, started: d.Now(), pace: newPace(d.BatchSize, d.Concurrency)}
}

func (r *runner) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends and every call has been recorded. Calls themselves run under wire, which lasts longer.
func (r *runner) run(ctx, wire context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	r.resume(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.wake:
		case <-timer.C:
		case e := <-r.ended:
			r.note(ctx, e)
		case <-ctx.Done():
			r.finish()
			return
		}
		timer.Reset(r.work(ctx, wire, &running))
	}
}

// resume takes up the health that the last process left: an egress that was stopped is probed before it is used.
func (r *runner) resume(ctx context.Context) {
	target := r.d.Directory.Current().AnyTPSP(r.egress.TPSPID())
	if target == nil || target.Health.Reason == "" {
		return
	}
	if h := target.Health; h.Stopped {
		r.breaker = breaker{open: true, reason: h.Reason, since: h.Since, probeAt: r.d.Now(), wait: firstProbe}
		return
	}
	if err := r.saveHealth(ctx, directory.Health{}); err != nil {
		r.log.Error("the provider's health could not be saved", "error", err)
	}
}

// finish waits for what is on the wire.
func (r *runner) finish() {
	for r.calls > 0 || r.asking {
		r.count(<-r.ended)
	}
}

func (r *runner) count(e ending) {
	if e.asked {
		r.asking = false
	} else {
		r.calls--
	}
}

// note learns from the end of a call.
func (r *runner) note(ctx context.Context, e ending) {
	r.count(e)
	if e.asked {
		return
	}
	now := r.d.Now()
	switch {
	case e.class == provider.Throttled:
		r.paused = later(r.paused, now.Add(e.retry))
		r.pace.slower()
	case e.slow:
		r.pace.slower()
	case e.class == provider.Accepted, e.class == provider.Rejected, e.class == provider.Inactive:
		r.pace.faster() // it answers
	}
	refusals := r.refused.learn(e.seen)
	switched := r.breaker.ended(e.probe, e.class, e.words, now)
	if !refusals && !switched {
		return
	}
	switch {
	case switched && r.breaker.open:
		r.log.Warn("the provider is not used for now", "reason", r.breaker.reason)
	case switched:
		r.log.Info("the provider is used again")
		r.pace.restart()
	}
	r.showHealth(ctx, now)
}

// showHealth saves how the egress stands, for people. What cannot be saved is tried again.
func (r *runner) showHealth(ctx context.Context, now time.Time) {
	health := directory.Health{Stopped: r.breaker.open, Reason: r.breaker.reason, Since: r.breaker.since}
	if reason := r.refused.reason(); !health.Stopped && reason != "" {
		health.Reason, health.Since = reason, now
		if t := r.d.Directory.Current().AnyTPSP(r.egress.TPSPID()); t != nil && t.Health.Reason != "" && !t.Health.Stopped {
			health.Since = t.Health.Since
		}
	}
	err := r.saveHealth(ctx, health)
	r.unsaved = err != nil
	if err != nil {
		r.log.Error("the provider's health could not be saved; trying again", "error", err)
	}
}

func (r *runner) saveHealth(ctx context.Context, h directory.Health) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.d.Store.UpdateHealth(ctx, r.egress.TPSPID(), h); err != nil {
		return err
	}
	return r.d.Directory.Reload(ctx)
}

// work starts as many calls as may run now and returns how long to sleep.
func (r *runner) work(ctx, wire context.Context, running *sync.WaitGroup) time.Duration {
	now := r.d.Now()
	if wait := r.retryAt.Sub(now); wait > 0 {
		return wait
	}
	target := r.d.Directory.Current().AnyTPSP(r.egress.TPSPID())
	if target == nil || r.d.Providers[target.Type] == nil {
		return idlePoll // nothing can carry its mail; it waits for a version of the program that can
	}
	if r.unsaved {
		r.showHealth(ctx, now)
	}
	sleep, err := r.serve(ctx, wire, running, target, now)
	if err != nil {
		if ctx.Err() == nil {
			r.log.Error("messages could not be claimed", "error", err)
		}
		r.retryAt = now.Add(storeRetry)
		return storeRetry
	}
	return sleep
}

// serve does what is due and returns how long nothing will be, as far as is known.
func (r *runner) serve(ctx, wire context.Context, running *sync.WaitGroup, target *directory.TPSP, now time.Time) (time.Duration, error) {
	due, err := r.d.Store.NextDue(ctx, r.egress)
	if err != nil {
		return 0, err
	}
	if arrived(due.Ask, now) {
		if err := r.ask(ctx, wire, running, target, now); err != nil {
			return 0, err
		}
	}
	switch {
	case !target.Deleted.IsZero():
		err = r.abandon(ctx, now)
	case due.Ready || arrived(due.Send, now):
		err = r.fill(ctx, wire, running, target, now)
	}
	return r.nap(due, now), err
}

// arrived tells whether a due time has come; the zero time never comes.
func arrived(due, now time.Time) bool { return !due.IsZero() && !due.After(now) }

// fill claims and starts calls until the pace, the breaker or the queue ends it.
func (r *runner) fill(ctx, wire context.Context, running *sync.WaitGroup, target *directory.TPSP, now time.Time) error {
	for r.calls < r.pace.calls && !now.Before(r.paused) {
		limit := r.breaker.permits(now, r.pace.batch)
		if limit == 0 {
			return nil
		}
		lease := now.Add(3 * r.d.CallTimeout)
		jobs, err := r.d.Store.Claim(ctx, store.Claim{Egress: r.egress, Limit: limit, Owner: r.d.Owner, Now: now, LeaseUntil: lease})
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			return nil
		}
		probe := r.breaker.began()
		r.calls++
		running.Go(func() {
			end := r.call(wire, target, jobs, lease)
			end.probe = probe
			r.ended <- end
		})
	}
	return nil
}

// abandon moves what still waits for a TPSP that was deleted to the next egress of its plan, or drops it.
func (r *runner) abandon(ctx context.Context, now time.Time) error {
	for moved := false; ; moved = true {
		n, err := r.d.Store.DropWaiting(ctx, r.egress, "the provider was deleted", now, 200)
		if err != nil {
			return err
		}
		if n == 0 {
			if moved {
				r.d.wakeOthers(r.egress)
			}
			return nil
		}
	}
}

// nap returns how long the runner may sleep. The end of a call and new messages wake it earlier.
func (r *runner) nap(due store.Due, now time.Time) time.Duration {
	next := now.Add(idlePoll)
	if !due.Ask.IsZero() && !r.asking {
		next = earlier(next, due.Ask)
	}
	held := r.calls >= r.pace.calls || r.breaker.probing
	if due.Ready || !due.Send.IsZero() {
		send := later(due.Send, r.paused)
		if r.breaker.open {
			send = later(send, r.breaker.probeAt)
		}
		if !held && send.After(now) {
			next = earlier(next, send)
		}
	}
	return max(next.Sub(now), 0) + time.Millisecond
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// call hands claimed messages to the provider and records the outcomes.
func (r *runner) call(wire context.Context, target *directory.TPSP, jobs []store.Job, lease time.Time) ending {
	adapter := r.d.Providers[target.Type]
	family := adapter.Capabilities().Family
	began := r.d.Now()
	outcomes := r.send(wire, target, jobs, lease)
	now := r.d.Now()
	batch := make([]store.Settlement, len(jobs))
	for i := range jobs {
		batch[i] = decide(&jobs[i], &outcomes[i], family, r.d.Rules, now, spread())
		batch[i].Owner, batch[i].Began = r.d.Owner, began
	}
	r.settle(wire, batch)
	for i := range batch {
		if e := batch[i].Egress; e != r.egress {
			r.d.Wake(e)
		}
	}
	end := summarize(outcomes)
	end.seen = sendersIn(jobs, outcomes)
	end.slow = now.Sub(began) >= r.d.CallTimeout
	r.report(jobs, outcomes, now.Sub(began))
	return end
}

// send makes the call. A batch that is refused as a whole is halved, so that one bad message does not drag others down.
func (r *runner) send(wire context.Context, target *directory.TPSP, jobs []store.Job, lease time.Time) []provider.Outcome {
	conn, err := r.d.Connections.Connection(target)
	if err != nil {
		return same(len(jobs), provider.Outcome{Class: provider.Account, Text: fmt.Sprintf("the stored credentials cannot be read: %v", err)})
	}
	outgoing := make([]provider.Outgoing, len(jobs))
	for i, j := range jobs {
		outgoing[i] = provider.Outgoing{ID: j.ID, AccountID: j.AccountID, SubAccountID: j.SubAccountID, TPSPID: target.ID,
			Mailbox: j.Mailbox, Content: j.Content, Recipient: j.Recipient}
	}
	return r.sendHalving(wire, r.d.Providers[target.Type], conn, outgoing, lease)
}

func (r *runner) sendHalving(wire context.Context, a provider.Adapter, conn provider.Connection, batch []provider.Outgoing, lease time.Time) []provider.Outcome {
	timeout := min(r.d.CallTimeout, lease.Sub(r.d.Now())-r.d.CallTimeout/2)
	if timeout <= 0 {
		return same(len(batch), provider.Outcome{Class: provider.Throttled, Text: "no time was left to call the provider"})
	}
	ctx, cancel := context.WithTimeout(wire, timeout)
	outcomes := safely(len(batch), func() []provider.Outcome { return a.Send(ctx, conn, batch) })
	cancel()
	return r.again(wire, a, conn, batch, outcomes, lease)
}

// again sends those messages anew whose call was refused for what may be another one's fault: one half after the other when
// it was the whole batch, else together.
func (r *runner) again(wire context.Context, a provider.Adapter, conn provider.Connection, batch []provider.Outgoing, outcomes []provider.Outcome, lease time.Time) []provider.Outcome {
	var refused []int
	for i := range outcomes {
		if o := &outcomes[i]; o.WholeCall && o.Class == provider.Rejected {
			refused = append(refused, i)
		}
	}
	if len(batch) == 1 || len(refused) == 0 {
		return outcomes
	}
	parts := [][]int{refused}
	if len(refused) == len(batch) {
		parts = [][]int{refused[:len(refused)/2], refused[len(refused)/2:]}
	}
	for _, part := range parts {
		smaller := make([]provider.Outgoing, len(part))
		for k, i := range part {
			smaller[k] = batch[i]
		}
		for k, o := range r.sendHalving(wire, a, conn, smaller, lease) {
			outcomes[part[k]] = o
		}
	}
	return outcomes
}

// safely makes sure that every message has an outcome, whatever the adapter does.
func safely(n int, send func() []provider.Outcome) (outcomes []provider.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			outcomes = same(n, provider.Outcome{Class: provider.Ambiguous, Text: fmt.Sprintf("the adapter failed: %v", p)})
		}
	}()
	outcomes = send()
	if len(outcomes) != n {
		return same(n, provider.Outcome{Class: provider.Ambiguous, Text: fmt.Sprintf("the adapter gave %d outcomes for %d messages", len(outcomes), n)})
	}
	return outcomes
}

func same(n int, o provider.Outcome) []provider.Outcome {
	list := make([]provider.Outcome, n)
	for i := range list {
		list[i] = o
	}
	return list
}

// gravity orders classes by what they say about the egress, not about a message.
var gravity = map[provider.Class]int{
	provider.Inactive: 0, provider.Rejected: 0, provider.Accepted: 1,
	provider.Throttled: 2, provider.Transient: 3, provider.Ambiguous: 4, provider.Account: 5,
}

// remark orders classes by what a log line should quote.
var remark = map[provider.Class]int{
	provider.Accepted: 0, provider.Inactive: 1, provider.Rejected: 2,
	provider.Throttled: 3, provider.Transient: 4, provider.Ambiguous: 5, provider.Account: 6,
}

func weight(o *provider.Outcome) int {
	if o.SenderOnly {
		return 0
	}
	return gravity[o.Class]
}

// summarize returns how a call went for the egress. Messages that were refused for their own sake do not count against it.
func summarize(outcomes []provider.Outcome) ending {
	worst := &outcomes[0]
	for i := range outcomes {
		if o := &outcomes[i]; weight(o) > weight(worst) {
			worst = o
		}
	}
	end := ending{class: worst.Class, words: words(worst)}
	if weight(worst) == 0 {
		end.class = provider.Rejected
	}
	if worst.Class == provider.Throttled {
		end.retry = max(worst.RetryAfter, throttleWait)
	}
	return end
}

// settle records until the store takes it: an outcome that is known must not be forgotten while the process lives. A
// settlement that the store refuses does not keep the others back.
func (r *runner) settle(wire context.Context, batch []store.Settlement) {
	ctx := context.WithoutCancel(wire)
	for {
		err := r.d.Store.Settle(ctx, batch)
		switch {
		case err == nil:
			return
		case !errors.Is(err, store.ErrUnavailable) && len(batch) > 1:
			half := len(batch) / 2
			r.settle(wire, batch[:half])
			r.settle(wire, batch[half:])
			return
		case !errors.Is(err, store.ErrUnavailable), wire.Err() != nil:
			// The claim stays. When its lease has ended the provider is asked.
			r.log.Error("an outcome could not be recorded", "messages", len(batch), "first", batch[0].Job.ID.String(), "error", err)
			return
		}
		r.log.Error("outcomes could not be recorded; trying again", "messages", len(batch), "error", err)
		select {
		case <-time.After(storeRetry):
		case <-wire.Done():
		}
	}
}

// report writes one line per call.
func (r *runner) report(jobs []store.Job, outcomes []provider.Outcome, took time.Duration) {
	counts := map[string]int{}
	worst := 0
	for i := range outcomes {
		counts[outcomes[i].Class.String()]++
		if remark[outcomes[i].Class] > remark[outcomes[worst].Class] {
			worst = i
		}
	}
	level := slog.LevelDebug
	if counts[provider.Accepted.String()] != len(jobs) {
		level = slog.LevelWarn
	}
	r.log.Log(context.Background(), level, "provider call", "messages", len(jobs), "outcomes", counts, "took", took,
		"words", words(&outcomes[worst]),
		"http", outcomes[worst].HTTPStatus, "message", jobs[worst].ID.String())
}

// ask puts one question at a time about messages whose outcome is unknown.
func (r *runner) ask(ctx, wire context.Context, running *sync.WaitGroup, target *directory.TPSP, now time.Time) error {
	if r.asking {
		return nil
	}
	jobs, err := r.d.Store.ClaimUnknown(ctx, store.Claim{Egress: r.egress, Limit: askBatch, Owner: r.d.Owner, Now: now,
		LeaseUntil: now.Add(3 * r.d.CallTimeout)})
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
		batch[i].Owner = r.d.Owner
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
