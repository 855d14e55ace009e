package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// CompareQuery asks for a comparison of providers and IPs. Zero fields do not select.
type CompareQuery struct {
	From, To     string // days as YYYY-MM-DD, both included
	Mailbox      string // a mailbox provider
	TPSPIDs      []int32
	IPIDs        []int32
	SubAccountID int32
	Group        string
}

// Comparison compares the providers and IPs that carried mail.
type Comparison struct {
	From     string           `json:"from"`
	To       string           `json:"to"`
	Egresses []ComparedEgress `json:"egresses"`
}

// ComparedEgress is a provider or an IP: the other id is 0.
type ComparedEgress struct {
	TPSPID    int32          `json:"tpspId"`
	IPID      int32          `json:"ipId"`
	Name      string         `json:"name"`
	Total     ComparedLane   `json:"total"`
	Mailboxes []ComparedLane `json:"mailboxes"`
}

// ComparedLane is mail through one egress, to one mailbox provider or ("") to all.
type ComparedLane struct {
	Mailbox     string        `json:"provider"`
	Accepted    int64         `json:"accepted"`
	Delivered   ComparedRate  `json:"delivered"`
	HardBounced ComparedRate  `json:"hardBounced"`
	SoftBounced ComparedRate  `json:"softBounced"`
	Spam        ComparedRate  `json:"spam"`
	Opened      ComparedRate  `json:"opened"`
	Clicked     ComparedRate  `json:"clicked"`
	Delay       *ComparedTime `json:"delay"`     // nil when it is not known
	Failovers   *Failovers    `json:"failovers"` // nil when they are not known
}

// ComparedRate is a part of the accepted messages with its 95 % interval; nil when there is none to tell.
type ComparedRate struct {
	Count int64    `json:"count"`
	Rate  *float64 `json:"rate"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
}

// ComparedTime is the time from acceptance to delivery, in milliseconds; nil without deliveries.
type ComparedTime struct {
	Deliveries int64  `json:"deliveries"`
	MedianMs   *int64 `json:"medianMs"`
	P95Ms      *int64 `json:"p95Ms"`
}

// Failovers are messages that another egress carried than the first one of their plan.
type Failovers struct {
	Away int64 `json:"away"`
	In   int64 `json:"in"`
}

// Compare compares providers and IPs. raw is the answer as the server gave it.
func (c *Client) Compare(ctx context.Context, q CompareQuery) (answer Comparison, raw json.RawMessage, err error) {
	values := url.Values{"from": {q.From}, "to": {q.To}}
	for name, value := range map[string]string{"provider": q.Mailbox, "group": q.Group, "tpspId": numbers(q.TPSPIDs), "ipId": numbers(q.IPIDs)} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.SubAccountID != 0 {
		values.Set("subAccountId", strconv.Itoa(int(q.SubAccountID)))
	}
	if err := c.Account(ctx, http.MethodGet, "/api/v1/account/stat/compare?"+values.Encode(), nil, &raw); err != nil {
		return answer, nil, err
	}
	return answer, raw, json.Unmarshal(raw, &answer)
}

// numbers is a comma list.
func numbers(ids []int32) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = strconv.Itoa(int(id))
	}
	return strings.Join(list, ",")
}
