package ses_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/ses"
	"postyard/internal/secret"
)

// serving is a connection to a server.
func serving(t *testing.T, serve http.HandlerFunc) provider.Connection {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	return provider.Connection{AccountID: 1, TPSPID: 3, Endpoint: server.URL, Key: secret.NewString(keyID), Secret: secret.NewString(secretKey)}
}

// scripted is a connection to a server that always answers so.
func scripted(t *testing.T, status int, header http.Header, body string) provider.Connection {
	t.Helper()
	return serving(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// batch is n messages, whose recipients are 0@recipient.example and so on.
func batch(n int) []provider.Outgoing {
	list := make([]provider.Outgoing, n)
	for i := range list {
		list[i] = provider.Outgoing{ID: uuid.New(), AccountID: 1, SubAccountID: 2, TPSPID: 3, Mailbox: "gmail",
			Content:   &mail.Content{From: mail.Address{Email: "shop@example.com"}, Subject: "Hello", Text: "Hello."},
			Recipient: mail.Recipient{Address: mail.Address{Email: strconv.Itoa(i) + "@recipient.example"}}}
	}
	return list
}

// sent is the body of a send.
type sent struct {
	FromEmailAddress     string
	Destination          map[string][]string
	Content              struct{ Raw struct{ Data []byte } }
	ConfigurationSetName string
	EmailTags            []struct{ Name, Value string }
}

func TestPayload(t *testing.T) {
	t.Parallel()
	var got sent
	conn := serving(t, func(w http.ResponseWriter, r *http.Request) {
		in := json.NewDecoder(r.Body)
		in.DisallowUnknownFields()
		if err := in.Decode(&got); err != nil || r.Method != http.MethodPost || r.URL.Path != "/v2/email/outbound-emails" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		_, _ = io.WriteString(w, `{"MessageId":"0100018f-1"}`)
	})
	list := batch(1)
	out := &list[0]
	out.ID = uuid.MustParse("019f3d50-0000-7000-8000-000000000001")
	out.Content = &mail.Content{From: mail.Address{Email: "shop@example.com", Name: `Shöp "1"`}, Subject: "Grüße", HTML: "<p>ü</p>", PreText: "soon",
		Groups: []string{"news letter/März", "second"}, Headers: map[string]string{"X-Own": "1", "TPSP_METADATA_order": "A 42", "tpsp_metadata_b.c": "ä", "TPSP_METADATA_none": ""},
		Attachments: []mail.Attachment{{Filename: "a.pdf", Content: base64.StdEncoding.EncodeToString([]byte{0, 255})}}}
	out.Recipient = mail.Recipient{Address: mail.Address{Email: "Ana@recipient.example", Name: "Ana"},
		CC: []mail.Address{{Email: "c@copy.example", Name: "C"}, {Email: "ana@recipient.example"}}, BCC: []mail.Address{{Email: "b@copy.example"}, {Email: "C@copy.example"}}}
	o := newAdapter(t).Send(t.Context(), conn, list)[0]
	if diff := cmp.Diff(provider.Outcome{Class: provider.Accepted, HTTPStatus: 200, ProviderMessageID: "0100018f-1"}, o); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	raw := got.Content.Raw.Data
	got.Content.Raw.Data = nil
	want := sent{FromEmailAddress: `=?utf-8?b?U2jDtnAgIjEi?= <shop@example.com>`, ConfigurationSetName: "sendpost-events",
		Destination: map[string][]string{"ToAddresses": {"Ana@recipient.example"}, "CcAddresses": {"c@copy.example"}, "BccAddresses": {"b@copy.example"}},
		EmailTags: []struct{ Name, Value string }{{"accountId", "1"}, {"subAccountId", "2"}, {"tpspId", "3"}, {"messageId", out.ID.String()}, {"emailType", "gmail"},
			{"group", "news_letter_M_rz"}, {"order", "A_42"}, {"b_c", "_"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Header.Get("Bcc") != "" || parsed.Header.Get("X-Own") != "1" || parsed.Header.Get("To") == "" || parsed.Header.Get("Cc") == "" ||
		bytes.Contains(raw, []byte("b@copy.example")) || bytes.Contains(raw, []byte("X-Sendpost")) || slices.ContainsFunc(raw, func(b byte) bool { return b > 127 }) {
		t.Errorf("MIME:\n%s", raw)
	}
}

// Each message has an outcome of its own, and none of it depends on the others.
func TestOutcomesAreEachMessages(t *testing.T) {
	t.Parallel()
	conn := serving(t, func(w http.ResponseWriter, r *http.Request) {
		var in sent
		_ = json.NewDecoder(r.Body).Decode(&in)
		local, _, _ := strings.Cut(in.Destination["ToAddresses"][0], "@")
		switch n, _ := strconv.Atoi(local); n % 3 {
		case 0:
			_, _ = fmt.Fprintf(w, `{"MessageId":"id-%d"}`, n)
		case 1:
			fail(w, refused{400, "MessageRejected", "content of " + local})
		default:
			fail(w, refused{400, "MessageRejected", "Email address is not verified: " + local})
		}
	})
	for i, o := range newAdapter(t).Send(t.Context(), conn, batch(50)) {
		n := strconv.Itoa(i)
		switch {
		case i%3 == 0 && (o.Class != provider.Accepted || o.ProviderMessageID != "id-"+n),
			i%3 == 1 && (o.Class != provider.Rejected || o.Text != "content of "+n),
			i%3 == 2 && (o.Class != provider.Account || !o.SenderOnly || !strings.HasSuffix(o.Text, ": "+n)):
			t.Errorf("%d: %+v", i, o)
		}
	}
}

// Calls run beside each other, and never more of them than is good for memory.
func TestCallsAtOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ size, want int }{"small": {10, 10}, "large": {4 << 20, 4}, "huge": {17 << 20, 1}} {
		var now, most atomic.Int32
		full := make(chan struct{})
		conn := serving(t, func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			defer now.Add(-1)
			most.Store(max(most.Load(), n))
			if n == int32(tc.want) {
				select {
				case <-full:
				default:
					close(full)
				}
			}
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-full:
			case <-time.After(10 * time.Second):
				t.Errorf("%s: %d calls at once", name, n)
			}
			_, _ = io.WriteString(w, `{"MessageId":"x"}`)
		})
		n := 3 * tc.want
		if tc.want == 1 {
			n = 2
		}
		list := batch(n)
		list[0].Content = &mail.Content{From: mail.Address{Email: "shop@example.com"}, Text: strings.Repeat("x", tc.size)}
		for i, o := range newAdapter(t).Send(t.Context(), conn, list) {
			if o.Class != provider.Accepted && !o.Elsewhere {
				t.Errorf("%s: %d: %+v", name, i, o)
			}
		}
		if int(most.Load()) != tc.want {
			t.Errorf("%s: %d calls at once, want %d", name, most.Load(), tc.want)
		}
	}
}

// When SES wants no more, what has not left stays, and nobody is blamed for it twice.
func TestWhatIsLeftStays(t *testing.T) {
	t.Parallel()
	for name, no := range map[string]refused{
		"throttled": {400, "ThrottlingException", "Maximum sending rate exceeded."}, "account": {400, "AccountSuspendedException", "suspended"},
	} {
		var calls atomic.Int32
		conn := serving(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			calls.Add(1)
			fail(w, no)
		})
		outcomes := newAdapter(t).Send(t.Context(), conn, batch(50))
		held := 0
		for i, o := range outcomes {
			if o.Class != outcomes[0].Class || o.Class == provider.Accepted || o.Text != no.text {
				t.Errorf("%s: %d: %+v", name, i, o)
			}
			if o.Unwritten {
				held++
			}
		}
		if n := int(calls.Load()); n > 20 || held != 50-n {
			t.Errorf("%s: %d calls, %d held back", name, n, held)
		}
	}
}

