package sendgrid

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/quickjson"
)

// SendGrid's limits on a message.
const (
	maxCategories = 10
	maxCategory   = 255    // characters
	maxCustomArgs = 10_000 // bytes of all custom arguments of a message
	ownCustomArgs = 300    // bytes of them that ours take at most: five names, three numbers, a UUID and a mailbox provider
)

// CanCarry implements provider.Adapter: what SendGrid is known to refuse is refused when the message is accepted.
func (*Adapter) CanCarry(c *mail.Content, _ provider.Terms) *mail.FieldError {
	switch {
	case c.HTML == "" && c.Text == "":
		return mail.Invalid("missing_body", "htmlBody", "SendGrid sends what the request holds: give htmlBody or textBody")
	case c.AMP != "":
		return mail.Invalid("unsupported_amp", "ampBody", "an ampBody is not carried by SendGrid")
	case c.Subject == "":
		return mail.Invalid("missing_subject", "subject", "SendGrid takes no message without a subject")
	}
	for i, group := range c.Groups {
		if len(group) > maxCategory && slices.Contains(categories(c.Groups), group) {
			return mail.Invalid("invalid_group", "groups["+strconv.Itoa(i)+"]",
				"the first %d groups become SendGrid's categories, which have at most %d characters", maxCategories, maxCategory)
		}
	}
	return checkHeaders(c.Headers)
}

// checkHeaders refuses headers and metadata that SendGrid would refuse, or that would hide ours. Of several faults it names the one
// whose header sorts first, so that the answer is the same every time.
func checkHeaders(headers map[string]string) *mail.FieldError {
	seen, size := map[string]string{}, 0
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key, isMetadata := provider.MetadataKey(name)
		if !isMetadata {
			if reserved(name) {
				return mail.Invalid("reserved_header", "headers."+name, "the header %s is written by Postyard or by SendGrid", name)
			}
			continue
		}
		if bad := checkMetadata(name, key); bad != nil {
			return bad
		}
		if first, ok := seen[strings.ToLower(key)]; ok {
			return mail.Invalid("invalid_metadata", "headers."+name,
				"the metadata keys of %s and %s are equal but for upper and lower case", first, name)
		}
		seen[strings.ToLower(key)] = name
		size += len(quickjson.AppendString(nil, key)) + len(quickjson.AppendString(nil, headers[name])) + len(":,")
		if size > maxCustomArgs-ownCustomArgs {
			return mail.Invalid("invalid_metadata", "headers."+name,
				"the %s headers become SendGrid's custom arguments, and have at most %d bytes together", provider.MetadataPrefix, maxCustomArgs-ownCustomArgs)
		}
	}
	return nil
}

func checkMetadata(name, key string) *mail.FieldError {
	field := "headers." + name
	same := func(other string) bool { return strings.EqualFold(other, key) }
	switch {
	case strings.TrimSpace(key) == "":
		return mail.Invalid("invalid_metadata", field, "a metadata key must follow %s", provider.MetadataPrefix)
	case slices.ContainsFunc(ownKeys, same):
		return mail.Invalid("invalid_metadata", field, "the metadata key %s is one of Postyard's own", key)
	case slices.ContainsFunc(eventFields, same):
		return mail.Invalid("invalid_metadata", field, "the metadata key %s is one that SendGrid's own events have", key)
	}
	return nil
}

// reserved tells whether a header is not the user's to set: one that is made from other parts of the request, that SendGrid writes, or
// by which SendGrid takes orders.
func reserved(name string) bool {
	switch strings.ToLower(name) {
	case "x-sg-id", "x-sg-eid", "x-smtpapi":
		return true
	}
	return mail.Structural(name)
}

// categories returns what groups become: the first ten of printable ASCII, each once. SendGrid refuses a call with others.
func categories(groups []string) (list []string) {
	for _, g := range groups {
		if g != "" && !strings.ContainsFunc(g, func(r rune) bool { return r < ' ' || r > '~' }) && !slices.Contains(list, g) && len(list) < maxCategories {
			list = append(list, g)
		}
	}
	return list
}
