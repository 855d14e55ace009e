package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postyard/internal/mail"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// CreateEndpoint implements store.Outbox.
func (db *DB) CreateEndpoint(ctx context.Context, e *store.Endpoint) error {
	return db.write(ctx, rest, func(t *tx) error {
		if _, err := t.one([]any{&e.Since}, `SELECT coalesce(max(seq), 0) FROM event`); err != nil {
			return err
		}
		if err := t.insertEndpoint(e); err != nil {
			return err
		}
		return t.changeOutbox()
	})
}

func (t *tx) insertEndpoint(e *store.Endpoint) (err error) {
	e.ID, err = t.insert(`INSERT INTO endpoint (account_id, url, named, enabled, kinds, sealed_secret, since, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.AccountID, e.URL, e.Named, e.Enabled, int(e.Kinds), e.Secret, e.Since, engine.Stamp(e.Created), engine.Stamp(e.Updated))
	return err
}

// changeOutbox tells the node that posts that something has changed.
func (t *tx) changeOutbox() error {
	_, err := t.exec(`UPDATE outbox SET revision = revision + 1`)
	return err
}

// Changed implements store.Outbox.
func (db *DB) Changed(ctx context.Context) error { return db.write(ctx, rest, (*tx).changeOutbox) }

const namedEndpoint = `SELECT ` + engine.EndpointColumns + ` FROM endpoint WHERE account_id = ? AND named = 1 AND url = ? AND deleted = 0`

// NamedEndpoints implements store.Outbox.
func (db *DB) NamedEndpoints(ctx context.Context, list []store.Endpoint) (found []store.Endpoint, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		found = nil
		for _, e := range list {
			known, err := each(t, scanEndpoint[*row], namedEndpoint, e.AccountID, e.URL)
			if err != nil {
				return err
			}
			if len(known) > 0 {
				found = append(found, known[0])
				continue
			}
			if err := t.insertEndpoint(&e); err != nil {
				return err
			}
			e.Standing.EndpointID = e.ID
			found = append(found, e)
		}
		return nil
	})
	return found, err
}

func scanEndpoint[R scanner](rows R) (store.Endpoint, error) {
	var r engine.EndpointRow
	err := rows.Scan(r.Into()...)
	return r.Done(), err
}

// endpointQuery selects what a filter says, in the order of ids.
func endpointQuery(what string, f store.EndpointFilter) (query string, args []any) {
	where := []string{"deleted = 0", "id > ?"}
	args = []any{f.After}
	add := func(condition string, values ...any) {
		where = append(where, condition)
		args = append(args, values...)
	}
	if f.AccountID != 0 {
		add("account_id = ?", f.AccountID)
	}
	if f.IDs != nil {
		add("id IN ("+marks(len(f.IDs))+")", anys(f.IDs)...)
	}
	switch {
	case f.AllKinds:
	case f.Named:
		add("named = 1")
	default:
		add("named = 0")
	}
	if f.Search != "" {
		add("instr(lower(url), ?) > 0", strings.ToLower(f.Search))
	}
	return `SELECT ` + what + ` FROM endpoint WHERE ` + strings.Join(where, " AND "), args
}

// Endpoints implements store.Outbox.
func (db *DB) Endpoints(ctx context.Context, f store.EndpointFilter) ([]store.Endpoint, error) {
	query, args := endpointQuery(engine.EndpointColumns, f)
	limit := f.Limit
	if limit == 0 {
		limit = -1 // none
	}
	rows, err := db.workPool.QueryContext(ctx, query+` ORDER BY id LIMIT ? OFFSET ?`, append(args, limit, f.Offset)...)
	if err != nil {
		return nil, failed("read endpoints", err)
	}
	return collect(rows, scanEndpoint[*sql.Rows])
}

// CountEndpoints implements store.Outbox.
func (db *DB) CountEndpoints(ctx context.Context, f store.EndpointFilter) (n int, err error) {
	query, args := endpointQuery("count(*)", f)
	err = db.workPool.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, failed("count endpoints", err)
}

// ChangeEndpoint implements store.Outbox.
func (db *DB) ChangeEndpoint(ctx context.Context, accountID, id int32, change func(*store.Endpoint) error) (changed *store.Endpoint, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		found, err := each(t, scanEndpoint[*row], `SELECT `+engine.EndpointColumns+` FROM endpoint WHERE account_id = ? AND id = ? AND deleted = 0`, accountID, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return store.ErrNotFound
		}
		e := &found[0]
		if err := change(e); err != nil {
			return err
		}
		_, err = t.exec(`UPDATE endpoint SET url = ?, enabled = ?, kinds = ?, sealed_secret = ?, sealed_former = ?, former_to = ?, paused = ?, paused_at = ?,
				updated = ?, failures = ?, failing_at = ?, next_try = ? WHERE id = ?`, e.URL, e.Enabled, int(e.Kinds), e.Secret, notNil(e.Former), engine.Stamp(e.FormerTo), e.Paused,
			engine.Stamp(e.PausedAt), engine.Stamp(e.Updated), e.Standing.Failures, engine.Stamp(e.Standing.FailingAt), engine.Stamp(e.Standing.NextTry), id)
		if isUnique(err) {
			return store.ErrConflict
		}
		if err != nil {
			return err
		}
		changed = e
		return t.changeOutbox()
	})
	return changed, err
}

// DeleteEndpoint implements store.Outbox.
func (db *DB) DeleteEndpoint(ctx context.Context, accountID, id int32, now time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		if err := orMissing(t.changed(`UPDATE endpoint SET deleted = ? WHERE account_id = ? AND id = ? AND deleted = 0`, engine.Stamp(now), accountID, id)); err != nil {
			return err
		}
		return t.changeOutbox()
	})
}

// OutboxPlace implements store.Outbox.
func (db *DB) OutboxPlace(ctx context.Context) (place int64, err error) {
	err = db.workPool.QueryRowContext(ctx, `SELECT place FROM outbox`).Scan(&place)
	return place, failed("read place of the outbox", err)
}

const (
	outEventColumns = `page.seq, page.account_id, page.sub_account_id, page.message_id, page.pool_id, page.egress, page.type, page.marks, page.mailbox, page.recipient, page.occurred_at,
		page.recorded_at, page.detail, m.recipient, coalesce(m.submitted_at, 0), coalesce(m.content_id, 0), coalesce(h.url, ''), m.id IS NULL`
	outEventTables = ` page LEFT JOIN message m ON m.id = page.message_id LEFT JOIN content_hook h ON h.content_id = m.content_id`
	outEventJoins  = outEventTables + ` ORDER BY page.seq`
	outboundQuery  = `SELECT ` + outEventColumns + ` FROM (SELECT * FROM event WHERE seq > ? ORDER BY seq LIMIT ?)` + outEventJoins

	// By the index of an account's days.
	outboundOfQuery = `SELECT ` + outEventColumns + ` FROM (SELECT * FROM event WHERE account_id = ?1 AND occurred_at >= ?3 AND occurred_at < ?4
		AND (occurred_at > ?3 OR seq > ?2) ORDER BY occurred_at, seq LIMIT ?5)` + outEventTables + ` ORDER BY page.occurred_at, page.seq`

	// Nothing is to be posted anywhere.
	outboxIdle = `SELECT NOT EXISTS (SELECT 1 FROM endpoint WHERE deleted = 0) AND NOT EXISTS (SELECT 1 FROM content_hook)`
)

func scanOutEvent(rows *sql.Rows) (r engine.OutEventRow, err error) {
	var content int64
	err = rows.Scan(&r.Seq, &r.AccountID, &r.SubAccountID, (*idColumn)(&r.MessageID), &r.PoolID, &r.Egress, &r.Type, &r.Marks, &r.Class, &r.Recipient,
		&r.Occurred, &r.Recorded, &r.Detail, &r.To, &r.Submitted, &content, &r.Hook, &r.Gone)
	r.Content = strconv.FormatInt(content, 10)
	return r, err
}

// Outbound implements store.Outbox.
func (db *DB) Outbound(ctx context.Context, after int64, limit int) (o store.Outbound, err error) {
	snapshot, err := db.workPool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return o, failed("read events to post", err)
	}
	defer func() { _ = snapshot.Rollback() }()
	var idle bool
	var newest, revision int64
	if err := snapshot.QueryRowContext(ctx, `SELECT (`+outboxIdle+`), (SELECT coalesce(max(seq), 0) FROM event), revision FROM outbox`).Scan(&idle, &newest, &revision); err != nil {
		return o, failed("read outbox", err)
	}
	if idle || newest <= after {
		return store.Outbound{Revision: revision, Last: max(newest, after)}, nil
	}
	rows, err := read(ctx, snapshot, scanOutEvent, outboundQuery, after, limit)
	if err != nil {
		return o, err
	}
	return engine.Outbound(rows, revision, after, limit)
}

// OutboundOf implements store.Outbox.
func (db *DB) OutboundOf(ctx context.Context, accountID int32, from, to time.Time, after int64, limit int) (o store.Outbound, err error) {
	rows, err := db.readPool.QueryContext(ctx, outboundOfQuery, accountID, after, engine.Stamp(from), engine.Stamp(to), limit)
	if err != nil {
		return o, failed("read events to post", err)
	}
	list, err := collect(rows, scanOutEvent)
	if err != nil {
		return o, err
	}
	return engine.Outbound(list, 0, after, limit)
}

// outEventsQuery reads so many events.
func outEventsQuery(n int) string {
	return `SELECT ` + outEventColumns + ` FROM (SELECT * FROM event WHERE seq IN (` + marks(n) + `))` + outEventJoins
}

// OutEvents implements store.Outbox.
func (db *DB) OutEvents(ctx context.Context, seqs []int64) ([]store.OutEvent, error) {
	args := make([]any, len(seqs))
	for i, seq := range seqs {
		args[i] = seq
	}
	rows, err := db.workPool.QueryContext(ctx, outEventsQuery(len(seqs)), args...)
	if err != nil {
		return nil, failed("read events to post", err)
	}
	list, err := collect(rows, scanOutEvent)
	if err != nil {
		return nil, err
	}
	o, err := engine.Outbound(list, 0, 0, len(list)+1)
	return o.Events, err
}

// outContentsQuery reads so many contents.
func outContentsQuery(n int) string {
	return `SELECT id, body FROM content WHERE id IN (` + marks(n) + `)`
}

// OutContents implements store.Outbox. What cannot be read is left out.
func (db *DB) OutContents(ctx context.Context, refs []string) (map[string]*mail.Content, error) {
	ids := make([]any, len(refs))
	for i, ref := range refs {
		id, err := strconv.ParseInt(ref, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read contents: %w", err)
		}
		ids[i] = id
	}
	rows, err := db.workPool.QueryContext(ctx, outContentsQuery(len(ids)), ids...)
	if err != nil {
		return nil, failed("read contents", err)
	}
	found := make(map[string]*mail.Content, len(refs))
	_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var body sql.RawBytes // is decoded before the next row
		if err = rows.Scan(&id, &body); err == nil {
			if c, bad := engine.OutContent(body); bad == nil {
				found[strconv.FormatInt(id, 10)] = c
			}
		}
		return none, err
	})
	return found, err
}

var (
	deliveryRows = newBulk(`INSERT INTO delivery (endpoint_id, seq) VALUES `, `(?, ?)`, ` ON CONFLICT DO NOTHING`)
	requeuedRows = newBulk(`INSERT INTO delivery (endpoint_id, seq, state, due_at) VALUES `, `(?, ?, 1, ?)`,
		` ON CONFLICT (endpoint_id, seq) DO UPDATE SET state = 1, tries = 0, due_at = excluded.due_at`)
	deliveredRows = newBulk(`DELETE FROM delivery WHERE (endpoint_id, seq) IN (VALUES `, `(?, ?)`, `)`)
	tryRows       = newInsert(`delivery_try (endpoint_id, seq, call, at, took, status, error, fate)`)
)

// Enqueue implements store.Outbox.
func (db *DB) Enqueue(ctx context.Context, from, to int64, list []store.DeliveryKey) error {
	return db.write(ctx, claiming, func(t *tx) error {
		n, err := t.changed(`UPDATE outbox SET place = ? WHERE place = ?`, to, from)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("place %d of the outbox: %w", from, store.ErrConflict)
		}
		values := make([]any, 0, len(list)*deliveryRows.width)
		for _, k := range list {
			values = append(values, k.EndpointID, k.Seq)
		}
		return t.execAll(deliveryRows, values)
	})
}

// Requeue implements store.Outbox.
func (db *DB) Requeue(ctx context.Context, endpointID int32, seqs []int64, at time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		values := make([]any, 0, len(seqs)*requeuedRows.width)
		for _, seq := range seqs {
			values = append(values, endpointID, seq, engine.Stamp(at))
		}
		return t.execAll(requeuedRows, values)
	})
}

// RequeueMissing implements store.Outbox.
func (db *DB) RequeueMissing(ctx context.Context, endpointID int32, at time.Time, limit int) (n int, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		changed, err := t.changed(`UPDATE delivery SET state = 1, tries = 0, due_at = ?1 WHERE endpoint_id = ?2 AND seq IN (
				SELECT * FROM (SELECT seq FROM delivery WHERE endpoint_id = ?2 AND state = 2 LIMIT ?3) UNION ALL
				SELECT * FROM (SELECT seq FROM delivery WHERE endpoint_id = ?2 AND state = 1 AND due_at > ?1 ORDER BY due_at LIMIT ?3))`,
			engine.Stamp(at), endpointID, limit)
		n = int(changed)
		return err
	})
	return n, err
}

// Backlogged implements store.Outbox. It goes from endpoint to endpoint, whatever waits for each.
func (db *DB) Backlogged(ctx context.Context, after int32, limit int) ([]int32, error) {
	rows, err := db.workPool.QueryContext(ctx, `WITH RECURSIVE found (id) AS (
			SELECT min(endpoint_id) FROM delivery WHERE endpoint_id > ?1
			UNION ALL SELECT (SELECT min(endpoint_id) FROM delivery WHERE endpoint_id > found.id) FROM found WHERE found.id IS NOT NULL)
		SELECT id FROM found WHERE id IS NOT NULL LIMIT ?2`, after, limit)
	if err != nil {
		return nil, failed("read endpoints that deliveries wait for", err)
	}
	return collect(rows, func(rows *sql.Rows) (id int32, err error) {
		err = rows.Scan(&id)
		return id, err
	})
}

const (
	readyQuery   = `SELECT endpoint_id, seq, calls, tries, 0 FROM delivery WHERE endpoint_id = ? AND seq > ? AND state = 0 ORDER BY seq LIMIT ?`
	delayedQuery = `SELECT endpoint_id, seq, calls, tries, due_at FROM delivery WHERE endpoint_id = ? AND state = 1 ORDER BY due_at LIMIT ?`
)

// Ready implements store.Outbox.
func (db *DB) Ready(ctx context.Context, endpointID int32, after int64, limit int) ([]store.Delivery, error) {
	return db.deliveries(ctx, readyQuery, endpointID, after, limit)
}

// Delayed implements store.Outbox.
func (db *DB) Delayed(ctx context.Context, endpointID int32, limit int) ([]store.Delivery, error) {
	return db.deliveries(ctx, delayedQuery, endpointID, limit)
}

func (db *DB) deliveries(ctx context.Context, query string, args ...any) ([]store.Delivery, error) {
	rows, err := db.workPool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed("read deliveries", err)
	}
	return collect(rows, func(rows *sql.Rows) (store.Delivery, error) {
		var r engine.DeliveryRow
		err := rows.Scan(&r.EndpointID, &r.Seq, &r.Calls, &r.Tries, &r.Due)
		return r.Done(), err
	})
}

// Standing implements store.Outbox.
func (db *DB) Standing(ctx context.Context, endpointID int32) (store.DeliveryCount, error) {
	var waiting, givenUp, first, oldest int64
	err := db.readPool.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE state < 2), count(*) FILTER (WHERE state = 2),
		coalesce(min(seq) FILTER (WHERE state < 2), 0) FROM delivery WHERE endpoint_id = ?`, endpointID).Scan(&waiting, &givenUp, &first)
	if err == nil && first != 0 {
		if err = db.readPool.QueryRowContext(ctx, `SELECT recorded_at FROM event WHERE seq = ?`, first).Scan(&oldest); errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
	}
	return engine.Standing(waiting, givenUp, oldest), failed("count deliveries", err)
}

