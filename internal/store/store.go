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
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/limit"
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

// Instead puts a caller's own errors in the place of ErrConflict and ErrNotFound; every other error stays.
func Instead(err, conflict, missing error) error {
	switch {
	case errors.Is(err, ErrConflict):
		return conflict
	case errors.Is(err, ErrNotFound):
		return missing
	}
	return err
}

// Store is the whole contract. Consumers declare the part that they use.
type Store interface {
	Queue
	Inbox
	Journal
	EventLog
	MessageLog
	Books
	Configuration
	Hierarchy
	Coordination
	Templates
	StoredTemplates
	Statistics
	Domains
	Labels
	Suppressions
	Trouble
	Hooks
	Idempotency
	IPs
	Outbox
	Members
	Audit
	Close() error
}

// Queue is the way of a message from acceptance to a provider.
type Queue interface {
	// Accept stores requests with their messages, queue rows, processed events and counters. A message to a suppressed address is stored
	// as dropped, with the events that say so, and is not planned; suppressed copies are left out. ErrConflict: a message was
	// planned for an egress that was deleted meanwhile, and has to be planned anew; ErrNotFound: so was its pool. ErrKeyTaken: the key of
	// a request is kept already.
	Accept(ctx context.Context, batch []Submission) error

	// Backlog returns how many messages are pending.
	Backlog(ctx context.Context) (int64, error)

	// Claim takes due messages of an egress, takes a permit and records the intent of an attempt for each. The lanes of the
	// egress get equal parts of the limit. Within a lane messages of pools of higher priority go first, then sub-accounts take
	// turns, then the oldest goes first. Those whose pool or sub-account is paused, whose sub-account or one above it is blocked, and those without a
	// permit, stay. A message takes a permit of its sub-account, and of all above it, as well.
	Claim(ctx context.Context, c Claim) (Claimed, error)

	// ClaimUnknown takes messages of an egress whose outcome is unknown and whose time to ask has come.
	ClaimUnknown(ctx context.Context, c Claim) ([]Job, error)

	// Settle records outcomes. An outcome whose claim was lost meanwhile changes the record of its attempt only, unless it
	// proves that the provider has the message.
	Settle(ctx context.Context, batch []Settlement) error

	// Permits returns how many permits of the egress are taken, and of its lanes that are limited or carry mail.
	Permits(ctx context.Context, egress route.Egress, now time.Time, claim time.Duration) (Permits, error)

	// Queued looks at messages of an account that wait to be sent and are not on the wire, at most limit of them in the order of
	// ids after the given one, and returns those that the filter selects. last is the last one that it looked at, zero when
	// there is none: the work of one call stays bounded.
	Queued(ctx context.Context, f QueuedFilter, after mail.ID, limit int) (list []Queued, last mail.ID, err error)

	// Rearrange moves or drops messages that wait, in as many transactions as suit the engine, and returns how many. Those that do not wait any more where they did stay as
	// they are.
	Rearrange(ctx context.Context, batch []Move, now time.Time) (int, error)

	// NextDue returns when the egress has something to do next.
	NextDue(ctx context.Context, egress route.Egress) (Due, error)

	// Waiting counts the pending messages of an egress, those on the wire and the unknown ones included.
	Waiting(ctx context.Context, egress route.Egress) (int64, error)

	// Recover takes over what dead claimers left: claims whose lease has ended, and those of earlier runs of the node,
	// become unknown, to be asked for at AskAt. It closes their attempts as ambiguous and returns how many they were.
	Recover(ctx context.Context, r Recovery) (int, error)

	// Expire looks at the oldest messages that wait to be sent, and drops those whose time to live is over: that of their pool,
	// else the given one. The time for which a limit kept their lane or their sub-account waiting does not count. It returns how many it dropped, and
	// the last one that it looked at, zero when there is none.
	Expire(ctx context.Context, e Expiry) (n int, last mail.ID, err error)
}

// Expiry asks for messages whose time to live is over.
type Expiry struct {
	TTL   time.Duration
	Now   time.Time
	After mail.ID // in the order of ids
	Limit int     // most messages that are looked at
}

