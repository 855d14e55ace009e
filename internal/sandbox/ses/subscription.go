package ses

import (
	"cmp"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxEndpoint is how long an endpoint's URL may be.
const maxEndpoint = 2048

type subscriptionResult struct {
	SubscriptionARN string `xml:"SubscriptionArn"`
}

// subscribe adds an endpoint, and posts to it what it needs to confirm that it wants to be one. For an endpoint that is there already,
// nothing changes: one that has not confirmed yet is asked again.
func (s *Simulator) subscribe(f *form) (any, error) {
	if err := checkEndpoint(f.Get("Protocol"), f.Get("Endpoint")); err != nil {
		return nil, err
	}
	wanted := f.entries("Attributes.entry")
	for name, value := range wanted {
		if err := checkSubscriptionAttribute(name, value); err != nil {
			return nil, err
		}
	}
	sub, postings, err := s.subscribed(f, wanted)
	if err != nil {
		return nil, err
	}
	if err := s.queue(postings); err != nil {
		return nil, err
	}
	if !sub.Confirmed && f.Get("ReturnSubscriptionArn") != "true" {
		return subscriptionResult{pendingReply}, nil
	}
	return subscriptionResult{sub.ARN}, nil
}

func checkEndpoint(protocol, endpoint string) error {
	if protocol != "http" && protocol != "https" {
		return invalid("Protocol Reason: the simulator knows http and https, not %q", protocol)
	}
	target, err := url.Parse(endpoint)
	switch {
	case err != nil || target.Host == "" || len(endpoint) > maxEndpoint:
		return invalid("Endpoint")
	case target.Scheme != protocol:
		return invalid("Endpoint must match the specified protocol")
	}
	return nil
}

func (s *Simulator) subscribed(f *form, wanted map[string]string) (*subscription, []posting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.topic(f)
	if err != nil {
		return nil, nil, err
	}
	endpoint, protocol := f.Get("Endpoint"), f.Get("Protocol")
	sub := subscription{Topic: t.ARN, Protocol: protocol, Endpoint: endpoint, Attributes: wanted}
	for _, old := range s.subscriptions {
		if old.Topic == t.ARN && old.Protocol == protocol && old.Endpoint == endpoint {
			sub = *old
		}
	}
	if sub.Confirmed {
		for name, value := range wanted {
			if sub.Attributes[name] != value {
				return nil, nil, invalid("Attributes Reason: Subscription already exists with different attributes")
			}
		}
		return &sub, nil, nil
	}
	if sub.Number == 0 {
		s.lastSubscription++
		sub.Number, sub.ARN = s.lastSubscription, t.ARN+":"+derived("subscription", s.salt, s.lastSubscription)
	}
	sub.Base, sub.Created, sub.Token = f.base, s.clock.Now(), s.newToken(sub.Number)
	if err := s.saveSubscription(&sub); err != nil {
		return nil, nil, err
	}
	return &sub, []posting{s.confirmation(&sub)}, nil
}

// newToken is what an endpoint confirms with, another one each time. The caller holds mu.
func (s *Simulator) newToken(number int) string {
	s.lastOther++
	sum := sha512.Sum512(fmt.Appendln(nil, "token", s.salt, number, s.lastOther, s.clock.Now()))
	return hex.EncodeToString(sum[:])
}

// saveSubscription keeps a subscription and puts it in force. The caller holds mu.
func (s *Simulator) saveSubscription(sub *subscription) error {
	if err := s.store.Put(sub.document()); err != nil {
		return err
	}
	s.subscriptions[sub.Number] = sub
	return nil
}

// removeSubscription forgets one. The caller holds mu.
func (s *Simulator) removeSubscription(number int) error {
	if err := s.drop(kindSubscription, strconv.Itoa(number)); err != nil {
		return err
	}
	delete(s.subscriptions, number)
	return nil
}

func (s *Simulator) restoreSubscription(id string, value json.RawMessage) error {
	number, err := strconv.Atoi(id)
	if err != nil {
		return err
	}
	s.lastSubscription = max(s.lastSubscription, number)
	if value == nil {
		delete(s.subscriptions, number)
		return nil
	}
	var sub subscription
	if err := json.Unmarshal(value, &sub); err != nil {
		return err
	}
	s.subscriptions[number] = &sub
	return nil
}

// confirmSubscription puts a subscription in force whose endpoint knows its token. It needs no signature, unless unsubscribing is to need
// one from then on.
func (s *Simulator) confirmSubscription(f *form) (any, error) {
	strict := f.Get("AuthenticateOnUnsubscribe") == "true"
	if strict && !f.signed {
		return nil, denied("AuthorizationError", "", "AuthenticateOnUnsubscribe needs a signed request")
	}
	token := f.Get("Token")
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.topic(f)
	if err != nil {
		return nil, err
	}
	for _, old := range s.subscriptions {
		if old.Topic != t.ARN || token == "" || old.Token != token {
			continue
		}
		if !old.Confirmed && s.clock.Now().Sub(old.Created) > tokenLife {
			break
		}
		if old.Confirmed {
			return subscriptionResult{old.ARN}, nil
		}
		sub := *old
		sub.Confirmed, sub.Authenticated, sub.AuthenticateOnUnsubscribe = true, f.signed, strict
		return subscriptionResult{sub.ARN}, s.saveSubscription(&sub)
	}
	return nil, invalid("Token")
}

// unsubscribe ends a subscription. By link, without a signature, the endpoint is told, so that it can take that back.
func (s *Simulator) unsubscribe(f *form) (any, error) {
	s.mu.Lock()
	sub, err := s.subscription(f)
	var postings []posting
	switch {
	case err != nil:
	case !f.signed && sub.AuthenticateOnUnsubscribe:
		err = denied("AuthorizationError", "", "The subscription can only be deleted by a signed request")
	case !f.signed:
		postings = []posting{s.farewell(sub)}
		fallthrough
	default:
		err = s.removeSubscription(sub.Number)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return nil, s.queue(postings)
}

// subscription finds the one that a call names. The caller holds mu.
func (s *Simulator) subscription(f *form) (*subscription, error) {
	arn := f.Get("SubscriptionArn")
	if !strings.HasPrefix(arn, "arn:aws:sns:") || strings.Count(arn, ":") != 6 {
		return nil, invalid("SubscriptionArn Reason: An ARN must have at least 6 elements, not %d", strings.Count(arn, ":")+1)
	}
	for _, sub := range s.subscriptions {
		if sub.ARN == arn {
			return sub, nil
		}
	}
	return nil, notFound(codeNotFound, "Subscription does not exist")
}

type subscriptionList struct {
	Subscriptions []subscriptionMember `xml:"Subscriptions>member"`
	NextToken     string               `xml:"NextToken,omitempty"`
}

type subscriptionMember struct {
	TopicARN        string `xml:"TopicArn"`
	Protocol        string
	SubscriptionARN string `xml:"SubscriptionArn"`
	Owner           string
	Endpoint        string
}

func (s *Simulator) listSubscriptions(f *form) (any, error) {
	after := 0
	if text := f.Get("NextToken"); text != "" {
		var err error
		if after, err = strconv.Atoi(text); err != nil {
			return nil, invalid("NextToken")
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, err := s.topic(f)
	if err != nil {
		return nil, err
	}
	var list subscriptionList
	for _, number := range slices.Sorted(maps.Keys(s.subscriptions)) {
		sub := s.subscriptions[number]
		if sub.Topic != t.ARN || number <= after {
			continue
		}
		if len(list.Subscriptions) == perList {
			break
		}
		after, list.NextToken = number, strconv.Itoa(number)
		list.Subscriptions = append(list.Subscriptions, subscriptionMember{sub.Topic, sub.Protocol, sub.listed(), accountID, sub.Endpoint})
	}
	if len(list.Subscriptions) < perList {
		list.NextToken = ""
	}
	return list, nil
}

func (s *Simulator) getSubscriptionAttributes(f *form) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sub, err := s.subscription(f)
	if err != nil {
		return nil, err
	}
	all := map[string]string{"SubscriptionArn": sub.ARN, "TopicArn": sub.Topic, "Owner": accountID, "Protocol": sub.Protocol,
		"Endpoint": sub.Endpoint, "PendingConfirmation": strconv.FormatBool(!sub.Confirmed),
		"ConfirmationWasAuthenticated": strconv.FormatBool(sub.Authenticated), attributeRaw: strconv.FormatBool(sub.raw())}
	if policy := sub.Attributes[attributeFilter]; policy != "" {
		all[attributeFilter] = policy
	}
	return attributesOf(all), nil
}

func checkSubscriptionAttribute(name, value string) error {
	switch name {
	case attributeRaw:
		if value = strings.ToLower(value); value != "true" && value != "false" {
			return invalid("RawMessageDelivery Reason: must be true or false")
		}
	case attributeFilter:
		var policy map[string]json.RawMessage
		if json.Unmarshal([]byte(cmp.Or(value, "{}")), &policy) != nil {
			return invalid("FilterPolicy: failed to parse JSON")
		}
	default:
		return invalid("AttributeName")
	}
	return nil
}

func (s *Simulator) setSubscriptionAttributes(f *form) (any, error) {
	name, value := f.Get("AttributeName"), f.Get("AttributeValue")
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.subscription(f)
	if err == nil {
		err = checkSubscriptionAttribute(name, value)
	}
	if err != nil {
		return nil, err
	}
	sub := *old
	sub.Attributes = with(old.Attributes, name, value)
	return nil, s.saveSubscription(&sub)
}

// remind asks the endpoints again that have not confirmed, after a restart or a reset, which forget what was on its way.
func (s *Simulator) remind() {
	s.mu.RLock()
	var postings []posting
	for _, number := range slices.Sorted(maps.Keys(s.subscriptions)) {
		if sub := s.subscriptions[number]; !sub.Confirmed {
			postings = append(postings, s.confirmation(sub))
		}
	}
	s.mu.RUnlock()
	if err := s.queue(postings); err != nil {
		s.log.Error("subscriptions cannot be asked for their confirmation again", "err", err)
	}
}
