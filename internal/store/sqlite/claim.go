package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Values of queue.status.
const (
	ready   = 0 // may be claimed
	delayed = 1 // may be claimed from due_at on
	leased  = 2 // claimed for sending
	unknown = 3 // nobody knows whether the provider has it; to be asked for from due_at on
	asking  = 4 // claimed for asking
)

// stateOf translates the status of a queue row.
func stateOf(status int) lifecycle.State {
	switch status {
	case leased:
		return lifecycle.Sending
	case unknown, asking:
		return lifecycle.Unknown
	default:
		return lifecycle.Queued
	}
}

// promotions is how many waiting messages one claim makes ready at most; it keeps the transaction short.
const promotions = 500

// Claim implements store.Queue. The lanes of the egress share the limit: each gets an equal part of what the lanes before
// it left, and the first lane moves on from claim to claim.
func (db *DB) Claim(ctx context.Context, c store.Claim) (jobs []store.Job, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		jobs = nil
		if _, err := t.exec(`UPDATE queue SET status = 0, due_at = 0, waiting = '' WHERE id IN
				(SELECT id FROM queue WHERE egress = ? AND status = 1 AND due_at <= ? ORDER BY due_at LIMIT ?)`,
			int32(c.Egress), stamp(c.Now), promotions); err != nil {
			return err
		}
		lanes, err := t.lanes(c.Egress)
		if err != nil || len(lanes) == 0 {
			return err
		}
		start := int(uint64(c.Now.UnixNano()) % uint64(len(lanes)))
		for i := range lanes {
			share := (c.Limit - len(jobs) + len(lanes) - i - 1) / (len(lanes) - i)
			claimed, err := t.claimLane(c, lanes[(start+i)%len(lanes)], share)
			if err != nil {
				return err
			}
			jobs = append(jobs, claimed...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return db.filled(ctx, jobs)
}

// lanes returns the mailbox providers for which the egress has ready messages, one index probe each.
func (t *tx) lanes(e route.Egress) ([]int, error) {
	var lanes []int
	for last := -1; ; {
		var next int
		found, err := t.one([]any{&next}, `SELECT mailbox FROM queue WHERE egress = ? AND status = 0 AND mailbox > ?
				ORDER BY mailbox LIMIT 1`, int32(e), last)
		if err != nil || !found {
			return lanes, err
		}
		lanes = append(lanes, next)
		last = next
	}
}

// claimLane takes the first messages of a lane and opens an attempt for each.
func (t *tx) claimLane(c store.Claim, lane, limit int) ([]store.Job, error) {
	if limit <= 0 {
		return nil, nil
	}
	jobs, err := each(t, func(rows *sql.Rows) (j store.Job, err error) {
		err = rows.Scan((*idColumn)(&j.ID), &j.Attempt, &j.Failures)
		return j, err
	}, `UPDATE queue SET status = 2, lease_owner = ?, lease_until = ?, attempts = attempts + 1, due_at = 0, waiting = ''
		WHERE id IN (SELECT id FROM queue WHERE egress = ? AND status = 0 AND mailbox = ? ORDER BY priority, rank LIMIT ?)
		RETURNING id, attempts, failures`,
		c.Owner, stamp(c.LeaseUntil), int32(c.Egress), lane, limit)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		j := &jobs[i]
		j.Egress, j.SentAt = c.Egress, c.Now
		if _, err := t.exec(`INSERT INTO attempt (message_id, n, egress, began) VALUES (?, ?, ?, ?)`,
			j.ID[:], j.Attempt, int32(c.Egress), stamp(c.Now)); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// ClaimUnknown implements store.Queue.
func (db *DB) ClaimUnknown(ctx context.Context, c store.Claim) (jobs []store.Job, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		jobs, err = each(t, func(rows *sql.Rows) (j store.Job, err error) {
			var since int64
			err = rows.Scan((*idColumn)(&j.ID), &j.Attempt, &j.Failures, &j.Asks, &since)
			j.UnknownSince = unstamp(since)
			return j, err
		}, `UPDATE queue SET status = 4, lease_owner = ?, lease_until = ?
			WHERE id IN (SELECT id FROM queue WHERE egress = ? AND status = 3 AND due_at <= ? ORDER BY due_at LIMIT ?)
			RETURNING id, attempts, failures, asks, unknown_since`,
			c.Owner, stamp(c.LeaseUntil), int32(c.Egress), stamp(c.Now), c.Limit)
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
			j.Egress, j.SentAt = c.Egress, unstamp(began)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return db.filled(ctx, jobs)
}

// filled reads the messages of claimed jobs. It does so after the claim, on a reading connection: what it reads does not
// change while the claim lasts, and the writer has better things to do. When it fails, the claims end at once, and Recover
// takes them over.
func (db *DB) filled(ctx context.Context, jobs []store.Job) ([]store.Job, error) {
	err := db.fill(ctx, jobs)
	if err == nil {
		return jobs, nil
	}
	return nil, errors.Join(err, db.write(context.WithoutCancel(ctx), rest, func(t *tx) error {
		for i := range jobs {
			if _, err := t.exec(`UPDATE queue SET lease_until = 0 WHERE id = ?`, jobs[i].ID[:]); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (db *DB) fill(ctx context.Context, jobs []store.Job) error {
	if len(jobs) == 0 {
		return nil
	}
	byID := make(map[mail.ID]*store.Job, len(jobs))
	ids := make([]any, len(jobs))
	for i := range jobs {
		byID[jobs[i].ID] = &jobs[i]
		ids[i] = jobs[i].ID[:]
	}
	rows, err := db.readPool.QueryContext(ctx, `SELECT m.id, m.account_id, m.sub_account_id, m.mailbox, m.recipient, m.plan, m.submitted_at,
			m.content_id, c.body FROM message m JOIN content c ON c.id = m.content_id WHERE m.id IN (`+marks(len(ids))+`)`, ids...)
	if err != nil {
		return failed("read claimed messages", err)
	}
	contents := map[int64]*mail.Content{}
	filled, err := collect(rows, func(rows *sql.Rows) (struct{}, error) { return struct{}{}, fillOne(rows, byID, contents) })
	if err == nil && len(filled) != len(jobs) {
		err = fmt.Errorf("claimed messages: %w", store.ErrNotFound)
	}
	return err
}

// fillOne reads one message into its job, and each content once.
func fillOne(rows *sql.Rows, byID map[mail.ID]*store.Job, contents map[int64]*mail.Content) error {
	var id mail.ID
	var m store.Job
	var class int
	var submitted, contentID int64
	var recipient, plan, body sql.RawBytes
	err := rows.Scan((*idColumn)(&id), &m.AccountID, &m.SubAccountID, &class, &recipient, &plan, &submitted, &contentID, &body)
	if err != nil {
		return err
	}
	j := byID[id]
	j.AccountID, j.SubAccountID, j.SubmittedAt = m.AccountID, m.SubAccountID, unstamp(submitted)
	if j.Mailbox, err = mailbox.ByID(class); err != nil {
		return fmt.Errorf("message %s: %w", id, err)
	}
	if err := json.Unmarshal(recipient, &j.Recipient); err != nil {
		return fmt.Errorf("decode recipient of %s: %w", id, err)
	}
	if err := json.Unmarshal(plan, &j.Plan); err != nil {
		return fmt.Errorf("decode plan of %s: %w", id, err)
	}
	if j.Content = contents[contentID]; j.Content == nil {
		if j.Content, err = decodeContent(body); err != nil {
			return fmt.Errorf("message %s: %w", id, err)
		}
		contents[contentID] = j.Content
	}
	return nil
}

func decodeContent(body []byte) (*mail.Content, error) {
	c := &mail.Content{}
	if err := json.Unmarshal(body, c); err != nil {
		return nil, fmt.Errorf("decode content: %w", err)
	}
	return c, nil
}

// NextDue implements store.Queue.
func (db *DB) NextDue(ctx context.Context, egress route.Egress) (due store.Due, err error) {
	var send, ask int64
	err = db.readPool.QueryRowContext(ctx, `SELECT
			EXISTS (SELECT 1 FROM queue WHERE egress = ?1 AND status = 0),
			coalesce((SELECT max(min(due_at), 1) FROM queue WHERE egress = ?1 AND status = 1), 0),
			coalesce((SELECT max(min(due_at), 1) FROM queue WHERE egress = ?1 AND status = 3), 0)`,
		int32(egress)).Scan(&due.Ready, &send, &ask)
	due.Send, due.Ask = unstamp(send), unstamp(ask)
	return due, failed("read next due", err)
}

// Waiting implements store.Queue.
func (db *DB) Waiting(ctx context.Context, egress route.Egress) (n int64, err error) {
	err = db.readPool.QueryRowContext(ctx, `SELECT
			(SELECT count(*) FROM queue WHERE egress = ?1 AND status = 0) +
			(SELECT count(*) FROM queue WHERE egress = ?1 AND status IN (1, 3))`, int32(egress)).Scan(&n)
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
