package store

import (
	"encoding/json"
	"time"
)

// Mail is one accepted message. Its fields do not change; its events are read with Store.Events.
type Mail struct {
	// Seq counts from 0 in the order of acceptance.
	Seq int
	// ID is the provider's id of the message.
	ID string
	// Provider, Server and Stream say who accepted it: "postmark", the server's name, the stream's id.
	Provider, Server, Stream string
	// ReceivedAt never decreases with Seq.
	ReceivedAt time.Time
	// Content is the provider's own view of the message.
	Content Content

	events []Event
}

// Content is a message as its provider keeps it.
type Content interface {
	// View describes the message for people and for the control API. What cannot be rendered is explained in the view.
	View() View
	// Metadata is that of the view, without the work of rendering. The caller must not change it.
	Metadata() map[string]string
}

// Sourced is a Content that came as mail.
type Sourced interface {
	// Source is the mail as it came. The caller must not change it.
	Source() []byte
}

// View is a message in terms that all providers share. Addresses are as the request had them.
type View struct {
	From, To, Cc, Bcc, ReplyTo string
	Subject, Text, HTML        string
	Tag                        string
	Metadata                   map[string]string
	Headers                    []Header
	Attachments                []Attachment
	TemplateAlias              string
	Model                      json.RawMessage // nil without a template
	TrackOpens                 bool
	TrackLinks                 string
	Recipients                 []string // the addresses that get the message
	Inactive                   []string // those that do not
	Links                      []string // that clicks can be reported on
	RenderError                string   // why Subject, Text and HTML are missing
}

// Header is a header field that the request asked for.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Attachment describes an attached file. Size is in bytes after decoding.
type Attachment struct {
	Name        string `json:"name"`
	ContentType string `json:"contentType"`
	Size        int    `json:"size"`
}

// Server is what a client needs to know about a server of a provider to connect to it, and what it finds there.
type Server struct {
	Provider, Name     string
	TokenHeader, Token string
	Streams            []string // that can be sent on
	Templates          []string // their aliases
	Webhooks           int      // how many are registered
	Addresses          []string // of a mail server: where it listens, as URLs
	User, Password     string   // of a mail server
}

// Kind is what happened to a message.
type Kind string

// The kinds of events, in words of no provider.
const (
	Delivered  Kind = "delivery"
	Bounced    Kind = "bounce"
	Complained Kind = "complaint"
	Opened     Kind = "open"
	Clicked    Kind = "click"
	Subscribed Kind = "subscription" // the recipient was put on, or taken off, a suppression list
	Processed  Kind = "processed"    // the provider has taken the message in
	Deferred   Kind = "deferred"     // the recipient's server asks to try later, and the provider will
	Dropped    Kind = "dropped"      // the provider will not try to deliver
)

// Unsubscribed is what a Wish asks for to have the recipient unsubscribe; the event is Subscribed.
const Unsubscribed Kind = "unsubscribe"

// Event happened to one recipient of a mail.
type Event struct {
	// Seq is unique in the store.
	Seq       int64     `json:"seq"`
	Kind      Kind      `json:"kind"`
	Recipient string    `json:"recipient"`
	At        time.Time `json:"at"`
	// Type is the provider's name where it has finer ones: of a bounce, or the reason of a subscription change.
	Type string `json:"type,omitempty"`
	// ID is the provider's number of a bounce or complaint.
	ID     int64  `json:"id,omitempty"`
	Detail string `json:"detail,omitempty"`
	URL    string `json:"url,omitempty"`
	// Text tells that a click happened in the text part.
	Text bool `json:"text,omitempty"`
	// First marks the first open of a recipient.
	First bool `json:"first,omitempty"`
	// Lifted marks a subscription change that took the recipient off the list.
	Lifted bool `json:"lifted,omitempty"`
	// Pending are the webhooks, by id, that have not been told yet.
	Pending []int `json:"pending,omitempty"`
}

// Wish asks for something to happen to a mail. The JSON form is that of the control API.
type Wish struct {
	// Kind is Opened, Clicked, Complained, Unsubscribed or Bounced.
	Kind Kind `json:"kind"`
	// Recipient is who does it; empty is the first one.
	Recipient string `json:"recipient"`
	// URL is what is clicked; empty is the first link of the mail.
	URL string `json:"url"`
	// Type is the provider's name of the bounce; empty is a hard bounce.
	Type string `json:"type"`
}

// Outcome is what came of a Wish: events, or a note that says why there are none.
type Outcome struct {
	Events []Event
	Note   string
}

// Refusal is the error for an event that cannot happen to a message. Its text is for the caller.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

// New is a mail to be added: Content and Keys for the lookups, Raw (one JSON value) for the journal, if there
// is one.
type New struct {
	ID, Provider, Server, Stream string
	Content                      Content
	Keys                         []string
	Raw                          json.RawMessage
}

// Raised are events to be added to a mail.
type Raised struct {
	Mail   *Mail
	Events []Event
}

// Key forms a lookup key. Fields are the provider's to choose; FieldRecipient and FieldMetadata are shared with the control API.
func Key(field, value string) string { return field + "\x00" + value }

// FieldRecipient's values are lower-case addresses of To, Cc and Bcc.
const FieldRecipient = "to"

// FieldMetadata returns the field of a metadata key; keys are compared without regard to case.
func FieldMetadata(lowerKey string) string { return "metadata_" + lowerKey }
