package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"postyard/internal/directory"
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
			`SELECT id, account_id, name, is_default, key_hash, sealed_key, created FROM sub_account WHERE deleted = 0 ORDER BY id`)
		t.each(scanInto(&c.TPSPs, scanTPSP), `SELECT id, account_id, name, type, endpoint, sealed_key, key_hash, stream, policy, catch_up,
			hook_state, hook_ref, hook_username, hook_sealed_password, hook_error, hook_tries, hook_next_try,
			stopped, stop_reason, stopped_since, created, deleted FROM tpsp ORDER BY id`)
		t.each(scanInto(&c.Pools, scanPool), `SELECT id, account_id, name, strategy, routing_metadata, warmup_interval, auto_tpsp, created,
			ARRAY (SELECT egress FROM pool_member WHERE pool_id = pool.id ORDER BY position) FROM pool ORDER BY id`)
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
	if err := rows.Scan(&s.ID, &s.AccountID, &s.Name, &s.Default, &hash, &s.SealedKey, &created); err != nil {
		return s, err
	}
	s.Created = engine.Time(created)
	s.KeyHash, err = keyHash(hash)
	return s, err
}

func scanTPSP(rows pgx.Rows) (p directory.TPSP, err error) {
	var catchUp, next, since, created, deleted int64
	var hash []byte
	w, h := &p.Webhook, &p.Health
	if err := rows.Scan(&p.ID, &p.AccountID, &p.Name, &p.Type, &p.Endpoint, &p.SealedKey, &hash, &p.Stream, &p.Policy, &catchUp,
		&w.State, &w.Ref, &w.Username, &w.SealedPassword, &w.Error, &w.Tries, &next,
		&h.Stopped, &h.Reason, &since, &created, &deleted); err != nil {
		return p, err
	}
	p.CatchUp, w.NextTry, h.Since = engine.Time(catchUp), engine.Time(next), engine.Time(since)
	p.Created, p.Deleted = engine.Time(created), engine.Time(deleted)
	p.KeyHash, err = keyHash(hash)
	return p, err
}

func scanPool(rows pgx.Rows) (p route.Pool, err error) {
	var created int64
	var members []int32
	err = rows.Scan(&p.ID, &p.AccountID, &p.Name, &p.Strategy, &p.RoutingMetaData, &p.WarmupInterval, &p.AutoTPSP, &created, &members)
	p.Created = engine.Time(created)
	for _, e := range members {
		p.Members = append(p.Members, route.Egress(e))
	}
	return p, err
}

func keyHash(stored []byte) (h directory.KeyHash, err error) {
	if copy(h[:], stored) != len(h) {
		return h, fmt.Errorf("key hash of %d bytes", len(stored))
	}
	return h, nil
}
