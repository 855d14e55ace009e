package ses_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/providertest"
	"postyard/internal/provider/ses"
	"postyard/internal/secret"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, dial providertest.Dial) provider.Adapter {
			return ses.New(ses.Config{Transport: providertest.Transport(t, dial), Now: func() time.Time { return testNow }, AllowPrivate: true})
		},
		Connection: func(conn provider.Connection) provider.Connection {
			conn.Key, conn.Secret, conn.Domain = secret.NewString(keyID), conn.Key, "us-east-1"
			return conn
		},
		Content: func() *mail.Content {
			return &mail.Content{From: mail.Address{Email: "shop@example.com", Name: "Shop"}, Subject: "Hello", HTML: "<p>Hello</p>", Text: "Hello"}
		},
		Wire: providertest.OverHTTP(playSend, nil, providertest.HTTPAnswer(http.StatusForbidden, `{"message":"The key `+providertest.Key+` is not known."}`,
			"x-amzn-ErrorType: UnrecognizedClientException")),
		Replies:  replies(),
		Never:    []provider.Class{provider.Inactive},
		Given:    given(),
		Fixtures: fixtures(),
		Hooks:    hooks,
		SetUp:    setUp,
	})
}

// playSend plays SES for one send.
func playSend(w http.ResponseWriter, r *http.Request, refuse map[string]bool) {
	var in sent
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, refused{400, "BadRequestException", "no JSON"})
		return
	}
	to := in.Destination["ToAddresses"][0]
	if refuse[to] {
		fail(w, refused{400, "BadRequestException", "Invalid address."})
		return
	}
	id := ""
	for _, tag := range in.EmailTags {
		if tag.Name == "messageId" {
			id = tag.Value
		}
	}
	_, _ = fmt.Fprintf(w, `{"MessageId":"0100-%s"}`, id)
}

// replies are SES's answers to one message; classify_test.go has all types.
func replies() (list []providertest.Reply) {
	for _, r := range []struct {
		status     int
		kind, text string
		want       provider.Outcome
	}{
		{400, "MessageRejected", "Message contains a virus.", provider.Outcome{Class: provider.Rejected}},
		{400, "ThrottlingException", "Maximum sending rate exceeded.", provider.Outcome{Class: provider.Throttled}},
		{400, "ThrottlingException", "Daily message quota exceeded.", provider.Outcome{Class: provider.Account}},
		{400, "SendingPausedException", "Email sending is paused for the account.", provider.Outcome{Class: provider.Account}},
		{400, "MessageRejected", "Email address is not verified.", provider.Outcome{Class: provider.Account, SenderOnly: true}},
		{403, "UnrecognizedClientException", "The security token is invalid: " + providertest.Key, provider.Outcome{Class: provider.Account}},
		{404, "NotFoundException", "Configuration set sendpost-events does not exist.", provider.Outcome{Class: provider.Account}},
		{408, "RequestTimeoutException", "The request timed out.", provider.Outcome{Class: provider.Transient}},
		{503, "ServiceUnavailable", "", provider.Outcome{Class: provider.Transient}},
		{500, "InternalFailure", "", provider.Outcome{Class: provider.Ambiguous}},
	} {
		r.want.Code, r.want.HTTPStatus = strings.TrimSuffix(r.kind, "Exception"), r.status
		list = append(list, providertest.Reply{Name: r.kind + " " + r.text, Want: r.want,
			Bytes: providertest.HTTPAnswer(r.status, `{"message":"`+r.text+`"}`, "x-amzn-ErrorType: "+r.kind+":http://internal.amazon.com/")})
	}
	return list
}

func given() []providertest.Given {
	conn := func(endpoint, domain, key, secretKey string) provider.Connection {
		return provider.Connection{Endpoint: endpoint, Domain: domain, Key: secret.NewString(key), Secret: secret.NewString(secretKey)}
	}
	return []providertest.Given{
		{Name: "a region", Conn: conn(" eu-west-1", "", keyID, secretKey), Want: conn("https://email.eu-west-1.amazonaws.com", "", keyID, secretKey)},
		{Name: "another URL", Conn: conn("https://ses.example.com/", "eu-west-1", keyID, secretKey), Want: conn("https://ses.example.com", "eu-west-1", keyID, secretKey)},
		{Name: "its usual region", Conn: conn("https://ses.example.com", "", keyID, secretKey), Want: conn("https://ses.example.com", "us-east-1", keyID, secretKey)},
		{Name: "no endpoint", Conn: conn("", "", keyID, secretKey), Field: "endpoint"},
		{Name: "no key", Conn: conn("eu-west-1", "", "", secretKey), Field: "key"},
		{Name: "no secret", Conn: conn("eu-west-1", "", keyID, ""), Field: "secret"},
		{Name: "no region", Conn: conn("https://ses.example.com", "example.com", keyID, secretKey), Field: "domain"},
	}
}

func fixtures() (list []providertest.Fixture) {
	for _, f := range []struct {
		name       string
		want       []event.Type
		suppresses []provider.Reason
	}{
		{"send", []event.Type{27}, nil},
		{"delivery", []event.Type{28, 28}, nil},
		{"permanent", []event.Type{29, 29}, []provider.Reason{provider.HardBounce, provider.HardBounce}},
		{"transient", []event.Type{30}, nil},
		{"suppressed", []event.Type{32}, []provider.Reason{provider.HardBounce}},
		{"complaint", []event.Type{31}, []provider.Reason{provider.SpamComplaint}},
		{"complaint, on the list", []event.Type{32}, []provider.Reason{provider.SpamComplaint}},
		{"reject", []event.Type{32, 32}, nil},
		{"failure", []event.Type{35, 35}, nil},
		{"open", []event.Type{33}, nil},
		{"click", []event.Type{34}, nil},
		{"subscription", []event.Type{36}, []provider.Reason{provider.Unsubscribed}},
		{"delay", nil, nil},
	} {
		list = append(list, providertest.Fixture{Name: f.name, Body: []byte(short(events[f.name])), Want: f.want, Suppresses: f.suppresses})
	}
	return append(list, providertest.Fixture{Name: "the test of a topic", Body: []byte("Successfully validated SNS topic for Amazon SES event publishing.")})
}

