package client

import (
	"context"
	"fmt"
	"net/http"
)

// IP is one of the account's IPs.
type IP struct {
	ID       int32  `json:"id"`
	PublicIP string `json:"publicIP"`
	Created  int64  `json:"created"` // ns
	State    int    `json:"state"`   // 1: mail leaves through it; 0: not now
}

// IPSettings is what there is to know of an IP beyond that.
type IPSettings struct {
	ID          int32  `json:"id"`
	PublicIP    string `json:"publicIP"`
	Configured  bool   `json:"configured"`
	RatePerHour int    `json:"ratePerHour"` // 0: no limit
	Health      struct {
		State  string `json:"state"`
		Reason string `json:"reason"`
	} `json:"health"`
	Usage Usage `json:"usage"`
}

// Usage is what left in the past hour and what is on the wire.
type Usage struct {
	Total int `json:"total"`
}

// IPs lists the account's IPs.
func (c *Client) IPs(ctx context.Context) (list []IP, err error) {
	err = c.Account(ctx, http.MethodGet, "/api/v1/account/ip/", nil, &list)
	return list, err
}

// IPSettings reads the settings of an IP.
func (c *Client) IPSettings(ctx context.Context, id int32) (s IPSettings, err error) {
	err = c.Account(ctx, http.MethodGet, fmt.Sprintf("/api/v1/account/ip/%d/settings", id), nil, &s)
	return s, err
}

// AllocateIPs gives configured addresses to the account.
func (c *Client) AllocateIPs(ctx context.Context, addresses []string) error {
	return c.Account(ctx, http.MethodPut, "/api/v1/account/ip/allocate", map[string]any{"ips": addresses, "overflowPool": false}, nil)
}

// DeleteIP gives an IP back.
func (c *Client) DeleteIP(ctx context.Context, id int32, force bool) error {
	return c.Account(ctx, http.MethodDelete, fmt.Sprintf("/api/v1/account/ip/%d?force=%t", id, force), nil, nil)
}
