package postgres

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/event"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// LastEvent implements store.EventLog.
func (db *DB) LastEvent(ctx context.Context, accountID int32) (seq int64, err error) {
	_, err = one(ctx, db.queries, "read the last event", []any{&seq}, `SELECT coalesce(max(seq), 0) FROM event WHERE account_id = $1`, accountID)
	return seq, err
}

// shownEvents are the columns of scanEvent, for a page of events; shownFrom joins it with what belongs to them.
const (
	shownEvents = `SELECT page.seq, page.account_id, page.sub_account_id, page.message_id, page.pool_id, page.egress, page.type,
			page.mailbox, page.recipient, page.is_copy, page.occurred_at, page.recorded_at, page.detail, m.recipient, c.head`
	shownFrom = ` page JOIN message m ON m.id = page.message_id JOIN content c ON c.id = m.content_id`
)

// EventsInTime implements store.EventLog.
func (db *DB) EventsInTime(ctx context.Context, f store.EventFilter, from store.TallyPlace, look int) (events []store.Event, next store.TallyPlace, done bool, err error) {
	where, args, next, done, err := db.pieceInTime(ctx, &f, from, look)
	if err != nil {
		return nil, next, false, err
	}
	if len(f.Values) > 0 {
		order := `e.occurred_at, e.seq`
		if engine.Selective(&f) {
			args = append(args, look)
			order = fmt.Sprintf(`e.occurred_at + 0, e.seq LIMIT $%d`, len(args))
		}
		sieve, err := db.sift(ctx, &f, 0, look, `event e WHERE `+where+` ORDER BY `+order, args)
		if err != nil {
			return nil, next, false, err
		}
		if n, last := sieve.Looked(); engine.Selective(&f) {
			if done = n < look; !done {
				next = last
			}
		}
		events, err = db.eventsOf(ctx, f.AccountID, sieve, `page.occurred_at, page.seq`)
		return events, next, done, err
	}
	query, args := piecesQuery(&f, where, args, look)
	if events, err = list(ctx, db.queries, "read events", scanEvent, query, args...); err != nil {
		return nil, next, false, err
	}
	if engine.Selective(&f) {
		if done = len(events) < look; !done {
			e := &events[len(events)-1]
			next = store.TallyPlace{OccurredAt: engine.Stamp(e.OccurredAt), Seq: e.Seq}
		}
	}
	return events, next, done, nil
}

// CountEvents implements store.EventLog.
func (db *DB) CountEvents(ctx context.Context, f store.EventFilter, from store.TallyPlace, look int) (n int64, next store.TallyPlace, done bool, err error) {
	if engine.Countable(&f) {
		query, args := countedEventsQuery(&f)
		_, err = one(ctx, db.queries, "count events", []any{&n}, query, args...)
		return n, from, true, err
	}
	where, args := eventConditions(f)
	next, done = from, true
	if !engine.Selective(&f) {
		if where, args, next, done, err = db.pieceInTime(ctx, &f, from, look); err != nil {
			return 0, next, false, err
		}
	}
	n, err = db.countOf(ctx, &f, where, args)
	return n, next, done, err
}

// countOf counts what a filter selects of the events for which its conditions hold.
func (db *DB) countOf(ctx context.Context, f *store.EventFilter, where string, args []any) (n int64, err error) {
	if len(f.Values) == 0 {
		_, err = one(ctx, db.queries, "count events", []any{&n}, `SELECT count(*) FROM event e WHERE `+where, args...)
		return n, err
	}
	sieve, err := db.sift(ctx, f, 0, math.MaxInt, `event e WHERE `+where, args)
	if err != nil {
		return 0, err
	}
	return int64(len(sieve.Seqs())), nil
}

