package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// promotions is how many waiting messages one claim makes ready at most; it keeps the transaction short.
const promotions = 500

// Statements on waiting and unknown messages say `status IN (1, 3)`, those on claims `status IN (2, 4)`: the conditions of
// the partial indexes, which only serve a query that implies them.

const promote = `WITH due AS MATERIALIZED (SELECT id FROM queue WHERE egress = $1 AND status = 1 AND status IN (1, 3) AND due_at <= $2
		ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
	UPDATE queue q SET status = 0, due_at = 0, waiting = '' FROM due WHERE q.id = due.id`

// peek counts the ready messages of each lane, up to a limit. It finds the lanes by one index probe each.
const peek = `WITH RECURSIVE lane (mailbox) AS (
		(SELECT mailbox FROM queue WHERE egress = $1 AND status = 0 ORDER BY mailbox LIMIT 1)
		UNION ALL
		SELECT (SELECT q.mailbox FROM queue q WHERE q.egress = $1 AND q.status = 0 AND q.mailbox > lane.mailbox ORDER BY q.mailbox LIMIT 1)
		FROM lane WHERE lane.mailbox IS NOT NULL)
	SELECT mailbox, (SELECT count(*) FROM (SELECT FROM queue q WHERE q.egress = $1 AND q.status = 0 AND q.mailbox = lane.mailbox LIMIT $2) few)
	FROM lane WHERE mailbox IS NOT NULL`

// claim takes the first messages of each lane and opens an attempt for each.
const claim = `WITH taken AS MATERIALIZED (
		SELECT first.id, lane.place FROM unnest($2::smallint[], $3::int[]) WITH ORDINALITY AS lane (mailbox, share, place)
		CROSS JOIN LATERAL (SELECT id FROM queue WHERE egress = $1 AND status = 0 AND mailbox = lane.mailbox
			ORDER BY priority, rank LIMIT lane.share FOR UPDATE SKIP LOCKED) first),
	claimed AS (UPDATE queue q SET status = 2, lease_owner = $4, lease_until = $5, attempts = attempts + 1, due_at = 0, waiting = ''
		FROM taken WHERE q.id = taken.id RETURNING q.id, q.attempts, q.failures, taken.place, q.priority, q.rank),
	opened AS (INSERT INTO attempt (message_id, n, egress, began) SELECT id, attempts, $1, $6 FROM claimed)
	SELECT id, attempts, failures FROM claimed ORDER BY place, priority, rank`

const claimUnknown = `WITH taken AS MATERIALIZED (SELECT id FROM queue WHERE egress = $1 AND status = 3 AND status IN (1, 3) AND due_at <= $2
		ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED),
	claimed AS (UPDATE queue q SET status = 4, lease_owner = $4, lease_until = $5
		FROM taken WHERE q.id = taken.id RETURNING q.id, q.attempts, q.failures, q.asks, q.unknown_since, q.due_at)
	SELECT c.id, c.attempts, c.failures, c.asks, c.unknown_since, coalesce(a.began, 0)
	FROM claimed c LEFT JOIN attempt a ON a.message_id = c.id AND a.n = c.attempts ORDER BY c.due_at, c.id`

// lane is the ready messages for one mailbox provider, and how many of them to take.
type lane struct {
	mailbox int16
	ready   int
	share   int32
}