// short leaves out what is not read of an event: the suite changes each byte.
func short(message string) string {
	return strings.Replace(message, mailPart, `"mail":{"timestamp":"2026-03-02T11:00:00Z","messageId":"0100018f-1","destination":["b@ex.net","c@ex.net"],"tags":{"tpspId":["3"],"messageId":["`+
		testID+`"]}}`, 1)
}

// hooks are two topics at one account.
func hooks(t *testing.T) providertest.Hooks {
	t.Helper()
	a := newAWS(t)
	foreign := newSigner(2048, testNow.Add(-time.Hour), testNow.Add(time.Hour))
	hook := func(user string) provider.Hook {
		return provider.Hook{URL: hookURL, Ref: "arn:aws:sns:us-east-1:" + awsID + ":" + user,
			Credentials: provider.Credentials{Username: user, Password: secret.NewString("unused")}}
	}
	ours := hook("postyard-33")
	compose := func(hook provider.Hook, body []byte, change func(*post)) *post {
		sum := sha256.Sum256(body)
		p := a.notification(string(body), func(p *post) {
			p.TopicArn, p.MessageID = hook.Ref, hex.EncodeToString(sum[:8])
			if change != nil {
				change(p)
			}
		})
		return p
	}
	forged := func(change func(*post)) func([]byte) provider.Delivery {
		return func(body []byte) provider.Delivery { return compose(ours, body, change).delivery() }
	}
	return providertest.Hooks{
		Conn: a.connection(), Ours: ours, Others: hook("postyard-44"), Signed: true, NeedsRef: true,
		Deliver: func(hook provider.Hook, body []byte) provider.Delivery { return compose(hook, body, nil).delivery() },
		Forged: map[string]func([]byte) provider.Delivery{
			"a foreign topic": forged(func(p *post) { p.TopicArn = "arn:aws:sns:us-east-1:999999999999:postyard-33" }),
			"a foreign certificate": forged(func(p *post) {
				p.SigningCertURL = "https://evil.example/SimpleNotificationService-0123456789abcdef.pem"
			}),
			"an unknown version": forged(func(p *post) { p.SignatureVersion = "0" }),
			"a foreign key": func(body []byte) provider.Delivery {
				p := compose(ours, body, nil)
				foreign.sign(p)
				return p.delivery()
			},
			"no signature": func(body []byte) provider.Delivery {
				p := compose(ours, body, nil)
				p.Signature = ""
				return p.delivery()
			},
			"another time": func(body []byte) provider.Delivery {
				p := compose(ours, body, nil)
				p.Timestamp = "2026-03-02T12:00:00.001Z"
				return p.delivery()
			},
			"no envelope": func(body []byte) provider.Delivery { return provider.Delivery{Header: http.Header{}, Body: body} },
		},
		Untold: func(t *testing.T) (provider.Connection, provider.Delivery) {
			away := scripted(t, http.StatusServiceUnavailable, nil, providertest.Key)
			return away, forged(func(p *post) { p.SigningCertURL = away.Endpoint + certPath })([]byte(events["send"]))
		},
	}
}

// setUp plays an account, and answers SNS's greeting as the intake would.
func setUp(t *testing.T) *providertest.Account {
	t.Helper()
	a := newAWS(t)
	hook := newHook()
	known := *hook
	known.Ref = topicARN
	a.answers(newAdapter(t), &known)
	locked := func(change func()) func() {
		return func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			change()
		}
	}
	own := func(s *sub) bool { return s.topic == topicARN }
	return &providertest.Account{
		Conn: a.connection(), Hook: *hook, State: a.state, Writes: func() int { return a.wrote() },
		Live: func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return slices.ContainsFunc(a.subs, own)
		},
		Spoil: locked(func() {
			if d := a.destinations["postyard-4711"]; d != nil {
				a.destinations["postyard-4711"] = maps.Clone(d)
				a.destinations["postyard-4711"]["MatchingEventTypes"] = []string{"BOUNCE"}
			}
			for _, s := range a.subs {
				if own(s) {
					s.raw = "true"
				}
			}
		}),
		Remove: locked(func() {
			delete(a.destinations, "postyard-4711")
			delete(a.topics, topicARN)
			a.subs = slices.DeleteFunc(a.subs, own)
		}),
		Foreign: locked(func() {
			theirs := "arn:aws:sns:us-east-1:" + awsID + ":postyard-471"
			a.noSet = false
			a.topics[theirs] = map[string]string{"TopicArn": theirs, "SignatureVersion": "1"}
			a.destinations["postyard-471"] = map[string]any{"Enabled": true, "MatchingEventTypes": []string{"SEND"}, "SnsDestination": map[string]any{"TopicArn": theirs}}
			a.destinations["logs"] = map[string]any{"Enabled": true, "CloudWatchDestination": map[string]any{}}
			a.subs = append(a.subs, &sub{arn: theirs + ":1", topic: theirs, protocol: "https", endpoint: hookURL, raw: "false"},
				&sub{arn: theirs + ":2", topic: theirs, protocol: "https", endpoint: "https://other.example/tpsp/ses/account/1", raw: "true"})
		}),
	}
}
