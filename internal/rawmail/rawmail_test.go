package rawmail

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
)

// crlf writes lines as they are on the wire.
func crlf(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n")) }

var whole = crlf(
	"Received: from a by b; Thu, 26 Nov 2026 04:00:00 +0000",
	"Received: from c by a; Thu, 26 Nov 2026 04:00:00 +0000",
	"DKIM-Signature: v=1; a=rsa-sha256; d=example.com",
	`From: =?iso-8859-1?q?J=FCrgen?= <juergen@example.com>`,
	"Reply-To: help@example.com",
	`To: "Ana, B." <ana@example.com>, Team: bob@example.com, eve@example.com;`,
	"Cc:",
	"Bcc: hidden@example.com",
	"Subject: =?utf-8?b?R3LDvMOfZQ==?=",
	" and more",
	"Date: Thu, 26 Nov 2026 04:00:00 +0000",
	"Message-ID: <a@b>",
	"MIME-Version: 1.0",
	"TPSP_METADATA_order: 7",
	"x-mine: folded",
	"  twice",
	"Content-Type: multipart/mixed; boundary=outer",
	"", "preamble",
	"--outer", "Content-Type: multipart/alternative; boundary=\"in ner\"", "",
	"--in ner", "Content-Type: text/plain; charset=windows-1252", "Content-Transfer-Encoding: 8bit", "", "100 \x80",
	"--in ner", "Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: quoted-printable", "", "<p>100 =E2=82=AC=", "</p>",
	"--in ner--",
	"--outer", "Content-Type: application/pdf", "Content-Disposition: attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf", "Content-Transfer-Encoding: base64", "", "aGVs", "bG8=",
	"--outer", "Content-Type: text/csv; charset=iso-8859-1; name=\"a/b.csv\"", "Content-Disposition: attachment", "", "\xfc",
	"--outer", "Content-Type: text/plain", "", "a footer",
	"--outer", "Content-Type: message/rfc822", "", "Subject: inner", "", "text",
	"--outer--", "epilogue")

func TestWholeMail(t *testing.T) {
	t.Parallel()
	got, err := Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, content string) mail.Attachment {
		return mail.Attachment{Filename: name, Content: base64.StdEncoding.EncodeToString([]byte(content))}
	}
	want := &Mail{
		Content: mail.Content{From: mail.Address{Email: "juergen@example.com", Name: "Jürgen"}, ReplyTo: &mail.Address{Email: "help@example.com"},
			Subject: "Grüße and more", Text: "100 €", HTML: "<p>100 €</p>",
			Headers: map[string]string{"TPSP_METADATA_order": "7", "x-mine": "folded twice"},
			Attachments: []mail.Attachment{file("Grüße.pdf", "hello"), file("a_b.csv", "\xfc"), file("part-3.txt", "a footer"),
				file("part-4.eml", "Subject: inner\r\n\r\ntext")}},
		To:  []mail.Address{{Email: "ana@example.com", Name: "Ana, B."}, {Email: "bob@example.com"}, {Email: "eve@example.com"}},
		BCC: []mail.Address{{Email: "hidden@example.com"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPlainMail(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte("From: a@example.com\nTo: undisclosed-recipients:;\nSubject: x\n\nHello\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Mail{Content: mail.Content{From: mail.Address{Email: "a@example.com"}, Subject: "x", Text: "Hello\n"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// nested is a mail of so many multiparts within one another.
func nested(depth int) []byte {
	var b strings.Builder
	b.WriteString("From: a@example.com\r\n")
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\nx\r\n")
	for i := depth - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "\r\n--b%d--\r\n", i)
	}
	return []byte(b.String())
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	if _, err := Parse(nested(maxDepth)); err != nil {
		t.Errorf("%d deep: %v", maxDepth, err)
	}
	const mixed = "Content-Type: multipart/mixed; boundary=b"
	for name, c := range map[string]struct {
		raw   []byte
		code  string
		field string
	}{
		"nothing":               {nil, "malformed_mail", ""},
		"no header":             {[]byte("hello"), "malformed_mail", ""},
		"too deep":              {nested(maxDepth + 1), "malformed_mail", ""},
		"too many parts":        {crlf(mixed, "", strings.Repeat("--b\r\n\r\nx\r\n", maxParts)+"--b--"), "malformed_mail", ""},
		"no end":                {crlf(mixed, "", "--b", "", "x"), "malformed_mail", ""},
		"no boundary":           {crlf("Content-Type: multipart/mixed", "", "x"), "malformed_mail", "Content-Type"},
		"a type that is none":   {crlf("Content-Type: ///", "", "x"), "malformed_mail", "Content-Type"},
		"an unknown encoding":   {crlf("Content-Transfer-Encoding: x-uuencode", "", "x"), "unsupported", "Content-Transfer-Encoding"},
		"not base64":            {crlf("Content-Transfer-Encoding: base64", "", "###"), "malformed_mail", ""},
		"an unknown charset":    {crlf("Content-Type: text/plain; charset=klingon", "", "x"), "unsupported", "Content-Type"},
		"signed":                {crlf("Content-Type: multipart/signed; boundary=b", "", "--b--"), "unsupported", "Content-Type"},
		"encrypted":             {crlf("Content-Type: multipart/encrypted; boundary=b", "", "--b--"), "unsupported", "Content-Type"},
		"two senders":           {crlf("From: a@example.com, b@example.com", "", "x"), "unsupported", "From"},
		"two to reply to":       {crlf("Reply-To: a@example.com, b@example.com", "", "x"), "unsupported", "Reply-To"},
		"too many addresses":    {crlf("To: "+strings.Repeat("a@example.com, ", mail.MaxRecipients)+"a@example.com", "", "x"), "unsupported", "To"},
		"two subjects":          {crlf("Subject: a", "Subject: b", "", "x"), "malformed_mail", "Subject"},
		"a header twice":        {crlf("X-A: a", "x-a: b", "", "x"), "unsupported", "x-a"},
		"addresses that are no": {crlf("To: <<>>", "", "x"), "malformed_mail", "To"},
		"an image in the text": {crlf("Content-Type: multipart/related; boundary=b", "", "--b", "Content-Type: text/html", "", `<img src="cid:logo@x">`,
			"--b", "Content-Type: image/png", "Content-ID: <logo@x>", "", "x", "--b--"), "unsupported", ""},
	} {
		got, err := Parse(c.raw)
		bad, ok := errors.AsType[*mail.FieldError](err)
		if !ok || bad.Code != c.code || bad.Field != c.field || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Nothing that anybody sends makes a panic, a text that is not UTF-8, or a file name that breaks a header.
func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add(nested(3))
	f.Add([]byte("From: a@example.com\nTo: undisclosed-recipients:;\n\nHello\n"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-ID: <a>\r\n\r\nx\r\n--b--"))
	f.Add([]byte("Subject: =?utf-7?q?a?=\r\nContent-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Parse(raw)
		if err != nil {
			if _, ok := errors.AsType[*mail.FieldError](err); !ok || got != nil || !utf8.ValidString(err.Error()) {
				t.Fatalf("%+v, %v", got, err)
			}
			return
		}
		c := got.Content
		texts := []string{c.Subject, c.Text, c.HTML, c.AMP, c.From.Name}
		for name, value := range c.Headers {
			texts = append(texts, value)
			if strings.ContainsAny(value, "\r\n") || mail.Structural(name) {
				t.Errorf("header %q: %q", name, value)
			}
		}
		for _, a := range append(append(got.To, got.CC...), got.BCC...) {
			texts = append(texts, a.Name)
		}
		for _, a := range c.Attachments {
			texts = append(texts, a.Filename)
			if a.Filename == "" || strings.ContainsAny(a.Filename, "/\\\r\n\x00") {
				t.Errorf("file %q", a.Filename)
			}
			if _, err := base64.StdEncoding.DecodeString(a.Content); err != nil {
				t.Error(err)
			}
		}
		for _, text := range texts {
			if !utf8.ValidString(text) {
				t.Errorf("%q is not UTF-8", text)
			}
		}
	})
}
