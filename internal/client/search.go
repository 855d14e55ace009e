package client

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Found is a page of messages.
type Found struct {
	Messages     []Hit  `json:"messages"` // newest first
	More         bool   `json:"more"`
	Cursor       string `json:"cursor"`       // goes on from here
	LookedBackTo int64  `json:"lookedBackTo"` // ns; 0: all of it was looked at
}

// Hit is a message in a list.
type Hit struct {
	ID          string  `json:"id"`
	SubmittedAt int64   `json:"submittedAt"` // ns
	To          Address `json:"to"`
	From        Address `json:"from"`
	Subject     string  `json:"subject"`
	Template    string  `json:"template"`
	State       string  `json:"state"`
	Mark        string  `json:"mark"`
	Provider    string  `json:"provider"`
	LastEvent   *struct {
		Name  string `json:"name"`
		At    int64  `json:"at"` // ns
		Words string `json:"words"`
	} `json:"lastEvent"`
	Waiting string `json:"waiting"`
	DueAt   int64  `json:"dueAt"` // ns; 0: at once, or up to somebody
}

// Search looks for messages by words such as to:@gmail.com status:bounced; before is the cursor of an earlier answer.
func (c *Client) Search(ctx context.Context, words string, limit int, before string) (found Found, raw json.RawMessage, err error) {
	q := url.Values{"q": {words}, "limit": {strconv.Itoa(limit)}, "before": {before}}
	if err = c.Account(ctx, http.MethodGet, "/api/v1/account/message?"+q.Encode(), nil, &raw); err != nil {
		return found, nil, err
	}
	err = json.Unmarshal(raw, &found)
	return found, raw, err
}

// maxEvent is the largest event of a stream.
const maxEvent = 1 << 20

// Tail follows events, calls do with each as JSON, and ends with ctx, with an error of do, or when the server ends it: then it returns the id to go on
// after.
func (c *Client) Tail(ctx context.Context, q url.Values, do func(json.RawMessage) error) (last string, err error) {
	calling, stop := context.WithCancel(ctx)
	defer stop()
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := c.Unhurried().Account(calling, http.MethodGet, "/api/v1/account/event/stream?"+q.Encode(), nil, io.Writer(write))
		_ = write.CloseWithError(err) // nil is the end
		done <- err
	}()
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, maxEvent)
	for err == nil && lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			last = id
		} else if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && data != "{}" {
			err = do(json.RawMessage(data))
		}
	}
	stop() // it may be waiting for more, or for a reader
	_ = read.CloseWithError(context.Canceled)
	if called := <-done; err == nil {
		if err = lines.Err(); err == nil {
			err = called
		}
	}
	return last, err
}
