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
			if err := t.endAttempts(id, provider.Ambiguous, store.ReasonStopped, r.Now); err != nil {
				return err
			}
			n += int(changed)
		}
		return nil
	})
	return n, err
}

func scanID(rows *sql.Rows) (id mail.ID, err error) {
	err = rows.Scan((*idColumn)(&id))
	return id, err
}

// waiting is a queue row that no sender holds.
type waiting struct {
	id       mail.ID
	attempts int
	egress   route.Egress
	reason   string
}

func scanWaiting(rows *sql.Rows) (w waiting, err error) {
	err = rows.Scan((*idColumn)(&w.id), &w.attempts, &w.egress, &w.reason)
	return w, err
}

// Expire implements store.Queue. Ids sort by time, so the oldest messages are a key range.
func (db *DB) Expire(ctx context.Context, submittedBefore, now time.Time, most int) (n int, err error) {
	last := engine.FirstID(submittedBefore)
	err = db.write(ctx, rest, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM permit WHERE span < ?`, limit.SpanOf(now.Add(-engine.PermitsKept))); err != nil {
			return err
		}
		old, err := each(t, scanWaiting, `SELECT id, attempts, egress, waiting FROM queue WHERE id < ? AND status IN (0, 1)
				ORDER BY id LIMIT ?`, last[:], most)
		if err != nil {
			return err
		}
		for _, w := range old {
			if err := t.dropWaiting(db, w, engine.Expired(w.reason), now); err != nil {
				return err
			}
		}
		n = len(old)
		return nil
	})
	return n, err
}

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
