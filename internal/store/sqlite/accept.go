package sqlite

import (
	"context"
	"fmt"

	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// Accept implements store.Queue.
func (db *DB) Accept(ctx context.Context, batch []store.Submission) error {
	return db.write(ctx, accepting, func(t *tx) error {
		if err := t.keepAnswers(batch); err != nil {
			return err
		}
		held, err := t.withheld(batch)
		if err != nil {
			return err
		}
		sequences, err := t.takeSequences(held.Spread(batch))
		if err != nil {
			return err
		}
		messages := 0
		for i := range batch {
			messages += len(batch[i].Messages)
		}
		t.expect(messages)
		rows := acceptedRows{
			contents: make([]any, 0, len(batch)*contentRows.width),
			messages: make([]any, 0, messages*messageRows.width),
			queue:    make([]any, 0, messages*queueRows.width),
		}
		if _, err := t.one([]any{&rows.contentID}, `SELECT coalesce(max(id), 0) FROM content`); err != nil {
			return err
		}
		for i := range batch {
			if err := t.submit(&batch[i], sequences, &rows, held); err != nil {
				return err
			}
		}
		waiting := int64(len(rows.queue) / queueRows.width)
		t.onCommit(func() { db.backlog.Add(waiting) })
		return rows.write(t)
	})
}

// acceptedRows are the rows of a batch, which are written together.
type acceptedRows struct {
	contentID                 int64 // the last one
	contents, messages, queue []any
	withheld                  []any // values of withheldRows
	hooks                     []any // values of hookRows
}

var (
	contentRows = newInsert(`content (id, body)`)
	messageRows = newInsert(`message (id, account_id, sub_account_id, content_id, pool_id, mailbox, recipient, to_addr, plan, submitted_at, egress, labels)`)
	hookRows    = newInsert(`content_hook (content_id, url)`)
	queueRows   = newInsert(`queue (id, egress, mailbox, status, rank, sub_account_id, pool_id, priority, ways)`)
)

func (rows *acceptedRows) write(t *tx) error {
	if err := t.execAll(contentRows, rows.contents); err != nil {
		return err
	}
	if err := t.execAll(hookRows, rows.hooks); err != nil {
		return err
	}
	if err := t.execAll(messageRows, rows.messages); err != nil {
		return err
	}
	if err := t.execAll(withheldRows, rows.withheld); err != nil {
		return err
	}
	return t.execAll(queueRows, rows.queue)
}

// takeSequences reserves a range of every pool that spreads messages, and returns the next number of each.
func (t *tx) takeSequences(wanted map[int32]uint64) (map[int32]uint64, error) {
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

func (t *tx) submit(s *store.Submission, sequences map[int32]uint64, rows *acceptedRows, held engine.Withheld) error {
	if len(s.Messages) == 0 {
		return nil
	}
	rows.contentID++
	rows.contents = append(rows.contents, rows.contentID, s.Content)
	if s.Hook != "" {
		rows.hooks = append(rows.hooks, rows.contentID, s.Hook)
	}
	at := engine.Stamp(s.SubmittedAt)
	labels, err := t.label(s)
	if err != nil {
		return err
	}
	for i := range s.Messages {
		m := &s.Messages[i]
		recipient, out, gone, err := t.withhold(s, m, rows, held, labels)
		if err != nil {
			return err
		}
		if gone {
			continue
		}
		var seq uint64
		if m.Spread {
			seq = sequences[m.PoolID]
			sequences[m.PoolID]++
		}
		planned := m.Plan(seq)
		plan, err := engine.EncodePlan(&planned.Plan)
		if err != nil {
			return err
		}
		egress, class := planned.Plan.First(), m.Mailbox.ID()
		if err := t.inUse(egress); err != nil {
			return err
		}
		priority, err := t.priority(m.PoolID)
		if err != nil {
			return err
		}
		id := m.ID[:]
		rows.messages = append(rows.messages, id, s.AccountID, s.SubAccountID, rows.contentID, m.PoolID, class, recipient, m.To, plan, at, int32(egress), labels)
		rows.queue = append(rows.queue, id, int32(egress), class, int(engine.Ready), at, s.SubAccountID, m.PoolID, priority, len(planned.Plan.Egresses))
		o := owner{m.ID, s.AccountID, s.SubAccountID, m.PoolID, class, m.To, labels, at, 0}
		t.record(&o, happening{egress: egress, typ: planned.Processed, recipient: m.To, occurredAt: s.SubmittedAt,
			recordedAt: s.SubmittedAt, detail: engine.NoDetail})
		if err := t.leaveOut(&o, s.SubmittedAt, out); err != nil {
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
	found, err := t.one([]any{&id}, `SELECT id FROM tpsp WHERE id = ? AND deleted = 0`, int32(e))
	if err == nil && !found {
		err = fmt.Errorf("egress %s: %w", e, store.ErrConflict)
	}
	if t.egresses == nil {
		t.egresses = map[route.Egress]error{}
	}
	t.egresses[e] = err
	return err
}

// priority is that of a pool, as the queue has it: the lower goes first.
func (t *tx) priority(pool int32) (int, error) {
	if known, ok := t.priorities[pool]; ok {
		return known, nil
	}
	var priority int
	if _, err := t.one([]any{&priority}, `SELECT -priority FROM pool WHERE id = ?`, pool); err != nil {
		return 0, err
	}
	if t.priorities == nil {
		t.priorities = map[int32]int{}
	}
	t.priorities[pool] = priority
	return priority, nil
}
