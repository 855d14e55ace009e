package mail

import (
	"net/textproto"
	"strings"
)

var structural = map[string]bool{"From": true, "Sender": true, "To": true, "Cc": true, "Bcc": true, "Subject": true, "Reply-To": true, "Date": true, "Message-Id": true,
	"Mime-Version": true, "Received": true, "Return-Path": true, "Dkim-Signature": true}

// Structural tells whether a header field is made from other parts of a request, or where the mail is put together: it cannot be set like
// those that users add.
func Structural(name string) bool {
	name = textproto.CanonicalMIMEHeaderKey(name)
	return structural[name] || strings.HasPrefix(name, "Content-") || strings.HasPrefix(name, "Resent-")
}
