package ses_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postyard/internal/provider"
	"postyard/internal/provider/ses"
	"postyard/internal/secret"
)

// notification is a signed one of our topic at an account.
func (a *aws) notification(message string, change ...func(*post)) *post {
	subject := "Amazon SES Email Event Notification"
	p := &post{Type: "Notification", MessageID: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", TopicArn: topicARN, Subject: &subject, Message: message,
		Timestamp: "2026-03-02T12:00:00.000Z", SignatureVersion: "2", SigningCertURL: a.server.URL + certPath}
	for _, c := range change {
		c(p)
	}
	a.signer.sign(p)
	return p
}

func kept() provider.Hook {
	hook := newHook()
	hook.Ref = topicARN
	return *hook
}

func authentic(t *testing.T, adapter *ses.Adapter, conn provider.Connection, hook provider.Hook, d provider.Delivery) bool {
	t.Helper()
	ok, err := adapter.Authentic(t.Context(), conn, hook, d)
	if err != nil {
		t.Errorf("Authentic: %v", err)
	}
	return ok
}

func TestAuthentic(t *testing.T) {
	t.Parallel()
	a, adapter := newAWS(t), newAdapter(t)
	const event = "{\"eventType\":\"Send\",\"umlaut\":\"ü <&> \u2028\"}\n"
	for name, change := range map[string]func(*post){
		"version 2":   func(*post) {},
		"version 1":   func(p *post) { p.SignatureVersion = "1" },
		"no subject":  func(p *post) { p.Subject = nil },
		"greeting":    func(p *post) { p.Type, p.Token, p.SubscribeURL = "SubscriptionConfirmation", "abc", "https://x" },
		"unsubscribe": func(p *post) { p.Type, p.Token, p.SubscribeURL = "UnsubscribeConfirmation", "abc", "https://x" },
	} {
		if !authentic(t, adapter, a.connection(), kept(), a.notification(event, change).delivery()) {
			t.Errorf("%s is refused", name)
		}
	}
	bare := a.notification(event).delivery()
	bare.Header = http.Header{}
	if !authentic(t, adapter, a.connection(), kept(), bare) {
		t.Error("without headers it is refused")
	}
}

