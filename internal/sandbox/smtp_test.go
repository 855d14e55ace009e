package sandbox_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"postyard/internal/sandbox"
)

// post has the sandbox take mail by SMTP, and returns where.
func (b *bench) post() (plain, encrypted string) {
	b.t.Helper()
	var running sync.WaitGroup
	var at [2]string
	for i, serve := range []func(net.Listener) error{b.box.ServeSMTP, b.box.ServeSMTPS} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.t.Fatal(err)
		}
		at[i] = l.Addr().String()
		running.Go(func() {
			if err := serve(l); err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(func() { // before the sandbox is closed by its own clean-up
		if err := b.box.Close(); err != nil {
			b.t.Error(err)
		}
		running.Wait()
	})
	return at[0], at[1]
}

func (b *bench) trust() *tls.Config {
	b.t.Helper()
	roots := x509.NewCertPool()
	authority := b.control(http.MethodGet, "/sandbox/smtp", nil, http.StatusOK).field(b.t, "authority").(string)
	if !roots.AppendCertsFromPEM([]byte(authority)) {
		b.t.Fatalf("not a certificate: %s", authority)
	}
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// dial connects in the clear.
func (b *bench) dial(address string) *gosmtp.Client {
	b.t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	client := gosmtp.NewClient(conn)
	client.CommandTimeout, client.SubmissionTimeout = patience, patience
	return client
}

const letter = "From: =?utf-8?q?Sh=C3=B6p?= <shop@example.com>\r\nTo: ana@example.net\r\nCc: Bob <bob@example.net>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
	"X-Long: one\r\n two\r\nX-Sendpost-Message-UUID: m1\r\nX-Sendpost-TPSP-ID: 3\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n" +
	"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+\r\n" +
	"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n"

func hand(client *gosmtp.Client, text string, to ...string) error {
	return client.SendMail("bounces@example.com", to, strings.NewReader(text))
}

// Mail by SMTP is in the same inbox, found by the gateway's id and by any of its recipients, and survives a kill.
func TestMailServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	plain, encrypted := b.post()
	if err := hand(b.dial(plain), letter, "ana@example.net", "Bob@example.net", "hidden@example.net"); err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", encrypted, b.trust())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := hand(gosmtp.NewClient(conn), "this is not a mail", "ana@example.net"); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*bench{b, setup(t, in(killed(t, dir, "")))} {
		var found struct {
			Total    int
			Messages []struct {
				ID, Provider, From, To, Cc, Bcc, Subject, Text, HTML, RenderError string
				Metadata                                                          map[string]string
				Headers                                                           []object
				Attachments                                                       []object
			}
		}
		b.control(http.MethodGet, "/sandbox/messages?messageId=m1&to=hidden@example.net", nil, http.StatusOK).into(t, &found)
		if found.Total != 1 {
			t.Fatalf("%+v", found)
		}
		m := found.Messages[0]
		if m.Provider != "smtp" || m.From != "Shöp <shop@example.com>" || m.To != "ana@example.net" || m.Cc != "Bob <bob@example.net>" || m.Bcc != "hidden@example.net" ||
			m.Subject != "Grüße" || m.Text != "Grüße" || m.HTML != "<p>" || m.RenderError != "" || m.Metadata["messageId"] != "m1" || m.Metadata["TPSP-ID"] != "3" ||
			len(m.Headers) != 9 || m.Headers[4]["value"] != "one two" || len(m.Attachments) != 1 || m.Attachments[0]["name"] != "a.pdf" || m.Attachments[0]["size"] != float64(3) {
			t.Errorf("%+v", m)
		}
		if page := b.page("/sandbox/mail/"+m.ID, http.StatusOK); !strings.Contains(page, "Grüße") || strings.Contains(page, "What does the recipient do?") {
			t.Errorf("the page: %s", page)
		}
		b.control(http.MethodPost, "/sandbox/messages/"+m.ID+"/events", object{"kind": "open"}, http.StatusUnprocessableEntity)
		b.control(http.MethodGet, "/sandbox/messages?to=ana@example.net", nil, http.StatusOK).into(t, &found)
		if found.Total != 2 || found.Messages[1].RenderError == "" || found.Messages[1].From != "bounces@example.com" {
			t.Errorf("%+v", found)
		}
		if a := b.control(http.MethodGet, "/sandbox/arrivals?limit=1", nil, http.StatusOK); !strings.Contains(string(a.body), `"messageId":"m1"`) {
			t.Errorf("arrivals: %s", a.body)
		}
		// The read side of Postmark does not have it.
		if total, _ := b.search("count=10&offset=0&recipient=ana@example.net"); total != 0 {
			t.Errorf("Postmark has %d", total)
		}
	}
	if page := b.page("/sandbox", http.StatusOK); !strings.Contains(page, "smtp://"+plain) || !strings.Contains(page, sandbox.DemoSMTPPassword) {
		t.Errorf("the inbox does not tell how to connect: %s", page)
	}
	b.control(http.MethodPost, "/sandbox/reset", nil, http.StatusOK)
	if a := b.control(http.MethodGet, "/sandbox/messages", nil, http.StatusOK); a.field(t, "total") != float64(0) {
		t.Errorf("after a reset: %s", a.body)
	}
}

func TestMailServerLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plain, _ := b.post()
	b.control(http.MethodPut, "/sandbox/settings", object{"smtpLogin": true}, http.StatusOK)
	if err := hand(b.dial(plain), letter, "ana@example.net"); code(err) != 530 {
		t.Errorf("without a login: %v", err)
	}
	for name, mechanism := range map[string]sasl.Client{
		"PLAIN": sasl.NewPlainClient("", sandbox.DemoSMTPUser, sandbox.DemoSMTPPassword), "LOGIN": sasl.NewLoginClient(sandbox.DemoSMTPUser, sandbox.DemoSMTPPassword),
	} {
		conn, err := net.Dial("tcp", plain)
		if err != nil {
			t.Fatal(err)
		}
		client, err := gosmtp.NewClientStartTLS(conn, b.trust())
		if err == nil {
			err = client.Auth(mechanism)
		}
		if err == nil {
			err = hand(client, letter, "ana@example.net")
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = conn.Close()
	}
	if err := b.dial(plain).Auth(sasl.NewPlainClient("", sandbox.DemoSMTPUser, "wrong")); code(err) != 535 {
		t.Errorf("a wrong password: %v", err)
	}
}

// code returns the server's answer in an error.
func code(err error) int {
	if refused, ok := errors.AsType[*gosmtp.SMTPError](err); ok {
		return refused.Code
	}
	return 0
}

// A fault without the mail server's name is not its.
func TestMailServerFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plain, _ := b.post()
	total := func() float64 {
		return b.control(http.MethodGet, "/sandbox/messages", nil, http.StatusOK).field(t, "total").(float64)
	}
	for _, tc := range []struct {
		fault object
		code  int // 0: the connection ends
		kept  float64
	}{
		{object{"kind": "status", "status": 503}, 250, 1},
		{object{"kind": "status", "status": 421, "path": "/connect", "body": "4.7.0 too many\r\n220 no"}, 421, 0},
		{object{"kind": "status", "status": 550, "path": "/ehlo"}, 550, 0},
		{object{"kind": "status", "status": 451, "path": "/mail"}, 451, 0},
		{object{"kind": "status", "status": 550, "path": "/rcpt", "server": "Mail server"}, 550, 0},
		{object{"kind": "status", "status": 550, "path": "/rcpt", "server": "Another"}, 250, 1},
		{object{"kind": "status", "status": 552, "path": "/content"}, 552, 0},
		{object{"kind": "delay", "delayMs": 1}, 250, 1},
		{object{"kind": "reset_before", "path": "/connect"}, 0, 0},
		{object{"kind": "reset_before", "path": "/data"}, 0, 0},
		{object{"kind": "reset_before", "path": "/content"}, 0, 0},
		{object{"kind": "reset_after", "path": "/content"}, 0, 1},
	} {
		before := total()
		if tc.fault["status"] != 503 {
			tc.fault["provider"] = "smtp"
		}
		b.control(http.MethodPut, "/sandbox/faults", []object{tc.fault}, http.StatusOK)
		err := hand(b.dial(plain), letter, "ana@example.net")
		if got := code(err); err == nil && tc.code != 250 || err != nil && got != tc.code {
			t.Errorf("%v: %v", tc.fault, err)
		}
		if kept := total() - before; kept != tc.kept {
			t.Errorf("%v: %v mails", tc.fault, kept)
		}
	}
}

// What hangs is let go when the faults change, and when the client goes.
func TestMailServerHangs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plain, _ := b.post()
	for _, stage := range []string{"/connect", "/ehlo", "/rcpt", "/content"} {
		b.control(http.MethodPut, "/sandbox/faults", []object{{"provider": "smtp", "path": stage, "kind": "hang", "count": 1}}, http.StatusOK)
		ended := make(chan error, 1)
		client := b.dial(plain)
		go func() { ended <- hand(client, letter, "ana@example.net") }()
		for deadline := time.After(patience); ; { // until the rule has hit
			if a := b.control(http.MethodGet, "/sandbox/faults", nil, http.StatusOK); strings.TrimSpace(string(a.body)) == "[]" {
				break
			}
			select {
			case err := <-ended:
				t.Fatalf("%s does not hang: %v", stage, err)
			case <-deadline:
				t.Fatalf("%s is not reached", stage)
			case <-time.After(time.Millisecond):
			}
		}
		b.control(http.MethodDelete, "/sandbox/faults", nil, http.StatusOK)
		if err := <-ended; err == nil {
			t.Errorf("%s: taken after all", stage)
		}
	}
}
