package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
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

// mostSteps bounds how many flows one claim looks at: its lanes and priorities have equal parts, but leastPart at least, and mostPart at
// most. mostLevels bounds in how many priorities it looks: in all that there can be, for the first ones may all be held. What is held is
// passed over, but costs a step.
const (
	mostSteps  = 1000
	leastPart  = "10"
	mostPart   = "250"
	mostLevels = 201
)

// peek returns the flows of every lane by priority, and within a priority in the order of their turns, see engine.Look: until all of $4
// sub-accounts are found that are not held, or its part of $5 was looked at. All are found by index probes. The row of step 0 tells where
// it begins.
const peek = `WITH RECURSIVE lane (mailbox) AS (
		(SELECT mailbox FROM queue WHERE egress = $1 AND status = 0 ORDER BY mailbox LIMIT 1)
		UNION ALL
		SELECT (SELECT q.mailbox FROM queue q WHERE q.egress = $1 AND q.status = 0 AND q.mailbox > lane.mailbox ORDER BY q.mailbox LIMIT 1)
		FROM lane WHERE lane.mailbox IS NOT NULL),
	level (mailbox, priority, n) AS (
		SELECT mailbox, (SELECT q.priority FROM queue q WHERE q.egress = $1 AND q.status = 0 AND q.mailbox = lane.mailbox ORDER BY q.priority LIMIT 1), 1
		FROM lane WHERE mailbox IS NOT NULL
		UNION ALL
		SELECT mailbox, (SELECT q.priority FROM queue q WHERE q.egress = $1 AND q.status = 0 AND q.mailbox = level.mailbox
			AND q.priority > level.priority ORDER BY q.priority LIMIT 1), n + 1
		FROM level WHERE priority IS NOT NULL AND n < $6),
	flow (mailbox, priority, until, sub, pool, wrapped, held, last, found, steps, part) AS (
		SELECT level.mailbox, level.priority, coalesce(look.until, -1), coalesce(look.sub, -1), coalesce(look.pool, 2147483647),
			coalesce(look.wrapped, false), ` + forGood + `, -1, 0, 0, greatest(least($5::bigint / count(*) OVER (), ` + mostPart + `), ` + leastPart + `)
		FROM level LEFT JOIN unnest($7::smallint[], $8::int[], $9::int[], $10::int[], $11::int[], $12::bool[]) AS look (mailbox, priority, until, sub, pool, wrapped)
			ON look.mailbox = level.mailbox AND look.priority = level.priority
		WHERE level.priority IS NOT NULL
		UNION ALL
		SELECT f.mailbox, f.priority, f.until, next.sub, next.pool, next.wrapped, stop.held, CASE WHEN stop.held > 0 THEN f.last ELSE next.sub END,
			f.found + CASE WHEN stop.held > 0 OR next.sub = f.last THEN 0 ELSE 1 END, f.steps + 1, f.part
		FROM flow f CROSS JOIN LATERAL (
			(SELECT q.sub_account_id AS sub, q.pool_id AS pool, f.wrapped FROM queue q WHERE q.egress = $1 AND q.status = 0
				AND q.mailbox = f.mailbox AND q.priority = f.priority AND (q.sub_account_id, q.pool_id) > (f.sub, f.pool)
				ORDER BY q.sub_account_id, q.pool_id LIMIT 1)
			UNION ALL
			(SELECT q.sub_account_id, q.pool_id, true FROM queue q WHERE NOT f.wrapped AND q.egress = $1 AND q.status = 0
				AND q.mailbox = f.mailbox AND q.priority = f.priority ORDER BY q.sub_account_id, q.pool_id LIMIT 1)
			LIMIT 1) next
		CROSS JOIN LATERAL (SELECT ` + held + ` AS held OFFSET 0) stop
		WHERE (f.found < $4 OR next.sub = f.last) AND f.steps < f.part AND (NOT next.wrapped OR next.sub <= f.until))
	SELECT f.mailbox, f.priority, f.until, f.sub, f.pool, f.wrapped, f.steps = 0, f.steps < f.part, f.found, f.held > 0, CASE WHEN s.id IS NULL THEN ARRAY[f.sub] ELSE s.id || s.path END,
		CASE WHEN f.held = 0 AND (s.per_hour > 0 OR s.path <> '{}') THEN ARRAY (SELECT l.id FROM sub_account l WHERE l.id = ANY (s.id || s.path) AND l.per_hour > 0) ELSE '{}' END,
		CASE WHEN f.held < ` + forGood + ` THEN f.held ELSE 0 END,
		CASE WHEN f.held > 0 THEN 0 ELSE (SELECT count(*) FROM (SELECT FROM queue q WHERE q.egress = $1
		AND q.status = 0 AND q.mailbox = f.mailbox AND q.priority = f.priority AND q.sub_account_id = f.sub AND q.pool_id = f.pool LIMIT $2) few) END
	FROM flow f LEFT JOIN LATERAL (SELECT id, path, per_hour FROM sub_account WHERE id = f.sub AND f.steps > 0 LIMIT 1) s ON true
	WHERE NOT EXISTS (SELECT FROM tpsp WHERE id = $1 AND (paused OR drill_until > $3))
	ORDER BY f.mailbox, f.priority, f.steps`

