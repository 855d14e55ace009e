// Package mail holds the words of the domain: message content, recipients, addresses, and the rules that a request must
// obey whatever provider carries it.
//
// The package is pure: it does no I/O and imports nothing of ours that does. Its JSON encoding (Content, Recipient) is what the store
// keeps, so renaming a key is a migration.
package mail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"postyard/internal/quickjson"
)

// ID identifies a message: a UUID of version 7, so ids sort by the time of acceptance.
type ID = uuid.UUID

// Limits of a request. Breaking one refuses the whole request.
const (
	MaxRecipients        = 1000     // entries of `to` in one request
	MaxAddressesPerEmail = 50       // to + cc + bcc of one message; Postmark's limit, and a sane one for everybody
	MaxRequestBytes      = 10 << 20 // the request body, attachments in base64 included
	MaxSubject           = 2000     // characters of a subject
	MaxGroups            = 100      // groups of one request
	MaxGroupLength       = 1000     // characters of one group; the first becomes Postmark's Tag
	MaxHeaders           = 100      // custom headers of one request
)

// Address is a mailbox with an optional display name.
type Address struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

// Attachment is a file that travels with a message. Content is base64 as the client sent it.
type Attachment struct {
	Filename string `json:"filename"`
	Content  string `json:"content"`
}

// Content is what the recipients of one request share. It is stored once per request.
type Content struct {
	From            Address           `json:"from"`
	ReplyTo         *Address          `json:"replyTo,omitempty"`
	Subject         string            `json:"subject,omitempty"`
	PreText         string            `json:"preText,omitempty"`
	HTML            string            `json:"html,omitempty"`
	Text            string            `json:"text,omitempty"`
	AMP             string            `json:"amp,omitempty"`
	Pool            string            `json:"pool,omitempty"`     // the pool's name as the request gave it
	Template        string            `json:"template,omitempty"` // tpspTemplate: the provider's own template, by alias
	CustomFields    json.RawMessage   `json:"customFields,omitempty"`
	Headers         map[string]string `json:"headers,omitempty"`
	Groups          []string          `json:"groups,omitempty"`
	Attachments     []Attachment      `json:"attachments,omitempty"`
	TrackOpens      *bool             `json:"trackOpens,omitempty"`  // nil: the provider's default
	TrackClicks     *bool             `json:"trackClicks,omitempty"` // nil: the provider's default
	WebhookEndpoint string            `json:"webhookEndpoint,omitempty"`
	TPSPPool        string            `json:"tpspIppool,omitempty"` // the provider's own IP pool, by name; for providers that have such pools
	Literal         bool              `json:"literal,omitempty"`    // subject and bodies have no tags to be filled in: they leave as they are
}

// HasBody tells whether the request brought content of its own, apart from any template.
func (c *Content) HasBody() bool { return c.HTML != "" || c.Text != "" || c.AMP != "" }

// Recipient is one entry of `to`, with its copies: one message.
type Recipient struct {
	Address
	CC           []Address       `json:"cc,omitempty"`
	BCC          []Address       `json:"bcc,omitempty"`
	CustomFields json.RawMessage `json:"customFields,omitempty"` // a JSON object, or empty
}

// AddressOf finds an address, in any case of letters, as the request had it. One that is not there is returned as it is.
func (r *Recipient) AddressOf(email string) Address {
	for _, list := range [][]Address{{r.Address}, r.CC, r.BCC} {
		for _, a := range list {
			if strings.EqualFold(a.Email, email) {
				return a
			}
		}
	}
	return Address{Email: email}
}

// Without returns the recipient without some of its copies.
func (r *Recipient) Without(gone func(email string) bool) Recipient {
	rest := *r
	rest.CC, rest.BCC = without(r.CC, gone), without(r.BCC, gone)
	return rest
}

func without(list []Address, gone func(string) bool) (rest []Address) {
	for _, a := range list {
		if !gone(a.Email) {
			rest = append(rest, a)
		}
	}
	return rest
}

// MergeFields lays the recipient's custom fields over the request's, the recipient winning, and returns a JSON object that
// is never empty text: `{}` when neither side has fields (PM-12, PM-13). A side that is empty or null has none; any other
// JSON than an object is an error.
func MergeFields(request, recipient json.RawMessage) (json.RawMessage, error) {
	request, err := object(request)
	if err != nil {
		return nil, fmt.Errorf("merge customFields of the request: %w", err)
	}
	recipient, err = object(recipient)
	if err != nil {
		return nil, fmt.Errorf("merge customFields of the recipient: %w", err)
	}
	switch {
	case request == nil && recipient == nil:
		return json.RawMessage("{}"), nil
	case recipient == nil:
		return request, nil
	case request == nil:
		return recipient, nil
	}
	if merged, ok := merge(request, recipient); ok {
		return merged, nil
	}
	var merged map[string]json.RawMessage
	if err := json.Unmarshal(request, &merged); err != nil {
		return nil, fmt.Errorf("merge customFields of the request: %w", err)
	}
	if err := json.Unmarshal(recipient, &merged); err != nil { // keeps the keys that are there, and overwrites
		return nil, fmt.Errorf("merge customFields of the recipient: %w", err)
	}
	return json.Marshal(merged)
}

// object returns a JSON object without the space around it, and nil for null and for nothing.
func object(raw json.RawMessage) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if raw[0] != '{' || !quickjson.Valid(raw) && !json.Valid(raw) {
		return nil, errors.New("not a JSON object")
	}
	return raw, nil
}

// FieldError says which field of a request breaks which rule. Users see it as it is.
type FieldError struct {
	Code    string // stable, snake_case: "invalid_address"
	Field   string // path in the request: "to[3].cc[0].email"
	Message string // the rule, in words
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Invalid builds a FieldError.
func Invalid(code, field, format string, args ...any) *FieldError {
	return &FieldError{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}
