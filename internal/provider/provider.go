// Package provider is the contract between Postyard and the providers that carry mail: adapters, classified outcomes,
// capabilities, and the registry.
//
// The dispatcher knows adapters by this contract only. An adapter never returns a bare error for a message: whatever
// happened is an Outcome with a class, and the class alone decides what follows. Adapters hold no state per message and
// none per connection beyond their HTTP transport.
package provider

import (
	"context"
	"net/http"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/secret"
)

// Type is SendPost's id of a kind of provider.
type Type int

// The ids that SendPost publishes or that this project has settled.
const (
	SendGrid   Type = 1
	Mailgun    Type = 2
	AmazonSES  Type = 3
	Postmark   Type = 4
	SparkPost  Type = 5
	CustomSMTP Type = 6
)

// IP is the type of the operator's own mail servers, which SendPost has no number for.
const IP Type = -1

// Class says what an outcome means for the message and for the egress.
type Class uint8

// The classes of outcomes.
const (
	Accepted  Class = iota // the provider has the message
	Rejected               // this message will never pass: invalid payload, template error
	Inactive               // the provider's own suppression list holds the recipient
	Transient              // the provider is known not to have processed it: refused connection, DNS, TLS, 503
	Throttled              // too much at once; later, or elsewhere
	Account                // the connection itself is refused: bad token, suspended, out of credit, unknown sender domain
	Ambiguous              // nobody knows whether the provider has it: time-out or reset after the request was written
)

var classNames = [...]string{"accepted", "rejected", "inactive", "transient", "throttled", "account", "ambiguous"}

// String returns the class's public name.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "invalid"
}

// Outcome is what became of one message in one call.
type Outcome struct {
	Class             Class
	ProviderMessageID string        // the provider's id, when Accepted
	HTTPStatus        int           // 0 when there was no answer
	Code              string        // the provider's own code: Postmark's ErrorCode "406"; "" when there is none
	Text              string        // the provider's words or the transport's error; at most 512 bytes, secrets removed
	RetryAfter        time.Duration // Throttled: what the provider asked for, 0 when it did not say; Unsent: when it may be tried again, 0: with the next call
	InactiveAddresses []string      // recipients that the provider will not deliver to, also when Accepted
	WholeCall         bool          // the refusal is about the call, not about this message: a smaller batch may pass
	SenderOnly        bool          // Account, because of the message's sender: other senders are not affected
	Own               bool          // Transient, for the message's own sake (greylisted, its mailbox is full): others are not affected
	Bounce            event.Kind    // Rejected, by the recipient's server or for its mailbox: HardBounced or SoftBounced; zero: it is not the recipient. Accepted: HardBounced when InactiveAddresses are
	Elsewhere         bool          // Rejected, because this provider lacks something (a template, the will to carry it) that another may have
	Unsent            bool          // no call was made: no time was left (Transient), or nothing to send (Rejected); it says nothing of the provider
	Unwritten         bool          // the provider has seen nothing of the message: the call did not get that far
	Withheld          bool          // Rejected, by us and not by the provider: the recipient is suppressed
}

// MaxText is the most bytes of foreign words that an Outcome keeps.
const MaxText = 512

// Outgoing is one message on its way to a provider.
type Outgoing struct {
	ID           mail.ID
	AccountID    int32
	SubAccountID int32
	TPSPID       int32 // negative: through an IP
	Mailbox      mailbox.Class
	Content      *mail.Content
	Recipient    mail.Recipient
	Sign         Sign // nil: it leaves without a signature; only for adapters that compose
}

// Sign returns the header field that signs a message, as it leaves, with its line end. It stands before the others.
type Sign func(message []byte) (field []byte, err error)

// Connection is how to reach one account at one provider.
type Connection struct {
	AccountID int32
	TPSPID    int32
	Domain    string
	Endpoint  string // base URL; "" means the provider's public one
	Port      int    // 0 is the usual one
	Key       secret.String
	Secret    secret.String // for providers that need more than a key
	Stream    string        // Postmark's message stream
}

// Terms are what a user allowed a connection to carry.
type Terms struct {
	Raw bool // messages without a template, where the provider is Reluctant
}

// Capabilities tells what an adapter can do.
type Capabilities struct {
	Family    event.Family  // the family of the events that it causes
	BatchSize int           // most messages in one call
	CanLookup bool          // the provider can be asked whether it has a message
	Templates bool          // the provider holds templates, and renders them
	Silent    bool          // the provider reports nothing: there is no webhook to register and nothing to read back
	Tracks    bool          // the provider tells of opens and clicks, by pixels and links of its own
	Composes  bool          // the adapter writes the message itself, so that it can be signed
	Streams   bool          // a connection is to one message stream of the account, and names it
	Reluctant bool          // messages without a template are carried only where the user allows it (allowRaw)
	Pools     bool          // the provider has IP pools of its own, and messages may name one (tpspIppool)
	Recalls   bool          // what happened can be read back: History and Fates tell
	PerHour   int           // the limit of a new connection for which none is given, in messages an hour; 0 is none
	Repeats   time.Duration // for how long the provider repeats a webhook that was not taken; 0 is WebhookRetries
}

