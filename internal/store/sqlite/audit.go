package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// BeginAudit implements store.Audit.
func (db *DB) BeginAudit(ctx context.Context, e *store.AuditEntry) error {
	return db.write(ctx, rest, func(t *tx) error {
		res, err := t.exec(`INSERT INTO audit (account_id, at, actor_kind, actor_id, actor, role, address, method, path, operation, target, status, changes, before, text)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)`,
			e.AccountID, engine.Stamp(e.At), int(e.Actor.Kind), e.Actor.ID, e.Actor.Name, e.Actor.Role, e.Address, e.Method, e.Path, e.Operation, e.Target,
			e.Changes, e.Before, engine.AuditText(e))
		if err != nil {
			return err
		}
		e.ID, err = res.LastInsertId()
		return err
	})
}

// EndAudit implements store.Audit.
func (db *DB) EndAudit(ctx context.Context, id int64, status int) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`UPDATE audit SET status = ? WHERE id = ?`, status, id)
		return err
	})
}

// AuditEntries implements store.Audit.
func (db *DB) AuditEntries(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error) {
	ctx, end := db.keeper.query(ctx)
	defer end()
	where, args := auditConditions(f)
	rows, err := db.readPool.QueryContext(ctx, `SELECT id, account_id, at, actor_kind, actor_id, actor, role, address, method, path, operation, target, status, changes, before
		FROM audit INDEXED BY audit_account WHERE `+where+` ORDER BY id DESC LIMIT ?`, append(args, f.Limit)...)
	if err != nil {
		return nil, failed("read audit log", err)
	}
	return collect(rows, func(rows *sql.Rows) (e store.AuditEntry, err error) {
		var at int64
		err = rows.Scan(&e.ID, &e.AccountID, &at, &e.Actor.Kind, &e.Actor.ID, &e.Actor.Name, &e.Actor.Role, &e.Address, &e.Method, &e.Path, &e.Operation, &e.Target,
			&e.Status, &e.Changes, &e.Before)
		e.At = engine.Time(at)
		return e, err
	})
}

func auditConditions(f store.AuditFilter) (where string, args []any) {
	conditions := []string{"account_id = ?"}
	args = []any{f.AccountID}
	add := func(condition string, value any) {
		conditions = append(conditions, condition)
		args = append(args, value)
	}
	if f.Kind != nil {
		add("actor_kind = ?", int(*f.Kind))
	}
	if f.ActorID != 0 {
		add("actor_id = ?", f.ActorID)
	}
	if f.Actor != "" {
		add("instr(lower(actor), ?) > 0", strings.ToLower(f.Actor))
	}
	if f.Operation != "" {
		add("instr(lower(operation), ?) > 0", strings.ToLower(f.Operation))
	}
	if f.Search != "" {
		add("instr(text, ?) > 0", strings.ToLower(f.Search))
	}
	if !f.From.IsZero() {
		add("at >= ?", engine.Stamp(f.From))
	}
	if !f.To.IsZero() {
		add("at < ?", engine.Stamp(f.To))
	}
	if f.Before != 0 {
		add("id < ?", f.Before)
	}
	return strings.Join(conditions, " AND "), args
}

// forgetAudit removes entries that were kept for long enough, some at a time.
func (db *DB) forgetAudit(ctx context.Context, now time.Time) error {
	return db.forgetRows(ctx, `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at <= ? LIMIT ?)`, engine.Stamp(now.Add(-store.KeepAudit)))
}
