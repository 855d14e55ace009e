package sqlite

import (
	"context"
	"database/sql"

	"postyard/internal/mail"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// snapshot runs a reader on one state of the database. It counts as a user's query: it is bounded in time, and makes way for
// checkpoints.
func (db *DB) snapshot(ctx context.Context, read func(context.Context, *sql.Tx) error) error {
	ctx, end := db.keeper.query(ctx)
	defer end()
	view, err := db.readPool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return failed("begin to read", err)
	}
	defer func() { _ = view.Rollback() }()
	return read(ctx, view)
}

const entriesQuery = `SELECT m.id, m.sub_account_id, coalesce(q.egress, m.egress), m.submitted_at, m.state, q.status,
	coalesce(q.attempts, m.attempts), m.mark, m.provider_id, m.engaged
	FROM message m LEFT JOIN queue q ON q.id = m.id WHERE m.id > ? AND m.account_id = ? ORDER BY m.id LIMIT ?`

// Entries implements store.Books.
func (db *DB) Entries(ctx context.Context, accountID int32, after mail.ID, limit int) (list []store.Entry, err error) {
	err = db.snapshot(ctx, func(ctx context.Context, view *sql.Tx) error {
		rows, err := view.QueryContext(ctx, entriesQuery, after[:], accountID, limit)
		if err != nil {
			return failed("read messages", err)
		}
		if list, err = collect(rows, scanEntry); err != nil || len(list) == 0 {
			return err
		}
		return addRecords(ctx, view, list)
	})
	return list, err
}

func scanEntry(rows *sql.Rows) (e store.Entry, err error) {
	var submitted int64
	var status sql.NullInt64
	err = rows.Scan((*idColumn)(&e.ID), &e.SubAccountID, &e.Egress, &submitted, &e.Stored, &status, &e.Attempts, &e.Mark, &e.ProviderID, &e.Engaged)
	e.SubmittedAt, e.State, e.Queued = engine.Time(submitted), e.Stored, status.Valid
	if e.Queued {
		e.State = engine.Status(status.Int64).State()
	}
	return e, err
}

// callsQuery and entryEventsQuery read what belongs to n messages.
func callsQuery(n int) string {
	return `SELECT ` + attemptColumns + ` FROM attempt a WHERE a.message_id IN (` + marks(n) + `) ORDER BY a.message_id, a.n`
}

func entryEventsQuery(n int) string {
	return `SELECT message_id, seq, type, is_copy, effect, marks, occurred_at FROM event WHERE message_id IN (` + marks(n) + `) ORDER BY message_id, seq`
}

// addRecords reads the attempts and events of messages.
func addRecords(ctx context.Context, view *sql.Tx, list []store.Entry) error {
	ids, byID := make([]any, len(list)), make(map[mail.ID]*store.Entry, len(list))
	for i := range list {
		ids[i], byID[list[i].ID] = list[i].ID[:], &list[i]
	}
	attempts, err := view.QueryContext(ctx, callsQuery(len(ids)), ids...)
	if err != nil {
		return failed("read attempts", err)
	}
	if _, err = collect(attempts, func(rows *sql.Rows) (struct{}, error) {
		a, id, err := scanAttempt(rows)
		if err == nil {
			byID[id].Calls = append(byID[id].Calls, a)
		}
		return struct{}{}, err
	}); err != nil {
		return err
	}
	events, err := view.QueryContext(ctx, entryEventsQuery(len(ids)), ids...)
	if err != nil {
		return failed("read events", err)
	}
	_, err = collect(events, func(rows *sql.Rows) (struct{}, error) {
		var id mail.ID
		var e store.EntryEvent
		var occurred int64
		err := rows.Scan((*idColumn)(&id), &e.Seq, &e.Type, &e.Copy, &e.Effect, &e.Marks, &occurred)
		if err == nil {
			e.OccurredAt = engine.Time(occurred)
			byID[id].Events = append(byID[id].Events, e)
		}
		return struct{}{}, err
	})
	return err
}

const countedQuery = `SELECT sub_account_id, egress, mailbox, type, is_copy, n FROM counter WHERE account_id = ? AND day = ?`

// Counted implements store.Books.
func (db *DB) Counted(ctx context.Context, accountID int32, day int64) (counters map[store.Counter]int64, upTo int64, err error) {
	err = db.snapshot(ctx, func(ctx context.Context, view *sql.Tx) error {
		if err := view.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM event`).Scan(&upTo); err != nil {
			return failed("read the last event", err)
		}
		rows, err := view.QueryContext(ctx, countedQuery, accountID, day)
		if err != nil {
			return failed("read counters", err)
		}
		counters = map[store.Counter]int64{}
		_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
			var c store.Counter
			var n int64
			err := rows.Scan(&c.SubAccountID, &c.Egress, &c.Mailbox, &c.Type, &c.Copy, &n)
			counters[c] = n
			return struct{}{}, err
		})
		return err
	})
	return counters, upTo, err
}

// Tally implements store.Books.
func (db *DB) Tally(ctx context.Context, accountID int32, day, upTo int64, from store.TallyPlace, limit int) (counters map[store.Counter]int64, next store.TallyPlace, done bool, err error) {
	if from == (store.TallyPlace{}) {
		from.OccurredAt = engine.DayStart(day)
	}
	counters, next, read := map[store.Counter]int64{}, from, 0
	err = db.snapshot(ctx, func(ctx context.Context, view *sql.Tx) error {
		rows, err := view.QueryContext(ctx, tallyQuery, accountID, from.OccurredAt, from.Seq, engine.DayStart(day+1), limit)
		if err != nil {
			return failed("read events", err)
		}
		_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
			var c store.Counter
			err := rows.Scan(&next.OccurredAt, &next.Seq, &c.SubAccountID, &c.Egress, &c.Mailbox, &c.Type, &c.Copy)
			read++
			if next.Seq <= upTo {
				counters[c]++
			}
			return struct{}{}, err
		})
		return err
	})
	return counters, next, read < limit, err
}

const tallyQuery = `SELECT occurred_at, seq, sub_account_id, egress, mailbox, type, is_copy FROM event
	WHERE account_id = ? AND (occurred_at, seq) > (?, ?) AND occurred_at < ? ORDER BY occurred_at, seq LIMIT ?`

const nextDayQuery = `SELECT (SELECT min(day) FROM counter WHERE account_id = ?1 AND day >= ?2),
	(SELECT min(occurred_at) FROM event WHERE account_id = ?1 AND occurred_at >= ?3),
	(SELECT min((SELECT min(day) FROM facet WHERE account_id = ?1 AND dimension = d.column1 AND day >= ?2))
		FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8)) d),
	(SELECT min(day) FROM label WHERE account_id = ?1 AND day >= ?2)`

// NextDay implements store.Books.
func (db *DB) NextDay(ctx context.Context, accountID int32, from int64) (day int64, ok bool, err error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	var counted, happened, faceted, labelled sql.NullInt64
	if err := db.readPool.QueryRowContext(ctx, nextDayQuery, accountID, from, engine.DayStart(from)).Scan(&counted, &happened, &faceted, &labelled); err != nil {
		return 0, false, failed("read days", err)
	}
	if happened.Valid {
		day, ok = engine.DayOf(happened.Int64), true
	}
	for _, stored := range []sql.NullInt64{counted, faceted, labelled} {
		if stored.Valid && (!ok || stored.Int64 < day) {
			day, ok = stored.Int64, true
		}
	}
	return day, ok, nil
}
