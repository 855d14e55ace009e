package accept_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postyard/internal/accept"
	"postyard/internal/mail"
)

func TestBadRequests(t *testing.T) {
	t.Parallel()
	content := func(edit func(*mail.Content)) func(*accept.Request) {
		return func(r *accept.Request) { edit(&r.Content) }
	}
	header := func(name, value string) func(*accept.Request) {
		return content(func(c *mail.Content) { c.Headers = map[string]string{"X-Good": "1", name: value} })
	}
	file := func(name, data string) func(*accept.Request) {
		return content(func(c *mail.Content) {
			c.Attachments = []mail.Attachment{{Filename: "a.txt", Content: "YQ=="}, {Filename: name, Content: data}}
		})
	}
	hook := func(url string) func(*accept.Request) {
		return content(func(c *mail.Content) { c.WebhookEndpoint = url })
	}
	for name, test := range map[string]struct {
		edit        func(*accept.Request)
		code, field string
	}{
		"no recipients":       {func(r *accept.Request) { r.Recipients = nil }, "missing_recipients", "to"},
		"1,001 recipients":    {func(r *accept.Request) { r.Recipients = slices.Repeat(r.Recipients, 1001) }, "too_many_recipients", "to"},
		"51 addresses":        {func(r *accept.Request) { r.Recipients = append(r.Recipients, crowd(25, 25)) }, "too_many_addresses", "to[1]"},
		"no from":             {content(func(c *mail.Content) { c.From.Email = "" }), "missing_from", "from.email"},
		"a blank from":        {content(func(c *mail.Content) { c.From.Email = " \t" }), "missing_from", "from.email"},
		"a bad from":          {content(func(c *mail.Content) { c.From.Email = "shop" }), "invalid_address", "from.email"},
		"a bad from name":     {content(func(c *mail.Content) { c.From.Name = "Shop\r\nBcc: eve@example.com" }), "invalid_name", "from.name"},
		"an empty replyTo":    {content(func(c *mail.Content) { c.ReplyTo = &mail.Address{Name: "Ada"} }), "invalid_address", "replyTo.email"},
		"a bad replyTo":       {content(func(c *mail.Content) { c.ReplyTo = &mail.Address{Email: "a@b@c.de"} }), "invalid_address", "replyTo.email"},
		"a bad replyTo name":  {content(func(c *mail.Content) { c.ReplyTo = &mail.Address{Email: "a@b.de", Name: "\n"} }), "invalid_name", "replyTo.name"},
		"a long subject":      {content(func(c *mail.Content) { c.Subject = strings.Repeat("ä", 2001) }), "subject_too_long", "subject"},
		"a two-line subject":  {content(func(c *mail.Content) { c.Subject = "a\r\nBcc: eve@example.com" }), "invalid_subject", "subject"},
		"a NUL in a subject":  {content(func(c *mail.Content) { c.Subject = "a\x00" }), "invalid_subject", "subject"},
		"customFields list":   {content(func(c *mail.Content) { c.CustomFields = json.RawMessage(`[{"a":1}]`) }), "invalid_custom_fields", "customFields"},
		"customFields text":   {content(func(c *mail.Content) { c.CustomFields = json.RawMessage(`"a"`) }), "invalid_custom_fields", "customFields"},
		"101 headers":         {content(func(c *mail.Content) { c.Headers = manyHeaders(101) }), "too_many_headers", "headers"},
		"no header name":      {header("", "1"), "invalid_header", "headers."},
		"a colon in a header": {header("X-A:", "1"), "invalid_header", "headers.X-A:"},
		"a space in a header": {header("X A", "1"), "invalid_header", "headers.X A"},
		"a header with ü":     {header("X-ü", "1"), "invalid_header", "headers.X-ü"},
		"a long header name":  {header(strings.Repeat("X", 129), "1"), "invalid_header", "headers." + strings.Repeat("X", 129)},
		"a header of 2 lines": {header("X-A", "1\r\nBcc: eve@example.com"), "invalid_header", "headers.X-A"},
		"101 groups":          {content(func(c *mail.Content) { c.Groups = slices.Repeat([]string{"g"}, 101) }), "too_many_groups", "groups"},
		"a long group":        {content(func(c *mail.Content) { c.Groups = []string{"g", strings.Repeat("ä", 1001)} }), "group_too_long", "groups[1]"},
		"no file name":        {file("", "YQ=="), "invalid_attachment", "attachments[1].filename"},
		"a path":              {file("../a.txt", "YQ=="), "invalid_attachment", "attachments[1].filename"},
		"a Windows path":      {file(`c:\a.txt`, "YQ=="), "invalid_attachment", "attachments[1].filename"},
		"a two-line file":     {file("a\r\n.txt", "YQ=="), "invalid_attachment", "attachments[1].filename"},
		"no base64":           {file("b.txt", "hello!"), "invalid_attachment", "attachments[1].content"},
		"cut base64":          {file("b.txt", "YQ="), "invalid_attachment", "attachments[1].content"},
		"URL base64":          {file("b.txt", "-_-_"), "invalid_attachment", "attachments[1].content"},
		"a long TPSP pool":    {content(func(c *mail.Content) { c.TPSPPool = strings.Repeat("p", 256) }), "invalid_tpsp_ippool", "tpspIppool"},
		"a relative webhook":  {hook("/hook"), "invalid_webhook_endpoint", "webhookEndpoint"},
		"a webhook's scheme":  {hook("ftp://example.com/"), "invalid_webhook_endpoint", "webhookEndpoint"},
		"a webhook's host":    {hook("https:///hook"), "invalid_webhook_endpoint", "webhookEndpoint"},
		"a webhook's port":    {hook("https://:8443/hook"), "invalid_webhook_endpoint", "webhookEndpoint"},
		"a webhook's syntax":  {hook("https://exa mple.com/"), "invalid_webhook_endpoint", "webhookEndpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simple(t).refuses(request(test.edit), test.code, test.field)
		})
	}
}

