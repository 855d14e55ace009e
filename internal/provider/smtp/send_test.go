package smtp_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/smtp"
	"postyard/internal/secret"
)

// Messages arrive in each of the modes, encrypted as the mode says.
func TestModes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, scheme := range []string{"smtp", "smtp+starttls", "smtps"} {
		list := batch(t, 3)
		for i, o := range b.send(t.Context(), b.connection(scheme), list) {
			if o.Class != provider.Accepted || o.ProviderMessageID != list[i].ID.String()+"@example.com" {
				t.Errorf("%s: outcome %d: %+v", scheme, i, o)
			}
			if mails := b.mails(list[i].ID); len(mails) != 1 || mails[0].To != "<"+list[i].Recipient.Email+">" || mails[0].RenderError != "" {
				t.Errorf("%s: arrived %+v", scheme, mails)
			}
		}
	}
}

// A certificate that nobody signed is taken where plain text would do, and nowhere else.
func TestCertificates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tc := range []struct {
		scheme  string
		private bool
		want    provider.Class
	}{
		{"smtp", true, provider.Accepted}, {"smtp", false, provider.Transient},
		{"smtp+starttls", true, provider.Transient}, {"smtps", true, provider.Transient},
	} {
		b.adapter = b.newAdapter(func(c *smtp.Config) { c.RootCAs, c.AllowPrivate = nil, tc.private })
		list := batch(t, 2)
		for i, o := range b.send(t.Context(), b.connection(tc.scheme), list) {
			if o.Class != tc.want || tc.want != provider.Accepted && !strings.Contains(o.Text, "certificate") {
				t.Errorf("%+v: outcome %d: %+v", tc, i, o)
			}
			if n := len(b.mails(list[i].ID)); (n == 1) != (tc.want == provider.Accepted) {
				t.Errorf("%+v: %d mails", tc, n)
			}
		}
		if tc.want == provider.Accepted {
			continue
		}
		if refused, ok := errors.AsType[*provider.SetupError](b.adapter.Check(t.Context(), b.connection(tc.scheme))); !ok || refused.Code != "tls_failed" || refused.Field != "endpoint" {
			t.Errorf("%+v: Check: %+v", tc, refused)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := b.connection("smtps")
	wrong, none := good, good
	wrong.Secret = secret.NewString("not the password")
	none.Key, none.Secret = secret.String{}, secret.String{}
	b.call("PUT", "/sandbox/settings", map[string]any{"smtpLogin": true}, nil)
	for name, tc := range map[string]struct {
		conn  provider.Connection
		class provider.Class
		code  string
	}{
		"right": {good, provider.Accepted, ""}, "wrong": {wrong, provider.Account, "535 5.7.8"}, "none": {none, provider.Account, "530 5.7.0"},
	} {
		before := b.dialled.Load()
		for _, o := range b.send(t.Context(), tc.conn, batch(t, 3)) {
			if o.Class != tc.class || o.Code != tc.code || o.SenderOnly || strings.Contains(o.Text, "not the password") {
				t.Errorf("%s: %+v", name, o)
			}
		}
		if n := b.dialled.Load() - before; n > 1 {
			t.Errorf("%s: %d connections to hear the same", name, n)
		}
	}
}

// Each row: where a fault happens, and what it means for a message. stays says whether the server has the message.
func TestFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refused := func(path string, status int, text string) rule {
		return rule{"path": path, "kind": "status", "status": status, "body": text}
	}
	lost := func(path, kind string) rule { return rule{"path": path, "kind": kind} }
	for _, tc := range []struct {
		fault rule
		want  provider.Outcome // class, code and marks
		stays bool
	}{
		{refused("/connect", 421, "4.3.2 shutting down"), provider.Outcome{Class: provider.Transient, Code: "421 4.3.2"}, false},
		{refused("/connect", 421, "4.7.0 too many connections"), provider.Outcome{Class: provider.Throttled, Code: "421 4.7.0"}, false},
		{refused("/connect", 554, "no service here"), provider.Outcome{Class: provider.Transient, Code: "554"}, false},
		{refused("/ehlo", 550, "5.7.1 go away"), provider.Outcome{Class: provider.Transient, Code: "550 5.7.1"}, false},
		{lost("/connect", "reset_before"), provider.Outcome{Class: provider.Transient}, false},
		{lost("/ehlo", "reset_before"), provider.Outcome{Class: provider.Transient}, false},
		{refused("/auth", 454, "4.7.0 temporary failure"), provider.Outcome{Class: provider.Transient, Code: "454 4.7.0"}, false},
		{refused("/auth", 535, "5.7.8 no"), provider.Outcome{Class: provider.Account, Code: "535 5.7.8"}, false},
		{refused("/auth", 534, "5.7.9 weak"), provider.Outcome{Class: provider.Account, Code: "534 5.7.9"}, false},
		{lost("/auth", "reset_before"), provider.Outcome{Class: provider.Transient}, false},
		{refused("/mail", 421, "4.7.0 slow down"), provider.Outcome{Class: provider.Throttled, Code: "421 4.7.0"}, false},
		{refused("/mail", 421, "4.3.0 bye"), provider.Outcome{Class: provider.Transient, Code: "421 4.3.0"}, false},
		{refused("/mail", 451, "4.3.0 later"), provider.Outcome{Class: provider.Transient, Code: "451 4.3.0"}, false},
		{refused("/mail", 530, "5.7.0 log in first"), provider.Outcome{Class: provider.Account, Code: "530 5.7.0"}, false},
		{refused("/mail", 550, "5.7.1 not your domain"), provider.Outcome{Class: provider.Account, SenderOnly: true, Code: "550 5.7.1"}, false},
		{refused("/mail", 553, "5.1.8 unknown domain"), provider.Outcome{Class: provider.Account, SenderOnly: true, Code: "553 5.1.8"}, false},
		{refused("/mail", 552, "5.3.4 too large"), provider.Outcome{Class: provider.Rejected, Elsewhere: true, Code: "552 5.3.4"}, false},
		{lost("/mail", "reset_before"), provider.Outcome{Class: provider.Transient}, false},
		{refused("/rcpt", 450, "4.7.1 greylisted"), provider.Outcome{Class: provider.Transient, Code: "450 4.7.1", Own: true}, false},
		{refused("/rcpt", 452, "4.2.2 over quota"), provider.Outcome{Class: provider.Transient, Code: "452 4.2.2", Own: true}, false},
		{refused("/rcpt", 452, "mailbox over quota"), provider.Outcome{Class: provider.Transient, Code: "452", Own: true}, false},
		{refused("/rcpt", 554, "5.7.1 Client host rejected"), provider.Outcome{Class: provider.Account, Code: "554 5.7.1"}, false},
		{refused("/rcpt", 451, "4.7.1 rate limit exceeded"), provider.Outcome{Class: provider.Throttled, Code: "451 4.7.1"}, false},
		{refused("/rcpt", 550, "5.1.1 no such user"), provider.Outcome{Class: provider.Rejected, Code: "550 5.1.1"}, false},
		{refused("/rcpt", 550, "no such user"), provider.Outcome{Class: provider.Rejected, Code: "550"}, false},
		{refused("/rcpt", 554, "5.7.1 Relay access denied"), provider.Outcome{Class: provider.Rejected, Elsewhere: true, Code: "554 5.7.1"}, false},
		{refused("/rcpt", 553, "5.7.1 Sender address rejected: not owned by user"), provider.Outcome{Class: provider.Account, SenderOnly: true, Code: "553 5.7.1"}, false},
		{lost("/rcpt", "reset_before"), provider.Outcome{Class: provider.Transient}, false},
		{refused("/content", 451, "4.3.0 later"), provider.Outcome{Class: provider.Transient, Code: "451 4.3.0", Own: true}, false},
		{refused("/content", 421, "4.7.0 too much"), provider.Outcome{Class: provider.Throttled, Code: "421 4.7.0"}, false},
		{refused("/content", 550, "5.7.1 spam"), provider.Outcome{Class: provider.Rejected, Elsewhere: true, Code: "550 5.7.1"}, false},
		{refused("/content", 552, "5.3.4 too large"), provider.Outcome{Class: provider.Rejected, Elsewhere: true, Code: "552 5.3.4"}, false},
		{refused("/content", 550, "5.4.5 daily limit"), provider.Outcome{Class: provider.Throttled, Code: "550 5.4.5"}, false},
		{lost("/content", "reset_before"), provider.Outcome{Class: provider.Ambiguous}, false},
		{lost("/content", "reset_after"), provider.Outcome{Class: provider.Ambiguous}, true},
	} {
		for _, scheme := range []string{"smtp", "smtps"} {
			if tc.fault["path"] == "/connect" && tc.fault["kind"] == "status" && scheme == "smtps" {
				continue // the sandbox says this below TLS
			}
			b.faults(tc.fault)
			b.adapter = b.newAdapter()
			list := batch(t, 1)
			got := b.send(t.Context(), b.connection(scheme), list)[0]
			if got.Class != tc.want.Class || got.Code != tc.want.Code || got.SenderOnly != tc.want.SenderOnly || got.Elsewhere != tc.want.Elsewhere || got.Own != tc.want.Own || got.Unsent {
				t.Errorf("%v by %s: %v %+v", tc.fault, scheme, got.Class, got)
			}
			if n := len(b.mails(list[0].ID)); (n == 1) != tc.stays {
				t.Errorf("%v by %s: %d mails", tc.fault, scheme, n)
			}
			// The next one is not the worse for it.
			b.faults()
			if o := b.send(t.Context(), b.connection(scheme), batch(t, 1))[0]; o.Class != provider.Accepted {
				t.Errorf("after %v by %s: %+v", tc.fault, scheme, o)
			}
		}
	}
}

