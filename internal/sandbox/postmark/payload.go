package postmark

import (
	"fmt"

	"postyard/internal/sandbox/store"
)

// Payloads of webhooks, with the keys in the order in which Postmark's documentation has them (PM-sim 44).
type deliveryPayload struct {
	RecordType    string
	MessageStream string
	ServerID      int
	MessageID     string
	Recipient     string
	Tag           *string
	DeliveredAt   string
	Details       string
	Metadata      map[string]string
}

type bouncePayload struct {
	RecordType    string
	MessageStream string
	ID            int64
	Type          string
	TypeCode      int
	Name          string
	Tag           *string
	MessageID     string
	Metadata      map[string]string `json:",omitzero"` // webhooks only
	ServerID      int
	Description   string
	Details       string
	Email         string
	From          string
	BouncedAt     string
	DumpAvailable bool
	Inactive      bool
	CanActivate   bool
	Subject       string
	Content       string `json:",omitempty"`
}

// engagement is an Open or a Click. Neither has a ServerID.
type engagement struct {
	RecordType    string
	MessageStream string
	FirstOpen     *bool  `json:",omitempty"`
	ClickLocation string `json:",omitempty"`
	Client        software
	OS            software
	Platform      string
	UserAgent     string
	ReadSeconds   *int   `json:",omitempty"`
	OriginalLink  string `json:",omitempty"`
	Geo           geo
	MessageID     string
	Metadata      map[string]string `json:",omitzero"` // only in webhooks
	ReceivedAt    string
	Tag           *string
	Recipient     string
}

type software struct {
	Name    string
	Company string
	Family  string
}

type geo struct {
	CountryISOCode string
	Country        string
	RegionISOCode  string
	Region         string
	City           string
	Zip            string
	Coords         string
	IP             string
}

type subscriptionPayload struct {
	RecordType        string
	MessageID         *string
	ServerID          int
	MessageStream     string
	ChangedAt         string
	Recipient         string
	Origin            string
	SuppressSending   bool
	SuppressionReason *string
	Tag               *string
	Metadata          map[string]string
}

// The reader that all simulated opens and clicks come from. The address is of a documentation range.
var (
	sampleClient = software{Name: "Chrome 140", Company: "Google", Family: "Chrome"}
	sampleOS     = software{Name: "macOS", Company: "Apple Computer, Inc.", Family: "macOS"}
	sampleGeo    = geo{CountryISOCode: "US", Country: "United States", RegionISOCode: "TX", Region: "Texas", City: "Houston",
		Zip: "77058", Coords: "29.5,-95.0", IP: "203.0.113.42"}
)

const sampleReadSeconds = 5

const sampleAgent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 " +
	"Safari/537.36"

func recordType(e store.Event) string {
	switch e.Kind {
	case store.Delivered:
		return triggerDelivery
	case store.Bounced:
		return triggerBounce
	case store.Complained:
		return spamComplaint
	case store.Opened:
		return triggerOpen
	case store.Clicked:
		return triggerClick
	}
	return triggerChange
}

func (m *message) tag() *string {
	if m.Tag == "" {
		return nil
	}
	return &m.Tag
}

func (m *message) metadata() map[string]string {
	if m.Metadata == nil {
		return map[string]string{}
	}
	return m.Metadata
}

// payload is what a webhook is told about an event, with its date written in one of the settings' ways.
func (m *content) payload(mail *store.Mail, from *message, h *webhook, e store.Event, dates string) any {
	switch e.Kind {
	case store.Delivered:
		return deliveryPayload{RecordType: triggerDelivery, MessageStream: mail.Stream, ServerID: m.owner.id, MessageID: mail.ID,
			Recipient: e.Recipient, Tag: from.tag(), DeliveredAt: stampAs(dates, e.At), Details: "250 2.0.0 OK", Metadata: from.metadata()}
	case store.Bounced, store.Complained:
		content := h.Triggers.Bounce.IncludeContent
		if e.Kind == store.Complained {
			content = h.Triggers.SpamComplaint.IncludeContent
		}
		p := m.bounce(mail, from, e, content)
		p.BouncedAt = stampAs(dates, e.At)
		return p
	case store.Opened, store.Clicked:
		p := engagementOf(mail, from, e)
		p.ReceivedAt = stampAs(dates, e.At)
		return p
	}
	if e.Lifted {
		return subscriptionPayload{RecordType: triggerChange, ServerID: m.owner.id, MessageStream: mail.Stream,
			ChangedAt: stampAs(dates, e.At), Recipient: e.Recipient, Origin: originCustomer, Metadata: map[string]string{}}
	}
	return subscriptionPayload{RecordType: triggerChange, MessageID: &mail.ID, ServerID: m.owner.id, MessageStream: mail.Stream,
		ChangedAt: stampAs(dates, e.At), Recipient: e.Recipient, Origin: originRecipient, SuppressSending: true, SuppressionReason: &e.Type,
		Tag: from.tag(), Metadata: from.metadata()}
}

func (m *content) bounce(mail *store.Mail, from *message, e store.Event, withContent bool) bouncePayload {
	kind := bounceTypeOf(e.Type)
	p := bouncePayload{RecordType: recordType(e), MessageStream: mail.Stream, ID: e.ID, Type: kind.name, TypeCode: kind.code,
		Name: kind.title, Tag: from.tag(), MessageID: mail.ID, Metadata: from.metadata(), ServerID: m.owner.id,
		Description: kind.description, Details: e.Detail, Email: e.Recipient, From: parseEntry(from.From).Email, BouncedAt: stamp(e.At),
		DumpAvailable: true, Inactive: kind.name == hardBounce || e.Kind == store.Complained, CanActivate: kind.name == hardBounce}
	if out, err := m.render(from); err == nil {
		p.Subject = out.subject
	}
	if withContent {
		p.Content = dump(p)
	}
	return p
}

// dump is the raw bounce message.
func dump(p bouncePayload) string {
	return fmt.Sprintf("From: MAILER-DAEMON@sandbox.test\r\nTo: %s\r\nSubject: Undelivered Mail Returned to Sender\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\n\r\nYour message to %s could not be delivered.\r\n\r\n%s\r\n", p.From, p.Email, p.Details)
}

func engagementOf(mail *store.Mail, from *message, e store.Event) engagement {
	p := engagement{RecordType: recordType(e), MessageStream: mail.Stream, Client: sampleClient, OS: sampleOS, Platform: "WebMail",
		UserAgent: sampleAgent, Geo: sampleGeo, MessageID: mail.ID, Metadata: from.metadata(), ReceivedAt: stamp(e.At),
		Tag: from.tag(), Recipient: e.Recipient}
	if e.Kind == store.Opened {
		p.FirstOpen, p.ReadSeconds = new(e.First), new(sampleReadSeconds)
		return p
	}
	p.OriginalLink, p.ClickLocation = e.URL, "HTML"
	if e.Text {
		p.ClickLocation = "Text"
	}
	return p
}
