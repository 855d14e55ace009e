package sandbox_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox"
)

// grid calls the SendGrid API with the demo key and a JSON body.
func (b *bench) grid(method, path string, body any) answer {
	b.t.Helper()
	return b.raw(method, path, text(b.t, body), "Authorization", "Bearer "+sandbox.DemoSendGridKey, "Content-Type", "application/json")
}

// person is an entry of a list of addresses.
func person(email string) object { return object{"email": email} }

// gridMail is a request with one mail that the sandbox accepts; changes overwrite its fields, and nil removes them.
func gridMail(changes object) object {
	return merge(object{"personalizations": []any{object{"to": []any{person("ana@example.net")}, "custom_args": object{"messageId": "m-1"}}},
		"from": object{"email": "app@example.com", "name": "App"}, "subject": "Hello", "categories": []string{"news"},
		"content": []any{object{"type": "text/plain", "value": "See https://example.com/b."},
			object{"type": "text/html", "value": `<a href="https://example.com/a?x=1&amp;y=2">a</a>`}}}, changes)
}

// gridTo is the same to one address.
func gridTo(email string) object {
	return gridMail(object{"personalizations": []any{object{"to": []any{person(email)}}}})
}

// sendGrid sends a request that must be accepted and returns its id.
func (b *bench) sendGrid(request object) string {
	b.t.Helper()
	a := b.grid(http.MethodPost, "/v3/mail/send", request)
	id := a.header.Get("X-Message-Id")
	if a.status != http.StatusAccepted || len(a.body) > 0 || id == "" {
		b.t.Fatalf("%d %q, id %q", a.status, a.body, id)
	}
	return id
}

