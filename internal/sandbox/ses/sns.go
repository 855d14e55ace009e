package ses

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/sandbox/store"
)

const (
	apiVersion = "2010-03-31"
	arnPrefix  = "arn:aws:sns:" + Region + ":" + accountID + ":"

	// tokenLife is how long a subscription can be confirmed.
	tokenLife = 48 * time.Hour
	// perList is how many subscriptions a page lists.
	perList = 100

	pendingReply  = "pending confirmation" // of Subscribe
	pendingListed = "PendingConfirmation"  // in lists
)

// topic is a topic with the attributes that were set.
type topic struct {
	ARN        string
	Name       string
	Attributes map[string]string
}

// signatureVersion is how its notifications are signed: 1, unless 2 was asked for.
func (t *topic) signatureVersion() string { return cmp.Or(t.Attributes[attributeVersion], "1") }

// Attributes of topics and subscriptions that mean something here.
const (
	attributeVersion = "SignatureVersion"
	attributeRaw     = "RawMessageDelivery"
	attributeFilter  = "FilterPolicy"
)

// topicAttributes are those that can be set.
var topicAttributes = []string{"DeliveryPolicy", "DisplayName", "KmsMasterKeyId", "Policy", attributeVersion, "TracingConfig"}

// subscription is an endpoint of a topic's.
type subscription struct {
	Number                    int // none is given twice; it is the webhook's id elsewhere in the sandbox
	ARN                       string
	Topic                     string // its ARN
	Protocol                  string
	Endpoint                  string
	Token                     string
	Base                      string // the URL under which SNS was called for it: the links of its notifications begin with it
	Created                   time.Time
	Confirmed                 bool
	Authenticated             bool // it was confirmed by a signed call
	AuthenticateOnUnsubscribe bool
	Attributes                map[string]string
}

func (sub *subscription) document() store.Document {
	return document(kindSubscription, strconv.Itoa(sub.Number), sub)
}

// raw tells that messages are posted without an envelope.
func (sub *subscription) raw() bool { return strings.EqualFold(sub.Attributes[attributeRaw], "true") }

// filtered tells that a filter policy lets nothing through: SES's messages have no attributes that could match one.
func (sub *subscription) filtered() bool {
	policy := strings.TrimSpace(sub.Attributes[attributeFilter])
	return policy != "" && policy != "{}"
}

// listed is the ARN as lists show it.
func (sub *subscription) listed() string {
	if sub.Confirmed {
		return sub.ARN
	}
	return pendingListed
}

// action is one operation of SNS. A signature is needed unless open is set.
type action struct {
	open   bool
	handle func(*Simulator, *form) (any, error)
}

var actions = map[string]action{
	"CreateTopic":               {handle: (*Simulator).createTopic},
	"DeleteTopic":               {handle: (*Simulator).deleteTopic},
	"ListTopics":                {handle: (*Simulator).listTopics},
	"GetTopicAttributes":        {handle: (*Simulator).getTopicAttributes},
	"SetTopicAttributes":        {handle: (*Simulator).setTopicAttributes},
	"Subscribe":                 {handle: (*Simulator).subscribe},
	"ConfirmSubscription":       {handle: (*Simulator).confirmSubscription, open: true},
	"Unsubscribe":               {handle: (*Simulator).unsubscribe, open: true},
	"ListSubscriptionsByTopic":  {handle: (*Simulator).listSubscriptions},
	"GetSubscriptionAttributes": {handle: (*Simulator).getSubscriptionAttributes},
	"SetSubscriptionAttributes": {handle: (*Simulator).setSubscriptionAttributes},
}

// form is one call of SNS.
type form struct {
	url.Values
	base   string // the URL under which it came
	signed bool
}

// invalid is a parameter that breaks a rule.
func invalid(format string, args ...any) *failure {
	return fail(codeInvalid, "Invalid parameter: "+format, args...)
}

// query answers one call of SNS, by form or by link.
func (s *Simulator) query(r *http.Request) (any, error) {
	body, err := read(r, maxForm)
	if err != nil {
		return nil, err
	}
	f := &form{base: baseOf(r)}
	text := r.URL.RawQuery
	if r.Method == http.MethodPost {
		text = string(body)
	}
	if f.Values, err = url.ParseQuery(text); err != nil {
		return nil, fail("MalformedQueryString", "The query string contains a syntax error.")
	}
	name := f.Get("Action")
	known, ok := actions[name]
	version := cmp.Or(f.Get("Version"), "NO_VERSION_SPECIFIED")
	link := r.Method == http.MethodGet && known.open // links name no version
	switch {
	case name == "":
		return nil, fail("MissingAction", "The request is missing an action or a required parameter.")
	case !ok || version != apiVersion && !link:
		return nil, fail("InvalidAction", "Could not find operation %s for version %s", name, version)
	}
	if f.signed = r.Header.Get("Authorization") != ""; f.signed || !known.open {
		if err := s.verify(r, body, serviceSNS); err != nil {
			return nil, err
		}
	}
	answer, err := known.handle(s, f)
	return result{name, answer}, err
}

