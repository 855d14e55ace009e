package postmark_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
	"postyard/internal/provider/providertest"
)

const streamsAnswer = `{"MessageStreams":[
 {"ID":"outbound","ServerID":1,"Name":"Default Transactional Stream","MessageStreamType":"Transactional","ArchivedAt":null},
 {"ID":"inbound","ServerID":1,"Name":"Default Inbound Stream","MessageStreamType":"Inbound"},
 {"ID":"news","ServerID":1,"Name":"News","MessageStreamType":"Broadcasts","ArchivedAt":null},
 {"ID":"old","ServerID":1,"Name":"Old News","MessageStreamType":"Broadcasts","ArchivedAt":"2026-01-01T00:00:00Z"}],"TotalCount":4}`

// server is a fake of Postmark's set-up calls, whose token is testKey or, for accountToken, an account's.
func server(t *testing.T, account bool) (string, *recorder) {
	t.Helper()
	rec := new(recorder)
	return serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/servers" && account && r.Header.Get("X-Postmark-Account-Token") == testKey:
			reply(w, http.StatusOK, map[string]any{"TotalCount": 2, "Servers": []any{}})
		case account || r.Header.Get("X-Postmark-Server-Token") != testKey:
			reply(w, http.StatusUnauthorized, map[string]any{"ErrorCode": 10, "Message": "No valid Server token: " + testKey})
		case r.URL.Path == "/server":
			reply(w, http.StatusOK, map[string]any{"ID": 1, "Name": "Demo", "ApiTokens": []string{testKey}})
		case r.URL.Path == "/message-streams":
			_, _ = w.Write([]byte(streamsAnswer))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})), rec
}

// setupError unwraps what a set-up step must return.
func setupError(t *testing.T, err error) *provider.SetupError {
	t.Helper()
	refusal, ok := errors.AsType[*provider.SetupError](err)
	if !ok {
		t.Fatalf("%v is not a SetupError", err)
	}
	if strings.Contains(strings.ToLower(refusal.Message), testKey) {
		t.Errorf("the message shows the token: %s", refusal.Message)
	}
	return refusal
}

func TestStreams(t *testing.T) {
	t.Parallel()
	url, rec := server(t, false)
	got, err := newAdapter(t).Streams(t.Context(), connection(url))
	if err != nil {
		t.Fatal(err)
	}
	want := []provider.Stream{
		{ID: "outbound", Name: "Default Transactional Stream", Type: "Transactional"},
		{ID: "inbound", Name: "Default Inbound Stream", Type: "Inbound"},
		{ID: "news", Name: "News", Type: "Broadcasts"},
		{ID: "old", Name: "Old News", Type: "Broadcasts", Archived: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r := rec.all()[0]; r.method != http.MethodGet || r.path != "/message-streams?IncludeArchivedStreams=true&MessageStreamType=All" {
		t.Errorf("%s %s", r.method, r.path)
	}
}

func TestCheckStream(t *testing.T) {
	t.Parallel()
	for stream, code := range map[string]string{
		"outbound": "", "news": "", "": "missing_stream", "nope": "unknown_stream", "old": "archived_stream",
		"inbound": "inbound_stream", "OUTBOUND": "unknown_stream",
	} {
		url, _ := server(t, false)
		conn := connection(url)
		conn.Stream = stream
		err := newAdapter(t).Check(t.Context(), conn)
		if code == "" {
			if err != nil {
				t.Errorf("%q: %v", stream, err)
			}
			continue
		}
		got := setupError(t, err)
		if got.Code != code || got.Field != "messageStream" || got.Retry {
			t.Errorf("%q: %+v", stream, got)
		}
		if !strings.Contains(got.Message, "outbound (Default Transactional Stream, Transactional), news (News, Broadcasts)") ||
			strings.Contains(got.Message, "Old News") || strings.Contains(got.Message, "Inbound Stream") {
			t.Errorf("%q: the streams to choose from are wrong: %s", stream, got.Message)
		}
	}
}

// TestAccountToken: the likely mistake is told apart from a wrong token.
func TestAccountToken(t *testing.T) {
	t.Parallel()
	url, rec := server(t, true)
	conn := connection(url)
	_, streamsErr := newAdapter(t).Streams(t.Context(), conn)
	for _, err := range []error{newAdapter(t).Check(t.Context(), conn), streamsErr} {
		got := setupError(t, err)
		if got.Code != "invalid_token" || got.Field != "key" || !strings.Contains(got.Message, "Account API token") ||
			!strings.Contains(got.Message, "Server API token is needed") {
			t.Errorf("%+v", got)
		}
	}
	for _, r := range rec.all() {
		if r.header.Get("X-Postmark-Account-Token") != "" && r.header.Get("X-Postmark-Server-Token") != "" {
			t.Errorf("%s carries both tokens", r.path)
		}
	}
	// Neither a server's nor an account's.
	wrong := setupError(t, newAdapter(t).Check(t.Context(), connection(answering(t, 401, `{"ErrorCode":10,"Message":"x"}`))))
	if wrong.Code != "invalid_token" || strings.Contains(wrong.Message, "Account") {
		t.Errorf("%+v", wrong)
	}
}

func TestCheckRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status      int
		body        string
		code, field string
		retry       bool
	}{
		"IP list":      {422, `{"ErrorCode":1480,"Message":"You are not authorized"}`, "ip_not_allowed", "", false},
		"another":      {422, `{"ErrorCode":614,"Message":"Not in your plan"}`, "provider_refused", "", false},
		"throttled":    {429, "", "provider_unavailable", "", true},
		"maintenance":  {503, "<html>", "provider_unavailable", "", true},
		"another site": {200, "<html>", "unexpected_answer", "endpoint", false},
		"empty object": {200, "{}", "unexpected_answer", "endpoint", false},
		"not found":    {404, "<html>", "unexpected_answer", "endpoint", false},
		"moved":        {301, "", "unexpected_answer", "endpoint", false},
	} {
		got := setupError(t, newAdapter(t).Check(t.Context(), connection(answering(t, tc.status, tc.body))))
		if got.Code != tc.code || got.Field != tc.field || got.Retry != tc.retry {
			t.Errorf("%s: %+v", name, got)
		}
	}
	down := setupError(t, newAdapter(t).Check(t.Context(), connection("http://"+providertest.ClosedAddress(t))))
	if down.Code != "provider_unreachable" || !down.Retry || !strings.Contains(down.Message, "refused") {
		t.Errorf("%+v", down)
	}
	for endpoint, field := range map[string]string{"mailto:x@y": "endpoint", "": "key"} {
		conn := connection(endpoint)
		if endpoint == "" {
			conn.Key = provider.Connection{}.Key
		}
		if got := setupError(t, newAdapter(t).Check(t.Context(), conn)); got.Field != field || got.Retry {
			t.Errorf("%q: %+v", endpoint, got)
		}
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	url, _ := server(t, false)
	if id, err := newAdapter(t).Identify(t.Context(), connection(url)); id != "1" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	url, _ = server(t, true)
	_, err := newAdapter(t).Identify(t.Context(), connection(url))
	if refused := setupError(t, err); refused.Field != "key" {
		t.Errorf("%+v", refused)
	}
}
