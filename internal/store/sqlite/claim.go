package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// A partial index serves a query only when the query repeats the index's condition, word for word: hence
// `status = 1 AND status IN (1, 3)` in the statements that use queue_due. TestPlans looks at the plans.
//
// In a statement with ORDER BY, SQLite takes `column = ?` for less selective when the value is 0 or 1, and plans the statement
// anew whenever the value changes to or from that, which costs more than to run it: hence `egress = ? + 0`.

// promotions is how many waiting messages one claim makes ready at most; it keeps the transaction short.
const promotions = 500

// Claim implements store.Queue.
func (db *DB) Claim(ctx context.Context, c store.Claim) (claimed store.Claimed, err error) {
	var jobs []store.Job
	var looked []engine.Looked
	var taken []engine.Flow
	err = db.write(ctx, claiming, func(t *tx) (err error) {
		claimed, jobs, looked, taken = store.Claimed{}, nil, nil, nil
		promoted, err := t.changed(`UPDATE queue SET status = 0, due_at = 0, waiting = '' WHERE id IN
				(SELECT id FROM queue WHERE egress = ? + 0 AND status = 1 AND status IN (1, 3) AND due_at <= ?
				 ORDER BY due_at LIMIT ?)`,
			int32(c.Egress), engine.Stamp(c.Now), promotions)
		if err != nil {
			return err
		}
		claimed.More = promoted == promotions
		g, ids, err := t.openLanes(c)
		if err != nil || g == nil {
			return err
		}
		jobs, taken, err = t.claimLanes(db, c, g, ids, &claimed)
		looked = g.looked
		return err
	})
	if err != nil {
		return store.Claimed{}, err
	}
	more, free := db.turns.Looked(c.Egress, looked, taken, c.Now, claimed.Free)
	claimed.More, claimed.Free = claimed.More || more, free
	claimed.Jobs, err = db.filled(ctx, jobs, c.Owner, c.Now)
	claimed.More = claimed.More || len(jobs) > 0 // all of them may be unreadable
	return claimed, err
}

// openLanes returns the lanes that have ready messages, and what may be taken of them: nil when nothing may.
func (t *tx) openLanes(c store.Claim) (g *gate, ids []int, err error) {
	if ids, err = t.lanes(c.Egress); err != nil || len(ids) == 0 {
		return nil, nil, err
	}
	if g, err = t.openGate(c); err != nil || g == nil {
		return nil, nil, err
	}
	g.probes, g.part = mostProbes, mostProbes/len(ids)
	return g, ids, nil
}

// claimLanes shares what the limits let go over the lanes, and takes it.
func (t *tx) claimLanes(db *DB, c store.Claim, g *gate, ids []int, claimed *store.Claimed) (jobs []store.Job, taken []engine.Flow, err error) {
	var lanes []engine.Lane
	most := max(2*c.Limit/len(ids), 2)
	for _, id := range db.turns.Order(c.Egress, ids) {
		l, err := t.flows(db, c, g, id, most)
		if err != nil {
			return nil, nil, err
		}
		if l.Room == 0 && len(l.Flows) > 0 {
			g.Hold(id)
		}
		lanes = append(lanes, l)
	}
	db.turns.Deal(c.Egress, lanes, min(c.Limit, g.Room(engine.WholeEgress)), g.senders)
	sent := map[int32]int{}
	for _, l := range lanes {
		n := len(jobs)
		for _, f := range l.Flows {
			if f.Share == 0 {
				continue
			}
			some, err := t.claimFlow(c, &f)
			if err != nil {
				return nil, nil, err
			}
			jobs, taken = append(jobs, some...), append(taken, f)
			sent[f.SubAccount] += len(some)
		}
		if err := t.takePermits(c, l.ID, len(jobs)-n); err != nil {
			return nil, nil, err
		}
	}
	claimed.Full, claimed.Free = g.Held()
	claimed.Free = g.senders.Free(claimed.Free)
	return jobs, taken, errors.Join(t.remember(c, g), t.takePermits(c, engine.WholeEgress, len(jobs)), t.rememberSenders(c, g.senders), t.takeSenderPermits(c, g, sent))
}

// lanes returns the mailbox providers for which the egress has ready messages, one index probe each.
func (t *tx) lanes(e route.Egress) ([]int, error) {
	var lanes []int
	for last := -1; ; {
		var next int
		found, err := t.one([]any{&next}, `SELECT mailbox FROM queue WHERE egress = ? + 0 AND status = 0 AND mailbox > ?
				ORDER BY mailbox LIMIT 1`, int32(e), last)
		if err != nil || !found {
			return lanes, err
		}
		lanes = append(lanes, next)
		last = next
	}
}

