package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Suppression is an address that a sub-account sends nothing to.
type Suppression struct {
	ID        int64  `json:"id"`
	Email     string `json:"email"`
	Reason    int    `json:"reason"` // 0 manual, 1 unsubscribe, 2 hard bounce, 3 spam complaint
	SMTPError string `json:"smtp_error"`
	Created   int64  `json:"created"` // ns
}

// SuppressionQuery selects suppressions that were created from From to To, at most 60 days later.
type SuppressionQuery struct {
	From, To time.Time
	Type     string // hardBounce, manual, spamComplaint, unsubscribe; "" for all
	Search   string // a part of the address
	Limit    int
}

// SyncedSuppressions tells what came of bringing one provider's suppression list in step.
type SyncedSuppressions struct {
	TPSPID      int32            `json:"tpspId"`
	Name        string           `json:"name"`
	Listed      int              `json:"listed"`
	Suppressed  int              `json:"suppressed"`
	Reactivated int              `json:"reactivated"`
	Doubted     int              `json:"doubted"`
	Pushed      int              `json:"pushed"`
	Local       int              `json:"local"`
	Refused     []RefusedAddress `json:"refused"`
	Error       string           `json:"error"`
}

// RefusedAddress is an address that a provider would not put on its list, or take off.
type RefusedAddress struct {
	Email   string `json:"email"`
	Change  string `json:"change"` // suppress, reactivate
	Message string `json:"message"`
}

const suppressionPath = "/api/v1/subaccount/suppression"

// Suppressions lists suppressions of the sub-account, newest first.
func (c *Client) Suppressions(ctx context.Context, q SuppressionQuery) (list []Suppression, err error) {
	values := url.Values{"from": {q.From.Format(time.DateOnly)}, "to": {q.To.Format(time.DateOnly)}, "limit": {strconv.Itoa(q.Limit)}}
	if q.Type != "" {
		values.Set("type", q.Type)
	}
	if q.Search != "" {
		values.Set("search", q.Search)
	}
	err = c.SubAccount(ctx, http.MethodGet, suppressionPath+"?"+values.Encode(), nil, &list)
	return list, err
}

type listedEmail struct {
	Email string `json:"email"`
}

func listed(emails []string) []listedEmail {
	list := make([]listedEmail, len(emails))
	for i, email := range emails {
		list[i].Email = email
	}
	return list
}

// Suppress suppresses addresses for a reason: hardBounce, manual, spamComplaint or unsubscribe.
func (c *Client) Suppress(ctx context.Context, reason string, emails ...string) (list []Suppression, err error) {
	err = c.SubAccount(ctx, http.MethodPost, suppressionPath, map[string][]listedEmail{reason: listed(emails)}, &list)
	return list, err
}

// Reactivate ends suppressions.
func (c *Client) Reactivate(ctx context.Context, emails ...string) error {
	return c.SubAccount(ctx, http.MethodDelete, suppressionPath, map[string][]listedEmail{"suppressions": listed(emails)}, nil)
}

// SyncSuppressions brings the list of one provider in step, or those of all when tpspID is 0. It may take minutes; only ctx ends it.
func (c *Client) SyncSuppressions(ctx context.Context, tpspID int32) (list []SyncedSuppressions, err error) {
	err = c.Unhurried().Account(ctx, http.MethodPost, "/api/v1/account/suppression/sync", map[string]int32{"tpspId": tpspID}, &list)
	return list, err
}
