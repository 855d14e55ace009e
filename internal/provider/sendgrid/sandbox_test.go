package sendgrid_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/sendgrid"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// patience is how long the simulator may take for what it does in the background.
const patience = 30 * time.Second

// yard is an adapter at work against the simulator.
type yard struct {
	t       *testing.T
	adapter *sendgrid.Adapter
	conn    provider.Connection
	hook    provider.Hook
	kept    chan string          // the ref, for who takes webhooks
	reports chan provider.Report // in the order in which they came
}

// newYard starts the simulator, and a webhook that verifies and parses what it gets.
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
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	y := &yard{
		t: t, adapter: sendgrid.New(sendgrid.Config{Transport: transport, AllowPrivate: true}), kept: make(chan string, 1),
		reports: make(chan provider.Report, 100),
		conn:    provider.Connection{AccountID: 11, TPSPID: 33, Endpoint: server.URL, Key: secret.NewString(sandbox.DemoSendGridKey)},
	}
	y.hook = ourHook()
	y.hook.URL = serve(t, y.receive) + "/tpsp/sendgrid/account/11"
	y.hook.Keep = func(ref string) error {
		y.kept <- ref
		return nil
	}
	return y
}

func (y *yard) receive(w http.ResponseWriter, r *http.Request) {
	ref := <-y.kept
	y.kept <- ref
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/tpsp/sendgrid/account/11" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	ok, err := y.adapter.Authentic(r.Context(), y.conn, provider.Hook{Ref: ref}, provider.Delivery{Header: r.Header, Body: body})
	if !ok || err != nil {
		y.t.Errorf("not authentic: %v, %v\n%s", err, r.Header, body)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	reports, err := y.adapter.Parse(r.Header, body)
	if err != nil {
		y.t.Errorf("Parse: %v\n%s", err, body)
	}
	for _, report := range reports {
		y.reports <- report
	}
}

func (y *yard) register() {
	y.t.Helper()
	ref, changed, err := y.adapter.Register(y.t.Context(), y.conn, y.hook)
	if err != nil || !changed {
		y.t.Fatalf("Register: %t, %v", changed, err)
	}
	y.hook.Ref, y.hook.Keep = ref, nil
}

// message makes a message with an id of its own.
func (y *yard) message(to string) provider.Outgoing {
	id, err := uuid.NewV7()
	if err != nil {
		y.t.Fatal(err)
	}
	return provider.Outgoing{
		ID: id, AccountID: 11, SubAccountID: 22, TPSPID: 33, Mailbox: "default",
		Content: &mail.Content{
			From: mail.Address{Email: "noreply@example.com", Name: "Example, Inc."}, Subject: "Hello {{name}}",
			HTML: `<p><a href="https://example.com/offer">Offer</a></p>`, Text: "Hello",
			Groups: []string{"welcome"}, Headers: map[string]string{"TPSP_METADATA_order": "A-77", "X-Size": "Größe"}, TrackOpens: yes(), TrackClicks: yes(),
			Attachments: []mail.Attachment{{Filename: "a.txt", Content: "QQ=="}}, ReplyTo: &mail.Address{Email: "help@example.com"},
		},
		Recipient: mail.Recipient{Address: mail.Address{Email: to, Name: "Doe, Jane"}},
	}
}

// send sends and checks the classes.
func (y *yard) send(batch []provider.Outgoing, want ...provider.Class) []provider.Outcome {
	y.t.Helper()
	outcomes := y.adapter.Send(y.t.Context(), y.conn, batch)
	for i, o := range outcomes {
		if o.Class != want[i] {
			y.t.Fatalf("outcome %d: %+v, want %v", i, o, want[i])
		}
	}
	return outcomes
}

// wait returns the reports of the next events, which come in any order, and checks whose they are. The last one is that of the last type.
func (y *yard) wait(of provider.Outgoing, want ...event.Type) (reports map[event.Type]provider.Report, last provider.Report) {
	y.t.Helper()
	reports = map[event.Type]provider.Report{}
	for range want {
		select {
		case report := <-y.reports:
			if !slices.Contains(want, report.Type) || report.MessageID != of.ID || report.TPSPID != 33 {
				y.t.Fatalf("got %+v, want types %d of %s", report, want, of.ID)
			}
			reports[report.Type] = report
		case <-time.After(patience):
			y.t.Fatalf("no events of types %d", want)
		}
	}
	if len(reports) != len(want) {
		y.t.Fatalf("got %+v, want types %d", reports, want)
	}
	return reports, reports[want[len(want)-1]]
}

// control calls the simulator's control API.
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

// The set-up stands, is found again, is mended, and goes.
func TestSandboxSetup(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	ctx := t.Context()
	if err := y.adapter.Check(ctx, y.conn); err != nil {
		t.Errorf("Check: %v", err)
	}
	wrong := y.conn
	wrong.Key = secret.NewString("SG.wrong")
	if refusal, ok := errors.AsType[*provider.SetupError](y.adapter.Check(ctx, wrong)); !ok || refusal.Code != "invalid_token" {
		t.Errorf("with a wrong key: %+v", refusal)
	}
	y.register()
	if ref, changed, err := y.adapter.Register(ctx, y.conn, y.hook); ref != y.hook.Ref || changed || err != nil {
		t.Errorf("again: %q, %t, %v", ref, changed, err)
	}
	id, _, _ := strings.Cut(y.hook.Ref, " ")
	hook := "/v3/user/webhooks/event/settings/"
	for name, spoil := range map[string]struct{ path, body string }{
		"disabled": {hook + id, `{"enabled":false}`}, "renamed": {hook + id, `{"friendly_name":"x"}`}, "without clicks": {hook + id, `{"click":false}`},
		"not signed": {hook + "signed/" + id, `{"enabled":false}`},
	} {
		y.api(http.MethodPatch, spoil.path, spoil.body)
		ref, changed, err := y.adapter.Register(ctx, y.conn, y.hook)
		if err != nil || !changed || ref != y.hook.Ref {
			t.Errorf("%s: %q, %t, %v; was %q", name, ref, changed, err, y.hook.Ref)
		}
		if _, changed, err := y.adapter.Register(ctx, y.conn, y.hook); changed || err != nil {
			t.Errorf("%s, mended: %t, %v", name, changed, err)
		}
	}
	other := y.hook
	other.Ref, other.Credentials.Username = "", "postyard-44"
	if _, changed, err := y.adapter.Register(ctx, y.conn, other); !changed || err != nil {
		t.Errorf("another connection: %t, %v", changed, err)
	}
	for range 2 {
		if err := y.adapter.Unregister(ctx, y.conn, y.hook); err != nil {
			t.Errorf("Unregister: %v", err)
		}
	}
}

// api calls the API of the account as somebody else would.
func (y *yard) api(method, path, body string) {
	y.t.Helper()
	req, err := http.NewRequestWithContext(y.t.Context(), method, y.conn.Endpoint+path, strings.NewReader(body))
	if err != nil {
		y.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+sandbox.DemoSendGridKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		y.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode >= 300 {
		y.t.Fatalf("%s %s: %d %v", method, path, resp.StatusCode, err)
	}
}

func TestSandboxEvents(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.register()
	ana := y.message("ana@recipient.test")
	ana.Recipient.CC = []mail.Address{{Email: "ANA@recipient.test"}}
	outcome := y.send([]provider.Outgoing{ana}, provider.Accepted)[0]
	both, delivered := y.wait(ana, 14, 15)
	sent := both[14]
	if sent.ProviderMessageID != outcome.ProviderMessageID || delivered.ProviderMessageID != outcome.ProviderMessageID ||
		delivered.Recipient != "ana@recipient.test" || delivered.SMTPCode != 250 || delivered.Detail.Provider["Metadata.order"] != "A-77" ||
		delivered.Detail.Provider["category"] != "welcome" || delivered.Identity == sent.Identity {
		t.Errorf("%+v\n%+v\n%+v", outcome, sent, delivered)
	}
	events := "/sandbox/messages/" + outcome.ProviderMessageID + "/events"
	y.control(http.MethodPost, events, `{"kind":"open"}`)
	if _, opened := y.wait(ana, 20); opened.Detail.RawUserAgent == "" || opened.Detail.TrackedIP == "" {
		t.Errorf("opened: %+v", opened)
	}
	y.control(http.MethodPost, events, `{"kind":"click","url":"https://example.com/offer"}`)
	if _, clicked := y.wait(ana, 21); clicked.Detail.ClickedURL != "https://example.com/offer" {
		t.Errorf("clicked: %+v", clicked)
	}
	for kind, want := range map[string]event.Type{"complaint": 22, "unsubscribe": 23} {
		y.control(http.MethodPost, events, `{"kind":"`+kind+`"}`)
		if _, r := y.wait(ana, want); !r.Suppresses {
			t.Errorf("%s: %+v", kind, r)
		}
	}
	// SendGrid now delivers nothing to the address, and says why.
	again := y.message("ana@recipient.test")
	y.send([]provider.Outgoing{again}, provider.Accepted)
	if _, r := y.wait(again, 17); !r.Suppresses || r.Reason != provider.SpamComplaint || r.Refused != provider.Accepted {
		t.Errorf("suppressed: %+v", r)
	}
}

func TestSandboxFates(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.register()
	for name, test := range map[string]struct {
		types []event.Type
		want  provider.Report
	}{
		"bounce":                            {[]event.Type{14, 18}, provider.Report{Suppresses: true, Reason: provider.HardBounce, SMTPCode: 550}},
		"blocked":                           {[]event.Type{14, 19}, provider.Report{Final: true, SMTPCode: 554}},
		"expired":                           {[]event.Type{14, 19}, provider.Report{Final: true}},
		"deferred":                          {[]event.Type{14, 16, 15}, provider.Report{SMTPCode: 250}},
		"Invalid":                           {[]event.Type{17}, provider.Report{}},
		"Spam-Content":                      {[]event.Type{17}, provider.Report{}},
		"Recipient-List-over-Package-Quota": {[]event.Type{17}, provider.Report{Refused: provider.Account}},
		"Unsubscribed-Address":              {[]event.Type{17}, provider.Report{Suppresses: true, Reason: provider.Unsubscribed}},
		"Bounced-Address":                   {[]event.Type{17}, provider.Report{Suppresses: true, Reason: provider.HardBounce}},
	} {
		out := y.message(name + "@bounce.sandbox.test")
		y.send([]provider.Outgoing{out}, provider.Accepted)
		_, got := y.wait(out, test.types...)
		if got.Suppresses != test.want.Suppresses || got.Reason != test.want.Reason || got.Final != test.want.Final || got.Refused != test.want.Refused ||
			got.SMTPCode != test.want.SMTPCode {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Messages that are alike leave in one call, and each hears of its own recipients only.
func TestSandboxBatch(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.register()
	var batch []provider.Outgoing
	want := map[string]mail.ID{}
	for i := range 20 {
		out := y.message(fmt.Sprintf("user%d@recipient.test", i))
		out.Recipient.BCC = []mail.Address{{Email: fmt.Sprintf("copy%d@recipient.test", i)}}
		batch = append(batch, out)
		want[out.Recipient.Email], want[out.Recipient.BCC[0].Email] = out.ID, out.ID
	}
	y.send(batch, make([]provider.Class, len(batch))...)
	identities := map[string]bool{}
	for range 2 * len(want) {
		select {
		case r := <-y.reports:
			if want[r.Recipient] != r.MessageID || identities[r.Identity] {
				t.Errorf("%+v", r)
			}
			identities[r.Identity] = true
		case <-time.After(patience):
			t.Fatalf("%d of %d events", len(identities), 2*len(want))
		}
	}
	// A bad one is found by halves; the others are not told from it before.
	bad := append(batch[:3:3], y.message("no address at all"))
	for i, o := range y.adapter.Send(t.Context(), y.conn, bad) {
		if o.Class != provider.Rejected || !o.WholeCall {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	unverified := y.message("ana@recipient.test")
	content := *unverified.Content
	content.From.Email = "noreply@unverified.example"
	unverified.Content = &content
	if o := y.send([]provider.Outgoing{unverified}, provider.Account)[0]; !o.SenderOnly {
		t.Errorf("sender not verified: %+v", o)
	}
}

// The samples of SendGrid's test button are no events.
func TestSandboxSamples(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.register()
	id, _, _ := strings.Cut(y.hook.Ref, " ")
	y.api(http.MethodPost, "/v3/user/webhooks/event/test", `{"id":"`+id+`","url":"`+y.hook.URL+`"}`)
	for range 11 {
		select {
		case r := <-y.reports:
			if !r.Sample {
				t.Errorf("%+v", r)
			}
		case <-time.After(patience):
			t.Fatal("no sample")
		}
	}
}