// claimFlow takes the oldest messages of a flow and opens an attempt for each.
func (t *tx) claimFlow(c store.Claim, f *engine.Flow) ([]store.Job, error) {
	jobs, err := each(t, func(rows *row) (j store.Job, err error) {
		err = rows.Scan((*idColumn)(&j.ID), &j.Attempt, &j.Failures)
		return j, err
	}, `UPDATE queue SET status = 2, lease_owner = ?, lease_until = ?, attempts = attempts + 1, due_at = 0, waiting = ''
		WHERE id IN (SELECT id FROM queue WHERE egress = ? + 0 AND status = 0 AND mailbox = ? + 0 AND priority = ? + 0
			AND sub_account_id = ? + 0 AND pool_id = ? + 0 ORDER BY rank LIMIT ?)
		RETURNING id, attempts, failures`,
		c.Owner, engine.Stamp(c.LeaseUntil), int32(c.Egress), f.Lane, f.Priority, f.SubAccount, f.Pool, f.Share)
	if err != nil {
		return nil, err
	}
	attempts := make([]any, 0, len(jobs)*attemptRows.width)
	for i := range jobs {
		j := &jobs[i]
		j.Egress, j.SentAt = c.Egress, c.Now
		attempts = append(attempts, j.ID[:], j.Attempt, int32(c.Egress), engine.Stamp(c.Now))
	}
	return jobs, t.execAll(attemptRows, attempts)
}

var attemptRows = newInsert(`attempt (message_id, n, egress, began)`)

