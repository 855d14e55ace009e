package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// head is what the event log shows of a content; it is kept apart so that the log need not read bodies.
type head struct {
	From    mail.Address `json:"from"`
	Subject string       `json:"subject,omitempty"`
	Groups  []string     `json:"groups,omitempty"`
}

// headOf takes the head out of a content, as far as it can be read.
func headOf(content []byte) ([]byte, error) {
	var h head
	_ = json.Unmarshal(content, &h) // what cannot be read is empty
	b, err := json.Marshal(&h)
	if err != nil {
		return nil, fmt.Errorf("encode head of content: %w", err)
	}
	return b, nil
}

// incoming is one message on its way into the tables.
type incoming struct {
	*store.NewMessage
	owner
	recipient []byte
	content   mail.ID
	submitted int64
	plan      []byte
	ways      int16 // egresses of the plan
	egress    route.Egress
	processed event.Type
}

// contentRow is one content on its way into the tables.
type contentRow struct {
	id         mail.ID
	head, body []byte
	hook       string
}

// Accept implements store.Queue.
func (db *DB) Accept(ctx context.Context, batch []store.Submission) error {
	var contents []contentRow
	for i := range batch {
		s := &batch[i]
		if len(s.Messages) == 0 {
			continue
		}
		h, err := headOf(s.Content)
		if err != nil {
			return err
		}
		contents = append(contents, contentRow{s.Messages[0].ID, h, s.Content, s.Hook})
	}
	var learned []engine.Label
	err := db.minding(func(known bool) error {
		return db.write(ctx, db.front, "accept", func(t *tx) (err error) {
			learned, err = t.accept(batch, contents, known, &db.labels)
			return err
		})
	})
	if err == nil {
		db.labels.learn(learned)
	}
	return err
}

// accept stores a batch, and returns the labels that it made. known tells that there are suppressions; when they are not known of,
// it fails with errSuppressing if there are.
func (t *tx) accept(batch []store.Submission, contents []contentRow, known bool, book *labelBook) (learned []engine.Label, err error) {
	taken, err := t.keepAnswers(batch) // before anything that others wait for
	if err != nil {
		return nil, err
	}
	held, check, err := t.withheld(batch, known)
	if err != nil {
		return nil, err
	}
	next, err := t.takeSequences(held.Spread(batch))
	if err != nil {
		return nil, err
	}
	labels, learned, err := t.label(batch, book)
	if err != nil {
		return nil, err
	}
	list, err := t.plan(batch, next, held, labels)
	if err != nil {
		return nil, err
	}
	gone := t.inUse(list)
	t.insertContents(contents)
	t.insertMessages(list)
	if err := t.flush(); err != nil {
		return nil, err
	}
	if err := cmp.Or(taken(), check()); err != nil {
		return nil, err
	}
	for i := range list {
		m, s := &list[i], engine.Time(list[i].submitted)
		if gone(m.egress) {
			return nil, fmt.Errorf("egress %s: %w", m.egress, store.ErrConflict)
		}
		t.journal.record(&m.owner, happening{egress: m.egress, typ: m.processed, recipient: m.To, occurredAt: s, recordedAt: s, detail: engine.NoDetail})
	}
	t.recordWithheld()
	return learned, nil
}

// takeSequences reserves a range of every pool that spreads messages, and returns the next number of each.
func (t *tx) takeSequences(wanted map[int32]uint64) (map[int32]uint64, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	next := make(map[int32]uint64, len(wanted))
	for _, pool := range slices.Sorted(maps.Keys(wanted)) {
		t.each(func(rows pgx.Rows) error {
			var first int64
			err := rows.Scan(&first)
			next[pool] = uint64(first)
			return err
		}, `UPDATE pool SET next_seq = next_seq + $2 WHERE id = $1 RETURNING next_seq - $2`, pool, int64(wanted[pool]))
	}
	if err := t.flush(); err != nil {
		return nil, err
	}
	for pool := range wanted {
		if _, found := next[pool]; !found {
			return nil, fmt.Errorf("pool %d: %w", pool, store.ErrNotFound)
		}
	}
	return next, nil
}

