package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/mail"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// CreateEndpoint implements store.Outbox. Events that are recorded after the commit have a higher Seq, as the journal's door is held.
func (db *DB) CreateEndpoint(ctx context.Context, e *store.Endpoint) error {
	return db.write(ctx, db.work, "create endpoint", func(t *tx) error {
		t.exec(`SELECT pg_advisory_xact_lock($1)`, int64(doorKey))
		t.row([]any{&e.Since}, `SELECT coalesce(max(seq), 0) FROM event`)
		if err := t.flush(); err != nil {
			return err
		}
		t.row([]any{&e.ID}, insertEndpoint, endpointValues(e)...)
		t.changeOutbox()
		return conflicted(t.flush())
	})
}

const insertEndpoint = `INSERT INTO endpoint (account_id, url, url_hash, named, enabled, kinds, sealed_secret, since, created, updated)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`

// insertNamed looks first, as an insertion that is not made takes an id, too.
const insertNamed = `INSERT INTO endpoint (account_id, url, url_hash, named, enabled, kinds, sealed_secret, since, created, updated)
	SELECT $1::int, $2::text, $3::bytea, $4::boolean, $5::boolean, $6::int, $7::bytea, $8::bigint, $9::bigint, $10::bigint
	WHERE NOT EXISTS (SELECT FROM endpoint WHERE account_id = $1 AND named AND url_hash = $3 AND deleted = 0)
	ON CONFLICT (account_id, named, url_hash) WHERE deleted = 0 DO NOTHING`

func endpointValues(e *store.Endpoint) []any {
	return []any{e.AccountID, text(e.URL), urlHash(e.URL), e.Named, e.Enabled, int32(e.Kinds), notNil(e.Secret), e.Since, engine.Stamp(e.Created),
		engine.Stamp(e.Updated)}
}

func urlHash(url string) []byte {
	sum := sha256.Sum256([]byte(text(url)))
	return sum[:]
}

// changeOutbox tells the node that posts that something has changed.
func (t *tx) changeOutbox() { t.exec(`UPDATE outbox SET revision = revision + 1`) }

// Changed implements store.Outbox.
func (db *DB) Changed(ctx context.Context) error {
	return db.write(ctx, db.work, "change outbox", func(t *tx) error {
		t.changeOutbox()
		return nil
	})
}

// NamedEndpoints implements store.Outbox.
func (db *DB) NamedEndpoints(ctx context.Context, list []store.Endpoint) (found []store.Endpoint, err error) {
	ordered := slices.Clone(list)
	slices.SortFunc(ordered, func(a, b store.Endpoint) int {
		return cmp.Or(cmp.Compare(a.AccountID, b.AccountID), cmp.Compare(a.URL, b.URL))
	})
	err = db.write(ctx, db.work, "name endpoints", func(t *tx) error {
		found = nil
		for i := range ordered {
			e := &ordered[i]
			t.exec(insertNamed, endpointValues(e)...)
			t.each(scanInto(&found, scanEndpoint), `SELECT `+engine.EndpointColumns+` FROM endpoint WHERE account_id = $1 AND named AND url_hash = $2 AND deleted = 0`,
				e.AccountID, urlHash(e.URL))
		}
		return nil
	})
	return found, err
}

func scanEndpoint(rows pgx.Rows) (store.Endpoint, error) {
	var r engine.EndpointRow
	err := rows.Scan(r.Into()...)
	return r.Done(), err
}

