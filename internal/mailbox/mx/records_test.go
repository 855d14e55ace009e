package mx

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"postyard/internal/mailbox"
)

func TestOf(t *testing.T) {
	t.Parallel()
	google, microsoft, proofpoint := "aspmx.l.google.com.", "contoso-com.mail.protection.outlook.com.", "mx0a-1.pphosted.com."
	own := "mail.contoso.com."
	var many []*net.MX
	for i := range most {
		many = append(many, &net.MX{Host: fmt.Sprintf("mx%d.contoso.com.", i), Pref: 10})
	}
	for name, tc := range map[string]struct {
		records []*net.MX
		want    mailbox.Class
		none    bool
	}{
		"one":                        {records: []*net.MX{{Host: google, Pref: 1}}, want: mailbox.GoogleWorkspace},
		"capitals":                   {records: []*net.MX{{Host: "ASPMX.L.GOOGLE.COM", Pref: 1}}, want: mailbox.GoogleWorkspace},
		"the best preference":        {records: []*net.MX{{Host: microsoft, Pref: 20}, {Host: google, Pref: 10}}, want: mailbox.GoogleWorkspace},
		"the best is not known":      {records: []*net.MX{{Host: google, Pref: 30}, {Host: microsoft, Pref: 20}, {Host: own, Pref: 10}}, want: mailbox.Office365},
		"gateway beside its host":    {records: []*net.MX{{Host: google, Pref: 10}, {Host: proofpoint, Pref: 10}}, want: mailbox.Proofpoint},
		"gateway behind its host":    {records: []*net.MX{{Host: google, Pref: 10}, {Host: proofpoint, Pref: 20}}, want: mailbox.GoogleWorkspace},
		"nobody's":                   {records: []*net.MX{{Host: own, Pref: 10}}, want: mailbox.Default},
		"no records":                 {want: mailbox.Default, none: true},
		"takes no mail":              {records: []*net.MX{{Host: ".", Pref: 0}}, want: mailbox.Default, none: true},
		"takes no mail, and does":    {records: []*net.MX{{Host: ".", Pref: 0}, {Host: google, Pref: 10}}, want: mailbox.GoogleWorkspace},
		"empty":                      {records: []*net.MX{nil, {Host: ""}}, want: mailbox.Default, none: true},
		"the last that is looked at": {records: append(many[:most-1:most-1], &net.MX{Host: google, Pref: 20}), want: mailbox.GoogleWorkspace},
		"too far down":               {records: append(many[:most:most], &net.MX{Host: google, Pref: 20}), want: mailbox.Default},
	} {
		rand.Shuffle(len(tc.records), func(i, j int) { tc.records[i], tc.records[j] = tc.records[j], tc.records[i] })
		if got, has := Of(tc.records); got != tc.want || has == tc.none {
			t.Errorf("%s: %s, has hosts %t; want %s", name, got, has, tc.want)
		}
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 63)
	for domain, want := range map[string]string{
		"contoso.com": "contoso.com", "Mail.Contoso.COM.": "mail.contoso.com", "xn--mnchen-3ya.de": "xn--mnchen-3ya.de",
		"example.de": "example.de", "myexample.com": "myexample.com", "_x.contoso.com": "_x.contoso.com", label + ".com": label + ".com",
		"a.xn--p1ai": "a.xn--p1ai",
		"":           "", ".": "", "..": "", "contoso": "", "localhost": "", "contoso.": "", ".contoso.com": "", "contoso..com": "", "contoso.com..": "",
		"mail.example": "", "a.test": "", "a.TEST.": "", "a.b.invalid": "", "a.localhost": "", "printer.local": "", "a.onion": "",
		"example.com": "", "example.net": "", "mail.example.org": "", "EXAMPLE.com.": "",
		"[127.0.0.1]": "", "127.0.0.1": "", "[ipv6:::1]": "", "a b.com": "", "m\u00fcnchen.de": "", "a@contoso.com": "", "contoso.com\n": "",
		"a" + label + ".com": "", strings.Repeat("a.", 126) + "de": "",
	} {
		got, ok := public(domain)
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("public(%q) = %q, want %q", domain, got, want)
		}
	}
}

func FuzzPublic(f *testing.F) {
	f.Add("Contoso.com.")
	f.Add("xn--mnchen-3ya.de")
	f.Add("a..b\xff")
	f.Fuzz(func(t *testing.T, domain string) {
		name, ok := public(domain)
		if !ok {
			return
		}
		if len(name) > 253 || !strings.Contains(name, ".") || strings.HasSuffix(name, ".") || name != strings.ToLower(name) ||
			strings.Contains(name, "..") || strings.ContainsAny(name, " \r\n\t@[]\x00") {
			t.Fatalf("public(%q) = %q", domain, name)
		}
		if again, ok := public(name + "."); !ok || again != name {
			t.Fatalf("public(%q) = %q, %t", name+".", again, ok)
		}
	})
}