// Whatever is not as SNS signs it for our topic is refused, and costs no request.
func TestNotAuthentic(t *testing.T) {
	t.Parallel()
	a, adapter := newAWS(t), newAdapter(t)
	const event = `{"eventType":"Send"}`
	foreign := newSigner(2048, testNow.Add(-time.Hour), testNow.Add(time.Hour))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a request for %s", r.URL) }))
	t.Cleanup(elsewhere.Close)
	with := func(change func(*post)) provider.Delivery { return a.notification(event, change).delivery() }
	after := func(change func(*post)) provider.Delivery { // it was signed
		p := a.notification(event)
		change(p)
		return p.delivery()
	}
	header := func(name, value string) provider.Delivery {
		d := a.notification(event).delivery()
		d.Header.Set(name, value)
		return d
	}
	for name, d := range map[string]provider.Delivery{
		"another topic":              with(func(p *post) { p.TopicArn = topicARN + "2" }),
		"another account's topic":    with(func(p *post) { p.TopicArn = strings.Replace(topicARN, awsID, "999999999999", 1) }),
		"no topic":                   with(func(p *post) { p.TopicArn = "" }),
		"another message":            after(func(p *post) { p.Message += " " }),
		"another id":                 after(func(p *post) { p.MessageID += "x" }),
		"another time":               after(func(p *post) { p.Timestamp = "2026-03-02T12:00:01.000Z" }),
		"another subject":            after(func(p *post) { s := "x"; p.Subject = &s }),
		"without its subject":        after(func(p *post) { p.Subject = nil }),
		"another type":               after(func(p *post) { p.Type = "SubscriptionConfirmation" }),
		"another version":            after(func(p *post) { p.SignatureVersion = "1" }),
		"version 3":                  after(func(p *post) { p.SignatureVersion = "3" }),
		"no version":                 after(func(p *post) { p.SignatureVersion = "" }),
		"no signature":               after(func(p *post) { p.Signature = "" }),
		"no base64":                  after(func(p *post) { p.Signature = "!!!" }),
		"an unknown type":            with(func(p *post) { p.Type = "Other" }),
		"another's key":              func() provider.Delivery { p := a.notification(event); foreign.sign(p); return p.delivery() }(),
		"another certificate's host": with(func(p *post) { p.SigningCertURL = elsewhere.URL + certPath }),
		"another scheme":             with(func(p *post) { p.SigningCertURL = strings.Replace(p.SigningCertURL, "http:", "https:", 1) }),
		"another path":               with(func(p *post) { p.SigningCertURL = a.server.URL + "/evil.pem" }),
		"a path below":               with(func(p *post) { p.SigningCertURL = a.server.URL + "/x" + certPath }),
		"a query":                    with(func(p *post) { p.SigningCertURL += "?x=.pem" }),
		"a user":                     with(func(p *post) { p.SigningCertURL = strings.Replace(p.SigningCertURL, "//", "//evil@", 1) }),
		"a host that begins so":      with(func(p *post) { p.SigningCertURL = a.server.URL + "0" + certPath }),
		"no certificate":             with(func(p *post) { p.SigningCertURL = "" }),
		"AWS's certificate":          with(func(p *post) { p.SigningCertURL = "https://sns.us-east-1.amazonaws.com" + certPath }),
		"a header's type":            header("X-Amz-Sns-Message-Type", "SubscriptionConfirmation"),
		"a header's topic":           header("X-Amz-Sns-Topic-Arn", topicARN+"2"),
		"a header's id":              header("X-Amz-Sns-Message-Id", "other"),
		"an empty header":            header("X-Amz-Sns-Message-Id", ""),
		"nothing":                    {},
		"no JSON":                    {Body: []byte("<html>")},
		"a list":                     {Body: []byte("[]")},
		"other types":                {Body: []byte(`{"TopicArn":7,"Type":[]}`)},
		"too long":                   with(func(p *post) { p.Message = strings.Repeat("x", 1<<20) }),
		"credentials instead of a proof": func() provider.Delivery {
			r := http.Request{Header: http.Header{}}
			r.SetBasicAuth("postyard-4711", "unused")
			return provider.Delivery{Header: r.Header, Body: []byte(event)}
		}(),
	} {
		if authentic(t, adapter, a.connection(), kept(), d) {
			t.Errorf("%s: taken", name)
		}
	}
	hook := kept()
	hook.Ref = ""
	if d := with(func(p *post) { p.TopicArn = "" }); authentic(t, adapter, a.connection(), hook, d) {
		t.Error("without a topic of ours everything is taken")
	}
	// A signature is over the fields as they are read: what stands there twice is read in one way.
	d := a.notification(event).delivery()
	d.Body = append(bytes.TrimSuffix(d.Body, []byte("}")), `,"message":"{\"eventType\":\"Bounce\"}"}`...)
	if authentic(t, adapter, a.connection(), kept(), d) {
		t.Error("a message that was put behind the signed one is taken")
	}
}

// Every byte of the body counts.
func TestDentedBodies(t *testing.T) {
	t.Parallel()
	a, adapter := newAWS(t), newAdapter(t)
	good := a.notification(`{"eventType":"Send","mail":{"messageId":"1"}}`).delivery()
	var was map[string]any
	_ = json.Unmarshal(good.Body, &was)
	for i := range good.Body {
		d := provider.Delivery{Body: bytes.Clone(good.Body)}
		d.Body[i] ^= 1
		if ok, err := adapter.Authentic(t.Context(), a.connection(), kept(), d); ok || err != nil && !strings.Contains(err.Error(), "404") {
			var is map[string]any // a name that differs in its case is the same
			if err := json.Unmarshal(d.Body, &is); err != nil || len(is) != len(was) || is["Message"] != was["Message"] {
				t.Errorf("byte %d: %t, %v\n%s", i, ok, err, d.Body)
			}
		}
	}
}

