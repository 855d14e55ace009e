package track

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/route"
)

func signer(key string) *Service { return New(Config{Key: []byte(key)}) }

var sample = claim{action: click, family: event.CustomSMTP, message: uuid.MustParse("0190d0a0-0000-7000-8000-000000000001"), accountID: 7, egress: 3,
	url: "https://example.com/a?b=c#d"}

func TestTokensSayWhatWasSigned(t *testing.T) {
	t.Parallel()
	s := signer("key")
	rapid.Check(t, func(t *rapid.T) {
		want := claim{action: action(rapid.ByteRange(1, 3).Draw(t, "action")), family: event.Family(rapid.ByteRange(0, 6).Draw(t, "family")),
			message: mail.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "message")), accountID: rapid.Int32().Draw(t, "account"),
			egress: route.Egress(rapid.Int32().Draw(t, "egress")), url: rapid.StringN(0, 100, maxURL).Draw(t, "url")}
		got, err := s.read(s.sign(&want), want.action)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *got, cmp.AllowUnexported(claim{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	s := signer("key")
	token := s.sign(&sample)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.read(token, click); err != nil {
		t.Fatal(err)
	}
	refused := func(what, token string, a action) {
		t.Helper()
		if c, err := s.read(token, a); !errors.Is(err, errToken) {
			t.Errorf("%s: %+v (%v)", what, c, err)
		}
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			refused("a changed bit", base64.RawURLEncoding.EncodeToString(raw), click)
			raw[i] ^= 1 << bit
		}
	}
	for n := range token {
		refused("a cut token", token[:n], click)
	}
	refused("for another action", token, open)
	refused("for another action", token, unsubscribe)
	refused("with something after it", token+"A", click)
	refused("with padding", token+"=", click)
	refused("with a line break", token[:9]+"\n"+token[9:], click)
	refused("with a line break at the end", token+"\r\n", click)
	refused("too long", token+strings.Repeat("A", 1<<20), click)
	refused("signed by another installation", signer("another key").sign(&sample), click)
	refused("signed with nothing", base64.RawURLEncoding.EncodeToString(append(raw[:len(raw)-macSize:len(raw)-macSize], make([]byte, macSize)...)), click)
	refused("only a signature", base64.RawURLEncoding.EncodeToString(s.mac(nil)), click)

	// The same bytes have one spelling: the last character of this one has bits that mean nothing.
	spare := len(raw) % 3
	if spare == 0 {
		t.Fatal("the sample's token has no spare bits")
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	refused("spelt in another way", token[:len(token)-1]+alphabet[last+1:last+2], click)
}

// What the key holder signed in a form of its own is refused, not misread.
func TestMalformedClaims(t *testing.T) {
	t.Parallel()
	s := signer("key")
	good := []byte{version1, byte(click), 5}
	good = append(good, sample.message[:]...)
	for name, signed := range map[string][]byte{
		"empty": {}, "no message": good[:10], "no account": good, "no egress": append(good[:len(good):len(good)], 2),
		"another version":     append([]byte{2}, good[1:]...),
		"an endless account":  append(good[:len(good):len(good)], 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80),
		"an account too long": append(good[:len(good):len(good)], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
	} {
		if _, err := s.read(encoding.EncodeToString(append(signed[:len(signed):len(signed)], s.mac(signed)...)), click); !errors.Is(err, errToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	s := signer("key")
	f.Add(s.sign(&sample))
	f.Add("")
	f.Add("AQEFAZDQoAAAcACAAAAAAAAAAQ")
	f.Fuzz(func(t *testing.T, token string) {
		for _, a := range []action{open, click, unsubscribe} {
			if c, err := s.read(token, a); err == nil && s.sign(c) != token {
				t.Errorf("%q reads as %+v, which is written otherwise", token, c)
			}
		}
	})
}

// TestTokensOfOldMail pins the form: addresses in mail that was sent have to work for years.
func TestTokensOfOldMail(t *testing.T) {
	t.Parallel()
	s := signer("key")
	const token = "AQIFAZDQoAAAcACAAAAAAAAAAQ4GaHR0cHM6Ly9leGFtcGxlLmNvbS9hP2I9YyNk1G2l-QgTHa0ZiAXgL1qAZQ"
	if got := s.sign(&sample); got != token {
		t.Errorf("signed %s", got)
	}
	if c, err := s.read(token, click); err != nil || *c != sample {
		t.Errorf("%+v (%v)", c, err)
	}
}
