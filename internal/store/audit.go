package store

import (
	"context"
	"time"
)

// Audit keeps who changed what: an entry is written before its change, and completed after it.
type Audit interface {
	// BeginAudit stores an entry without a status and gives its id. Ids grow.
	BeginAudit(ctx context.Context, e *AuditEntry) error

	// EndAudit records what the change was answered with. That there is no such entry any more is no error.
	EndAudit(ctx context.Context, id int64, status int) error

	// AuditEntries returns entries of an account, the newest first.
	AuditEntries(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
}

// KeepAudit is how long entries are kept at least. Older ones are removed, some at a time, with what else is not needed any more.
const KeepAudit = 400 * 24 * time.Hour

// ActorKind is what somebody proves themselves by.
type ActorKind int

// The kinds of actors.
const (
	BySystem ActorKind = iota // nobody who proved it: somebody who tries to sign in
	ByMember
	ByAccountKey
	BySubAccountKey
)

var actorKinds = []string{"system", "member", "account-key", "sub-account-key"}

// String is the kind's name.
func (k ActorKind) String() string { return actorKinds[k] }

// ActorKindNamed finds a kind by its name.
func ActorKindNamed(name string) (ActorKind, bool) {
	for i, known := range actorKinds {
		if known == name {
			return ActorKind(i), true
		}
	}
	return 0, false
}

// Actor is who changes something.
type Actor struct {
	Kind ActorKind
	ID   int32  // of the member, the account or the sub-account; 0 of nobody
	Name string // as it was then
	Role string // of a member, as it was then; "" of others
}

// AuditEntry is one change, or an attempt at one.
type AuditEntry struct {
	ID        int64
	AccountID int32
	At        time.Time
	Actor     Actor
	Address   string // where the request came from
	Method    string
	Path      string // with the query
	Operation string // as the API's document sums it up
	Target    string // what was changed, for people; "" when there was nothing with a name
	Status    int    // of the answer; 0: it began, and it is not known what came of it
	Changes   []byte // what was asked for, as a JSON object without secrets; nil: nothing
	Before    []byte // what stood there before under the same names, as a JSON object without secrets; nil: nothing
}

// AuditFilter selects entries. Zero fields do not filter, but for the account.
type AuditFilter struct {
	AccountID int32
	Kind      *ActorKind
	ActorID   int32
	Actor     string    // a part of the actor's name, in whatever case
	Operation string    // a part of the operation, in whatever case
	Search    string    // a part of the operation, the target, the path, the actor's name or the address, in whatever case
	From, To  time.Time // From included, To excluded
	Before    int64     // only entries with a smaller id; 0 is no bound
	Limit     int
}
