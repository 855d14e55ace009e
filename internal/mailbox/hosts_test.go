package mailbox

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestByHosts(t *testing.T) {
	t.Parallel()
	for class, sets := range map[Class]string{ // hosts of one domain are joined by commas
		GoogleWorkspace: "aspmx.l.google.com. ALT1.ASPMX.L.GOOGLE.COM smtp.google.com aspmx2.googlemail.com",
		Office365: `contoso-com.mail.protection.outlook.com. contoso-com.a-v1.mx.microsoft contoso.mail.eo.outlook.com
			contoso.mail.protection.partner.outlook.cn`,
		Proofpoint:     "mx0a-00123401.pphosted.com mx1-us1.ppe-hosted.com mxa-00123401.gslb.gpphosted.com",
		Mimecast:       "us-smtp-inbound-1.mimecast.com eu-smtp-inbound-2.mimecast.com za-smtp-inbound-1.mimecast.co.za je-smtp-inbound-1.mimecast-offshore.com",
		Barracuda:      "d123456a.ess.barracudanetworks.com d123456.a.ess.uk.barracudanetworks.com",
		CiscoIronPort:  "mx1.hc1234-56.iphmx.com",
		Rackspace:      "mx1.emailsrvr.com,mx2.emailsrvr.com",
		ZohoBusiness:   "mx.zoho.com mx2.zoho.eu mx.zoho.in mx.zoho.com.au mx.zohocloud.ca",
		AmazonWorkMail: "inbound-smtp.us-east-1.amazonaws.com inbound-smtp.eu-west-1.amazonaws.com.",
		Symantec:       "cluster1.us.messagelabs.com cluster8a.eu.messagelabs.com",
		Fortinet:       "mail-1.fortimailcloud.com",
		Sophos:         "mx-01-eu-west-1.prod.hydra.sophos.com",
		TrendMicro:     "contoso.in.tmes.trendmicro.eu in.hes.trendmicro.com contoso.in.tmes-anz.trendmicro.com",
		CheckPoint:     "contoso-com.mx.checkpointcloudsec.com",
		Microsoft:      "outlook-com.olc.protection.outlook.com",
		AOL:            "mx-aol.mail.gm0.yahoodns.net",
		Yahoo:          "mta5.am0.yahoodns.net mx-eu.mail.am0.yahoodns.net mx-biz.mail.am0.yahoodns.net mx-apac.mail.gm0.yahoodns.net",
		ATT:            "al-ip4-mx-vip1.prodigy.net,ff-ip4-mx-vip2.prodigy.net",
		Comcast:        "mx1.mxge.comcast.net mx2h1.comcast.net",
		Yandex:         "mx.yandex.net mx.yandex.ru",
		GMX:            "mx00.gmx.net mx00.emig.gmx.net mx-ha02.web.de mx00.mail.com",
		MailRu:         "emx.mail.ru mxs.mail.ru",
		ICloud:         "mx01.mail.icloud.com",
		QQ:             "mx3.qq.com mxbiz1.qq.com",
		"": `mail.contoso.com mx00.kundenserver.de in1-smtp.messagingengine.com notgoogle.com google.com.evil.example
			aspmx.l.google.com.contoso.com inbound-smtp.amazonaws.com inbound-smtp.a.b.amazonaws.com s3.eu-west-1.amazonaws.com
			c-203-0-113-9.hsd1.ma.comcast.net adsl-203-0-113-9.prodigy.net outlook.com protection.outlook.com com microsoft .
			.. google..com .google.com google.com.. aspmx.l.goog\u212ae.com aspmx.l.google\x00.com ` + strings.Repeat("a.", 150) + "google.com",
	} {
		for _, set := range strings.Fields(sets) {
			if got, ok := ByHosts(strings.Split(set, ",")...); got != class || ok != (class != "") {
				t.Errorf("ByHosts(%q) = %q, %t; want %q", set, got, ok, class)
			}
		}
	}
	if got, ok := ByHosts(); ok {
		t.Errorf("without hosts: %q", got)
	}
}

// A domain that moves to a gateway often keeps its host's records beside it.
func TestGatewaysComeFirst(t *testing.T) {
	t.Parallel()
	hosts := []string{"contoso-com.mail.protection.outlook.com", "unknown.contoso.com", "mx0a-00123401.pphosted.com"}
	for range 2 {
		if got, _ := ByHosts(hosts...); got != Proofpoint {
			t.Errorf("%q: %s", hosts, got)
		}
		slices.Reverse(hosts)
	}
}

