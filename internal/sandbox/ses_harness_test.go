package sandbox_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"postyard/internal/sandbox"
)

// key signs requests as AWS's clients do. It is written apart from the simulator's own code, after AWS's description.
type key struct {
	id, secret, region, service string
	at                          time.Time
}

func (b *bench) key(service string) key {
	return key{sandbox.DemoSESKeyID, sandbox.DemoSESSecret, sandbox.SESRegion, service, b.clock.Now()}
}

// sign returns the header of a request whose path and query need no encoding.
func (k key) sign(method, host, path, query, contentType, body string) http.Header {
	date := k.at.UTC().Format("20060102T150405Z")
	hash := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
	lines := map[string]string{"host": host, "x-amz-date": date}
	if contentType != "" {
		lines["content-type"] = contentType
	}
	names := make([]string, 0, len(lines))
	for name := range lines {
		names = append(names, name)
	}
	slices.Sort(names)
	headers := ""
	for _, name := range names {
		headers += name + ":" + lines[name] + "\n"
	}
	signed := strings.Join(names, ";")
	request := strings.Join([]string{method, path, query, headers, signed, hash(body)}, "\n")
	scope := strings.Join([]string{date[:8], k.region, k.service, "aws4_request"}, "/")
	sum := func(key, text string) string {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(text))
		return string(h.Sum(nil))
	}
	signing := sum(sum(sum(sum("AWS4"+k.secret, date[:8]), k.region), k.service), "aws4_request")
	signature := hex.EncodeToString([]byte(sum(signing, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hash(request))))
	header := http.Header{"X-Amz-Date": {date}, "Authorization": {fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		k.id, scope, signed, signature)}}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	return header
}

// flat lists a header as raw takes it.
func flat(h http.Header) []string {
	var list []string
	for name := range h {
		list = append(list, name, h.Get(name))
	}
	return list
}

// ses calls SES's API below /v2/email/.
func (b *bench) ses(method, path string, body any) answer {
	b.t.Helper()
	return b.sesAs(b.key("ses"), method, path, body)
}

func (b *bench) sesAs(k key, method, path string, body any) answer {
	b.t.Helper()
	raw, kind := text(b.t, body), ""
	if raw != "" {
		kind = "application/json"
	}
	path, query, _ := strings.Cut("/v2/email/"+path, "?")
	header := k.sign(method, strings.TrimPrefix(b.url, "http://"), strings.ReplaceAll(path, "%", "%25"), query, kind, raw)
	if query != "" {
		path += "?" + query
	}
	return b.raw(method, path, raw, flat(header)...)
}

// sesOK is ses for calls that must succeed.
func (b *bench) sesOK(method, path string, body any) answer {
	b.t.Helper()
	a := b.ses(method, path, body)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("x-amzn-RequestId") == "" {
		b.t.Fatalf("%s %s: %d %v %s", method, path, a.status, a.header, a.body)
	}
	return a
}

// wantType fails the test unless the answer is an error of SES's.
func (a answer) wantType(t *testing.T, status int, kind, message string) {
	t.Helper()
	got, _, _ := strings.Cut(a.header.Get("x-amzn-ErrorType"), ":")
	if a.status != status || got != kind || a.header.Get("x-amzn-RequestId") == "" {
		t.Fatalf("got %d %s %s, want %d %s", a.status, got, a.body, status, kind)
	}
	if said, _ := a.field(t, "message").(string); message != "" && said != message || said == "" {
		t.Fatalf("message %q, want %q", said, message)
	}
}

const formType = "application/x-www-form-urlencoded; charset=utf-8"

// sns calls SNS: action, then names and values.
func (b *bench) sns(action string, pairs ...string) answer {
	b.t.Helper()
	return b.snsAs(b.key("sns"), action, pairs...)
}

func (b *bench) snsAs(k key, action string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-03-31"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	body := form.Encode()
	return b.raw(http.MethodPost, "/", body, flat(k.sign(http.MethodPost, strings.TrimPrefix(b.url, "http://"), "/", "", formType, body))...)
}

// snsOK is sns for calls that must succeed.
func (b *bench) snsOK(action string, pairs ...string) answer {
	b.t.Helper()
	a := b.sns(action, pairs...)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "text/xml" || !strings.HasPrefix(string(a.body), "<"+action+"Response xmlns=") {
		b.t.Fatalf("%s: %d %v %s", action, a.status, a.header, a.body)
	}
	return a
}

// element is the text of the first element of that name.
func (a answer) element(name string) string {
	_, rest, _ := strings.Cut(string(a.body), "<"+name+">")
	value, _, _ := strings.Cut(rest, "</"+name+">")
	return value
}

// value is the value of an attribute in a list of entries.
func (a answer) value(key string) string {
	_, rest, _ := strings.Cut(string(a.body), "<key>"+key+"</key><value>")
	value, _, _ := strings.Cut(rest, "</value>")
	return value
}

// wantCode fails the test unless the answer is an error of SNS's.
func (a answer) wantCode(t *testing.T, status int, code string) {
	t.Helper()
	if a.status != status || a.element("Code") != code || a.element("Message") == "" || a.element("RequestId") == "" {
		t.Fatalf("got %d %s, want %d %s", a.status, a.body, status, code)
	}
}

// envelope is a message of SNS's.
type envelope struct {
	Type, MessageId, Token, TopicArn, Subject, Message, SubscribeURL, Timestamp, SignatureVersion, Signature, SigningCertURL, UnsubscribeURL string
}

