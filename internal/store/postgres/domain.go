package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/directory"
	"postyard/internal/store/engine"
)

// CreateDomain implements store.Domains.
func (db *DB) CreateDomain(ctx context.Context, d *directory.Domain) error {
	return db.configure(ctx, "create domain", func(t *tx) (err error) {
		d.ID, err = t.insert(`INSERT INTO domain (account_id, sub_account_id, name, created) VALUES ($1, $2, $3, $4) RETURNING id`,
			d.AccountID, d.SubAccountID, text(d.Name), engine.Stamp(d.Created))
		return err
	})
}

// DeleteDomain implements store.Domains.
func (db *DB) DeleteDomain(ctx context.Context, subAccountID, id int32, now time.Time) error {
	return db.configure(ctx, "delete domain", func(t *tx) error {
		return t.touch(`UPDATE domain SET deleted = $3 WHERE sub_account_id = $1 AND id = $2 AND deleted = 0`, subAccountID, id, engine.Stamp(now))
	})
}

const domainsQuery = `SELECT id, account_id, sub_account_id, name, created, deleted FROM domain ORDER BY id`

func scanDomain(rows pgx.Rows) (d directory.Domain, err error) {
	var created, deleted int64
	err = rows.Scan(&d.ID, &d.AccountID, &d.SubAccountID, &d.Name, &created, &deleted)
	d.Created, d.Deleted = engine.Time(created), engine.Time(deleted)
	return d, err
}
