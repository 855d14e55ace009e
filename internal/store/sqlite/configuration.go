package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// KeyCheck implements store.Configuration.
func (db *DB) KeyCheck(ctx context.Context) (sealed []byte, err error) {
	err = db.workPool.QueryRowContext(ctx, `SELECT key_check FROM installation`).Scan(&sealed)
	return sealed, failed("read key check", err)
}

// SetKeyCheck implements store.Configuration.
func (db *DB) SetKeyCheck(ctx context.Context, sealed []byte) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`UPDATE installation SET key_check = ? WHERE key_check = x''`, sealed)
		return err
	})
}

// CreateAccount implements store.Configuration.
func (db *DB) CreateAccount(ctx context.Context, a *directory.Account, s *directory.SubAccount) error {
	return db.write(ctx, rest, func(t *tx) error {
		id, err := t.insert(`INSERT INTO account (name, key_hash, sealed_key, created) VALUES (?, ?, ?, ?)`,
			a.Name, a.KeyHash[:], a.SealedKey, engine.Stamp(a.Created))
		if err != nil {
			return err
		}
		a.ID, s.AccountID = id, id
		return t.createSubAccount(s)
	})
}

// CreateSubAccount implements store.Configuration.
func (db *DB) CreateSubAccount(ctx context.Context, s *directory.SubAccount) error {
	return db.write(ctx, rest, func(t *tx) error { return t.createSubAccount(s) })
}

func (t *tx) createSubAccount(s *directory.SubAccount) error {
	id, err := t.insert(`INSERT INTO sub_account (account_id, name, is_default, key_hash, sealed_key, created) VALUES (?, ?, ?, ?, ?, ?)`,
		s.AccountID, s.Name, s.Default, s.KeyHash[:], s.SealedKey, engine.Stamp(s.Created))
	if err != nil {
		return err
	}
	s.ID = id
	return nil
}

// insert runs an INSERT and returns the new row's id. A broken UNIQUE rule is store.ErrConflict.
func (t *tx) insert(query string, args ...any) (int32, error) {
	res, err := t.exec(query, args...)
	if isUnique(err) {
		return 0, store.ErrConflict
	}
	if err != nil {
		return 0, err
	}
	id, err := res.LastInsertId()
	return int32(id), err
}

// RenameSubAccount implements store.Configuration.
func (db *DB) RenameSubAccount(ctx context.Context, accountID, id int32, name string) error {
	return db.write(ctx, rest, func(t *tx) error {
		n, err := t.changed(`UPDATE sub_account SET name = ? WHERE account_id = ? AND id = ? AND deleted = 0`, name, accountID, id)
		if isUnique(err) {
			return store.ErrConflict
		}
		return orMissing(n, err)
	})
}

// DeleteSubAccount implements store.Configuration.
func (db *DB) DeleteSubAccount(ctx context.Context, accountID, id int32, now time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		var child int32
		if has, err := t.one([]any{&child}, `SELECT id FROM sub_account WHERE account_id = ? AND deleted = 0 AND path ->> 0 = ? LIMIT 1`, accountID, id); err != nil || has {
			return cmp.Or(err, store.ErrHasChildren)
		}
		return orMissing(t.changed(`UPDATE sub_account SET deleted = ? WHERE account_id = ? AND id = ? AND deleted = 0`,
			engine.Stamp(now), accountID, id))
	})
}

// orMissing turns "no row was touched" into store.ErrNotFound.
func orMissing(n int64, err error) error {
	if err == nil && n == 0 {
		return store.ErrNotFound
	}
	return err
}

