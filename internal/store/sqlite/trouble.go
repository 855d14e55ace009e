package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// ownTPSP holds for a TPSP (the first argument) of an account (the second).
const ownTPSP = `(SELECT account_id FROM tpsp WHERE id = ?1) = ?2`

// delaysQuery takes so many rows of each kind, by the indexes that claims go by. SQLite takes a partial index only when its condition is
// there word for word.
const delaysQuery = `SELECT status, mailbox, pool_id, sub_account_id, waiting, count(*), min(id), min(due_at), max(due_at) FROM (
	SELECT * FROM (SELECT ` + delayColumns + ` FROM queue WHERE egress = ?3 AND status = 0 LIMIT ?4) UNION ALL
	SELECT * FROM (SELECT ` + delayColumns + ` FROM queue WHERE egress = ?3 AND status = 1 AND status IN (1, 3) ORDER BY due_at LIMIT ?4) UNION ALL
	SELECT * FROM (SELECT ` + delayColumns + ` FROM queue WHERE egress = ?3 AND status = 3 AND status IN (1, 3) ORDER BY due_at LIMIT ?4))
	WHERE ` + ownTPSP + ` GROUP BY status, mailbox, pool_id, sub_account_id, waiting ORDER BY 7`

const delayColumns = `status, mailbox, pool_id, sub_account_id, waiting, id, due_at`

// Delays implements store.Trouble.
func (db *DB) Delays(ctx context.Context, accountID, tpspID int32, limit int) ([]store.Delay, bool, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	list, err := db.delays(ctx, "read delays", delaysQuery, accountID, tpspID, limit)
	if err != nil {
		return nil, false, err
	}
	return engine.Delays(list, limit)
}

// lanesQuery takes so many rows of every lane off the index that claims go by, and of what is not due as delaysQuery does.
var lanesQuery = func() string {
	var b strings.Builder
	for i := range mailbox.Classes() {
		fmt.Fprintf(&b, `SELECT 0, %d, pool_id, sub_account_id, '', count(*), min(id), 0, 0 FROM (SELECT pool_id, sub_account_id, id FROM queue
			WHERE egress = ?3 AND status = 0 AND mailbox = %[1]d LIMIT ?4) WHERE `+ownTPSP+` GROUP BY pool_id, sub_account_id UNION ALL
			`, i)
	}
	return b.String() + `SELECT status, mailbox, pool_id, sub_account_id, waiting, count(*), min(id), min(due_at), max(due_at) FROM (
			SELECT * FROM (SELECT ` + delayColumns + ` FROM queue WHERE egress = ?3 AND status = 1 AND status IN (1, 3) ORDER BY due_at LIMIT ?4) UNION ALL
			SELECT * FROM (SELECT ` + delayColumns + ` FROM queue WHERE egress = ?3 AND status = 3 AND status IN (1, 3) ORDER BY due_at LIMIT ?4))
			WHERE ` + ownTPSP + ` GROUP BY status, mailbox, pool_id, sub_account_id, waiting ORDER BY 7`
}()

// LaneDelays implements store.Trouble.
func (db *DB) LaneDelays(ctx context.Context, accountID, tpspID int32, limit int) (store.LaneDelays, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	list, err := db.delays(ctx, "read lanes", lanesQuery, accountID, tpspID, limit)
	if err != nil {
		return store.LaneDelays{}, err
	}
	return engine.LaneDelays(list, limit)
}

// delays reads what one of the queries above groups.
func (db *DB) delays(ctx context.Context, what, query string, accountID, tpspID int32, limit int) ([]engine.DelayRow, error) {
	rows, err := db.readPool.QueryContext(ctx, query, tpspID, accountID, int32(route.TPSP(tpspID)), limit)
	if err != nil {
		return nil, failed(what, err)
	}
	return collect(rows, func(rows *sql.Rows) (r engine.DelayRow, err error) {
		err = rows.Scan(&r.Status, &r.Class, &r.PoolID, &r.SubAccountID, &r.Waiting, &r.N, (*idColumn)(&r.Oldest), &r.First, &r.End)
		return r, err
	})
}

