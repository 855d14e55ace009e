package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox"
)

var uuidV4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// PM-sim 11.
func TestSendAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var got object
	b.ok(http.MethodPost, "/email", mail(object{"To": "Ana <ana@example.net>"})).into(t, &got)
	id, _ := got["MessageID"].(string)
	if !uuidV4.MatchString(id) {
		t.Errorf("MessageID %q is no lower-case UUID v4", id)
	}
	delete(got, "MessageID")
	want := object{"To": "Ana <ana@example.net>", "SubmittedAt": "2026-03-02T10:00:00.0000000Z", "ErrorCode": 0.0, "Message": "OK"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if to := b.ok(http.MethodPost, "/email", mail(object{"To": nil, "Cc": "ana@example.net"})).field(t, "To"); to != nil {
		t.Errorf("To is %v in the answer to a request without one", to)
	}
}

// PM-sim 12.
func TestTestToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	try := func(path string, body any) answer {
		return b.raw(http.MethodPost, path, text(t, body), serverToken, "POSTMARK_API_TEST", "Content-Type", "application/json")
	}
	a := try("/email", mail(object{"From": "x@unverified.example"}))
	if a.status != 200 || a.field(t, "Message") != "Test job accepted" || a.code(t) != 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	try("/email", mail(object{"To": "invalid@localhost"})).want(t, 422, 300, "Invalid 'To' address: 'invalid@localhost'.")
	try("/email/withTemplate", templated(nil)).want(t, 422, 1101, "The Template's 'Alias' associated with this request is not valid or was not found.")
	try("/email/withTemplate", templated(object{"TemplateAlias": nil, "TemplateId": 1})).
		want(t, 422, 1101, "The 'TemplateId' associated with this request is not valid or was not found.")
	if total := b.control(http.MethodGet, "/sandbox/messages", nil, 200).field(t, "total"); total != 0.0 {
		t.Errorf("%v messages stored", total)
	}
}

func recipients(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("user%d@example.net", i)
	}
	return strings.Join(list, ", ")
}

func keys(n int) object {
	m := object{}
	for i := range n {
		m[fmt.Sprintf("key%d", i)] = "v"
	}
	return m
}

// sending is a change to a plain message, with the ErrorCode and text that it brings; without a code it passes.
type sending struct {
	changes object
	code    int
	message string
}

func (b *bench) sendings(t *testing.T, cases map[string]sending) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.api(http.MethodPost, "/email", mail(c.changes))
			if c.code == 0 {
				if a.status != http.StatusOK {
					t.Errorf("refused: %d %s", a.status, a.body)
				}
				return
			}
			a.want(t, 422, c.code, c.message)
		})
	}
}

