package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	simulator "postyard/internal/sandbox/postmark"
)

const (
	events   = "/api/v1/account/event/"
	messages = "/api/v1/account/message/"
)

// SendPost's Message and Event schemas.
var (
	messageKeys = []string{"messageID", "accountID", "subAccountID", "ipID", "accountIPPoolID", "publicIP", "localIP", "emailType",
		"submittedAt", "from", "replyTo", "to", "headerTo", "headerCc", "headerBcc", "attachments", "groups", "ipPool", "headers",
		"customFields", "subject", "preText", "htmlBody", "textBody", "ampBody", "trackOpens", "trackClicks", "attempt",
		"webhookEndpoint", "mxRecords"}
	recipientKeys = []string{"name", "email", "cc", "bcc", "customFields"}
	eventKeys     = []string{"eventID", "groups", "ipID", "ipPoolID", "domainID", "tpspId", "messageType", "messageSubject",
		"accountID", "subAccountID", "messageID", "type", "from", "fromName", "to", "toName", "submittedAt", "smtpCode",
		"smtpDescription", "eventMetadata"}
	metadataKeys = []string{"smtpCode", "smtpDescription", "userAgent", "os", "device", "geo", "clickedURL", "trackedIP", "rawUserAgent"}
)

func TestMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	body := map[string]any{
		"from": map[string]any{"email": "richard@Example.com", "name": "Richard"}, "replyTo": map[string]any{"email": "help@example.com"},
		"to": []any{map[string]any{
			"email": "gavin@gmail.com", "name": "Gavin", "customFields": map[string]any{"n": 1.50, "who": "him"},
			"cc":  []any{map[string]any{"email": "cc@example.com", "name": "C"}},
			"bcc": []any{map[string]any{"email": "bcc@example.com"}},
		}},
		"customFields": map[string]any{"who": "all", "deep": map[string]any{"a": []int{1, 2}}, "yes": true, "none": nil},
		"subject":      "Hello", "preText": "pre", "htmlBody": "<p>", "textBody": "t", "ippool": "postmark-pool",
		"tpspTemplate": simulator.DemoTemplateAlias, "groups": []string{"g1", "g2"}, "headers": map[string]any{"X-Order": "17"},
		"trackOpens": true, "attachments": []any{map[string]any{"filename": "a.txt", "content": base64.StdEncoding.EncodeToString([]byte("x"))}},
	}
	var sent []emailResponse
	w.asSub("POST", sendPath, body).ok(200, &sent)
	a := w.asAccount("GET", messages+sent[0].MessageID, nil)
	var got messageAnswer
	a.ok(200, &got)
	wantKeys(t, a.body, messageKeys...)
	var parts struct{ To, HeaderTo, From, ReplyTo json.RawMessage }
	if err := json.Unmarshal(a.body, &parts); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, parts.To, recipientKeys...)
	wantKeys(t, parts.HeaderTo, recipientKeys...)
	wantKeys(t, parts.From, "name", "email")
	wantKeys(t, parts.ReplyTo, "name", "email")
	for name, ok := range map[string]bool{
		"ids":          got.MessageID == sent[0].MessageID && got.AccountID == w.account.ID && got.SubAccountID == w.subAccount.ID,
		"pool":         got.IPPool == "postmark-pool" && got.AccountIPPoolID == made.IPPool.ID,
		"class":        got.EmailType == "gmail",
		"time":         got.SubmittedAt == sent[0].SubmittedAt,
		"from":         got.From == person{Name: "Richard", Email: "richard@example.com"},
		"replyTo":      got.ReplyTo == person{Email: "help@example.com"},
		"to":           got.To.Email == "gavin@gmail.com" && got.To.Name == "Gavin",
		"copies":       slices.Equal(got.To.CC, []string{"cc@example.com"}) && slices.Equal(got.To.BCC, []string{"bcc@example.com"}),
		"header cc":    slices.Equal(got.HeaderCC, got.To.CC) && slices.Equal(got.HeaderBCC, got.To.BCC),
		"own fields":   len(got.To.CustomFields) == 2 && got.To.CustomFields["n"] == "1.5" && got.To.CustomFields["who"] == "him",
		"fields":       got.CustomFields["who"] == "all" && got.CustomFields["deep"] == `{"a":[1,2]}` && got.CustomFields["yes"] == "true" && got.CustomFields["none"] == "null",
		"lists":        slices.Equal(got.Groups, []string{"g1", "g2"}) && slices.Equal(got.Attachments, []string{"a.txt"}),
		"headers":      got.Headers["X-Order"] == "17",
		"content":      got.Subject == "Hello" && got.PreText == "pre" && got.HTMLBody == "<p>" && got.TextBody == "t",
		"tracking":     got.TrackOpens && !got.TrackClicks,
		"attempts":     got.Attempt == 0,
		"no MX lookup": strings.Contains(string(a.body), `"mxRecords":[]`),
	} {
		if !ok {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	for _, id := range []string{"x", "00000000-0000-0000-0000-000000000000", strings.ReplaceAll(sent[0].MessageID, "-", ""), "{" + sent[0].MessageID + "}"} {
		w.asAccount("GET", messages+url.PathEscape(id), nil).refused(404, "not_found", "")
		w.asAccount("GET", messages+url.PathEscape(id)+"/events", nil).refused(404, "not_found", "")
	}
}

// report posts an event as Postmark would.
func (w *world) report(of tpspAnswer, messageID, record string, fields map[string]any) answer {
	w.t.Helper()
	body := map[string]any{
		"RecordType": record, "MessageID": "00000000-0000-0000-0000-000000000042", "MessageStream": "outbound", "Tag": "g1",
		"Metadata": map[string]any{"messageId": messageID},
	}
	for key, value := range fields {
		body[key] = value
	}
	t := w.dir.Current().AnyTPSP(of.ID)
	credentials, err := w.tpsps.Credentials(t)
	if err != nil {
		w.t.Fatal(err)
	}
	basic := base64.StdEncoding.EncodeToString([]byte(credentials.Username + ":" + credentials.Password.Reveal()))
	path := strings.TrimPrefix(w.tpsps.HookURL(t), w.url)
	return w.call("POST", path, map[string]string{"Authorization": "Basic " + basic}, body)
}

// until asks again until the events are there: webhooks become events after they were answered.
func (w *world) until(path string, n int) (a answer, got []eventAnswer) {
	w.t.Helper()
	for range 5000 {
		got = nil
		if a = w.asAccount("GET", path, nil).ok(200, &got); len(got) >= n {
			return a, got
		}
	}
	w.t.Fatalf("%s: %d events, want %d", path, len(got), n)
	return a, got
}

func TestEventsOfAMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	id := w.mail("gavin@gmail.com")[0]
	w.report(made, id, "Delivery", map[string]any{
		"Recipient": "gavin@gmail.com", "DeliveredAt": "2026-11-05T16:33:54Z", "Details": "250 OK",
	}).ok(200, nil)
	w.report(made, id, "Click", map[string]any{
		"Recipient": "gavin@gmail.com", "ReceivedAt": "2026-11-05T16:40:00Z", "OriginalLink": "https://example.com/a", "UserAgent": "UA",
		"Client": map[string]any{"Name": "Chrome", "Company": "Google", "Family": "Chrome"}, "Platform": "Desktop",
		"OS":  map[string]any{"Name": "OS X", "Company": "Apple", "Family": "OS X"},
		"Geo": map[string]any{"CountryISOCode": "RS", "City": "Novi Sad", "Coords": "45.25,19.84", "IP": "8.8.8.8"},
	}).ok(200, nil)
	a, got := w.until(messages+id+"/events", 4)
	var raw []json.RawMessage
	if err := json.Unmarshal(a.body, &raw); err != nil {
		t.Fatal(err)
	}
	for _, one := range raw {
		wantKeys(t, one, eventKeys...)
		var e struct{ EventMetadata map[string]json.RawMessage }
		if err := json.Unmarshal(one, &e); err != nil {
			t.Fatal(err)
		}
		for key := range e.EventMetadata {
			if !slices.Contains(metadataKeys, key) {
				t.Errorf("undocumented key eventMetadata.%s", key)
			}
		}
	}
	for i, want := range []int{69, 70, 71, 76} {
		if got[i].Type != want || got[i].MessageID != id || got[i].TPSPID != made.ID || got[i].To != "gavin@gmail.com" || got[i].MessageType != "gmail" {
			t.Errorf("event %d: %+v", i, got[i])
		}
	}
	if at := time.Unix(0, got[2].SubmittedAt).UTC(); !at.Equal(time.Date(2026, 11, 5, 16, 33, 54, 0, time.UTC)) {
		t.Errorf("delivered at %s", at)
	}
	if got[3].EventMetadata.ClickedURL != "https://example.com/a" {
		t.Errorf("%+v", got[3].EventMetadata)
	}

	// One by one, and in the provider's own words.
	var one eventAnswer
	if w.asAccount("GET", events+got[2].EventID, nil).ok(200, &one); one.EventID != got[2].EventID || one.Type != 71 {
		t.Errorf("%+v", one)
	}
	var words map[string]string
	if w.asAccount("GET", events+got[2].EventID+"/provider", nil).ok(200, &words); words["RecordType"] != "Delivery" {
		t.Errorf("%+v", words)
	}
	if a := w.asAccount("GET", events+got[0].EventID+"/provider", nil).ok(200, nil); string(a.body) != "{}\n" {
		t.Errorf("%s", a.body)
	}
	for _, id := range []string{"x", got[1].EventID + "0", "00000000-0000000000000001", got[1].EventID[:len(got[1].EventID)-1] + "f"} {
		w.asAccount("GET", events+id, nil).refused(404, "not_found", "")
	}
}

func TestEventFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	ids := w.mail("a@example.com", "b@example.com", "c@example.com")
	w.report(made, ids[1], "Delivery", map[string]any{"Recipient": "b@example.com", "DeliveredAt": "2020-11-05T23:59:59Z"}).ok(200, nil)
	w.until(events, 5) // with the sent event that the delivery proves
	today := time.Now().UTC().Format(time.DateOnly)
	for query, want := range map[string]int{
		"":                               5,
		"?type=69":                       3,
		"?type=69,71":                    4,
		"?type=69&type=71":               4,
		"?type=70":                       1,
		"?provider=postmark":             5,
		"?provider=Postmark":             5,
		"?provider=4":                    5,
		"?provider=sendgrid":             0,
		"?recipient=B@example.com":       3,
		"?recipient=example":             0,
		"?messageId=" + ids[1]:           3,
		"?from=2020-11-05&to=2020-11-05": 2,
		"?to=2020-11-04":                 0,
		"?from=2020-11-05T23:59:59Z&to=2020-11-06T00:00:00Z":          2,
		"?from=2020-11-05T23:59:59.5Z&to=2020-11-06T00:00:00%2B00:00": 0,
		"?type=69&from=" + today + "&to=" + today:                     3,
		"?limit=2":                           2,
		"?offset=3":                          2,
		"?limit=2&offset=3":                  2,
		fmt.Sprintf("?tpspId=%d", made.ID):   5,
		fmt.Sprintf("?tpspId=%d", made.ID+1): 0,
		fmt.Sprintf("?tpspId=%d&provider=postmark", made.ID):                  5,
		fmt.Sprintf("?tpspId=%d&provider=sendgrid", made.ID):                  0,
		fmt.Sprintf("?source=tpsp&sourceId=%d", made.ID):                      5,
		fmt.Sprintf("?source=tpsp&sourceId=%d&tpspId=%d", made.ID, made.ID+1): 0,
		fmt.Sprintf("?subAccountId=%d", w.subAccount.ID):                      5,
		fmt.Sprintf("?subAccountId=%d", w.subAccount.ID+1):                    0,
		fmt.Sprintf("?source=subaccount&sourceId=%d", w.subAccount.ID):        5,
	} {
		var got []eventAnswer
		if a := w.asAccount("GET", events+query, nil).ok(200, &got); len(got) != want {
			t.Errorf("%q: %d events, want %d: %s", query, len(got), want, a.body)
		}
	}
	for query, field := range map[string]string{
		"type=x": "type", "type=9999": "type", "type=71,x": "type", "provider=nobody": "provider", "provider=99": "provider",
		"tpspId=0": "tpspId", "tpspId=x": "tpspId", "subAccountId=2147483648": "subAccountId", "messageId=x": "messageId",
		"from=yesterday": "from", "to=2026-13-01": "to", "from=2020-11-06&to=2020-11-04": "from", "from=2020-11-06&to=2020-11-05": "from", "limit=0": "limit", "limit=1001": "limit",
		"offset=-1": "offset", "order=up": "order", "after=x": "after", "before=1234-0000000000000001": "before",
		"source=tpsp": "sourceId", "source=pool&sourceId=1": "source", "source=ip": "sourceId", "ipId=0": "ipId", "sourceId=1": "source",
	} {
		w.asAccount("GET", events+"?"+query, nil).refused(400, "invalid_parameter", field)
	}
}

