package store

import (
	"context"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
)

// Outbox keeps the webhooks of accounts (endpoints), and what is still to be posted to them (deliveries). Deliveries are made from the event
// log, behind it: one node at a time reads the log from a stored place on. Nothing is written for them where events are recorded.
type Outbox interface {
	// CreateEndpoint stores an endpoint and gives its id; it gets events that are recorded later. ErrConflict: the account has one with this URL
	// already.
	CreateEndpoint(ctx context.Context, e *Endpoint) error

	// NamedEndpoints finds endpoints that messages name, by their accounts and URLs, and makes those that there are not.
	NamedEndpoints(ctx context.Context, list []Endpoint) ([]Endpoint, error)

	// Endpoints returns endpoints in use, in the order of ids.
	Endpoints(ctx context.Context, f EndpointFilter) ([]Endpoint, error)

	// CountEndpoints counts what Endpoints would return without its limit.
	CountEndpoints(ctx context.Context, f EndpointFilter) (int, error)

	// ChangeEndpoint changes an endpoint in use, in one transaction: all but its account, id, kind, Since and Created, and of its
	// Standing what keeps it from being tried (Failures, FailingAt, NextTry). ErrNotFound: the
	// account has none with this id; ErrConflict: it has another one with this URL; or the error of change, which may be called again.
	ChangeEndpoint(ctx context.Context, accountID, id int32, change func(*Endpoint) error) (*Endpoint, error)

	// DeleteEndpoint takes an endpoint out of use, with all that waits for it. ErrNotFound as above.
	DeleteEndpoint(ctx context.Context, accountID, id int32, now time.Time) error

	// OutboxPlace returns up to which event (Seq) deliveries were made.
	OutboxPlace(ctx context.Context) (int64, error)

	// Outbound returns events that were recorded after a Seq, at most limit, in their order.
	Outbound(ctx context.Context, after int64, limit int) (Outbound, error)

	// OutboundOf is Outbound of one account, in the order of when events happened, then of their Seq: those from a time on (at that time itself, those
	// after a Seq) and before another one. The next page is from LastAt and after Last.
	OutboundOf(ctx context.Context, accountID int32, from, to time.Time, after int64, limit int) (Outbound, error)

	// OutEvents returns events by their Seq, in its order. Those that are not there are left out.
	OutEvents(ctx context.Context, seqs []int64) ([]OutEvent, error)

	// OutContents reads contents without bodies and attachments, by OutEvent.Content. Those that are not there, or cannot be read, are left out.
	OutContents(ctx context.Context, refs []string) (map[string]*mail.Content, error)

	// Enqueue makes deliveries of the events after one place up to another, and moves the place. ErrConflict: it is another place by now.
	Enqueue(ctx context.Context, from, to int64, list []DeliveryKey) error

	// Requeue has events posted to an endpoint anew, from At on and with all their tries; those that wait already get At.
	Requeue(ctx context.Context, endpointID int32, seqs []int64, at time.Time) error

	// RequeueMissing does so with what was given up and what waits for its next try: at most limit of them. It returns how many.
	RequeueMissing(ctx context.Context, endpointID int32, at time.Time, limit int) (int, error)

	// Changed tells other nodes that endpoints or deliveries were changed: it makes Outbound.Revision another one.
	Changed(ctx context.Context) error

	// Backlogged returns endpoints that deliveries wait for, by id, those after the given one.
	Backlogged(ctx context.Context, after int32, limit int) ([]int32, error)

	// Ready returns deliveries to an endpoint that wait for nothing, in the order of events, after the given one.
	Ready(ctx context.Context, endpointID int32, after int64, limit int) ([]Delivery, error)

	// Delayed returns deliveries to an endpoint that wait for their next try, by its time.
	Delayed(ctx context.Context, endpointID int32, limit int) ([]Delivery, error)

	// Standing counts what waits for an endpoint.
	Standing(ctx context.Context, endpointID int32) (DeliveryCount, error)

	// RecordTries records tries and what became of the deliveries, and where endpoints stand.
	RecordTries(ctx context.Context, list []Try, standings []EndpointStanding) error

	// Tries returns tries of an endpoint, the newest first.
	Tries(ctx context.Context, f TryFilter) ([]Try, error)

	// SweepOutbox forgets tries that ended before a time, and what is left of deleted endpoints: at most limit rows of each. It returns how many it
	// removed.
	SweepOutbox(ctx context.Context, before time.Time, limit int) (int, error)
}