// PM-sim 13: bodies, recipients and addresses, with the recorded texts.
func TestAddressesAndBodies(t *testing.T) {
	t.Parallel()
	setup(t).sendings(t, map[string]sending{
		"bad To":          {object{"To": "invalid@localhost"}, 300, "Invalid 'To' address: 'invalid@localhost'."},
		"bad mailbox":     {object{"To": "a b@example.net"}, 300, "Invalid 'To' address: 'a b@example.net'."},
		"no at sign":      {object{"To": "x"}, 300, "Error parsing 'To': Illegal email address 'x'. It must contain the '@' symbol."},
		"bad domain":      {object{"Cc": "user@+"}, 300, "Error parsing 'Cc': Illegal email domain '+' in address 'user@+'."},
		"bad Reply-To":    {object{"ReplyTo": "y"}, 300, "Error parsing 'Reply-To': Illegal email address 'y'. It must contain the '@' symbol."},
		"one bad of many": {object{"Bcc": "a@example.net, , bad@"}, 300, "Error parsing 'Bcc': Illegal email domain '' in address 'bad@'."},
		"bad From":        {object{"From": "x"}, 300, "Invalid 'From' address: 'x'."},
		"no From":         {object{"From": nil}, 300, "Invalid 'From' address: ''."},
		"no recipient":    {object{"To": nil}, 300, "Zero recipients specified"},
		"empty recipient": {object{"To": " , "}, 300, "Zero recipients specified"},
		"quoted name":     {object{"To": `"Last, First" <a@example.net>, b@example.net`}, 0, ""},
		"no body":         {object{"HtmlBody": nil, "TextBody": ""}, 300, "Provide either email TextBody or HtmlBody or both."},
		"one body":        {object{"HtmlBody": nil}, 0, ""},
		"long subject":    {object{"Subject": strings.Repeat("é", 2001)}, 300, ""},
		"2000 characters": {object{"Subject": strings.Repeat("é", 2000)}, 0, ""},
		"long tag":        {object{"Tag": strings.Repeat("t", 1001)}, 300, ""},
		"1000 in a tag":   {object{"Tag": strings.Repeat("é", 1000)}, 0, ""},
		"large HtmlBody":  {object{"HtmlBody": strings.Repeat("h", 5<<20+1)}, 300, "The 'HtmlBody' may be at most 5242880 bytes long."},
		"large TextBody":  {object{"TextBody": strings.Repeat("t", 5<<20+1)}, 300, "The 'TextBody' may be at most 5242880 bytes long."},
		"5 MB":            {object{"HtmlBody": nil, "TextBody": strings.Repeat("t", 5<<20)}, 0, ""},
		"long From":       {object{"From": strings.Repeat("n", 238) + " <app@example.com>"}, 300, ""},
		"255 in From":     {object{"From": strings.Repeat("n", 237) + " <app@example.com>"}, 0, ""},
		"TrackLinks":      {object{"TrackLinks": "Some"}, 300, ""},
		"header name":     {object{"Headers": []object{{"Name": "X Bad", "Value": "v"}}}, 300, ""},
		"header value":    {object{"Headers": []object{{"Name": "X-Bad", "Value": "a\r\nBcc: x"}}}, 300, ""},
	})
}

// PM-sim 14.
func TestRecipientLimit(t *testing.T) {
	t.Parallel()
	setup(t).sendings(t, map[string]sending{
		"50":       {object{"To": recipients(48), "Cc": "c@example.net", "Bcc": "d@example.net"}, 0, ""},
		"51":       {object{"To": recipients(49), "Cc": "c@example.net", "Bcc": "d@example.net"}, 300, ""},
		"51 in Cc": {object{"To": nil, "Cc": recipients(51)}, 300, ""},
	})
}

// PM-sim 15.
func TestMetadataLimits(t *testing.T) {
	t.Parallel()
	const metadata = "Invalid metadata content. Field names are limited to 20 characters, values are limited to 80 characters, " +
		"and there may be at most 10 fields, whose names differ in more than case."
	setup(t).sendings(t, map[string]sending{
		"10 keys":             {object{"Metadata": keys(10)}, 0, ""},
		"11 keys":             {object{"Metadata": keys(11)}, 300, metadata},
		"20 and 80":           {object{"Metadata": object{strings.Repeat("k", 20): strings.Repeat("v", 80)}}, 0, ""},
		"a key of 21":         {object{"Metadata": object{strings.Repeat("k", 21): "v"}}, 300, metadata},
		"a value of 81":       {object{"Metadata": object{"k": strings.Repeat("v", 81)}}, 300, metadata},
		"keys equal but case": {object{"Metadata": object{"Key": "1", "kEY": "2"}}, 300, metadata},
	})
}

// PM-sim 16.
func TestSenders(t *testing.T) {
	t.Parallel()
	setup(t).sendings(t, map[string]sending{
		"unknown": {object{"From": "Me <me@other.example>"}, 400, "The 'From' address you supplied (me@other.example) is not a " +
			"Sender Signature on your account. Please add and confirm this address in order to be able to use it in the 'From' field " +
			"of your messages."},
		"a domain below":  {object{"From": "me@mail.example.com"}, 400, ""},
		"any local part":  {object{"From": "Some One <any.thing+at-all@EXAMPLE.com>"}, 0, ""},
		"the first of it": {object{"From": "me@example.com, you@other.example"}, 0, ""},
	})
}

