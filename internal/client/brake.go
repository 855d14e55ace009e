package client

import (
	"context"
	"fmt"
	"net/http"
)

// TPSPChange changes a provider; what is nil stays.
type TPSPChange struct {
	Name          *string        `json:"name,omitempty"`
	Key           *string        `json:"key,omitempty"`           // a mail server: the user name
	Secret        *string        `json:"secret,omitempty"`        // a mail server: the password
	MessageStream *string        `json:"messageStream,omitempty"` // the webhook moves with it
	Endpoint      *string        `json:"endpoint,omitempty"`      // needs the whole key or secret
	Port          *int           `json:"port,omitempty"`
	Active        *bool          `json:"active,omitempty"`
	RatePerHour   *int           `json:"ratePerHour,omitempty"`   // 0: no limit
	MailboxLimits map[string]int `json:"mailboxLimits,omitempty"` // an hour, by mailbox provider; 0: no limit
}

// UpdateTPSP changes a provider.
func (c *Client) UpdateTPSP(ctx context.Context, id int32, change TPSPChange) (t TPSP, err error) {
	err = c.Account(ctx, http.MethodPut, fmt.Sprintf("/api/v1/account/tpsp/%d", id), change, &t)
	return t, err
}

// RegisterWebhook registers the webhook of a provider again.
func (c *Client) RegisterWebhook(ctx context.Context, id int32) (t TPSP, err error) {
	err = c.Account(ctx, http.MethodPost, fmt.Sprintf("/api/v1/account/tpsp/%d/webhook", id), nil, &t)
	return t, err
}

// CountTPSPs counts the connected providers.
func (c *Client) CountTPSPs(ctx context.Context) (int, error) {
	var answer struct {
		Count int `json:"count"`
	}
	err := c.Account(ctx, http.MethodGet, "/api/v1/account/tpsp/count", nil, &answer)
	return answer.Count, err
}

// Drill rehearses an outage of a provider for so many seconds; 0 ends it. out takes the provider as it is then: a *TPSP, a
// *json.RawMessage, or nil.
func (c *Client) Drill(ctx context.Context, id int32, seconds int, out any) error {
	return c.Account(ctx, http.MethodPost, fmt.Sprintf("/api/v1/account/tpsp/%d/drill", id), map[string]int{"seconds": seconds}, out)
}

// PausePool lets the mail of an IP pool wait, or go on.
func (c *Client) PausePool(ctx context.Context, id int32, paused bool) error {
	return c.pause(ctx, "ippool", id, paused)
}

// PauseSubAccount lets the mail of a sub-account wait, or go on.
func (c *Client) PauseSubAccount(ctx context.Context, id int32, paused bool) error {
	return c.pause(ctx, "subaccount", id, paused)
}

func (c *Client) pause(ctx context.Context, kind string, id int32, paused bool) error {
	verb := "resume"
	if paused {
		verb = "pause"
	}
	return c.Account(ctx, http.MethodPost, fmt.Sprintf("/api/v1/account/%s/%d/%s", kind, id, verb), nil, nil)
}

// Cancel says which waiting messages are to be cancelled: those that fit all that is set. At least one is.
type Cancel struct {
	Group        string `json:"group,omitempty"`
	IPPool       string `json:"ippool,omitempty"` // by name
	SubAccountID int32  `json:"subAccountId,omitempty"`
	DryRun       bool   `json:"dryRun,omitempty"` // only count
	Next         string `json:"next,omitempty"`
}

// Cancelled tells how many were found and cancelled.
type Cancelled struct {
	DryRun    bool   `json:"dryRun"`
	Matched   int64  `json:"matched"`
	Cancelled int64  `json:"cancelled"`
	More      bool   `json:"more"`
	Next      string `json:"next"`
}

// Cancel cancels waiting messages, in as many requests as it takes. When one fails, the result is what was done until then.
func (c *Client) Cancel(ctx context.Context, what Cancel) (sum Cancelled, err error) {
	sum.DryRun = what.DryRun
	for {
		var part Cancelled
		if err := c.Account(ctx, http.MethodPost, "/api/v1/account/message/cancel", what, &part); err != nil {
			return sum, err
		}
		sum.Matched += part.Matched
		sum.Cancelled += part.Cancelled
		if !part.More {
			return sum, nil
		}
		if part.Next == "" || part.Next == what.Next {
			return sum, fmt.Errorf("the server does not say how to go on")
		}
		what.Next = part.Next
	}
}
