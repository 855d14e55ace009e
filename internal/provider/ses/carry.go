package ses

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/compose"
)

// Our tags. They come back with every event.
const (
	accountIDTag    = "accountId"
	subAccountIDTag = "subAccountId"
	tpspIDTag       = "tpspId"
	messageIDTag    = "messageId"
	emailTypeTag    = "emailType"
	groupTag        = "group"
)

var ownTags = []string{accountIDTag, subAccountIDTag, tpspIDTag, messageIDTag, emailTypeTag, groupTag}

// Limits on a message's tags. How long they may be is SES's to say; how many a user may add, ours: they come back with every event.
const (
	maxTag      = 256 // characters of a name or a value
	maxUserTags = 10
)

// maxMessage is the largest message that SES takes, in bytes after base64.
const maxMessage = 40 << 20

// invalidMetadata is the code of what is wrong with a TPSP_METADATA_ header.
const invalidMetadata = "invalid_metadata"

// form is how SES gets messages. Headers that begin so would change what SES does with one: its configuration set, its tags.
var form = compose.Form{Reserved: []string{"x-ses-"}}

// CanCarry implements provider.Adapter.
func (*Adapter) CanCarry(c *mail.Content, _ provider.Terms) *mail.FieldError {
	if c.HTML == "" && c.Text == "" {
		return mail.Invalid("missing_body", "htmlBody", "Amazon SES sends what the request holds: give htmlBody or textBody")
	}
	if bad := form.Check(c.Headers); bad != nil {
		return bad
	}
	return checkMetadata(c.Headers)
}

// checkMetadata refuses metadata that tags cannot carry. Of several faults it names the one whose header sorts first.
func checkMetadata(headers map[string]string) *mail.FieldError {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key, ok := provider.MetadataKey(name)
		if !ok {
			continue
		}
		field, value := "headers."+name, headers[name]
		tag := fit(key)
		switch {
		case strings.TrimSpace(key) == "":
			return mail.Invalid(invalidMetadata, field, "a metadata key must follow %s", provider.MetadataPrefix)
		case len(tag) > maxTag:
			return mail.Invalid(invalidMetadata, field, "a metadata key becomes the name of a tag of Amazon SES, which has at most %d characters; this one has %d", maxTag, len(tag))
		case len(fit(value)) > maxTag:
			return mail.Invalid(invalidMetadata, field, "a metadata value becomes that of a tag of Amazon SES, which has at most %d characters; this one has %d", maxTag, len(fit(value)))
		case slices.ContainsFunc(ownTags, func(own string) bool { return strings.EqualFold(own, tag) }):
			return mail.Invalid(invalidMetadata, field, "the metadata key %s is one of Postyard's own", key)
		}
		if first, ok := seen[strings.ToLower(tag)]; ok {
			return mail.Invalid(invalidMetadata, field, "%s and %s are the same tag of Amazon SES, which has letters, digits, _ and - only", first, name)
		}
		seen[strings.ToLower(tag)] = name
		if len(seen) > maxUserTags {
			return mail.Invalid(invalidMetadata, field, "at most %d %s headers become tags of Amazon SES", maxUserTags, provider.MetadataPrefix)
		}
	}
	return nil
}

// fit replaces each character that a tag cannot have by "_".
func fit(s string) string {
	return strings.Map(func(r rune) rune {
		if !tagged(r) {
			return '_'
		}
		return r
	}, s)
}

// tagged tells whether a tag may have a character.
func tagged(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// tag is a pair of SES's.
type tag struct{ Name, Value string }

// tags are ours and the user's. One without a value is left out, because a tag must have one.
func tags(out *provider.Outgoing) []tag {
	number := func(id int32) string { return strconv.Itoa(int(id)) }
	list := []tag{
		{accountIDTag, number(out.AccountID)}, {subAccountIDTag, number(out.SubAccountID)}, {tpspIDTag, number(out.TPSPID)},
		{messageIDTag, out.ID.String()},
	}
	if kind := string(out.Mailbox); kind != "" && fit(kind) == kind && len(kind) <= maxTag {
		list = append(list, tag{emailTypeTag, kind})
	}
	if groups := out.Content.Groups; len(groups) > 0 {
		if group := fit(groups[0]); group != "" {
			list = append(list, tag{groupTag, group[:min(len(group), maxTag)]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(out.Content.Headers)) {
		if key, ok := provider.MetadataKey(name); ok && out.Content.Headers[name] != "" {
			list = append(list, tag{fit(key), fit(out.Content.Headers[name])})
		}
	}
	return list
}

// tooLarge refuses a message that SES would, once it is written.
func tooLarge(encoded int) *provider.Outcome {
	if encoded <= maxMessage {
		return nil
	}
	return &provider.Outcome{Class: provider.Rejected, Elsewhere: true, Unsent: true,
		Text: fmt.Sprintf("the message has %d bytes in base64; Amazon SES takes %d", encoded, maxMessage)}
}
