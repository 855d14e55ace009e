package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// journalServer answers what the commands about events, files and labels ask for.
func journalServer(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch call := r.Method + " " + r.URL.Path + " " + string(body); {
		case call == "GET /api/v1/account/event/count " && r.URL.RawQuery == "search=gmail&subAccountId=3&type=71&type=72":
			_, _ = io.WriteString(w, `{"count":17}`)
		case call == "POST /api/v1/account/event/export " && r.URL.RawQuery == "format=ndjson&from=2026-01-01":
			_, _ = io.WriteString(w, "{\"type\":69}\n{\"type\":70}\n")
		case call == "POST /api/v1/account/event/export " && r.URL.RawQuery == "format=csv&to=2026-01-01":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case call == "POST /api/v1/subaccount/suppression/export " && r.URL.RawQuery == "type=hardBounce":
			_, _ = io.WriteString(w, "email,reason,smtp_error,created\n")
		case call == "POST /api/v1/subaccount/suppression/bulk a@example.net\nx" && r.URL.RawQuery == "dryRun=false&type=unsubscribe" && r.Header.Get("Content-Type") == "text/csv":
			_, _ = io.WriteString(w, `{"dryRun":false,"read":1,"suppressed":1,"refusedCount":1,"refused":[{"line":2,"message":"\"x\" has no @\u001b"}]}`)
		case call == "POST /api/v1/subaccount/suppression/bulk a@example.net\nx" && r.URL.RawQuery == "dryRun=true":
			_, _ = io.WriteString(w, `{"dryRun":true,"read":2,"suppressed":0,"refusedCount":0,"refused":[]}`)
		case call == "GET /api/v1/account/recipient/a@example.net/messages " && r.URL.RawQuery == "limit=2":
			_, _ = io.WriteString(w, `[{"messageID":"m-1","subAccountID":3,"submittedAt":1767225600000000000,"from":{"email":"shop@example.com"},"subject":"Hi"}]`)
		case call == "GET /api/v1/account/message " && r.URL.RawQuery == "before=&limit=50&q=to%3A%40gmail.com+status%3Abounced":
			_, _ = io.WriteString(w, `{"messages":[{"id":"m-1","submittedAt":1767225600000000000,"to":{"email":"ana@gmail.com"},"subject":"Hi\u001b","state":"bounced","provider":"Main",
				"lastEvent":{"name":"PM Hard Bounced","words":"550 no"}}],"more":true,"cursor":"c-1","lookedBackTo":1767225600000000000}`)
		case call == "GET /api/v1/account/message " && r.URL.RawQuery == "before=c-1&limit=49&q=to%3A%40gmail.com+status%3Abounced":
			_, _ = io.WriteString(w, `{"messages":[{"id":"m-2","to":{},"template":"welcome","state":"queued","waiting":"the pool is paused"}],"more":false,"cursor":""}`)
		case call == "GET /api/v1/account/message " && r.URL.RawQuery == "before=&limit=1&q=colour%3Ared":
			_, _ = io.WriteString(w, `{"messages":[],"more":false}`)
		case call == "GET /api/v1/account/event/stream " && r.URL.RawQuery == "recipient=ana%40gmail.com":
			_, _ = io.WriteString(w, "retry: 2000\nevent: ready\nid: e-0\ndata: {}\n\nid: e-1\ndata: {\"type\":69,\"to\":\"ana@gmail.com\",\"messageID\":\"m-1\"}\n\n: beat\n\n")
		case call == "GET /api/v1/account/event/stream " && r.URL.RawQuery == "after=e-1&recipient=ana%40gmail.com":
			_, _ = io.WriteString(w, "id: e-2\ndata: {\"type\":72,\"to\":\"ana@gmail.com\",\"smtpDescription\":\"550 no\"}\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done() // it goes on until the client has enough
		case call == "GET /api/v1/account/label ":
			_, _ = io.WriteString(w, `[{"id":7,"name":"VIP","color":"red","created":1767225600000000000}]`)
		case call == `POST /api/v1/account/label {"color":"red","name":"VIP"}`:
			_, _ = io.WriteString(w, `{"id":7,"name":"VIP","color":"red","created":1767225600000000000}`)
		case call == "DELETE /api/v1/account/label/7 ", call == `PUT /api/v1/account/subaccount/3 {"labels":["VIP","new"]}`, call == `PUT /api/v1/account/subaccount/3 {"labels":[]}`:
			_, _ = io.WriteString(w, `{}`)
		default:
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, `{"code":"unexpected","message":"`+r.Method+`"}`)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestJournalCommands(t *testing.T) {
	t.Parallel()
	server := journalServer(t)
	environ := []string{"POSTYARD_URL=" + server.URL, "POSTYARD_SUBACCOUNT_KEY=aaaabbbbccccddddeeee", "POSTYARD_ACCOUNT_KEY=AAAABBBBCCCCDDDDEEEE"}
	dir := t.TempDir()
	list := filepath.Join(dir, "list.csv")
	if err := os.WriteFile(list, []byte("a@example.net\nx"), 0o600); err != nil {
		t.Fatal(err)
	}
	whole, half := filepath.Join(dir, "whole.ndjson"), filepath.Join(dir, "half.csv")
	for _, test := range []struct {
		args string
		code int
		want []string
	}{
		{"events count --type 71,72 --search gmail --sub-account 3", 0, []string{"17\n"}},
		{"events count --type 71,72 --search gmail --sub-account 3 --json", 0, []string{`{"count":17}`}},
		{"events export --format ndjson --from 2026-01-01", 0, []string{"{\"type\":69}\n{\"type\":70}\n"}},
		{"events export --format ndjson --from 2026-01-01 -o " + whole, 0, nil},
		{"events export --to 2026-01-01 -o " + half, 1, []string{"read answer"}},
		{"events export -o " + filepath.Join(dir, "no", "where"), 1, []string{"create file"}},
		{"suppressions export --type hardBounce", 0, []string{"email,reason"}},
		{"suppressions import --type unsubscribe " + list, 1, []string{"1 addresses were read; 1 suppressed", `2     "x" has no @ `, "1 lines could not be read"}},
		{"suppressions import --dry-run " + list, 0, []string{"2 addresses were read; nothing was suppressed"}},
		{"suppressions import --dry-run --json " + list, 0, []string{`"read":2`}},
		{"suppressions import " + list + ".gone", 1, []string{"open file"}},
		{"messages --limit 2 a@example.net", 0, []string{"SUBJECT", "m-1", "shop@example.com"}},
		{"search to:@gmail.com status:bounced", 0, []string{"LAST", "m-1", "PM Hard Bounced: 550 no", "m-2", "template welcome", "the pool is paused"}},
		{"search to:@gmail.com status:bounced --json", 0, []string{`"cursor":"c-1"`, `"m-2"`}},
		{"search --limit 1 colour:red", 0, []string{"No message has all of this."}},
		{"search --limit 0 x", 1, []string{"--limit"}},
		{"tail --recipient ana@gmail.com --count 2", 0, []string{"PM Processed", "PM Hard Bounced", "550 no"}},
		{"tail --recipient ana@gmail.com --count 2 --json", 0, []string{`"type":69`, `"type":72`}},
		{"tail --recipient nobody@gmail.com", 1, []string{"unexpected"}},
		{"labels", 1, []string{"say what to do"}},
		{"labels list", 0, []string{"VIP", "red"}},
		{"labels add VIP --color red --json", 0, []string{`"name":"VIP"`}},
		{"labels delete 7", 0, []string{"the label is deleted"}},
		{"labels delete VIP", 1, []string{`"VIP" is not an id`}},
		{"labels set 3 VIP new", 0, []string{"sub-account 3 has the labels VIP, new"}},
		{"labels set 3", 0, []string{"sub-account 3 has no labels"}},
		{"labels set 3 --json", 0, []string{`{"id":3,"labels":[]}`}},
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
	if got, err := os.ReadFile(whole); err != nil || string(got) != "{\"type\":69}\n{\"type\":70}\n" {
		t.Errorf("%q, %v", got, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
