package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// BeginAudit implements store.Audit.
func (db *DB) BeginAudit(ctx context.Context, e *store.AuditEntry) error {
	return db.write(ctx, db.work, "begin audit entry", func(t *tx) error {
		t.row([]any{&e.ID}, `INSERT INTO audit (account_id, at, actor_kind, actor_id, actor, role, address, method, path, operation, target, status, changes, before, text)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13, $14) RETURNING id`,
			e.AccountID, engine.Stamp(e.At), int(e.Actor.Kind), e.Actor.ID, text(e.Actor.Name), text(e.Actor.Role), text(e.Address), text(e.Method), text(e.Path),
			text(e.Operation), text(e.Target), e.Changes, e.Before, text(engine.AuditText(e)))
		return nil
	})
}

// EndAudit implements store.Audit.
func (db *DB) EndAudit(ctx context.Context, id int64, status int) error {
	return db.write(ctx, db.work, "end audit entry", func(t *tx) error {
		t.exec(`UPDATE audit SET status = $2 WHERE id = $1`, id, status)
		return nil
	})
}

// AuditEntries implements store.Audit.
func (db *DB) AuditEntries(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error) {
	where, args := auditConditions(f)
	args = append(args, f.Limit)
	return list(ctx, db.queries, "read audit log", func(rows pgx.Rows) (e store.AuditEntry, err error) {
		var at int64
		err = rows.Scan(&e.ID, &e.AccountID, &at, &e.Actor.Kind, &e.Actor.ID, &e.Actor.Name, &e.Actor.Role, &e.Address, &e.Method, &e.Path, &e.Operation, &e.Target,
			&e.Status, &e.Changes, &e.Before)
		e.At = engine.Time(at)
		return e, err
	}, `SELECT id, account_id, at, actor_kind, actor_id, actor, role, address, method, path, operation, target, status, changes, before
		FROM audit WHERE `+where+fmt.Sprintf(` ORDER BY id DESC LIMIT $%d`, len(args)), args...)
}

func auditConditions(f store.AuditFilter) (where string, args []any) {
	conditions := []string{"account_id = $1"}
	args = []any{f.AccountID}
	add := func(condition string, value any) {
		args = append(args, value)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if f.Kind != nil {
		add("actor_kind = $%d", int(*f.Kind))
	}
	if f.ActorID != 0 {
		add("actor_id = $%d", f.ActorID)
	}
	if f.Actor != "" {
		add("strpos(lower(actor), $%d) > 0", address(f.Actor))
	}
	if f.Operation != "" {
		add("strpos(lower(operation), $%d) > 0", address(f.Operation))
	}
	if f.Search != "" {
		add("strpos(text, $%d) > 0", address(f.Search))
	}
	if !f.From.IsZero() {
		add("at >= $%d", engine.Stamp(f.From))
	}
	if !f.To.IsZero() {
		add("at < $%d", engine.Stamp(f.To))
	}
	if f.Before != 0 {
		add("id < $%d", f.Before)
	}
	return strings.Join(conditions, " AND "), args
}

// forgetAudit removes entries that were kept for long enough, some at a time.
func (db *DB) forgetAudit(ctx context.Context, now time.Time) error {
	return db.forgetRows(ctx, "forget audit entries", `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at <= $2 LIMIT $1 FOR UPDATE SKIP LOCKED)`,
		engine.Stamp(now.Add(-store.KeepAudit)))
}