// Endpoint is a URL that events are posted to: a webhook of an account, or one that messages name (webhookEndpoint).
type Endpoint struct {
	ID        int32
	AccountID int32
	URL       string
	Named     bool // by messages: it gets all events of those, whatever its kinds
	Enabled   bool
	Kinds     HookKinds
	Secret    []byte    // sealed
	Former    []byte    // sealed: the secret before the last rotation
	FormerTo  time.Time // until when that is used as well
	Paused    string    // why nothing is posted, "" when something is; what is to be posted is kept
	PausedAt  time.Time
	Since     int64 // it gets events after this Seq
	Created   time.Time
	Updated   time.Time
	Standing  EndpointStanding
}

// HookKinds is a set of SendPost's 13 toggles of a webhook.
type HookKinds uint16

// The toggles.
const (
	HookProcessed HookKinds = 1 << iota
	HookDelivered
	HookDropped
	HookSoftBounced
	HookHardBounced
	HookOpened
	HookClicked
	HookUnsubscribed
	HookSpam
	HookSent
	HookSMTPDropped
	HookUniqueOpen
	HookUniqueClick
)

// EndpointStanding is how posting to an endpoint goes, as the node that does it recorded it last.
type EndpointStanding struct {
	EndpointID int32
	Failures   int       // in a row
	FailingAt  time.Time // since when nothing succeeds; zero: the last try did
	NextTry    time.Time // while it is left alone: until when
	LastAt     time.Time // of the last try
	LastStatus int       // its HTTP status, 0 without an answer
	LastError  string
	WorkedAt   time.Time // the last success
}

// EndpointFilter selects endpoints. Zero fields do not filter.
type EndpointFilter struct {
	AccountID int32
	IDs       []int32 // nil: any
	Named     bool    // those that messages name; else those that are not
	AllKinds  bool    // both
	Search    string  // part of the URL, in any case of letters
	After     int32   // ids after this one
	Offset    int
	Limit     int // 0: all
}

// Outbound are events, and the state of the configuration that was valid for them.
type Outbound struct {
	Revision int64     // changes with endpoints, and with Changed
	Last     int64     // Seq of the last event that was looked at; the given one when there was none
	LastAt   time.Time // when that happened
	More     bool      // there may be others behind it
	Events   []OutEvent
}

// OutEvent is an event with what is told of its message.
type OutEvent struct {
	Seq          int64
	AccountID    int32
	SubAccountID int32
	MessageID    mail.ID
	PoolID       int32
	Egress       route.Egress
	Type         event.Type
	Marks        Marks
	Mailbox      mailbox.Class
	Recipient    string // in lower case
	OccurredAt   time.Time
	RecordedAt   time.Time
	Detail       []byte // event.Detail as JSON
	To           []byte // mail.Recipient of the message as JSON
	SubmittedAt  time.Time
	Content      string // names the content, see OutContents
	Hook         string // the URL that the message names, "" when it names none
}

// DeliveryKey is an event that is to be posted to an endpoint.
type DeliveryKey struct {
	EndpointID int32
	Seq        int64
}

// Delivery is one that waits.
type Delivery struct {
	DeliveryKey
	Calls int       // that were made
	Tries int       // of them, those that count towards giving up
	DueAt time.Time // of the next one; zero: at once
}

// DeliveryCount counts the deliveries of an endpoint.
type DeliveryCount struct {
	Waiting int64     // to be posted, sooner or later
	GivenUp int64     // not posted any more, unless they are replayed
	Oldest  time.Time // when the first waiting event was recorded; zero: none waits
}

// Fate is what becomes of a delivery after a try.
type Fate uint8

// The fates.
const (
	Delivered Fate = iota // done
	Retry                 // again at Next
	Kept                  // again when the endpoint is tried again
	GivenUp               // kept, and not posted any more
)

// Try is one call to an endpoint for one event.
type Try struct {
	ID int64 // given by the store; later tries have higher ones
	DeliveryKey
	Call   int // its number, from 1
	At     time.Time
	Took   time.Duration
	Status int    // of the answer, 0 when there was none
	Error  string // why it is no success, "" when it is
	Fate   Fate
	Tries  int       // Retry, Kept: as Delivery.Tries
	Next   time.Time // Retry
}

// TryFilter selects tries of an endpoint.
type TryFilter struct {
	EndpointID int32
	Seq        int64 // of one event; 0: of all
	Before     int64 // only those with lower ids; 0: all
	Limit      int
}
