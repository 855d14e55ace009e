package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// ImportedSuppressions tells what came of a file of addresses.
type ImportedSuppressions struct {
	DryRun       bool          `json:"dryRun"`
	Read         int           `json:"read"`
	Suppressed   int           `json:"suppressed"`
	RefusedCount int           `json:"refusedCount"`
	Refused      []RefusedLine `json:"refused"` // the first ones
}

// RefusedLine is a line that was left out.
type RefusedLine struct {
	Line    int    `json:"line"`
	Message string `json:"message"`
}

// ImportSuppressions suppresses the addresses of a CSV file. reason, as in Suppress, is that of lines without one; "" is manual. A dry
// run only checks the file. It takes as long as it takes; only ctx ends it.
func (c *Client) ImportSuppressions(ctx context.Context, file io.Reader, reason string, dryRun bool) (done ImportedSuppressions, err error) {
	q := url.Values{"dryRun": {strconv.FormatBool(dryRun)}}
	if reason != "" {
		q.Set("type", reason)
	}
	err = c.Unhurried().SubAccount(ctx, http.MethodPost, suppressionPath+"/bulk?"+q.Encode(), file, &done)
	return done, err
}

// ExportSuppressions writes the sub-account's suppressions as CSV. The query is that of the list; nothing of it is required. Only ctx ends it.
func (c *Client) ExportSuppressions(ctx context.Context, q url.Values, to io.Writer) error {
	return c.Unhurried().SubAccount(ctx, http.MethodPost, suppressionPath+"/export?"+q.Encode(), nil, to)
}

// ExportEvents writes events as they are asked for: format is csv or ndjson, the rest is as in the list. Only ctx ends it.
func (c *Client) ExportEvents(ctx context.Context, q url.Values, to io.Writer) error {
	return c.Unhurried().Account(ctx, http.MethodPost, "/api/v1/account/event/export?"+q.Encode(), nil, to)
}