// newest are the attempts of the newest messages: the third argument is the first id, the fourth how many.
const (
	newest       = `(SELECT * FROM attempt WHERE message_id >= ?3 ORDER BY message_id DESC, n DESC LIMIT ?4) a WHERE a.egress = ?5 AND ` + ownTPSP
	classesQuery = `SELECT a.class, count(*), max(a.began) FROM ` + newest + ` GROUP BY a.class`
	reachQuery   = `SELECT message_id FROM attempt WHERE message_id >= ? ORDER BY message_id DESC, n DESC LIMIT 1 OFFSET ?`
)

const failedQuery = `SELECT ` + attemptColumns + ` FROM attempt a WHERE a.egress = ?3 AND a.class <> 0 AND a.finished >= ?4 AND ` + ownTPSP + `
	ORDER BY a.finished DESC LIMIT ?5`

// FailedAttempts implements store.Trouble.
func (db *DB) FailedAttempts(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) ([]store.FailedAttempt, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	rows, err := db.readPool.QueryContext(ctx, failedQuery, tpspID, accountID, int32(route.TPSP(tpspID)), engine.Stamp(since), limit)
	if err != nil {
		return nil, failed("read failures", err)
	}
	return collect(rows, func(rows *sql.Rows) (a store.FailedAttempt, err error) {
		a.Attempt, a.MessageID, err = scanAttempt(rows)
		return a, err
	})
}

// Failures implements store.Trouble.
func (db *DB) Failures(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) (f store.Failures, err error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	first := engine.FirstID(since)
	args := []any{tpspID, accountID, first[:], limit, int32(route.TPSP(tpspID))}
	// Before they are counted: what fails meanwhile is counted and not listed, and not the other way round.
	if f.Newest, err = db.FailedAttempts(ctx, accountID, tpspID, since, store.MostFailures); err != nil {
		return f, err
	}
	rows, err := db.readPool.QueryContext(ctx, classesQuery, args...)
	if err != nil {
		return f, failed("count failures", err)
	}
	if _, err := collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
		var class provider.Class
		var n, last int64
		err = rows.Scan(&class, &n, &last)
		engine.Outcomes(&f, class, n, engine.Time(last))
		return none, err
	}); err != nil {
		return f, err
	}
	f.From = since
	var reached mail.ID
	switch err := db.readPool.QueryRowContext(ctx, reachQuery, first[:], limit).Scan((*idColumn)(&reached)); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return f, failed("look how far attempts reach", err)
	default: // the first one that was not looked at
		f.From = engine.TimeOfID(reached)
	}
	return f, nil
}

const (
	garbageQuery = `SELECT count(*), coalesce(max(id), 0) FROM (SELECT * FROM garbage ORDER BY id DESC LIMIT ?4)
		WHERE account_id = ?2 AND tpsp_id = ?1 AND received_at >= ?3`
	foreignQuery = `SELECT coalesce(sum(n), 0) FROM foreign_event WHERE tpsp_id = ?1 AND day >= ?3 AND ` + ownTPSP
)

// Strange implements store.Trouble.
func (db *DB) Strange(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) (s store.Strange, err error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	var last int64
	if err := db.readPool.QueryRowContext(ctx, garbageQuery, tpspID, accountID, engine.Stamp(since), limit).Scan(&s.Garbage, &last); err != nil {
		return s, failed("count garbage", err)
	}
	if last != 0 {
		err := db.readPool.QueryRowContext(ctx, `SELECT reason FROM garbage WHERE id = ?`, last).Scan(&s.Reason)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return s, failed("read garbage", err)
		}
	}
	err = db.readPool.QueryRowContext(ctx, foreignQuery, tpspID, accountID, engine.Day(since)).Scan(&s.Foreign)
	return s, failed("count foreign reports", err)
}
