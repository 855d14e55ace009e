package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox"
)

const (
	serverToken  = "X-Postmark-Server-Token"
	accountToken = "X-Postmark-Account-Token"
)

// PM-sim 1: the API is at the root, without a version, by plain HTTP. That the address is this machine's is tested with the configuration.
func TestTheAPIIsAtTheRoot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if !strings.HasPrefix(b.url, "http://127.0.0.1:") {
		t.Fatalf("served at %s", b.url)
	}
	b.ok(http.MethodGet, "/server", nil)
	for _, prefix := range []string{"/v1", "/api", "/1.0"} {
		if a := b.api(http.MethodGet, prefix+"/server", nil); a.status != http.StatusNotFound {
			t.Errorf("%s/server: %d", prefix, a.status)
		}
	}
}

// PM-sim 4: whatever a call does, and with whichever method, its success is 200 in JSON.
func TestEverySuccessIs200(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.send(nil)
	b.pass()
	b.await(id, "delivery")
	hook := b.ok(http.MethodPost, "/webhooks", object{"Url": "https://example.com/hook"}).field(t, "ID")
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, "/server", nil}, {http.MethodPut, "/server", object{"Color": "red"}},
		{http.MethodPost, "/email", mail(nil)}, {http.MethodPost, "/email/batch", []object{mail(nil)}},
		{http.MethodPost, "/email/withTemplate", templated(nil)}, {http.MethodPost, "/email/batchWithTemplates", object{"Messages": []object{templated(nil)}}},
		{http.MethodPost, "/templates", object{"Name": "n", "Alias": "gone", "Subject": "s", "TextBody": "t"}},
		{http.MethodPut, "/templates/gone", object{"Name": "m"}}, {http.MethodDelete, "/templates/gone", nil},
		{http.MethodPost, "/templates/validate", object{"TextBody": "t"}},
		{http.MethodPost, "/message-streams", object{"ID": "news", "Name": "News", "MessageStreamType": "Broadcasts"}},
		{http.MethodPatch, "/message-streams/news", object{"Name": "Old news"}}, {http.MethodPost, "/message-streams/news/archive", nil},
		{http.MethodPost, "/message-streams/news/unarchive", nil}, {http.MethodGet, "/message-streams", nil},
		{http.MethodPut, fmt.Sprintf("/webhooks/%v", hook), object{"Url": "https://example.com/other"}},
		{http.MethodPost, fmt.Sprintf("/webhooks/%v/verify", hook), nil}, {http.MethodDelete, fmt.Sprintf("/webhooks/%v", hook), nil},
		{http.MethodPost, "/message-streams/outbound/suppressions", object{"Suppressions": []object{{"EmailAddress": "a@example.net"}}}},
		{http.MethodPost, "/message-streams/outbound/suppressions/delete", object{"Suppressions": []object{{"EmailAddress": "a@example.net"}}}},
		{http.MethodGet, "/messages/outbound?count=1&offset=0", nil}, {http.MethodGet, "/messages/outbound/" + id + "/details", nil},
		{http.MethodGet, "/messages/outbound/" + id + "/dump", nil}, {http.MethodGet, "/messages/inbound?count=1&offset=0", nil},
		{http.MethodGet, "/bounces?count=1&offset=0", nil}, {http.MethodGet, "/deliverystats", nil}, {http.MethodGet, "/stats/outbound", nil},
	} {
		b.ok(c.method, c.path, c.body)
	}
}

// PM-sim 2: spelling of paths and query keys, and keys that mean nothing.
func TestPathsAndQueriesIgnoreCase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/server", "/Server/", "/SERVER", "/message-Streams?INCLUDEarchivedstreams=true&nonsense=1"} {
		b.ok(http.MethodGet, path, nil)
	}
	b.ok(http.MethodPost, "/email/withtemplate/", templated(nil))
	b.ok(http.MethodPost, "/Email/WithTemplate", templated(nil))
	got := b.ok(http.MethodGet, "/message-streams?includeArchivedStreams=TRUE", nil).field(t, "TotalCount")
	if got != 4.0 {
		t.Errorf("with archived streams: %v, want 4", got)
	}
}

