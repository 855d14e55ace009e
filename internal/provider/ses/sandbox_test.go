package ses_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/ses"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// longest is how long the simulator may take for what it does in the background.
const longest = 30 * time.Second

// yard is an adapter at work against the simulator, with a webhook that does what the intake does.
type yard struct {
	t       *testing.T
	adapter *ses.Adapter
	conn    provider.Connection
	reports chan provider.Report
	unread  chan error

	mu   sync.Mutex
	hook provider.Hook
}

func newYard(t *testing.T) *yard {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{DeliveryDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, box.Close()); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	y := &yard{t: t, adapter: ses.New(ses.Config{Transport: transport, AllowPrivate: true}), reports: make(chan provider.Report, 100), unread: make(chan error, 10),
		hook: provider.Hook{Credentials: provider.Credentials{Username: "postyard-4711", Password: secret.NewString("unused")}}}
	var bad *mail.FieldError
	if y.conn, bad = y.adapter.Normalize(provider.Connection{AccountID: 11, TPSPID: 33, Endpoint: server.URL, Key: secret.NewString(sandbox.DemoSESKeyID),
		Secret: secret.NewString(sandbox.DemoSESSecret)}); bad != nil {
		t.Fatal(bad)
	}
	own := httptest.NewServer(http.HandlerFunc(y.receive))
	t.Cleanup(own.Close)
	y.hook.URL = own.URL + "/tpsp/ses/account/11"
	y.hook.Keep = func(ref string) error { y.mu.Lock(); defer y.mu.Unlock(); y.hook.Ref = ref; return nil }
	return y
}

func (y *yard) current() provider.Hook {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.hook
}