// PM-sim 17.
func TestStreamsOfSends(t *testing.T) {
	t.Parallel()
	setup(t).sendings(t, map[string]sending{
		"unknown":   {object{"MessageStream": "nope"}, 1235, "The stream provided: 'nope' does not exist on this server."},
		"archived":  {object{"MessageStream": "retired"}, 1235, ""},
		"inbound":   {object{"MessageStream": "inbound"}, 1236, ""},
		"broadcast": {object{"MessageStream": "broadcast"}, 0, ""},
	})
}

// PM-sim 18.
func TestAttachments(t *testing.T) {
	t.Parallel()
	file := func(name string, id any) object {
		return object{"Attachments": []object{{"Name": name, "Content": "aGk=", "ContentType": "text/plain", "ContentID": id}}}
	}
	setup(t).sendings(t, map[string]sending{
		"forbidden extension": {file("run.EXE", nil), 411, ""},
		"null ContentID":      {file("note.txt", nil), 0, ""},
		"empty ContentID":     {file("note.txt", ""), 0, ""},
		"inline":              {file("logo.png", "cid:logo"), 0, ""},
		"nameless":            {file("", ""), 300, ""},
	})
}

// PM-sim 20.
func TestTemplatedValidation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const noModel = "A 'TemplateModel' is required when using a template to send an email."
	for name, c := range map[string]struct {
		changes object
		code    int
		message string
	}{
		"no model":           {object{"TemplateModel": nil}, 1120, noModel},
		"model is a list":    {object{"TemplateModel": []int{1}}, 403, "Invalid request field(s): 'TemplateModel'."},
		"empty model":        {object{"TemplateModel": object{}}, 0, ""},
		"model in a string":  {object{"TemplateModel": `{"name":"Ana"}`}, 0, ""},
		"unknown alias":      {object{"TemplateAlias": "nope"}, 1101, "The Template's 'Alias' associated with this request is not valid or was not found."},
		"unknown id":         {object{"TemplateId": 99}, 1101, "The 'TemplateId' associated with this request is not valid or was not found."},
		"id wins over alias": {object{"TemplateId": 99, "TemplateAlias": sandbox.DemoTemplateAlias}, 1101, ""},
		"good id, bad alias": {object{"TemplateId": 1, "TemplateAlias": "nope"}, 0, ""},
		"neither":            {object{"TemplateAlias": nil}, 1101, ""},
		"with a subject":     {object{"Subject": "x"}, 1123, ""},
		"with an HtmlBody":   {object{"HtmlBody": "x"}, 1123, ""},
		"with a TextBody":    {object{"TextBody": "x"}, 1123, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.api(http.MethodPost, "/email/withTemplate", templated(c.changes))
			if c.code == 0 {
				if a.status != 200 {
					t.Errorf("refused: %d %s", a.status, a.body)
				}
				return
			}
			a.want(t, 422, c.code, c.message)
		})
	}
	b.api(http.MethodPost, "/email/withTemplate", `{"From":"app@example.com","To":"a@example.net","TemplateAlias":"welcome-template",`+
		`"TemplateModel":{},"HtmlBody":null}`).want(t, 422, 1123, "")
	b.api(http.MethodPost, "/email/withTemplate", `{"From":"app@example.com","To":"a@example.net","TemplateAlias":"welcome-template",`+
		`"TemplateModel":null}`).want(t, 422, 1120, noModel)
}

