package ses

import (
	"encoding/json"
	"fmt"
	"strings"

	"postyard/internal/sandbox/mimeview"
	"postyard/internal/sandbox/store"
	"postyard/internal/sandbox/weblink"
)

// letter is an accepted message as the journal has it.
type letter struct {
	From    string     `json:"from"` // as the request had it
	To      recipients `json:"to"`
	ReplyTo []string   `json:"replyTo,omitempty"`
	Tags    []tag      `json:"tags,omitempty"`
	Set     string     `json:"set,omitempty"`
	Raw     []byte     `json:"raw,omitempty"`    // the mail, or
	Simple  *simple    `json:"simple,omitempty"` // what it is made of
}

// content is a letter in the inbox.
type content struct{ *letter }

// sourced is content that came as mail.
type sourced struct{ *content }

// Source implements store.Sourced.
func (m sourced) Source() []byte { return m.Raw }

// contentFor is the content of a letter.
func contentFor(l *letter) (store.Content, *content) {
	m := &content{l}
	if l.Simple == nil {
		return sourced{m}, m
	}
	return m, m
}

// contentOf returns the content of a mail of this provider; its mails have no other.
func contentOf(mail *store.Mail) *content {
	switch m := mail.Content.(type) {
	case *content:
		return m
	case sourced:
		return m.content
	}
	return nil
}

// RestoreMail brings back a message as it was accepted.
func (*Simulator) RestoreMail(_ *store.Mail, raw json.RawMessage) (store.Content, []string, error) {
	l := &letter{}
	if err := json.Unmarshal(raw, l); err != nil {
		return nil, nil, fmt.Errorf("ses: %w", err)
	}
	c, m := contentFor(l)
	return c, m.keys(), nil
}

// RestoreEvents implements store.Restorer: nothing is kept of events.
func (*Simulator) RestoreEvents(*store.Mail, []store.Event) {}

// recipients are the bare addresses of those who get the message.
func (m *content) recipients() []string {
	all := m.To.all()
	for i, one := range all {
		all[i] = bare(one)
	}
	return all
}

// bare is the address alone; it was checked before.
func bare(text string) string {
	a, err := parseAddress(text)
	if err != nil {
		return text
	}
	return a.email
}

// keys are what a message can be found by.
func (m *content) keys() []string {
	var keys []string
	for _, to := range m.recipients() {
		keys = append(keys, store.Key(store.FieldRecipient, strings.ToLower(to)))
	}
	for _, t := range m.Tags {
		keys = append(keys, store.Key(store.FieldMetadata(strings.ToLower(t.Name)), t.Value))
	}
	return keys
}

// Metadata implements store.Content: the tags.
func (m *content) Metadata() map[string]string {
	all := map[string]string{}
	for _, t := range m.Tags {
		all[t.Name] = t.Value
	}
	return all
}

// View implements store.Content.
func (m *content) View() store.View {
	v := store.View{From: m.From, To: strings.Join(m.To.ToAddresses, ", "), Cc: strings.Join(m.To.CcAddresses, ", "), Metadata: m.Metadata()}
	if m.Simple == nil {
		mimeview.Read(&v, m.Raw)
		v.Headers = mimeview.Header(m.Raw)
	} else {
		m.viewSimple(&v)
	}
	v.Bcc = strings.Join(m.To.BccAddresses, ", ")
	if len(m.ReplyTo) > 0 {
		v.ReplyTo = strings.Join(m.ReplyTo, ", ")
	}
	v.Recipients, v.Links = m.recipients(), weblink.Find(v.HTML, v.Text, weblink.Most)
	return v
}

func (m *content) viewSimple(v *store.View) {
	v.Subject = m.Simple.Subject.Data
	if part := m.Simple.Body.Text; part != nil {
		v.Text = part.Data
	}
	if part := m.Simple.Body.HTML; part != nil {
		v.HTML = part.Data
	}
	for _, h := range m.Simple.Headers {
		v.Headers = append(v.Headers, store.Header{Name: h.Name, Value: h.Value})
	}
	for _, a := range m.Simple.Attachments {
		v.Attachments = append(v.Attachments, store.Attachment{Name: a.FileName, ContentType: a.ContentType, Size: len(a.RawContent)})
	}
}

// headers are those of the mail, as events tell of them.
func (m *content) headers() []store.Header {
	if m.Simple == nil {
		return mimeview.Header(m.Raw)
	}
	list := []store.Header{{Name: "From", Value: m.From}}
	if len(m.ReplyTo) > 0 {
		list = append(list, store.Header{Name: "Reply-To", Value: strings.Join(m.ReplyTo, ", ")})
	}
	list = append(list, store.Header{Name: "To", Value: strings.Join(m.To.ToAddresses, ", ")})
	if len(m.To.CcAddresses) > 0 {
		list = append(list, store.Header{Name: "Cc", Value: strings.Join(m.To.CcAddresses, ", ")})
	}
	list = append(list, store.Header{Name: "Subject", Value: m.Simple.Subject.Data}, store.Header{Name: "MIME-Version", Value: "1.0"})
	for _, h := range m.Simple.Headers {
		list = append(list, store.Header{Name: h.Name, Value: h.Value})
	}
	return list
}
