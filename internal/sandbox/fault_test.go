package sandbox_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// fault sets the list of faults.
func (b *bench) fault(rules ...object) {
	b.t.Helper()
	b.control(http.MethodPut, "/sandbox/faults", rules, 200)
}

// PM-sim 52.
func TestStatusFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		rule   object
		status int
		body   string
		code   string
	}{
		{object{"status": 401}, 401, `{"ErrorCode":10,"Message":"Request does not contain a valid Server token."}`, "10"},
		{object{"status": 429}, 429, "", ""},
		{object{"status": 500}, 500, `"ErrorCode":101`, "101"},
		{object{"status": 503}, 503, `"ErrorCode":100`, "100"},
		{object{"status": 503, "body": "<html>down</html>", "contentType": "text/html"}, 503, "<html>down</html>", ""},
		{object{"status": 503, "body": "<html>down</html>"}, 503, "<html>down</html>", ""},
		{object{"status": 503, "contentType": "text/html"}, 503, `"ErrorCode":100`, ""},
		{object{"status": 503, "body": "{}", "errorCode": 100}, 503, "{}", "100"},
		{object{"status": 422, "body": `{"ErrorCode":406}`, "errorCode": 406, "contentType": "application/json"}, 422, `{"ErrorCode":406}`, "406"},
		{object{"status": 422}, 422, `"ErrorCode":300`, "300"},
		{object{"status": 200}, 200, "", ""},
		{object{"status": 400}, 400, "", ""},
		{object{"status": 403}, 403, "", ""},
		{object{"status": 404}, 404, "", ""},
		{object{"status": 413}, 413, "", ""},
		{object{"status": 502}, 502, "", ""},
		{object{"status": 504}, 504, "", ""},
		{object{"status": 599}, 599, "", ""},
		{object{"status": 504, "errorCode": 101}, 504, `"ErrorCode":101`, "101"},
		{object{"status": 422, "errorCode": 405}, 422, `"ErrorCode":405`, "405"},
		{object{"status": 422, "errorCode": 400}, 422, `is not a Sender Signature`, "400"},
		{object{"status": 429, "errorCode": 429}, 429, `"ErrorCode":429`, "429"},
		{object{"status": 200, "body": "not json"}, 200, "not json", ""},
	} {
		b.fault(merge(object{"kind": "status"}, c.rule))
		a := b.api(http.MethodPost, "/email", mail(nil))
		if a.status != c.status || !strings.Contains(string(a.body), c.body) || a.header.Get("X-PM-ApiErrorCode") != c.code ||
			c.body == "" && len(a.body) > 0 {
			t.Errorf("%v: %d %q %s", c.rule, a.status, a.header.Get("X-PM-ApiErrorCode"), a.body)
		}
		if want, _ := c.rule["contentType"].(string); want != "" && a.header.Get("Content-Type") != want {
			t.Errorf("%v: %s", c.rule, a.header.Get("Content-Type"))
		}
	}
	b.control(http.MethodDelete, "/sandbox/faults", nil, 200)
	if total := b.control(http.MethodGet, "/sandbox/messages", nil, 200).field(t, "total"); total != 0.0 {
		t.Errorf("%v messages stored by requests that failed", total)
	}
}

func TestFaultsMatchByProviderAndPathAndRunOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(object{"kind": "status", "status": 503, "path": "/Email", "count": 2, "provider": "Postmark"},
		object{"kind": "status", "status": 500, "path": "/bounces", "provider": "POSTMARK"})
	b.ok(http.MethodGet, "/server", nil)
	for _, path := range []string{"/email", "/EMAIL/withTemplate"} {
		if a := b.api(http.MethodPost, path, mail(nil)); a.status != 503 {
			t.Errorf("%s: %d", path, a.status)
		}
		list := b.control(http.MethodGet, "/sandbox/faults", nil, 200)
		if path == "/email" && !strings.Contains(string(list.body), `"count":1`) {
			t.Errorf("%s", list.body)
		}
	}
	b.ok(http.MethodPost, "/email", mail(nil))
	if list := b.control(http.MethodGet, "/sandbox/faults", nil, 200); strings.Contains(string(list.body), `"count"`) &&
		strings.Contains(string(list.body), "Postmark") {
		t.Errorf("a spent fault is still listed: %s", list.body)
	}
	b.fault(object{"kind": "status", "status": 500})
	b.control(http.MethodGet, "/sandbox/health", nil, 200)
	b.control(http.MethodGet, "/sandbox/settings", nil, 200)
}

func TestFaultProbability(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(object{"kind": "status", "status": 500, "probability": 0.5})
	failed := 0
	for range 400 {
		if b.api(http.MethodGet, "/server", nil).status == 500 {
			failed++
		}
	}
	if failed < 120 || failed > 280 {
		t.Errorf("%d of 400 failed at a probability of one half", failed)
	}
}

// stored tells how many messages there are.
func (b *bench) stored() int {
	b.t.Helper()
	return int(b.control(http.MethodGet, "/sandbox/messages?limit=0", nil, 200).field(b.t, "total").(float64))
}

