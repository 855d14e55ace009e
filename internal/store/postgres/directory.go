package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"postyard/internal/directory"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store/engine"
)

// DirectoryRevision implements directory.Loader.
func (db *DB) DirectoryRevision(ctx context.Context) (revision int64, err error) {
	_, err = one(ctx, db.work, "read revision", []any{&revision}, `SELECT revision FROM installation`)
	return revision, err
}

// LoadDirectory implements directory.Loader.
func (db *DB) LoadDirectory(ctx context.Context) (c directory.Contents, err error) {
	err = snapshot(ctx, db.work, "read configuration", func(t *tx) {
		c = directory.Contents{}
		t.row([]any{&c.Revision}, `SELECT revision FROM installation`)
		t.each(scanInto(&c.Accounts, scanAccount), `SELECT id, name, key_hash, sealed_key, created FROM account ORDER BY id`)
		t.each(scanInto(&c.SubAccounts, scanSubAccount),
			`SELECT id, account_id, name, is_default, paused, key_hash, sealed_key, created, path, per_hour, blocked, block_reason, deleted FROM sub_account
				WHERE deleted = 0 OR path <> '{}' OR per_hour > 0 OR blocked > 0 ORDER BY id`)
		t.each(scanInto(&c.TPSPs, scanTPSP), `SELECT id, account_id, name, type, domain, endpoint, port, sealed_key, sealed_secret, key_hash,
			stream, policy, allow_raw, paused, drill_until, per_hour, catch_up,
			hook_state, hook_ref, hook_username, hook_sealed_password, hook_error, hook_tries, hook_next_try,
			stopped, stop_reason, stopped_since, probe_at, probe_wait, created, deleted, server, hook_probes, hook_paused,
			suppression_sync, auto_warmup FROM tpsp ORDER BY id`)
		t.each(func(rows pgx.Rows) error { return scanPast(rows, c.TPSPs) }, `SELECT `+pastColumns+` FROM past_hook ORDER BY tpsp_id, id`)
		t.each(func(rows pgx.Rows) error { return scanRefusal(rows, c.TPSPs) },
			`SELECT tpsp_id, domain, reason, since, probe_at, probe_wait FROM refused_sender ORDER BY tpsp_id, domain`)
		t.each(func(rows pgx.Rows) error { return scanLimit(rows, c.TPSPs) }, `SELECT tpsp_id, mailbox, per_hour FROM tpsp_limit`)
		t.each(scanInto(&c.Domains, scanDomain), domainsQuery)
		t.each(scanInto(&c.Labels, scanLabel), labelsOfAccounts)
		t.each(func(rows pgx.Rows) error { return scanLabelled(rows, c.SubAccounts) }, labelsOfSubAccounts)
		t.each(scanInto(&c.Pools, scanPool), `SELECT id, account_id, name, strategy, routing_metadata, priority, overflow_pool, ttl, paused,
			revision, warmup_interval, auto_tpsp, created,
			ARRAY (SELECT egress FROM pool_member WHERE pool_id = pool.id ORDER BY position),
			ARRAY (SELECT target FROM pool_target WHERE pool_id = pool.id ORDER BY position) FROM pool ORDER BY id`)
	})
	return c, err
}

// scanInto appends every row to a list.
func scanInto[T any](list *[]T, scan func(pgx.Rows) (T, error)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		item, err := scan(rows)
		*list = append(*list, item)
		return err
	}
}

func scanAccount(rows pgx.Rows) (a directory.Account, err error) {
	var created int64
	var hash []byte
	if err := rows.Scan(&a.ID, &a.Name, &hash, &a.SealedKey, &created); err != nil {
		return a, err
	}
	a.Created = engine.Time(created)
	a.KeyHash, err = keyHash(hash)
	return a, err
}

func scanSubAccount(rows pgx.Rows) (s directory.SubAccount, err error) {
	var created int64
	var hash []byte
	var blocked, deleted int64
	if err := rows.Scan(&s.ID, &s.AccountID, &s.Name, &s.Default, &s.Paused, &hash, &s.SealedKey, &created, &s.Path, &s.PerHour, &blocked, &s.BlockReason,
		&deleted); err != nil {
		return s, err
	}
	if len(s.Path) == 0 {
		s.Path = nil
	}
	s.Created, s.Blocked, s.Deleted = engine.Time(created), engine.Time(blocked), engine.Time(deleted)
	s.KeyHash, err = keyHash(hash)
	return s, err
}

