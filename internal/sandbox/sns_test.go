package sandbox_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"postyard/internal/sandbox"
)

// subscribed makes a topic with one endpoint and returns what was posted to it.
func (b *bench) subscribed(r *receiver) envelope {
	b.t.Helper()
	b.snsOK("CreateTopic", "Name", topicName)
	if a := b.snsOK("Subscribe", "TopicArn", topicARN, "Protocol", "http", "Endpoint", r.url); a.element("SubscriptionArn") != "pending confirmation" {
		b.t.Errorf("%s", a.body)
	}
	return b.envelope(r.next(b.t))
}

// member is the ARN of the topic's only subscription as it is listed.
func (b *bench) member() string {
	b.t.Helper()
	a := b.snsOK("ListSubscriptionsByTopic", "TopicArn", topicARN)
	if strings.Count(string(a.body), "<member>") != 1 {
		b.t.Fatalf("%s", a.body)
	}
	return a.element("SubscriptionArn")
}

// A topic is made once, however often it is asked for, and is gone when it is deleted, with its subscriptions.
func TestSNSTopics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 2 {
		if a := b.snsOK("CreateTopic", "Name", topicName); a.element("TopicArn") != topicARN {
			t.Errorf("%s", a.body)
		}
	}
	if a := b.snsOK("GetTopicAttributes", "TopicArn", topicARN); a.value("TopicArn") != topicARN || a.value("SignatureVersion") != "" || a.value("SubscriptionsConfirmed") != "0" {
		t.Errorf("%s", a.body)
	}
	if a := b.snsOK("SetTopicAttributes", "TopicArn", topicARN, "AttributeName", "SignatureVersion", "AttributeValue", "2"); strings.Contains(string(a.body), "Result") {
		t.Errorf("%s", a.body)
	}
	if a := b.snsOK("GetTopicAttributes", "TopicArn", topicARN); a.value("SignatureVersion") != "2" {
		t.Errorf("%s", a.body)
	}
	r := listen(t, nil)
	b.subscribed(r)
	if a := b.snsOK("GetTopicAttributes", "TopicArn", topicARN); a.value("SubscriptionsPending") != "1" {
		t.Errorf("%s", a.body)
	}
	if a := b.snsOK("ListTopics"); a.element("TopicArn") != topicARN {
		t.Errorf("%s", a.body)
	}
	for range 2 {
		b.snsOK("DeleteTopic", "TopicArn", topicARN)
	}
	b.sns("GetTopicAttributes", "TopicArn", topicARN).wantCode(t, 404, "NotFound")
	b.snsOK("CreateTopic", "Name", topicName)
	if a := b.snsOK("ListSubscriptionsByTopic", "TopicArn", topicARN); strings.Contains(string(a.body), "<member>") {
		t.Errorf("a subscription is left: %s", a.body)
	}
}

