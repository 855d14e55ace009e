// Package compose writes messages for adapters that hand them over whole, as MIME (RFC 5322, RFC 2045), and says which of a request's
// headers can stand in them. Nothing in a message is beyond 7 bits.
package compose

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	netmail "net/mail"
	"path"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// Message is a message as it leaves.
type Message struct {
	ID   string   // Message-ID without its angle brackets
	From string   // the envelope's sender
	To   []string // the envelope's recipients: the message's own, then the copies, each once
	Raw  []byte
}

// Form is what the messages of one adapter have in common.
type Form struct {
	Reserved []string // beginnings, in lower case, of names of headers that the user cannot set, beside those that nobody can
}

// Write writes a message, with headers of the adapter's own. Bcc recipients are in the envelope only. Headers that Check refuses are
// left out.
func (f Form) Write(out *provider.Outgoing, own map[string]string, now time.Time) (*Message, error) {
	c, r := out.Content, &out.Recipient
	m := &Message{ID: out.ID.String() + "@" + mail.Domain(c.From.Email), From: c.From.Email, To: envelope(r)}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(mailbox(c.From))
	msg.ToMailAddress(mailbox(r.Address))
	if len(r.CC) > 0 {
		msg.CcMailAddress(mailboxes(r.CC)...)
	}
	if c.ReplyTo != nil {
		msg.ReplyToMailAddress(mailbox(*c.ReplyTo))
	}
	msg.Subject(c.Subject)
	msg.SetDateWithValue(now)
	msg.SetMessageIDWithValue(m.ID)
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if _, metadata := provider.MetadataKey(name); !metadata && f.reserved(name) == "" {
			msg.SetGenHeader(gomail.Header(name), c.Headers[name])
		}
	}
	for name, value := range own {
		msg.SetGenHeader(gomail.Header(name), value)
	}
	addBodies(msg, c)
	if err := attach(msg, c.Attachments); err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		return nil, fmt.Errorf("write MIME: %w", err)
	}
	m.Raw = raw.Bytes()
	if out.Sign != nil {
		field, err := out.Sign(m.Raw)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		m.Raw = slices.Concat(field, m.Raw)
	}
	return m, nil
}

// envelope lists each address once.
func envelope(r *mail.Recipient) []string {
	list := []string{r.Email}
	for _, a := range slices.Concat(r.CC, r.BCC) {
		if !slices.ContainsFunc(list, func(known string) bool { return strings.EqualFold(known, a.Email) }) {
			list = append(list, a.Email)
		}
	}
	return list
}

func mailbox(a mail.Address) *netmail.Address {
	return &netmail.Address{Name: a.Name, Address: a.Email}
}

func mailboxes(list []mail.Address) []*netmail.Address {
	boxes := make([]*netmail.Address, len(list))
	for i, a := range list {
		boxes[i] = mailbox(a)
	}
	return boxes
}

// addBodies adds the alternatives, the plainest first; AMP stands before HTML, because some clients show the last that they know.
func addBodies(msg *gomail.Msg, c *mail.Content) {
	add := msg.SetBodyString
	for _, part := range []struct {
		kind gomail.ContentType
		body string
	}{{gomail.TypeTextPlain, c.Text}, {"text/x-amp-html", c.AMP}, {gomail.TypeTextHTML, mail.WithPreheader(c.HTML, c.PreText)}} {
		if part.body != "" {
			add(part.kind, part.body)
			add = msg.AddAlternativeString
		}
	}
}

func attach(msg *gomail.Msg, list []mail.Attachment) error {
	for _, a := range list {
		file, err := base64.StdEncoding.DecodeString(a.Content)
		if err != nil {
			return fmt.Errorf("attachment %q is not base64", a.Filename)
		}
		if err := msg.AttachReader(a.Filename, bytes.NewReader(file), gomail.WithFileContentType(contentType(a.Filename))); err != nil {
			return fmt.Errorf("attach %q: %w", a.Filename, err)
		}
	}
	return nil
}

// contentType tells the media type of a file by its name. The table is ours so that it does not depend on the machine.
func contentType(filename string) gomail.ContentType {
	if t, ok := contentTypes[strings.ToLower(strings.TrimPrefix(path.Ext(strings.TrimSpace(filename)), "."))]; ok {
		return t
	}
	return "application/octet-stream"
}

// contentTypes does not have eml: message/rfc822 must not be in base64 (RFC 2046 section 5.2.1), which attachments are.
var contentTypes = map[string]gomail.ContentType{
	"csv": "text/csv", "doc": "application/msword", "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"gif": "image/gif", "gz": "application/gzip", "htm": "text/html", "html": "text/html", "ics": "text/calendar",
	"jpeg": "image/jpeg", "jpg": "image/jpeg", "json": "application/json", "mp3": "audio/mpeg", "mp4": "video/mp4",
	"odp": "application/vnd.oasis.opendocument.presentation", "ods": "application/vnd.oasis.opendocument.spreadsheet",
	"odt": "application/vnd.oasis.opendocument.text", "pdf": "application/pdf", "png": "image/png", "ppt": "application/vnd.ms-powerpoint",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation", "rtf": "application/rtf", "svg": "image/svg+xml",
	"tif": "image/tiff", "tiff": "image/tiff", "txt": "text/plain", "vcf": "text/vcard", "wav": "audio/wav", "webp": "image/webp",
	"xls": "application/vnd.ms-excel", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xml": "application/xml",
	"zip": "application/zip",
}
