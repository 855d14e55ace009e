package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// CreateTemplate implements store.StoredTemplates.
func (db *DB) CreateTemplate(ctx context.Context, s *store.StoredTemplate) error {
	return db.write(ctx, rest, func(t *tx) (err error) {
		s.ID, err = t.insert(`INSERT INTO stored_template (account_id, name, subject, html, plain, editor, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			s.AccountID, s.Name, s.Subject, s.HTML, s.Text, s.Editor, engine.Stamp(s.Created), engine.Stamp(s.Updated))
		return err
	})
}

// ChangeTemplate implements store.StoredTemplates.
func (db *DB) ChangeTemplate(ctx context.Context, accountID, id int32, c store.TemplateChange, at time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		n, err := t.changed(`UPDATE stored_template SET name = coalesce(?, name), subject = coalesce(?, subject), html = coalesce(?, html),
			plain = coalesce(?, plain), editor = coalesce(?, editor), updated = ? WHERE account_id = ? AND id = ?`,
			orNull(c.Name), orNull(c.Subject), orNull(c.HTML), orNull(c.Text), orNull(c.Editor), engine.Stamp(at), accountID, id)
		if isUnique(err) {
			return store.ErrConflict
		}
		return orMissing(n, err)
	})
}

// orNull is a text that may be missing, as the driver takes it.
func orNull(text *string) any {
	if text == nil {
		return nil
	}
	return *text
}

// DeleteTemplate implements store.StoredTemplates.
func (db *DB) DeleteTemplate(ctx context.Context, accountID, id int32) error {
	return db.write(ctx, rest, func(t *tx) error {
		return orMissing(t.changed(`DELETE FROM stored_template WHERE account_id = ? AND id = ?`, accountID, id))
	})
}

const storedTemplateHead = `id, account_id, name, subject, created, updated`

// scanStoredTemplate reads storedTemplateHead, and what is selected beyond it.
func scanStoredTemplate(row interface{ Scan(...any) error }, more ...any) (s store.StoredTemplate, err error) {
	var created, updated int64
	err = row.Scan(append([]any{&s.ID, &s.AccountID, &s.Name, &s.Subject, &created, &updated}, more...)...)
	s.Created, s.Updated = engine.Time(created), engine.Time(updated)
	return s, err
}

// StoredTemplate implements store.StoredTemplates.
func (db *DB) StoredTemplate(ctx context.Context, accountID, id int32) (*store.StoredTemplate, error) {
	return db.storedTemplate(ctx, `id = ?`, accountID, id)
}

// StoredTemplateNamed implements store.StoredTemplates.
func (db *DB) StoredTemplateNamed(ctx context.Context, accountID int32, name string) (*store.StoredTemplate, error) {
	return db.storedTemplate(ctx, `name = ?`, accountID, name)
}

func (db *DB) storedTemplate(ctx context.Context, which string, args ...any) (*store.StoredTemplate, error) {
	var html, plain, editor string
	s, err := scanStoredTemplate(db.workPool.QueryRowContext(ctx, `SELECT `+storedTemplateHead+`, html, plain, editor FROM stored_template WHERE account_id = ? AND `+which,
		args...), &html, &plain, &editor)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, store.ErrNotFound
	}
	s.HTML, s.Text, s.Editor = html, plain, editor
	return &s, failed("read stored template", err)
}

// StoredTemplates implements store.StoredTemplates.
func (db *DB) StoredTemplates(ctx context.Context, accountID int32) ([]store.StoredTemplate, error) {
	rows, err := db.workPool.QueryContext(ctx, `SELECT `+storedTemplateHead+` FROM stored_template WHERE account_id = ? ORDER BY id`, accountID)
	if err != nil {
		return nil, failed("read stored templates", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (store.StoredTemplate, error) { return scanStoredTemplate(rows) })
	return list, failed("read stored templates", err)
}
