package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/directory"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// CreateDomain implements store.Domains.
func (db *DB) CreateDomain(ctx context.Context, d *directory.Domain, sealed []byte) error {
	given := *d // the transaction may be tried again
	return db.configure(ctx, "create domain", func(t *tx) (err error) {
		*d = given
		key, err := t.sharedKey(d, sealed)
		if err != nil {
			return err
		}
		if d.ID, err = t.insert(`INSERT INTO domain (account_id, sub_account_id, name, created, selector, public_key) VALUES ($1, $2, $3, $4, $5, $6)
			RETURNING id`, d.AccountID, d.SubAccountID, text(d.Name), engine.Stamp(d.Created), text(d.Selector), text(d.PublicKey)); err != nil {
			return err
		}
		t.keepKey(d.ID, key)
		return nil
	})
}

// keepKey stores the key of a domain, if there is one.
func (t *tx) keepKey(id int32, sealed []byte) {
	if sealed != nil {
		t.exec(`INSERT INTO domain_key (domain_id, sealed) VALUES ($1, $2)`, id, sealed)
	}
}

// sharedKey returns the sealed key that a domain gets: that of another one of the account with its name, else the one that was made
// for it. Transactions that change the configuration run one after another, so no two make different ones.
func (t *tx) sharedKey(d *directory.Domain, sealed []byte) ([]byte, error) {
	t.row([]any{&d.Selector, &d.PublicKey, &sealed}, `SELECT selector, public_key, sealed FROM domain JOIN domain_key ON domain_id = id
		WHERE account_id = $1 AND name = $2 AND deleted = 0 ORDER BY id LIMIT 1`, d.AccountID, text(d.Name))
	return sealed, t.flush()
}

// DeleteDomain implements store.Domains.
func (db *DB) DeleteDomain(ctx context.Context, subAccountID, id int32, now time.Time) error {
	return db.configure(ctx, "delete domain", func(t *tx) error {
		if err := t.touch(`UPDATE domain SET deleted = $3 WHERE sub_account_id = $1 AND id = $2 AND deleted = 0`,
			subAccountID, id, engine.Stamp(now)); err != nil {
			return err
		}
		t.exec(`DELETE FROM domain_key WHERE domain_id = $1`, id)
		return nil
	})
}

// GiveDomainKey implements store.Domains.
func (db *DB) GiveDomainKey(ctx context.Context, d *directory.Domain, sealed []byte) error {
	given := *d // the transaction may be tried again
	return db.configure(ctx, "give domain a key", func(t *tx) error {
		*d = given
		key, err := t.sharedKey(d, sealed)
		if err != nil {
			return err
		}
		if err := t.touch(`UPDATE domain SET selector = $2, public_key = $3 WHERE id = $1 AND deleted = 0 AND selector = ''`,
			d.ID, text(d.Selector), text(d.PublicKey)); err != nil {
			return err
		}
		t.keepKey(d.ID, key)
		return nil
	})
}

// DomainKey implements store.Domains.
func (db *DB) DomainKey(ctx context.Context, id int32) (sealed []byte, err error) {
	found, err := one(ctx, db.work, "read DKIM key", []any{&sealed}, `SELECT sealed FROM domain_key WHERE domain_id = $1`, id)
	if err == nil && !found {
		return nil, store.ErrNotFound
	}
	return sealed, err
}

// DueDomains implements store.Domains.
func (db *DB) DueDomains(ctx context.Context, now time.Time, most int) ([]store.DueDomain, error) {
	return list(ctx, db.work, "read due domains", func(rows pgx.Rows) (d store.DueDomain, err error) {
		err = rows.Scan(&d.ID, &d.Tries)
		return d, err
	}, `SELECT domain.id, check_tries FROM domain JOIN sub_account ON sub_account.id = sub_account_id
		WHERE domain.deleted = 0 AND sub_account.deleted = 0 AND check_at <= $1 ORDER BY check_at, domain.id LIMIT $2`, engine.Stamp(now), most)
}

// RecordDomainCheck implements store.Domains.
func (db *DB) RecordDomainCheck(ctx context.Context, r store.DomainCheck) (changed bool, err error) {
	checks, err := engine.PackChecks(&r.Checks)
	if err != nil {
		return false, err
	}
	err = db.write(ctx, db.work, "record check of a domain", func(t *tx) error {
		var differ int
		t.row([]any{&differ}, `SELECT 1 FROM domain WHERE id = $1 AND deleted = 0 AND checked <= $3 AND checks <> $2`, r.ID, text(checks), engine.Stamp(r.Began))
		if err := t.flush(); err != nil {
			return err
		}
		if changed = differ > 0; changed {
			t.changeConfiguration() // before the row, as all do who take both locks
		}
		t.exec(`UPDATE domain SET checks = $2, checked = $3, check_at = $4, check_tries = $5 WHERE id = $1 AND deleted = 0 AND checked <= $3`,
			r.ID, text(checks), engine.Stamp(r.Began), engine.Stamp(r.Next), r.Tries)
		return nil
	})
	return changed, err
}

const domainsQuery = `SELECT id, account_id, sub_account_id, name, selector, public_key, checks, created, deleted FROM domain ORDER BY id`

func scanDomain(rows pgx.Rows) (d directory.Domain, err error) {
	var created, deleted int64
	var checks string
	if err := rows.Scan(&d.ID, &d.AccountID, &d.SubAccountID, &d.Name, &d.Selector, &d.PublicKey, &checks, &created, &deleted); err != nil {
		return d, err
	}
	d.Created, d.Deleted = engine.Time(created), engine.Time(deleted)
	d.Checks, err = engine.UnpackChecks(checks)
	return d, err
}
