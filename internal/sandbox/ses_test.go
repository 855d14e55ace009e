package sandbox_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox"
)

// A mail that is sent is in the inbox as its recipient sees it, and its source is the mail that was given.
func TestSESInbox(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sesOK(http.MethodPost, "configuration-sets", object{"ConfigurationSetName": eventSet})
	id := b.sesSend(nil)
	if !strings.HasPrefix(id, "0100") || !strings.HasSuffix(id, "-000000") {
		t.Errorf("id %q", id)
	}
	m := b.message(id)
	if m.Subject != "Grüße" || m.HTML != `<a href="https://example.com/a">a</a>` || m.Metadata["messageId"] != "0199-a" || m.To != "ana@example.net" {
		t.Errorf("%+v", m)
	}
	if a := b.raw(http.MethodGet, "/sandbox/messages/"+id+"/source", ""); string(a.body) != rawMail {
		t.Errorf("source %q", a.body)
	}
	simple := b.sesSend(object{"Content": object{"Simple": object{"Subject": object{"Data": "Plain"},
		"Body":        object{"Text": object{"Data": "t"}, "Html": object{"Data": "<p>h</p>"}},
		"Headers":     []object{{"Name": "X-Own", "Value": "1"}},
		"Attachments": []object{{"FileName": "a.txt", "RawContent": "aGVsbG8=", "ContentType": "text/plain"}}}},
		"Destination": object{"ToAddresses": []string{"Ana <ana@example.net>"}, "CcAddresses": []string{"c@example.net"}, "BccAddresses": []string{"b@example.net"}},
		"EmailTags":   nil, "ConfigurationSetName": nil})
	if m := b.message(simple); m.Subject != "Plain" || m.Text != "t" || m.HTML != "<p>h</p>" {
		t.Errorf("%+v", m)
	}
	if a := b.raw(http.MethodGet, "/sandbox/messages/"+simple+"/source", ""); a.status != http.StatusNotFound {
		t.Errorf("a message that did not come as mail has a source: %s", a.body)
	}
	for query, want := range map[string]float64{"to=ana@example.net": 2, "to=b@example.net": 1, "messageId=0199-a": 1} {
		if got := b.control(http.MethodGet, "/sandbox/messages?"+query, nil, http.StatusOK).field(t, "total"); got != want {
			t.Errorf("%s finds %v", query, got)
		}
	}
	for path, want := range map[string]string{"/sandbox": "ses · " + eventSet, "/sandbox/mail/" + id: "Transient/MailboxFull", "/sandbox?page=1": sandbox.DemoSESSecret} {
		if page := b.raw(http.MethodGet, path, "", "Accept", "text/html"); page.status != http.StatusOK || !strings.Contains(string(page.body), want) {
			t.Errorf("%s does not show %q: %d", path, want, page.status)
		}
	}
}