// Walking the pages gives every event once, in order, while others arrive.
func TestEventPagesStandStill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	w.mail("a0@example.com", "a1@example.com", "a2@example.com", "a3@example.com", "a4@example.com")
	walk := func(path string) (recipients []string) {
		for path != "" {
			var got []eventAnswer
			a := w.asAccount("GET", path, nil).ok(200, &got)
			for _, e := range got {
				recipients = append(recipients, e.To)
			}
			if len(recipients) < 5 {
				w.mail("late@example.com")
			}
			path = ""
			if link := a.header.Get("Link"); link != "" {
				path = link[1:strings.Index(link, ">")]
				if !strings.HasSuffix(link, `; rel="next"`) || !strings.Contains(path, a.header.Get("X-Next-Cursor")) {
					t.Fatalf("Link %q, cursor %q", link, a.header.Get("X-Next-Cursor"))
				}
			}
		}
		return recipients
	}
	first := "a0@example.com a1@example.com a2@example.com a3@example.com a4@example.com"
	got := walk(events + "?limit=2&type=69&offset=0")
	if !strings.HasPrefix(strings.Join(got, " "), first) {
		t.Errorf("forwards: %q", got)
	}
	before := len(got)
	got = walk(events + "?limit=2&type=69&order=desc")
	if !strings.HasSuffix(strings.Join(got, " "), "a4@example.com a3@example.com a2@example.com a1@example.com a0@example.com") || len(got) != before {
		t.Errorf("backwards: %q", got)
	}
	// Offsets count from the oldest, so they stand still as well.
	var page []eventAnswer
	w.asAccount("GET", events+"?limit=2&offset=2", nil).ok(200, &page)
	if page[0].To != "a2@example.com" || page[1].To != "a3@example.com" {
		t.Errorf("%+v", page)
	}
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	ids := w.mail("a@example.com", "b@example.com")
	w.report(made, ids[0], "SpamComplaint", map[string]any{
		"ID": 7, "Type": "SpamComplaint", "TypeCode": 512, "Email": "a@example.com", "BouncedAt": "2026-11-05T10:00:00Z",
	}).ok(200, nil)
	w.until(events, 3)
	now := time.Now().UTC()
	today := now.Format(time.DateOnly)
	var daily []json.RawMessage
	w.asAccount("GET", "/api/v1/account/stat/?from="+today+"&to="+today, nil).ok(200, &daily)
	if len(daily) != 1 {
		t.Fatalf("%s", daily)
	}
	wantKeys(t, daily[0], "date", "stat")
	var day struct {
		Date string
		Stat json.RawMessage
	}
	if err := json.Unmarshal(daily[0], &day); err != nil {
		t.Fatal(err)
	}
	counterKeys := []string{"processed", "sent", "delivered", "dropped", "smtpDropped", "hardBounced", "softBounced", "opened", "clicked", "unsubscribed"}
	wantKeys(t, day.Stat, append([]string{"spam"}, counterKeys...)...)
	if day.Date != today || !strings.Contains(string(day.Stat), `"processed":2`) {
		t.Errorf("%s", daily[0])
	}
	a := w.asAccount("GET", "/api/v1/account/stat/aggregate?from="+now.AddDate(0, 0, -365).Format(time.DateOnly)+"&to="+today, nil)
	wantKeys(t, a.ok(200, nil).body, append([]string{"spams"}, counterKeys...)...)
	if !strings.Contains(string(a.body), `"processed":2`) || !strings.Contains(string(a.body), `"spams":1`) {
		t.Errorf("%s", a.body)
	}

	if a := w.asAccount("GET", "/api/v1/account/stat?from=2020-01-01&to=2020-01-31", nil); string(a.ok(200, nil).body) != "[]\n" {
		t.Errorf("%s", a.body)
	}
	for _, c := range []struct{ path, query, field string }{
		{"", "", "from"}, {"", "from=2020-01-01", "to"}, {"", "to=2020-01-01", "from"}, {"", "from=1.1.2020&to=2020-01-01", "from"},
		{"", "from=2020-01-02&to=2020-01-01", "from"}, {"", "from=2020-01-01&to=2020-02-01", "to"},
		{"/aggregate", "from=2020-01-01&to=2021-01-01", "to"}, {"/aggregate", "from=2020-02-30&to=2020-03-01", "from"},
	} {
		w.asAccount("GET", "/api/v1/account/stat"+c.path+"?"+c.query, nil).refused(400, "invalid_parameter", c.field)
	}
	w.asAccount("GET", "/api/v1/account/stat/aggregate?from=2020-01-01&to=2020-12-31", nil).ok(200, nil) // 366 days
}

