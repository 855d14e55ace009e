package postmark

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// chunk collects messages of one kind for one call.
type chunk struct {
	raw      bool  // they bring their own content
	indexes  []int // places in the batch
	messages [][]byte
	size     int
}

func (c *chunk) add(index int, encoded []byte) {
	c.indexes = append(c.indexes, index)
	c.messages = append(c.messages, encoded)
	c.size += len(encoded) + len(",")
}

// call returns the request: one message by itself, or several, as {"Messages":[...]} with templates and as a bare list
// without.
func (c *chunk) call() call {
	single, batch, head, tail := "/email/withTemplate", "/email/batchWithTemplates", `{"Messages":[`, `]}`
	if c.raw {
		single, batch, head, tail = "/email", "/email/batch", `[`, `]`
	}
	if len(c.messages) == 1 {
		return call{method: http.MethodPost, path: single, body: c.messages[0]}
	}
	var body bytes.Buffer
	body.Grow(c.size + 20)
	body.WriteString(head)
	body.Write(bytes.Join(c.messages, []byte(",")))
	body.WriteString(tail)
	return call{method: http.MethodPost, path: batch, body: body.Bytes()}
}

// Send implements provider.Adapter. Messages with and without templates go out in calls of their own, as does what is too big
// for one call: one after the other, and only one of them is in memory at a time.
func (a *Adapter) Send(ctx context.Context, conn provider.Connection, batch []provider.Outgoing) []provider.Outcome {
	outcomes := make([]provider.Outcome, len(batch))
	if refusal := usable(conn); refusal != nil {
		for i := range outcomes {
			outcomes[i] = *refusal
		}
		return outcomes
	}
	for _, raw := range []bool{false, true} {
		a.sendKind(ctx, conn, raw, batch, outcomes)
	}
	return outcomes
}

// sendKind sends those of a batch that are, or are not, raw.
func (a *Adapter) sendKind(ctx context.Context, conn provider.Connection, raw bool, batch []provider.Outgoing, outcomes []provider.Outcome) {
	next := chunk{raw: raw}
	for i := range batch {
		if isRaw(batch[i].Content) != raw {
			continue
		}
		if err := ctx.Err(); err != nil {
			outcomes[i] = provider.Outcome{Class: provider.Transient, Unsent: true, Text: "not sent: " + err.Error()}
			continue
		}
		if raw {
			if bad := checkSize(batch[i].Content); bad != nil { // it was rendered: another egress may carry it
				outcomes[i] = provider.Outcome{Class: provider.Rejected, Elsewhere: true, Unsent: true, Text: bad.Message}
				continue
			}
		}
		encoded, err := encode(conn, &batch[i])
		if err != nil {
			outcomes[i] = provider.Outcome{Class: provider.Rejected, Text: provider.Clean(err.Error(), provider.MaxText)}
			continue
		}
		if len(encoded) > maxMessage { // Postmark would refuse the whole call; what another provider takes is another matter
			outcomes[i] = provider.Outcome{Class: provider.Rejected, Elsewhere: true, Unsent: true, Text: fmt.Sprintf(
				"the message has %d bytes as it is sent, attachments in base64 included; Postmark takes %d", len(encoded), maxMessage)}
			continue
		}
		if len(next.messages) == maxBatch || len(next.messages) > 0 && next.size+len(encoded) > a.bodyLimit {
			a.deliver(ctx, conn, next, outcomes)
			next = chunk{raw: raw}
		}
		next.add(i, encoded)
	}
	if len(next.messages) > 0 {
		a.deliver(ctx, conn, next, outcomes)
	}
}

// deliver makes the call for one chunk and files its outcomes under the messages' places in the batch.
func (a *Adapter) deliver(ctx context.Context, conn provider.Connection, c chunk, outcomes []provider.Outcome) {
	ans := a.do(ctx, conn, c.call())
	for i, outcome := range a.judge(ans, len(c.messages), conn.Key.Reveal()) {
		outcomes[c.indexes[i]] = outcome
	}
}

// usable refuses a connection whose settings cannot work, before anything is encoded for it.
func usable(conn provider.Connection) *provider.Outcome {
	_, err := token(conn)
	if err == nil {
		_, err = baseURL(conn)
	}
	if err == nil && conn.Stream == "" {
		err = &httpcall.SettingError{Code: "missing_stream", Field: "messageStream", Text: "no message stream is selected for this provider"}
	}
	if err == nil {
		return nil
	}
	return &provider.Outcome{Class: provider.Account, Text: err.Error()}
}

// Write implements provider.Writer.
func (*Adapter) Write(conn provider.Connection, out *provider.Outgoing) (provider.Written, error) {
	body, err := encode(conn, out)
	return provider.Written{MediaType: provider.MediaJSON, Body: body}, err
}
