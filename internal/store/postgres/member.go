package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// staff runs a transaction that changes an account's members. Those of one account run one after another.
func (db *DB) staff(ctx context.Context, op string, accountID int32, run func(*tx) error) error {
	return db.write(ctx, db.work, op, func(t *tx) error {
		t.exec(`SELECT 1 FROM account WHERE id = $1 FOR NO KEY UPDATE`, accountID)
		return run(t)
	})
}

// CreateFirstMember implements store.Members.
func (db *DB) CreateFirstMember(ctx context.Context, m *store.Member) error {
	return db.staff(ctx, "create first member", m.AccountID, func(t *tx) error {
		var taken bool
		t.row([]any{&taken}, `SELECT EXISTS (SELECT 1 FROM member WHERE account_id = $1)`, m.AccountID)
		if err := t.flush(); err != nil {
			return err
		}
		if taken {
			return store.ErrConflict
		}
		return t.createMember(m)
	})
}

// CreateMember implements store.Members.
func (db *DB) CreateMember(ctx context.Context, m *store.Member, i store.Invitation) error {
	return db.staff(ctx, "create member", m.AccountID, func(t *tx) error {
		if err := t.createMember(m); err != nil {
			return err
		}
		t.invite(m.ID, i)
		return nil
	})
}

func (t *tx) createMember(m *store.Member) (err error) {
	m.ID, err = t.insert(`INSERT INTO member (account_id, email, name, role, password, created) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		m.AccountID, text(m.Email), text(m.Name), int(m.Role), m.Password, engine.Stamp(m.Created))
	return err
}

func (t *tx) invite(id int32, i store.Invitation) {
	t.exec(`INSERT INTO invitation (member_id, token, expires) VALUES ($1, $2, $3)
		ON CONFLICT (member_id) DO UPDATE SET token = excluded.token, expires = excluded.expires`, id, i.Token[:], engine.Stamp(i.Expires))
}

// AnyMember implements store.Members.
func (db *DB) AnyMember(ctx context.Context) (found bool, err error) {
	_, err = one(ctx, db.work, "look for a member", []any{&found}, `SELECT EXISTS (SELECT 1 FROM member)`)
	return found, err
}

const (
	memberColumns = `m.id, m.account_id, m.email, m.name, m.role, m.password, m.created, coalesce(i.expires, 0)`
	memberTables  = ` FROM member m LEFT JOIN invitation i ON i.member_id = m.id `
)

// memberRow is where memberColumns are read into.
type memberRow struct {
	store.Member
	created, invited int64
}

func (r *memberRow) dest(more ...any) []any {
	return append([]any{&r.ID, &r.AccountID, &r.Email, &r.Name, &r.Role, &r.Password, &r.created, &r.invited}, more...)
}

func (r *memberRow) member() *store.Member {
	r.Created, r.Invited = engine.Time(r.created), engine.Time(r.invited)
	return &r.Member
}

// member reads one, or returns store.ErrNotFound.
func (db *DB) member(ctx context.Context, where string, args ...any) (*store.Member, error) {
	var r memberRow
	found, err := one(ctx, db.work, "read member", r.dest(), `SELECT `+memberColumns+memberTables+where, args...)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, store.ErrNotFound
	}
	return r.member(), nil
}

// Members implements store.Members.
func (db *DB) Members(ctx context.Context, accountID int32) ([]store.Member, error) {
	return list(ctx, db.work, "list members", func(rows pgx.Rows) (store.Member, error) {
		var r memberRow
		var seen int64
		err := rows.Scan(r.dest(&seen)...)
		r.Seen = engine.Time(seen)
		return *r.member(), err
	}, `SELECT `+memberColumns+`, coalesce((SELECT max(s.used) FROM session s WHERE s.member_id = m.id), 0)`+memberTables+`WHERE m.account_id = $1 ORDER BY m.id`,
		accountID)
}

// MemberByEmail implements store.Members.
func (db *DB) MemberByEmail(ctx context.Context, email string) (*store.Member, error) {
	return db.member(ctx, `WHERE m.email = $1`, text(email))
}

// Invited implements store.Members.
func (db *DB) Invited(ctx context.Context, token [32]byte, now time.Time) (*store.Member, error) {
	return db.member(ctx, `WHERE i.token = $1 AND i.expires > $2`, token[:], engine.Stamp(now))
}

// UpdateMember implements store.Members.
func (db *DB) UpdateMember(ctx context.Context, accountID, id int32, name string, role store.Role) error {
	return db.staff(ctx, "update member", accountID, func(t *tx) error {
		t.holdMember(accountID, id)
		if role != store.Owner {
			if err := t.leaveOwner(accountID, id); err != nil {
				return err
			}
		}
		t.exec(`DELETE FROM session WHERE member_id = (SELECT id FROM member WHERE account_id = $1 AND id = $2 AND role <> $3)`, accountID, id, int(role))
		return t.touch(`UPDATE member SET name = $3, role = $4 WHERE account_id = $1 AND id = $2`, accountID, id, text(name), int(role))
	})
}

// holdMember keeps a member from signing in meanwhile.
func (t *tx) holdMember(accountID, id int32) {
	t.exec(`SELECT 1 FROM member WHERE account_id = $1 AND id = $2 FOR UPDATE`, accountID, id)
}

// leaveOwner refuses to take an account's last owner away.
func (t *tx) leaveOwner(accountID, id int32) error {
	var last bool
	t.row([]any{&last}, `SELECT EXISTS (SELECT 1 FROM member WHERE account_id = $1 AND id = $2 AND role = $3 AND password <> '')
		AND NOT EXISTS (SELECT 1 FROM member WHERE account_id = $1 AND id <> $2 AND role = $3 AND password <> '')`, accountID, id, int(store.Owner))
	if err := t.flush(); err != nil {
		return err
	}
	if last {
		return store.ErrLastOwner
	}
	return nil
}

// DeleteMember implements store.Members.
func (db *DB) DeleteMember(ctx context.Context, accountID, id int32) error {
	return db.staff(ctx, "delete member", accountID, func(t *tx) error {
		if err := t.leaveOwner(accountID, id); err != nil {
			return err
		}
		t.holdMember(accountID, id)
		for _, of := range []string{"session", "invitation"} {
			t.exec(`DELETE FROM `+of+` WHERE member_id = (SELECT id FROM member WHERE account_id = $1 AND id = $2)`, accountID, id)
		}
		return t.touch(`DELETE FROM member WHERE account_id = $1 AND id = $2`, accountID, id)
	})
}

// Invite implements store.Members.
func (db *DB) Invite(ctx context.Context, accountID, id int32, i store.Invitation) error {
	return db.staff(ctx, "invite", accountID, func(t *tx) error {
		return t.touch(`INSERT INTO invitation (member_id, token, expires) SELECT id, $3, $4 FROM member WHERE account_id = $1 AND id = $2
			ON CONFLICT (member_id) DO UPDATE SET token = excluded.token, expires = excluded.expires`, accountID, id, i.Token[:], engine.Stamp(i.Expires))
	})
}

// Join implements store.Members.
func (db *DB) Join(ctx context.Context, token [32]byte, password string, now time.Time) (*store.Member, error) {
	var r memberRow
	err := db.write(ctx, db.work, "join", func(t *tx) error {
		r = memberRow{}
		t.row([]any{&r.ID}, `DELETE FROM invitation WHERE token = $1 AND expires > $2 RETURNING member_id`, token[:], engine.Stamp(now))
		if err := t.flush(); err != nil {
			return err
		}
		if r.ID == 0 {
			return store.ErrNotFound
		}
		// The member is changed first: it is what a session that is being made waits for.
		t.row([]any{&r.AccountID, &r.Email, &r.Name, &r.Role, &r.Password, &r.created},
			`UPDATE member SET password = $2 WHERE id = $1 RETURNING account_id, email, name, role, password, created`, r.ID, password)
		t.exec(`DELETE FROM session WHERE member_id = $1`, r.ID)
		return t.flush()
	})
	if err != nil {
		return nil, err
	}
	return r.member(), nil
}

// ChangePassword implements store.Members.
func (db *DB) ChangePassword(ctx context.Context, id int32, was, password string, keep [32]byte) error {
	return db.write(ctx, db.work, "change password", func(t *tx) error {
		if err := t.touch(`UPDATE member SET password = $3 WHERE id = $1 AND password = $2`, id, was, password); err != nil {
			return err
		}
		t.exec(`DELETE FROM invitation WHERE member_id = $1`, id)
		t.exec(`DELETE FROM session WHERE member_id = $1 AND token <> $2`, id, keep[:])
		return nil
	})
}

// CreateSession implements store.Members.
func (db *DB) CreateSession(ctx context.Context, s *store.Session, password string, begun, used time.Time) error {
	return db.write(ctx, db.work, "create session", func(t *tx) error {
		t.exec(`DELETE FROM session WHERE token IN (SELECT token FROM session WHERE created <= $1 OR used <= $2 FOR UPDATE SKIP LOCKED)`,
			engine.Stamp(begun), engine.Stamp(used))
		var held bool // the member's row: whoever changes or removes the member ends this session as well
		t.row([]any{&held}, `SELECT true FROM member WHERE id = $1 AND password = $2 FOR SHARE`, s.MemberID, password)
		if err := t.flush(); err != nil {
			return err
		}
		if !held {
			return store.ErrNotFound
		}
		t.exec(`INSERT INTO session (token, member_id, address, agent, created, used) VALUES ($1, $2, $3, $4, $5, $5)`,
			s.Token[:], s.MemberID, text(s.Address), text(s.Agent), engine.Stamp(s.Created))
		t.exec(`DELETE FROM session WHERE token IN (SELECT token FROM session WHERE member_id = $1 AND token <> $2
			ORDER BY created DESC, token OFFSET $3 FOR UPDATE SKIP LOCKED)`, s.MemberID, s.Token[:], store.MostSessions-1)
		return nil
	})
}

// Session implements store.Members.
func (db *DB) Session(ctx context.Context, token [32]byte) (*store.Session, *store.Member, error) {
	s := &store.Session{Token: token}
	var r memberRow
	var created, used int64
	found, err := one(ctx, db.work, "read session", r.dest(&s.Address, &s.Agent, &created, &used), `SELECT `+memberColumns+
		`, s.address, s.agent, s.created, s.used`+memberTables+`JOIN session s ON s.member_id = m.id WHERE s.token = $1`, token[:])
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, store.ErrNotFound
	}
	s.MemberID, s.Created, s.Used = r.ID, engine.Time(created), engine.Time(used)
	return s, r.member(), nil
}

// Sessions implements store.Members.
func (db *DB) Sessions(ctx context.Context, memberID int32) ([]store.Session, error) {
	return list(ctx, db.work, "list sessions", func(rows pgx.Rows) (s store.Session, err error) {
		var token []byte
		var created, used int64
		if err = rows.Scan(&token, &s.Address, &s.Agent, &created, &used); err != nil {
			return s, err
		}
		s.MemberID, s.Created, s.Used = memberID, engine.Time(created), engine.Time(used)
		s.Token, err = keyHash(token)
		return s, err
	}, `SELECT token, address, agent, created, used FROM session WHERE member_id = $1 ORDER BY used DESC, token`, memberID)
}

// UseSession implements store.Members.
func (db *DB) UseSession(ctx context.Context, token [32]byte, at time.Time) error {
	return db.write(ctx, db.work, "use session", func(t *tx) error {
		t.exec(`UPDATE session SET used = greatest(used, $2) WHERE token = $1`, token[:], engine.Stamp(at))
		return nil
	})
}

// EndSession implements store.Members.
func (db *DB) EndSession(ctx context.Context, token [32]byte) error {
	return db.write(ctx, db.work, "end session", func(t *tx) error {
		t.exec(`DELETE FROM session WHERE token = $1`, token[:])
		return nil
	})
}

// EndOtherSessions implements store.Members.
func (db *DB) EndOtherSessions(ctx context.Context, memberID int32, keep [32]byte) error {
	return db.write(ctx, db.work, "end sessions", func(t *tx) error {
		t.exec(`DELETE FROM session WHERE member_id = $1 AND token <> $2`, memberID, keep[:])
		return nil
	})
}
