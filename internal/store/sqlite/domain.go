package sqlite

import (
	"context"
	"database/sql"
	"time"

	"postyard/internal/directory"
	"postyard/internal/store/engine"
)

// CreateDomain implements store.Domains.
func (db *DB) CreateDomain(ctx context.Context, d *directory.Domain) error {
	return db.write(ctx, rest, func(t *tx) (err error) {
		d.ID, err = t.insert(`INSERT INTO domain (account_id, sub_account_id, name, created) VALUES (?, ?, ?, ?)`,
			d.AccountID, d.SubAccountID, d.Name, engine.Stamp(d.Created))
		return err
	})
}

// DeleteDomain implements store.Domains.
func (db *DB) DeleteDomain(ctx context.Context, subAccountID, id int32, now time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(`UPDATE domain SET deleted = ? WHERE sub_account_id = ? AND id = ? AND deleted = 0`, engine.Stamp(now), subAccountID, id))
	})
}

const domainsQuery = `SELECT id, account_id, sub_account_id, name, created, deleted FROM domain`

func scanDomain(rows *sql.Rows) (d directory.Domain, err error) {
	var created, deleted int64
	err = rows.Scan(&d.ID, &d.AccountID, &d.SubAccountID, &d.Name, &created, &deleted)
	d.Created, d.Deleted = engine.Time(created), engine.Time(deleted)
	return d, err
}
