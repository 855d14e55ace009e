package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"postyard/internal/directory"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// CreateDomain implements store.Domains.
func (db *DB) CreateDomain(ctx context.Context, d *directory.Domain, sealed []byte) error {
	given := *d // the transaction may be tried again
	return db.write(ctx, rest, func(t *tx) (err error) {
		*d = given
		key, err := t.sharedKey(d, sealed)
		if err != nil {
			return err
		}
		if d.ID, err = t.insert(`INSERT INTO domain (account_id, sub_account_id, name, created, selector, public_key) VALUES (?, ?, ?, ?, ?, ?)`,
			d.AccountID, d.SubAccountID, d.Name, engine.Stamp(d.Created), d.Selector, d.PublicKey); err != nil {
			return err
		}
		return t.keepKey(d.ID, key)
	})
}

// keepKey stores the key of a domain, if there is one.
func (t *tx) keepKey(id int32, sealed []byte) error {
	if sealed == nil {
		return nil
	}
	_, err := t.exec(`INSERT INTO domain_key (domain_id, sealed) VALUES (?, ?)`, id, sealed)
	return err
}

// sharedKey returns the sealed key that a domain gets: that of another one of the account with its name, else the one that was made
// for it.
func (t *tx) sharedKey(d *directory.Domain, sealed []byte) ([]byte, error) {
	_, err := t.one([]any{&d.Selector, &d.PublicKey, &sealed}, `SELECT selector, public_key, sealed FROM domain JOIN domain_key ON domain_id = id
		WHERE account_id = ? AND name = ? AND deleted = 0 ORDER BY id LIMIT 1`, d.AccountID, d.Name)
	return sealed, err
}

// DeleteDomain implements store.Domains.
func (db *DB) DeleteDomain(ctx context.Context, subAccountID, id int32, now time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		if err := orMissing(t.changed(`UPDATE domain SET deleted = ? WHERE sub_account_id = ? AND id = ? AND deleted = 0`,
			engine.Stamp(now), subAccountID, id)); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM domain_key WHERE domain_id = ?`, id)
		return err
	})
}

// GiveDomainKey implements store.Domains.
func (db *DB) GiveDomainKey(ctx context.Context, d *directory.Domain, sealed []byte) error {
	given := *d // the transaction may be tried again
	return db.write(ctx, rest, func(t *tx) error {
		*d = given
		key, err := t.sharedKey(d, sealed)
		if err != nil {
			return err
		}
		if err := orMissing(t.changed(`UPDATE domain SET selector = ?, public_key = ? WHERE id = ? AND deleted = 0 AND selector = ''`,
			d.Selector, d.PublicKey, d.ID)); err != nil {
			return err
		}
		return t.keepKey(d.ID, key)
	})
}

// DomainKey implements store.Domains.
func (db *DB) DomainKey(ctx context.Context, id int32) (sealed []byte, err error) {
	err = db.workPool.QueryRowContext(ctx, `SELECT sealed FROM domain_key WHERE domain_id = ?`, id).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, store.ErrNotFound
	}
	return sealed, failed("read DKIM key", err)
}

// DueDomains implements store.Domains.
func (db *DB) DueDomains(ctx context.Context, now time.Time, most int) ([]store.DueDomain, error) {
	rows, err := db.workPool.QueryContext(ctx, `SELECT domain.id, check_tries FROM domain JOIN sub_account ON sub_account.id = sub_account_id
		WHERE domain.deleted = 0 AND sub_account.deleted = 0 AND check_at <= ? ORDER BY check_at, domain.id LIMIT ?`, engine.Stamp(now), most)
	if err != nil {
		return nil, failed("read due domains", err)
	}
	return collect(rows, func(rows *sql.Rows) (d store.DueDomain, err error) {
		err = rows.Scan(&d.ID, &d.Tries)
		return d, err
	})
}

// RecordDomainCheck implements store.Domains.
func (db *DB) RecordDomainCheck(ctx context.Context, r store.DomainCheck) (changed bool, err error) {
	checks, err := engine.PackChecks(&r.Checks)
	if err != nil {
		return false, err
	}
	err = db.write(ctx, rest, func(t *tx) error {
		n, err := t.changed(`UPDATE domain SET checks = ?1 WHERE id = ?2 AND deleted = 0 AND checked <= ?3 AND checks <> ?1`, checks, r.ID, engine.Stamp(r.Began))
		if err != nil {
			return err
		}
		changed = n > 0
		_, err = t.exec(`UPDATE domain SET checked = ?1, check_at = ?2, check_tries = ?3 WHERE id = ?4 AND deleted = 0 AND checked <= ?1`,
			engine.Stamp(r.Began), engine.Stamp(r.Next), r.Tries, r.ID)
		return err
	})
	return changed, err
}

const domainsQuery = `SELECT id, account_id, sub_account_id, name, selector, public_key, checks, created, deleted FROM domain`

func scanDomain(rows *sql.Rows) (d directory.Domain, err error) {
	var created, deleted int64
	var checks string
	if err := rows.Scan(&d.ID, &d.AccountID, &d.SubAccountID, &d.Name, &d.Selector, &d.PublicKey, &checks, &created, &deleted); err != nil {
		return d, err
	}
	d.Created, d.Deleted = engine.Time(created), engine.Time(deleted)
	d.Checks, err = engine.UnpackChecks(checks)
	return d, err
}