// CreateTPSP implements store.Configuration.
func (db *DB) CreateTPSP(ctx context.Context, p *directory.TPSP, pool *route.Pool) error {
	return db.write(ctx, rest, func(t *tx) error {
		w := p.Webhook
		id, err := t.insert(`INSERT INTO tpsp (account_id, name, type, domain, endpoint, port, sealed_key, sealed_secret, key_hash, stream,
				hook_state, hook_ref, hook_username, hook_sealed_password, hook_error, hook_tries, hook_next_try,
				stopped, stop_reason, stopped_since, created, policy, allow_raw, paused, per_hour, server,
				suppression_sync)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', 0, ?, ?, ?, ?, ?, ?, ?)`,
			p.AccountID, p.Name, int(p.Type), p.Domain, p.Endpoint, p.Port, p.SealedKey, notNil(p.Secret), p.KeyHash[:], p.Stream,
			string(w.State), w.Ref, w.Username, notNil(w.SealedPassword), w.Error, w.Tries, engine.Stamp(w.NextTry), engine.Stamp(p.Created),
			int(p.Policy), p.AllowRaw, p.Paused, p.Limits.PerHour, w.Server, int(p.SuppressionSync))
		if err != nil {
			return err
		}
		if err := t.setLimits(id, p.Limits); err != nil {
			return err
		}
		p.ID, pool.AutoTPSP = id, id
		pool.AccountID, pool.Members = p.AccountID, []route.Egress{route.TPSP(id)}
		return t.createAutoPool(pool)
	})
}

// createAutoPool stores a pool under the first free name of name, name-2, name-3, ...
func (t *tx) createAutoPool(pool *route.Pool) error {
	for base, n := pool.Name, 2; ; n++ {
		var taken int
		found, err := t.one([]any{&taken}, `SELECT 1 FROM pool WHERE account_id = ? AND name = ?`, pool.AccountID, pool.Name)
		if err != nil {
			return err
		}
		if !found {
			return t.createPool(pool)
		}
		pool.Name = fmt.Sprintf("%s-%d", base, n)
	}
}

// CreatePool implements store.Configuration.
func (db *DB) CreatePool(ctx context.Context, p *route.Pool) error {
	return db.write(ctx, rest, func(t *tx) error { return t.createPool(p) })
}

