package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// CreateFirstMember implements store.Members.
func (db *DB) CreateFirstMember(ctx context.Context, m *store.Member) error {
	return db.write(ctx, rest, func(t *tx) error {
		var id int32
		if found, err := t.one([]any{&id}, `SELECT id FROM member WHERE account_id = ? LIMIT 1`, m.AccountID); err != nil || found {
			return errors.Join(err, store.ErrConflict)
		}
		return t.createMember(m)
	})
}

// CreateMember implements store.Members.
func (db *DB) CreateMember(ctx context.Context, m *store.Member, i store.Invitation) error {
	return db.write(ctx, rest, func(t *tx) error {
		if err := t.createMember(m); err != nil {
			return err
		}
		return t.invite(m.ID, i)
	})
}

func (t *tx) createMember(m *store.Member) (err error) {
	m.ID, err = t.insert(`INSERT INTO member (account_id, email, name, role, password, created) VALUES (?, ?, ?, ?, ?, ?)`,
		m.AccountID, m.Email, m.Name, int(m.Role), m.Password, engine.Stamp(m.Created))
	return err
}

func (t *tx) invite(id int32, i store.Invitation) error {
	_, err := t.exec(`INSERT OR REPLACE INTO invitation (member_id, token, expires) VALUES (?, ?, ?)`, id, i.Token[:], engine.Stamp(i.Expires))
	return err
}

