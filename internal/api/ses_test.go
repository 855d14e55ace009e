package api

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
)

const (
	sesV1Path = "/api/v1/subaccount/email/ses/v1"
	sesV2Path = "/api/v1/subaccount/email/ses/v2"
)

// form makes a request as clients of SES's first API do.
func (w *world) form(values map[string]string, more ...string) answer {
	w.t.Helper()
	form := url.Values{"Version": {"2010-12-01"}}
	for name, value := range values {
		form.Set(name, value)
	}
	header := map[string]string{"X-SubAccount-ApiKey": w.subKey, "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
		"Authorization": "AWS4-HMAC-SHA256 Credential=AKID/20261126/us-east-1/ses/aws4_request, SignedHeaders=host, Signature=00"}
	for i := 0; i+1 < len(more); i += 2 {
		header[more[i]] = more[i+1]
	}
	return w.call("POST", sesV1Path+"/", header, form.Encode())
}

// messageID is that of an answer in JSON.
func (a answer) messageID() string {
	a.t.Helper()
	var got sesAnswer
	a.ok(200, &got)
	wantKeys(a.t, a.body, "MessageId")
	return got.MessageID
}

// refusedAsSES checks a refusal in the JSON of SES.
func (a answer) refusedAsSES(status int, code, words string) {
	a.t.Helper()
	var got map[string]string
	a.ok(status, &got)
	if len(got) != 2 || got["__type"] != code || a.header.Get("X-Amzn-Errortype") != code || !strings.Contains(got["message"], words) {
		a.t.Errorf("%s, want %s and %q", a.body, code, words)
	}
}

func TestSESv1JSON(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	id := w.asSub("POST", sesV1Path, `{"Source": "\"Hendricks, Richard\" <richard@example.com>",
		"Destination": {"ToAddresses": ["Gavin <gavin@example.com>", "jared@example.com"], "CcAddresses": ["copy@example.com"], "BccAddresses": ["b@example.com"]},
		"Message": {"Subject": {"Data": "Hello", "Charset": "UTF-8"}, "Body": {"Text": {"Data": "Hi"}, "Html": {"Data": "<p>Hi"}}},
		"ReplyToAddresses": ["help@example.com", "second@example.com"], "ReturnPath": "bounce@example.com",
		"Tags": [{"Name": "kind", "Value": "welcome"}], "ConfigurationSetName": "events",
		"SendPostOptions": {"IPPool": "postmark-pool", "TrackOpens": true, "TrackClicks": false}}`).messageID()
	got := w.stored()
	if len(got) != 2 || got[0].ID.String() != id {
		t.Fatalf("%d messages, id %s", len(got), id)
	}
	want := mail.Content{Literal: true, From: mail.Address{Email: "richard@example.com", Name: "Hendricks, Richard"}, ReplyTo: &mail.Address{Email: "help@example.com"},
		Subject: "Hello", Text: "Hi", HTML: "<p>Hi", Pool: "postmark-pool", Groups: []string{"kind:welcome"},
		Headers: map[string]string{"X-SES-CONFIGURATION-SET": "events"}, TrackOpens: pointerTo(true), TrackClicks: pointerTo(false)}
	first := mail.Recipient{Address: mail.Address{Email: "gavin@example.com", Name: "Gavin"}, CC: []mail.Address{{Email: "copy@example.com"}},
		BCC: []mail.Address{{Email: "b@example.com"}}}
	second := mail.Recipient{Address: mail.Address{Email: "jared@example.com"}}
	if diff := cmp.Diff(&want, got[0].Content) + cmp.Diff(first, got[0].Recipient) + cmp.Diff(second, got[1].Recipient); diff != "" {
		t.Error(diff)
	}
}

