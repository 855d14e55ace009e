package ses

import (
	"net/http"
	"time"

	"postyard/internal/event"
	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// perHour is the limit of a new connection (SES-3).
const perHour = 100

// Sizes of a Send. Each message is a call of its own, so that with an answer after 100 ms a Send carries 100 messages a second.
const (
	batchSize = 50
	atOnce    = 10       // calls
	maxMemory = 64 << 20 // bytes that the messages of these calls take, together
)

// Config is what the adapter needs from its surroundings.
type Config struct {
	// Transport carries the calls and owns the kept-alive connections. It must not repeat a POST that was written. A nil
	// Transport means an http.Transport of the adapter's own.
	Transport http.RoundTripper

	// UserAgent names the caller to Amazon; "" means "Postyard".
	UserAgent string

	// Now is the clock, by which requests are signed too; nil means time.Now.
	Now func() time.Time

	// AllowPrivate says that endpoints may stand at loopback and private addresses.
	AllowPrivate bool
}

// Adapter implements provider.Adapter. It is safe for concurrent use.
type Adapter struct {
	provider.Forgetful
	Config
	amazons  *certificates // signing certificates of Amazon's
	others   *certificates // those of other endpoints: who is slow there, or has many, is in nobody else's way
	patience time.Duration // how long Register waits for SNS to reach us; tests set less
}

var (
	_ provider.Adapter    = (*Adapter)(nil)
	_ provider.Normalizer = (*Adapter)(nil)
	_ provider.Greeter    = (*Adapter)(nil)
)

// New returns the adapter.
func New(c Config) *Adapter {
	if c.Transport == nil {
		c.Transport = httpcall.NewTransport()
	}
	if c.UserAgent == "" {
		c.UserAgent = "Postyard"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Adapter{Forgetful: forgetful, Config: c, amazons: newCertificates(), others: newCertificates(), patience: patience}
}

// Capabilities implements provider.Adapter.
func (*Adapter) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.AmazonSES, BatchSize: batchSize, Tracks: true, PerHour: perHour}
}

// forgetful says what Amazon SES does not tell.
var forgetful = provider.Forgetful{NotAsked: "Amazon SES cannot be asked whether it has a message",
	Missing: "what became of messages: Amazon SES keeps no list of it, and what it reported while nobody listened is lost"}
