package mimeview_test

import (
	"slices"
	"testing"

	"postyard/internal/sandbox/mimeview"
	"postyard/internal/sandbox/store"
)

const nested = "From: =?utf-8?q?An=C3=A4?= <a@example.com>\r\nTo: b@example.net\r\nCc: c@example.net\r\nSubject: a\r\n long one\r\n" +
	"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n" +
	"--i\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4\r\n--i\r\nContent-Type: text/html\r\n\r\n<p>\r\n--i--\r\n" +
	"--o\r\nContent-Type: application/pdf; name=x\r\nContent-Disposition: attachment; filename=\"=?utf-8?q?=C3=A4?=.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--o--\r\n"

func TestRead(t *testing.T) {
	t.Parallel()
	v := store.View{From: "envelope"}
	mimeview.Read(&v, []byte(nested))
	if v.From != "Anä <a@example.com>" || v.To != "b@example.net" || v.Cc != "c@example.net" || v.Subject != "a long one" || v.Text != "ä" || v.HTML != "<p>" ||
		!slices.Equal(v.Attachments, []store.Attachment{{Name: "ä.pdf", ContentType: "application/pdf", Size: 2}}) || v.RenderError != "" {
		t.Errorf("%+v", v)
	}
	if got := mimeview.Unnamed([]string{"B@example.net", "d@example.net"}, []byte(nested)); !slices.Equal(got, []string{"d@example.net"}) {
		t.Errorf("%q", got)
	}
	broken := store.View{From: "envelope"}
	mimeview.Read(&broken, []byte("no header"))
	if broken.From != "envelope" || broken.Text != "no header" || broken.RenderError == "" {
		t.Errorf("%+v", broken)
	}
}

// Any bytes can be read.
func FuzzRead(f *testing.F) {
	f.Add([]byte(nested))
	f.Add([]byte("Content-Type: multipart/mixed\r\n\r\n--\r\n\r\n----"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v store.View
		mimeview.Read(&v, raw)
		if len(v.Text)+len(v.HTML) > 3*len(raw) {
			t.Errorf("%d bytes became %d", len(raw), len(v.Text)+len(v.HTML))
		}
		mimeview.Header(raw)
		mimeview.Unnamed([]string{"a@example.net"}, raw)
	})
}
