package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/dispatch"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/smtp"
	"postyard/internal/route"
	"postyard/internal/secret"
)

// TestARefusedRecipient has a mail server refuse one recipient for a while, with words that could be taken for a refusal of us. The
// mail of others leaves meanwhile and the server stays in use; what was refused for the time being leaves when it is taken.
func TestARefusedRecipient(t *testing.T) {
	t.Parallel()
	for answer, comes := range map[string]bool{
		"452 mailbox over quota": true, "450 4.2.0 Greylisted": true, "450 4.7.1 rate limit exceeded": true, "451 4.3.0 lookup failure": true,
		"554 5.7.1 blocked": false, "550 5.1.1 unknown": false,
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			withMailServer(t, func(y *yard, relay *directory.TPSP) {
				var status int
				_, words, _ := strings.Cut(answer, " ")
				_, err := fmt.Sscan(answer, &status)
				y.must(err)
				const poison = "poison@example.net"
				y.houses[0].faults(y, fault{"provider": "smtp", "path": "/rcpt/" + poison, "kind": "status", "status": status, "body": words})
				send := func(to ...string) {
					req := &accept.Request{Content: mail.Content{From: mail.Address{Email: "hello@example.com"}, Pool: relay.Name, Text: "Hello"}}
					for _, a := range to {
						req.Recipients = append(req.Recipients, mail.Recipient{Address: mail.Address{Email: a}})
					}
					_, err := y.accepting.Accept(y.Context(), y.sub, req)
					y.must(err)
				}
				want := map[string]int{}
				check := func(when string) {
					t.Helper()
					if h := y.dir.Current().AnyTPSP(relay.ID).Health; h.Stopped {
						t.Errorf("%s: %+v", when, h)
					}
					got := y.inbox()
					for to, n := range want {
						if got[to] != n {
							t.Errorf("%s: %d mails to %s", when, got[to], to)
						}
					}
					if len(got) != len(want) {
						t.Errorf("%s: %d of %d recipients have mail", when, len(got), len(want))
					}
				}
				all := []string{poison} // the oldest leads
				for i := range 50 {
					all = append(all, fmt.Sprintf("u%d@example.net", i))
					want[all[i+1]] = 1
				}
				send(all...)
				<-time.After(10 * time.Second)
				check("at first")
				for i := range 12 {
					to := fmt.Sprintf("later%d@example.net", i)
					want[to] = 1
					send(to)
					<-time.After(time.Minute)
				}
				check("after a while")
				y.houses[0].faults(y)
				<-time.After(20 * time.Minute)
				if comes {
					want[poison] = 1
				}
				check("at last")
			})
		})
	}
}

// withMailServer runs test on a yard that has a mail server as well: that of its first provider's sandbox.
func withMailServer(t *testing.T, test func(y *yard, relay *directory.TPSP)) {
	t.Helper()
	var adapter *smtp.Adapter
	var at connections
	var listener *pipes
	roots := x509.NewCertPool()
	newYard(t, 1, route.Volume, nil, func(c *dispatch.Config) {
		listener = newPipes() // within the bubble
		adapter = smtp.New(smtp.Config{RootCAs: roots, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.dial(ctx) }})
		c.Providers[provider.CustomSMTP] = adapter
		at = c.Connections.(connections)
	}, func(y *yard) {
		house := y.houses[0].sandbox
		roots.AppendCertsFromPEM([]byte(house.SMTPAuthority()))
		var serving sync.WaitGroup
		serving.Go(func() { y.must(house.ServeSMTP(listener)) })
		relay := &directory.TPSP{AccountID: y.pool.AccountID, Name: "relay", Type: provider.CustomSMTP, SealedKey: []byte("relay"),
			KeyHash: secret.Hash("relay"), Created: time.Now()}
		y.must(y.db.CreateTPSP(y.Context(), relay, &route.Pool{Name: relay.Name, Created: time.Now()}))
		at[relay.ID] = provider.Connection{AccountID: y.pool.AccountID, TPSPID: relay.ID, Endpoint: "smtp+starttls://127.0.0.1"}
		y.must(y.dir.Reload(y.Context()))
		test(y, relay)
		y.must(errors.Join(adapter.Close(), listener.Close()))
		serving.Wait()
	})
}

// inbox counts the mails at the first provider's sandbox by their recipients.
func (y *yard) inbox() map[string]int {
	y.Helper()
	var page struct {
		Messages []struct{ To string }
	}
	y.control(y.houses[0], http.MethodGet, "/sandbox/messages?limit=500", nil, &page)
	got := map[string]int{}
	for _, m := range page.Messages {
		got[strings.Trim(m.To, "<>")]++
	}
	return got
}
