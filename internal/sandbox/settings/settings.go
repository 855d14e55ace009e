// Package settings holds what can be changed about a running sandbox: delays and deliberate oddities. Every simulator reads them
// when it needs them, so that a change counts from the next request on.
package settings

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
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
	// SendLatencyMS is how long a send takes before it takes effect and is answered, in milliseconds.
	SendLatencyMS int64 `json:"sendLatencyMs"`
	// OpenDelivered has every recipient that a mail is delivered to open it at once, where opens are tracked.
	OpenDelivered bool `json:"openDelivered"`
	// ProbeWebhooks has a webhook on this machine probed before it is saved as verified. Without it, it is verified as it is.
	ProbeWebhooks bool `json:"probeWebhooks"`
	// RetryLadder names the waits between the tries of a webhook, see ParseLadder. It counts for events that happen from then on.
	RetryLadder string `json:"retryLadder"`
	// WebhookTimeoutMS is how long one try of a webhook may take, in milliseconds.
	WebhookTimeoutMS int64 `json:"webhookTimeoutMs"`
	// WebhookDates is how dates are written in webhooks: digits, plain or offset.
	WebhookDates string `json:"webhookDates"`
	// LateWebhooks are the record types, separated by commas, whose webhooks are held back for LateWebhooksMS milliseconds, so that
	// they come after those of later events.
	LateWebhooks   string `json:"lateWebhooks"`
	LateWebhooksMS int64  `json:"lateWebhooksMs"`
	// BatchWebhooksMS is for how long, in milliseconds, providers that post several events together collect them; 0 is only what happens at
	// once.
	BatchWebhooksMS int64 `json:"batchWebhooksMs"`
	// PauseAfterFailures is how many tries in a row must have failed for one webhook and record type before that is paused; 0 is never.
	PauseAfterFailures int `json:"pauseAfterFailures"`
	// Account is the state of the account: approved, pending or not-approved.
	Account string `json:"account"`
	// SendRate is how many recipients Amazon SES takes in a second, SendQuota in 24 h; 0 is no limit.
	SendRate  int `json:"sendRate"`
	SendQuota int `json:"sendQuota"`
	// SMTPLogin has the mail server take mail from clients that have logged in only.
	SMTPLogin bool `json:"smtpLogin"`
	// RefuseArchive refuses to archive message streams (Postmark 1241).
	RefuseArchive bool `json:"refuseArchive"`
	// Handlebars has templates that are saved or validated from now on take what Postmark's own examples have and its engine refuses, such
	// as {{#if}}.
	Handlebars bool `json:"handlebars"`
	// Bulk lets the account use the bulk API; without it Postmark answers 14.
	Bulk bool `json:"bulk"`
}

// Ways to write dates in webhooks.
const (
	DatesDigits = "digits" // UTC with seven digits: 2026-03-02T10:15:31.1234567Z
	DatesPlain  = "plain"  // UTC without a fraction: 2026-03-02T10:15:31Z
	DatesOffset = "offset" // with an offset from UTC: 2026-03-02T05:15:31.1234567-05:00
)

// RecordTypes are the names that LateWebhooks may have. Processed, Deferred and Dropped happen at providers that report them.
var RecordTypes = []string{"Delivery", "Bounce", "SpamComplaint", "Open", "Click", "SubscriptionChange", "Processed", "Deferred", "Dropped"}

// DefaultDeliveryDelay is the delivery delay of a fresh sandbox.
const DefaultDeliveryDelay = 200 * time.Millisecond

// Default returns the settings of a fresh sandbox.
func Default() Settings {
	return Settings{DeliveryDelayMS: DefaultDeliveryDelay.Milliseconds(), Account: AccountApproved, ProbeWebhooks: true,
		RetryLadder: ladderNine, WebhookTimeoutMS: (30 * time.Second).Milliseconds(), WebhookDates: DatesDigits,
		LateWebhooksMS: (5 * time.Second).Milliseconds()}
}

const (
	maxDelay   = 24 * time.Hour
	maxLatency = time.Minute
	maxTimeout = 10 * time.Minute
	maxPause   = 1_000_000
)

// DeliveryDelay is DeliveryDelayMS as a duration.
func (s Settings) DeliveryDelay() time.Duration {
	return time.Duration(s.DeliveryDelayMS) * time.Millisecond
}

// SearchLag is SearchLagMS as a duration.
func (s Settings) SearchLag() time.Duration { return time.Duration(s.SearchLagMS) * time.Millisecond }

// BatchWebhooks is BatchWebhooksMS as a duration.
func (s Settings) BatchWebhooks() time.Duration {
	return time.Duration(s.BatchWebhooksMS) * time.Millisecond
}