// Only what the account's key has signed for the service, the region and the time is answered.
func TestSESSignatures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	host := strings.TrimPrefix(b.url, "http://")
	call := func(change func(*key), alter func(http.Header)) answer {
		k := b.key("ses")
		change(&k)
		h := k.sign(http.MethodGet, host, "/v2/email/account", "", "", "")
		alter(h)
		return b.raw(http.MethodGet, "/v2/email/account", "", flat(h)...)
	}
	as := func(*key) {}
	is := func(http.Header) {}
	replace := func(old, new string) func(http.Header) {
		return func(h http.Header) { h.Set("Authorization", strings.Replace(h.Get("Authorization"), old, new, 1)) }
	}
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	late := func(d time.Duration) func(*key) { return func(k *key) { k.at = k.at.Add(d) } }
	for name, c := range map[string]struct {
		change func(*key)
		alter  func(http.Header)
		kind   string // empty for an answer
	}{
		"right":             {as, is, ""},
		"a little early":    {late(-5 * time.Minute), is, ""},
		"a little late":     {late(5 * time.Minute), is, ""},
		"too early":         {late(-5*time.Minute - time.Second), is, "InvalidSignatureException"},
		"too late":          {late(5*time.Minute + time.Second), is, "InvalidSignatureException"},
		"another secret":    {func(k *key) { k.secret += "x" }, is, "InvalidSignatureException"},
		"another key":       {func(k *key) { k.id = "AKIANOBODYNOBODY0000" }, is, "UnrecognizedClientException"},
		"another region":    {func(k *key) { k.region = "eu-west-1" }, is, "InvalidSignatureException"},
		"another service":   {func(k *key) { k.service = "sns" }, is, "InvalidSignatureException"},
		"another path":      {as, replace("Signature=", "Signature=00"), "InvalidSignatureException"},
		"no signature":      {as, func(h http.Header) { h.Del("Authorization") }, "MissingAuthenticationTokenException"},
		"another scheme":    {as, set("Authorization", "Bearer x"), "IncompleteSignatureException"},
		"no credential":     {as, replace("Credential=", "Credentials="), "IncompleteSignatureException"},
		"a short scope":     {as, replace("/aws4_request", ""), "IncompleteSignatureException"},
		"host not signed":   {as, replace("SignedHeaders=host;", "SignedHeaders="), "IncompleteSignatureException"},
		"not sorted":        {as, replace("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date;host"), "InvalidSignatureException"},
		"no date":           {as, func(h http.Header) { h.Del("X-Amz-Date") }, "IncompleteSignatureException"},
		"a broken date":     {as, set("X-Amz-Date", "today"), "IncompleteSignatureException"},
		"another date":      {as, set("X-Amz-Date", "20260302T100001Z"), "InvalidSignatureException"},
		"another day":       {as, replace("/20260302/", "/20260301/"), "InvalidSignatureException"},
		"unsigned x-amz":    {as, set("X-Amz-Target", "x"), "IncompleteSignatureException"},
		"half a parameter":  {as, set("Authorization", "AWS4-HMAC-SHA256 Credential"), "IncompleteSignatureException"},
		"parameters' twins": {as, replace("Signature=", "Signature=00, Signature="), "IncompleteSignatureException"},
	} {
		a := call(c.change, c.alter)
		if c.kind != "" {
			if got, _, _ := strings.Cut(a.header.Get("x-amzn-ErrorType"), ":"); a.status != http.StatusForbidden || got != c.kind || a.field(t, "message") == "" {
				t.Errorf("%s: %d %s %s", name, a.status, got, a.body)
			}
			continue
		}
		if a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	altered := b.key("ses").sign(http.MethodPost, host, "/v2/email/configuration-sets", "", "application/json", `{"ConfigurationSetName":"a"}`)
	b.raw(http.MethodPost, "/v2/email/configuration-sets", `{"ConfigurationSetName":"b"}`, flat(altered)...).wantType(t, 403, "InvalidSignatureException", "")
	k := b.key("sns")
	k.secret = "x"
	b.snsAs(k, "ListTopics").wantCode(t, 403, "SignatureDoesNotMatch")
	k.id = "AKIANOBODYNOBODY0000"
	b.snsAs(k, "ListTopics").wantCode(t, 403, "InvalidClientTokenId")
	b.snsAs(b.key("ses"), "ListTopics").wantCode(t, 403, "SignatureDoesNotMatch")
	b.raw(http.MethodPost, "/", "Action=ListTopics&Version=2010-03-31", "Content-Type", formType).wantCode(t, 403, "MissingAuthenticationToken")
	b.clock.Advance(time.Hour) // the sandbox's time counts
	k = b.key("sns")
	k.at = start
	b.snsAs(k, "ListTopics").wantCode(t, 403, "SignatureDoesNotMatch")
	b.snsOK("ListTopics")
}

func many(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("r%d@example.net", i)
	}
	return list
}

func rawOf(mail string) object {
	return object{"Content": object{"Raw": object{"Data": base64.StdEncoding.EncodeToString([]byte(mail))}}}
}

