package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/secret"
)

// startDemo starts a demo on free ports and waits until it is set up. A later --listen, say, goes before the one given here.
func startDemo(t *testing.T, args ...string) (*process, *demo.Scene) {
	t.Helper()
	p := start(t, append([]string{"demo", "--json", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0"}, args...)...)
	scene := &demo.Scene{}
	p.decode(`"accountApiKey"`, scene)
	return p, scene
}

func apiOf(s *demo.Scene) *client.Client {
	return &client.Client{URL: s.URL, AccountKey: secret.NewString(s.AccountAPIKey), SubAccountKey: secret.NewString(s.SubAccounts[0].APIKey)}
}

// environ is that of somebody who works with the server from a terminal.
func environ(s *demo.Scene) []string {
	return []string{"POSTYARD_URL=" + s.URL, "POSTYARD_ACCOUNT_KEY=" + s.AccountAPIKey, "POSTYARD_SUBACCOUNT_KEY=" + s.SubAccounts[0].APIKey}
}

// send sends a templated email from the terminal.
func send(t *testing.T, s *demo.Scene, more ...string) result {
	t.Helper()
	return run(t, environ(s), append([]string{"send", "--from", demo.Sender, "--template", s.Template, "--pool", s.Pool}, more...)...)
}

// sendOne sends an email that has to be accepted, and returns its id.
func sendOne(t *testing.T, s *demo.Scene, to string, more ...string) string {
	t.Helper()
	r := send(t, s, append([]string{"--to", to, "--json"}, more...)...)
	var sent []client.Sent
	if err := json.Unmarshal([]byte(r.out), &sent); err != nil || r.code != 0 || len(sent) != 1 || sent[0].To != to {
		t.Fatalf("send: %+v (%v)", r, err)
	}
	return sent[0].MessageID
}

// cells reads a table by the places of its header.
func cells(t *testing.T, table string, header ...string) [][]string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	if got := strings.Fields(lines[0]); !slices.Equal(got, header) {
		t.Fatalf("header %q, want %q, of\n%s", got, header, table)
	}
	rows := make([][]string, len(lines)-1)
	for i, line := range lines[1:] {
		for j, name := range header {
			from, to := min(strings.Index(lines[0], name), len(line)), len(line)
			if j+1 < len(header) {
				to = min(strings.Index(lines[0], header[j+1]), len(line))
			}
			rows[i] = append(rows[i], strings.TrimSpace(line[from:to]))
		}
	}
	return rows
}

var (
	sentHeader  = []string{"TO", "MESSAGE", "RESULT"}
	eventHeader = []string{"TIME", "TYPE", "EVENT", "RECIPIENT", "MESSAGE", "DETAIL"}

	attemptHeader = []string{"ATTEMPT", "PROVIDER", "BEGAN", "TOOK", "OUTCOME", "HTTP", "CODE", "DETAIL"}
)

// letter is a mail in the sandbox with all that a command can say.
type letter struct {
	From, To, Cc, Bcc, ReplyTo, Tag, TemplateAlias string
	Headers                                        []struct{ Name, Value string }
	Model                                          json.RawMessage
	Metadata                                       map[string]string
	Events                                         []struct{ WebhooksPending int }
}

// waitForLetter waits until the mail of a message is in the sandbox.
func waitForLetter(t *testing.T, s *demo.Scene, id string) (arrived letter) {
	t.Helper()
	eventually(t, "mail of "+id, longest, func() bool {
		var box struct{ Messages []letter }
		if _, err := call(t.Context(), http.MethodGet, s.SandboxURL+"/sandbox/messages?messageId="+id, nil, nil, &box); err != nil {
			t.Fatal(err)
		}
		if len(box.Messages) > 1 {
			t.Fatalf("mail of %s arrived twice: %+v", id, box.Messages)
		}
		for _, one := range box.Messages {
			arrived = one
		}
		return len(box.Messages) == 1
	})
	return arrived
}

func TestSend(t *testing.T) {
	t.Parallel()
	_, scene := startDemo(t, "--no-traffic", "--data", t.TempDir())

	t.Run("one message for each recipient", func(t *testing.T) {
		t.Parallel()
		r := send(t, scene, "--to", "one@example.net", "--to", "two@example.net")
		if r.code != 0 || r.err != "" {
			t.Fatalf("exit code %d, standard error %q", r.code, r.err)
		}
		rows := cells(t, r.out, sentHeader...)
		if len(rows) != 2 || rows[0][1] == rows[1][1] {
			t.Fatalf("rows %q", rows)
		}
		for i, to := range []string{"one@example.net", "two@example.net"} {
			if rows[i][0] != to || rows[i][2] != "accepted" {
				t.Errorf("row %q, want %s accepted", rows[i], to)
			}
			if got := waitForLetter(t, scene, rows[i][1]); got.To != to {
				t.Errorf("%s arrived at %q", rows[i][1], got.To)
			}
		}
	})

	t.Run("refused recipients", func(t *testing.T) {
		t.Parallel()
		const told = "postyard: 1 of 2 recipients were refused\n"
		r := send(t, scene, "--to", "fine@example.net", "--to", "nobody")
		rows := cells(t, r.out, sentHeader...)
		if r.code != 1 || r.err != told || len(rows) != 2 {
			t.Fatalf("%+v", r)
		}
		if rows[0][2] != "accepted" || rows[1][0] != "nobody" || rows[1][1] != "" || !strings.HasPrefix(rows[1][2], "refused (1): to[1].email") {
			t.Errorf("rows %q", rows)
		}

		r = send(t, scene, "--to", "fine@example.net", "--to", "nobody", "--json")
		var sent []map[string]any
		if err := json.Unmarshal([]byte(r.out), &sent); err != nil || r.code != 1 || r.err != told || len(sent) != 2 {
			t.Fatalf("%+v (%v)", r, err)
		}
		want := []map[string]any{
			{"to": "fine@example.net", "messageId": sent[0]["messageId"], "submittedAt": sent[0]["submittedAt"], "errorCode": 0.0, "message": ""},
			{"to": "nobody", "messageId": "", "submittedAt": sent[1]["submittedAt"], "errorCode": 1.0, "message": sent[1]["message"]},
		}
		if diff := cmp.Diff(want, sent); diff != "" || sent[0]["messageId"] == "" || sent[1]["message"] == "" {
			t.Errorf("what the API answers, and what is printed: %s", diff)
		}
	})

	t.Run("all of it arrives", func(t *testing.T) {
		t.Parallel()
		id := sendOne(t, scene, "ana@example.net", "--from-name", "Shop", "--cc", "copy@example.net", "--bcc", "blind@example.net",
			"--reply-to", "answers@example.com", "--pool", scene.Pool, "--group", "first", "--group", "second", "--subject", "Words",
			"--header", "X-Order=a=b", "--header", "TPSP_METADATA_order=42", "--field", "text=plain words", "--field", "empty=",
			"--field", `quoted="7"`, "--field", "number=9007199254740993", "--field", "yes=true", "--field", `deep={"list": [1, null]}`)
		got := waitForLetter(t, scene, id)
		const model = `{"text":"plain words","empty":"","quoted":"7","number":9007199254740993,"yes":true,"deep":{"list":[1,null]}}`
		if diff := cmp.Diff(exact(t, model), exact(t, string(got.Model))); diff != "" {
			t.Errorf("custom fields, sent and arrived: %s", diff)
		}
		if got.Metadata["order"] != "42" || got.Metadata["messageSubject"] != "Words" {
			t.Errorf("metadata %v", got.Metadata)
		}
		got.Model, got.Metadata, got.Events = nil, nil, nil
		want := letter{From: "Shop <" + demo.Sender + ">", To: "ana@example.net", Cc: "copy@example.net", Bcc: "blind@example.net",
			ReplyTo: "answers@example.com", Tag: "first", TemplateAlias: scene.Template, Headers: []struct{ Name, Value string }{{"X-Order", "a=b"}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sent and arrived: %s", diff)
		}
		r := run(t, environ(scene), "message", id)
		if !strings.Contains(r.out, "first, second") {
			t.Errorf("the groups are not shown: %+v", r)
		}
	})
}

// exact decodes JSON and keeps every digit.
func exact(t *testing.T, text string) (v map[string]any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestRefusedCommands(t *testing.T) {
	t.Parallel()
	_, scene := startDemo(t, "--no-traffic", "--data", t.TempDir())
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	sending := []string{"send", "--from", demo.Sender, "--to", "ana@example.net", "--template", scene.Template}
	for name, tc := range map[string]struct {
		environ []string
		args    []string
		says    []string
	}{
		"wrong sub-account key": {[]string{"POSTYARD_SUBACCOUNT_KEY=mistaken"}, sending, []string{"X-SubAccount-ApiKey", "401"}},
		"wrong account key":     {[]string{"POSTYARD_ACCOUNT_KEY=mistaken"}, []string{"events"}, []string{"X-Account-ApiKey", "401"}},
		"no sub-account key":    {[]string{"POSTYARD_SUBACCOUNT_KEY="}, sending, []string{"--subaccount-key", "POSTYARD_SUBACCOUNT_KEY"}},
		"no account key":        {[]string{"POSTYARD_ACCOUNT_KEY="}, []string{"events"}, []string{"--account-key", "POSTYARD_ACCOUNT_KEY"}},
		"unreachable server":    {nil, slices.Concat(sending, []string{"--url", closed.URL}), []string{closed.URL, "connection refused"}},
		"no recipient":          {nil, []string{"send", "--from", demo.Sender}, []string{"--to is needed"}},
		"no template":           {nil, []string{"send", "--from", demo.Sender, "--to", "ana@example.net"}, []string{"tpspTemplate: ", "422"}},
		"no sender":             {nil, []string{"send", "--to", "ana@example.net", "--template", scene.Template}, []string{"from.email: "}},
		"unknown pool":          {nil, slices.Concat(sending, []string{"--pool", "nowhere"}), []string{"ippool: ", "nowhere"}},
		"bad reply address":     {nil, slices.Concat(sending, []string{"--reply-to", "nobody"}), []string{"replyTo.email: "}},
		"bad header":            {nil, slices.Concat(sending, []string{"--header", "X Y=1"}), []string{"headers.X Y: "}},
		"header without value":  {nil, slices.Concat(sending, []string{"--header", "X-Order"}), []string{"--header", `"X-Order" is not name=value`}},
		"field without name":    {nil, slices.Concat(sending, []string{"--field", "=1"}), []string{"--field", `"=1" is not name=value`}},
		"unknown event type":    {nil, []string{"events", "--type", "9999"}, []string{"postyard: type: there is no event type 9999"}},
		"bad limit":             {nil, []string{"events", "--limit", "0"}, []string{"postyard: limit: must be a whole number"}},
		"unknown message": {nil, []string{"message", "0198c0de-0000-7000-8000-000000000000"},
			[]string{"0198c0de-0000-7000-8000-000000000000", "no such", "404"}},
		"nothing to pause":   {nil, []string{"pause"}, []string{"ippool", "sub-account"}},
		"two to pause":       {nil, []string{"pause", "--ippool", "a", "--sub-account", "b"}, []string{"ippool", "sub-account"}},
		"no such pool":       {nil, []string{"resume", "--ippool", "nowhere"}, []string{`no IP pool named "nowhere"`}},
		"nothing to cancel":  {nil, []string{"cancel", "--dry-run"}, []string{"group"}},
		"an empty group":     {nil, []string{"cancel", "--group", "", "--ippool", scene.Pool}, []string{"--group is empty"}},
		"cancel in no pool":  {nil, []string{"cancel", "--ippool", "nowhere"}, []string{`no IP pool named "nowhere"`}},
		"drill of nobody":    {nil, []string{"drill", "nobody"}, []string{`no provider named "nobody"`}},
		"drill of no time":   {nil, []string{"drill", "Postmark", "--seconds", "0"}, []string{"--seconds", "--end"}},
		"drill of two days":  {nil, []string{"drill", strconv.Itoa(int(scene.TPSPID)), "--seconds", "172800"}, []string{"seconds: ", "86400"}},
		"not a message's id": {nil, []string{"message", "../account"}, []string{"../account", "not a message's id"}},
		"no message":         {nil, []string{"message"}, []string{"accepts 1 arg"}},
		"unknown command":    {nil, []string{"deliver"}, []string{`unknown command "deliver"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, append(environ(scene), tc.environ...), tc.args...)
			if r.code != 1 || r.out != "" {
				t.Errorf("exit code %d, standard output %q", r.code, r.out)
			}
			for _, says := range tc.says {
				if !strings.Contains(r.err, says) {
					t.Errorf("%q does not say %q", r.err, says)
				}
			}
			if !strings.HasPrefix(r.err, "postyard: ") || strings.Contains(r.err, "mistaken") {
				t.Errorf("standard error %q", r.err)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	_, scene := startDemo(t, "--data", t.TempDir()) // sends a first email
	user, api := environ(scene), apiOf(scene)
	first := scene.MessageID
	wantEvents(t, api, first, 69, 70, 71)
	second := sendOne(t, scene, "bob@example.net", "--group", "news", "--subject", "Second")
	wantEvents(t, api, second, 69, 70, 71)

	names := map[int]string{69: "PM Processed", 70: "PM Sent", 71: "PM Delivered"}
	to := map[string]string{first: "ana@gmail.com", second: "bob@example.net"}
	type row struct {
		kind    int
		message string
	}
	all := []row{{71, second}, {70, second}, {69, second}, {71, first}, {70, first}, {69, first}} // the newest first
	for args, want := range map[string][]row{
		"":                            all,
		"--type 70":                   {{70, second}, {70, first}},
		"--type 69,71":                {{71, second}, {69, second}, {71, first}, {69, first}},
		"--type 69 --type 71":         {{71, second}, {69, second}, {71, first}, {69, first}},
		"--type 75":                   nil,
		"--recipient ana@gmail.com":   all[3:],
		"--recipient eve@example.net": nil,
		"--message " + second:         all[:3],
		"--limit 1":                   all[:1],
		"--limit 2 --type 70 --recipient bob@example.net":             {{70, second}},
		"--provider postmark":                                         all,
		"--sub-account " + strconv.Itoa(int(scene.SubAccounts[1].ID)): nil,
		"--order asc --limit 2":                                       {{69, first}, {70, first}},
		"--from 2000-01-01 --to 2000-01-02":                           nil,
	} {
		t.Run("events "+args, func(t *testing.T) {
			t.Parallel()
			r := run(t, user, append([]string{"events"}, strings.Fields(args)...)...)
			if r.code != 0 || r.err != "" {
				t.Fatalf("exit code %d, standard error %q", r.code, r.err)
			}
			var got, described [][]string
			for _, cells := range cells(t, r.out, eventHeader...) {
				if _, err := time.Parse("2006-01-02 15:04:05.000Z", cells[0]); err != nil {
					t.Error(err)
				}
				got = append(got, cells[1:5])
			}
			for _, row := range want {
				described = append(described, []string{strconv.Itoa(row.kind), names[row.kind], to[row.message], row.message})
			}
			if diff := cmp.Diff(described, got); diff != "" {
				t.Error(diff)
			}
			r = run(t, user, append([]string{"events", "--json"}, strings.Fields(args)...)...)
			var list []client.Event
			if err := json.Unmarshal([]byte(r.out), &list); err != nil || r.code != 0 {
				t.Fatalf("%+v (%v)", r, err)
			}
			var kinds []row
			for _, e := range list {
				kinds = append(kinds, row{e.Type, e.MessageID})
			}
			if diff := cmp.Diff(want, kinds, cmp.AllowUnexported(row{})); diff != "" {
				t.Errorf("JSON: %s", diff)
			}
		})
	}

	t.Run("message", func(t *testing.T) {
		t.Parallel()
		r := run(t, user, "message", second)
		sections := strings.Split(r.out, "\n\n")
		if len(sections) != 3 || r.code != 0 || r.err != "" {
			t.Fatalf("%+v", r)
		}
		facts, attempts, events := sections[0], sections[1], sections[2]
		have := map[string]string{}
		for line := range strings.Lines(facts) {
			name, value, _ := strings.Cut(line, " ")
			have[name] = strings.TrimSpace(value)
		}
		for name, want := range map[string]string{"message": second, "from": demo.Sender, "to": "bob@example.net (default)", "subject": "Second",
			"groups": "news", "pool": scene.Pool, "sub-account": strconv.Itoa(int(scene.SubAccounts[0].ID)), "attempts": "1", "state": "delivered"} {
			if have[name] != want {
				t.Errorf("%s is %q, want %q", name, have[name], want)
			}
		}
		if _, err := time.Parse("2006-01-02 15:04:05.000Z", have["submitted"]); err != nil {
			t.Error(err)
		}
		calls := cells(t, attempts, attemptHeader...)
		if len(calls) != 1 || calls[0][0] != "1" || !strings.HasSuffix(calls[0][1], fmt.Sprintf("TPSP_%d", scene.TPSPID)) || calls[0][3] == "" ||
			calls[0][4] != "accepted" || calls[0][5] != "200" {
			t.Errorf("attempts %q", calls)
		}
		var kinds []string
		for _, cells := range cells(t, events, eventHeader...) {
			kinds = append(kinds, cells[2])
		}
		if diff := cmp.Diff([]string{"PM Processed", "PM Sent", "PM Delivered"}, kinds); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("message for programs", func(t *testing.T) {
		t.Parallel()
		r := run(t, user, "message", second, "--json")
		var both struct {
			Message struct{ MessageID, Subject string }
			Events  []client.Event
		}
		if err := json.Unmarshal([]byte(r.out), &both); err != nil || r.code != 0 || r.err != "" {
			t.Fatalf("%+v (%v)", r, err)
		}
		if both.Message.MessageID != second || both.Message.Subject != "Second" || len(both.Events) != 3 || both.Events[0].Type != 69 {
			t.Errorf("%+v", both)
		}
	})
}

// answering is a server that gives one answer to everything.
func answering(t *testing.T, status int, body string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server
}

// TestForeignServers runs commands against servers that are not to be trusted.
func TestForeignServers(t *testing.T) {
	t.Parallel()
	keys := []string{"POSTYARD_ACCOUNT_KEY=abc", "POSTYARD_SUBACCOUNT_KEY=abc"}
	sending := []string{"send", "--from", demo.Sender, "--to", "ana@example.net"}
	const evil = `-\u001b[2J\u009b1m\u007f\u0000\r\b\u0007\n\t\f\u0085-` // erases, colours, rings

	t.Run("control characters", func(t *testing.T) {
		t.Parallel()
		list := fmt.Sprintf(`[{"to":"%[1]s","messageId":"%[1]s","messageID":"%[1]s","errorCode":3,"message":"%[1]s","type":71,"smtpDescription":"%[1]s"},
			{"type":76,"eventMetadata":{"clickedURL":"%[1]s"}}]`, evil)
		message := fmt.Sprintf(`{"messageID":"%[1]s","from":{"email":"%[1]s"},"to":{"email":"%[1]s"},"emailType":"%[1]s","subject":"%[1]s",
			"ipPool":"%[1]s","groups":["%[1]s"],"state":"%[1]s","waiting":"%[1]s","mark":"%[1]s",
			"plan":{"rule":"%[1]s","egresses":["%[1]s"],"skipped":[{"egress":"%[1]s","reason":"%[1]s"}]},
			"attempts":[{"egress":"%[1]s","provider":"%[1]s","finished":1,"class":"%[1]s","code":"%[1]s","text":"%[1]s","answer":"%[1]s","takenBack":"%[1]s"}]}`, evil)
		audit := answering(t, http.StatusOK, fmt.Sprintf(`{"differenceCount":1,"differences":[{"kind":"%[1]s","messageID":"%[1]s","day":"%[1]s","stored":"%[1]s",
			"recomputed":"%[1]s","counter":{"egress":"%[1]s","mailbox":"%[1]s","name":"%[1]s"}}],"awaitingCount":1,
			"awaiting":[{"messageID":"%[1]s","egress":"%[1]s","providerMessageId":"%[1]s"}]}`, evil))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := list
			if strings.Contains(r.URL.Path, "/message/") && !strings.HasSuffix(r.URL.Path, "/events") {
				body = message
			}
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		refusing := answering(t, http.StatusTeapot, fmt.Sprintf(`{"code":"%[1]s","message":"%[1]s","field":"%[1]s"}`, evil))
		plain := answering(t, http.StatusBadGateway, strings.NewReplacer(`\u001b`, "\x1b", `\u009b`, "\u009b", `\u0007`, "\a").Replace(evil))
		for _, tc := range []struct {
			server *httptest.Server
			args   []string
			lines  int // at least, in all
			code   int
		}{
			{server, sending, 4, 1}, {server, []string{"events"}, 3, 0}, {server, []string{"message", "x"}, 17, 0}, {audit, []string{"verify"}, 17, 1},
			{refusing, sending, 1, 1}, {refusing, []string{"message", "x"}, 1, 1}, {plain, []string{"events"}, 1, 1},
		} {
			r := run(t, append(slices.Clone(keys), "POSTYARD_URL="+tc.server.URL), tc.args...)
			shown := r.out + r.err
			if r.code != tc.code || strings.Count(shown, "\n") < tc.lines || !strings.Contains(shown, "[2J") {
				t.Errorf("%v: %+v", tc.args, r)
			}
			if i := strings.IndexFunc(shown, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }); i >= 0 {
				t.Errorf("%v: a control character reaches the terminal: %q", tc.args, shown)
			}
		}
	})

	t.Run("not a server of ours", func(t *testing.T) {
		t.Parallel()
		for _, tc := range []struct {
			status int
			body   string
			says   string
		}{
			{http.StatusOK, "<html>", "decode answer"},
			{http.StatusNotFound, "404 page not found\n", "postyard: 404 page not found (HTTP 404)\n"},
			{http.StatusForbidden, `{"error":"x"}`, "postyard: Forbidden (HTTP 403)\n"},
		} {
			server := answering(t, tc.status, tc.body)
			for _, args := range [][]string{{"events"}, {"events", "--json"}, sending, append(slices.Clone(sending), "--json")} {
				r := run(t, append(slices.Clone(keys), "POSTYARD_URL="+server.URL), args...)
				if r.code != 1 || r.out != "" || !strings.Contains(r.err, tc.says) {
					t.Errorf("%v of %d %q: %+v, want %q", args, tc.status, tc.body, r, tc.says)
				}
			}
		}
	})

	t.Run("keys follow no redirection", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int32
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			_, _ = w.Write([]byte("[]"))
		}))
		t.Cleanup(other.Close)
		server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
		t.Cleanup(server.Close)
		for _, args := range [][]string{{"events"}, sending} {
			r := run(t, append(slices.Clone(keys), "POSTYARD_URL="+server.URL), args...)
			if r.code != 1 || !strings.Contains(r.err, "HTTP 307") || calls.Load() != 0 {
				t.Errorf("%v: %+v, %d calls elsewhere", args, r, calls.Load())
			}
		}
	})
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	named := func(name string) string { return answering(t, http.StatusOK, `[{"messageID":"from-`+name+`"}]`).URL }
	path := func(content string) string {
		file := filepath.Join(t.TempDir(), "postyard.yaml")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	file := path("url: " + named("file") + "\naccount-key: abc\n")
	environment, flag := "POSTYARD_URL="+named("environment"), []string{"--url", named("flag")}
	for _, tc := range []struct {
		want    string
		environ []string
		args    []string
	}{
		{"file", nil, []string{"--config", file}},
		{"file", []string{"POSTYARD_CONFIG=" + file, "POSTYARD_URL="}, nil}, // set to nothing is not set
		{"environment", []string{"POSTYARD_CONFIG=" + file, environment}, nil},
		{"flag", []string{environment}, append([]string{"--config", file}, flag...)},
		{"flag", nil, append([]string{"--config", file}, flag...)},
	} {
		r := run(t, tc.environ, append([]string{"events"}, tc.args...)...)
		if rows := cells(t, r.out, eventHeader...); r.code != 0 || len(rows) != 1 || rows[0][4] != "from-"+tc.want {
			t.Errorf("%v %v: %+v, want the %s's server", tc.environ, tc.args, r, tc.want)
		}
	}

	unknown, low := path("colour: red\n"), path("batch-size: 0\n")
	for _, tc := range []struct {
		environ []string
		args    []string
		says    []string
	}{
		{nil, []string{"serve", "--config", unknown}, []string{"option colour", unknown, "no option"}},
		{[]string{"POSTYARD_CONFIG=" + unknown}, []string{"events"}, []string{"option colour", unknown}},
		{nil, []string{"serve", "--config", low}, []string{"option batch-size", "file " + low, "from 1 to 500"}},
		{[]string{"POSTYARD_BATCH_SIZE=0"}, []string{"serve"}, []string{"option batch-size", "environment variable POSTYARD_BATCH_SIZE"}},
		{nil, []string{"serve", "--batch-size", "many"}, []string{"option batch-size", "flag --batch-size"}},
		{nil, []string{"events", "--url", "ftp://example.com"}, []string{"option url", "flag --url"}},
		{nil, []string{"serve", "--colour", "red"}, []string{"unknown flag: --colour"}},
	} {
		data := filepath.Join(t.TempDir(), "data")
		r := run(t, append([]string{"POSTYARD_DATA=" + data}, tc.environ...), tc.args...)
		if r.code != 1 || r.out != "" {
			t.Errorf("%v: %+v", tc.args, r)
		}
		for _, says := range tc.says {
			if !strings.Contains(r.err, says) {
				t.Errorf("%v: %q does not say %q", tc.args, r.err, says)
			}
		}
		if _, err := os.Stat(data); !os.IsNotExist(err) {
			t.Errorf("%v: data was made before the options were checked (%v)", tc.args, err)
		}
	}
}
