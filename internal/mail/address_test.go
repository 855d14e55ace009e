package mail

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseEmail(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", maxLabel)
	for in, want := range map[string]string{
		"ada@example.com":                       "ada@example.com",
		"  ada@example.com\t\n":                 "ada@example.com",
		"Ada.Lovelace@EXAMPLE.Com":              "Ada.Lovelace@example.com", // the local part belongs to its host
		"ada+tag=x@mail.example.co.uk":          "ada+tag=x@mail.example.co.uk",
		"!#$%&'*+-/=?^_`{|}~@example.com":       "!#$%&'*+-/=?^_`{|}~@example.com",
		"ada@example.com.":                      "ada@example.com",
		"ada@xn--mnchen-3ya.de":                 "ada@xn--mnchen-3ya.de",
		"ada@münchen.de":                        "ada@xn--mnchen-3ya.de",
		"ada@MÜNCHEN.de":                        "ada@xn--mnchen-3ya.de",
		"ada@例え.テスト":                            "ada@xn--r8jz45g.xn--zckzah",
		"ada@1and1.com":                         "ada@1and1.com",
		"ada@_dmarc.example.com":                "ada@_dmarc.example.com",
		strings.Repeat("a", 64) + "@b.com":      strings.Repeat("a", 64) + "@b.com",
		"a@" + long + ".com":                    "a@" + long + ".com",
		"a@" + strings.Repeat("b.", 124) + "cc": "a@" + strings.Repeat("b.", 124) + "cc", // 252 octets
	} {
		got, err := ParseEmail(in)
		if err != nil || got != want {
			t.Errorf("ParseEmail(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestParseEmailRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, words string }{
		{"", "empty"},
		{" \t ", "empty"},
		{"ada", "no @"},
		{"ada.example.com", "no @"},
		{"@example.com", "before the @"},
		{"ada@", "a domain has 1 to"},
		{"ada@.", "a domain has 1 to"},
		{"ada@localhost", "needs a dot"},
		{"ada@127.0.0.1", "not a number"},
		{"ada@[127.0.0.1]", "invalid part"},
		{"ada@example..com", "invalid part"},
		{"ada@.example.com", "invalid part"},
		{"ada@example.com..", "invalid part"},
		{"ada@-example.com", "invalid part"},
		{"ada@example-.com", "invalid part"},
		{"ada@exa mple.com", "invalid part"},
		{"ada@example.com>", "invalid part"},
		{"ada@example.com\r\nBcc: eve@example.com", "'@'"}, // the last @ counts
		{"ada@example.com\x00", "invalid part"},
		{"ada@exämple..de", "domain"},
		{"ada@ex\u202emple.com", "international"},
		{"ada@\xff\xfe.com", "international"},
		{"ada@b@example.com", "'@'"},
		{"Ada <ada@example.com>", "' '"},
		{`"ada l"@example.com`, "'\"'"},
		{"ada,bob@example.com", "','"},
		{"ädä@example.com", "not allowed before the @"},
		{".ada@example.com", "a dot must stand"},
		{"ada.@example.com", "a dot must stand"},
		{"a..da@example.com", "a dot must stand"},
		{strings.Repeat("a", 65) + "@example.com", "more than 64"},
		{"a@" + strings.Repeat("b", 64) + ".com", "invalid part"},
		{"a@" + strings.Repeat("b.", 127) + "com", "1 to 253"},
		{strings.Repeat("a", 60) + "@" + strings.Repeat("b.", 100) + "com", "at most 254"},
	} {
		got, err := ParseEmail(test.in)
		if err == nil {
			t.Errorf("ParseEmail(%q) = %q, want an error", test.in, got)
			continue
		}
		if got != "" || !strings.Contains(err.Error(), test.words) {
			t.Errorf("ParseEmail(%q) = %q, %q, want words %q", test.in, got, err, test.words)
		}
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, seed := range []string{"ada@example.com", " A.b+c@MÜNCHEN.de. ", "a@b@c.d", "ada@exa\u212aple.com", "a@xn--a.b", "a@。com", "@", "a@1.2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ParseEmail(in)
		if err != nil {
			if got != "" || len(err.Error()) > 600 || !utf8.ValidString(err.Error()) {
				t.Fatalf("ParseEmail(%q) = %q, %q", in, got, err)
			}
			return
		}
		again, err := ParseEmail(got)
		if err != nil || again != got {
			t.Fatalf("ParseEmail(%q) = %q, which parses to %q, %v", in, got, again, err)
		}
		local, domain, _ := strings.Cut(got, "@")
		if local == "" || strings.Contains(domain, "@") || Domain(got) != domain || len(got) > maxAddress {
			t.Fatalf("ParseEmail(%q) = %q", in, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>()[]\,;:"`, r) }) {
			t.Fatalf("ParseEmail(%q) = %q, which would break a header", in, got)
		}
		if domain != strings.ToLower(domain) || !strings.Contains(domain, ".") {
			t.Fatalf("ParseEmail(%q): domain %q", in, domain)
		}
	})
}

func TestDomain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"ada@Example.COM": "example.com", "a@b@c.de": "c.de", "": "", "Nowhere": "nowhere"} {
		if got := Domain(in); got != want {
			t.Errorf("Domain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "Ada Lovelace", `Ada "The Countess" Lovelace, PhD <x>`, "Zoë 李", strings.Repeat("n", 255)} {
		if err := CheckName(good); err != nil {
			t.Errorf("CheckName(%q): %v", good, err)
		}
	}
	for _, bad := range []string{"Ada\r\nBcc: eve@example.com", "Ada\n", "A\x00da", "A\tda", "A\x7fda", strings.Repeat("n", 256)} {
		if CheckName(bad) == nil {
			t.Errorf("CheckName(%q) = nil, want an error", bad)
		}
	}
}