// Submission is one accepted request.
type Submission struct {
	AccountID    int32
	SubAccountID int32
	Content      []byte   // mail.Content as JSON
	Groups       []string // that its messages are counted under
	Domain       string   // the sender's domain, when its messages are counted under it
	Hook         string   // the URL that its events are posted to, "" for none
	SubmittedAt  time.Time
	Messages     []NewMessage
	Keep         *KeptAnswer // the request has a key; nil: it has none
}

// NewMessage is one message of a Submission.
type NewMessage struct {
	ID        mail.ID
	Recipient []byte // mail.Recipient as JSON
	To        string // the recipient's address
	Mailbox   mailbox.Class
	PoolID    int32
	Spread    bool // the pool has several members: the plan needs a sequence number

	// Copies are the addresses of cc and bcc, and Without encodes the recipient without those of them that are suppressed. It is
	// nil when there are none.
	Copies  []string
	Without func(gone func(email string) bool) ([]byte, error)

	// Plan is called inside the transaction, again when that has to be run anew, with the message's place in the pool's sequence (0 unless Spread).
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
	Owner      string // who claims, see OwnerOf; fences Settle
	Now        time.Time
	LeaseUntil time.Time // the provider sees the messages before then, or never
}

// Claimed is what a claim took, and what it had to leave because of a limit.
type Claimed struct {
	Jobs []Job
	Full []mailbox.Class // lanes in which messages wait for a permit
	Free time.Time       // when the first of them, or the first sub-account whose limit is reached, lets a message go; zero when there is none
	More bool            // nothing was claimed because there is too much to look at: the next claim goes on
}

// Permits are those of an egress that are taken, in the order of spans; see package limit.
type Permits struct {
	Whole []limit.Use
	Lanes map[mailbox.Class][]limit.Use
}

// QueuedFilter selects waiting messages. Zero fields do not filter, but for the account.
type QueuedFilter struct {
	AccountID    int32
	SubAccountID int32
	PoolID       int32
	Egress       route.Egress
	Mailboxes    []mailbox.Class
	Movable      bool // only those whose plan has another egress
	Content      bool // the contents and recipients are wanted
}

// Queued is one waiting message.
type Queued struct {
	ID           mail.ID
	AccountID    int32
	SubAccountID int32
	PoolID       int32
	Egress       route.Egress
	Mailbox      mailbox.Class
	Plan         route.Plan
	SubmittedAt  time.Time
	Content      *mail.Content // nil when it was not asked for
	Recipient    mail.Recipient
}

// Move is what becomes of one waiting message.
type Move struct {
	ID   mail.ID
	From route.Egress // where it waits

	To      route.Egress // where it goes to, at once; where it waits already it keeps its due time
	Plan    *route.Plan  // nil: the plan stays
	Waiting string       // why it waits, for people

	Drop string // not empty: it is dropped, with this reason
}

// Targets returns where moves go to, each egress once.
func Targets(moves []Move) (list []route.Egress) {
	for i := range moves {
		if to := moves[i].To; to != 0 && !slices.Contains(list, to) {
			list = append(list, to)
		}
	}
	return list
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
	Trigger lifecycle.Trigger // Accept, Requeue, Doubt, Drop, Bounce
	Outcome *provider.Outcome // nil when no call was made: an answer about an unknown message that says nothing
	At      time.Time

	// For Requeue and Doubt.
	Egress  route.Egress // where it goes next
	DueAt   time.Time    // when it may be claimed, or asked for; zero is at once
	Waiting string       // why it waits, for people

	Asked  bool   // Doubt: one more negative answer
	Answer string // what the provider said when it was asked about the attempt, kept beside the outcome of the call
	Failed bool   // Requeue: counts as a failed attempt

	Mark   Mark        // set on the message when not zero
	Sent   event.Type  // Accept: the type of the sent event, written once per message and family
	Drop   *event.Type // Drop, Bounce: the type of the event that says so
	Detail event.Detail

	Inactive []string // addresses that the provider delivers nothing to: they become suppressed
}

// Returns tells whether the settlement gives the permit of its attempt back: the provider has seen nothing of the message.
func (s *Settlement) Returns() bool {
	return s.Answer == "" && s.Outcome != nil && (s.Outcome.Unsent || s.Outcome.Unwritten)
}

