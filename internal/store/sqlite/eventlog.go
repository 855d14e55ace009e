package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"postyard/internal/mail"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

const lastEventQuery = `SELECT coalesce(max(seq), 0) FROM event WHERE account_id = ?`

// LastEvent implements store.EventLog.
func (db *DB) LastEvent(ctx context.Context, accountID int32) (seq int64, err error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	err = db.readPool.QueryRowContext(ctx, lastEventQuery, accountID).Scan(&seq)
	return seq, failed("read the last event", err)
}

// shownEvent are the columns of scanEvent, for a page of events.
const shownEvent = `page.seq, page.account_id, page.sub_account_id, page.message_id, page.pool_id, page.egress, page.type,
			page.mailbox, page.recipient, page.is_copy, page.occurred_at, page.recorded_at, page.detail, m.recipient,
			c.body ->> '$.from.email', coalesce(c.body ->> '$.from.name', ''), coalesce(c.body ->> '$.subject', ''),
			coalesce(c.body -> '$.groups', '[]')`

// shownWith joins a page of events with what belongs to them.
const shownWith = `JOIN message m ON m.id = page.message_id
			JOIN (SELECT id, CAST(body AS TEXT) AS body FROM content) c ON c.id = m.content_id`

// EventsInTime implements store.EventLog.
func (db *DB) EventsInTime(ctx context.Context, f store.EventFilter, from store.TallyPlace, look int) (events []store.Event, next store.TallyPlace, done bool, err error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	where, args, next, done, err := db.pieceInTime(ctx, &f, from, look)
	if err != nil {
		return nil, next, false, err
	}
	if len(f.Values) > 0 {
		sieve := engine.NewSieve(&f, 0, look)
		if err := db.sift(ctx, sieve, eventsBy(&f, true)+` WHERE `+where+` ORDER BY e.occurred_at, e.seq LIMIT ?`, append(args, limitOf(&f, look))); err != nil {
			return nil, next, false, err
		}
		if n, last := sieve.Looked(); engine.Selective(&f) {
			if done = n < look; !done {
				next = last
			}
		}
		events, err = db.eventsOf(ctx, sieve, `page.occurred_at, page.seq`)
		return events, next, done, err
	}
	query, args := piecesQuery(&f, where, args, look)
	rows, err := db.readPool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, next, false, failed("read events", err)
	}
	if events, err = collect(rows, scanEvent); err != nil {
		return nil, next, false, err
	}
	if engine.Selective(&f) {
		if done = len(events) < look; !done {
			next = placeOf(&events[len(events)-1])
		}
	}
	return events, next, done, nil
}

// CountEvents implements store.EventLog.
func (db *DB) CountEvents(ctx context.Context, f store.EventFilter, from store.TallyPlace, look int) (n int64, next store.TallyPlace, done bool, err error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	if engine.Countable(&f) {
		query, args := countedEventsQuery(&f)
		err = db.readPool.QueryRowContext(ctx, query, args...).Scan(&n)
		return n, from, true, failed("count events", err)
	}
	if engine.Selective(&f) {
		where, args := eventConditions(f)
		n, err = db.countOf(ctx, &f, eventsBy(&f, true)+` WHERE `+where, args)
		return n, from, true, err
	}
	where, args, next, done, err := db.pieceInTime(ctx, &f, from, look)
	if err != nil {
		return 0, next, false, err
	}
	n, err = db.countOf(ctx, &f, `event e WHERE `+where, args)
	return n, next, done, err
}

// countOf counts what a filter selects of what a query finds by its conditions.
func (db *DB) countOf(ctx context.Context, f *store.EventFilter, from string, args []any) (n int64, err error) {
	if len(f.Values) == 0 {
		err = db.readPool.QueryRowContext(ctx, `SELECT count(*) FROM `+from, args...).Scan(&n)
		return n, failed("count events", err)
	}
	sieve := engine.NewSieve(f, 0, math.MaxInt)
	err = db.sift(ctx, sieve, from, args)
	return int64(len(sieve.Seqs())), err
}

// sift lets a sieve look at what a query finds, until it is full.
func (db *DB) sift(ctx context.Context, sieve *engine.Sieve, from string, args []any) error {
	rows, err := db.readPool.QueryContext(ctx, candidatesQuery(from), args...)
	if err != nil {
		return failed("look through events", err)
	}
	defer func() { _ = rows.Close() }()
	var c engine.Candidate
	var detail sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&c.Seq, &c.Type, &c.OccurredAt, &detail); err != nil {
			return failed("look through events", err)
		}
		c.Detail = detail
		if full, err := sieve.Look(&c); full || err != nil {
			return err
		}
	}
	return failed("look through events", rows.Err())
}

func candidatesQuery(from string) string {
	return `SELECT e.seq, e.type, e.occurred_at, e.detail FROM ` + from
}

// eventsOf reads what a sieve kept.
func (db *DB) eventsOf(ctx context.Context, sieve *engine.Sieve, order string) ([]store.Event, error) {
	seqs := sieve.Seqs()
	if len(seqs) == 0 {
		return nil, nil
	}
	rows, err := db.readPool.QueryContext(ctx, keptQuery(len(seqs), order), anys(seqs)...)
	if err != nil {
		return nil, failed("read events", err)
	}
	return collect(rows, scanEvent)
}

