package client

import (
	"context"
	"fmt"
	"net/http"
)

// Place is where a sub-account stands, what it may send, and whether it does.
type Place struct {
	ID          int32  `json:"id"`
	Name        string `json:"name"`
	ParentID    *int32 `json:"parentId"` // nil: it stands under none
	Level       int    `json:"level"`    // from 1
	Paused      bool   `json:"paused"`
	RatePerHour int    `json:"ratePerHour"` // 0: no limit
	Taken       int    `json:"taken"`
	FreeAt      int64  `json:"freeAt"` // ns; 0: now
	Blocked     bool   `json:"blocked"`
	BlockedBy   int32  `json:"blockedBy"`
	BlockReason string `json:"blockReason"`
	Why         string `json:"why"`
}

// Branch is a sub-account of a [Tree].
type Branch struct {
	Place
	Stat         BranchStat `json:"stat"`         // its own
	WithChildren BranchStat `json:"withChildren"` // and that of all under it
}

// BranchStat is what is counted of a sub-account.
type BranchStat struct {
	Processed   int64 `json:"processed"`
	Sent        int64 `json:"sent"`
	Delivered   int64 `json:"delivered"`
	HardBounced int64 `json:"hardBounced"`
	SoftBounced int64 `json:"softBounced"`
	Dropped     int64 `json:"dropped"`
}

// Tree is all sub-accounts: each right before those that stand under it.
type Tree struct {
	From        string   `json:"from"`
	To          string   `json:"to"`
	SubAccounts []Branch `json:"subAccounts"`
}

func placePath(id int32, what string) string {
	return fmt.Sprintf("/api/v1/account/subaccount/%d/%s", id, what)
}

// SubAccountTree reads the tree with the statistics of so many days. out is a *Tree or a *json.RawMessage.
func (c *Client) SubAccountTree(ctx context.Context, days int, out any) error {
	return c.Account(ctx, http.MethodGet, fmt.Sprintf("/api/v1/account/subaccount/tree?days=%d", days), nil, out)
}

// MoveSubAccount puts a sub-account under another one, or under none (nil).
func (c *Client) MoveSubAccount(ctx context.Context, id int32, parent *int32) (p Place, err error) {
	err = c.Account(ctx, http.MethodPut, placePath(id, "hierarchy"), map[string]*int32{"parentId": parent}, &p)
	return p, err
}

// LimitSubAccount sets how many messages a sub-account may send in any 60 minutes, with all under it; 0: no limit.
func (c *Client) LimitSubAccount(ctx context.Context, id int32, perHour int) (p Place, err error) {
	err = c.Account(ctx, http.MethodPut, placePath(id, "hierarchy"), map[string]int{"ratePerHour": perHour}, &p)
	return p, err
}

// BlockSubAccount has nothing sent for a sub-account, nor for those under it.
func (c *Client) BlockSubAccount(ctx context.Context, id int32, reason string) (p Place, err error) {
	err = c.Account(ctx, http.MethodPost, placePath(id, "block"), map[string]string{"reason": reason}, &p)
	return p, err
}

// UnblockSubAccount has mail sent for it again.
func (c *Client) UnblockSubAccount(ctx context.Context, id int32) (p Place, err error) {
	err = c.Account(ctx, http.MethodPost, placePath(id, "unblock"), nil, &p)
	return p, err
}
