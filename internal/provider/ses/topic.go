package ses

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// topicName is the name of a hook's topic, and of its event destination. The hook's user name is nobody else's.
func topicName(username string) string {
	const ours, longest = "postyard-", 200
	name := fit(username)
	if !strings.HasPrefix(name, ours) {
		name = ours + name
	}
	if name == username || name == ours+username {
		if len(name) <= longest {
			return name
		}
	}
	sum := sha256.Sum256([]byte(username))
	return name[:min(len(name), longest)] + "-" + hex.EncodeToString(sum[:8])
}

// named tells whether a topic's ARN is one in the region, with that name: arn:aws:sns:eu-west-1:123456789012:name.
func named(arn, region, name string) bool {
	parts := strings.Split(arn, ":")
	return len(parts) == 6 && parts[0] == "arn" && parts[2] == serviceSNS && parts[3] == region && parts[5] == name
}

// createTopic makes a topic, or finds the one that has this name.
func (a *Adapter) createTopic(ctx context.Context, t *target, name string) (arn string, err error) {
	const action = "CreateTopic"
	var answer struct {
		Topic string `xml:"CreateTopicResult>TopicArn"`
	}
	if err := a.tell(ctx, t, action, url.Values{"Name": {name}}, &answer); err != nil {
		return "", err
	}
	if arn = strings.TrimSpace(answer.Topic); !named(arn, t.region, name) {
		return "", unreadable(action)
	}
	return arn, nil
}

// attributes are pairs as SNS lists them.
type attributes struct {
	Entries []struct {
		Key   string `xml:"key"`
		Value string `xml:"value"`
	} `xml:"entry"`
}

func (list attributes) get(key string) string {
	for _, e := range list.Entries {
		if e.Key == key {
			return strings.TrimSpace(e.Value)
		}
	}
	return ""
}

// signatureVersion is the one that we ask for: the first signs with SHA-1.
const signatureVersion = "2"

// topicSigns tells whether a topic signs what it posts in the way that we ask for.
func (a *Adapter) topicSigns(ctx context.Context, t *target, arn string) (bool, error) {
	var answer struct {
		Attributes attributes `xml:"GetTopicAttributesResult>Attributes"`
	}
	if err := a.tell(ctx, t, "GetTopicAttributes", url.Values{"TopicArn": {arn}}, &answer); err != nil {
		return false, err
	}
	return answer.Attributes.get("SignatureVersion") == signatureVersion, nil
}

func (a *Adapter) haveTopicSign(ctx context.Context, t *target, arn string) error {
	return a.tell(ctx, t, "SetTopicAttributes", url.Values{"TopicArn": {arn}, "AttributeName": {"SignatureVersion"}, "AttributeValue": {signatureVersion}}, nil)
}

// deleteTopic removes a topic with its subscriptions; it is no error when it is gone already.
func (a *Adapter) deleteTopic(ctx context.Context, t *target, arn string) error {
	err := a.tell(ctx, t, "DeleteTopic", url.Values{"TopicArn": {arn}}, nil)
	if gone(err) {
		return nil
	}
	return err
}

// subscription is who gets what is published to a topic.
type subscription struct {
	ARN      string `xml:"SubscriptionArn"` // no ARN before it is confirmed
	Protocol string
	Endpoint string
}

func (s *subscription) confirmed() bool { return strings.HasPrefix(s.ARN, "arn:") }

// is tells whether a subscription is to a URL.
func (s *subscription) is(hookURL string) bool {
	return s.Endpoint == hookURL && s.Protocol == protocolOf(hookURL)
}

// was tells whether a subscription is to what was our URL: only where Postyard is reached has changed.
func (s *subscription) was(hookURL string) bool {
	own, err := url.Parse(hookURL)
	if err != nil {
		return false
	}
	other, err := url.Parse(s.Endpoint)
	return err == nil && !s.is(hookURL) && (s.Protocol == "https" || s.Protocol == "http") && other.Path == own.Path
}

func protocolOf(hookURL string) string {
	scheme, _, _ := strings.Cut(hookURL, ":")
	return strings.ToLower(scheme)
}

// How many pages of subscriptions are read, and how many subscriptions Amazon has on one.
const (
	mostPages = 10
	onePage   = 100
)

// subscriptions lists those of a topic.
func (a *Adapter) subscriptions(ctx context.Context, t *target, arn string) (list []subscription, err error) {
	parameters := url.Values{"TopicArn": {arn}}
	for range mostPages {
		var page struct {
			List []subscription `xml:"ListSubscriptionsByTopicResult>Subscriptions>member"`
			Next string         `xml:"ListSubscriptionsByTopicResult>NextToken"`
		}
		if err := a.tell(ctx, t, "ListSubscriptionsByTopic", parameters, &page); err != nil {
			return nil, err
		}
		list = append(list, page.List[:min(len(page.List), onePage)]...)
		if page.Next == "" {
			break
		}
		parameters.Set("NextToken", page.Next)
	}
	return list, nil
}

// delivers tells whether a subscription gets everything that is published, and as we can check it: with SNS's signature around it.
func (a *Adapter) delivers(ctx context.Context, t *target, subscription string) (bool, error) {
	var answer struct {
		Attributes attributes `xml:"GetSubscriptionAttributesResult>Attributes"`
	}
	if err := a.tell(ctx, t, "GetSubscriptionAttributes", url.Values{"SubscriptionArn": {subscription}}, &answer); err != nil {
		return false, err
	}
	filter := answer.Attributes.get("FilterPolicy")
	return answer.Attributes.get("RawMessageDelivery") != "true" && (filter == "" || filter == "{}"), nil
}

// subscribe has what is published to a topic posted to a URL, once that has confirmed it.
func (a *Adapter) subscribe(ctx context.Context, t *target, arn, hookURL string) error {
	return a.tell(ctx, t, "Subscribe", url.Values{"TopicArn": {arn}, "Protocol": {protocolOf(hookURL)}, "Endpoint": {hookURL}}, nil)
}

func (a *Adapter) unsubscribe(ctx context.Context, t *target, subscription string) error {
	err := a.tell(ctx, t, "Unsubscribe", url.Values{"SubscriptionArn": {subscription}}, nil)
	if gone(err) {
		return nil
	}
	return err
}

// confirm agrees to a subscription. From then on only who has a key can end it: the UnsubscribeURL in everything that is posted does not.
func (a *Adapter) confirm(ctx context.Context, t *target, arn, token string) error {
	return a.tell(ctx, t, "ConfirmSubscription", url.Values{"TopicArn": {arn}, "Token": {token}, "AuthenticateOnUnsubscribe": {"true"}}, nil)
}
