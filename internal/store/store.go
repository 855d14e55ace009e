// Package store is the storage contract: a few operations, each a batch and each one transaction, behind which two engines
// can stand. storetest holds the suite that every engine must pass.
//
// What must hold for every engine:
//
//   - When Accept or Receive returns nil, the batch is durable (fsync).
//   - Claim writes the intent of an attempt in the transaction that takes the message, so there is never a call on the wire
//     that the store does not know of.
//   - A message's state only changes by lifecycle.Next, inside the transaction that records why.
//   - A message is in the queue exactly while its state is pending.
//   - Counters change in the transaction that inserts the event they count.
//   - Every query of users is bound to an account.
//
// Errors that mean "the store cannot work now" wrap ErrUnavailable; callers answer 503.
package store

import (
	"context"
	"errors"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
)

// Errors that callers decide on.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("exists already")
	ErrUnavailable = errors.New("store unavailable")
)

// Store is the whole contract. Consumers declare the part that they use.
type Store interface {
	Queue
	Inbox
	Journal
	Configuration
	Close() error
}

// Queue is the way of a message from acceptance to a provider.
type Queue interface {
	// Accept stores requests with their messages, queue rows, processed events and counters. ErrConflict: a message was
	// planned for an egress that was deleted meanwhile, and has to be planned anew.
	Accept(ctx context.Context, batch []Submission) error

	// Backlog returns how many messages are pending.
	Backlog(ctx context.Context) (int64, error)

	// Claim takes due messages of an egress, lane by lane, and records the intent of an attempt for each.
	Claim(ctx context.Context, c Claim) ([]Job, error)

	// ClaimUnknown takes messages of an egress whose outcome is unknown and whose time to ask has come.
	ClaimUnknown(ctx context.Context, c Claim) ([]Job, error)

	// Settle records outcomes. An outcome whose claim was lost meanwhile changes nothing, unless it proves that the
	// provider has the message.
	Settle(ctx context.Context, batch []Settlement) error

	// NextDue returns when the egress has something to do next.
	NextDue(ctx context.Context, egress route.Egress) (Due, error)

	// Waiting counts the pending messages of an egress, those on the wire and the unknown ones included.
	Waiting(ctx context.Context, egress route.Egress) (int64, error)

	// Recover takes over what dead claimers left: claims of other owners whose lease has ended become unknown, to be asked
	// for at AskAt. With All set, every claim of another owner counts as ended. It returns how many.
	Recover(ctx context.Context, r Recovery) (int, error)

	// Expire drops messages that were submitted before the given time and still wait to be sent. It returns how many; the
	// caller calls again until it is none.
	Expire(ctx context.Context, submittedBefore, now time.Time, limit int) (int, error)
}

// Submission is one accepted request.
type Submission struct {
	AccountID    int32
	SubAccountID int32
	Content      []byte // mail.Content as JSON
	SubmittedAt  time.Time
	Messages     []NewMessage
}

// NewMessage is one message of a Submission.
type NewMessage struct {
	ID        mail.ID
	Recipient []byte // mail.Recipient as JSON
	To        string // the recipient's address
	Mailbox   mailbox.Class
	PoolID    int32
	Spread    bool // the pool has several members: the plan needs a sequence number

	// Plan is called once, inside the transaction, with the message's place in the pool's sequence (0 unless Spread).
	Plan func(seq uint64) Planned
}

// Planned is where a message goes.
type Planned struct {
	Plan      route.Plan
	Processed event.Type // the type of its processed event
}

// Claim asks for due messages.
type Claim struct {
	Egress     route.Egress
	Limit      int    // most messages
	Owner      string // who claims; fences Settle
	Now        time.Time
	LeaseUntil time.Time
}

// Due is when an egress has something to do.
type Due struct {
	Ready bool      // messages may be claimed now
	Send  time.Time // when the first waiting message may be claimed; zero: none waits
	Ask   time.Time // when the first unknown message is to be asked for; zero: there is none
}

