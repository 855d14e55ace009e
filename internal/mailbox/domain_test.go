package mailbox

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestByDomain(t *testing.T) {
	t.Parallel()
	for class, domains := range map[Class]string{
		Gmail: "gmail.com googlemail.com GMail.com gmail.com.",
		Yahoo: `yahoo.com yahoo.ca yahoo.de yahoo.it yahoo.fr yahoo.es yahoo.se yahoo.ie yahoo.in yahoo.ro yahoo.gr yahoo.no
			yahoo.dk yahoo.fi yahoo.nl yahoo.co.uk yahoo.co.in yahoo.co.nz yahoo.co.id yahoo.co.za yahoo.co.th yahoo.co.kr
			yahoo.co.il yahoo.com.au yahoo.com.ar yahoo.com.br yahoo.com.mx yahoo.com.sg yahoo.com.hk yahoo.com.tw yahoo.com.ph
			yahoo.com.my yahoo.com.vn yahoo.com.tr yahoo.com.co yahoo.com.pe yahoo.com.ve ymail.com rocketmail.com myyahoo.com
			cox.net`,
		AOL:            "aol.com aol.de aol.co.uk aol.com.br aim.com netscape.net compuserve.com cs.com love.com verizon.net",
		ATT:            "att.net sbcglobal.net bellsouth.net ameritech.net prodigy.net currently.com worldnet.att.net",
		Microsoft:      "hotmail.com hotmail.co.uk hotmail.fr outlook.com outlook.de outlook.com.br outlook.co.th live.com live.co.uk live.com.au live.nl msn.com windowslive.com passport.com HOTMAIL.COM",
		Comcast:        "comcast.net xfinity.com",
		Yandex:         "yandex.ru yandex.com yandex.net yandex.by yandex.kz yandex.ua yandex.com.tr ya.ru narod.ru",
		GMX:            "gmx.net gmx.de gmx.at gmx.ch gmx.eu gmx.biz gmx.org gmx.info gmx.com gmx.us gmx.co.uk gmx.fr gmx.es web.de mein.gmx mail.gmx email.gmx mail.com usa.com consultant.com",
		MailRu:         "mail.ru inbox.ru list.ru bk.ru internet.ru xmail.ru corp.mail.ru",
		ICloud:         "icloud.com me.com mac.com privaterelay.appleid.com",
		Zoho:           "zoho.com zoho.eu zoho.in zoho.com.au zoho.jp zohomail.com zohomail.eu zohomail.in zohocorp.com",
		QQ:             "qq.com vip.qq.com foxmail.com",
		Office365:      "contoso.onmicrosoft.com contoso.mail.onmicrosoft.com Contoso.OnMicrosoft.com.",
		AmazonWorkMail: "acme.awsapps.com",
		Default: `example.com google.com yahoo.co.jp YAHOO.co.jp t-online.de proton.me onmicrosoft.com .onmicrosoft.com
			a..onmicrosoft.com awsapps.com notonmicrosoft.com xn--mnchen-3ya.de`,
	} {
		for _, d := range strings.Fields(domains) {
			if got := ByDomain(d); got != class {
				t.Errorf("ByDomain(%q) = %s, want %s", d, got, class)
			}
		}
	}
}

// Names that only look like a known one; some are what a phisher would register.
func TestByDomainIsNotFooled(t *testing.T) {
	t.Parallel()
	for _, d := range []string{
		"outlook.evil-domain.example", "live.myshop.com", "outlook.company.de", "live.co.uk.evil.com", "hotmail.com.evil.com",
		"gmx.shop", "yahoo.org", "yahoo.business", "yandex.co.co.uk", "live.me", "live.tv", "outlook.io", "live.co.io", "live.com.cc",
		"notgmail.com", "gmail.com.evil.com", "mail.gmail.com", "gmail.co", "gmail", "hotmail", "hotmail.", "hotmail.c", "hotmail.12",
		"my-hotmail.com", "mail.hotmail.com", "hotmail..com", ".hotmail.com", "hotmail.com..", "live.net.au", "live.com.com",
		"", ".", "..", "@", "gmail.com\n", " gmail.com", "user@gmail.com", "gm\u0430il.com", "hotmail.\u212aw",
		strings.Repeat("a.", 150) + "onmicrosoft.com", "outloo\u212a.com", "[127.0.0.1]",
	} {
		if got := ByDomain(d); got != Default {
			t.Errorf("ByDomain(%q) = %s, want default", d, got)
		}
	}
}

func TestConsumerTable(t *testing.T) {
	t.Parallel()
	table, err := parseConsumer(consumerText)
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
	for d, class := range table {
		if !form.MatchString(d) {
			t.Errorf("%q is not a domain in lower-case ASCII", d)
		}
		if got := ByDomain(d); got != class {
			t.Errorf("ByDomain(%q) = %s, want %s: a rule comes before the table", d, got, class)
		}
	}
	if len(table) < 80 {
		t.Errorf("the table has shrunk to %d domains", len(table))
	}
}

func TestParseConsumerRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"gmail a.com\nacme b.com\n":  `line 2: unknown mailbox provider "acme"`,
		"gmail a.com\nyahoo a.com\n": "line 2: a.com stands there twice",
	} {
		if _, err := parseConsumer(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseConsumer(%q) = %v, want %q", text, err, want)
		}
	}
}

func TestByDomainIgnoresCaseAndTrailingDot(t *testing.T) {
	t.Parallel()
	names := []string{"gmail.com", "hotmail.co.uk", "acme.onmicrosoft.com", "yahoo.co.jp", "example.com"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "name")
		mixed := []byte(name)
		for i := range mixed {
			if rapid.Bool().Draw(t, "upper") {
				mixed[i] = strings.ToUpper(name)[i]
			}
		}
		variant := string(mixed) + rapid.SampledFrom([]string{"", "."}).Draw(t, "dot")
		if got, want := ByDomain(variant), ByDomain(name); got != want {
			t.Fatalf("ByDomain(%q) = %s, want %s", variant, got, want)
		}
	})
}

func FuzzByDomain(f *testing.F) {
	f.Add("gmail.com")
	f.Add("outlook.co.uk.")
	f.Add("\xff.onmicrosoft.com")
	f.Fuzz(func(t *testing.T, domain string) {
		got := ByDomain(domain)
		if _, err := Parse(string(got)); err != nil {
			t.Fatalf("ByDomain(%q): %v", domain, err)
		}
		// A prefix label never keeps a consumer class: sub-domains are other hosts' names.
		if got != Default && got != Office365 && got != AmazonWorkMail {
			if sub := ByDomain("x-fuzz." + domain); sub != Default {
				t.Fatalf("ByDomain(x-fuzz.%q) = %s", domain, sub)
			}
		}
	})
}

func BenchmarkByDomain(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ByDomain("gmail.com")
		ByDomain("hotmail.co.uk")
		ByDomain("mail.some-company.example")
	}
}
