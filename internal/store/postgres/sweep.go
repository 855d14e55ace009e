package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/event"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// recoveries is how many claims one transaction takes over at most.
const recoveries = 500

// recoverClaims makes claims unknown whose claimer is gone, and closes their attempts. Rows that somebody holds are being settled.
const recoverClaims = `WITH dead AS MATERIALIZED (SELECT id, status, attempts FROM queue WHERE status IN (2, 4)
		AND (lease_until <= $1 OR $2 <> '' AND starts_with(lease_owner, $2 || '/') AND lease_owner <> $3)
		ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED),
	moved AS (UPDATE queue q SET status = 3, due_at = CASE dead.status WHEN 2 THEN $5 ELSE q.due_at END,
		unknown_since = CASE q.unknown_since WHEN 0 THEN $1 ELSE q.unknown_since END, waiting = $6, lease_owner = '', lease_until = 0
		FROM dead WHERE q.id = dead.id),
	closed AS (UPDATE attempt a SET finished = $1, class = $7, text = $6 FROM dead
		WHERE dead.status = 2 AND a.message_id = dead.id AND a.n = dead.attempts AND a.finished = 0)
	SELECT count(*) FROM dead`

// Recover implements store.Queue.
func (db *DB) Recover(ctx context.Context, r store.Recovery) (total int, err error) {
	for {
		n := 0
		err := db.write(ctx, db.work, "recover", func(t *tx) error {
			t.row([]any{&n}, recoverClaims, engine.Stamp(r.Now), r.Node, r.Owner, recoveries, engine.Stamp(r.AskAt), store.ReasonStopped,
				int16(provider.Ambiguous))
			return nil
		})
		total += n
		if err != nil || n < recoveries {
			return total, err
		}
	}
}

// Expire implements store.Queue. Ids sort by time, so the oldest messages are a key range.
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
	return db.write(ctx, db.work, "forget", func(t *tx) error {
		t.exec(`DELETE FROM permit WHERE span < $1`, limit.SpanOf(now.Add(-engine.PermitsKept)))
		t.exec(`DELETE FROM hold WHERE until < $1`, engine.Stamp(now.Add(-engine.HoldsKept)))
		return nil
	})
}

// forgetSenders removes what was let go of sub-accounts, and how long their limits held: after an absence there is much.
func (db *DB) forgetSenders(ctx context.Context, now time.Time) error {
	const op = "forget permits of sub-accounts"
	err := db.forgetRows(ctx, op, `DELETE FROM sub_permit WHERE ctid = ANY (ARRAY (SELECT ctid FROM sub_permit WHERE span < $2 LIMIT $1 FOR UPDATE SKIP LOCKED))`,
		limit.SpanOf(now.Add(-engine.PermitsKept)))
	if err != nil {
		return err
	}
	return db.forgetRows(ctx, op, `DELETE FROM sub_hold WHERE ctid = ANY (ARRAY (SELECT ctid FROM sub_hold WHERE until < $2 LIMIT $1 FOR UPDATE SKIP LOCKED))`,
		engine.Stamp(now.Add(-engine.HoldsKept)))
}

// forgetRows repeats a deletion of so many rows at once ($1) until there are no more.
func (db *DB) forgetRows(ctx context.Context, op, query string, arg any) error {
	for n := engine.ForgottenAtOnce; n >= engine.ForgottenAtOnce; {
		if err := db.write(ctx, db.work, op, func(t *tx) error {
			t.count(&n, query, engine.ForgottenAtOnce, arg)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// expired returns the drops of old messages whose time is over.
func (db *DB) expired(ctx context.Context, e store.Expiry) (moves []store.Move, last mail.ID, err error) {
	shortest := int64(e.TTL)
	if _, err := one(ctx, db.work, "read times to live", []any{&shortest}, `SELECT coalesce(min(ttl), $1) FROM pool WHERE ttl > 0 AND ttl < $1`,
		shortest); err != nil {
		return nil, last, err
	}
	end := engine.FirstID(e.Now.Add(-time.Duration(shortest) + time.Millisecond))
	old, err := list(ctx, db.work, "read old messages", func(rows pgx.Rows) (m engine.Old, err error) {
		err = rows.Scan(idInto(&m.ID), &m.Egress, &m.Lane, &m.Submitted, &m.TTL, &m.Waiting, &m.Chain)
		return m, err
	}, `SELECT q.id, q.egress, q.mailbox, q.rank, coalesce(p.ttl, 0), q.waiting, q.sub_account_id || coalesce(s.path, '{}') FROM queue q LEFT JOIN pool p ON p.id = q.pool_id
		LEFT JOIN sub_account s ON s.id = q.sub_account_id
		WHERE q.id > $1 AND q.id < $2 AND q.status IN (0, 1) ORDER BY q.id LIMIT $3`, uuidOf(e.After), uuidOf(end), e.Limit)
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

// The key of a hold of sub-accounts is looked for by pairs, of which only one index serves; the other one would find what is held of all.
const (
	holdsQuery    = `SELECT mailbox::int, since, until FROM hold WHERE until > $1`
	subHoldsQuery = `SELECT h.* FROM unnest($1::int[]) AS sub (id) CROSS JOIN LATERAL (SELECT sub_account_id, since, until FROM sub_hold
		WHERE (sub_account_id, until) > (sub.id, $2) AND sub_account_id <= sub.id ORDER BY sub_account_id, until) h`
)

// holds reads when limits held old messages.
func (db *DB) holds(ctx context.Context, old []engine.Old) (engine.Holds, error) {
	holds := engine.NewHolds()
	subs, since := engine.Whose(old)
	read := func(add func(key int32, since, until int64), query string, args ...any) error {
		type hold struct {
			key          int32
			since, until int64
		}
		held, err := list(ctx, db.work, "read what limits held", func(rows pgx.Rows) (h hold, err error) {
			err = rows.Scan(&h.key, &h.since, &h.until)
			return h, err
		}, query, args...)
		for _, h := range held {
			add(h.key, h.since, h.until)
		}
		return err
	}
	if err := read(func(lane int32, since, until int64) { holds.Add(int(lane), since, until) }, holdsQuery, since); err != nil {
		return holds, err
	}
	return holds, read(holds.AddSub, subHoldsQuery, subs, since)
}

// dropWaiting drops a message that no sender holds.
func (l *ledger) dropWaiting(j *journal, p *place, reason string, now time.Time) error {
	m := l.messages[p.id]
	if m == nil {
		return nil
	}
	l.leave(p, engine.EndedBy(false), now)
	dropped, _ := event.TypeOf(event.Native, event.Dropped)
	return m.drop(j, p.egress, p.attempts, dropped, now, &event.Detail{SMTPDescription: reason})
}
