package postmark

import (
	"strings"
	"time"

	"postyard/internal/sandbox/store"
)

// eastern is the zone of dates without one in queries. Where the system has no zone data, it is winter all year.
func eastern() *time.Location {
	if zone, err := time.LoadLocation("America/New_York"); err == nil {
		return zone
	}
	return time.FixedZone("EST", -5*60*60)
}

var dateLayouts = []string{"2006-1-2T15:04:05Z07:00", "2006-1-2T15:04:05", "2006-1-2T15:04", "2006-1-2 15:04:05", "2006-1-2"}

// date reads a date of the query; absent is the zero time. A date without a time means its first moment, or its last one.
func (c *call) date(name string, last bool, code int) (time.Time, error) {
	text := c.query(name)
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range dateLayouts {
		at, err := time.ParseInLocation(layout, text, eastern())
		if err != nil {
			continue
		}
		if last && layout == "2006-1-2" {
			at = at.AddDate(0, 0, 1).Add(-time.Nanosecond)
		}
		return at.UTC(), nil
	}
	return time.Time{}, fail(code, "The '%s' parameter is not a valid date: '%s'.", name, text)
}

type recipientBody struct {
	Email string
	Name  *string
}

type messageBody struct {
	Tag           *string
	MessageID     string
	MessageStream string
	To            []recipientBody
	Cc            []recipientBody
	Bcc           []recipientBody
	Recipients    []string
	ReceivedAt    string
	From          string
	Subject       string
	Attachments   []string
	Status        string
	TrackOpens    bool
	TrackLinks    string
	Metadata      map[string]string
	Sandboxed     bool
}

type messageList struct {
	TotalCount int
	Messages   []messageBody
}

// searchMessages lists what was sent, newest first (PM-sim 48).
func (s *Simulator) searchMessages(c *call) (any, error) {
	count, offset, err := c.paging(codeMessagePaging)
	if err != nil {
		return nil, err
	}
	q := store.Query{Newest: true, Offset: offset, Limit: count, Keys: c.messageKeys()}
	if q.Match, err = c.messageFilter(); err != nil {
		return nil, err
	}
	if q.Since, err = c.date("fromdate", false, codeMessagePaging); err != nil {
		return nil, err
	}
	if q.Until, err = c.date("todate", true, codeMessagePaging); err != nil {
		return nil, err
	}
	if visible := s.visible(c.server); q.Until.IsZero() || visible.Before(q.Until) {
		q.Until = visible
	}
	total, mails := s.store.Find(q)
	list := messageList{TotalCount: total, Messages: make([]messageBody, 0, len(mails))}
	for _, mail := range mails {
		list.Messages = append(list.Messages, contentOf(mail).body(mail, s.store.Events(mail)))
	}
	return list, nil
}

// visible is the time up to which received messages show.
func (s *Simulator) visible(v *server) time.Time {
	return s.clock.Now().Add(-s.settings.Of(v.name).SearchLag())
}

// messageKeys are the filters that the store has an index for.
func (c *call) messageKeys() []string {
	stream := c.query("messagestream")
	if stream == "" {
		stream = defaultStream
	}
	keys := []string{store.Key(fieldStream, c.server.key()+"/"+strings.ToLower(stream))}
	if recipient := c.query("recipient"); recipient != "" {
		keys = append(keys, store.Key(store.FieldRecipient, strings.ToLower(recipient)))
	}
	if sender := c.query("fromemail"); sender != "" {
		keys = append(keys, store.Key(fieldSender, strings.ToLower(sender)))
	}
	if tag := c.query("tag"); tag != "" {
		keys = append(keys, store.Key(fieldTag, tag))
	}
	for name, values := range c.URL.Query() {
		if key, ok := strings.CutPrefix(strings.ToLower(name), "metadata_"); ok && len(values) > 0 {
			keys = append(keys, store.Key(store.FieldMetadata(key), values[0]))
		}
	}
	return keys
}