// Stream is a message stream of a provider that has such a thing (PM-2).
type Stream struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Type     string `json:"type"` // Transactional, Broadcasts, Inbound
	Archived bool   `json:"-"`
}

// Inbound is the type of a stream that only receives.
const Inbound = "Inbound"

// Sends tells whether mail can leave through the stream.
func (s Stream) Sends() bool { return !s.Archived && s.Type != Inbound }

// Found is a message that a provider says it has.
type Found struct {
	ID                mail.ID
	ProviderMessageID string
}

// Credentials protect a webhook that we registered.
type Credentials struct {
	Username string
	Password secret.String
}

// Hook is a webhook to register at a provider.
type Hook struct {
	URL         string
	Credentials Credentials
	Ref         string // as Register returned it before, "" for a new one

	// Before are the refs of those that this one replaces and that still stand: one may become this, where there is room for no further one.
	Before []string

	// Keep records the ref, unless it is nil, before the provider calls the URL: who calls may have to be told by it. It may be called
	// more than once; with an error, which Register returns, nothing is put right.
	Keep func(ref string) error

	// Broken is called, unless it is nil, when the hook does not stand as it should, before that is put right: what it records
	// must not be lost when we are stopped in between. With an error, which Register returns, nothing is put right.
	Broken func() error
}

// Delivery is a webhook request as it came.
type Delivery struct {
	Header http.Header
	Body   []byte
}

// SetupError says why a provider refused a set-up step, in words for the user.
type SetupError struct {
	Code    string // stable, snake_case: "invalid_token", "unknown_stream", "webhook_unreachable"
	Field   string // the request's field that is to blame, "" when none is
	Message string
	Retry   bool     // the same step may succeed later without a change
	Probes  []Probe  // how our webhook answered when the provider called it
	Paused  []string // CodeHookPaused: the triggers that the provider does not report
}

// Probe is what a provider got when it called our webhook to verify it.
type Probe struct {
	Trigger    string `json:"trigger"` // the kind of event that it stands for, in the provider's words
	Success    bool   `json:"success"`
	StatusCode int    `json:"statusCode"` // 0 when there was no answer
	Message    string `json:"message"`
}

// Codes of a SetupError about a webhook. With the provider's id of the webhook, CodeHookUnverified says that it is there and gets nothing;
// CodeHookPaused, that it gets some kinds of events only, and could not be verified anew.
const (
	CodeHookUnverified = "webhook_unverified"
	CodeHookPaused     = "webhook_paused"
)

// Codes of a SetupError that say nothing of the step: the provider did not answer, or not for itself.
const (
	CodeUnreachable = "provider_unreachable"
	CodeUnavailable = "provider_unavailable"
)

// Error implements error.
func (e *SetupError) Error() string { return e.Message }

// Report is one event that a provider reported by webhook or that was read back from it.
//
// One that is Tracked is about the message's own recipient, whoever it was, and has no other. It does not prove that the provider took
// the message, because a scanner on the way to it opens and follows what it finds as well: a message that is queued or on the wire stays
// as it is. One of unknown outcome counts as sent then, because the provider had heard it to the end.
type Report struct {
	Kind              event.Kind
	Type              event.Type
	MessageID         mail.ID // ours, from the metadata; zero when the report carries none
	TPSPID            int32   // ours, from the metadata: that of the connection which carried the message; 0 when the report carries none
	ProviderMessageID string
	Recipient         string
	OccurredAt        time.Time // the provider's own time of the event
	Identity          string    // equal for every copy of one event, different for different events
	Final             bool      // a soft bounce after which the provider gives up
	Refused           Class     // Dropped: the provider takes its acceptance back for a reason of its own (Transient, Throttled or Account), and another may carry the message; Accepted: it does not
	SenderOnly        bool      // Refused as Account, because of the message's sender
	Sample            bool      // a made-up event of the registration handshake or a test button: answered, not kept
	Tracked           bool      // by a pixel or link of ours, see below
	Suppresses        bool      // from now on the provider delivers nothing to the recipient, or the recipient wants nothing
	Reason            Reason    // why, when it suppresses
	SMTPCode          int
	SMTPDescription   string
	Detail            event.Detail
}

