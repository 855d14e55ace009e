package dispatch

import (
	"context"
	"strings"
	"sync"
	"time"

	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

const (
	verdict = 15 * time.Second // how long mail waits for what a provider says of a message, when it took mail back before

	// stale is how old a report may be that a provider took mail back, to say something of the provider of now.
	stale = 15 * time.Minute

	onTrial = "one message was accepted, others wait for what becomes of it; before: " // of a sender domain
)

// isTrial tells whether a sender domain was refused like that, and is being tried again.
func isTrial(reason string) bool { return strings.HasPrefix(reason, onTrial) }

// isReturn tells whether an egress, or a sender domain, is not used because the provider took back what it had accepted.
func isReturn(reason string) bool { return strings.HasPrefix(reason, store.TakenBack) }

// Ingester records what providers report; every store does.
type Ingester interface {
	Ingest(ctx context.Context, batch []store.Parsed) (store.IngestResult, error)
}

// Ingest has reports recorded. It says where messages go that their providers take back, wakes who is to send them, and holds it against
// the providers.
func (d *Dispatcher) Ingest(ctx context.Context, in Ingester, batch []store.Parsed) (store.IngestResult, error) {
	for i := range batch {
		batch[i].Back = d.back
	}
	res, err := in.Ingest(ctx, batch)
	if err != nil {
		return res, err
	}
	if n := len(res.Back); n > 0 {
		first := &res.Back[0]
		d.Log.Warn("messages were taken back after they had been accepted, and are queued again", "messages", n, "first", first.ID.String(),
			"egress", first.Egress.String(), "class", first.Class.String(), "words", first.Words, "next", first.To.String())
	}
	for i := range res.Back {
		c := &res.Back[i]
		if r := d.runner(c.Egress); r != nil && c.Now.Sub(c.At) < stale {
			r.returned.add(c)
			r.wakeUp()
		}
		d.Wake(c.To)
	}
	return res, nil
}

// back says where a message goes that its provider took back, and when, by the table in docs/failover.md: to the next egress of its plan
// at once, and when all of them had their turn, after a pause that doubles with every round.
func (d *Dispatcher) back(c *store.Comeback) (to route.Egress, due time.Time) {
	return comeback(c, d.Jitter(), func(e route.Egress) bool { return d.usable(e, c.Sender, c.Now) })
}

func comeback(c *store.Comeback, jitter float64, usable func(route.Egress) bool) (to route.Egress, due time.Time) {
	next, wrapped := c.Plan.After(c.Egress, usable)
	if next == 0 {
		next = c.Egress
	}
	if wrapped {
		due = c.Now.Add(backoff(c.Failures, &c.Plan, jitter))
	}
	return next, due
}

// returned is what a runner is told of mail that its provider took back: by sender domain where it is for the sender's sake, else under "".
// Of several the last one counts.
type returned struct {
	mu   sync.Mutex
	list map[string]store.Comeback
}

func (r *returned) add(c *store.Comeback) {
	of := ""
	switch {
	case c.Class == provider.Transient: // it says no more than one call that failed
		return
	case c.SenderOnly:
		of = c.Sender
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list == nil {
		r.list = map[string]store.Comeback{}
	}
	if last, told := r.list[of]; told && (last.Class == provider.Account && c.Class != provider.Account || last.SentAt.After(c.SentAt)) || len(r.list) > maxSenders {
		return
	}
	r.list[of] = *c
}

func (r *returned) take() map[string]store.Comeback {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// noteReturned learns from mail that the provider took back.
func (r *runner) noteReturned(ctx context.Context) {
	refused := senders{}
	now := r.d.Now()
	for _, c := range r.returned.take() {
		switch reason := store.TakenBack + c.Words; {
		case c.SenderOnly:
			refused[c.Sender] = reason
		case c.Class == provider.Throttled:
			r.paused = later(r.paused, now.Add(throttleWait))
			r.pace.slower()
		case r.breaker.tookBack(c.SentAt, reason, now):
			r.switched()
			r.showHealth(ctx)
		}
	}
	if len(refused) > 0 {
		r.noteSenders(ctx, refused, now)
	}
}
