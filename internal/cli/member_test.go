package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	const ann, bob = `{"id":1,"email":"ann@example.com","name":"Ann","role":"owner","joined":true,"invitedUntil":0,"created":1767225600000000000,"lastSeen":1767225600000000000}`,
		`{"id":2,"email":"bob@example.com","name":"Bob\u001b[31m","role":"viewer","joined":false,"invitedUntil":1767484800000000000,"created":1767225600000000000,"lastSeen":0`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch call := r.Method + " " + r.URL.RequestURI() + " " + string(body); call {
		case "GET /api/v1/account/member ":
			_, _ = io.WriteString(w, "["+ann+","+bob+"}]")
		case `POST /api/v1/account/member {"email":"bob@example.com","name":"bob","role":"viewer"}`,
			`POST /api/v1/account/member {"email":"bob@example.com","name":"Robert B","role":"admin"}`, "POST /api/v1/account/member/2/invitation ":
			_, _ = io.WriteString(w, bob+`,"invitation":"http://127.0.0.1:8025/join#TOKEN"}`)
		case `PUT /api/v1/account/member/2 {"role":"admin"}`:
			_, _ = io.WriteString(w, bob+"}")
		case "DELETE /api/v1/account/member/2 ":
			_, _ = io.WriteString(w, `{"id":2,"message":"gone"}`)
		case "DELETE /api/v1/account/member/1 ":
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"code":"last_owner","message":"it is the last owner"}`)
		default:
			http.Error(w, `{"code":"unexpected","message":"`+r.Method+`"}`, http.StatusTeapot)
		}
	}))
	t.Cleanup(server.Close)
	environ := []string{"POSTYARD_URL=" + server.URL, "POSTYARD_ACCOUNT_KEY=aaaabbbbccccddddeeee"}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 1, "say what to do"},
		{[]string{"list"}, 0, "1   ann@example.com  Ann       owner   joined                                  2026-01-01 00:00:00.000Z"},
		{[]string{"list"}, 0, "2   bob@example.com  Bob [31m  viewer  invited until 2026-01-04 00:00:00.000Z  never"},
		{[]string{"list", "--json"}, 0, `"email":"ann@example.com"`},
		{[]string{"invite", "bob@example.com"}, 0, "http://127.0.0.1:8025/join#TOKEN"},
		{[]string{"invite", "bob@example.com", "--name", "Robert B", "--role", "admin", "--json"}, 0, `"invitation":"http://127.0.0.1:8025/join#TOKEN"`},
		{[]string{"invitation", "Bob@example.com"}, 0, "until 2026-01-04 00:00:00.000Z"},
		{[]string{"invitation", "2"}, 0, "/join#TOKEN"},
		{[]string{"invitation", "zoe@example.com"}, 1, `nobody has the email "zoe@example.com"`},
		{[]string{"role", "bob@example.com", "admin"}, 0, "bob@example.com"},
		{[]string{"role", "x", "admin"}, 1, `"x" is not an id`},
		{[]string{"remove", "bob@example.com"}, 0, "the member is removed"},
		{[]string{"remove", "2", "--json"}, 0, `{"deleted":2}`},
		{[]string{"remove", "ann@example.com"}, 1, "it is the last owner"},
	} {
		var out, errOut bytes.Buffer
		code := Main(append([]string{"members"}, test.args...), &out, &errOut, environ)
		if all := out.String() + errOut.String(); code != test.code || !strings.Contains(all, test.want) {
			t.Errorf("%v: code %d: %s", test.args, code, all)
		}
	}
}
