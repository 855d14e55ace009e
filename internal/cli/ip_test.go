package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestIPs(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		switch call := strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body)); call {
		case "GET /api/v1/account/ip/":
			_, _ = io.WriteString(w, `[{"id":3,"publicIP":"203.0.113.7","created":1,"type":0,"state":0,"labels":[]}]`)
		case "GET /api/v1/account/ip/3/settings":
			_, _ = io.WriteString(w, `{"id":3,"publicIP":"203.0.113.7","ratePerHour":50,"health":{"state":"stopped","reason":"no \u001b[31manswer"},"usage":{"total":12}}`)
		case `PUT /api/v1/account/ip/allocate {"ips":["203.0.113.7"],"overflowPool":false}`:
			_, _ = io.WriteString(w, `{"id":3,"publicIP":"203.0.113.7","created":1}`)
		case "DELETE /api/v1/account/ip/3?force=true":
			_, _ = io.WriteString(w, `{"id":3,"message":"IP (203.0.113.7) has been deleted successfully"}`)
		default:
			http.Error(w, `{"code":"unexpected","message":"`+r.Method+`"}`, http.StatusTeapot)
		}
	}))
	t.Cleanup(server.Close)
	environ := []string{"POSTYARD_URL=" + server.URL, "POSTYARD_ACCOUNT_KEY=AAAABBBBCCCCDDDDEEEE"}
	for _, test := range []struct {
		args string
		code int
		want []string
	}{
		{"", 1, []string{"say what to do"}},
		{"list", 0, []string{"PAST HOUR", "3   203.0.113.7  stopped: no", "50/h", "12"}},
		{"list --json", 0, []string{`"publicIP":"203.0.113.7"`, `"total":12`}},
		{"allocate", 1, []string{"requires at least 1 arg"}},
		{"allocate 203.0.113.7", 0, []string{"203.0.113.7"}},
		{"allocate 203.0.113.9", 1, []string{"HTTP 418"}},
		{"delete 203.0.113.7 --force", 0, []string{"IP 203.0.113.7 was given back"}},
		{"delete 3 --force --json", 0, []string{`"id":3`}},
		{"delete 3", 1, []string{"HTTP 418"}},
		{"delete 198.51.100.1", 1, []string{`no IP named "198.51.100.1"`}},
	} {
		var out, errOut bytes.Buffer
		code := Main(append([]string{"ips"}, strings.Fields(test.args)...), &out, &errOut, environ)
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