// gridHook registers a receiver for all events, signed, and returns its id and the public key.
func (b *bench) gridHook(url string) (id string, key *ecdsa.PublicKey) {
	b.t.Helper()
	a := b.grid(http.MethodPost, "/v3/user/webhooks/event/settings", object{"enabled": true, "url": url, "group_resubscribe": true, "delivered": true,
		"group_unsubscribe": true, "spam_report": true, "bounce": true, "deferred": true, "unsubscribe": true, "processed": true, "open": true,
		"click": true, "dropped": true, "friendly_name": "test"})
	if a.status != http.StatusCreated {
		b.t.Fatalf("%d %s", a.status, a.body)
	}
	id, _ = a.field(b.t, "id").(string)
	signed := b.grid(http.MethodPatch, "/v3/user/webhooks/event/settings/signed/"+id, object{"enabled": true})
	if signed.status != http.StatusOK || signed.field(b.t, "id") != id {
		b.t.Fatalf("%d %s", signed.status, signed.body)
	}
	der, err := base64.StdEncoding.DecodeString(signed.field(b.t, "public_key").(string))
	if err != nil {
		b.t.Fatal(err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		b.t.Fatal(err)
	}
	return id, parsed.(*ecdsa.PublicKey)
}

// events reads a post: a JSON array that ends in CRLF.
func (h hit) events(t *testing.T) (list []object) {
	t.Helper()
	if !strings.HasSuffix(string(h.body), "]\r\n") {
		t.Errorf("%q does not end in CRLF", h.body)
	}
	if err := json.Unmarshal(h.body, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// signedBy tells whether the signature is over the time and the very bytes.
func (h hit) signedBy(key *ecdsa.PublicKey) bool {
	signature, err := base64.StdEncoding.DecodeString(h.header.Get("X-Twilio-Email-Event-Webhook-Signature"))
	sum := sha256.Sum256(append([]byte(h.header.Get("X-Twilio-Email-Event-Webhook-Timestamp")), h.body...))
	return err == nil && ecdsa.VerifyASN1(key, sum[:], signature)
}

// collect takes events, from as many posts as it needs, until there are n.
func (r *receiver) collect(t *testing.T, n int) (list []object) {
	t.Helper()
	for len(list) < n {
		list = append(list, r.next(t).events(t)...)
	}
	return list
}

func names(events []object) (list []string) {
	for _, e := range events {
		list = append(list, e["event"].(string))
	}
	return list
}

// raiseOn asks for an event of a mail.
func (b *bench) raiseOn(id string, wish object) {
	b.t.Helper()
	b.control(http.MethodPost, "/sandbox/messages/"+id+"/events", wish, http.StatusOK)
}

// A mail is accepted with an empty answer, processed at once and delivered after the delay; its events are signed and carry what the mail did.
func TestSendGridMail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	_, key := b.gridHook(r.url)
	id := b.sendGrid(gridMail(nil))
	first := r.next(t)
	b.pass()
	second := r.next(t)
	for _, h := range []hit{first, second} {
		if !h.signedBy(key) || h.header.Get("Content-Type") != "application/json" {
			t.Errorf("%v %s", h.header, h.body)
		}
		h.body = append(h.body, '\n')
		if h.signedBy(key) {
			t.Error("the signature is not over the bytes")
		}
	}
	events := append(first.events(t), second.events(t)...)
	var seen []string
	for i, e := range events {
		seen = append(seen, e["sg_event_id"].(string))
		if !strings.HasPrefix(e["sg_message_id"].(string), id+".") || e["smtp-id"] == nil {
			t.Errorf("event %d: %v", i, e)
		}
		for _, name := range []string{"sg_event_id", "sg_message_id", "smtp-id"} {
			delete(e, name)
		}
	}
	if seen[0] == seen[1] {
		t.Errorf("ids of events: %v", seen)
	}
	want := []object{
		{"email": "ana@example.net", "event": "processed", "timestamp": float64(start.Unix()), "messageId": "m-1", "category": []any{"news"}},
		{"email": "ana@example.net", "event": "delivered", "timestamp": float64(start.Add(sandbox.DefaultDeliveryDelay).Unix()), "messageId": "m-1",
			"category": []any{"news"}, "response": "250 2.0.0 OK", "tls": 1.0, "ip": "167.89.17.173"},
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
	m := b.control(http.MethodGet, "/sandbox/messages?messageId=m-1", nil, http.StatusOK)
	if !strings.Contains(string(m.body), `"id":"`+id+`","provider":"sendgrid"`) || m.field(t, "total") != 1.0 {
		t.Errorf("%s", m.body)
	}
	page := b.raw(http.MethodGet, "/sandbox/mail/"+id, "")
	if page.status != http.StatusOK || !strings.Contains(string(page.body), "Via</dt><dd>sendgrid · SendGrid · default") {
		t.Errorf("%d %s", page.status, page.body)
	}
}

// Each personalization is a mail; its events tell of the addresses of all three fields.
func TestSendGridPersonalizations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.gridHook(r.url)
	id := b.sendGrid(gridMail(object{"custom_args": object{"a": "all", "b": "all"}, "headers": object{"X-A": "1", "X-B": "2"}, "personalizations": []any{
		object{"to": []any{person("ana@example.net")}, "cc": []any{person("cy@example.net")}, "bcc": []any{person("bo@example.net")},
			"custom_args": object{"b": "own"}, "headers": object{"x-b": "own"}, "subject": "Own"},
		object{"to": []any{person("ana@example.net")}, "substitutions": object{"Hello": "Goodbye"}},
	}}))
	events := r.collect(t, 4)
	if got := len(events); got != 4 {
		t.Fatalf("%d events", got)
	}
	var who, ids []string
	for _, e := range events {
		who = append(who, fmt.Sprint(e["email"], e["a"], e["b"]))
		ids = append(ids, e["sg_message_id"].(string))
	}
	if diff := cmp.Diff([]string{"ana@example.netallown", "cy@example.netallown", "bo@example.netallown", "ana@example.netallall"}, who); diff != "" {
		t.Error(diff)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 4 {
		t.Errorf("ids %v", ids)
	}
	one, two := b.message(id), b.message(id+".1")
	if one.Subject != "Own" || two.Subject != "Goodbye" || one.Metadata["b"] != "own" || two.Metadata["b"] != "all" {
		t.Errorf("%+v %+v", one, two)
	}
	if raw := string(b.control(http.MethodGet, "/sandbox/messages/"+id, nil, http.StatusOK).body); !strings.Contains(raw,
		`"headers":[{"name":"X-A","value":"1"},{"name":"x-b","value":"own"}]`) || !strings.Contains(raw, `"bcc":"bo@example.net"`) {
		t.Error(raw)
	}
}

// Addresses with a fate meet it.
func TestSendGridFates(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"ana@example.net": "processed delivered", "HardBounce+1": "processed bounce/bounce/5.1.1", "bounce": "processed bounce/bounce/5.1.1",
		"blocked": "processed bounce/blocked/4.0.0", "SoftBounce": "processed bounce/blocked/4.0.0", "expired": "processed bounce/expired/4.4.7",
		"deferred": "processed deferred/1 delivered", "complaint": "processed delivered spamreport", "unsubscribe": "processed delivered unsubscribe",
		"invalid": "dropped/Invalid", "spam-content": "dropped/Spam Content", "recipient-list-over-package-quota": "dropped/Recipient List over Package Quota",
		"blackhole": "processed delivered",
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := listen(t, nil)
			b.gridHook(r.url)
			if !strings.Contains(address, "@") {
				address += "@bounce.sandbox.test"
			}
			b.sendGrid(gridTo(address))
			var got []string
			for len(got) < len(strings.Fields(strings.ReplaceAll(want, "/", ""))) && strings.Join(got, " ") != want {
				for _, e := range r.next(t).events(t) {
					line := e["event"].(string)
					for _, key := range []string{"type", "status", "attempt"} {
						if e[key] != nil && line != "dropped" {
							line += "/" + e[key].(string)
						}
					}
					if line == "dropped" {
						line += "/" + e["reason"].(string)
					}
					got = append(got, line)
				}
				b.pass()
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%v, want %s", got, want)
			}
		})
	}
}