// Job is one claimed message.
type Job struct {
	ID           mail.ID
	AccountID    int32
	SubAccountID int32
	Mailbox      mailbox.Class
	Content      *mail.Content
	Recipient    mail.Recipient
	Plan         route.Plan
	Egress       route.Egress
	SubmittedAt  time.Time
	Attempt      int       // the number of this attempt, from 1; for an unknown message that of the attempt in doubt
	Failures     int       // attempts that failed since the message was accepted
	Asks         int       // negative answers so far, for an unknown message
	UnknownSince time.Time // when the outcome became unknown
	SentAt       time.Time // when the attempt in doubt was begun
}

// Settlement is what became of one claimed message.
type Settlement struct {
	Job     *Job
	Owner   string
	Trigger lifecycle.Trigger // Accept, Requeue, Doubt, Drop
	Outcome *provider.Outcome // nil when no call was made: an answer about an unknown message that says nothing
	At      time.Time

	// For Requeue and Doubt.
	Egress  route.Egress // where it goes next
	DueAt   time.Time    // when it may be claimed, or asked for; zero is at once
	Waiting string       // why it waits, for people

	Asked  bool // Doubt: one more negative answer
	Failed bool // Requeue: counts as a failed attempt

	Mark   Mark        // set on the message when not zero
	Sent   event.Type  // Accept: the type of the sent event, written once per message and family
	Drop   *event.Type // Drop: the type of the dropped event
	Detail event.Detail
}

// ReasonDeleted is why DropWaiting drops or moves a message.
const ReasonDeleted = "the provider was deleted"

// Mark says that a promise could not be kept for a message, and which.
type Mark uint8

// The marks.
const (
	MarkNone        Mark = iota
	MarkResent           // sent again although the provider could not be asked whether it had it: may be a duplicate
	MarkUnconfirmed      // left as sent although nobody confirmed it: may be lost
)

// Recovery takes over the claims of dead claimers.
type Recovery struct {
	Owner string // the living one, whose claims stay; "" when those whose lease has ended are taken over as well
	All   bool   // do not wait for the leases to end: no other claimer can be alive
	Now   time.Time
	AskAt time.Time
}

// Inbox is the way of a provider's webhook from the wire to the event log.
type Inbox interface {
	// Receive stores raw webhook bodies.
	Receive(ctx context.Context, batch []Receipt) error

	// Received returns stored bodies that are due for processing, oldest first.
	Received(ctx context.Context, now time.Time, limit int) ([]Receipt, error)

	// Ingest turns parsed receipts into events: de-duplicates, attributes, updates messages and counters, and removes
	// the receipts, all in one transaction.
	Ingest(ctx context.Context, batch []Parsed) (IngestResult, error)
}

// Receipt is one webhook body as it came.
type Receipt struct {
	ID         int64 // given by the store
	AccountID  int32
	TPSPID     int32
	Headers    map[string]string // those that matter for parsing
	Body       []byte
	ReceivedAt time.Time
}

// Parsed is a receipt with what the adapter read in it.
type Parsed struct {
	Receipt Receipt
	Reports []provider.Report
	Garbage string    // why the body could not be read; such a body is kept aside
	HoldTo  time.Time // when no message of ours matches: try again then; zero gives up and counts it as foreign
	Sent    event.Type
	Now     time.Time
}

// IngestResult counts what became of the reports of a batch.
type IngestResult struct {
	Recorded, Duplicates, Held, Foreign, Garbage int
}

// Journal answers questions about messages, events and statistics.
type Journal interface {
	// Message returns one message of the account, or ErrNotFound.
	Message(ctx context.Context, accountID int32, id mail.ID) (*Message, error)

	// Events returns events of the account in the order of the filter.
	Events(ctx context.Context, f EventFilter) ([]Event, error)

	// Counts returns the account's counters per day and type, in the order of days, from From to To, both included.
	Counts(ctx context.Context, f CountFilter) ([]Count, error)
}

