package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// page is the messages of one page of entries: what is asked about them is asked of the same moment.
const page = `WITH page AS MATERIALIZED (SELECT id FROM message WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3) `

const (
	entryQuery = page + `SELECT m.id, m.sub_account_id, m.egress, m.submitted_at, m.state, m.attempts, m.mark, m.provider_id, m.engaged,
			q.status, q.attempts, q.egress
		FROM page JOIN message m ON m.id = page.id LEFT JOIN queue q ON q.id = page.id ORDER BY m.id`
	entryCalls  = page + `SELECT a.message_id, ` + attemptColumns + ` FROM page JOIN attempt a ON a.message_id = page.id ORDER BY a.message_id, a.n`
	entryEvents = page + `SELECT e.message_id, e.seq, e.type, e.is_copy, e.effect, e.marks, e.occurred_at
		FROM page JOIN event e ON e.message_id = page.id ORDER BY e.message_id, e.seq`
)

// Entries implements store.Books.
func (db *DB) Entries(ctx context.Context, accountID int32, after mail.ID, limit int) (entries []store.Entry, err error) {
	places := map[mail.ID]int{}
	args := []any{accountID, uuidOf(after), limit}
	err = snapshot(ctx, db.queries, "read entries", func(t *tx) {
		entries = nil
		t.each(func(rows pgx.Rows) error {
			e, err := scanEntry(rows)
			places[e.ID] = len(entries)
			entries = append(entries, e)
			return err
		}, entryQuery, args...)
		t.each(func(rows pgx.Rows) error {
			var id mail.ID
			var a store.Attempt
			dest, complete := attemptInto(&a)
			err := rows.Scan(append([]any{idInto(&id)}, dest...)...)
			complete()
			e := &entries[places[id]]
			e.Calls = append(e.Calls, a)
			return err
		}, entryCalls, args...)
		t.each(func(rows pgx.Rows) error {
			var id mail.ID
			var v store.EntryEvent
			var occurred int64
			err := rows.Scan(idInto(&id), &v.Seq, &v.Type, &v.Copy, &v.Effect, &v.Marks, &occurred)
			v.OccurredAt = engine.Time(occurred)
			e := &entries[places[id]]
			e.Events = append(e.Events, v)
			return err
		}, entryEvents, args...)
	})
	return entries, err
}

func scanEntry(rows pgx.Rows) (e store.Entry, err error) {
	var submitted int64
	var status *engine.Status
	var attempts, egress *int32
	err = rows.Scan(idInto(&e.ID), &e.SubAccountID, &e.Egress, &submitted, &e.Stored, &e.Attempts, &e.Mark, &e.ProviderID, &e.Engaged,
		&status, &attempts, &egress)
	e.SubmittedAt, e.State, e.Queued = engine.Time(submitted), e.Stored, status != nil
	if e.Queued {
		e.State, e.Attempts, e.Egress = status.State(), int(*attempts), route.Egress(*egress)
	}
	return e, err
}

// Counted implements store.Books. Counters change with their events, so the last event of the moment is the last one that
// they include.
func (db *DB) Counted(ctx context.Context, accountID int32, day int64) (counters map[store.Counter]int64, upTo int64, err error) {
	err = snapshot(ctx, db.queries, "read counters", func(t *tx) {
		counters = map[store.Counter]int64{}
		t.each(func(rows pgx.Rows) error {
			var c store.Counter
			var n int64
			err := rows.Scan(&c.SubAccountID, &c.Egress, &c.Mailbox, &c.Type, &c.Copy, &n)
			counters[c] = n
			return err
		}, `SELECT sub_account_id, egress, mailbox, type, is_copy, n FROM counter WHERE account_id = $1 AND day = $2::bigint`, accountID, day)
		t.row([]any{&upTo}, `SELECT coalesce(max(seq), 0) FROM event WHERE account_id = $1`, accountID)
	})
	return counters, upTo, err
}

const tallyQuery = `SELECT sub_account_id, egress, mailbox, type, is_copy, occurred_at, seq FROM event
	WHERE account_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND (occurred_at, seq) > ($4, $5) AND seq <= $6
	ORDER BY occurred_at, seq LIMIT $7`

// Tally implements store.Books.
func (db *DB) Tally(ctx context.Context, accountID int32, day, upTo int64, from store.TallyPlace, limit int) (counters map[store.Counter]int64, next store.TallyPlace, done bool, err error) {
	first := engine.DayStart(day)
	if from == (store.TallyPlace{}) {
		from.OccurredAt = first // seqs begin with 1
	}
	err = read(ctx, db.queries, "tally events", func(ctx context.Context, conn *pgx.Conn) error {
		counters, next = map[store.Counter]int64{}, from
		n := 0
		rows, err := conn.Query(ctx, tallyQuery, accountID, first, engine.DayStart(day+1), from.OccurredAt, from.Seq, upTo, limit)
		if err != nil {
			return err
		}
		err = scanAll(rows, func(rows pgx.Rows) error {
			var c store.Counter
			err := rows.Scan(&c.SubAccountID, &c.Egress, &c.Mailbox, &c.Type, &c.Copy, &next.OccurredAt, &next.Seq)
			counters[c]++
			n++
			return err
		})
		done = n < limit
		return err
	})
	return counters, next, done, err
}

const nextDayQuery = `SELECT least(
	(SELECT day FROM counter WHERE account_id = $1 AND day >= $2::bigint ORDER BY day LIMIT 1),
	(SELECT day FROM label WHERE account_id = $1 AND day >= $2::bigint ORDER BY day LIMIT 1),
	(SELECT min(f.day) FROM generate_series(1, 8) d, LATERAL (SELECT day FROM facet WHERE account_id = $1 AND dimension = d AND day >= $2::bigint
		ORDER BY day LIMIT 1) f),
	(SELECT floor(occurred_at / $4::numeric)::bigint FROM event WHERE account_id = $1 AND occurred_at >= $3 ORDER BY occurred_at LIMIT 1))`

// NextDay implements store.Books.
func (db *DB) NextDay(ctx context.Context, accountID int32, from int64) (day int64, ok bool, err error) {
	var next *int64
	_, err = one(ctx, db.queries, "find next day", []any{&next}, nextDayQuery, accountID, from, engine.DayStart(from), engine.DayLength)
	if next == nil {
		return 0, false, err
	}
	return *next, true, err
}
