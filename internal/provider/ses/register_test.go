package ses_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
	"postyard/internal/provider/ses"
	"postyard/internal/secret"
)

const hookURL = "https://postyard.example/tpsp/ses/account/1"

func newAdapter(t testing.TB) *ses.Adapter {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return ses.New(ses.Config{Transport: transport, Now: func() time.Time { return testNow }, AllowPrivate: true})
}

func newHook() *provider.Hook {
	return &provider.Hook{URL: hookURL, Credentials: provider.Credentials{Username: "postyard-4711", Password: secret.NewString("unused")}}
}

const topicARN = "arn:aws:sns:us-east-1:" + awsID + ":postyard-4711"

// settled registers a hook at an account, by an adapter that answers there.
func settled(t *testing.T) (*aws, *ses.Adapter, *provider.Hook) {
	t.Helper()
	a, adapter, hook := newAWS(t), newAdapter(t), newHook()
	hook.Keep = func(ref string) error { hook.Ref = ref; return nil }
	a.answers(adapter, hook)
	ref, changed, err := adapter.Register(t.Context(), a.connection(), *hook)
	if ref != topicARN || !changed || err != nil {
		t.Fatalf("Register = %q, %t, %v", ref, changed, err)
	}
	return a, adapter, hook
}

// The first registration makes everything, in the order that loses the least; the next one reads only.
func TestRegister(t *testing.T) {
	t.Parallel()
	a, adapter, hook := newAWS(t), newAdapter(t), newHook()
	var steps []string
	hook.Broken = func() error { steps = append(steps, "broken"); return nil }
	hook.Keep = func(ref string) error {
		_, writes := a.made()
		steps = append(append(steps, writes...), "keep "+ref)
		hook.Ref = ref
		return nil
	}
	a.answers(adapter, hook)
	ref, changed, err := adapter.Register(t.Context(), a.connection(), *hook)
	if ref != topicARN || !changed || err != nil {
		t.Fatalf("Register = %q, %t, %v", ref, changed, err)
	}
	_, writes := a.made()
	want := []string{"broken", "POST /v2/email/configuration-sets", "CreateTopic", "keep " + topicARN, "SetTopicAttributes",
		"POST /v2/email/configuration-sets/sendpost-events/event-destinations", "Subscribe", "ConfirmSubscription"}
	if diff := cmp.Diff(want, append(steps, writes...)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"destination postyard-4711 map[Enabled:true MatchingEventTypes:[SEND REJECT BOUNCE COMPLAINT DELIVERY OPEN CLICK RENDERING_FAILURE DELIVERY_DELAY SUBSCRIPTION] " +
			"SnsDestination:map[TopicArn:" + topicARN + "]]",
		"subscription " + topicARN + "https" + hookURL + "falsetrue",
		"topic map[SignatureVersion:2 TopicArn:" + topicARN + "]",
	}, a.state()); diff != "" {
		t.Errorf("what stands (-want +got):\n%s", diff)
	}

	hook.Broken = func() error { t.Error("what is right is called broken"); return nil }
	hook.Keep = func(string) error { t.Error("what is known is kept again"); return nil }
	ref, changed, err = adapter.Register(t.Context(), a.connection(), *hook)
	all, writes := a.made()
	if ref != topicARN || changed || err != nil || len(writes) > 0 || len(all) != 4 {
		t.Errorf("Register again = %q, %t, %v, by %q", ref, changed, err, all)
	}
}

