package postgres

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// history is what is to be known of a message that a provider takes back, or took back before.
type history struct {
	calls engine.Calls
	plan  []byte
	head  []byte
}

// remember reads the histories of messages that have to do with being taken back. They are there after the next flush.
func (in *ingesting) remember() {
	var ids []mail.ID
	for i := range in.batch {
		p := &in.batch[i]
		if !in.ours[p.Receipt.ID] {
			continue
		}
		for k := range p.Reports {
			r := &p.Reports[k]
			if id, found := in.attribute(p, r); found && (engine.TakesBack(r) || in.rows.messages[id].refusals > 0) {
				ids = append(ids, id)
			}
		}
	}
	in.histories = make(map[mail.ID]*history, len(ids))
	if len(ids) == 0 {
		return
	}
	ids = sorted(ids)
	in.tx.each(func(rows pgx.Rows) error {
		var id mail.ID
		h := &history{}
		err := rows.Scan(idInto(&id), &h.plan, &h.head)
		in.histories[id] = h
		return err
	}, `SELECT m.id, m.plan, c.head FROM message m JOIN content c ON c.id = m.content_id WHERE m.id = ANY ($1)`, uuids(ids))
	in.tx.each(func(rows pgx.Rows) error {
		var id mail.ID
		var c engine.Call
		dest, complete := attemptInto(&c.Attempt)
		err := rows.Scan(append(dest, &c.ProviderID, idInto(&id))...)
		complete()
		if h := in.histories[id]; h != nil {
			h.calls = append(h.calls, c)
		}
		return err
	}, `SELECT `+attemptColumns+`, a.provider_id, a.message_id FROM attempt a WHERE a.message_id = ANY ($1) ORDER BY a.message_id, a.n`, uuids(ids))
}

// counts tells whether a report says anything of the state: that the provider has the message, or what became of it there. One of a
// provider that took it back says nothing any more, unless the recipient's server has spoken.
func (in *ingesting) counts(r *provider.Report, m *message, egress route.Egress, trigger lifecycle.Trigger) bool {
	if h := in.histories[m.id]; h != nil && m.refusals > 0 && (trigger == lifecycle.Accept || trigger == lifecycle.Drop) &&
		h.calls.Gone(egress, term(r.ProviderMessageID)) {
		return false
	}
	place := in.rows.pending(m.id)
	return !r.Tracked || place == nil || engine.Told(place.status)
}

// takeBack records that a provider accepted a message and took it back. The message is queued again, unless it is elsewhere by now.
func (in *ingesting) takeBack(p *store.Parsed, r *provider.Report, m *message, egress route.Egress) store.Effect {
	effect := store.EffectOf(lifecycle.Requeue)
	if !m.state.Pending() && m.state != lifecycle.Sent {
		return effect // it has come to its end: nothing leads from there
	}
	h := in.histories[m.id]
	if h == nil {
		return store.NoEffect
	}
	call := h.calls.About(egress, term(r.ProviderMessageID))
	if call == nil {
		return store.NoEffect
	}
	c := engine.ComebackOf(p, r, egress, call)
	in.whither(h, &c)
	in.rows.refuse(m, call, &c, term(r.ProviderMessageID))
	place := in.rows.pending(m.id)
	if m.state == lifecycle.Sent {
		if other := h.calls.Else(call); other != nil {
			m.egress, m.changed = other.Egress, true
			return store.NoEffect
		}
		if m.egress != egress { // nobody confirmed that the other one has it, and a policy left it there
			return store.NoEffect
		}
		m.plan = h.plan
		place = in.rows.enqueue(m)
	} else {
		m.sent(&in.tx.journal, egress, c.Plan.First(), "", p.Sent, r.OccurredAt, engine.NoDetail)
		if place == nil || place.egress != egress || place.status.State() != lifecycle.Queued && place.attempts != call.N {
			return effect // another one has its turn
		}
		place.failures++
	}
	c.ID, c.Failures = m.id, int(place.failures)-1
	place.status, place.dueAt, place.waiting = engine.Place(p, &c)
	place.egress, place.ways, place.changed, place.owner = c.To, int16(len(c.Plan.Egresses)), true, ""
	place.asks, place.unknownSince = 0, 0
	in.res.Back = append(in.res.Back, c)
	return effect
}

// whither tells what is to be known to say where a message goes.
func (*ingesting) whither(h *history, c *store.Comeback) {
	var from head
	_ = json.Unmarshal(h.head, &from) // what cannot be read is empty
	c.Sender = mail.Domain(from.From.Email)
	if engine.DecodePlan(h.plan, &c.Plan) != nil {
		c.Plan = route.Plan{Egresses: []route.Egress{c.Egress}} // what cannot be read waits where it is, and says so when it is claimed
	}
}

// refused is an attempt whose message the provider took back.
type refused struct {
	call
	comeback   *store.Comeback
	providerID string
	message    mail.ID
}