// Calls that are wrong are refused in XML, with SNS's codes.
func TestSNSRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.snsOK("CreateTopic", "Name", topicName)
	subscribe := func(protocol, endpoint string) []string {
		return []string{"Subscribe", "TopicArn", topicARN, "Protocol", protocol, "Endpoint", endpoint}
	}
	for _, c := range []struct {
		status int
		code   string
		call   []string
	}{
		{400, "InvalidAction", []string{"Dance"}},
		{400, "InvalidAction", []string{"ListTopics", "Version", "2009-01-01"}},
		{400, "MissingAction", []string{""}},
		{400, "InvalidParameter", []string{"CreateTopic", "Name", "a b"}},
		{400, "InvalidParameter", []string{"CreateTopic"}},
		{400, "InvalidParameter", []string{"CreateTopic", "Name", strings.Repeat("x", 257)}},
		{400, "InvalidParameter", []string{"CreateTopic", "Name", topicName, "Attributes.entry.1.key", "DisplayName", "Attributes.entry.1.value", "x"}},
		{400, "InvalidParameter", []string{"GetTopicAttributes", "TopicArn", topicName}},
		{404, "NotFound", []string{"GetTopicAttributes", "TopicArn", topicARN + "x"}},
		{404, "NotFound", []string{"SetTopicAttributes", "TopicArn", topicARN + "x", "AttributeName", "SignatureVersion", "AttributeValue", "2"}},
		{400, "InvalidParameter", []string{"SetTopicAttributes", "TopicArn", topicARN, "AttributeName", "SignatureVersion", "AttributeValue", "3"}},
		{400, "InvalidParameter", []string{"SetTopicAttributes", "TopicArn", topicARN, "AttributeName", "Mood", "AttributeValue", "3"}},
		{400, "InvalidParameter", []string{"DeleteTopic", "TopicArn", "x"}},
		{400, "InvalidParameter", subscribe("sms", "+1")},
		{400, "InvalidParameter", subscribe("https", "http://127.0.0.1/")},
		{400, "InvalidParameter", subscribe("http", "127.0.0.1")},
		{404, "NotFound", []string{"Subscribe", "TopicArn", topicARN + "x", "Protocol", "http", "Endpoint", "http://127.0.0.1/"}},
		{400, "InvalidParameter", []string{"ConfirmSubscription", "TopicArn", topicARN, "Token", "x"}},
		{400, "InvalidParameter", []string{"ConfirmSubscription", "TopicArn", topicARN}},
		{400, "InvalidParameter", []string{"Unsubscribe", "SubscriptionArn", "PendingConfirmation"}},
		{404, "NotFound", []string{"Unsubscribe", "SubscriptionArn", topicARN + ":x"}},
		{404, "NotFound", []string{"GetSubscriptionAttributes", "SubscriptionArn", topicARN + ":x"}},
		{404, "NotFound", []string{"ListSubscriptionsByTopic", "TopicArn", topicARN + "x"}},
		{400, "InvalidParameter", []string{"ListSubscriptionsByTopic", "TopicArn", topicARN, "NextToken", "x"}},
	} {
		a := b.sns(c.call[0], c.call[1:]...)
		if a.status != c.status || a.element("Code") != c.code || a.header.Get("Content-Type") != "text/xml" || a.element("RequestId") == "" {
			t.Errorf("%q: %d %s", c.call, a.status, a.body)
		}
	}
	if a := b.raw(http.MethodPost, "/", "a=%zz", "Content-Type", formType); a.element("Code") != "MalformedQueryString" {
		t.Errorf("%s", a.body)
	}
	if a := b.raw(http.MethodGet, "/?Action=ListTopics", ""); a.element("Code") != "InvalidAction" {
		t.Errorf("%s", a.body)
	}
}

// Nothing is published to an endpoint before it has confirmed, by a call or by the link; the token is good for two days.
func TestSNSConfirmation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	first := b.subscribed(r)
	if first.Type != "SubscriptionConfirmation" || first.TopicArn != topicARN || first.SignatureVersion != "1" || !strings.HasPrefix(first.SubscribeURL, b.url+"/?") {
		t.Errorf("%+v", first)
	}
	if got := b.member(); got != "PendingConfirmation" {
		t.Errorf("listed as %q", got)
	}
	b.sesOK(http.MethodPost, "configuration-sets", object{"ConfigurationSetName": eventSet})
	b.sesOK(http.MethodPost, "configuration-sets/"+eventSet+"/event-destinations", object{"EventDestinationName": "d",
		"EventDestination": destination(topicARN, eventTypes...)})
	id := b.sesSend(nil)
	b.pass()
	b.await(id, "delivery")
	b.settled(id)
	again := b.subscribed(r)
	if again.Token == first.Token || len(r.events) != 0 {
		t.Errorf("%+v", again)
	}
	b.sns("ConfirmSubscription", "TopicArn", topicARN, "Token", first.Token).wantCode(t, 400, "InvalidParameter")
	b.clock.Advance(48*time.Hour + time.Second)
	b.sns("ConfirmSubscription", "TopicArn", topicARN, "Token", again.Token).wantCode(t, 400, "InvalidParameter")
	last := b.subscribed(r)
	unsigned := "Action=ConfirmSubscription&Version=2010-03-31&AuthenticateOnUnsubscribe=true&" + url.Values{"TopicArn": {topicARN}, "Token": {last.Token}}.Encode()
	b.raw(http.MethodPost, "/", unsigned, "Content-Type", formType).wantCode(t, 403, "AuthorizationError")
	a := b.raw(http.MethodGet, strings.TrimPrefix(last.SubscribeURL, b.url), "", "Accept", "text/html")
	arn := a.element("SubscriptionArn")
	if a.status != http.StatusOK || !strings.HasPrefix(arn, topicARN+":") || b.member() != arn {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for range 2 {
		if a := b.snsOK("ConfirmSubscription", "TopicArn", topicARN, "Token", last.Token); a.element("SubscriptionArn") != arn {
			t.Errorf("%s", a.body)
		}
	}
	if a := b.snsOK("GetSubscriptionAttributes", "SubscriptionArn", arn); a.value("PendingConfirmation") != "false" || a.value("RawMessageDelivery") != "false" ||
		a.value("Endpoint") != r.url || a.value("ConfirmationWasAuthenticated") != "false" || strings.Contains(string(a.body), "FilterPolicy") {
		t.Errorf("%s", a.body)
	}
	if a := b.snsOK("Subscribe", "TopicArn", topicARN, "Protocol", "http", "Endpoint", r.url); a.element("SubscriptionArn") != arn {
		t.Errorf("subscribed again: %s", a.body)
	}
	if len(r.events) != 0 {
		t.Errorf("%d messages too many", len(r.events))
	}
}