// messageFilter is what is left of the filters, or nil.
func (c *call) messageFilter() (func(*store.Mail, []store.Event) bool, error) {
	status, subject := strings.ToLower(c.query("status")), strings.ToLower(c.query("subject"))
	switch status {
	case "", "queued", "sent", "processed":
	default:
		return nil, fail(codeMessagePaging, "The 'Status' parameter must be 'queued', 'sent' or 'processed'.")
	}
	if status == "" && subject == "" {
		return nil, nil
	}
	return func(mail *store.Mail, events []store.Event) bool {
		if status != "" && (status == "queued") != (len(events) == 0) {
			return false
		}
		return subject == "" || strings.Contains(strings.ToLower(mail.Content.View().Subject), subject)
	}, nil
}

func recipientBodies(list string) []recipientBody {
	bodies := []recipientBody{}
	for _, entry := range splitList(list) {
		a := parseEntry(entry)
		body := recipientBody{Email: a.Email}
		if a.Name != "" {
			body.Name = &a.Name
		}
		bodies = append(bodies, body)
	}
	return bodies
}

func (m *content) body(mail *store.Mail, events []store.Event) messageBody {
	from := m.message()
	opens, links := m.tracking(from)
	body := messageBody{Tag: from.tag(), MessageID: mail.ID, MessageStream: mail.Stream, To: recipientBodies(from.to()),
		Cc: recipientBodies(from.Cc), Bcc: recipientBodies(from.Bcc), Recipients: m.recipients, ReceivedAt: stamp(mail.ReceivedAt),
		From: from.From, Attachments: []string{}, Status: "Sent", TrackOpens: opens, TrackLinks: links, Metadata: from.metadata(),
		Sandboxed: m.options.DeliveryType == deliverySandbox}
	if len(events) == 0 {
		body.Status = "Queued"
	}
	for _, a := range from.Attachments {
		body.Attachments = append(body.Attachments, a.Name)
	}
	if out, err := m.render(from); err == nil {
		body.Subject = out.subject
	}
	return body
}

type messageDetails struct {
	messageBody
	TextBody      string
	HTMLBody      string `json:"HtmlBody"`
	Body          string
	MessageEvents []messageEvent
}

type messageEvent struct {
	Recipient  string
	Type       string
	ReceivedAt string
	Details    map[string]string
}

// findMessage finds a visible message by the id of a path.
func (s *Simulator) findMessage(c *call) (*store.Mail, *content, error) {
	mail, ok := s.store.Get(strings.ToLower(c.args[0]))
	if ok && !mail.ReceivedAt.After(s.visible(c.server)) {
		if m := contentOf(mail); m != nil && m.owner == c.server {
			return mail, m, nil
		}
	}
	return nil, nil, fail(codeNoMessage, "This message was not found.")
}

func (s *Simulator) messageDetails(c *call) (any, error) {
	mail, m, err := s.findMessage(c)
	if err != nil {
		return nil, err
	}
	events := s.store.Events(mail)
	out := messageDetails{messageBody: m.body(mail, events), MessageEvents: []messageEvent{}}
	if parts, err := m.render(m.message()); err == nil {
		out.TextBody, out.HTMLBody = parts.text, parts.html
		out.Body = m.dump(parts)
	}
	for _, e := range events {
		out.MessageEvents = append(out.MessageEvents, messageEventOf(e))
	}
	return out, nil
}

func (s *Simulator) messageDump(c *call) (any, error) {
	_, m, err := s.findMessage(c)
	if err != nil {
		return nil, err
	}
	parts, err := m.render(m.message())
	if err != nil {
		return dumpBody{}, nil //nolint:nilerr // what cannot be rendered has no source
	}
	return dumpBody{m.dump(parts)}, nil
}

// dump is a message roughly as it would go out: the headers, then the text part or else the HTML part.
func (m *content) dump(parts rendered) string {
	from := m.message()
	kind, body := "text/plain", parts.text
	if body == "" {
		kind, body = "text/html", parts.html
	}
	return "From: " + from.From + "\r\nTo: " + from.to() + "\r\nSubject: " + parts.subject +
		"\r\nContent-Type: " + kind + "; charset=utf-8\r\n\r\n" + body
}