// refuse records with an attempt that the provider accepted the message and took it back.
func (l *ledger) refuse(m *message, attempt *engine.Call, c *store.Comeback, providerID string) {
	m.refusals++
	attempt.Refused, attempt.ProviderID, attempt.Class = c.Class, providerID, provider.Accepted
	l.refused = append(l.refused, refused{call{m.id, attempt.N}, c, providerID, m.id})
}

func (l *ledger) writeRefused(t *tx) {
	if len(l.refused) == 0 {
		return
	}
	calls := column(l.refused, func(r *refused) call { return r.call })
	t.exec(`UPDATE attempt a SET refused = u.refused, refusal = u.refusal, provider_id = u.provider_id, class = 0,
			text = CASE a.finished WHEN 0 THEN $7 ELSE a.text END, finished = CASE a.finished WHEN 0 THEN u.at ELSE a.finished END
		FROM unnest($1::uuid[], $2::int[], $3::smallint[], $4::text[], $5::text[], $6::bigint[]) AS u (id, n, refused, refusal, provider_id, at)
		WHERE a.message_id = u.id AND a.n = u.n`,
		callIDs(calls), callNumbers(calls),
		column(l.refused, func(r *refused) int16 { return int16(r.comeback.Class) }),
		column(l.refused, func(r *refused) string { return text(r.comeback.Words) }),
		column(l.refused, func(r *refused) string { return r.providerID }),
		column(l.refused, func(r *refused) int64 { return engine.Stamp(r.comeback.Now) }), store.ReasonReported)
	messages := make(map[mail.ID]bool, len(l.refused))
	var ids []mail.ID
	for i := range l.refused {
		if id := l.refused[i].id; !messages[id] {
			messages[id] = true
			ids = append(ids, id)
		}
	}
	t.exec(`UPDATE message m SET refusals = u.refusals FROM unnest($1::uuid[], $2::int[]) AS u (id, refusals) WHERE m.id = u.id`,
		uuids(ids), column(ids, func(id *mail.ID) int32 { return int32(l.messages[*id].refusals) }))
	t.exec(`INSERT INTO provider_message (provider_id, message_id) SELECT * FROM unnest($1::text[], $2::uuid[]) AS u (name, id) WHERE name <> ''
		ON CONFLICT DO NOTHING`,
		column(l.refused, func(r *refused) string { return r.providerID }), callIDs(calls))
}

// confirmed is an egress at which a provider has a message, as it reported.
type confirmed struct {
	message mail.ID
	egress  route.Egress
	at      time.Time
}

// confirmCall records with the last attempt at an egress that the provider has the message, unless it is known: no event of its own says so.
func (in *ingesting) confirmCall(id mail.ID, egress route.Egress, now time.Time) {
	in.rows.confirmed = append(in.rows.confirmed, confirmed{id, egress, now})
	if h := in.histories[id]; h != nil {
		h.calls.Confirm(egress, now)
	}
}

func (l *ledger) writeConfirmed(t *tx) {
	if len(l.confirmed) == 0 {
		return
	}
	t.exec(`UPDATE attempt a SET class = 0, finished = CASE a.finished WHEN 0 THEN u.at ELSE a.finished END,
			answer = CASE a.answer WHEN '' THEN $4 ELSE a.answer || '; ' || $4 END
		FROM (SELECT id, egress, min(at) AS at FROM unnest($1::uuid[], $2::int[], $3::bigint[]) AS u (id, egress, at) GROUP BY 1, 2) AS u
		WHERE a.message_id = u.id AND a.n = (SELECT max(n) FROM attempt WHERE message_id = u.id AND egress = u.egress) AND a.refused = 0 AND NOT (`+proven+`)`,
		column(l.confirmed, func(c *confirmed) pgtype.UUID { return uuidOf(c.message) }),
		column(l.confirmed, func(c *confirmed) int32 { return int32(c.egress) }),
		column(l.confirmed, func(c *confirmed) int64 { return engine.Stamp(c.at) }), store.AnswerReported)
}

// enqueue gives a message that was sent a queue row as Accept does.
func (l *ledger) enqueue(m *message) *place {
	p := l.places[m.id]
	if p == nil {
		p = &place{id: m.id, mailbox: m.mailbox, fresh: true}
		l.places[m.id] = p
	}
	p.gone, p.attempts, p.failures = false, m.attempts, int32(m.refusals)
	m.state, m.providerID, m.named, m.changed = lifecycle.Queued, "", false, true
	if m.mark == store.MarkUnconfirmed {
		m.mark = store.MarkNone
	}
	return p
}

// makePlace writes a row that is to be made. They are few.
func (l *ledger) makePlace(t *tx, p *place) {
	m := l.messages[p.id]
	t.exec(`INSERT INTO queue (id, egress, mailbox, status, rank, sub_account_id, pool_id, priority, ways, due_at, waiting, failures, attempts)
		VALUES ($1, $2, $3, $4, $5, $6, $7, -coalesce((SELECT priority FROM pool WHERE id = $7), 0), $8, $9, $10, $11, $12)`,
		uuidOf(p.id), int32(p.egress), p.mailbox, int16(p.status), m.submittedAt, m.subAccountID, m.poolID, p.ways, p.dueAt, text(p.waiting), p.failures,
		int32(p.attempts))
}
