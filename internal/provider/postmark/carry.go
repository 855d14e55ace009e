package postmark

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// Postmark's limits on a message, in characters unless it says bytes.
const (
	maxFrom            = 255
	maxTag             = 1000
	maxPart            = 5 << 20  // bytes, of one body
	maxMessage         = 10 << 20 // bytes, of a message as it is on the wire, with attachments in base64
	maxMetadataKeys    = 10
	maxMetadataKey     = 20
	maxMetadataValue   = 80
	maxUserMetadata    = 4 // what our six keys leave
	invalidMetadata    = "invalid_metadata"
	missingTemplate    = "missing_tpsp_template"
	forbiddenExtension = "vbs exe bin bat chm com cpl crt hlp hta inf ins isp jse lnk mdb pcd pif reg scr sct shs " +
		"vbe vba wsf wsh wsl msc msi msp mst" // ErrorCode 411
)

// CanCarry implements provider.Adapter: what Postmark is known to refuse is refused when the message is accepted.
func (*Adapter) CanCarry(c *mail.Content, terms provider.Terms) *mail.FieldError {
	if isRaw(c) {
		if !terms.Raw {
			return mail.Invalid(missingTemplate, "tpspTemplate",
				"Postmark sends templates only: name one of its templates by alias")
		}
		if bad := checkBody(c); bad != nil {
			return bad
		}
	}
	if 2*len(c.From.Name)+len(c.From.Email)+len(`"" <>`) > maxFrom { // otherwise it fits however it is written
		if n := utf8.RuneCountInString(formatAddress(c.From)); n > maxFrom {
			return mail.Invalid("invalid_from", "from",
				"name and address together have %d characters; Postmark takes %d", n, maxFrom)
		}
	}
	if len(c.Groups) > 0 && utf8.RuneCountInString(c.Groups[0]) > maxTag {
		return mail.Invalid("invalid_group", "groups[0]",
			"the first group becomes Postmark's Tag, which has at most %d characters", maxTag)
	}
	for i, a := range c.Attachments {
		if ext := extension(a.Filename); ext != "" && slices.Contains(strings.Fields(forbiddenExtension), ext) {
			return mail.Invalid("forbidden_attachment", "attachments["+strconv.Itoa(i)+"].filename",
				"Postmark does not carry files of type .%s", ext)
		}
	}
	return checkMetadata(c.Headers)
}

// checkBody refuses a message without a template that Postmark would refuse, or would not carry whole.
func checkBody(c *mail.Content) *mail.FieldError {
	if c.HTML == "" && c.Text == "" {
		return mail.Invalid("missing_body", "htmlBody", "a message without a template needs an htmlBody or a textBody")
	}
	if c.AMP != "" {
		return mail.Invalid("unsupported_amp", "ampBody", "Postmark does not carry an ampBody")
	}
	return checkSize(c)
}

// checkSize refuses a message without a template that is too large for Postmark.
func checkSize(c *mail.Content) *mail.FieldError {
	for _, part := range []struct{ field, body string }{{"htmlBody", mail.WithPreheader(c.HTML, c.PreText)}, {"textBody", c.Text}} {
		if len(part.body) > maxPart {
			return mail.Invalid("body_too_large", part.field, "Postmark takes %d MB for one body", maxPart>>20)
		}
	}
	return nil
}

// checkMetadata refuses user metadata that Postmark would refuse, or that would hide ours. Of several faults it names the
// one whose header sorts first, so that the answer is the same every time.
func checkMetadata(headers map[string]string) *mail.FieldError {
	if len(headers) == 0 {
		return nil
	}
	seen := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key, ok := provider.MetadataKey(name)
		if !ok {
			continue
		}
		if fault := checkMetadataPair(name, key, headers[name]); fault != nil {
			return fault
		}
		folded := strings.ToLower(key)
		if first, ok := seen[folded]; ok {
			return mail.Invalid(invalidMetadata, "headers."+name,
				"the metadata keys of %s and %s are equal but for upper and lower case", first, name)
		}
		seen[folded] = name
		if len(seen) > maxUserMetadata {
			return mail.Invalid(invalidMetadata, "headers."+name,
				"at most %d %s headers: Postmark takes %d metadata keys, and %d are Postyard's own",
				maxUserMetadata, provider.MetadataPrefix, maxMetadataKeys, len(ownKeys))
		}
	}
	return nil
}

func isOwnKey(key string) bool {
	return slices.ContainsFunc(ownKeys, func(own string) bool { return strings.EqualFold(own, key) })
}

func checkMetadataPair(name, key, value string) *mail.FieldError {
	field := "headers." + name
	switch {
	case strings.TrimSpace(key) == "":
		return mail.Invalid(invalidMetadata, field, "a metadata key must follow %s", provider.MetadataPrefix)
	case utf8.RuneCountInString(key) > maxMetadataKey:
		return mail.Invalid(invalidMetadata, field, "a metadata key has at most %d characters, this one %d",
			maxMetadataKey, utf8.RuneCountInString(key))
	case isOwnKey(key):
		return mail.Invalid(invalidMetadata, field, "the metadata key %s is one of Postyard's own", key)
	case utf8.RuneCountInString(value) > maxMetadataValue:
		return mail.Invalid(invalidMetadata, field, "a metadata value has at most %d characters, this one %d",
			maxMetadataValue, utf8.RuneCountInString(value))
	}
	return nil
}
