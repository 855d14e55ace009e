package sqlite

import (
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

const callQuery = `SELECT ` + attemptColumns + `, a.provider_id FROM attempt a WHERE a.message_id = ? ORDER BY a.n`

// calls reads the attempts of a message.
func (t *tx) calls(id mail.ID) (engine.Calls, error) {
	return each(t, func(r *row) (c engine.Call, err error) {
		c.Attempt, _, err = scanAttempt(withColumn{r, &c.ProviderID})
		return c, err
	}, callQuery, id[:])
}

// withColumn scans one column more.
type withColumn struct {
	*row
	last any
}

// Scan implements scanner.
func (w withColumn) Scan(dest ...any) error { return w.row.Scan(append(dest, w.last)...) }

// tookBack tells whether the provider took a message back that an attempt had given to it.
func (t *tx) tookBack(j *store.Job) (bool, error) {
	var n int
	return t.one([]any{&n}, `SELECT n FROM attempt WHERE message_id = ? AND n = ? AND refused <> 0`, j.ID[:], j.Attempt)
}

// takeBack records that a provider accepted a message and took it back. The message is queued again, unless it is elsewhere by now.
func (in *ingesting) takeBack(r *reported, egress route.Egress) (store.Effect, error) {
	m, effect := r.about, store.EffectOf(lifecycle.Requeue)
	if !m.state.Pending() && m.state != lifecycle.Sent {
		return effect, nil // it has come to its end: nothing leads from there
	}
	calls, err := in.calls(m.id)
	if err != nil {
		return effect, err
	}
	call := calls.About(egress, r.ProviderMessageID)
	if call == nil {
		return store.NoEffect, nil
	}
	c := engine.ComebackOf(r.of, r.Report, egress, call)
	if err := in.refuse(m, call, &c, r.ProviderMessageID); err != nil {
		return effect, err
	}
	if m.state == lifecycle.Sent {
		if other := calls.Else(call); other != nil {
			m.egress = other.Egress
			_, err := in.exec(`UPDATE message SET egress = ? WHERE id = ?`, int32(m.egress), m.id[:])
			return store.NoEffect, err
		}
		if m.egress != egress { // nobody confirmed that the other one has it, and a policy left it there
			return store.NoEffect, nil
		}
		return effect, in.enqueue(m, r.of, &c)
	}
	if err := in.sent(m, egress, "", r.of.Sent, r.OccurredAt); err != nil {
		return effect, err
	}
	var status engine.Status
	var at route.Egress
	var attempts int
	waits, err := in.one([]any{&status, &at, &attempts, &c.Failures}, `SELECT status, egress, attempts, failures FROM queue WHERE id = ?`, m.id[:])
	if err != nil || !waits || at != egress || status.State() != lifecycle.Queued && attempts != call.N {
		return effect, err // another one has its turn
	}
	if err := in.whither(m, &c); err != nil {
		return effect, err
	}
	next, due, waiting := engine.Place(r.of, &c)
	in.res.Back = append(in.res.Back, c)
	_, err = in.exec(`UPDATE queue SET status = ?, egress = ?, due_at = ?, waiting = ?, failures = failures + 1, asks = 0, unknown_since = 0,
			lease_owner = '', lease_until = 0 WHERE id = ?`, int(next), int32(c.To), due, waiting, m.id[:])
	return effect, err
}

// refuse records with an attempt that the provider accepted the message and took it back.
func (in *ingesting) refuse(m *stored, call *engine.Call, c *store.Comeback, providerID string) error {
	m.refusals++
	if _, err := in.exec(`UPDATE message SET refusals = refusals + 1 WHERE id = ?`, m.id[:]); err != nil {
		return err
	}
	_, err := in.exec(`UPDATE attempt SET refused = ?, refusal = ?, provider_id = ?, class = ?, text = CASE finished WHEN 0 THEN ? ELSE text END,
			finished = CASE finished WHEN 0 THEN ? ELSE finished END WHERE message_id = ? AND n = ?`,
		int(c.Class), c.Words, providerID, int(provider.Accepted), store.ReasonReported, engine.Stamp(c.Now), m.id[:], call.N)
	return err
}

// whither reads what is to be known to say where a message goes.
func (in *ingesting) whither(m *stored, c *store.Comeback) error {
	var plan []byte
	var from string
	if _, err := in.one([]any{&plan, &from}, whitherQuery, m.id[:]); err != nil {
		return err
	}
	c.ID, c.Sender = m.id, mail.Domain(from)
	if engine.DecodePlan(plan, &c.Plan) != nil {
		c.Plan = route.Plan{Egresses: []route.Egress{c.Egress}} // what cannot be read waits where it is, and says so when it is claimed
	}
	return nil
}

const whitherQuery = `SELECT m.plan, coalesce(CASE WHEN json_valid(c.body) THEN c.body ->> '$.from.email' END, '')
	FROM message m JOIN (SELECT id, CAST(body AS TEXT) AS body FROM content) c ON c.id = m.content_id WHERE m.id = ?`

// enqueue gives a message that was sent a queue row as Accept does.
func (in *ingesting) enqueue(m *stored, p *store.Parsed, c *store.Comeback) error {
	c.Failures = m.refusals - 1
	if err := in.whither(m, c); err != nil {
		return err
	}
	priority, err := in.priority(m.poolID)
	if err != nil {
		return err
	}
	status, due, waiting := engine.Place(p, c)
	if _, err := in.exec(`INSERT INTO queue (id, egress, mailbox, status, rank, sub_account_id, pool_id, priority, ways, due_at, waiting, failures, attempts)
			SELECT id, ?, mailbox, ?, submitted_at, sub_account_id, pool_id, ?, ?, ?, ?, ?, attempts FROM message WHERE id = ?`,
		int32(c.To), int(status), priority, len(c.Plan.Egresses), due, waiting, m.refusals, m.id[:]); err != nil {
		return err
	}
	if _, err := in.exec(`UPDATE message SET provider_id = '', mark = CASE mark WHEN 2 THEN 0 ELSE mark END WHERE id = ?`, m.id[:]); err != nil {
		return err
	}
	in.left--
	in.res.Back = append(in.res.Back, *c)
	m.providerID, m.state = "", lifecycle.Queued
	in.moved[m.id] = m
	return nil
}
