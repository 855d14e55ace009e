package domain

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"postyard/internal/directory"
)

// Record is a DNS record that a domain is to have.
type Record struct {
	Host  string
	Type  string // TXT or CNAME
	Value string // "": there is nothing to set
}

// Records are those of a domain.
type Records struct {
	DKIM, SPF, ReturnPath, Track, DMARC, GPT Record
}

const trackLabel = "track."

// Records returns the DNS records that a domain is to have.
func (s *Service) Records(d *directory.Domain) Records {
	r := Records{
		DKIM: Record{Type: "TXT"}, SPF: Record{"sp-bounce." + d.Name, "CNAME", s.MailHost}, ReturnPath: Record{"sp-bounces." + d.Name, "CNAME", s.MailHost},
		Track: Record{trackLabel + d.Name, "CNAME", s.MailHost}, DMARC: Record{"_dmarc." + d.Name, "TXT", "v=DMARC1; p=none;"}, GPT: Record{d.Name, "TXT", ""},
	}
	if d.Selector != "" {
		r.DKIM.Host, r.DKIM.Value = d.Selector+"._domainkey."+d.Name, "v=DKIM1;k=rsa;s=email;h=sha256;p="+d.PublicKey
	}
	return r
}

// TrackingURL returns where links of a sub-account's mail that comes from a domain stand: at the tracking name of that domain, or of the
// nearest one above it that the account has whitelisted, while DNS leads it to the host of the server's public URL. "" is the public URL.
// Scheme, port and path are those of the public URL.
func (s *Service) TrackingURL(public string, accountID, subAccountID int32, from string) string {
	d := s.Directory.Current().Tracking(accountID, subAccountID, from)
	if d == nil || s.MailHost == "" || PublicHost(public) != s.MailHost {
		return ""
	}
	u, err := url.Parse(public)
	if err != nil {
		return ""
	}
	port := u.Port()
	if u.Host = trackLabel + d.Name; port != "" {
		u.Host += ":" + port
	}
	return u.String()
}

// tag is one of a list of name=value (RFC 6376 section 3.2).
type tag struct{ name, value string }

// parseTags reads such a list.
func parseTags(text string) (list []tag, err error) {
	for part := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			return nil, fmt.Errorf("%s is not of the form name=value", quote(part))
		}
		if slices.ContainsFunc(list, func(t tag) bool { return t.name == name }) {
			return nil, fmt.Errorf("it has %s= twice", clip(name))
		}
		list = append(list, tag{name, value})
	}
	return list, nil
}

// value returns a tag's value.
func value(list []tag, name string) (string, bool) {
	i := slices.IndexFunc(list, func(t tag) bool { return t.name == name })
	if i < 0 {
		return "", false
	}
	return list[i].value, true
}

// dkimFault says why the TXT records at a key's place are not what they should be, "" when they are. public is the key in base64.
func dkimFault(texts []string, public string) string {
	if len(texts) > 1 {
		return fmt.Sprintf("there are %d TXT records and may be one only: of several, receivers take any", len(texts))
	}
	if strings.HasPrefix(strings.TrimSpace(texts[0]), `"`) {
		return fmt.Sprintf("the TXT record %s is not a DKIM key: it has quotation marks in its text", quote(texts[0]))
	}
	tags, err := parseTags(texts[0])
	if err != nil {
		return fmt.Sprintf("the TXT record %s is not a DKIM key: %s", quote(texts[0]), err)
	}
	if v, ok := value(tags, "v"); ok && (v != "DKIM1" || tags[0].name != "v") {
		return fmt.Sprintf("the TXT record %s is not a DKIM key: it has to begin with v=DKIM1", quote(texts[0]))
	}
	p, ok := value(tags, "p")
	p = strings.Join(strings.Fields(p), "")
	switch {
	case !ok:
		return fmt.Sprintf("the TXT record %s has no key (p=)", quote(texts[0]))
	case p == "":
		return "the key is revoked: p= is empty"
	}
	if k, ok := value(tags, "k"); ok && k != "rsa" {
		return fmt.Sprintf("the key is of the kind %s (k=), and ours is rsa", quote(k))
	}
	published, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return "the key (p=) is not base64; it may have been cut off"
	}
	if !sameKey(published, public) {
		return fmt.Sprintf("it has another key than ours: p=%s", clip(p))
	}
	if h, ok := value(tags, "h"); ok && !listed(h, "sha256") {
		return fmt.Sprintf("it allows the hashes %s (h=), and not sha256", quote(h))
	}
	if s, ok := value(tags, "s"); ok && !listed(s, "email") && !listed(s, "*") {
		return fmt.Sprintf("it is for the services %s (s=), and not for email", quote(s))
	}
	if t, ok := value(tags, "t"); ok && listed(t, "y") {
		return "it says that it is a test (t=y): receivers treat mail as if it was not signed"
	}
	return ""
}

// sameKey compares a published key, in either of the forms that receivers take, with ours.
func sameKey(published []byte, public string) bool {
	ours, err := base64.StdEncoding.DecodeString(public)
	if err != nil {
		return false
	}
	if bytes.Equal(published, ours) {
		return true
	}
	bare, err := x509.ParsePKCS1PublicKey(published)
	if err != nil {
		return false
	}
	parsed, err := x509.ParsePKIXPublicKey(ours)
	key, ok := parsed.(*rsa.PublicKey)
	return err == nil && ok && key.Equal(bare)
}

// listed tells whether a list with colons has an item.
func listed(list, item string) bool {
	for part := range strings.SplitSeq(list, ":") {
		if strings.EqualFold(strings.TrimSpace(part), item) {
			return true
		}
	}
	return false
}

// dmarcPolicies picks the records of DMARC out of TXT records (RFC 7489 section 6.6.3).
func dmarcPolicies(texts []string) (list []string) {
	for _, text := range texts {
		name, rest, _ := strings.Cut(text, "=")
		version, _, _ := strings.Cut(rest, ";")
		if strings.TrimSpace(name) == "v" && strings.TrimSpace(version) == "DMARC1" {
			list = append(list, text)
		}
	}
	return list
}

// dmarcFault says why records of DMARC are none that receivers follow, "" when they do.
func dmarcFault(policies []string) string {
	if len(policies) > 1 {
		return fmt.Sprintf("there are %d DMARC records and may be one only: of several, receivers take none", len(policies))
	}
	tags, err := parseTags(policies[0])
	if err != nil {
		return fmt.Sprintf("the record %s is not of the form of DMARC: %s", quote(policies[0]), err)
	}
	for _, name := range []string{"p", "sp"} {
		policy, ok := value(tags, name)
		switch {
		case !ok && name == "p":
			return fmt.Sprintf("the record %s has no policy (p=)", quote(policies[0]))
		case ok && !slices.Contains([]string{"none", "quarantine", "reject"}, strings.ToLower(policy)):
			return fmt.Sprintf("the policy %s=%s is none of none, quarantine and reject", name, clip(policy))
		}
	}
	return ""
}

const shown = 60 // bytes of foreign words that a reason has

func quote(text string) string { return fmt.Sprintf("%q", clip(strings.TrimSpace(text))) }

// clip cuts foreign words.
func clip(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= shown {
		return text
	}
	return strings.ToValidUTF8(text[:shown], "") + "..."
}
