package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSubAccountCommands(t *testing.T) {
	t.Parallel()
	const place = `{"id":3,"name":"berlin","parentId":2,"level":2,"ratePerHour":5,"taken":4,"why":""}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch call := r.Method + " " + r.URL.Path + " " + string(body); call {
		case "GET /api/v1/account/subaccount/ ":
			_, _ = io.WriteString(w, `[{"id":2,"name":"shop"},{"id":3,"name":"berlin"}]`)
		case "GET /api/v1/account/subaccount/tree ":
			_, _ = io.WriteString(w, `{"from":"2026-01-01","to":"2026-01-0`+r.URL.Query().Get("days")+`","subAccounts":[
				{"id":2,"name":"shop","level":1,"stat":{"processed":1},"withChildren":{"processed":9},"paused":true},
				{"id":3,"name":"berlin","level":2,"ratePerHour":5,"taken":5,"why":"the limit is reached","stat":{"processed":8},"withChildren":{"processed":8}}]}`)
		case `PUT /api/v1/account/subaccount/3/hierarchy {"parentId":2}`, `PUT /api/v1/account/subaccount/3/hierarchy {"ratePerHour":5}`,
			"POST /api/v1/account/subaccount/3/unblock ":
			_, _ = io.WriteString(w, place)
		case `PUT /api/v1/account/subaccount/3/hierarchy {"parentId":null}`:
			_, _ = io.WriteString(w, `{"id":3,"name":"berlin","parentId":null}`)
		case `POST /api/v1/account/subaccount/3/block {"reason":"spam"}`:
			_, _ = io.WriteString(w, `{"id":3,"name":"berlin","blocked":true,"why":"it is blocked: spam"}`)
		default:
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, `{"code":"unexpected","message":"`+r.Method+`"}`)
		}
	}))
	t.Cleanup(server.Close)
	environ := []string{"POSTYARD_URL=" + server.URL, "POSTYARD_ACCOUNT_KEY=AAAABBBBCCCCDDDDEEEE"}
	for _, test := range []struct {
		args string
		code int
		want []string
	}{
		{"subaccounts", 1, []string{"say what to do"}},
		{"subaccounts tree", 0, []string{"shop", "  berlin", "1 (9)", "5/h", "the limit is reached", "paused", "to 2026-01-07"}},
		{"subaccounts tree --days 3 --json", 0, []string{`"to":"2026-01-03"`}},
		{"subaccounts move berlin shop", 0, []string{"berlin", "2", "5/h", "sends"}},
		{"subaccounts move berlin none --json", 0, []string{`"parentId":null`}},
		{"subaccounts move berlin nobody", 1, []string{`no sub-account named "nobody"`}},
		{"subaccounts limit 3 5", 0, []string{"5/h"}},
		{"subaccounts limit 3 many", 1, []string{`"many" is no number`}},
		{"subaccounts block berlin --reason spam", 0, []string{"it is blocked: spam"}},
		{"subaccounts unblock berlin", 0, []string{"sends"}},
	} {
		var out bytes.Buffer
		code := Main(strings.Fields(test.args), &out, &out, environ)
		for _, want := range test.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in %s", test.args, want, out.String())
			}
		}
		if code != test.code {
			t.Errorf("%s: exit %d: %s", test.args, code, out.String())
		}
	}
}
