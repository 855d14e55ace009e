package postmark_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// patience is how long the simulator may take for what it does in the background.
const patience = 30 * time.Second

// yard is an adapter at work against the simulator.
type yard struct {
	t       *testing.T
	adapter *postmark.Adapter
	conn    provider.Connection
	hook    provider.Hook
	reports chan provider.Report // of the events that are no samples
}

// newYard starts the simulator, and a webhook that checks and parses what it gets.
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
		t: t, adapter: postmark.New(postmark.Config{Transport: transport}), reports: make(chan provider.Report, 100),
		conn: provider.Connection{
			AccountID: 11, TPSPID: 33, Endpoint: server.URL, Key: secret.NewString(sandbox.DemoServerToken), Stream: "outbound",
		},
		hook: provider.Hook{Credentials: provider.Credentials{Username: "postyard", Password: secret.NewString("p4ssw0rd")}},
	}
	y.hook.URL = serve(t, y.receive) + "/tpsp/postmark/account/11"
	return y
}

func (y *yard) receive(w http.ResponseWriter, r *http.Request) {
	if ok, err := y.adapter.Authentic(r.Context(), y.conn, y.hook, provider.Delivery{Header: r.Header}); !ok || err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	reports, err := y.adapter.Parse(r.Header, body)
	if err != nil {
		y.t.Errorf("Parse: %v\n%s", err, body)
	}
	for _, report := range reports {
		if !report.Sample {
			y.reports <- report
		}
	}
}

// register registers the webhook and returns its id.
func (y *yard) register() string {
	y.t.Helper()
	ref, _, err := y.adapter.Register(y.t.Context(), y.conn, y.hook)
	if err != nil {
		y.t.Fatalf("Register: %v", err)
	}
	return ref
}

