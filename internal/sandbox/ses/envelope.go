package ses

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // SNS's signature version 1 is SHA-1
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
)

// signer is what notifications are signed with.
type signer struct {
	key  *rsa.PrivateKey
	name string // of the certificate's file
	pem  []byte
}

// theSigner is made when it is needed first, which takes a while; all sandboxes of a process share it.
var theSigner = sync.OnceValues(newSigner)

// certificatePath is where the certificate is served.
var certificatePath = regexp.MustCompile(`^/SimpleNotificationService-[a-f0-9]+\.pem$`)

func newSigner() (*signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("ses: make a key: %w", err)
	}
	// It is valid whatever the sandbox's clock says.
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com", Organization: []string{"Postyard sandbox"}},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{"sns.amazonaws.com"}}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("ses: make a certificate: %w", err)
	}
	sum := sha256.Sum256(raw)
	return &signer{key: key, name: "SimpleNotificationService-" + hex.EncodeToString(sum[:16]) + ".pem",
		pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})}, nil
}

// sign returns the signature of a text by a version of SNS's signatures.
func (s *signer) sign(version, text string) (string, error) {
	hash, digest := crypto.SHA1, sha1.Sum([]byte(text)) //nolint:gosec // see above
	sum := digest[:]
	if version == "2" {
		longer := sha256.Sum256([]byte(text))
		hash, sum = crypto.SHA256, longer[:]
	}
	raw, err := rsa.SignPKCS1v15(nil, s.key, hash, sum)
	if err != nil {
		return "", fmt.Errorf("ses: sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

func (s *Simulator) serveCertificate(w http.ResponseWriter, r *http.Request) {
	signer, err := theSigner()
	if err != nil {
		s.log.ErrorContext(r.Context(), "there is no certificate", "err", err)
		http.Error(w, "there is no certificate", http.StatusInternalServerError)
		return
	}
	if r.URL.Path != "/"+signer.name {
		http.NotFound(w, r)
		return
	}
	write(w, http.StatusOK, http.Header{"Content-Type": {"application/x-pem-file"}}, signer.pem)
}

// Types of SNS's messages.
const (
	typeNotification = "Notification"
	typeConfirm      = "SubscriptionConfirmation"
	typeFarewell     = "UnsubscribeConfirmation"
)

// eventSubject is the subject of SES's notifications of events.
const eventSubject = "Amazon SES Email Event Notification"

// posting is a message of SNS's that is to be posted to an endpoint.
type posting struct {
	sub       subscription
	version   string // of the signature
	kind      string // of message
	id        string
	subject   string // empty for none
	message   string
	at        time.Time
	policy    *hook.Policy
	mail      string // the id of the mail that an event is of
	eventType string // of an event; empty for other messages
	delay     time.Duration
	twice     bool
	done      func()
}

// message makes a posting for an endpoint. The caller holds mu.
func (s *Simulator) message(sub *subscription, kind, id, text string) posting {
	version := "1"
	if t := s.topics[sub.Topic]; t != nil {
		version = t.signatureVersion()
	}
	return posting{sub: *sub, version: version, kind: kind, id: id, message: text, at: s.clock.Now(), policy: s.policy(s.settings.Of(serverName))}
}

// confirmation asks an endpoint whether it wants to be one. The caller holds mu.
func (s *Simulator) confirmation(sub *subscription) posting {
	return s.message(sub, typeConfirm, derived("confirm", sub.ARN, sub.Token), "You have chosen to subscribe to the topic "+sub.Topic+
		".\nTo confirm the subscription, visit the SubscribeURL included in this message.")
}

// farewell tells an endpoint that it is none any more. The caller holds mu.
func (s *Simulator) farewell(sub *subscription) posting {
	return s.message(sub, typeFarewell, derived("farewell", sub.ARN, sub.Token), "You have chosen to deactivate subscription "+sub.ARN+
		".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message.")
}

// announce publishes a text to a topic. The caller holds mu.
func (s *Simulator) announce(topicARN, text string) []posting {
	var list []posting
	id := s.otherID()
	for _, number := range s.endpoints(topicARN) {
		list = append(list, s.message(s.subscriptions[number], typeNotification, id, text))
	}
	return list
}

// otherID is the id of a message that is about no mail. The caller holds mu.
func (s *Simulator) otherID() string {
	s.lastOther++
	return derived("other", s.salt, s.lastOther, s.clock.Now())
}

// sign makes deliveries of postings. It takes a while for many, so that it is better done without mu.
func (s *Simulator) sign(postings []posting) ([]*hook.Delivery, error) {
	if len(postings) == 0 {
		return nil, nil
	}
	signer, err := theSigner()
	if err != nil {
		return nil, err
	}
	deliveries := make([]*hook.Delivery, 0, len(postings))
	for _, p := range postings {
		body, err := p.body(signer)
		if err != nil {
			return nil, err
		}
		d := &hook.Delivery{URL: p.sub.Endpoint, Header: p.header(), Body: body, Policy: p.policy, Delay: p.delay, Server: serverName,
			Hook: p.sub.Number, Type: cmp.Or(p.eventType, p.kind), MailID: p.mail, Trace: p.id, Done: p.done}
		deliveries = append(deliveries, d)
		if p.twice {
			twin := *d
			twin.Done = nil
			deliveries = append(deliveries, &twin)
		}
	}
	return deliveries, nil
}

func (p *posting) header() http.Header {
	header := http.Header{}
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	header.Set("User-Agent", "Amazon Simple Notification Service Agent")
	header.Set("x-amz-sns-message-type", p.kind)
	header.Set("x-amz-sns-message-id", p.id)
	header.Set("x-amz-sns-topic-arn", p.sub.Topic)
	if p.kind != typeConfirm {
		header.Set("x-amz-sns-subscription-arn", p.sub.ARN)
	}
	if p.kind == typeNotification && p.sub.raw() {
		header.Set("x-amz-sns-rawdelivery", "true")
	}
	return header
}

// field is a member of an envelope.
type field struct{ name, value string }

// body is the message as it is posted: in an envelope that is signed, unless the subscription wants it raw.
func (p *posting) body(signer *signer) ([]byte, error) {
	if p.kind == typeNotification && p.sub.raw() {
		return []byte(p.message), nil
	}
	stamped := p.at.UTC().Format(stampForm)
	var fields []field
	if p.kind == typeNotification {
		fields = []field{{"Type", p.kind}, {"MessageId", p.id}, {"TopicArn", p.sub.Topic}}
		if p.subject != "" {
			fields = append(fields, field{"Subject", p.subject})
		}
		fields = append(fields, field{"Message", p.message}, field{"Timestamp", stamped})
	} else {
		link := p.sub.Base + "/?" + url.Values{"Action": {"ConfirmSubscription"}, "TopicArn": {p.sub.Topic}, "Token": {p.sub.Token}}.Encode()
		fields = []field{{"Type", p.kind}, {"MessageId", p.id}, {"Token", p.sub.Token}, {"TopicArn", p.sub.Topic}, {"Message", p.message},
			{"SubscribeURL", link}, {"Timestamp", stamped}}
	}
	signature, err := signer.sign(p.version, canonical(fields))
	if err != nil {
		return nil, err
	}
	fields = append(fields, field{"SignatureVersion", p.version}, field{"Signature", signature}, field{"SigningCertURL", p.sub.Base + "/" + signer.name})
	if p.kind == typeNotification {
		fields = append(fields, field{"UnsubscribeURL", p.sub.Base + "/?" + url.Values{"Action": {"Unsubscribe"}, "SubscriptionArn": {p.sub.ARN}}.Encode()})
	}
	return layOut(fields)
}

// signedFields are those that a signature covers, in the order in which it does.
var signedFields = []string{"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}

// canonical is the text that is signed.
func canonical(fields []field) string {
	var out strings.Builder
	for _, name := range signedFields {
		for _, f := range fields {
			if f.name == name {
				out.WriteString(name + "\n" + f.value + "\n")
			}
		}
	}
	return out.String()
}

// layOut writes an envelope as SNS does, one member a line.
func layOut(fields []field) ([]byte, error) {
	var out bytes.Buffer
	for i, f := range fields {
		value, err := encode(f.value)
		if err != nil {
			return nil, fmt.Errorf("ses: %w", err)
		}
		before := ",\n"
		if i == 0 {
			before = "{\n"
		}
		fmt.Fprintf(&out, "%s  %q : %s", before, f.name, value)
	}
	out.WriteString("\n}")
	return out.Bytes(), nil
}

// policyKey is what of the settings decides how a message is delivered.
type policyKey struct {
	ladder    string
	timeoutMS int64
}

const (
	// maxPolicies is how many policies are remembered; deliveries that wait keep theirs.
	maxPolicies = 100
	// longestTry is how long SNS waits for an answer.
	longestTry = 15 * time.Second
)

// policy is how SNS delivers under some settings. The caller holds mu, perhaps for reading only.
func (s *Simulator) policy(now settings.Settings) *hook.Policy {
	key := policyKey{now.RetryLadder, now.WebhookTimeoutMS}
	s.policyMu.Lock()
	defer s.policyMu.Unlock()
	if p := s.policies[key]; p != nil {
		return p
	}
	ladder, err := settings.ParseLadder(now.RetryLadder)
	if err != nil {
		ladder = nil // not so: settings are checked when they are made
	}
	if s.policies == nil || len(s.policies) >= maxPolicies {
		s.policies = map[policyKey]*hook.Policy{}
	}
	p := &hook.Policy{Ladder: ladder, Judge: judge, Timeout: min(longestTry, time.Duration(now.WebhookTimeoutMS)*time.Millisecond)}
	s.policies[key] = p
	return p
}

// judge reads the answer of an endpoint: a 4xx other than 408 and 429 loses the message at once.
func judge(status int) hook.Verdict {
	switch {
	case status >= 200 && status < 300:
		return hook.Delivered
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return hook.Retry
	case status >= 400 && status < 500:
		return hook.Refused
	}
	return hook.Retry
}
