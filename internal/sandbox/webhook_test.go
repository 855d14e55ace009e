package sandbox_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox/hook"
)

// five are the triggers of the gateway.
func five() object {
	on := object{"Enabled": true}
	return object{"Open": on, "Click": on, "Delivery": on, "Bounce": on, "SpamComplaint": on}
}

// PM-sim 35, 47: one probe per enabled trigger; all must answer 200, else nothing is saved.
func TestRegistrationHandshake(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := listen(t, nil)
	a := b.ok(http.MethodPost, "/webhooks", object{"Url": good.url, "Triggers": five(), "HttpAuth": object{"Username": "u", "Password": "p"}})
	if a.field(t, "Status") != "verified" || a.field(t, "MessageStream") != "outbound" {
		t.Errorf("%s", a.body)
	}
	seen := map[string]bool{}
	for range 5 {
		h := good.next(t)
		seen[h.json(t)["RecordType"].(string)] = true
		if user := h.header.Get("Authorization"); user != "Basic "+base64.StdEncoding.EncodeToString([]byte("u:p")) {
			t.Errorf("Authorization %q", user)
		}
	}
	if len(seen) != 5 || len(good.events) != 0 {
		t.Errorf("probed %v, and %d more", seen, len(good.events))
	}

	bad := listen(t, func(h hit) int {
		if strings.Contains(string(h.body), `"RecordType":"Bounce"`) {
			return http.StatusNoContent
		}
		return http.StatusOK
	})
	refused := b.api(http.MethodPost, "/webhooks", object{"Url": bad.url, "Triggers": object{
		"Delivery": object{"Enabled": true}, "Bounce": object{"Enabled": true}}})
	if refused.status != 422 || refused.header.Get("X-PM-ApiErrorCode") != "1364" {
		t.Fatalf("%d %s %s", refused.status, refused.header, refused.body)
	}
	var body struct {
		ID      int    `json:"Id"`
		URL     string `json:"Url"`
		Success bool
		Results []struct {
			TriggerType string
			Success     bool
			StatusCode  int
			Message     string
		}
		Message string
	}
	refused.into(t, &body)
	if body.Success || body.URL != bad.url || body.Message != "1/2 triggers verified successfully" || len(body.Results) != 2 ||
		body.Results[1].TriggerType != "Bounce" || body.Results[1].Message != "Remote server returned an HTTP status code of 204." {
		t.Errorf("%+v", body)
	}
	var list struct{ Webhooks []object }
	b.ok(http.MethodGet, "/webhooks", nil).into(t, &list)
	if len(list.Webhooks) != 1 {
		t.Errorf("%d webhooks, want only the verified one", len(list.Webhooks))
	}
}

// PM-sim 35: an edit that does not verify leaves the old webhook.
func TestEditKeepsTheOldWebhookWhenProbesFail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := listen(t, nil)
	id := b.hook(good, five())
	bad := listen(t, func(hit) int { return http.StatusInternalServerError })
	path := fmt.Sprintf("/webhooks/%d", id)
	if a := b.api(http.MethodPut, path, object{"Url": bad.url}); a.status != 422 || a.header.Get("X-PM-ApiErrorCode") != "1364" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := b.ok(http.MethodGet, path, nil).field(t, "Url"); got != good.url {
		t.Errorf("Url is %v", got)
	}
}

// PM-sim 35: saved unverified, it gets nothing until it is verified.
func TestUnverifiedWebhook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var up atomic.Bool
	r := listen(t, func(hit) int {
		if up.Load() {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable
	})
	a := b.ok(http.MethodPost, "/webhooks", object{"Url": r.url, "Triggers": five(), "Verify": false})
	if a.field(t, "Status") != "unverified" || len(r.events) != 0 {
		t.Fatalf("%s, %d probes", a.body, len(r.events))
	}
	path := fmt.Sprintf("/webhooks/%v", a.field(t, "ID"))
	first := b.send(nil)
	b.pass()
	b.await(first, "delivery")
	if got := b.ok(http.MethodPost, path+"/verify", nil).field(t, "Success"); got != false {
		t.Errorf("verified although every probe failed")
	}
	r.drain(t, 5)
	up.Store(true)
	if got := b.ok(http.MethodPost, path+"/verify", "null").field(t, "Message"); got != "5/5 triggers verified successfully" {
		t.Errorf("%v", got)
	}
	r.drain(t, 5)
	second := b.send(nil)
	b.pass()
	if got := r.next(t).json(t)["MessageID"]; got != second {
		t.Errorf("event of %v, want of %s: an unverified webhook must hear nothing", got, second)
	}
}