// What is on a list is accepted and then dropped, with the reason of the list.
func TestSendGridSuppressions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.gridHook(r.url)
	for _, c := range []struct {
		wish   object
		name   string
		reason string
	}{
		{object{"kind": "bounce"}, "bounce", "Bounced Address"}, {object{"kind": "complaint"}, "spamreport", "Spam Reporting Address"},
		{object{"kind": "unsubscribe"}, "unsubscribe", "Unsubscribed Address"}, {object{"kind": "group_unsubscribe"}, "group_unsubscribe", "Unsubscribed Address"},
		{object{"kind": "bounce", "type": "blocked"}, "bounce", ""},
	} {
		to := c.name + fmt.Sprint(len(c.reason)) + "@example.net"
		in := gridTo(to)
		in["asm"] = object{"group_id": 10}
		id := b.sendGrid(in)
		b.pass()
		r.collect(t, 2)
		b.raiseOn(id, c.wish)
		if e := r.collect(t, 1)[0]; e["event"] != c.name {
			t.Errorf("%v", e)
		}
		in["personalizations"].([]any)[0].(object)["to"] = []any{person(strings.ToUpper(to))}
		again := b.sendGrid(in)
		e := r.collect(t, 1)[0]
		if c.reason == "" && e["event"] != "processed" || c.reason != "" && (e["event"] != "dropped" || e["reason"] != c.reason) {
			t.Errorf("%s: %v", c.name, e)
		}
		if c.name == "group_unsubscribe" {
			delete(in, "asm")
			b.sendGrid(in)
			if e := r.collect(t, 1)[0]; e["event"] != "processed" {
				t.Errorf("mail of no group: %v", e)
			}
			b.raiseOn(again, object{"kind": "group_resubscribe"})
			if e := r.collect(t, 1)[0]; e["event"] != "group_resubscribe" || e["asm_group_id"] != 10.0 {
				t.Errorf("%v", e)
			}
			b.pass()
			r.collect(t, 1)
			in["asm"] = object{"group_id": 10}
			b.sendGrid(in)
			if e := r.collect(t, 1)[0]; e["event"] != "processed" {
				t.Errorf("after the resubscription: %v", e)
			}
			b.pass()
			r.collect(t, 1)
		}
		if c.reason == "" {
			b.pass()
			r.collect(t, 1)
		}
		in["mail_settings"] = object{"bypass_list_management": object{"enable": true}}
		b.sendGrid(in)
		if e := r.collect(t, 1)[0]; e["event"] != "processed" {
			t.Errorf("past the lists: %v", e)
		}
		b.pass()
		r.collect(t, 1)
	}
}

// Events that are asked for happen, as often as they are; those that cannot are refused.
func TestSendGridRaise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.gridHook(r.url)
	id := b.sendGrid(gridMail(nil))
	b.pass()
	r.collect(t, 2)
	for _, c := range []struct {
		wish object
		want object
	}{
		{object{"kind": "open"}, object{"event": "open", "sg_machine_open": false, "category": "news"}},
		{object{"kind": "open", "type": "machine"}, object{"event": "open", "sg_machine_open": true}},
		{object{"kind": "click"}, object{"event": "click", "url": "https://example.com/a?x=1&y=2"}},
		{object{"kind": "click"}, object{"event": "click", "url": "https://example.com/a?x=1&y=2"}},
		{object{"kind": "click", "url": "https://example.com/other"}, object{"event": "click", "url": "https://example.com/other"}},
		{object{"kind": "deferred"}, object{"event": "deferred", "attempt": "1"}},
		{object{"kind": "deferred"}, object{"event": "deferred", "attempt": "2"}},
		{object{"kind": "dropped", "type": "spam_content"}, object{"event": "dropped", "reason": "Spam Content", "status": "5.0.0"}},
		{object{"kind": "bounce", "type": "expired"}, object{"event": "bounce", "type": "expired", "bounce_classification": "Technical"}},
		{object{"kind": "complaint", "recipient": "ANA@example.net"}, object{"event": "spamreport", "email": "ana@example.net"}},
	} {
		b.raiseOn(id, c.wish)
		e := r.collect(t, 1)[0]
		for key, value := range c.want {
			if e[key] != value {
				t.Errorf("%v: %s is %v, want %v", c.wish, key, e[key], value)
			}
		}
	}
	untracked := b.sendGrid(gridMail(object{"tracking_settings": object{"click_tracking": object{"enable": false}, "open_tracking": object{"enable": false}}}))
	for path, wish := range map[string]object{
		id: {"kind": "bounce", "type": "lost"}, id + "?": {"kind": "dance"}, untracked: {"kind": "open"}, untracked + "?": {"kind": "click"},
		id + "?a": {"kind": "group_unsubscribe"}, id + "?b": {"kind": "open", "recipient": "bo@example.net"}, id + "?c": {"kind": "dropped", "type": "x"},
	} {
		path, _, _ = strings.Cut(path, "?")
		b.control(http.MethodPost, "/sandbox/messages/"+path+"/events", wish, http.StatusUnprocessableEntity)
	}
}