// A message that is refused does not keep the others of its call back, and a server that breaks down does.
func TestBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tc := range []struct {
		fault rule
		want  []provider.Class
		dials int32
	}{
		{rule{"path": "/rcpt", "kind": "status", "status": 550, "body": "5.1.1 no", "count": 1}, []provider.Class{provider.Rejected, provider.Accepted, provider.Accepted}, 1},
		{rule{"path": "/content", "kind": "status", "status": 550, "body": "5.7.1 no", "count": 1}, []provider.Class{provider.Rejected, provider.Accepted, provider.Accepted}, 1},
		{rule{"path": "/content", "kind": "reset_before", "count": 1}, []provider.Class{provider.Ambiguous, provider.Accepted, provider.Accepted}, 2},
		{rule{"path": "/rcpt", "kind": "reset_before", "count": 1}, []provider.Class{provider.Transient, provider.Accepted, provider.Accepted}, 2},
		{rule{"path": "/rcpt", "kind": "status", "status": 451, "body": "4.7.0 too many", "count": 1}, []provider.Class{provider.Transient, provider.Accepted, provider.Accepted}, 1},
		{rule{"path": "/rcpt/user2@", "kind": "status", "status": 451, "body": "4.7.0 too many"}, []provider.Class{provider.Accepted, provider.Accepted, provider.Throttled}, 1},
		{rule{"path": "/rcpt", "kind": "status", "status": 451, "body": "4.7.0 too many"}, []provider.Class{provider.Throttled, provider.Throttled, provider.Throttled}, 1},
		{rule{"path": "/mail", "kind": "status", "status": 451, "body": "4.7.0 too many", "count": 1}, []provider.Class{provider.Throttled, provider.Throttled, provider.Throttled}, 1},
		{rule{"path": "/rcpt", "kind": "status", "status": 421, "body": "4.7.0 too many", "count": 1}, []provider.Class{provider.Throttled, provider.Throttled, provider.Throttled}, 1},
		{rule{"path": "/rcpt", "kind": "status", "status": 530, "body": "5.7.0 log in", "count": 1}, []provider.Class{provider.Account, provider.Account, provider.Account}, 1},
		{rule{"path": "/rcpt/user1@", "kind": "status", "status": 554, "body": "5.7.1 blocked"}, []provider.Class{provider.Accepted, provider.Rejected, provider.Accepted}, 1},
		{rule{"path": "/rcpt", "kind": "status", "status": 554, "body": "5.7.1 blocked"}, []provider.Class{provider.Account, provider.Account, provider.Account}, 1},
		{rule{"path": "/connect", "kind": "reset_before"}, []provider.Class{provider.Transient, provider.Transient, provider.Transient}, 1},
	} {
		b.faults(tc.fault)
		b.adapter = b.newAdapter()
		before := b.dialled.Load()
		list := batch(t, 3)
		var got []provider.Class
		for _, o := range b.send(t.Context(), b.connection("smtp"), list) {
			got = append(got, o.Class)
		}
		if !slices.Equal(got, tc.want) || b.dialled.Load()-before != tc.dials {
			t.Errorf("%v: %v over %d connections, want %v over %d", tc.fault, got, b.dialled.Load()-before, tc.want, tc.dials)
		}
	}
}

