package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox"
)

func TestControlMessages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 5 {
		b.ok(http.MethodPost, "/email/withTemplate", templated(object{"To": fmt.Sprintf("Ana <Ana%d@example.net>", i%2), "Tag": "t",
			"Cc": "c@example.net", "Metadata": object{"messageId": fmt.Sprint("m", i)}, "ReplyTo": "r@example.com",
			"Headers": []object{{"Name": "X-A", "Value": "1"}}, "TemplateModel": object{"name": "Ana"}}))
	}
	var list struct {
		Total    int
		Messages []object
	}
	for query, want := range map[string][]string{
		"":                                  {"m0", "m1", "m2", "m3", "m4"},
		"?to=ana1@EXAMPLE.net":              {"m1", "m3"},
		"?to=c@example.net":                 {"m0", "m1", "m2", "m3", "m4"},
		"?messageId=m2":                     {"m2"},
		"?messageId=m2&to=ana0@example.net": {"m2"},
		"?messageId=m2&to=ana1@example.net": nil,
		"?to=nobody@example.net":            nil,
		"?limit=2&offset=1":                 {"m1", "m2"},
		"?limit=2000&offset=4":              {"m4"},
		"?limit=0":                          nil,
	} {
		list.Messages = nil
		b.control(http.MethodGet, "/sandbox/messages"+query, nil, 200).into(t, &list)
		var got []string
		for _, m := range list.Messages {
			got = append(got, m["metadata"].(object)["messageId"].(string))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	list.Messages = nil
	b.control(http.MethodGet, "/sandbox/messages?messageId=m1", nil, 200).into(t, &list)
	got := list.Messages[0]
	want := object{"provider": "postmark", "server": "Sandbox", "stream": "outbound", "from": "app@example.com", "to": "Ana <Ana1@example.net>",
		"cc": "c@example.net", "bcc": "", "subject": "Welcome", "tag": "t", "metadata": object{"messageId": "m1"},
		"headers": []any{object{"name": "X-A", "value": "1"}}, "replyTo": "r@example.com", "templateAlias": "welcome-template",
		"model": object{"name": "Ana"}, "trackOpens": true, "trackLinks": "HtmlAndText", "receivedAt": "2026-03-02T10:00:00Z", "events": []any{},
		"attachments": []any{}}
	for _, key := range []string{"id", "text", "html"} {
		if got[key] == "" || got[key] == nil {
			t.Errorf("no %s", key)
		}
		delete(got, key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"limit=2001", "limit=-1", "limit=x", "offset=-1"} {
		b.control(http.MethodGet, "/sandbox/messages?"+bad, nil, 400)
	}
	b.control(http.MethodGet, "/sandbox/messages/nope", nil, 404)
}

// Arrivals are those of the list of messages, in its order.
func TestArrivals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []object
	for i := range 3 {
		id := b.send(object{"Metadata": object{"MessageID": fmt.Sprint("m", i)}})
		want = append(want, object{"id": id, "messageId": fmt.Sprint("m", i), "receivedAt": "2026-03-02T10:00:00Z"})
	}
	var list struct {
		Total    int
		Arrivals []object
	}
	b.control(http.MethodGet, "/sandbox/arrivals?limit=10000&offset=1", nil, 200).into(t, &list)
	if diff := cmp.Diff(want[1:], list.Arrivals); diff != "" || list.Total != 3 {
		t.Errorf("of %d: %s", list.Total, diff)
	}
	for _, bad := range []string{"limit=10001", "offset=x"} {
		b.control(http.MethodGet, "/sandbox/arrivals?"+bad, nil, 400)
	}
}

func TestSettingsAreCheckedAndMerged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.control(http.MethodPut, "/sandbox/settings", object{"deliveryDelayMs": 50}, 200)
	if got.field(t, "deliveryDelayMs") != 50.0 || got.field(t, "searchLagMs") != 0.0 {
		t.Errorf("%s", got.body)
	}
	b.control(http.MethodPut, "/sandbox/settings", object{"searchLagMs": 10}, 200)
	if got := b.control(http.MethodGet, "/sandbox/settings", nil, 200); got.field(t, "deliveryDelayMs") != 50.0 {
		t.Errorf("a setting that was not named has changed: %s", got.body)
	}
	for bad, want := range map[string]string{`{"degraded":"yes"}`: "degraded must be true or false, got a string",
		`{"speed":1}`: `unknown field \"speed\"; known are deliveryDelayMs,`, `{"searchLagMs":1.5}`: "searchLagMs must be a whole number, got 1.5"} {
		if a := b.control(http.MethodPut, "/sandbox/settings", bad, 400); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s does not say %s", bad, a.body, want)
		}
	}
	for _, bad := range []string{`{"deliveryDelayMs":-1}`, `{"searchLagMs":86400001}`, `{"sendLatencyMs":60001}`, `{"speed":1}`, `{"degraded":"yes"}`, `{"account":"rich"}`, `x`,
		`{"retryLadder":"ten"}`, `{"retryLadder":""}`, `{"retryLadder":"25h"}`, `{"retryLadder":"-1s"}`, `{"retryLadder":"` + strings.Repeat("1s,", 20) + `1s"}`,
		`{"webhookTimeoutMs":0}`, `{"webhookTimeoutMs":600001}`, `{"webhookDates":"long"}`, `{"lateWebhooks":"Delivery,Sneeze"}`, `{"lateWebhooksMs":-1}`,
		`{"batchWebhooksMs":-1}`, `{"batchWebhooksMs":86400001}`,
		`{"pauseAfterFailures":-1}`, `{"probeWebhooks":1}`} {
		if a := b.control(http.MethodPut, "/sandbox/settings", bad, 400); !strings.Contains(string(a.body), "settings") {
			t.Errorf("%s: %s", bad, a.body)
		}
	}
}