// What SendGrid refuses, the simulator does, in its words as far as they are known.
func TestSendGridRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := strings.Repeat("x", 256)
	to := func(more object) object {
		return object{"personalizations": []any{merge(object{"to": []any{person("ana@example.net")}}, more)}}
	}
	many := func(n int) (list []any) {
		for i := range n {
			list = append(list, object{"to": []any{person(fmt.Sprintf("r%d@example.net", i))}})
		}
		return list
	}
	categories := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint("c", i))
		}
		return list
	}
	for _, c := range []struct {
		change object
		field  string
		says   string
	}{
		{object{"personalizations": nil}, "personalizations", "must have at least one personalization"},
		{object{"personalizations": []any{}}, "personalizations", "must have at least one personalization"},
		{object{"personalizations": many(1001)}, "personalizations", "limited to 1000 personalizations per API request. You have provided 1001"},
		{object{"personalizations": append(many(999), object{"to": []any{person("a@example.net")}, "cc": []any{person("b@example.net")}})}, "personalizations",
			"There is a limit of 1000 total recipients (to + cc + bcc) per request."},
		{object{"personalizations": []any{object{"cc": []any{person("b@example.net")}}}}, "personalizations.0.to", "The to array is required"},
		{to(object{"to": []any{person("ana")}}), "personalizations.0.to.0.email", "Does not contain a valid address."},
		{to(object{"to": []any{person(strings.Repeat("a", 320) + "@example.net")}}), "personalizations.0.to.0.email", "320 characters"},
		{to(object{"cc": []any{person("ANA@example.net")}}), "personalizations.0",
			"should be unique between to, cc, and bcc. We found the first duplicate instance of [ANA@example.net] in the personalizations.0.cc field."},
		{to(object{"custom_args": object{"a": 1}}), "personalizations.0.custom_args", "must be strings"},
		{to(object{"custom_args": object{}}), "personalizations.0.custom_args", "cannot be empty"},
		{merge(to(object{"custom_args": object{"a": strings.Repeat("x", 5000)}}), object{"custom_args": object{"b": strings.Repeat("x", 5000)}}),
			"personalizations.0.custom_args", "10,000 bytes"},
		{to(object{"subject": ""}), "personalizations.0.subject", "at least one character"},
		{to(object{"substitutions": object{"a": true}}), "personalizations.0.substitutions", "values are all strings"},
		{to(object{"send_at": "soon"}), "personalizations.0.send_at", "Unix timestamp"},
		{to(object{"headers": object{"Subject": "x"}}), "personalizations.0.headers", "reserved keys"},
		{object{"headers": object{"X-SG-EID": "x"}}, "headers", "reserved keys"},
		{object{"headers": object{"X A": "x"}}, "headers", "empty spaces"},
		{object{"headers": object{"X-A": 1}}, "headers", "must be strings"},
		{object{"headers": object{"X-A": "1", "x-a": "2"}}, "headers", "duplicate keys"},
		{object{"from": nil}, "from.email", "must be provided for every email send"},
		{object{"from": person("app")}, "from.email", "valid address"},
		{object{"reply_to": person("app")}, "reply_to.email", "valid address"},
		{object{"subject": nil}, "subject", "The subject is required."},
		{object{"content": nil}, "content", "Unless a valid template_id is provided"},
		{object{"content": []any{object{"type": "text/html", "value": "x"}, object{"type": "text/plain", "value": "x"}}}, "content", "RFC 1341"},
		{object{"content": []any{object{"type": "text/plain", "value": ""}}}, "content.0.value", "at least one character in length"},
		{object{"content": []any{object{"value": "x"}}}, "content.0.type", "A content type is required"},
		{object{"content": []any{object{"type": "text/plain; charset=utf-8", "value": "x"}}}, "content.0.type", "Cannot contain ';'"},
		{object{"template_id": "d-1"}, "template_id", "must be a valid template id"},
		{object{"attachments": []any{object{"content": "NOT BASE64", "filename": "a.txt"}}}, "attachments.0.content", "base64 encoded"},
		{object{"attachments": []any{object{"content": "eA=="}}}, "attachments.0.filename", "filename is required"},
		{object{"attachments": []any{object{"content": "eA==", "filename": "a.txt", "disposition": "hidden"}}},
			"attachments.0.disposition", "You provided hidden."},
		{object{"categories": categories(11)}, "categories", "You provided 11 categories."},
		{object{"categories": []string{long}}, "categories", "255 characters"},
		{object{"categories": []string{"a", "a"}}, "categories", "unique list"},
		{object{"categories": []string{"ä"}}, "categories", "non-ASCII"},
		{object{"categories": "a"}, "categories", "array of strings"},
		{object{"ip_pool_name": "nowhere"}, "ip_pool_name", "You provided nowhere."},
		{object{"asm": object{"group_id": 11}}, "asm.group_id", "You provided 11."},
		{object{"asm": object{"group_id": "ten"}}, "asm.group_id", "must be an integer"},
		{object{"send_at": start.Add(73 * time.Hour).Unix()}, "send_at", "72 hours"},
		{object{"mail_settings": object{"sandbox_mode": object{"enable": "yes"}}}, "mail_settings.sandbox_mode.enable", "boolean"},
		{object{"tracking_settings": object{"click_tracking": object{"enable_text": 1}}}, "tracking_settings.click_tracking.enable_text", "boolean"},
	} {
		a := b.grid(http.MethodPost, "/v3/mail/send", gridMail(c.change))
		if a.status != http.StatusBadRequest || a.header.Get("X-Message-Id") != "" {
			t.Errorf("%s %q: %d %s", c.field, c.says, a.status, a.body)
			continue
		}
		var got struct {
			Errors []struct{ Message, Field, Help string }
		}
		a.into(t, &got)
		if len(got.Errors) != 1 || got.Errors[0].Field != c.field || !strings.Contains(got.Errors[0].Message, c.says) ||
			!strings.HasPrefix(got.Errors[0].Help, "http://sendgrid.com/docs/") {
			t.Errorf("%s %q: %s", c.field, c.says, a.body)
		}
	}
	if a := b.grid(http.MethodPost, "/v3/mail/send", gridMail(object{"subject": "", "content": nil, "from": nil})); len(a.field(t, "errors").([]any)) != 3 {
		t.Errorf("not all that is wrong is listed: %s", a.body)
	}
	if total := b.control(http.MethodGet, "/sandbox/messages", nil, http.StatusOK).field(t, "total"); total != 0.0 {
		t.Errorf("%v mails", total)
	}
}

