package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// takenFor is how long receipts are a node's.
const takenFor = 30 * time.Second

// Receive implements store.Inbox.
func (db *DB) Receive(ctx context.Context, batch []store.Receipt) error {
	if len(batch) == 0 {
		return nil
	}
	kept := make([]keeping, len(batch))
	for i := range batch {
		kept[i] = keeping{receipt: &batch[i], until: engine.Stamp(batch[i].ReceivedAt)}
	}
	return db.write(ctx, db.front, "receive", func(t *tx) error { return t.keep(keepReceipts, kept) })
}

// keeping is a body that is to be stored.
type keeping struct {
	receipt *store.Receipt
	until   int64  // when it is due
	reason  string // why it is garbage
}

const (
	keepReceipts = `INSERT INTO receipt (account_id, tpsp_id, headers, body, received_at, due_at)
		SELECT account_id, tpsp_id, headers, body, received_at, until FROM ` + keptRows
	keepGarbage = `INSERT INTO garbage (account_id, tpsp_id, headers, body, received_at, reason)
		SELECT account_id, tpsp_id, headers, body, received_at, reason FROM ` + keptRows
	keptRows = `unnest($1::int[], $2::int[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[], $7::text[]) WITH ORDINALITY
		AS r (account_id, tpsp_id, headers, body, received_at, until, reason, place) ORDER BY place`
)

// keep runs a statement with keptRows.
func (t *tx) keep(sql string, batch []keeping) error {
	headers := make([][]byte, len(batch))
	for i := range batch {
		var err error
		if headers[i], err = json.Marshal(batch[i].receipt.Headers); err != nil {
			return fmt.Errorf("encode headers: %w", err)
		}
	}
	t.exec(sql,
		column(batch, func(k *keeping) int32 { return k.receipt.AccountID }),
		column(batch, func(k *keeping) int32 { return k.receipt.TPSPID }),
		headers,
		column(batch, func(k *keeping) []byte { return notNil(k.receipt.Body) }),
		column(batch, func(k *keeping) int64 { return engine.Stamp(k.receipt.ReceivedAt) }),
		column(batch, func(k *keeping) int64 { return k.until }),
		column(batch, func(k *keeping) string { return text(k.reason) }))
	return nil
}

const takeReceipts = `WITH taken AS MATERIALIZED (SELECT id, due_at FROM receipt WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED),
	marked AS (UPDATE receipt r SET due_at = $3 FROM taken WHERE r.id = taken.id
		RETURNING r.id, r.account_id, r.tpsp_id, r.headers, r.body, r.received_at, taken.due_at)
	SELECT id, account_id, tpsp_id, headers, body, received_at FROM marked ORDER BY due_at, id`

// Received implements store.Inbox. Receipts that are not ingested in time come again, here or at another node.
func (db *DB) Received(ctx context.Context, now time.Time, limit int) (list []store.Receipt, err error) {
	err = db.write(ctx, db.work, "read receipts", func(t *tx) error {
		list = nil
		t.each(func(rows pgx.Rows) error {
			var r store.Receipt
			var headers []byte
			var at int64
			if err := rows.Scan(&r.ID, &r.AccountID, &r.TPSPID, &headers, &r.Body, &at); err != nil {
				return err
			}
			r.ReceivedAt = engine.Time(at)
			list = append(list, r)
			return json.Unmarshal(headers, &list[len(list)-1].Headers)
		}, takeReceipts, engine.Stamp(now), limit, engine.Stamp(now.Add(takenFor)))
		return nil
	})
	return list, err
}

// inboxChanges is what an ingested batch does to the tables of the inbox.
type inboxChanges struct {
	done    []int64 // receipts
	held    []holding
	garbage []discarded
	kept    []keeping // fresh ones
	unread  []keeping // fresh garbage
	foreign map[foreignKey]int64
}

type holding struct {
	receipt, until int64
}

type discarded struct {
	receipt int64
	reason  string
}

type foreignKey struct {
	tpspID int32
	day    int32
}

func (c *inboxChanges) write(t *tx) error {
	if len(c.kept) > 0 {
		if err := t.keep(keepReceipts, c.kept); err != nil {
			return err
		}
	}
	if len(c.unread) > 0 {
		if err := t.keep(keepGarbage, c.unread); err != nil {
			return err
		}
	}
	if len(c.garbage) > 0 {
		t.exec(`INSERT INTO garbage (account_id, tpsp_id, headers, body, received_at, reason)
			SELECT r.account_id, r.tpsp_id, r.headers, r.body, r.received_at, u.reason
			FROM unnest($1::bigint[], $2::text[]) AS u (id, reason) JOIN receipt r ON r.id = u.id`,
			column(c.garbage, func(d *discarded) int64 { return d.receipt }),
			column(c.garbage, func(d *discarded) string { return text(d.reason) }))
	}
	if len(c.held) > 0 {
		t.exec(`UPDATE receipt r SET due_at = u.until FROM unnest($1::bigint[], $2::bigint[]) AS u (id, until) WHERE r.id = u.id`,
			column(c.held, func(h *holding) int64 { return h.receipt }),
			column(c.held, func(h *holding) int64 { return h.until }))
	}
	if len(c.done) > 0 {
		t.exec(`DELETE FROM receipt WHERE id = ANY ($1)`, c.done)
	}
	if len(c.foreign) == 0 {
		return nil
	}
	keys := make([]foreignKey, 0, len(c.foreign))
	for k := range c.foreign {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b foreignKey) int { return slices.Compare([]int32{a.tpspID, a.day}, []int32{b.tpspID, b.day}) })
	t.exec(`INSERT INTO foreign_event AS f (tpsp_id, day, n) SELECT * FROM unnest($1::int[], $2::int[], $3::bigint[])
		ON CONFLICT (tpsp_id, day) DO UPDATE SET n = f.n + excluded.n`,
		column(keys, func(k *foreignKey) int32 { return k.tpspID }),
		column(keys, func(k *foreignKey) int32 { return k.day }),
		column(keys, func(k *foreignKey) int64 { return c.foreign[*k] }))
	return nil
}

// seenKey is the primary key of event_seen.
type seenKey struct {
	day int32
	key [16]byte
}

func compareSeen(a, b seenKey) int {
	if a.day != b.day {
		return int(a.day) - int(b.day)
	}
	return slices.Compare(a.key[:], b.key[:])
}

// see marks reports as seen. After the next flush, fresh holds those that were not seen before.
func (t *tx) see(keys []seenKey) (fresh map[seenKey]bool) {
	slices.SortFunc(keys, compareSeen)
	keys = slices.Compact(keys)
	fresh = make(map[seenKey]bool, len(keys))
	t.each(func(rows pgx.Rows) error {
		var k seenKey
		err := rows.Scan(&k.day, &k.key)
		fresh[k] = true
		return err
	}, `INSERT INTO event_seen (day, key) SELECT * FROM unnest($1::int[], $2::uuid[]) ON CONFLICT DO NOTHING RETURNING day, key`,
		column(keys, func(k *seenKey) int32 { return k.day }),
		column(keys, func(k *seenKey) pgtype.UUID { return pgtype.UUID{Bytes: k.key, Valid: true} }))
	return fresh
}