// A new event destination is announced in plain words; topics are signed as they were asked to be.
func TestSNSAnnouncement(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1", "2"} {
		b := setup(t)
		r := listen(t, nil)
		b.snsOK("CreateTopic", "Name", topicName)
		b.snsOK("SetTopicAttributes", "TopicArn", topicARN, "AttributeName", "SignatureVersion", "AttributeValue", version)
		b.snsOK("ConfirmSubscription", "TopicArn", topicARN, "Token", b.subscribed(r).Token)
		b.sesOK(http.MethodPost, "configuration-sets", object{"ConfigurationSetName": eventSet})
		b.sesOK(http.MethodPost, "configuration-sets/"+eventSet+"/event-destinations", object{"EventDestinationName": "d",
			"EventDestination": destination(topicARN, "DELIVERY")})
		e := b.envelope(r.next(t))
		if e.Type != "Notification" || e.Message != "Successfully validated SNS topic for Amazon SES event publishing." || e.Subject != "" ||
			e.SignatureVersion != version || !strings.HasPrefix(e.UnsubscribeURL, b.url+"/?Action=Unsubscribe&") {
			t.Errorf("%+v", e)
		}
		b.sesSend(nil)
		b.pass()
		if got := b.event(r.next(t))["eventType"]; got != "Delivery" {
			t.Errorf("%v, which nobody wants to know", got)
		}
	}
}

// By its link a subscription is ended without a signature, unless one was asked for; the endpoint is told then.
func TestSNSUnsubscribe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	arn := b.snsOK("ConfirmSubscription", "TopicArn", topicARN, "Token", b.subscribed(r).Token, "AuthenticateOnUnsubscribe", "true").element("SubscriptionArn")
	link := "/?Action=Unsubscribe&SubscriptionArn=" + url.QueryEscape(arn)
	b.raw(http.MethodGet, link, "").wantCode(t, 403, "AuthorizationError")
	b.snsOK("Unsubscribe", "SubscriptionArn", arn)
	b.sns("GetSubscriptionAttributes", "SubscriptionArn", arn).wantCode(t, 404, "NotFound")
	arn = b.snsOK("ConfirmSubscription", "TopicArn", topicARN, "Token", b.subscribed(r).Token).element("SubscriptionArn")
	if a := b.raw(http.MethodGet, "/?Action=Unsubscribe&SubscriptionArn="+url.QueryEscape(arn), ""); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if e := b.envelope(r.next(t)); e.Type != "UnsubscribeConfirmation" || e.SubscribeURL == "" {
		t.Errorf("%+v", e)
	}
	b.sns("Unsubscribe", "SubscriptionArn", arn).wantCode(t, 404, "NotFound")
}