// PM-sim 35, 39: a host that is not this machine is never called, not even to probe it.
func TestOtherHostsAreNeverCalled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.ok(http.MethodPost, "/webhooks", object{"Url": "https://hooks.example.com/pm", "Triggers": five()})
	if a.field(t, "Status") != "verified" {
		t.Errorf("%s", a.body)
	}
	id := b.send(nil)
	b.pass()
	for {
		var list struct{ Attempts []hook.Attempt }
		b.control(http.MethodGet, "/sandbox/webhooks", nil, 200).into(t, &list)
		if len(list.Attempts) == 0 {
			continue
		}
		got := list.Attempts[0]
		if got.MailID != id || got.Verdict != hook.Refused || got.Status != 0 || !strings.Contains(got.Error, "only calls hosts on this machine") {
			t.Errorf("%+v", got)
		}
		break
	}
	if got := b.statistics(int(a.field(t, "ID").(float64))).Metrics; got != (counts{}) {
		t.Errorf("counted as tries: %+v", got)
	}
}

// PM-sim 34.
func TestWebhookRules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	url := r.url
	for name, c := range map[string]struct {
		body any
		code int
	}{
		"no body":         {"", 1355},
		"no URL":          {object{"Triggers": five()}, 1354},
		"bad URL":         {object{"Url": "ftp://x"}, 1354},
		"id on create":    {object{"Url": url, "ID": 1}, 1356},
		"unknown stream":  {object{"Url": url, "MessageStream": "nope"}, 1226},
		"inbound stream":  {object{"Url": url, "MessageStream": "inbound"}, 1351},
		"archived stream": {object{"Url": url, "MessageStream": "retired"}, 1350},
		"header name":     {object{"Url": url, "HttpHeaders": []object{{"Name": "X Y", "Value": "1"}}}, 1358},
		"inbound trigger": {object{"Url": url, "Triggers": object{"Inbound": object{"Enabled": true}}}, 1353},
		"SMTP trigger":    {object{"Url": url, "Triggers": object{"SmtpApiError": object{"Enabled": true}}}, 1353},
		"header value":    {object{"Url": url, "HttpHeaders": []object{{"Name": "X-Y", "Value": "1\n2"}}}, 1361},
		"user name":       {object{"Url": url, "HttpAuth": object{"Username": "a:b", "Password": "p"}}, 1361},
		"password":        {object{"Url": url, "HttpAuth": object{"Username": "a", "Password": "p\n"}}, 1361},
		"status":          {object{"Url": url, "Status": "great"}, 1362},
		"status set":      {object{"Url": url, "Status": "verified"}, 1363},
		"wrong type":      {object{"Url": 5}, 403},
	} {
		b.api(http.MethodPost, "/webhooks", c.body).want(t, 422, c.code, "")
		t.Log(name)
	}
	id := b.hook(r, five())
	path := fmt.Sprintf("/webhooks/%d", id)
	b.api(http.MethodPut, path, object{"MessageStream": "broadcast"}).want(t, 422, 1357, "")
	b.api(http.MethodPut, path, object{"Status": "paused"}).want(t, 422, 1362, "")
	b.api(http.MethodPut, path, object{"Status": "unverified"}).want(t, 422, 1363, "")
	b.api(http.MethodPut, path, object{"Triggers": object{"Inbound": object{"Enabled": true}}}).want(t, 422, 1353, "")
	b.ok(http.MethodPut, path+"?verify=false", object{"Triggers": object{"Inbound": object{"Enabled": false}, "Unknown": 5}})
	edited := b.ok(http.MethodPut, path, object{"Triggers": object{"Open": object{"PostFirstOpenOnly": true}, "Click": object{"Enabled": false}}})
	r.drain(t, 4)
	want := object{"Open": object{"Enabled": true, "PostFirstOpenOnly": true}, "Click": object{"Enabled": false},
		"Delivery": object{"Enabled": true}, "Bounce": object{"Enabled": true, "IncludeContent": false},
		"SpamComplaint": object{"Enabled": true, "IncludeContent": false}, "SubscriptionChange": object{"Enabled": false}}
	if diff := cmp.Diff(want, edited.field(t, "Triggers")); diff != "" {
		t.Error(diff)
	}
	for range 9 {
		b.ok(http.MethodPost, "/webhooks", object{"Url": url})
	}
	b.api(http.MethodPost, "/webhooks", object{"Url": url}).want(t, 422, 1359, "")
	b.ok(http.MethodPost, "/webhooks", object{"Url": url, "MessageStream": "broadcast"})
	if got := b.ok(http.MethodDelete, path, nil).field(t, "Message"); got != fmt.Sprintf("Webhook %d removed.", id) {
		t.Errorf("%v", got)
	}
	b.api(http.MethodGet, path, nil).want(t, 422, 1352, "The webhook for the provided 'ID' was not found.")
	var list struct{ Webhooks []object }
	b.ok(http.MethodGet, "/webhooks?messagestream=broadcast", nil).into(t, &list)
	if len(list.Webhooks) != 1 {
		t.Errorf("%d on broadcast", len(list.Webhooks))
	}
	b.api(http.MethodGet, "/webhooks?MessageStream=nope", nil).want(t, 422, 1226, "")
}