func (t *tx) createPool(p *route.Pool) error {
	id, err := t.insert(`INSERT INTO pool (account_id, name, strategy, routing_metadata, warmup_interval, auto_tpsp, created,
			priority, overflow_pool, ttl, paused) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		p.AccountID, p.Name, int(p.Strategy), p.RoutingMetaData, p.WarmupInterval, p.AutoTPSP, engine.Stamp(p.Created),
		p.Priority, p.Overflow, int64(p.TTL), p.Paused)
	if err != nil {
		return err
	}
	p.ID, p.Revision = id, 1
	return t.setMembers(p)
}

// UpdatePool implements store.Configuration.
func (db *DB) UpdatePool(ctx context.Context, p *route.Pool) error {
	return db.write(ctx, rest, func(t *tx) error {
		old, err := t.poolAsPlanned(p.AccountID, p.ID)
		if err != nil {
			return err
		}
		alike := engine.PlansAlike(old, p)
		if _, err := t.one([]any{&p.Revision}, `UPDATE pool SET name = ?, strategy = ?, routing_metadata = ?, warmup_interval = ?, priority = ?,
				overflow_pool = ?, ttl = ?, revision = revision + ?8, next_seq = CASE ?8 WHEN 0 THEN next_seq ELSE 0 END WHERE account_id = ?9 AND id = ?10
				RETURNING revision`,
			p.Name, int(p.Strategy), p.RoutingMetaData, p.WarmupInterval, p.Priority, p.Overflow, int64(p.TTL), !alike, p.AccountID, p.ID); err != nil {
			if isUnique(err) {
				return store.ErrConflict
			}
			return err
		}
		if !alike || old.Priority != p.Priority {
			if err := t.askReplan(p.AccountID, p.ID, 0, store.ReasonPoolChanged); err != nil {
				return err
			}
		}
		return t.setMembers(p)
	})
}

// poolAsPlanned reads what the plans of a pool are made from, and its priority.
func (t *tx) poolAsPlanned(accountID, id int32) (*route.Pool, error) {
	p := &route.Pool{ID: id}
	found, err := t.one([]any{&p.Strategy, &p.RoutingMetaData, &p.Overflow, &p.Priority},
		`SELECT strategy, routing_metadata, overflow_pool, priority FROM pool WHERE account_id = ? AND id = ?`, accountID, id)
	if err != nil || !found {
		return nil, orMissing(0, err)
	}
	if p.Members, err = each(t, func(rows *row) (e route.Egress, err error) { err = rows.Scan(&e); return e, err },
		`SELECT egress FROM pool_member WHERE pool_id = ? ORDER BY position`, id); err != nil {
		return nil, err
	}
	p.Targets, err = each(t, func(rows *row) (id int32, err error) { err = rows.Scan(&id); return id, err },
		`SELECT target FROM pool_target WHERE pool_id = ? ORDER BY position`, id)
	return p, err
}

// setMembers stores the lists of a pool, instead of those that it had.
func (t *tx) setMembers(p *route.Pool) error {
	for _, query := range []string{`DELETE FROM pool_member WHERE pool_id = ?`, `DELETE FROM pool_target WHERE pool_id = ?`} {
		if _, err := t.exec(query, p.ID); err != nil {
			return err
		}
	}
	for i, e := range p.Members {
		if err := t.inUse(e); errors.Is(err, store.ErrConflict) {
			continue // it was deleted since it was read
		}
		if _, err := t.exec(`INSERT INTO pool_member (pool_id, position, egress) VALUES (?, ?, ?)`, p.ID, i, int32(e)); err != nil {
			return err
		}
	}
	for i, target := range p.Targets {
		if _, err := t.exec(`INSERT INTO pool_target (pool_id, position, target) VALUES (?, ?, ?)`, p.ID, i, target); err != nil {
			return err
		}
	}
	return nil
}

// DeletePool implements store.Configuration.
func (db *DB) DeletePool(ctx context.Context, accountID, id int32) error {
	return db.write(ctx, rest, func(t *tx) error {
		var one int
		if found, err := t.one([]any{&one}, `SELECT 1 FROM pool WHERE account_id = ? AND id = ?`, accountID, id); err != nil || !found {
			return orMissing(0, err)
		}
		return t.removePool(id)
	})
}

// removePool removes a pool, and what other pools say of it.
func (t *tx) removePool(id int32) error {
	for _, query := range []string{
		`DELETE FROM pool_member WHERE pool_id = ?`,
		`DELETE FROM pool_target WHERE pool_id = ?1 OR target = ?1`,
		`UPDATE pool SET overflow_pool = 0 WHERE overflow_pool = ?`,
		`DELETE FROM pool WHERE id = ?`,
	} {
		if _, err := t.exec(query, id); err != nil {
			return err
		}
	}
	return nil
}

// PausePool implements store.Configuration.
func (db *DB) PausePool(ctx context.Context, accountID, id int32, paused bool) error {
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(`UPDATE pool SET paused = ? WHERE account_id = ? AND id = ?`, paused, accountID, id))
	})
}

// PauseSubAccount implements store.Configuration.
func (db *DB) PauseSubAccount(ctx context.Context, accountID, id int32, paused bool) error {
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(`UPDATE sub_account SET paused = ? WHERE account_id = ? AND id = ? AND deleted = 0`, paused, accountID, id))
	})
}

// UpdateTPSP implements store.Configuration.
func (db *DB) UpdateTPSP(ctx context.Context, p *directory.TPSP) error {
	return db.write(ctx, rest, func(t *tx) error { return t.updateTPSP(p) })
}

func (t *tx) updateTPSP(p *directory.TPSP) error {
	var same int
	if found, err := t.one([]any{&same}, `SELECT 1 FROM tpsp WHERE id = ? AND paused = ? AND allow_raw = ?`, p.ID, p.Paused, p.AllowRaw); err != nil {
		return err
	} else if !found {
		if err := t.askReplan(p.AccountID, 0, p.Egress(), store.ReasonChanged(p.Egress())); err != nil {
			return err
		}
	}
	if err := orMissing(t.changed(`UPDATE tpsp SET name = ?, policy = ?, paused = ?, allow_raw = ?, per_hour = ?, suppression_sync = ?, auto_warmup = ?
			WHERE account_id = ? AND id = ? AND deleted = 0`,
		p.Name, int(p.Policy), p.Paused, p.AllowRaw, p.Limits.PerHour, int(p.SuppressionSync), p.AutoWarmup, p.AccountID, p.ID)); err != nil {
		return err
	}
	if p.SuppressionSync != directory.SyncBoth {
		if _, err := t.exec(`DELETE FROM suppression_push WHERE tpsp_id = ?`, p.ID); err != nil {
			return err
		}
	}
	return t.setLimits(p.ID, p.Limits)
}

// setLimits stores the limits of a TPSP's lanes, instead of those that it had.
func (t *tx) setLimits(id int32, l limit.Limits) error {
	if _, err := t.exec(`DELETE FROM tpsp_limit WHERE tpsp_id = ?`, id); err != nil {
		return err
	}
	for class, perHour := range l.Mailbox {
		if _, err := t.exec(`INSERT INTO tpsp_limit (tpsp_id, mailbox, per_hour) VALUES (?, ?, ?)`, id, class.ID(), perHour); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) askReplan(account, pool int32, egress route.Egress, reason string) error {
	_, err := t.exec(`INSERT INTO replan (account_id, pool_id, egress, reason) VALUES (?, ?, ?, ?)`, account, pool, int32(egress), reason)
	return err
}

// Replans implements store.Configuration.
func (db *DB) Replans(ctx context.Context) ([]store.Replan, error) {
	rows, err := db.workPool.QueryContext(ctx, `SELECT id, account_id, pool_id, egress, reason FROM replan ORDER BY id`)
	if err != nil {
		return nil, failed("read what is to be planned anew", err)
	}
	return collect(rows, func(rows *sql.Rows) (r store.Replan, err error) {
		err = rows.Scan(&r.ID, &r.AccountID, &r.PoolID, &r.Egress, &r.Reason)
		return r, err
	})
}

// Replanned implements store.Configuration.
func (db *DB) Replanned(ctx context.Context, id int64) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`DELETE FROM replan WHERE id = ?`, id)
		return err
	})
}

// Drill implements store.Configuration.
func (db *DB) Drill(ctx context.Context, accountID, id int32, until time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(`UPDATE tpsp SET drill_until = ? WHERE account_id = ? AND id = ? AND deleted = 0`,
			engine.Stamp(until), accountID, id))
	})
}

// CatchUpFrom implements store.Configuration.
func (db *DB) CatchUpFrom(ctx context.Context, tpspID int32, from time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(setCatchUp+` WHERE id = ?2`,
			engine.Stamp(from), tpspID))
	})
}

// CaughtUp implements store.Configuration.
func (db *DB) CaughtUp(ctx context.Context, tpspID int32, from time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`UPDATE tpsp SET catch_up = 0 WHERE id = ? AND catch_up = ?`, tpspID, engine.Stamp(from))
		return err
	})
}

// Awaiting implements store.Configuration. Ids sort by time, so the span is a key range.
func (db *DB) Awaiting(ctx context.Context, egress route.Egress, from, before time.Time, after mail.ID, limit int) (list []store.Awaited, last mail.ID, err error) {
	first, end := engine.FirstID(from), engine.FirstID(before)
	if bytes.Compare(after[:], first[:]) > 0 {
		first = after
	}
	rows, err := db.workPool.QueryContext(ctx, awaitingQuery, int32(egress), first[:], end[:], limit)
	if err != nil {
		return nil, last, failed("read what awaits a report", err)
	}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var a store.Awaited
		var awaits bool
		err := rows.Scan((*idColumn)(&a.ID), &a.AccountID, &a.ProviderID, &a.To, &awaits)
		if last = a.ID; awaits {
			list = append(list, a)
		}
		return struct{}{}, err
	})
	return list, last, err
}

// awaitingQuery also returns the last message of the range that it looked at, whether that awaits anything or not.
const awaitingQuery = `WITH few AS MATERIALIZED (SELECT id, account_id, provider_id, to_addr, state = 3 AND egress = ? AS awaits
		FROM message WHERE id > ? AND id < ? ORDER BY id LIMIT ?)
	SELECT * FROM few WHERE awaits OR id = (SELECT max(id) FROM few) ORDER BY id`

// DirectoryRevision implements directory.Loader. Nobody but this process changes the configuration.
func (db *DB) DirectoryRevision(context.Context) (int64, error) { return 0, nil }

// UpdateWebhook implements store.Configuration.
func (db *DB) UpdateWebhook(ctx context.Context, tpspID int32, w directory.Webhook) error {
	probes, paused, err := engine.PackWebhook(&w)
	if err != nil {
		return err
	}
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(`UPDATE tpsp SET hook_state = ?, hook_ref = ?, hook_error = ?, hook_tries = ?, hook_next_try = ?, server = ?,
				hook_probes = ?, hook_paused = ? WHERE id = ? AND hook_username = ?`,
			string(w.State), w.Ref, w.Error, w.Tries, engine.Stamp(w.NextTry), w.Server, probes, paused, tpspID, w.Username))
	})
}

// UpdateHealth implements store.Configuration.
func (db *DB) UpdateHealth(ctx context.Context, tpspID int32, h directory.Health) error {
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(`UPDATE tpsp SET stopped = ?, stop_reason = ?, stopped_since = ?, probe_at = ?, probe_wait = ? WHERE id = ?`,
			h.Stopped, h.Reason, engine.Stamp(h.Since), engine.Stamp(h.ProbeAt), int64(h.Wait), tpspID))
	})
}

// Refuse implements store.Configuration.
func (db *DB) Refuse(ctx context.Context, tpspID int32, r directory.Refusal) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`INSERT INTO refused_sender (tpsp_id, domain, reason, since, probe_at, probe_wait) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET reason = excluded.reason, probe_at = excluded.probe_at, probe_wait = excluded.probe_wait`,
			tpspID, r.Domain, r.Reason, engine.Stamp(r.Since), engine.Stamp(r.ProbeAt), int64(r.Wait))
		return err
	})
}

// Admit implements store.Configuration.
func (db *DB) Admit(ctx context.Context, tpspID int32, domain string) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`DELETE FROM refused_sender WHERE tpsp_id = ? AND domain = ?`, tpspID, domain)
		return err
	})
}

// DeleteTPSP implements store.Configuration.
func (db *DB) DeleteTPSP(ctx context.Context, accountID, id int32, force bool, now time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		if err := orMissing(t.changed(`UPDATE tpsp SET deleted = ? WHERE account_id = ? AND id = ? AND deleted = 0`,
			engine.Stamp(now), accountID, id)); err != nil {
			return err
		}
		var one int
		if pending, err := t.one([]any{&one}, `SELECT 1 FROM queue WHERE egress = ? LIMIT 1`, id); err != nil || pending && !force {
			return errors.Join(err, store.ErrConflict)
		}
		if empty, err := each(t, func(rows *row) (name string, err error) { err = rows.Scan(&name); return name, err }, emptiedPools, id); err != nil {
			return err
		} else if len(empty) > 0 && !force {
			return &store.EmptyPoolsError{Pools: empty}
		}
		if _, err := t.exec(`UPDATE pool SET revision = revision + 1, next_seq = 0 WHERE id IN (SELECT pool_id FROM pool_member WHERE egress = ?)`, id); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM pool_member WHERE egress = ?`, id); err != nil {
			return err
		}
		var pool int32
		found, err := t.one([]any{&pool}, `SELECT id FROM pool WHERE auto_tpsp = ? AND NOT EXISTS (SELECT 1 FROM pool_member WHERE pool_id = pool.id)`, id)
		if err != nil || !found {
			return err
		}
		return t.removePool(pool)
	})
}

