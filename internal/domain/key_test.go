package domain

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"postyard/internal/domain/dkimtest"
	"postyard/internal/store"
)

const letter = "From: Shop <shop@example.com>\r\nTo: ana@example.net\r\nSubject: Hello\r\n  there\r\nDate: Thu, 26 Nov 2026 04:00:00 +0000\r\n" +
	"Message-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nList-Unsubscribe: <https://example.com/u>\r\n" +
	"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nX-Other: x\r\n\r\nHello  \r\n.\r\n\r\nthere\r\n\r\n\r\n"

// verified has both a library and the RFC verify a signature.
func (w *world) verified(message []byte) (map[string]string, error) {
	txt := func(name string) ([]string, error) { return w.Resolver.TXT(w.t.Context(), name) }
	tags, err := dkimtest.Verify(message, txt)
	list, failed := dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{LookupTXT: txt})
	if failed != nil || len(list) != 1 {
		return tags, fmt.Errorf("%d signatures, %w, %w", len(list), failed, err)
	}
	if (list[0].Err == nil) != (err == nil) {
		w.t.Errorf("the library says %v, the RFC %v", list[0].Err, err)
	}
	return tags, errors.Join(err, list[0].Err)
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.create(w.sub, "example.com")
	sign, err := w.Signer(t.Context(), w.sub.AccountID, w.sub.ID, "example.com")
	if err != nil || sign != nil {
		t.Fatalf("a key that is not in DNS signs: %v", err)
	}
	w.publish(d)
	w.verify(d)
	if sign, err = w.Signer(t.Context(), w.sub.AccountID, w.sub.ID, "example.com"); err != nil || sign == nil {
		t.Fatalf("no signer: %v", err)
	}
	for name, message := range map[string]string{
		"letter": letter, "no body": letter[:strings.Index(letter, "\r\n\r\n")+4], "no end of line": strings.TrimRight(letter, "\r\n"),
		"big": letter + strings.Repeat("0123456789abcdef\r\n", 5_000),
	} {
		field, err := sign([]byte(message))
		w.must(err)
		signed := slices.Concat(field, []byte(message))
		tags, err := w.verified(signed)
		if err != nil || tags["d"] != "example.com" || tags["s"] != "sp-dkim" {
			t.Errorf("%s: %v, %v", name, err, tags)
		}
		const h = "From:From:To:To:Cc:Subject:Subject:Date:Date:Message-ID:Message-ID:Reply-To:MIME-Version:Content-Type:Content-Type:List-Unsubscribe:List-Unsubscribe-Post"
		if tags["h"] != h {
			t.Errorf("%s: signed are %s", name, tags["h"])
		}
		for change, altered := range map[string][]byte{
			"another subject": bytes.Replace(signed, []byte("Hello"), []byte("Hallo"), 1),
			"another From":    slices.Concat(field, []byte("From: boss@example.com\r\n"), []byte(message)),
			"a Reply-To":      slices.Concat(field, []byte("Reply-To: thief@example.net\r\n"), []byte(message)),
			"another link":    bytes.Replace(signed, []byte("https://"), []byte("http://"), 1),
			"another body":    append(slices.Clone(signed), "more\r\n"...),
		} {
			if _, err := w.verified(altered); err == nil {
				t.Errorf("%s, %s: still verified", name, change)
			}
		}
		if name != "no end of line" {
			if _, err := w.verified(slices.Concat(field, []byte("X-Received: by a relay\r\n"), []byte(message))); err != nil {
				t.Errorf("%s: a relay's field: %v", name, err)
			}
		}
	}
	if _, err := sign([]byte("no header")); err == nil {
		t.Error("something that is no message was signed")
	}
}

