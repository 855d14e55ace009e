package postgres

import (
	"context"
	"time"

	"postyard/internal/store/engine"
)

// Now implements store.Coordination.
func (db *DB) Now() time.Time { return db.clock.time() }

// Node implements store.Coordination.
func (db *DB) Node() string { return db.node }

// Shared implements store.Coordination.
func (db *DB) Shared() bool { return true }

// Lease implements store.Coordination. It goes by the database's clock alone.
func (db *DB) Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error) {
	n := 0
	err := db.write(ctx, db.work, "take lease", func(t *tx) error {
		t.count(&n, `INSERT INTO lease AS l (name, holder, until) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 microsecond')
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = clock_timestamp() + $3 * interval '1 microsecond'
			WHERE l.holder = excluded.holder OR l.until < clock_timestamp()`, name, holder, length.Microseconds())
		return nil
	})
	return n == 1, err
}

// Release implements store.Coordination.
func (db *DB) Release(ctx context.Context, name, holder string) error {
	return db.write(ctx, db.work, "release lease", func(t *tx) error {
		t.exec(`DELETE FROM lease WHERE name = $1 AND holder = $2`, name, holder)
		return nil
	})
}

// clockStamp is the database's clock in the unit of our times.
const clockStamp = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000`

// Listening implements store.Coordination. It goes by the database's clock alone.
func (db *DB) Listening(ctx context.Context, silence, overlap time.Duration) (gap time.Duration, err error) {
	err = db.write(ctx, db.work, "record listening", func(t *tx) error {
		gap = 0
		var last, now int64
		t.row([]any{&last}, `SELECT listened_at FROM installation FOR UPDATE`)
		t.row([]any{&now}, `SELECT `+clockStamp)
		if err := t.flush(); err != nil {
			return err
		}
		t.exec(`UPDATE installation SET listened_at = greatest(listened_at, $1)`, now)
		if last == 0 || time.Duration(now-last) <= silence {
			return nil
		}
		gap = time.Duration(now - last)
		t.changeConfiguration()
		t.exec(`UPDATE tpsp SET catch_up = $1 WHERE deleted = 0 AND id > 0 AND (catch_up = 0 OR catch_up > $1)`, last-int64(overlap))
		return nil
	})
	return gap, err
}

// CatchUpFrom implements store.Configuration.
func (db *DB) CatchUpFrom(ctx context.Context, tpspID int32, from time.Time) error {
	return db.configure(ctx, "set catch-up", func(t *tx) error {
		return t.touch(`UPDATE tpsp SET catch_up = CASE WHEN catch_up = 0 OR catch_up > $2 THEN $2 ELSE catch_up END WHERE id = $1`,
			tpspID, engine.Stamp(from))
	})
}

// CaughtUp implements store.Configuration.
func (db *DB) CaughtUp(ctx context.Context, tpspID int32, from time.Time) error {
	return db.configure(ctx, "end catch-up", func(t *tx) error {
		t.exec(`UPDATE tpsp SET catch_up = 0 WHERE id = $1 AND catch_up = $2`, tpspID, engine.Stamp(from))
		return nil
	})
}