// What the program chose for the start is among the settings, and is what a reset goes back to.
func TestLadderOfTheStart(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.RetryLadder = []time.Duration{time.Second, 90 * time.Minute} })
	none := setup(t, func(cfg *sandbox.Config) { cfg.RetryLadder = []time.Duration{} })
	for b, want := range map[*bench]string{b: "1s,1h30m0s", none: "none", setup(t): "nine"} {
		b.control(http.MethodPut, "/sandbox/settings", object{"retryLadder": "six"}, 200)
		b.reset()
		if got := b.control(http.MethodGet, "/sandbox/settings", nil, 200).field(t, "retryLadder"); got != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

// A page of another site cannot drive the control API from a browser.
func TestControlRefusesOtherSites(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.raw(http.MethodPost, "/sandbox/reset", "", "Sec-Fetch-Site", "cross-site")
	if problem, _ := a.field(t, "error").(string); a.status != http.StatusForbidden || !strings.Contains(problem, "another site") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What the control API does not have is refused in JSON, as all it says.
func TestControlUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow, text  string
	}{
		{http.MethodGet, "/sandbox/nothing", 404, "", "there is no /sandbox/nothing"},
		{http.MethodPost, "/sandbox/messages/a/b/c", 404, "", "there is no"},
		{http.MethodGet, "/sandbox/reset", 405, "POST", "/sandbox/reset takes POST, not GET"},
		{http.MethodPost, "/sandbox/faults", 405, "DELETE, GET, HEAD, PUT", "/sandbox/faults takes"},
		{http.MethodDelete, "/sandbox", 405, "GET, HEAD", "not DELETE"},
	} {
		a := b.control(c.method, c.path, nil, c.status)
		problem, _ := a.field(t, "error").(string)
		if !strings.Contains(problem, c.text) || a.header.Get("Allow") != c.allow || a.header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s %s: %q, Allow %q, %s", c.method, c.path, problem, a.header.Get("Allow"), a.header.Get("Content-Type"))
		}
	}
}
