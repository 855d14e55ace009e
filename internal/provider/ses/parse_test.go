package ses_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/provider"
	"postyard/internal/provider/ses"
)

const testID = "019f3d50-0000-7000-8000-000000000001"

// mailPart is what all events have.
const mailPart = `"mail":{"timestamp":"2026-03-02T11:00:00.000Z","source":"shop@example.com","sourceArn":"arn:aws:ses:us-east-1:123456789012:identity/example.com",
	"sendingAccountId":"123456789012","messageId":"0100018f-1","destination":["b@ex.net","c@ex.net"],"headersTruncated":false,"headers":[{"name":"From","value":"shop@example.com"}],
	"commonHeaders":{"from":["shop@example.com"],"to":["b@ex.net"],"messageId":"0100018f-1","subject":"Hi"},
	"tags":{"ses:operation":["SendEmail"],"ses:configuration-set":["sendpost-events"],"accountId":["1"],"subAccountId":["2"],"tpspId":["3"],
	"messageId":["` + testID + `"],"emailType":["gmail"],"group":["news"],"order":["A_42"]}}`

// events are SES's, each in its own words.
var events = map[string]string{
	"send": `{"eventType":"Send",` + mailPart + `,"send":{}}`,
	"delivery": `{"eventType":"Delivery",` + mailPart + `,"delivery":{"timestamp":"2026-03-02T11:00:01.500Z","processingTimeMillis":546,"recipients":["b@ex.net","C@ex.net"],
		"smtpResponse":"250 ok:  Message 64111812 accepted","remoteMtaIp":"192.0.2.2","reportingMTA":"a8-70.smtp-out.amazonses.com"}}`,
	"permanent": `{"eventType":"Bounce",` + mailPart + `,"bounce":{"feedbackId":"0100-perm","bounceType":"Permanent","bounceSubType":"General","timestamp":"2026-03-02T11:00:02Z",
		"bouncedRecipients":[{"emailAddress":"b@ex.net","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"},{"emailAddress":"c@ex.net"}],
		"reportingMTA":"dns; a8-70.smtp-out.amazonses.com"}}`,
	"transient": `{"eventType":"Bounce",` + mailPart + `,"bounce":{"feedbackId":"0100-tran","bounceType":"Transient","bounceSubType":"MailboxFull","timestamp":"2026-03-02T11:00:02Z",
		"bouncedRecipients":[{"emailAddress":"b@ex.net","action":"failed","status":"4.2.2","diagnosticCode":"smtp; 452-4.2.2 full"}]}}`,
	"undetermined": `{"eventType":"Bounce",` + mailPart + `,"bounce":{"feedbackId":"0100-unde","bounceType":"Undetermined","bounceSubType":"Undetermined",
		"timestamp":"2026-03-02T11:00:02Z","bouncedRecipients":[{"emailAddress":"b@ex.net"}]}}`,
	"suppressed": `{"eventType":"Bounce",` + mailPart + `,"bounce":{"feedbackId":"0100-supp","bounceType":"Permanent","bounceSubType":"Suppressed","timestamp":"2026-03-02T11:00:02Z",
		"bouncedRecipients":[{"emailAddress":"b@ex.net","diagnosticCode":"Amazon SES has suppressed sending to this address"}]}}`,
	"on the list": `{"eventType":"Bounce",` + mailPart + `,"bounce":{"feedbackId":"0100-list","bounceType":"Permanent","bounceSubType":"OnAccountSuppressionList",
		"timestamp":"2026-03-02T11:00:02Z","bouncedRecipients":[{"emailAddress":"b@ex.net"}]}}`,
	"complaint": `{"eventType":"Complaint",` + mailPart + `,"complaint":{"feedbackId":"0100-comp","complaintSubType":null,"complainedRecipients":[{"emailAddress":"b@ex.net"}],
		"timestamp":"2026-03-02T12:00:00.000Z","userAgent":"Yahoo!-Mail-Feedback/1.0","complaintFeedbackType":"abuse","arrivalDate":"2026-03-02T11:30:00.000Z"}}`,
	"complaint, on the list": `{"eventType":"Complaint",` + mailPart + `,"complaint":{"feedbackId":"0100-col","complaintSubType":"OnAccountSuppressionList",
		"complainedRecipients":[{"emailAddress":"b@ex.net"}],"timestamp":"2026-03-02T11:00:02Z"}}`,
	"no spam": `{"eventType":"Complaint",` + mailPart + `,"complaint":{"feedbackId":"0100-nots","complainedRecipients":[{"emailAddress":"b@ex.net"}],
		"complaintFeedbackType":"not-spam","timestamp":"2026-03-02T11:00:02Z"}}`,
	"reject":  `{"eventType":"Reject",` + mailPart + `,"reject":{"reason":"Bad content"}}`,
	"failure": `{"eventType":"Rendering Failure",` + mailPart + `,"failure":{"errorMessage":"Attribute 'a' is not present","templateName":"T"}}`,
	"open": `{"eventType":"Open",` + mailPart + `,"open":{"ipAddress":"192.0.2.1","timestamp":"2026-03-02T11:05:00.123Z","userAgent":"Mozilla/5.0","isBot":true,"score":0.5,
		"more":{"x":1}}}`,
	"click": `{"eventType":"Click",` + mailPart + `,"click":{"ipAddress":"2001:db8::1","timestamp":"2026-03-02T11:06:00.123Z","userAgent":"Mozilla/5.0","link":"https://example.com/?a=b",
		"linkTags":{"k":["v"]}}}`,
	"subscription": `{"eventType":"Subscription",` + mailPart + `,"subscription":{"contactList":"L","timestamp":"2026-03-02T11:07:00Z","source":"UnsubscribeHeader",
		"newTopicPreferences":{"unsubscribeAll":true,"topicSubscriptionStatus":[{"topicName":"T","subscriptionStatus":"OptOut"}]},"oldTopicPreferences":{"unsubscribeAll":false}}}`,
	"subscribed again": `{"eventType":"Subscription",` + mailPart + `,"subscription":{"timestamp":"2026-03-02T11:08:00Z","newTopicPreferences":{"unsubscribeAll":false}}}`,
	"delay": `{"eventType":"DeliveryDelay",` + mailPart + `,"deliveryDelay":{"delayType":"MailboxFull","timestamp":"2026-03-02T11:00:05Z","expirationTime":"2026-03-03T01:00:00Z",
		"delayedRecipients":[{"emailAddress":"b@ex.net","status":"4.2.2","diagnosticCode":"smtp; 452 full"}]}}`,
}