// What the API does not take is refused with its own type, and words where they are known.
func TestSESRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sesOK(http.MethodPost, "configuration-sets", object{"ConfigurationSetName": eventSet})
	tagged := func(name, value string) object { return object{"EmailTags": []object{{"Name": name, "Value": value}}} }
	simple := func(changes object) object {
		return object{"Content": object{"Simple": merge(object{"Subject": object{"Data": "s"}, "Body": object{"Text": object{"Data": "t"}}}, changes)}}
	}
	for name, c := range map[string]struct {
		changes object
		status  int
		kind    string
		message string
	}{
		"no content":      {object{"Content": nil}, 400, "BadRequestException", ""},
		"empty content":   {object{"Content": object{}}, 400, "BadRequestException", ""},
		"a template":      {object{"Content": object{"Template": object{"TemplateName": "T"}}}, 404, "NotFoundException", "Template T does not exist."},
		"not base64":      {object{"Content": object{"Raw": object{"Data": "§"}}}, 400, "BadRequestException", ""},
		"no header":       {rawOf("nothing"), 400, "BadRequestException", ""},
		"bad from header": {rawOf("From: a@b@c\r\n\r\nx"), 400, "BadRequestException", ""},
		"a wrong type":    {object{"Content": 5}, 400, "SerializationException", "The value of Content has the wrong type."},
		"a wrong item":    {object{"EmailTags": []any{"x"}}, 400, "SerializationException", ""},
		"a name misspelt": {object{"Content": nil, "content": outbound(nil)["Content"]}, 400, "BadRequestException", "Content is required."},
		"no recipient":    {object{"Destination": object{}}, 400, "BadRequestException", ""},
		"51 recipients":   {object{"Destination": object{"ToAddresses": many(51)}}, 400, "BadRequestException", "Recipient count exceeds 50."},
		"no domain":       {sesTo("ana"), 400, "BadRequestException", "Missing final '@domain'"},
		"no mailbox":      {sesTo("@example.net"), 400, "BadRequestException", ""},
		"a space":         {sesTo("a b@example.net"), 400, "BadRequestException", ""},
		"not ASCII":       {sesTo("änä@example.net"), 400, "BadRequestException", ""},
		"a bad domain":    {sesTo("a@exa_mple..net"), 400, "BadRequestException", "Domain contains illegal character"},
		"a bad reply-to":  {object{"ReplyToAddresses": []string{"x"}}, 400, "BadRequestException", ""},
		"tag name":        {tagged("a b", "c"), 400, "BadRequestException", "Invalid tag name <a b>: only alphanumeric ASCII characters, '_', and '-' are allowed."},
		"tag value":       {tagged("a", "b@c"), 400, "BadRequestException", "Invalid tag value <b@c>: only alphanumeric ASCII characters, '_', and '-' are allowed."},
		"empty tag":       {tagged("a", ""), 400, "BadRequestException", ""},
		"long tag":        {tagged("a", strings.Repeat("x", 257)), 400, "BadRequestException", ""},
		"tags' twins":     {object{"EmailTags": []object{{"Name": "a", "Value": "1"}, {"Name": "a", "Value": "2"}}}, 400, "BadRequestException", ""},
		"no set":          {object{"ConfigurationSetName": "none"}, 404, "NotFoundException", "Configuration set <none> does not exist."},
		"a stranger": {object{"FromEmailAddress": "app@example.org"}, 400, "MessageRejected",
			"Email address is not verified. The following identities failed the check in region US-EAST-1: app@example.org"},
		"a strange header": {rawOf("From: app@example.org\r\n\r\nx"), 400, "MessageRejected",
			"Email address is not verified. The following identities failed the check in region US-EAST-1: app@example.org"},
		"no sender":          {merge(rawOf("Subject: s\r\n\r\nx"), object{"FromEmailAddress": ""}), 400, "BadRequestException", "FromEmailAddress is required."},
		"simple, no subject": {simple(object{"Subject": nil}), 400, "BadRequestException", ""},
		"simple, no body":    {simple(object{"Body": object{}}), 400, "BadRequestException", ""},
		"a header of SES's":  {simple(object{"Headers": []object{{"Name": "from", "Value": "x"}}}), 400, "BadRequestException", ""},
		"a header of lines":  {simple(object{"Headers": []object{{"Name": "X-A", "Value": "x\r\ny"}}}), 400, "BadRequestException", ""},
		"no file name":       {simple(object{"Attachments": []object{{"RawContent": "aGk="}}}), 400, "BadRequestException", ""},
	} {
		body := outbound(c.changes)
		t.Run(name, func(t *testing.T) {
			b.ses(http.MethodPost, "outbound-emails", body).wantType(t, c.status, c.kind, c.message)
		})
	}
	b.ses(http.MethodPost, "outbound-emails", `{"Content":`).wantType(t, 400, "SerializationException", "")
	b.ses(http.MethodPost, "outbound-emails", `[]`).wantType(t, 400, "SerializationException", "")
	b.ses(http.MethodGet, "outbound-emails", nil).wantType(t, 405, "UnsupportedOperationException", "")
	b.ses(http.MethodGet, "nothing", nil).wantType(t, 404, "UnknownOperationException", "")
	if n := b.stored(); n != 0 {
		t.Errorf("%d refused messages were taken", n)
	}
	for _, from := range []string{"app@example.com", "app@mail.example.com", `"Ana, B." <app@example.com>`, "=?utf-8?q?=C3=84?= <app@EXAMPLE.com>"} {
		b.sesSend(object{"FromEmailAddress": from})
	}
	b.sesSend(merge(rawOf("From: app@example.com\r\nTo: a@example.net\r\nBcc: b@example.net\r\n\r\nx"), object{"Destination": nil, "FromEmailAddress": nil}))
	b.sesSend(object{"Destination": object{"ToAddresses": many(50)}})
}

// More than 40 MB after base64 are too much.
func TestSESSize(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ses(http.MethodPost, "outbound-emails", strings.Repeat("x", 42<<20)).wantType(t, 413, "RequestEntityTooLargeException", "")
}