// Requests that are no good for reasons beside the message.
func TestSendGridTransport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key := []string{"Authorization", "Bearer " + sandbox.DemoSendGridKey}
	asJSON := append(slices.Clone(key), "Content-Type", "application/json")
	good := text(t, gridMail(nil))
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		says               string
	}{
		"no key":       {"POST", "/v3/mail/send", good, nil, 401, "authorization required"},
		"wrong key":    {"POST", "/v3/mail/send", good, []string{"Authorization", "Bearer SG.other"}, 401, "is invalid, expired, or revoked"},
		"no type":      {"POST", "/v3/mail/send", good, key, 415, "Content-Type should be application/json."},
		"no JSON":      {"POST", "/v3/mail/send", "{", asJSON, 400, "Bad Request"},
		"a list":       {"POST", "/v3/mail/send", "[]", asJSON, 400, "Bad Request"},
		"empty":        {"POST", "/v3/mail/send", "", asJSON, 400, "Bad Request"},
		"not UTF-8":    {"POST", "/v3/mail/send", "{\"subject\":\"\xff\"}", asJSON, 415, "Invalid UTF8 in request"},
		"not POST":     {"GET", "/v3/mail/send", "", key, 405, "POST method allowed only"},
		"no such path": {"GET", "/v3/templates", "", key, 404, "not found"},
		"sender":       {"POST", "/v3/mail/send", text(t, gridMail(object{"from": person("a@other.example")})), asJSON, 403, "verified Sender Identity"},
		"too large":    {"POST", "/v3/mail/send", strings.Repeat(" ", 31<<20), asJSON, 413, ""},
		"sandbox mode": {"POST", "/v3/mail/send", text(t, gridMail(object{"mail_settings": object{"sandbox_mode": object{"enable": true}}})), asJSON, 200, ""},
	} {
		a := b.raw(c.method, c.path, c.body, c.header...)
		if a.status != c.status || !strings.Contains(string(a.body), c.says) || c.says == "" && len(a.body) > 0 ||
			!strings.Contains(a.header.Get("Server"), "SendGrid simulator") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	b.control(http.MethodPut, "/sandbox/settings", object{"account": "not-approved"}, http.StatusOK)
	if a := b.grid(http.MethodPost, "/v3/mail/send", gridMail(nil)); a.status != 403 || !strings.Contains(string(a.body), "access forbidden") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := b.grid(http.MethodGet, "/v3/user/profile", nil); a.status != 200 || a.field(t, "company") != "Sandbox" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Faults are the provider's own, and speak its language.
func TestSendGridFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for fault, says := range map[string]string{
		`"status":401`: "revoked", `"status":401,"errorCode":1`: "Maximum credits exceeded", `"status":403`: "verified Sender Identity",
		`"status":403,"errorCode":1`: "access forbidden", `"status":403,"errorCode":2`: "temporary block", `"status":429`: "too many requests", `"status":500`: "",
	} {
		b.control(http.MethodPut, "/sandbox/faults", `[{"provider":"sendgrid","path":"/v3/mail","kind":"status",`+fault+`}]`, http.StatusOK)
		a := b.grid(http.MethodPost, "/v3/mail/send", gridMail(nil))
		if !strings.Contains(fault, fmt.Sprint(a.status)) || !strings.Contains(string(a.body), says) {
			t.Errorf("%s: %d %s", fault, a.status, a.body)
		}
		if reset := a.header.Get("X-RateLimit-Reset"); a.status == 429 && reset != fmt.Sprint(start.Unix()+10) {
			t.Errorf("%v", a.header)
		}
	}
	b.send(nil) // the others have no faults
	b.control(http.MethodPut, "/sandbox/faults", `[{"provider":"sendgrid","kind":"reset_after"}]`, http.StatusOK)
	if a, err := b.try(http.MethodPost, "/v3/mail/send", text(t, gridMail(nil)), "Authorization", "Bearer "+sandbox.DemoSendGridKey,
		"Content-Type", "application/json"); err == nil {
		t.Errorf("%d %s", a.status, a.body)
	}
	if total := b.control(http.MethodGet, "/sandbox/messages", nil, http.StatusOK).field(t, "total"); total != 2.0 {
		t.Errorf("%v mails", total)
	}
}

