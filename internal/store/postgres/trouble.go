package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// ownTPSP holds for a TPSP (the first argument) of an account (the second).
const ownTPSP = `(SELECT account_id FROM tpsp WHERE id = $1) = $2`

// delaysQuery takes so many rows of each kind, by the indexes that claims go by.
const delaysQuery = `SELECT status, mailbox, pool_id, sub_account_id, waiting, count(*), min(id::text)::uuid, min(due_at), max(due_at) FROM (
	(SELECT * FROM queue WHERE egress = $3 AND status = 0 LIMIT $4) UNION ALL
	(SELECT * FROM queue WHERE egress = $3 AND status = 1 ORDER BY due_at LIMIT $4) UNION ALL
	(SELECT * FROM queue WHERE egress = $3 AND status = 3 ORDER BY due_at LIMIT $4)) part
	WHERE ` + ownTPSP + ` GROUP BY status, mailbox, pool_id, sub_account_id, waiting ORDER BY 7`

// Delays implements store.Trouble.
func (db *DB) Delays(ctx context.Context, accountID, tpspID int32, limit int) ([]store.Delay, bool, error) {
	rows, err := db.delays(ctx, "read delays", delaysQuery, accountID, tpspID, limit)
	if err != nil {
		return nil, false, err
	}
	return engine.Delays(rows, limit)
}

// lanesQuery takes so many rows of every lane by the index that claims go by, and of what is not due as delaysQuery does.
const lanesQuery = `WITH RECURSIVE lane (mailbox) AS (
		(SELECT mailbox FROM queue WHERE egress = $3 AND status = 0 ORDER BY mailbox LIMIT 1)
		UNION ALL
		SELECT (SELECT q.mailbox FROM queue q WHERE q.egress = $3 AND q.status = 0 AND q.mailbox > lane.mailbox ORDER BY q.mailbox LIMIT 1)
		FROM lane WHERE lane.mailbox IS NOT NULL)
	SELECT 0::smallint, lane.mailbox, due.pool_id, due.sub_account_id, '', due.n, due.oldest, 0::bigint, 0::bigint
	FROM lane CROSS JOIN LATERAL (SELECT pool_id, sub_account_id, count(*) AS n, min(id::text)::uuid AS oldest
		FROM (SELECT pool_id, sub_account_id, id FROM queue WHERE egress = $3 AND status = 0 AND mailbox = lane.mailbox
			ORDER BY priority, sub_account_id, pool_id, rank LIMIT $4) part GROUP BY pool_id, sub_account_id) due
	WHERE lane.mailbox IS NOT NULL AND ` + ownTPSP + `
	UNION ALL
	SELECT status, mailbox, pool_id, sub_account_id, waiting, count(*), min(id::text)::uuid, min(due_at), max(due_at) FROM (
		(SELECT * FROM queue WHERE egress = $3 AND status = 1 ORDER BY due_at LIMIT $4) UNION ALL
		(SELECT * FROM queue WHERE egress = $3 AND status = 3 ORDER BY due_at LIMIT $4)) part
	WHERE ` + ownTPSP + ` GROUP BY status, mailbox, pool_id, sub_account_id, waiting ORDER BY 7`

// LaneDelays implements store.Trouble.
func (db *DB) LaneDelays(ctx context.Context, accountID, tpspID int32, limit int) (store.LaneDelays, error) {
	rows, err := db.delays(ctx, "read lanes", lanesQuery, accountID, tpspID, limit)
	if err != nil {
		return store.LaneDelays{}, err
	}
	return engine.LaneDelays(rows, limit)
}

// delays reads what one of the queries above groups.
func (db *DB) delays(ctx context.Context, what, query string, accountID, tpspID int32, limit int) ([]engine.DelayRow, error) {
	return list(ctx, db.queries, what, func(rows pgx.Rows) (r engine.DelayRow, err error) {
		err = rows.Scan(&r.Status, &r.Class, &r.PoolID, &r.SubAccountID, &r.Waiting, &r.N, idInto(&r.Oldest), &r.First, &r.End)
		return r, err
	}, query, tpspID, accountID, int32(route.TPSP(tpspID)), limit)
}