// Whatever somebody did to ours is put right, and nothing else is touched.
func TestRegisterRepairs(t *testing.T) {
	t.Parallel()
	sns := func(topic string) map[string]any {
		return map[string]any{"Enabled": true, "MatchingEventTypes": []string{"BOUNCE"}, "SnsDestination": map[string]any{"TopicArn": topic}}
	}
	for name, spoil := range map[string]func(a *aws, hook *provider.Hook){
		"the set is gone":         func(a *aws, _ *provider.Hook) { a.noSet, a.destinations = true, map[string]map[string]any{} },
		"the destination is gone": func(a *aws, _ *provider.Hook) { delete(a.destinations, "postyard-4711") },
		"it is off":               func(a *aws, _ *provider.Hook) { a.destinations["postyard-4711"]["Enabled"] = false },
		"it lacks events": func(a *aws, _ *provider.Hook) {
			a.destinations["postyard-4711"]["MatchingEventTypes"] = []string{"BOUNCE"}
		},
		"it has another topic": func(a *aws, _ *provider.Hook) { a.destinations["postyard-4711"] = sns(topicARN + "x") },
		"it has another form": func(a *aws, _ *provider.Hook) {
			a.destinations["postyard-4711"] = map[string]any{"Enabled": true, "KinesisFirehoseDestination": 7}
		},
		"the topic is gone":      func(a *aws, _ *provider.Hook) { clear(a.topics); a.subs = nil },
		"it signs with SHA-1":    func(a *aws, _ *provider.Hook) { a.topics[topicARN]["SignatureVersion"] = "1" },
		"the subscription ended": func(a *aws, _ *provider.Hook) { a.subs = nil },
		"it is raw":              func(a *aws, _ *provider.Hook) { a.subs[0].raw = "true" },
		"it is to be confirmed":  func(a *aws, _ *provider.Hook) { a.subs[0].arn = "" },
		"our URL was another":    func(a *aws, _ *provider.Hook) { a.subs[0].endpoint = "https://old.example/tpsp/ses/account/1" },
		"the ref is lost":        func(_ *aws, hook *provider.Hook) { hook.Ref = "" },
		"the ref is of another region": func(_ *aws, hook *provider.Hook) {
			hook.Ref = strings.Replace(topicARN, "us-east-1", "eu-west-1", 1)
		},
		"the ref is of another hook": func(_ *aws, hook *provider.Hook) { hook.Ref = topicARN + "2" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, adapter, hook := settled(t)
			want := a.state()
			others := []string{}
			a.mu.Lock()
			spoil(a, hook)
			a.topics["arn:aws:sns:us-east-1:"+awsID+":theirs"] = map[string]string{"TopicArn": "theirs"}
			if !a.noSet {
				a.destinations["theirs"] = sns("arn:aws:sns:us-east-1:" + awsID + ":theirs")
			}
			if a.topics[topicARN] != nil {
				a.subs = append(a.subs, &sub{arn: topicARN + ":mail", topic: topicARN, protocol: "email", endpoint: "ops@example.com", raw: "false"},
					&sub{arn: topicARN + ":web", topic: topicARN, protocol: "https", endpoint: "https://other.example/log", raw: "false"})
			}
			a.mu.Unlock()
			for _, s := range a.state() {
				if strings.Contains(s, "theirs") || strings.Contains(s, "other.example") || strings.Contains(s, "ops@") {
					others = append(others, s)
				}
			}
			a.made()
			told := 0
			hook.Broken = func() error {
				told++
				if _, writes := a.made(); len(writes) > 0 {
					t.Errorf("%q before it was told that anything is broken", writes)
				}
				return nil
			}
			ref, changed, err := adapter.Register(t.Context(), a.connection(), *hook)
			if ref != topicARN || !changed || err != nil || told != 1 || hook.Ref != topicARN {
				t.Fatalf("Register = %q, %t, %v; told %d times, the ref is %s", ref, changed, err, told, hook.Ref)
			}
			want = append(want, others...)
			slices.Sort(want)
			if diff := cmp.Diff(want, a.state()); diff != "" {
				t.Errorf("what stands (-want +got):\n%s", diff)
			}
			if _, changed, err := adapter.Register(t.Context(), a.connection(), *hook); changed || err != nil {
				t.Errorf("Register again: %t, %v", changed, err)
			}
		})
	}
}

// Nobody answers at our URL: the webhook is there, and not verified. Everything else stands, so that mail can leave.
func TestRegisterUnverified(t *testing.T) {
	t.Parallel()
	a, adapter, hook := newAWS(t), newAdapter(t), newHook()
	adapter.SetPatience(50 * time.Millisecond)
	ref, changed, err := adapter.Register(t.Context(), a.connection(), *hook)
	refused, ok := errors.AsType[*provider.SetupError](err)
	if ref != topicARN || !changed || !ok || refused.Code != provider.CodeHookUnverified || !refused.Retry || !strings.Contains(refused.Message, hookURL) {
		t.Fatalf("Register = %q, %t, %#v", ref, changed, err)
	}
	if len(a.destinations) != 1 || a.noSet {
		t.Errorf("%q", a.state())
	}
	// So does the end of the time for it, and the words are not those of a time-out.
	adapter.SetPatience(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 2100*time.Millisecond)
	defer cancel()
	hook.Ref = ref
	ref, _, err = adapter.Register(ctx, a.connection(), *hook)
	if refused, ok := errors.AsType[*provider.SetupError](err); ref != topicARN || !ok || refused.Code != provider.CodeHookUnverified || ctx.Err() != nil {
		t.Fatalf("Register = %q, %#v", ref, err)
	}
}

// What our own side cannot record ends it before the provider calls.
func TestRegisterIsNotToGoOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is full")
	for name, set := range map[string]func(*provider.Hook){
		"broken": func(h *provider.Hook) { h.Broken = func() error { return broken } },
		"keep":   func(h *provider.Hook) { h.Keep = func(string) error { return broken } },
	} {
		a, adapter, hook := newAWS(t), newAdapter(t), newHook()
		set(hook)
		_, _, err := adapter.Register(t.Context(), a.connection(), *hook)
		_, writes := a.made()
		if !errors.Is(err, broken) || slices.Contains(writes, "Subscribe") || name == "broken" && len(writes) > 0 {
			t.Errorf("%s: %v after %q", name, err, writes)
		}
	}
}

