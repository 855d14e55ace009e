package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/sendpost"
	"postyard/internal/store"
)

// contentsAtOnce is how many contents are read by one query.
const contentsAtOnce = 50

// told is what webhooks tell of a message, and what events need of it.
type told struct {
	message json.RawMessage
	from    mail.Address
	to      mail.Recipient
	subject string
	groups  []string
}

func (t *told) size() int { return len(t.message) + 512 }

// render makes the bodies of events. An event whose message cannot be read has none.
func (l *leader) render(ctx context.Context, events []*store.OutEvent) (map[int64][]byte, error) {
	messages, err := l.tell(ctx, events)
	if err != nil {
		return nil, err
	}
	bodies := make(map[int64][]byte, len(events))
	for _, e := range events {
		m := messages[e.MessageID]
		if m == nil {
			continue
		}
		body, err := bodyOf(l.Installation, e, m)
		if err != nil {
			l.Log.Error("an event cannot be told to webhooks", "event", sendpost.EventID(l.Installation, e.Seq), "error", err)
			continue
		}
		bodies[e.Seq] = body
		l.bodies.put(e.Seq, body, len(body))
	}
	return bodies, nil
}

// tell returns what is told of the messages of events.
func (l *leader) tell(ctx context.Context, events []*store.OutEvent) (map[mail.ID]*told, error) {
	known := map[mail.ID]*told{}
	var refs []string
	wanted := map[string]bool{}
	for _, e := range events {
		if m, ok := l.messages.get(e.MessageID); ok {
			known[e.MessageID] = m
		} else if !wanted[e.Content] {
			wanted[e.Content] = true
			refs = append(refs, e.Content)
		}
	}
	contents := make(map[string]*mail.Content, len(refs))
	for len(refs) > 0 {
		n := min(len(refs), contentsAtOnce)
		some, err := l.Store.OutContents(ctx, refs[:n])
		if err != nil {
			return nil, err
		}
		for ref, c := range some {
			contents[ref] = c
		}
		refs = refs[n:]
	}
	for _, e := range events {
		c := contents[e.Content]
		if known[e.MessageID] != nil || c == nil {
			continue
		}
		m, err := l.messageOf(e, c)
		if err != nil {
			l.Log.Error("a message cannot be told to webhooks", "message", e.MessageID, "error", err)
			continue
		}
		known[e.MessageID] = m
		l.messages.put(e.MessageID, m, m.size())
	}
	return known, nil
}

// messageOf makes what is told of an event's message: the same for all its events.
func (l *leader) messageOf(e *store.OutEvent, c *mail.Content) (*told, error) {
	m := &told{from: c.From, subject: c.Subject, groups: orEmpty(c.Groups)}
	if err := mail.DecodeRecipient(e.To, &m.to); err != nil {
		return nil, err
	}
	fields, err := sendpost.Texts(c.CustomFields)
	if err != nil {
		return nil, err
	}
	own, err := sendpost.Texts(m.to.CustomFields)
	if err != nil {
		return nil, err
	}
	pool := c.Pool
	if p := l.Directory.Current().Pool(e.AccountID, e.PoolID); pool == "" && p != nil {
		pool = p.Name
	}
	message := sendpost.HookMessage{MessageID: e.MessageID.String(), AccountID: e.AccountID, SubAccountID: e.SubAccountID, EmailType: string(e.Mailbox),
		SubmittedAt: e.SubmittedAt.Unix(), From: sendpost.Person{Name: c.From.Name, Email: c.From.Email},
		To:     []sendpost.HookRecipient{{HookCopy: copyOf(&m.to.Address, own), CC: copies(m.to.CC), BCC: copies(m.to.BCC)}},
		Groups: m.groups, IPPool: pool, Headers: c.Headers, CustomFields: fields, TrackOpens: isTrue(c.TrackOpens), TrackClicks: isTrue(c.TrackClicks),
		WebhookEndpoint: c.WebhookEndpoint}
	if c.ReplyTo != nil {
		message.ReplyTo = sendpost.Person{Name: c.ReplyTo.Name, Email: c.ReplyTo.Email}
	}
	if message.Headers == nil {
		message.Headers = map[string]string{}
	}
	m.to.CustomFields = nil // is in the text
	m.message, err = encode(message)
	return m, err
}

func copyOf(a *mail.Address, fields map[string]string) sendpost.HookCopy {
	return sendpost.HookCopy{Name: a.Name, Email: a.Email, CustomFields: fields}
}

func copies(list []mail.Address) []sendpost.HookCopy {
	out := make([]sendpost.HookCopy, len(list))
	for i := range list {
		out[i] = copyOf(&list[i], map[string]string{})
	}
	return out
}

// bodyOf makes the body for an event.
func bodyOf(installation string, e *store.OutEvent, m *told) ([]byte, error) {
	var detail event.Detail
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		return nil, fmt.Errorf("read event detail: %w", err)
	}
	to := m.to.AddressOf(e.Recipient)
	return encode(sendpost.Hook{EmailMessage: m.message, Event: sendpost.Event[sendpost.HookMetadata]{
		EventID: sendpost.EventID(installation, e.Seq), Groups: m.groups, IPID: max(-int32(e.Egress), 0), IPPoolID: e.PoolID, TPSPID: e.Egress.TPSPID(),
		MessageType: string(e.Mailbox), MessageSubject: m.subject, AccountID: e.AccountID, SubAccountID: e.SubAccountID, MessageID: e.MessageID.String(),
		Type: int(e.Type), From: m.from.Email, FromName: m.from.Name, To: to.Email, ToName: to.Name, SubmittedAt: e.OccurredAt.Unix(),
		SMTPCode: detail.SMTPCode, SMTPDescription: detail.SMTPDescription, EventMetadata: sendpost.HookMetadataOf(&detail)}})
}

// encode writes JSON as the API does.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("encode webhook: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func isTrue(b *bool) bool { return b != nil && *b }

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