func TestSESv1Form(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	a := w.form(map[string]string{"Action": "SendEmail", "Source": "richard@example.com", "Destination.ToAddresses.member.1": "gavin@example.com",
		"Destination.ToAddresses.member.2": "jared@example.com", "Destination.CcAddresses.member.1": "copy@example.com", "Message.Subject.Data": "Hello & more",
		"Message.Body.Text.Data": "Hi", "Message.Body.Html.Data": "<p>Hi", "ReplyToAddresses.member.1": "help@example.com", "Tags.member.1.Name": "a",
		"Tags.member.1.Value": "b", "SendPostOptions.IPPool": "postmark-pool", "SendPostOptions.TrackOpens": "true"})
	got := w.stored()
	if len(got) != 2 {
		t.Fatalf("%d messages: %s", len(got), a.body)
	}
	want := `<SendEmailResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><SendEmailResult><MessageId>` + got[0].ID.String() +
		`</MessageId></SendEmailResult><ResponseMetadata><RequestId>` + a.header.Get("X-Request-Id") + `</RequestId></ResponseMetadata></SendEmailResponse>`
	if a.status != 200 || string(a.body) != want || a.header.Get("Content-Type") != "text/xml" {
		t.Errorf("%d %s\nwant %s", a.status, a.body, want)
	}
	c := got[0].Content
	if c.Subject != "Hello & more" || c.Text != "Hi" || c.HTML != "<p>Hi" || c.ReplyTo.Email != "help@example.com" || c.Groups[0] != "a:b" ||
		!*c.TrackOpens || c.TrackClicks != nil || len(got[0].Recipient.CC) != 1 || len(got[1].Recipient.CC) != 0 {
		t.Errorf("%+v", c)
	}
	for _, bad := range []struct {
		form   map[string]string
		header []string
		status int
		want   string
	}{
		{map[string]string{"Action": "SendBulkTemplatedEmail"}, nil, 400, "<Type>Sender</Type><Code>InvalidAction</Code><Message>Action must be"},
		{map[string]string{"Action": "SendEmail", "Version": "2019-09-27"}, nil, 400, "<Code>InvalidParameterValue</Code><Message>Version: "},
		{map[string]string{"Action": "SendEmail", "Source": "x", "Message.Body.Text.Data": "x"}, nil, 400, "<Message>Destination: at least one"},
		{map[string]string{"Action": "SendEmail", "SendPostOptions.TrackOpens": "x"}, nil, 400, "SendPostOptions.TrackOpens"},
		{map[string]string{"Action": "SendEmail"}, []string{"X-SubAccount-ApiKey", "nobody's"}, 401, "<Code>InvalidClientTokenId</Code>"},
	} {
		a := w.form(bad.form, bad.header...)
		if a.status != bad.status || !strings.HasPrefix(string(a.body), `<ErrorResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><Error>`) ||
			!strings.Contains(string(a.body), bad.want) || !strings.HasSuffix(string(a.body), "<RequestId>"+a.header.Get("X-Request-Id")+"</RequestId></ErrorResponse>") {
			t.Errorf("%v: %d %s", bad.form, a.status, a.body)
		}
	}
	// What curl -d sends is JSON all the same.
	w.call("POST", sesV1Path, map[string]string{"X-SubAccount-ApiKey": w.subKey, "Content-Type": "application/x-www-form-urlencoded"},
		` {"Source": "a@example.com", "Destination": {"ToAddresses": ["b@example.com"]}, "Message": {"Body": {"Text": {"Data": "x"}}}}`).messageID()
}

func TestSESv2(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	id := w.asSub("POST", sesV2Path+"/v2/email/outbound-emails", `{"FromEmailAddress": "Richard <richard@example.com>",
		"Destination": {"ToAddresses": ["gavin@example.com"], "BccAddresses": ["b@example.com"]}, "ReplyToAddresses": ["Help <help@example.com>"],
		"Content": {"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Html": {"Data": "<p>Hi"}}, "Headers": [{"Name": "X-One", "Value": "1"}],
			"Attachments": [{"FileName": "a.pdf", "RawContent": "aGk=", "ContentType": "application/pdf", "ContentDisposition": "ATTACHMENT"}]}},
		"EmailTags": [{"Name": "a", "Value": "b"}], "ConfigurationSetName": "events"}`).messageID()
	m := w.stored()[0]
	want := &mail.Content{Literal: true, From: mail.Address{Email: "richard@example.com", Name: "Richard"}, ReplyTo: &mail.Address{Email: "help@example.com", Name: "Help"},
		Subject: "Hello", HTML: "<p>Hi", Headers: map[string]string{"X-One": "1", "X-SES-CONFIGURATION-SET": "events"}, Groups: []string{"a:b"},
		Attachments: []mail.Attachment{{Filename: "a.pdf", Content: "aGk="}}}
	if diff := cmp.Diff(want, m.Content); diff != "" || m.ID.String() != id || len(m.Recipient.BCC) != 1 {
		t.Errorf("%s: %s", m.ID, diff)
	}
	w.asSub("POST", sesV2Path, `{"FromEmailAddress": "richard@example.com", "Destination": {"ToAddresses": ["gavin@example.com"]},
		"Content": {"Template": {"TemplateName": "welcome-template", "TemplateData": "{\"name\":\"Gavin\"}"}}}`).messageID()
	if m := w.stored()[1]; m.Content.Template != "welcome-template" || string(m.Content.CustomFields) != `{"name":"Gavin"}` {
		t.Errorf("%+v", m.Content)
	}
	// There are no forms here: what curl -d sends is JSON, and is answered so.
	asForm := map[string]string{"X-SubAccount-ApiKey": w.subKey, "Content-Type": "application/x-www-form-urlencoded"}
	w.call("POST", sesV2Path, asForm, `{"FromEmailAddress": "a@example.com", "Destination": {"ToAddresses": ["b@example.com"]},
		"Content": {"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}}}`).messageID()
	w.call("POST", sesV2Path, asForm, `{}`).refusedAsSES(http.StatusBadRequest, "BadRequestException", "one of Simple, Raw and Template")
}