// What the limits allow passes.
func TestRequestsAtTheLimits(t *testing.T) {
	t.Parallel()
	b := simple(t)
	results := b.mustAccept(request(func(r *accept.Request) {
		r.Content.Subject = strings.Repeat("ä", 2000)
		r.Content.Headers = manyHeaders(100)
		r.Content.Groups = slices.Repeat([]string{strings.Repeat("ä", 1000)}, 100)
		r.Content.Attachments = []mail.Attachment{{Filename: "a.txt", Content: "YQ=="}, {Filename: "empty", Content: ""}}
		r.Content.WebhookEndpoint = "https://example.com:8443/hook?x=1"
		r.Content.CustomFields = json.RawMessage(` {"a":[1]} `)
		r.Recipients = slices.Repeat(r.Recipients, 999)
		r.Recipients = append(r.Recipients, crowd(24, 25))
	}))
	if len(results) != 1000 || len(b.books.messages()) != 1000 {
		t.Fatalf("%d results, %d messages, want 1000", len(results), len(b.books.messages()))
	}
	for i, r := range results {
		if r.Code != accept.Accepted {
			t.Errorf("to[%d]: %+v", i, r)
		}
	}
}

// One entry after another: each gets its own answer, in order, and only the good ones become messages.
func TestBadRecipientsAmongGoodOnes(t *testing.T) {
	t.Parallel()
	fields := func(r mail.Recipient, text string) mail.Recipient {
		r.CustomFields = json.RawMessage(text)
		return r
	}
	tests := []struct {
		recipient mail.Recipient
		code      accept.Code
		words     string
	}{
		{to("Ada@EXAMPLE.org"), accept.Accepted, ""},
		{to("nonsense"), accept.InvalidAddress, "to[1].email: "},
		{to(" "), accept.InvalidAddress, "to[2].email: an address is needed"},
		{mail.Recipient{Address: mail.Address{Email: "ada@example.org", Name: "A\nB"}}, accept.InvalidAddress, "to[3].name: "},
		{mail.Recipient{Address: mail.Address{Email: "ada@example.org"}, CC: []mail.Address{{Email: "c@example.org"}, {Email: "c"}}}, accept.InvalidAddress, "to[4].cc[1].email: "},
		{mail.Recipient{Address: mail.Address{Email: "ada@example.org"}, BCC: []mail.Address{{Email: ""}}}, accept.InvalidAddress, "to[5].bcc[0].email: "},
		{fields(to("ada@example.org"), `[]`), accept.InvalidCustomFields, "to[6].customFields: "},
		{fields(to("ada@example.org"), `"x"`), accept.InvalidCustomFields, "to[7].customFields: "},
		{fields(to("bob@example.org"), ` null`), accept.Accepted, ""},
		{fields(to("eve@gmail.com"), ` {"a":1}`), accept.Accepted, ""},
		{mail.Recipient{Address: mail.Address{Email: "  zoe@münchen.de "}, CC: []mail.Address{{Email: "C@EXAMPLE.org", Name: "C"}}}, accept.Accepted, ""},
	}
	b := simple(t)
	results := b.mustAccept(request(func(r *accept.Request) {
		r.Recipients = nil
		for _, test := range tests {
			r.Recipients = append(r.Recipients, test.recipient)
		}
	}))
	stored := b.books.messages()
	for i, test := range tests {
		got := results[i]
		if got.To != test.recipient.Email || got.Code != test.code || !strings.HasPrefix(got.Message, test.words) || !got.SubmittedAt.Equal(now) {
			t.Errorf("to[%d]: %+v, want %+v", i, got, test)
		}
		if accepted := got.Code == accept.Accepted; accepted != (got.Message == "") || accepted == (got.ID == mail.ID{}) {
			t.Errorf("to[%d]: %+v", i, got)
		}
		if got.Code != accept.Accepted {
			continue
		}
		if len(stored) == 0 || stored[0].ID != got.ID {
			t.Fatalf("to[%d] was not stored in its order", i)
		}
		stored = stored[1:]
	}
	if len(stored) != 0 {
		t.Errorf("also stored: %+v", stored)
	}
}

func TestNobodyIsGood(t *testing.T) {
	t.Parallel()
	b := simple(t)
	results := b.mustAccept(request(func(r *accept.Request) { r.Recipients = []mail.Recipient{to("x"), to("y")} }))
	for _, r := range results {
		if r.Code != accept.InvalidAddress {
			t.Errorf("%+v", r)
		}
	}
	b.storedNothing()
}

// crowd is a recipient with so many copies.
func crowd(cc, bcc int) mail.Recipient {
	r := to("ada@example.org")
	r.CC, r.BCC = addresses(cc), addresses(bcc)
	return r
}

func manyHeaders(n int) map[string]string {
	h := map[string]string{}
	for i := range n {
		h[fmt.Sprintf("X-%d", i)] = "1"
	}
	return h
}