// Webhooks are made, shown, changed and deleted; one URL has one webhook.
func TestSendGridWebhooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/v3/user/webhooks/event/settings"
	made := b.grid(http.MethodPost, path, object{"url": "http://127.0.0.1:1/a", "delivered": true})
	id, _ := made.field(t, "id").(string)
	if made.status != http.StatusCreated || made.field(t, "enabled") != false || made.field(t, "delivered") != true || made.field(t, "bounce") != false ||
		made.field(t, "public_key") != nil || made.field(t, "created_date") != "2026-03-02T10:00:00Z" {
		t.Errorf("%d %s", made.status, made.body)
	}
	other := b.grid(http.MethodPost, path, object{"url": "http://127.0.0.1:1/b"}).field(t, "id").(string)
	for body, says := range map[string]string{
		`{"url":"http://127.0.0.1:1/a"}`: "already exists. Please provide a unique URL.", `{"url":"nowhere"}`: "'nowhere' is not a valid url",
		`{}`: "is not a valid url", `{"url":5}`: "Bad Request",
	} {
		if a := b.grid(http.MethodPost, path, body); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), says) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if a := b.grid(http.MethodPatch, path+"/"+other, object{"url": "http://127.0.0.1:1/a"}); a.status != 400 || !strings.Contains(string(a.body), id) {
		t.Errorf("%d %s", a.status, a.body)
	}
	changed := b.grid(http.MethodPatch, path+"/"+id, object{"enabled": true, "bounce": true})
	if changed.field(t, "url") != "http://127.0.0.1:1/a" || changed.field(t, "delivered") != true || changed.field(t, "enabled") != true {
		t.Errorf("%d %s", changed.status, changed.body)
	}
	if a := b.grid(http.MethodGet, path+"/signed/"+id, nil); a.status != 200 || a.field(t, "public_key") != "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	key := b.grid(http.MethodPatch, path+"/signed/"+id, object{"enabled": true}).field(t, "public_key")
	if a := b.grid(http.MethodGet, path+"/"+id, nil); key == "" || a.field(t, "public_key") != key {
		t.Errorf("%s", a.body)
	}
	if a := b.grid(http.MethodPatch, path+"/signed/"+id, object{"enabled": false}); a.field(t, "public_key") != "" {
		t.Errorf("%s", a.body)
	}
	list := b.grid(http.MethodGet, path+"/all", nil)
	if hooks := list.field(t, "webhooks").([]any); len(hooks) != 2 || hooks[0].(object)["id"] != id || list.field(t, "max_allowed") != 5.0 {
		t.Errorf("%s", list.body)
	}
	if a := b.grid(http.MethodGet, path, nil); a.field(t, "id") != id { // the oldest
		t.Errorf("%s", a.body)
	}
	for i := range 3 {
		b.grid(http.MethodPost, path, object{"url": fmt.Sprintf("http://127.0.0.1:1/more%d", i)})
	}
	if a := b.grid(http.MethodPost, path, object{"url": "http://127.0.0.1:1/many"}); a.status != 400 || !strings.Contains(string(a.body), "maximum number of webhooks") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := b.grid(http.MethodDelete, path+"/"+id, nil); a.status != http.StatusNoContent || len(a.body) > 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if a := b.grid(method, path+"/"+id, nil); a.status != http.StatusNotFound || !strings.Contains(string(a.body), "Invalid id provided.") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// A webhook hears of what it has enabled, and of nothing while it is disabled itself; a test reaches it all the same.
func TestSendGridTriggers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, off := listen(t, nil), listen(t, nil)
	const path = "/v3/user/webhooks/event/settings"
	b.grid(http.MethodPost, path, object{"url": r.url, "enabled": true, "delivered": true, "spam_report": true})
	id := b.grid(http.MethodPost, path, object{"url": off.url, "delivered": true, "processed": true}).field(t, "id").(string)
	mail := b.sendGrid(gridMail(nil))
	b.until(mail, func(m message) bool { return len(m.Events) == 1 })
	b.pass()
	if got := r.collect(t, 1); got[0]["event"] != "delivered" {
		t.Errorf("%v", got)
	}
	b.raiseOn(mail, object{"kind": "open"})
	b.raiseOn(mail, object{"kind": "complaint"})
	if got := r.collect(t, 1); got[0]["event"] != "spamreport" {
		t.Errorf("%v", got)
	}
	if a := b.grid(http.MethodPost, "/v3/user/webhooks/event/test", object{"id": id, "url": off.url}); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.body)
	}
	want := []string{"processed", "deferred", "delivered", "open", "click", "bounce", "dropped", "spamreport", "unsubscribe", "group_unsubscribe",
		"group_resubscribe"}
	if diff := cmp.Diff(want, names(off.next(t).events(t))); diff != "" {
		t.Error(diff)
	}
	result := b.control(http.MethodPost, "/sandbox/hooks/2/test?server=SendGrid", object{"trigger": "bounce"}, http.StatusOK)
	if got := names(off.next(t).events(t)); len(got) != 1 || got[0] != "bounce" || result.field(t, "success") != true {
		t.Errorf("%v %s", got, result.body)
	}
	b.control(http.MethodPost, "/sandbox/hooks/2/verify?server=SendGrid", nil, http.StatusUnprocessableEntity)
	b.control(http.MethodPost, "/sandbox/hooks/7/test?server=SendGrid", nil, http.StatusNotFound)
	if list := b.control(http.MethodGet, "/sandbox/hooks", nil, http.StatusOK).field(t, "hooks").([]any); len(list) != 2 || list[1].(object)["status"] != "disabled" {
		t.Errorf("%v", list)
	}
	if page := b.raw(http.MethodGet, "/sandbox/hook", ""); page.status != http.StatusOK || !strings.Contains(string(page.body), off.url) {
		t.Errorf("%d %s", page.status, page.body)
	}
}

// What is not answered with a 2xx is posted again, the same bytes, for 24 h.
func TestSendGridRetries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, func(hit) int { return http.StatusBadRequest })
	b.gridHook(r.url)
	id := b.sendGrid(gridTo("invalid@bounce.sandbox.test"))
	first := r.next(t)
	tries := 1
	for over := start.Add(25 * time.Hour); b.clock.Now().Before(over); tries++ {
		var attempts struct {
			Attempts []struct {
				Verdict   string
				MessageID string
				NextTryAt time.Time
			}
		}
		b.eventually(func() bool {
			b.control(http.MethodGet, "/sandbox/webhooks", nil, http.StatusOK).into(t, &attempts)
			return len(attempts.Attempts) == tries
		})
		last := attempts.Attempts[0]
		if last.MessageID != id {
			t.Errorf("%+v", last)
		}
		if last.Verdict == "given up" {
			break
		}
		b.clock.Advance(last.NextTryAt.Sub(b.clock.Now()))
		if again := r.next(t); string(again.body) != string(first.body) || !objects(again.header, first.header) {
			t.Errorf("%s, then %s", first.body, again.body)
		}
	}
	if after := b.clock.Now().Sub(start); after != 24*time.Hour || tries != 10 {
		t.Errorf("given up after %v and %d tries", after, tries)
	}
	b.settled(id)
}