// PM-sim 3: null, {} and nothing are all no body.
func TestBodiesOfNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, body := range []string{"", "null", "{}"} {
		b.ok(http.MethodGet, "/server", body)
		b.ok(http.MethodPost, "/message-streams/broadcast/archive", body)
		b.ok(http.MethodPost, "/message-streams/broadcast/unarchive", body)
	}
	b.api(http.MethodDelete, "/webhooks/77", "null").want(t, 422, 1352, "The webhook for the provided 'ID' was not found.")
}

// PM-sim 5, 6, 10.
func TestTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const noServer, noAccount = "Request does not contain a valid Server token.", "Request does not contain a valid Account token."
	for name, c := range map[string]struct {
		path, header, token, message string
	}{
		"none":                      {"/server", "X-Other", "x", noServer},
		"wrong":                     {"/server", serverToken, "11111111-2222-4333-8444-555555555555", noServer},
		"account token on a server": {"/server", serverToken, sandbox.DemoAccountToken, noServer},
		"server token on accounts":  {"/servers?count=1&offset=0", accountToken, sandbox.DemoServerToken, noAccount},
		"test token on a server":    {"/server", serverToken, "POSTMARK_API_TEST", noServer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.raw(http.MethodGet, c.path, "", c.header, c.token)
			a.want(t, 401, 10, c.message)
			if a.header.Get("X-PM-ApiErrorCode") != "10" {
				t.Errorf("X-PM-ApiErrorCode %q", a.header.Get("X-PM-ApiErrorCode"))
			}
			if !strings.Contains(a.header.Get("Server"), "simulator") {
				t.Errorf("Server header %q does not say that this is a simulator", a.header.Get("Server"))
			}
		})
	}
	upper := b.raw(http.MethodGet, "/server", "", serverToken, " "+strings.ToUpper(sandbox.DemoServerToken)+" ")
	if upper.status != 200 {
		t.Errorf("token in upper case: %d %s", upper.status, upper.body)
	}
	// None looks like one of Postmark's, whoever made it.
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Real", "token": "11111111-2222-4333-8444-555555555555"}, http.StatusUnprocessableEntity)
	list := b.raw(http.MethodGet, "/servers?count=10&offset=0", "", accountToken, sandbox.DemoAccountToken)
	if list.status != 200 || list.field(t, "TotalCount") != 1.0 {
		t.Errorf("servers: %d %s", list.status, list.body)
	}
}

// PM-sim 7.
func TestBodiesMustBeJSON(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plain := b.raw(http.MethodPost, "/email", text(t, mail(nil)), serverToken, sandbox.DemoServerToken, "Content-Type", "text/plain")
	if plain.status != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %d", plain.status)
	}
	charset := b.raw(http.MethodPost, "/email", text(t, mail(nil)), serverToken, sandbox.DemoServerToken,
		"Content-Type", "application/json; charset=utf-8")
	if charset.status != http.StatusOK {
		t.Errorf("with a charset: %d %s", charset.status, charset.body)
	}
	b.api(http.MethodPost, "/email", `{"From":`).want(t, 422, 402, "Received invalid JSON input.")
	b.api(http.MethodPost, "/email", mail(object{"From": 5})).want(t, 422, 403, "Invalid request field(s): 'From'.")
	b.api(http.MethodPost, "/email", mail(object{"From": 5, "Metadata": object{"a": 1}})).
		want(t, 422, 403, "Invalid request field(s): 'From', 'Metadata'.")
	b.api(http.MethodPost, "/email", mail(object{"Attachments": []object{{"Name": "a.txt", "Content": "%%", "ContentType": "text/plain"}}})).
		want(t, 422, 403, "Invalid request field(s): 'Attachments'.")
	b.api(http.MethodPost, "/email/batch", `{"Messages":[]}`).want(t, 422, 402, "")
	b.api(http.MethodPost, "/email/batchWithTemplates", `[]`).want(t, 422, 402, "")
}