// Message is a stored message with its content.
type Message struct {
	ID           mail.ID
	AccountID    int32
	SubAccountID int32
	PoolID       int32
	Egress       route.Egress // the current or last one
	Mailbox      mailbox.Class
	State        lifecycle.State
	Mark         Mark
	Plan         route.Plan
	Content      *mail.Content
	Recipient    mail.Recipient
	SubmittedAt  time.Time
	Attempts     int
	ProviderID   string
	Waiting      string    // while pending: why it waits
	DueAt        time.Time // while pending: until when, zero when it is due
}

// Event is one row of the event log.
type Event struct {
	Seq          int64 // the order in which events were recorded; never reused
	AccountID    int32
	SubAccountID int32
	MessageID    mail.ID
	PoolID       int32
	TPSPID       int32
	Type         event.Type
	Mailbox      mailbox.Class
	Recipient    string
	Copy         bool // the recipient is a cc or bcc: listed, and counted apart
	OccurredAt   time.Time
	RecordedAt   time.Time
	Detail       event.Detail
	From         mail.Address
	ToName       string
	Subject      string
	Groups       []string
}

// EventFilter selects events. Zero fields do not filter.
type EventFilter struct {
	AccountID    int32
	SubAccountID int32
	MessageID    mail.ID
	TPSPIDs      []int32 // nil: any
	Types        []event.Type
	Recipient    string    // exact address, case-insensitive
	From, To     time.Time // occurrence, From included, To excluded
	After        int64     // only events recorded after this Seq
	Before       int64     // only events recorded before this Seq; 0 is no bound
	Newest       bool      // newest first; otherwise in the order of recording
	Offset       int
	Limit        int
}

// CountFilter selects counters.
type CountFilter struct {
	AccountID    int32
	SubAccountID int32 // 0: all
	From, To     time.Time
}

// Count is how many events of a type fell on a day, for `to` recipients.
type Count struct {
	Day  string // YYYY-MM-DD, UTC
	Type event.Type
	N    int64
}

// Configuration keeps what the directory holds.
type Configuration interface {
	directory.Loader

	// CreateAccount stores an account with its default sub-account and gives both their ids.
	CreateAccount(ctx context.Context, a *directory.Account, s *directory.SubAccount) error

	// CreateSubAccount gives the sub-account its id. ErrConflict: the name is taken.
	CreateSubAccount(ctx context.Context, s *directory.SubAccount) error

	// RenameSubAccount fails with ErrConflict or ErrNotFound.
	RenameSubAccount(ctx context.Context, accountID, id int32, name string) error

	// DeleteSubAccount removes the sub-account from use; its mail and events stay.
	DeleteSubAccount(ctx context.Context, accountID, id int32, now time.Time) error

	// CreateTPSP stores a TPSP with its pool and gives both their ids. ErrConflict: the account has the same key and
	// stream already. The pool's name is made free by counting up (`-2`, `-3`, ...).
	CreateTPSP(ctx context.Context, t *directory.TPSP, p *route.Pool) error

	// UpdateWebhook records where the registration stands.
	UpdateWebhook(ctx context.Context, tpspID int32, w directory.Webhook) error

	// UpdateHealth records whether the egress is in use.
	UpdateHealth(ctx context.Context, tpspID int32, h directory.Health) error

	// DeleteTPSP takes the TPSP out of use and removes it from every pool, and the pool that was made for it. Without force
	// it fails with ErrConflict while messages are pending there; with force the caller moves or drops them by DropWaiting.
	DeleteTPSP(ctx context.Context, accountID, id int32, force bool, now time.Time) error

	// DropWaiting drops messages that wait for an egress that is gone and have no other one in their plan; those that have
	// are moved there. It returns how many were handled; the caller calls again until it is none.
	DropWaiting(ctx context.Context, egress route.Egress, now time.Time, limit int) (int, error)

	// KeyCheck returns what SetKeyCheck stored, nothing on a fresh database.
	KeyCheck(ctx context.Context) ([]byte, error)

	// SetKeyCheck stores a value that only the right encryption key opens.
	SetKeyCheck(ctx context.Context, sealed []byte) error

	// Installation returns a random id of this database, the same for its whole life.
	Installation(ctx context.Context) (string, error)
}
