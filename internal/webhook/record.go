package webhook

import (
	"context"
	"errors"

	"postyard/internal/store"
)

// outcome is what is to be recorded of a call.
type outcome struct {
	lane *lane
	try  store.Try
}

// settle has what came of a delivery recorded. One that is kept goes first when the endpoint is tried again, but for a probe: if it is this event that the
// receiver cannot take, the next one gets through.
func (l *leader) settle(p *lane, t store.Try, probe bool) {
	if kept := (store.Delivery{DeliveryKey: t.DeliveryKey, Calls: t.Call, Tries: t.Tries}); t.Fate == store.Kept && probe {
		p.queue = append(p.queue, kept)
	} else if t.Fate == store.Kept {
		p.queue = append([]store.Delivery{kept}, p.queue...)
	}
	l.outcomes = append(l.outcomes, outcome{p, t})
	select {
	case l.outcome <- struct{}{}:
	default:
	}
}

// record writes outcomes, many at once, until the channel is closed; then what is left, as far as that is soon possible.
func (l *leader) record() {
	for range l.outcome {
		for {
			more, err := l.recordSome(context.Background())
			if err != nil {
				l.Log.Warn("outcomes of webhooks wait to be recorded", "error", err)
				if !sleep(l.calling, again) {
					break
				}
			} else if !more {
				break
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	for {
		more, err := l.recordSome(ctx)
		if err == nil && !more {
			return
		}
		if err != nil && !sleep(ctx, again) {
			l.Log.Warn("outcomes of webhooks were not recorded: some are posted again", "error", err)
			return
		}
	}
}

// recordSome writes outcomes, and tells whether there are more.
func (l *leader) recordSome(ctx context.Context) (more bool, err error) {
	l.mu.Lock()
	batch, rest := pick(l.outcomes)
	pauses := l.pauses
	tries := make([]store.Try, len(batch))
	standings := map[int32]store.EndpointStanding{}
	for i, o := range batch {
		tries[i] = o.try
		standings[o.try.EndpointID] = o.lane.state
	}
	l.mu.Unlock()
	if len(batch) == 0 && len(pauses) == 0 {
		return false, nil
	}
	list := make([]store.EndpointStanding, 0, len(standings))
	for id, s := range standings {
		s.EndpointID = id
		list = append(list, s)
	}
	if len(tries) > 0 {
		if err := l.Store.RecordTries(ctx, tries, list); err != nil {
			return true, err
		}
		l.recorded(batch, rest)
	}
	if err := l.writePauses(ctx, pauses); err != nil { // after the tries that say why
		return true, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pauses = l.pauses[len(pauses):]
	return len(l.outcomes) > 0 || len(l.pauses) > 0, nil
}

// recorded forgets outcomes that were written, and lets go on who waited for that.
func (l *leader) recorded(batch, rest []outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes = append(rest, l.outcomes[len(batch)+len(rest):]...)
	for _, o := range batch {
		if o.try.Fate != store.Kept {
			delete(o.lane.held, o.try.Seq)
		}
		if o.try.Fate == store.Retry { // when its time came before it was recorded, it was not found
			l.lookAt(o.lane, o.try.Next)
		}
		if (o.try.Fate == store.Retry || o.lane.idle()) && l.lanes[o.try.EndpointID] == o.lane {
			l.kick(o.lane)
		}
	}
	l.unstall()
}

// pick takes outcomes of which no two are of the same delivery; the others come later.
func pick(all []outcome) (batch, rest []outcome) {
	taken := map[store.DeliveryKey]bool{}
	for _, o := range all {
		if len(batch) < tryRecords && !taken[o.try.DeliveryKey] {
			taken[o.try.DeliveryKey] = true
			batch = append(batch, o)
		} else {
			taken[o.try.DeliveryKey] = true
			rest = append(rest, o)
		}
	}
	return batch, rest
}

// writePauses pauses endpoints, unless a user has changed them since.
func (l *leader) writePauses(ctx context.Context, list []pause) error {
	for _, p := range list {
		_, err := l.Store.ChangeEndpoint(ctx, p.account, p.id, func(e *store.Endpoint) error {
			if e.Paused == "" {
				e.Paused, e.PausedAt = p.reason, l.Now()
			}
			return nil
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		l.Log.Warn("a webhook is paused", "webhook", p.id, "account", p.account, "reason", p.reason)
	}
	return nil
}