// One connection carries many messages, over several calls.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.connection("smtp")
	for range 3 {
		for _, o := range b.send(t.Context(), conn, batch(t, 5)) {
			if o.Class != provider.Accepted {
				t.Fatalf("%+v", o)
			}
		}
	}
	if n := b.dialled.Load(); n != 1 {
		t.Errorf("%d connections for three calls", n)
	}
	other := conn
	other.Domain = "mx.example.com"
	b.send(t.Context(), other, batch(t, 1))
	if n := b.dialled.Load(); n != 2 {
		t.Errorf("%d connections with other settings as well", n)
	}
}

// Calls at the same time have connections of their own, of which some are kept.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.connection("smtp")
	b.faults(rule{"path": "/content", "kind": "delay", "delayMs": 50})
	var calls sync.WaitGroup
	for range 12 {
		list := batch(t, 2)
		calls.Go(func() {
			for _, o := range b.adapter.Send(t.Context(), conn, list) {
				if o.Class != provider.Accepted {
					t.Errorf("%+v", o)
				}
			}
		})
	}
	calls.Wait()
	dialled := b.dialled.Load()
	b.send(t.Context(), conn, batch(t, 1))
	if dialled > 12 || b.dialled.Load() != dialled {
		t.Errorf("%d connections for twelve calls, %d with one more", dialled, b.dialled.Load())
	}
}

