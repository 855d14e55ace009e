package compose

import (
	"maps"
	"slices"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// MaxToken is the longest run without a space in a header's value, in bytes: a header is folded at spaces only, and a line has at most
// 998 bytes (RFC 5322 section 2.1.1).
const MaxToken = 900

// Check says why a message cannot have the headers of a request, or nil. Of several faults it names the one whose header sorts first.
func (f Form) Check(headers map[string]string) *mail.FieldError {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if _, metadata := provider.MetadataKey(name); metadata {
			continue
		}
		field := "headers." + name
		if why := f.reserved(name); why != "" {
			return mail.Invalid("invalid_header", field, "%s", why)
		}
		if slices.ContainsFunc(strings.Fields(headers[name]), func(word string) bool { return len(word) > MaxToken }) {
			return mail.Invalid("invalid_header", field, "a header's value has a space at least every %d bytes, or it would not fit into lines", MaxToken)
		}
	}
	return nil
}

// reserved says why a header is not the user's to set, or "".
func (f Form) reserved(name string) string {
	lower := strings.ToLower(name)
	if instead, ok := written[lower]; ok {
		if instead == "" {
			return "this header is written by Postyard or by mail servers"
		}
		return "this header is written from the request's " + instead
	}
	for _, list := range [][]string{{"content-", "mime-", "dkim-", "arc-", "resent-", "x-sendpost-"}, f.Reserved} {
		for _, prefix := range list {
			if strings.HasPrefix(lower, prefix) {
				return "headers that begin with " + prefix + " are written by Postyard or by mail servers"
			}
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
