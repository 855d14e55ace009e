package sandbox_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"postyard/internal/sandbox"
)

// listed is a server in the control API.
type listed struct {
	Provider, Name, Token string
	Streams, Templates    []string
	Webhooks              int
}

// servers are Postmark's.
func (b *bench) servers() (list []listed) {
	b.t.Helper()
	b.control(http.MethodGet, "/sandbox/servers", nil, http.StatusOK).into(b.t, &list)
	return slices.DeleteFunc(list, func(l listed) bool { return l.Provider != "postmark" })
}

// as calls the Postmark API with a server's token.
func (b *bench) as(token, method, path string, body any) answer {
	b.t.Helper()
	return b.raw(method, path, text(b.t, body), "X-Postmark-Server-Token", token, "Content-Type", "application/json", "Accept", "application/json")
}

func mailTo(to string) object {
	return object{"From": "app@example.com", "To": to, "Subject": "Hello", "TextBody": "Hello."}
}

// Each server has its own token, streams, templates, suppressions and mails.
func TestServersAreApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.control(http.MethodPost, "/sandbox/servers", object{"name": "Second"}, http.StatusOK)
	token := made.field(t, "token").(string)
	if token != "sandbox-server-token-2" {
		t.Errorf("token %q", token)
	}
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Third", "token": "third-token"}, http.StatusOK)
	list := b.servers()
	if len(list) != 3 || list[0].Token != sandbox.DemoServerToken || list[1].Name != "Second" || list[2].Token != "third-token" ||
		strings.Join(list[1].Streams, " ") != strings.Join(list[0].Streams, " ") || len(list[2].Templates) != 1 {
		t.Errorf("%+v", list)
	}

	if a := b.as(token, http.MethodPost, "/message-streams", object{"ID": "news", "Name": "News", "MessageStreamType": "Broadcasts"}); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := b.as("third-token", http.MethodGet, "/message-streams/news", nil); a.status == http.StatusOK {
		t.Errorf("a stream is another server's as well: %s", a.body)
	}
	b.suppress("outbound", "gone@example.net")
	for at, want := range map[string]int{sandbox.DemoServerToken: http.StatusUnprocessableEntity, token: http.StatusOK, "third-token": http.StatusOK, "nobody's": http.StatusUnauthorized} {
		if a := b.as(at, http.MethodPost, "/email", mailTo("gone@example.net")); a.status != want {
			t.Errorf("%s: %d %s", at, a.status, a.body)
		}
		if want != http.StatusOK {
			continue
		}
		if a := b.as(at, http.MethodGet, "/messages/outbound?count=10&offset=0", nil); a.field(t, "TotalCount") != float64(1) {
			t.Errorf("%s has %s", at, a.body)
		}
	}
	if a := b.as(token, http.MethodGet, "/server", nil); a.field(t, "Name") != "Second" {
		t.Errorf("%s", a.body)
	}
}

func TestServersAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Second", "token": "second"}, http.StatusOK)
	for _, wish := range []object{
		{"name": ""}, {"name": "second"}, {"name": "SANDBOX"}, {"name": "x", "token": "SECOND"}, {"name": "x", "token": "a b"},
		{"name": "x", "token": sandbox.DemoAccountToken}, {"name": "x", "token": "postmark_api_test"}, {"name": strings.Repeat("x", 101)},
	} {
		b.control(http.MethodPost, "/sandbox/servers", wish, http.StatusUnprocessableEntity)
	}
	b.control(http.MethodPost, "/sandbox/servers", object{"nam": "x"}, http.StatusBadRequest)
	b.control(http.MethodDelete, "/sandbox/servers/nowhere", nil, http.StatusNotFound)
	b.control(http.MethodDelete, "/sandbox/servers/Sandbox", nil, http.StatusUnprocessableEntity)
	b.control(http.MethodDelete, "/sandbox/servers/second", nil, http.StatusOK)
	if list := b.servers(); len(list) != 1 {
		t.Errorf("%+v", list)
	}
	if a := b.as("second", http.MethodGet, "/server", nil); a.status != http.StatusUnauthorized {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.control(http.MethodPut, "/sandbox/settings?server=nowhere", object{}, http.StatusNotFound)
	b.control(http.MethodGet, "/sandbox/settings?server=nowhere", nil, http.StatusNotFound)
}

