package smtp

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"slices"
	"strings"

	"postyard/internal/sandbox/store"
)

// messageHeader carries the gateway's id of a message.
const messageHeader = "X-Sendpost-Message-UUID"

// sendpostPrefix begins the headers that are shown as metadata.
const sendpostPrefix = "X-Sendpost-"

// Limits of what is read of a mail's structure.
const (
	maxDepth = 8
	maxParts = 200
	maxHead  = 1 << 20 // bytes of its header that are looked at
)

// mail is a letter in the inbox.
type mail struct{ *letter }

// keys are what the mail is found by: the addresses of its envelope, and the gateway's id.
func (m *mail) keys() []string {
	var keys []string
	for _, to := range m.To {
		keys = append(keys, store.Key(store.FieldRecipient, strings.ToLower(to)))
	}
	for _, h := range m.header() {
		if strings.EqualFold(h.Name, messageHeader) {
			keys = append(keys, store.Key(store.FieldMetadata("messageid"), h.Value))
		}
	}
	return keys
}

// header returns the header's fields in their order, unfolded and undecoded.
func (m *mail) header() []store.Header {
	head := m.Data[:min(len(m.Data), maxHead)]
	if end := bytes.Index(head, []byte("\r\n\r\n")); end >= 0 {
		head = head[:end]
	}
	var list []store.Header
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if n := len(list); n > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
			list[n-1].Value = strings.TrimSpace(list[n-1].Value + " " + strings.TrimSpace(line))
			continue
		}
		if name, value, ok := strings.Cut(line, ":"); ok {
			list = append(list, store.Header{Name: name, Value: strings.TrimSpace(value)})
		}
	}
	return list
}

// Metadata implements store.Content: the gateway's id of the message, and what else its own headers say.
func (m *mail) Metadata() map[string]string {
	metadata := map[string]string{}
	for _, h := range m.header() {
		if len(h.Name) > len(sendpostPrefix) && strings.EqualFold(h.Name[:len(sendpostPrefix)], sendpostPrefix) {
			metadata[h.Name[len(sendpostPrefix):]] = h.Value
		}
		if strings.EqualFold(h.Name, messageHeader) {
			metadata["messageId"] = h.Value
		}
	}
	return metadata
}

// Source implements store.Sourced.
func (m *mail) Source() []byte { return m.Data }

// View implements store.Content.
func (m *mail) View() store.View {
	v := store.View{From: m.From, To: strings.Join(m.To, ", "), Headers: m.header(), Metadata: m.Metadata()}
	parsed, err := netmail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		v.RenderError, v.Text = err.Error(), string(m.Data)
		return v
	}
	words := &mime.WordDecoder{}
	decoded := func(name string) string {
		raw := parsed.Header.Get(name)
		if text, err := words.DecodeHeader(raw); err == nil {
			return text
		}
		return raw
	}
	v.Subject, v.ReplyTo, v.Cc = decoded("Subject"), decoded("Reply-To"), decoded("Cc")
	if from := decoded("From"); from != "" {
		v.From = from
	}
	if to := decoded("To"); to != "" {
		v.To, v.Bcc = to, strings.Join(m.unnamed(parsed.Header), ", ")
	}
	r := &reader{view: &v, left: maxParts}
	r.part(textproto.MIMEHeader(parsed.Header), parsed.Body, 0)
	return v
}

// unnamed are the recipients that no header names.
func (m *mail) unnamed(h netmail.Header) []string {
	var named []string
	for _, field := range []string{"To", "Cc"} {
		list, err := h.AddressList(field)
		if err != nil {
			continue // there is none, or it is not one
		}
		for _, a := range list {
			named = append(named, strings.ToLower(a.Address))
		}
	}
	return slices.DeleteFunc(slices.Clone(m.To), func(to string) bool { return slices.Contains(named, strings.ToLower(to)) })
}

// reader collects the parts of a mail.
type reader struct {
	view *store.View
	left int // parts that may still be read
}

// part reads one part and those within it. What cannot be read is left out, with a word about it.
func (r *reader) part(h textproto.MIMEHeader, body io.Reader, depth int) {
	r.left--
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") {
		if depth < maxDepth {
			r.parts(multipart.NewReader(body, params["boundary"]), depth+1)
		}
		return
	}
	raw, err := io.ReadAll(decoding(h.Get("Content-Transfer-Encoding"), body))
	if err != nil {
		r.view.RenderError = err.Error()
	}
	disposition, details, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err == nil && disposition == "attachment" || !strings.HasPrefix(kind, "text/") {
		name := details["filename"]
		if text, err := (&mime.WordDecoder{}).DecodeHeader(name); err == nil {
			name = text
		}
		r.view.Attachments = append(r.view.Attachments, store.Attachment{Name: name, ContentType: kind, Size: len(raw)})
		return
	}
	text := strings.ToValidUTF8(string(raw), "\uFFFD")
	switch {
	case kind == "text/html" && r.view.HTML == "":
		r.view.HTML = text
	case kind == "text/plain" && r.view.Text == "":
		r.view.Text = text
	default:
		r.view.Attachments = append(r.view.Attachments, store.Attachment{Name: "(part)", ContentType: kind, Size: len(raw)})
	}
}

func (r *reader) parts(m *multipart.Reader, depth int) {
	for r.left > 0 {
		p, err := m.NextRawPart()
		if err == io.EOF {
			return
		}
		if err != nil {
			r.view.RenderError = err.Error()
			return
		}
		r.part(p.Header, p, depth)
	}
}

func decoding(name string, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}
