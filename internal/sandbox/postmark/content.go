package postmark

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"

	"postyard/internal/sandbox/store"
	"postyard/internal/sandbox/weblink"
)

// content is an accepted message. It keeps the request's bytes and the template's version, and is decoded and rendered when
// someone looks: most messages are never looked at.
type content struct {
	owner    *server
	options  *options // the server's, at the time
	raw      json.RawMessage
	template *template
	// recipients are the addresses that get the message, in the order of To, Cc, Bcc.
	recipients []string
	inactive   []string
	// fresh is the decoded request, until the first events have been raised: these look at each message.
	fresh atomic.Pointer[message]
}

// contentOf returns the content of a mail of this provider; its mails have no other.
func contentOf(mail *store.Mail) *content {
	m, _ := mail.Content.(*content)
	return m
}

func newContent(owner *server, d *draft) *content {
	m := &content{owner: owner, options: owner.options, raw: d.raw, template: d.template, inactive: d.inactive}
	for _, r := range d.recipients {
		if !containsFold(d.inactive, r.Email) {
			m.recipients = append(m.recipients, r.Email)
		}
	}
	return m
}

func containsFold(list []string, text string) bool {
	for _, one := range list {
		if strings.EqualFold(one, text) {
			return true
		}
	}
	return false
}

// RestoreMail brings back a message as it was accepted.
func (s *Simulator) RestoreMail(mail *store.Mail, raw json.RawMessage) (store.Content, []string, error) {
	var record stored
	if err := json.Unmarshal(raw, &record); err != nil {
		return nil, nil, err
	}
	owner := s.serverByName(mail.Server)
	if owner == nil {
		return nil, nil, fmt.Errorf("postmark: no server %q", mail.Server)
	}
	d := &draft{raw: record.Message, inactive: record.Inactive, templated: record.Template != 0}
	if err := json.Unmarshal(record.Message, &d.message); err != nil {
		return nil, nil, err
	}
	d.readAddresses()
	d.MessageStream = mail.Stream
	if d.templated {
		d.template = owner.templateByID(record.Template)
	}
	return newContent(owner, d), d.keys(owner), nil
}

func (s *Simulator) serverByName(name string) *server {
	for _, v := range s.servers {
		if v.name == name {
			return v
		}
	}
	return nil
}

// message returns the decoded request, which must not be changed. It was decoded before, so that an error cannot come up.
func (m *content) message() *message {
	if fresh := m.fresh.Load(); fresh != nil {
		return fresh
	}
	var out message
	if err := json.Unmarshal(m.raw, &out); err != nil {
		return &message{}
	}
	return &out
}

// render returns subject and bodies as the recipient sees them.
func (m *content) render(from *message) (rendered, error) {
	if m.template == nil {
		return rendered{subject: from.Subject.text, html: unsubscribe.ReplaceAllLiteralString(from.HTMLBody.text, unsubscribeURL),
			text: unsubscribe.ReplaceAllLiteralString(from.TextBody.text, unsubscribeURL)}, nil
	}
	model, err := parseModel(from.TemplateModel)
	if err != nil {
		return rendered{}, err
	}
	out, err := m.template.parts.render(model)
	if from.InlineCSS == nil || *from.InlineCSS {
		out.html = inlineCSS(out.html)
	}
	return out, err
}

// hasHTML tells whether the message has an HTML part to track.
func (m *content) hasHTML(from *message) bool {
	if m.template != nil {
		return m.template.parts.html != nil
	}
	return from.HTMLBody.text != ""
}

// hasText tells whether the message has a text part.
func (m *content) hasText(from *message) bool {
	if m.template != nil {
		return m.template.parts.text != nil
	}
	return from.TextBody.text != ""
}

// tracking is the message's own choice over the server's; opens cannot be switched off when the server has them on.
func (m *content) tracking(from *message) (opens bool, links string) {
	opens = m.options.TrackOpens || from.TrackOpens != nil && *from.TrackOpens
	links = m.options.TrackLinks
	for _, known := range []string{linksNone, linksBoth, linksHTML, linksText} {
		if strings.EqualFold(from.TrackLinks, known) {
			links = known
		}
	}
	return opens, links
}

// tracksOpens tells whether an open of the message would be noticed.
func (m *content) tracksOpens(from *message) bool {
	opens, _ := m.tracking(from)
	return opens && m.hasHTML(from)
}

// tracksLinks tells in which parts of the message links are tracked.
func (m *content) tracksLinks(from *message) (inHTML, inText bool) {
	_, links := m.tracking(from)
	return (links == linksBoth || links == linksHTML) && m.hasHTML(from), (links == linksBoth || links == linksText) && m.hasText(from)
}

// links are the links that are tracked; most is as in weblink.Find.
func (m *content) links(from *message, out rendered, most int) []string {
	inHTML, inText := m.tracksLinks(from)
	if !inHTML {
		out.html = ""
	}
	if !inText {
		out.text = ""
	}
	return weblink.Find(out.html, out.text, most)
}

// Metadata is decoded alone: who counts arrivals looks at every message.
func (m *content) Metadata() map[string]string {
	if from, to, ok := member(m.raw, "Metadata"); ok {
		var only map[string]string
		if json.Unmarshal(m.raw[from:to], &only) == nil {
			return only
		}
	}
	var out struct{ Metadata map[string]string }
	if err := json.Unmarshal(m.raw, &out); err != nil {
		return nil // not so: it was decoded before
	}
	return out.Metadata
}

// View describes the message for the control API and the pages.
func (m *content) View() store.View {
	from := m.message()
	opens, tracked := m.tracking(from)
	v := store.View{From: from.From, To: from.to(), Cc: from.Cc, Bcc: from.Bcc, ReplyTo: from.ReplyTo, Tag: from.Tag,
		Metadata: from.Metadata, TrackOpens: opens, TrackLinks: tracked, Recipients: m.recipients, Inactive: m.inactive}
	for _, h := range from.Headers {
		v.Headers = append(v.Headers, store.Header{Name: h.Name, Value: h.Value})
	}
	for _, a := range from.Attachments {
		v.Attachments = append(v.Attachments, store.Attachment{Name: a.Name, ContentType: a.ContentType, Size: len(a.Content)})
	}
	if m.template != nil {
		v.Model = from.TemplateModel
		if m.template.Alias != nil {
			v.TemplateAlias = *m.template.Alias
		}
	}
	out, err := m.render(from)
	if err != nil {
		v.RenderError = err.Error()
		return v
	}
	v.Subject, v.HTML, v.Text, v.Links = out.subject, out.html, out.text, m.links(from, out, weblink.Most)
	return v
}
