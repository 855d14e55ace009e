// Package mimeview reads mails as they are on the wire into what people are shown. What cannot be read is left out, with a word about it.
package mimeview

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

// Limits of what is read of a mail's structure.
const (
	maxDepth = 8
	maxParts = 200
	maxHead  = 1 << 20 // bytes of its header that are looked at
)

// Header returns the header's fields in their order, unfolded and undecoded.
func Header(raw []byte) []store.Header {
	head := raw[:min(len(raw), maxHead)]
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

// Decoded is a header field in plain words, "" when there is none.
func Decoded(h netmail.Header, name string) string {
	raw := h.Get(name)
	if text, err := (&mime.WordDecoder{}).DecodeHeader(raw); err == nil {
		return text
	}
	return raw
}

// Read fills a view with what a mail says of itself: its subject, addresses, texts and attachments. Addresses that it does not name stay as
// they are. Without a header that can be read, the whole is the text, and the view says why.
func Read(v *store.View, raw []byte) {
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		v.RenderError, v.Text = err.Error(), string(raw)
		return
	}
	h := parsed.Header
	v.Subject, v.ReplyTo, v.Cc = Decoded(h, "Subject"), Decoded(h, "Reply-To"), Decoded(h, "Cc")
	if from := Decoded(h, "From"); from != "" {
		v.From = from
	}
	if to := Decoded(h, "To"); to != "" {
		v.To = to
	}
	r := &reader{view: v, left: maxParts}
	r.part(textproto.MIMEHeader(h), parsed.Body, 0)
}

// Unnamed are the recipients that neither To nor Cc of a mail names.
func Unnamed(recipients []string, raw []byte) []string {
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil
	}
	var named []string
	for _, field := range []string{"To", "Cc"} {
		list, err := parsed.Header.AddressList(field)
		if err != nil {
			continue // there is none, or it is not one
		}
		for _, a := range list {
			named = append(named, strings.ToLower(a.Address))
		}
	}
	return slices.DeleteFunc(slices.Clone(recipients), func(to string) bool { return slices.Contains(named, strings.ToLower(to)) })
}

// reader collects the parts of a mail.
type reader struct {
	view *store.View
	left int // parts that may still be read
}

// part reads one part and those within it.
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
