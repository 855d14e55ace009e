package client

import (
	"context"
	"net/http"
)

// SyncedTemplates tells what came of reading the templates of one provider.
type SyncedTemplates struct {
	TPSPID    int32  `json:"tpspId"`
	Name      string `json:"name"`
	Templates int    `json:"templates"`
	Unusable  int    `json:"unusable"`
	Added     int    `json:"added"`
	Changed   int    `json:"changed"`
	Removed   int    `json:"removed"`
	Error     string `json:"error"`
}

// Template is a mirrored template.
type Template struct {
	TPSPID    int32  `json:"tpspId"`
	TPSPName  string `json:"tpspName"`
	Alias     string `json:"alias"`
	Name      string `json:"name"`
	Type      string `json:"type"` // template, layout
	Layout    string `json:"layout"`
	Error     string `json:"error"`
	ChangedAt int64  `json:"changedAt"` // ns
	SyncedAt  int64  `json:"syncedAt"`  // ns
}

// SyncTemplates has the templates of one provider read, or of all when tpspID is 0. It may take minutes; only ctx ends it.
func (c *Client) SyncTemplates(ctx context.Context, tpspID int32) (list []SyncedTemplates, err error) {
	err = c.Unhurried().Account(ctx, http.MethodPost, "/api/v1/account/templates/sync", map[string]int32{"tpspId": tpspID}, &list)
	return list, err
}

// Templates lists the mirrored templates.
func (c *Client) Templates(ctx context.Context) (list []Template, err error) {
	err = c.Account(ctx, http.MethodGet, "/api/v1/account/templates", nil, &list)
	return list, err
}
