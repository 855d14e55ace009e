package sqlite

import (
	"context"
	"sync"
	"time"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// onlyNode is this process's name: the lock on the data directory keeps others out.
const onlyNode = "single"

// leases are held in memory: nobody but this process could hold one.
type leases struct {
	mu   sync.Mutex
	held map[string]lease
}

type lease struct {
	holder string
	until  time.Time
}

// Now implements store.Coordination.
func (db *DB) Now() time.Time { return time.Now() }

// Node implements store.Coordination.
func (db *DB) Node() string { return onlyNode }

// Shared implements store.Coordination.
func (db *DB) Shared() bool { return false }

// Lease implements store.Coordination.
func (db *DB) Lease(_ context.Context, name, holder string, length time.Duration) (bool, error) {
	db.leases.mu.Lock()
	defer db.leases.mu.Unlock()
	now := db.Now()
	if l, ok := db.leases.held[name]; ok && l.holder != holder && now.Before(l.until) {
		return false, nil
	}
	if db.leases.held == nil {
		db.leases.held = map[string]lease{}
	}
	db.leases.held[name] = lease{holder, now.Add(length)}
	return true, nil
}

// Release implements store.Coordination.
func (db *DB) Release(_ context.Context, name, holder string) error {
	db.leases.mu.Lock()
	defer db.leases.mu.Unlock()
	if db.leases.held[name].holder == holder {
		delete(db.leases.held, name)
	}
	return nil
}

// Listening implements store.Coordination.
func (db *DB) Listening(ctx context.Context, silence, overlap time.Duration) (gap time.Duration, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		gap = 0
		now := db.Now()
		var last int64
		if _, err := t.one([]any{&last}, `SELECT listened_at FROM installation`); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE installation SET listened_at = ?`, engine.Stamp(now)); err != nil {
			return err
		}
		if last == 0 || now.Sub(engine.Time(last)) <= silence {
			return nil
		}
		gap = now.Sub(engine.Time(last))
		return t.catchUpAll(engine.Time(last).Add(-overlap))
	})
	return gap, err
}

// setCatchUp begins the statement that sets a time to catch up from; an earlier one that is set stays.
const setCatchUp = `UPDATE tpsp SET catch_up = CASE catch_up WHEN 0 THEN ?1 ELSE min(catch_up, ?1) END`

// catchUpAll has every TPSP in use caught up with, from a time on or an earlier one that is set.
func (t *tx) catchUpAll(from time.Time) error {
	_, err := t.exec(setCatchUp+` WHERE deleted = 0 AND id > 0`, engine.Stamp(from))
	return err
}

var _ store.Coordination = (*DB)(nil)