// held is until when the flow next waits: for the limit of its sub-account or of one above it, or for somebody to resume or unblock it. 0 is
// not. What is asked for stands in subqueries that return one value: for EXISTS the server would rather read whole tables. And the pair is
// compared as one, for which only the index of pairs serves.
const held = `CASE WHEN (SELECT paused FROM pool WHERE id = next.pool) THEN ` + forGood + ` ELSE coalesce((SELECT CASE WHEN s.paused THEN ` + forGood + ` ELSE
		(SELECT max(CASE WHEN b.blocked > 0 THEN ` + forGood + ` ELSE coalesce((SELECT h.until FROM sub_hold h
			WHERE (h.sub_account_id, h.until) > (b.id, $3) AND h.sub_account_id <= b.id ORDER BY h.sub_account_id DESC, h.until DESC LIMIT 1), 0) END) FROM sub_account b WHERE b.id = ANY (s.id || s.path)) END
		FROM sub_account s WHERE s.id = next.sub), 0) END`

// forGood is until when what somebody has stopped waits.
const forGood = `9223372036854775807`

// claim takes the oldest messages of each flow, unless somebody has paused or blocked it since it was peeked at, opens an attempt for each, and
// counts them as permits: of the egress first, then of the sub-accounts, as permits are given back.
const claim = `WITH taken AS MATERIALIZED (
		SELECT first.id, flow.place FROM unnest($2::smallint[], $3::int[], $4::int[], $5::int[], $6::int[])
			WITH ORDINALITY AS flow (mailbox, priority, sub, pool, share, place)
		CROSS JOIN LATERAL (SELECT id FROM queue WHERE egress = $1 AND status = 0 AND mailbox = flow.mailbox AND priority = flow.priority
			AND sub_account_id = flow.sub AND pool_id = flow.pool ORDER BY rank LIMIT flow.share FOR UPDATE SKIP LOCKED) first
		WHERE NOT EXISTS (SELECT FROM tpsp WHERE id = $1 AND (paused OR drill_until > $9)) AND (SELECT paused FROM pool WHERE id = flow.pool) IS NOT TRUE
			AND (SELECT s.paused OR (SELECT bool_or(b.blocked > 0) FROM sub_account b WHERE b.id = ANY (s.id || s.path)) FROM sub_account s WHERE s.id = flow.sub) IS NOT TRUE),
	claimed AS (UPDATE queue q SET status = 2, lease_owner = $7, lease_until = $8, attempts = attempts + 1, due_at = 0, waiting = ''
		FROM taken WHERE q.id = taken.id RETURNING q.id, q.attempts, q.failures, taken.place, q.mailbox, q.rank, q.sub_account_id),
	opened AS (INSERT INTO attempt (message_id, n, egress, began) SELECT id, attempts, $1, $9 FROM claimed),
	permitted AS (INSERT INTO permit AS p (egress, mailbox, span, n)
		SELECT $1::int, mailbox, $10::bigint, count(*) FROM claimed GROUP BY mailbox
		UNION ALL SELECT $1::int, -1, $10::bigint, count(*) FROM claimed HAVING count(*) > 0
		ORDER BY 2 ON CONFLICT (egress, mailbox, span) DO UPDATE SET n = p.n + excluded.n RETURNING 1),
	counted AS (INSERT INTO sub_permit AS p (sub_account_id, span, egress, n)
		SELECT up.id, $10::bigint, $1::int, count(*) FROM (SELECT count(*) FROM permitted) AS before CROSS JOIN claimed
		JOIN unnest($11::int[], $12::int[]) AS up (sub, id) ON up.sub = claimed.sub_account_id GROUP BY up.id
		ORDER BY 1 ON CONFLICT (sub_account_id, span, egress) DO UPDATE SET n = p.n + excluded.n)
	SELECT id, attempts, failures FROM claimed ORDER BY place, rank`