// SendLatency is SendLatencyMS as a duration.
func (s Settings) SendLatency() time.Duration {
	return time.Duration(s.SendLatencyMS) * time.Millisecond
}

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
	case s.SendRate < 0 || s.SendQuota < 0:
		return fmt.Errorf("settings: sendRate and sendQuota must not be negative, got %d and %d", s.SendRate, s.SendQuota)
	case s.SendLatencyMS < 0 || s.SendLatencyMS > maxLatency.Milliseconds():
		return fmt.Errorf("settings: sendLatencyMs must be from 0 to %d, got %d", maxLatency.Milliseconds(), s.SendLatencyMS)
	}
	if err := s.checkWebhooks(limit); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	switch s.Account {
	case AccountApproved, AccountPending, AccountNotApproved:
		return nil
	}
	return fmt.Errorf("settings: account must be approved, pending or not-approved, got %q", s.Account)
}

func (s Settings) checkWebhooks(limit int64) error {
	switch {
	case s.WebhookTimeoutMS < 1 || s.WebhookTimeoutMS > maxTimeout.Milliseconds():
		return fmt.Errorf("webhookTimeoutMs must be from 1 to %d, got %d", maxTimeout.Milliseconds(), s.WebhookTimeoutMS)
	case s.LateWebhooksMS < 0 || s.LateWebhooksMS > limit:
		return fmt.Errorf("lateWebhooksMs must be from 0 to %d, got %d", limit, s.LateWebhooksMS)
	case s.BatchWebhooksMS < 0 || s.BatchWebhooksMS > limit:
		return fmt.Errorf("batchWebhooksMs must be from 0 to %d, got %d", limit, s.BatchWebhooksMS)
	case s.PauseAfterFailures < 0 || s.PauseAfterFailures > maxPause:
		return fmt.Errorf("pauseAfterFailures must be from 0, which is never, to %d, got %d", maxPause, s.PauseAfterFailures)
	case s.WebhookDates != DatesDigits && s.WebhookDates != DatesPlain && s.WebhookDates != DatesOffset:
		return fmt.Errorf("webhookDates must be digits, plain or offset, got %q", s.WebhookDates)
	}
	for name := range names(s.LateWebhooks) {
		if !slices.Contains(RecordTypes, name) {
			return fmt.Errorf("lateWebhooks must be some of %s, separated by commas, or empty; got %q", strings.Join(RecordTypes, ", "), name)
		}
	}
	_, err := ParseLadder(s.RetryLadder)
	return err
}

// Late returns how long webhooks of a record type are held back.
func (s Settings) Late(recordType string) time.Duration {
	for name := range names(s.LateWebhooks) {
		if name == recordType {
			return time.Duration(s.LateWebhooksMS) * time.Millisecond
		}
	}
	return 0
}

// names are the parts of a list that commas separate, without the empty ones.
func names(list string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(list, ",") {
			if name := strings.TrimSpace(part); name != "" && !yield(name) {
				return
			}
		}
	}
}

// Current is the settings in force, shared by those who read and those who change them: for everybody, and for servers that have their
// own. Use NewCurrent.
type Current struct {
	mu  sync.RWMutex
	all Settings
	own map[string]Settings // by the server's name in lower case
}

// NewCurrent puts settings in force.
func NewCurrent(s Settings) *Current { return &Current{all: s} }

// Get returns the settings of those who have none of their own.
func (c *Current) Get() Settings { return c.Of("") }

// Of returns the settings of a server.
func (c *Current) Of(server string) Settings {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.own) > 0 {
		if s, ok := c.own[strings.ToLower(server)]; ok {
			return s
		}
	}
	return c.all
}

// Set replaces all of them.
func (c *Current) Set(s Settings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.own = s, nil
}

// Merge replaces what the JSON object names: of one server, or, without a name, of all, whether they have their own or not.
func (c *Current) Merge(server string, raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if server != "" {
		now, ok := c.own[strings.ToLower(server)]
		if !ok {
			now = c.all
		}
		changed, err := now.Merge(raw)
		if err != nil {
			return err
		}
		if c.own == nil {
			c.own = map[string]Settings{}
		}
		c.own[strings.ToLower(server)] = changed
		return nil
	}
	all, err := c.all.Merge(raw)
	if err != nil {
		return err
	}
	own := map[string]Settings{}
	for name, now := range c.own {
		if own[name], err = now.Merge(raw); err != nil {
			return err
		}
	}
	c.all, c.own = all, own
	return nil
}

// Forget takes a server's own settings away.
func (c *Current) Forget(server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.own, strings.ToLower(server))
}