// sift returns a sieve that has looked at what a query finds, until it was full.
func (db *DB) sift(ctx context.Context, f *store.EventFilter, skip, most int, from string, args []any) (sieve *engine.Sieve, err error) {
	err = read(ctx, db.queries, "look through events", func(ctx context.Context, conn *pgx.Conn) error {
		sieve = engine.NewSieve(f, skip, most)
		rows, err := conn.Query(ctx, `SELECT e.seq, e.type, e.occurred_at, e.detail FROM `+from, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		var c engine.Candidate
		for rows.Next() {
			if err := rows.Scan(&c.Seq, &c.Type, &c.OccurredAt, (*pgtype.DriverBytes)(&c.Detail)); err != nil {
				return err
			}
			if full, err := sieve.Look(&c); full || err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return sieve, err
}

// eventsOf reads what a sieve kept.
func (db *DB) eventsOf(ctx context.Context, accountID int32, sieve *engine.Sieve, order string) ([]store.Event, error) {
	if len(sieve.Seqs()) == 0 {
		return nil, nil
	}
	return list(ctx, db.queries, "read events", scanEvent,
		shownEvents+` FROM (SELECT * FROM event WHERE account_id = $1 AND seq = ANY ($2::bigint[]))`+shownFrom+` ORDER BY `+order, accountID, sieve.Seqs())
}

// The bound on occurred_at alone is what the index is entered by.
const pieceEndQuery = `SELECT occurred_at, seq FROM event WHERE account_id = $1 AND occurred_at >= $2 AND (occurred_at, seq) > ($2, $3) AND occurred_at < $4
	ORDER BY occurred_at, seq LIMIT 1 OFFSET $5`

// pieceInTime returns the condition of what a filter selects of the next look events, and where the piece after it begins.
func (db *DB) pieceInTime(ctx context.Context, f *store.EventFilter, from store.TallyPlace, look int) (where string, args []any, next store.TallyPlace, done bool, err error) {
	begin, before := engine.PlaceInTime(f, from)
	where, args = eventConditions(*f)
	args = append(args, begin.OccurredAt, begin.Seq)
	where += fmt.Sprintf(` AND e.occurred_at >= $%[1]d AND (e.occurred_at, e.seq) > ($%[1]d, $%[2]d)`, len(args)-1, len(args))
	if engine.Selective(f) { // the sum keeps the index of times out of it
		where = strings.ReplaceAll(where, "e.occurred_at", "(e.occurred_at + 0)")
		return where, args, from, false, nil
	}
	found, err := one(ctx, db.queries, "look through events", []any{&next.OccurredAt, &next.Seq}, pieceEndQuery,
		f.AccountID, begin.OccurredAt, begin.Seq, before, look-1)
	if err != nil || !found {
		return where, args, from, true, err
	}
	args = append(args, next.OccurredAt, next.Seq)
	return where + fmt.Sprintf(` AND e.occurred_at <= $%[1]d AND (e.occurred_at, e.seq) <= ($%[1]d, $%[2]d)`, len(args)-1, len(args)), args, next, false, nil
}

// piecesQuery reads a piece, or at most look events of a message or a recipient.
func piecesQuery(f *store.EventFilter, where string, args []any, look int) (query string, all []any) {
	order := `e.occurred_at, e.seq`
	if engine.Selective(f) {
		args = append(args, look)
		order = fmt.Sprintf(`e.occurred_at + 0, e.seq LIMIT $%d`, len(args))
	}
	return shownEvents + ` FROM (SELECT * FROM event e WHERE ` + where + ` ORDER BY ` + order + `)` + shownFrom +
		` ORDER BY page.occurred_at, page.seq`, args
}

// countedEventsQuery adds up the counters that a filter selects.
func countedEventsQuery(f *store.EventFilter) (query string, args []any) {
	from, to := engine.CountedDays(f)
	query, args = `SELECT coalesce(sum(n), 0)::bigint FROM counter WHERE account_id = $1 AND day BETWEEN $2 AND $3`, []any{f.AccountID, from, to}
	add := func(condition string, value any) {
		args = append(args, value)
		query += fmt.Sprintf(condition, len(args))
	}
	if f.SubAccountID != 0 {
		add(` AND sub_account_id = $%d`, f.SubAccountID)
	}
	if f.TPSPIDs != nil {
		add(` AND egress = ANY ($%d::int[])`, f.TPSPIDs)
	}
	if f.Mailbox != "" {
		add(` AND mailbox = $%d`, f.Mailbox.ID())
	}
	if len(f.Types) > 0 {
		add(` AND type = ANY ($%d::smallint[])`, typeNumbers(f.Types))
	}
	return query, args
}

// typeNumbers are types as a column has them.
func typeNumbers(types []event.Type) []int16 {
	numbers := make([]int16, len(types))
	for i, t := range types {
		numbers[i] = int16(t)
	}
	return numbers
}

// EventStretch implements store.EventLog.
func (db *DB) EventStretch(ctx context.Context, f store.EventFilter, look int) (seq int64, last bool, err error) {
	where, args := eventConditions(store.EventFilter{AccountID: f.AccountID, After: f.After, Before: f.Before})
	order := engine.SeqOrder(&f)
	args = append(args, look-1)
	found, err := one(ctx, db.queries, "look through events", []any{&seq},
		fmt.Sprintf(`SELECT e.seq FROM event e WHERE %s ORDER BY e.%s LIMIT 1 OFFSET $%d`, where, order, len(args)), args...)
	return seq, err == nil && !found, err
}

// CountStretch implements store.EventLog.
func (db *DB) CountStretch(ctx context.Context, f store.EventFilter) (n int64, err error) {
	where, args := eventConditions(f)
	return db.countOf(ctx, &f, where, args)
}
