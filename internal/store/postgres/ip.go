package postgres

import (
	"context"

	"postyard/internal/directory"
	"postyard/internal/store/engine"
)

// AllocateIPs implements store.IPs.
func (db *DB) AllocateIPs(ctx context.Context, list []*directory.TPSP) error {
	return db.configure(ctx, "allocate IPs", func(t *tx) error {
		var least int32
		t.row([]any{&least}, `SELECT least(0, coalesce(min(id), 0)) FROM tpsp`)
		if err := t.flush(); err != nil {
			return err
		}
		for i, p := range list {
			p.ID = least - int32(i) - 1
			t.exec(`INSERT INTO tpsp (id, account_id, name, type, endpoint, sealed_key, key_hash, stream, hook_state, hook_ref, hook_username,
					hook_sealed_password, hook_error, hook_tries, hook_next_try, created, auto_warmup)
				OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, '', '', $5, '', '', '', '', '', '', 0, 0, $6, $7)`,
				p.ID, p.AccountID, text(p.Name), int32(p.Type), p.KeyHash[:], engine.Stamp(p.Created), p.AutoWarmup)
		}
		return conflicted(t.flush())
	})
}
