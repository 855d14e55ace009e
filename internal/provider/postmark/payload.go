package postmark

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/quickjson"
)

// Our own metadata keys (PM-16). They come back with every event.
const (
	accountIDKey      = "accountId"
	tpspIDKey         = "tpspId"
	subAccountIDKey   = "subAccountId"
	emailTypeKey      = "emailType"
	messageIDKey      = "messageId"
	messageSubjectKey = "messageSubject"
)

var ownKeys = []string{accountIDKey, tpspIDKey, subAccountIDKey, emailTypeKey, messageIDKey, messageSubjectKey}

// message is one message on the wire: templated, or with a content of its own. Postmark refuses the keys of one kind beside
// those of the other, even when they are null (ErrorCode 1123): they are left out.
type message struct {
	From          string
	To            string
	Cc            string          `json:",omitempty"`
	Bcc           string          `json:",omitempty"`
	ReplyTo       string          `json:",omitempty"`
	TemplateAlias string          `json:",omitempty"`
	TemplateModel json.RawMessage `json:",omitempty"` // never left out beside a template: {} when there are no fields (ErrorCode 1120)
	Subject       string          `json:",omitempty"`
	HTMLBody      string          `json:"HtmlBody,omitempty"`
	TextBody      string          `json:",omitempty"`
	Tag           string          `json:",omitempty"`
	Headers       []header        `json:",omitempty"`
	TrackOpens    *bool           `json:",omitempty"` // absent: the server's setting (PM-19)
	TrackLinks    string          `json:",omitempty"`
	Metadata      map[string]string
	MessageStream string       // never left out: Postmark would take "outbound" (PM-21)
	Attachments   []attachment `json:",omitempty"`
}

type header struct{ Name, Value string }

type attachment struct{ Name, Content, ContentType string }

// encode builds the JSON of one message (PM-12 to PM-23).
func encode(conn provider.Connection, out *provider.Outgoing) ([]byte, error) {
	c := out.Content
	m := message{
		From:          formatAddress(c.From),
		To:            formatAddress(out.Recipient.Address),
		Cc:            formatAddresses(out.Recipient.CC),
		Bcc:           formatAddresses(out.Recipient.BCC),
		Headers:       headers(c),
		TrackOpens:    c.TrackOpens,
		TrackLinks:    trackLinks(c.TrackClicks),
		Metadata:      metadata(out),
		MessageStream: conn.Stream,
		Attachments:   attachments(c.Attachments),
	}
	if isRaw(c) {
		m.Subject, m.HTMLBody, m.TextBody = c.Subject, mail.WithPreheader(c.HTML, c.PreText), c.Text
	} else {
		model, err := mail.MergeFields(c.CustomFields, out.Recipient.CustomFields)
		if err != nil {
			return nil, err
		}
		m.TemplateAlias, m.TemplateModel = c.Template, model
	}
	if c.ReplyTo != nil {
		m.ReplyTo = formatAddress(*c.ReplyTo)
	}
	if len(c.Groups) > 0 {
		m.Tag = c.Groups[0]
	}
	return m.encode()
}

// encode writes what encoding/json would, for a fraction of the time.
func (m *message) encode() ([]byte, error) {
	size := 1024 + len(m.TemplateModel) + len(m.HTMLBody) + len(m.TextBody)
	for i := range m.Attachments {
		size += len(m.Attachments[i].Content) + 128
	}
	dst := append(make([]byte, 0, size+size/16), '{')
	dst = quickjson.AppendField(dst, "From", m.From)
	dst = quickjson.AppendField(dst, "To", m.To)
	dst = quickjson.AppendOptional(dst, "Cc", m.Cc)
	dst = quickjson.AppendOptional(dst, "Bcc", m.Bcc)
	dst = quickjson.AppendOptional(dst, "ReplyTo", m.ReplyTo)
	dst = quickjson.AppendOptional(dst, "TemplateAlias", m.TemplateAlias)
	if len(m.TemplateModel) > 0 {
		var ok bool
		if dst, ok = quickjson.AppendRaw(quickjson.AppendKey(dst, "TemplateModel"), m.TemplateModel); !ok {
			return m.marshal()
		}
	}
	dst = quickjson.AppendOptional(dst, "Subject", m.Subject)
	dst = quickjson.AppendOptional(dst, "HtmlBody", m.HTMLBody)
	dst = quickjson.AppendOptional(dst, "TextBody", m.TextBody)
	dst = quickjson.AppendOptional(dst, "Tag", m.Tag)
	if len(m.Headers) > 0 {
		dst = quickjson.AppendList(quickjson.AppendKey(dst, "Headers"), m.Headers, func(dst []byte, h *header) []byte {
			dst = quickjson.AppendField(append(dst, '{'), "Name", h.Name)
			return append(quickjson.AppendField(dst, "Value", h.Value), '}')
		})
	}
	dst = quickjson.AppendBool(dst, "TrackOpens", m.TrackOpens)
	dst = quickjson.AppendOptional(dst, "TrackLinks", m.TrackLinks)
	dst = quickjson.AppendStrings(quickjson.AppendKey(dst, "Metadata"), m.Metadata)
	dst = quickjson.AppendField(dst, "MessageStream", m.MessageStream)
	if len(m.Attachments) > 0 {
		dst = quickjson.AppendList(quickjson.AppendKey(dst, "Attachments"), m.Attachments, func(dst []byte, a *attachment) []byte {
			dst = quickjson.AppendField(append(dst, '{'), "Name", a.Name)
			dst = quickjson.AppendField(dst, "Content", a.Content)
			return append(quickjson.AppendField(dst, "ContentType", a.ContentType), '}')
		})
	}
	return append(dst, '}'), nil
}