// envelope reads what was posted, and checks everything that a careful receiver checks.
func (b *bench) envelope(h hit) envelope {
	b.t.Helper()
	var e envelope
	if err := json.Unmarshal(h.body, &e); err != nil {
		b.t.Fatalf("%v: %s", err, h.body)
	}
	for name, want := range map[string]string{"x-amz-sns-message-type": e.Type, "x-amz-sns-message-id": e.MessageId, "x-amz-sns-topic-arn": e.TopicArn,
		"Content-Type": "text/plain; charset=UTF-8"} {
		if got := h.header.Get(name); got != want || want == "" {
			b.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(e.SigningCertURL, b.url+"/SimpleNotificationService-") {
		b.t.Fatalf("certificate at %q", e.SigningCertURL)
	}
	signed := "Message\n" + e.Message + "\nMessageId\n" + e.MessageId + "\n"
	if e.Type == "Notification" {
		if e.Subject != "" {
			signed += "Subject\n" + e.Subject + "\n"
		}
		signed += "Timestamp\n" + e.Timestamp + "\n"
	} else {
		signed += "SubscribeURL\n" + e.SubscribeURL + "\nTimestamp\n" + e.Timestamp + "\nToken\n" + e.Token + "\n"
	}
	signed += "TopicArn\n" + e.TopicArn + "\nType\n" + e.Type + "\n"
	if err := b.verifySNS(e, signed); err != nil {
		b.t.Errorf("%s: the signature is wrong: %v", e.Type, err)
	}
	return e
}

func (b *bench) verifySNS(e envelope, signed string) error {
	block, _ := pem.Decode(b.raw(http.MethodGet, strings.TrimPrefix(e.SigningCertURL, b.url), "").body)
	if block == nil {
		return fmt.Errorf("no certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	if now := b.clock.Now(); now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return fmt.Errorf("not valid now")
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil {
		return err
	}
	if e.SignatureVersion == "2" {
		sum := sha256.Sum256([]byte(signed))
		return rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], signature)
	}
	sum := sha1.Sum([]byte(signed))
	return rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), crypto.SHA1, sum[:], signature)
}

// event is what SES published.
func (b *bench) event(h hit) object {
	b.t.Helper()
	e := b.envelope(h)
	if e.Type != "Notification" || e.Subject != "Amazon SES Email Event Notification" || !strings.HasSuffix(e.Message, "}\n") {
		b.t.Fatalf("%+v", e)
	}
	var out object
	if err := json.Unmarshal([]byte(e.Message), &out); err != nil {
		b.t.Fatal(err)
	}
	return out
}

const (
	topicName = "postyard-test"
	topicARN  = "arn:aws:sns:us-east-1:123456789012:" + topicName
	eventSet  = "sendpost-events"
)

var eventTypes = []string{"SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "OPEN", "CLICK", "RENDERING_FAILURE", "DELIVERY_DELAY", "SUBSCRIPTION"}

// destination is an event destination for a topic.
func destination(topic string, types ...string) object {
	return object{"Enabled": true, "MatchingEventTypes": types, "SnsDestination": object{"TopicArn": topic}}
}

// connect sets up all that events need, as a gateway does, and swallows what that brings about.
func (b *bench) connect(r *receiver) {
	b.t.Helper()
	b.snsOK("CreateTopic", "Name", topicName)
	b.snsOK("SetTopicAttributes", "TopicArn", topicARN, "AttributeName", "SignatureVersion", "AttributeValue", "2")
	b.snsOK("Subscribe", "TopicArn", topicARN, "Protocol", "http", "Endpoint", r.url)
	e := b.envelope(r.next(b.t))
	b.snsOK("ConfirmSubscription", "TopicArn", topicARN, "Token", e.Token, "AuthenticateOnUnsubscribe", "true")
	b.sesOK(http.MethodPost, "configuration-sets", object{"ConfigurationSetName": eventSet})
	b.sesOK(http.MethodPost, "configuration-sets/"+eventSet+"/event-destinations", object{"EventDestinationName": topicName,
		"EventDestination": destination(topicARN, eventTypes...)})
	r.drain(b.t, 1)
}

// outbound is a message that the account may send; changes overwrite its fields, and nil removes them.
func outbound(changes object) object {
	return merge(object{"FromEmailAddress": "Ana <app@example.com>", "Destination": object{"ToAddresses": []string{"ana@example.net"}},
		"Content": object{"Raw": object{"Data": base64.StdEncoding.EncodeToString([]byte(rawMail))}}, "ConfigurationSetName": eventSet,
		"EmailTags": []object{{"Name": "messageId", "Value": "0199-a"}, {"Name": "group", "Value": "welcome"}}}, changes)
}

const rawMail = "From: =?utf-8?q?An=C3=A4?= <app@example.com>\r\nTo: ana@example.net\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Own: 1\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n" +
	"--i\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSee https://example.com/b.\r\n" +
	"--i\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPGEgaHJlZj0iaHR0cHM6Ly9leGFtcGxlLmNvbS9hIj5hPC9hPg==\r\n--i--\r\n" +
	"--o\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--o--\r\n"

// sesSend sends a message and returns its id.
func (b *bench) sesSend(changes object) string {
	b.t.Helper()
	return b.sesOK(http.MethodPost, "outbound-emails", outbound(changes)).field(b.t, "MessageId").(string)
}

// sesTo is a destination of one address.
func sesTo(address string) object {
	return object{"Destination": object{"ToAddresses": []string{address}}}
}