// A subscription can be set so that a receiver of envelopes gets nothing of use: raw, or filtered.
func TestSNSSubscriptionAttributes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.connect(r)
	arn := b.member()
	set := func(name, value string) answer {
		return b.sns("SetSubscriptionAttributes", "SubscriptionArn", arn, "AttributeName", name, "AttributeValue", value)
	}
	set("Mood", "x").wantCode(t, 400, "InvalidParameter")
	set("RawMessageDelivery", "x").wantCode(t, 400, "InvalidParameter")
	set("FilterPolicy", "x").wantCode(t, 400, "InvalidParameter")
	set("RawMessageDelivery", "true")
	b.sesSend(sesTo("reject@bounce.sandbox.test"))
	b.pass()
	if h := r.next(t); h.json(t)["eventType"] != "Reject" || h.header.Get("x-amz-sns-rawdelivery") != "true" {
		t.Errorf("%s", h.body)
	}
	set("RawMessageDelivery", "false")
	set("FilterPolicy", `{"a":["b"]}`)
	if a := b.snsOK("GetSubscriptionAttributes", "SubscriptionArn", arn); a.value("FilterPolicy") != "{&#34;a&#34;:[&#34;b&#34;]}" || a.value("RawMessageDelivery") != "false" {
		t.Errorf("%s", a.body)
	}
	id := b.sesSend(nil)
	b.pass()
	b.await(id, "delivery")
	b.settled(id)
	if len(r.events) != 0 {
		t.Error("the filter lets something through")
	}
}

// A notification that is not taken is posted again, with the same bytes; a refused one is not.
func TestSNSRetries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status := make(chan int, 10)
	r := listen(t, func(hit) int { return <-status })
	status <- 200
	status <- 200
	b.connect(r)
	id := b.sesSend(sesTo("reject@bounce.sandbox.test"))
	status <- 503
	b.pass()
	first := r.next(t)
	ctx, cancel := timeout(t)
	defer cancel()
	b.clock.AwaitSleeper(ctx.Done(), b.clock.Now().Add(time.Minute))
	status <- 200
	b.clock.Advance(time.Minute)
	if second := r.next(t); string(first.body) != string(second.body) {
		t.Errorf("%s\n%s", first.body, second.body)
	}
	b.settled(id)
	status <- 403
	gone := b.sesSend(sesTo("reject@bounce.sandbox.test"))
	b.pass()
	r.next(t)
	b.settled(gone)
}

// The sandbox's oddities are SES's too: everything twice, nothing at all, late, before the answer, opened by all.
func TestSESOddities(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.connect(r)
	with := func(settings object) { b.control(http.MethodPut, "/sandbox/settings", settings, http.StatusOK) }
	with(object{"duplicateWebhooks": true})
	b.sesSend(sesTo("reject@bounce.sandbox.test"))
	b.pass()
	if first, second := b.envelope(r.next(t)), b.envelope(r.next(t)); first != second {
		t.Errorf("%+v\n%+v", first, second)
	}
	with(object{"duplicateWebhooks": false, "dropWebhooks": true})
	id := b.sesSend(nil)
	b.pass()
	b.await(id, "delivery")
	with(object{"dropWebhooks": false, "webhookBeforeAnswer": true, "openDelivered": true})
	b.sesSend(nil)
	if len(r.events) != 3 {
		t.Errorf("%d events before the answer", len(r.events))
	}
	var kinds []string
	for _, e := range b.inner(r, 3) {
		kinds = append(kinds, e["eventType"].(string))
	}
	if !slices.Equal(kinds, []string{"Delivery", "Open", "Send"}) {
		t.Errorf("%v", kinds)
	}
	with(object{"webhookBeforeAnswer": false, "openDelivered": false, "lateWebhooks": "Processed", "lateWebhooksMs": 1000})
	b.sesSend(nil)
	b.pass()
	if got := b.inner(r, 1)[0]["eventType"]; got != "Delivery" {
		t.Errorf("%v is first", got)
	}
	ctx, cancel := timeout(t)
	defer cancel()
	b.clock.AwaitSleeper(ctx.Done(), b.clock.Now().Add(time.Second))
	b.clock.Advance(time.Second)
	if got := b.inner(r, 1)[0]["eventType"]; got != "Send" {
		t.Errorf("%v is second", got)
	}
}

// Two event destinations that publish to one topic tell everything twice, as two messages.
func TestSESTwoDestinations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.connect(r)
	b.sesOK(http.MethodPost, "configuration-sets/"+eventSet+"/event-destinations", object{"EventDestinationName": "second",
		"EventDestination": destination(topicARN, "REJECT")})
	r.drain(t, 1)
	id := b.sesSend(sesTo("reject@bounce.sandbox.test"))
	b.pass()
	first, second := b.envelope(r.next(t)), b.envelope(r.next(t))
	if first.Message != second.Message || first.MessageId == second.MessageId {
		t.Errorf("%+v\n%+v", first, second)
	}
	b.settled(id)
}