// The account's limits and its state refuse what AWS's would, with a 400.
func TestSESAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sesOK(http.MethodPost, "configuration-sets", object{"ConfigurationSetName": eventSet})
	type account struct {
		EnforcementStatus                       string
		ProductionAccessEnabled, SendingEnabled bool
		SendQuota                               struct{ Max24HourSend, MaxSendRate, SentLast24Hours float64 }
	}
	get := func() (a account) {
		b.sesOK(http.MethodGet, "account", nil).into(t, &a)
		return a
	}
	refused := func(kind, message string) {
		t.Helper()
		b.ses(http.MethodPost, "outbound-emails", outbound(nil)).wantType(t, 400, kind, message)
	}
	if a := get(); a.EnforcementStatus != "HEALTHY" || !a.ProductionAccessEnabled || !a.SendingEnabled || a.SendQuota.Max24HourSend != -1 {
		t.Errorf("%+v", a)
	}
	b.control(http.MethodPut, "/sandbox/settings?server=Amazon+SES", object{"sendRate": 2, "sendQuota": 4}, http.StatusOK)
	b.sesSend(nil)
	b.sesSend(nil)
	refused("ThrottlingException", "Maximum sending rate exceeded.")
	b.clock.Advance(time.Second)
	b.sesSend(object{"Destination": object{"ToAddresses": many(2)}})
	refused("ThrottlingException", "Daily message quota exceeded.")
	if a := get(); a.SendQuota.Max24HourSend != 4 || a.SendQuota.MaxSendRate != 2 || a.SendQuota.SentLast24Hours != 4 {
		t.Errorf("%+v", a)
	}
	b.clock.Advance(24 * time.Hour)
	b.sesSend(nil)
	b.control(http.MethodPut, "/sandbox/settings", object{"sendRate": 0, "sendQuota": 0, "account": "not-approved"}, http.StatusOK)
	refused("AccountSuspendedException", "")
	if a := get(); a.EnforcementStatus != "SHUTDOWN" || a.SendingEnabled {
		t.Errorf("%+v", a)
	}
	b.control(http.MethodPut, "/sandbox/settings", object{"account": "pending"}, http.StatusOK)
	refused("MessageRejected", "Email address is not verified. The following identities failed the check in region US-EAST-1: ana@example.net")
	b.sesSend(sesTo("bob@example.com"))
	b.sesSend(sesTo("success@simulator.amazonses.com"))
	b.control(http.MethodPut, "/sandbox/settings", object{"account": "approved"}, http.StatusOK)
	b.sesOK(http.MethodPut, "account/sending", object{"SendingEnabled": false})
	refused("SendingPausedException", "")
	if get().SendingEnabled {
		t.Error("the account sends")
	}
	b.sesOK(http.MethodPut, "account/sending", object{"SendingEnabled": true})
	b.sesOK(http.MethodPut, "configuration-sets/"+eventSet+"/sending", object{"SendingEnabled": false})
	refused("SendingPausedException", "")
	b.sesSend(object{"ConfigurationSetName": nil})

	b.ses(http.MethodPost, "identities", object{"EmailIdentity": "nonsense"}).wantType(t, 400, "BadRequestException", "")
	b.ses(http.MethodGet, "identities/example.org", nil).wantType(t, 404, "NotFoundException", "")
	b.sesOK(http.MethodPost, "identities", object{"EmailIdentity": "example.org"})
	b.sesOK(http.MethodPost, "identities", object{"EmailIdentity": "ana@example.net"})
	b.ses(http.MethodPost, "identities", object{"EmailIdentity": "example.org"}).wantType(t, 400, "AlreadyExistsException", "")
	var list struct {
		EmailIdentities []struct{ IdentityName, IdentityType string }
		NextToken       string
	}
	b.sesOK(http.MethodGet, "identities?PageSize=2", nil).into(t, &list)
	if len(list.EmailIdentities) != 2 || list.EmailIdentities[0].IdentityType != "EMAIL_ADDRESS" || list.NextToken != "example.com" {
		t.Errorf("%+v", list)
	}
	if a := b.sesOK(http.MethodGet, "identities/ana%40example.net", nil); a.field(t, "VerifiedForSendingStatus") != true {
		t.Errorf("%s", a.body)
	}
	b.sesSend(object{"ConfigurationSetName": nil, "FromEmailAddress": "app@example.org"})
	b.sesOK(http.MethodDelete, "identities/example.org", nil)
	b.ses(http.MethodPost, "outbound-emails", outbound(object{"ConfigurationSetName": nil, "FromEmailAddress": "app@example.org"})).
		wantType(t, 400, "MessageRejected", "")
}

