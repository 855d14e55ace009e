package sqlite

import (
	"context"
	"database/sql"
	"time"

	"postyard/internal/event"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// Recover implements store.Queue. It looks through the claims in chunks and on a reading connection, so that the writer only
// sees what is found.
func (db *DB) Recover(ctx context.Context, r store.Recovery) (int, error) {
	total := 0
	for {
		rows, err := db.workPool.QueryContext(ctx, `SELECT id FROM queue WHERE status IN (2, 4) AND `+ended+` LIMIT 500`, endedArgs(r)...)
		if err != nil {
			return total, failed("read claims", err)
		}
		ids, err := collect(rows, scanID)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		n, err := db.recoverSome(ctx, r, ids)
		if err != nil {
			return total, err
		}
		total += n
	}
}

// ended is the condition of claims whose holder is dead.
const ended = `(lease_until <= ? OR ? <> '' AND substr(lease_owner, 1, length(?)) = ? AND lease_owner <> ?)`

func endedArgs(r store.Recovery) []any {
	prefix := ""
	if r.Node != "" {
		prefix = store.OwnerOf(r.Node, "")
	}
	return []any{engine.Stamp(r.Now), prefix, prefix, prefix, r.Owner}
}

// recoverSome makes claims unknown; those that were settled since they were found stay as they are.
func (db *DB) recoverSome(ctx context.Context, r store.Recovery, ids []mail.ID) (n int, err error) {
	err = db.write(ctx, settling, func(t *tx) error {
		n = 0
		for _, id := range ids {
			changed, err := t.changed(`UPDATE queue SET status = 3, due_at = CASE status WHEN 2 THEN ? ELSE due_at END,
					unknown_since = CASE unknown_since WHEN 0 THEN ? ELSE unknown_since END,
					waiting = ?, lease_owner = '', lease_until = 0
					WHERE id = ? AND status IN (2, 4) AND `+ended,
				append([]any{engine.Stamp(r.AskAt), engine.Stamp(r.Now), store.ReasonStopped, id[:]}, endedArgs(r)...)...)
			if err != nil {
				return err
			}
			if changed == 0 {
				continue
			}
			if err := t.endAttempts(id, provider.Outcome{Class: provider.Ambiguous, Text: store.ReasonStopped}, r.Now); err != nil {
				return err
			}
			n += int(changed)
		}
		return nil
	})
	return n, err
}

func scanID[R scanner](rows R) (id mail.ID, err error) {
	err = rows.Scan((*idColumn)(&id))
	return id, err
}

// waiting is a queue row that no sender holds.
type waiting struct {
	id       mail.ID
	attempts int
	egress   route.Egress
}

// Expire implements store.Queue. Ids sort by time, so the oldest messages are a key range. They are looked at on a reading
// connection.
func (db *DB) Expire(ctx context.Context, e store.Expiry) (n int, last mail.ID, err error) {
	if err := db.forget(ctx, e.Now); err != nil {
		return 0, last, err
	}
	moves, last, err := db.expired(ctx, e)
	if err != nil || len(moves) == 0 {
		return 0, last, err
	}
	n, err = db.Rearrange(ctx, moves, e.Now)
	return n, last, err
}

// forget removes what is not needed any more to count permits, to know how long limits held, or to be told.
func (db *DB) forget(ctx context.Context, now time.Time) error {
	if !db.forgot.Again(now) {
		return nil
	}
	if err := db.forgetAnswers(ctx, now); err != nil {
		return err
	}
	if err := db.forgetSuppressions(ctx, now); err != nil {
		return err
	}
	if err := db.forgetAudit(ctx, now); err != nil {
		return err
	}
	if err := db.forgetSenders(ctx, now); err != nil {
		return err
	}
	return db.write(ctx, rest, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM permit WHERE span < ?`, limit.SpanOf(now.Add(-engine.PermitsKept))); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM hold WHERE until < ?`, engine.Stamp(now.Add(-engine.HoldsKept)))
		return err
	})
}

