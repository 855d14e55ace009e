package store

import (
	"context"
	"errors"
	"time"
)

// Members keeps the people who use the dashboard, their invitations and their sessions. Tokens are known by their hashes only.
type Members interface {
	// CreateFirstMember stores the first member of an account and gives its id. ErrConflict: the account has members, or the email is taken.
	CreateFirstMember(ctx context.Context, m *Member) error

	// CreateMember stores a member who is invited and gives its id. ErrConflict: the email is taken, by whichever account.
	CreateMember(ctx context.Context, m *Member, i Invitation) error

	// AnyMember tells whether any account has a member.
	AnyMember(ctx context.Context) (bool, error)

	// Members returns an account's members in the order of ids.
	Members(ctx context.Context, accountID int32) ([]Member, error)

	// MemberByEmail finds a member of whichever account, or returns ErrNotFound.
	MemberByEmail(ctx context.Context, email string) (*Member, error)

	// UpdateMember changes name and role, and ends the member's sessions when the role is another. ErrNotFound: the account has no such
	// member. ErrLastOwner: nobody else who has joined would be an owner.
	UpdateMember(ctx context.Context, accountID, id int32, name string, role Role) error

	// DeleteMember removes a member with everything that is theirs. Errors as of UpdateMember.
	DeleteMember(ctx context.Context, accountID, id int32) error

	// Invite gives a member an invitation instead of the former one. ErrNotFound: the account has no such member.
	Invite(ctx context.Context, accountID, id int32, i Invitation) error

	// Join takes the invitation with that token, gives its member a password, ends their sessions and returns them. ErrNotFound: there is
	// none, or it has expired.
	Join(ctx context.Context, token [32]byte, password string, now time.Time) (*Member, error)

	// Invited returns whose invitation a token is, or ErrNotFound, as Join would.
	Invited(ctx context.Context, token [32]byte, now time.Time) (*Member, error)

	// ChangePassword gives a member who has the password was another one and ends their sessions but the one that is kept. ErrNotFound: the
	// member is gone, or has another password by now.
	ChangePassword(ctx context.Context, id int32, was, password string, keep [32]byte) error

	// CreateSession stores a session of a member who has that password, and removes those of everybody that began or were used last until
	// the two times, and those of the member that are older than the newest MostSessions. ErrNotFound: the member is gone, or has another password by now.
	CreateSession(ctx context.Context, s *Session, password string, begun, used time.Time) error

	// Session finds a session and whose it is, or returns ErrNotFound. It does not look at its age.
	Session(ctx context.Context, token [32]byte) (*Session, *Member, error)

	// Sessions returns a member's sessions, the one that was used last first.
	Sessions(ctx context.Context, memberID int32) ([]Session, error)

	// UseSession records that a session was used.
	UseSession(ctx context.Context, token [32]byte, at time.Time) error

	// EndSession removes a session. That there is none is no error.
	EndSession(ctx context.Context, token [32]byte) error

	// EndOtherSessions removes the sessions of a member but one.
	EndOtherSessions(ctx context.Context, memberID int32, keep [32]byte) error
}

// MostSessions is how many sessions a member has at most.
const MostSessions = 50

// ErrLastOwner refuses what would leave an account without an owner who can sign in.
var ErrLastOwner = errors.New("the account needs an owner")

// Role is what a member may do. A higher one may do all that a lower one may.
type Role int

// The roles.
const (
	Viewer Role = iota + 1
	Admin
	Owner
)

var roleNames = map[Role]string{Viewer: "viewer", Admin: "admin", Owner: "owner"}

// String is the role's name.
func (r Role) String() string { return roleNames[r] }

// RoleNamed finds a role by its name; 0 is none.
func RoleNamed(name string) Role {
	for r, known := range roleNames {
		if known == name {
			return r
		}
	}
	return 0
}

// Member is somebody who uses the dashboard.
type Member struct {
	ID        int32
	AccountID int32
	Email     string // in lower case; there is one member with it
	Name      string
	Role      Role
	Password  string // argon2id's PHC string; "": they have not joined yet
	Created   time.Time
	Invited   time.Time // until when their invitation is good, given by the store; zero: there is none
	Seen      time.Time // when a session of theirs was used last, given by Members; zero: there is none
}

// Invitation lets its bearer set a member's password, once.
type Invitation struct {
	Token   [32]byte // SHA-256
	Expires time.Time
}

// Session is a browser that a member has signed in with.
type Session struct {
	Token    [32]byte // SHA-256
	MemberID int32
	Address  string // where it began
	Agent    string // the browser's name of itself
	Created  time.Time
	Used     time.Time // to within minutes
}