// Faults can be for SES, for an action of SNS, and name an error.
func TestSESFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPut, "/sandbox/faults", []object{
		{"provider": "ses", "path": "/v2/email/outbound-emails", "kind": "status", "status": 400, "errorType": "ThrottlingException", "count": 1},
		{"provider": "ses", "path": "/v2/email/account", "kind": "status", "status": 503, "server": sandbox.DemoSESKeyID},
		{"provider": "ses", "path": "/sns/Subscribe", "kind": "status", "status": 500},
		{"provider": "ses", "path": "/sns/ListTopics", "kind": "reset_after"},
		{"provider": "ses", "path": "/v2/email/configuration-sets", "kind": "status", "status": 502, "body": "<html>", "contentType": "text/html"},
	}, http.StatusOK)
	b.ses(http.MethodPost, "outbound-emails", outbound(nil)).wantType(t, 400, "ThrottlingException", "Maximum sending rate exceeded.")
	b.ses(http.MethodPost, "outbound-emails", outbound(nil)).wantType(t, 404, "NotFoundException", "")
	b.ses(http.MethodGet, "account", nil).wantType(t, 503, "ServiceUnavailable", "")
	b.snsOK("CreateTopic", "Name", topicName)
	b.sns("Subscribe", "TopicArn", topicARN).wantCode(t, 500, "InternalFailure")
	if a := b.ses(http.MethodGet, "configuration-sets", nil); a.status != 502 || string(a.body) != "<html>" || a.header.Get("x-amzn-ErrorType") != "" {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	form := "Action=ListTopics&Version=2010-03-31"
	if _, err := b.try(http.MethodPost, "/", form, flat(b.key("sns").sign(http.MethodPost, strings.TrimPrefix(b.url, "http://"), "/", "", formType, form))...); err == nil {
		t.Error("the connection was not reset")
	}
	if a := b.api(http.MethodGet, "/server", nil); a.status != http.StatusOK {
		t.Errorf("Postmark: %d", a.status)
	}
	b.control(http.MethodPut, "/sandbox/faults", []object{{"kind": "hang", "errorType": "x"}}, http.StatusBadRequest)
}

// Samples can be posted to a subscription that is listed among the webhooks.
func TestSESHooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.connect(r)
	var list struct {
		Hooks []struct {
			Provider, Server, URL, Stream, Status string
			ID                                    int
			Triggers                              map[string]string
		}
	}
	b.control(http.MethodGet, "/sandbox/hooks", nil, http.StatusOK).into(t, &list)
	if len(list.Hooks) != 1 || list.Hooks[0].Provider != "ses" || list.Hooks[0].Stream != topicName || list.Hooks[0].URL != r.url ||
		list.Hooks[0].Status != "verified" || len(list.Hooks[0].Triggers) != 10 || list.Hooks[0].Triggers["Rendering Failure"] != "verified" {
		t.Fatalf("%+v", list)
	}
	if got := b.control(http.MethodGet, "/sandbox/health", nil, http.StatusOK).field(t, "webhooks"); got != 1.0 {
		t.Errorf("%v webhooks", got)
	}
	if a := b.control(http.MethodPost, "/sandbox/hooks/1/test?server=Amazon+SES", nil, http.StatusOK); a.field(t, "success") != true {
		t.Errorf("%s", a.body)
	}
	for _, e := range b.inner(r, 10) {
		if len(e) != 2 {
			t.Errorf("%v", e)
		}
	}
	b.control(http.MethodPost, "/sandbox/hooks/1/test?server=Amazon+SES", object{"trigger": "Open"}, http.StatusOK)
	if got := b.inner(r, 1)[0]["eventType"]; got != "Open" {
		t.Errorf("%v", got)
	}
	b.control(http.MethodPost, "/sandbox/hooks/1/test?server=Amazon+SES", object{"trigger": "Mood"}, http.StatusUnprocessableEntity)
	b.control(http.MethodPost, "/sandbox/hooks/9/test?server=Amazon+SES", nil, http.StatusNotFound)
	b.control(http.MethodPost, "/sandbox/hooks/1/verify?server=Amazon+SES", nil, http.StatusUnprocessableEntity)
	if page := b.raw(http.MethodGet, "/sandbox/hook", ""); !strings.Contains(string(page.body), topicName) {
		t.Errorf("%s", page.body)
	}
}