// PM-sim 35: a setting takes probing away; then every webhook is verified as it is, and hears of events.
func TestProbingCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, func(hit) int { return http.StatusTeapot })
	b.control(http.MethodPut, "/sandbox/settings", object{"probeWebhooks": false}, 200)
	a := b.ok(http.MethodPost, "/webhooks", object{"Url": r.url, "Triggers": object{"Delivery": object{"Enabled": true}}})
	path := fmt.Sprintf("/webhooks/%v", a.field(t, "ID"))
	if a.field(t, "Status") != "verified" || b.ok(http.MethodPut, path, object{"Url": r.url}).field(t, "Status") != "verified" ||
		b.ok(http.MethodPost, path+"/verify", nil).field(t, "Success") != true {
		t.Errorf("%s", a.body)
	}
	if off := b.ok(http.MethodPut, path, object{"Verify": false}); off.field(t, "Status") != "unverified" {
		t.Errorf("Verify:false still counts: %s", off.body)
	}
	b.ok(http.MethodPost, path+"/verify", nil)
	id := b.send(nil)
	b.pass()
	if got := r.next(t).json(t)["MessageID"]; got != id || len(r.events) != 0 {
		t.Errorf("%v, and %d more", got, len(r.events))
	}
	b.control(http.MethodPut, "/sandbox/settings", object{"probeWebhooks": true}, 200)
	if a := b.api(http.MethodPut, path, object{"Url": r.url}); a.status != 422 || a.header.Get("X-PM-ApiErrorCode") != "1364" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// PM-sim 38: the ladder is chosen while the sandbox runs, for what happens from then on.
func TestChosenLadder(t *testing.T) {
	t.Parallel()
	for name, ladder := range map[string][]time.Duration{
		"six":    {time.Minute, 5 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 15 * time.Minute},
		"three":  {time.Minute, 5 * time.Minute, 15 * time.Minute},
		"2s, 3h": {2 * time.Second, 3 * time.Hour},
		"none":   {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			answers := make(chan int, 10)
			r := listen(t, func(hit) int { return <-answers })
			answers <- 200
			b.hook(r, object{"Delivery": object{"Enabled": true}})
			b.control(http.MethodPut, "/sandbox/settings?server=Sandbox", object{"retryLadder": name}, 200)
			answers <- 500
			id := b.send(nil)
			b.pass()
			if got := r.next(t).header.Get("X-PM-Retries-Remaining"); got != fmt.Sprint(len(ladder)) {
				t.Errorf("%s retries remain", got)
			}
			for _, wait := range ladder {
				b.sleeper(b.clock.Now().Add(wait))
				answers <- 500
				b.clock.Advance(wait)
				r.next(t)
			}
			b.settled(id)
			if attempts := b.attempts(id); len(attempts) != len(ladder)+1 || attempts[0].Verdict != hook.GivenUp {
				t.Errorf("%+v", attempts)
			}
		})
	}
}