func TestSESRefusals(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	const simple = `"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}`
	for body, words := range map[string]string{
		`{}`:          "one of Simple, Raw and Template",
		`{"Content":`: "not valid JSON",
		`{"Content": {` + simple + `, "Raw": {"Data": ""}}}`:                                                                                                              "one of Simple, Raw and Template",
		`{"Content": {"Simple": {"Subject": {"Data": "x"}}}, "FromEmailAddress": "a@example.com"}`:                                                                        "Body: a text or HTML body",
		`{"Content": {` + simple + `}, "FromEmailAddress": "a@example.com"}`:                                                                                              "at least one recipient",
		`{"Content": {` + simple + `}, "Destination": {"ToAddresses": ["a@example.com"]}}`:                                                                                "FromEmailAddress: an address is needed",
		`{"Content": {` + simple + `}, "Destination": {"ToAddresses": ["b@example.com", "Bad <<x>"]}}`:                                                                    "Destination.ToAddresses[1]",
		`{"Content": {` + simple + `}, "FromEmailAddress": "Name, x <a@example.com>"}`:                                                                                    "FromEmailAddress",
		`{"Content": {` + simple + `}, "ListManagementOptions": {"ContactListName": "x"}}`:                                                                                "ListManagementOptions is not supported",
		`{"Content": {` + simple + `}, "ConfigurationOverrides": {}}`:                                                                                                     "ConfigurationOverrides is not supported",
		`{"Content": {"Template": {"TemplateName": ""}}}`:                                                                                                                 "TemplateName",
		`{"Content": {"Template": {"TemplateName": "x", "TemplateContent": {}}}}`:                                                                                         "TemplateContent is not supported",
		`{"Content": {"Template": {"TemplateName": "x", "TemplateData": "[]"}}}`:                                                                                          "TemplateData must be a JSON object",
		`{"Content": {"Template": {"TemplateName": "x", "TemplateData": ` + jsonText(strings.Repeat(`{"a":`, 70)) + `}}}`:                                                 "TemplateData must be a JSON object",
		`{"Content": {"Raw": {"Data": "###"}}}`:                                                                                                                           "base64",
		`{"Content": {"Raw": {"Data": "aGVsbG8="}}}`:                                                                                                                      "the header of the mail",
		`{"Content": {"Simple": {"Headers": [{"Name": "Bcc", "Value": "x"}]}}}`:                                                                                           "the header Bcc",
		`{"Content": {"Simple": {"Attachments": [{"ContentDisposition": "INLINE"}]}}}`:                                                                                    "ContentDisposition",
		`{"Content": {` + simple + `}, "FromEmailAddress": "a@example.com", "Destination": {"ToAddresses": ["b@example.com"]}, "SendPostOptions": {"IPPool": "nowhere"}}`: "SendPostOptions.IPPool",
	} {
		w.asSub("POST", sesV2Path, body).refusedAsSES(http.StatusBadRequest, "BadRequestException", words)
	}
	w.asSub("POST", sesV1Path, `{"Source": "a@example.com"}`).refusedAsSES(http.StatusBadRequest, "BadRequestException", "Message, RawMessage or Template")
	w.asSub("POST", sesV1Path, `{"Template": "a", "Message": {}}`).refusedAsSES(http.StatusBadRequest, "BadRequestException", "one of Message")
	w.call("POST", sesV2Path, nil, `{}`).refusedAsSES(http.StatusUnauthorized, "UnrecognizedClientException", "X-SubAccount-ApiKey")
	if list := w.stored(); len(list) != 0 {
		t.Errorf("%d messages", len(list))
	}
}

