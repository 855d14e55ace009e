package mail

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"postyard/internal/quickjson"
)

// The names of the keys stand in the order of the fields.
var (
	addressKeys    = []string{"email", "name"}
	recipientKeys  = []string{"email", "name", "cc", "bcc", "customFields"}
	attachmentKeys = []string{"filename", "content"}
	contentKeys    = []string{"from", "replyTo", "subject", "preText", "html", "text", "amp", "pool", "template", "customFields", "headers", "groups",
		"attachments", "trackOpens", "trackClicks", "webhookEndpoint", "literal", "tpspIppool"}
)

// ReadAddress reads an address as encoding/json would. Null leaves it as it is.
func ReadAddress(r *quickjson.Reader, a *Address) {
	if r.Null() {
		return
	}
	r.Object(addressKeys, func(i int) { a.read(r, i) })
}

func (a *Address) read(r *quickjson.Reader, i int) {
	if i == 0 {
		r.String(&a.Email)
	} else {
		r.String(&a.Name)
	}
}

// ReadReplyTo reads an address that may be missing.
func ReadReplyTo(r *quickjson.Reader, a **Address) {
	if r.Null() {
		return
	}
	*a = &Address{}
	ReadAddress(r, *a)
}

// ReadRecipient reads an entry of `to` as encoding/json would. Its custom fields share the Reader's text.
func ReadRecipient(r *quickjson.Reader, to *Recipient) {
	if r.Null() {
		return
	}
	r.Object(recipientKeys, func(i int) {
		switch i {
		case 0, 1:
			to.read(r, i)
		case 2:
			quickjson.List(r, &to.CC, func(a *Address) { ReadAddress(r, a) })
		case 3:
			quickjson.List(r, &to.BCC, func(a *Address) { ReadAddress(r, a) })
		case 4:
			to.CustomFields = r.Raw()
		}
	})
}

// ReadAttachment reads an attachment as encoding/json would.
func ReadAttachment(r *quickjson.Reader, a *Attachment) {
	if r.Null() {
		return
	}
	r.Object(attachmentKeys, func(i int) {
		if i == 0 {
			r.String(&a.Filename)
		} else {
			r.String(&a.Content)
		}
	})
}

// DecodeContent reads the stored form of a content.
func DecodeContent(text []byte) (*Content, error) {
	c := &Content{}
	if c.read(text) {
		return c, nil
	}
	c = &Content{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("decode content: %w", err)
	}
	return c, nil
}

func (c *Content) read(text []byte) bool {
	r := quickjson.New(text)
	r.Object(contentKeys, func(i int) {
		switch i {
		case 0:
			ReadAddress(r, &c.From)
		case 1:
			ReadReplyTo(r, &c.ReplyTo)
		case 9:
			c.CustomFields = slices.Clone(r.Raw()) // the text is the store's
		case 10:
			r.Strings(&c.Headers)
		case 11:
			quickjson.List(r, &c.Groups, r.String)
		case 12:
			quickjson.List(r, &c.Attachments, func(a *Attachment) { ReadAttachment(r, a) })
		case 13:
			r.Bool(&c.TrackOpens)
		case 14:
			r.Bool(&c.TrackClicks)
		case 16:
			var literal *bool
			r.Bool(&literal)
			c.Literal = literal != nil && *literal
		default:
			r.String([...]*string{2: &c.Subject, 3: &c.PreText, 4: &c.HTML, 5: &c.Text, 6: &c.AMP, 7: &c.Pool, 8: &c.Template, 15: &c.WebhookEndpoint, 17: &c.TPSPPool}[i])
		}
	})
	return r.Done()
}

// DecodeRecipient reads the stored form of a recipient.
func DecodeRecipient(text []byte, to *Recipient) error {
	r := quickjson.New(text)
	*to = Recipient{}
	if ReadRecipient(r, to); r.Done() {
		to.CustomFields = slices.Clone(to.CustomFields)
		return nil
	}
	*to = Recipient{}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("decode recipient: %w", err)
	}
	return nil
}

