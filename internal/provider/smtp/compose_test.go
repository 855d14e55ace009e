package smtp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	gomail "github.com/wneessen/go-mail"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

var testID = uuid.MustParse("019f3d50-0000-7000-8000-000000000001")

func outgoing() *provider.Outgoing {
	return &provider.Outgoing{ID: testID, AccountID: 1, SubAccountID: 2, TPSPID: 3, Mailbox: "gmail",
		Content:   &mail.Content{From: mail.Address{Email: "shop@example.com"}, Subject: "Hello", Text: "Hello."},
		Recipient: mail.Recipient{Address: mail.Address{Email: "ana@recipient.example"}}}
}

func composed(t *testing.T, out *provider.Outgoing) (*message, *netmail.Message) {
	t.Helper()
	m, err := compose(out, time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.SplitSeq(m.raw, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
			t.Errorf("a line of %d bytes, or with a lone line break: %.80q", len(line), line)
		}
	}
	for _, b := range m.raw {
		if b >= 0x80 {
			t.Fatal("the message is not 7-bit")
		}
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(m.raw))
	if err != nil {
		t.Fatalf("%v:\n%s", err, m.raw)
	}
	return m, parsed
}

// leaf is a part without parts.
type leaf struct{ Kind, Name, Body string }

func leaves(t *testing.T, header func(string) string, body io.Reader) []leaf {
	t.Helper()
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		list := []leaf{{Kind: kind}}
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if err == io.EOF {
				return list
			}
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, leaves(t, p.Header.Get, p)...)
		}
	}
	switch header("Content-Transfer-Encoding") {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	_, disposition, _ := mime.ParseMediaType(header("Content-Disposition"))
	name, err := (&mime.WordDecoder{}).DecodeHeader(disposition["filename"])
	if err != nil {
		t.Fatal(err)
	}
	return []leaf{{kind, name, string(raw)}}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	out := outgoing()
	c := out.Content
	c.From.Name, c.Subject = `Shöp "Ä" <x>`, "Grüße "+strings.Repeat("ü", 100)
	c.ReplyTo = &mail.Address{Email: "reply@example.com", Name: "Reply, To"}
	c.Headers = map[string]string{"X-Order": "42", "List-Unsubscribe": "<https://example.com/" + strings.Repeat("u", 200) + ">", "X-Näme": "never gets here",
		"X-Text": "Größe", "TPSP_METADATA_order": "42", "tpsp_metadata_x": "1",
		// Those that CanCarry refuses are not written either.
		"subject": "evil", "BCC": "eve@example.com", "Content-Type": "text/evil", "X-Sendpost-Message-UUID": "evil", "Dkim-Signature": "evil"}
	delete(c.Headers, "X-Näme")
	out.Recipient.Name = "Ana 李"
	out.Recipient.CC = []mail.Address{{Email: "c1@copy.example", Name: "C One"}, {Email: "c2@copy.example"}}
	out.Recipient.BCC = []mail.Address{{Email: "b1@copy.example"}, {Email: "C2@copy.example"}}
	m, parsed := composed(t, out)

	if diff := cmp.Diff([]string{"ana@recipient.example", "c1@copy.example", "c2@copy.example", "b1@copy.example"}, m.to); diff != "" || m.from != "shop@example.com" {
		t.Errorf("envelope from %s (-want +got):\n%s", m.from, diff)
	}
	for name, want := range map[string]string{
		"Subject": c.Subject, "Date": "Mon, 02 Mar 2026 10:00:00 +0000", "Message-Id": "<" + testID.String() + "@example.com>", "X-Order": "42",
		"X-Text": "Größe", "List-Unsubscribe": c.Headers["List-Unsubscribe"], "Bcc": "", "Dkim-Signature": "", "Tpsp_metadata_order": "", "Tpsp_metadata_x": "",
		"Mime-Version": "1.0", "User-Agent": "", "X-Mailer": "",
		"X-Sendpost-Message-Uuid": testID.String(), "X-Sendpost-Account-Id": "1", "X-Sendpost-Subaccount-Id": "2", "X-Sendpost-Tpsp-Id": "3", "X-Sendpost-Tpsp-Type": "6",
	} {
		got, err := (&mime.WordDecoder{}).DecodeHeader(parsed.Header.Get(name))
		if err != nil || got != want || len(parsed.Header[name]) > 1 {
			t.Errorf("%s: %q (%v), want %q", name, parsed.Header[name], err, want)
		}
	}
	for name, want := range map[string][]*netmail.Address{
		"From": {{Name: c.From.Name, Address: "shop@example.com"}}, "To": {{Name: "Ana 李", Address: "ana@recipient.example"}},
		"Cc": {{Name: "C One", Address: "c1@copy.example"}, {Address: "c2@copy.example"}}, "Reply-To": {{Name: "Reply, To", Address: "reply@example.com"}},
	} {
		got, err := parsed.Header.AddressList(name)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s (%v):\n%s", name, err, diff)
		}
	}
	if bytes.Contains(m.raw, []byte("b1@copy.example")) || bytes.Contains(m.raw, []byte("evil")) {
		t.Errorf("what should not be there is:\n%s", m.raw)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	pdf := base64.StdEncoding.EncodeToString([]byte("\x00\x01pdf"))
	for name, tc := range map[string]struct {
		change func(*mail.Content)
		want   []leaf
	}{
		"text": {func(c *mail.Content) { c.Text = "Grüße\n.\n..\nFrom x\n" + strings.Repeat("long ", 400) },
			[]leaf{{"text/plain", "", "Grüße\r\n.\r\n..\r\nFrom x\r\n" + strings.Repeat("long ", 400)}}},
		"html":    {func(c *mail.Content) { c.Text, c.HTML = "", "<p>ü</p>" }, []leaf{{"text/html", "", "<p>ü</p>"}}},
		"both":    {func(c *mail.Content) { c.HTML = "<p>" }, []leaf{{Kind: "multipart/alternative"}, {"text/plain", "", "Hello."}, {"text/html", "", "<p>"}}},
		"preText": {func(c *mail.Content) { c.Text, c.HTML, c.PreText = "", "<p>", " " }, []leaf{{"text/html", "", "<p>"}}},
		"preText, shown": {func(c *mail.Content) { c.Text, c.HTML, c.PreText = "", "<p>", "soon" },
			[]leaf{{"text/html", "", mail.WithPreheader("<p>", "soon")}}},
		"AMP": {func(c *mail.Content) { c.HTML, c.AMP = "<p>", "<html ⚡4email>" },
			[]leaf{{Kind: "multipart/alternative"}, {"text/plain", "", "Hello."}, {"text/x-amp-html", "", "<html ⚡4email>"}, {"text/html", "", "<p>"}}},
		"attachments": {func(c *mail.Content) {
			c.HTML = "<p>"
			c.Attachments = []mail.Attachment{{Filename: "Rechnung März.PDF", Content: pdf}, {Filename: "no extension", Content: ""}}
		}, []leaf{{Kind: "multipart/mixed"}, {Kind: "multipart/alternative"}, {"text/plain", "", "Hello."}, {"text/html", "", "<p>"},
			{"application/pdf", "Rechnung März.PDF", "\x00\x01pdf"}, {"application/octet-stream", "no extension", ""}}},
		"text and attachment": {func(c *mail.Content) { c.Attachments = []mail.Attachment{{Filename: "a.csv", Content: pdf}} },
			[]leaf{{Kind: "multipart/mixed"}, {"text/plain", "", "Hello."}, {"text/csv", "a.csv", "\x00\x01pdf"}}},
	} {
		out := outgoing()
		tc.change(out.Content)
		m, parsed := composed(t, out)
		if diff := cmp.Diff(tc.want, leaves(t, parsed.Header.Get, parsed.Body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", name, diff, m.raw)
		}
	}
	out := outgoing()
	out.Content.Attachments = []mail.Attachment{{Filename: "a", Content: "???"}}
	if _, err := compose(out, time.Now()); err == nil {
		t.Error("an attachment that is no base64 is sent")
	}
}

func TestCanCarry(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change      func(*mail.Content)
		code, field string
	}{
		"text":         {func(*mail.Content) {}, "", ""},
		"html":         {func(c *mail.Content) { c.Text, c.HTML = "", "<p>" }, "", ""},
		"both":         {func(c *mail.Content) { c.Template = "welcome" }, "", ""},
		"template":     {func(c *mail.Content) { c.Text, c.Template = "", "welcome" }, "missing_body", "htmlBody"},
		"AMP alone":    {func(c *mail.Content) { c.Text, c.AMP = "", "<html>" }, "missing_body", "htmlBody"},
		"own header":   {func(c *mail.Content) { c.Headers = map[string]string{"X-Own": "1", "List-Id": "<x>"} }, "", ""},
		"metadata":     {func(c *mail.Content) { c.Headers = map[string]string{"Tpsp_Metadata_From": strings.Repeat("x", 2000)} }, "", ""},
		"subject":      {func(c *mail.Content) { c.Headers = map[string]string{"SUBJECT": "x"} }, "invalid_header", "headers.SUBJECT"},
		"content type": {func(c *mail.Content) { c.Headers = map[string]string{"content-Type": "x"} }, "invalid_header", "headers.content-Type"},
		"return path":  {func(c *mail.Content) { c.Headers = map[string]string{"Return-Path": "x"} }, "invalid_header", "headers.Return-Path"},
		"ours":         {func(c *mail.Content) { c.Headers = map[string]string{"x-sendpost-tpsp-id": "9"} }, "invalid_header", "headers.x-sendpost-tpsp-id"},
		"long word":    {func(c *mail.Content) { c.Headers = map[string]string{"X-A": "a " + strings.Repeat("x", 901)} }, "invalid_header", "headers.X-A"},
		"long value":   {func(c *mail.Content) { c.Headers = map[string]string{"X-A": strings.Repeat("word ", 400)} }, "", ""},
	} {
		out := outgoing()
		tc.change(out.Content)
		bad := (&Adapter{}).CanCarry(out.Content, provider.Terms{})
		if tc.code == "" {
			if bad != nil {
				t.Errorf("%s: %v", name, bad)
			} else {
				composed(t, out)
			}
			continue
		}
		if bad == nil || bad.Code != tc.code || bad.Field != tc.field {
			t.Errorf("%s: %+v, want %s at %s", name, bad, tc.code, tc.field)
		}
	}
}