const claimUnknown = `WITH taken AS MATERIALIZED (SELECT id FROM queue WHERE egress = $1 AND status = 3 AND status IN (1, 3) AND due_at <= $2
		ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED),
	claimed AS (UPDATE queue q SET status = 4, lease_owner = $4, lease_until = $5
		FROM taken WHERE q.id = taken.id RETURNING q.id, q.attempts, q.failures, q.asks, q.unknown_since, q.due_at)
	SELECT c.id, c.attempts, c.failures, c.asks, c.unknown_since, coalesce(a.began, 0)
	FROM claimed c LEFT JOIN attempt a ON a.message_id = c.id AND a.n = c.attempts ORDER BY c.due_at, c.id`

// Claim implements store.Queue. Messages that another node is claiming are passed over.
func (db *DB) Claim(ctx context.Context, c store.Claim) (claimed store.Claimed, err error) {
	now := engine.Stamp(c.Now)
	var jobs []store.Job
	var looked []engine.Looked
	var taken []engine.Flow
	err = db.write(ctx, db.work, "claim", func(t *tx) error {
		claimed, jobs, taken = store.Claimed{}, nil, nil
		promoted := 0
		t.count(&promoted, promote, int32(c.Egress), now, promotions)
		g, s := t.readLimits(c), engine.NewSenders(c)
		p := t.peek(db, c, s)
		if err := t.flush(); err != nil {
			return err
		}
		looked, claimed.Free = p.vain(nil), s.Free(time.Time{})
		if claimed.More = promoted == promotions; len(p.flows) == 0 {
			return nil
		}
		open, err := t.readRoom(c, g, s, p.flows)
		if err != nil {
			return err
		}
		looked = p.vain(open)
		taken = db.deal(c, open, g, s, &claimed)
		t.remember(c, g)
		t.rememberSenders(c, s)
		if len(taken) == 0 {
			claimed.More = claimed.More || len(open) < len(p.flows) // the next claim passes over them and looks at others
			return nil
		}
		subs, above := chains(taken)
		t.each(func(rows pgx.Rows) error {
			j := store.Job{Egress: c.Egress, SentAt: c.Now}
			err := rows.Scan(idInto(&j.ID), &j.Attempt, &j.Failures)
			jobs = append(jobs, j)
			return err
		}, claim, int32(c.Egress),
			column(taken, func(f *engine.Flow) int16 { return int16(f.Lane) }),
			column(taken, func(f *engine.Flow) int32 { return int32(f.Priority) }),
			column(taken, func(f *engine.Flow) int32 { return f.SubAccount }),
			column(taken, func(f *engine.Flow) int32 { return f.Pool }),
			column(taken, func(f *engine.Flow) int32 { return int32(f.Share) }),
			c.Owner, engine.Stamp(c.LeaseUntil), now, limit.SpanOf(c.Now), subs, above)
		return nil
	})
	if err != nil {
		return store.Claimed{}, err
	}
	if len(jobs) == 0 { // others hold them, or somebody has stopped them since: the next claim passes over those
		claimed.More = claimed.More || len(taken) > 0
		taken = nil
	}
	more, free := db.turns.Looked(c.Egress, looked, taken, c.Now, claimed.Free)
	claimed.More, claimed.Free = claimed.More || more, free
	claimed.Jobs, err = db.filled(ctx, jobs, c)
	claimed.More = claimed.More || len(jobs) > 0 // all of them may be unreadable
	return claimed, err
}

// readRoom counts what the limits leave, and returns the flows that may be served.
func (t *tx) readRoom(c store.Claim, g *engine.Gate, s *engine.Senders, flows []flow) ([]engine.Flow, error) {
	if len(g.Limited()) > 0 {
		t.readPermits(c, g)
	}
	if limited := limitedSenders(flows); len(limited) > 0 {
		told := t.readSenders(c, s, limited)
		if err := t.flush(); err != nil {
			return nil, err
		}
		told()
	}
	return withRoom(flows, s), t.flush()
}