// At Amazon, certificates are where Amazon has them, in whatever region.
func TestAmazonsCertificates(t *testing.T) {
	t.Parallel()
	signer := theSigner()
	var asked atomic.Value
	adapter := ses.New(ses.Config{Now: func() time.Time { return testNow }, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked.Store(r.URL.String())
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(signer.cert))}, nil
	})})
	conn, bad := adapter.Normalize(provider.Connection{Endpoint: "eu-west-1", Key: secret.NewString(keyID), Secret: secret.NewString(secretKey)})
	if bad != nil {
		t.Fatal(bad)
	}
	for url, want := range map[string]bool{
		"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem":       true,
		"https://sns.us-gov-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem":   true,
		"https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0123abcd.pem":   true,
		"http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem":        false,
		"https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0123abcd.pem":  false,
		"https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0.pem": false,
		"https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem": false,
		"https://s3.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem":        false,
		"https://sns.eu.west.amazonaws.com/SimpleNotificationService-0123abcd.pem":         false,
		"https://sns.eu-west-1.amazonaws.com/x/SimpleNotificationService-0123abcd.pem":     false,
		"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-../../x.pem":        false,
		"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem\n":     false,
		"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-.pem":               false,
	} {
		p := &post{Type: "Notification", TopicArn: topicARN, Message: "x", SignatureVersion: "2", SigningCertURL: url}
		signer.sign(p)
		asked.Store("")
		if got := authentic(t, adapter, conn, kept(), p.delivery()); got != want || want && asked.Load() != url || !want && asked.Load() != "" {
			t.Errorf("%s: %t, asked for %s", url, got, asked.Load())
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A certificate that cannot be had, or is none, says nothing of the request: SNS is to ask again.
func TestCertificateTroubles(t *testing.T) {
	t.Parallel()
	curve, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other := theSigner()
	for name, answer := range map[string]struct {
		status int
		body   []byte
		words  string
	}{
		"unavailable":    {503, nil, "HTTP 503"},
		"not there":      {404, nil, "HTTP 404"},
		"moved":          {302, nil, "HTTP 302"},
		"empty":          {200, nil, "is none"},
		"a page":         {200, []byte("<html>"), "is none"},
		"a key":          {200, []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), "is none"},
		"no certificate": {200, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "is none"},
		"not RSA":        {200, certify(&curve.PublicKey, curve, testNow.Add(-time.Hour), testNow.Add(time.Hour)), "not RSA"},
		"a weak key":     {200, newSigner(1024, testNow.Add(-time.Hour), testNow.Add(time.Hour)).cert, "2048 bits"},
		"over":           {200, certify(&other.key.PublicKey, other.key, testNow.Add(-2*time.Hour), testNow.Add(-time.Second)), "not now"},
		"to come":        {200, certify(&other.key.PublicKey, other.key, testNow.Add(time.Second), testNow.Add(time.Hour)), "not now"},
		"too long":       {200, append(bytes.Repeat([]byte("\n"), 65<<10), other.cert...), "too long"},
	} {
		conn := scripted(t, answer.status, nil, string(answer.body))
		p := &post{Type: "Notification", TopicArn: topicARN, Message: "x", SignatureVersion: "2", SigningCertURL: conn.Endpoint + certPath}
		other.sign(p)
		ok, err := newAdapter(t).Authentic(t.Context(), conn, kept(), p.delivery())
		if ok || err == nil || !strings.Contains(err.Error(), answer.words) {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
}

// A certificate is fetched once, however many ask for it, and those that are kept are bounded.
func TestCertificatesAreKept(t *testing.T) {
	t.Parallel()
	signer := theSigner()
	var fetched atomic.Int32
	conn := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write(signer.cert)
	})
	adapter := newAdapter(t)
	ask := func(path string) {
		p := &post{Type: "Notification", TopicArn: topicARN, Message: "x", SignatureVersion: "2", SigningCertURL: conn.Endpoint + path}
		signer.sign(p)
		if !authentic(t, adapter, conn, kept(), p.delivery()) {
			t.Errorf("%s is refused", path)
		}
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { ask(certPath) })
	}
	all.Wait()
	if n := fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	for i := range 20 {
		ask("/SimpleNotificationService-" + strings.Repeat("a", i+1) + ".pem")
	}
	ask(certPath)
	if n := fetched.Load(); n != 22 {
		t.Errorf("%d certificates fetched; the first one is to be forgotten", n)
	}
}

