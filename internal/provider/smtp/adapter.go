package smtp

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// perHour is the limit of a new connection (SendPost's).
const perHour = 100

// batchSize is how many messages one call carries over its connection, one after the other: what a server that takes a second
// for each gets through well within a call's deadline.
const batchSize = 20

// Bounds of a connection that is kept.
const (
	defaultIdle = 30 * time.Second // servers wait for five minutes (RFC 5321 section 4.5.3.2.7), but count the connections
	maxIdle     = 8                // unused connections to one server
	maxCarried  = 100              // messages that one connection carries
)

// Config is what the adapter needs from its surroundings.
type Config struct {
	// Dial connects. It has to keep connections off addresses that users must not reach; nil dials anywhere.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// AllowPrivate says that servers may stand at loopback and private addresses. There, and only there, credentials may travel
	// in clear and a certificate that nobody signed is taken, unless the endpoint demands TLS.
	AllowPrivate bool

	// RootCAs verify the servers' certificates; nil means the system's.
	RootCAs *x509.CertPool

	// Now is the clock for Date; nil means time.Now.
	Now func() time.Time

	// Own says that the servers are the operator's own IPs, which are no provider: events are native.
	Own bool

	// Idle is how long an unused connection is kept; 0 means half a minute.
	Idle time.Duration
}

// Adapter implements provider.Adapter. It is safe for concurrent use.
type Adapter struct {
	provider.Forgetful
	Config
	pool *pool
}

var (
	_ provider.Adapter       = (*Adapter)(nil)
	_ provider.Normalizer    = (*Adapter)(nil)
	_ provider.Distinguisher = (*Adapter)(nil)
)

// New returns the adapter. Close lets go of its connections; without that they end by themselves when they are idle.
func New(c Config) *Adapter {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	return &Adapter{Forgetful: forgetful, Config: c, pool: newPool(c.Idle)}
}

// Close ends the connections that are not in use, and from now on each when its call ends.
func (a *Adapter) Close() error {
	a.pool.close()
	return nil
}

// Capabilities implements provider.Adapter.
func (a *Adapter) Capabilities() provider.Capabilities {
	family := event.CustomSMTP
	if a.Own {
		family = event.Native
	}
	return provider.Capabilities{Family: family, BatchSize: batchSize, Silent: true, Composes: true, PerHour: perHour}
}

// forgetful says what a mail server does not tell.
var forgetful = provider.Forgetful{NotAsked: "a mail server cannot be asked whether it has a message",
	Missing: "what became of messages: a mail server does not tell"}

// Register implements provider.Adapter: there is nothing to register.
func (*Adapter) Register(context.Context, provider.Connection, provider.Hook) (ref string, changed bool, err error) {
	return "", false, nil
}

// Unregister implements provider.Adapter.
func (*Adapter) Unregister(context.Context, provider.Connection, provider.Hook) error { return nil }

// Authentic implements provider.Adapter: whoever claims to report for a mail server is not believed.
func (*Adapter) Authentic(context.Context, provider.Connection, provider.Hook, provider.Delivery) (bool, error) {
	return false, nil
}

// Parse implements provider.Adapter.
func (*Adapter) Parse(http.Header, []byte) ([]provider.Report, error) {
	return nil, errors.New("a mail server has no webhooks")
}
