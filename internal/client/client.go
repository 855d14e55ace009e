// Package client speaks to a Postyard server over its public HTTP API, as any application would. The command line and the
// demo use it; it imports nothing of the server.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postyard/internal/secret"
)

// Client is one server with the keys for it.
type Client struct {
	URL           string // without a trailing slash
	AccountKey    secret.String
	SubAccountKey secret.String
	HTTP          *http.Client // nil: one with a time-out of a minute
}

// Error is an answer of the server that is not a success.
type Error struct {
	Status    int    `json:"-"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	Field     string `json:"field"`
	RequestID string `json:"requestId"`
}

// Error implements error.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = http.StatusText(e.Status)
	}
	if e.Field != "" && !strings.HasPrefix(text, e.Field+":") {
		text = e.Field + ": " + text
	}
	if e.Code == "" { // not an answer of ours: a proxy, or another server
		return fmt.Sprintf("%s (HTTP %d)", text, e.Status)
	}
	return fmt.Sprintf("%s (HTTP %d, %s)", text, e.Status, e.Code)
}

// The largest answer that is read.
const maxAnswer = 64 << 20

// patient ends a call after a minute, unhurried does not.
var (
	patient   = &http.Client{Timeout: time.Minute, CheckRedirect: stay}
	unhurried = &http.Client{CheckRedirect: stay}
)

// stay follows no redirection: the keys would go along, to whatever host it names.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Unhurried returns a client for calls that last as long as there is data to read. Only their context ends them.
func (c *Client) Unhurried() *Client {
	lasting := *c
	lasting.HTTP = unhurried
	if c.HTTP != nil {
		own := *c.HTTP
		own.Timeout = 0
		lasting.HTTP = &own
	}
	return &lasting
}

// Account calls an operation with the account's key. in and out may be nil; an io.Reader is sent, and an io.Writer gets the answer, as they are.
func (c *Client) Account(ctx context.Context, method, path string, in, out any) error {
	if c.AccountKey.IsZero() {
		return errors.New("an account key is needed: --account-key or POSTYARD_ACCOUNT_KEY")
	}
	return c.call(ctx, method, path, "X-Account-ApiKey", c.AccountKey, in, out)
}

// SubAccount calls an operation with the sub-account's key. in and out are as in Account.
func (c *Client) SubAccount(ctx context.Context, method, path string, in, out any) error {
	if c.SubAccountKey.IsZero() {
		return errors.New("a sub-account key is needed: --subaccount-key or POSTYARD_SUBACCOUNT_KEY")
	}
	return c.call(ctx, method, path, "X-SubAccount-ApiKey", c.SubAccountKey, in, out)
}

func (c *Client) call(ctx context.Context, method, path, header string, key secret.String, in, out any) error {
	var body io.Reader
	kind := "application/json"
	if file, ok := in.(io.Reader); ok {
		body, kind = file, "text/csv"
	} else if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if header != "" {
		req.Header.Set(header, key.Reveal())
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", kind)
	}
	return c.do(req, out)
}

func (c *Client) do(req *http.Request, out any) error {
	using := c.HTTP
	if using == nil {
		using = patient
	}
	res, err := using.Do(req)
	if err != nil {
		return fmt.Errorf("call server: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if file, ok := out.(io.Writer); ok && res.StatusCode < 300 { // as it comes, however long it is
		if _, err := io.Copy(file, res.Body); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		return nil
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if res.StatusCode >= 300 {
		failure := &Error{Status: res.StatusCode}
		if json.Unmarshal(answer, failure) != nil {
			failure.Message = strings.TrimSpace(strings.ToValidUTF8(string(answer[:min(len(answer), 200)]), ""))
		}
		return failure
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// Ready tells whether the server can work.
func (c *Client) Ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/readyz", http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	return c.do(req, nil)
}

// Address is a mailbox.
type Address struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

// Recipient is one entry of `to`.
type Recipient struct {
	Address
	CC           []Address      `json:"cc,omitempty"`
	BCC          []Address      `json:"bcc,omitempty"`
	CustomFields map[string]any `json:"customFields,omitempty"`
}

// Email is a send.
type Email struct {
	From         Address           `json:"from"`
	ReplyTo      *Address          `json:"replyTo,omitempty"`
	To           []Recipient       `json:"to"`
	Subject      string            `json:"subject,omitempty"`
	IPPool       string            `json:"ippool,omitempty"`
	HTMLBody     string            `json:"htmlBody,omitempty"`
	TextBody     string            `json:"textBody,omitempty"`
	TPSPTemplate string            `json:"tpspTemplate,omitempty"`
	CustomFields map[string]any    `json:"customFields,omitempty"`
	Headers      map[string]string `json:"headers,omitempty"`
	Groups       []string          `json:"groups,omitempty"`
}

// Sent is the answer for one recipient.
type Sent struct {
	To          string `json:"to"`
	MessageID   string `json:"messageId"`
	SubmittedAt int64  `json:"submittedAt"` // ns
	ErrorCode   int    `json:"errorCode"`
	Message     string `json:"message"`
}

// Send hands an email over. The result has one entry per recipient.
func (c *Client) Send(ctx context.Context, e Email) (sent []Sent, err error) {
	err = c.SubAccount(ctx, http.MethodPost, "/api/v1/subaccount/email/", e, &sent)
	return sent, err
}

// SubAccountInfo is a sub-account.
type SubAccountInfo struct {
	ID     int32  `json:"id"`
	Name   string `json:"name"`
	APIKey string `json:"apiKey"`
}

// SubAccounts lists the account's sub-accounts.
func (c *Client) SubAccounts(ctx context.Context) (list []SubAccountInfo, err error) {
	err = c.Account(ctx, http.MethodGet, "/api/v1/account/subaccount/", nil, &list)
	return list, err
}

// CreateSubAccount makes a sub-account.
func (c *Client) CreateSubAccount(ctx context.Context, name string) (made SubAccountInfo, err error) {
	err = c.Account(ctx, http.MethodPost, "/api/v1/account/subaccount/", map[string]string{"name": name}, &made)
	return made, err
}

// NewTPSP is a connection to a provider that is to be made.
type NewTPSP struct {
	Type          int    `json:"type"` // 1 is SendGrid, 3 Amazon SES, 4 Postmark, 6 a mail server
	Name          string `json:"name"`
	Key           string `json:"key"`              // Amazon: the access key's id; a mail server: the user name
	Secret        string `json:"secret,omitempty"` // Amazon: the secret access key; a mail server: the password
	Domain        string `json:"domain,omitempty"` // Amazon: the region, where the endpoint does not say it
	Endpoint      string `json:"endpoint,omitempty"`
	Port          int    `json:"port,omitempty"`
	MessageStream string `json:"messageStream"`      // Postmark
	AllowRaw      bool   `json:"allowRaw,omitempty"` // Postmark: messages without a template
}

// TPSP is a connection to a provider.
type TPSP struct {
	ID            int32  `json:"id"`
	Name          string `json:"name"`
	Type          int    `json:"type"`
	Endpoint      string `json:"endpoint"`
	Port          int    `json:"port"` // 0: it is in the endpoint, or the usual one
	MessageStream string `json:"messageStream"`
	RatePerHour   int    `json:"ratePerHour"` // 0: no limit
	WebhookStatus struct {
		State   string   `json:"state"`
		Message string   `json:"message"`
		Results []Probe  `json:"results"`
		Paused  []string `json:"paused"`
	} `json:"webhookStatus"`
	Health struct {
		State   string `json:"state"`
		Reason  string `json:"reason"`
		ProbeAt int64  `json:"probeAt"` // ns; 0: it is not known
	} `json:"health"`
	CatchUp *struct {
		Since   int64  `json:"since"` // ns
		State   string `json:"state"`
		Message string `json:"message"`
	} `json:"catchUp"`
	IPPool struct {
		ID   int32  `json:"id"`
		Name string `json:"name"`
	} `json:"ipPool"`
}

// At is where a provider is reached, with its port.
func (t *TPSP) At() string {
	if t.Port == 0 {
		return t.Endpoint
	}
	return t.Endpoint + ":" + strconv.Itoa(t.Port)
}

// Probe is what a provider got when it called the webhook's URL.
type Probe struct {
	Trigger    string `json:"trigger"`
	Success    bool   `json:"success"`
	StatusCode int    `json:"statusCode"` // 0: no answer
	Message    string `json:"message"`
}

// CatchUp asks for events to be read back from providers.
type CatchUp struct {
	Since  string `json:"since,omitempty"` // RFC 3339, or how long ago: "48h"
	TPSPID int32  `json:"tpspId,omitempty"`
}

// CaughtUp tells what came of it for one provider.
type CaughtUp struct {
	TPSPID        int32    `json:"tpspId"`
	Name          string   `json:"name"`
	Since         int64    `json:"since"` // ns
	MessagesAsked int64    `json:"messagesAsked"`
	Reports       int64    `json:"reports"`
	Recorded      int64    `json:"recorded"`
	Duplicates    int64    `json:"duplicates"`
	Missing       []string `json:"missing"`
	Error         string   `json:"error"`
}

// Stream is a message stream of a provider.
type Stream struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// Streams lists the message streams behind a provider's key.
func (c *Client) Streams(ctx context.Context, t NewTPSP) (list []Stream, err error) {
	err = c.Account(ctx, http.MethodPost, "/api/v1/account/tpsp/streams",
		map[string]any{"type": t.Type, "key": t.Key, "endpoint": t.Endpoint}, &list)
	return list, err
}

// CreateTPSP connects a provider.
func (c *Client) CreateTPSP(ctx context.Context, t NewTPSP) (made TPSP, err error) {
	err = c.Account(ctx, http.MethodPost, "/api/v1/account/tpsp/", t, &made)
	return made, err
}

// TPSPs lists the connected providers.
func (c *Client) TPSPs(ctx context.Context) (list []TPSP, err error) {
	err = c.Account(ctx, http.MethodGet, "/api/v1/account/tpsp/", nil, &list)
	return list, err
}

// CatchUp has events read back from providers. It may take half an hour; only ctx ends it.
func (c *Client) CatchUp(ctx context.Context, what CatchUp) (list []CaughtUp, err error) {
	err = c.Unhurried().Account(ctx, http.MethodPost, "/api/v1/account/catch-up", what, &list)
	return list, err
}

// DeleteTPSP removes a provider; it fails while messages wait for it.
func (c *Client) DeleteTPSP(ctx context.Context, id int32) error {
	return c.Account(ctx, http.MethodDelete, fmt.Sprintf("/api/v1/account/tpsp/%d", id), nil, nil)
}

// Pool is an IP pool.
type Pool struct {
	ID                         int32  `json:"id"`
	Name                       string `json:"name"`
	ThirdPartySendingProviders []TPSP `json:"thirdPartySendingProviders"`
}

// NewPool is an IP pool that is to be made.
type NewPool struct {
	Name            string  `json:"name"`
	TPSPs           []int32 `json:"tpsps"`
	Strategy        int     `json:"routingStrategy"`
	RoutingMetaData string  `json:"routingMetaData,omitempty"`
	WarmupInterval  int     `json:"warmupInterval"` // hours; 0: a day
}

// CreatePool makes an IP pool.
func (c *Client) CreatePool(ctx context.Context, p NewPool) (made Pool, err error) {
	if p.WarmupInterval == 0 {
		p.WarmupInterval = 24
	}
	err = c.Account(ctx, http.MethodPost, "/api/v1/account/ippool", p, &made)
	return made, err
}

// Pools lists the account's IP pools.
func (c *Client) Pools(ctx context.Context) (list []Pool, err error) {
	err = c.Account(ctx, http.MethodGet, "/api/v1/account/ippool", nil, &list)
	return list, err
}

// Event is an entry of the event log.
type Event struct {
	EventID         string `json:"eventID"`
	Type            int    `json:"type"`
	MessageID       string `json:"messageID"`
	MessageSubject  string `json:"messageSubject"`
	SubAccountID    int32  `json:"subAccountID"`
	TPSPID          int32  `json:"tpspId"`
	To              string `json:"to"`
	SubmittedAt     int64  `json:"submittedAt"` // ns
	SMTPDescription string `json:"smtpDescription"`
	EventMetadata   struct {
		ClickedURL string `json:"clickedURL"`
	} `json:"eventMetadata"`
}

// MessageEvents lists the events of one message in the order in which they were recorded.
func (c *Client) MessageEvents(ctx context.Context, id string) (list []Event, err error) {
	err = c.Account(ctx, http.MethodGet, "/api/v1/account/message/"+url.PathEscape(id)+"/events", nil, &list)
	return list, err
}

// pageOfEvents is how many events are asked for at once.
const pageOfEvents = 1000

// EachEvent calls do for each event of the given types (such as "71,75") in the order in which they were recorded.
func (c *Client) EachEvent(ctx context.Context, types string, do func(*Event)) error {
	q := url.Values{"type": {types}, "limit": {strconv.Itoa(pageOfEvents)}}
	for {
		var page []Event
		if err := c.Account(ctx, http.MethodGet, "/api/v1/account/event/?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		for i := range page {
			do(&page[i])
		}
		if len(page) < pageOfEvents {
			return nil
		}
		q.Set("after", page[len(page)-1].EventID)
	}
}

// Totals are an account's counters.
type Totals struct {
	Processed    int64 `json:"processed"`
	Sent         int64 `json:"sent"`
	Delivered    int64 `json:"delivered"`
	Dropped      int64 `json:"dropped"`
	HardBounced  int64 `json:"hardBounced"`
	SoftBounced  int64 `json:"softBounced"`
	Opened       int64 `json:"opened"`
	Clicked      int64 `json:"clicked"`
	Unsubscribed int64 `json:"unsubscribed"`
	Spams        int64 `json:"spams"`
}

// Totals adds the counters of days up, from the first to the last one, both included.
func (c *Client) Totals(ctx context.Context, from, to time.Time) (t Totals, err error) {
	q := url.Values{"from": {from.UTC().Format(time.DateOnly)}, "to": {to.UTC().Format(time.DateOnly)}}
	err = c.Account(ctx, http.MethodGet, "/api/v1/account/stat/aggregate?"+q.Encode(), nil, &t)
	return t, err
}