// All that was acknowledged is there after a kill: what was not delivered is, endpoints that have not confirmed are asked again.
func TestSESRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := setup(t, in(dir))
	r := listen(t, nil)
	before.connect(r)
	old := before.sesSend(sesTo("hardbounce@bounce.sandbox.test"))
	before.pass()
	before.inner(r, 2)
	before.settled(old)
	before.sesOK(http.MethodPost, "identities", object{"EmailIdentity": "example.org"})
	before.sesOK(http.MethodPut, "suppression/addresses", object{"EmailAddress": "gone@example.net", "Reason": "BOUNCE"})
	before.sesOK(http.MethodDelete, "suppression/addresses/gone%40example.net", nil)
	other := listen(t, nil)
	before.snsOK("Subscribe", "TopicArn", topicARN, "Protocol", "http", "Endpoint", other.url)
	asked := before.envelope(other.next(t))
	late := before.sesSend(sesTo("gone@example.net"))
	wanted := before.message(old)

	after := setup(t, in(killed(t, dir, "")), func(cfg *sandbox.Config) { cfg.Clock = before.clock })
	after.clock = before.clock
	if got := after.message(old); got.Subject != wanted.Subject || len(got.Events) != 2 || got.Events[1].Type != "Permanent/General" {
		t.Errorf("%+v", got)
	}
	again := before.envelope(other.next(t)) // its links are those of the address at which SNS was called
	if again.Token != asked.Token || again.MessageId != asked.MessageId {
		t.Errorf("%+v\n%+v", asked, again)
	}
	after.snsOK("ConfirmSubscription", "TopicArn", topicARN, "Token", again.Token)
	after.pass()
	after.settled(late)
	for range 2 {
		other.next(t)
	}
	if got := after.message(late).Events; got[1].Kind != "delivery" {
		t.Errorf("%+v", got)
	}
	after.sesSend(merge(sesTo("hardbounce@bounce.sandbox.test"), object{"FromEmailAddress": "app@example.org"}))
	if a := after.sesOK(http.MethodGet, "account", nil); !strings.Contains(string(a.body), `"SentLast24Hours":3`) {
		t.Errorf("%s", a.body)
	}
	if a := after.snsOK("GetTopicAttributes", "TopicArn", topicARN); a.value("SignatureVersion") != "2" || a.value("SubscriptionsConfirmed") != "2" {
		t.Errorf("%s", a.body)
	}
}

// A reset keeps what events need, as whoever made it does not hear of it, and nothing else; asked for, it forgets all.
func TestSESReset(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir), func(cfg *sandbox.Config) { cfg.Seed = 7 })
	r := listen(t, nil)
	b.connect(r)
	first := b.sesSend(sesTo("hardbounce@bounce.sandbox.test"))
	b.pass()
	b.inner(r, 2)
	b.sesOK(http.MethodPost, "identities", object{"EmailIdentity": "example.org"})
	b.sesOK(http.MethodPut, "account/sending", object{"SendingEnabled": false})
	b.reset()
	check := func(b *bench) {
		t.Helper()
		b.ses(http.MethodGet, "identities/example.org", nil).wantType(t, 404, "NotFoundException", "")
		id := b.sesSend(sesTo("hardbounce@bounce.sandbox.test"))
		b.pass()
		b.await(id, "bounce")
		if m := b.message(id); m.Events[1].Type != "Permanent/General" {
			t.Errorf("%+v", m)
		}
		r.drain(t, 2)
		b.settled(id)
	}
	if again := b.sesSend(nil); again[16:] != first[16:] { // what is before is the time
		t.Errorf("ids are not repeated: %s, %s", first, again)
	}
	b.pass()
	r.drain(t, 2)
	check(b)
	b.control(http.MethodPost, "/sandbox/reset?webhooks=true", nil, http.StatusOK)
	b.sns("GetTopicAttributes", "TopicArn", topicARN).wantCode(t, 404, "NotFound")
	b.ses(http.MethodGet, "configuration-sets/"+eventSet, nil).wantType(t, 404, "NotFoundException", "")
	if n := b.stored(); n != 0 {
		t.Errorf("%d mails", n)
	}
	after := setup(t, in(killed(t, dir, "")))
	after.sns("GetTopicAttributes", "TopicArn", topicARN).wantCode(t, 404, "NotFound")
}