func TestWebhookIntake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	id := w.mail("a@example.com")[0]
	path := fmt.Sprintf("/tpsp/postmark/account/%d", w.account.ID)
	for name, header := range map[string]map[string]string{
		"none": nil, "wrong": {"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("a:b"))},
		"not basic": {"Authorization": "Bearer x"}, "an API key": {"X-Account-ApiKey": w.accountKey},
	} {
		a := w.call("POST", path, header, `{"RecordType":"Delivery"}`)
		a.refused(401, "invalid_credentials", "")
		if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic") {
			t.Errorf("%s: %v", name, a.header)
		}
	}
	w.call("POST", "/tpsp/nobody/account/1", nil, `{}`).refused(404, "not_found", "")
	w.call("POST", "/tpsp/postmark/account/x", nil, `{}`).refused(404, "not_found", "")
	w.call("POST", "/tpsp/postmark/account/99", nil, `{}`).refused(401, "invalid_credentials", "")
	w.call("POST", path, nil, strings.Repeat(" ", 10<<20+1)).refused(http.StatusRequestEntityTooLarge, "body_too_large", "")
	if a := w.report(made, id, "Nonsense", nil); a.status != 200 || string(a.body) != "{}\n" {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.report(made, "garbage", "Delivery", map[string]any{"Recipient": 7, "Metadata": []int{1}}).ok(200, nil)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	a := w.report(made, id, "Delivery", map[string]any{"Recipient": "a@example.com", "DeliveredAt": "2026-11-05T16:33:54Z"})
	a.refused(http.StatusServiceUnavailable, "unavailable", "")
}