// baseOf is the URL under which a request came: that of its Host header, which is where its client finds the sandbox.
func baseOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

type topicResult struct {
	TopicARN string `xml:"TopicArn"`
}

// createTopic makes a topic, or finds the one of that name.
func (s *Simulator) createTopic(f *form) (any, error) {
	name := f.Get("Name")
	if !topicName.MatchString(name) {
		return nil, invalid("Topic Name")
	}
	wanted := f.entries("Attributes.entry")
	for key, value := range wanted {
		if err := checkTopicAttribute(key, value); err != nil {
			return nil, err
		}
	}
	arn := arnPrefix + name
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.topics[arn]; old != nil {
		for key, value := range wanted {
			if old.Attributes[key] != value {
				return nil, invalid("Attributes Reason: Topic already exists with different attributes")
			}
		}
		return topicResult{arn}, nil
	}
	return topicResult{arn}, s.saveTopic(&topic{ARN: arn, Name: name, Attributes: wanted})
}

// saveTopic keeps a topic and puts it in force. The caller holds mu.
func (s *Simulator) saveTopic(t *topic) error {
	if err := s.put(kindTopic, t.ARN, t); err != nil {
		return err
	}
	s.topics[t.ARN] = t
	return nil
}

func checkTopicAttribute(name, value string) error {
	switch {
	case !slices.Contains(topicAttributes, name):
		return invalid("AttributeName")
	case name == attributeVersion && value != "1" && value != "2":
		return invalid("SignatureVersion Reason: must be 1 or 2")
	}
	return nil
}

// entries reads a map of a form: prefix.1.key, prefix.1.value, ...
func (f *form) entries(prefix string) map[string]string {
	entries := map[string]string{}
	for i := 1; f.Has(fmt.Sprintf("%s.%d.key", prefix, i)); i++ {
		entries[f.Get(fmt.Sprintf("%s.%d.key", prefix, i))] = f.Get(fmt.Sprintf("%s.%d.value", prefix, i))
	}
	return entries
}

// topic finds the topic that a call names. The caller holds mu.
func (s *Simulator) topic(f *form) (*topic, error) {
	arn := f.Get("TopicArn")
	if !strings.HasPrefix(arn, "arn:aws:sns:") || strings.Count(arn, ":") != 5 {
		return nil, invalid("TopicArn")
	}
	if t := s.topics[arn]; t != nil {
		return t, nil
	}
	return nil, notFound(codeNotFound, "Topic does not exist")
}

// deleteTopic removes a topic with its subscriptions; it need not be there.
func (s *Simulator) deleteTopic(f *form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.topic(f)
	if err != nil {
		if gone, ok := err.(*failure); ok && gone.kind == codeNotFound { //nolint:errorlint // it is made above
			return nil, nil
		}
		return nil, err
	}
	for number, sub := range s.subscriptions {
		if sub.Topic != t.ARN {
			continue
		}
		if err := s.removeSubscription(number); err != nil {
			return nil, err
		}
	}
	if err := s.drop(kindTopic, t.ARN); err != nil {
		return nil, err
	}
	delete(s.topics, t.ARN)
	return nil, nil
}

type topicList struct {
	Topics []topicResult `xml:"Topics>member"`
}

func (s *Simulator) listTopics(*form) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list topicList
	for _, arn := range slices.Sorted(maps.Keys(s.topics)) {
		list.Topics = append(list.Topics, topicResult{arn})
	}
	return list, nil
}

// attributes are a map in XML.
type attributes struct {
	Entries []entry `xml:"Attributes>entry"`
}

type entry struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

func attributesOf(all map[string]string) attributes {
	var list attributes
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list.Entries = append(list.Entries, entry{key, all[key]})
	}
	return list
}

func (s *Simulator) getTopicAttributes(f *form) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.topic(f)
	if err != nil {
		return nil, err
	}
	pending, confirmed := 0, 0
	for _, sub := range s.subscriptions {
		switch {
		case sub.Topic != t.ARN:
		case sub.Confirmed:
			confirmed++
		default:
			pending++
		}
	}
	all := map[string]string{"TopicArn": t.ARN, "Owner": accountID, "DisplayName": "", "SubscriptionsPending": strconv.Itoa(pending),
		"SubscriptionsConfirmed": strconv.Itoa(confirmed), "SubscriptionsDeleted": "0"}
	maps.Copy(all, t.Attributes)
	return attributesOf(all), nil
}

func (s *Simulator) setTopicAttributes(f *form) (any, error) {
	name, value := f.Get("AttributeName"), f.Get("AttributeValue")
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.topic(f)
	if err == nil {
		err = checkTopicAttribute(name, value)
	}
	if err != nil {
		return nil, err
	}
	t := &topic{ARN: old.ARN, Name: old.Name, Attributes: with(old.Attributes, name, value)}
	return nil, s.saveTopic(t)
}

// with returns a map with one entry more, or another value.
func with(all map[string]string, name, value string) map[string]string {
	changed := map[string]string{}
	maps.Copy(changed, all)
	changed[name] = value
	return changed
}