// The end of the context ends the calls under way and begins no more.
func TestSendEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int32
	conn := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if calls.Add(1) == 10 {
			cancel()
		}
		<-r.Context().Done()
	})
	counts := map[provider.Class]int{}
	for _, o := range newAdapter(t).Send(ctx, conn, batch(50)) {
		if o.Class == provider.Transient && !o.Unsent {
			t.Errorf("%+v", o)
		}
		counts[o.Class]++
	}
	if counts[provider.Ambiguous] != 10 || counts[provider.Transient] != 40 {
		t.Errorf("%v", counts)
	}
}

// Who watches is told of each call, and has the last word before each.
func TestSendIsWatched(t *testing.T) {
	t.Parallel()
	a := newAWS(t)
	var mu sync.Mutex
	asked, heard := 0, 0
	count := func(n *int) func() { return func() { mu.Lock(); defer mu.Unlock(); *n++ } }
	ctx := provider.WithWatch(t.Context(), provider.Watch{Until: time.Now().Add(time.Hour), Now: time.Now, Asked: count(&asked), Heard: count(&heard)})
	for _, o := range newAdapter(t).Send(ctx, a.connection(), batch(20)) {
		if o.Class != provider.Accepted {
			t.Errorf("%+v", o)
		}
	}
	if asked < 20 || heard != 20 {
		t.Errorf("asked %d times, heard %d", asked, heard)
	}
}

