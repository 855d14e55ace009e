package mail

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMergeFields(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ request, recipient, want string }{
		"neither":                   {"", "", `{}`},
		"nulls":                     {" null ", "null", `{}`},
		"empty objects":             {`{}`, `{}`, `{}`},
		"request only":              {`{"a":1}`, "", `{"a":1}`},
		"request and null":          {`{"a":1}`, "null", `{"a":1}`},
		"recipient only":            {"", ` {"a":1} `, `{"a":1}`},
		"null and recipient":        {"null", `{"a":1}`, `{"a":1}`},
		"both":                      {`{"b":1}`, `{"a":2}`, `{"a":2,"b":1}`},
		"the recipient wins":        {`{"a":1,"b":1}`, `{"a":2}`, `{"a":2,"b":1}`},
		"null is a value":           {`{"a":1}`, `{"a":null}`, `{"a":null}`},
		"not deep":                  {`{"a":{"x":1}}`, `{"a":{"y":2}}`, `{"a":{"y":2}}`},
		"keys are case-sensitive":   {`{"a":1}`, `{"A":2}`, `{"A":2,"a":1}`},
		"numbers keep their digits": {`{"a":12345678901234567890.10}`, `{"b":1e400}`, `{"a":12345678901234567890.10,"b":1e400}`},
	} {
		got, err := MergeFields(json.RawMessage(test.request), json.RawMessage(test.recipient))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: MergeFields = %s, %v, want %s", name, got, err, test.want)
		}
	}
}

func TestMergeFieldsRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`[]`, `[{"a":1}]`, `"a"`, `1`, `true`, `{"a":`, `{"a":1}{"b":2}`, `{a:1}`} {
		for _, good := range []string{"", "null", `{"a":1}`} {
			if got, err := MergeFields(json.RawMessage(bad), json.RawMessage(good)); err == nil || !strings.Contains(err.Error(), "of the request") {
				t.Errorf("MergeFields(%s, %s) = %s, %v, want an error about the request", bad, good, got, err)
			}
			if got, err := MergeFields(json.RawMessage(good), json.RawMessage(bad)); err == nil || !strings.Contains(err.Error(), "of the recipient") {
				t.Errorf("MergeFields(%s, %s) = %s, %v, want an error about the recipient", good, bad, got, err)
			}
		}
	}
}

// What MergeFields was given stays as it was: the request's fields are shared by all its recipients.
func TestMergeFieldsLeavesItsArguments(t *testing.T) {
	t.Parallel()
	request, recipient := json.RawMessage(`{"a":1,"b":1}`), json.RawMessage(`{"a":2}`)
	if _, err := MergeFields(request, recipient); err != nil {
		t.Fatal(err)
	}
	if string(request) != `{"a":1,"b":1}` || string(recipient) != `{"a":2}` {
		t.Errorf("arguments became %s and %s", request, recipient)
	}
}

// The store keeps this text. A changed key needs a migration of what is stored, not a changed test.
const (
	storedContent = `{"from":{"email":"a@b.co","name":"A"},"replyTo":{"email":"r@b.co"},"subject":"s","preText":"p","html":"h",` +
		`"text":"t","amp":"m","pool":"postmark-pool","template":"welcome","customFields":{"k":[1]},"headers":{"X-A":"1"},` +
		`"groups":["g"],"attachments":[{"filename":"f.txt","content":"Zg=="}],"trackOpens":true,"trackClicks":false,` +
		`"webhookEndpoint":"https://b.co/hook","tpspIppool":"fast","literal":true}`
	storedRecipient = `{"email":"t@b.co","name":"T","cc":[{"email":"c@b.co"}],"bcc":[{"email":"d@b.co","name":"D"}],"customFields":{"n":1}}`
)

func TestStoredForm(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	content := Content{
		From: Address{"a@b.co", "A"}, ReplyTo: &Address{Email: "r@b.co"}, Subject: "s", PreText: "p", HTML: "h", Text: "t", AMP: "m",
		Pool: "postmark-pool", Template: "welcome", CustomFields: json.RawMessage(`{"k":[1]}`), Headers: map[string]string{"X-A": "1"},
		Groups: []string{"g"}, Attachments: []Attachment{{"f.txt", "Zg=="}}, TrackOpens: &yes, TrackClicks: &no,
		WebhookEndpoint: "https://b.co/hook", TPSPPool: "fast", Literal: true,
	}
	recipient := Recipient{Address: Address{"t@b.co", "T"}, CC: []Address{{Email: "c@b.co"}}, BCC: []Address{{"d@b.co", "D"}},
		CustomFields: json.RawMessage(`{"n":1}`)}
	checkStored(t, content, storedContent)
	checkStored(t, recipient, storedRecipient)
	checkStored(t, Content{From: Address{Email: "a@b.co"}}, `{"from":{"email":"a@b.co"}}`)
	checkStored(t, Recipient{Address: Address{Email: "t@b.co"}}, `{"email":"t@b.co"}`)
	for _, v := range []reflect.Value{reflect.ValueOf(content), reflect.ValueOf(recipient)} {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s.%s is not part of this test", v.Type(), v.Type().Field(i).Name)
			}
		}
	}
}

func checkStored[T any](t *testing.T, value T, want string) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil || string(text) != want {
		t.Errorf("stored form (%v):\n%s", err, cmp.Diff(want, string(text)))
	}
	var back T
	if err := json.Unmarshal([]byte(want), &back); err != nil || !reflect.DeepEqual(back, value) {
		t.Errorf("read back (%v):\n%s", err, cmp.Diff(value, back))
	}
}

func TestHasBody(t *testing.T) {
	t.Parallel()
	for _, c := range []Content{{HTML: "x"}, {Text: "x"}, {AMP: "x"}} {
		if !c.HasBody() {
			t.Errorf("%+v has no body", c)
		}
	}
	if c := (Content{Template: "x", Subject: "x", PreText: "x"}); c.HasBody() {
		t.Errorf("%+v has a body", c)
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	got := Invalid("too_many", "to[3]", "at most %d", 5)
	if diff := cmp.Diff(&FieldError{Code: "too_many", Field: "to[3]", Message: "at most 5"}, got); diff != "" {
		t.Error(diff)
	}
	if got.Error() != "to[3]: at most 5" {
		t.Error(got.Error())
	}
}
