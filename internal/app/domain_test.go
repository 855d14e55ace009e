package app

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/dns/dnstest"
	"postyard/internal/domain/dkimtest"
)

// source returns the mail that the sandbox's mail server got for a message, as it came.
func (s *stage) source(id string) []byte {
	s.t.Helper()
	var list struct{ Messages []struct{ ID string } }
	waitFor(s.t, "the mail", func() bool {
		s.control(http.MethodGet, "/sandbox/messages?messageId="+id, nil, &list)
		return len(list.Messages) > 0
	})
	res, err := http.Get(s.SandboxURL + "/sandbox/messages/" + list.Messages[0].ID + "/source")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("%d %s (%v)", res.StatusCode, raw, err)
	}
	return raw
}

// zoneTXT looks up a TXT record as receivers do.
func zoneTXT(t *testing.T, server string) func(string) ([]string, error) {
	return func(name string) ([]string, error) {
		answer, _, err := new(mdns.Client).ExchangeContext(t.Context(), new(mdns.Msg).SetQuestion(mdns.Fqdn(name), mdns.TypeTXT).SetEdns0(1232, false), server)
		if err != nil {
			return nil, err
		}
		var texts []string
		for _, rr := range answer.Answer {
			if txt, ok := rr.(*mdns.TXT); ok {
				texts = append(texts, strings.Join(txt.Txt, ""))
			}
		}
		return texts, nil
	}
}

// TestSignedMail has a user whitelist a domain, set its records and send: mail that leaves by SMTP verifies with the published key, as the mail
// server got it, from the moment that DNS has it until it is gone.
func TestSignedMail(t *testing.T) {
	t.Parallel()
	address, zone := dnstest.Serve(t)
	s := newStage(t, func(c *config.Config, _ *Server) {
		c.DNS, c.MailHost, c.SMTPListen = address, "mail.postyard.example", "127.0.0.1:0"
	})
	var made struct{ IPPool struct{ Name string } }
	if err := s.api.Account(t.Context(), "POST", "/api/v1/account/tpsp", map[string]any{"type": 6, "name": "Relay", "endpoint": s.SMTP.URL,
		"key": s.SMTP.User, "secret": s.SMTP.Password}, &made); err != nil {
		t.Fatal(err)
	}
	send := func(from string) []byte {
		t.Helper()
		sent, err := s.api.Send(t.Context(), client.Email{From: client.Address{Email: from, Name: "Shöp"}, Subject: "Grüße aus dem Laden, der so heißt, daß der Betreff gefaltet wird",
			IPPool: made.IPPool.Name, HTMLBody: "<p>Hello   there \t</p>\n\n.\n..dots\n" + strings.Repeat("long ", 500) + "\n\n\n", TextBody: "Hello \n.\n From: x\n",
			Headers: map[string]string{"List-Unsubscribe": "<https://shop.example/u>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "X-Other": "x"},
			To:      []client.Recipient{{Address: client.Address{Email: "ana@gmail.com", Name: "Ana"}}}})
		if err != nil {
			t.Fatal(err)
		}
		return s.source(sent[0].MessageID)
	}
	signed := func(raw []byte) bool { return strings.HasPrefix(string(raw), "DKIM-Signature:") }
	type record struct{ Host, Type, TextValue string }
	var d struct {
		ID                                             int32
		DKIM, SPF, ReturnPath, Track, DMARC            record
		Verified, DKIMVerified, DMARCVerified          bool
		SPFVerified, ReturnPathVerified, TrackVerified bool
		DKIMFailureReason                              string
	}
	const path = "/api/v1/subaccount/domain"
	if err := s.api.SubAccount(t.Context(), "POST", path, map[string]string{"name": "shop.example"}, &d); err != nil {
		t.Fatal(err)
	}
	if raw := send("orders@shop.example"); signed(raw) {
		t.Errorf("signed with a key that nobody can look up:\n%s", raw)
	}
	for _, r := range []record{d.DKIM, d.SPF, d.ReturnPath, d.Track, d.DMARC} {
		if r.Type == "TXT" {
			zone.AddTXT(r.Host, r.TextValue)
		} else {
			zone.Add(r.Host + ". CNAME " + r.TextValue + ".")
		}
	}
	verify := func() {
		t.Helper()
		if err := s.api.SubAccount(t.Context(), "POST", fmt.Sprint(path, "/", d.ID, "/verify"), nil, &d); err != nil {
			t.Fatal(err)
		}
	}
	if verify(); !d.Verified || !d.DKIMVerified || !d.DMARCVerified || !d.SPFVerified || !d.ReturnPathVerified || !d.TrackVerified || d.DKIMFailureReason != "" {
		t.Fatalf("%+v", d)
	}
	for _, from := range []string{"orders@shop.example", "Orders@News.Shop.Example"} {
		raw := send(from)
		tags, err := dkimtest.Verify(raw, zoneTXT(t, address))
		if err != nil || tags["d"] != "shop.example" || tags["s"] != "sp-dkim" || !strings.Contains(tags["h"], "From:From:") ||
			!strings.Contains(tags["h"], "List-Unsubscribe:List-Unsubscribe-Post") {
			t.Errorf("from %s: %v, %v\n%s", from, err, tags, raw)
		}
	}
	if raw := send("a@elsewhere.example"); signed(raw) {
		t.Errorf("a stranger's mail is signed:\n%s", raw)
	}
	zone.Remove(d.DKIM.Host)
	if verify(); d.Verified || !strings.Contains(d.DKIMFailureReason, "does not exist") {
		t.Errorf("%+v", d)
	}
	if raw := send("orders@shop.example"); signed(raw) {
		t.Errorf("signed with a key that is gone from DNS:\n%s", raw)
	}
}

// TestDomainsAreLookedAt has nobody ask: DNS is asked when a domain is made, and Postmark's mail is not touched.
func TestDomainsAreLookedAt(t *testing.T) {
	t.Parallel()
	address, zone := dnstest.Serve(t)
	s := newStage(t, func(c *config.Config, _ *Server) { c.DNS = address })
	if err := s.api.SubAccount(t.Context(), "POST", "/api/v1/subaccount/domain", map[string]string{"name": "shop.example"}, nil); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	waitFor(t, "a question about the key", func() bool { return slices.Contains(zone.Asked(), "TXT sp-dkim._domainkey.shop.example") })
	if took := time.Since(begin); took > 10*time.Second { // the next look is after 15 s
		t.Errorf("it took %s", took)
	}
	waitFor(t, "the answer", func() bool {
		return strings.Contains(s.server.directory.Current().UsedDomains()[0].Checks.DKIM.Reason, "does not exist")
	})
}