// PM-sim 38: no answer in time, and no answer at all, are retried.
func TestTimeoutsAndNetworkFailuresAreRetried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var down atomic.Int64
	const up, silent, cut = 0, 1, 2
	got := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mode := down.Load()
		_, _ = io.Copy(io.Discard, r.Body) // else it is not noticed that the client goes
		got <- r.Header.Get("X-PM-Retries-Remaining")
		switch mode {
		case silent:
			<-r.Context().Done()
		case cut:
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	b.ok(http.MethodPost, "/webhooks", object{"Url": server.URL, "Triggers": object{"Delivery": object{"Enabled": true}}})
	<-got
	b.control(http.MethodPut, "/sandbox/settings", object{"webhookTimeoutMs": 50}, 200)
	down.Store(silent)
	id := b.send(nil)
	b.pass()
	for i, minutes := range []time.Duration{1, 5} {
		if remaining := <-got; remaining != fmt.Sprint(9-i) {
			t.Errorf("%s retries remain", remaining)
		}
		b.sleeper(b.clock.Now().Add(minutes * time.Minute))
		down.Store([]int64{cut, up}[i])
		b.clock.Advance(minutes * time.Minute)
	}
	<-got
	b.settled(id)
	attempts := b.attempts(id)
	if len(attempts) != 3 || attempts[0].Verdict != hook.Delivered || attempts[1].Status != 0 || attempts[1].Verdict != hook.Retry ||
		attempts[1].Error == "" || attempts[2].Status != 0 || !strings.Contains(attempts[2].Error, "deadline") || attempts[2].DurationMS < 50 {
		t.Errorf("%+v", attempts)
	}
}

