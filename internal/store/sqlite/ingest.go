package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

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
			r := &batch[i]
			headers, err := json.Marshal(r.Headers)
			if err != nil {
				return fmt.Errorf("encode headers: %w", err)
			}
			at := engine.Stamp(r.ReceivedAt)
			if _, err := t.exec(`INSERT INTO receipt (account_id, tpsp_id, headers, body, received_at, due_at) VALUES (?, ?, ?, ?, ?, ?)`,
				r.AccountID, r.TPSPID, headers, r.Body, at, at); err != nil {
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

// Ingest implements store.Inbox.
func (db *DB) Ingest(ctx context.Context, batch []store.Parsed) (res store.IngestResult, err error) {
	err = db.write(ctx, settling, func(t *tx) error {
		res = store.IngestResult{}
		t.expect(len(batch))
		named := make([]any, 0, len(batch))
		for i := range batch {
			for k := range batch[i].Reports {
				if id := &batch[i].Reports[k].MessageID; *id != (mail.ID{}) {
					named = append(named, id[:])
				}
			}
		}
		if err := t.foresee(named); err != nil {
			return err
		}
		left := 0
		for i := range batch {
			if err := t.ingest(&batch[i], &res, &left); err != nil {
				return fmt.Errorf("ingest receipt %d: %w", batch[i].Receipt.ID, err)
			}
		}
		t.onCommit(func() { db.backlog.Add(-int64(left)) })
		return nil
	})
	return res, err
}

func (t *tx) ingest(p *store.Parsed, res *store.IngestResult, left *int) error {
	if p.Garbage != "" {
		res.Garbage++
		if err := t.keepGarbage(p); err != nil {
			return err
		}
		t.forget(p.Receipt.ID)
		return nil
	}
	held := false
	for i := range p.Reports {
		r := &p.Reports[i]
		m, found, err := t.attribute(p, r)
		switch {
		case err != nil:
			return err
		case found:
			if err := t.report(p, r, m, res, left); err != nil {
				return err
			}
		case p.Receipt.ID == 0: // read back from the provider, whose other mail is none of ours
		case !p.HoldTo.IsZero():
			held = true
			res.Held++
		default:
			res.Foreign++
			if err := t.countForeign(p); err != nil {
				return err
			}
		}
	}
	if held {
		_, err := t.exec(`UPDATE receipt SET due_at = ? WHERE id = ?`, engine.Stamp(p.HoldTo), p.Receipt.ID)
		return err
	}
	t.forget(p.Receipt.ID)
	return nil
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

// attribute finds the message of a report: by our id in the metadata, else by the provider's id (PM-30).
func (t *tx) attribute(p *store.Parsed, r *provider.Report) (*stored, bool, error) {
	if r.MessageID != (mail.ID{}) {
		m, found, err := t.message(r.MessageID)
		return m, found && m.accountID == p.Receipt.AccountID, err
	}
	if r.ProviderMessageID == "" {
		return nil, false, nil
	}
	m := &stored{}
	found, err := t.one(m.dest(), `SELECT `+storedColumns+` FROM message
		WHERE provider_id = ? AND provider_id <> '' AND account_id = ?`, r.ProviderMessageID, p.Receipt.AccountID)
	delete(t.foreseen, m.id) // it may be about to change
	return m, found, err
}

// report records one attributed report, unless it was recorded before.
func (t *tx) report(p *store.Parsed, r *provider.Report, m *stored, res *store.IngestResult, left *int) error {
	key := engine.SeenKey(p.Receipt.AccountID, r.Identity)
	fresh, err := t.changed(`INSERT INTO event_seen (day, key) VALUES (?, ?) ON CONFLICT DO NOTHING`, engine.SeenDay(m.id), key[:])
	if err != nil {
		return err
	}
	if fresh == 0 {
		res.Duplicates++
		return nil
	}
	res.Recorded++
	egress := route.TPSP(p.Receipt.TPSPID)
	isCopy := !strings.EqualFold(r.Recipient, m.to)
	if err := t.advance(p, r, m, egress, isCopy, left); err != nil {
		return err
	}
	detail, err := engine.Detail(&r.Detail)
	if err != nil {
		return err
	}
	t.record(&m.owner, happening{egress: egress, typ: r.Type, effect: store.EffectOf(engine.TriggerOf(r, isCopy)), recipient: r.Recipient, isCopy: isCopy,
		occurredAt: r.OccurredAt, recordedAt: p.Now, detail: detail})
	return nil
}

// advance moves the message's state. Whatever a provider reports of a message, it has it: a pending one leaves the queue.
func (t *tx) advance(p *store.Parsed, r *provider.Report, m *stored, egress route.Egress, isCopy bool, left *int) error {
	trigger := engine.TriggerOf(r, isCopy)
	state := m.state
	if state.Pending() {
		attempts, removed, err := t.overtake(m, left)
		if err != nil {
			return err
		}
		if removed {
			if err := t.endAttempts(m.id, provider.Accepted, store.ReasonReported, p.Now); err != nil {
				return err
			}
			if _, err := t.exec(`UPDATE message SET attempts = ?, egress = ? WHERE id = ?`, attempts, int32(egress), m.id[:]); err != nil {
				return err
			}
		}
		if err := t.sent(m, egress, r.ProviderMessageID, p.Sent, r.OccurredAt); err != nil {
			return err
		}
	} else if err := t.name(m, egress, r.ProviderMessageID); err != nil { // one that was left as sent has no id yet
		return err
	}
	to, moved := lifecycle.Next(state, trigger)
	if !moved {
		return nil
	}
	_, err := t.exec(`UPDATE message SET state = ? WHERE id = ?`, int(to), m.id[:])
	return err
}

// overtake removes the queue row of a message whose fate the provider has told before we recorded the call.
func (t *tx) overtake(m *stored, left *int) (attempts int, removed bool, err error) {
	removed, err = t.one([]any{&attempts}, `DELETE FROM queue WHERE id = ? RETURNING attempts`, m.id[:])
	if removed {
		*left++
	}
	return attempts, removed, err
}