// newest are the attempts of the newest messages: the third argument is the first id, the fourth how many.
const newest = `(SELECT * FROM attempt WHERE message_id >= $3 ORDER BY message_id DESC, n DESC LIMIT $4) a WHERE a.egress = $5 AND ` + ownTPSP

// FailedAttempts implements store.Trouble.
func (db *DB) FailedAttempts(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) ([]store.FailedAttempt, error) {
	return list(ctx, db.queries, "read failures", func(rows pgx.Rows) (a store.FailedAttempt, err error) {
		dest, complete := attemptInto(&a.Attempt)
		err = rows.Scan(append(dest, idInto(&a.MessageID))...)
		complete()
		return a, err
	}, `SELECT `+attemptColumns+`, a.message_id FROM attempt a WHERE a.egress = $3 AND a.class <> 0 AND a.finished >= $4 AND `+ownTPSP+`
		ORDER BY a.finished DESC LIMIT $5`, tpspID, accountID, int32(route.TPSP(tpspID)), engine.Stamp(since), limit)
}

// Failures implements store.Trouble.
func (db *DB) Failures(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) (f store.Failures, err error) {
	args := []any{tpspID, accountID, uuidOf(engine.FirstID(since)), limit, int32(route.TPSP(tpspID))}
	type sum struct {
		class   provider.Class
		n, last int64
	}
	// Before they are counted: what fails meanwhile is counted and not listed, and not the other way round.
	if f.Newest, err = db.FailedAttempts(ctx, accountID, tpspID, since, store.MostFailures); err != nil {
		return f, err
	}
	classes, err := list(ctx, db.queries, "count failures", func(rows pgx.Rows) (s sum, err error) {
		err = rows.Scan(&s.class, &s.n, &s.last)
		return s, err
	}, `SELECT a.class, count(*), max(a.began) FROM `+newest+` GROUP BY a.class`, args...)
	if err != nil {
		return f, err
	}
	for _, s := range classes {
		engine.Outcomes(&f, s.class, s.n, engine.Time(s.last))
	}
	f.From = since
	var reached mail.ID
	beyond, err := one(ctx, db.queries, "look how far attempts reach", []any{idInto(&reached)},
		`SELECT message_id FROM attempt WHERE message_id >= $1 ORDER BY message_id DESC, n DESC LIMIT 1 OFFSET $2`,
		uuidOf(engine.FirstID(since)), limit)
	if beyond { // the first one that was not looked at
		f.From = engine.TimeOfID(reached)
	}
	return f, err
}

// Strange implements store.Trouble.
func (db *DB) Strange(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) (s store.Strange, err error) {
	var last int64
	if _, err := one(ctx, db.queries, "count garbage", []any{&s.Garbage, &last}, `SELECT count(*), coalesce(max(id), 0)
		FROM (SELECT * FROM garbage ORDER BY id DESC LIMIT $4) part WHERE account_id = $2 AND tpsp_id = $1 AND received_at >= $3`,
		tpspID, accountID, engine.Stamp(since), limit); err != nil {
		return s, err
	}
	if last != 0 {
		if _, err := one(ctx, db.queries, "read garbage", []any{&s.Reason}, `SELECT reason FROM garbage WHERE id = $1`, last); err != nil {
			return s, err
		}
	}
	_, err = one(ctx, db.queries, "count foreign reports", []any{&s.Foreign}, `SELECT coalesce(sum(n), 0)::bigint FROM foreign_event
		WHERE tpsp_id = $1 AND day >= $3 AND `+ownTPSP, tpspID, accountID, engine.Day(since))
	return s, err
}
