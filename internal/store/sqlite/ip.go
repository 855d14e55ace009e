package sqlite

import (
	"context"

	"postyard/internal/directory"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// AllocateIPs implements store.IPs.
func (db *DB) AllocateIPs(ctx context.Context, list []*directory.TPSP) error {
	return db.write(ctx, rest, func(t *tx) error {
		var least int32
		if _, err := t.one([]any{&least}, `SELECT min(0, coalesce(min(id), 0)) FROM tpsp`); err != nil {
			return err
		}
		for i, p := range list {
			p.ID = least - int32(i) - 1
			_, err := t.exec(`INSERT INTO tpsp (id, account_id, name, type, endpoint, sealed_key, key_hash, stream, hook_state, hook_ref, hook_username,
					hook_sealed_password, hook_error, hook_tries, hook_next_try, stopped, stop_reason, stopped_since, created, auto_warmup)
				VALUES (?, ?, ?, ?, '', x'', ?, '', '', '', '', x'', '', 0, 0, 0, '', 0, ?, ?)`,
				p.ID, p.AccountID, p.Name, int(p.Type), p.KeyHash[:], engine.Stamp(p.Created), p.AutoWarmup)
			if isUnique(err) {
				return store.ErrConflict
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
