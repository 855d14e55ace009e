package sqlite

import (
	"context"
	"fmt"
	"time"

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
	return db.write(ctx, settling, func(t *tx) error {
		t.expect(len(batch))
		accepted := make([]any, 0, len(batch))
		for i := range batch {
			if batch[i].Trigger == lifecycle.Accept {
				accepted = append(accepted, batch[i].Job.ID[:])
			}
		}
		if err := t.foresee(accepted); err != nil {
			return err
		}
		left := 0
		for i := range batch {
			gone, err := t.settle(&batch[i])
			if err != nil {
				return fmt.Errorf("settle %s: %w", batch[i].Job.ID, err)
			}
			if gone {
				left++
			}
		}
		t.onCommit(func() { db.backlog.Add(-int64(left)) })
		return nil
	})
}

// settle records one outcome; gone tells that the message left the queue.
func (t *tx) settle(s *store.Settlement) (gone bool, err error) {
	if err := t.closeAttempt(s); err != nil {
		return false, err
	}
	t.suppress(engine.InactiveOf(s)...)
	if s.Trigger == lifecycle.Accept {
		if done, err := t.settleAccepted(s); done || err != nil {
			return done, err
		}
	}
	var status engine.Status
	var attempts int
	var holder string
	queued, err := t.one([]any{&status, &holder, &attempts}, `SELECT status, lease_owner, attempts FROM queue WHERE id = ?`, s.Job.ID[:])
	if err != nil {
		return false, err
	}
	ours := queued && holder == s.Owner && attempts == s.Job.Attempt && (status == engine.Leased || status == engine.Asking)
	if !ours {
		if !s.Proves() {
			return false, nil // the claim was lost; only proof of acceptance counts now
		}
		if back, err := t.tookBack(s.Job); back || err != nil {
			return false, err // a report was faster, and said that the provider has it no more
		}
	}
	if !queued {
		return false, t.confirm(s) // a report of the provider was faster and has moved the message on
	}
	if ours && s.Returns() {
		if err := t.returnPermit(s.Job, s.At); err != nil {
			return false, err
		}
	}
	to, moved := lifecycle.Next(status.State(), s.Trigger)
	if !moved {
		return false, fmt.Errorf("no way from %s by trigger %d", status.State(), s.Trigger)
	}
	switch to {
	case lifecycle.Queued:
		return false, t.requeue(s)
	case lifecycle.Unknown:
		return false, t.doubt(s)
	default:
		return true, t.leave(s, to, attempts)
	}
}

// settleAccepted is the way that nearly every message goes, in few statements: claimed by us, and the provider took it.
func (t *tx) settleAccepted(s *store.Settlement) (done bool, err error) {
	n, err := t.changed(`DELETE FROM queue WHERE id = ? AND status = 2 AND lease_owner = ? AND attempts = ?`, s.Job.ID[:], s.Owner, s.Job.Attempt)
	if err != nil || n == 0 {
		return false, err
	}
	o, found, err := t.message(s.Job.ID)
	if err != nil {
		return false, err
	}
	if !found {
		return false, store.ErrNotFound
	}
	to, _ := lifecycle.Next(lifecycle.Sending, lifecycle.Accept)
	return true, t.becomeSent(o, s, to, s.Job.Attempt)
}

// becomeSent moves a message that has left the queue to sent, with its event.
func (t *tx) becomeSent(o *stored, s *store.Settlement, to lifecycle.State, attempts int) error {
	family, fresh := o.firstOf(s.Sent)
	if _, err := t.exec(`UPDATE message SET state = ?, attempts = ?, egress = ?, mark = max(mark, ?), sent_families = sent_families | ?,
			provider_id = CASE provider_id WHEN '' THEN ? ELSE provider_id END WHERE id = ?`,
		int(to), attempts, int32(s.Job.Egress), int(s.Mark), family, s.ProviderMessageID(), o.id[:]); err != nil {
		return err
	}
	if !fresh {
		return nil
	}
	detail, err := engine.Detail(&s.Detail)
	if err != nil {
		return err
	}
	detail, facets := engine.Carried(detail, s.Job.Plan.First(), s.Job.Egress)
	t.record(&o.owner, happening{egress: s.Job.Egress, typ: s.Sent, effect: sentEffect, recipient: o.to, occurredAt: s.At, recordedAt: s.At, detail: detail,
		facets: facets})
	return nil
}

