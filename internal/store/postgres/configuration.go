package postgres

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"postyard/internal/directory"
	"postyard/internal/limit"
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
		var children int
		t.row([]any{&children}, `SELECT count(*)::int FROM sub_account WHERE account_id = $1 AND deleted = 0 AND path[1] = $2`, accountID, id)
		if err := t.flush(); err != nil {
			return err
		}
		if children > 0 {
			return store.ErrHasChildren
		}
		return t.touch(`UPDATE sub_account SET deleted = $3 WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, id, engine.Stamp(now))
	})
}

// CreateTPSP implements store.Configuration.
func (db *DB) CreateTPSP(ctx context.Context, p *directory.TPSP, pool *route.Pool) error {
	base := pool.Name
	return db.configure(ctx, "create provider", func(t *tx) error {
		w := p.Webhook
		id, err := t.insert(`INSERT INTO tpsp (account_id, name, type, domain, endpoint, port, sealed_key, sealed_secret, key_hash, stream, policy,
				allow_raw, paused, per_hour, hook_state, hook_ref, hook_username, hook_sealed_password, hook_error, hook_tries, hook_next_try, created, server,
				suppression_sync)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24) RETURNING id`,
			p.AccountID, text(p.Name), int32(p.Type), text(p.Domain), text(p.Endpoint), int32(p.Port), notNil(p.SealedKey), notNil(p.Secret),
			p.KeyHash[:], text(p.Stream), int16(p.Policy), p.AllowRaw, p.Paused, int32(p.Limits.PerHour),
			string(w.State), text(w.Ref), text(w.Username), notNil(w.SealedPassword), text(w.Error), int32(w.Tries), engine.Stamp(w.NextTry),
			engine.Stamp(p.Created), text(w.Server), int16(p.SuppressionSync))
		if err != nil {
			return err
		}
		t.setLimits(id, p.Limits)
		p.ID, pool.AutoTPSP = id, id
		pool.AccountID, pool.Members = p.AccountID, []route.Egress{route.TPSP(id)}
		return t.createAutoPool(pool, base)
	})
}

// createAutoPool stores a pool under the first free name of base, base-2, base-3, ...
func (t *tx) createAutoPool(pool *route.Pool, base string) error {
	pool.Name = base
	for n := 2; ; n++ {
		var taken bool
		t.row([]any{&taken}, `SELECT EXISTS (SELECT FROM pool WHERE account_id = $1 AND name = $2)`, pool.AccountID, text(pool.Name))
		if err := t.flush(); err != nil {
			return err
		}
		if !taken {
			return t.createPool(pool)
		}
		pool.Name = fmt.Sprintf("%s-%d", base, n)
	}
}

// CreatePool implements store.Configuration.
func (db *DB) CreatePool(ctx context.Context, p *route.Pool) error {
	return db.configure(ctx, "create pool", func(t *tx) error { return t.createPool(p) })
}

func (t *tx) createPool(p *route.Pool) error {
	id, err := t.insert(`INSERT INTO pool (account_id, name, strategy, routing_metadata, warmup_interval, auto_tpsp, created,
			priority, overflow_pool, ttl, paused) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		p.AccountID, text(p.Name), int32(p.Strategy), text(p.RoutingMetaData), int32(p.WarmupInterval), p.AutoTPSP, engine.Stamp(p.Created),
		int32(p.Priority), p.Overflow, int64(p.TTL), p.Paused)
	if err != nil {
		return err
	}
	p.ID, p.Revision = id, 1
	t.setMembers(p)
	return nil
}

// UpdatePool implements store.Configuration.
func (db *DB) UpdatePool(ctx context.Context, p *route.Pool) error {
	return db.configure(ctx, "update pool", func(t *tx) error {
		old := route.Pool{}
		var members []int32
		t.row([]any{&old.Revision, &old.Strategy, &old.RoutingMetaData, &old.Overflow, &old.Priority, &members, &old.Targets},
			`SELECT revision, strategy, routing_metadata, overflow_pool, priority, ARRAY (SELECT egress FROM pool_member WHERE pool_id = $2 ORDER BY position),
				ARRAY (SELECT target FROM pool_target WHERE pool_id = $2 ORDER BY position) FROM pool WHERE account_id = $1 AND id = $2 FOR UPDATE`,
			p.AccountID, p.ID)
		if err := t.flush(); err != nil {
			return err
		}
		if old.Revision == 0 {
			return store.ErrNotFound
		}
		for _, e := range members {
			old.Members = append(old.Members, route.Egress(e))
		}
		alike := engine.PlansAlike(&old, p)
		if p.Revision = old.Revision; !alike {
			p.Revision++
		}
		t.exec(`UPDATE pool SET name = $3, strategy = $4, routing_metadata = $5, warmup_interval = $6, priority = $7, overflow_pool = $8, ttl = $9,
				revision = $10, next_seq = CASE WHEN $11 THEN next_seq ELSE 0 END WHERE account_id = $1 AND id = $2`,
			p.AccountID, p.ID, text(p.Name), int32(p.Strategy), text(p.RoutingMetaData), int32(p.WarmupInterval), int32(p.Priority),
			p.Overflow, int64(p.TTL), p.Revision, alike)
		if err := t.flush(); err != nil {
			return conflicted(err)
		}
		if !alike || old.Priority != p.Priority {
			t.askReplan(p.AccountID, p.ID, 0, store.ReasonPoolChanged)
		}
		t.setMembers(p)
		return nil
	})
}