// message makes a message with an id of its own.
func (y *yard) message(to string, cc ...string) provider.Outgoing {
	id, err := uuid.NewV7()
	if err != nil {
		y.t.Fatal(err)
	}
	out := provider.Outgoing{
		ID: id, AccountID: 11, SubAccountID: 22, TPSPID: 33, Mailbox: "default",
		Content: &mail.Content{
			From: mail.Address{Email: "noreply@example.com", Name: "Example, Inc."}, Template: sandbox.DemoTemplateAlias,
			Groups: []string{"welcome"}, Headers: map[string]string{"TPSP_METADATA_order": "A-77"}, TrackOpens: yes(), TrackClicks: yes(),
			CustomFields: json.RawMessage(`{"product_name":"Postyard"}`),
		},
		Recipient: mail.Recipient{Address: mail.Address{Email: to, Name: "Doe, Jane"}},
	}
	for _, email := range cc {
		out.Recipient.CC = append(out.Recipient.CC, mail.Address{Email: email})
	}
	return out
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

// wait returns the next event's report and checks whose it is.
func (y *yard) wait(of provider.Outgoing, want event.Type) provider.Report {
	y.t.Helper()
	select {
	case report := <-y.reports:
		if report.Type != want || report.MessageID != of.ID {
			y.t.Fatalf("got %+v, want type %d of %s", report, want, of.ID)
		}
		return report
	case <-time.After(patience):
		y.t.Fatalf("no event of type %d", want)
		return provider.Report{}
	}
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

func TestSandboxSetup(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	if err := y.adapter.Check(t.Context(), y.conn); err != nil {
		t.Errorf("Check: %v", err)
	}
	streams, err := y.adapter.Streams(t.Context(), y.conn)
	types := make(map[string]string)
	for _, s := range streams {
		types[s.ID] = s.Type
	}
	if err != nil || types["outbound"] != "Transactional" || types["inbound"] != "Inbound" || types["broadcast"] != "Broadcasts" {
		t.Errorf("Streams = %v, %v", streams, err)
	}
	account := y.conn
	account.Key = secret.NewString(sandbox.DemoAccountToken)
	if got := setupError(t, y.adapter.Check(t.Context(), account)); !strings.Contains(got.Message, "Account API token") {
		t.Errorf("with an account token: %+v", got)
	}
	inbound := y.conn
	inbound.Stream = "inbound"
	if got := setupError(t, y.adapter.Check(t.Context(), inbound)); got.Code != "inbound_stream" {
		t.Errorf("with the inbound stream: %+v", got)
	}

	ref := y.register()
	y.hook.Ref = ref
	if again := y.register(); again != ref {
		t.Errorf("registered twice: %s and %s", ref, again)
	}
	for range 2 {
		if err := y.adapter.Unregister(t.Context(), y.conn, y.hook); err != nil {
			t.Errorf("Unregister: %v", err)
		}
	}
	broken := y.hook
	broken.URL = answering(t, http.StatusNotFound, "")
	_, _, err = y.adapter.Register(t.Context(), y.conn, broken)
	if got := setupError(t, err); got.Code != "webhook_unverified" || !strings.Contains(got.Message, "Bounce HTTP 404") ||
		strings.Contains(got.Message, "SubscriptionChange") {
		t.Errorf("a webhook that answers 404: %+v", got)
	}
}

func TestSandboxEvents(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.register()
	ana := y.message("ana@recipient.test")
	outcome := y.send([]provider.Outgoing{ana}, provider.Accepted)[0]
	delivered := y.wait(ana, 71)
	if delivered.ProviderMessageID != outcome.ProviderMessageID || delivered.Recipient != "ana@recipient.test" || delivered.SMTPCode != 250 ||
		delivered.Detail.Provider["Tag"] != "welcome" || delivered.Detail.Provider["Metadata.order"] != "A-77" {
		t.Errorf("delivered: %+v", delivered)
	}
	events := "/sandbox/messages/" + outcome.ProviderMessageID + "/events"
	y.control(http.MethodPost, events, `{"kind":"open","recipient":"ana@recipient.test"}`)
	opened := y.wait(ana, 75)
	if opened.Detail.RawUserAgent == "" || opened.Identity == delivered.Identity {
		t.Errorf("opened: %+v", opened)
	}
	y.control(http.MethodPost, events, `{"kind":"click","recipient":"ana@recipient.test","url":"https://example.com/"}`)
	if clicked := y.wait(ana, 76); !strings.HasPrefix(clicked.Detail.ClickedURL, "https://example.com") {
		t.Errorf("clicked: %+v", clicked)
	}
	y.control(http.MethodPost, events, `{"kind":"complaint","recipient":"ana@recipient.test"}`)
	y.wait(ana, 77)

	hard := y.message("HardBounce@bounce.sandbox.test")
	y.send([]provider.Outgoing{hard}, provider.Accepted)
	if bounced := y.wait(hard, 72); !bounced.Final || bounced.SMTPCode < 500 {
		t.Errorf("hard bounce: %+v", bounced)
	}
	for name, final := range map[string]bool{"SoftBounce": true, "Transient": false, "DMARCPolicy": true, "AutoResponder": false} {
		soft := y.message(name + "@bounce.sandbox.test")
		y.send([]provider.Outgoing{soft}, provider.Accepted)
		if bounced := y.wait(soft, 73); bounced.Final != final {
			t.Errorf("%s: %+v", name, bounced)
		}
	}
	// Postmark now knows the addresses: alone they are refused, beside another they are left out.
	again := y.message("HardBounce@bounce.sandbox.test")
	refused := y.send([]provider.Outgoing{again}, provider.Inactive)[0]
	if len(refused.InactiveAddresses) != 1 || !strings.EqualFold(refused.InactiveAddresses[0], "HardBounce@bounce.sandbox.test") {
		t.Errorf("inactive: %+v", refused)
	}
	partly := y.message("bob@recipient.test", "ana@recipient.test")
	if o := y.send([]provider.Outgoing{partly}, provider.Accepted)[0]; len(o.InactiveAddresses) != 1 ||
		o.InactiveAddresses[0] != "ana@recipient.test" {
		t.Errorf("partly inactive: %+v", o)
	}
	y.wait(partly, 71)
}

func TestSandboxBatch(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	var batch []provider.Outgoing
	for i := range 5 {
		batch = append(batch, y.message(fmt.Sprintf("user%d@recipient.test", i)))
	}
	batch[1].Content.Template = "no-such-template"
	batch[2].Content.From.Email = "noreply@not-ours.test"
	batch[3].Recipient.Email = "not an address"
	outcomes := y.send(batch, provider.Accepted, provider.Rejected, provider.Account, provider.Rejected, provider.Accepted)
	for i, code := range []string{"", "1101", "400", "300", ""} {
		if outcomes[i].Code != code || outcomes[i].WholeCall || outcomes[i].Elsewhere != (code == "1101") {
			t.Errorf("outcome %d: %+v", i, outcomes[i])
		}
	}
	other := y.conn
	other.Stream = "nope"
	for _, o := range y.adapter.Send(t.Context(), other, batch[:1]) {
		if o.Class != provider.Account || o.Code != "1235" {
			t.Errorf("unknown stream: %+v", o)
		}
	}
	other.Stream, other.Key = "outbound", secret.NewString("00000000-dead-4000-8000-000000000000")
	for _, o := range y.adapter.Send(t.Context(), other, batch[:2]) {
		if o.Class != provider.Account || o.Code != "10" {
			t.Errorf("wrong token: %+v", o)
		}
	}
	y.control(http.MethodPut, "/sandbox/settings", `{"degraded":true}`)
	y.send(batch[4:], provider.Accepted)
	y.send([]provider.Outgoing{batch[0], batch[4]}, provider.Accepted, provider.Accepted)
}

// TestSandboxSize: what Postmark would refuse for its size, with all that is in the same call, is not put on the wire; one byte less is.
func TestSandboxSize(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	const limit = 10 << 20
	sized := func(attached int) provider.Outgoing {
		m := y.message("ana@recipient.test")
		m.Content.Attachments = []mail.Attachment{{Filename: "a.pdf", Content: strings.Repeat("A", attached)}}
		return m
	}
	over := y.send([]provider.Outgoing{sized(limit)}, provider.Rejected)[0]
	var size, most int
	if _, err := fmt.Sscanf(over.Text, "the message has %d bytes as it is sent, attachments in base64 included; Postmark takes %d", &size, &most); err != nil ||
		most != limit || !over.Elsewhere || !over.Unsent || over.WholeCall || over.HTTPStatus != 0 {
		t.Fatalf("%+v (%v)", over, err)
	}
	fits := limit - (size - limit) // what surrounds the attachment is as long every time; base64 comes in fours
	fits -= fits % 4
	y.send([]provider.Outgoing{sized(fits)}, provider.Accepted)
	batch := make([]provider.Outgoing, 7)
	for i := range batch {
		batch[i] = sized(fits)
	}
	batch[2] = sized(fits + 4)
	batch[3] = y.message("bob@recipient.test")
	y.send(batch, provider.Accepted, provider.Accepted, provider.Rejected, provider.Accepted, provider.Accepted, provider.Accepted, provider.Accepted)
}

// TestSandboxTrial: with the test token nothing is asked that would be refused, and mail is taken.
func TestSandboxTrial(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	ctx := t.Context()
	if text := y.adapter.Trial(y.conn); text != "" {
		t.Error(text)
	}
	y.conn.Key = secret.NewString(" postmark_API_test\n")
	if text := y.adapter.Trial(y.conn); !strings.Contains(text, "test token") {
		t.Error(text)
	}
	if err := y.adapter.Check(ctx, y.conn); err != nil {
		t.Error(err)
	}
	if id, err := y.adapter.Identify(ctx, y.conn); id != "" || err != nil {
		t.Error(id, err)
	}
	streams, err := y.adapter.Streams(ctx, y.conn)
	if err != nil || len(streams) != 1 || streams[0].ID != "outbound" || !streams[0].Sends() {
		t.Error(streams, err)
	}
	if _, _, err := y.adapter.Register(ctx, y.conn, y.hook); err == nil {
		t.Error("a webhook was registered")
	}
	if err := y.adapter.Unregister(ctx, y.conn, y.hook); err != nil {
		t.Error(err)
	}
	raw := y.message("ana@recipient.test")
	raw.Content.Template, raw.Content.Subject, raw.Content.Text = "", "Hello", "Hello"
	templated := y.message("bob@recipient.test")
	outcomes := y.send([]provider.Outgoing{raw, templated}, provider.Accepted, provider.Rejected)
	if outcomes[0].ProviderMessageID == "" || outcomes[1].Code != "1101" {
		t.Errorf("%+v", outcomes)
	}
	if found, err := y.adapter.Lookup(ctx, y.conn, []mail.ID{raw.ID}, time.Now()); len(found) != 0 || err == nil {
		t.Error(found, err) // not "it is not there"
	}
	yield := func(reports []provider.Report) error { return fmt.Errorf("%d reports", len(reports)) }
	open := func(context.Context, mail.ID) (bool, error) { return true, nil }
	if missing, err := y.adapter.History(ctx, y.conn, provider.Past{Since: time.Now().Add(-time.Hour), Yield: yield, Open: open}); len(missing) != 0 || err != nil {
		t.Error(missing, err)
	}
	if missing, err := y.adapter.Fates(ctx, y.conn, []provider.Sent{{ID: raw.ID}}, yield); len(missing) != 0 || err != nil {
		t.Error(missing, err)
	}
	if list, err := y.adapter.Templates(ctx, y.conn); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
}

// TestSandboxAmbiguous: what is in doubt can be settled by asking.
func TestSandboxAmbiguous(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	var ids []mail.ID
	for kind, class := range map[string]provider.Class{
		"reset_after": provider.Ambiguous, "truncate": provider.Ambiguous, "reset_before": provider.Ambiguous,
		"status 503": provider.Transient, "status 500": provider.Ambiguous, "status 429": provider.Throttled,
	} {
		name, status, _ := strings.Cut(kind, " ")
		if status == "" {
			status = "0"
		}
		y.control(http.MethodPut, "/sandbox/faults", fmt.Sprintf(`[{"kind":%q,"path":"/email","status":%s,"probability":1,"count":1}]`, name, status))
		batch := []provider.Outgoing{y.message("ana@recipient.test"), y.message("bob@recipient.test")}
		y.send(batch, class, class)
		asked := []mail.ID{batch[0].ID, batch[1].ID}
		ids = append(ids, asked...)
		want := 0
		if kind == "reset_after" || kind == "truncate" {
			want = 2
		}
		found, err := y.adapter.Lookup(t.Context(), y.conn, asked, time.Now())
		if err != nil || len(found) != want {
			t.Errorf("%s: found %v, %v; want %d", kind, found, err, want)
		}
		single, err := y.adapter.Lookup(t.Context(), y.conn, asked[:1], time.Now())
		if err != nil || len(single) != want/2 {
			t.Errorf("%s, one: found %v, %v", kind, single, err)
		}
	}
	found, err := y.adapter.Lookup(t.Context(), y.conn, ids, time.Now())
	if err != nil || len(found) != 4 {
		t.Errorf("found %d of %d: %v", len(found), len(ids), err)
	}
}
