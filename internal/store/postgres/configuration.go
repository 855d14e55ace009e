package postgres

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"

	"github.com/jackc/pgx/v5"
)

// configure runs a transaction that changes what the directory holds. Such transactions run one after another.
func (db *DB) configure(ctx context.Context, op string, run func(*tx) error) error {
	return db.write(ctx, db.work, op, func(t *tx) error {
		t.changeConfiguration()
		return run(t)
	})
}

// changeConfiguration tells the other nodes that their directories are old, after the commit.
func (t *tx) changeConfiguration() { t.exec(`UPDATE installation SET revision = revision + 1`) }

// touch runs a statement that has to find its row.
func (t *tx) touch(sql string, args ...any) error {
	var n int
	t.count(&n, sql, args...)
	if err := t.flush(); err != nil {
		return conflicted(err)
	}
	if n == 0 {
		return store.ErrNotFound
	}
	return nil
}

// insert runs an INSERT that returns the new row's id.
func (t *tx) insert(sql string, args ...any) (id int32, err error) {
	t.row([]any{&id}, sql, args...)
	return id, conflicted(t.flush())
}

// conflicted turns a broken UNIQUE rule into store.ErrConflict.
func conflicted(err error) error {
	if hasCode(err, uniqueViolation) {
		return store.ErrConflict
	}
	return err
}

// KeyCheck implements store.Configuration.
func (db *DB) KeyCheck(ctx context.Context) (sealed []byte, err error) {
	_, err = one(ctx, db.work, "read key check", []any{&sealed}, `SELECT key_check FROM installation`)
	return sealed, err
}

// SetKeyCheck implements store.Configuration.
func (db *DB) SetKeyCheck(ctx context.Context, sealed []byte) error {
	return db.write(ctx, db.work, "set key check", func(t *tx) error {
		t.exec(`UPDATE installation SET key_check = $1 WHERE key_check = ''`, notNil(sealed))
		return nil
	})
}

// CreateAccount implements store.Configuration.
func (db *DB) CreateAccount(ctx context.Context, a *directory.Account, s *directory.SubAccount) error {
	return db.configure(ctx, "create account", func(t *tx) error {
		id, err := t.insert(`INSERT INTO account (name, key_hash, sealed_key, created) VALUES ($1, $2, $3, $4) RETURNING id`,
			text(a.Name), a.KeyHash[:], notNil(a.SealedKey), engine.Stamp(a.Created))
		if err != nil {
			return err
		}
		a.ID, s.AccountID = id, id
		return t.createSubAccount(s)
	})
}

// CreateSubAccount implements store.Configuration.
func (db *DB) CreateSubAccount(ctx context.Context, s *directory.SubAccount) error {
	return db.configure(ctx, "create sub-account", func(t *tx) error { return t.createSubAccount(s) })
}

func (t *tx) createSubAccount(s *directory.SubAccount) error {
	id, err := t.insert(`INSERT INTO sub_account (account_id, name, is_default, key_hash, sealed_key, created)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		s.AccountID, text(s.Name), s.Default, s.KeyHash[:], notNil(s.SealedKey), engine.Stamp(s.Created))
	if err != nil {
		return err
	}
	s.ID = id
	return nil
}

// RenameSubAccount implements store.Configuration.
func (db *DB) RenameSubAccount(ctx context.Context, accountID, id int32, name string) error {
	return db.configure(ctx, "rename sub-account", func(t *tx) error {
		return t.touch(`UPDATE sub_account SET name = $3 WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, id, text(name))
	})
}

