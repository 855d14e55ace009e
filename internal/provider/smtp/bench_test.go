package smtp_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/smtp"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// prompt is how long something may take that should take no time; the machine may be busy.
const prompt = 30 * time.Second

// bench is an adapter and the sandbox's mail server, over real TCP.
type bench struct {
	t       *testing.T
	adapter *smtp.Adapter
	dialled atomic.Int32
	control string // URL of the control API
	smtp    string // host:port
	smtps   string
	roots   *x509.CertPool
}

func setup(t *testing.T, change ...func(*smtp.Config)) *bench {
	t.Helper()
	b := &bench{t: t, roots: x509.NewCertPool()}
	box, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	serve := func(with func(net.Listener) error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := with(l); err != nil {
				t.Error(err)
			}
		})
		return l.Addr().String()
	}
	b.smtp, b.smtps = serve(box.ServeSMTP), serve(box.ServeSMTPS)
	server := httptest.NewServer(box.Handler())
	b.control = server.URL
	b.roots.AppendCertsFromPEM([]byte(box.SMTPAuthority()))
	b.adapter = b.newAdapter(change...)
	t.Cleanup(func() {
		server.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return b
}

// newAdapter counts its connections. It is closed with the test, before the server.
func (b *bench) newAdapter(change ...func(*smtp.Config)) *smtp.Adapter {
	dialer := &net.Dialer{}
	cfg := smtp.Config{AllowPrivate: true, RootCAs: b.roots, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		b.dialled.Add(1)
		return dialer.DialContext(ctx, network, address)
	}}
	for _, f := range change {
		f(&cfg)
	}
	a := smtp.New(cfg)
	b.t.Cleanup(func() {
		if err := a.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return a
}

// connection is how to reach the sandbox by a scheme.
func (b *bench) connection(scheme string) provider.Connection {
	address := b.smtp
	if scheme == "smtps" {
		address = b.smtps
	}
	return provider.Connection{AccountID: 1, TPSPID: 3, Endpoint: scheme + "://" + address, Key: secret.NewString(sandbox.DemoSMTPUser),
		Secret: secret.NewString(sandbox.DemoSMTPPassword)}
}

// call calls the control API.
func (b *bench) call(method, path string, in, out any) {
	b.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequest(method, b.control+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil || res.StatusCode != http.StatusOK {
		b.t.Fatalf("%s %s: %d %s (%v)", method, path, res.StatusCode, raw, err)
	}
}

type rule map[string]any

func (b *bench) faults(rules ...rule) {
	b.t.Helper()
	list := []rule{}
	for _, r := range rules {
		r["provider"] = "smtp"
		list = append(list, r)
	}
	b.call(http.MethodPut, "/sandbox/faults", list, nil)
}

// arrived is a mail in the inbox.
type arrived struct {
	From, To, Cc, Bcc, ReplyTo, Subject, Text, HTML, RenderError string
	Metadata                                                     map[string]string
	Headers                                                      []struct{ Name, Value string }
	Attachments                                                  []struct {
		Name, ContentType string
		Size              int
	}
}

// mails returns what the inbox has of a message.
func (b *bench) mails(id mail.ID) []arrived {
	b.t.Helper()
	var list struct{ Messages []arrived }
	b.call(http.MethodGet, "/sandbox/messages?messageId="+id.String(), nil, &list)
	return list.Messages
}

func content() *mail.Content {
	return &mail.Content{From: mail.Address{Email: "shop@example.com", Name: "Shop"}, Subject: "Hello", Text: "Hello.", HTML: "<p>Hello.</p>"}
}

func newID(t testing.TB) mail.ID {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// batch returns n messages to different recipients.
func batch(t testing.TB, n int) []provider.Outgoing {
	t.Helper()
	list := make([]provider.Outgoing, n)
	for i := range list {
		list[i] = provider.Outgoing{ID: newID(t), AccountID: 1, SubAccountID: 2, TPSPID: 3, Mailbox: "default", Content: content(),
			Recipient: mail.Recipient{Address: mail.Address{Email: fmt.Sprintf("user%d@recipient.example", i)}}}
	}
	return list
}

// send sends and checks what holds for every outcome.
func (b *bench) send(ctx context.Context, conn provider.Connection, list []provider.Outgoing) []provider.Outcome {
	b.t.Helper()
	outcomes := b.adapter.Send(ctx, conn, list)
	if len(outcomes) != len(list) {
		b.t.Fatalf("%d outcomes for %d messages", len(outcomes), len(list))
	}
	for i, o := range outcomes {
		if o.Class != provider.Accepted && o.Text == "" || len(o.Text) > provider.MaxText || o.HTTPStatus != 0 {
			b.t.Errorf("outcome %d: %+v", i, o)
		}
		if bytes.Contains([]byte(fmt.Sprintf("%+v", o)), []byte(sandbox.DemoSMTPPassword)) {
			b.t.Errorf("outcome %d shows the password", i)
		}
	}
	return outcomes
}