// emptiedPools are the pools that lose their only member with a TPSP, but for the one that was made for it.
const emptiedPools = `SELECT name FROM pool WHERE auto_tpsp <> ?1 AND id IN (SELECT pool_id FROM pool_member WHERE egress = ?1)
	AND NOT EXISTS (SELECT 1 FROM pool_member WHERE pool_id = pool.id AND egress <> ?1) ORDER BY name`

// LoadDirectory implements directory.Loader.
func (db *DB) LoadDirectory(ctx context.Context) (c directory.Contents, err error) {
	conn, err := db.workPool.Conn(ctx)
	if err != nil {
		return c, failed("read configuration", err)
	}
	defer func() { _ = conn.Close() }()
	snapshot, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return c, failed("read configuration", err)
	}
	defer func() { _ = snapshot.Rollback() }()
	if c.Accounts, err = read(ctx, snapshot, scanAccount,
		`SELECT id, name, key_hash, sealed_key, created FROM account`); err != nil {
		return c, err
	}
	if c.SubAccounts, err = read(ctx, snapshot, scanSubAccount,
		subAccountsQuery); err != nil {
		return c, err
	}
	if c.TPSPs, err = read(ctx, snapshot, scanTPSP, `SELECT id, account_id, name, type, domain, endpoint, port, sealed_key, sealed_secret, key_hash,
			stream, policy, allow_raw, paused, drill_until, per_hour,
			hook_state, hook_ref, hook_username, hook_sealed_password, hook_error, hook_tries, hook_next_try,
			stopped, stop_reason, stopped_since, probe_at, probe_wait, created, deleted, catch_up, server, hook_probes, hook_paused,
			suppression_sync, auto_warmup FROM tpsp`); err != nil {
		return c, err
	}
	for i := range c.TPSPs {
		if err := readTPSP(ctx, snapshot, &c.TPSPs[i]); err != nil {
			return c, err
		}
	}
	if c.Pools, err = read(ctx, snapshot, scanPool, `SELECT id, account_id, name, strategy, routing_metadata, priority, overflow_pool, ttl, paused,
			revision, warmup_interval, auto_tpsp, created FROM pool`); err != nil {
		return c, err
	}
	for i := range c.Pools {
		if err := readPool(ctx, snapshot, &c.Pools[i]); err != nil {
			return c, err
		}
	}
	if c.Domains, err = read(ctx, snapshot, scanDomain, domainsQuery); err != nil {
		return c, err
	}
	return c, readLabels(ctx, snapshot, &c)
}