func (y *yard) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	d := provider.Delivery{Header: r.Header, Body: body}
	ok, authErr := y.adapter.Authentic(r.Context(), y.conn, y.current(), d)
	if err = errors.Join(err, authErr); err != nil {
		y.t.Errorf("Authentic: %v\n%s", err, body)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if greeting, err := y.adapter.Greet(r.Context(), y.conn, y.current(), d); greeting || err != nil {
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	reports, err := y.adapter.Parse(r.Header, body)
	if err != nil {
		y.unread <- err
		return
	}
	for _, report := range reports {
		y.reports <- report
	}
}

func (y *yard) register() (changed bool) {
	y.t.Helper()
	hook := y.current()
	ref, changed, err := y.adapter.Register(y.t.Context(), y.conn, hook)
	if err != nil || ref == "" || ref != y.current().Ref {
		y.t.Fatalf("Register = %q, %v; kept %q", ref, err, y.current().Ref)
	}
	return changed
}

func (y *yard) message(to string, copies ...string) provider.Outgoing {
	id, err := uuid.NewV7()
	if err != nil {
		y.t.Fatal(err)
	}
	out := provider.Outgoing{ID: id, AccountID: 11, SubAccountID: 22, TPSPID: 33, Mailbox: "default", Content: &mail.Content{
		From: mail.Address{Email: "noreply@example.com", Name: "Example, Inc."}, Subject: "Grüße", HTML: `<p>ü <a href="https://example.com/a">a</a></p>`,
		Groups: []string{"welcome"}, Headers: map[string]string{"TPSP_METADATA_order": "A-77"}},
		Recipient: mail.Recipient{Address: mail.Address{Email: to, Name: "Doe, Jane"}}}
	for _, email := range copies {
		out.Recipient.CC = append(out.Recipient.CC, mail.Address{Email: email})
	}
	return out
}

func (y *yard) send(out provider.Outgoing, want provider.Class) provider.Outcome {
	y.t.Helper()
	o := y.adapter.Send(y.t.Context(), y.conn, []provider.Outgoing{out})[0]
	if o.Class != want {
		y.t.Fatalf("%+v, want %v", o, want)
	}
	return o
}

// wait returns the next reports, one of each of the types, and checks whose they are.
func (y *yard) wait(of provider.Outgoing, want ...event.Type) map[event.Type]provider.Report {
	y.t.Helper()
	got := map[event.Type]provider.Report{}
	for range want {
		select {
		case r := <-y.reports:
			if r.MessageID != of.ID || r.TPSPID != 33 {
				y.t.Fatalf("%+v, want one of %s", r, of.ID)
			}
			got[r.Type] = r
		case err := <-y.unread:
			y.t.Fatal(err)
		case <-time.After(longest):
			y.t.Fatalf("got %v, want %v", got, want)
		}
	}
	for _, kind := range want {
		if _, ok := got[kind]; !ok {
			y.t.Fatalf("got %v, want %v", got, want)
		}
	}
	return got
}

func (y *yard) control(method, path, body string) {
	y.t.Helper()
	req, err := http.NewRequestWithContext(y.t.Context(), method, y.conn.Endpoint+path, strings.NewReader(body))
	if err != nil {
		y.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		y.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode >= 300 {
		y.t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, bytes.TrimSpace(answer), err)
	}
}

// Everything as with an account at AWS: set-up by SNS's own greeting, mail, each kind of event, tear-down.
func TestSandbox(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	if err := y.adapter.Check(t.Context(), y.conn); err != nil {
		t.Fatal(err)
	}
	if !y.register() || y.register() {
		t.Error("the webhook is made the first time, and stands the second")
	}
	ana := y.message("ana@recipient.test", "bob@recipient.test")
	o := y.send(ana, provider.Accepted)
	got := y.wait(ana, 27, 28, 28)
	if r := got[28]; r.ProviderMessageID != o.ProviderMessageID || r.SMTPCode != 250 || r.Detail.Provider["group"] != "welcome" || r.Detail.Provider["Metadata.order"] != "A-77" {
		t.Errorf("delivered: %+v", r)
	}
	happen := func(body string) {
		y.control(http.MethodPost, "/sandbox/messages/"+o.ProviderMessageID+"/events", body)
	}
	happen(`{"kind":"open"}`)
	if r := y.wait(ana, 33)[33]; r.Recipient != "ana@recipient.test" || r.Detail.RawUserAgent == "" || r.Detail.TrackedIP == "" {
		t.Errorf("opened: %+v", r)
	}
	happen(`{"kind":"click","url":"https://example.com/a"}`)
	if r := y.wait(ana, 34)[34]; r.Detail.ClickedURL != "https://example.com/a" {
		t.Errorf("clicked: %+v", r)
	}
	happen(`{"kind":"complaint","recipient":"bob@recipient.test"}`)
	if r := y.wait(ana, 31)[31]; r.Recipient != "bob@recipient.test" || !r.Suppresses || r.Reason != provider.SpamComplaint {
		t.Errorf("complained: %+v", r)
	}
	happen(`{"kind":"unsubscribe"}`)
	if r := y.wait(ana, 36)[36]; !r.Suppresses || r.Reason != provider.Unsubscribed {
		t.Errorf("unsubscribed: %+v", r)
	}
	for to, want := range map[string]event.Type{"bounce@simulator.amazonses.com": 29, "suppressionlist@simulator.amazonses.com": 32, "softbounce@bounce.sandbox.test": 30,
		"undetermined@bounce.sandbox.test": 30} {
		out := y.message(to)
		y.send(out, provider.Accepted)
		r := y.wait(out, 27, want)[want]
		if r.Suppresses != (want != 30) || r.Final != (want != 32) || r.Recipient != to {
			t.Errorf("%s: %+v", to, r)
		}
	}
	delayed := y.message("delay@bounce.sandbox.test")
	y.send(delayed, provider.Accepted)
	y.wait(delayed, 27, 28) // nothing for the delay itself
	for range 2 {
		if err := y.adapter.Unregister(t.Context(), y.conn, y.current()); err != nil {
			t.Errorf("Unregister: %v", err)
		}
	}
	if !y.register() {
		t.Error("what was removed is not made again")
	}
}

// The simulator refuses in SES's words.
func TestSandboxRefuses(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	if o := y.send(y.message("ana@recipient.test"), provider.Account); o.SenderOnly || o.Code == "" {
		t.Errorf("without the configuration set: %+v", o)
	}
	y.register()
	other := y.message("ana@recipient.test")
	other.Content.From.Email = "shop@unverified.test"
	if o := y.send(other, provider.Account); !o.SenderOnly || o.Code != "MessageRejected" {
		t.Errorf("unverified: %+v", o)
	}
	wrong := y.conn
	wrong.Secret = secret.NewString("another")
	if o := y.adapter.Send(t.Context(), wrong, []provider.Outgoing{y.message("ana@recipient.test")})[0]; o.Class != provider.Account || o.SenderOnly {
		t.Errorf("wrong secret: %+v", o)
	}
	refused, ok := errors.AsType[*provider.SetupError](y.adapter.Check(t.Context(), wrong))
	if !ok || refused.Field != "secret" {
		t.Errorf("wrong secret: %#v", refused)
	}
	y.control(http.MethodPut, "/sandbox/faults", `[{"provider":"ses","path":"/v2/email/outbound-emails","kind":"status","status":503,"count":1}]`)
	y.send(y.message("ana@recipient.test"), provider.Transient)
	y.send(y.message("ana@recipient.test"), provider.Accepted)
}
