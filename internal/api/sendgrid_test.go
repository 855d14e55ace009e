package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postyard/internal/mail"
	"postyard/internal/store"
)

const sendGridPath = "/v1/sendgrid/v3/mail/send"

// rawWorld has a provider that takes bodies.
func rawWorld(t *testing.T) *world {
	t.Helper()
	return rawWorldWith(t, func(*Config) {})
}

func rawWorldWith(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := newWorldWith(t, change)
	provider := w.connect("Postmark", "outbound")
	w.asAccount("PUT", fmt.Sprintf("/api/v1/account/tpsp/%d", provider.ID), map[string]any{"allowRaw": true}).ok(200, nil)
	return w
}

// sendGrid makes a request as SendGrid's clients do.
func (w *world) sendGrid(body any, more ...string) answer {
	w.t.Helper()
	header := map[string]string{"Authorization": "Bearer " + w.subKey, "User-Agent": "sendgrid/3.16.0;go", "Accept": "application/json",
		"Content-Type": "application/json"}
	for i := 0; i+1 < len(more); i += 2 {
		header[more[i]] = more[i+1]
	}
	return w.call("POST", sendGridPath, header, body)
}

// stored are the messages that were taken in, in that order.
func (w *world) stored() (list []*store.Message) {
	w.t.Helper()
	events, err := w.db.Events(w.t.Context(), store.EventFilter{AccountID: w.account.ID, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		m, err := w.db.Message(w.t.Context(), w.account.ID, e.MessageID)
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

func pointerTo[T any](v T) *T { return &v }

func TestSendGridMail(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	a := w.sendGrid(`{
		"personalizations": [
			{"to": [{"email": "gavin@example.com", "name": "Gavin"}, {"email": "jared@example.com"}], "cc": [{"email": "copy@example.com"}],
				"bcc": [{"email": "blind@example.com", "name": "B"}], "dynamic_template_data": {"a": 1}, "substitutions": {"name": "Gavin", "a": "no"}},
			{"to": [{"email": "erlich@example.com"}], "subject": "For -who-", "substitutions": {"-who-": "Erlich", "-w": "no"},
				"custom_args": {"X-Order": "8"}, "headers": {"X-Two": "2"}},
			{"to": [{"email": "monica@example.com"}]}],
		"from": {"email": "richard@example.com", "name": "Richard"}, "reply_to": {"email": "help@example.com"}, "subject": "Hello",
		"content": [{"type": "text/plain", "value": "Dear -who-"}, {"type": "text/html", "value": "<p>Dear -who-"}],
		"attachments": [{"content": "aGk=", "type": "text/plain", "filename": "hi.txt", "disposition": "attachment"}],
		"headers": {"X-One": "1"}, "custom_args": {"X-Order": "7"}, "categories": ["welcome", "new"], "ip_pool_name": "postmark-pool",
		"tracking_settings": {"click_tracking": {"enable": false, "enable_text": false}, "open_tracking": {"enable": true}},
		"mail_settings": {"sandbox_mode": {"enable": false}}, "send_at": null, "template_id": ""}`)
	if a.status != http.StatusAccepted || len(a.body) != 0 || a.header.Get("Content-Type") != "" {
		t.Fatalf("%d %s %v", a.status, a.body, a.header)
	}
	got := w.stored()
	if len(got) != 4 || got[0].ID.String() != a.header.Get("X-Message-Id") {
		t.Fatalf("%d messages, X-Message-Id %q", len(got), a.header.Get("X-Message-Id"))
	}
	base := mail.Content{From: mail.Address{Email: "richard@example.com", Name: "Richard"}, ReplyTo: &mail.Address{Email: "help@example.com"}, Subject: "Hello",
		Text: "Dear -who-", HTML: "<p>Dear -who-", Pool: "postmark-pool", Headers: map[string]string{"X-One": "1", "X-Order": "7"},
		Groups: []string{"welcome", "new"}, Attachments: []mail.Attachment{{Filename: "hi.txt", Content: "aGk="}}, TrackOpens: pointerTo(true), TrackClicks: pointerTo(false)}
	other := base
	other.Subject, other.Text, other.HTML = "For Erlich", "Dear Erlich", "<p>Dear Erlich"
	other.Headers = map[string]string{"X-One": "1", "X-Two": "2", "X-Order": "8"}
	recipient := func(email, name, fields string) mail.Recipient {
		r := mail.Recipient{Address: mail.Address{Email: email, Name: name}}
		if fields != "" {
			r.CustomFields = json.RawMessage(fields)
		}
		return r
	}
	first := recipient("gavin@example.com", "Gavin", `{"a":1,"name":"Gavin"}`)
	first.CC, first.BCC = []mail.Address{{Email: "copy@example.com"}}, []mail.Address{{Email: "blind@example.com", Name: "B"}}
	for i, want := range []struct {
		to mail.Recipient
		mail.Content
	}{
		{first, base}, {recipient("jared@example.com", "", `{"a":1,"name":"Gavin"}`), base}, {recipient("monica@example.com", "", ""), base},
		{recipient("erlich@example.com", "", `{"-w":"no","-who-":"Erlich"}`), other},
	} {
		if diff := cmp.Diff(want.to, got[i].Recipient) + cmp.Diff(&want.Content, got[i].Content); diff != "" {
			t.Errorf("message %d: %s", i, diff)
		}
	}
}

// sendGridBody is a good one, changed.
func sendGridBody(change func(body map[string]any)) map[string]any {
	body := map[string]any{"personalizations": []any{map[string]any{"to": []any{map[string]any{"email": "gavin@example.com"}}}},
		"from": map[string]any{"email": "richard@example.com"}, "subject": "Hello", "content": []any{map[string]any{"type": "text/plain", "value": "Hi"}}}
	if change != nil {
		change(body)
	}
	return body
}

// changed returns a change of one value.
func changed(key string, value any) func(map[string]any) {
	return func(body map[string]any) { body[key] = value }
}

// onePerson is a change of the only personalization.
func onePerson(change func(map[string]any)) func(map[string]any) {
	return func(body map[string]any) { change(body["personalizations"].([]any)[0].(map[string]any)) }
}

// refusedAsSendGrid checks a refusal in SendGrid's form.
func (a answer) refusedAsSendGrid(status int, field string) (message string) {
	a.t.Helper()
	var got struct {
		Errors []map[string]*string
	}
	a.ok(status, &got)
	if len(got.Errors) != 1 || len(got.Errors[0]) != 3 || got.Errors[0]["message"] == nil {
		a.t.Fatalf("not in SendGrid's form: %s", a.body)
	}
	if name := got.Errors[0]["field"]; (name == nil) != (field == "") || name != nil && *name != field {
		a.t.Errorf("field %q, want %q: %s", *shownOr(name), field, a.body)
	}
	return *got.Errors[0]["message"]
}

func shownOr(s *string) *string {
	if s == nil {
		return pointerTo("null")
	}
	return s
}

func TestSendGridRefusals(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	enabled := map[string]any{"enable": true}
	to := func(emails ...string) (list []any) {
		for _, e := range emails {
			list = append(list, map[string]any{"email": e})
		}
		return list
	}
	for name, c := range map[string]struct {
		change func(map[string]any)
		field  string
	}{
		"no personalization":     {changed("personalizations", []any{}), "personalizations"},
		"too many of them":       {changed("personalizations", make([]any, 1001)), "personalizations"},
		"no recipient":           {onePerson(changed("to", []any{})), "personalizations.0.to"},
		"a bad recipient":        {onePerson(changed("to", to("gavin@example.com", "nobody"))), "personalizations.0.to.1.email"},
		"a bad copy":             {onePerson(changed("cc", to("nobody"))), "personalizations.0.cc.0.email"},
		"too many copies":        {onePerson(changed("bcc", to(strings.Split(strings.Repeat("a@example.com ", 50), " ")[:50]...))), "personalizations.0"},
		"no sender":              {func(b map[string]any) { delete(b, "from") }, "from.email"},
		"a bad sender":           {changed("from", map[string]any{"email": "x"}), "from.email"},
		"a bad sender of one":    {onePerson(changed("from", map[string]any{"email": "x"})), "from.email"},
		"no subject":             {func(b map[string]any) { delete(b, "subject") }, "subject"},
		"no content":             {func(b map[string]any) { delete(b, "content") }, "content"},
		"an empty content":       {changed("content", []any{map[string]any{"type": "text/plain", "value": ""}}), "content.0.value"},
		"a calendar":             {changed("content", []any{map[string]any{"type": "text/calendar", "value": "x"}}), "content.0.type"},
		"twice the same type":    {changed("content", []any{map[string]any{"type": "text/html", "value": "x"}, map[string]any{"type": "text/html", "value": "y"}}), "content.1.type"},
		"a wrong type":           {onePerson(changed("to", []any{map[string]any{"email": 7}})), "personalizations.0.to.0.email"},
		"data that is none":      {onePerson(changed("dynamic_template_data", []any{})), "personalizations.0.dynamic_template_data"},
		"an unknown pool":        {changed("ip_pool_name", "nowhere"), "ip_pool_name"},
		"a reserved header":      {changed("headers", map[string]any{"bcc": "eve@example.com"}), "headers.bcc"},
		"a header in arguments":  {onePerson(changed("custom_args", map[string]any{"To": "eve@example.com"})), "personalizations.0.headers.To"},
		"a header of two lines":  {changed("headers", map[string]any{"X-A": "a\r\nBcc: eve@example.com"}), "headers.X-A"},
		"a category too long":    {changed("categories", []any{strings.Repeat("x", 1001)}), "categories.0"},
		"an attachment":          {changed("attachments", []any{map[string]any{"content": "###", "filename": "a"}}), "attachments.0.content"},
		"an image in the text":   {changed("attachments", []any{map[string]any{"content": "aGk=", "filename": "a", "disposition": "inline", "content_id": "a"}}), "attachments.0.disposition"},
		"two to reply to":        {changed("reply_to_list", to("a@example.com", "b@example.com")), "reply_to_list"},
		"later":                  {changed("send_at", 1900000000), "send_at"},
		"one later":              {onePerson(changed("send_at", 1900000000)), "personalizations.0.send_at"},
		"a batch":                {changed("batch_id", "b"), "batch_id"},
		"a group to unsubscribe": {changed("asm", map[string]any{"group_id": 1}), "asm"},
		"sections":               {changed("sections", map[string]any{"-a-": "b"}), "sections"},
		"a footer":               {changed("mail_settings", map[string]any{"footer": enabled}), "mail_settings.footer"},
		"suppressed ones":        {changed("mail_settings", map[string]any{"bypass_list_management": enabled}), "mail_settings.bypass_list_management"},
		"analytics":              {changed("tracking_settings", map[string]any{"ganalytics": enabled}), "tracking_settings.ganalytics"},
		"a tracking tag":         {changed("tracking_settings", map[string]any{"open_tracking": map[string]any{"enable": true, "substitution_tag": "%o%"}}), "tracking_settings.open_tracking.substitution_tag"},
		"a link to unsubscribe":  {changed("tracking_settings", map[string]any{"subscription_tracking": enabled}), "tracking_settings.subscription_tracking"},
	} {
		w.sendGrid(sendGridBody(c.change)).refusedAsSendGrid(http.StatusBadRequest, c.field)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	w.sendGrid(`{"personalizations":`).refusedAsSendGrid(http.StatusBadRequest, "")
	w.sendGrid(strings.Repeat(" ", mail.MaxRequestBytes+1)).refusedAsSendGrid(http.StatusRequestEntityTooLarge, "")
	w.sendGrid(sendGridBody(nil), "Authorization", "Bearer nobody's").refusedAsSendGrid(http.StatusUnauthorized, "X-SubAccount-ApiKey")
	w.sendGrid(sendGridBody(nil), "Authorization", "Basic "+w.subKey).refusedAsSendGrid(http.StatusUnauthorized, "X-SubAccount-ApiKey")
	if list := w.stored(); len(list) != 0 {
		t.Errorf("%d messages", len(list))
	}
}

// Personalizations that make many large emails of one request are refused before they are made.
func TestSendGridRequestsDoNotGrow(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	w.sendGrid(sendGridBody(func(b map[string]any) {
		var list []any
		for i := range 1000 {
			list = append(list, map[string]any{"to": []any{map[string]any{"email": "gavin@example.com"}}, "subject": fmt.Sprint(i)})
		}
		b["personalizations"] = list
		b["content"] = []any{map[string]any{"type": "text/plain", "value": strings.Repeat("x", 100<<10)}}
	})).refusedAsSendGrid(http.StatusBadRequest, "personalizations")
	w.sendGrid(sendGridBody(func(b map[string]any) { // all the same, but each is work
		var list []any
		for i := range 1000 {
			list = append(list, map[string]any{"to": []any{map[string]any{"email": fmt.Sprintf("u%d@example.com", i)}}, "substitutions": map[string]any{"-name-": "x"}})
		}
		b["personalizations"] = list
		b["content"] = []any{map[string]any{"type": "text/plain", "value": strings.Repeat("x", 100<<10)}}
	})).refusedAsSendGrid(http.StatusBadRequest, "personalizations")
	w.sendGrid(sendGridBody(func(b map[string]any) {
		var list []any
		for i := range 1000 {
			list = append(list, map[string]any{"to": []any{map[string]any{"email": fmt.Sprintf("u%d@example.com", i)}}, "substitutions": map[string]any{"name": "x"}})
		}
		b["personalizations"] = list
		b["content"] = []any{map[string]any{"type": "text/plain", "value": strings.Repeat("x", 100<<10)}}
	}))
	if list := w.stored(); len(list) != 1000 {
		t.Errorf("%d messages", len(list))
	}
}

func TestSendGridSandboxMode(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	only := changed("mail_settings", map[string]any{"sandbox_mode": map[string]any{"enable": true}})
	if a := w.sendGrid(sendGridBody(only)); a.status != 200 || len(a.body) != 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.sendGrid(sendGridBody(func(b map[string]any) { only(b); b["ip_pool_name"] = "nowhere" })).refusedAsSendGrid(400, "ip_pool_name")
	if list := w.stored(); len(list) != 0 {
		t.Errorf("%d messages", len(list))
	}
}

func TestSendGridMailIsRepeatedUnderAKey(t *testing.T) {
	t.Parallel()
	w := rawWorld(t)
	first := w.sendGrid(sendGridBody(nil), "Idempotency-Key", "k")
	again := w.sendGrid(sendGridBody(nil), "Idempotency-Key", "k")
	if first.status != 202 || again.status != 202 || again.header.Get("X-Message-Id") != first.header.Get("X-Message-Id") ||
		again.header.Get("Idempotent-Replayed") != "true" || len(again.body) != 0 {
		t.Errorf("%d %v, then %d %v", first.status, first.header, again.status, again.header)
	}
	w.sendGrid(sendGridBody(changed("subject", "Other")), "Idempotency-Key", "k").refusedAsSendGrid(http.StatusConflict, "Idempotency-Key")
	w.sendGrid(sendGridBody(nil), "Idempotency-Key", "k", "X-IPPool", "postmark-pool").refusedAsSendGrid(http.StatusConflict, "Idempotency-Key")
	w.under("k", sendPath, email("gavin@example.com")).refused(http.StatusConflict, "idempotency_key_reused", "Idempotency-Key")
	if list := w.stored(); len(list) != 1 {
		t.Errorf("%d messages", len(list))
	}
}

// A template is one of the provider's, by its alias; both keys open the door; the pool may come in a header.
func TestSendGridTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	body := sendGridBody(func(b map[string]any) {
		delete(b, "content")
		delete(b, "subject")
		b["template_id"], b["categories"] = "welcome-template", "one"
		onePerson(changed("dynamic_template_data", map[string]any{"name": "Gavin"}))(b)
	})
	a := w.call("POST", sendGridPath+"/", map[string]string{"X-SubAccount-ApiKey": w.subKey, "X-IPPool": "postmark-pool"}, body)
	if a.status != 202 || uuid.Validate(a.header.Get("X-Message-Id")) != nil {
		t.Fatalf("%d %s", a.status, a.body)
	}
	m := w.stored()[0]
	if m.Content.Template != "welcome-template" || m.Content.Pool != "postmark-pool" || string(m.Recipient.CustomFields) != `{"name":"Gavin"}` ||
		len(m.Content.Groups) != 1 {
		t.Errorf("%+v %+v", m.Content, m.Recipient)
	}
	// Without one, a provider that needs templates cannot carry it.
	plain := maps.Clone(body)
	delete(plain, "template_id")
	plain["subject"], plain["content"] = "x", []any{map[string]any{"type": "text/plain", "value": "x"}}
	w.sendGrid(plain).refusedAsSendGrid(400, "template_id")
}