// readTPSP adds the limits of a TPSP's lanes, the senders that it refuses and the connections that it had.
func readTPSP(ctx context.Context, from *sql.Tx, p *directory.TPSP) (err error) {
	if p.Past, err = readPast(ctx, from, p.ID); err != nil {
		return err
	}
	if p.Refused, err = read(ctx, from, func(rows *sql.Rows) (r directory.Refusal, err error) {
		var since, probeAt int64
		err = rows.Scan(&r.Domain, &r.Reason, &since, &probeAt, &r.Wait)
		r.Since, r.ProbeAt = engine.Time(since), engine.Time(probeAt)
		return r, err
	}, `SELECT domain, reason, since, probe_at, probe_wait FROM refused_sender WHERE tpsp_id = ? ORDER BY domain`, p.ID); err != nil {
		return err
	}
	_, err = read(ctx, from, func(rows *sql.Rows) (none struct{}, err error) {
		var id, perHour int
		if err := rows.Scan(&id, &perHour); err != nil {
			return none, err
		}
		class, err := mailbox.ByID(id)
		if p.Limits.Mailbox == nil {
			p.Limits.Mailbox = map[mailbox.Class]int{}
		}
		p.Limits.Mailbox[class] = perHour
		return none, err
	}, `SELECT mailbox, per_hour FROM tpsp_limit WHERE tpsp_id = ?`, p.ID)
	return err
}