// What AWS refuses is told in words that help.
func TestSetupErrors(t *testing.T) {
	t.Parallel()
	const destinations = "GET configuration-sets/sendpost-events/event-destinations"
	for name, tc := range map[string]struct {
		call  string
		no    refused
		code  string
		field string
		retry bool
		words string
	}{
		"no right":      {"CreateTopic", refused{403, "AuthorizationError", "User is not authorized to perform SNS:CreateTopic"}, "missing_permission", "key", false, "sns:CreateTopic"},
		"no right, SES": {destinations, refused{403, "AccessDeniedException", "User is not authorized"}, "missing_permission", "key", false, "ses:GetConfigurationSetEventDestinations"},
		"wrong key":     {destinations, refused{403, "UnrecognizedClientException", "The security token included in the request is invalid."}, "invalid_token", "key", false, "security token"},
		"wrong key, SNS": {"CreateTopic", refused{403, "InvalidClientTokenId", "The security token included in the request is invalid."}, "invalid_token", "key", false,
			"security token"},
		"wrong secret": {destinations, refused{403, "SignatureDoesNotMatch", "The request signature we calculated does not match"}, "invalid_token", "secret", false, "secret access key"},
		"wrong clock": {destinations, refused{403, "InvalidSignatureException", "Signature expired: 20260302T120000Z is now earlier than 20260302T130000Z"}, "clock_wrong", "", true,
			"clock"},
		"throttled":      {destinations, refused{400, "ThrottlingException", "Rate exceeded"}, provider.CodeUnavailable, "", true, "Rate exceeded"},
		"throttled, SNS": {"Subscribe", refused{400, "Throttling", "Rate exceeded"}, provider.CodeUnavailable, "", true, "Rate exceeded"},
		"too many":       {destinations, refused{429, "TooManyRequestsException", ""}, provider.CodeUnavailable, "", true, ""},
		"down":           {"CreateTopic", refused{500, "InternalFailure", ""}, provider.CodeUnavailable, "", true, ""},
		"bad URL":        {"Subscribe", refused{400, "InvalidParameter", "Invalid parameter: Endpoint"}, "invalid_webhook_url", "", false, "public URL"},
		"a full set": {"POST configuration-sets/sendpost-events/event-destinations", refused{400, "LimitExceededException", "Too many event destinations"}, "provider_refused", "",
			false, "Too many"},
	} {
		a, adapter := newAWS(t), newAdapter(t)
		a.refuse[tc.call] = tc.no
		_, _, err := adapter.Register(t.Context(), a.connection(), *newHook())
		refused, ok := errors.AsType[*provider.SetupError](err)
		if !ok || refused.Code != tc.code || refused.Field != tc.field || refused.Retry != tc.retry || !strings.Contains(refused.Message, tc.words) {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

// Removing takes our destination and our topic, and leaves the set and what others have.
func TestUnregister(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"by the ref": false, "without": true} {
		a, adapter, hook := settled(t)
		theirs := "arn:aws:sns:us-east-1:" + awsID + ":theirs"
		a.mu.Lock()
		a.topics[theirs], a.destinations["theirs"] = map[string]string{}, map[string]any{"Enabled": true}
		a.mu.Unlock()
		if lost {
			hook.Ref = ""
		}
		for range 2 { // the second time there is nothing left
			if err := adapter.Unregister(t.Context(), a.connection(), *hook); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff([]string{"destination theirs map[Enabled:true]", "topic map[]"}, a.state()); diff != "" || a.noSet {
			t.Errorf("%s: what is left (-want +got):\n%s", name, diff)
		}
	}
	// A ref that is not ours is nothing to remove.
	a, adapter, hook := settled(t)
	hook.Credentials.Username, hook.Ref = "postyard-other", topicARN
	if err := adapter.Unregister(t.Context(), a.connection(), *hook); err != nil || len(a.state()) != 3 {
		t.Errorf("%v, left %q", err, a.state())
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	a, adapter := newAWS(t), newAdapter(t)
	if err := adapter.Check(t.Context(), a.connection()); err != nil {
		t.Error(err)
	}
	wrong := a.connection()
	wrong.Secret = secret.NewString("another")
	refused, ok := errors.AsType[*provider.SetupError](adapter.Check(t.Context(), wrong))
	if !ok || refused.Code != "invalid_token" || refused.Field != "secret" {
		t.Errorf("%#v", refused)
	}
	for body, code := range map[string]string{
		`{"SendingEnabled":false,"SendQuota":{}}`:                                  "sending_paused",
		`{"SendingEnabled":true,"EnforcementStatus":"SHUTDOWN","SendQuota":{}}`:    "account_suspended",
		`{"SendingEnabled":true,"EnforcementStatus":"PROBATION","SendQuota":null}`: "",
		`{"SendQuota":{"Max24HourSend":200}}`:                                      "",
		`{}`:                                                                       "unexpected_answer", `<html>`: "unexpected_answer", `[]`: "unexpected_answer",
	} {
		err := adapter.Check(t.Context(), scripted(t, http.StatusOK, nil, body))
		refused, ok := errors.AsType[*provider.SetupError](err)
		if code == "" && err != nil || code != "" && (!ok || refused.Code != code) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