// PM-sim 47: "send test" posts the samples of the dashboard, and changes nothing.
func TestSendTest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status := make(chan int, 20)
	r := listen(t, func(hit) int {
		select {
		case s := <-status:
			return s
		default:
			return http.StatusOK
		}
	})
	id := b.hook(r, all())
	path := fmt.Sprintf("/sandbox/hooks/%d/test", id)
	result := b.control(http.MethodPost, path, nil, 200)
	if result.field(t, "success") != true || result.field(t, "message") != "6/6 samples were answered with 200" {
		t.Errorf("%s", result.body)
	}
	got := map[any]object{}
	for range 6 {
		h := r.next(t)
		if h.header.Get("X-PM-Webhook-Trace-Id") != "" {
			t.Error("a test has a trace")
		}
		p := h.json(t)
		got[p["RecordType"]] = p
	}
	metadata := object{"example": "value", "example_2": "value"}
	const nobody = "00000000-0000-0000-0000-000000000000"
	for kind, want := range map[string]object{
		"Bounce": {"ID": 42.0, "Type": "HardBounce", "TypeCode": 1.0, "Tag": "Test", "MessageID": nobody, "ServerID": 1234.0,
			"Email": "john@example.com", "From": "sender@example.com", "Subject": "Test subject", "Details": "Test bounce details", "Metadata": metadata},
		"SpamComplaint": {"ID": 42.0, "Type": "SpamComplaint", "TypeCode": 100001.0, "MessageID": nobody, "Email": "john@example.com",
			"CanActivate": false},
		"Delivery":           {"ServerID": 23.0, "Recipient": "john@example.com", "Tag": "welcome-email", "MessageID": nobody},
		"Open":               {"ServerID": nil, "Recipient": "john@example.com", "Tag": "welcome-email", "FirstOpen": true},
		"Click":              {"ServerID": nil, "Recipient": "john@example.com", "Tag": "welcome-email", "FirstOpen": nil},
		"SubscriptionChange": {"ServerID": 23.0, "Recipient": "john@example.com", "Tag": "welcome-email", "SuppressSending": true},
	} {
		for key, value := range want {
			if !cmp.Equal(got[kind][key], value) {
				t.Errorf("%s: %s is %v, want %v", kind, key, got[kind][key], value)
			}
		}
		for key, value := range got[kind] {
			if stamp, ok := value.(string); ok && strings.HasSuffix(key, "At") && (len(stamp) != len("2006-01-02T15:04:05Z") || !strings.HasSuffix(stamp, "Z")) {
				t.Errorf("%s: %s is %s", kind, key, stamp)
			}
		}
	}
	status <- 500
	result = b.control(http.MethodPost, path+"?server=sandbox-server-token", object{"trigger": "bounce"}, 200)
	if r.next(t).json(t)["RecordType"] != "Bounce" || result.field(t, "success") != false {
		t.Errorf("%s", result.body)
	}
	hooks := b.control(http.MethodGet, "/sandbox/hooks", nil, 200)
	want := []any{object{"provider": "postmark", "server": "Sandbox", "id": float64(id), "url": r.url, "stream": "outbound", "status": "verified", "triggers": object{
		"Open": "verified", "Click": "verified", "Delivery": "verified", "Bounce": "verified", "SpamComplaint": "verified",
		"SubscriptionChange": "verified"}}}
	if diff := cmp.Diff(want, hooks.field(t, "hooks")); diff != "" {
		t.Error(diff)
	}
	status <- 500
	if v := b.control(http.MethodPost, fmt.Sprintf("/sandbox/hooks/%d/verify", id), nil, 200); v.field(t, "success") != false ||
		b.webhooks()[0]["Status"] != "unverified" {
		t.Errorf("%s %v", v.body, b.webhooks())
	}
	r.drain(t, 6)
	for _, bad := range []struct {
		path, body string
		status     int
	}{{"/sandbox/hooks/9/test", "", 404}, {"/sandbox/hooks/9/verify", "", 404}, {"/sandbox/hooks/x/test", "", 404},
		{path + "?server=nobody", "", 404}, {path, `{"trigger":"Sneeze"}`, 422}, {path, `{"trigger":5}`, 400}} {
		b.control(http.MethodPost, bad.path, bad.body, bad.status)
	}
}