// Whatever a request holds that is accepted, the header of the message ends where it should and names nobody else.
func FuzzCompose(f *testing.F) {
	f.Add("Hello", "Ana", "X-A", "b c", "body\n.\n", "file.txt")
	f.Add("=?utf-8?q?=0D=0ABcc:?=", "A\"<", "List-Id", "\u2028x", "\r\nBcc: eve@example.com\r\n\r\n", "a\".html")
	f.Fuzz(func(t *testing.T, subject, name, header, value, body, file string) {
		for _, line := range []string{subject, value} {
			if strings.ContainsAny(line, "\r\n\x00") {
				return // refused at acceptance, as what follows
			}
		}
		if mail.CheckName(name) != nil || strings.ContainsAny(file, "/\\\r\n\x00") || file == "" || header == "" || len(header) > 128 ||
			strings.ContainsFunc(header, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
			return
		}
		out := outgoing()
		c := out.Content
		c.Subject, c.From.Name, c.Text, c.Headers = subject, name, body, map[string]string{header: value}
		c.Attachments = []mail.Attachment{{Filename: file, Content: "Zg=="}}
		if body == "" || (&Adapter{}).CanCarry(c, provider.Terms{}) != nil {
			return
		}
		m, err := compose(out, time.Now())
		if err != nil {
			return
		}
		parsed, err := netmail.ReadMessage(bytes.NewReader(m.raw))
		if err != nil {
			t.Fatalf("%v\n%q", err, m.raw)
		}
		if parsed.Header.Get("Bcc") != "" || len(parsed.Header["From"]) != 1 || len(parsed.Header["To"]) != 1 || parsed.Header.Get(messageHeader) != testID.String() {
			t.Errorf("%q", m.raw)
		}
	})
}