// Encode returns the stored form of a content. It fails when its custom fields are not JSON.
func (c *Content) Encode() ([]byte, error) {
	size := 512 + len(c.Subject) + len(c.HTML) + len(c.Text) + len(c.AMP) + len(c.CustomFields)
	for i := range c.Attachments {
		size += len(c.Attachments[i].Content) + 64
	}
	dst := append(make([]byte, 0, size+size/8), `{"from":`...)
	dst = appendAddress(dst, &c.From)
	if c.ReplyTo != nil {
		dst = appendAddress(quickjson.AppendKey(dst, "replyTo"), c.ReplyTo)
	}
	dst = quickjson.AppendOptional(dst, "subject", c.Subject)
	dst = quickjson.AppendOptional(dst, "preText", c.PreText)
	dst = quickjson.AppendOptional(dst, "html", c.HTML)
	dst = quickjson.AppendOptional(dst, "text", c.Text)
	dst = quickjson.AppendOptional(dst, "amp", c.AMP)
	dst = quickjson.AppendOptional(dst, "pool", c.Pool)
	dst = quickjson.AppendOptional(dst, "template", c.Template)
	dst, ok := appendFields(dst, c.CustomFields)
	if !ok {
		return json.Marshal(c)
	}
	if len(c.Headers) > 0 {
		dst = quickjson.AppendStrings(quickjson.AppendKey(dst, "headers"), c.Headers)
	}
	if len(c.Groups) > 0 {
		dst = quickjson.AppendList(quickjson.AppendKey(dst, "groups"), c.Groups, func(dst []byte, g *string) []byte {
			return quickjson.AppendString(dst, *g)
		})
	}
	if len(c.Attachments) > 0 {
		dst = quickjson.AppendList(quickjson.AppendKey(dst, "attachments"), c.Attachments, func(dst []byte, a *Attachment) []byte {
			dst = quickjson.AppendField(append(dst, '{'), "filename", a.Filename)
			return append(quickjson.AppendField(dst, "content", a.Content), '}')
		})
	}
	dst = quickjson.AppendBool(dst, "trackOpens", c.TrackOpens)
	dst = quickjson.AppendBool(dst, "trackClicks", c.TrackClicks)
	dst = quickjson.AppendOptional(dst, "webhookEndpoint", c.WebhookEndpoint)
	dst = quickjson.AppendOptional(dst, "tpspIppool", c.TPSPPool)
	if c.Literal {
		dst = quickjson.AppendBool(dst, "literal", &c.Literal)
	}
	return append(dst, '}'), nil
}

// Encode returns the stored form of a recipient. It fails when the custom fields are not JSON.
func (r *Recipient) Encode() ([]byte, error) {
	dst := append(make([]byte, 0, 128+len(r.CustomFields)), '{')
	dst = appendMailbox(dst, &r.Address)
	if len(r.CC) > 0 {
		dst = quickjson.AppendList(quickjson.AppendKey(dst, "cc"), r.CC, appendAddress)
	}
	if len(r.BCC) > 0 {
		dst = quickjson.AppendList(quickjson.AppendKey(dst, "bcc"), r.BCC, appendAddress)
	}
	dst, ok := appendFields(dst, r.CustomFields)
	if !ok {
		return json.Marshal(r)
	}
	return append(dst, '}'), nil
}

func appendAddress(dst []byte, a *Address) []byte {
	return append(appendMailbox(append(dst, '{'), a), '}')
}

func appendMailbox(dst []byte, a *Address) []byte {
	return quickjson.AppendOptional(quickjson.AppendField(dst, "email", a.Email), "name", a.Name)
}

func appendFields(dst []byte, fields json.RawMessage) (_ []byte, ok bool) {
	if len(fields) == 0 {
		return dst, true
	}
	return quickjson.AppendRaw(quickjson.AppendKey(dst, "customFields"), fields)
}

// member is one of an object's values under its key.
type member struct {
	key   string
	value []byte
}

// merge is MergeFields of two objects without the space around them; it is not ok when either is not plain.
func merge(request, recipient []byte) (merged []byte, ok bool) {
	var all []member
	for _, side := range [][]byte{request, recipient} {
		r := quickjson.New(side)
		r.Members(func(key string, value []byte) { all = append(all, member{key, value}) })
		if !r.Done() {
			return nil, false
		}
	}
	slices.SortStableFunc(all, func(a, b member) int { return strings.Compare(a.key, b.key) })
	merged = append(make([]byte, 0, len(request)+len(recipient)), '{')
	for i, m := range all {
		if i+1 < len(all) && all[i+1].key == m.key {
			continue // the later one wins
		}
		if len(merged) > 1 {
			merged = append(merged, ',')
		}
		merged = append(quickjson.AppendString(merged, m.key), ':')
		if merged, ok = quickjson.AppendRaw(merged, m.value); !ok {
			return nil, false
		}
	}
	return append(merged, '}'), true
}