// inner are the parts of events that are not the mail.
func (b *bench) inner(r *receiver, n int) []object {
	b.t.Helper()
	var list []object
	for range n {
		e := b.event(r.next(b.t))
		delete(e, "mail")
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b object) int { return strings.Compare(a["eventType"].(string), b["eventType"].(string)) })
	return list
}

// stringly is the JSON form of what is compared, so that numbers and lists have one type.
func stringly(t *testing.T, v any) (out any) {
	t.Helper()
	raw, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Each recipient with a fate has the events of it, in SES's forms.
func TestSESEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.connect(r)
	at := start.Add(sandbox.DefaultDeliveryDelay).Format("2006-01-02T15:04:05.000Z")
	sent := object{"eventType": "Send", "send": object{}}
	delivered := func(to string) object {
		return object{"eventType": "Delivery", "delivery": object{"timestamp": at, "processingTimeMillis": 546, "recipients": []string{to},
			"smtpResponse": "250 ok", "remoteMtaIp": "192.0.2.2", "reportingMTA": "a8-70.smtp-out.amazonses.com"}}
	}
	bounced := func(to, kind, subtype, status, code string) object {
		return object{"eventType": "Bounce", "bounce": object{"feedbackId": "", "bounceType": kind, "bounceSubType": subtype, "timestamp": at,
			"reportingMTA":      "dsn; a8-70.smtp-out.amazonses.com",
			"bouncedRecipients": []object{{"emailAddress": to, "action": "failed", "status": status, "diagnosticCode": code}}}}
	}
	complained := func(to string) object {
		return object{"eventType": "Complaint", "complaint": object{"feedbackId": "", "complaintSubType": nil, "timestamp": at, "arrivalDate": at,
			"complainedRecipients": []object{{"emailAddress": to}}, "userAgent": "Amazon SES Mailbox Simulator", "complaintFeedbackType": "abuse"}}
	}
	var ids []string
	want := map[string][]object{}
	expect := func(to string, events ...object) {
		ids = append(ids, b.sesSend(merge(sesTo(to), nil)))
		want[ids[len(ids)-1]] = events
	}
	for _, plain := range []string{"ana@example.net", "success+1@simulator.amazonses.com", "ooto@simulator.amazonses.com", "blackhole@bounce.sandbox.test"} {
		expect(plain, delivered(plain), sent)
	}
	for to, b := range map[string][4]string{
		"bounce+x@simulator.amazonses.com":             {"Permanent", "General", "5.1.1", "smtp; 550 5.1.1 user unknown"},
		"HardBounce@bounce.sandbox.test":               {"Permanent", "General", "5.1.1", "smtp; 550 5.1.1 user unknown"},
		"NoEmail@bounce.sandbox.test":                  {"Permanent", "NoEmail", "5.1.1", "smtp; 550 5.1.1 no such mailbox"},
		"SoftBounce+2@bounce.sandbox.test":             {"Transient", "General", "4.4.7", "smtp; 450 4.4.7 message expired"},
		"mailbox-full@bounce.sandbox.test":             {"Transient", "MailboxFull", "4.2.2", "smtp; 452 4.2.2 mailbox full"},
		"ContentRejected@bounce.sandbox.test":          {"Transient", "ContentRejected", "5.7.1", "smtp; 554 5.7.1 content rejected"},
		"Undetermined@bounce.sandbox.test":             {"Undetermined", "Undetermined", "4.0.0", "smtp; 550 unknown reason"},
		"OnAccountSuppressionList@bounce.sandbox.test": {"Permanent", "OnAccountSuppressionList", "5.1.1", "Amazon SES did not send the message to this address because it is on the suppression list for your account."},
		"suppressionlist@simulator.amazonses.com": {"Permanent", "Suppressed", "5.1.1",
			"Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an invalid address."},
	} {
		expect(to, bounced(to, b[0], b[1], b[2], b[3]), sent)
	}
	for _, to := range []string{"complaint@simulator.amazonses.com", "complaint+9@bounce.sandbox.test"} {
		expect(to, complained(to), delivered(to), sent)
	}
	expect("delay@bounce.sandbox.test", delivered("delay@bounce.sandbox.test"), object{"eventType": "DeliveryDelay", "deliveryDelay": object{
		"timestamp": at, "delayType": "General", "expirationTime": "2026-03-03T00:00:00.000Z", "reportingMTA": "a8-70.smtp-out.amazonses.com",
		"delayedRecipients": []object{{"emailAddress": "delay@bounce.sandbox.test", "status": "4.0.0"}}}}, sent)
	expect("reject@bounce.sandbox.test", object{"eventType": "Reject", "reject": object{"reason": "Bad content"}})
	expect("renderingfailure@bounce.sandbox.test", object{"eventType": "Rendering Failure", "failure": object{
		"errorMessage": "Attribute 'name' is not present in the rendering data.", "templateName": "sandbox-template"}})
	total := 0
	for _, events := range want {
		total += len(events)
	}
	b.pass()
	got := map[string][]object{}
	for range total {
		e := b.event(r.next(t))
		id := e["mail"].(object)["messageId"].(string)
		delete(e, "mail")
		for _, part := range []string{"bounce", "complaint"} {
			if inner, ok := e[part].(object); ok {
				if feedback, _ := inner["feedbackId"].(string); !strings.HasPrefix(feedback, "0100") {
					t.Errorf("feedbackId %q", feedback)
				}
				inner["feedbackId"] = ""
			}
		}
		got[id] = append(got[id], e)
	}
	for _, id := range ids {
		slices.SortFunc(got[id], func(a, b object) int { return strings.Compare(a["eventType"].(string), b["eventType"].(string)) })
		if diff := cmp.Diff(stringly(t, want[id]), stringly(t, got[id])); diff != "" {
			t.Errorf("%s: %s", b.message(id).To, diff)
		}
		b.settled(id)
	}
}