// expired returns the drops of old messages whose time is over.
func (db *DB) expired(ctx context.Context, e store.Expiry) (moves []store.Move, last mail.ID, err error) {
	shortest := int64(e.TTL)
	if err := db.workPool.QueryRowContext(ctx, `SELECT coalesce(min(ttl), ?1) FROM pool WHERE ttl > 0 AND ttl < ?1`, shortest).Scan(&shortest); err != nil {
		return nil, last, failed("read times to live", err)
	}
	end := engine.FirstID(e.Now.Add(-time.Duration(shortest) + time.Millisecond))
	rows, err := db.workPool.QueryContext(ctx, oldQuery, e.After[:], end[:], e.Limit)
	if err != nil {
		return nil, last, failed("read old messages", err)
	}
	old, err := collect(rows, func(rows *sql.Rows) (m engine.Old, err error) {
		var sub int32
		var path pathColumn
		err = rows.Scan((*idColumn)(&m.ID), &m.Egress, &m.Lane, &m.Submitted, &m.TTL, &m.Waiting, &sub, &path)
		m.Chain = append([]int32{sub}, path...)
		return m, err
	})
	if err != nil || len(old) == 0 {
		return nil, last, err
	}
	holds, err := db.holds(ctx, old)
	if err != nil {
		return nil, last, err
	}
	moves, last = holds.Drops(old, e)
	return moves, last, nil
}

// holds reads when limits held old messages.
func (db *DB) holds(ctx context.Context, old []engine.Old) (engine.Holds, error) {
	holds := engine.NewHolds()
	subs, since := engine.Whose(old)
	read := func(add func(key, since, until int64), query string, args ...any) error {
		rows, err := db.workPool.QueryContext(ctx, query, args...)
		if err != nil {
			return failed("read what limits held", err)
		}
		_, err = collect(rows, func(rows *sql.Rows) (none struct{}, err error) {
			var key, since, until int64
			err = rows.Scan(&key, &since, &until)
			add(key, since, until)
			return none, err
		})
		return err
	}
	if err := read(func(lane, since, until int64) { holds.Add(int(lane), since, until) }, holdsQuery, since); err != nil {
		return holds, err
	}
	return holds, read(func(id, since, until int64) { holds.AddSub(int32(id), since, until) }, subHoldsQuery, numberList(subs), since)
}

const (
	holdsQuery    = `SELECT mailbox, since, until FROM hold WHERE until > ?`
	subHoldsQuery = `SELECT sub_account_id, since, until FROM sub_hold WHERE sub_account_id IN (SELECT value FROM json_each(?)) AND until > ?`
)

const oldQuery = `SELECT q.id, q.egress, q.mailbox, q.rank, coalesce(p.ttl, 0), q.waiting, q.sub_account_id, coalesce(s.path, '[]') FROM queue q LEFT JOIN pool p ON p.id = q.pool_id
		LEFT JOIN sub_account s ON s.id = q.sub_account_id
		WHERE q.id > ? AND q.id < ? AND q.status IN (0, 1) ORDER BY q.id LIMIT ?`

func (t *tx) dropWaiting(db *DB, w waiting, reason string, now time.Time) error {
	m, found, err := t.message(w.id)
	if err != nil || !found {
		return err
	}
	if _, err := t.exec(`DELETE FROM queue WHERE id = ?`, w.id[:]); err != nil {
		return err
	}
	t.onCommit(func() { db.backlog.Add(-1) })
	dropped, _ := event.TypeOf(event.Native, event.Dropped)
	return t.drop(&m.owner, w.egress, w.attempts, dropped, now, &event.Detail{SMTPDescription: reason})
}

// forgetSenders removes what was let go of sub-accounts, and how long their limits held: after an absence there is much.
func (db *DB) forgetSenders(ctx context.Context, now time.Time) error {
	err := db.forgetRows(ctx, `DELETE FROM sub_permit WHERE (sub_account_id, span, egress) IN (SELECT sub_account_id, span, egress FROM sub_permit WHERE span < ? LIMIT ?)`,
		limit.SpanOf(now.Add(-engine.PermitsKept)))
	if err != nil {
		return err
	}
	return db.forgetRows(ctx, `DELETE FROM sub_hold WHERE (sub_account_id, since) IN (SELECT sub_account_id, since FROM sub_hold WHERE until < ? LIMIT ?)`,
		engine.Stamp(now.Add(-engine.HoldsKept)))
}

// forgetRows repeats a deletion of so many rows at once, the second argument, until there are no more.
func (db *DB) forgetRows(ctx context.Context, query string, arg any) error {
	for n := int64(engine.ForgottenAtOnce); n >= engine.ForgottenAtOnce; {
		if err := db.write(ctx, rest, func(t *tx) (err error) {
			n, err = t.changed(query, arg, engine.ForgottenAtOnce)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