func keptQuery(n int, order string) string {
	return `SELECT ` + shownEvent + ` FROM (SELECT * FROM event WHERE seq IN (` + marks(n) + `)) page ` + shownWith + ` ORDER BY ` + order
}

func placeOf(e *store.Event) store.TallyPlace {
	return store.TallyPlace{OccurredAt: engine.Stamp(e.OccurredAt), Seq: e.Seq}
}

const pieceEndQuery = `SELECT occurred_at, seq FROM event WHERE account_id = ? AND (occurred_at, seq) > (?, ?) AND occurred_at < ?
	ORDER BY occurred_at, seq LIMIT 1 OFFSET ?`

// pieceInTime returns the condition of what a filter selects of the next look events, and where the piece after it begins.
func (db *DB) pieceInTime(ctx context.Context, f *store.EventFilter, from store.TallyPlace, look int) (where string, args []any, next store.TallyPlace, done bool, err error) {
	begin, before := engine.PlaceInTime(f, from)
	where, args = eventConditions(*f)
	where += ` AND (e.occurred_at, e.seq) > (?, ?)`
	args = append(args, begin.OccurredAt, begin.Seq)
	if engine.Selective(f) {
		return where, args, from, false, nil
	}
	err = db.readPool.QueryRowContext(ctx, pieceEndQuery, f.AccountID, begin.OccurredAt, begin.Seq, before, look-1).Scan(&next.OccurredAt, &next.Seq)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return where, args, from, true, nil
	case err != nil:
		return "", nil, from, false, failed("look through events", err)
	}
	return where + ` AND e.occurred_at <= ? AND (e.occurred_at, e.seq) <= (?, ?)`, append(args, next.OccurredAt, next.OccurredAt, next.Seq), next, false, nil
}

// piecesQuery reads a piece.
func piecesQuery(f *store.EventFilter, where string, args []any, look int) (query string, all []any) {
	return `SELECT ` + shownEvent + ` FROM (SELECT * FROM ` + eventsBy(f, true) + ` WHERE ` + where + ` ORDER BY e.occurred_at, e.seq LIMIT ?) page ` + shownWith +
		` ORDER BY page.occurred_at, page.seq`, append(args, limitOf(f, look))
}

// eventsBy is the table with the index that finds the few events of a message, a recipient or a stretch: the planner does not know how few.
func eventsBy(f *store.EventFilter, inTime bool) string {
	switch {
	case f.MessageID != (mail.ID{}):
		return `event e INDEXED BY event_message`
	case f.Recipient != "":
		return `event e INDEXED BY event_recipient`
	case f.Looks() && !inTime:
		return `event e INDEXED BY event_account` // a stretch is cut out of it
	default:
		return `event e`
	}
}

// limitOf bounds what is read at once. The piece itself does, but for those of a message or a recipient.
func limitOf(f *store.EventFilter, look int) int {
	if engine.Selective(f) {
		return look
	}
	return -1
}

// countedEventsQuery adds up the counters that a filter selects.
func countedEventsQuery(f *store.EventFilter) (query string, args []any) {
	from, to := engine.CountedDays(f)
	query, args = `SELECT coalesce(sum(n), 0) FROM counter WHERE account_id = ? AND day BETWEEN ? AND ?`, []any{f.AccountID, from, to}
	if f.SubAccountID != 0 {
		query, args = query+` AND sub_account_id = ?`, append(args, f.SubAccountID)
	}
	if f.TPSPIDs != nil {
		query, args = query+` AND egress IN (`+marks(len(f.TPSPIDs))+`)`, append(args, anys(f.TPSPIDs)...)
	}
	if f.Mailbox != "" {
		query, args = query+` AND mailbox = ?`, append(args, f.Mailbox.ID())
	}
	if len(f.Types) > 0 {
		query, args = query+` AND type IN (`+marks(len(f.Types))+`)`, append(args, anys(f.Types)...)
	}
	return query, args
}

// EventStretch implements store.EventLog.
func (db *DB) EventStretch(ctx context.Context, f store.EventFilter, look int) (seq int64, last bool, err error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	query, args := stretchQuery(&f, look)
	err = db.readPool.QueryRowContext(ctx, query, args...).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, true, nil
	}
	return seq, false, failed("look through events", err)
}

func stretchQuery(f *store.EventFilter, look int) (query string, args []any) {
	where, args := eventConditions(store.EventFilter{AccountID: f.AccountID, After: f.After, Before: f.Before})
	order := engine.SeqOrder(f)
	return `SELECT e.seq FROM event e WHERE ` + where + ` ORDER BY e.` + order + ` LIMIT 1 OFFSET ?`, append(args, look-1)
}

// CountStretch implements store.EventLog.
func (db *DB) CountStretch(ctx context.Context, f store.EventFilter) (n int64, err error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	where, args := eventConditions(f)
	return db.countOf(ctx, &f, eventsBy(&f, false)+` WHERE `+where, args)
}
