package secret

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	raw := make([]byte, keySize)
	for i := range raw {
		raw[i] = byte(0xff - i) // gives + and / in base64
	}
	want, err := ParseKey(hex.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"upper-case hex": strings.ToUpper(hex.EncodeToString(raw)),
		"base64":         base64.StdEncoding.EncodeToString(raw),
		"unpadded":       base64.RawStdEncoding.EncodeToString(raw),
		"URL alphabet":   base64.URLEncoding.EncodeToString(raw),
		"white space":    " " + base64.StdEncoding.EncodeToString(raw) + "\r\n",
		"encoded":        want.Encode(),
	} {
		if got, err := ParseKey(text); err != nil || !got.Equal(want) || got.raw.Reveal() != string(raw) {
			t.Errorf("%s: ParseKey = %x, %v", name, got.raw.Reveal(), err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":           "",
		"a password":      "correct horse battery staple",
		"31 bytes":        base64.StdEncoding.EncodeToString(make([]byte, 31)),
		"33 bytes":        base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 33))),
		"64 but not hex":  strings.Repeat("zz", 32),
		"63 hex digits":   strings.Repeat("a", 63),
		"all zero":        strings.Repeat("0", 64),
		"two keys":        NewKey().Encode() + NewKey().Encode(),
		"inner new line":  NewKey().Encode()[:22] + "\n" + NewKey().Encode()[22:],
		"too much padded": NewKey().Encode() + "=",
	} {
		key, err := ParseKey(text)
		if err == nil || !key.IsZero() {
			t.Errorf("%s: accepted", name)
			continue
		}
		if len(text) > 4 && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(strings.Repeat("ab", 32))
	f.Add("_-==")
	f.Fuzz(func(t *testing.T, s string) {
		key, err := ParseKey(s)
		if err != nil {
			return
		}
		again, err := ParseKey(key.Encode())
		if err != nil || !again.Equal(key) {
			t.Fatalf("a key that was read does not survive Encode: %v", err)
		}
	})
}
