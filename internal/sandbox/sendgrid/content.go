package sendgrid

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"postyard/internal/sandbox/store"
	"postyard/internal/sandbox/weblink"
)

// content is an accepted mail: one personalization of a request.
type content struct {
	owner   *account
	request *request
	own     *personalization
	id      string // the X-Message-Id
	index   int    // among the personalizations
}

func contentOf(mail *store.Mail) *content {
	m, _ := mail.Content.(*content) // mails of this provider have no other
	return m
}

func (m *content) stream() string {
	if m.request.IPPool.of != "" {
		return m.request.IPPool.of
	}
	return defaultStream
}

// keys are what the mail is found by.
func (m *content) keys() []string {
	var keys []string
	for _, to := range m.own.recipients() {
		keys = append(keys, store.Key(store.FieldRecipient, strings.ToLower(to)))
	}
	for key, text := range m.Metadata() {
		keys = append(keys, store.Key(store.FieldMetadata(strings.ToLower(key)), text))
	}
	return keys
}

// sendAt is when the mail is to leave; zero is at once.
func (m *content) sendAt() time.Time {
	at := m.own.SendAt
	if !at.set {
		at = m.request.SendAt
	}
	if !at.set {
		return time.Time{}
	}
	return time.Unix(at.of, 0)
}

// Metadata implements store.Content: the custom arguments.
func (m *content) Metadata() map[string]string { return m.request.args(m.own) }

// replace puts sections into substitutions, and these into a text.
func (m *content) replace(text string) string {
	for _, from := range []texts{m.own.Substitutions, m.request.Sections} {
		for _, key := range slices.Sorted(maps.Keys(from.of)) {
			if key != "" {
				text = strings.ReplaceAll(text, key, from.of[key].of)
			}
		}
	}
	return text
}

func (m *content) subject() string {
	if m.own.Subject.set {
		return m.replace(m.own.Subject.of)
	}
	return m.replace(m.request.Subject.of)
}

// headers are those of the request, as far as the mail has none of that name itself, and its own.
func (m *content) headers() []store.Header {
	var list []store.Header
	for _, from := range []pairs{m.request.Headers.of, m.own.Headers.of} {
		for _, h := range from {
			list = slices.DeleteFunc(list, func(old store.Header) bool { return strings.EqualFold(old.Name, h.key) })
			list = append(list, store.Header{Name: h.key, Value: m.replace(h.text.of)})
		}
	}
	return list
}

// View implements store.Content.
func (m *content) View() store.View {
	r, from := m.request, m.request.From.of
	if m.own.From.set {
		from = m.own.From.of
	}
	v := store.View{From: from.show(), To: show(m.own.To), Cc: show(m.own.Cc), Bcc: show(m.own.Bcc), ReplyTo: r.ReplyTo.of.show(),
		Subject: m.subject(), Text: m.replace(r.part("text/plain")), HTML: m.replace(r.part("text/html")), Tag: strings.Join(m.categories(), ", "),
		Metadata: m.Metadata(), Headers: m.headers(), TrackOpens: r.tracksOpens(), TrackLinks: m.trackLinks(), Recipients: m.own.recipients(),
		Links: m.links(weblink.Most)}
	if r.ReplyToList.set {
		v.ReplyTo = show(r.ReplyToList)
	}
	for _, a := range r.Attachments.of {
		size := base64.StdEncoding.DecodedLen(len(a.of.Content.of)) - strings.Count(a.of.Content.of, "=")
		v.Attachments = append(v.Attachments, store.Attachment{Name: a.of.Filename.of, ContentType: a.of.Type.of, Size: size})
	}
	return v
}

func (m *content) categories() []string {
	var list []string
	for _, one := range m.request.Categories.of {
		list = append(list, one.of)
	}
	return list
}

// trackLinks says for people in which parts clicks are tracked.
func (m *content) trackLinks() string {
	switch inHTML, inText := m.request.tracksClicks(); {
	case inHTML && inText:
		return "in HTML and text"
	case inHTML:
		return "in HTML"
	case inText:
		return "in text"
	}
	return "off"
}

func show(list people) string {
	shown := make([]string, len(list.of))
	for i, one := range list.of {
		shown[i] = one.of.show()
	}
	return strings.Join(shown, ", ")
}

// links are the links that clicks are tracked on, HTML first. At most most are looked at in each part; -1 is all.
func (m *content) links(most int) []string {
	htmlBody, textBody := "", ""
	inHTML, inText := m.request.tracksClicks()
	if inHTML {
		htmlBody = m.replace(m.request.part("text/html"))
	}
	if inText {
		textBody = m.replace(m.request.part("text/plain"))
	}
	return weblink.Find(htmlBody, textBody, most)
}
