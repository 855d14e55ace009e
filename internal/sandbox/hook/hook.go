// Package hook delivers webhooks: it posts bodies to URLs, many at once over kept-alive connections, and tries again later, on a
// clock, what failed. What a body says and who is told is the provider's business.
//
// Invariants: a delivery is tried until it is answered, refused or its ladder is used up, and then reported once through Done;
// every try carries the same bytes; deliveries to one URL start in the order in which they were queued;
// a URL that hangs holds up no other URL; nothing ever connects to a host other than this machine.
package hook

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Policy is how one provider delivers.
type Policy struct {
	// Ladder are the waits after each failed try; one more try than waits is made.
	Ladder []time.Duration
	// Judge reads the status of an answer; 0 is no answer at all.
	Judge func(status int) Verdict
	// RetriesHeader names the header that counts down what is left of the ladder; empty for none.
	RetriesHeader string
	// TraceHeader names the header that carries the Trace; empty for none.
	TraceHeader string
	// Timeout is how long one try may take, of the machine's time; 0 is 30 s.
	Timeout time.Duration
}

// Delivery is one event on its way to one URL.
type Delivery struct {
	// URL, Header and Body make up the request; every try sends the same. The engine works on a copy of Header.
	URL    string
	Header http.Header
	Body   []byte
	Policy *Policy
	// Delay is how long the first try is held back, on the engine's clock; 0 is not at all.
	Delay time.Duration
	// Server, Hook, Type, MailID and Trace describe the delivery in the list of attempts: the server's name, the webhook's id, the
	// event's type, the message's id, empty when the event is not a message's, and what tells the event's tries from those of others.
	Server string
	Hook   int
	Type   string
	MailID string
	Trace  string
	// MailIDs are the messages when the delivery tells of several; MailID is empty then.
	MailIDs []string
	// Tried is called after each try. May be nil.
	Tried func(Attempt)
	// Done is called once, when the delivery is over for good. May be nil.
	Done func()
	// FirstTry is closed after the first try, whatever came of it. May be nil.
	FirstTry chan struct{}

	tries int
}

// header is what a try sends when so many retries remain after it.
func (d *Delivery) header(remaining int) http.Header {
	header := d.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if d.Policy.TraceHeader != "" {
		header.Set(d.Policy.TraceHeader, d.Trace)
	}
	if d.Policy.RetriesHeader != "" {
		header.Set(d.Policy.RetriesHeader, strconv.Itoa(remaining))
	}
	return header
}

// Verdict is what an answer means for a delivery.
type Verdict string

// The verdicts. Judge returns one of the first three; a delivery is given up when a Retry finds the ladder used up.
const (
	Delivered Verdict = "delivered"
	Retry     Verdict = "retry"
	Refused   Verdict = "refused"
	GivenUp   Verdict = "given up"
)

// Attempt is one try, for people and tests to look at.
type Attempt struct {
	Server           string    `json:"server"`
	Hook             int       `json:"webhookId"`
	URL              string    `json:"url"`
	Type             string    `json:"recordType"`
	MailID           string    `json:"messageId"`
	MailIDs          []string  `json:"messageIds,omitempty"` // when it tells of several messages
	Trace            string    `json:"traceId"`
	Try              int       `json:"try"` // from 1
	RetriesRemaining int       `json:"retriesRemaining"`
	At               time.Time `json:"at"`
	DurationMS       float64   `json:"durationMs"`
	Status           int       `json:"status"` // 0: no answer
	Error            string    `json:"error,omitempty"`
	Verdict          Verdict   `json:"verdict"`
	// NextTry is when it was to be tried again; zero when it was not.
	NextTry time.Time `json:"nextTryAt,omitzero"`
}

// Tells tells whether the try was to report something of a message.
func (a Attempt) Tells(mailID string) bool {
	return a.MailID == mailID || slices.Contains(a.MailIDs, mailID)
}

// Registered is a webhook that somebody has registered, for people. URL is without a password.
type Registered struct {
	Provider string            `json:"provider"`
	Server   string            `json:"server"`
	ID       int               `json:"id"` // unique within the server
	URL      string            `json:"url"`
	Stream   string            `json:"stream"` // or what else tells the provider's webhooks apart
	Status   string            `json:"status"`
	Triggers map[string]string `json:"triggers"` // the enabled ones, each with its status
}

// Result is how a webhook answered samples.
type Result struct {
	Success bool     `json:"success"`
	Message string   `json:"message"` // "1/2 triggers ..."
	Results []Sample `json:"results"`
}

// Sample is how a webhook answered one sample. Status is 0 when there was no answer.
type Sample struct {
	Trigger string `json:"trigger"`
	Success bool   `json:"success"`
	Status  int    `json:"status"`
	Message string `json:"message"`
}

// ErrNone means that a server has no webhook of that number.
var ErrNone = errors.New("there is no such webhook")
