package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

const queuedQuery = `WITH few AS MATERIALIZED (SELECT id, egress, mailbox, status IN (0, 1) AND (?1 = 0 OR egress = ?1)
			AND (?2 = 0 OR sub_account_id = ?2) AND (?3 = 0 OR pool_id = ?3) AND (NOT ?7 OR ways > 1) AS wanted FROM queue WHERE id > ?4 ORDER BY id LIMIT ?5)
		SELECT few.id, few.egress, few.mailbox, m.account_id, m.sub_account_id, m.pool_id, m.plan, m.submitted_at, m.recipient, m.content_id
		FROM few LEFT JOIN message m ON few.wanted AND m.id = few.id AND m.account_id = ?6 ORDER BY few.id`

// Queued implements store.Queue.
func (db *DB) Queued(ctx context.Context, f store.QueuedFilter, after mail.ID, limit int) (list []store.Queued, last mail.ID, err error) {
	rows, err := db.workPool.QueryContext(ctx, queuedQuery, int32(f.Egress), f.SubAccountID, f.PoolID, after[:], limit, f.AccountID, f.Movable)
	if err != nil {
		return nil, last, failed("read waiting messages", err)
	}
	looked, err := collect(rows, func(rows *sql.Rows) (r engine.QueuedRow[int64], err error) {
		var account, sub, pool, submitted, content sql.NullInt64
		err = rows.Scan((*idColumn)(&r.ID), &r.Egress, &r.Class, &account, &sub, &pool, &r.Plan, &submitted, &r.Recipient, &content)
		r.AccountID, r.SubAccountID, r.PoolID, r.ContentID = int32(account.Int64), int32(sub.Int64), int32(pool.Int64), content.Int64
		r.SubmittedAt, r.Wanted = engine.Time(submitted.Int64), account.Valid
		return r, err
	})
	if err != nil {
		return nil, last, err
	}
	return engine.CompleteQueued(looked, &f, func(id int64) (body []byte, err error) {
		if err = db.workPool.QueryRowContext(ctx, `SELECT body FROM content WHERE id = ?`, id).Scan(&body); errors.Is(err, sql.ErrNoRows) {
			return nil, nil // as one that cannot be read
		}
		return body, failed("read content", err)
	})
}

// Rearrange implements store.Queue.
func (db *DB) Rearrange(ctx context.Context, batch []store.Move, now time.Time) (n int, err error) {
	for some := range slices.Chunk(batch, moveChunk) {
		var moved int
		if err := db.write(ctx, rest, func(t *tx) (err error) {
			moved, err = t.rearrangeAll(db, some, now)
			return err
		}); err != nil {
			return n, err
		}
		n += moved
	}
	return n, nil
}

// moveChunk is how many messages one transaction moves or drops: acceptance waits for it.
const moveChunk = 100

func (t *tx) rearrangeAll(db *DB, batch []store.Move, now time.Time) (n int, err error) {
	for i := range batch {
		moved, err := t.rearrange(db, &batch[i], now)
		if err != nil {
			return n, fmt.Errorf("message %s: %w", batch[i].ID, err)
		}
		if moved {
			n++
		}
	}
	return n, nil
}

func (t *tx) rearrange(db *DB, m *store.Move, now time.Time) (moved bool, err error) {
	w := waiting{id: m.ID, egress: m.From}
	if m.Drop != "" {
		found, err := t.one([]any{&w.attempts}, `SELECT attempts FROM queue WHERE id = ? AND egress = ? AND status IN (0, 1)`, m.ID[:], int32(m.From))
		if err != nil || !found {
			return false, err
		}
		return true, t.dropWaiting(db, w, m.Drop, now)
	}
	switch err := t.inUse(m.To); {
	case errors.Is(err, store.ErrConflict):
		return false, nil
	case err != nil:
		return false, err
	}
	query := `UPDATE queue SET egress = ?, status = 0, due_at = 0, waiting = ? WHERE id = ? AND egress = ? AND status IN (0, 1)`
	if m.To == m.From {
		query = `UPDATE queue SET egress = ?, waiting = CASE waiting WHEN '' THEN ? ELSE waiting END WHERE id = ? AND egress = ? AND status IN (0, 1)`
	}
	n, err := t.changed(query, int32(m.To), m.Waiting, m.ID[:], int32(m.From))
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.replan(m.ID, m.To, m.Plan)
}

// replan gives a waiting message the egress where it waits, and a plan unless that stays.
func (t *tx) replan(id mail.ID, to route.Egress, plan *route.Plan) error {
	if plan == nil {
		_, err := t.exec(`UPDATE message SET egress = ? WHERE id = ?`, int32(to), id[:])
		return err
	}
	encoded, err := engine.EncodePlan(plan)
	if err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE message SET egress = ?, plan = ? WHERE id = ?`, int32(to), encoded, id[:]); err != nil {
		return err
	}
	_, err = t.exec(`UPDATE queue SET ways = ?, priority = -coalesce((SELECT priority FROM pool WHERE id = queue.pool_id), 0) WHERE id = ?`,
		len(plan.Egresses), id[:])
	return err
}
