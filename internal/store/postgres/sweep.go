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

// takeWaiting locks queue rows that no sender holds, and their messages.
func (t *tx) takeWaiting(sql string, args ...any) (*ledger, []mail.ID, error) {
	l := newLedger()
	var ids []mail.ID
	t.each(func(rows pgx.Rows) error {
		p, err := scanPlace(rows)
		l.places[p.id] = p
		ids = append(ids, p.id)
		return err
	}, sql, args...)
	if err := t.flush(); err != nil || len(ids) == 0 {
		return l, nil, err
	}
	t.lockMessages(l, ids)
	return l, ids, nil
}

// Expire implements store.Queue. Ids sort by time, so the oldest messages are a key range. Rows that somebody holds come next
// time.
func (db *DB) Expire(ctx context.Context, submittedBefore, now time.Time, most int) (n int, err error) {
	last := engine.FirstID(submittedBefore)
	err = db.write(ctx, db.work, "expire", func(t *tx) error {
		t.exec(`DELETE FROM permit WHERE span < $1`, limit.SpanOf(now.Add(-engine.PermitsKept)))
		l, ids, err := t.takeWaiting(`SELECT `+placeColumns+` FROM queue WHERE id < $1 AND status IN (0, 1)
			ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`, uuidOf(last), most)
		if err != nil {
			return err
		}
		if err := t.flush(); err != nil {
			return err
		}
		for _, id := range ids {
			if err := l.dropWaiting(&t.journal, l.places[id], engine.Expired(l.places[id].waiting), now); err != nil {
				return err
			}
		}
		n = len(ids)
		return l.write(t)
	})
	return n, err
}

// dropWaiting drops a message that no sender holds.
func (l *ledger) dropWaiting(j *journal, p *place, reason string, now time.Time) error {
	m := l.messages[p.id]
	if m == nil {
		return nil
	}
	l.leave(p, now)
	dropped, _ := event.TypeOf(event.Native, event.Dropped)
	return m.drop(j, p.egress, p.attempts, dropped, now, &event.Detail{SMTPDescription: reason})
}