// objects compares the signed headers of two posts.
func objects(a, b http.Header) bool {
	const name = "X-Twilio-Email-Event-Webhook-Signature"
	return a.Get(name) == b.Get(name) && a.Get(name) != ""
}

// eventually asks until it is so.
func (b *bench) eventually(so func() bool) {
	b.t.Helper()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-time.After(time.Millisecond): // the sandbox needs the processor more
		case <-deadline:
			b.t.Fatal("it did not come to be")
		}
	}
}

// The sandbox's settings hold here too.
func TestSendGridSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.gridHook(r.url)
	set := func(settings object) {
		b.control(http.MethodPut, "/sandbox/settings?server=SendGrid", settings, http.StatusOK)
	}

	set(object{"webhookBeforeAnswer": true, "openDelivered": true})
	b.sendGrid(gridMail(nil))
	if got := len(r.events); got != 1 { // with all that happened
		t.Errorf("%d posts before the answer", got)
	}
	if got := names(r.collect(t, 3)); !slices.Equal(got, []string{"processed", "delivered", "open"}) {
		t.Errorf("%v", got)
	}

	set(object{"webhookBeforeAnswer": false, "openDelivered": false, "duplicateWebhooks": true})
	b.sendGrid(gridTo("invalid@bounce.sandbox.test"))
	if one, two := r.next(t), r.next(t); string(one.body) != string(two.body) {
		t.Errorf("%s, then %s", one.body, two.body)
	}

	set(object{"duplicateWebhooks": false, "dropWebhooks": true})
	silent := b.sendGrid(gridTo("invalid@bounce.sandbox.test"))
	b.await(silent, "dropped")

	set(object{"dropWebhooks": false, "batchWebhooksMs": 1000})
	for range 3 {
		last := b.sendGrid(gridMail(nil))
		b.await(last, "processed")
	}
	b.clock.Advance(500 * time.Millisecond)
	b.eventually(func() bool {
		return strings.Count(string(b.control(http.MethodGet, "/sandbox/messages", nil, http.StatusOK).body), `"kind":"delivery"`) == 4
	})
	b.clock.Advance(500 * time.Millisecond)
	if got := names(r.next(t).events(t)); len(got) != 6 || got[0] != "processed" || got[5] != "delivered" {
		t.Errorf("%v", got)
	}

	set(object{"batchWebhooksMs": 0, "lateWebhooks": "Processed", "lateWebhooksMs": 5000})
	late := b.sendGrid(gridMail(nil))
	b.await(late, "processed")
	b.pass()
	if got := r.next(t).events(t); got[0]["event"] != "delivered" {
		t.Errorf("%v", got)
	}
	b.clock.Advance(5 * time.Second)
	if got := r.next(t).events(t); got[0]["event"] != "processed" {
		t.Errorf("%v", got)
	}
}

// A mail that is to leave later is processed now and delivered then.
func TestSendGridSendAt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.gridHook(r.url)
	id := b.sendGrid(gridMail(object{"send_at": start.Add(time.Hour).Unix()}))
	r.collect(t, 1)
	b.clock.Advance(time.Hour - time.Second)
	if m := b.message(id); len(m.Events) != 1 {
		t.Errorf("%+v", m)
	}
	b.clock.Advance(time.Second)
	if got := r.collect(t, 1); got[0]["event"] != "delivered" {
		t.Errorf("%v", got)
	}
}

// Everything that was acknowledged is there after a kill; steps and posts that were due are made, signed with the same key.
func TestSendGridKillAndRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := setup(t, in(dir))
	status := http.StatusOK
	r := listen(t, func(hit) int { return status })
	hookID, key := before.gridHook(r.url)
	gone := before.sendGrid(gridTo("bounce@bounce.sandbox.test"))
	before.pass()
	r.collect(t, 2)
	before.settled(gone)
	many := before.sendGrid(gridMail(object{"attachments": []any{object{"content": "aGk=", "filename": "a.txt", "type": "text/plain"}}, "personalizations": []any{
		object{"to": []any{person("ana@example.net")}, "custom_args": object{"messageId": "one"}},
		object{"to": []any{person("bo@example.net")}, "custom_args": object{"messageId": "two"}}}}))
	r.collect(t, 2)
	before.settled(many + ".1")
	var wanted []answer
	for _, id := range []string{gone, many, many + ".1"} {
		wanted = append(wanted, before.control(http.MethodGet, "/sandbox/messages/"+id, nil, http.StatusOK))
	}

	after := setup(t, in(killed(t, dir, `{"mails":[{"id":"half`)))
	for i, id := range []string{gone, many, many + ".1"} {
		if got := after.control(http.MethodGet, "/sandbox/messages/"+id, nil, http.StatusOK); string(got.body) != string(wanted[i].body) {
			t.Errorf("%s, was %s", got.body, wanted[i].body)
		}
	}
	if total := after.control(http.MethodGet, "/sandbox/messages?messageId=two", nil, http.StatusOK).field(t, "total"); total != 1.0 {
		t.Errorf("%v mails by the gateway's id", total)
	}
	after.pass()
	h := r.next(t)
	events := h.events(t)
	if len(events) == 1 {
		events = append(events, r.next(t).events(t)...)
	}
	if got := names(events); !slices.Equal(got, []string{"delivered", "delivered"}) || !h.signedBy(key) {
		t.Errorf("%v", got)
	}
	after.settled(many)
	after.sendGrid(gridTo("bounce@bounce.sandbox.test"))
	if e := r.collect(t, 1)[0]; e["event"] != "dropped" || e["reason"] != "Bounced Address" {
		t.Errorf("the list is lost: %v", e)
	}
	if a := after.grid(http.MethodDelete, "/v3/user/webhooks/event/settings/"+hookID, nil); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A post that was not taken before a kill is made after it.