// Events tell all about their mail: its addresses, header and tags, ours and SES's own.
func TestSESEventMail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.connect(r)
	id := b.sesSend(object{"Destination": object{"ToAddresses": []string{"ana@example.net"}, "BccAddresses": []string{"bob@example.net"}}})
	b.pass()
	var mails []object
	for range 3 { // one Send, a Delivery for each
		e := b.event(r.next(t))
		mail := e["mail"].(object)
		if e["eventType"] == "Delivery" {
			if diff := cmp.Diff([]any{"192.0.2.10"}, mail["tags"].(object)["ses:outgoing-ip"]); diff != "" {
				t.Error(diff)
			}
			delete(mail["tags"].(object), "ses:outgoing-ip")
		}
		mails = append(mails, mail)
	}
	headers := []object{}
	for _, line := range []string{"From: =?utf-8?q?An=C3=A4?= <app@example.com>", "To: ana@example.net", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "X-Own: 1",
		"MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=o"} {
		name, value, _ := strings.Cut(line, ": ")
		headers = append(headers, object{"name": name, "value": value})
	}
	want := object{"timestamp": "2026-03-02T10:00:00.000Z", "source": "Ana <app@example.com>", "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com",
		"sendingAccountId": "123456789012", "messageId": id, "destination": []string{"ana@example.net", "bob@example.net"}, "headersTruncated": false,
		"headers": headers, "commonHeaders": object{"from": []string{"Anä <app@example.com>"}, "to": []string{"ana@example.net"}, "messageId": id, "subject": "Grüße"},
		"tags": object{"messageId": []string{"0199-a"}, "group": []string{"welcome"}, "ses:configuration-set": []string{eventSet}, "ses:operation": []string{"SendEmail"},
			"ses:source-ip": []string{"127.0.0.1"}, "ses:from-domain": []string{"example.com"}, "ses:caller-identity": []string{"sandbox"}}}
	for _, got := range mails {
		if diff := cmp.Diff(stringly(t, want), stringly(t, got)); diff != "" {
			t.Error(diff)
		}
	}
	long := "From: app@example.com\r\nX-Long: " + strings.Repeat("x", 11<<10) + "\r\n\r\nx"
	b.sesSend(rawOf(long))
	b.pass()
	mail := b.event(r.next(t))["mail"].(object)
	if mail["headersTruncated"] != true || len(mail["headers"].([]any)) != 1 {
		t.Errorf("%v", mail)
	}
}