// A connection that the server ended while it was not in use costs nothing but another one.
func TestConnectionThatEndedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]rule{
		"lost":    {"path": "/mail", "kind": "reset_before", "count": 1},
		"refused": {"path": "/mail", "kind": "status", "status": 421, "body": "4.4.2 idle for too long", "count": 1},
	} {
		b := setup(t)
		conn := b.connection("smtp")
		b.send(t.Context(), conn, batch(t, 1))
		b.faults(fault)
		list := batch(t, 2)
		for i, o := range b.send(t.Context(), conn, list) {
			if o.Class != provider.Accepted || len(b.mails(list[i].ID)) != 1 {
				t.Errorf("%s: outcome %d: %+v", name, i, o)
			}
		}
		if n := b.dialled.Load(); n != 2 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	b := setup(t, func(c *smtp.Config) {
		dial := c.Dial
		c.Idle = 50 * time.Millisecond
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return &observed{Conn: conn, end: sync.OnceFunc(func() { close(closed) })}, err
		}
	})
	b.send(t.Context(), b.connection("smtp"), batch(t, 1))
	select {
	case <-closed:
	case <-time.After(prompt):
		t.Fatal("an unused connection is kept for ever")
	}
}

// observed is a connection whose end is noticed.
type observed struct {
	net.Conn
	end func()
}

func (o *observed) Close() error {
	o.end()
	return o.Conn.Close()
}

// A server that hangs at any stage holds a call for as long as the call may last, and no longer.
func TestHangs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		path string
		want provider.Class
	}{
		{"/connect", provider.Transient}, {"/ehlo", provider.Transient}, {"/auth", provider.Transient}, {"/mail", provider.Transient},
		{"/rcpt", provider.Transient}, {"/content", provider.Ambiguous},
	} {
		t.Run(strings.TrimPrefix(tc.path, "/"), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.faults(rule{"path": tc.path, "kind": "hang"})
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			done := make(chan []provider.Outcome, 1)
			go func() { done <- b.send(ctx, b.connection("smtp"), batch(t, 3)) }()
			select {
			case outcomes := <-done:
				if outcomes[0].Class != tc.want || outcomes[0].Unsent {
					t.Errorf("the first: %+v", outcomes[0])
				}
				for _, o := range outcomes[1:] {
					if o.Class != provider.Transient || !o.Unsent {
						t.Errorf("a later one: %+v", o)
					}
				}
			case <-time.After(prompt):
				t.Fatal("Send does not return when its context ends")
			}
		})
	}
}

