package smtp

import (
	"maps"
	"slices"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// metadataPrefix marks headers that are meant for a provider's metadata (PM-15); they are no headers of mail.
const metadataPrefix = "TPSP_METADATA_"

func isMetadata(name string) bool {
	return len(name) >= len(metadataPrefix) && strings.EqualFold(name[:len(metadataPrefix)], metadataPrefix)
}

// maxToken is the longest run without a space in a header's value: a header is folded at spaces only, and a line has at most 998
// bytes (RFC 5322 section 2.1.1).
const maxToken = 900

// CanCarry implements provider.Adapter. How large a message may be is the server's to say, when it is sent.
func (*Adapter) CanCarry(c *mail.Content, _ provider.Terms) *mail.FieldError {
	if c.HTML == "" && c.Text == "" {
		return mail.Invalid("missing_body", "htmlBody", "custom SMTP sends what the request holds: give htmlBody or textBody")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if isMetadata(name) {
			continue
		}
		field := "headers." + name
		if why := ours(name); why != "" {
			return mail.Invalid("invalid_header", field, "%s", why)
		}
		if slices.ContainsFunc(strings.Fields(c.Headers[name]), func(word string) bool { return len(word) > maxToken }) {
			return mail.Invalid("invalid_header", field, "a header's value has a space at least every %d bytes, or it would not fit into lines", maxToken)
		}
	}
	return nil
}

// ours says why a header is not the user's to set, or "".
func ours(name string) string {
	lower := strings.ToLower(name)
	if instead, ok := written[lower]; ok {
		if instead == "" {
			return "this header is written by Postyard or by mail servers"
		}
		return "this header is written from the request's " + instead
	}
	for _, prefix := range []string{"content-", "mime-", "dkim-", "arc-", "resent-", "x-sendpost-"} {
		if strings.HasPrefix(lower, prefix) {
			return "headers that begin with " + prefix + " are written by Postyard or by mail servers"
		}
	}
	return ""
}

// written are headers that belong to the form of a message or to its way, with the field of the request that they come from.
var written = map[string]string{
	"from": "from", "to": "to", "cc": "to", "bcc": "to", "reply-to": "replyTo", "subject": "subject",
	"date": "", "message-id": "", "received": "", "received-spf": "", "return-path": "", "sender": "", "authentication-results": "",
	"delivered-to": "",
}