// Whose key signs: the nearest domain above that is verified, the sub-account's own before others of the account, never another account's.
func TestWhoSigns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	apex, below := w.create(w.other, "example.com"), w.create(w.sub, "news.example.com")
	alien := w.create(w.alien, "alien.com")
	for _, d := range []struct {
		from string
		want string
	}{{"example.com", ""}, {"news.example.com", ""}} {
		if sign, err := w.Signer(t.Context(), w.sub.AccountID, w.sub.ID, d.from); sign != nil || err != nil {
			t.Errorf("before: %s is signed, %v", d.from, err)
		}
	}
	w.publish(apex)
	w.verify(apex)
	w.publish(alien)
	w.verify(alien)
	signs := func(from string) string {
		t.Helper()
		sign, err := w.Signer(t.Context(), w.sub.AccountID, w.sub.ID, from)
		w.must(err)
		if sign == nil {
			return ""
		}
		field, err := sign([]byte(strings.ReplaceAll(letter, "example.com", from)))
		w.must(err)
		tags, err := w.verified(slices.Concat(field, []byte(strings.ReplaceAll(letter, "example.com", from))))
		w.must(err)
		return tags["d"]
	}
	want := func(expected map[string]string) {
		t.Helper()
		for from, name := range expected {
			if got := signs(from); got != name {
				t.Errorf("%s is signed by %q, want %q", from, got, name)
			}
		}
	}
	want(map[string]string{"example.com": "example.com", "a.b.example.com": "example.com", "news.example.com": "example.com",
		"notexample.com": "", "com": "", "alien.com": "", "x.alien.com": ""})
	w.publish(below)
	w.verify(below)
	want(map[string]string{"news.example.com": "news.example.com", "x.news.example.com": "news.example.com", "example.com": "example.com"})
	w.zone.Remove(w.Records(apex).DKIM.Host)
	w.verify(apex)
	want(map[string]string{"example.com": "", "news.example.com": "news.example.com"})
	_, err := w.Delete(t.Context(), w.sub, below.ID)
	w.must(err)
	want(map[string]string{"news.example.com": ""})
}

// away is a store whose keys cannot be read.
type away struct{ Store }

func (away) DomainKey(context.Context, int32) ([]byte, error) { return nil, store.ErrUnavailable }

func TestKeyThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.create(w.sub, "example.com")
	w.publish(d)
	w.verify(d)
	there := w.Store
	w.Store = away{there}
	if sign, err := w.Signer(t.Context(), w.sub.AccountID, w.sub.ID, "example.com"); sign != nil || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	w.Store = there
	if sign, err := w.Signer(t.Context(), w.sub.AccountID, w.sub.ID, "example.com"); sign == nil || err != nil {
		t.Errorf("%v", err)
	}
	w.Store = away{there} // from now on it is in memory
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			if sign, err := w.Signer(t.Context(), w.sub.AccountID, w.sub.ID, "example.com"); sign == nil || err != nil {
				t.Errorf("%v", err)
			}
		})
	}
	asking.Wait()
	sealed, err := there.DomainKey(t.Context(), d.ID)
	w.must(err)
	if _, err := x509.ParsePKCS8PrivateKey(sealed); err == nil {
		t.Error("the key is stored as it is")
	}
}

// The names of fields are found whatever the message looks like.
func TestSignedFields(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"":                                "From To Cc Subject Date Message-ID Reply-To Content-Type",
		"FROM: a\r\nfrom: b\r\n\r\nTo: c": "From From From To Cc Subject Date Message-ID Reply-To Content-Type",
		"From: a\r\n To: c\r\nFeedback-ID: x\r\n": "From From To Cc Subject Date Message-ID Reply-To Content-Type Feedback-ID",
	} {
		if got := strings.Join(signedFields([]byte(message)), " "); got != want {
			t.Errorf("%q: %s", message, got)
		}
	}
}

func benchmarkMessage(size int) []byte {
	return []byte(letter + strings.Repeat("0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\r\n", size/66))
}

func BenchmarkSign(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		b.Fatal(err)
	}
	sign := signWith("example.com", selector, key)
	for _, size := range []int{0, 20 << 10, 1 << 20} {
		message := benchmarkMessage(size)
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sign(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("RSA alone", func(b *testing.B) {
		hash := make([]byte, 32)
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(rand.Reader, key, 5, hash); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMakeKey(b *testing.B) {
	for b.Loop() {
		if _, err := rsa.GenerateKey(rand.Reader, keyBits); err != nil {
			b.Fatal(err)
		}
	}
}
