package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSuppressions(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch call := r.Method + " " + r.URL.Path + " " + string(body); {
		case strings.HasPrefix(call, "GET /api/v1/subaccount/suppression ") && r.URL.Query().Get("type") == "hardBounce" && r.URL.Query().Get("from") == "2026-01-01":
			_, _ = io.WriteString(w, `[{"id":7,"email":"a@example.net","reason":2,"smtp_error":"550\u001b[31m no","created":1767225600000000000}]`)
		case call == `POST /api/v1/subaccount/suppression {"unsubscribe":[{"email":"a@example.net"}]}`:
			_, _ = io.WriteString(w, `[{"id":7,"email":"a@example.net","reason":1,"smtp_error":"","created":1767225600000000000}]`)
		case call == `DELETE /api/v1/subaccount/suppression {"suppressions":[{"email":"a@example.net"},{"email":"b@example.net"}]}`:
			_, _ = io.WriteString(w, `[{"id":7,"message":"Suppressions have been deleted successfully"}]`)
		case call == `POST /api/v1/account/suppression/sync {"tpspId":3}`:
			_, _ = io.WriteString(w, `[{"tpspId":3,"name":"Postmark","listed":4,"pushed":1,"refused":[{"email":"c@example.net","change":"reactivate","message":"no"}],"error":"away"}]`)
		default:
			http.Error(w, `{"code":"unexpected","message":"`+r.Method+`"}`, http.StatusTeapot)
		}
	}))
	t.Cleanup(server.Close)
	environ := []string{"POSTYARD_URL=" + server.URL, "POSTYARD_SUBACCOUNT_KEY=aaaabbbbccccddddeeee", "POSTYARD_ACCOUNT_KEY=AAAABBBBCCCCDDDDEEEE"}
	for _, test := range []struct {
		args string
		code int
		want []string
	}{
		{"", 1, []string{"say what to do"}},
		{"bogus", 1, []string{"unknown command"}},
		{"list --type hardBounce --from 2026-01-01 --to 2026-02-01", 0, []string{"ADDRESS", "a@example.net  hardBounce  2026-01-01", "550 [31m no"}},
		{"list --from yesterday", 1, []string{`--from: "yesterday" is not a day`}},
		{"list --type hardBounce --from 2026-01-01 --json", 0, []string{`"smtp_error":"550`}},
		{"add", 1, []string{"requires at least 1 arg"}},
		{"add --type unsubscribe a@example.net", 0, []string{"a@example.net  unsubscribe"}},
		{"add --type soft a@example.net", 1, []string{`"soft" is none of manual, unsubscribe, hardBounce, spamComplaint`}},
		{"remove a@example.net b@example.net", 0, []string{"mail to a@example.net, b@example.net leaves again"}},
		{"remove --json a@example.net b@example.net", 0, []string{`{"reactivated":2}`}},
		{"sync --tpsp 3", 1, []string{"failed: away", "would not reactivate c@example.net: no", "1 of 1 providers"}},
		{"sync", 1, []string{"HTTP 418"}},
	} {
		var out, errOut bytes.Buffer
		code := Main(append([]string{"suppressions"}, strings.Fields(test.args)...), &out, &errOut, environ)
		text := out.String() + errOut.String()
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%q: no %q in %s", test.args, want, text)
			}
		}
		if code != test.code || strings.Contains(text, "\x1b") {
			t.Errorf("%q: code %d: %s", test.args, code, text)
		}
	}
}
