package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDomains(t *testing.T) {
	t.Parallel()
	domain := func(verified, reason string) string {
		return `{"id":7,"name":"shop.example","dkim":{"host":"sp-dkim._domainkey.shop.example","type":"TXT","textValue":"v=DKIM1;p=x"},
			"track":{"host":"track.shop.example","type":"CNAME","textValue":"mail.example"},"spfVerified":true,"trackVerified":true,
			"trackFailureReason":"DNS is away","dkimVerified":` + verified + `,"verified":` + verified + `,"dkimFailureReason":"` + reason + `","created":1767225600000000000}`
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch call := r.Method + " " + r.URL.RequestURI() + " " + string(body); call {
		case "GET /api/v1/subaccount/domain ", "GET /api/v1/subaccount/domain?search=shop ":
			_, _ = io.WriteString(w, "["+domain("true", "")+"]")
		case `POST /api/v1/subaccount/domain {"name":"shop.example"}`, "GET /api/v1/subaccount/domain/7 ":
			_, _ = io.WriteString(w, domain("false", "not yet\\u001b[31m"))
		case "POST /api/v1/subaccount/domain/7/verify ":
			_, _ = io.WriteString(w, domain("true", ""))
		case "POST /api/v1/subaccount/domain/8/verify ":
			_, _ = io.WriteString(w, domain("false", "it is missing"))
		case "DELETE /api/v1/subaccount/domain/7 ":
			_, _ = io.WriteString(w, `{"id":7,"message":"Domain (shop.example) has been deleted successfully."}`)
		default:
			http.Error(w, `{"code":"unexpected","message":"`+r.Method+`"}`, http.StatusTeapot)
		}
	}))
	t.Cleanup(server.Close)
	environ := []string{"POSTYARD_URL=" + server.URL, "POSTYARD_SUBACCOUNT_KEY=aaaabbbbccccddddeeee"}
	for _, test := range []struct {
		args string
		code int
		want []string
	}{
		{"", 1, []string{"say what to do"}},
		{"bogus", 1, []string{"unknown command"}},
		{"list --search shop", 0, []string{"DOMAIN", "7   shop.example  verified  verified  no", "2026-01-01"}},
		{"list --json", 0, []string{`"name":"shop.example"`}},
		{"add shop.example", 0, []string{"shop.example (7)\nDKIM: not verified: not yet [31m\n  sp-dkim._domainkey.shop.example  TXT  v=DKIM1;p=x\nSPF: verified\n",
			"tracking: verified: DNS is away\n  track.shop.example  CNAME  mail.example\n"}},
		{"add", 1, []string{"accepts 1 arg"}},
		{"show 7", 0, []string{"track.shop.example"}},
		{"verify Shop.Example.", 0, []string{"verified"}},
		{"verify 8", 1, []string{"shop.example is not verified: it is missing"}},
		{"verify other.example", 1, []string{`no domain "other.example"`}},
		{"delete shop.example", 0, []string{"Domain (shop.example) has been deleted successfully."}},
		{"delete 7 --json", 0, []string{`"message":"Domain`}},
	} {
		var out, errOut bytes.Buffer
		code := Main(append([]string{"domains"}, strings.Fields(test.args)...), &out, &errOut, environ)
		if code != test.code {
			t.Errorf("%s: code %d: %s%s", test.args, code, &out, &errOut)
		}
		for _, want := range test.want {
			if !strings.Contains(out.String()+errOut.String(), want) {
				t.Errorf("%s: no %q in\n%s%s", test.args, want, &out, &errOut)
			}
		}
	}
}