// What people ask for happens, if it can.
func TestSESRaise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.connect(r)
	id := b.sesSend(nil)
	b.pass()
	b.inner(r, 2)
	at := start.Add(sandbox.DefaultDeliveryDelay).Format("2006-01-02T15:04:05.000Z")
	agent := "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	click := func(link string) object {
		return object{"ipAddress": "203.0.113.42", "link": link, "linkTags": nil, "timestamp": at, "userAgent": agent}
	}
	in, out := []object{{"topicName": "Everything", "subscriptionStatus": "OptIn"}}, []object{{"topicName": "Everything", "subscriptionStatus": "OptOut"}}
	for _, c := range []struct{ wish, want object }{
		{object{"kind": "open"}, object{"eventType": "Open", "open": object{"ipAddress": "203.0.113.42", "timestamp": at, "userAgent": agent}}},
		{object{"kind": "click"}, object{"eventType": "Click", "click": click("https://example.com/a")}},
		{object{"kind": "click", "url": "https://example.org/?a=1&b=2"}, object{"eventType": "Click", "click": click("https://example.org/?a=1&b=2")}},
		{object{"kind": "unsubscribe"}, object{"eventType": "Subscription", "subscription": object{"contactList": "Sandbox", "timestamp": at,
			"source": "UnsubscribeHeader", "newTopicPreferences": object{"unsubscribeAll": true, "topicSubscriptionStatus": out},
			"oldTopicPreferences": object{"unsubscribeAll": false, "topicSubscriptionStatus": in}}}},
		{object{"kind": "dropped"}, object{"eventType": "Reject", "reject": object{"reason": "Bad content"}}},
		{object{"kind": "processed"}, object{"eventType": "Send", "send": object{}}},
	} {
		b.control(http.MethodPost, "/sandbox/messages/"+id+"/events", c.wish, http.StatusOK)
		if diff := cmp.Diff(stringly(t, []object{c.want}), stringly(t, b.inner(r, 1))); diff != "" {
			t.Error(diff)
		}
	}
	for kind, wish := range map[string]object{"Bounce": {"kind": "bounce", "type": "mailboxfull"}, "Complaint": {"kind": "complaint", "type": "fraud"},
		"DeliveryDelay": {"kind": "deferred", "type": "MailboxFull"}, "Rendering Failure": {"kind": "dropped", "type": "renderingfailure"},
		"Delivery": {"kind": "delivery", "recipient": "ANA@example.net"}} {
		b.control(http.MethodPost, "/sandbox/messages/"+id+"/events", wish, http.StatusOK)
		if got := b.inner(r, 1)[0]["eventType"]; got != kind {
			t.Errorf("%v is %v", wish, got)
		}
	}
	text := b.sesSend(merge(rawOf("From: app@example.com\r\n\r\nhttps://example.com/"), nil))
	foreign := b.sesSend(object{"ConfigurationSetName": nil})
	for _, c := range []struct {
		id   string
		wish object
		want string
	}{
		{id, object{"kind": "sing"}, "kind must be one of"},
		{id, object{"kind": "bounce", "type": "loud"}, "types of bounces"},
		{id, object{"kind": "deferred", "type": "loud"}, "type of a delay"},
		{id, object{"kind": "open", "recipient": "bob@example.net"}, "was not sent to"},
		{id, object{"kind": "click", "url": "ftp://example.com"}, "url must begin"},
		{text, object{"kind": "open"}, "HTML part"},
		{foreign, object{"kind": "open"}, "no event destination for OPEN"},
		{foreign, object{"kind": "click"}, "no event destination for CLICK"},
	} {
		a := b.control(http.MethodPost, "/sandbox/messages/"+c.id+"/events", c.wish, http.StatusUnprocessableEntity)
		if problem, _ := a.field(t, "error").(string); !strings.Contains(problem, c.want) {
			t.Errorf("%v: %q", c.wish, problem)
		}
	}
}

// Who bounced for good or complained is on the account's suppression list: mail to him is taken, and bounces. The mailbox simulator's
// addresses never are.
func TestSESSuppressions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.connect(r)
	bounce := func(to string) (subtype string) {
		id := b.sesSend(sesTo(to))
		b.pass()
		b.await(id, "processed")
		b.settled(id)
		for len(r.events) > 0 {
			e := b.event(r.next(t))
			if inner, ok := e["bounce"].(object); ok {
				subtype = inner["bounceSubType"].(string)
			}
		}
		return subtype
	}
	for _, c := range []struct{ to, first, second string }{
		{"hardbounce@bounce.sandbox.test", "General", "OnAccountSuppressionList"},
		{"complaint@bounce.sandbox.test", "", "OnAccountSuppressionList"},
		{"softbounce@bounce.sandbox.test", "General", "General"},
		{"bounce@simulator.amazonses.com", "General", "General"},
		{"complaint@simulator.amazonses.com", "", ""},
	} {
		if first, second := bounce(c.to), bounce(strings.ToUpper(c.to[:1])+c.to[1:]); first != c.first || second != c.second {
			t.Errorf("%s: first %q, then %q", c.to, first, second)
		}
	}
	var list struct {
		SuppressedDestinationSummaries []struct{ EmailAddress, Reason string }
	}
	b.sesOK(http.MethodGet, "suppression/addresses?Reason=BOUNCE", nil).into(t, &list)
	if len(list.SuppressedDestinationSummaries) != 1 || list.SuppressedDestinationSummaries[0].Reason != "BOUNCE" {
		t.Errorf("%+v", list)
	}
	b.sesOK(http.MethodPut, "suppression/addresses", object{"EmailAddress": "Gone@example.net", "Reason": "COMPLAINT"})
	b.ses(http.MethodPut, "suppression/addresses", object{"EmailAddress": "a@example.net", "Reason": "MOOD"}).wantType(t, 400, "BadRequestException", "")
	if got := bounce("gone@example.net"); got != "OnAccountSuppressionList" {
		t.Errorf("a bounce of type %q", got)
	}
	b.sesOK(http.MethodGet, "suppression/addresses/gone%40example.net", nil)
	b.sesOK(http.MethodDelete, "suppression/addresses/gone%40example.net", nil)
	b.ses(http.MethodGet, "suppression/addresses/gone%40example.net", nil).wantType(t, 404, "NotFoundException", "")
	b.ses(http.MethodDelete, "suppression/addresses/gone%40example.net", nil).wantType(t, 404, "NotFoundException", "")
	if got := bounce("gone@example.net"); got != "" {
		t.Errorf("a bounce of type %q", got)
	}
}

