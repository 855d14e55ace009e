package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// call hands claimed messages to the provider and records the outcomes.
func (r *runner) call(wire context.Context, target *directory.TPSP, jobs []store.Job, f *flight) ending {
	capable := r.capable(target)
	began := r.d.Now()
	outcomes := r.send(wire, target, jobs, f)
	rest(outcomes, f)
	now := r.d.Now()
	batch := make([]store.Settlement, len(jobs))
	for i := range jobs {
		usable := func(e route.Egress) bool { return r.d.usable(e, mail.Domain(jobs[i].Content.From.Email), now) }
		batch[i] = decide(&jobs[i], &outcomes[i], capable, r.d.Rules, now, r.d.Jitter(), usable)
		batch[i].Owner = r.d.owner
	}
	r.settle(wire, batch)
	for i := range batch {
		if e := batch[i].Egress; e != r.egress {
			r.d.Wake(e)
		}
	}
	end := summarize(outcomes)
	end.flight = f
	end.seen = sendersIn(jobs, outcomes)
	end.slow = !now.Before(f.until)
	r.report(jobs, outcomes, now.Sub(began))
	return end
}

// capable is what a provider can do over today's connection.
func (r *runner) capable(target *directory.TPSP) provider.Capabilities {
	capable := r.d.Providers[target.Type].Capabilities()
	capable.CanLookup = capable.CanLookup && !target.Mute()
	return capable
}

// rest gives the messages of a call that came to nothing a moment before they are claimed again: what hindered it, and did not say for how
// long, would hinder the next one as well. What only had no room in a call that was made is not kept.
func rest(outcomes []provider.Outcome, f *flight) {
	if f.made || slices.ContainsFunc(outcomes, func(o provider.Outcome) bool { return !o.Unsent || o.Class != provider.Transient }) {
		return
	}
	for i := range outcomes {
		if outcomes[i].RetryAfter == 0 {
			outcomes[i].RetryAfter = storeRetry
		}
	}
}

// send makes the call. A batch that is refused as a whole is halved, so that one bad message does not drag others down.
func (r *runner) send(wire context.Context, target *directory.TPSP, jobs []store.Job, f *flight) []provider.Outcome {
	conn, err := r.d.Connections.Connection(target)
	if err != nil {
		return same(len(jobs), provider.Outcome{Class: provider.Account, Unwritten: true, Text: fmt.Sprintf("the stored credentials cannot be read: %v", err)})
	}
	outcomes := make([]provider.Outcome, len(jobs))
	outgoing, places := r.outgoing(wire, target, jobs, outcomes)
	if len(outgoing) == 0 {
		return outcomes
	}
	for i, o := range r.sendHalving(wire, r.d.Providers[target.Type], conn, outgoing, f) {
		outcomes[places[i]] = o
		if alias := outgoing[i].Content.Template; alias != "" && o.Class == provider.Rejected && o.Elsewhere && !o.Unsent && r.d.Templates != nil {
			r.d.Templates.Missing(target, alias)
		}
	}
	return outcomes
}

// maxRendered is how many bytes of rendered text one call has in memory, but for the last message: a template can make much of a
// small message.
const maxRendered = 32 << 20

// outgoing prepares messages for the wire and tells their places. One that has nothing to leave with gets its outcome; those for
// which there is no room are for the next call.
func (r *runner) outgoing(ctx context.Context, target *directory.TPSP, jobs []store.Job, outcomes []provider.Outcome) (list []provider.Outgoing, places []int) {
	capable := r.d.Providers[target.Type].Capabilities()
	list, places = make([]provider.Outgoing, 0, len(jobs)), make([]int, 0, len(jobs))
	rendered := 0
	held, err := r.suppressed(ctx, jobs)
	for i := range jobs {
		j := &jobs[i]
		content := j.Content
		recipient, stays := held.recipient(j, err)
		if stays != nil {
			outcomes[i] = *stays
			continue
		}
		if rendered >= maxRendered {
			outcomes[i] = provider.Outcome{Class: provider.Transient, Unsent: true, Text: "the call was full; it leaves with the next one"}
			continue
		}
		if r.d.Templates != nil {
			var none *provider.Outcome
			if content, none = r.d.Templates.Outgoing(ctx, target, capable, j); none != nil {
				outcomes[i] = *none
				continue
			}
		}
		if r.d.Tracking != nil {
			content = r.d.Tracking.Outgoing(target.Egress(), capable, j, content)
		}
		if content != j.Content {
			rendered += len(content.Subject) + len(content.HTML) + len(content.Text) + len(content.AMP)
		}
		sign, unsigned := r.signer(ctx, capable, j)
		if unsigned != nil {
			outcomes[i] = *unsigned
			continue
		}
		list = append(list, provider.Outgoing{Sign: sign, ID: j.ID, AccountID: j.AccountID, SubAccountID: j.SubAccountID, TPSPID: target.ID,
			Mailbox: j.Mailbox, Content: content, Recipient: recipient})
		places = append(places, i)
	}
	return list, places
}

// sendHalving ends when the flight has to, whatever is left to be sent.
func (r *runner) sendHalving(wire context.Context, a provider.Adapter, conn provider.Connection, batch []provider.Outgoing, f *flight) []provider.Outcome {
	left := f.until.Round(0).Sub(r.d.Now().Round(0)) // by the wall clock, see provider.Leaving
	if left < r.d.CallTimeout/shortest {
		return same(len(batch), provider.Outcome{Class: provider.Transient, Unsent: true, Text: provider.ErrLate.Error()})
	}
	ctx, cancel := context.WithTimeout(f.watched(wire), left)
	outcomes := safely(len(batch), func() []provider.Outcome { return a.Send(ctx, conn, batch) })
	cancel()
	f.made = f.made || slices.ContainsFunc(outcomes, func(o provider.Outcome) bool { return !o.Unsent })
	return r.again(wire, a, conn, batch, outcomes, f)
}

// shortest is the part of a call's time with which it is not worth beginning: it would end in doubt.
const shortest = 20

// again sends those messages anew whose call was refused for what may be another one's fault: one half after the other when
// it was the whole batch, else together.
func (r *runner) again(wire context.Context, a provider.Adapter, conn provider.Connection, batch []provider.Outgoing, outcomes []provider.Outcome, f *flight) []provider.Outcome {
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
		for k, o := range r.sendHalving(wire, a, conn, smaller, f) {
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
	if o.SenderOnly || o.Unsent || o.Own {
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
		end.unmade = !slices.ContainsFunc(outcomes, func(o provider.Outcome) bool { return !o.Unsent })
		if end.unmade {
			end.retry = worst.RetryAfter
		}
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
