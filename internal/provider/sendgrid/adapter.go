package sendgrid

import (
	"net/http"
	"time"

	"postyard/internal/event"
	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// defaultEndpoint is SendGrid's public API. Subusers of the EU region have https://api.eu.sendgrid.com.
const defaultEndpoint = "https://api.sendgrid.com"

// perHour is the limit of a new connection (SG-5).
const perHour = 100

// Limits of one call.
const (
	maxPersonalizations = 1000
	maxRecipients       = 1000     // to, cc and bcc of all personalizations
	maxBody             = 30 << 20 // bytes of a message with its attachments in base64
)

// Config is what the adapter needs from its surroundings.
type Config struct {
	// Transport carries the calls and owns the kept-alive connections. It must not repeat a POST that was written. A nil
	// Transport means an http.Transport of the adapter's own.
	Transport http.RoundTripper

	// UserAgent names the caller to SendGrid; "" means "Postyard".
	UserAgent string

	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// AllowPrivate says that endpoints may be at loopback and private addresses.
	AllowPrivate bool
}

// Adapter implements provider.Adapter. It is safe for concurrent use.
type Adapter struct {
	provider.Forgetful
	transport    http.RoundTripper
	userAgent    string
	now          func() time.Time
	allowPrivate bool
	bodyLimit    int // maxBody; tests set less
}

var (
	_ provider.Adapter    = (*Adapter)(nil)
	_ provider.Normalizer = (*Adapter)(nil)
)

// New returns the adapter.
func New(c Config) *Adapter {
	a := &Adapter{Forgetful: forgetful, transport: c.Transport, userAgent: c.UserAgent, now: c.Now, allowPrivate: c.AllowPrivate, bodyLimit: maxBody}
	if a.transport == nil {
		a.transport = httpcall.NewTransport()
	}
	if a.userAgent == "" {
		a.userAgent = "Postyard"
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Capabilities implements provider.Adapter.
func (*Adapter) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.SendGrid, BatchSize: maxPersonalizations, Tracks: true, Pools: true, PerHour: perHour,
		Repeats: repeats}
}

// repeats is how long SendGrid posts events again that were not taken.
const repeats = 24 * time.Hour

// forgetful says what SendGrid does not tell.
var forgetful = provider.Forgetful{NotAsked: "SendGrid cannot be asked whether it has a message",
	Missing: "what became of messages: SendGrid tells by its Event Webhook only"}