// Only our topic's question is answered, by a signed call.
func TestGreet(t *testing.T) {
	t.Parallel()
	a, adapter, hook := settled(t)
	a.made()
	question := func(topic, token string) provider.Delivery {
		return a.notification("You have chosen", func(p *post) {
			p.Type, p.TopicArn, p.Token, p.SubscribeURL = "SubscriptionConfirmation", topic, token, a.server.URL+"/?Action=ConfirmSubscription"
		}).delivery()
	}
	a.mu.Lock()
	token := a.subs[0].token
	a.mu.Unlock()
	if greeting, err := adapter.Greet(t.Context(), a.connection(), *hook, question(topicARN, token)); !greeting || err != nil {
		t.Errorf("Greet = %t, %v", greeting, err)
	}
	if all, _ := a.made(); len(all) != 1 || all[0] != "ConfirmSubscription" {
		t.Errorf("calls: %q", all)
	}
	for name, d := range map[string]provider.Delivery{
		"an event": a.notification(`{"eventType":"Send"}`).delivery(), "no JSON": {Body: []byte("x")},
		"an end": a.notification("You have chosen", func(p *post) { p.Type = "UnsubscribeConfirmation" }).delivery(),
	} {
		if greeting, err := adapter.Greet(t.Context(), a.connection(), *hook, d); greeting || err != nil {
			t.Errorf("%s: %t, %v", name, greeting, err)
		}
	}
	if greeting, err := adapter.Greet(t.Context(), a.connection(), *hook, question(topicARN+"2", token)); !greeting || err == nil {
		t.Errorf("another topic: %t, %v", greeting, err)
	}
	if all, _ := a.made(); len(all) > 0 {
		t.Errorf("calls: %q", all)
	}
	if greeting, err := adapter.Greet(t.Context(), a.connection(), *hook, question(topicARN, "spent")); !greeting || err == nil {
		t.Errorf("a spent token: %t, %v", greeting, err)
	}
}

// A server that somebody else connected, and that gives no certificate, keeps nobody from Amazon's.
func TestSlowCertificatesOfOthers(t *testing.T) {
	t.Parallel()
	signer, asked, stop := theSigner(), make(chan struct{}), make(chan struct{})
	adapter := ses.New(ses.Config{AllowPrivate: true, Now: func() time.Time { return testNow }, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "slow.example" {
			close(asked)
			<-stop
			return nil, errors.New("too late")
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(signer.cert))}, nil
	})})
	ask := func(endpoint, certificate string) (bool, error) {
		p := &post{Type: "Notification", TopicArn: topicARN, Message: "x", SignatureVersion: "2", SigningCertURL: certificate}
		signer.sign(p)
		conn := provider.Connection{Endpoint: endpoint, Key: secret.NewString(keyID), Secret: secret.NewString(secretKey)}
		return adapter.Authentic(t.Context(), conn, kept(), p.delivery())
	}
	var slow sync.WaitGroup
	slow.Go(func() {
		if ok, err := ask("https://slow.example", "https://slow.example"+certPath); ok || err == nil {
			t.Errorf("the slow one: %t, %v", ok, err)
		}
	})
	<-asked
	if ok, err := ask("us-east-1", "https://sns.us-east-1.amazonaws.com"+certPath); !ok {
		t.Errorf("Amazon's: %t, %v", ok, err)
	}
	close(stop)
	slow.Wait()
}