// A connection that cannot be used costs no call, and its key shows nowhere.
func TestUnusableConnection(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*provider.Connection){
		"no key": func(c *provider.Connection) { c.Key = secret.String{} }, "no secret": func(c *provider.Connection) { c.Secret = secret.String{} },
		"a line break": func(c *provider.Connection) { c.Secret = secret.NewString("a\nb") }, "no endpoint": func(c *provider.Connection) { c.Endpoint = "" },
		"a slash": func(c *provider.Connection) { c.Key = secret.NewString("AKIA/x") }, "no region": func(c *provider.Connection) { c.Domain = "example.com" },
	} {
		conn := serving(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%s: a call", name) })
		change(&conn)
		for _, o := range newAdapter(t).Send(t.Context(), conn, batch(2)) {
			if o.Class != provider.Account || !o.Unwritten || o.Text == "" {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
}

// What cannot be written rejects its message and no other.
func TestUnwritableMessage(t *testing.T) {
	t.Parallel()
	a := newAWS(t)
	list := batch(2)
	list[0].Content = &mail.Content{From: mail.Address{Email: "shop@example.com"}, Text: "x", Attachments: []mail.Attachment{{Filename: "a", Content: "???"}}}
	outcomes := newAdapter(t).Send(t.Context(), a.connection(), list)
	if outcomes[0].Class != provider.Rejected || outcomes[1].Class != provider.Accepted {
		t.Errorf("%+v", outcomes)
	}
}

// A call that would be cut off by the end of the context does not begin: what is in doubt may be sent twice.
func TestSendInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		adapter := ses.New(ses.Config{AllowPrivate: true, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, err
			}
			calls.Add(1)
			select {
			case <-time.After(16 * time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"MessageId":"m"}`))}, nil
		})})
		conn := provider.Connection{Endpoint: "http://ses.example", Key: secret.NewString(keyID), Secret: secret.NewString(secretKey)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		sent := int32(0)
		for i, o := range adapter.Send(ctx, conn, batch(50)) {
			switch {
			case o.Class == provider.Accepted:
				sent++
			case o.Class != provider.Transient || !o.Unsent:
				t.Errorf("%d: %+v", i, o)
			}
		}
		if sent != 30 || sent != calls.Load() {
			t.Errorf("%d accepted of %d calls", sent, calls.Load())
		}
	})
}
