package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postyard/internal/directory"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// CreateLabel implements store.Labels.
func (db *DB) CreateLabel(ctx context.Context, l *directory.Label) error {
	return db.configure(ctx, "create label", func(t *tx) (err error) {
		l.ID, err = t.insert(`INSERT INTO account_label (account_id, name, color, created) VALUES ($1, $2, $3, $4) RETURNING id`,
			l.AccountID, text(l.Name), text(l.Color), engine.Stamp(l.Created))
		return err
	})
}

// UpdateLabel implements store.Labels.
func (db *DB) UpdateLabel(ctx context.Context, l *directory.Label) error {
	return db.configure(ctx, "update label", func(t *tx) error {
		return t.touch(`UPDATE account_label SET name = $3, color = $4 WHERE account_id = $1 AND id = $2`, l.AccountID, l.ID, text(l.Name), text(l.Color))
	})
}

// DeleteLabel implements store.Labels.
func (db *DB) DeleteLabel(ctx context.Context, accountID, id int32) error {
	return db.configure(ctx, "delete label", func(t *tx) error {
		t.exec(`DELETE FROM sub_account_label WHERE label_id = (SELECT id FROM account_label WHERE account_id = $1 AND id = $2)`, accountID, id)
		return t.touch(`DELETE FROM account_label WHERE account_id = $1 AND id = $2`, accountID, id)
	})
}

// LabelSubAccount implements store.Labels.
func (db *DB) LabelSubAccount(ctx context.Context, accountID, subAccountID int32, labels []int32) error {
	return db.configure(ctx, "label sub-account", func(t *tx) error {
		var found int32
		var n int
		t.row([]any{&found}, `SELECT id FROM sub_account WHERE account_id = $1 AND id = $2 AND deleted = 0`, accountID, subAccountID)
		t.count(&n, `DELETE FROM sub_account_label WHERE sub_account_id = (SELECT id FROM sub_account WHERE account_id = $1 AND id = $2 AND deleted = 0)`,
			accountID, subAccountID)
		t.count(&n, `INSERT INTO sub_account_label (sub_account_id, label_id) SELECT s.id, l.id FROM sub_account s, account_label l
			WHERE s.account_id = $1 AND s.id = $2 AND s.deleted = 0 AND l.account_id = $1 AND l.id = ANY ($3::int[])`, accountID, subAccountID, labels)
		if err := t.flush(); err != nil {
			return err
		}
		if found == 0 || n != len(labels) {
			return store.ErrNotFound
		}
		return nil
	})
}

const labelsOfAccounts = `SELECT id, account_id, name, color, created FROM account_label ORDER BY id`

func scanLabel(rows pgx.Rows) (l directory.Label, err error) {
	var created int64
	err = rows.Scan(&l.ID, &l.AccountID, &l.Name, &l.Color, &created)
	l.Created = engine.Time(created)
	return l, err
}

const labelsOfSubAccounts = `SELECT sub_account_id, label_id FROM sub_account_label ORDER BY sub_account_id, label_id`

// scanLabelled adds a label to the sub-account that has it, in a list in the order of ids. Deleted ones are not in it.
func scanLabelled(rows pgx.Rows, list []directory.SubAccount) error {
	var sub, label int32
	if err := rows.Scan(&sub, &label); err != nil {
		return err
	}
	if i, found := slices.BinarySearchFunc(list, sub, func(s directory.SubAccount, id int32) int { return cmp.Compare(s.ID, id) }); found {
		list[i].Labels = append(list[i].Labels, label)
	}
	return nil
}