// ClaimUnknown implements store.Queue.
func (db *DB) ClaimUnknown(ctx context.Context, c store.Claim) (jobs []store.Job, err error) {
	err = db.write(ctx, claiming, func(t *tx) error {
		jobs, err = each(t, func(rows *row) (j store.Job, err error) {
			var since int64
			err = rows.Scan((*idColumn)(&j.ID), &j.Attempt, &j.Failures, &j.Asks, &since)
			j.UnknownSince = engine.Time(since)
			return j, err
		}, `UPDATE queue SET status = 4, lease_owner = ?, lease_until = ?
			WHERE id IN (SELECT id FROM queue WHERE egress = ? + 0 AND status = 3 AND status IN (1, 3) AND due_at <= ?
				ORDER BY due_at LIMIT ?)
			RETURNING id, attempts, failures, asks, unknown_since`,
			c.Owner, engine.Stamp(c.LeaseUntil), int32(c.Egress), engine.Stamp(c.Now), c.Limit)
		if err != nil {
			return err
		}
		for i := range jobs {
			j := &jobs[i]
			var began int64
			if _, err := t.one([]any{&began}, `SELECT began FROM attempt WHERE message_id = ? AND n = ?`,
				j.ID[:], j.Attempt); err != nil {
				return err
			}
			j.Egress, j.SentAt = c.Egress, engine.Time(began)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return db.filled(ctx, jobs, c.Owner, c.Now)
}

// claimBytes bounds the contents that one claim takes into memory. What exceeds it goes back to the queue.
const claimBytes = 64 << 20

// filled reads the messages of claimed jobs and returns those that can be worked on. It does so after the claim, on a reading
// connection: what it reads does not change while the claim lasts, and the writer has better things to do. It goes on when
// ctx ends, because the claim stands. Nothing of the rest was on the wire, so its claims are simply undone.
func (db *DB) filled(ctx context.Context, jobs []store.Job, owner string, now time.Time) ([]store.Job, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	ctx = context.WithoutCancel(ctx)
	f := filling{byID: make(map[mail.ID]*store.Job, len(jobs)), contents: map[int64]*mail.Content{}, left: claimBytes}
	for i := range jobs {
		f.byID[jobs[i].ID] = &jobs[i]
	}
	err := db.fill(ctx, &f)
	if err == nil && len(f.good) == len(jobs) {
		return f.good, nil
	}
	back := f.byID
	if err != nil { // half an answer is none: everything goes back
		f.good, back = nil, make(map[mail.ID]*store.Job, len(jobs))
		for i := range jobs {
			back[jobs[i].ID] = &jobs[i]
		}
	}
	undo := db.write(ctx, rest, func(t *tx) error {
		for _, j := range back {
			if err := t.undoClaim(j, owner, now, f.broken[j.ID]); err != nil {
				return err
			}
		}
		return nil
	})
	if len(f.good) > 0 {
		return f.good, nil // claims that could not be undone end with their lease
	}
	return nil, errors.Join(err, undo)
}

// undoClaim gives a message back as it was before the claim. One that cannot be read waits, and says so.
func (t *tx) undoClaim(j *store.Job, owner string, now time.Time, broken error) error {
	due, waiting := int64(0), ""
	if broken != nil {
		due, waiting = engine.Stamp(now.Add(engine.UnreadableFor)), engine.Unreadable(broken)
	}
	n, err := t.changed(`UPDATE queue SET status = CASE WHEN ?1 = 0 THEN 0 ELSE 1 END, attempts = attempts - 1, due_at = ?1, waiting = ?2,
			lease_owner = '', lease_until = 0 WHERE id = ?3 AND status = 2 AND lease_owner = ?4 AND attempts = ?5`,
		due, waiting, j.ID[:], owner, j.Attempt)
	if err != nil {
		return err
	}
	if n == 1 {
		if _, err = t.exec(`DELETE FROM attempt WHERE message_id = ? AND n = ? AND finished = 0`, j.ID[:], j.Attempt); err != nil {
			return err
		}
		return t.returnPermit(j, now)
	}
	_, err = t.exec(`UPDATE queue SET status = 3, due_at = max(due_at, ?1), waiting = CASE ?2 WHEN '' THEN waiting ELSE ?2 END,
			lease_owner = '', lease_until = 0 WHERE id = ?3 AND status = 4 AND lease_owner = ?4 AND attempts = ?5`,
		due, waiting, j.ID[:], owner, j.Attempt)
	return err
}

// filling is the reading of claimed messages under way.
type filling struct {
	byID     map[mail.ID]*store.Job // those that are not filled
	good     []store.Job
	broken   map[mail.ID]error
	contents map[int64]*mail.Content
	left     int // bytes
}

func (db *DB) fill(ctx context.Context, f *filling) error {
	ids := make([]any, 0, len(f.byID))
	for id := range f.byID {
		ids = append(ids, id[:])
	}
	rows, err := db.workPool.QueryContext(ctx, `SELECT m.id, m.account_id, m.sub_account_id, m.mailbox, m.recipient, m.plan, m.submitted_at,
			m.content_id, c.body FROM message m JOIN content c ON c.id = m.content_id WHERE m.id IN (`+marks(len(ids))+`) ORDER BY m.id`, ids...)
	if err != nil {
		return failed("read claimed messages", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() && f.left > 0 {
		if err := f.next(rows); err != nil {
			return failed("read claimed messages", err)
		}
	}
	return failed("read claimed messages", rows.Err())
}

// next reads one message into its job, and each content once.
func (f *filling) next(rows *sql.Rows) error {
	var id mail.ID
	var m store.Job
	var class int
	var submitted, contentID int64
	var recipient, plan, body sql.RawBytes
	err := rows.Scan((*idColumn)(&id), &m.AccountID, &m.SubAccountID, &class, &recipient, &plan, &submitted, &contentID, &body)
	if err != nil {
		return err
	}
	j := f.byID[id]
	j.AccountID, j.SubAccountID, j.SubmittedAt = m.AccountID, m.SubAccountID, engine.Time(submitted)
	if err := f.decode(j, class, recipient, plan, contentID, body); err != nil {
		if f.broken == nil {
			f.broken = map[mail.ID]error{}
		}
		f.broken[id] = err
		return nil
	}
	delete(f.byID, id)
	f.good = append(f.good, *j)
	return nil
}

func (f *filling) decode(j *store.Job, class int, recipient, plan []byte, contentID int64, body []byte) (err error) {
	if j.Mailbox, err = mailbox.ByID(class); err != nil {
		return err
	}
	if err := mail.DecodeRecipient(recipient, &j.Recipient); err != nil {
		return err
	}
	if err := engine.DecodePlan(plan, &j.Plan); err != nil {
		return err
	}
	if j.Content = f.contents[contentID]; j.Content == nil {
		if j.Content, err = engine.Content(body); err != nil {
			return err
		}
		f.contents[contentID] = j.Content
		f.left -= len(body)
	}
	return nil
}

const nextDueQuery = `SELECT
			EXISTS (SELECT 1 FROM queue WHERE egress = ?1 AND status = 0),
			coalesce((SELECT max(min(due_at), 1) FROM queue WHERE egress = ?1 AND status = 1 AND status IN (1, 3)), 0),
			coalesce((SELECT max(min(due_at), 1) FROM queue WHERE egress = ?1 AND status = 3 AND status IN (1, 3)), 0)`

// NextDue implements store.Queue.
func (db *DB) NextDue(ctx context.Context, egress route.Egress) (due store.Due, err error) {
	var send, ask int64
	err = db.workPool.QueryRowContext(ctx, nextDueQuery, int32(egress)).Scan(&due.Ready, &send, &ask)
	due.Send, due.Ask = engine.Time(send), engine.Time(ask)
	return due, failed("read next due", err)
}

// Waiting implements store.Queue.
func (db *DB) Waiting(ctx context.Context, egress route.Egress) (n int64, err error) {
	err = db.workPool.QueryRowContext(ctx, `SELECT count(*) FROM queue WHERE egress = ?`, int32(egress)).Scan(&n)
	return n, failed("count waiting", err)
}

// idColumn scans a message id from its 16 bytes.
type idColumn mail.ID

// Scan implements sql.Scanner.
func (id *idColumn) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(id) {
		return fmt.Errorf("message id of %T", src)
	}
	copy(id[:], b)
	return nil
}
