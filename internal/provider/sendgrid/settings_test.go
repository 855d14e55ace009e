package sendgrid_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/sendgrid"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key, secret, endpoint string
		private               bool
		wantKey, wantEndpoint string
		field                 string // of the refusal
	}{
		"key":                   {key: " SG.a.b ", wantKey: "SG.a.b"},
		"key in secret":         {secret: "SG.a.b", wantKey: "SG.a.b"},
		"new key in secret":     {key: "SG.old", secret: "SG.new", wantKey: "SG.new"},
		"something in secret":   {key: "SG.a.b", secret: "whatever", wantKey: "SG.a.b"},
		"no prefix":             {secret: "a-key", wantKey: "a-key"},
		"europe":                {key: "SG.a", endpoint: "https://api.eu.sendgrid.com/", wantKey: "SG.a", wantEndpoint: "https://api.eu.sendgrid.com"},
		"with the version":      {key: "SG.a", endpoint: "https://api.sendgrid.com/v3/", wantKey: "SG.a", wantEndpoint: "https://api.sendgrid.com"},
		"below a path":          {key: "SG.a", endpoint: "https://proxy.example/sendgrid", wantKey: "SG.a", wantEndpoint: "https://proxy.example/sendgrid"},
		"private":               {key: "SG.a", endpoint: "http://127.0.0.1:8080", private: true, wantKey: "SG.a", wantEndpoint: "http://127.0.0.1:8080"},
		"private, not allowed":  {key: "SG.a", endpoint: "http://127.0.0.1:8080", field: "endpoint"},
		"no URL":                {key: "SG.a", endpoint: "api.sendgrid.com", field: "endpoint"},
		"query":                 {key: "SG.a", endpoint: "https://api.sendgrid.com?x=1", field: "endpoint"},
		"none":                  {field: "key"},
		"spaces":                {key: "SG.a b", field: "key"},
		"spaces in secret":      {secret: "SG.a b", field: "secret"},
		"too long":              {key: strings.Repeat("k", 300), field: "key"},
		"characters of no key":  {key: "SG.ä", field: "key"},
		"control in the secret": {secret: "SG.\x00", field: "secret"},
	} {
		adapter := sendgrid.New(sendgrid.Config{AllowPrivate: test.private})
		conn := provider.Connection{AccountID: 1, TPSPID: 3, Key: secretOf(test.key), Secret: secretOf(test.secret), Endpoint: test.endpoint,
			Domain: "x", Port: 25, Stream: "outbound"}
		got, bad := adapter.Normalize(conn)
		if test.field != "" {
			if bad == nil || bad.Field != test.field || strings.Contains(bad.Message, test.key) && test.key != "" {
				t.Errorf("%s: %v", name, bad)
			}
			continue
		}
		if bad != nil || got.Key.Reveal() != test.wantKey || !got.Secret.IsZero() || got.Endpoint != test.wantEndpoint ||
			got.Domain != "" || got.Port != 0 || got.Stream != "" || got.TPSPID != 3 {
			t.Errorf("%s: %v, %+v", name, bad, got)
		}
		if again, bad := adapter.Normalize(got); bad != nil || again.Key.Reveal() != test.wantKey || again.Endpoint != test.wantEndpoint {
			t.Errorf("%s, again: %v, %+v", name, bad, again)
		}
	}
}

