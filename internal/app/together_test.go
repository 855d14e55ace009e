package app

import (
	"net/http"
	"strings"
	"testing"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/dns/dnstest"
	"postyard/internal/domain/dkimtest"
)

// TestAllTogether sends one message through an IP that is filled in, tracked and signed: the signature holds for what the mail server got,
// and what the recipient does becomes native events of the IP.
func TestAllTogether(t *testing.T) {
	t.Parallel()
	address, zone := dnstest.Serve(t)
	s := newStage(t, withMail, func(c *config.Config, _ *Server) { c.DNS = address })
	s.account(http.MethodPost, "/api/v1/account/ippool", map[string]any{"name": "own", "ips": []map[string]string{{"publicIP": DemoIP}},
		"routingStrategy": 0, "warmupInterval": 24}, nil)
	var d struct {
		DKIM struct{ Host, TextValue string }
	}
	if err := s.api.SubAccount(t.Context(), "POST", "/api/v1/subaccount/domain", map[string]string{"name": "shop.example"}, &d); err != nil {
		t.Fatal(err)
	}
	zone.AddTXT(d.DKIM.Host, d.DKIM.TextValue)
	var verified struct {
		Verified          bool
		DKIMFailureReason string
	}
	if err := s.api.SubAccount(t.Context(), "POST", "/api/v1/subaccount/domain/1/verify", nil, &verified); err != nil || !verified.Verified {
		t.Fatalf("%+v, %v", verified, err)
	}

	m := &relay{s, "own"}
	var sent []client.Sent
	if err := s.api.SubAccount(t.Context(), http.MethodPost, "/api/v1/subaccount/email/", map[string]any{
		"from": map[string]any{"email": "news@shop.example"}, "ippool": "own", "subject": "For {{name}}", "trackOpens": true, "trackClicks": true,
		"htmlBody": `<p>{{name}}: <a href="https://shop.example/{{id}}">buy</a> <a class="leave" href="{{unsubscribe}}">leave</a></p>`,
		"to":       []map[string]any{{"email": "ana@gmail.com", "customFields": map[string]any{"name": "Ana & Bo", "id": 7}}},
	}, &sent); err != nil {
		t.Fatal(err)
	}
	id := sent[0].MessageID
	raw := s.source(id)
	if tags, err := dkimtest.Verify(raw, zoneTXT(t, address)); err != nil || tags["d"] != "shop.example" || !strings.Contains(tags["h"], "List-Unsubscribe:") {
		t.Errorf("signature: %v, %v\n%s", tags, err, raw)
	}
	l := m.letter(id)
	if !strings.HasPrefix(l.HTML, "<p>Ana &amp; Bo: <a ") || strings.Contains(string(raw), "{{") {
		t.Errorf("HTML: %s", l.HTML)
	}
	visit(t, http.MethodGet, find(t, l.HTML, `<img src="([^"]+)"`), "")
	if _, header, _ := visit(t, http.MethodGet, find(t, l.HTML, `<a href="([^"]+)">buy`), ""); header.Get("Location") != "https://shop.example/7" {
		t.Errorf("the link leads to %q", header.Get("Location"))
	}
	leave := find(t, l.HTML, `class="leave" href="([^"]+)"`)
	if l.header("List-Unsubscribe") != "<"+leave+">" {
		t.Errorf("List-Unsubscribe: %s, want %s", l.header("List-Unsubscribe"), leave)
	}
	visit(t, http.MethodPost, leave, "List-Unsubscribe=One-Click")
	var events []struct{ Type, IPID, TPSPID int }
	s.account(http.MethodGet, "/api/v1/account/event/?messageId="+id, nil, &events)
	want := []int{0, 9, 5, 6, 7}
	if len(events) != len(want) {
		t.Fatalf("events %+v, want types %v", events, want)
	}
	for i, e := range events {
		if e.Type != want[i] || e.IPID != 1 || e.TPSPID != 0 {
			t.Errorf("event %d: %+v, want type %d through IP 1", i, e, want[i])
		}
	}
	s.wantBalance()
}

// TestTrackingHost: with https, links stand at senders' names only when the operator says that there are certificates for them.
func TestTrackingHost(t *testing.T) {
	t.Parallel()
	for public, want := range map[string][2]bool{"http://post.example.com": {true, true}, "https://post.example.com": {false, true}} {
		for i, said := range []bool{false, true} {
			s := &Server{URL: public}
			if got := s.trackingHost(config.Config{TrackingDomains: said}) != nil; got != want[i] {
				t.Errorf("%s, tracking-domains %t: %t", public, said, got)
			}
		}
	}
}