// PM-sim 52, 53: reset before and after the message is stored, and an answer cut in half.
func TestConnectionFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(object{"kind": "reset_before", "count": 1})
	header := []string{serverToken, "sandbox-server-token", "Content-Type", "application/json"}
	if _, err := b.try(http.MethodPost, "/email", text(t, mail(nil)), header...); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("reset_before: %v", err)
	}
	if n := b.stored(); n != 0 {
		t.Errorf("reset_before stored %d", n)
	}
	b.fault(object{"kind": "reset_after", "count": 1})
	if _, err := b.try(http.MethodPost, "/email", text(t, mail(nil)), header...); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("reset_after: %v", err)
	}
	if n := b.stored(); n != 1 {
		t.Errorf("reset_after stored %d", n)
	}
	b.fault(object{"kind": "truncate", "count": 1})
	a, err := b.try(http.MethodPost, "/email", text(t, mail(nil)), header...)
	if !errors.Is(err, io.ErrUnexpectedEOF) || a.status != 200 || len(a.body) == 0 || a.body[0] != '{' {
		t.Errorf("truncate: %v %d %s", err, a.status, a.body)
	}
	if n := b.stored(); n != 2 {
		t.Errorf("truncate stored %d", n)
	}
	b.ok(http.MethodPost, "/email", mail(nil))
}

// PM-sim 52: an answer that drips comes at last, or is cut when the faults change.
func TestDrip(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/message-streams/nope" // has a short answer
	b.fault(object{"kind": "drip", "count": 1})
	want := b.api(http.MethodGet, path, nil)
	if again := b.api(http.MethodGet, path, nil); again.status != want.status || string(again.body) != string(want.body) || len(want.body) == 0 {
		t.Errorf("%d %s, without the fault %d %s", want.status, want.body, again.status, again.body)
	}
	b.fault(object{"kind": "drip"})
	done := make(chan error, 1)
	go func() {
		_, err := b.try(http.MethodPost, "/email", text(t, mail(nil)), serverToken, "sandbox-server-token", "Content-Type", "application/json")
		done <- err
	}()
	for b.stored() == 0 {
		continue // until it has taken effect
	}
	b.fault(object{"kind": "hang", "path": "/bounces"})
	if err := <-done; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
}

// PM-sim 52: a request hangs until the faults change; nothing is stored.
func TestHangEndsWhenFaultsChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(object{"kind": "hang"})
	done := make(chan error, 1)
	go func() {
		_, err := b.try(http.MethodPost, "/email", text(t, mail(nil)), serverToken, "sandbox-server-token", "Content-Type", "application/json")
		done <- err
	}()
	b.fault(object{"kind": "hang", "path": "/bounces"})
	select {
	case err := <-done:
		// Let through when the list changed before the request came, else cut.
		if n := b.stored(); err != nil && n != 0 || err == nil && n != 1 {
			t.Errorf("%v, %d stored", err, n)
		}
	case <-t.Context().Done():
		t.Fatal("still hanging")
	}
}

func TestHangEndsOnShutdown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(object{"kind": "hang", "count": 1})
	go func() { // ends with the test's server, at the latest when the sandbox is closed in the clean-up
		_, _ = b.try(http.MethodPost, "/email", text(t, mail(nil)), serverToken, "sandbox-server-token", "Content-Type", "application/json")
	}()
	for strings.Contains(string(b.control(http.MethodGet, "/sandbox/faults", nil, 200).body), "hang") {
		continue // until the request has been caught
	}
}

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, want := range map[string]string{
		`{}`:                  "JSON list",
		`[{"kind":"sleep"}]`:  "kind must be one of",
		`[{}]`:                "kind must be one of",
		`[{"kind":"status"}]`: "status must be from 200 to 599",
		`[{"kind":"status","status":503,"probability":2}]`:       "probability",
		`[{"kind":"status","status":503,"probability":0}]`:       "probability",
		`[{"kind":"hang","count":-1}]`:                           "count",
		`[{"kind":"hang","status":500}]`:                         "go with kind",
		`[{"kind":"hang","path":"email"}]`:                       "slash",
		`[{"kind":"hang"},{"kind":"hang","colour":"red"}]`:       `fault 1: unknown field "colour"; known are provider, server, path, kind,`,
		`[{"kind":"hang"},{"kind":"hang","provider":"pigeons"}]`: `fault 1: provider must be one of postmark, sendgrid, `,
		`[{"kind":"status","status":"503"}]`:                     "fault 0: status must be a whole number, got a string",
		`[{"kind":"hang","count":1.5}]`:                          "fault 0: count must be a whole number, got 1.5",
		`[5]`:                                                    "fault 0: it must be an object, got a number",
		`[{"kind":"hang"}`:                                       "the JSON ends early",
		``:                                                       "it is empty",
		`[{"kind":"hang"}] []`:                                   "something follows",
	} {
		a := b.control(http.MethodPut, "/sandbox/faults", body, 400)
		if problem, _ := a.field(t, "error").(string); !strings.Contains(problem, want) {
			t.Errorf("%s: %q does not say %q", body, problem, want)
		}
	}
}