// PM-sim 19.
func TestBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bad := object{"From": "app@example.com", "To": "nobody", "TextBody": "x"}
	var got []object
	b.ok(http.MethodPost, "/email/batch", []any{mail(object{"To": "a@example.net"}), bad, mail(object{"MessageStream": "nope"}),
		object{"From": 5}, mail(object{"To": "b@example.net"})}).into(t, &got)
	codes := []float64{0, 300, 1235, 403, 0}
	if len(got) != len(codes) {
		t.Fatalf("%d results", len(got))
	}
	for i, want := range codes {
		if got[i]["ErrorCode"] != want {
			t.Errorf("item %d: %v, want %v", i, got[i], want)
		}
		if want != 0 && len(got[i]) != 2 {
			t.Errorf("a failed item holds more than ErrorCode and Message: %v", got[i])
		}
	}
	if got[0]["To"] != "a@example.net" || got[4]["To"] != "b@example.net" {
		t.Errorf("order is lost: %v", got)
	}
	for path, wrap := range map[string]func([]object) any{
		"/email/batch":              func(m []object) any { return m },
		"/email/batchWithTemplates": func(m []object) any { return object{"Messages": m} },
	} {
		message := mail(nil)
		if strings.HasSuffix(path, "Templates") {
			message = templated(nil)
		}
		list := make([]object, 500)
		for i := range list {
			list[i] = message
		}
		b.ok(http.MethodPost, path, wrap(list))
		b.api(http.MethodPost, path, wrap(append(list, message))).
			want(t, 422, 410, "You may only send up to 500 messages in a single batched request.")
		b.ok(http.MethodPost, path, wrap([]object{}))
	}
}

// suppress puts addresses on a stream's list.
func (b *bench) suppress(stream string, addresses ...string) {
	b.t.Helper()
	list := []object{}
	for _, a := range addresses {
		list = append(list, object{"EmailAddress": a})
	}
	b.ok(http.MethodPost, "/message-streams/"+stream+"/suppressions", object{"Suppressions": list})
}

// PM-sim 22, 23.
func TestInactiveRecipients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, five())
	b.suppress("outbound", "a@example.net", "b@example.net")
	const reason = "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression."
	b.api(http.MethodPost, "/email", mail(object{"To": "A@example.net", "Bcc": "b@example.net"})).want(t, 422, 406,
		"You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: A@example.net, b@example.net. "+reason)
	partly := b.ok(http.MethodPost, "/email", mail(object{"To": "a@example.net, c@example.net", "Cc": "b@example.net"}))
	want := "Message OK, but will not deliver to these inactive addresses: a@example.net, b@example.net. " + reason
	if partly.field(t, "Message") != want || partly.code(t) != 0 || partly.field(t, "MessageID") == nil {
		t.Errorf("%s", partly.body)
	}
	b.pass()
	if got := r.next(t).json(t)["Recipient"]; got != "c@example.net" {
		t.Errorf("first event is for %v, want only c@example.net", got)
	}
	var items []object
	b.ok(http.MethodPost, "/email/batch", []object{mail(object{"To": "a@example.net"}), mail(nil)}).into(t, &items)
	if items[0]["ErrorCode"] != 406.0 || items[1]["ErrorCode"] != 0.0 {
		t.Errorf("%v", items)
	}
	b.ok(http.MethodPost, "/email", mail(object{"To": "a@example.net", "MessageStream": "broadcast"}))
}

// PM-sim 24.
func TestAccountStates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPut, "/sandbox/settings", object{"account": "pending"}, 200)
	b.api(http.MethodPost, "/email", mail(nil)).want(t, 422, 412, "While your account is pending approval, all recipient addresses "+
		"must share the same domain as the 'From' address. The domain of the 'From' address is 'example.com'.")
	b.ok(http.MethodPost, "/email", mail(object{"To": "me@example.com"}))
	b.control(http.MethodPut, "/sandbox/settings", object{"account": "not-approved"}, 200)
	b.api(http.MethodPost, "/email", mail(nil)).want(t, 422, 413, "This account is not approved to send email.")
}

// PM-sim 25.
func TestDegradedAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPut, "/sandbox/settings", object{"degraded": true}, 200)
	var got map[string]json.RawMessage
	b.ok(http.MethodPost, "/email", mail(nil)).into(t, &got)
	if _, there := got["ErrorCode"]; there || string(got["Message"]) != `"Message accepted, but delivery may be delayed."` {
		t.Errorf("%s", got)
	}
}