// What the events that we make ourselves say about their message's state.
var (
	sentEffect    = store.EffectOf(lifecycle.Accept)
	droppedEffect = store.EffectOf(lifecycle.Drop)
	bouncedEffect = store.EffectOf(lifecycle.Bounce)
)

// closeAttempt records how the call ended. What the provider says when it is asked later stands beside what the call gave. That
// the provider has the message is proven once and for all: an outcome that comes after that and says less changes nothing.
func (t *tx) closeAttempt(s *store.Settlement) error {
	if s.Answer != "" {
		_, err := t.exec(`UPDATE attempt SET answer = ?, class = CASE WHEN `+proven+` THEN class ELSE coalesce(?, class) END
				WHERE message_id = ? AND n = ?`,
			s.Answer, classOf(s.Outcome), s.Job.ID[:], s.Job.Attempt)
		return err
	}
	if s.Outcome == nil {
		return nil
	}
	o := s.Outcome
	_, err := t.exec(`UPDATE attempt SET finished = ?, class = ?, http = ?, code = ?, text = ? WHERE message_id = ? AND n = ?
			AND (? = 0 OR NOT (`+proven+`))`,
		engine.Stamp(s.At), int(o.Class), o.HTTPStatus, o.Code, o.Text, s.Job.ID[:], s.Job.Attempt, int(o.Class))
	return err
}

// proven is the condition of an attempt that the provider is known to have accepted; 0 is provider.Accepted.
const proven = `finished <> 0 AND class = 0`

// classOf returns the class of an outcome, or NULL.
func classOf(o *provider.Outcome) any {
	if o == nil {
		return nil
	}
	return int(o.Class)
}

// endAttempts closes the open attempts of a message of which something else has told how they ended.
func (t *tx) endAttempts(id mail.ID, o provider.Outcome, at time.Time) error {
	_, err := t.exec(`UPDATE attempt SET finished = ?, class = ?, text = ? WHERE message_id = ? AND finished = 0`,
		engine.Stamp(at), int(o.Class), o.Text, id[:])
	return err
}

func (t *tx) requeue(s *store.Settlement) error {
	status := engine.Ready
	if !s.DueAt.IsZero() {
		status = engine.Delayed
	}
	if _, err := t.exec(`UPDATE queue SET status = ?, egress = ?, due_at = ?, waiting = ?,
			failures = failures + ?, asks = 0, unknown_since = 0, lease_owner = '', lease_until = 0 WHERE id = ?`,
		status, int32(s.Egress), engine.Stamp(s.DueAt), s.Waiting, s.Failed, s.Job.ID[:]); err != nil {
		return err
	}
	if s.Mark == store.MarkNone {
		return nil
	}
	_, err := t.exec(`UPDATE message SET mark = ? WHERE id = ?`, int(s.Mark), s.Job.ID[:])
	return err
}

func (t *tx) doubt(s *store.Settlement) error {
	_, err := t.exec(`UPDATE queue SET status = 3, due_at = ?, waiting = ?, asks = asks + ?,
			unknown_since = CASE unknown_since WHEN 0 THEN ? ELSE unknown_since END, lease_owner = '', lease_until = 0 WHERE id = ?`,
		engine.Stamp(s.DueAt), s.Waiting, s.Asked, engine.Stamp(s.At), s.Job.ID[:])
	return err
}

// leave takes the message out of the queue.
func (t *tx) leave(s *store.Settlement, to lifecycle.State, attempts int) error {
	if _, err := t.exec(`DELETE FROM queue WHERE id = ?`, s.Job.ID[:]); err != nil {
		return err
	}
	// When this is late proof of an earlier attempt, another one may be on the wire.
	if err := t.endAttempts(s.Job.ID, engine.EndedBy(false), s.At); err != nil {
		return err
	}
	o, found, err := t.message(s.Job.ID)
	if err != nil {
		return err
	}
	if !found {
		return store.ErrNotFound
	}
	if to == lifecycle.Sent {
		return t.becomeSent(o, s, to, attempts)
	}
	return t.end(&o.owner, to, s.Job.Egress, attempts, *s.Drop, s.At, &s.Detail)
}

// confirm writes the sent event, once per message and family, and the provider's id.
func (t *tx) confirm(s *store.Settlement) error {
	o, found, err := t.message(s.Job.ID)
	if err != nil || !found {
		return err
	}
	return t.sent(o, s.Job.Egress, s.Job.Plan.First(), s.ProviderMessageID(), s.Sent, s.At)
}

