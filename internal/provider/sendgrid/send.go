package sendgrid

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// likes are the places in a batch of messages that are alike.
type likes struct {
	content *mail.Content
	indexes []int
}

// chunk collects messages for one call.
type chunk struct {
	shared     []byte
	indexes    []int // places in the batch
	messages   [][]byte
	recipients int
	size       int
}

func (c *chunk) add(index int, personalization []byte, recipients int) {
	c.indexes = append(c.indexes, index)
	c.messages = append(c.messages, personalization)
	c.recipients += recipients
	c.size += len(personalization) + len(",")
}

// takes tells whether another message fits into the call.
func (c *chunk) takes(personalization []byte, recipients, limit int) bool {
	return len(c.messages) == 0 || len(c.messages) < maxPersonalizations && c.recipients+recipients <= maxRecipients &&
		c.size+len(personalization)+len(c.shared) <= limit
}

const bodyHead = `{"personalizations":`

// body returns the request's body.
func (c *chunk) body() []byte {
	var b bytes.Buffer
	b.Grow(len(bodyHead) + c.size + len(c.shared) + len("[],"))
	b.WriteString(bodyHead + "[")
	for i, m := range c.messages {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(m)
	}
	b.WriteString("],")
	b.Write(c.shared)
	return b.Bytes()
}

// Send implements provider.Adapter. Messages that are alike go out together, each as a personalization of its own; the others in calls of
// their own, one after the other. When SendGrid wants nothing of the connection now, or is not to be reached, the rest is not tried.
func (a *Adapter) Send(ctx context.Context, conn provider.Connection, batch []provider.Outgoing) []provider.Outcome {
	outcomes := make([]provider.Outcome, len(batch))
	s := &sending{adapter: a, ctx: ctx, enough: provider.Budget(ctx), conn: conn, batch: batch, outcomes: outcomes}
	if err := usable(conn); err != nil {
		s.over = &provider.Outcome{Class: provider.Account, Text: err.Error(), Unwritten: true}
	}
	for _, l := range kindsOf(batch) {
		s.send(l)
	}
	return outcomes
}

// kindsOf finds the messages that are alike, in the order of the first of each kind.
func kindsOf(batch []provider.Outgoing) (kinds []likes) {
next:
	for i := range batch {
		for k := range kinds {
			if alike(kinds[k].content, batch[i].Content) {
				kinds[k].indexes = append(kinds[k].indexes, i)
				continue next
			}
		}
		kinds = append(kinds, likes{batch[i].Content, []int{i}})
	}
	return kinds
}

// sending is one Send under way.
type sending struct {
	adapter  *Adapter
	ctx      context.Context
	enough   func() bool // time for another call
	conn     provider.Connection
	batch    []provider.Outgoing
	outcomes []provider.Outcome
	over     *provider.Outcome // what becomes of all that has not left yet; nil: it may leave
}

// send sends messages that are alike.
func (s *sending) send(l likes) {
	if s.ended() {
		s.file(l.indexes, *s.over)
		return
	}
	if len(bodies(l.content.Text, l.content.HTML)) == 0 || l.content.Subject == "" { // after its tags were filled in
		s.file(l.indexes, provider.Outcome{Class: provider.Rejected, Elsewhere: true, Unsent: true,
			Text: "SendGrid takes no message without a subject and a body"})
		return
	}
	next := chunk{shared: shared(l.content)}
	for _, i := range l.indexes {
		text, recipients := personalization(&s.batch[i])
		if size := len(bodyHead) + len(text) + len(next.shared); size > s.adapter.bodyLimit || recipients > maxRecipients {
			s.file([]int{i}, provider.Outcome{Class: provider.Rejected, Elsewhere: true, Unsent: true, Text: fmt.Sprintf(
				"the message has %d bytes as it is sent, attachments in base64 included, and %d recipients; SendGrid takes %d and %d",
				size, recipients, s.adapter.bodyLimit, maxRecipients)})
			continue
		}
		if !next.takes(text, recipients, s.adapter.bodyLimit) {
			s.deliver(&next)
			next = chunk{shared: next.shared}
		}
		next.add(i, text, recipients)
	}
	if len(next.messages) > 0 {
		s.deliver(&next)
	}
}

// ended tells whether nothing may leave any more.
func (s *sending) ended() bool {
	if s.over != nil {
		return true
	}
	if err := s.ctx.Err(); err != nil {
		s.over = &provider.Outcome{Class: provider.Transient, Unsent: true, Text: "not sent: " + err.Error()}
	} else if !s.enough() {
		none := provider.NoTime()
		s.over = &none
	}
	return s.over != nil
}

// deliver makes the call for one chunk.
func (s *sending) deliver(c *chunk) {
	if s.ended() {
		s.file(c.indexes, *s.over)
		return
	}
	ans := s.adapter.do(s.ctx, s.conn, call{method: http.MethodPost, path: "/v3/mail/send", body: c.body()})
	o := s.adapter.judge(ans, len(c.messages), s.conn.Key.Reveal())
	s.file(c.indexes, o)
	if o.Class == provider.Throttled || o.Class == provider.Transient || o.Class == provider.Account && !o.SenderOnly {
		rest := o
		rest.Unwritten = true
		s.over = &rest
	}
}

func (s *sending) file(indexes []int, o provider.Outcome) {
	for _, i := range indexes {
		s.outcomes[i] = o
	}
}

// usable refuses a connection whose settings cannot work, before anything is encoded for it.
func usable(conn provider.Connection) error {
	if _, err := token(conn); err != nil {
		return err
	}
	_, err := baseURL(conn)
	return err
}

// Write implements provider.Writer.
func (*Adapter) Write(_ provider.Connection, out *provider.Outgoing) (provider.Written, error) {
	c := chunk{shared: shared(out.Content)}
	text, recipients := personalization(out)
	c.add(0, text, recipients)
	return provider.Written{MediaType: provider.MediaJSON, Body: c.body()}, nil
}