// Copies are recipients of the same transaction. The message's own recipient decides about it.
func TestCopies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.connection("smtp")
	message := func() []provider.Outgoing {
		list := batch(t, 1)
		list[0].Recipient.CC = []mail.Address{{Email: "cc@copy.example", Name: "C C"}, {Email: "USER0@recipient.example"}}
		list[0].Recipient.BCC = []mail.Address{{Email: "bcc@copy.example"}}
		return list
	}
	list := message()
	o := b.send(t.Context(), conn, list)[0]
	mails := b.mails(list[0].ID)
	if o.Class != provider.Accepted || len(o.InactiveAddresses) != 0 || len(mails) != 1 || mails[0].Bcc != "bcc@copy.example" ||
		mails[0].Cc != `"C C" <cc@copy.example>, <USER0@recipient.example>` {
		t.Errorf("%+v, arrived %+v", o, mails)
	}
	for _, h := range mails[0].Headers {
		if strings.EqualFold(h.Name, "Bcc") || strings.Contains(h.Value, "bcc@") {
			t.Errorf("the mail tells of its bcc recipients: %v", h)
		}
	}

	// The second RCPT is the copy's: the rule for the first one lets it pass.
	for _, tc := range []struct {
		status   int
		body     string
		inactive []string
	}{{550, "5.1.1 no such user", []string{"cc@copy.example"}}, {550, "5.7.1 relaying denied", nil}, {552, "5.2.2 full", nil}, {451, "4.3.0 later", nil}} {
		b.faults(rule{"path": "/rcpt", "kind": "delay", "delayMs": 1, "count": 1},
			rule{"path": "/rcpt", "kind": "status", "status": tc.status, "body": tc.body, "count": 1})
		list = message()
		o = b.send(t.Context(), conn, list)[0]
		if o.Class != provider.Accepted || !slices.Equal(o.InactiveAddresses, tc.inactive) || (o.Bounce == event.HardBounced) != (tc.inactive != nil) ||
			!strings.Contains(o.Text, "not to cc@copy.example") {
			t.Errorf("a copy refused with %d %s: %+v", tc.status, tc.body, o)
		}
		if mails := b.mails(list[0].ID); len(mails) != 1 {
			t.Errorf("a copy refused with %d: arrived %+v", tc.status, mails)
		}
	}
	b.faults(rule{"path": "/rcpt", "kind": "status", "status": 550, "body": "5.1.1 no", "count": 1})
	list = message()
	if o = b.send(t.Context(), conn, list)[0]; o.Class != provider.Rejected || len(b.mails(list[0].ID)) != 0 {
		t.Errorf("the recipient refused: %+v", o)
	}
}

// What is larger than the server takes is not sent, and may go elsewhere.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := batch(t, 2)
	list[0].Content.Text = strings.Repeat("Hello. ", 2000)
	server := &played{most: 10_000}
	outcomes := b.send(t.Context(), provider.Connection{Endpoint: play(t, server)}, list)
	if o := outcomes[0]; o.Class != provider.Rejected || !o.Elsewhere {
		t.Errorf("%+v", o)
	}
	if outcomes[1].Class != provider.Accepted {
		t.Errorf("%+v", outcomes[1])
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, scheme := range []string{"smtp", "smtp+starttls", "smtps"} {
		if err := b.adapter.Check(t.Context(), b.connection(scheme)); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	for path, want := range map[string]provider.SetupError{
		"/connect": {Code: provider.CodeUnavailable, Retry: true}, "/ehlo": {Code: provider.CodeUnavailable, Retry: true},
		"/auth": {Code: "login_refused", Field: "key"},
	} {
		b.faults(rule{"path": path, "kind": "status", "status": 554, "body": "no"})
		got, ok := errors.AsType[*provider.SetupError](b.adapter.Check(t.Context(), b.connection("smtp")))
		if !ok || got.Code != want.Code || got.Field != want.Field || got.Retry != want.Retry || !strings.Contains(got.Message, "554 no") {
			t.Errorf("%s: %+v", path, got)
		}
	}
	var list struct{ Total int }
	if b.call("GET", "/sandbox/messages", nil, &list); list.Total != 0 {
		t.Errorf("a check sends %d mails", list.Total)
	}
}
