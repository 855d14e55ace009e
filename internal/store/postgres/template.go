package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// SaveTemplates implements store.Templates.
func (db *DB) SaveTemplates(ctx context.Context, tpspID int32, list []store.MirroredTemplate, at time.Time) (change store.MirrorChange, err error) {
	err = db.write(ctx, db.work, "save templates", func(t *tx) (err error) {
		change, err = t.saveTemplates(tpspID, list, engine.Stamp(at))
		return err
	})
	return change, err
}

func (t *tx) saveTemplates(tpspID int32, list []store.MirroredTemplate, at int64) (change store.MirrorChange, err error) {
	var accountID int32
	known := map[string][32]byte{}
	t.row([]any{&accountID}, `SELECT account_id FROM tpsp WHERE id = $1 AND deleted = 0 FOR SHARE`, tpspID)
	if err := t.flush(); err != nil {
		return change, err
	}
	if accountID == 0 {
		return change, store.ErrNotFound
	}
	t.exec(`INSERT INTO template_mirror AS m (tpsp_id, synced_at, revision) VALUES ($1, $2, 1)
		ON CONFLICT (tpsp_id) DO UPDATE SET synced_at = $2, revision = m.revision + 1`, tpspID, at) // and holds others off the mirror
	t.each(func(rows pgx.Rows) error {
		var alias string
		var hash []byte
		err := rows.Scan(&alias, &hash)
		if err == nil {
			known[alias], err = engine.TemplateHash(hash)
		}
		return err
	}, `SELECT alias, hash FROM template WHERE tpsp_id = $1`, tpspID)
	if err := t.flush(); err != nil {
		return change, err
	}
	written, removed, change := engine.MirrorDiff(known, list)
	for _, m := range written {
		t.exec(`INSERT INTO template (tpsp_id, alias, account_id, name, is_layout, around, subject, html, plain, fault, hash, changed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (tpsp_id, alias) DO UPDATE SET name = $4, is_layout = $5,
			around = $6, subject = $7, html = $8, plain = $9, fault = $10, hash = $11, changed_at = $12`, tpspID, text(m.Alias), accountID,
			text(m.Name), m.Layout, text(m.Around), text(m.Subject), text(m.HTML), text(m.Text), text(m.Fault), m.Hash[:], at)
	}
	for _, alias := range removed {
		t.exec(`DELETE FROM template WHERE tpsp_id = $1 AND alias = $2`, tpspID, alias)
	}
	return change, nil
}

// DropTemplates implements store.Templates.
func (db *DB) DropTemplates(ctx context.Context, tpspID int32) error {
	return db.write(ctx, db.work, "drop templates", func(t *tx) error {
		t.exec(`UPDATE template_mirror SET revision = revision + 1 WHERE tpsp_id = $1
			AND EXISTS (SELECT FROM template WHERE template.tpsp_id = $1)`, tpspID)
		t.exec(`DELETE FROM template WHERE tpsp_id = $1`, tpspID)
		return nil
	})
}

const (
	templateRevision = `SELECT coalesce(sum(revision), 0)::bigint FROM template_mirror`
	templateHead     = `tpsp_id, account_id, alias, name, is_layout, around, fault, hash, changed_at`
)

// TemplateIndex implements store.Templates.
func (db *DB) TemplateIndex(ctx context.Context) (index store.TemplateIndex, err error) {
	err = snapshot(ctx, db.work, "read templates", func(t *tx) {
		index = store.TemplateIndex{}
		t.row([]any{&index.Revision}, templateRevision)
		t.each(scanInto(&index.Mirrors, func(rows pgx.Rows) (m store.Mirror, err error) {
			var at int64
			err = rows.Scan(&m.TPSPID, &at)
			m.SyncedAt = engine.Time(at)
			return m, err
		}), `SELECT tpsp_id, synced_at FROM template_mirror ORDER BY tpsp_id`)
		t.each(scanInto(&index.Templates, func(rows pgx.Rows) (store.MirroredTemplate, error) { return scanTemplate(rows) }),
			`SELECT `+templateHead+` FROM template ORDER BY tpsp_id, alias COLLATE "C"`)
	})
	return index, err
}

// scanTemplate reads templateHead, and what is selected beyond it.
func scanTemplate(rows pgx.Rows, more ...any) (m store.MirroredTemplate, err error) {
	var hash []byte
	var changed int64
	if err := rows.Scan(append([]any{&m.TPSPID, &m.AccountID, &m.Alias, &m.Name, &m.Layout, &m.Around, &m.Fault, &hash, &changed}, more...)...); err != nil {
		return m, err
	}
	m.ChangedAt = engine.Time(changed)
	m.Hash, err = engine.TemplateHash(hash)
	return m, err
}

// TemplateRevision implements store.Templates.
func (db *DB) TemplateRevision(ctx context.Context) (revision int64, err error) {
	_, err = one(ctx, db.work, "read revision of templates", []any{&revision}, templateRevision)
	return revision, err
}

// Template implements store.Templates.
func (db *DB) Template(ctx context.Context, tpspID int32, alias string) (*store.MirroredTemplate, error) {
	found, err := list(ctx, db.work, "read template", func(rows pgx.Rows) (store.MirroredTemplate, error) {
		var subject, html, plain string
		m, err := scanTemplate(rows, &subject, &html, &plain)
		m.Subject, m.HTML, m.Text = subject, html, plain
		return m, err
	}, `SELECT `+templateHead+`, subject, html, plain FROM template WHERE tpsp_id = $1 AND alias = $2`, tpspID, text(alias))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, store.ErrNotFound
	}
	return &found[0], nil
}
