package sqlite

import (
	"context"
	"database/sql"
	"time"

	"postyard/internal/directory"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// MoveTPSP implements store.Hooks.
func (db *DB) MoveTPSP(ctx context.Context, p *directory.TPSP, past *directory.PastHook, catchUp time.Time) error {
	probes, paused, err := engine.PackWebhook(&p.Webhook)
	if err != nil {
		return err
	}
	return db.write(ctx, rest, func(t *tx) error {
		if err := t.updateTPSP(p); err != nil {
			return err
		}
		w := &p.Webhook
		if _, err := t.exec(`UPDATE tpsp SET domain = ?, endpoint = ?, port = ?, sealed_key = ?, sealed_secret = ?, key_hash = ?, stream = ?,
				hook_state = ?, hook_ref = ?, hook_username = ?, hook_sealed_password = ?, hook_error = ?, hook_tries = ?, hook_next_try = ?,
				server = ?, hook_probes = ?, hook_paused = ?, stopped = 0, stop_reason = '', stopped_since = 0, probe_at = 0, probe_wait = 0 WHERE id = ?`,
			p.Domain, p.Endpoint, p.Port, p.SealedKey, notNil(p.Secret), p.KeyHash[:], p.Stream,
			string(w.State), w.Ref, w.Username, notNil(w.SealedPassword), w.Error, w.Tries, engine.Stamp(w.NextTry),
			w.Server, probes, paused, p.ID); isUnique(err) {
			return store.ErrConflict
		} else if err != nil {
			return err
		}
		for _, query := range []string{
			`DELETE FROM refused_sender WHERE tpsp_id = ?`,
			`UPDATE template_mirror SET synced_at = 0, revision = revision + 1 WHERE tpsp_id = ?`,
		} {
			if _, err := t.exec(query, p.ID); err != nil {
				return err
			}
		}
		if past == nil {
			return nil
		}
		return t.retire(p.ID, past, catchUp)
	})
}

// retire keeps a connection that was replaced, and forgets those that are long over.
func (t *tx) retire(tpspID int32, p *directory.PastHook, catchUp time.Time) error {
	if _, err := t.exec(`DELETE FROM past_hook WHERE tpsp_id = ? AND removed <> 0 AND next_try = 0 AND switched < ?`,
		tpspID, engine.Stamp(p.Switched.Add(-store.KeepPast))); err != nil {
		return err
	}
	if _, err := t.exec(setCatchUp+` WHERE id = ?2`, engine.Stamp(catchUp), tpspID); err != nil {
		return err
	}
	res, err := t.exec(`INSERT INTO past_hook (tpsp_id, domain, endpoint, port, sealed_key, sealed_secret, stream, server, ref, username, sealed_password,
			switched, removed, valid_until, error, tries, next_try) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		tpspID, p.Domain, p.Endpoint, p.Port, notNil(p.SealedKey), notNil(p.Secret), p.Stream, p.Server, p.Ref, p.Username, notNil(p.SealedPassword),
		engine.Stamp(p.Switched), engine.Stamp(p.Removed), engine.Stamp(p.ValidUntil), p.Error, p.Tries, engine.Stamp(p.NextTry))
	if err != nil {
		return err
	}
	p.TPSPID = tpspID
	p.ID, err = res.LastInsertId()
	return err
}

// UpdatePastHook implements store.Hooks.
func (db *DB) UpdatePastHook(ctx context.Context, p *directory.PastHook) error {
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(`UPDATE past_hook SET removed = ?, valid_until = ?, error = ?, tries = ?, next_try = ? WHERE id = ?`,
			engine.Stamp(p.Removed), engine.Stamp(p.ValidUntil), p.Error, p.Tries, engine.Stamp(p.NextTry), p.ID))
	})
}

// readPast returns the connections that a TPSP had.
func readPast(ctx context.Context, from *sql.Tx, tpspID int32) ([]directory.PastHook, error) {
	return read(ctx, from, func(rows *sql.Rows) (p directory.PastHook, err error) {
		var switched, removed, until, next int64
		err = rows.Scan(&p.ID, &p.Domain, &p.Endpoint, &p.Port, &p.SealedKey, &p.Secret, &p.Stream, &p.Server, &p.Ref, &p.Username, &p.SealedPassword,
			&switched, &removed, &until, &p.Error, &p.Tries, &next)
		p.TPSPID, p.Switched, p.Removed, p.ValidUntil, p.NextTry = tpspID, engine.Time(switched), engine.Time(removed), engine.Time(until), engine.Time(next)
		return p, err
	}, `SELECT id, domain, endpoint, port, sealed_key, sealed_secret, stream, server, ref, username, sealed_password,
		switched, removed, valid_until, error, tries, next_try FROM past_hook WHERE tpsp_id = ? ORDER BY id`, tpspID)
}