// setMembers stores the lists of a pool, instead of those that it had.
func (t *tx) setMembers(p *route.Pool) {
	t.exec(`DELETE FROM pool_member WHERE pool_id = $1`, p.ID)
	t.exec(`DELETE FROM pool_target WHERE pool_id = $1`, p.ID)
	for i, e := range p.Members {
		// One that was deleted since it was read is left out.
		t.exec(`INSERT INTO pool_member (pool_id, position, egress) SELECT $1::int, $2::int, $3::int
			WHERE EXISTS (SELECT FROM tpsp WHERE id = $3::int AND deleted = 0)`, p.ID, int32(i), int32(e))
	}
	for i, target := range p.Targets {
		t.exec(`INSERT INTO pool_target (pool_id, position, target) VALUES ($1, $2, $3)`, p.ID, int32(i), target)
	}
}

// DeletePool implements store.Configuration.
func (db *DB) DeletePool(ctx context.Context, accountID, id int32) error {
	return db.configure(ctx, "delete pool", func(t *tx) error {
		var found bool
		t.row([]any{&found}, `SELECT EXISTS (SELECT FROM pool WHERE account_id = $1 AND id = $2)`, accountID, id)
		if err := t.flush(); err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		t.removePool(id)
		return nil
	})
}

// removePool removes a pool, and what other pools say of it.
func (t *tx) removePool(id int32) {
	t.exec(`DELETE FROM pool_member WHERE pool_id = $1`, id)
	t.exec(`DELETE FROM pool_target WHERE pool_id = $1 OR target = $1`, id)
	t.exec(`UPDATE pool SET overflow_pool = 0 WHERE overflow_pool = $1`, id)
	t.exec(`DELETE FROM pool WHERE id = $1`, id)
}

// PausePool implements store.Configuration.
func (db *DB) PausePool(ctx context.Context, accountID, id int32, paused bool) error {
	return db.configure(ctx, "pause pool", func(t *tx) error {
		return t.touch(`UPDATE pool SET paused = $3 WHERE account_id = $1 AND id = $2`, accountID, id, paused)
	})
}

// PauseSubAccount implements store.Configuration.
func (db *DB) PauseSubAccount(ctx context.Context, accountID, id int32, paused bool) error {
	return db.configure(ctx, "pause sub-account", func(t *tx) error {
		return t.touch(`UPDATE sub_account SET paused = $3 WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, id, paused)
	})
}

// UpdateTPSP implements store.Configuration.
func (db *DB) UpdateTPSP(ctx context.Context, p *directory.TPSP) error {
	return db.configure(ctx, "update provider", func(t *tx) error { return t.updateTPSP(p) })
}

func (t *tx) updateTPSP(p *directory.TPSP) error {
	var same bool
	t.row([]any{&same}, `SELECT paused = $2 AND allow_raw = $3 FROM tpsp WHERE id = $1`, p.ID, p.Paused, p.AllowRaw)
	if err := t.touch(`UPDATE tpsp SET name = $3, policy = $4, paused = $5, allow_raw = $6, per_hour = $7, suppression_sync = $8, auto_warmup = $9
			WHERE account_id = $1 AND id = $2 AND deleted = 0`,
		p.AccountID, p.ID, text(p.Name), int16(p.Policy), p.Paused, p.AllowRaw, int32(p.Limits.PerHour), int16(p.SuppressionSync), p.AutoWarmup); err != nil {
		return err
	}
	if p.SuppressionSync != directory.SyncBoth {
		t.exec(`SELECT FROM suppression_push WHERE tpsp_id = $1 ORDER BY email COLLATE "C" FOR UPDATE`, p.ID)
		t.exec(`DELETE FROM suppression_push WHERE tpsp_id = $1`, p.ID)
	}
	if !same {
		t.askReplan(p.AccountID, 0, p.Egress(), store.ReasonChanged(p.Egress()))
	}
	t.setLimits(p.ID, p.Limits)
	return nil
}

func (t *tx) askReplan(account, pool int32, egress route.Egress, reason string) {
	t.exec(`INSERT INTO replan (account_id, pool_id, egress, reason) VALUES ($1, $2, $3, $4)`, account, pool, int32(egress), reason)
}

// Replans implements store.Configuration.
func (db *DB) Replans(ctx context.Context) ([]store.Replan, error) {
	return list(ctx, db.work, "read what is to be planned anew", func(rows pgx.Rows) (r store.Replan, err error) {
		err = rows.Scan(&r.ID, &r.AccountID, &r.PoolID, &r.Egress, &r.Reason)
		return r, err
	}, `SELECT id, account_id, pool_id, egress, reason FROM replan ORDER BY id`)
}

// Replanned implements store.Configuration.
func (db *DB) Replanned(ctx context.Context, id int64) error {
	return db.write(ctx, db.work, "end replan", func(t *tx) error {
		t.exec(`DELETE FROM replan WHERE id = $1`, id)
		return nil
	})
}

// setLimits stores the limits of a TPSP's lanes, instead of those that it had.
func (t *tx) setLimits(id int32, l limit.Limits) {
	t.exec(`DELETE FROM tpsp_limit WHERE tpsp_id = $1`, id)
	for class, perHour := range l.Mailbox {
		t.exec(`INSERT INTO tpsp_limit (tpsp_id, mailbox, per_hour) VALUES ($1, $2, $3)`, id, int16(class.ID()), int32(perHour))
	}
}

// Drill implements store.Configuration.
func (db *DB) Drill(ctx context.Context, accountID, id int32, until time.Time) error {
	return db.configure(ctx, "drill", func(t *tx) error {
		return t.touch(`UPDATE tpsp SET drill_until = $3 WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, id, engine.Stamp(until))
	})
}