// endpointQuery selects what a filter says.
func endpointQuery(what string, f store.EndpointFilter) (query string, args []any) {
	where := []string{"deleted = 0", "id > $1"}
	args = []any{f.After}
	add := func(condition string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if f.AccountID != 0 {
		add("account_id = $%d", f.AccountID)
	}
	if f.IDs != nil {
		add("id = ANY ($%d::int[])", f.IDs)
	}
	switch {
	case f.AllKinds:
	case f.Named:
		where = append(where, "named")
	default:
		where = append(where, "NOT named")
	}
	if f.Search != "" {
		add("strpos(lower(url), $%d) > 0", strings.ToLower(text(f.Search)))
	}
	return `SELECT ` + what + ` FROM endpoint WHERE ` + strings.Join(where, " AND "), args
}

// Endpoints implements store.Outbox.
func (db *DB) Endpoints(ctx context.Context, f store.EndpointFilter) ([]store.Endpoint, error) {
	query, args := endpointQuery(engine.EndpointColumns, f)
	args = append(args, f.Offset)
	query += fmt.Sprintf(" ORDER BY id OFFSET $%d", len(args))
	if f.Limit > 0 {
		args = append(args, f.Limit)
		query += fmt.Sprintf(" LIMIT $%d", len(args))
	}
	return list(ctx, db.work, "read endpoints", scanEndpoint, query, args...)
}

// CountEndpoints implements store.Outbox.
func (db *DB) CountEndpoints(ctx context.Context, f store.EndpointFilter) (n int, err error) {
	query, args := endpointQuery("count(*)", f)
	_, err = one(ctx, db.work, "count endpoints", []any{&n}, query, args...)
	return n, err
}

// ChangeEndpoint implements store.Outbox.
func (db *DB) ChangeEndpoint(ctx context.Context, accountID, id int32, change func(*store.Endpoint) error) (changed *store.Endpoint, err error) {
	err = db.write(ctx, db.work, "change endpoint", func(t *tx) error {
		var found []store.Endpoint
		t.each(scanInto(&found, scanEndpoint), `SELECT `+engine.EndpointColumns+` FROM endpoint WHERE account_id = $1 AND id = $2 AND deleted = 0 FOR UPDATE`,
			accountID, id)
		if err := t.flush(); err != nil {
			return err
		}
		if len(found) == 0 {
			return store.ErrNotFound
		}
		e := &found[0]
		if err := change(e); err != nil {
			return err
		}
		changed = e
		t.exec(`UPDATE endpoint SET url = $2, url_hash = $3, enabled = $4, kinds = $5, sealed_secret = $6, sealed_former = $7, former_to = $8, paused = $9,
			paused_at = $10, updated = $11, failures = $12, failing_at = $13, next_try = $14 WHERE id = $1`, id, text(e.URL), urlHash(e.URL), e.Enabled, int32(e.Kinds), notNil(e.Secret), notNil(e.Former),
			engine.Stamp(e.FormerTo), text(e.Paused), engine.Stamp(e.PausedAt), engine.Stamp(e.Updated), e.Standing.Failures,
			engine.Stamp(e.Standing.FailingAt), engine.Stamp(e.Standing.NextTry))
		t.changeOutbox()
		return conflicted(t.flush())
	})
	return changed, err
}

// DeleteEndpoint implements store.Outbox.
func (db *DB) DeleteEndpoint(ctx context.Context, accountID, id int32, now time.Time) error {
	return db.write(ctx, db.work, "delete endpoint", func(t *tx) error {
		if err := t.touch(`UPDATE endpoint SET deleted = $3 WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, id, engine.Stamp(now)); err != nil {
			return err
		}
		t.changeOutbox()
		return nil
	})
}

// OutboxPlace implements store.Outbox.
func (db *DB) OutboxPlace(ctx context.Context) (place int64, err error) {
	_, err = one(ctx, db.work, "read place of the outbox", []any{&place}, `SELECT place FROM outbox`)
	return place, err
}

const (
	outEventColumns = `e.seq, e.account_id, e.sub_account_id, e.message_id, e.pool_id, e.egress, e.type, e.marks, e.mailbox, e.recipient, e.occurred_at,
		e.recorded_at, e.detail, m.recipient, coalesce(m.submitted_at, 0), m.content_id, coalesce(h.url, ''), m.id IS NULL`
	outEventTables = ` e LEFT JOIN message m ON m.id = e.message_id LEFT JOIN content_hook h ON h.content_id = m.content_id`
	outEventJoins  = outEventTables + ` ORDER BY e.seq`

	// By the index of an account's days.
	outboundOfQuery = `SELECT ` + outEventColumns + ` FROM (SELECT * FROM event WHERE account_id = $1 AND occurred_at >= $3 AND occurred_at < $4
		AND (occurred_at > $3 OR seq > $2) ORDER BY occurred_at, seq LIMIT $5)` + outEventTables + ` ORDER BY e.occurred_at, e.seq`

	// Nothing is to be posted anywhere.
	outboxIdle = `SELECT NOT EXISTS (SELECT FROM endpoint WHERE deleted = 0) AND NOT EXISTS (SELECT FROM content_hook)`
)

func scanOutEvent(rows pgx.Rows) (r engine.OutEventRow, err error) {
	var content pgtype.UUID
	err = rows.Scan(&r.Seq, &r.AccountID, &r.SubAccountID, idInto(&r.MessageID), &r.PoolID, &r.Egress, &r.Type, &r.Marks, &r.Class, &r.Recipient,
		&r.Occurred, &r.Recorded, &r.Detail, &r.To, &r.Submitted, &content, &r.Hook, &r.Gone)
	r.Content = string(content.Bytes[:])
	return r, err
}

// Outbound implements store.Outbox. The events that are seen are all up to the last one, as their order is that of commits.
func (db *DB) Outbound(ctx context.Context, after int64, limit int) (store.Outbound, error) {
	var rows []engine.OutEventRow
	var idle bool
	var newest, revision int64
	if err := snapshot(ctx, db.work, "read events to post", func(t *tx) {
		rows = nil
		t.row([]any{&idle, &newest, &revision}, `SELECT (`+outboxIdle+`), (SELECT coalesce(max(seq), 0) FROM event), revision FROM outbox`)
		t.each(scanInto(&rows, scanOutEvent), `SELECT `+outEventColumns+` FROM (SELECT * FROM event WHERE seq > $1 AND NOT (`+outboxIdle+`) ORDER BY seq LIMIT $2)`+
			outEventJoins, after, limit)
	}); err != nil {
		return store.Outbound{}, err
	}
	if idle || newest <= after {
		return store.Outbound{Revision: revision, Last: max(newest, after)}, nil
	}
	return engine.Outbound(rows, revision, after, limit)
}

// OutboundOf implements store.Outbox.
func (db *DB) OutboundOf(ctx context.Context, accountID int32, from, to time.Time, after int64, limit int) (o store.Outbound, err error) {
	rows, err := list(ctx, db.queries, "read events to post", scanOutEvent, outboundOfQuery, accountID, after, engine.Stamp(from), engine.Stamp(to), limit)
	if err != nil {
		return o, err
	}
	return engine.Outbound(rows, 0, after, limit)
}

// OutEvents implements store.Outbox.
func (db *DB) OutEvents(ctx context.Context, seqs []int64) ([]store.OutEvent, error) {
	rows, err := list(ctx, db.work, "read events to post", scanOutEvent,
		`SELECT `+outEventColumns+` FROM (SELECT * FROM event WHERE seq = ANY ($1::bigint[]))`+outEventJoins, seqs)
	if err != nil {
		return nil, err
	}
	o, err := engine.Outbound(rows, 0, 0, len(rows)+1)
	return o.Events, err
}

// OutContents implements store.Outbox. One content at a time is in memory; what cannot be read is left out.
func (db *DB) OutContents(ctx context.Context, refs []string) (map[string]*mail.Content, error) {
	ids, err := contentIDs(refs)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*mail.Content, len(refs))
	_, err = list(ctx, db.work, "read contents", func(rows pgx.Rows) (none struct{}, err error) {
		var id [16]byte
		var body pgtype.DriverBytes // is decoded before the next row
		if err = rows.Scan(&id, &body); err == nil {
			if c, bad := engine.OutContent(body); bad == nil {
				found[string(id[:])] = c
			}
		}
		return none, err
	}, `SELECT id, body FROM content WHERE id = ANY ($1)`, ids)
	return found, err
}

// Enqueue implements store.Outbox.
func (db *DB) Enqueue(ctx context.Context, from, to int64, list []store.DeliveryKey) error {
	return db.write(ctx, db.work, "enqueue deliveries", func(t *tx) error {
		n := 0
		t.count(&n, `UPDATE outbox SET place = $1 WHERE place = $2`, to, from)
		if err := t.flush(); err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("place %d of the outbox: %w", from, store.ErrConflict)
		}
		if len(list) > 0 {
			t.exec(`INSERT INTO delivery (endpoint_id, seq) SELECT * FROM unnest($1::int[], $2::bigint[]) ON CONFLICT DO NOTHING`,
				column(list, func(k *store.DeliveryKey) int32 { return k.EndpointID }),
				column(list, func(k *store.DeliveryKey) int64 { return k.Seq }))
		}
		return nil
	})
}

// Requeue implements store.Outbox.
func (db *DB) Requeue(ctx context.Context, endpointID int32, seqs []int64, at time.Time) error {
	ordered := slices.Compact(slices.Sorted(slices.Values(seqs)))
	return db.write(ctx, db.work, "requeue deliveries", func(t *tx) error {
		t.exec(`INSERT INTO delivery (endpoint_id, seq, state, due_at) SELECT $1::int, seq, 1, $3::bigint FROM unnest($2::bigint[]) AS u (seq)
			ON CONFLICT (endpoint_id, seq) DO UPDATE SET state = 1, tries = 0, due_at = excluded.due_at`, endpointID, ordered, engine.Stamp(at))
		return nil
	})
}

// RequeueMissing implements store.Outbox.
func (db *DB) RequeueMissing(ctx context.Context, endpointID int32, at time.Time, limit int) (n int, err error) {
	err = db.write(ctx, db.work, "requeue deliveries", func(t *tx) error {
		t.count(&n, `WITH missing AS MATERIALIZED ((SELECT seq FROM delivery WHERE endpoint_id = $2 AND state = 2 LIMIT $3) UNION ALL
				(SELECT seq FROM delivery WHERE endpoint_id = $2 AND state = 1 AND due_at > $1 ORDER BY due_at LIMIT $3)),
			held AS MATERIALIZED (SELECT d.seq FROM missing JOIN delivery d ON d.endpoint_id = $2 AND d.seq = missing.seq ORDER BY d.seq FOR UPDATE OF d)
			UPDATE delivery d SET state = 1, tries = 0, due_at = $1 FROM held WHERE d.endpoint_id = $2 AND d.seq = held.seq`,
			engine.Stamp(at), endpointID, limit)
		return nil
	})
	return n, err
}

// Backlogged implements store.Outbox. It goes from endpoint to endpoint, whatever waits for each.
func (db *DB) Backlogged(ctx context.Context, after int32, limit int) ([]int32, error) {
	return list(ctx, db.work, "read endpoints that deliveries wait for", func(rows pgx.Rows) (id int32, err error) {
		err = rows.Scan(&id)
		return id, err
	}, `WITH RECURSIVE found (id) AS (
			(SELECT endpoint_id FROM delivery WHERE endpoint_id > $1 ORDER BY endpoint_id LIMIT 1)
			UNION ALL SELECT (SELECT endpoint_id FROM delivery WHERE endpoint_id > found.id ORDER BY endpoint_id LIMIT 1) FROM found WHERE found.id IS NOT NULL)
		SELECT id FROM found WHERE id IS NOT NULL LIMIT $2`, after, limit)
}

// Ready implements store.Outbox.
func (db *DB) Ready(ctx context.Context, endpointID int32, after int64, limit int) ([]store.Delivery, error) {
	return list(ctx, db.work, "read deliveries", scanDelivery,
		`SELECT endpoint_id, seq, calls, tries, 0::bigint FROM delivery WHERE endpoint_id = $1 AND seq > $2 AND state = 0 ORDER BY seq LIMIT $3`, endpointID, after, limit)
}

// Delayed implements store.Outbox.
func (db *DB) Delayed(ctx context.Context, endpointID int32, limit int) ([]store.Delivery, error) {
	return list(ctx, db.work, "read deliveries", scanDelivery,
		`SELECT endpoint_id, seq, calls, tries, due_at FROM delivery WHERE endpoint_id = $1 AND state = 1 ORDER BY due_at LIMIT $2`, endpointID, limit)
}

func scanDelivery(rows pgx.Rows) (store.Delivery, error) {
	var r engine.DeliveryRow
	err := rows.Scan(&r.EndpointID, &r.Seq, &r.Calls, &r.Tries, &r.Due)
	return r.Done(), err
}

// Standing implements store.Outbox.
func (db *DB) Standing(ctx context.Context, endpointID int32) (store.DeliveryCount, error) {
	var waiting, givenUp, oldest int64
	_, err := one(ctx, db.queries, "count deliveries", []any{&waiting, &givenUp, &oldest}, `SELECT waiting, given_up, coalesce((SELECT recorded_at FROM event WHERE seq = first), 0)
		FROM (SELECT count(*) FILTER (WHERE state < 2) AS waiting, count(*) FILTER (WHERE state = 2) AS given_up, min(seq) FILTER (WHERE state < 2) AS first
			FROM delivery WHERE endpoint_id = $1) sums`, endpointID)
	return engine.Standing(waiting, givenUp, oldest), err
}

// RecordTries implements store.Outbox. Deliveries are locked in one order before they change.
func (db *DB) RecordTries(ctx context.Context, list []store.Try, standings []store.EndpointStanding) error {
	ordered := slices.Clone(list)
	slices.SortFunc(ordered, func(a, b store.Try) int {
		return cmp.Or(cmp.Compare(a.EndpointID, b.EndpointID), cmp.Compare(a.Seq, b.Seq))
	})
	states := slices.Clone(standings)
	slices.SortFunc(states, func(a, b store.EndpointStanding) int { return cmp.Compare(a.EndpointID, b.EndpointID) })
	return db.write(ctx, db.work, "record tries", func(t *tx) error {
		endpoints := column(ordered, func(r *store.Try) int32 { return r.EndpointID })
		seqs := column(ordered, func(r *store.Try) int64 { return r.Seq })
		calls := column(ordered, func(r *store.Try) int32 { return int32(r.Call) })
		fates := column(ordered, func(r *store.Try) int16 { return int16(r.Fate) })
		t.exec(`SELECT FROM unnest($1::int[], $2::bigint[]) AS u (endpoint_id, seq) JOIN delivery d USING (endpoint_id, seq)
			ORDER BY endpoint_id, seq FOR UPDATE OF d`, endpoints, seqs)
		t.exec(`DELETE FROM delivery d USING unnest($1::int[], $2::bigint[], $3::smallint[]) AS u (endpoint_id, seq, fate)
			WHERE d.endpoint_id = u.endpoint_id AND d.seq = u.seq AND u.fate = 0`, endpoints, seqs, fates)
		t.exec(`UPDATE delivery d SET state = CASE u.fate WHEN 1 THEN 1 WHEN 3 THEN 2 ELSE 0 END, calls = u.call, tries = u.tries, due_at = u.due
			FROM unnest($1::int[], $2::bigint[], $3::smallint[], $4::int[], $5::int[], $6::bigint[]) AS u (endpoint_id, seq, fate, call, tries, due)
			WHERE d.endpoint_id = u.endpoint_id AND d.seq = u.seq AND u.fate <> 0`, endpoints, seqs, fates, calls,
			column(ordered, func(r *store.Try) int32 { return int32(r.Tries) }),
			column(ordered, func(r *store.Try) int64 {
				if r.Fate == store.Retry {
					return engine.Stamp(r.Next)
				}
				return 0
			}))
		t.exec(`INSERT INTO delivery_try (endpoint_id, seq, call, at, took, status, error, fate)
			SELECT * FROM unnest($1::int[], $2::bigint[], $3::int[], $4::bigint[], $5::bigint[], $6::int[], $7::text[], $8::smallint[])`,
			column(list, func(r *store.Try) int32 { return r.EndpointID }),
			column(list, func(r *store.Try) int64 { return r.Seq }),
			column(list, func(r *store.Try) int32 { return int32(r.Call) }),
			column(list, func(r *store.Try) int64 { return engine.Stamp(r.At) }),
			column(list, func(r *store.Try) int64 { return int64(r.Took) }),
			column(list, func(r *store.Try) int32 { return int32(r.Status) }),
			column(list, func(r *store.Try) string { return text(r.Error) }),
			column(list, func(r *store.Try) int16 { return int16(r.Fate) }))
		for i := range states {
			s := &states[i]
			t.exec(`UPDATE endpoint SET failures = $2, failing_at = $3, next_try = $4, last_at = $5, last_status = $6, last_error = $7, worked_at = $8 WHERE id = $1`,
				s.EndpointID, s.Failures, engine.Stamp(s.FailingAt), engine.Stamp(s.NextTry), engine.Stamp(s.LastAt), s.LastStatus, text(s.LastError),
				engine.Stamp(s.WorkedAt))
		}
		return nil
	})
}

// Tries implements store.Outbox.
func (db *DB) Tries(ctx context.Context, f store.TryFilter) ([]store.Try, error) {
	query, args := `SELECT id, endpoint_id, seq, call, at, took, status, error, fate FROM delivery_try WHERE endpoint_id = $1`, []any{f.EndpointID}
	add := func(condition string, value any) {
		args = append(args, value)
		query += fmt.Sprintf(condition, len(args))
	}
	if f.Seq != 0 {
		add(" AND seq = $%d", f.Seq)
	}
	if f.Before != 0 {
		add(" AND id < $%d", f.Before)
	}
	add(" ORDER BY id DESC LIMIT $%d", f.Limit)
	return list(ctx, db.queries, "read tries", scanTry, query, args...)
}

func scanTry(rows pgx.Rows) (store.Try, error) {
	var r engine.TryRow
	err := rows.Scan(&r.ID, &r.EndpointID, &r.Seq, &r.Call, &r.Began, &r.Lasted, &r.Status, &r.Error, &r.Fate)
	return r.Done(), err
}

// SweepOutbox implements store.Outbox. Tries are recorded about in the order of their times: the oldest rows are looked at only.
func (db *DB) SweepOutbox(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = db.write(ctx, db.work, "sweep outbox", func(t *tx) error {
		const dead = `(SELECT id FROM endpoint WHERE deleted <> 0 ORDER BY id LIMIT 1)`
		var tries, deliveries, rest int
		t.count(&tries, `DELETE FROM delivery_try WHERE id = ANY (ARRAY (SELECT id FROM (SELECT id, at FROM delivery_try ORDER BY id LIMIT $1) old WHERE at < $2))`,
			limit, engine.Stamp(before))
		t.count(&deliveries, `DELETE FROM delivery WHERE endpoint_id = `+dead+` AND seq = ANY (ARRAY (SELECT seq FROM delivery WHERE endpoint_id = `+dead+`
			ORDER BY seq LIMIT $1))`, limit)
		t.count(&rest, `DELETE FROM delivery_try WHERE id = ANY (ARRAY (SELECT id FROM delivery_try WHERE endpoint_id = `+dead+` ORDER BY id LIMIT $1))`, limit)
		if err := t.flush(); err != nil {
			return err
		}
		if n = tries + deliveries + rest; n == 0 {
			t.count(&n, `DELETE FROM endpoint WHERE id = `+dead)
		}
		return nil
	})
	return n, err
}
