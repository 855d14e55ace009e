package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// SaveTemplates implements store.Templates.
func (db *DB) SaveTemplates(ctx context.Context, tpspID int32, list []store.MirroredTemplate, at time.Time) (change store.MirrorChange, err error) {
	err = db.write(ctx, rest, func(t *tx) (err error) {
		change, err = t.saveTemplates(tpspID, list, engine.Stamp(at))
		return err
	})
	return change, err
}

func (t *tx) saveTemplates(tpspID int32, list []store.MirroredTemplate, at int64) (change store.MirrorChange, err error) {
	var accountID int32
	if found, err := t.one([]any{&accountID}, `SELECT account_id FROM tpsp WHERE id = ? AND deleted = 0`, tpspID); err != nil || !found {
		return change, orMissing(0, err)
	}
	if _, err := t.exec(`INSERT INTO template_mirror (tpsp_id, synced_at, revision) VALUES (?1, ?2, 1)
			ON CONFLICT (tpsp_id) DO UPDATE SET synced_at = ?2, revision = revision + 1`, tpspID, at); err != nil {
		return change, err
	}
	known := map[string][32]byte{}
	if _, err := each(t, func(rows *row) (none struct{}, err error) {
		var alias string
		var hash []byte
		if err = rows.Scan(&alias, &hash); err == nil {
			known[alias], err = engine.TemplateHash(hash)
		}
		return none, err
	}, `SELECT alias, hash FROM template WHERE tpsp_id = ?`, tpspID); err != nil {
		return change, err
	}
	written, removed, change := engine.MirrorDiff(known, list)
	for _, m := range written {
		if _, err := t.exec(`INSERT OR REPLACE INTO template (tpsp_id, alias, account_id, name, is_layout, around, subject, html, plain, fault, hash,
				changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, tpspID, m.Alias, accountID, m.Name, m.Layout, m.Around, m.Subject, m.HTML,
			m.Text, m.Fault, m.Hash[:], at); err != nil {
			return change, err
		}
	}
	for _, alias := range removed {
		if _, err := t.exec(`DELETE FROM template WHERE tpsp_id = ? AND alias = ?`, tpspID, alias); err != nil {
			return change, err
		}
	}
	return change, nil
}

// DropTemplates implements store.Templates.
func (db *DB) DropTemplates(ctx context.Context, tpspID int32) error {
	return db.write(ctx, rest, func(t *tx) error {
		if n, err := t.changed(`DELETE FROM template WHERE tpsp_id = ?`, tpspID); err != nil || n == 0 {
			return err
		}
		_, err := t.exec(`UPDATE template_mirror SET revision = revision + 1 WHERE tpsp_id = ?`, tpspID)
		return err
	})
}

// TemplateIndex implements store.Templates.
func (db *DB) TemplateIndex(ctx context.Context) (index store.TemplateIndex, err error) {
	snapshot, err := db.workPool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return index, failed("read templates", err)
	}
	defer func() { _ = snapshot.Rollback() }()
	if err := snapshot.QueryRowContext(ctx, templateRevision).Scan(&index.Revision); err != nil {
		return index, failed("read templates", err)
	}
	if index.Mirrors, err = read(ctx, snapshot, func(rows *sql.Rows) (m store.Mirror, err error) {
		var at int64
		err = rows.Scan(&m.TPSPID, &at)
		m.SyncedAt = engine.Time(at)
		return m, err
	}, `SELECT tpsp_id, synced_at FROM template_mirror ORDER BY tpsp_id`); err != nil {
		return index, err
	}
	index.Templates, err = read(ctx, snapshot, func(rows *sql.Rows) (m store.MirroredTemplate, err error) {
		return scanTemplate(rows)
	}, `SELECT `+templateHead+` FROM template ORDER BY tpsp_id, alias`)
	return index, err
}

const (
	templateRevision = `SELECT coalesce(sum(revision), 0) FROM template_mirror`
	templateHead     = `tpsp_id, account_id, alias, name, is_layout, around, fault, hash, changed_at`
)

// scanTemplate reads templateHead, and what is selected beyond it.
func scanTemplate(row interface{ Scan(...any) error }, more ...any) (m store.MirroredTemplate, err error) {
	var hash []byte
	var changed int64
	if err := row.Scan(append([]any{&m.TPSPID, &m.AccountID, &m.Alias, &m.Name, &m.Layout, &m.Around, &m.Fault, &hash, &changed}, more...)...); err != nil {
		return m, err
	}
	m.ChangedAt = engine.Time(changed)
	m.Hash, err = engine.TemplateHash(hash)
	return m, err
}

// TemplateRevision implements store.Templates.
func (db *DB) TemplateRevision(ctx context.Context) (revision int64, err error) {
	err = db.workPool.QueryRowContext(ctx, templateRevision).Scan(&revision)
	return revision, failed("read revision of templates", err)
}

// Template implements store.Templates.
func (db *DB) Template(ctx context.Context, tpspID int32, alias string) (*store.MirroredTemplate, error) {
	var subject, html, plain string
	m, err := scanTemplate(db.workPool.QueryRowContext(ctx, `SELECT `+templateHead+`, subject, html, plain FROM template
		WHERE tpsp_id = ? AND alias = ?`, tpspID, alias), &subject, &html, &plain)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, store.ErrNotFound
	}
	m.Subject, m.HTML, m.Text = subject, html, plain
	return &m, failed("read template", err)
}