// A message as an attachment is in base64 like others, which message/rfc822 must not be (RFC 2046 section 5.2.1).
func TestAttachedMessage(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]gomail.ContentType{"a.EML": "application/octet-stream", "a.eml": "application/octet-stream", "a.pdf": "application/pdf"} {
		if got := contentType(file); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
}

// A signature is made of the message as it leaves, and stands at its beginning.
func TestSigned(t *testing.T) {
	t.Parallel()
	out := outgoing()
	unsigned, _ := composed(t, out)
	var seen []byte
	out.Sign = func(message []byte) ([]byte, error) {
		seen = message
		return []byte("DKIM-Signature: v=1;\r\n b=x\r\n"), nil
	}
	m, parsed := composed(t, out)
	if want := "DKIM-Signature: v=1;\r\n b=x\r\n" + string(seen); string(m.raw) != want || parsed.Header.Get("Dkim-Signature") == "" || len(seen) != len(unsigned.raw) {
		t.Errorf("%d bytes signed, %d before:\n%s", len(seen), len(unsigned.raw), m.raw)
	}
	out.Sign = func([]byte) ([]byte, error) { return nil, errors.New("broken") }
	if _, err := compose(out, time.Now()); err == nil || !strings.Contains(err.Error(), "sign: broken") {
		t.Errorf("%v", err)
	}
}

// Mail through an IP does not name a provider.
func TestHeadersThroughAnIP(t *testing.T) {
	t.Parallel()
	out := outgoing()
	out.TPSPID = -3
	_, parsed := composed(t, out)
	for name, want := range map[string]string{"X-Sendpost-Message-Uuid": testID.String(), "X-Sendpost-Tpsp-Id": "", "X-Sendpost-Tpsp-Type": ""} {
		if got := parsed.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
