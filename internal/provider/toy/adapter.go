package toy

import (
	"net/http"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
	"postyard/internal/ssrf"
)

// Type is the provider's id. SendPost has none for it.
const Type = provider.FirstOwnType

const maxBatch = 50 // messages in one call

// Config is what the adapter needs from its surroundings.
type Config struct {
	Transport    http.RoundTripper // nil: one of the adapter's own
	AllowPrivate bool              // endpoints may be http and point at loopback and private addresses
	Now          func() time.Time  // nil: time.Now
}

// Adapter implements provider.Adapter. It is safe for concurrent use.
type Adapter struct {
	provider.Forgetful
	Config
}

var (
	_ provider.Adapter    = (*Adapter)(nil)
	_ provider.Normalizer = (*Adapter)(nil)
)

// New returns the adapter.
func New(c Config) *Adapter {
	if c.Transport == nil {
		c.Transport = httpcall.NewTransport()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Adapter{Forgetful: provider.Forgetful{NotAsked: "Toy cannot be asked whether it has a message",
		Missing: "what became of messages: Toy tells by webhook only"}, Config: c}
}

// Capabilities implements provider.Adapter. SendPost has no numbers for this provider's events, so they are native ones.
func (*Adapter) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.Native, BatchSize: maxBatch, Tracks: true, PerHour: 100}
}

// Profile implements provider.Adapter.
func (*Adapter) Profile() provider.Profile {
	return provider.Profile{
		Type: Type, Name: "toy", Title: "Toy",
		Fields: []provider.Field{
			{Name: provider.FieldKey, Holds: "the API key", Required: true},
			{Name: provider.FieldEndpoint, Holds: "the base URL of the API", Required: true},
		},
		Limits:     []provider.Limit{{Of: "messages in one call", Most: "50"}},
		Events:     vocabulary,
		Impossible: []string{"attachments are not carried", "the provider cannot be asked about messages"},
	}
}

// Normalize implements provider.Normalizer.
func (a *Adapter) Normalize(conn provider.Connection) (provider.Connection, *mail.FieldError) {
	conn = provider.Connection{AccountID: conn.AccountID, TPSPID: conn.TPSPID, Key: conn.Key, Endpoint: strings.TrimSpace(conn.Endpoint)}
	if _, err := httpcall.Token(conn.Key.Reveal(), "API key"); err != nil {
		return conn, mail.Invalid("invalid_key", provider.FieldKey, "%s", err)
	}
	u, err := ssrf.CheckURL(conn.Endpoint, a.AllowPrivate)
	if err != nil || u.RawQuery != "" || u.ForceQuery {
		return conn, mail.Invalid("invalid_endpoint", provider.FieldEndpoint, "the endpoint is no base URL that may be used: %v", err)
	}
	conn.Endpoint = strings.TrimRight(conn.Endpoint, "/")
	return conn, nil
}

// CanCarry implements provider.Adapter.
func (*Adapter) CanCarry(c *mail.Content, _ provider.Terms) *mail.FieldError {
	switch {
	case c.HTML == "" && c.Text == "":
		return mail.Invalid("missing_body", "htmlBody", "Toy sends what the request holds: give htmlBody or textBody")
	case len(c.Attachments) > 0:
		return mail.Invalid("unsupported_attachment", "attachments", "Toy carries no attachments")
	}
	return nil
}
