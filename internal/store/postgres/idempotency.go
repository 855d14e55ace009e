package postgres

import (
	"context"
	"time"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// keepAnswers writes the answers of the requests that have a key. One that was kept for long enough gives way. What another node writes
// under the same key is waited for; taken tells, after the next flush, whether there was one.
func (t *tx) keepAnswers(batch []store.Submission) (taken func() error, err error) {
	list := store.Keyed(batch)
	if len(list) == 0 {
		return func() error { return nil }, nil
	}
	for i, s := range list[1:] {
		if s.SubAccountID == list[i].SubAccountID && s.Keep.Key == list[i].Keep.Key {
			return nil, store.ErrKeyTaken
		}
	}
	var n int
	t.count(&n, `INSERT INTO idempotency AS k (sub_account_id, key, hash, answer, created)
		SELECT * FROM unnest($1::int[], $2::text[], $3::bytea[], $4::bytea[], $5::bigint[])
		ON CONFLICT (sub_account_id, key) DO UPDATE SET hash = excluded.hash, answer = excluded.answer, created = excluded.created
		WHERE k.created <= excluded.created - $6`,
		column(list, func(s **store.Submission) int32 { return (*s).SubAccountID }),
		column(list, func(s **store.Submission) string { return (*s).Keep.Key }),
		column(list, func(s **store.Submission) []byte { return (*s).Keep.Hash[:] }),
		column(list, func(s **store.Submission) []byte { return notNil((*s).Keep.Answer) }),
		column(list, func(s **store.Submission) int64 { return engine.Stamp((*s).SubmittedAt) }), int64(store.KeepAnswers))
	return func() error {
		if n < len(list) {
			return store.ErrKeyTaken
		}
		return nil
	}, nil
}

// KeptAnswer implements store.Idempotency.
func (db *DB) KeptAnswer(ctx context.Context, subAccountID int32, key string, now time.Time) (*store.KeptAnswer, error) {
	k := &store.KeptAnswer{Key: key}
	var hash []byte
	found, err := one(ctx, db.front, "read kept answer", []any{&hash, &k.Answer},
		`SELECT hash, answer FROM idempotency WHERE sub_account_id = $1 AND key = $2 AND created > $3`,
		subAccountID, key, engine.Stamp(now.Add(-store.KeepAnswers)))
	if err != nil || !found {
		return nil, err
	}
	copy(k.Hash[:], hash)
	return k, nil
}

// forgetAnswers removes those that were kept for long enough, some at a time.
func (db *DB) forgetAnswers(ctx context.Context, now time.Time) error {
	for {
		var n int
		if err := db.write(ctx, db.work, "forget answers", func(t *tx) error {
			t.count(&n, `DELETE FROM idempotency WHERE (sub_account_id, key) IN (SELECT sub_account_id, key FROM idempotency WHERE created <= $1
				LIMIT $2 FOR UPDATE SKIP LOCKED)`, engine.Stamp(now.Add(-store.KeepAnswers)), engine.AnswersAtOnce)
			return nil
		}); err != nil || n < engine.AnswersAtOnce {
			return err
		}
	}
}
