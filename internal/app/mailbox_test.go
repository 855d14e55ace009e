package app

import (
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"postyard/internal/config"
	"postyard/internal/mailbox/mx/mxtest"
)

// emailType is the mailbox provider of a message, as SendPost's API has it.
func (s *stage) emailType(id string) string {
	s.t.Helper()
	var message struct{ EmailType string }
	if err := s.api.Account(s.t.Context(), http.MethodGet, "/api/v1/account/message/"+url.PathEscape(id), nil, &message); err != nil {
		s.t.Fatal(err)
	}
	return message.EmailType
}

// TestMailboxProviderByDNS has a server ask a DNS server: the first mail to a company does not wait for it, later mail has
// the company's host.
func TestMailboxProviderByDNS(t *testing.T) {
	t.Parallel()
	var questions atomic.Int32
	server := mxtest.Serve(t, func(domain string) ([]net.MX, dnsmessage.RCode) {
		questions.Add(1)
		if domain != "contoso.com" {
			return nil, dnsmessage.RCodeNameError
		}
		return []net.MX{{Host: "aspmx.l.google.com.", Pref: 1}}, dnsmessage.RCodeSuccess
	})
	s := newStage(t, func(c *config.Config, _ *Server) { c.DNS = server })
	ids := s.send("a@contoso.com", "b@gmail.com", "c@nobody.example")
	for i, want := range []string{"default", "gmail", "default"} {
		if got := s.emailType(ids[i]); got != want {
			t.Errorf("message %d: %s, want %s", i, got, want)
		}
	}
	waitFor(t, "the answer", func() bool { return s.server.mailboxes.Class("contoso.com") == "googleworkspace" })
	later := s.send("a@contoso.com")
	if got := s.emailType(later[0]); got != "googleworkspace" {
		t.Errorf("later mail: %s", got)
	}
	if got := s.emailType(ids[0]); got != "default" {
		t.Errorf("the first mail is now %s", got)
	}
	s.want("[69 70 71]", 1, append(ids, later...)...)
	if n := questions.Load(); n != 1 {
		t.Errorf("%d questions, want 1", n)
	}
}