// Claim implements store.Queue. The lanes of the egress share the limit: each gets an equal part of what the lanes before
// it left, and the first lane moves on from claim to claim. Messages that another node is claiming are passed over.
func (db *DB) Claim(ctx context.Context, c store.Claim) (jobs []store.Job, err error) {
	now := engine.Stamp(c.Now)
	err = db.write(ctx, db.work, "claim", func(t *tx) error {
		jobs = nil
		var lanes []lane
		t.exec(promote, int32(c.Egress), now, promotions)
		t.each(func(rows pgx.Rows) error {
			var l lane
			err := rows.Scan(&l.mailbox, &l.ready)
			lanes = append(lanes, l)
			return err
		}, peek, int32(c.Egress), c.Limit)
		if err := t.flush(); err != nil || len(lanes) == 0 {
			return err
		}
		share(lanes, c.Limit, uint64(c.Now.UnixNano()))
		t.each(func(rows pgx.Rows) error {
			j := store.Job{Egress: c.Egress, SentAt: c.Now}
			err := rows.Scan(idInto(&j.ID), &j.Attempt, &j.Failures)
			jobs = append(jobs, j)
			return err
		}, claim, int32(c.Egress),
			column(lanes, func(l *lane) int16 { return l.mailbox }),
			column(lanes, func(l *lane) int32 { return l.share }),
			c.Owner, engine.Stamp(c.LeaseUntil), now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return db.filled(ctx, jobs, c)
}

// share divides a limit over lanes, beginning with the one that the turn points at.
func share(lanes []lane, limit int, turn uint64) {
	n, left := len(lanes), limit
	start := int(turn % uint64(n))
	for i := range lanes {
		l := &lanes[(start+i)%n]
		l.share = int32(min((left+n-i-1)/(n-i), l.ready))
		left -= int(l.share)
	}
}

// ClaimUnknown implements store.Queue.
func (db *DB) ClaimUnknown(ctx context.Context, c store.Claim) (jobs []store.Job, err error) {
	err = db.write(ctx, db.work, "claim unknown", func(t *tx) error {
		jobs = nil
		t.each(func(rows pgx.Rows) error {
			j := store.Job{Egress: c.Egress}
			var since, began int64
			err := rows.Scan(idInto(&j.ID), &j.Attempt, &j.Failures, &j.Asks, &since, &began)
			j.UnknownSince, j.SentAt = engine.Time(since), engine.Time(began)
			jobs = append(jobs, j)
			return err
		}, claimUnknown, int32(c.Egress), engine.Stamp(c.Now), c.Limit, c.Owner, engine.Stamp(c.LeaseUntil))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return db.filled(ctx, jobs, c)
}

const nextDue = `SELECT EXISTS (SELECT FROM queue WHERE egress = $1 AND status = 0),
	coalesce((SELECT greatest(due_at, 1) FROM queue WHERE egress = $1 AND status = 1 AND status IN (1, 3) ORDER BY due_at LIMIT 1), 0),
	coalesce((SELECT greatest(due_at, 1) FROM queue WHERE egress = $1 AND status = 3 AND status IN (1, 3) ORDER BY due_at LIMIT 1), 0)`

// NextDue implements store.Queue.
func (db *DB) NextDue(ctx context.Context, egress route.Egress) (due store.Due, err error) {
	var send, ask int64
	_, err = one(ctx, db.work, "read next due", []any{&due.Ready, &send, &ask}, nextDue, int32(egress))
	due.Send, due.Ask = engine.Time(send), engine.Time(ask)
	return due, err
}

const waiting = `SELECT (SELECT count(*) FROM queue WHERE egress = $1 AND status = 0) +
	(SELECT count(*) FROM queue WHERE egress = $1 AND status IN (1, 3)) +
	(SELECT count(*) FROM queue WHERE egress = $1 AND status IN (2, 4))`

// Waiting implements store.Queue.
func (db *DB) Waiting(ctx context.Context, egress route.Egress) (n int64, err error) {
	_, err = one(ctx, db.work, "count waiting", []any{&n}, waiting, int32(egress))
	return n, err
}

// undo gives messages back as they were before the claim. Those that cannot be read wait, and say so.
func (db *DB) undo(ctx context.Context, back []*store.Job, c store.Claim, broken map[mail.ID]error) error {
	ids := make([]mail.ID, len(back))
	for i, j := range back {
		ids[i] = j.ID
	}
	return db.write(ctx, db.work, "undo claim", func(t *tx) error {
		l := t.lockPlaces(ids)
		if err := t.flush(); err != nil {
			return err
		}
		var unopened []call
		for _, j := range back {
			p := l.places[j.ID]
			if p == nil || p.owner != c.Owner || p.attempts != j.Attempt {
				continue
			}
			if p.status == engine.Leased {
				unopened = append(unopened, call{j.ID, j.Attempt})
			}
			p.undo(broken[j.ID], c)
		}
		t.exec(`DELETE FROM attempt a USING unnest($1::uuid[], $2::int[]) AS u (id, n) WHERE a.message_id = u.id AND a.n = u.n AND a.finished = 0`,
			callIDs(unopened), callNumbers(unopened))
		return l.write(t)
	})
}

// undo makes a claimed row what it was before.
func (p *place) undo(broken error, c store.Claim) {
	due, why := int64(0), ""
	if broken != nil {
		due, why = engine.Stamp(c.Now.Add(engine.UnreadableFor)), engine.Unreadable(broken)
	}
	switch p.status {
	case engine.Leased:
		p.status, p.dueAt, p.waiting = engine.Ready, due, why
		if broken != nil {
			p.status = engine.Delayed
		}
		p.attempts--
	case engine.Asking:
		p.status, p.dueAt = engine.Unknown, max(p.dueAt, due)
		if why != "" {
			p.waiting = why
		}
	}
	p.changed = true
}

var errMissing = errors.New("its row is missing")