// WebhookRetries is the longest time over which a provider repeats a webhook that was not taken: what is older and was not
// reported is not going to be. Postmark has about 72 minutes.
const WebhookRetries = 75 * time.Minute

// Past is a question about what happened at a provider.
type Past struct {
	Since time.Time

	// Open tells whether a message of ours still lacks the report that ends it, so that it is worth a question of its own.
	Open func(ctx context.Context, id mail.ID) (bool, error)

	// Yield takes reports as they are found. It is not called by several goroutines at once; its error ends the reading.
	Yield func(reports []Report) error
}

// Sent is a message that a provider has.
type Sent struct {
	ID                mail.ID
	ProviderMessageID string // "" when it is not known
}

// Adapter talks to one kind of provider.
type Adapter interface {
	Capabilities() Capabilities

	// Profile describes the kind of provider. It is the same at every call, and the caller may keep it.
	Profile() Profile

	// CanCarry says why this provider cannot carry the content, or nil. It is asked when a message is accepted.
	CanCarry(c *mail.Content, terms Terms) *mail.FieldError

	// Send hands a batch over and returns one outcome per message, in the batch's order. It returns when ctx ends. It tells
	// the Watch in ctx how it goes, by Leaving and Answered.
	Send(ctx context.Context, conn Connection, batch []Outgoing) []Outcome

	// Lookup asks which of the messages the provider has. since is when the oldest of them was sent. A message that is not
	// in the answer is one that the provider does not (yet) show; with an error, one that it could not answer about.
	Lookup(ctx context.Context, conn Connection, ids []mail.ID, since time.Time) ([]Found, error)

	// History reads back what happened since a time, as the reports that webhooks give or would have given: a copy has the
	// same Identity. Reports may come in any order, more than once, and be older than asked for. It reads in pages and holds
	// a bounded part of them. missing names, for people, what the provider does not let be read; err, what may be read when it
	// is asked again.
	History(ctx context.Context, conn Connection, past Past) (missing []string, err error)

	// Fates reads back what became of single messages: delivered or bounced. One that the provider does not know gives no
	// report and no error. yield is called as History's, and missing and err are as History's; single messages that the
	// provider does not tell of, although it was asked again, are missing.
	Fates(ctx context.Context, conn Connection, sent []Sent, yield func(reports []Report) error) (missing []string, err error)

	// Check verifies the connection's credentials and settings. The error is a *SetupError where the provider refused.
	Check(ctx context.Context, conn Connection) error

	// Streams lists the provider's message streams, archived ones included.
	Streams(ctx context.Context, conn Connection) ([]Stream, error)

	// Register makes sure that exactly one webhook of ours stands at the provider, and returns how the adapter knows it again: the
	// provider's id of it and, where the provider signs its requests, what proves the signatures. It is no secret. changed tells that
	// the webhook did not stand as it should: it was made, or put right.
	Register(ctx context.Context, conn Connection, hook Hook) (ref string, changed bool, err error)

	// Unregister removes our webhook. It is no error when it is gone already.
	Unregister(ctx context.Context, conn Connection, hook Hook) error

	// Authentic tells, in constant time, whether a request comes from the webhook: by its credentials, or by a signature over the
	// bytes of the body. An error means that it cannot be told now, and says nothing of the request.
	Authentic(ctx context.Context, conn Connection, hook Hook, d Delivery) (bool, error)

	// Parse reads the reports in one webhook body. An error means that the body is not the provider's language.
	Parse(h http.Header, body []byte) ([]Report, error)
}

// Normalizer is an Adapter whose connections are made of more than a base URL and a token.
type Normalizer interface {
	// Normalize checks what a user gave for a connection, without asking anybody, and returns it as it is to be kept.
	Normalize(conn Connection) (Connection, *mail.FieldError)
}

// Identifier is an Adapter of a provider whose accounts have ids of their own, whatever key opens them.
type Identifier interface {
	// Identify returns the id of the account that the connection's key opens. Its errors are as Check's.
	Identify(ctx context.Context, conn Connection) (string, error)
}

// Greeter is an Adapter of a provider that asks at our URL, before it reports anything there, whether its reports are wanted.
type Greeter interface {
	// Greet answers such a question. It is called with requests that are authentic; greeting is false for one that is none. With an
	// error the provider is to ask again.
	Greet(ctx context.Context, conn Connection, hook Hook, d Delivery) (greeting bool, err error)
}

// Trier is an Adapter of a provider that has keys for trying it out: it takes mail, sends none and reports nothing.
type Trier interface {
	// Trial says, for people, what such a key is; "" when the connection's key is not one.
	Trial(conn Connection) string
}

// Registry finds the adapter of a type.
type Registry map[Type]Adapter