// PM-sim 37, 38, 40: nine retries on the ladder, the same bytes and the same trace each time, then no more.
func TestRetryLadder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var down atomic.Bool
	r := listen(t, func(hit) int {
		if down.Load() {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	b.ok(http.MethodPost, "/webhooks", object{"Url": r.url + "/?q=1", "Triggers": object{"Delivery": object{"Enabled": true}},
		"HttpHeaders": []object{{"Name": "X-Secret", "Value": "s3"}}})
	r.drain(t, 1)
	down.Store(true)
	id := b.send(nil)
	b.pass()
	first := r.next(t)
	if first.header.Get("Content-Type") != "application/json" || first.header.Get("X-Secret") != "s3" ||
		first.header.Get("X-PM-Retries-Remaining") != "9" || first.header.Get("X-PM-Webhook-Trace-Id") == "" {
		t.Errorf("headers %v", first.header)
	}
	ladder := []time.Duration{1, 5, 15, 1, 5, 10, 10, 10, 15}
	for i, minutes := range ladder {
		b.sleeper(b.clock.Now().Add(minutes * time.Minute))
		b.clock.Advance(minutes*time.Minute - time.Second)
		if len(r.events) != 0 {
			t.Fatalf("retry %d came early", i+1)
		}
		b.clock.Advance(time.Second)
		again := r.next(t)
		if string(again.body) != string(first.body) || again.header.Get("X-PM-Webhook-Trace-Id") != first.header.Get("X-PM-Webhook-Trace-Id") {
			t.Errorf("retry %d differs", i+1)
		}
		if got := again.header.Get("X-PM-Retries-Remaining"); got != fmt.Sprint(8-i) {
			t.Errorf("retry %d: %s remaining", i+1, got)
		}
	}
	b.settled(id)
	b.clock.Advance(24 * time.Hour)
	if attempts := b.attempts(id); len(attempts) != 10 || attempts[0].Verdict != hook.GivenUp {
		t.Errorf("%d attempts, the last %v", len(attempts), attempts[0].Verdict)
	}
}

// sleeper waits until the sandbox waits for exactly due.
func (b *bench) sleeper(due time.Time) {
	b.t.Helper()
	ctx, cancel := timeout(b.t)
	defer cancel()
	if !b.clock.AwaitSleeper(ctx.Done(), due) {
		b.t.Fatalf("nothing waits for %v", due)
	}
}

// attempts returns the attempts for a message, newest first.
func (b *bench) attempts(id string) []hook.Attempt {
	b.t.Helper()
	var list struct{ Attempts []hook.Attempt }
	b.control(http.MethodGet, "/sandbox/webhooks", nil, 200).into(b.t, &list)
	return slices.DeleteFunc(list.Attempts, func(a hook.Attempt) bool { return a.MailID != id })
}

// PM-sim 38: what an answer means.
func TestRetryOrDrop(t *testing.T) {
	t.Parallel()
	for status, retried := range map[int]bool{200: false, 201: false, 204: false, 400: false, 401: false, 403: false, 404: false,
		410: false, 422: false, 408: true, 429: true, 500: true, 502: true, 503: true, 304: true} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var real atomic.Bool
			r := listen(t, func(hit) int {
				if real.Load() {
					return status
				}
				return http.StatusOK
			})
			b.hook(r, object{"Delivery": object{"Enabled": true}})
			real.Store(true)
			id := b.send(nil)
			b.pass()
			r.next(t)
			if retried {
				b.sleeper(b.clock.Now().Add(time.Minute))
				b.clock.Advance(time.Minute)
				r.next(t)
				return
			}
			b.settled(id)
			if n := len(b.attempts(id)); n != 1 {
				t.Errorf("%d attempts", n)
			}
		})
	}
}

// PM-sim 38: redirects are followed on this machine, and never away from it.
func TestRedirects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	final := listen(t, nil)
	var target atomic.Value
	target.Store(final.url)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.Load().(string), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	b.ok(http.MethodPost, "/webhooks", object{"Url": server.URL, "Triggers": object{"Delivery": object{"Enabled": true}}})
	final.next(t)
	target.Store("http://hooks.example.com/")
	a := b.api(http.MethodPost, "/webhooks", object{"Url": server.URL, "Triggers": object{"Delivery": object{"Enabled": true}}})
	if a.status != 422 || !strings.Contains(string(a.body), "only calls hosts on this machine") {
		t.Errorf("%d %s", a.status, a.body)
	}
	target.Store(server.URL)
	a = b.api(http.MethodPost, "/webhooks", object{"Url": server.URL, "Triggers": object{"Delivery": object{"Enabled": true}}})
	if a.status != 422 || !strings.Contains(string(a.body), "stopped after 10 redirects") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// PM-sim 37: credentials in the URL work, and HttpAuth wins over them.
func TestWebhookCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	url := strings.Replace(r.url, "http://", "http://in:url@", 1)
	triggers := object{"Delivery": object{"Enabled": true}}
	b.ok(http.MethodPost, "/webhooks", object{"Url": url, "Triggers": triggers})
	if got := r.next(t).header.Get("Authorization"); got != "Basic "+base64.StdEncoding.EncodeToString([]byte("in:url")) {
		t.Errorf("from the URL: %q", got)
	}
	b.ok(http.MethodPost, "/webhooks", object{"Url": url, "Triggers": triggers, "HttpAuth": object{"Username": "u", "Password": "p"}})
	if got := r.next(t).header.Get("Authorization"); got != "Basic "+base64.StdEncoding.EncodeToString([]byte("u:p")) {
		t.Errorf("HttpAuth: %q", got)
	}
	b.send(nil)
	b.pass()
	r.drain(t, 2)
	if page := b.raw(http.MethodGet, "/sandbox/webhooks", ""); strings.Contains(string(page.body), "in:url") {
		t.Errorf("the list of attempts shows a password: %s", page.body)
	}
}
