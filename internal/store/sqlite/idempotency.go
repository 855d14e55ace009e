package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// keepAnswers writes the answers of the requests that have a key. One that was kept for long enough gives way.
func (t *tx) keepAnswers(batch []store.Submission) error {
	for _, s := range store.Keyed(batch) {
		created := engine.Stamp(s.SubmittedAt)
		n, err := t.changed(`INSERT INTO idempotency AS k (sub_account_id, key, hash, answer, created) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (sub_account_id, key) DO UPDATE SET hash = excluded.hash, answer = excluded.answer, created = excluded.created
			WHERE k.created <= excluded.created - ?`, s.SubAccountID, s.Keep.Key, s.Keep.Hash[:], s.Keep.Answer, created, int64(store.KeepAnswers))
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrKeyTaken
		}
	}
	return nil
}

// KeptAnswer implements store.Idempotency.
func (db *DB) KeptAnswer(ctx context.Context, subAccountID int32, key string, now time.Time) (*store.KeptAnswer, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	k := &store.KeptAnswer{Key: key}
	var hash []byte
	err := db.readPool.QueryRowContext(ctx, `SELECT hash, answer FROM idempotency WHERE sub_account_id = ? AND key = ? AND created > ?`,
		subAccountID, key, engine.Stamp(now.Add(-store.KeepAnswers))).Scan(&hash, &k.Answer)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	copy(k.Hash[:], hash)
	return k, failed("read kept answer", err)
}

// forgetAnswers removes those that were kept for long enough, some at a time.
func (db *DB) forgetAnswers(ctx context.Context, now time.Time) error {
	for {
		var n int64
		if err := db.write(ctx, rest, func(t *tx) (err error) {
			n, err = t.changed(`DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency WHERE created <= ? LIMIT ?)`,
				engine.Stamp(now.Add(-store.KeepAnswers)), engine.AnswersAtOnce)
			return err
		}); err != nil || n < engine.AnswersAtOnce {
			return err
		}
	}
}