func TestHostsTable(t *testing.T) {
	t.Parallel()
	rules, err := parseHosts(hostsText)
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^[a-z0-9-]+(\.([a-z0-9-]+|\*))*(\.[a-z0-9-]+)+$`)
	found := map[Class]bool{}
	for _, r := range rules {
		name := strings.Join(r.labels, ".")
		if !form.MatchString(name) {
			t.Errorf("%q is not a host name in lower-case ASCII", name)
		}
		found[r.class] = true
	}
	for _, class := range Classes() {
		// Gmail's own domains are known by name, as are Zoho's; their hosts carry companies' domains.
		if want := class != Gmail && class != Zoho && class != Default; found[class] != want {
			t.Errorf("%s has a host: %t", class, found[class])
		}
	}
}

func TestParseHostsRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"gmail a.com\nacme b.com\n":     `hosts table, line 2: unknown mailbox provider "acme"`,
		"gmail a.com\nyahoo a.com\n":    "hosts table, line 2: a.com is hidden by a.com",
		"gmail a.com\n\nyahoo b.a.com":  "hosts table, line 3: b.a.com is hidden by a.com",
		"gmail a.*.com\nyahoo a.b.com":  "a.b.com is hidden by a.*.com",
		"gmail a.com # x\nyahoo a.com.": "", // another name: the empty label never fits
	} {
		_, err := parseHosts(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("parseHosts(%q) = %v, want %q", text, err, want)
		}
	}
}

// Whatever stands before a known name with a dot keeps its class; without a dot, or behind it, it is somebody else's.
func TestHostsMatchWholeLabels(t *testing.T) {
	t.Parallel()
	rules := hosts()
	label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.SampledFrom(rules).Draw(t, "rule")
		name := strings.ReplaceAll(strings.Join(rule.labels, "."), "*", label.Draw(t, "star"))
		front := label.Draw(t, "front")
		for _, host := range []string{name, front + "." + name, strings.ToUpper(front) + ".x." + name + "."} {
			if got, ok := ByHosts(host); !ok || got != rule.class {
				t.Fatalf("ByHosts(%q) = %q, want %q", host, got, rule.class)
			}
		}
		if got, ok := ByHosts(name + ".q" + front); ok { // no known top-level domain begins with q
			t.Fatalf("ByHosts(%q) = %q", name+".q"+front, got)
		}
		glued := front + name
		known := slices.ContainsFunc(rules, func(r hostRule) bool { return expression(r).MatchString(glued) })
		if got, ok := ByHosts(glued); ok != known {
			t.Fatalf("ByHosts(%q) = %q, %t", glued, got, ok)
		}
	})
}

// expression is the rule in other words.
func expression(r hostRule) *regexp.Regexp {
	name := strings.ReplaceAll(regexp.QuoteMeta(strings.Join(r.labels, ".")), `\*`, `[^.]+`)
	return regexp.MustCompile(`(?s)^([^.]+\.)*` + name + `$`)
}

func FuzzByHosts(f *testing.F) {
	f.Add("aspmx.l.google.com.", "mail.contoso.com")
	f.Add("INBOUND-SMTP.us-east-1.amazonaws.com", "")
	f.Add("\xff.qq.com", "..qq.com")
	var expressions []*regexp.Regexp
	for _, r := range hosts() {
		expressions = append(expressions, expression(r))
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got, ok := ByHosts(a, b)
		var want Class
		for i, r := range hosts() {
			if want == "" && slices.ContainsFunc([]string{a, b}, func(host string) bool {
				host = lowerASCII(strings.TrimSuffix(host, "."))
				return len(host) <= maxDomain && expressions[i].MatchString(host)
			}) {
				want = r.class
			}
		}
		if got != want || ok != (want != "") {
			t.Fatalf("ByHosts(%q, %q) = %q, %t; want %q", a, b, got, ok, want)
		}
		if swapped, _ := ByHosts(b, a); swapped != got {
			t.Fatalf("ByHosts(%q, %q) = %q, the other way round %q", a, b, got, swapped)
		}
	})
}