// Proves tells whether the settlement proves that the provider has the message. A policy that leaves it as sent does not.
func (s *Settlement) Proves() bool {
	return s.Trigger == lifecycle.Accept && s.Outcome != nil && s.Outcome.Class == provider.Accepted
}

// ProviderMessageID returns the provider's id of the message, "" when the settlement does not tell it.
func (s *Settlement) ProviderMessageID() string {
	if s.Outcome == nil {
		return ""
	}
	return s.Outcome.ProviderMessageID
}

// What the store says of a message or an attempt on its own.
const (
	ReasonDeleted  = "the provider was deleted"                                // why a message is dropped or moved
	ReasonStopped  = "the sender stopped while the provider was being called"  // how Recover closes an attempt
	ReasonReported = "the provider reported about it before the call was over" // how Ingest closes one
	AnswerReported = "it reported that it has the message"                     // of an attempt whose outcome was not known
	ReasonEarlier  = "it turned out meanwhile that an earlier attempt had come through"
)

// TakenBack begins what is said of mail that a provider accepted and then did not carry, for a reason of its own.
const TakenBack = "taken back by the provider: "

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
	Node  string // not empty: claims of this node that Owner does not hold are of earlier runs, and count as ended
	Owner string // the living run of the node
	Now   time.Time
	AskAt time.Time
}

// OwnerOf names a run of a node as a claimer. Two runs of one node never live at the same time.
func OwnerOf(node, run string) string { return node + "/" + run }