// enveloped is an event as SNS posts it, without a signature.
func enveloped(message, id string) []byte {
	subject := "Amazon SES Email Event Notification"
	p := &post{Type: "Notification", MessageID: id, TopicArn: topicARN, Subject: &subject, Message: message, Timestamp: "2026-03-02T11:59:00.000Z", SignatureVersion: "2"}
	return p.delivery().Body
}

// told is what a report says, apart from details.
type told struct {
	Type       event.Type
	To         string
	Final      bool
	Suppresses bool
	Reason     provider.Reason
	Code       int
	Words      string
	At         string
}

func TestParse(t *testing.T) {
	t.Parallel()
	adapter := newAdapter(t)
	identities := map[string]string{}
	for name, want := range map[string][]told{
		"send": {{Type: 27, To: "b@ex.net", At: "11:00:00"}},
		"delivery": {{Type: 28, To: "b@ex.net", Code: 250, Words: "250 ok:  Message 64111812 accepted", At: "11:00:01"},
			{Type: 28, To: "C@ex.net", Code: 250, Words: "250 ok:  Message 64111812 accepted", At: "11:00:01"}},
		"permanent": {{Type: 29, To: "b@ex.net", Final: true, Suppresses: true, Reason: provider.HardBounce, Code: 550, Words: "550 5.1.1 user unknown", At: "11:00:02"},
			{Type: 29, To: "c@ex.net", Final: true, Suppresses: true, Reason: provider.HardBounce, At: "11:00:02"}},
		"transient":              {{Type: 30, To: "b@ex.net", Final: true, Code: 452, Words: "452-4.2.2 full", At: "11:00:02"}},
		"undetermined":           {{Type: 30, To: "b@ex.net", Final: true, At: "11:00:02"}},
		"suppressed":             {{Type: 32, To: "b@ex.net", Suppresses: true, Reason: provider.HardBounce, Words: "Amazon SES has suppressed sending to this address", At: "11:00:02"}},
		"on the list":            {{Type: 32, To: "b@ex.net", Suppresses: true, Reason: provider.HardBounce, At: "11:00:02"}},
		"complaint":              {{Type: 31, To: "b@ex.net", Suppresses: true, Reason: provider.SpamComplaint, At: "12:00:00"}},
		"complaint, on the list": {{Type: 32, To: "b@ex.net", Suppresses: true, Reason: provider.SpamComplaint, At: "11:00:02"}},
		"no spam":                nil,
		"reject":                 {{Type: 32, To: "b@ex.net", Words: "Bad content", At: "11:00:00"}, {Type: 32, To: "c@ex.net", Words: "Bad content", At: "11:00:00"}},
		"failure": {{Type: 35, To: "b@ex.net", Words: "Attribute 'a' is not present", At: "11:00:00"},
			{Type: 35, To: "c@ex.net", Words: "Attribute 'a' is not present", At: "11:00:00"}},
		"open":             {{Type: 33, To: "b@ex.net", At: "11:05:00"}},
		"click":            {{Type: 34, To: "b@ex.net", At: "11:06:00"}},
		"subscription":     {{Type: 36, To: "b@ex.net", Suppresses: true, Reason: provider.Unsubscribed, At: "11:07:00"}},
		"subscribed again": nil,
		"delay":            nil,
	} {
		reports, err := adapter.Parse(nil, enveloped(events[name], "sns-1"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []told
		for _, r := range reports {
			got = append(got, told{r.Type, r.Recipient, r.Final, r.Suppresses, r.Reason, r.SMTPCode, r.SMTPDescription, r.OccurredAt.Format(time.TimeOnly)})
			if r.MessageID != uuid.MustParse(testID) || r.TPSPID != 3 || r.ProviderMessageID != "0100018f-1" || r.Refused != provider.Accepted || r.Sample || r.Tracked ||
				r.Detail.SMTPCode != r.SMTPCode || r.Detail.SMTPDescription != r.SMTPDescription {
				t.Errorf("%s: %+v", name, r)
			}
			if want, _ := event.TypeOf(event.AmazonSES, r.Kind); want != r.Type {
				t.Errorf("%s: kind %d is type %d", name, r.Kind, r.Type)
			}
			if other, is := identities[r.Identity]; is || r.Identity == "" {
				t.Errorf("%s to %s: %q is the identity of %s", name, r.Recipient, r.Identity, other)
			}
			identities[r.Identity] = name
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		// Again, or by another topic: under another id of SNS's, and a little later.
		again, err := adapter.Parse(nil, []byte(strings.Replace(string(enveloped(events[name], "sns-2")), "T11:59:00", "T11:59:30", 1)))
		if diff := cmp.Diff(reports, again); err != nil || diff != "" {
			t.Errorf("%s again (%v):\n%s", name, err, diff)
		}
	}
}

func TestDetails(t *testing.T) {
	t.Parallel()
	common := map[string]string{"messageId": "0100018f-1", "group": "news", "Metadata.order": "A_42"}
	for name, want := range map[string]event.Detail{
		"open": {RawUserAgent: "Mozilla/5.0", TrackedIP: "192.0.2.1", Provider: map[string]string{"eventType": "Open", "ipAddress": "192.0.2.1",
			"timestamp": "2026-03-02T11:05:00.123Z", "userAgent": "Mozilla/5.0", "isBot": "true", "score": "0.5"}},
		"click": {RawUserAgent: "Mozilla/5.0", TrackedIP: "2001:db8::1", ClickedURL: "https://example.com/?a=b", Provider: map[string]string{"eventType": "Click",
			"ipAddress": "2001:db8::1", "timestamp": "2026-03-02T11:06:00.123Z", "userAgent": "Mozilla/5.0", "link": "https://example.com/?a=b"}},
		"transient": {SMTPCode: 452, SMTPDescription: "452-4.2.2 full", Provider: map[string]string{"eventType": "Bounce", "feedbackId": "0100-tran", "bounceType": "Transient",
			"bounceSubType": "MailboxFull", "timestamp": "2026-03-02T11:00:02Z", "emailAddress": "b@ex.net", "action": "failed", "status": "4.2.2",
			"diagnosticCode": "smtp; 452-4.2.2 full"}},
		"complaint": {Provider: map[string]string{"eventType": "Complaint", "feedbackId": "0100-comp", "timestamp": "2026-03-02T12:00:00.000Z",
			"userAgent": "Yahoo!-Mail-Feedback/1.0", "complaintFeedbackType": "abuse", "arrivalDate": "2026-03-02T11:30:00.000Z"}},
	} {
		maps.Copy(want.Provider, common)
		reports, err := newAdapter(t).Parse(nil, enveloped(events[name], "sns-1"))
		if err != nil || len(reports) != 1 {
			t.Fatalf("%s: %v, %v", name, reports, err)
		}
		if diff := cmp.Diff(want, reports[0].Detail); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What SES leaves out, or says in another way, costs no more than that.
func TestParseTolerates(t *testing.T) {
	t.Parallel()
	now := testNow.Format(time.TimeOnly)
	for name, tc := range map[string]struct {
		message string
		want    []told
	}{
		"the older name":       {strings.Replace(events["transient"], "eventType", "notificationType", 1), []told{{Type: 30, To: "b@ex.net", Final: true, Code: 452, Words: "452-4.2.2 full", At: "11:00:02"}}},
		"no body":              {`{"eventType":"Open",` + mailPart + `}`, []told{{Type: 33, To: "b@ex.net", At: "11:00:00"}}},
		"a body of no object":  {`{"eventType":"Delivery","delivery":7,` + mailPart + `}`, []told{{Type: 28, To: "b@ex.net", At: "11:00:00"}}},
		"an address with name": {`{"eventType":"Send","mail":{"destination":["B <b@ex.net>"]}}`, []told{{Type: 27, To: "b@ex.net", At: "11:59:00"}}},
		"one recipient only":   {`{"eventType":"Bounce","mail":{"destination":["b@ex.net"]},"bounce":{"bounceType":"Permanent"}}`, []told{{Type: 29, To: "b@ex.net", Final: true, Suppresses: true, Reason: provider.HardBounce, At: "11:59:00"}}},
		"a day far ahead":      {`{"eventType":"Open","mail":{"destination":["b@ex.net"]},"open":{"timestamp":"2036-03-02T11:00:00Z"}}`, []told{{Type: 33, To: "b@ex.net", At: now}}},
		"no day":               {`{"eventType":"Open","mail":{"destination":["b@ex.net"]},"open":{"timestamp":"0001-01-01T00:00:00Z"}}`, []told{{Type: 33, To: "b@ex.net", At: "11:59:00"}}},
		"an unsubscription without its preferences": {`{"eventType":"Subscription","mail":{"destination":["b@ex.net"]}}`, []told{{Type: 36, To: "b@ex.net", Suppresses: true, Reason: provider.Unsubscribed, At: "11:59:00"}}},
		"the test of a topic":                       {"Successfully validated SNS topic for Amazon SES event publishing.", nil},
	} {
		reports, err := newAdapter(t).Parse(nil, enveloped(tc.message, "sns-1"))
		var got []told
		for _, r := range reports {
			got = append(got, told{r.Type, r.Recipient, r.Final, r.Suppresses, r.Reason, r.SMTPCode, r.SMTPDescription, r.OccurredAt.Format(time.TimeOnly)})
		}
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// Ids that are not ours are none.
func TestForeignTags(t *testing.T) {
	t.Parallel()
	for name, tags := range map[string]string{
		"none": `null`, "no object": `[]`, "no list": `{"messageId":"` + testID + `"}`, "an empty list": `{"messageId":[],"tpspId":[]}`, "no id": `{"messageId":["x"],"tpspId":["-3"]}`,
		"another spelling": `{"messageId":["urn:uuid:` + testID + `"],"tpspId":["99999999999"]}`, "numbers": `{"messageId":[7],"tpspId":[3]}`,
	} {
		reports, err := newAdapter(t).Parse(nil, enveloped(`{"eventType":"Send","mail":{"messageId":"1","destination":["b@ex.net"],"tags":`+tags+`}}`, "sns-1"))
		if err != nil || len(reports) != 1 || reports[0].MessageID != (uuid.UUID{}) || reports[0].TPSPID != 0 {
			t.Errorf("%s: %v, %+v", name, err, reports)
		}
	}
}

// Events that differ in anything that tells them apart are not taken for copies.
func TestIdentities(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, message := range []string{
		events["open"], strings.Replace(events["open"], "05:00.123Z", "05:00.124Z", 1), strings.Replace(events["open"], "192.0.2.1", "192.0.2.2", 1),
		strings.Replace(events["open"], "Mozilla", "Other", 1), strings.Replace(events["open"], "0100018f-1", "0100018f-2", 1), events["click"],
		strings.Replace(events["click"], "a=b", "a=c", 1), events["permanent"], strings.Replace(events["permanent"], "0100-perm", "0100-per2", 1),
	} {
		reports, err := newAdapter(t).Parse(nil, enveloped(message, "sns-1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range reports {
			if seen[r.Identity] != "" {
				t.Errorf("the same identity:\n%s\n%s", message, seen[r.Identity])
			}
			seen[r.Identity] = message
		}
	}
	// Where SES says too little, SNS's id does.
	bare := `{"eventType":"Bounce","mail":{"destination":["b@ex.net"]},"bounce":{}}`
	one, _ := newAdapter(t).Parse(nil, enveloped(bare, "sns-1"))
	same, _ := newAdapter(t).Parse(nil, enveloped(bare, "sns-1"))
	other, _ := newAdapter(t).Parse(nil, enveloped(bare, "sns-2"))
	if one[0].Identity != same[0].Identity || one[0].Identity == other[0].Identity {
		t.Errorf("%s, %s, %s", one[0].Identity, same[0].Identity, other[0].Identity)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	end := &post{Type: "UnsubscribeConfirmation", TopicArn: topicARN}
	for name, body := range map[string][]byte{
		"nothing": nil, "no object": []byte("7"), "no type": []byte("{}"), "a cut one": enveloped(events["send"], "1")[:100], "the end of a subscription": end.delivery().Body,
		"other words": enveloped("hello", "1"), "a list": enveloped("[]", "1"), "null": enveloped("null", "1"), "no event": enveloped("{}", "1"),
		"an unknown event": enveloped(`{"eventType":"Other",`+mailPart+`}`, "1"), "no mail": enveloped(`{"eventType":"Send"}`, "1"),
		"no recipient":  enveloped(`{"eventType":"Send","mail":{}}`, "1"),
		"which of them": enveloped(`{"eventType":"Bounce","mail":{"destination":["a@ex.net","b@ex.net"]},"bounce":{}}`, "1"), "too long": enveloped(strings.Repeat("x", 1<<20), "1"),
	} {
		if reports, err := newAdapter(t).Parse(nil, body); err == nil || len(reports) > 0 {
			t.Errorf("%s: %v", name, reports)
		}
	}
	question := &post{Type: "SubscriptionConfirmation", TopicArn: topicARN}
	if reports, err := newAdapter(t).Parse(nil, question.delivery().Body); err != nil || len(reports) > 0 {
		t.Errorf("a greeting: %v, %v", reports, err)
	}
}

// What SES says is kept in bounds.
func TestCaps(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä\x00", 500)
	bounce := map[string]any{"bounceType": "Transient", "link": strings.Repeat(long, 10)}
	for i := range 50 {
		bounce[fmt.Sprintf("field%03d", i)] = long
	}
	recipients := make([]map[string]any, 150)
	for i := range recipients {
		recipients[i] = map[string]any{"emailAddress": fmt.Sprintf("%d@ex.net", i), "status": "4.2.2"}
	}
	recipients[0]["diagnosticCode"] = long
	bounce["bouncedRecipients"] = recipients
	tags := map[string][]string{long: {"x"}}
	for i := range 50 {
		tags[fmt.Sprintf("tag%03d", i)] = []string{long}
	}
	message, err := json.Marshal(map[string]any{"eventType": "Bounce", "bounce": bounce, "mail": map[string]any{"messageId": long, "tags": tags}})
	if err != nil {
		t.Fatal(err)
	}
	body := enveloped(string(message), "1")
	sound(t, newAdapter(t), body)
	reports, err := newAdapter(t).Parse(nil, body)
	if err != nil || len(reports) != 100 || len(reports[0].Detail.Provider) > 64 || len(reports[0].SMTPDescription) > 512 || len(reports[0].ProviderMessageID) > 200 {
		t.Fatalf("%d reports, %v", len(reports), err)
	}
}

// FuzzParse: whatever SNS posts, what is read is fit to be stored.
func FuzzParse(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(events)) {
		f.Add(enveloped(events[name], "1"))
	}
	f.Add(enveloped("Successfully validated SNS topic for Amazon SES event publishing.", "1"))
	adapter := ses.New(ses.Config{Now: func() time.Time { return testNow }})
	f.Fuzz(func(t *testing.T, body []byte) { sound(t, adapter, body) })
}

// FuzzParseMessage is FuzzParse within the envelope.
func FuzzParseMessage(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(events)) {
		f.Add(events[name])
	}
	adapter := ses.New(ses.Config{Now: func() time.Time { return testNow }})
	f.Fuzz(func(t *testing.T, message string) { sound(t, adapter, enveloped(message, "1")) })
}

func sound(t *testing.T, adapter *ses.Adapter, body []byte) {
	t.Helper()
	reports, err := adapter.Parse(nil, body)
	if err != nil && len(reports) > 0 || len(reports) > 100 {
		t.Fatalf("%d reports, %v", len(reports), err)
	}
	for _, r := range reports {
		size := 0
		for name, value := range r.Detail.Provider {
			size += len(name) + len(value)
			if !utf8.ValidString(name+value) || strings.ContainsRune(name+value, 0) || len(value) > 2048 {
				t.Fatalf("%q: %q", name, value)
			}
		}
		text := r.Recipient + r.SMTPDescription + r.ProviderMessageID + r.Detail.RawUserAgent + r.Detail.ClickedURL + r.Detail.TrackedIP
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || size > 64<<10 || len(text) > 8<<10 || r.Identity == "" || r.Recipient == "" ||
			r.OccurredAt.IsZero() || r.OccurredAt.After(testNow.Add(25*time.Hour)) {
			t.Fatalf("%+v", r)
		}
	}
	again, err2 := adapter.Parse(nil, body)
	if diff := cmp.Diff(reports, again); diff != "" || (err == nil) != (err2 == nil) {
		t.Fatalf("the second time: %s", diff)
	}
}

// FuzzAuthentic: nobody without the key gets in.
func FuzzAuthentic(f *testing.F) {
	f.Add(enveloped(events["send"], "1"), "Notification")
	adapter := ses.New(ses.Config{AllowPrivate: true})
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		d := provider.Delivery{Header: map[string][]string{"X-Amz-Sns-Message-Type": {kind}}, Body: body}
		if ok, _ := adapter.Authentic(t.Context(), provider.Connection{Endpoint: "http://127.0.0.1:1"}, kept(), d); ok {
			t.Fatalf("%s is taken", body)
		}
	})
}
