package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Examination is what the doctor is to look at.
type Examination struct {
	TPSPID   int32  // 0: all providers
	Template string // an alias; "" for none in particular
	IPPool   string // a name; "" for all
}

// Check is one thing that the doctor looked at.
type Check struct {
	Check   string `json:"check"`
	TPSPID  int32  `json:"tpspId"` // 0: it is about the account
	TPSP    string `json:"tpsp"`
	Status  string `json:"status"` // ok, warn, fail
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// Doctor looks for what keeps mail from flowing. It takes up to half a minute.
func (c *Client) Doctor(ctx context.Context, e Examination) (list []Check, err error) {
	q := url.Values{}
	if e.TPSPID != 0 {
		q.Set("tpspId", strconv.Itoa(int(e.TPSPID)))
	}
	if e.Template != "" {
		q.Set("template", e.Template)
	}
	if e.IPPool != "" {
		q.Set("ippool", e.IPPool)
	}
	path := "/api/v1/account/doctor"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	err = c.Account(ctx, http.MethodGet, path, nil, &list)
	return list, err
}
