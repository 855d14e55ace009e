package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// AuditEntry is one change, or an attempt at one.
type AuditEntry struct {
	ID    int64 `json:"id"`
	At    int64 `json:"at"` // ns
	Actor struct {
		Kind string `json:"kind"`
		ID   int32  `json:"id"`
		Name string `json:"name"`
	} `json:"actor"`
	Role      string          `json:"role"`
	Address   string          `json:"address"`
	Method    string          `json:"method"`
	Path      string          `json:"path"`
	Operation string          `json:"operation"`
	Target    string          `json:"target"`
	Status    int             `json:"status"` // 0: it is not known what came of it
	Changes   json.RawMessage `json:"changes"`
	Before    json.RawMessage `json:"before"`
}

// Audit lists who changed what, the newest first.
func (c *Client) Audit(ctx context.Context, q url.Values) (list []AuditEntry, err error) {
	err = c.Account(ctx, http.MethodGet, "/api/v1/account/audit?"+q.Encode(), nil, &list)
	return list, err
}
