package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// Settle implements store.Queue.
func (db *DB) Settle(ctx context.Context, batch []store.Settlement) error {
	if len(batch) == 0 {
		return nil
	}
	ids := sorted(column(batch, func(s *store.Settlement) mail.ID { return s.Job.ID }))
	return db.write(ctx, db.work, "settle", func(t *tx) error {
		l := t.lock(ids)
		if err := t.flush(); err != nil {
			return err
		}
		if err := l.complete(t, batch); err != nil {
			return err
		}
		for i := range batch {
			t.suppress(engine.InactiveOf(&batch[i])...)
			if err := l.settle(&t.journal, &batch[i]); err != nil {
				return fmt.Errorf("message %s: %w", batch[i].Job.ID, err)
			}
		}
		return l.write(t)
	})
}

// complete reads what is missing when a provider took a message back meanwhile.
func (l *ledger) complete(t *tx, batch []store.Settlement) error {
	if err := t.lockAgain(l); err != nil {
		return err
	}
	var late []call
	for i := range batch {
		s := &batch[i]
		if p := l.pending(s.Job.ID); s.Proves() && (p == nil || !p.holds(s)) {
			late = append(late, call{s.Job.ID, s.Job.Attempt})
		}
	}
	if len(late) == 0 {
		return nil
	}
	l.tookBack = map[call]bool{}
	t.each(func(rows pgx.Rows) error {
		var c call
		err := rows.Scan(idInto(&c.id), &c.n)
		l.tookBack[c] = true
		return err
	}, `SELECT a.message_id, a.n FROM unnest($1::uuid[], $2::int[]) AS u (id, n) JOIN attempt a ON a.message_id = u.id AND a.n = u.n
		WHERE a.refused <> 0`, callIDs(late), callNumbers(late))
	return t.flush()
}

// holds tells whether a message is still in the hands of whom an outcome comes from.
func (p *place) holds(s *store.Settlement) bool {
	return p.owner == s.Owner && p.attempts == s.Job.Attempt && (p.status == engine.Leased || p.status == engine.Asking)
}

// settle records one outcome.
func (l *ledger) settle(j *journal, s *store.Settlement) error {
	c := call{s.Job.ID, s.Job.Attempt}
	switch {
	case s.Answer != "":
		l.answer(c, s.Answer, s.Outcome)
	case s.Outcome != nil:
		l.close(c, *s.Outcome, s.At)
	}
	m, p := l.messages[s.Job.ID], l.pending(s.Job.ID)
	switch {
	case p == nil && (!s.Proves() || m == nil):
		return nil
	case l.tookBack[c]:
		return nil // a report was faster, and said that the provider has it no more
	case p == nil: // a report of the provider was faster and has moved the message on
		m.sent(j, s.Job.Egress, s.Job.Plan.First(), term(s.ProviderMessageID()), s.Sent, s.At, engine.NoDetail)
		return nil
	case m == nil:
		return store.ErrNotFound
	}
	ours := p.holds(s)
	if !ours && !s.Proves() {
		return nil // the claim was lost; only proof of acceptance counts now
	}
	if ours && s.Returns() {
		l.giveBack(p, s.Job, s.At)
	}
	to, moved := lifecycle.Next(p.status.State(), s.Trigger)
	if !moved {
		return fmt.Errorf("no way from %s by trigger %d", p.status.State(), s.Trigger)
	}
	switch to {
	case lifecycle.Queued:
		l.requeue(p, s)
		if s.Mark != store.MarkNone {
			m.mark, m.changed = s.Mark, true
		}
	case lifecycle.Unknown:
		l.doubt(p, s)
	default:
		l.leave(p, engine.EndedBy(false), s.At)
		m.mark = max(m.mark, s.Mark)
		switch to {
		case lifecycle.Dropped, lifecycle.Bounced:
			return m.end(j, to, s.Job.Egress, p.attempts, *s.Drop, s.At, &s.Detail)
		default:
			return m.becomeSent(j, s, to, p.attempts)
		}
	}
	return nil
}

// unrecorded is the outcome of a call that ended without one.
var unrecorded = provider.Outcome{Class: provider.Ambiguous}

func (l *ledger) requeue(p *place, s *store.Settlement) {
	l.endCall(p, unrecorded, s.At)
	p.changed, p.owner = true, ""
	p.status = engine.Ready
	if !s.DueAt.IsZero() {
		p.status = engine.Delayed
	}
	p.egress, p.dueAt, p.waiting = s.Egress, engine.Stamp(s.DueAt), s.Waiting
	p.asks, p.unknownSince = 0, 0
	if s.Failed {
		p.failures++
	}
}

func (l *ledger) doubt(p *place, s *store.Settlement) {
	l.endCall(p, unrecorded, s.At)
	p.changed, p.owner = true, ""
	p.status, p.dueAt, p.waiting = engine.Unknown, engine.Stamp(s.DueAt), s.Waiting
	if s.Asked {
		p.asks++
	}
	if p.unknownSince == 0 {
		p.unknownSince = engine.Stamp(s.At)
	}
}

// becomeSent moves a message that has left the queue to sent, with its event.
func (m *message) becomeSent(j *journal, s *store.Settlement, to lifecycle.State, attempts int) error {
	m.state, m.attempts, m.egress, m.changed = to, attempts, s.Job.Egress, true
	detail, err := engine.Detail(&s.Detail)
	m.sent(j, s.Job.Egress, s.Job.Plan.First(), term(s.ProviderMessageID()), s.Sent, s.At, detail)
	return err
}

// sent records that a provider has the message, of whose plan another egress may be the first: its id for it, and the sent event of the
// family. It does nothing the second time.
func (m *message) sent(j *journal, egress, first route.Egress, providerID string, typ event.Type, at time.Time, detail []byte) {
	m.name(egress, providerID)
	family := engine.FamilyBit(typ)
	if m.families&family != 0 {
		return
	}
	m.families |= family
	m.changed = true
	detail, facets := engine.Carried(detail, first, egress)
	j.record(&m.owner, happening{egress: egress, typ: typ, effect: store.EffectOf(lifecycle.Accept), recipient: m.to, occurredAt: at, recordedAt: at,
		detail: detail, facets: facets})
}

// name keeps the provider's id of a message, the first one that is known.
func (m *message) name(egress route.Egress, providerID string) {
	if providerID != "" && m.providerID == "" {
		m.providerID, m.egress, m.changed, m.named = providerID, egress, true, true
	}
}

// drop records that nobody will try the message any more. It has left the queue already.
func (m *message) drop(j *journal, egress route.Egress, attempts int, typ event.Type, at time.Time, d *event.Detail) error {
	return m.end(j, lifecycle.Dropped, egress, attempts, typ, at, d)
}

// end is drop, or records that the message bounced before a provider had it.
func (m *message) end(j *journal, to lifecycle.State, egress route.Egress, attempts int, typ event.Type, at time.Time, d *event.Detail) error {
	m.state, m.attempts, m.egress, m.changed = to, attempts, egress, true
	effect := store.EffectOf(lifecycle.Drop)
	if to == lifecycle.Bounced {
		effect = store.EffectOf(lifecycle.Bounce)
	}
	detail, err := engine.Detail(d)
	if err != nil {
		return err
	}
	j.record(&m.owner, happening{egress: egress, typ: typ, effect: effect, recipient: m.to, occurredAt: at, recordedAt: at,
		detail: detail, facets: engine.OwnFacets(typ, d)})
	return nil
}
