package compose

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

func composed(t *testing.T, out *provider.Outgoing) (*Message, *netmail.Message) {
	t.Helper()
	m, err := Form{Reserved: []string{"x-steer-"}}.Write(out, map[string]string{"X-Ours": "7"}, time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.SplitSeq(m.Raw, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
			t.Errorf("a line of %d bytes, or with a lone line break: %.80q", len(line), line)
		}
	}
	for _, b := range m.Raw {
		if b >= 0x80 {
			t.Fatal("the message is not 7-bit")
		}
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		t.Fatalf("%v:\n%s", err, m.Raw)
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
		"subject": "evil", "BCC": "eve@example.com", "Content-Type": "text/evil", "X-Sendpost-Message-UUID": "evil", "Dkim-Signature": "evil", "X-STEER-x": "evil"}
	delete(c.Headers, "X-Näme")
	out.Recipient.Name = "Ana 李"
	out.Recipient.CC = []mail.Address{{Email: "c1@copy.example", Name: "C One"}, {Email: "c2@copy.example"}}
	out.Recipient.BCC = []mail.Address{{Email: "b1@copy.example"}, {Email: "C2@copy.example"}}
	m, parsed := composed(t, out)

	if diff := cmp.Diff([]string{"ana@recipient.example", "c1@copy.example", "c2@copy.example", "b1@copy.example"}, m.To); diff != "" || m.From != "shop@example.com" {
		t.Errorf("envelope from %s (-want +got):\n%s", m.From, diff)
	}
	for name, want := range map[string]string{
		"Subject": c.Subject, "Date": "Mon, 02 Mar 2026 10:00:00 +0000", "Message-Id": "<" + testID.String() + "@example.com>", "X-Order": "42",
		"X-Text": "Größe", "List-Unsubscribe": c.Headers["List-Unsubscribe"], "Bcc": "", "Dkim-Signature": "", "Tpsp_metadata_order": "", "Tpsp_metadata_x": "",
		"Mime-Version": "1.0", "User-Agent": "", "X-Mailer": "",
		"X-Sendpost-Message-Uuid": "", "X-Ours": "7", "X-Steer-X": "",
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
	if bytes.Contains(m.Raw, []byte("b1@copy.example")) || bytes.Contains(m.Raw, []byte("evil")) {
		t.Errorf("what should not be there is:\n%s", m.Raw)
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
			t.Errorf("%s (-want +got):\n%s\n%s", name, diff, m.Raw)
		}
	}
	out := outgoing()
	out.Content.Attachments = []mail.Attachment{{Filename: "a", Content: "???"}}
	if _, err := (Form{}).Write(out, map[string]string{"X-Ours": out.ID.String()}, time.Now()); err == nil {
		t.Error("an attachment that is no base64 is sent")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	form := Form{Reserved: []string{"x-steer-"}}
	for name, tc := range map[string]struct {
		headers map[string]string
		field   string
	}{
		"none":         {nil, ""},
		"own header":   {map[string]string{"X-Own": "1", "List-Id": "<x>"}, ""},
		"metadata":     {map[string]string{"Tpsp_Metadata_From": strings.Repeat("x", 2000)}, ""},
		"subject":      {map[string]string{"SUBJECT": "x"}, "headers.SUBJECT"},
		"content type": {map[string]string{"content-Type": "x"}, "headers.content-Type"},
		"return path":  {map[string]string{"Return-Path": "x"}, "headers.Return-Path"},
		"ours":         {map[string]string{"x-sendpost-tpsp-id": "9"}, "headers.x-sendpost-tpsp-id"},
		"reserved":     {map[string]string{"X-Steer-To": "9"}, "headers.X-Steer-To"},
		"the first":    {map[string]string{"Subject": "x", "Date": "x"}, "headers.Date"},
		"long word":    {map[string]string{"X-A": "a " + strings.Repeat("x", 901)}, "headers.X-A"},
		"long value":   {map[string]string{"X-A": strings.Repeat("word ", 400)}, ""},
	} {
		bad := form.Check(tc.headers)
		if tc.field == "" {
			if bad != nil {
				t.Errorf("%s: %v", name, bad)
			}
			out := outgoing()
			out.Content.Headers = tc.headers
			composed(t, out)
			continue
		}
		if bad == nil || bad.Code != "invalid_header" || bad.Field != tc.field {
			t.Errorf("%s: %+v, want one at %s", name, bad, tc.field)
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
		if body == "" || (Form{}).Check(c.Headers) != nil {
			return
		}
		m, err := (Form{}).Write(out, map[string]string{"X-Ours": out.ID.String()}, time.Now())
		if err != nil {
			return
		}
		parsed, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
		if err != nil {
			t.Fatalf("%v\n%q", err, m.Raw)
		}
		if parsed.Header.Get("Bcc") != "" || len(parsed.Header["From"]) != 1 || len(parsed.Header["To"]) != 1 || len(parsed.Header["X-Ours"]) != 1 {
			t.Errorf("%q", m.Raw)
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
	if want := "DKIM-Signature: v=1;\r\n b=x\r\n" + string(seen); string(m.Raw) != want || parsed.Header.Get("Dkim-Signature") == "" || len(seen) != len(unsigned.Raw) {
		t.Errorf("%d bytes signed, %d before:\n%s", len(seen), len(unsigned.Raw), m.Raw)
	}
	out.Sign = func([]byte) ([]byte, error) { return nil, errors.New("broken") }
	if _, err := (Form{}).Write(out, map[string]string{"X-Ours": out.ID.String()}, time.Now()); err == nil || !strings.Contains(err.Error(), "sign: broken") {
		t.Errorf("%v", err)
	}
}
