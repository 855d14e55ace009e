package sendgrid

import (
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/quickjson"
)

// Our own custom arguments (SG-9). They come back with every event, at its top level.
const (
	accountIDKey    = "accountId"
	subAccountIDKey = "subAccountId"
	tpspIDKey       = "tpspId"
	messageIDKey    = "messageId"
	emailTypeKey    = "emailType"
)

var ownKeys = []string{accountIDKey, subAccountIDKey, tpspIDKey, messageIDKey, emailTypeKey}

// shared writes what all personalizations of a call have in common, without the brace before it. Of a content that is alike it writes the
// same bytes.
func shared(c *mail.Content) []byte {
	html := mail.WithPreheader(c.HTML, c.PreText)
	size := 1024 + len(html) + len(c.Text)
	for i := range c.Attachments {
		size += len(c.Attachments[i].Content) + 128
	}
	dst := appendAddress(quickjson.AppendKey(make([]byte, 0, size+size/16), "from"), c.From)
	if c.ReplyTo != nil {
		dst = appendAddress(quickjson.AppendKey(dst, "reply_to"), *c.ReplyTo)
	}
	dst = quickjson.AppendField(dst, "subject", c.Subject)
	dst = quickjson.AppendList(quickjson.AppendKey(dst, "content"), bodies(c.Text, html), func(dst []byte, b *body) []byte {
		dst = quickjson.AppendField(append(dst, '{'), "type", b.kind)
		return append(quickjson.AppendField(dst, "value", b.text), '}')
	})
	if len(c.Attachments) > 0 {
		dst = quickjson.AppendList(quickjson.AppendKey(dst, "attachments"), c.Attachments, func(dst []byte, a *mail.Attachment) []byte {
			dst = quickjson.AppendField(append(dst, '{'), "content", a.Content)
			dst = quickjson.AppendField(dst, "type", mail.FileType(a.Filename))
			dst = quickjson.AppendField(dst, "filename", a.Filename)
			return append(quickjson.AppendField(dst, "disposition", "attachment"), '}')
		})
	}
	if h := headers(c.Headers); len(h) > 0 {
		dst = quickjson.AppendStrings(quickjson.AppendKey(dst, "headers"), h)
	}
	if list := categories(c.Groups); len(list) > 0 {
		dst = quickjson.AppendList(quickjson.AppendKey(dst, "categories"), list, func(dst []byte, g *string) []byte {
			return quickjson.AppendString(dst, *g)
		})
	}
	dst = quickjson.AppendOptional(dst, "ip_pool_name", c.TPSPPool)
	return append(appendTracking(dst, c), '}')
}

type body struct{ kind, text string }

// bodies returns the parts that there are: SendGrid wants plain text before HTML, and nothing empty.
func bodies(text, html string) (list []body) {
	if text != "" {
		list = append(list, body{"text/plain", text})
	}
	if html != "" {
		list = append(list, body{"text/html", html})
	}
	return list
}

// appendTracking says what the request says of tracking; what it does not say is the account's setting.
func appendTracking(dst []byte, c *mail.Content) []byte {
	if c.TrackClicks == nil && c.TrackOpens == nil {
		return dst
	}
	dst = append(quickjson.AppendKey(dst, "tracking_settings"), '{')
	for _, s := range []struct {
		key    string
		enable *bool
	}{{"click_tracking", c.TrackClicks}, {"open_tracking", c.TrackOpens}} {
		if s.enable != nil {
			dst = append(quickjson.AppendBool(append(quickjson.AppendKey(dst, s.key), '{'), "enable", s.enable), '}')
		}
	}
	return append(dst, '}')
}

// headers returns the custom headers that are not metadata. SendGrid copies them into the mail as they are, so text beyond ASCII is
// encoded here (RFC 2047).
func headers(all map[string]string) map[string]string {
	list := make(map[string]string, len(all))
	for name, value := range all {
		if _, ok := provider.MetadataKey(name); !ok {
			list[name] = mime.QEncoding.Encode("utf-8", value)
		}
	}
	return list
}

// personalization writes one message's own part, and tells how many recipients it has.
func personalization(out *provider.Outgoing) (text []byte, recipients int) {
	to, cc, bcc := addressees(&out.Recipient)
	dst := appendAddresses(quickjson.AppendKey(append(make([]byte, 0, 512), '{'), "to"), to)
	if len(cc) > 0 {
		dst = appendAddresses(quickjson.AppendKey(dst, "cc"), cc)
	}
	if len(bcc) > 0 {
		dst = appendAddresses(quickjson.AppendKey(dst, "bcc"), bcc)
	}
	dst = quickjson.AppendStrings(quickjson.AppendKey(dst, "custom_args"), customArgs(out))
	return append(dst, '}'), len(to) + len(cc) + len(bcc)
}

// addressees returns the recipients of a message, each once: SendGrid refuses a personalization in which an address is twice, in whatever
// case. The most visible place counts.
func addressees(r *mail.Recipient) (to, cc, bcc []mail.Address) {
	seen := make(map[string]bool, 1+len(r.CC)+len(r.BCC))
	once := func(list []mail.Address) (rest []mail.Address) {
		for _, a := range list {
			if email := strings.ToLower(a.Email); !seen[email] {
				seen[email] = true
				rest = append(rest, a)
			}
		}
		return rest
	}
	return once([]mail.Address{r.Address}), once(r.CC), once(r.BCC)
}

// customArgs joins the user's metadata and our ids; ours win.
func customArgs(out *provider.Outgoing) map[string]string {
	args := make(map[string]string, len(ownKeys))
	for name, value := range out.Content.Headers {
		if key, ok := provider.MetadataKey(name); ok {
			args[key] = value
		}
	}
	args[accountIDKey] = strconv.Itoa(int(out.AccountID))
	args[subAccountIDKey] = strconv.Itoa(int(out.SubAccountID))
	args[tpspIDKey] = strconv.Itoa(int(out.TPSPID))
	args[messageIDKey] = out.ID.String()
	args[emailTypeKey] = string(out.Mailbox)
	return args
}

func appendAddresses(dst []byte, list []mail.Address) []byte {
	return quickjson.AppendList(dst, list, func(dst []byte, a *mail.Address) []byte { return appendAddress(dst, *a) })
}

func appendAddress(dst []byte, a mail.Address) []byte {
	dst = quickjson.AppendField(append(dst, '{'), "email", a.Email)
	return append(quickjson.AppendOptional(dst, "name", a.Name), '}')
}

// alike tells whether two messages can share a call: whether all is equal but for their recipients and ids.
func alike(a, b *mail.Content) bool {
	return a == b || a.Subject == b.Subject && a.HTML == b.HTML && a.Text == b.Text && a.PreText == b.PreText && a.From == b.From &&
		same(a.ReplyTo, b.ReplyTo) && a.TPSPPool == b.TPSPPool && same(a.TrackOpens, b.TrackOpens) && same(a.TrackClicks, b.TrackClicks) &&
		slices.Equal(categories(a.Groups), categories(b.Groups)) && slices.Equal(a.Attachments, b.Attachments) &&
		maps.Equal(headers(a.Headers), headers(b.Headers))
}

// same tells whether two optional values are both missing, or equal.
func same[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