// RecordTries implements store.Outbox.
func (db *DB) RecordTries(ctx context.Context, list []store.Try, standings []store.EndpointStanding) error {
	return db.write(ctx, claiming, func(t *tx) error {
		tries := make([]any, 0, len(list)*tryRows.width)
		var done []any
		for i := range list {
			r := &list[i]
			tries = append(tries, r.EndpointID, r.Seq, r.Call, engine.Stamp(r.At), int64(r.Took), r.Status, r.Error, int(r.Fate))
			var err error
			switch r.Fate {
			case store.Delivered:
				done = append(done, r.EndpointID, r.Seq)
			case store.Retry:
				err = t.putOff(r, engine.DeliveryDelayed, engine.Stamp(r.Next))
			case store.Kept:
				err = t.putOff(r, engine.DeliveryReady, 0)
			case store.GivenUp:
				err = t.putOff(r, engine.DeliveryGivenUp, 0)
			}
			if err != nil {
				return err
			}
		}
		if err := t.execAll(tryRows, tries); err != nil {
			return err
		}
		if err := t.execAll(deliveredRows, done); err != nil {
			return err
		}
		for _, s := range standings {
			if _, err := t.exec(`UPDATE endpoint SET failures = ?, failing_at = ?, next_try = ?, last_at = ?, last_status = ?, last_error = ?, worked_at = ?
					WHERE id = ?`, s.Failures, engine.Stamp(s.FailingAt), engine.Stamp(s.NextTry), engine.Stamp(s.LastAt), s.LastStatus, s.LastError,
				engine.Stamp(s.WorkedAt), s.EndpointID); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) putOff(r *store.Try, state int, due int64) error {
	_, err := t.exec(`UPDATE delivery SET state = ?, calls = ?, tries = ?, due_at = ? WHERE endpoint_id = ? AND seq = ?`, state, r.Call, r.Tries, due, r.EndpointID, r.Seq)
	return err
}

// Tries implements store.Outbox.
func (db *DB) Tries(ctx context.Context, f store.TryFilter) ([]store.Try, error) {
	query, args := `SELECT id, endpoint_id, seq, call, at, took, status, error, fate FROM delivery_try WHERE endpoint_id = ?`, []any{f.EndpointID}
	if f.Seq != 0 {
		query, args = query+` AND seq = ?`, append(args, f.Seq)
	}
	if f.Before != 0 {
		query, args = query+` AND id < ?`, append(args, f.Before)
	}
	rows, err := db.readPool.QueryContext(ctx, query+` ORDER BY id DESC LIMIT ?`, append(args, f.Limit)...)
	if err != nil {
		return nil, failed("read tries", err)
	}
	return collect(rows, scanTry)
}

func scanTry(rows *sql.Rows) (store.Try, error) {
	var r engine.TryRow
	err := rows.Scan(&r.ID, &r.EndpointID, &r.Seq, &r.Call, &r.Began, &r.Lasted, &r.Status, &r.Error, &r.Fate)
	return r.Done(), err
}

// SweepOutbox implements store.Outbox. Tries are recorded about in the order of their times: the oldest rows are looked at only.
func (db *DB) SweepOutbox(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		n = 0
		for _, old := range []struct {
			query string
			args  []any
		}{
			{`DELETE FROM delivery_try WHERE id IN (SELECT id FROM (SELECT id, at FROM delivery_try ORDER BY id LIMIT ?1) WHERE at < ?2)`,
				[]any{limit, engine.Stamp(before)}},
			{`DELETE FROM delivery WHERE endpoint_id = (SELECT min(id) FROM endpoint WHERE deleted <> 0) AND seq IN (SELECT seq FROM delivery
				WHERE endpoint_id = (SELECT min(id) FROM endpoint WHERE deleted <> 0) LIMIT ?1)`, []any{limit}},
			{`DELETE FROM delivery_try WHERE id IN (SELECT id FROM delivery_try WHERE endpoint_id = (SELECT min(id) FROM endpoint WHERE deleted <> 0) LIMIT ?1)`,
				[]any{limit}},
		} {
			changed, err := t.changed(old.query, old.args...)
			if err != nil {
				return err
			}
			n += int(changed)
		}
		if n > 0 {
			return nil
		}
		changed, err := t.changed(`DELETE FROM endpoint WHERE id = (SELECT min(id) FROM endpoint WHERE deleted <> 0)`)
		n = int(changed)
		return err
	})
	return n, err
}
