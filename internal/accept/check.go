package accept

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"postyard/internal/mail"
	"postyard/internal/ssrf"
)

// checkRequest applies the rules that hold for the request as a whole, and puts its addresses into canonical form.
func checkRequest(req *Request) *mail.FieldError {
	c := &req.Content
	c.Pool = strings.TrimSpace(c.Pool)
	c.Template = strings.TrimSpace(c.Template)
	c.TPSPPool = strings.TrimSpace(c.TPSPPool)
	if len(req.Recipients) == 0 {
		return mail.Invalid("missing_recipients", "to", "at least one recipient is needed")
	}
	if len(req.Recipients) > mail.MaxRecipients {
		return mail.Invalid("too_many_recipients", "to", "a request has at most %d recipients, this one has %d",
			mail.MaxRecipients, len(req.Recipients))
	}
	for i := range req.Recipients {
		if n := countAddresses(&req.Recipients[i]); n > mail.MaxAddressesPerEmail {
			return mail.Invalid("too_many_addresses", fmt.Sprintf("to[%d]", i),
				"a message has at most %d addresses over to, cc and bcc, this one has %d", mail.MaxAddressesPerEmail, n)
		}
	}
	if bad := checkAddress(&c.From, "from", "missing_from"); bad != nil {
		return bad
	}
	if c.ReplyTo != nil && *c.ReplyTo == (mail.Address{}) {
		c.ReplyTo = nil // as messages are shown that have none
	}
	if c.ReplyTo != nil {
		if bad := checkAddress(c.ReplyTo, "replyTo", "invalid_address"); bad != nil {
			return bad
		}
	}
	for _, check := range []func(*mail.Content) *mail.FieldError{checkSubject, checkFields, checkHeaders, checkGroups, checkAttachments, checkTPSPPool} {
		if bad := check(c); bad != nil {
			return bad
		}
	}
	return nil
}

func checkAddress(a *mail.Address, field, missing string) *mail.FieldError {
	if strings.TrimSpace(a.Email) == "" {
		return mail.Invalid(missing, field+".email", "an address is needed")
	}
	email, err := mail.ParseEmail(a.Email)
	if err != nil {
		return mail.Invalid("invalid_address", field+".email", "%s", err)
	}
	if err := mail.CheckName(a.Name); err != nil {
		return mail.Invalid("invalid_name", field+".name", "%s", err)
	}
	a.Email = email
	return nil
}

func checkSubject(c *mail.Content) *mail.FieldError {
	if utf8.RuneCountInString(c.Subject) > mail.MaxSubject {
		return mail.Invalid("subject_too_long", "subject", "a subject has at most %d characters", mail.MaxSubject)
	}
	if strings.ContainsAny(c.Subject, "\r\n\x00") {
		return mail.Invalid("invalid_subject", "subject", "a subject must be a single line")
	}
	return nil
}

func checkFields(c *mail.Content) *mail.FieldError {
	fields, ok := object(c.CustomFields)
	if !ok {
		return mail.Invalid("invalid_custom_fields", "customFields", "customFields must be a JSON object")
	}
	c.CustomFields = fields
	return nil
}

// object returns the raw JSON when it is an object; null counts as absent.
func object(raw []byte) ([]byte, bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil, true
	}
	return raw, raw[0] == '{'
}

func checkHeaders(c *mail.Content) *mail.FieldError {
	if len(c.Headers) > mail.MaxHeaders {
		return mail.Invalid("too_many_headers", "headers", "a request has at most %d headers", mail.MaxHeaders)
	}
	for name, value := range c.Headers {
		field := "headers." + name
		if !validHeaderName(name) {
			return mail.Invalid("invalid_header", field, "a header's name consists of printable ASCII without colon or space (RFC 5322 section 3.6.8)")
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return mail.Invalid("invalid_header", field, "a header's value must be a single line")
		}
	}
	return nil
}

func validHeaderName(name string) bool {
	if name == "" || len(name) > 128 {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f || name[i] == ':' {
			return false
		}
	}
	return true
}

func checkGroups(c *mail.Content) *mail.FieldError {
	if len(c.Groups) > mail.MaxGroups {
		return mail.Invalid("too_many_groups", "groups", "a request has at most %d groups", mail.MaxGroups)
	}
	for i, g := range c.Groups {
		if utf8.RuneCountInString(g) > mail.MaxGroupLength {
			return mail.Invalid("group_too_long", fmt.Sprintf("groups[%d]", i), "a group has at most %d characters", mail.MaxGroupLength)
		}
	}
	return nil
}

func checkAttachments(c *mail.Content) *mail.FieldError {
	for i, a := range c.Attachments {
		field := fmt.Sprintf("attachments[%d]", i)
		if a.Filename == "" || strings.ContainsAny(a.Filename, "/\\\r\n\x00") {
			return mail.Invalid("invalid_attachment", field+".filename", "a file name is needed, without slashes or line breaks")
		}
		if _, err := base64.StdEncoding.DecodeString(a.Content); err != nil {
			return mail.Invalid("invalid_attachment", field+".content", "the content must be base64 (RFC 4648 section 4)")
		}
	}
	return nil
}

// checkWebhook refuses a webhookEndpoint that no event may be posted to.
func checkWebhook(c *mail.Content, allowPrivate bool) *mail.FieldError {
	if c.WebhookEndpoint == "" {
		return nil
	}
	if _, err := ssrf.CheckURL(c.WebhookEndpoint, allowPrivate); err != nil {
		return mail.Invalid("invalid_webhook_endpoint", "webhookEndpoint", "events cannot be posted to webhookEndpoint: %s", err)
	}
	return nil
}

// maxTPSPPool is the most bytes of the name of a provider's own IP pool.
const maxTPSPPool = 255

// checkTPSPPool refuses what can be no name of a provider's own IP pool. Whether there is such a pool is the provider's to say.
func checkTPSPPool(c *mail.Content) *mail.FieldError {
	if len(c.TPSPPool) > maxTPSPPool || strings.ContainsFunc(c.TPSPPool, unicode.IsControl) {
		return mail.Invalid("invalid_tpsp_ippool", "tpspIppool", "the name of a provider's IP pool has at most %d bytes and no control characters", maxTPSPPool)
	}
	return nil
}

// checkRecipient applies the rules of one entry of `to`, and puts its addresses into canonical form.
func checkRecipient(r *mail.Recipient, i int) (Code, *mail.FieldError) {
	if bad := checkAddress(&r.Address, fmt.Sprintf("to[%d]", i), "invalid_address"); bad != nil {
		return InvalidAddress, bad
	}
	for _, copies := range []struct {
		field string
		list  []mail.Address
	}{{"cc", r.CC}, {"bcc", r.BCC}} {
		for j := range copies.list {
			if bad := checkAddress(&copies.list[j], fmt.Sprintf("to[%d].%s[%d]", i, copies.field, j), "invalid_address"); bad != nil {
				return InvalidAddress, bad
			}
		}
	}
	fields, ok := object(r.CustomFields)
	if !ok {
		return InvalidCustomFields, mail.Invalid("invalid_custom_fields", fmt.Sprintf("to[%d].customFields", i), "customFields must be a JSON object")
	}
	r.CustomFields = fields
	return Accepted, nil
}

// countAddresses counts to, cc and bcc of one message.
func countAddresses(r *mail.Recipient) int { return 1 + len(r.CC) + len(r.BCC) }
