package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

const leak = "tok-3f9a-LEAK"

// TestSecretsDoNotPrint tries every way in which a value usually reaches a log.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	s := NewString(leak)
	key := NewKey()
	type holder struct {
		Open   String
		hidden String
		key    Key
		ptr    *String
	}
	h := holder{Open: s, hidden: s, key: key, ptr: &s}
	forbidden := []string{
		leak, fmt.Sprintf("%x", leak), fmt.Sprintf("%X", leak), fmt.Sprint([]byte(leak)),
		key.Encode(), fmt.Sprintf("%x", key.raw.Reveal()), strings.Trim(fmt.Sprint([]byte(key.raw.Reveal())), "[]"),
	}
	values := map[string]any{
		"String": s, "*String": &s, "Key": key, "*Key": &key, "struct": h, "*struct": &h, "slice": []String{s},
		"map": map[string]String{"k": s}, "any": []any{s, key}, "Box": NewBox(key),
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%10.3s", "%T"} {
			wantNoSecret(t, name+" "+verb, fmt.Sprintf(verb, v), forbidden)
		}
		wantNoSecret(t, name+" Sprint", fmt.Sprint(v), forbidden)
		wantNoSecret(t, name+" error", fmt.Errorf("send: %v", v).Error(), forbidden)
		var text, js bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&js, nil)).Info("m", "v", v)
		wantNoSecret(t, name+" slog text", text.String(), forbidden)
		wantNoSecret(t, name+" slog JSON", js.String(), forbidden)
		b, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantNoSecret(t, name+" json", string(b), forbidden)
	}
}

func wantNoSecret(t *testing.T, how, got string, forbidden []string) {
	t.Helper()
	for _, f := range forbidden {
		if strings.Contains(got, f) {
			t.Errorf("%s shows a secret: %s", how, got)
		}
	}
}

func TestStringShowsThatItIsSetOrEmpty(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		s              String
		text, quoted   string
		revealed, json string
	}{
		{NewString(leak), "[redacted]", `"[redacted]"`, leak, `"[redacted]"`},
		{NewString(""), "", `""`, "", `""`},
		{String{}, "", `""`, "", `""`},
	} {
		b, err := json.Marshal(tc.s)
		if err != nil {
			t.Fatal(err)
		}
		text, err := tc.s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		got := []string{tc.s.String(), fmt.Sprint(tc.s), fmt.Sprintf("%#v", tc.s), tc.s.GoString(), tc.s.Reveal(), string(b), string(text)}
		want := []string{tc.text, tc.text, tc.quoted, tc.quoted, tc.revealed, tc.json, tc.text}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("form %d = %q, want %q", i, got[i], want[i])
			}
		}
	}
}

func TestStringEqual(t *testing.T) {
	t.Parallel()
	if !NewString(leak).Equal(NewString(leak)) || NewString(leak).Equal(NewString(leak+"x")) {
		t.Error("Equal does not compare the texts")
	}
	if !(String{}).Equal(NewString("")) {
		t.Error("the zero String is not the empty text")
	}
}

func TestStringReadsJSONButNotItsOwnRedaction(t *testing.T) {
	t.Parallel()
	var in struct{ Key String }
	if err := json.Unmarshal([]byte(`{"Key":"`+leak+`"}`), &in); err != nil || in.Key.Reveal() != leak {
		t.Errorf("Unmarshal: %q, %v", in.Key.Reveal(), err)
	}
	out, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &in); err == nil {
		t.Errorf("read %s back as a secret", out)
	}
	if in.Key.Reveal() != leak {
		t.Error("a refused value replaced the secret")
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                     "",
		"a":                    "****",
		"1234567":              "****",
		"12345678":             "****5678",
		"POSTMARK-TOKEN-abcd":  "****abcd",
		"pässwörtß":            "****örtß",
		"ünïcödé":              "****", // seven characters, more bytes
		"\xff\xff\xffabcd\xff": "****bcd\uFFFD",
	} {
		if got := Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
	if got := NewString("POSTMARK-TOKEN-abcd").Mask(); got != "****abcd" {
		t.Errorf("String.Mask = %q", got)
	}
}

func TestMaskProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringN(1, -1, -1).Draw(t, "secret")
		m := Mask(s)
		if !IsMasked(m) {
			t.Fatalf("IsMasked(%q) = false", m)
		}
		if n := utf8.RuneCountInString(m); n != 4 && n != 8 {
			t.Fatalf("Mask(%q) = %q tells more than four characters", s, m)
		}
	})
}

func TestIsMasked(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"****abcd": true, "****": true, "****äöüß": true,
		"": false, "***": false, "abcd": false, "****abc": false, "****abcde": false, "*****": false, "x****abcd": false,
	} {
		if got := IsMasked(in); got != want {
			t.Errorf("IsMasked(%q) = %v", in, got)
		}
	}
}
