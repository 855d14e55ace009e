package ses

import (
	"context"
	"encoding/base64"
	"net/http"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/quickjson"
)

// configurationSet is the one that all messages name (SES-1).
const configurationSet = "sendpost-events"

// Send implements provider.Adapter. Each message is a call of its own, several of them at once. When SES does not want any now, those that
// did not leave yet stay.
func (a *Adapter) Send(ctx context.Context, conn provider.Connection, batch []provider.Outgoing) []provider.Outcome {
	outcomes := make([]provider.Outcome, len(batch))
	t, bad := parse(conn)
	if bad != nil {
		for i := range outcomes {
			outcomes[i] = provider.Outcome{Class: provider.Account, Unwritten: true, Text: provider.Clean(bad.Message, provider.MaxText)}
		}
		return outcomes
	}
	s := &sending{adapter: a, enough: provider.Budget(ctx), target: t, batch: batch, outcomes: outcomes}
	var workers sync.WaitGroup
	for range min(len(batch), callsAtOnce(batch)) {
		workers.Go(func() { s.work(ctx) })
	}
	workers.Wait()
	return outcomes
}

// callsAtOnce says how many of a batch may be under way together: a message stands in memory as it was written, in base64, and in the
// request.
func callsAtOnce(batch []provider.Outgoing) int {
	largest := 1
	for i := range batch {
		largest = max(largest, 4*size(batch[i].Content))
	}
	return min(max(maxMemory/largest, 1), atOnce)
}

// size is about how many bytes a content has.
func size(c *mail.Content) int {
	n := len(c.HTML) + len(c.Text) + len(c.AMP)
	for i := range c.Attachments {
		n += len(c.Attachments[i].Content)
	}
	return n
}

// sending is one Send under way.
type sending struct {
	adapter  *Adapter
	target   *target
	enough   func() bool // time for another call
	batch    []provider.Outgoing
	outcomes []provider.Outcome // each is written by who takes its message

	mu   sync.Mutex
	next int
	stop *provider.Outcome // of the messages that are left
}

// work carries one message after the other until none is left.
func (s *sending) work(ctx context.Context) {
	for {
		i, stop := s.take(ctx)
		switch {
		case i == len(s.batch):
			return
		case stop != nil:
			s.outcomes[i] = *stop
		default:
			s.outcomes[i] = s.carry(ctx, &s.batch[i])
			s.learn(s.outcomes[i])
		}
	}
}

// take gives out the next message, or what becomes of it if it is not to leave.
func (s *sending) take(ctx context.Context) (i int, stop *provider.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i = s.next
	if i == len(s.batch) {
		return i, nil
	}
	s.next++
	if err := ctx.Err(); err != nil {
		return i, &provider.Outcome{Class: provider.Transient, Unsent: true, Text: "not sent: " + err.Error()}
	}
	if s.stop == nil && !s.enough() {
		none := provider.NoTime()
		s.stop = &none
	}
	return i, s.stop
}

// learn keeps the messages that did not leave yet when there is no use in sending them now: SES is not reached, or it wants none.
func (s *sending) learn(o provider.Outcome) {
	if o.Unsent || o.Class != provider.Throttled && (o.Class != provider.Account || o.SenderOnly) && (o.Class != provider.Transient || !o.Unwritten) {
		return
	}
	o.Unwritten = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == nil {
		s.stop = &o
	}
}

// carry hands one message over.
func (s *sending) carry(ctx context.Context, out *provider.Outgoing) provider.Outcome {
	m, err := form.Write(out, nil, s.adapter.Now())
	if err != nil {
		return provider.Outcome{Class: provider.Rejected, Unsent: true, Text: s.target.words("the message cannot be written: " + err.Error())}
	}
	if refused := tooLarge(base64.StdEncoding.EncodedLen(len(m.Raw))); refused != nil {
		return *refused
	}
	return s.adapter.judge(s.adapter.do(ctx, s.target, call{http.MethodPost, "/v2/email/outbound-emails", encode(out, m.Raw)}), s.target)
}

// encode builds the JSON of one message. Who gets it is what Destination says: the MIME does not name bcc recipients.
func encode(out *provider.Outgoing, raw []byte) []byte {
	c, r := out.Content, &out.Recipient
	dst := make([]byte, 0, base64.StdEncoding.EncodedLen(len(raw))+2048)
	dst = quickjson.AppendField(append(dst, '{'), "FromEmailAddress", (&netmail.Address{Name: c.From.Name, Address: c.From.Email}).String())
	dst = append(quickjson.AppendKey(dst, "Destination"), '{')
	var named []string
	dst = addresses(dst, "ToAddresses", []mail.Address{r.Address}, &named)
	dst = addresses(dst, "CcAddresses", r.CC, &named)
	dst = addresses(dst, "BccAddresses", r.BCC, &named)
	dst = append(quickjson.AppendKey(append(dst, '}'), "Content"), `{"Raw":{"Data":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	dst = quickjson.AppendField(append(dst, `"}}`...), "ConfigurationSetName", configurationSet)
	dst = quickjson.AppendList(quickjson.AppendKey(dst, "EmailTags"), tags(out), func(dst []byte, t *tag) []byte {
		dst = quickjson.AppendField(append(dst, '{'), "Name", t.Name)
		return append(quickjson.AppendField(dst, "Value", t.Value), '}')
	})
	return append(dst, '}')
}

// addresses appends a list without those that were named before: nobody gets a message twice.
func addresses(dst []byte, key string, list []mail.Address, named *[]string) []byte {
	var fresh []string
	for _, a := range list {
		if !slices.ContainsFunc(*named, func(known string) bool { return strings.EqualFold(known, a.Email) }) {
			fresh, *named = append(fresh, a.Email), append(*named, a.Email)
		}
	}
	if len(fresh) == 0 {
		return dst
	}
	return quickjson.AppendList(quickjson.AppendKey(dst, key), fresh, func(dst []byte, email *string) []byte {
		return quickjson.AppendString(dst, *email)
	})
}

// Write implements provider.Writer.
func (a *Adapter) Write(_ provider.Connection, out *provider.Outgoing) (provider.Written, error) {
	m, err := form.Write(out, nil, a.Now())
	if err != nil {
		return provider.Written{}, err
	}
	return provider.Written{MediaType: provider.MediaMIME, Body: m.Raw}, nil
}