func TestCanCarry(t *testing.T) {
	t.Parallel()
	many := func(n int) (groups []string) {
		for i := range n {
			groups = append(groups, fmt.Sprintf("group %d", i))
		}
		return groups
	}
	header := func(name, value string) func(c *mail.Content) {
		return func(c *mail.Content) { c.Headers = map[string]string{name: value} }
	}
	for name, test := range map[string]struct {
		change func(c *mail.Content)
		field  string // "": it is carried
	}{
		"plain":               {func(*mail.Content) {}, ""},
		"html only":           {func(c *mail.Content) { c.Text, c.HTML = "", "<p>x</p>" }, ""},
		"no body":             {func(c *mail.Content) { c.Text = "" }, "htmlBody"},
		"amp":                 {func(c *mail.Content) { c.AMP = "<html amp4email>" }, "ampBody"},
		"no subject":          {func(c *mail.Content) { c.Subject = "" }, "subject"},
		"groups":              {func(c *mail.Content) { c.Groups = many(30) }, ""},
		"long group":          {func(c *mail.Content) { c.Groups = []string{"a", strings.Repeat("u", 256)} }, "groups[1]"},
		"longest group":       {func(c *mail.Content) { c.Groups = []string{strings.Repeat("ü", 255)} }, ""},
		"long group, unused":  {func(c *mail.Content) { c.Groups = append(many(10), strings.Repeat("g", 256)) }, ""},
		"custom header":       {header("X-Mine", "1"), ""},
		"List-Unsubscribe":    {header("List-Unsubscribe", "<https://example.com/u>"), ""},
		"metadata":            {header("TPSP_METADATA_order", "7"), ""},
		"no metadata key":     {header("TPSP_METADATA_", "7"), "headers.TPSP_METADATA_"},
		"our metadata key":    {header("TPSP_METADATA_MessageID", "7"), "headers.TPSP_METADATA_MessageID"},
		"an event's key":      {header("tpsp_metadata_email", "x@example.com"), "headers.tpsp_metadata_email"},
		"much metadata":       {header("TPSP_METADATA_a", strings.Repeat("x", 9_690)), ""},
		"too much metadata":   {header("TPSP_METADATA_a", strings.Repeat("x", 9_700)), "headers.TPSP_METADATA_a"},
		"escaped, it is more": {header("TPSP_METADATA_a", strings.Repeat(`"`, 5_000)), "headers.TPSP_METADATA_a"},
		"same but for case": {func(c *mail.Content) {
			c.Headers = map[string]string{"TPSP_METADATA_a": "1", "TPSP_METADATA_A": "2"}
		}, "headers.TPSP_METADATA_a"},
	} {
		c := plain()
		test.change(c)
		bad := newAdapter(t).CanCarry(c, provider.Terms{})
		if (bad == nil) != (test.field == "") || bad != nil && (bad.Field != test.field || bad.Code == "" || bad.Message == "") {
			t.Errorf("%s: %v", name, bad)
		}
	}
	for _, name := range []string{"x-sg-id", "X-SG-EID", "received", "DKIM-Signature", "Content-Type", "Content-Transfer-Encoding", "to", "From",
		"Subject", "Reply-To", "CC", "bcc", "X-SMTPAPI", "Message-ID"} {
		c := plain()
		header(name, "x")(c)
		if bad := newAdapter(t).CanCarry(c, provider.Terms{}); bad == nil || bad.Field != "headers."+name || bad.Code != "reserved_header" {
			t.Errorf("%s: %v", name, bad)
		}
	}
}

// What CanCarry lets through stays within SendGrid's 10,000 bytes of custom arguments, with ours.
func TestCustomArgsFit(t *testing.T) {
	t.Parallel()
	c := plain()
	c.Headers = map[string]string{}
	for i := range 100 {
		c.Headers[fmt.Sprintf("TPSP_METADATA_key%02d", i)] = strings.Repeat("v", 85)
	}
	for newAdapter(t).CanCarry(c, provider.Terms{}) == nil {
		c.Headers["TPSP_METADATA_key00"] += "v"
	}
	c.Headers["TPSP_METADATA_key00"] = strings.TrimSuffix(c.Headers["TPSP_METADATA_key00"], "v")
	if bad := newAdapter(t).CanCarry(c, provider.Terms{}); bad != nil {
		t.Fatal(bad)
	}
	out := outgoing(1, c)
	out[0].AccountID, out[0].SubAccountID, out[0].TPSPID, out[0].Mailbox = 2147483647, 2147483647, 2147483647, "googleworkspace"
	var got struct {
		Personalizations []struct {
			CustomArgs json.RawMessage `json:"custom_args"`
		}
	}
	if err := json.Unmarshal(sent(t, out)[0].body, &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Personalizations[0].CustomArgs); n > 10_000 || n < 9_800 {
		t.Errorf("%d bytes of custom arguments", n)
	}
}

// What cannot be read back is said, and what cannot be asked is an error.
func TestPast(t *testing.T) {
	t.Parallel()
	adapter, ctx, conn := newAdapter(t), t.Context(), connection("http://127.0.0.1:1")
	if _, err := adapter.Lookup(ctx, conn, []mail.ID{messageID(1)}, testNow); err == nil {
		t.Error("Lookup without an error means that the provider does not have the message")
	}
	yield := func([]provider.Report) error { t.Error("a report"); return nil }
	for name, read := range map[string]func() ([]string, error){
		"History": func() ([]string, error) { return adapter.History(ctx, conn, provider.Past{Yield: yield}) },
		"Fates":   func() ([]string, error) { return adapter.Fates(ctx, conn, []provider.Sent{{ID: messageID(1)}}, yield) },
	} {
		if missing, err := read(); err != nil || len(missing) != 1 {
			t.Errorf("%s: missing %q, %v; want one line", name, missing, err)
		}
	}
	if streams, err := adapter.Streams(ctx, conn); err != nil || len(streams) != 0 {
		t.Errorf("Streams: %v, %v", streams, err)
	}
}