// name keeps the provider's id of a message, the first one that is known.
func (t *tx) name(o *stored, egress route.Egress, providerID string) error {
	if providerID == "" || o.providerID != "" {
		return nil
	}
	o.providerID = providerID
	_, err := t.exec(`UPDATE message SET provider_id = ?, egress = ? WHERE id = ?`, providerID, int32(egress), o.id[:])
	return err
}

// sent records that a provider has the message, of whose plan another egress may be the first. It does nothing the second time.
func (t *tx) sent(o *stored, egress, first route.Egress, providerID string, typ event.Type, at time.Time) error {
	if err := t.name(o, egress, providerID); err != nil {
		return err
	}
	family, fresh := o.firstOf(typ)
	if !fresh {
		return nil
	}
	o.sentFamilies |= family
	if _, err := t.exec(`UPDATE message SET sent_families = ? WHERE id = ?`, o.sentFamilies, o.id[:]); err != nil {
		return err
	}
	detail, facets := engine.Carried(engine.NoDetail, first, egress)
	t.record(&o.owner, happening{egress: egress, typ: typ, effect: sentEffect, recipient: o.to, occurredAt: at, recordedAt: at, detail: detail, facets: facets})
	return nil
}

// drop records that nobody will try the message any more. The queue row is gone already.
func (t *tx) drop(o *owner, egress route.Egress, attempts int, typ event.Type, at time.Time, d *event.Detail) error {
	return t.end(o, lifecycle.Dropped, egress, attempts, typ, at, d)
}

// end is drop, or records that the message bounced before a provider had it.
func (t *tx) end(o *owner, to lifecycle.State, egress route.Egress, attempts int, typ event.Type, at time.Time, d *event.Detail) error {
	effect := droppedEffect
	if to == lifecycle.Bounced {
		effect = bouncedEffect
	}
	if _, err := t.exec(`UPDATE message SET state = ?, attempts = ?, egress = ? WHERE id = ?`,
		int(to), attempts, int32(egress), o.id[:]); err != nil {
		return err
	}
	detail, err := engine.Detail(d)
	if err != nil {
		return err
	}
	t.record(o, happening{egress: egress, typ: typ, effect: effect, recipient: o.to, occurredAt: at, recordedAt: at, detail: detail,
		facets: engine.OwnFacets(typ, d)})
	return nil
}

// stored is a message row as the state machine needs it.
type stored struct {
	owner
	state        lifecycle.State
	egress       route.Egress
	providerID   string
	sentFamilies int64
	refusals     int // how often a provider took it back
}

// firstOf returns the bit of a sent event's family, and whether the message has no sent event of that family yet.
func (o *stored) firstOf(sent event.Type) (family int64, fresh bool) {
	family = engine.FamilyBit(sent)
	return family, o.sentFamilies&family == 0
}

const storedColumns = `id, account_id, sub_account_id, pool_id, mailbox, to_addr, state, egress, provider_id, sent_families, labels, submitted_at, engaged,
	refusals`

func (o *stored) dest() []any {
	return []any{(*idColumn)(&o.id), &o.accountID, &o.subAccountID, &o.poolID, &o.mailbox, &o.to, &o.state, &o.egress,
		&o.providerID, &o.sentFamilies, &o.labels, &o.submittedAt, &o.engaged, &o.refusals}
}

var messagesByID = newBulk(`SELECT `+storedColumns+` FROM message WHERE id IN (`, `?`, `)`)

// foresee reads messages that are about to be asked for.
func (t *tx) foresee(ids []any) error {
	t.foreseen = make(map[mail.ID]*stored, len(ids))
	return messagesByID.each(ids, func(query string, ids []any) error {
		_, err := each(t, func(r *row) (none struct{}, err error) {
			o := &stored{}
			err = r.Scan(o.dest()...)
			t.foreseen[o.id] = o
			return none, err
		}, query, ids...)
		return err
	})
}

// message reads a message row. The state is only right for messages that have left the queue.
func (t *tx) message(id mail.ID) (*stored, bool, error) {
	if o, ok := t.foreseen[id]; ok {
		delete(t.foreseen, id) // whoever gets it may change the row
		return o, true, nil
	}
	o := &stored{}
	found, err := t.one(o.dest(), `SELECT `+storedColumns+` FROM message WHERE id = ?`, id[:])
	return o, found, err
}