// Faults and settings may be one server's; without a server they are everybody's.
func TestFaultsAndSettingsOfAServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Second", "token": "second"}, http.StatusOK)
	status := func(token string) int {
		return b.as(token, http.MethodPost, "/email", mailTo("ana@example.net")).status
	}
	for _, which := range []string{"Second", "SECOND"} {
		b.fault(object{"kind": "status", "status": 503, "server": which})
		if one, two := status(sandbox.DemoServerToken), status("second"); one != http.StatusOK || two != http.StatusServiceUnavailable {
			t.Errorf("a fault of %s: %d and %d", which, one, two)
		}
	}
	b.fault(object{"kind": "status", "status": 503})
	if one, two := status(sandbox.DemoServerToken), status("second"); one != 503 || two != 503 {
		t.Errorf("a fault of all: %d and %d", one, two)
	}
	b.fault()

	b.control(http.MethodPut, "/sandbox/settings?server=second", object{"account": "not-approved"}, http.StatusOK)
	if one, two := status(sandbox.DemoServerToken), status("second"); one != http.StatusOK || two != http.StatusUnprocessableEntity {
		t.Errorf("a setting of one: %d and %d", one, two)
	}
	b.control(http.MethodPut, "/sandbox/settings", object{"searchLagMs": 5}, http.StatusOK)
	if a := b.control(http.MethodGet, "/sandbox/settings?server=Second", nil, http.StatusOK); a.field(t, "searchLagMs") != float64(5) || a.field(t, "account") != "not-approved" {
		t.Errorf("a setting of all leaves one's own: %s", a.body)
	}
	b.control(http.MethodPut, "/sandbox/settings", object{"account": "approved"}, http.StatusOK)
	if two := status("second"); two != http.StatusOK {
		t.Errorf("a setting of all is one's as well: %d", two)
	}
}

// Servers survive a kill, in order: a number or name that is used again has nothing of the one before.
func TestServersAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Second", "token": "second"}, http.StatusOK)
	if a := b.as("second", http.MethodPost, "/email", mailTo("ana@example.net")); a.status != http.StatusOK {
		t.Fatalf("%s", a.body)
	}
	b.pass()
	b.control(http.MethodDelete, "/sandbox/servers/Second", nil, http.StatusOK)
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Second", "token": "again"}, http.StatusOK)
	b.as("again", http.MethodPost, "/message-streams", object{"ID": "news", "Name": "News", "MessageStreamType": "Broadcasts"})

	after := setup(t, in(killed(t, dir, "")))
	list := after.servers()
	if len(list) != 2 || list[1].Token != "again" || !strings.Contains(strings.Join(list[1].Streams, " "), "news") {
		t.Errorf("%+v", list)
	}
	if a := after.as("again", http.MethodGet, "/messages/outbound?count=10&offset=0", nil); a.field(t, "TotalCount") != float64(0) {
		t.Errorf("the new server has the old one's mail: %s", a.body)
	}
	if a := after.control(http.MethodGet, "/sandbox/messages", nil, http.StatusOK); a.field(t, "total") != float64(1) {
		t.Errorf("the mail is gone: %s", a.body)
	}

	// A reset leaves the server, empty; one that forgets everything does not.
	after.control(http.MethodPost, "/sandbox/reset", nil, http.StatusOK)
	if list := after.servers(); len(list) != 2 || strings.Contains(strings.Join(list[1].Streams, " "), "news") {
		t.Errorf("after a reset: %+v", list)
	}
	if again := setup(t, in(killed(t, after.dir, ""))); len(again.servers()) != 2 {
		t.Errorf("after a reset and a kill: %+v", again.servers())
	}
	after.control(http.MethodPost, "/sandbox/reset?webhooks=true", nil, http.StatusOK)
	if list := after.servers(); len(list) != 1 {
		t.Errorf("after a whole reset: %+v", list)
	}
}
