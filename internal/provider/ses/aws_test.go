package ses_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/provider"
	"postyard/internal/provider/ses"
	"postyard/internal/provider/ses/sigv4"
	"postyard/internal/secret"
)

const (
	keyID     = "AKIAEXAMPLEEXAMPLE00"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	awsID     = "123456789012"
	certPath  = "/SimpleNotificationService-0123456789abcdef.pem"
)

var testNow = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// signer signs as SNS does. Making a key takes a while, so all tests share one.
type signer struct {
	key  *rsa.PrivateKey
	cert []byte // PEM
}

var theSigner = sync.OnceValue(func() signer { return newSigner(2048, testNow.Add(-time.Hour), testNow.Add(time.Hour)) })

func newSigner(bits int, from, to time.Time) signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return signer{key, certify(&key.PublicKey, key, from, to)}
}

func certify(public, private any, from, to time.Time) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// post is a body of SNS's, in the order of its documentation.
type post struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string `json:",omitempty"`
	TopicArn         string
	Subject          *string `json:",omitempty"`
	Message          string
	SubscribeURL     string `json:",omitempty"`
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
}

// sign signs a post, by the rules as AWS documents them.
func (s signer) sign(p *post) {
	var text string
	add := func(name, value string) { text += name + "\n" + value + "\n" }
	add("Message", p.Message)
	add("MessageId", p.MessageID)
	if p.Type == "Notification" {
		if p.Subject != nil {
			add("Subject", *p.Subject)
		}
		add("Timestamp", p.Timestamp)
	} else {
		add("SubscribeURL", p.SubscribeURL)
		add("Timestamp", p.Timestamp)
		add("Token", p.Token)
	}
	add("TopicArn", p.TopicArn)
	add("Type", p.Type)
	hash, sum := crypto.SHA256, sha256.Sum256([]byte(text))
	digest := sum[:]
	if p.SignatureVersion == "1" {
		old := sha1.Sum([]byte(text))
		hash, digest = crypto.SHA1, old[:]
	}
	signature, err := rsa.SignPKCS1v15(nil, s.key, hash, digest)
	if err != nil {
		panic(err)
	}
	p.Signature = base64.StdEncoding.EncodeToString(signature)
}

// delivery is a post as it arrives.
func (p *post) delivery() provider.Delivery {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	h := http.Header{}
	h.Set("X-Amz-Sns-Message-Type", p.Type)
	h.Set("X-Amz-Sns-Message-Id", p.MessageID)
	h.Set("X-Amz-Sns-Topic-Arn", p.TopicArn)
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	return provider.Delivery{Header: h, Body: body}
}

// aws is an account at AWS: SES and SNS at one address, with a signer. Requests that are not signed by its key are refused.
type aws struct {
	t      *testing.T
	server *httptest.Server
	signer signer

	// greets is called with the delivery that asks at an endpoint, outside of the request that led to it; nil: nobody answers there.
	greets func(d provider.Delivery)

	mu           sync.Mutex
	calls        []string // "GET /v2/email/account", "CreateTopic"
	refuse       map[string]refused
	noSet        bool // the configuration set is not there
	destinations map[string]map[string]any
	topics       map[string]map[string]string // attributes by ARN
	subs         []*sub
	next         int
	greeting     sync.WaitGroup
	noCert       bool
}

type refused struct {
	status     int
	kind, text string
}

type sub struct{ arn, topic, protocol, endpoint, raw, token string }

func newAWS(t *testing.T) *aws {
	t.Helper()
	a := &aws{t: t, signer: theSigner(), noSet: true, refuse: map[string]refused{}, destinations: map[string]map[string]any{}, topics: map[string]map[string]string{}}
	a.server = httptest.NewServer(a)
	t.Cleanup(func() { a.greeting.Wait(); a.server.Close() })
	return a
}

func (a *aws) connection() provider.Connection {
	return provider.Connection{AccountID: 1, TPSPID: 3, Endpoint: a.server.URL, Domain: "us-east-1", Key: secret.NewString(keyID), Secret: secret.NewString(secretKey)}
}

// answers has the greeting answered as the intake would, by an adapter.
func (a *aws) answers(adapter *ses.Adapter, hook *provider.Hook) {
	a.greets = func(d provider.Delivery) {
		ok, err := adapter.Authentic(context.Background(), a.connection(), *hook, d)
		if !ok || err != nil {
			a.t.Errorf("the greeting is not authentic: %t, %v", ok, err)
		}
		if greeting, err := adapter.Greet(context.Background(), a.connection(), *hook, d); !greeting || err != nil {
			a.t.Errorf("Greet = %t, %v", greeting, err)
		}
	}
}

