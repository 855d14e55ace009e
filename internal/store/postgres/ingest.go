package postgres

import (
	"context"
	"fmt"
	"strings"
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

// Ingest implements store.Inbox. A provider waits for what is fresh.
func (db *DB) Ingest(ctx context.Context, batch []store.Parsed) (res store.IngestResult, err error) {
	pool := db.work
	if len(batch) > 0 && batch[0].Fresh {
		pool = db.front
	}
	err = db.write(ctx, pool, "ingest", func(t *tx) error {
		in := ingesting{tx: t, batch: batch}
		if err := in.find(); err != nil {
			return err
		}
		if err := in.lock(); err != nil {
			return err
		}
		for i := range batch {
			if err := in.ingest(&batch[i]); err != nil {
				return fmt.Errorf("receipt %d: %w", batch[i].Receipt.ID, err)
			}
		}
		if err := in.rows.write(t); err != nil {
			return err
		}
		if err := in.changes.write(t); err != nil {
			return err
		}
		res = in.res
		return nil
	})
	return res, err
}

// ingesting is one batch of receipts under way.
type ingesting struct {
	tx     *tx
	batch  []store.Parsed
	ours   map[int64]bool          // receipts that this transaction has
	owners map[mail.ID]int32       // accounts of the messages that reports name
	known  map[providerKey]mail.ID // messages by the provider's id
	fresh  map[seenKey]bool        // reports that were not recorded before

	histories map[mail.ID]*history // of messages that have to do with being taken back

	rows    *ledger
	changes inboxChanges
	res     store.IngestResult
}

// providerKey finds a message by its provider's id.
type providerKey struct {
	accountID int32
	id        string
}

// find locks the receipts, passing over those that another node has ingested meanwhile, and finds the messages that the
// reports may be about. A message never changes its account, so this needs no lock.
func (in *ingesting) find() error {
	var receipts []int64
	var named []mail.ID
	var ids []string
	for i := range in.batch {
		p := &in.batch[i]
		if p.Receipt.ID != 0 {
			receipts = append(receipts, p.Receipt.ID)
		}
		for k := range p.Reports {
			switch r := &p.Reports[k]; {
			case r.MessageID != mail.ID{}:
				named = append(named, r.MessageID)
			case r.ProviderMessageID != "":
				ids = append(ids, term(r.ProviderMessageID))
			}
		}
	}
	in.ours, in.owners, in.known = map[int64]bool{0: true}, map[mail.ID]int32{}, map[providerKey]mail.ID{}
	if len(receipts) > 0 {
		in.tx.each(func(rows pgx.Rows) error {
			var id int64
			err := rows.Scan(&id)
			in.ours[id] = true
			return err
		}, `SELECT id FROM receipt WHERE id = ANY ($1) ORDER BY id FOR UPDATE`, receipts)
	}
	in.tx.each(func(rows pgx.Rows) error {
		var id mail.ID
		var account int32
		err := rows.Scan(idInto(&id), &account)
		in.owners[id] = account
		return err
	}, `SELECT id, account_id FROM message WHERE id = ANY ($1)`, uuids(sorted(named)))
	if len(ids) > 0 {
		in.tx.each(func(rows pgx.Rows) error {
			var id mail.ID
			var k providerKey
			err := rows.Scan(idInto(&id), &k.accountID, &k.id)
			in.known[k] = id
			return err
		}, `SELECT m.id, m.account_id, p.provider_id FROM provider_message p JOIN message m ON m.id = p.message_id
			WHERE p.provider_id = ANY ($1) ORDER BY m.id DESC`, ids)
	}
	if err := in.tx.flush(); err != nil {
		return err
	}
	in.learn()
	return nil
}

// learn takes the provider's ids from reports that carry ours as well: others of the batch may carry only the former.
func (in *ingesting) learn() {
	for i := range in.batch {
		p := &in.batch[i]
		for k := range p.Reports {
			r := &p.Reports[k]
			id := term(r.ProviderMessageID)
			if r.MessageID == (mail.ID{}) || id == "" || in.owners[r.MessageID] != p.Receipt.AccountID {
				continue
			}
			if key := (providerKey{p.Receipt.AccountID, id}); in.known[key] == (mail.ID{}) {
				in.known[key] = r.MessageID
			}
		}
	}
}

// attribute finds the message of a report: by our id in the metadata, else by the provider's id (PM-30).
func (in *ingesting) attribute(p *store.Parsed, r *provider.Report) (mail.ID, bool) {
	if r.MessageID != (mail.ID{}) {
		account, found := in.owners[r.MessageID]
		return r.MessageID, found && account == p.Receipt.AccountID
	}
	id, found := in.known[providerKey{p.Receipt.AccountID, term(r.ProviderMessageID)}]
	return id, found
}

// lock locks the messages that were found, and marks the reports about them as seen.
func (in *ingesting) lock() error {
	var ids []mail.ID
	var keys []seenKey
	for i := range in.batch {
		p := &in.batch[i]
		if !in.ours[p.Receipt.ID] {
			continue
		}
		for k := range p.Reports {
			r := &p.Reports[k]
			if id, found := in.attribute(p, r); found {
				ids = append(ids, id)
				keys = append(keys, keyOf(r, id))
			}
		}
	}
	in.rows = in.tx.lock(sorted(ids))
	in.fresh = in.tx.see(keys)
	if err := in.tx.flush(); err != nil {
		return err
	}
	if err := in.tx.lockAgain(in.rows); err != nil {
		return err
	}
	in.remember()
	return in.tx.flush()
}

func keyOf(r *provider.Report, about mail.ID) seenKey {
	return seenKey{int32(engine.SeenDay(about)), engine.SeenKey(about, r.Identity)}
}

func (in *ingesting) ingest(p *store.Parsed) error {
	c, receipt := &in.changes, p.Receipt.ID
	if !in.ours[receipt] {
		return nil
	}
	if p.Garbage != "" {
		in.res.Garbage++
		if p.Fresh {
			c.unread = append(c.unread, keeping{receipt: &p.Receipt, reason: p.Garbage})
			return nil
		}
		c.garbage = append(c.garbage, discarded{receipt, p.Garbage})
		c.done = append(c.done, receipt)
		return nil
	}
	held := false
	for i := range p.Reports {
		r := &p.Reports[i]
		id, found := in.attribute(p, r)
		switch {
		case found:
			if err := in.report(p, r, in.rows.messages[id]); err != nil {
				return err
			}
		case receipt == 0 && !p.Fresh: // read back from the provider: mail of others
		case !p.HoldTo.IsZero():
			held = true
			in.res.Held++
		default:
			in.res.Foreign++
			if c.foreign == nil {
				c.foreign = map[foreignKey]int64{}
			}
			c.foreign[foreignKey{p.Receipt.TPSPID, int32(engine.Day(p.Receipt.ReceivedAt))}]++
		}
	}
	switch {
	case held && p.Fresh:
		c.kept = append(c.kept, keeping{receipt: &p.Receipt, until: engine.Stamp(p.HoldTo)})
	case receipt == 0:
	case held:
		c.held = append(c.held, holding{receipt, engine.Stamp(p.HoldTo)})
	default:
		c.done = append(c.done, receipt)
	}
	return nil
}

// report records one attributed report, unless it was recorded before.
func (in *ingesting) report(p *store.Parsed, r *provider.Report, m *message) error {
	key := keyOf(r, m.id)
	if !in.fresh[key] {
		in.res.Duplicates++
		return nil
	}
	delete(in.fresh, key) // the next copy in this batch is one
	in.res.Recorded++
	if r.Tracked {
		r.Recipient = m.to
	}
	egress := engine.EgressOf(p, r)
	isCopy := !strings.EqualFold(text(r.Recipient), m.to)
	trigger := engine.TriggerOf(r, isCopy)
	effect, families, pending, counts := store.NoEffect, m.families, m.state.Pending(), in.counts(r, m, egress, trigger)
	encode := func() ([]byte, error) { return engine.Detail(&r.Detail) }
	switch {
	case !counts:
	case trigger == lifecycle.Requeue:
		if effect = in.takeBack(p, r, m, egress); effect != store.NoEffect {
			encode = func() ([]byte, error) { return engine.BackDetail(r) }
		}
	default:
		effect = store.EffectOf(trigger)
		if err := in.advance(p, r, m, egress, trigger); err != nil {
			return err
		}
	}
	if r.Kind == event.Sent { // it confirms what the message's own sent event says, once for each family
		if counts {
			m.sent(&in.tx.journal, egress, 0, term(r.ProviderMessageID), r.Type, r.OccurredAt, engine.NoDetail)
		}
		if counts && (pending || m.families != families) {
			in.confirmCall(m.id, egress, p.Now)
		}
		if m.families == families {
			in.res.Recorded, in.res.Duplicates = in.res.Recorded-1, in.res.Duplicates+1
		}
		return nil
	}
	detail, err := encode()
	if err != nil {
		return err
	}
	before := m.engaged
	in.suppressBy(p, r, m)
	in.tx.journal.record(&m.owner, happening{egress: egress, typ: r.Type, effect: effect, recipient: r.Recipient, isCopy: isCopy,
		occurredAt: r.OccurredAt, recordedAt: p.Now, detail: detail, facets: engine.OwnFacets(r.Type, &r.Detail)})
	m.changed = m.changed || m.engaged != before
	return nil
}

// advance moves the message's state. Whatever a provider reports of a message, it has it: a pending one leaves the queue.
func (in *ingesting) advance(p *store.Parsed, r *provider.Report, m *message, egress route.Egress, trigger lifecycle.Trigger) error {
	state := m.state
	if state.Pending() {
		in.overtake(m, egress, p.Now)
		first, err := engine.FirstChoice(m.plan)
		if err != nil {
			return err
		}
		m.sent(&in.tx.journal, egress, first, term(r.ProviderMessageID), p.Sent, r.OccurredAt, engine.NoDetail)
	}
	m.name(egress, term(r.ProviderMessageID)) // one that was left as sent has no id yet
	if to, moved := lifecycle.Next(state, trigger); moved {
		m.state, m.changed = to, true
	}
	return nil
}

// overtake removes the queue row of a message whose fate the provider has told before we recorded the call.
func (in *ingesting) overtake(m *message, egress route.Egress, at time.Time) {
	if place := in.rows.pending(m.id); place != nil {
		in.rows.leave(place, engine.EndedBy(place.egress == egress), at)
		m.attempts, m.egress, m.changed = place.attempts, egress, true
	}
}
