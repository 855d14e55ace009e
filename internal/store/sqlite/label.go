package sqlite

import (
	"context"
	"database/sql"

	"postyard/internal/directory"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// CreateLabel implements store.Labels.
func (db *DB) CreateLabel(ctx context.Context, l *directory.Label) error {
	return db.write(ctx, rest, func(t *tx) (err error) {
		l.ID, err = t.insert(`INSERT INTO account_label (account_id, name, color, created) VALUES (?, ?, ?, ?)`,
			l.AccountID, l.Name, l.Color, engine.Stamp(l.Created))
		return err
	})
}

// UpdateLabel implements store.Labels.
func (db *DB) UpdateLabel(ctx context.Context, l *directory.Label) error {
	return db.write(ctx, rest, func(t *tx) error {
		n, err := t.changed(`UPDATE account_label SET name = ?, color = ? WHERE account_id = ? AND id = ?`, l.Name, l.Color, l.AccountID, l.ID)
		if isUnique(err) {
			return store.ErrConflict
		}
		return orMissing(n, err)
	})
}

// DeleteLabel implements store.Labels.
func (db *DB) DeleteLabel(ctx context.Context, accountID, id int32) error {
	return db.write(ctx, rest, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM sub_account_label WHERE label_id = (SELECT id FROM account_label WHERE account_id = ? AND id = ?)`, accountID, id); err != nil {
			return err
		}
		return orMissing(t.changed(`DELETE FROM account_label WHERE account_id = ? AND id = ?`, accountID, id))
	})
}

// LabelSubAccount implements store.Labels.
func (db *DB) LabelSubAccount(ctx context.Context, accountID, subAccountID int32, labels []int32) error {
	return db.write(ctx, rest, func(t *tx) error {
		var found int32
		if ok, err := t.one([]any{&found}, `SELECT id FROM sub_account WHERE account_id = ? AND id = ? AND deleted = 0`, accountID, subAccountID); err != nil || !ok {
			return orMissing(0, err)
		}
		if _, err := t.exec(`DELETE FROM sub_account_label WHERE sub_account_id = ?`, subAccountID); err != nil {
			return err
		}
		for _, id := range labels {
			if err := orMissing(t.changed(`INSERT INTO sub_account_label (sub_account_id, label_id) SELECT ?, id FROM account_label WHERE account_id = ? AND id = ?`,
				subAccountID, accountID, id)); err != nil {
				return err
			}
		}
		return nil
	})
}

const labelsOfAccounts = `SELECT id, account_id, name, color, created FROM account_label`

func scanLabel(rows *sql.Rows) (l directory.Label, err error) {
	var created int64
	err = rows.Scan(&l.ID, &l.AccountID, &l.Name, &l.Color, &created)
	l.Created = engine.Time(created)
	return l, err
}

// readLabels adds the labels of accounts and of sub-accounts.
func readLabels(ctx context.Context, from *sql.Tx, c *directory.Contents) (err error) {
	if c.Labels, err = read(ctx, from, scanLabel, labelsOfAccounts); err != nil {
		return err
	}
	of := map[int32][]int32{}
	if _, err = read(ctx, from, func(rows *sql.Rows) (none struct{}, err error) {
		var sub, label int32
		err = rows.Scan(&sub, &label)
		of[sub] = append(of[sub], label)
		return none, err
	}, `SELECT sub_account_id, label_id FROM sub_account_label ORDER BY sub_account_id, label_id`); err != nil {
		return err
	}
	for i := range c.SubAccounts {
		c.SubAccounts[i].Labels = of[c.SubAccounts[i].ID]
	}
	return nil
}
