package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// Receive implements store.Inbox.
func (db *DB) Receive(ctx context.Context, batch []store.Receipt) error {
	return db.write(ctx, settling, func(t *tx) error {
		for i := range batch {
			if err := t.keep(&batch[i], insertReceipt, engine.Stamp(batch[i].ReceivedAt)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Received implements store.Inbox.
func (db *DB) Received(ctx context.Context, now time.Time, limit int) ([]store.Receipt, error) {
	rows, err := db.workPool.QueryContext(ctx, `SELECT id, account_id, tpsp_id, headers, body, received_at FROM receipt
		WHERE due_at <= ? ORDER BY due_at, id LIMIT ?`, engine.Stamp(now), limit)
	if err != nil {
		return nil, failed("read receipts", err)
	}
	return collect(rows, func(rows *sql.Rows) (r store.Receipt, err error) {
		var headers []byte
		var at int64
		if err := rows.Scan(&r.ID, &r.AccountID, &r.TPSPID, &headers, &r.Body, &at); err != nil {
			return r, err
		}
		r.ReceivedAt = engine.Time(at)
		return r, json.Unmarshal(headers, &r.Headers)
	})
}

// Ingest implements store.Inbox. What needs no database is done before the writer's turn.
func (db *DB) Ingest(ctx context.Context, batch []store.Parsed) (store.IngestResult, error) {
	reports, err := reportsOf(batch)
	if err != nil {
		return store.IngestResult{}, err
	}
	in := &ingesting{}
	err = db.write(ctx, settling, func(t *tx) error {
		*in = ingesting{tx: t, reports: reports, known: map[mail.ID]*stored{}, moved: map[mail.ID]*stored{}, engaged: map[mail.ID]*stored{}}
		t.expect(len(reports))
		if err := in.find(); err != nil {
			return err
		}
		if err := in.see(); err != nil {
			return err
		}
		for i := range batch {
			if err := in.ingest(&batch[i]); err != nil {
				return fmt.Errorf("ingest receipt %d: %w", batch[i].Receipt.ID, err)
			}
		}
		if err := in.move(); err != nil {
			return err
		}
		if err := in.engage(); err != nil {
			return err
		}
		t.onCommit(func() { db.backlog.Add(-int64(in.left)) })
		return nil
	})
	if err != nil {
		return store.IngestResult{}, err
	}
	return in.res, nil
}

// reported is one report of a batch on its way to the log.
type reported struct {
	*provider.Report
	of     *store.Parsed
	detail []byte // of the event
	facets []engine.FacetValue
	about  *stored // nil when no message of ours matches
}

// reportsOf lists the reports of a batch in their order. Those of garbage do not count.
func reportsOf(batch []store.Parsed) (list []reported, err error) {
	for i := range batch {
		p := &batch[i]
		if p.Garbage != "" {
			continue
		}
		for k := range p.Reports {
			r := reported{Report: &p.Reports[k], of: p}
			if r.detail, err = engine.Detail(&r.Detail); err != nil {
				return nil, err
			}
			r.facets = engine.OwnFacets(r.Type, &r.Detail)
			list = append(list, r)
		}
	}
	return list, nil
}

// ingesting is one batch under way.
type ingesting struct {
	*tx
	reports []reported           // of the receipts that are still to come
	known   map[mail.ID]*stored  // every message that was read: whoever changes one changes it here as well
	fresh   map[seenKey]struct{} // reports that were not recorded before
	moved   map[mail.ID]*stored  // whose state is to be written
	engaged map[mail.ID]*stored  // and what their recipient has done
	left    int                  // queue rows that were removed
	res     store.IngestResult
}

// seenKey is the primary key of event_seen.
type seenKey struct {
	day int64
	key [16]byte
}

func (r *reported) seenKey() seenKey {
	return seenKey{engine.SeenDay(r.about.id), engine.SeenKey(r.about.id, r.Identity)}
}

// providerKey finds a message by its provider's id.
type providerKey struct {
	accountID int32
	id        string
}

// find reads the messages that the reports are about: by our id in the metadata, else by the provider's id (PM-30), which
// another report of the batch may be the first to tell.
func (in *ingesting) find() error {
	var ids []any
	for i := range in.reports {
		in.reports[i].about = nil
		id := &in.reports[i].MessageID
		if _, listed := in.known[*id]; !listed && *id != (mail.ID{}) {
			in.known[*id] = nil
			ids = append(ids, id[:])
		}
	}
	err := messagesByID.each(ids, func(query string, ids []any) error {
		found, err := each(in.tx, scanStored, query, ids...)
		for _, m := range found {
			in.known[m.id] = m
		}
		return err
	})
	if err != nil {
		return err
	}
	named, nameless := map[providerKey]*stored{}, false
	for i := range in.reports {
		r := &in.reports[i]
		if r.MessageID == (mail.ID{}) {
			nameless = nameless || r.ProviderMessageID != ""
			continue
		}
		if m := in.known[r.MessageID]; m != nil && m.accountID == r.of.Receipt.AccountID {
			r.about = m
			if key := (providerKey{m.accountID, r.ProviderMessageID}); named[key] == nil {
				named[key] = m
			}
		}
	}
	if !nameless {
		return nil
	}
	for i := range in.reports {
		r := &in.reports[i]
		if r.MessageID != (mail.ID{}) || r.ProviderMessageID == "" {
			continue
		}
		key := providerKey{r.of.Receipt.AccountID, r.ProviderMessageID}
		if r.about, err = in.named(key); err != nil {
			return err
		}
		if r.about == nil {
			r.about = named[key]
		}
	}
	return nil
}

const namedQuery = `SELECT ` + storedColumns + ` FROM message WHERE provider_id = ? AND provider_id <> '' AND account_id = ?`

// formerQuery is that of a message which its provider took back, and which another one may have named meanwhile.
const formerQuery = `SELECT ` + storedColumns + ` FROM message WHERE id IN (SELECT message_id FROM attempt WHERE provider_id = ? AND provider_id <> '')
	AND account_id = ?`

// named reads the message with a provider's id; nil when there is none.
func (in *ingesting) named(k providerKey) (*stored, error) {
	m := &stored{}
	for _, query := range []string{namedQuery, formerQuery} {
		if found, err := in.one(m.dest(), query, k.id, k.accountID); err != nil {
			return nil, err
		} else if found {
			break
		}
	}
	if m.id == (mail.ID{}) {
		return nil, nil
	}
	if known := in.known[m.id]; known != nil {
		return known, nil
	}
	in.known[m.id] = m
	return m, nil
}

func scanStored(r *row) (*stored, error) {
	m := &stored{}
	return m, r.Scan(m.dest()...)
}

var seenRows = newBulk(`INSERT INTO event_seen (day, key) VALUES `, `(?, ?)`, ` ON CONFLICT DO NOTHING RETURNING day, key`)

// see marks the reports as seen and notes which of them were not seen before.
func (in *ingesting) see() error {
	in.fresh = make(map[seenKey]struct{}, len(in.reports))
	keys := make([]any, 0, len(in.reports)*seenRows.width)
	for i := range in.reports {
		if r := &in.reports[i]; r.about != nil {
			k := r.seenKey()
			keys = append(keys, k.day, k.key[:])
		}
	}
	return seenRows.each(keys, func(query string, keys []any) error {
		_, err := each(in.tx, func(r *row) (none struct{}, err error) {
			var k seenKey
			var key []byte
			if err := r.Scan(&k.day, &key); err != nil {
				return none, err
			}
			copy(k.key[:], key)
			in.fresh[k] = none
			return none, nil
		}, query, keys...)
		return err
	})
}

// moves are the statements that move messages, by the state that they get.
var moves = func() (all [lifecycle.Dropped + 1]*bulk) {
	for state := range all {
		all[state] = newBulk(`UPDATE message SET state = `+strconv.Itoa(state)+` WHERE id IN (`, `?`, `)`)
	}
	return all
}()

// move writes the states of the messages that moved.
func (in *ingesting) move() error {
	var to [len(moves)][]any
	for id, m := range in.moved {
		to[m.state] = append(to[m.state], id[:])
	}
	for state, ids := range to {
		if err := in.execAll(moves[state], ids); err != nil {
			return err
		}
	}
	return nil
}

func (in *ingesting) ingest(p *store.Parsed) error {
	r := &p.Receipt
	if p.Garbage != "" {
		in.res.Garbage++
		if p.Fresh {
			return in.keep(r, `INSERT INTO garbage (account_id, tpsp_id, headers, body, received_at, reason) VALUES (?, ?, ?, ?, ?, ?)`, p.Garbage)
		}
		if err := in.keepGarbage(p); err != nil {
			return err
		}
		in.forget(r.ID)
		return nil
	}
	own := in.reports[:len(p.Reports)]
	in.reports = in.reports[len(p.Reports):]
	held := false
	for i := range own {
		switch {
		case own[i].about != nil:
			if err := in.report(&own[i]); err != nil {
				return err
			}
		case r.ID == 0 && !p.Fresh: // read back from the provider, whose other mail is none of ours
		case !p.HoldTo.IsZero():
			held = true
			in.res.Held++
		default:
			in.res.Foreign++
			if err := in.countForeign(p); err != nil {
				return err
			}
		}
	}
	switch {
	case held && p.Fresh:
		return in.keep(r, insertReceipt, engine.Stamp(p.HoldTo))
	case held:
		_, err := in.exec(`UPDATE receipt SET due_at = ? WHERE id = ?`, engine.Stamp(p.HoldTo), r.ID)
		return err
	default:
		in.forget(r.ID)
		return nil
	}
}

const insertReceipt = `INSERT INTO receipt (account_id, tpsp_id, headers, body, received_at, due_at) VALUES (?, ?, ?, ?, ?, ?)`

// keep stores a body with a statement that takes one value more.
func (t *tx) keep(r *store.Receipt, query string, last any) error {
	headers, err := json.Marshal(r.Headers)
	if err != nil {
		return fmt.Errorf("encode headers: %w", err)
	}
	body := r.Body
	if body == nil {
		body = []byte{}
	}
	_, err = t.exec(query, r.AccountID, r.TPSPID, headers, body, engine.Stamp(r.ReceivedAt), last)
	return err
}

var receiptsByID = newBulk(`DELETE FROM receipt WHERE id IN (`, `?`, `)`)

// forget removes a receipt, at the end of the transaction.
func (t *tx) forget(receipt int64) {
	if receipt != 0 {
		t.forgotten = append(t.forgotten, receipt)
	}
}

func (t *tx) keepGarbage(p *store.Parsed) error {
	_, err := t.exec(`INSERT INTO garbage (account_id, tpsp_id, headers, body, received_at, reason)
		SELECT account_id, tpsp_id, headers, body, received_at, ? FROM receipt WHERE id = ?`, p.Garbage, p.Receipt.ID)
	return err
}

func (t *tx) countForeign(p *store.Parsed) error {
	_, err := t.exec(`INSERT INTO foreign_event (tpsp_id, day, n) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1`,
		p.Receipt.TPSPID, engine.Day(p.Receipt.ReceivedAt))
	return err
}

// report records one attributed report, unless it was recorded before.
func (in *ingesting) report(r *reported) error {
	key := r.seenKey()
	if _, fresh := in.fresh[key]; !fresh {
		in.res.Duplicates++
		return nil
	}
	delete(in.fresh, key) // the next copy in this batch is one
	in.res.Recorded++
	if r.Tracked {
		r.Recipient = r.about.to
	}
	egress := engine.EgressOf(r.of, r.Report)
	isCopy := !strings.EqualFold(r.Recipient, r.about.to)
	trigger := engine.TriggerOf(r.Report, isCopy)
	effect, families, pending := store.EffectOf(trigger), r.about.sentFamilies, r.about.state.Pending()
	counts, err := in.counts(r, egress, trigger)
	detail := r.detail
	switch {
	case err != nil:
	case !counts:
		effect = store.NoEffect
	case trigger == lifecycle.Requeue:
		if effect, err = in.takeBack(r, egress); err == nil && effect != store.NoEffect {
			detail, err = engine.BackDetail(r.Report)
		}
	default:
		err = in.advance(r, egress, trigger)
	}
	if err != nil {
		return err
	}
	if r.Kind == event.Sent { // it confirms what the message's own sent event says, once for each family
		if counts {
			err = in.sent(r.about, egress, 0, r.ProviderMessageID, r.Type, r.OccurredAt)
		}
		if err == nil && counts && (pending || r.about.sentFamilies != families) {
			err = in.confirmCall(r.about.id, egress, r.of.Now)
		}
		if r.about.sentFamilies == families {
			in.res.Recorded, in.res.Duplicates = in.res.Recorded-1, in.res.Duplicates+1
		}
		return err
	}
	before := r.about.engaged
	in.suppressBy(r)
	in.record(&r.about.owner, happening{egress: egress, typ: r.Type, effect: effect, recipient: r.Recipient, isCopy: isCopy,
		occurredAt: r.OccurredAt, recordedAt: r.of.Now, detail: detail, facets: r.facets})
	if r.about.engaged != before {
		in.engaged[r.about.id] = r.about
	}
	return nil
}

// counts tells whether a report says anything of the state: that the provider has the message, or what became of it there. One of a
// provider that took it back says nothing any more, unless the recipient's server has spoken.
func (in *ingesting) counts(r *reported, egress route.Egress, trigger lifecycle.Trigger) (bool, error) {
	if r.about.refusals > 0 && (trigger == lifecycle.Accept || trigger == lifecycle.Drop) {
		if calls, err := in.calls(r.about.id); err != nil || calls.Gone(egress, r.ProviderMessageID) {
			return false, err
		}
	}
	if !r.Tracked || !r.about.state.Pending() {
		return true, nil
	}
	var status engine.Status
	waits, err := in.one([]any{&status}, `SELECT status FROM queue WHERE id = ?`, r.about.id[:])
	return !waits || engine.Told(status), err
}

// advance moves the message's state. Whatever a provider reports of a message, it has it: a pending one leaves the queue.
func (in *ingesting) advance(r *reported, egress route.Egress, trigger lifecycle.Trigger) error {
	m, now := r.about, r.of.Now
	if m.state.Pending() {
		var first route.Egress
		attempts, at, removed, err := in.overtake(m)
		if err != nil {
			return err
		}
		if removed {
			if err := in.endAttempts(m.id, engine.EndedBy(at == egress), now); err != nil {
				return err
			}
			var plan []byte
			if _, err := in.one([]any{&plan}, `UPDATE message SET attempts = ?, egress = ? WHERE id = ? RETURNING plan`, attempts, int32(egress), m.id[:]); err != nil {
				return err
			}
			if first, err = engine.FirstChoice(plan); err != nil {
				return err
			}
			m.egress = egress
		}
		if err := in.sent(m, egress, first, r.ProviderMessageID, r.of.Sent, r.OccurredAt); err != nil {
			return err
		}
	} else if err := in.name(m, egress, r.ProviderMessageID); err != nil { // one that was left as sent has no id yet
		return err
	}
	if to, moved := lifecycle.Next(m.state, trigger); moved {
		m.state, in.moved[m.id] = to, m
	}
	return nil
}

// overtake removes the queue row of a message whose fate the provider has told before we recorded the call.
func (in *ingesting) overtake(m *stored) (attempts int, at route.Egress, removed bool, err error) {
	removed, err = in.one([]any{&attempts, &at}, `DELETE FROM queue WHERE id = ? RETURNING attempts, egress`, m.id[:])
	if removed {
		in.left++
	}
	return attempts, at, removed, err
}

// confirmCall records with the last attempt at an egress that the provider has the message, unless it is known: no event of its own says so.
func (in *ingesting) confirmCall(id mail.ID, egress route.Egress, now time.Time) error {
	_, err := in.exec(`UPDATE attempt SET class = ?, finished = CASE finished WHEN 0 THEN ? ELSE finished END,
			answer = CASE answer WHEN '' THEN ? ELSE answer || '; ' || ? END
		WHERE message_id = ? AND n = (SELECT max(n) FROM attempt WHERE message_id = ? AND egress = ?) AND refused = 0 AND NOT (`+proven+`)`,
		int(provider.Accepted), engine.Stamp(now), store.AnswerReported, store.AnswerReported, id[:], id[:], int32(egress))
	return err
}
