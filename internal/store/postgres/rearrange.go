package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// queuedQuery looks each message up by its id: a join would have the planner read all of them when it knows nothing of the tables.
const queuedQuery = `WITH few AS MATERIALIZED (SELECT id, egress, mailbox, status IN (0, 1) AND ($1 = 0 OR egress = $1)
			AND ($2 = 0 OR sub_account_id = $2) AND ($3 = 0 OR pool_id = $3) AND (NOT $7 OR ways > 1) AS wanted FROM queue WHERE id > $4 ORDER BY id LIMIT $5)
		SELECT few.id, few.egress, few.mailbox, m.account_id, m.sub_account_id, m.pool_id, m.plan, m.submitted_at, m.recipient, m.content_id
		FROM few LEFT JOIN LATERAL (SELECT account_id, sub_account_id, pool_id, plan, submitted_at, recipient, content_id
			FROM message WHERE few.wanted AND id = few.id AND account_id = $6 OFFSET 0) m ON true
		ORDER BY few.id`

// Queued implements store.Queue.
func (db *DB) Queued(ctx context.Context, f store.QueuedFilter, after mail.ID, limit int) (found []store.Queued, last mail.ID, err error) {
	looked, err := list(ctx, db.work, "read waiting messages", func(rows pgx.Rows) (r engine.QueuedRow[pgtype.UUID], err error) {
		var account, sub, pool *int32
		var submitted *int64
		if err := rows.Scan(idInto(&r.ID), &r.Egress, &r.Class, &account, &sub, &pool, &r.Plan, &submitted, &r.Recipient, &r.ContentID); err != nil || account == nil {
			return r, err
		}
		r.AccountID, r.SubAccountID, r.PoolID, r.SubmittedAt, r.Wanted = *account, *sub, *pool, engine.Time(*submitted), true
		return r, nil
	}, queuedQuery, int32(f.Egress), f.SubAccountID, f.PoolID, uuidOf(after), limit, f.AccountID, f.Movable)
	if err != nil {
		return nil, last, err
	}
	return engine.CompleteQueued(looked, &f, func(id pgtype.UUID) (body []byte, err error) {
		_, err = one(ctx, db.work, "read content", []any{&body}, `SELECT body FROM content WHERE id = $1`, id)
		return body, err
	})
}

// moveChunk is how many messages one transaction moves or drops.
const moveChunk = 500

// Rearrange implements store.Queue.
func (db *DB) Rearrange(ctx context.Context, batch []store.Move, now time.Time) (total int, err error) {
	for some := range slices.Chunk(batch, moveChunk) {
		n, err := db.rearrange(ctx, some, now)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

func (db *DB) rearrange(ctx context.Context, batch []store.Move, now time.Time) (n int, err error) {
	ids := sorted(column(batch, func(m *store.Move) mail.ID { return m.ID }))
	targets := column(batch, func(m *store.Move) int32 { return int32(m.To) })
	err = db.write(ctx, db.work, "rearrange", func(t *tx) error {
		n = 0
		priorities, inUse := map[int32]int32{}, map[int32]bool{}
		t.each(func(rows pgx.Rows) error {
			var pool, priority int32
			err := rows.Scan(&pool, &priority)
			priorities[pool] = -priority
			return err
		}, `SELECT id, priority FROM pool WHERE priority <> 0`)
		t.each(func(rows pgx.Rows) error {
			var id int32
			err := rows.Scan(&id)
			inUse[id] = true
			return err
		}, `SELECT id FROM tpsp WHERE id = ANY ($1::int[]) AND deleted = 0 ORDER BY id FOR KEY SHARE`, targets)
		l := t.lock(ids)
		if err := t.flush(); err != nil {
			return err
		}
		if err := t.lockAgain(l); err != nil {
			return err
		}
		for i := range batch {
			m := &batch[i]
			p := l.pending(m.ID)
			if p == nil || p.egress != m.From || p.status != engine.Ready && p.status != engine.Delayed || m.Drop == "" && !inUse[int32(m.To)] {
				continue
			}
			if err := l.rearrange(&t.journal, p, m, priorities, now); err != nil {
				return fmt.Errorf("message %s: %w", m.ID, err)
			}
			n++
		}
		return l.write(t)
	})
	return n, err
}

func (l *ledger) rearrange(j *journal, p *place, m *store.Move, priorities map[int32]int32, now time.Time) error {
	if m.Drop != "" {
		return l.dropWaiting(j, p, m.Drop, now)
	}
	if p.changed = true; m.To != m.From {
		p.egress, p.status, p.dueAt, p.waiting = m.To, engine.Ready, 0, m.Waiting
	}
	msg := l.messages[m.ID]
	if msg == nil {
		return errMissing
	}
	msg.egress, msg.changed = m.To, true
	return l.replan(p, msg, m.Plan, priorities)
}

// replan gives a waiting message a plan, unless it stays.
func (l *ledger) replan(p *place, msg *message, plan *route.Plan, priorities map[int32]int32) (err error) {
	if plan == nil {
		return nil
	}
	p.priority, p.ways = priorities[msg.poolID], int16(len(plan.Egresses))
	msg.replanned = true
	msg.plan, err = engine.EncodePlan(plan)
	return err
}