// plan asks where every message of the batch goes, but for those that are withheld.
func (t *tx) plan(batch []store.Submission, next map[int32]uint64, held engine.Withheld, labels [][]byte) ([]incoming, error) {
	var list []incoming
	for i := range batch {
		s := &batch[i]
		for j := range s.Messages {
			m := &s.Messages[j]
			recipient, gone, err := t.withhold(s, m, held, labels[i])
			if err != nil {
				return nil, err
			}
			if gone {
				continue
			}
			var seq uint64
			if m.Spread {
				seq = next[m.PoolID]
				next[m.PoolID]++
			}
			planned := m.Plan(seq)
			encoded, err := engine.EncodePlan(&planned.Plan)
			if err != nil {
				return nil, err
			}
			list = append(list, incoming{NewMessage: m, recipient: recipient, content: s.Messages[0].ID, submitted: engine.Stamp(s.SubmittedAt), plan: encoded,
				owner: owner{m.ID, s.AccountID, s.SubAccountID, m.PoolID, int16(m.Mailbox.ID()), text(m.To), labels[i], engine.Stamp(s.SubmittedAt), 0},
				ways:  int16(len(planned.Plan.Egresses)), egress: planned.Plan.First(), processed: planned.Processed})
		}
	}
	return list, nil
}

// inUse keeps the egresses of the batch from being deleted before the commit. What it returns tells, after the next flush,
// whether one was deleted since its messages were planned.
func (t *tx) inUse(list []incoming) (gone func(route.Egress) bool) {
	ids := slices.Compact(slices.Sorted(slices.Values(column(list, func(m *incoming) int32 { return int32(m.egress) }))))
	found := map[int32]bool{}
	t.each(func(rows pgx.Rows) error {
		var id int32
		err := rows.Scan(&id)
		found[id] = true
		return err
	}, `SELECT id FROM tpsp WHERE id = ANY ($1) AND deleted = 0 ORDER BY id FOR KEY SHARE`, ids)
	return func(e route.Egress) bool { return !found[int32(e)] }
}

func (t *tx) insertContents(list []contentRow) {
	t.exec(`INSERT INTO content (id, head, body) SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[])`,
		column(list, func(c *contentRow) pgtype.UUID { return uuidOf(c.id) }),
		column(list, func(c *contentRow) []byte { return c.head }),
		column(list, func(c *contentRow) []byte { return notNil(c.body) }))
	for i := range list {
		if c := &list[i]; c.hook != "" {
			t.exec(`INSERT INTO content_hook (content_id, url) VALUES ($1, $2)`, uuidOf(c.id), text(c.hook))
		}
	}
}

func (t *tx) insertMessages(list []incoming) {
	if len(list) == 0 {
		return
	}
	ids := column(list, func(m *incoming) pgtype.UUID { return uuidOf(m.id) })
	mailboxes := column(list, func(m *incoming) int16 { return m.mailbox })
	egresses := column(list, func(m *incoming) int32 { return int32(m.egress) })
	times := column(list, func(m *incoming) int64 { return m.submitted })
	subs := column(list, func(m *incoming) int32 { return m.subAccountID })
	pools := column(list, func(m *incoming) int32 { return m.poolID })
	t.exec(`INSERT INTO message (id, account_id, sub_account_id, content_id, pool_id, mailbox, recipient, to_addr, plan, submitted_at, egress, labels)
		SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[], $4::uuid[], $5::int[], $6::smallint[], $7::bytea[], $8::text[], $9::bytea[],
			$10::bigint[], $11::int[], $12::bytea[])`,
		ids,
		column(list, func(m *incoming) int32 { return m.accountID }),
		subs,
		column(list, func(m *incoming) pgtype.UUID { return uuidOf(m.content) }),
		pools,
		mailboxes,
		column(list, func(m *incoming) []byte { return notNil(m.recipient) }),
		column(list, func(m *incoming) string { return m.to }),
		column(list, func(m *incoming) []byte { return m.plan }),
		times, egresses, column(list, func(m *incoming) []byte { return m.labels }))
	t.exec(`INSERT INTO queue (id, egress, mailbox, status, rank, sub_account_id, pool_id, priority, ways)
		SELECT q.id, q.egress, q.mailbox, 0, q.rank, q.sub, q.pool, -coalesce(pool.priority, 0), q.ways
		FROM unnest($1::uuid[], $2::int[], $3::smallint[], $4::bigint[], $5::int[], $6::int[], $7::smallint[])
			AS q (id, egress, mailbox, rank, sub, pool, ways)
		LEFT JOIN pool ON pool.id = q.pool`,
		ids, egresses, mailboxes, times, subs, pools, column(list, func(m *incoming) int16 { return m.ways }))
}
