// Package rawmail takes a whole mail (RFC 5322, MIME) apart into what a request to send consists of. It trusts nothing that it reads: depth and
// number of the parts are limited, as the size is by whoever received it.
//
// What would get lost, so that another mail than this one were sent, is refused: signatures, encryption, images inside the text, header fields that
// occur twice. Where a mail is put together again its Message-ID and Date are new.
package rawmail

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/html/charset"

	"postyard/internal/mail"
)

// Limits of a mail's structure.
const (
	maxDepth = 10
	maxParts = 200
)

// Mail is a mail that was taken apart. Its addresses are as they were written.
type Mail struct {
	Content     mail.Content // without pool and custom fields; From is empty when the mail names nobody
	To, CC, BCC []mail.Address
}

// Parse takes a mail apart. The error is a *mail.FieldError, whose field is the name of a header field or "" for the body.
func Parse(raw []byte) (*Mail, error) {
	msg, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, mail.Invalid("malformed_mail", "", "the header of the mail cannot be read")
	}
	p := parser{names: namesIn(raw), ids: map[string]bool{}}
	if err := p.header(msg.Header); err != nil {
		return nil, err
	}
	if err := p.part(textproto.MIMEHeader(msg.Header), msg.Body, 0); err != nil {
		return nil, err
	}
	for id := range p.ids {
		if strings.Contains(p.mail.Content.HTML, "cid:"+id) {
			return nil, unsupported("", "the text shows a part of the mail (cid:%s), which cannot be done; give the image an address on the web", id)
		}
	}
	return &p.mail, nil
}

// parser is a mail that is being taken apart.
type parser struct {
	mail  Mail
	names map[string]string // header fields as they were written, by their canonical name
	ids   map[string]bool   // Content-IDs
	parts int
}

func malformed(field, format string, args ...any) error {
	return mail.Invalid("malformed_mail", field, format, args...)
}

func unsupported(field, format string, args ...any) error {
	return mail.Invalid("unsupported", field, format, args...)
}

// namesIn finds the header fields as they were written, which reading them loses.
func namesIn(raw []byte) map[string]string {
	names := map[string]string{}
	for text := range bytes.Lines(raw) {
		if len(bytes.TrimSpace(text)) == 0 {
			return names
		}
		if name, _, ok := bytes.Cut(text, []byte(":")); ok && text[0] != ' ' && text[0] != '\t' {
			names[textproto.CanonicalMIMEHeaderKey(string(name))] = string(name)
		}
	}
	return names
}

// words decodes encoded words (RFC 2047) of any charset that browsers know.
var words = mime.WordDecoder{CharsetReader: charset.NewReaderLabel}

func decoded(text string) string {
	if plain, err := words.DecodeHeader(text); err == nil {
		text = plain
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// header reads the fields of the mail's own header.
func (p *parser) header(h netmail.Header) error {
	var from, replyTo []mail.Address
	for _, list := range []struct {
		field string
		into  *[]mail.Address
	}{{"From", &from}, {"Reply-To", &replyTo}, {"To", &p.mail.To}, {"Cc", &p.mail.CC}, {"Bcc", &p.mail.BCC}} {
		var err error
		if *list.into, err = addresses(h, list.field); err != nil {
			return err
		}
	}
	c := &p.mail.Content
	switch {
	case len(from) > 1:
		return unsupported("From", "a mail has one sender")
	case len(replyTo) > 1:
		return unsupported("Reply-To", "a mail has one address for replies")
	case len(h["Subject"]) > 1:
		return malformed("Subject", "the field is there twice")
	}
	if len(from) > 0 {
		c.From = from[0]
	}
	if len(replyTo) > 0 {
		c.ReplyTo = &replyTo[0]
	}
	c.Subject = line.Replace(decoded(h.Get("Subject")))
	for canonical, values := range h {
		name := cmp.Or(p.names[canonical], canonical)
		switch {
		case mail.Structural(name):
		case len(values) > 1:
			return unsupported(name, "the header field %s is there twice", name)
		default:
			if c.Headers == nil {
				c.Headers = map[string]string{}
			}
			c.Headers[name] = line.Replace(strings.ToValidUTF8(values[0], "\uFFFD"))
		}
	}
	return nil
}

// line makes one of a text.
var line = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// addresses reads a field that holds addresses, and may be there several times. Groups such as "undisclosed-recipients:;" are what they hold.
func addresses(h netmail.Header, field string) (list []mail.Address, err error) {
	parser := netmail.AddressParser{WordDecoder: &words}
	for _, value := range h[field] {
		if strings.TrimSpace(value) == "" {
			continue
		}
		some, err := parser.ParseList(value)
		if err != nil && !emptyGroup(value) {
			return nil, malformed(field, "the addresses cannot be read")
		}
		if len(list)+len(some) > mail.MaxRecipients {
			return nil, unsupported(field, "a mail has at most %d addresses in one field", mail.MaxRecipients)
		}
		for _, a := range some {
			list = append(list, mail.Address{Email: a.Address, Name: strings.ToValidUTF8(a.Name, "\uFFFD")})
		}
	}
	return list, nil
}

// emptyGroup tells whether a field is a group without addresses, which net/mail refuses.
func emptyGroup(value string) bool {
	_, rest, ok := strings.Cut(value, ":")
	return ok && strings.TrimSpace(rest) == ";"
}

// part reads a part of the mail, or all of it.
func (p *parser) part(h textproto.MIMEHeader, body io.Reader, depth int) error {
	if p.parts++; p.parts > maxParts {
		return malformed("", "the mail has more than %d parts", maxParts)
	}
	kind, params := "text/plain", map[string]string(nil)
	if text := h.Get("Content-Type"); text != "" {
		var err error
		if kind, params, err = mime.ParseMediaType(text); err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
			return malformed("Content-Type", "the type of a part cannot be read")
		}
	}
	if strings.HasPrefix(kind, "multipart/") {
		return p.multipart(kind, params["boundary"], body, depth)
	}
	data, err := content(h, body)
	if err != nil {
		return err
	}
	disposition, about, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		disposition = "" // RFC 2183 section 2.8: as if it were not there; what is no text is attached anyway
	}
	name := cleaned(about["filename"])
	if name == "" {
		name = cleaned(params["name"])
	}
	if id := strings.Trim(h.Get("Content-Id"), "<> "); id != "" {
		p.ids[id] = true
	}
	if into := p.body(kind); into != nil && *into == "" && disposition != "attachment" && name == "" {
		*into, err = text(data, params["charset"])
		return err
	}
	files := &p.mail.Content.Attachments
	if name == "" {
		name = fmt.Sprintf("part-%d%s", len(*files)+1, extension(kind))
	}
	*files = append(*files, mail.Attachment{Filename: name, Content: base64.StdEncoding.EncodeToString(data)})
	return nil
}

