package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"
	"pgregory.net/rapid"

	"postyard/internal/provider/ses/sigv4"
	"postyard/internal/sandbox"
)

// newSimulator starts the sandbox, and returns where it is reached.
func newSimulator(t *testing.T) string {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		server.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

// do makes a request and returns its answer.
func do(t rapid.TB, method, target string, header http.Header, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// post is a webhook as it came.
type post struct {
	header http.Header
	body   []byte
}

// newListener takes webhooks in, and hands them on.
func newListener(t *testing.T) (at string, posts chan post) {
	t.Helper()
	posts = make(chan post, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		posts <- post{r.Header, body}
	}))
	t.Cleanup(server.Close)
	return server.URL, posts
}

func next(t *testing.T, posts chan post) post {
	t.Helper()
	select {
	case p := <-posts:
		return p
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was posted")
		return post{}
	}
}

// The simulator's webhooks of SendGrid are good to SendGrid's own check.
func TestSimulatedSendGridSigns(t *testing.T) {
	t.Parallel()
	at := newSimulator(t)
	listening, posts := newListener(t)
	header := http.Header{"Authorization": {"Bearer " + sandbox.DemoSendGridKey}, "Content-Type": {"application/json"}, "Accept": {"application/json"}}
	status, answer := do(t, http.MethodPost, at+"/v3/user/webhooks/event/settings", header, fmt.Sprintf(`{"enabled":true,"url":%q,"processed":true,"delivered":true}`, listening))
	var hook struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &hook); err != nil || status/100 != 2 {
		t.Fatalf("%d %s (%v)", status, answer, err)
	}
	status, answer = do(t, http.MethodPatch, at+"/v3/user/webhooks/event/settings/signed/"+hook.ID, header, `{"enabled":true}`)
	var signed struct {
		Key string `json:"public_key"`
	}
	if err := json.Unmarshal([]byte(answer), &signed); err != nil || status/100 != 2 {
		t.Fatalf("%d %s (%v)", status, answer, err)
	}
	if status, answer := do(t, http.MethodPost, at+"/v3/mail/send", header, `{"personalizations":[{"to":[{"email":"ana@example.net"}]}],"from":{"email":"hello@example.com"},
		"subject":"é","content":[{"type":"text/plain","value":"Hello"}]}`); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, answer)
	}
	p := next(t, posts)
	signature, timestamp := p.header.Get(eventwebhook.VerificationHTTPHeader), p.header.Get(eventwebhook.TimestampHTTPHeader)
	if !theirs(t, signed.Key, p.body, signature, timestamp) {
		t.Errorf("SendGrid's check refuses %v %q", p.header, p.body)
	}
	if !strings.HasSuffix(string(p.body), "\r\n") || theirs(t, signed.Key, p.body[:len(p.body)-2], signature, timestamp) {
		t.Errorf("the line end is not signed: %q", p.body)
	}
}

// The simulator of Amazon takes what Amazon's own signer signs, however odd the query, and refuses what was changed afterwards.
func TestSimulatedAmazonVerifies(t *testing.T) {
	t.Parallel()
	at := newSimulator(t)
	k := sigv4.Key{ID: sandbox.DemoSESKeyID, Secret: sandbox.DemoSESSecret, Region: sandbox.SESRegion, Service: "ses"}
	text := rapid.StringOfN(rapid.RuneFrom([]rune("aZ09-._~ +=&%/?#:@é€!*'()[]$,;\"\\")), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		u, err := url.Parse(at + "/v2/email/account")
		if err != nil {
			t.Fatal(err)
		}
		query := url.Values{}
		for range rapid.IntRange(0, 4).Draw(t, "pairs") {
			query.Add(rapid.OneOf(text, rapid.SampledFrom([]string{"a", "a-", "aa"})).Draw(t, "key"), text.Draw(t, "value"))
		}
		u.RawQuery = query.Encode()
		now := time.Now().UTC()
		header := http.Header{"X-Amz-Date": {now.Format("20060102T150405Z")}}
		header.Set("Authorization", signature(t, k, now, http.MethodGet, u, header, nil))
		if status, answer := do(t, http.MethodGet, u.String(), header, ""); status != http.StatusOK {
			t.Fatalf("%s: %d %s", u, status, answer)
		}
		query.Add("more", "")
		u.RawQuery = query.Encode()
		if status, answer := do(t, http.MethodGet, u.String(), header, ""); status != http.StatusForbidden {
			t.Fatalf("changed, %s: %d %s", u, status, answer)
		}
	})
}

// What the simulator of SNS posts is good to Amazon's own check.
func TestSimulatedSNSSigns(t *testing.T) {
	t.Parallel()
	official, at := newValidator(t), newSimulator(t)
	listening, posts := newListener(t)
	k := sigv4.Key{ID: sandbox.DemoSESKeyID, Secret: sandbox.DemoSESSecret, Region: sandbox.SESRegion, Service: "sns"}
	ask := func(form url.Values) string {
		form.Set("Version", "2010-03-31")
		u, err := url.Parse(at + "/")
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		sigv4.Sign(k, time.Now(), http.MethodPost, u, header, []byte(form.Encode()))
		status, answer := do(t, http.MethodPost, u.String(), header, form.Encode())
		if status != http.StatusOK {
			t.Fatalf("%v: %d %s", form, status, answer)
		}
		return answer
	}
	_, made, _ := strings.Cut(ask(url.Values{"Action": {"CreateTopic"}, "Name": {"oracle"}}), "<TopicArn>")
	arn, _, _ := strings.Cut(made, "</TopicArn>")
	for _, version := range []string{"1", "2"} {
		ask(url.Values{"Action": {"SetTopicAttributes"}, "TopicArn": {arn}, "AttributeName": {"SignatureVersion"}, "AttributeValue": {version}})
		ask(url.Values{"Action": {"Subscribe"}, "TopicArn": {arn}, "Protocol": {"http"}, "Endpoint": {listening + "/" + version}})
		p := next(t, posts)
		var message map[string]string
		if err := json.Unmarshal(p.body, &message); err != nil || message["Type"] != "SubscriptionConfirmation" || message["SignatureVersion"] != version {
			t.Fatalf("%s (%v)", p.body, err)
		}
		_, file, _ := strings.Cut(message["SigningCertURL"], "/SimpleNotificationService-")
		_, text := do(t, http.MethodGet, at+"/SimpleNotificationService-"+file, nil, "")
		message["SigningCertURL"] = certificate // where Amazon's own are; it is not signed
		if !official.takes(t, message, text) {
			t.Errorf("version %s: Amazon's check refuses %s", version, p.body)
		}
	}
}
