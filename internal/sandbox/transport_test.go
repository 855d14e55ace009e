package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"postyard/internal/sandbox"
)

const (
	serverToken  = "X-Postmark-Server-Token"
	accountToken = "X-Postmark-Account-Token"
)

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

// PM-sim 33.
func TestServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var server struct {
		ID                     int
		Name, DeliveryType     string
		APITokens              []string `json:"ApiTokens"`
		TrackOpens             bool
		TrackLinks, ServerLink string
	}
	b.ok(http.MethodGet, "/server", nil).into(t, &server)
	if server.ID != 1 || server.Name != "Sandbox" || server.DeliveryType != "Live" || len(server.APITokens) != 1 ||
		server.APITokens[0] != sandbox.DemoServerToken || !server.TrackOpens || server.TrackLinks != "HtmlAndText" {
		t.Errorf("%+v", server)
	}
	one := b.raw(http.MethodGet, "/servers/1", "", accountToken, sandbox.DemoAccountToken)
	if one.status != 200 || one.field(t, "Name") != "Sandbox" {
		t.Errorf("%d %s", one.status, one.body)
	}
	b.raw(http.MethodGet, "/servers/2", "", accountToken, sandbox.DemoAccountToken).want(t, 422, 601, "")
}
