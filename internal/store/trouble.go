package store

import (
	"context"
	"time"

	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
)

// Trouble shows what goes wrong at a TPSP of an account; of another account's it shows nothing. Each look goes through so many rows at
// most, however many there are, and says when there are more.
type Trouble interface {
	// Delays groups the messages that wait for the TPSP, or whose outcome is unknown there: at most limit of those that are due, of
	// those that wait until some time, and of the unknown ones. more tells that there are others.
	Delays(ctx context.Context, accountID, tpspID int32, limit int) (groups []Delay, more bool, err error)

	// LaneDelays groups the messages that wait for the TPSP, or whose outcome is unknown there, so that every mailbox provider shows: at most limit
	// of those that are due to each mailbox provider, and limit in all of those that wait until some time, and of the unknown ones. What
	// the last outcome of those that are due says is left out.
	LaneDelays(ctx context.Context, accountID, tpspID int32, limit int) (LaneDelays, error)

	// FailedAttempts returns the attempts that the provider did not accept and that ended at or after since, the last one first, at most limit.
	FailedAttempts(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) ([]FailedAttempt, error)

	// Failures looks at the newest attempts, at most limit of all that concern messages submitted at or after since.
	Failures(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) (Failures, error)

	// Strange counts webhook bodies that came at or after since and could not be read, among the newest limit ones, and reports
	// since that day about mail that is not ours.
	Strange(ctx context.Context, accountID, tpspID int32, since time.Time, limit int) (Strange, error)
}

// Delay are waiting messages that have everything in common that may hold them.
type Delay struct {
	State        lifecycle.State // Queued, Unknown
	Mailbox      mailbox.Class
	PoolID       int32
	SubAccountID int32
	Waiting      string    // why they wait, as their last outcome says; "" when none does
	N            int64     // how many they are
	Oldest       mail.ID   // the one that was accepted first
	Since        time.Time // when it was
	DueFirst     time.Time // when the first of them may leave, or is asked for; zero is now
	DueLast      time.Time // when the last one
}

// LaneDelays are the messages that wait for a TPSP, by mailbox provider and what may hold them.
type LaneDelays struct {
	Groups []Delay
	More   map[mailbox.Class]bool // lanes in which more wait than were looked at
}

// Failures are attempts that the provider did not accept.
type Failures struct {
	Classes map[string]int64 // how many of each class, by its public name
	Newest  []FailedAttempt  // FailedAttempts since then, at most MostFailures
	Last    time.Time        // when the newest attempt began, whatever came of it; zero: there was none
	From    time.Time        // messages from then on were looked at: since, or later where there are too many attempts
}

// MostFailures is how many failed attempts are shown.
const MostFailures = 5

// FailedAttempt is an attempt and the message that it was for.
type FailedAttempt struct {
	MessageID mail.ID
	Attempt
}

// Strange counts what came by webhook and was nobody's.
type Strange struct {
	Garbage int64  // bodies that could not be read
	Reason  string // why not the newest of them
	Foreign int64  // reports about mail that is not ours
}