// Configuration sets and event destinations are made, changed and removed; what is wrong with them is refused.
func TestSESConfigurationSets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.snsOK("CreateTopic", "Name", topicName)
	made := func(path string, body object) answer { return b.ses(http.MethodPost, path, body) }
	b.sesOK(http.MethodPost, "configuration-sets", object{"ConfigurationSetName": "s"})
	made("configuration-sets", object{"ConfigurationSetName": "s"}).wantType(t, 400, "AlreadyExistsException", "")
	made("configuration-sets", object{"ConfigurationSetName": "a b"}).wantType(t, 400, "BadRequestException", "")
	made("configuration-sets", object{"ConfigurationSetName": strings.Repeat("x", 65)}).wantType(t, 400, "BadRequestException", "")
	at := "configuration-sets/s/event-destinations"
	for _, c := range []struct {
		name string
		body any
	}{
		{"", destination(topicARN, "SEND")}, {"a b", destination(topicARN, "SEND")}, {"d", nil}, {"d", destination(topicARN)},
		{"d", destination(topicARN, "Send")}, {"d", destination(topicARN+"x", "SEND")}, {"d", object{"MatchingEventTypes": []string{"SEND"}}},
		{"d", merge(destination(topicARN, "SEND"), object{"CloudWatchDestination": object{}})},
	} {
		made(at, object{"EventDestinationName": c.name, "EventDestination": c.body}).wantType(t, 400, "BadRequestException", "")
	}
	b.ses(http.MethodGet, "configuration-sets/none/event-destinations", nil).wantType(t, 404, "NotFoundException", "Configuration set <none> does not exist.")
	for i := range 10 {
		b.sesOK(http.MethodPost, at, object{"EventDestinationName": fmt.Sprint(i), "EventDestination": destination(topicARN, "SEND")})
	}
	made(at, object{"EventDestinationName": "3", "EventDestination": destination(topicARN, "SEND")}).wantType(t, 400, "AlreadyExistsException", "")
	made(at, object{"EventDestinationName": "10", "EventDestination": destination(topicARN, "SEND")}).wantType(t, 400, "LimitExceededException", "")
	for i := range 9 {
		b.sesOK(http.MethodDelete, fmt.Sprintf("%s/%d", at, i), nil)
	}
	b.ses(http.MethodDelete, at+"/3", nil).wantType(t, 404, "NotFoundException", "")
	b.ses(http.MethodPut, at+"/3", object{"EventDestination": destination(topicARN, "SEND")}).wantType(t, 404, "NotFoundException", "")
	b.sesOK(http.MethodPut, at+"/9", object{"EventDestination": merge(destination(topicARN, "BOUNCE", "OPEN"), object{"Enabled": false})})
	var list any
	b.sesOK(http.MethodGet, at, nil).into(t, &list)
	want := object{"EventDestinations": []object{{"Name": "9", "Enabled": false, "MatchingEventTypes": []string{"BOUNCE", "OPEN"},
		"SnsDestination": object{"TopicArn": topicARN}}}}
	if diff := cmp.Diff(stringly(t, want), list); diff != "" {
		t.Error(diff)
	}
	if a := b.sesOK(http.MethodGet, "configuration-sets", nil); string(a.body) != `{"ConfigurationSets":["s"]}` {
		t.Errorf("%s", a.body)
	}
	if a := b.sesOK(http.MethodGet, "configuration-sets/s", nil); string(a.body) != `{"ConfigurationSetName":"s","SendingOptions":{"SendingEnabled":true}}` {
		t.Errorf("%s", a.body)
	}
	b.sesOK(http.MethodDelete, "configuration-sets/s", nil)
	b.ses(http.MethodGet, "configuration-sets/s", nil).wantType(t, 404, "NotFoundException", "")
	b.ses(http.MethodDelete, "configuration-sets/s", nil).wantType(t, 404, "NotFoundException", "")
}
