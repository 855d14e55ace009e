package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

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
	return db.configure(ctx, "move provider", func(t *tx) error {
		if err := t.updateTPSP(p); err != nil {
			return err
		}
		w := &p.Webhook
		t.exec(`UPDATE tpsp SET domain = $2, endpoint = $3, port = $4, sealed_key = $5, sealed_secret = $6, key_hash = $7, stream = $8,
				hook_state = $9, hook_ref = $10, hook_username = $11, hook_sealed_password = $12, hook_error = $13, hook_tries = $14, hook_next_try = $15,
				server = $16, hook_probes = $17, hook_paused = $18,
				stopped = false, stop_reason = '', stopped_since = 0, probe_at = 0, probe_wait = 0 WHERE id = $1`,
			p.ID, text(p.Domain), text(p.Endpoint), int32(p.Port), notNil(p.SealedKey), notNil(p.Secret), p.KeyHash[:], text(p.Stream),
			string(w.State), text(w.Ref), text(w.Username), notNil(w.SealedPassword), text(w.Error), int32(w.Tries), engine.Stamp(w.NextTry),
			text(w.Server), probes, paused)
		if err := conflicted(t.flush()); err != nil {
			return err
		}
		t.exec(`DELETE FROM refused_sender WHERE tpsp_id = $1`, p.ID)
		t.exec(`UPDATE template_mirror SET synced_at = 0, revision = revision + 1 WHERE tpsp_id = $1`, p.ID)
		if past == nil {
			return nil
		}
		return t.retire(p.ID, past, catchUp)
	})
}

// retire keeps a connection that was replaced, and forgets those that are long over.
func (t *tx) retire(tpspID int32, p *directory.PastHook, catchUp time.Time) error {
	t.exec(`DELETE FROM past_hook WHERE tpsp_id = $1 AND removed <> 0 AND next_try = 0 AND switched < $2`,
		tpspID, engine.Stamp(p.Switched.Add(-store.KeepPast)))
	t.exec(`UPDATE tpsp SET catch_up = CASE WHEN catch_up = 0 OR catch_up > $2 THEN $2 ELSE catch_up END WHERE id = $1`, tpspID, engine.Stamp(catchUp))
	p.TPSPID = tpspID
	t.row([]any{&p.ID}, `INSERT INTO past_hook (tpsp_id, domain, endpoint, port, sealed_key, sealed_secret, stream, server, ref, username, sealed_password,
			switched, removed, valid_until, error, tries, next_try)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING id`,
		tpspID, text(p.Domain), text(p.Endpoint), int32(p.Port), notNil(p.SealedKey), notNil(p.Secret), text(p.Stream), text(p.Server), text(p.Ref),
		text(p.Username), notNil(p.SealedPassword), engine.Stamp(p.Switched), engine.Stamp(p.Removed), engine.Stamp(p.ValidUntil), text(p.Error),
		int32(p.Tries), engine.Stamp(p.NextTry))
	return t.flush()
}

// UpdatePastHook implements store.Hooks.
func (db *DB) UpdatePastHook(ctx context.Context, p *directory.PastHook) error {
	return db.configure(ctx, "update past webhook", func(t *tx) error {
		return t.touch(`UPDATE past_hook SET removed = $2, valid_until = $3, error = $4, tries = $5, next_try = $6 WHERE id = $1`,
			p.ID, engine.Stamp(p.Removed), engine.Stamp(p.ValidUntil), text(p.Error), int32(p.Tries), engine.Stamp(p.NextTry))
	})
}

const pastColumns = `tpsp_id, id, domain, endpoint, port, sealed_key, sealed_secret, stream, server, ref, username, sealed_password,
	switched, removed, valid_until, error, tries, next_try`

// scanPast adds a connection that a TPSP had to it.
func scanPast(rows pgx.Rows, list []directory.TPSP) error {
	var p directory.PastHook
	var switched, removed, until, next int64
	if err := rows.Scan(&p.TPSPID, &p.ID, &p.Domain, &p.Endpoint, &p.Port, &p.SealedKey, &p.Secret, &p.Stream, &p.Server, &p.Ref, &p.Username,
		&p.SealedPassword, &switched, &removed, &until, &p.Error, &p.Tries, &next); err != nil {
		return err
	}
	p.Switched, p.Removed, p.ValidUntil, p.NextTry = engine.Time(switched), engine.Time(removed), engine.Time(until), engine.Time(next)
	of, err := withID(list, p.TPSPID)
	if err == nil {
		of.Past = append(of.Past, p)
	}
	return err
}