// PM-sim 8.
func TestBodiesTooLarge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large := text(t, mail(object{"TextBody": strings.Repeat("a", 10<<20)}))
	if a := b.api(http.MethodPost, "/email", large); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("/email: %d", a.status)
	}
	if a := b.api(http.MethodPost, "/email/batch", "["+large+"]"); a.status != http.StatusOK || strings.Contains(string(a.body), "MessageID") {
		t.Errorf("a batch may be larger, but its messages may not: %d %s", a.status, a.body)
	}
	larger := "[" + strings.Repeat(large+",", 5) + large + "]"
	if a := b.api(http.MethodPost, "/email/batch", larger); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("/email/batch: %d", a.status)
	}
}

// PM-sim 9.
func TestUnknownRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/nowhere", "/email/batch/more", "/webhooks//verify", "/message-streams/"} {
		want := http.StatusNotFound
		if path == "/message-streams/" {
			want = http.StatusOK
		}
		if a := b.api(http.MethodGet, path, nil); a.status != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := b.api(http.MethodDelete, "/server", nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE /server: %d", a.status)
	}
}

// PM-sim 33: every field of a server, and what an edit makes of it.
func TestServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var got object
	want := object{"ID": 1.0, "Name": "Sandbox", "ApiTokens": []any{sandbox.DemoServerToken}, "Color": "Turqoise", "SmtpApiActivated": true,
		"RawEmailEnabled": false, "DeliveryType": "Live", "ServerLink": "https://www.postmarkapp.com/servers/1/overview",
		"InboundAddress": "sandbox1@inbound.sandbox.test", "InboundHash": "sandbox1", "InboundDomain": "", "InboundHookUrl": "",
		"InboundSpamThreshold": 0.0, "BounceHookUrl": "", "OpenHookUrl": "", "DeliveryHookUrl": "", "ClickHookUrl": "", "PostFirstOpenOnly": false,
		"TrackOpens": true, "TrackLinks": "HtmlAndText", "IncludeBounceContentInHook": false, "EnableSmtpApiErrorHooks": false}
	b.ok(http.MethodGet, "/server", nil).into(t, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	before := b.send(nil)
	edit := object{"Name": "Renamed", "Color": "red", "SmtpApiActivated": false, "RawEmailEnabled": true, "InboundDomain": "in.example.com",
		"InboundHookUrl": "https://example.com/in", "InboundSpamThreshold": 30, "BounceHookUrl": "https://example.com/b",
		"OpenHookUrl": "https://example.com/o", "DeliveryHookUrl": "https://example.com/d", "ClickHookUrl": "https://example.com/c",
		"PostFirstOpenOnly": true, "TrackOpens": false, "TrackLinks": "none", "IncludeBounceContentInHook": true, "EnableSmtpApiErrorHooks": true}
	got = nil
	b.ok(http.MethodPut, "/server", edit).into(t, &got)
	merge(want, edit)
	want["TrackLinks"], want["InboundSpamThreshold"] = "None", 30.0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = nil
	b.ok(http.MethodGet, "/server", nil).into(t, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the edit has not stayed: %s", diff)
	}
	for id, tracked := range map[string]bool{before: true, b.send(nil): false} {
		if got := b.ok(http.MethodGet, "/messages/outbound/"+id+"/details", nil).field(t, "TrackOpens"); got != tracked {
			t.Errorf("TrackOpens %v, want %v: what counts is the server at the time", got, tracked)
		}
	}
	for code, bad := range map[int]object{607: {"Color": "black"}, 608: {"Name": " "}, 611: {"InboundSpamThreshold": 31}, 612: {"TrackLinks": "x"},
		606: {"BounceHookUrl": "nowhere"}, 602: {"InboundDomain": "x y"}, 403: {"TrackOpens": "yes"}} {
		b.api(http.MethodPut, "/server", bad).want(t, 422, code, "")
	}
	b.api(http.MethodPut, "/server", nil).want(t, 422, 609, "")
	if got := b.ok(http.MethodGet, "/server", nil).field(t, "Color"); got != "red" {
		t.Errorf("a refused edit has changed something: %v", got)
	}
}