// DeleteSubAccount implements store.Configuration.
func (db *DB) DeleteSubAccount(ctx context.Context, accountID, id int32, now time.Time) error {
	return db.configure(ctx, "delete sub-account", func(t *tx) error {
		return t.touch(`UPDATE sub_account SET deleted = $3 WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, id, engine.Stamp(now))
	})
}

// CreateTPSP implements store.Configuration.
func (db *DB) CreateTPSP(ctx context.Context, p *directory.TPSP, pool *route.Pool) error {
	base := pool.Name
	return db.configure(ctx, "create provider", func(t *tx) error {
		w := p.Webhook
		id, err := t.insert(`INSERT INTO tpsp (account_id, name, type, endpoint, sealed_key, key_hash, stream, policy,
				hook_state, hook_ref, hook_username, hook_sealed_password, hook_error, hook_tries, hook_next_try, created)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING id`,
			p.AccountID, text(p.Name), int32(p.Type), text(p.Endpoint), notNil(p.SealedKey), p.KeyHash[:], text(p.Stream), int16(p.Policy),
			string(w.State), text(w.Ref), text(w.Username), notNil(w.SealedPassword), text(w.Error), int32(w.Tries), engine.Stamp(w.NextTry),
			engine.Stamp(p.Created))
		if err != nil {
			return err
		}
		p.ID, pool.AutoTPSP = id, id
		pool.AccountID, pool.Members = p.AccountID, []route.Egress{route.TPSP(id)}
		return t.createPool(pool, base)
	})
}

// createPool stores a pool under the first free name of base, base-2, base-3, ...
func (t *tx) createPool(pool *route.Pool, base string) error {
	pool.Name = base
	for n := 2; ; n++ {
		var taken bool
		t.row([]any{&taken}, `SELECT EXISTS (SELECT FROM pool WHERE account_id = $1 AND name = $2)`, pool.AccountID, text(pool.Name))
		if err := t.flush(); err != nil {
			return err
		}
		if !taken {
			break
		}
		pool.Name = fmt.Sprintf("%s-%d", base, n)
	}
	id, err := t.insert(`INSERT INTO pool (account_id, name, strategy, routing_metadata, warmup_interval, auto_tpsp, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`, pool.AccountID, text(pool.Name), int32(pool.Strategy), text(pool.RoutingMetaData),
		int32(pool.WarmupInterval), pool.AutoTPSP, engine.Stamp(pool.Created))
	if err != nil {
		return err
	}
	pool.ID = id
	for i, e := range pool.Members {
		t.exec(`INSERT INTO pool_member (pool_id, position, egress) VALUES ($1, $2, $3)`, id, int32(i), int32(e))
	}
	return nil
}

// UpdateTPSP implements store.Configuration.
func (db *DB) UpdateTPSP(ctx context.Context, accountID, id int32, name string, policy directory.Policy) error {
	return db.configure(ctx, "update provider", func(t *tx) error {
		return t.touch(`UPDATE tpsp SET name = $3, policy = $4 WHERE account_id = $1 AND id = $2 AND deleted = 0`,
			accountID, id, text(name), int16(policy))
	})
}

// UpdateWebhook implements store.Configuration.
func (db *DB) UpdateWebhook(ctx context.Context, tpspID int32, w directory.Webhook) error {
	return db.configure(ctx, "update webhook", func(t *tx) error {
		return t.touch(`UPDATE tpsp SET hook_state = $2, hook_ref = $3, hook_username = $4, hook_sealed_password = $5,
				hook_error = $6, hook_tries = $7, hook_next_try = $8 WHERE id = $1`,
			tpspID, string(w.State), text(w.Ref), text(w.Username), notNil(w.SealedPassword), text(w.Error), int32(w.Tries), engine.Stamp(w.NextTry))
	})
}

// UpdateHealth implements store.Configuration.
func (db *DB) UpdateHealth(ctx context.Context, tpspID int32, h directory.Health) error {
	return db.configure(ctx, "update health", func(t *tx) error {
		return t.touch(`UPDATE tpsp SET stopped = $2, stop_reason = $3, stopped_since = $4 WHERE id = $1`,
			tpspID, h.Stopped, text(h.Reason), engine.Stamp(h.Since))
	})
}

// DeleteTPSP implements store.Configuration. Whoever accepts messages for the TPSP holds its row, so none slips through
// between the look into the queue and the commit.
func (db *DB) DeleteTPSP(ctx context.Context, accountID, id int32, force bool, now time.Time) error {
	egress := int32(route.TPSP(id))
	return db.configure(ctx, "delete provider", func(t *tx) error {
		t.exec(`SELECT FROM pool WHERE auto_tpsp = $1 OR id IN (SELECT pool_id FROM pool_member WHERE egress = $1) ORDER BY id FOR UPDATE`, egress)
		t.exec(`SELECT FROM tpsp WHERE id = $1 FOR UPDATE`, id)
		if err := t.touch(`UPDATE tpsp SET deleted = $3 WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, id, engine.Stamp(now)); err != nil {
			return err
		}
		var pending bool
		t.row([]any{&pending}, `SELECT EXISTS (SELECT FROM queue WHERE egress = $1 AND status = 0)
			OR EXISTS (SELECT FROM queue WHERE egress = $1 AND status IN (1, 3)) OR EXISTS (SELECT FROM queue WHERE egress = $1 AND status IN (2, 4))`, egress)
		if err := t.flush(); err != nil {
			return err
		}
		if pending && !force {
			return store.ErrConflict
		}
		t.exec(`DELETE FROM pool_member WHERE egress = $1`, egress)
		t.exec(`DELETE FROM pool WHERE auto_tpsp = $1 AND NOT EXISTS (SELECT FROM pool_member WHERE pool_id = pool.id)`, egress)
		return nil
	})
}

// Awaiting implements store.Configuration. Ids sort by time, so the span is a key range.
func (db *DB) Awaiting(ctx context.Context, egress route.Egress, from, before time.Time, after mail.ID, limit int) (list []store.Awaited, last mail.ID, err error) {
	first, end := engine.FirstID(from), engine.FirstID(before)
	if bytes.Compare(after[:], first[:]) > 0 {
		first = after
	}
	err = read(ctx, db.work, "read awaited messages", func(ctx context.Context, conn *pgx.Conn) error {
		list, last = nil, mail.ID{}
		rows, err := conn.Query(ctx, awaitingQuery, uuidOf(first), uuidOf(end), limit, int32(egress))
		if err != nil {
			return err
		}
		return scanAll(rows, func(rows pgx.Rows) error {
			var a store.Awaited
			var awaits bool
			err := rows.Scan(idInto(&a.ID), &a.AccountID, &a.ProviderID, &a.To, &awaits)
			if last = a.ID; awaits {
				list = append(list, a)
			}
			return err
		})
	})
	return list, last, err
}

// awaitingQuery also returns the last message of the range that it looked at, whether that awaits anything or not.
const awaitingQuery = `WITH few AS MATERIALIZED (SELECT id, account_id, provider_id, to_addr, state = 3 AND egress = $4 AS awaits
		FROM message WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3)
	SELECT * FROM few WHERE awaits OR id = (SELECT id FROM few ORDER BY id DESC LIMIT 1) ORDER BY id`

// notNil keeps an empty blob from becoming NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
