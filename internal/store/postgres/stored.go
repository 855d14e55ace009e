package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// CreateTemplate implements store.StoredTemplates.
func (db *DB) CreateTemplate(ctx context.Context, s *store.StoredTemplate) error {
	return db.write(ctx, db.work, "create template", func(t *tx) (err error) {
		s.ID, err = t.insert(`INSERT INTO stored_template (account_id, name, subject, html, plain, editor, created, updated)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`, s.AccountID, text(s.Name), text(s.Subject), text(s.HTML), text(s.Text), text(s.Editor),
			engine.Stamp(s.Created), engine.Stamp(s.Updated))
		return err
	})
}

// ChangeTemplate implements store.StoredTemplates.
func (db *DB) ChangeTemplate(ctx context.Context, accountID, id int32, c store.TemplateChange, at time.Time) error {
	return db.write(ctx, db.work, "change template", func(t *tx) error {
		return t.touch(`UPDATE stored_template SET name = coalesce($3, name), subject = coalesce($4, subject), html = coalesce($5, html),
			plain = coalesce($6, plain), editor = coalesce($7, editor), updated = $8 WHERE account_id = $1 AND id = $2`,
			accountID, id, orNull(c.Name), orNull(c.Subject), orNull(c.HTML), orNull(c.Text), orNull(c.Editor), engine.Stamp(at))
	})
}

// orNull is a text that may be missing.
func orNull(s *string) *string {
	if s == nil {
		return nil
	}
	clean := text(*s)
	return &clean
}

// DeleteTemplate implements store.StoredTemplates.
func (db *DB) DeleteTemplate(ctx context.Context, accountID, id int32) error {
	return db.write(ctx, db.work, "delete template", func(t *tx) error {
		return t.touch(`DELETE FROM stored_template WHERE account_id = $1 AND id = $2`, accountID, id)
	})
}

const storedTemplateHead = `id, account_id, name, subject, created, updated`

// scanStoredTemplate reads storedTemplateHead, and what is selected beyond it.
func scanStoredTemplate(rows pgx.Rows, more ...any) (s store.StoredTemplate, err error) {
	var created, updated int64
	err = rows.Scan(append([]any{&s.ID, &s.AccountID, &s.Name, &s.Subject, &created, &updated}, more...)...)
	s.Created, s.Updated = engine.Time(created), engine.Time(updated)
	return s, err
}

// StoredTemplate implements store.StoredTemplates.
func (db *DB) StoredTemplate(ctx context.Context, accountID, id int32) (*store.StoredTemplate, error) {
	return db.storedTemplate(ctx, `id = $2`, accountID, id)
}

// StoredTemplateNamed implements store.StoredTemplates.
func (db *DB) StoredTemplateNamed(ctx context.Context, accountID int32, name string) (*store.StoredTemplate, error) {
	return db.storedTemplate(ctx, `name = $2`, accountID, text(name))
}

func (db *DB) storedTemplate(ctx context.Context, which string, args ...any) (*store.StoredTemplate, error) {
	found, err := list(ctx, db.work, "read stored template", func(rows pgx.Rows) (store.StoredTemplate, error) {
		var html, plain, editor string
		s, err := scanStoredTemplate(rows, &html, &plain, &editor)
		s.HTML, s.Text, s.Editor = html, plain, editor
		return s, err
	}, `SELECT `+storedTemplateHead+`, html, plain, editor FROM stored_template WHERE account_id = $1 AND `+which, args...)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, store.ErrNotFound
	}
	return &found[0], nil
}

// StoredTemplates implements store.StoredTemplates.
func (db *DB) StoredTemplates(ctx context.Context, accountID int32) ([]store.StoredTemplate, error) {
	return list(ctx, db.work, "read stored templates", func(rows pgx.Rows) (store.StoredTemplate, error) { return scanStoredTemplate(rows) },
		`SELECT `+storedTemplateHead+` FROM stored_template WHERE account_id = $1 ORDER BY id`, accountID)
}
