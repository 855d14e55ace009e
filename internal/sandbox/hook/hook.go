// Package hook delivers webhooks: it posts bodies to URLs, many at once over kept-alive connections, and tries again later, on a
// clock, what failed. What a body says and who is told is the provider's business.
//
// Invariants: a delivery is tried until it is answered, refused or its ladder is used up, and then reported once through Done;
// every try carries the same bytes and the same trace id; deliveries to one URL start in the order in which they were queued;
// a URL that hangs holds up no other URL; nothing ever connects to a host other than this machine.
package hook

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// Delivery is one event on its way to one URL.
type Delivery struct {
	// URL, Header and Body make up the request. Header is not modified; headers of the engine are added to a copy.
	URL    string
	Header http.Header
	Body   []byte
	// Trace is the same for every try.
	Trace string
	// Hook, Type and MailID describe the delivery in the list of attempts: the webhook's id, the event's type, the message's id.
	Hook   int
	Type   string
	MailID string
	// Done is called once, when the delivery is over for good. May be nil.
	Done func()
	// FirstTry is closed after the first try, whatever came of it. May be nil.
	FirstTry chan struct{}

	tries int
}

// Names of the headers that the engine sets.
const (
	HeaderTrace   = "X-PM-Webhook-Trace-Id"
	HeaderRetries = "X-PM-Retries-Remaining"
)

func (d *Delivery) request(ladder []time.Duration) http.Header {
	header := d.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set(HeaderTrace, d.Trace)
	header.Set(HeaderRetries, strconv.Itoa(max(0, len(ladder)-d.tries)))
	return header
}

// Ladder is Postmark's schedule for outbound events: the wait after each failed try. Nine retries in 72 minutes.
func Ladder() []time.Duration {
	minutes := []int{1, 5, 15, 1, 5, 10, 10, 10, 15}
	ladder := make([]time.Duration, len(minutes))
	for i, m := range minutes {
		ladder[i] = time.Duration(m) * time.Minute
	}
	return ladder
}

// Verdict is what an answer means for a delivery.
type Verdict string

// Verdicts. A webhook that answers a 4xx other than 408 and 429 loses the event at once.
const (
	Delivered Verdict = "delivered"
	Retry     Verdict = "retry"
	Refused   Verdict = "refused"
	GivenUp   Verdict = "given up"
)

// Judge reads an answer; status 0 is no answer at all.
func Judge(status int) Verdict {
	switch {
	case status >= 200 && status < 300:
		return Delivered
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return Retry
	case status >= 400 && status < 500:
		return Refused
	default:
		return Retry
	}
}

// Attempt is one try, for people and tests to look at.
type Attempt struct {
	Hook             int       `json:"webhookId"`
	URL              string    `json:"url"`
	Type             string    `json:"recordType"`
	MailID           string    `json:"messageId"`
	Trace            string    `json:"traceId"`
	Try              int       `json:"try"` // from 1
	RetriesRemaining int       `json:"retriesRemaining"`
	At               time.Time `json:"at"`
	DurationMS       float64   `json:"durationMs"`
	Status           int       `json:"status"` // 0: no answer
	Error            string    `json:"error,omitempty"`
	Verdict          Verdict   `json:"verdict"`
}

// drain reads what is left of an answer, so that the connection can be used again, but not for ever. The status has been read
// by then, so errors no longer matter: at worst the connection is not kept.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 1<<20)
	_ = body.Close()
}