// readPool adds the members and targets of a pool.
func readPool(ctx context.Context, from *sql.Tx, p *route.Pool) (err error) {
	if p.Members, err = read(ctx, from, func(rows *sql.Rows) (e route.Egress, err error) {
		err = rows.Scan(&e)
		return e, err
	}, `SELECT egress FROM pool_member WHERE pool_id = ? ORDER BY position`, p.ID); err != nil {
		return err
	}
	p.Targets, err = read(ctx, from, func(rows *sql.Rows) (id int32, err error) {
		err = rows.Scan(&id)
		return id, err
	}, `SELECT target FROM pool_target WHERE pool_id = ? ORDER BY position`, p.ID)
	return err
}

func read[T any](ctx context.Context, from *sql.Tx, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed("read configuration", err)
	}
	return collect(rows, scan)
}

func scanAccount(rows *sql.Rows) (a directory.Account, err error) {
	var created int64
	err = rows.Scan(&a.ID, &a.Name, (*hashColumn)(&a.KeyHash), &a.SealedKey, &created)
	a.Created = engine.Time(created)
	return a, err
}

func scanSubAccount(rows *sql.Rows) (s directory.SubAccount, err error) {
	var created int64
	var blocked, deleted int64
	err = rows.Scan(&s.ID, &s.AccountID, &s.Name, &s.Default, &s.Paused, (*hashColumn)(&s.KeyHash), &s.SealedKey, &created, (*pathColumn)(&s.Path), &s.PerHour,
		&blocked, &s.BlockReason, &deleted)
	s.Created, s.Blocked, s.Deleted = engine.Time(created), engine.Time(blocked), engine.Time(deleted)
	return s, err
}

