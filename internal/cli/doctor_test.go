package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postyard/internal/client"
)

// doctor runs the command against a server that answers with these checks, and returns what it printed and what the server was asked.
func doctor(t *testing.T, checks []client.Check, args ...string) (code int, out, errOut, asked string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("X-Account-ApiKey") + " " + r.URL.String()
		if err := json.NewEncoder(w).Encode(checks); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	var stdout, stderr bytes.Buffer
	code = Main(append([]string{"doctor", "--url", server.URL, "--account-key", "key"}, args...), &stdout, &stderr, nil)
	return code, stdout.String(), stderr.String(), asked
}

func TestDoctorPrintsALineForEachCheck(t *testing.T) {
	t.Parallel()
	healthy := []client.Check{{Check: "public_url", Status: "ok", Message: "it answers"},
		{Check: "pool", TPSPID: 1, TPSP: "Post\x1bmark", Status: "warn", Message: "it is\nalone", Fix: "add another"}}
	code, out, errOut, asked := doctor(t, healthy)
	want := "ok    public_url  it answers\n" +
		"warn  pool        Post mark (1): it is alone\n" +
		"                  fix: add another\n"
	if code != 0 || out != want || errOut != "" || asked != "key /api/v1/account/doctor" {
		t.Errorf("code %d, asked %q\n%s%s", code, asked, out, errOut)
	}
	ill := append(healthy, client.Check{Check: "token", TPSPID: 1, TPSP: "Postmark", Status: "fail", Message: "it is refused", Fix: "change it"})
	code, out, errOut, asked = doctor(t, ill, "--tpsp", "1", "--template", "wel come", "--ippool", "a&b")
	if code != 1 || !strings.HasPrefix(out, want) || !strings.Contains(errOut, "1 check failed") ||
		asked != "key /api/v1/account/doctor?ippool=a%26b&template=wel+come&tpspId=1" {
		t.Errorf("code %d, asked %q\n%s%s", code, asked, out, errOut)
	}
	code, out, _, _ = doctor(t, ill, "--json")
	var got []client.Check
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 1 || len(got) != 3 || got[2] != ill[2] {
		t.Errorf("code %d: %s (%v)", code, out, err)
	}
}
