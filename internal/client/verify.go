package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Verification is what a server found when it recomputed an account's states and counters.
type Verification struct {
	OK              bool             `json:"ok"`
	TookMs          int64            `json:"tookMs"`
	Messages        map[string]int64 `json:"messages"` // by state; also total and pending
	Events          int64            `json:"events"`
	Attempts        int64            `json:"attempts"`
	Days            int64            `json:"days"`
	Differences     []Difference     `json:"differences"` // the first ones
	DifferenceCount int64            `json:"differenceCount"`
	Awaiting        []Awaiting       `json:"awaiting"` // the first ones
	AwaitingCount   int64            `json:"awaitingCount"`
}

// Difference is a place where the books do not balance: of a message, or of a day.
type Difference struct {
	Kind      string `json:"kind"`
	MessageID string `json:"messageID"`
	Day       string `json:"day"`
	Counter   *struct {
		SubAccountID int32  `json:"subAccountId"`
		Egress       string `json:"egress"`
		Mailbox      string `json:"mailbox"`
		Type         int    `json:"type"`
		Name         string `json:"name"`
		Copy         bool   `json:"copy"`
	} `json:"counter"`
	Facet *struct {
		Dimension    string `json:"dimension"`
		Value        string `json:"value"`
		SubAccountID int32  `json:"subAccountId"`
	} `json:"facet"`
	Stored     string `json:"stored"`
	Recomputed string `json:"recomputed"`
}

// Awaiting is a message that was sent and not reported about.
type Awaiting struct {
	MessageID         string `json:"messageID"`
	Egress            string `json:"egress"`
	ProviderMessageID string `json:"providerMessageId"`
	Since             int64  `json:"since"` // ns
}

// VerifyPath is where a verification is asked for; awaiting is how long a sent message may be without a report.
func VerifyPath(awaiting time.Duration) string {
	return "/api/v1/account/verify?" + url.Values{"awaiting": {awaiting.String()}}.Encode()
}

// Verify has the server check the account's books, which lasts as long as there is data to read.
func (c *Client) Verify(ctx context.Context, awaiting time.Duration) (v Verification, err error) {
	err = c.Unhurried().Account(ctx, http.MethodGet, VerifyPath(awaiting), nil, &v)
	return v, err
}