// Inbox is the way of a provider's webhook from the wire to the event log.
type Inbox interface {
	// Receive stores raw webhook bodies.
	Receive(ctx context.Context, batch []Receipt) error

	// Received returns stored bodies that are due for processing, oldest first. Where several nodes share the store, they
	// are this node's for half a minute.
	Received(ctx context.Context, now time.Time, limit int) ([]Receipt, error)

	// Ingest turns parsed receipts into events: de-duplicates, attributes, updates messages and counters, and removes
	// the receipts, all in one transaction. A receipt that another node has ingested meanwhile is passed over; one that
	// came fresh from the wire is stored if it has to wait or cannot be read.
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

// Parsed is a receipt with what the adapter read in it. One whose receipt has no id and is not fresh was read back from the
// provider (catch-up) rather than received: what matches no message of ours is left out without a trace.
type Parsed struct {
	Receipt Receipt
	Fresh   bool              // received, and not stored
	Reports []provider.Report // their TPSPID is 0, or one of the account's
	Garbage string            // why the body could not be read; such a body is kept aside
	HoldTo  time.Time         // when no message of ours matches: try again then; zero gives up and counts it as foreign
	Sent    event.Type
	Now     time.Time

	// Back says where a message goes that its provider took back, and when it may be claimed there; the zero time is at once. It is
	// called inside the transaction, again when that has to be run anew. nil: to the next egress of its plan, at once.
	Back func(*Comeback) (to route.Egress, due time.Time)
}

// Comeback is a message that a provider accepted and then did not carry, for a reason of its own: it is queued again.
type Comeback struct {
	ID         mail.ID
	Egress     route.Egress   // who took it back
	Class      provider.Class // why: Transient, Throttled or Account
	SenderOnly bool           // because of its sender
	Sender     string         // the domain of its sender
	Words      string         // the provider's
	SentAt     time.Time      // when the call began by which it was accepted
	At         time.Time      // when the provider took it back, by the provider's clock
	Failures   int            // as in Job: those before this one
	Plan       route.Plan
	Now        time.Time
	To         route.Egress // where it waits, once it is recorded
}

// IngestResult says what became of the reports of a batch.
type IngestResult struct {
	Recorded, Duplicates, Held, Foreign, Garbage int

	Back []Comeback // messages that were queued again
}

// Journal answers questions about messages, events and statistics.
type Journal interface {
	// Message returns one message of the account, or ErrNotFound.
	Message(ctx context.Context, accountID int32, id mail.ID) (*Message, error)

	// Attempts returns the attempts of one message of the account, in their order; none for a message that is not there.
	Attempts(ctx context.Context, accountID int32, id mail.ID) ([]Attempt, error)

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

// Attempt is one call to a provider for one message.
type Attempt struct {
	N          int
	Egress     route.Egress
	Began      time.Time      // when its intent was recorded
	Finished   time.Time      // zero while the call is open
	Class      provider.Class // of the outcome, once finished
	HTTPStatus int            // 0 when there was no answer
	Code       string         // the provider's own code
	Text       string         // the provider's words, or the transport's
	Answer     string         // what the provider said when it was asked about it, or reported of it, "" when it was not

	Refused provider.Class // Transient, Throttled or Account: the provider accepted the message and took it back for this; Accepted: it did not
	Refusal string         // in its words
}

// Stands tells whether the provider accepted the message and did not take it back.
func (a *Attempt) Stands() bool {
	return !a.Finished.IsZero() && a.Class == provider.Accepted && a.Refused == provider.Accepted
}

// Event is one row of the event log.
type Event struct {
	Seq          int64 // the order in which events were recorded; never reused
	AccountID    int32
	SubAccountID int32
	MessageID    mail.ID
	PoolID       int32
	TPSPID       int32
	IPID         int32
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
	TPSPIDs      []int32 // nil: any; a negative one is an IP's
	Types        []event.Type
	Mailbox      mailbox.Class
	Group        string               // of its message, as far as groups are counted by name (MaxLabels)
	Domain       string               // that its message counts under, as facets have it
	Values       map[Dimension]string // that it counts under itself: of reasons, devices, clients, systems and countries
	First        bool                 // only the first open, or click, of its message (MarkFirst)
	Recipient    string               // exact address, case-insensitive
	Search       string               // a part of the recipient's address, case-insensitive
	From, To     time.Time            // occurrence, From included, To excluded
	After        int64                // only events recorded after this Seq
	Before       int64                // only events recorded before this Seq; 0 is no bound
	Newest       bool                 // newest first; otherwise in the order of recording
	Offset       int
	Limit        int
}

// Looks tells whether events, or their messages, are to be looked at to know whether the filter selects them: no index or counter says it.
func (f *EventFilter) Looks() bool {
	return f.Search != "" || f.Group != "" || f.Faceted() || f.First
}

// Faceted tells whether the filter selects by facets: events that have none, such as those of copies, are not among what it selects.
func (f *EventFilter) Faceted() bool { return f.Domain != "" || len(f.Values) > 0 }

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

// Books lets an auditor compare what is stored twice: states against attempts and events, counters against events. Every
// question is about one moment and is bounded, so that the books can be checked while mail flows.
type Books interface {
	FacetBooks

	// Entries returns messages of the account with what is recorded about them, in the order of ids, after the given one.
	Entries(ctx context.Context, accountID int32, after mail.ID, limit int) ([]Entry, error)

	// Counted returns the account's counters of a day (days since 1970-01-01 UTC), and the Seq of the last event that they
	// include.
	Counted(ctx context.Context, accountID int32, day int64) (counters map[Counter]int64, upTo int64, err error)

	// Tally counts events of a day that were recorded up to a Seq, anew from the events, at most limit of them from a place
	// on. It returns the place to go on from, and done when there are no more.
	Tally(ctx context.Context, accountID int32, day, upTo int64, from TallyPlace, limit int) (counters map[Counter]int64, next TallyPlace, done bool, err error)

	// NextDay returns the first day from the given one on that has counters or events of the account; ok is false when
	// there is none.
	NextDay(ctx context.Context, accountID int32, from int64) (day int64, ok bool, err error)
}

// Entry is one message in the books.
type Entry struct {
	ID           mail.ID
	SubAccountID int32
	Egress       route.Egress
	SubmittedAt  time.Time
	State        lifecycle.State // as Journal.Message gives it
	Stored       lifecycle.State // of the message's own row, which says Queued while the message is pending
	Queued       bool            // the message has a queue row
	Attempts     int             // as the message, or its queue row while it is pending, counts them
	Mark         Mark
	ProviderID   string
	Engaged      Engaged
	Calls        []Attempt    // in their order
	Events       []EntryEvent // in the order of recording
}

// Sum returns the state to which the events come, in the order of recording. What happens to a pending message between two events
// (claims, calls, questions) is none, so the events of one come to Queued. A family has one sent event, so when a provider took a message
// back and the next one of its family has it, only the attempts tell.
func (e *Entry) Sum() lifecycle.State {
	state := lifecycle.Queued
	for i := range e.Events {
		if trigger, ok := e.Events[i].Effect.Trigger(); ok {
			state, _ = lifecycle.Next(state, trigger)
		}
	}
	stands := func(a Attempt) bool { return a.Stands() }
	if state == lifecycle.Queued && !e.Queued && e.CameBack() && (e.Mark == MarkUnconfirmed || slices.ContainsFunc(e.Calls, stands)) {
		return lifecycle.Sent
	}
	return state
}

// CameBack tells whether a provider took the message back after accepting it.
func (e *Entry) CameBack() bool {
	return slices.ContainsFunc(e.Calls, func(a Attempt) bool { return a.Refused != provider.Accepted })
}

// EntryEvent is an event as the books see it.
type EntryEvent struct {
	Seq        int64
	Type       event.Type
	Copy       bool
	Effect     Effect
	Marks      Marks
	OccurredAt time.Time
}

// Effect is what an event says about its message's state: the trigger that it stood for when it was recorded.
type Effect uint8

// NoEffect is that of an event that says nothing about the state: processed, and whatever concerns a copy without proving
// anything.
const NoEffect Effect = 0

// EffectOf returns the effect of a trigger.
func EffectOf(t lifecycle.Trigger) Effect { return Effect(t) + 1 }

// Trigger returns the trigger of an effect; ok is false for NoEffect.
func (e Effect) Trigger() (t lifecycle.Trigger, ok bool) {
	return lifecycle.Trigger(e - 1), e != NoEffect
}

// Counter is what is counted together.
type Counter struct {
	SubAccountID int32
	Egress       route.Egress
	Mailbox      int // mailbox.Class.ID
	Type         event.Type
	Copy         bool
}

// TallyPlace is a place among the events of a day; the zero value is before the first one.
type TallyPlace struct {
	OccurredAt int64
	Seq        int64
}

// Coordination is what nodes that share a store agree by. A store that serves one process answers from memory where it can.
type Coordination interface {
	// Now returns the time of the store's clock, which all nodes share. It never fails: while the store is away it goes on
	// by the last comparison with this machine's clock.
	Now() time.Time

	// Node returns the name of this node. It is the same after a restart with the same data directory, and no other living
	// process has it.
	Node() string

	// Shared tells whether other nodes may use the same store.
	Shared() bool

	// Lease takes or renews a named lease for a holder. It returns false while another holder has it.
	Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error)

	// Release gives a lease back. It is no error when the holder does not have it.
	Release(ctx context.Context, name, holder string) error

	// Listening records that webhooks are being taken in. When nobody recorded that for longer than silence, events may be
	// lost: every TPSP in use is to be caught up with, from the last record minus overlap on. gap is how long it was, zero
	// when it was not longer than silence. The first record of a database opens no gap.
	Listening(ctx context.Context, silence, overlap time.Duration) (gap time.Duration, err error)
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

	// DeleteSubAccount removes the sub-account from use; its mail and events stay, and its block and limit stand. ErrHasChildren: others
	// stand under it.
	DeleteSubAccount(ctx context.Context, accountID, id int32, now time.Time) error

	// CreateTPSP stores a TPSP with its pool and gives both their ids. ErrConflict: the account has the same key and
	// stream already. The pool's name is made free by counting up (`-2`, `-3`, ...).
	CreateTPSP(ctx context.Context, t *directory.TPSP, p *route.Pool) error

	// UpdateTPSP changes what users may change of a TPSP in use: its name, policy, limits, and whether it is paused or takes
	// raw messages. ErrNotFound: the account has none with this id.
	UpdateTPSP(ctx context.Context, t *directory.TPSP) error

	// Replans lists what is to be planned anew: UpdatePool asks for it, and UpdateTPSP when it changes what the TPSP takes.
	// Replanned ends one.
	Replans(ctx context.Context) ([]Replan, error)
	Replanned(ctx context.Context, id int64) error

	// Drill sets until when a TPSP in use counts as stopped; the zero time ends it. ErrNotFound as above.
	Drill(ctx context.Context, accountID, id int32, until time.Time) error

	// CreatePool stores a pool and gives its id. ErrConflict: the name is taken.
	CreatePool(ctx context.Context, p *route.Pool) error

	// UpdatePool changes a pool, but for what was made with it and whether it is paused. When that changes the plans, a new sequence
	// begins; then, and when the priority changes, waiting messages are to be planned anew. It gives the revision.
	// ErrNotFound: the account has none with this id. ErrConflict: the name is taken.
	UpdatePool(ctx context.Context, p *route.Pool) error

	// DeletePool removes a pool, and what other pools say of it. ErrNotFound as above.
	DeletePool(ctx context.Context, accountID, id int32) error

	// PausePool and PauseSubAccount set whether mail waits. ErrNotFound as above.
	PausePool(ctx context.Context, accountID, id int32, paused bool) error
	PauseSubAccount(ctx context.Context, accountID, id int32, paused bool) error

	// CatchUpFrom sets since when a TPSP has to be caught up with. An earlier time that is set stays.
	CatchUpFrom(ctx context.Context, tpspID int32, from time.Time) error

	// CaughtUp ends that, unless another time was set meanwhile.
	CaughtUp(ctx context.Context, tpspID int32, from time.Time) error

	// Awaiting looks at messages submitted from..before, at most limit of them in the order of ids after the given one, and
	// returns those of an egress that are sent and have no final report. last is the last one that it looked at, zero when
	// there is none: few may be returned of many, and the work of one call stays bounded.
	Awaiting(ctx context.Context, egress route.Egress, from, before time.Time, after mail.ID, limit int) (list []Awaited, last mail.ID, err error)

	// UpdateWebhook records where the registration stands. Its credentials are those that the TPSP has: ErrNotFound when it has others by
	// now, as MoveTPSP gives.
	UpdateWebhook(ctx context.Context, tpspID int32, w directory.Webhook) error

	// UpdateHealth records whether the egress is in use.
	UpdateHealth(ctx context.Context, tpspID int32, h directory.Health) error

	// Refuse records that a TPSP refuses mail of a sender domain; since when, stays. Admit ends it.
	Refuse(ctx context.Context, tpspID int32, r directory.Refusal) error
	Admit(ctx context.Context, tpspID int32, domain string) error

	// DeleteTPSP takes the TPSP out of use and removes it from every pool, and the pool that was made for it. Without force
	// it fails with ErrConflict while messages are pending there; with force the dispatcher moves or drops them. Without force it also
	// fails with an *EmptyPoolsError when other pools would have no member any more.
	DeleteTPSP(ctx context.Context, accountID, id int32, force bool, now time.Time) error

	// KeyCheck returns what SetKeyCheck stored, nothing on a fresh database.
	KeyCheck(ctx context.Context) ([]byte, error)

	// SetKeyCheck stores a value that only the right encryption key opens, unless there is one: of nodes that start at
	// once on a fresh database, the first one decides.
	SetKeyCheck(ctx context.Context, sealed []byte) error

	// Installation returns a random id of this database, the same for its whole life.
	Installation(ctx context.Context) (string, error)
}

// Replan are waiting messages that are to be planned anew: those of a pool, or those that wait for an egress.
type Replan struct {
	ID        int64
	AccountID int32
	PoolID    int32        // 0 when it is about an egress
	Egress    route.Egress // 0 when it is about a pool
	Reason    string
}

// Why messages are planned anew.
const (
	ReasonPoolChanged     = "the IP pool was changed"
	ReasonProviderChanged = "the provider was changed"
	ReasonIPChanged       = "the IP was changed"
)

// ReasonChanged is why the messages of an egress are planned anew.
func ReasonChanged(e route.Egress) string {
	if e < 0 {
		return ReasonIPChanged
	}
	return ReasonProviderChanged
}

// Awaited is a message that its provider has, and has not reported about.
type Awaited struct {
	ID         mail.ID
	AccountID  int32
	ProviderID string
	To         string
}