// UpdateWebhook implements store.Configuration.
func (db *DB) UpdateWebhook(ctx context.Context, tpspID int32, w directory.Webhook) error {
	probes, paused, err := engine.PackWebhook(&w)
	if err != nil {
		return err
	}
	return db.configure(ctx, "update webhook", func(t *tx) error {
		return t.touch(`UPDATE tpsp SET hook_state = $3, hook_ref = $4, hook_error = $5, hook_tries = $6, hook_next_try = $7, server = $8,
				hook_probes = $9, hook_paused = $10 WHERE id = $1 AND hook_username = $2`,
			tpspID, text(w.Username), string(w.State), text(w.Ref), text(w.Error), int32(w.Tries), engine.Stamp(w.NextTry), text(w.Server), probes, paused)
	})
}

// UpdateHealth implements store.Configuration.
func (db *DB) UpdateHealth(ctx context.Context, tpspID int32, h directory.Health) error {
	return db.configure(ctx, "update health", func(t *tx) error {
		return t.touch(`UPDATE tpsp SET stopped = $2, stop_reason = $3, stopped_since = $4, probe_at = $5, probe_wait = $6 WHERE id = $1`,
			tpspID, h.Stopped, text(h.Reason), engine.Stamp(h.Since), engine.Stamp(h.ProbeAt), int64(h.Wait))
	})
}

// Refuse implements store.Configuration.
func (db *DB) Refuse(ctx context.Context, tpspID int32, r directory.Refusal) error {
	return db.configure(ctx, "refuse sender", func(t *tx) error {
		t.exec(`INSERT INTO refused_sender (tpsp_id, domain, reason, since, probe_at, probe_wait) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tpsp_id, domain) DO UPDATE SET reason = excluded.reason, probe_at = excluded.probe_at, probe_wait = excluded.probe_wait`,
			tpspID, text(r.Domain), text(r.Reason), engine.Stamp(r.Since), engine.Stamp(r.ProbeAt), int64(r.Wait))
		return nil
	})
}

// Admit implements store.Configuration.
func (db *DB) Admit(ctx context.Context, tpspID int32, domain string) error {
	return db.configure(ctx, "admit sender", func(t *tx) error {
		t.exec(`DELETE FROM refused_sender WHERE tpsp_id = $1 AND domain = $2`, tpspID, text(domain))
		return nil
	})
}

// DeleteTPSP implements store.Configuration. Whoever accepts messages for the TPSP holds its row, so none slips through
// between the look into the queue and the commit.
func (db *DB) DeleteTPSP(ctx context.Context, accountID, id int32, force bool, now time.Time) error {
	egress := id
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
		var empty []string
		t.row([]any{&empty}, emptiedPools, egress)
		if err := t.flush(); err != nil {
			return err
		}
		if len(empty) > 0 && !force {
			return &store.EmptyPoolsError{Pools: empty}
		}
		t.exec(`UPDATE pool SET revision = revision + 1, next_seq = 0 WHERE id IN (SELECT pool_id FROM pool_member WHERE egress = $1)`, egress)
		t.exec(`DELETE FROM pool_member WHERE egress = $1`, egress)
		var pool int32
		t.row([]any{&pool}, `SELECT id FROM pool WHERE auto_tpsp = $1 AND NOT EXISTS (SELECT FROM pool_member WHERE pool_id = pool.id)`, egress)
		if err := t.flush(); err != nil {
			return err
		}
		if pool != 0 {
			t.removePool(pool)
		}
		return nil
	})
}

// emptiedPools are the pools that lose their only member with a TPSP, but for the one that was made for it. They are locked by now.
const emptiedPools = `SELECT ARRAY (SELECT name FROM pool WHERE auto_tpsp <> $1 AND id IN (SELECT pool_id FROM pool_member WHERE egress = $1)
	AND NOT EXISTS (SELECT FROM pool_member WHERE pool_id = pool.id AND egress <> $1) ORDER BY name)`

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