// AnyMember implements store.Members.
func (db *DB) AnyMember(ctx context.Context) (found bool, err error) {
	err = db.workPool.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM member)`).Scan(&found)
	return found, failed("look for a member", err)
}

const (
	memberColumns = `m.id, m.account_id, m.email, m.name, m.role, m.password, m.created, coalesce(i.expires, 0)`
	memberTables  = ` FROM member m LEFT JOIN invitation i ON i.member_id = m.id `
)

// scanMember reads memberColumns, and what is selected beyond them.
func scanMember(row interface{ Scan(...any) error }, more ...any) (m *store.Member, err error) {
	m = &store.Member{}
	var created, invited int64
	err = row.Scan(append([]any{&m.ID, &m.AccountID, &m.Email, &m.Name, &m.Role, &m.Password, &created, &invited}, more...)...)
	m.Created, m.Invited = engine.Time(created), engine.Time(invited)
	return m, err
}

// member reads one, or returns store.ErrNotFound.
func (db *DB) member(ctx context.Context, where string, args ...any) (*store.Member, error) {
	m, err := scanMember(db.workPool.QueryRowContext(ctx, `SELECT `+memberColumns+memberTables+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, store.ErrNotFound
	}
	return m, failed("read member", err)
}

// Members implements store.Members.
func (db *DB) Members(ctx context.Context, accountID int32) ([]store.Member, error) {
	rows, err := db.workPool.QueryContext(ctx, `SELECT `+memberColumns+`, coalesce((SELECT max(s.used) FROM session s WHERE s.member_id = m.id), 0)`+
		memberTables+`WHERE m.account_id = ? ORDER BY m.id`, accountID)
	if err != nil {
		return nil, failed("list members", err)
	}
	return collect(rows, func(rows *sql.Rows) (store.Member, error) {
		var seen int64
		m, err := scanMember(rows, &seen)
		m.Seen = engine.Time(seen)
		return *m, err
	})
}

// MemberByEmail implements store.Members.
func (db *DB) MemberByEmail(ctx context.Context, email string) (*store.Member, error) {
	return db.member(ctx, `WHERE m.email = ?`, email)
}

// Invited implements store.Members.
func (db *DB) Invited(ctx context.Context, token [32]byte, now time.Time) (*store.Member, error) {
	return db.member(ctx, `WHERE i.token = ? AND i.expires > ?`, token[:], engine.Stamp(now))
}

// UpdateMember implements store.Members.
func (db *DB) UpdateMember(ctx context.Context, accountID, id int32, name string, role store.Role) error {
	return db.write(ctx, rest, func(t *tx) error {
		if role != store.Owner {
			if err := t.leaveOwner(accountID, id); err != nil {
				return err
			}
		}
		if _, err := t.exec(`DELETE FROM session WHERE member_id = (SELECT id FROM member WHERE account_id = ? AND id = ? AND role <> ?)`,
			accountID, id, int(role)); err != nil {
			return err
		}
		return orMissing(t.changed(`UPDATE member SET name = ?, role = ? WHERE account_id = ? AND id = ?`, name, int(role), accountID, id))
	})
}

// leaveOwner refuses to take an account's last owner away.
func (t *tx) leaveOwner(accountID, id int32) error {
	var found int32
	if last, err := t.one([]any{&found}, `SELECT id FROM member WHERE account_id = ?1 AND id = ?2 AND role = ?3 AND password <> ''
			AND NOT EXISTS (SELECT 1 FROM member WHERE account_id = ?1 AND id <> ?2 AND role = ?3 AND password <> '')`,
		accountID, id, int(store.Owner)); err != nil || !last {
		return err
	}
	return store.ErrLastOwner
}

// DeleteMember implements store.Members.
func (db *DB) DeleteMember(ctx context.Context, accountID, id int32) error {
	return db.write(ctx, rest, func(t *tx) error {
		if err := t.leaveOwner(accountID, id); err != nil {
			return err
		}
		for _, of := range []string{"session", "invitation"} {
			if _, err := t.exec(`DELETE FROM `+of+` WHERE member_id = (SELECT id FROM member WHERE account_id = ? AND id = ?)`, accountID, id); err != nil {
				return err
			}
		}
		return orMissing(t.changed(`DELETE FROM member WHERE account_id = ? AND id = ?`, accountID, id))
	})
}

// Invite implements store.Members.
func (db *DB) Invite(ctx context.Context, accountID, id int32, i store.Invitation) error {
	return db.write(ctx, rest, func(t *tx) error {
		var found int32
		if ok, err := t.one([]any{&found}, `SELECT id FROM member WHERE account_id = ? AND id = ?`, accountID, id); err != nil || !ok {
			return orMissing(0, err)
		}
		return t.invite(id, i)
	})
}

// Join implements store.Members.
func (db *DB) Join(ctx context.Context, token [32]byte, password string, now time.Time) (m *store.Member, err error) {
	err = db.write(ctx, rest, func(t *tx) error {
		var id int32
		if ok, err := t.one([]any{&id}, `SELECT member_id FROM invitation WHERE token = ? AND expires > ?`, token[:], engine.Stamp(now)); err != nil || !ok {
			return orMissing(0, err)
		}
		for _, query := range []string{`DELETE FROM invitation WHERE member_id = ?`, `DELETE FROM session WHERE member_id = ?`} {
			if _, err := t.exec(query, id); err != nil {
				return err
			}
		}
		if err := orMissing(t.changed(`UPDATE member SET password = ? WHERE id = ?`, password, id)); err != nil {
			return err
		}
		m = &store.Member{ID: id, Password: password}
		var created int64
		_, err := t.one([]any{&m.AccountID, &m.Email, &m.Name, &m.Role, &created}, `SELECT account_id, email, name, role, created FROM member WHERE id = ?`, id)
		m.Created = engine.Time(created)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// ChangePassword implements store.Members.
func (db *DB) ChangePassword(ctx context.Context, id int32, was, password string, keep [32]byte) error {
	return db.write(ctx, rest, func(t *tx) error {
		if err := orMissing(t.changed(`UPDATE member SET password = ? WHERE id = ? AND password = ?`, password, id, was)); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM invitation WHERE member_id = ?`, id); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM session WHERE member_id = ? AND token <> ?`, id, keep[:])
		return err
	})
}

// CreateSession implements store.Members.
func (db *DB) CreateSession(ctx context.Context, s *store.Session, password string, begun, used time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM session WHERE created <= ? OR used <= ?`, engine.Stamp(begun), engine.Stamp(used)); err != nil {
			return err
		}
		if err := orMissing(t.changed(`INSERT INTO session (token, member_id, address, agent, created, used)
			SELECT ?1, id, ?3, ?4, ?5, ?5 FROM member WHERE id = ?2 AND password = ?6`,
			s.Token[:], s.MemberID, s.Address, s.Agent, engine.Stamp(s.Created), password)); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM session WHERE token IN (SELECT token FROM session WHERE member_id = ? AND token <> ?
			ORDER BY created DESC, token LIMIT -1 OFFSET ?)`, s.MemberID, s.Token[:], store.MostSessions-1)
		return err
	})
}

// Session implements store.Members.
func (db *DB) Session(ctx context.Context, token [32]byte) (*store.Session, *store.Member, error) {
	s := &store.Session{Token: token}
	var created, used int64
	m, err := scanMember(db.workPool.QueryRowContext(ctx, `SELECT `+memberColumns+`, s.address, s.agent, s.created, s.used`+memberTables+
		`JOIN session s ON s.member_id = m.id WHERE s.token = ?`, token[:]), &s.Address, &s.Agent, &created, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, store.ErrNotFound
	}
	if err != nil {
		return nil, nil, failed("read session", err)
	}
	s.MemberID, s.Created, s.Used = m.ID, engine.Time(created), engine.Time(used)
	return s, m, nil
}

// Sessions implements store.Members.
func (db *DB) Sessions(ctx context.Context, memberID int32) ([]store.Session, error) {
	rows, err := db.workPool.QueryContext(ctx, `SELECT token, address, agent, created, used FROM session WHERE member_id = ? ORDER BY used DESC, token`, memberID)
	if err != nil {
		return nil, failed("list sessions", err)
	}
	return collect(rows, func(rows *sql.Rows) (s store.Session, err error) {
		var created, used int64
		err = rows.Scan((*hashColumn)(&s.Token), &s.Address, &s.Agent, &created, &used)
		s.MemberID, s.Created, s.Used = memberID, engine.Time(created), engine.Time(used)
		return s, err
	})
}

// UseSession implements store.Members.
func (db *DB) UseSession(ctx context.Context, token [32]byte, at time.Time) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`UPDATE session SET used = max(used, ?) WHERE token = ?`, engine.Stamp(at), token[:])
		return err
	})
}

// EndSession implements store.Members.
func (db *DB) EndSession(ctx context.Context, token [32]byte) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`DELETE FROM session WHERE token = ?`, token[:])
		return err
	})
}

// EndOtherSessions implements store.Members.
func (db *DB) EndOtherSessions(ctx context.Context, memberID int32, keep [32]byte) error {
	return db.write(ctx, rest, func(t *tx) error {
		_, err := t.exec(`DELETE FROM session WHERE member_id = ? AND token <> ?`, memberID, keep[:])
		return err
	})
}