func (a *aws) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == certPath {
		if a.noCert {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(a.signer.cert)
		return
	}
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".pem") {
		http.NotFound(w, r)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/v2/email/") {
		a.calls = append(a.calls, r.Method+" "+r.URL.Path)
		if !a.signed(r, "ses", body) {
			fail(w, refused{403, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided."})
			return
		}
		a.serveSES(w, r.Method, strings.TrimPrefix(r.URL.Path, "/v2/email/"), body)
		return
	}
	form, err := url.ParseQuery(string(body))
	if r.URL.Path != "/" || err != nil || form.Get("Version") != "2010-03-31" {
		a.t.Errorf("%s %s %s", r.Method, r.URL, body)
	}
	action := form.Get("Action")
	a.calls = append(a.calls, action)
	switch no, is := a.refuse[action]; {
	case !a.signed(r, "sns", body):
		failXML(w, refused{403, "SignatureDoesNotMatch", "The request signature we calculated does not match"})
	case is:
		failXML(w, no)
	default:
		a.serveSNS(w, action, form)
	}
}

// signed signs the request again and compares.
func (a *aws) signed(r *http.Request, service string, body []byte) bool {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	h := http.Header{}
	if kind := r.Header.Get("Content-Type"); kind != "" {
		h.Set("Content-Type", kind)
	}
	u := *r.URL
	u.Host = r.Host
	sigv4.Sign(sigv4.Key{ID: keyID, Secret: secretKey, Region: "us-east-1", Service: service}, at, r.Method, &u, h, body)
	return err == nil && h.Get("Authorization") == r.Header.Get("Authorization")
}

func fail(w http.ResponseWriter, no refused) {
	w.Header().Set("X-Amzn-Errortype", no.kind+":http://internal.amazon.com/coral/com.amazonaws.ses/")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(no.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": no.text})
}

func failXML(w http.ResponseWriter, no refused) {
	w.WriteHeader(no.status)
	_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>`+
		`<RequestId>1</RequestId></ErrorResponse>`, no.kind, escaped(no.text))
}

func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

func (a *aws) serveSES(w http.ResponseWriter, method, path string, body []byte) {
	const sets, destinations = "configuration-sets", "configuration-sets/sendpost-events/event-destinations"
	var in struct {
		ConfigurationSetName, EventDestinationName string
		EventDestination                           map[string]any
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &in); err != nil {
			a.t.Errorf("%s %s: %v", method, path, err)
		}
	}
	if no, is := a.refuse[method+" "+path]; is {
		fail(w, no)
		return
	}
	name, isOne := strings.CutPrefix(path, destinations+"/")
	switch {
	case method == http.MethodGet && path == "account":
		_, _ = io.WriteString(w, `{"SendingEnabled":true,"ProductionAccessEnabled":true,"EnforcementStatus":"HEALTHY","SendQuota":{"Max24HourSend":50000.0,"MaxSendRate":14.0,"SentLast24Hours":1.0}}`)
	case method == http.MethodPost && path == "outbound-emails":
		a.next++
		_, _ = fmt.Fprintf(w, `{"MessageId":"0100018f%08d-000000"}`, a.next)
	case method == http.MethodPost && path == sets && in.ConfigurationSetName == "sendpost-events":
		if !a.noSet {
			fail(w, refused{400, "AlreadyExistsException", "Configuration set sendpost-events already exists."})
			return
		}
		a.noSet = false
		_, _ = io.WriteString(w, `{}`)
	case a.noSet:
		fail(w, refused{404, "NotFoundException", "Configuration set <sendpost-events> does not exist."})
	case method == http.MethodGet && path == destinations:
		list := []any{}
		for name, d := range a.destinations {
			one := map[string]any{"Name": name}
			for k, v := range d {
				one[k] = v
			}
			list = append(list, one)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"EventDestinations": list})
	case method == http.MethodPost && path == destinations:
		if a.destinations[in.EventDestinationName] != nil {
			fail(w, refused{400, "AlreadyExistsException", "It is there."})
			return
		}
		a.destinations[in.EventDestinationName] = in.EventDestination
		_, _ = io.WriteString(w, `{}`)
	case isOne && a.destinations[name] == nil:
		fail(w, refused{404, "NotFoundException", "There is no such event destination."})
	case isOne && method == http.MethodPut:
		a.destinations[name] = in.EventDestination
		_, _ = io.WriteString(w, `{}`)
	case isOne && method == http.MethodDelete:
		delete(a.destinations, name)
		_, _ = io.WriteString(w, `{}`)
	default:
		a.t.Errorf("%s %s", method, path)
		fail(w, refused{400, "BadRequestException", "no"})
	}
}

func (a *aws) serveSNS(w http.ResponseWriter, action string, form url.Values) {
	arn, result := form.Get("TopicArn"), ""
	if action != "CreateTopic" && action != "DeleteTopic" && arn != "" && a.topics[arn] == nil {
		failXML(w, refused{404, "NotFound", "Topic does not exist"})
		return
	}
	switch action {
	case "CreateTopic":
		arn = "arn:aws:sns:us-east-1:" + awsID + ":" + form.Get("Name")
		if a.topics[arn] == nil {
			a.topics[arn] = map[string]string{"TopicArn": arn}
		}
		result = "<TopicArn>" + arn + "</TopicArn>"
	case "GetTopicAttributes":
		result = pairs(a.topics[arn])
	case "SetTopicAttributes":
		a.topics[arn][form.Get("AttributeName")] = form.Get("AttributeValue")
	case "DeleteTopic":
		delete(a.topics, arn)
		a.subs = slices.DeleteFunc(a.subs, func(s *sub) bool { return s.topic == arn })
	case "Subscribe":
		result = "<SubscriptionArn>" + a.subscribe(arn, form.Get("Protocol"), form.Get("Endpoint")) + "</SubscriptionArn>"
	case "ConfirmSubscription":
		i := slices.IndexFunc(a.subs, func(s *sub) bool { return s.topic == arn && s.token == form.Get("Token") })
		if i < 0 || form.Get("AuthenticateOnUnsubscribe") != "true" {
			failXML(w, refused{400, "InvalidParameter", "Invalid parameter: Token"})
			return
		}
		a.next++
		a.subs[i].arn = arn + ":" + strconv.Itoa(a.next)
		result = "<SubscriptionArn>" + a.subs[i].arn + "</SubscriptionArn>"
	case "ListSubscriptionsByTopic":
		result = a.page(arn, form.Get("NextToken"))
	case "GetSubscriptionAttributes":
		for _, s := range a.subs {
			if s.arn == form.Get("SubscriptionArn") {
				result = pairs(map[string]string{"Endpoint": s.endpoint, "RawMessageDelivery": s.raw})
			}
		}
	case "Unsubscribe":
		a.subs = slices.DeleteFunc(a.subs, func(s *sub) bool { return s.arn == form.Get("SubscriptionArn") })
	default:
		a.t.Errorf("the action %q", action)
	}
	if result != "" {
		result = "<" + action + "Result>" + result + "</" + action + "Result>"
	}
	_, _ = fmt.Fprintf(w, `<%sResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">%s<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></%[1]sResponse>`, action, result)
}

func pairs(m map[string]string) string {
	s := "<Attributes>"
	for k, v := range m {
		s += "<entry><key>" + k + "</key><value>" + escaped(v) + "</value></entry>"
	}
	return s + "</Attributes>"
}

// page lists one subscription at a time, so that paging shows.
func (a *aws) page(topic, token string) string {
	at, _ := strconv.Atoi(token)
	var list []*sub
	for _, s := range a.subs {
		if s.topic == topic {
			list = append(list, s)
		}
	}
	if at >= len(list) {
		return "<Subscriptions/>"
	}
	s, next := list[at], ""
	arn := s.arn
	if arn == "" {
		arn = "PendingConfirmation"
	}
	if at+1 < len(list) {
		next = "<NextToken>" + strconv.Itoa(at+1) + "</NextToken>"
	}
	return "<Subscriptions><member><SubscriptionArn>" + arn + "</SubscriptionArn><Owner>" + awsID + "</Owner><Protocol>" + s.protocol + "</Protocol><Endpoint>" +
		escaped(s.endpoint) + "</Endpoint><TopicArn>" + topic + "</TopicArn></member></Subscriptions>" + next
}

func (a *aws) subscribe(topic, protocol, endpoint string) string {
	a.next++
	token := "token" + strconv.Itoa(a.next)
	i := slices.IndexFunc(a.subs, func(s *sub) bool { return s.topic == topic && s.protocol == protocol && s.endpoint == endpoint })
	switch {
	case i >= 0 && a.subs[i].arn != "":
		return a.subs[i].arn
	case i >= 0:
		a.subs[i].token = token
	default:
		a.subs = append(a.subs, &sub{topic: topic, protocol: protocol, endpoint: endpoint, raw: "false", token: token})
	}
	if greets := a.greets; greets != nil {
		p := &post{Type: "SubscriptionConfirmation", MessageID: "22b8" + token, Token: token, TopicArn: topic, Message: "You have chosen to subscribe",
			SubscribeURL: a.server.URL + "/?Action=ConfirmSubscription&Token=" + token, Timestamp: "2026-03-02T12:00:00.000Z", SignatureVersion: "2", SigningCertURL: a.server.URL + certPath}
		a.signer.sign(p)
		a.greeting.Go(func() { greets(p.delivery()) })
	}
	return "pending confirmation"
}

// reads are the calls that change nothing.
var reads = []string{"GetTopicAttributes", "ListSubscriptionsByTopic", "GetSubscriptionAttributes"}

// made returns the calls since the last time, and those of them that were to change something.
func (a *aws) made() (all, writes []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all = a.calls
	a.calls = nil
	for _, c := range all {
		if changes(c) {
			writes = append(writes, c)
		}
	}
	return all, writes
}

// wrote counts the calls so far that were to change something.
func (a *aws) wrote() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, c := range a.calls {
		if changes(c) {
			n++
		}
	}
	return n
}

func changes(call string) bool {
	return !slices.Contains(reads, call) && !strings.HasPrefix(call, "GET ")
}

// state lists what stands for webhooks.
func (a *aws) state() (list []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, d := range a.destinations {
		list = append(list, fmt.Sprint("destination ", name, " ", d))
	}
	for _, attributes := range a.topics {
		list = append(list, fmt.Sprint("topic ", attributes))
	}
	for _, s := range a.subs {
		list = append(list, fmt.Sprint("subscription ", s.topic, s.protocol, s.endpoint, s.raw, s.arn != ""))
	}
	slices.Sort(list)
	return list
}