func jsonText(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

const rawMail = "From: Richard <richard@example.com>\r\nTo: Gavin <gavin@example.com>\r\nCc: copy@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
	"X-Mine: 1\r\nX-SES-MESSAGE-TAGS: a=b, c=d\r\nX-SES-CONFIGURATION-SET: events\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=m\r\n\r\n" +
	"--m\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n" +
	"--m\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--m--\r\n"

func TestSESRawMail(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	raw := base64.StdEncoding.EncodeToString([]byte(rawMail))
	content := &mail.Content{Literal: true, From: mail.Address{Email: "richard@example.com", Name: "Richard"}, Subject: "Grüße", Text: "Grüße",
		Headers: map[string]string{"X-Mine": "1", "X-SES-CONFIGURATION-SET": "events"}, Groups: []string{"a:b", "c:d"},
		Attachments: []mail.Attachment{{Filename: "a.pdf", Content: "aGk="}}}
	gavin := mail.Recipient{Address: mail.Address{Email: "gavin@example.com", Name: "Gavin"}}
	withCopy := gavin
	withCopy.CC = []mail.Address{{Email: "copy@example.com"}}
	withBlind := gavin
	withBlind.BCC = []mail.Address{{Email: "hidden@example.com"}}
	hidden := mail.Recipient{Address: mail.Address{Email: "hidden@example.com"}}
	for i, c := range []struct {
		send func() answer
		want mail.Recipient
	}{
		{func() answer {
			return w.asSub("POST", sesV2Path, map[string]any{"Content": map[string]any{"Raw": map[string]any{"Data": raw}}})
		}, withCopy},
		{func() answer {
			return w.asSub("POST", sesV2Path, map[string]any{"Content": map[string]any{"Raw": map[string]any{"Data": raw}}, "FromEmailAddress": "bounce@example.com",
				"Destination": map[string]any{"ToAddresses": []string{"hidden@example.com", "GAVIN@example.com"}}})
		}, withBlind},
		{func() answer {
			return w.asSub("POST", sesV1Path, map[string]any{"RawMessage": map[string]any{"Data": raw}, "Destinations": []string{"hidden@example.com"}})
		}, hidden},
		{func() answer {
			return w.form(map[string]string{"Action": "SendRawEmail", "RawMessage.Data": raw, "Source": "bounce@example.com",
				"Destinations.member.1": "gavin@example.com", "Destinations.member.2": "copy@example.com"})
		}, withCopy},
	} {
		if a := c.send(); a.status != 200 {
			t.Fatalf("%d: %d %s", i, a.status, a.body)
		}
		got := w.stored()[i]
		if diff := cmp.Diff(content, got.Content) + cmp.Diff(c.want, got.Recipient); diff != "" {
			t.Errorf("%d: %s", i, diff)
		}
	}
}

func TestSESMailIsRepeatedUnderAKey(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	form := map[string]string{"Action": "SendEmail", "Source": "a@example.com", "Destination.ToAddresses.member.1": "b@example.com", "Message.Body.Text.Data": "x"}
	first, again := w.form(form, "Idempotency-Key", "k"), w.form(form, "Idempotency-Key", "k")
	if first.status != 200 || again.status != 200 || string(first.body) != string(again.body) || again.header.Get("Idempotent-Replayed") != "true" ||
		again.header.Get("Content-Type") != "text/xml" {
		t.Errorf("%d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
	form["Source"] = "c@example.com"
	if a := w.form(form, "Idempotency-Key", "k"); a.status != http.StatusConflict || !strings.Contains(string(a.body), "<Code>Conflict</Code>") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if list := w.stored(); len(list) != 1 {
		t.Errorf("%d messages", len(list))
	}
}