func scanTPSP(rows pgx.Rows) (p directory.TPSP, err error) {
	var drill, catchUp, next, since, probeAt, created, deleted int64
	var hash, probes, paused []byte
	w, h := &p.Webhook, &p.Health
	if err := rows.Scan(&p.ID, &p.AccountID, &p.Name, &p.Type, &p.Domain, &p.Endpoint, &p.Port, &p.SealedKey, &p.Secret, &hash,
		&p.Stream, &p.Policy, &p.AllowRaw, &p.Paused, &drill, &p.Limits.PerHour, &catchUp,
		&w.State, &w.Ref, &w.Username, &w.SealedPassword, &w.Error, &w.Tries, &next,
		&h.Stopped, &h.Reason, &since, &probeAt, &h.Wait, &created, &deleted, &w.Server, &probes, &paused, &p.SuppressionSync, &p.AutoWarmup); err != nil {
		return p, err
	}
	if err := engine.UnpackWebhook(w, probes, paused); err != nil {
		return p, err
	}
	if len(p.Secret) == 0 {
		p.Secret = nil
	}
	p.Drill, p.CatchUp = engine.Time(drill), engine.Time(catchUp)
	w.NextTry, h.Since, h.ProbeAt = engine.Time(next), engine.Time(since), engine.Time(probeAt)
	p.Created, p.Deleted = engine.Time(created), engine.Time(deleted)
	p.KeyHash, err = keyHash(hash)
	return p, err
}

// withID finds a TPSP in a list in the order of ids.
func withID(list []directory.TPSP, id int32) (*directory.TPSP, error) {
	i, found := slices.BinarySearchFunc(list, id, func(p directory.TPSP, id int32) int { return cmp.Compare(p.ID, id) })
	if !found {
		return nil, fmt.Errorf("provider %d is missing", id)
	}
	return &list[i], nil
}

// scanRefusal adds a sender that a TPSP refuses to it.
func scanRefusal(rows pgx.Rows, list []directory.TPSP) error {
	var id int32
	var r directory.Refusal
	var since, probeAt int64
	if err := rows.Scan(&id, &r.Domain, &r.Reason, &since, &probeAt, &r.Wait); err != nil {
		return err
	}
	r.Since, r.ProbeAt = engine.Time(since), engine.Time(probeAt)
	p, err := withID(list, id)
	if err == nil {
		p.Refused = append(p.Refused, r)
	}
	return err
}

// scanLimit adds the limit of a lane to its TPSP.
func scanLimit(rows pgx.Rows, list []directory.TPSP) error {
	var id int32
	var lane, perHour int
	if err := rows.Scan(&id, &lane, &perHour); err != nil {
		return err
	}
	p, err := withID(list, id)
	if err != nil {
		return err
	}
	class, err := mailbox.ByID(lane)
	if p.Limits.Mailbox == nil {
		p.Limits.Mailbox = map[mailbox.Class]int{}
	}
	p.Limits.Mailbox[class] = perHour
	return err
}

func scanPool(rows pgx.Rows) (p route.Pool, err error) {
	var created int64
	var members []int32
	err = rows.Scan(&p.ID, &p.AccountID, &p.Name, &p.Strategy, &p.RoutingMetaData, &p.Priority, &p.Overflow, &p.TTL, &p.Paused,
		&p.Revision, &p.WarmupInterval, &p.AutoTPSP, &created, &members, &p.Targets)
	p.Created = engine.Time(created)
	for _, e := range members {
		p.Members = append(p.Members, route.Egress(e))
	}
	if len(p.Targets) == 0 {
		p.Targets = nil
	}
	return p, err
}

func keyHash(stored []byte) (h directory.KeyHash, err error) {
	if copy(h[:], stored) != len(h) {
		return h, fmt.Errorf("key hash of %d bytes", len(stored))
	}
	return h, nil
}
