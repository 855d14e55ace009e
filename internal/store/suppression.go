package store

import (
	"context"
	"time"

	"postyard/internal/provider"
)

// Suppressions are the addresses that sub-accounts send nothing to, and how they are kept in step with the lists of providers.
//
// An address has one row in a sub-account. One that was reactivated keeps it, so that what happened before does not suppress the
// address again. Reports, answers and providers' lists create suppressions in the transactions that record them: Inbox.Ingest,
// Queue.Settle, MirrorSuppressions.
type Suppressions interface {
	// Suppress stores what a user suppresses, all in one transaction, and returns it as it is stored, in the order of the list. An
	// address that is suppressed already gets the new reason, unless its recipient complained. Each is to be put on the lists of
	// the given TPSPs.
	Suppress(ctx context.Context, list []Suppression, push []int32) ([]Suppression, error)

	// Reactivate ends suppressions of a sub-account and returns those that there were. They are to be taken off the lists of
	// the given TPSPs.
	Reactivate(ctx context.Context, accountID, subAccountID int32, emails []string, at time.Time, push []int32) ([]Suppression, error)

	// Suppressions returns those of a sub-account, newest first, and CountSuppressions how many they are.
	Suppressions(ctx context.Context, f SuppressionFilter) ([]Suppression, error)
	CountSuppressions(ctx context.Context, f SuppressionFilter) (int64, error)

	// Suppressed returns those of the addresses that are suppressed. While there are no suppressions at all it costs nothing.
	Suppressed(ctx context.Context, list []SuppressionKey) (Suppressed, error)

	// SuppressionLists returns where the lists of TPSPs stand: those that were read, and those that something is to be pushed to.
	SuppressionLists(ctx context.Context) ([]SuppressionList, error)

	// ConnectSuppressions says which connection a TPSP's list is from now on that of. What was mirrored of another one is forgotten:
	// nothing is known of the new list, and nothing is reactivated.
	ConnectSuppressions(ctx context.Context, tpspID int32, connection string) error

	// SuppressionMirror returns a TPSP's list as it was read or changed last, by address.
	SuppressionMirror(ctx context.Context, tpspID int32) (map[string]MirroredSuppression, error)

	// MirrorSuppressions records changes of a TPSP's list, and what follows for the sub-accounts, in one transaction for those that are
	// there and one for those that are gone. New entries
	// suppress their addresses in the sub-accounts that mailed them through the TPSP, else, unless one of the account's suppresses
	// them already, in its default one. Where an entry is gone, what came from the list or through the TPSP ends, or
	// through one that was deleted, and what was pushed there: of users' suppressions those of the sub-accounts that Pushed put there.
	MirrorSuppressions(ctx context.Context, c ListChange) (MirrorEffect, error)

	// SuppressionsRead records that a TPSP's list was read, or why it was not.
	SuppressionsRead(ctx context.Context, tpspID int32, at time.Time, failure string) error

	// Pushes returns what is to be pushed to a TPSP's list and is due, oldest first.
	Pushes(ctx context.Context, tpspID int32, now time.Time, limit int) ([]Push, error)

	// RefusedPushes returns pushes that a provider refused for good, at most limit of them, newest first.
	RefusedPushes(ctx context.Context, tpspID int32, limit int) ([]Push, error)

	// Pushed records what came of pushes, with the mirror, in one transaction. One that was wished for anew meanwhile stays.
	Pushed(ctx context.Context, batch []PushOutcome) error
}

// Suppression is an address that a sub-account sends nothing to.
type Suppression struct {
	ID           int64 // given by the store
	AccountID    int32
	SubAccountID int32
	Email        string // in lower case
	Reason       provider.Reason
	Detail       string // the words of the recipient's server or of the provider
	Source       SuppressionSource
	TPSPID       int32     // through which it became known; 0 when a user made it
	Since        time.Time // when what it is about happened, by whoever says so
	Created      time.Time
}

// SuppressionSource tells how a suppression became known. The numbers are stored.
type SuppressionSource uint8

// The sources.
const (
	ByUser   SuppressionSource = iota
	ByReport                   // an event of a message
	ByAnswer                   // the provider refused to deliver there, without a reason: any other source knows better
	ByList                     // the provider's list
)

// EchoTime is how long after a change of ours a provider's list or answer may still be as it was before.
const EchoTime = 10 * time.Minute

// SuppressionKey finds a suppression; the address is in lower case.
type SuppressionKey struct {
	SubAccountID int32
	Email        string
}

// Suppressed are suppressed addresses with what is known of them.
type Suppressed map[SuppressionKey]SuppressionHit

// SuppressionHit says why an address gets no mail.
type SuppressionHit struct {
	Reason provider.Reason
	Detail string
}

// Words say why the address gets no mail.
func (h SuppressionHit) Words() string {
	words := "the address is suppressed (" + h.Reason.String() + ")"
	if h.Detail != "" {
		words += ": " + h.Detail
	}
	return words
}

// SuppressionFilter selects suppressions of a sub-account. Zero fields do not filter, but for the sub-account.
type SuppressionFilter struct {
	SubAccountID int32
	From, To     time.Time // creation, From included, To excluded
	Search       string    // a part of the address, in any case
	Reason       *provider.Reason
	Below        SuppressionPlace // only those after this place of the list, unless it is zero
	Offset       int
	Limit        int // 0: all
}

// SuppressionPlace is a place in a list of suppressions, newest first.
type SuppressionPlace struct {
	Created time.Time
	ID      int64
}

// Place returns where a suppression stands in a list.
func (s *Suppression) Place() SuppressionPlace { return SuppressionPlace{s.Created, s.ID} }

// SuppressionList is where a TPSP's list stands.
type SuppressionList struct {
	TPSPID int32
	ReadAt time.Time // when it was read last, well or not; zero: never
	Error  string    // why not, of the last time
	PushAt time.Time // when something is to be pushed there; zero: nothing
}

// MirroredSuppression is an entry of a mirrored list.
type MirroredSuppression struct {
	Reason   provider.Reason
	Pushed   time.Time // when we put it there; zero: somebody else did
	Released time.Time // when we took it off: it is not there, but may still show
}

// ListChange is a part of what changed in a TPSP's list.
type ListChange struct {
	AccountID         int32
	TPSPID            int32
	DefaultSubAccount int32
	Listed            []provider.Listed // new entries, and those with another reason
	Gone              []string
	ReadAt            time.Time // when the reading began: what users said since counts more
	Now               time.Time
}

// Ended is when what is gone from the list ended, at the least: what happened since suppresses again.
func (c *ListChange) Ended() time.Time { return c.ReadAt.Add(-EchoTime) }

// MirrorEffect counts what followed.
type MirrorEffect struct{ Suppressed, Reactivated int }

// Push is an address that is to be put on a TPSP's list, or taken off. There is one for an address: the last wish counts.
type Push struct {
	TPSPID       int32
	AccountID    int32
	SubAccountID int32 // whose wish it is
	Email        string
	Release      bool
	Version      int64 // changes with every wish
	Tries        int
	Error        string // of the last try, or of the refusal
	Shared       bool   // other sub-accounts mail through the TPSP and do not suppress the address: it must not be put there
}

// PushOutcome is what came of a push.
type PushOutcome struct {
	Push
	Done    bool            // the list has it so, or it need not
	Mirror  bool            // the list was changed
	Refused string          // the provider's words: it is not tried again
	Kept    bool            // a release was refused: the address stays suppressed
	Reason  provider.Reason // why it is, when it was kept
	Failure string          // why it is to be tried again
	Next    time.Time       // when
	At      time.Time
}