// marshal is encode by encoding/json, for models that only it can judge.
func (m *message) marshal() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("encode the message: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// isRaw tells whether a message brings its own content, as none of Postmark's templates is named.
func isRaw(c *mail.Content) bool { return strings.TrimSpace(c.Template) == "" }

// trackLinks maps trackClicks (PM-20).
func trackLinks(clicks *bool) string {
	switch {
	case clicks == nil:
		return ""
	case *clicks:
		return "HtmlAndText"
	default:
		return "None"
	}
}

// streamHeader chooses a message stream for Postmark's SMTP service. Nobody has said that its API takes no notice of it.
const streamHeader = "X-PM-Message-Stream"

// headers returns the custom headers that are not metadata, sorted by name so that equal messages are equal bytes. A request chooses no stream
// (PM-4).
func headers(c *mail.Content) []header {
	var list []header
	for name, value := range c.Headers {
		if _, ok := provider.MetadataKey(name); !ok && !strings.EqualFold(name, streamHeader) {
			list = append(list, header{name, value})
		}
	}
	slices.SortFunc(list, func(a, b header) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// metadata joins the user's keys and ours; ours win.
func metadata(out *provider.Outgoing) map[string]string {
	m := make(map[string]string, maxMetadataKeys)
	for name, value := range out.Content.Headers {
		if key, ok := provider.MetadataKey(name); ok {
			m[key] = value
		}
	}
	m[accountIDKey] = strconv.Itoa(int(out.AccountID))
	m[tpspIDKey] = strconv.Itoa(int(out.TPSPID))
	m[subAccountIDKey] = strconv.Itoa(int(out.SubAccountID))
	m[emailTypeKey] = string(out.Mailbox)
	m[messageIDKey] = out.ID.String()
	m[messageSubjectKey] = cutSubject(out.Content.Subject)
	return m
}

// cutSubject cuts to Postmark's limit for a metadata value, between two characters. It counts as Postmark's platform does,
// in UTF-16 units: an emoji is two, and one value that is too long would cost the message.
func cutSubject(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	units := 0
	for i, r := range s {
		if units += utf16.RuneLen(r); units > maxMetadataValue {
			return s[:i]
		}
	}
	return s
}

func formatAddresses(list []mail.Address) string {
	parts := make([]string, len(list))
	for i, a := range list {
		parts[i] = formatAddress(a)
	}
	return strings.Join(parts, ", ")
}

// formatAddress writes a mailbox as RFC 5322 section 3.4 has it, quoting the name where that is needed. Names beyond ASCII
// stay as they are: JSON carries them, and Postmark encodes them for the mail (RFC 2047).
func formatAddress(a mail.Address) string {
	name := provider.Clean(a.Name, len(a.Name))
	if name == "" {
		return a.Email
	}
	if strings.ContainsFunc(name, isSpecial) {
		name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	}
	return name + " <" + a.Email + ">"
}

// isSpecial reports the characters that may stand in a display name only between quotes (RFC 5322 section 3.2.3).
func isSpecial(r rune) bool { return strings.ContainsRune(`()<>[]:;@\,."`, r) }

func attachments(list []mail.Attachment) []attachment {
	var out []attachment
	for _, a := range list {
		out = append(out, attachment{Name: a.Filename, Content: a.Content, ContentType: mail.FileType(a.Filename)})
	}
	return out
}

func extension(filename string) string {
	return strings.ToLower(strings.TrimPrefix(path.Ext(strings.TrimSpace(filename)), "."))
}