// flow is one that is not held, with those of its sub-account and those above it that have a limit.
type flow struct {
	engine.Flow
	limited []int32
}

// peek asks for the flows of an egress that are not held, and how far it looked in vain; they are there after the next flush.
func (t *tx) peek(db *DB, c store.Claim, s *engine.Senders) *peeked {
	p := &peeked{most: max(2*c.Limit/mailboxes, 8)}
	known := db.turns.Looks(c.Egress)
	t.each(func(rows pgx.Rows) error {
		var f flow
		var at engine.Looked
		var found int
		var first, held bool
		var until int64
		if err := rows.Scan(&f.Lane, &f.Priority, &at.Until, &f.SubAccount, &f.Pool, &at.Wrapped, &first, &at.Whole, &found, &held, &f.Chain, &f.limited, &until, &f.Ready); err != nil {
			return err
		}
		at.Lane, at.Priority, at.Sub, at.Pool = f.Lane, f.Priority, f.SubAccount, f.Pool
		p.note(at, found, first)
		s.Wait(engine.Time(until))
		if !held {
			p.flows = append(p.flows, f)
		}
		return nil
	}, peek, int32(c.Egress), c.Limit, engine.Stamp(c.Now), p.most, mostSteps, mostLevels,
		column(known, func(l *engine.Looked) int16 { return int16(l.Lane) }),
		column(known, func(l *engine.Looked) int32 { return int32(l.Priority) }),
		column(known, func(l *engine.Looked) int32 { return l.Until }),
		column(known, func(l *engine.Looked) int32 { return l.Sub }),
		column(known, func(l *engine.Looked) int32 { return l.Pool }),
		column(known, func(l *engine.Looked) bool { return l.Wrapped }))
	return p
}

// peeked is what a peek returns.
type peeked struct {
	flows []flow
	looks []engine.Looked // where it ended, by lane and priority
	found []int           // of how many sub-accounts it found flows that are not held, there
	most  int
}

// note notes a step of a look.
func (p *peeked) note(at engine.Looked, found int, first bool) {
	if first {
		p.looks, p.found = append(p.looks, at), append(p.found, 0)
	}
	last := len(p.looks) - 1
	p.looks[last], p.found[last] = at, found
}

// vain returns the looks that have not found all that they wanted; open are the flows that may be served.
func (p *peeked) vain(open []engine.Flow) (looked []engine.Looked) {
	type place struct{ lane, priority int }
	found := map[place]bool{}
	for i := range open {
		found[place{open[i].Lane, open[i].Priority}] = true
	}
	for i, at := range p.looks {
		if p.found[i] < p.most {
			at.Found = found[place{at.Lane, at.Priority}]
			looked = append(looked, at)
		}
	}
	return looked
}

// mailboxes is how many lanes an egress may have.
var mailboxes = len(mailbox.Classes())

// deal shares what the limits let go over the flows, and returns those that get something.
func (db *DB) deal(c store.Claim, flows []engine.Flow, g *engine.Gate, s *engine.Senders, claimed *store.Claimed) (taken []engine.Flow) {
	of := map[int][]engine.Flow{}
	var ids []int
	for _, f := range flows {
		if of[f.Lane] == nil {
			ids = append(ids, f.Lane)
		}
		of[f.Lane] = append(of[f.Lane], f)
	}
	var lanes []engine.Lane
	for _, id := range db.turns.Order(c.Egress, ids) {
		l := engine.Lane{ID: id, Room: g.Room(id), Flows: of[id]}
		if l.Room == 0 {
			g.Hold(id)
		}
		lanes = append(lanes, l)
	}
	db.turns.Deal(c.Egress, lanes, min(c.Limit, g.Room(engine.WholeEgress)), s)
	claimed.Full, claimed.Free = g.Held()
	claimed.Free = s.Free(claimed.Free)
	for _, l := range lanes {
		for _, f := range l.Flows {
			if f.Share > 0 {
				taken = append(taken, f)
			}
		}
	}
	return taken
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
				l.giveBack(p, j, c.Now)
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
