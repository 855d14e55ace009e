package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/mail"
	"postyard/internal/store"
)

// observe reads the whole database, by the contract wherever it has a way, and checks what must always hold.
func observe(ctx context.Context, db *DB) (w world, err error) {
	w = newWorld()
	for query, dest := range map[string]any{
		`SELECT coalesce(sum(n), 0) FROM foreign_event`: &w.Foreign,
		`SELECT count(*) FROM tpsp`:                     &w.TPSPs,
		`SELECT count(*) FROM account`:                  &w.Accounts,
	} {
		if err := db.readPool.QueryRowContext(ctx, query).Scan(dest); err != nil {
			return w, err
		}
	}
	if w.Installation, err = db.Installation(ctx); err != nil {
		return w, err
	}
	sealed, err := db.KeyCheck(ctx)
	if err != nil {
		return w, err
	}
	w.KeyCheck = string(sealed)
	for i := range w.Accounts {
		if err := observeMessages(ctx, db, int32(i+1), &w); err != nil {
			return w, err
		}
	}
	receipts, err := db.Received(ctx, time.Now().AddDate(10, 0, 0), 1e6)
	if err != nil {
		return w, err
	}
	for _, r := range receipts {
		w.Receipts = append(w.Receipts, string(r.Body))
	}
	if w.Garbage, err = column[string](ctx, db, `SELECT CAST(body AS TEXT) FROM garbage`); err != nil {
		return w, err
	}
	slices.Sort(w.Receipts)
	slices.Sort(w.Garbage)
	return w, consistent(ctx, db, &w)
}

func observeMessages(ctx context.Context, db *DB, account int32, w *world) error {
	ids, err := column[[]byte](ctx, db, `SELECT id FROM message WHERE account_id = ?`, account)
	if err != nil {
		return err
	}
	for _, id := range ids {
		m, err := db.Message(ctx, account, mail.ID(id))
		if err != nil {
			return err
		}
		w.Messages[m.ID] = message{State: m.State, Attempts: m.Attempts, ProviderID: m.ProviderID, Waiting: m.Waiting,
			To: m.Recipient.Email, Subject: m.Content.Subject, Text: m.Content.Text}
	}
	events, err := db.Events(ctx, store.EventFilter{AccountID: account, Limit: 1e6})
	if err != nil {
		return err
	}
	for _, e := range events {
		if _, ok := w.Messages[e.MessageID]; !ok {
			return fmt.Errorf("event %d is of no message", e.Seq)
		}
		w.update(e.MessageID, func(m *message) { m.Events = append(m.Events, e.Type) })
	}
	return nil
}

// consistent checks what must hold in every database, whatever was acknowledged.
func consistent(ctx context.Context, db *DB, w *world) error {
	const counted = `SELECT account_id, occurred_at / 86400000000000 AS day, sub_account_id, egress, mailbox, type, is_copy, count(*) AS n
			FROM event GROUP BY 1, 2, 3, 4, 5, 6, 7`
	const counters = `SELECT account_id, day, sub_account_id, egress, mailbox, type, is_copy, n FROM counter`
	for rule, query := range map[string]string{
		"the file is whole":                     `SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'`,
		"references are right":                  `SELECT "table" FROM pragma_foreign_key_check`,
		"pending messages are in the queue":     `SELECT hex(id) FROM message WHERE state = 0 AND id NOT IN (SELECT id FROM queue)`,
		"messages in the queue are pending":     `SELECT hex(id) FROM queue WHERE id NOT IN (SELECT id FROM message WHERE state = 0)`,
		"counters are right":                    `SELECT 'type ' || type || ': ' || n FROM (` + counters + ` EXCEPT ` + counted + `)`,
		"events are counted":                    `SELECT 'type ' || type || ': ' || n FROM (` + counted + ` EXCEPT ` + counters + `)`,
		"a message on the wire has an attempt":  `SELECT hex(id) FROM queue q WHERE attempts > 0 AND NOT EXISTS (SELECT 1 FROM attempt WHERE message_id = q.id AND n = q.attempts)`,
		"every report that counts is seen once": `SELECT 'seen ' || (SELECT count(*) FROM event_seen) WHERE (SELECT count(*) FROM event_seen) <> (SELECT count(*) FROM event WHERE type IN (71, 72))`,
	} {
		broken, err := column[string](ctx, db, query)
		if err != nil {
			return fmt.Errorf("%s: %w", rule, err)
		}
		if len(broken) > 0 {
			return fmt.Errorf("not so: %s: %s", rule, strings.Join(broken, ", "))
		}
	}
	pending := int64(0)
	for _, m := range w.Messages {
		if m.State.Pending() {
			pending++
		}
	}
	if n, err := db.Backlog(ctx); err != nil {
		return err
	} else if n != pending {
		return fmt.Errorf("the backlog is %d, not %d", n, pending)
	}
	return nil
}

func column[T any](ctx context.Context, db *DB, query string, args ...any) ([]T, error) {
	rows, err := db.readPool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (v T, err error) { return v, rows.Scan(&v) })
}