// body is where a text of a kind goes; nil: nowhere.
func (p *parser) body(kind string) *string {
	switch kind {
	case "text/plain":
		return &p.mail.Content.Text
	case "text/html":
		return &p.mail.Content.HTML
	case "text/x-amp-html":
		return &p.mail.Content.AMP
	}
	return nil
}

func (p *parser) multipart(kind, boundary string, body io.Reader, depth int) error {
	switch {
	case depth == maxDepth:
		return malformed("", "the parts of the mail nest more than %d deep", maxDepth)
	case slices.Contains([]string{"multipart/signed", "multipart/encrypted"}, kind):
		return unsupported("Content-Type", "%s would not survive: the mail is put together anew", kind)
	case boundary == "":
		return malformed("Content-Type", "%s has no boundary", kind)
	}
	for parts := multipart.NewReader(body, boundary); ; {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return malformed("", "a part of the mail has no end, or its header cannot be read")
		}
		if err := p.part(part.Header, part, depth+1); err != nil {
			return err
		}
	}
}

// content reads a part and undoes its encoding for the wire.
func content(h textproto.MIMEHeader, body io.Reader) ([]byte, error) {
	switch encoding := strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding"))); encoding {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "", "7bit", "8bit", "binary":
	default:
		return nil, unsupported("Content-Transfer-Encoding", "nobody knows how to read %.40q", encoding)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, malformed("", "a part of the mail is not encoded as it says, or has no end")
	}
	return data, nil
}

// text is a text in UTF-8.
func text(data []byte, label string) (string, error) {
	switch strings.ToLower(label) {
	case "", "us-ascii", "utf-8", "utf8":
		return strings.ToValidUTF8(string(data), "\uFFFD"), nil
	}
	reader, err := charset.NewReaderLabel(label, bytes.NewReader(data))
	if err != nil {
		return "", unsupported("Content-Type", "nobody knows the charset %.40q", label)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		return "", malformed("Content-Type", "a text is not in the charset %.40q", label)
	}
	return strings.ToValidUTF8(string(plain), "\uFFFD"), nil
}

// cleaned is a file's name without what a name must not have.
func cleaned(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, decoded(name)))
}

// extension ends the name of a file that has none: its type follows from it where the mail is put together.
func extension(kind string) string {
	switch kind {
	case "text/plain":
		return ".txt"
	case "text/html", "text/x-amp-html":
		return ".html"
	case "text/calendar":
		return ".ics"
	case "message/rfc822":
		return ".eml"
	case "application/pdf":
		return ".pdf"
	case "image/png":
		return ".png"
	case "image/jpeg":
		return ".jpg"
	case "image/gif":
		return ".gif"
	}
	return ".bin"
}
