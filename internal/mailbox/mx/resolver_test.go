package mx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"postyard/internal/mailbox"
	"postyard/internal/mailbox/mx"
	"postyard/internal/mailbox/mx/mxtest"
)

func TestResolverAsksTheServer(t *testing.T) {
	t.Parallel()
	var many []net.MX // does not fit a packet
	for i := range 40 {
		many = append(many, net.MX{Host: fmt.Sprintf("mx%d.some-long-name.contoso.com.", i), Pref: 20})
	}
	many = append(many, net.MX{Host: "mx1.emailsrvr.com.", Pref: 10})
	server := mxtest.Serve(t, func(domain string) ([]net.MX, dnsmessage.RCode) {
		switch domain {
		case "google.contoso.com":
			return []net.MX{{Host: "alt1.aspmx.l.google.com.", Pref: 5}, {Host: "ASPMX.L.GOOGLE.COM.", Pref: 1}}, dnsmessage.RCodeSuccess
		case "many.contoso.com":
			return many, dnsmessage.RCodeSuccess
		case "null.contoso.com":
			return []net.MX{{Host: ".", Pref: 0}}, dnsmessage.RCodeSuccess
		case "none.contoso.com":
			return nil, dnsmessage.RCodeSuccess
		case "broken.contoso.com":
			return nil, dnsmessage.RCodeServerFailure
		}
		return nil, dnsmessage.RCodeNameError
	})
	resolver := mx.NewResolver(server)
	for domain, want := range map[string]struct {
		class                 mailbox.Class
		has, missing, failing bool
	}{
		"google.contoso.com.": {class: mailbox.GoogleWorkspace, has: true},
		"many.contoso.com.":   {class: mailbox.Rackspace, has: true},
		"null.contoso.com.":   {class: mailbox.Default},
		"none.contoso.com.":   {class: mailbox.Default, missing: true},
		"gone.contoso.com.":   {class: mailbox.Default, missing: true},
		"broken.contoso.com.": {class: mailbox.Default, failing: true},
	} {
		records, err := resolver.LookupMX(t.Context(), domain)
		class, has := mx.Of(records)
		wrong, _ := errors.AsType[*net.DNSError](err)
		missing := wrong != nil && wrong.IsNotFound
		if class != want.class || has != want.has || missing != want.missing || (err != nil && !missing) != want.failing {
			t.Errorf("%s: %s, %t, %v", domain, class, has, err)
		}
	}
}

// A stop does not wait for an answer that never comes.
func TestResolverEndsWithItsContext(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := mx.NewResolver(silent.LocalAddr().String()).LookupMX(ctx, "contoso.com.")
		ended <- err
	}()
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil { // the question has arrived
		t.Error(err)
	}
	cancel()
	begin := time.Now()
	if err := <-ended; err == nil {
		t.Error("there was an answer")
	}
	if took := time.Since(begin); took > 2*time.Second { // without the stop it takes 5 s and more
		t.Errorf("it took %s", took)
	}
}