func TestSendGridPendingPost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := setup(t, in(dir))
	refused := listen(t, func(hit) int { return http.StatusServiceUnavailable })
	before.gridHook(refused.url)
	id := before.sendGrid(gridTo("invalid@bounce.sandbox.test"))
	first := refused.next(t)
	after := setup(t, in(killed(t, dir, "")))
	again := refused.next(t)
	if string(again.body) != string(first.body) {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	if m := after.message(id); len(m.Events) != 1 || m.Events[0].WebhooksPending != 1 {
		t.Errorf("%+v", m)
	}
}

// A reset forgets mails, lists and what waits, but keeps the webhooks and their keys, unless they are to go too.
func TestSendGridReset(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	r := listen(t, nil)
	id, key := b.gridHook(r.url)
	b.sendGrid(gridTo("bounce@bounce.sandbox.test"))
	b.pass()
	r.collect(t, 2)
	b.control(http.MethodPut, "/sandbox/settings", object{"batchWebhooksMs": 100}, http.StatusOK)
	held := b.sendGrid(gridMail(nil))
	b.await(held, "processed")
	b.reset()
	b.clock.Advance(time.Second)
	for _, dir := range []string{"", killed(t, dir, "")} {
		b := b
		if dir != "" {
			b = setup(t, in(dir))
		}
		mail := b.sendGrid(gridTo("bounce@bounce.sandbox.test"))
		h := r.next(t)
		if e := h.events(t)[0]; e["event"] != "processed" || !strings.HasPrefix(e["sg_message_id"].(string), mail) || !h.signedBy(key) {
			t.Errorf("%v", e)
		}
		if a := b.grid(http.MethodGet, "/v3/user/webhooks/event/settings/"+id, nil); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	b.control(http.MethodPost, "/sandbox/reset?webhooks=true", nil, http.StatusOK)
	if list := b.grid(http.MethodGet, "/v3/user/webhooks/event/settings/all", nil).field(t, "webhooks").([]any); len(list) != 0 {
		t.Errorf("%v", list)
	}
}

// A seeded sandbox gives the same ids for the same calls, again after a reset.
func TestSendGridSeed(t *testing.T) {
	t.Parallel()
	seeded := func(cfg *sandbox.Config) { cfg.Seed = 7 }
	one, two := setup(t, seeded), setup(t, seeded)
	first := one.sendGrid(gridMail(nil))
	if other := two.sendGrid(gridMail(nil)); other != first {
		t.Errorf("%s and %s", first, other)
	}
	one.reset()
	if again := one.sendGrid(gridMail(nil)); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if random := setup(t).sendGrid(gridMail(nil)); random == first {
		t.Error("without a seed ids repeat")
	}
}

// Sends, resets and events at once leave nothing behind that goes on for ever.
func TestSendGridAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.gridHook(r.url)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				a, err := b.try(http.MethodPost, "/v3/mail/send", text(t, gridMail(nil)), "Authorization", "Bearer "+sandbox.DemoSendGridKey,
					"Content-Type", "application/json")
				if err != nil || a.status != http.StatusAccepted {
					t.Errorf("%v %d", err, a.status)
				}
			}
		})
	}
	all.Go(func() {
		for range 5 {
			b.clock.Advance(sandbox.DefaultDeliveryDelay)
			if a, err := b.try(http.MethodPost, "/sandbox/reset", ""); err != nil || a.status != http.StatusOK {
				t.Errorf("%v %d", err, a.status)
			}
		}
	})
	all.Wait()
	b.reset()
	last := b.sendGrid(gridTo("last@example.net"))
	b.pass()
	b.await(last, "delivery")
	b.settled(last)
}

// The largest request is taken, kept, and reported in few posts.
func TestSendGridLargest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	r := listen(t, nil)
	_, key := b.gridHook(r.url)
	var all []any
	for i := range 1000 {
		all = append(all, object{"to": []any{person(fmt.Sprintf("r%d@example.net", i))}, "custom_args": object{"messageId": fmt.Sprint(i)}})
	}
	large := strings.Repeat("YWFh", 1<<18)
	b.sendGrid(gridMail(object{"personalizations": all, "attachments": []any{object{"content": large, "filename": "a.txt"}}}))
	seen := map[any]bool{}
	for len(seen) < len(all) {
		h := r.next(t)
		events := h.events(t)
		if len(events) != 500 || !h.signedBy(key) {
			t.Errorf("%d events in a post", len(events))
		}
		for _, e := range events {
			seen[e["messageId"]] = true
		}
	}
	file, err := os.Stat(filepath.Join(dir, "sandbox.ndjson"))
	if err != nil || file.Size() > 3<<20 { // the attachment is kept once
		t.Errorf("%v, %d bytes", err, file.Size())
	}
	if total := setup(t, in(killed(t, dir, ""))).control(http.MethodGet, "/sandbox/messages?messageId=999", nil, http.StatusOK).field(t, "total"); total != 1.0 {
		t.Errorf("%v mails after a kill", total)
	}
}
