// Package settings holds what can be changed about a running sandbox: delays and deliberate oddities. Every simulator reads them
// when it needs them, so that a change counts from the next request on.
package settings

import (
	"fmt"
	"sync/atomic"
	"time"

	"postyard/internal/sandbox/strictjson"
)

// Account states of the simulated account.
const (
	AccountApproved    = "approved"
	AccountPending     = "pending"      // may only write to the sender's own domain (Postmark 412)
	AccountNotApproved = "not-approved" // may not send (Postmark 413)
)

// Settings are the values in force. The JSON form is that of the control API.
type Settings struct {
	// DeliveryDelayMS is the time from acceptance to the Delivery or Bounce event, in milliseconds.
	DeliveryDelayMS int64 `json:"deliveryDelayMs"`
	// SearchLagMS is how long a message stays invisible to the provider's message search, in milliseconds.
	SearchLagMS int64 `json:"searchLagMs"`
	// WebhookBeforeAnswer posts a send's events, and waits up to 5 s for the answers, before the send itself is answered.
	WebhookBeforeAnswer bool `json:"webhookBeforeAnswer"`
	// Degraded answers sends with 200 but without an ErrorCode.
	Degraded bool `json:"degraded"`
	// DropWebhooks raises events without telling any webhook.
	DropWebhooks bool `json:"dropWebhooks"`
	// DuplicateWebhooks posts every event twice, with the same trace id.
	DuplicateWebhooks bool `json:"duplicateWebhooks"`
	// Account is the state of the account: approved, pending or not-approved.
	Account string `json:"account"`
	// SMTPLogin has the mail server take mail from clients that have logged in only.
	SMTPLogin bool `json:"smtpLogin"`
}

// DefaultDeliveryDelay is the delivery delay of a fresh sandbox.
const DefaultDeliveryDelay = 200 * time.Millisecond

// Default returns the settings of a fresh sandbox.
func Default() Settings {
	return Settings{DeliveryDelayMS: DefaultDeliveryDelay.Milliseconds(), Account: AccountApproved}
}

const maxDelay = 24 * time.Hour

// DeliveryDelay is DeliveryDelayMS as a duration.
func (s Settings) DeliveryDelay() time.Duration {
	return time.Duration(s.DeliveryDelayMS) * time.Millisecond
}

// SearchLag is SearchLagMS as a duration.
func (s Settings) SearchLag() time.Duration { return time.Duration(s.SearchLagMS) * time.Millisecond }

// Merge returns the settings with those replaced that the JSON object names. Unknown names and bad values are errors.
func (s Settings) Merge(raw []byte) (Settings, error) {
	if err := strictjson.Decode(raw, &s); err != nil {
		return s, fmt.Errorf("settings: %w", err)
	}
	return s, s.check()
}

func (s Settings) check() error {
	limit := maxDelay.Milliseconds()
	switch {
	case s.DeliveryDelayMS < 0 || s.DeliveryDelayMS > limit:
		return fmt.Errorf("settings: deliveryDelayMs must be from 0 to %d, got %d", limit, s.DeliveryDelayMS)
	case s.SearchLagMS < 0 || s.SearchLagMS > limit:
		return fmt.Errorf("settings: searchLagMs must be from 0 to %d, got %d", limit, s.SearchLagMS)
	}
	switch s.Account {
	case AccountApproved, AccountPending, AccountNotApproved:
		return nil
	}
	return fmt.Errorf("settings: account must be approved, pending or not-approved, got %q", s.Account)
}

// Current is the settings in force, shared by those who read and those who change them. Use NewCurrent.
type Current struct{ value atomic.Pointer[Settings] }

// NewCurrent puts settings in force.
func NewCurrent(s Settings) *Current {
	c := &Current{}
	c.Set(s)
	return c
}

// Get returns the settings in force.
func (c *Current) Get() Settings { return *c.value.Load() }

// Set replaces them.
func (c *Current) Set(s Settings) { c.value.Store(&s) }
