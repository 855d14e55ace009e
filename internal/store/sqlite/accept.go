package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// Accept implements store.Queue.
func (db *DB) Accept(ctx context.Context, batch []store.Submission) error {
	return db.write(ctx, accepting, func(t *tx) error {
		sequences, err := t.takeSequences(batch)
		if err != nil {
			return err
		}
		messages := 0
		for i := range batch {
			if err := t.submit(&batch[i], sequences); err != nil {
				return err
			}
			messages += len(batch[i].Messages)
		}
		t.onCommit(func() { db.backlog.Add(int64(messages)) })
		return nil
	})
}

// takeSequences reserves a range of every pool that spreads messages of this batch, and returns the next number of each.
func (t *tx) takeSequences(batch []store.Submission) (map[int32]uint64, error) {
	wanted := engine.Spread(batch)
	next := make(map[int32]uint64, len(wanted))
	for pool, n := range wanted {
		var after uint64
		found, err := t.one([]any{&after}, `UPDATE pool SET next_seq = next_seq + ? WHERE id = ? RETURNING next_seq`, n, pool)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("pool %d: %w", pool, store.ErrNotFound)
		}
		next[pool] = after - n
	}
	return next, nil
}

func (t *tx) submit(s *store.Submission, sequences map[int32]uint64) error {
	res, err := t.exec(`INSERT INTO content (body) VALUES (?)`, s.Content)
	if err != nil {
		return err
	}
	contentID, err := res.LastInsertId()
	if err != nil {
		return fmt.Errorf("read content id: %w", err)
	}
	at := engine.Stamp(s.SubmittedAt)
	for i := range s.Messages {
		m := &s.Messages[i]
		var seq uint64
		if m.Spread {
			seq = sequences[m.PoolID]
			sequences[m.PoolID]++
		}
		planned := m.Plan(seq)
		plan, err := json.Marshal(planned.Plan)
		if err != nil {
			return fmt.Errorf("encode plan: %w", err)
		}
		egress, class := planned.Plan.First(), m.Mailbox.ID()
		if err := t.inUse(egress); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO message (id, account_id, sub_account_id, content_id, pool_id, mailbox, recipient,
				to_addr, plan, submitted_at, egress) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			m.ID[:], s.AccountID, s.SubAccountID, contentID, m.PoolID, class, m.Recipient, m.To, plan, at, int32(egress)); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO queue (id, egress, mailbox, status, rank, sub_account_id, pool_id, priority, ways)
				VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, `+priorityOf6+`, ?7)`, m.ID[:], int32(egress), class, at, s.SubAccountID, m.PoolID,
			len(planned.Plan.Egresses)); err != nil {
			return err
		}
		o := owner{m.ID, s.AccountID, s.SubAccountID, m.PoolID, class, m.To}
		if err := t.record(&o, happening{egress: egress, typ: planned.Processed, recipient: m.To, occurredAt: s.SubmittedAt,
			recordedAt: s.SubmittedAt, detail: engine.NoDetail}); err != nil {
			return err
		}
	}
	return nil
}

// inUse fails with store.ErrConflict when the egress was deleted since the message was planned.
func (t *tx) inUse(e route.Egress) error {
	if known, ok := t.egresses[e]; ok {
		return known
	}
	var id int32
	found, err := t.one([]any{&id}, `SELECT id FROM tpsp WHERE id = ? AND deleted = 0`, e.TPSPID())
	if err == nil && !found {
		err = fmt.Errorf("egress %s: %w", e, store.ErrConflict)
	}
	if t.egresses == nil {
		t.egresses = map[route.Egress]error{}
	}
	t.egresses[e] = err
	return err
}

// priorityOf6 is the priority of the pool with the id ?6, as the queue has it: the lower goes first.
const priorityOf6 = `-coalesce((SELECT priority FROM pool WHERE id = ?6), 0)`