// subAccountsQuery reads those in use, and those deleted ones that may still hold their messages.
const subAccountsQuery = `SELECT id, account_id, name, is_default, paused, key_hash, sealed_key, created, path, per_hour, blocked, block_reason, deleted
	FROM sub_account WHERE deleted = 0 OR path <> '[]' OR per_hour > 0 OR blocked > 0`

func scanTPSP(rows *sql.Rows) (p directory.TPSP, err error) {
	var drill, next, since, probeAt, created, deleted, catchUp int64
	var probes, paused []byte
	w, h := &p.Webhook, &p.Health
	err = rows.Scan(&p.ID, &p.AccountID, &p.Name, &p.Type, &p.Domain, &p.Endpoint, &p.Port, &p.SealedKey, &p.Secret, (*hashColumn)(&p.KeyHash),
		&p.Stream, &p.Policy, &p.AllowRaw, &p.Paused, &drill, &p.Limits.PerHour,
		&w.State, &w.Ref, &w.Username, &w.SealedPassword, &w.Error, &w.Tries, &next,
		&h.Stopped, &h.Reason, &since, &probeAt, &h.Wait, &created, &deleted, &catchUp, &w.Server, &probes, &paused, &p.SuppressionSync, &p.AutoWarmup)
	if err == nil {
		err = engine.UnpackWebhook(w, probes, paused)
	}
	p.CatchUp, p.Drill = engine.Time(catchUp), engine.Time(drill)
	w.NextTry, h.Since, h.ProbeAt, p.Created, p.Deleted = engine.Time(next), engine.Time(since), engine.Time(probeAt), engine.Time(created), engine.Time(deleted)
	return p, err
}

func scanPool(rows *sql.Rows) (p route.Pool, err error) {
	var created int64
	err = rows.Scan(&p.ID, &p.AccountID, &p.Name, &p.Strategy, &p.RoutingMetaData, &p.Priority, &p.Overflow, &p.TTL, &p.Paused,
		&p.Revision, &p.WarmupInterval, &p.AutoTPSP, &created)
	p.Created = engine.Time(created)
	return p, err
}

// hashColumn scans a key hash from its 32 bytes.
type hashColumn directory.KeyHash

// Scan implements sql.Scanner.
func (h *hashColumn) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(h) {
		return fmt.Errorf("key hash of %T", src)
	}
	copy(h[:], b)
	return nil
}

// notNil keeps an empty blob from becoming NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
