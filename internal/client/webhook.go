package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Webhook is a webhook of the account: its URL, whether it is enabled, and SendPost's toggles.
type Webhook struct {
	ID           int32  `json:"id,omitempty"`
	Enabled      bool   `json:"enabled"`
	URL          string `json:"url"`
	Processed    bool   `json:"processed"`
	Delivered    bool   `json:"delivered"`
	Dropped      bool   `json:"dropped"`
	SoftBounced  bool   `json:"softBounced"`
	HardBounced  bool   `json:"hardBounced"`
	Opened       bool   `json:"opened"`
	Clicked      bool   `json:"clicked"`
	Unsubscribed bool   `json:"unsubscribed"`
	Spam         bool   `json:"spam"`
	Sent         bool   `json:"sent"`
	SMTPDropped  bool   `json:"smtpDropped"`
	UniqueOpen   bool   `json:"uniqueOpen"`
	UniqueClick  bool   `json:"uniqueClick"`
}

// Toggles returns SendPost's toggles by their names, in the order of its documents.
func (w *Webhook) Toggles() []Toggle {
	return []Toggle{{"processed", &w.Processed}, {"delivered", &w.Delivered}, {"dropped", &w.Dropped}, {"softBounced", &w.SoftBounced}, {"hardBounced", &w.HardBounced},
		{"opened", &w.Opened}, {"clicked", &w.Clicked}, {"unsubscribed", &w.Unsubscribed}, {"spam", &w.Spam}, {"sent", &w.Sent}, {"smtpDropped", &w.SMTPDropped},
		{"uniqueOpen", &w.UniqueOpen}, {"uniqueClick", &w.UniqueClick}}
}

// Toggle is a kind of events that a webhook gets or not.
type Toggle struct {
	Name string
	On   *bool
}

// NamedWebhook is a URL that messages named.
type NamedWebhook struct {
	ID    int32  `json:"id"`
	URL   string `json:"url"`
	State string `json:"state"`
}

// WebhookStatus is how posting to a webhook goes.
type WebhookStatus struct {
	ID                  int32  `json:"id"`
	URL                 string `json:"url"`
	State               string `json:"state"`
	Reason              string `json:"reason"`
	Queued              int64  `json:"queued"`
	OldestQueued        int64  `json:"oldestQueued"` // ns
	GivenUp             int64  `json:"givenUp"`
	ConsecutiveFailures int    `json:"consecutiveFailures"`
	FailingSince        int64  `json:"failingSince"` // ns
	NextTry             int64  `json:"nextTry"`      // ns
	LastTry             int64  `json:"lastTry"`      // ns
	LastStatus          int    `json:"lastStatus"`
	LastError           string `json:"lastError"`
	LastSuccess         int64  `json:"lastSuccess"` // ns
	PausedSince         int64  `json:"pausedSince"` // ns
}

// WebhookAttempt is one call of a webhook.
type WebhookAttempt struct {
	ID         int64  `json:"id"`
	EventID    string `json:"eventId"`
	Attempt    int    `json:"attempt"`
	At         int64  `json:"at"` // ns
	DurationMs int64  `json:"durationMs"`
	Status     int    `json:"status"`
	Error      string `json:"error"`
	Outcome    string `json:"outcome"`
}

// WebhookTested is what a receiver answered to a sample.
type WebhookTested struct {
	EventID    string `json:"eventId"`
	Type       int    `json:"type"`
	OK         bool   `json:"ok"`
	Status     int    `json:"status"`
	Error      string `json:"error"`
	DurationMs int64  `json:"durationMs"`
}

// WebhookReplay says what is to be posted again: EventID, From and To, or Missing.
type WebhookReplay struct {
	EventID string `json:"eventId,omitempty"`
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
	Missing bool   `json:"missing,omitempty"`
}

// WebhookSecret is what a webhook's bodies are signed with.
type WebhookSecret struct {
	Secret        string `json:"secret"`
	FormerValidTo int64  `json:"formerValidTo"` // ns
}

const webhookPath = "/api/v1/account/webhook"

// Webhooks lists the webhooks of the account.
func (c *Client) Webhooks(ctx context.Context) (list []Webhook, err error) {
	err = c.Account(ctx, http.MethodGet, webhookPath, nil, &list)
	return list, err
}

// NamedWebhooks lists URLs that messages named.
func (c *Client) NamedWebhooks(ctx context.Context) (list []NamedWebhook, err error) {
	err = c.Account(ctx, http.MethodGet, "/api/v1/account/webhookendpoint", nil, &list)
	return list, err
}

// CreateWebhook makes a webhook.
func (c *Client) CreateWebhook(ctx context.Context, w Webhook) (made Webhook, err error) {
	err = c.Account(ctx, http.MethodPost, webhookPath, w, &made)
	return made, err
}

func (c *Client) webhook(ctx context.Context, method string, id int32, what string, in, out any) error {
	return c.Account(ctx, method, fmt.Sprintf("%s/%d%s", webhookPath, id, what), in, out)
}

// DeleteWebhook removes a webhook, with what waits for it.
func (c *Client) DeleteWebhook(ctx context.Context, id int32) error {
	return c.webhook(ctx, http.MethodDelete, id, "", nil, nil)
}

// WebhookStatus tells how posting to a webhook goes.
func (c *Client) WebhookStatus(ctx context.Context, id int32) (s WebhookStatus, err error) {
	err = c.webhook(ctx, http.MethodGet, id, "/status", nil, &s)
	return s, err
}

// PauseWebhook lets the events of a webhook wait, or go on.
func (c *Client) PauseWebhook(ctx context.Context, id int32, paused bool) (s WebhookStatus, err error) {
	what := "/resume"
	if paused {
		what = "/pause"
	}
	err = c.webhook(ctx, http.MethodPost, id, what, nil, &s)
	return s, err
}

// WebhookSecret reads a webhook's secret, after giving it another one if rotate.
func (c *Client) WebhookSecret(ctx context.Context, id int32, rotate bool) (s WebhookSecret, err error) {
	if rotate {
		err = c.webhook(ctx, http.MethodPost, id, "/secret/rotate", nil, &s)
	} else {
		err = c.webhook(ctx, http.MethodGet, id, "/secret", nil, &s)
	}
	return s, err
}

// WebhookAttempts lists calls of a webhook, the newest first; of one event unless eventID is "".
func (c *Client) WebhookAttempts(ctx context.Context, id int32, eventID string, limit int) (list []WebhookAttempt, err error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if eventID != "" {
		q.Set("eventId", eventID)
	}
	err = c.webhook(ctx, http.MethodGet, id, "/attempts?"+q.Encode(), nil, &list)
	return list, err
}

// TestWebhook posts a sample event, of a kind or of a type when that is not below 0.
func (c *Client) TestWebhook(ctx context.Context, id int32, kind string, eventType int) (t WebhookTested, err error) {
	in := map[string]any{"event": kind}
	if eventType >= 0 {
		in["type"] = eventType
	}
	err = c.webhook(ctx, http.MethodPost, id, "/test", in, &t)
	return t, err
}

// ReplayWebhook has events posted again, and returns how many. It may take minutes; only ctx ends it.
func (c *Client) ReplayWebhook(ctx context.Context, id int32, what WebhookReplay) (n int, err error) {
	var out struct {
		Queued int `json:"queued"`
	}
	err = c.Unhurried().webhook(ctx, http.MethodPost, id, "/replay", what, &out)
	return out.Queued, err
}
