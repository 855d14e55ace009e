package record_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/record"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	recipient = "Jane.Doe+record@example.com"
	stranger  = "stranger@elsewhere.test"
)

// yard is a sandbox that plays Postmark, seen from a real account.
type yard struct {
	t    *testing.T
	url  string
	o    record.Options
	logs bytes.Buffer

	mu      sync.Mutex
	secrets []string                                                  // that the recorder made
	before  func(w http.ResponseWriter, r *http.Request) (taken bool) // nil: nothing
}

func newYard(t *testing.T, change ...func(*sandbox.Config)) *yard {
	t.Helper()
	cfg := sandbox.Config{DeliveryDelay: -1, RetryLadder: slices.Repeat([]time.Duration{time.Millisecond}, 9)}
	for _, f := range change {
		f(&cfg)
	}
	box, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		y.learn(r)
		if y.before == nil || !y.before(w, r) {
			box.Handler().ServeHTTP(w, r)
		}
	}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		stop()
		transport.CloseIdleConnections()
		server.Close()
		if err := errors.Join(<-ended, box.Close()); err != nil {
			t.Error(err)
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	y.url = server.URL
	listen := free(t)
	y.o = record.Options{
		Token: secret.NewString(sandbox.DemoServerToken), Endpoint: server.URL, Stream: "outbound", Recipient: recipient,
		Listen: listen, PublicURL: "http://" + listen, Archive: true, Out: filepath.Join(t.TempDir(), "out"), Patience: 100 * time.Millisecond,
		Adapter:   func(rt http.RoundTripper) provider.Adapter { return postmark.New(postmark.Config{Transport: rt}) },
		Transport: transport, Progress: func(line string) { y.logs.WriteString(line + "\n") },
	}
	return y
}

// free returns an address at which nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// learn notes the credentials of the webhooks that are registered.
func (y *yard) learn(r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/webhooks" {
		return
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	var hook struct {
		URL      string `json:"Url"`
		HTTPAuth struct{ Username, Password string }
	}
	if json.Unmarshal(raw, &hook) != nil {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.secrets = append(y.secrets, hook.HTTPAuth.Username, hook.HTTPAuth.Password)
	if _, rest, ok := strings.Cut(hook.URL, "://"); ok && strings.Contains(rest, "@") {
		userinfo, _, _ := strings.Cut(rest, "@")
		y.secrets = append(y.secrets, strings.Split(userinfo, ":")...)
	}
}

// ask calls the sandbox past the recorder.
func (y *yard) ask(method, path, body string) []byte {
	y.t.Helper()
	req, err := http.NewRequestWithContext(y.t.Context(), method, y.url+path, strings.NewReader(body))
	if err != nil {
		y.t.Fatal(err)
	}
	req.Header.Set("X-Postmark-Server-Token", sandbox.DemoServerToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		y.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		y.t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, raw, err)
	}
	return raw
}

func (y *yard) run() *record.Result {
	y.t.Helper()
	result, err := record.Run(y.t.Context(), y.o)
	if err != nil {
		y.t.Fatal(err)
	}
	return result
}

// answer is what a test reads of a file.
type answer struct {
	State, Why string
	Findings   []struct{ Default, Verdict, Seen, Otherwise string }
	Exchanges  []struct {
		Purpose  string
		Request  struct{ Method, Path string }
		Response struct{ Status int }
	}
	Webhooks []struct{ Hook, About, Credentials string }
}

func (y *yard) read(number int) answer {
	y.t.Helper()
	var a answer
	questions := record.Questions()
	if err := json.Unmarshal([]byte(y.file(questions[number-1].File())), &a); err != nil {
		y.t.Fatalf("question %d: %v", number, err)
	}
	return a
}

func (y *yard) file(name string) string {
	y.t.Helper()
	raw, err := os.ReadFile(filepath.Join(y.o.Out, name))
	if err != nil {
		y.t.Fatal(err)
	}
	return string(raw)
}

// verdicts of all files, by the default's id.
func (y *yard) verdicts() map[string]string {
	out := map[string]string{}
	for _, q := range record.Questions() {
		if _, err := os.Stat(filepath.Join(y.o.Out, q.File())); err != nil {
			continue
		}
		for _, f := range y.read(q.Number).Findings {
			out[f.Default] = f.Verdict
		}
	}
	return out
}

// clean checks that no file tells a secret or an address, and that nothing is left at Postmark.
func (y *yard) clean() {
	y.t.Helper()
	y.mu.Lock()
	secrets := append([]string{sandbox.DemoServerToken, recipient, "jane.doe", "example.com", stranger, "elsewhere.test", y.o.PublicURL, "s3cret"}, y.secrets...)
	y.mu.Unlock()
	entries, err := os.ReadDir(y.o.Out)
	if err != nil {
		y.t.Fatal(err)
	}
	texts := map[string]string{"progress": y.logs.String()}
	for _, e := range entries {
		texts[e.Name()] = y.file(e.Name())
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			y.t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	for name, text := range texts {
		for _, s := range secrets {
			for _, form := range []string{s, strings.ReplaceAll(s, "@", "%40"), base64.StdEncoding.EncodeToString([]byte(s))} {
				if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
					y.t.Errorf("%s tells %q", name, form)
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join(y.o.Out, "pending.json")); err == nil {
		y.t.Error("pending.json is left")
	}
	y.nothingLeft()
}

func (y *yard) nothingLeft() {
	y.t.Helper()
	for _, path := range []string{"/webhooks", "/templates?count=500&offset=0", "/message-streams/outbound/suppressions/dump", "/message-streams"} {
		if body := string(y.ask(http.MethodGet, path, "")); strings.Contains(body, "postyard-") {
			y.t.Errorf("left at %s: %s", path, body)
		}
	}
}

// TestEveryDefaultOfTheSimulator runs everything: the simulator does what our code takes for granted.
func TestEveryDefaultOfTheSimulator(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	// Somebody else's, whose credentials and address are nobody's business.
	y.ask(http.MethodPost, "/webhooks", `{"Url":"https://s3cret:s3cret@elsewhere.test/h","HttpAuth":{"Username":"s3cret","Password":"s3cret"},
		"HttpHeaders":[{"Name":"X-Key","Value":"s3cret"}],"Triggers":{"Delivery":{"Enabled":true}}}`)
	y.ask(http.MethodPost, "/message-streams/outbound/suppressions", `{"Suppressions":[{"EmailAddress":"`+stranger+`"}]}`)
	result := y.run()
	want := map[string]string{}
	for _, q := range record.Questions() {
		for _, d := range q.Defaults {
			want[d.ID] = record.Confirms
		}
		if a := y.read(q.Number); a.State != "asked" || len(a.Exchanges) == 0 {
			t.Errorf("question %d: %s %s, %d exchanges", q.Number, a.State, a.Why, len(a.Exchanges))
		}
	}
	want["2b"] = record.Open // the test is less patient than the simulator
	want["6c"] = record.Open // nothing was throttled
	want["8a"] = record.Open // the recipient has not unsubscribed
	for id, verdict := range y.verdicts() {
		if verdict != want[id] {
			t.Errorf("%s: %s, want %s", id, verdict, want[id])
		}
	}
	if result.Confirmed != len(want)-3 || result.Contradicted != 0 || result.Open != 3 || len(result.Left) != 0 {
		t.Errorf("%+v", result)
	}
	if !strings.Contains(y.file(record.SummaryName), "the archived stream postyard-") {
		t.Error("the summary does not name the archived stream")
	}
	y.clean()
	if n := strings.Count(string(y.ask(http.MethodGet, "/sandbox/messages", "")), `"receivedAt"`); n != 5 {
		t.Errorf("%d mails were sent, want 5", n)
	}
	for _, file := range []int{1, 11} {
		if a := y.read(file); len(a.Webhooks) == 0 || a.Webhooks[0].About != "sample" || a.Webhooks[0].Credentials != "HttpAuth" {
			t.Errorf("question %d: %+v", file, a.Webhooks)
		}
	}
}

// TestContradictions: what Postmark does otherwise stands in the summary, with what follows.
func TestContradictions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		question int
		ids      []string // that are contradicted
		prepare  func(*yard)
		retries  int
	}{
		"fewer retries": {question: 2, ids: []string{"2a"}, retries: 6},
		"a batch is refused as a whole": {question: 4, ids: []string{"4a", "4b"}, prepare: func(y *yard) {
			y.ask(http.MethodPut, "/sandbox/faults", `[{"path":"/email/batch","kind":"status","status":422,"errorCode":1235}]`)
		}},
		"partly inactive mail is refused": {question: 3, ids: []string{"3a", "3b"}, prepare: func(y *yard) {
			y.ask(http.MethodPut, "/sandbox/faults", `[{"path":"/email","kind":"status","status":422,"count":1,
				"body":"{\"ErrorCode\":406,\"Message\":\"Found inactive addresses: x@y.test. Inactive recipients\"}"}]`)
		}},
		"unknown fields are refused": {question: 5, ids: []string{"5a"}, prepare: func(y *yard) {
			y.ask(http.MethodPut, "/sandbox/faults", `[{"path":"/email","kind":"status","status":422,
				"body":"{\"ErrorCode\":403,\"Message\":\"Invalid request field(s): 'PostyardUnknown'.\"}"}]`)
		}},
		"other words": {question: 7, ids: []string{"7a"}, prepare: func(y *yard) {
			y.ask(http.MethodPut, "/sandbox/faults", `[{"path":"/servers","kind":"status","status":401,"body":"{\"ErrorCode\":10,\"Message\":\"No account token of jane.doe+record@EXAMPLE.com.\"}"}]`)
		}},
		"a body with a 413": {question: 6, ids: []string{"6a"}, prepare: func(y *yard) {
			y.ask(http.MethodPut, "/sandbox/faults", `[{"path":"/email","kind":"status","status":413,"body":"{\"ErrorCode\":413,\"Message\":\"too large\"}"}]`)
		}},
		"no time for the account's routes": {question: 7, prepare: func(y *yard) {
			y.ask(http.MethodPut, "/sandbox/faults", `[{"path":"/servers","kind":"status","status":429}]`)
		}},
		"no time for the test token": {question: 12, prepare: func(y *yard) {
			y.ask(http.MethodPut, "/sandbox/faults", `[{"path":"/webhooks","kind":"status","status":503}]`)
		}},
		"throttled": {question: 6, ids: []string{"6c"}, prepare: func(y *yard) {
			y.ask(http.MethodPut, "/sandbox/faults", `[{"path":"/email","kind":"status","status":429,"retryAfter":7}]`)
		}},
		"fewer webhooks": {question: 9, ids: []string{"9a"}, prepare: func(y *yard) {
			y.before = refuse("/webhooks", http.MethodPost, `{"ErrorCode":1359,"Message":"too many"}`)
		}},
		"a fresh stream stays": {question: 10, ids: []string{"10a"}, prepare: func(y *yard) {
			y.before = func(w http.ResponseWriter, r *http.Request) bool {
				return strings.HasSuffix(r.URL.Path, "/archive") && refuse(r.URL.Path, http.MethodPost, `{"ErrorCode":1241,"Message":"not now"}`)(w, r)
			}
		}},
		"the test token reads": {question: 12, ids: []string{"12a"}, prepare: func(y *yard) {
			y.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("X-Postmark-Server-Token") != "POSTMARK_API_TEST" {
					return false
				}
				_, _ = io.WriteString(w, `{"ID":1,"ApiTokens":["`+sandbox.DemoServerToken+`"]}`)
				return true
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, func(cfg *sandbox.Config) {
				if test.retries > 0 {
					cfg.RetryLadder = cfg.RetryLadder[:test.retries]
				}
			})
			if test.prepare != nil {
				test.prepare(y)
			}
			y.o.Only = []int{test.question}
			result := y.run()
			var got []string
			question := record.Questions()[test.question-1]
			for _, f := range y.read(test.question).Findings {
				if f.Verdict == record.Contradicts {
					got = append(got, f.Default)
				}
			}
			if slices.Sort(got); !slices.Equal(got, test.ids) {
				t.Errorf("contradicted: %v, want %v; %+v", got, test.ids, y.read(test.question).Findings)
			}
			_, list, ok := strings.Cut(y.file(record.SummaryName), "## Contradicted")
			for _, d := range question.Defaults {
				if slices.Contains(test.ids, d.ID) && (!ok || !strings.Contains(list, "| "+d.ID+" |") || !strings.Contains(list, d.Otherwise) ||
					!strings.Contains(list, question.File())) {
					t.Errorf("the summary lacks %s:\n%s", d.ID, list)
				}
			}
			if name == "a fresh stream stays" {
				if len(result.Left) != 1 || !strings.Contains(y.file(record.SummaryName), "archive the stream") || !strings.Contains(y.file("pending.json"), `"stream"`) {
					t.Errorf("left: %v", result.Left)
				}
				return
			}
			y.before = nil
			y.ask(http.MethodDelete, "/sandbox/faults", "")
			y.clean()
		})
	}
}

// TestRefusalsAreNoContradictions: what Postmark refuses for another reason leaves the question open.
func TestRefusalsAreNoContradictions(t *testing.T) {
	t.Parallel()
	fault := func(faults string) func(*yard) {
		return func(y *yard) { y.ask(http.MethodPut, "/sandbox/faults", faults) }
	}
	for name, test := range map[string]struct {
		only    []int
		prepare func(*yard)
		open    []string
		holds   []string // is confirmed all the same
	}{
		"an unknown sender": {only: []int{3, 4, 5}, open: []string{"3a", "3b", "3c", "4a", "4b", "5a"},
			prepare: func(y *yard) { y.o.Sender = "jane.doe@elsewhere.test" }},
		"a sender that is refused now and then": {only: []int{3}, open: []string{"3c"}, holds: []string{"3a", "3b"}, prepare: func(y *yard) {
			mails := 0
			y.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/email" {
					mails++
				}
				return mails == 2 && refuse("/email", http.MethodPost, `{"ErrorCode":400,"Message":"no sender signature"}`)(w, r)
			}
		}},
		"an account that waits for approval": {only: []int{3, 4}, open: []string{"3a", "3b", "3c", "4a", "4b"},
			prepare: fault(`[{"path":"/email","kind":"status","status":422,"errorCode":412},{"path":"/email/batch","kind":"status","status":422,"errorCode":412},
				{"path":"/email/batchWithTemplates","kind":"status","status":422,"errorCode":412}]`)},
		"throttled":                 {only: []int{3}, open: []string{"3a", "3b", "3c"}, prepare: fault(`[{"path":"/email","kind":"status","status":429}]`)},
		"throttled for a moment":    {only: []int{5}, open: []string{"5a"}, prepare: fault(`[{"path":"/email","kind":"status","status":429,"count":1}]`)},
		"out of order for a moment": {only: []int{5}, open: []string{"5a"}, prepare: fault(`[{"path":"/email","kind":"status","status":500,"count":1}]`)},
		"no time for what is large": {only: []int{6}, open: []string{"6a", "6b"}, prepare: fault(`[{"path":"/email","kind":"status","status":503}]`)},
		"out of order": {only: []int{3, 4}, open: []string{"3a", "3b", "3c", "4a", "4b"}, prepare: fault(`[{"path":"/email","kind":"status","status":503},
			{"path":"/email/batch","kind":"status","status":500},{"path":"/email/batchWithTemplates","kind":"status","status":500}]`)},
		"webhooks of this URL are not taken": {only: []int{9}, open: []string{"9a"}, prepare: func(y *yard) {
			y.before = refuse("/webhooks", http.MethodPost, `{"ErrorCode":1350,"Message":"not this URL"}`)
		}},
		"only the control mail is refused": {only: []int{3}, open: []string{"3a", "3b"}, holds: []string{"3c"},
			prepare: fault(`[{"path":"/email","kind":"status","status":422,"errorCode":413,"count":1}]`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			test.prepare(y)
			y.o.Only = test.only
			if result := y.run(); result.Contradicted != 0 || len(result.Left) != 0 {
				t.Errorf("%+v", result)
			}
			got := y.verdicts()
			for _, id := range test.open {
				if got[id] != record.Open {
					t.Errorf("%s: %s, want it open", id, got[id])
				}
			}
			for _, id := range test.holds {
				if got[id] != record.Confirms {
					t.Errorf("%s: %s, want it confirmed", id, got[id])
				}
			}
			y.before = nil
			y.ask(http.MethodDelete, "/sandbox/faults", "")
			y.clean()
		})
	}
}

// refuse answers calls of a method to a path with a 422.
func refuse(path, method, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path || r.Method != method {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// TestUnsubscription touches the recipient's own entry only, and only one that the recipient made.
func TestUnsubscription(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ status, verdict string }{
		"taken back": {"Deleted", record.Confirms}, "not taken back": {"Failed", record.Contradicts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			var asked []string
			y.before = func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case strings.HasSuffix(r.URL.Path, "/suppressions/dump"):
					if q := r.URL.Query(); q.Get("Origin") != "Recipient" || q.Get("EmailAddress") != recipient {
						t.Errorf("asked for %v", q)
					}
					_, _ = io.WriteString(w, `{"Suppressions":[{"EmailAddress":"jane.doe+record@example.com","SuppressionReason":"ManualSuppression","Origin":"Recipient"}]}`)
				case strings.HasSuffix(r.URL.Path, "/suppressions/delete"):
					raw, err := io.ReadAll(r.Body)
					asked = append(asked, string(raw))
					if err != nil {
						t.Error(err)
					}
					_, _ = io.WriteString(w, `{"Suppressions":[{"EmailAddress":"`+recipient+`","Status":"`+test.status+`","Message":null}]}`)
				default:
					return false
				}
				return true
			}
			y.o.Only = []int{8}
			y.run()
			if got := y.verdicts()["8a"]; got != test.verdict || len(asked) != 1 || !strings.Contains(asked[0], recipient) {
				t.Errorf("%s, asked %v", got, asked)
			}
			y.before = nil
			y.clean()
		})
	}
}

// TestInterrupted: a run that is ended, whenever, removes what it made, also what it does not know that it made.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct{ method, path string }{
		"while a webhook is registered": {http.MethodPost, "/webhooks"},
		"while a mail is sent":          {http.MethodPost, "/email"},
		"while a template is made":      {http.MethodPost, "/templates"},
		"while an address is suppressed": {http.MethodPost,
			"/message-streams/outbound/suppressions"},
		"while a stream is made": {http.MethodPost, "/message-streams"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			done := false
			inner := y.url
			y.before = func(w http.ResponseWriter, r *http.Request) bool {
				if done || r.Method != at.method || r.URL.Path != at.path {
					return false
				}
				done = true
				// What was asked for happens; the answer is lost.
				raw, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				req, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, inner+r.URL.Path, bytes.NewReader(raw))
				if err != nil {
					t.Error(err)
					return true
				}
				req.Header = r.Header.Clone()
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return true
				}
				_ = resp.Body.Close()
				stop()
				<-r.Context().Done()
				return true
			}
			result, err := record.Run(ctx, y.o)
			if !errors.Is(err, context.Canceled) || result == nil || len(result.Left) != 0 {
				t.Fatalf("%+v, %v", result, err)
			}
			if !done {
				t.Fatal("it was not interrupted")
			}
			interrupted := 0
			for _, q := range record.Questions() {
				if y.read(q.Number).State == "interrupted" {
					interrupted++
				}
			}
			if interrupted == 0 {
				t.Error("no file says that it was interrupted")
			}
			y.clean()
		})
	}
}

// TestWhatCannotBeRemoved is named, with how it is removed by hand.
func TestWhatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.o.Only = []int{4}
	y.before = func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodDelete && refuse(r.URL.Path, http.MethodDelete, `{"ErrorCode":1130,"Message":"in use"}`)(w, r)
	}
	result := y.run()
	if len(result.Left) != 1 || !strings.Contains(result.Left[0], "remove the template") || !strings.Contains(result.Left[0], "1130") {
		t.Errorf("left: %v", result.Left)
	}
	if a := y.read(4); a.State != "failed" || a.Why == "" {
		t.Errorf("%+v", a)
	}
	if !strings.Contains(y.file(record.SummaryName), result.Left[0]) || !strings.Contains(y.file("pending.json"), `"template"`) {
		t.Error("the files do not tell what is left")
	}
}

// TestNothingWithoutConsent: nothing but reading happens before the plan was agreed to, and the plan tells what is going to happen.
func TestNothingWithoutConsent(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		return false
	}
	plan := ""
	y.o.Confirm = func(text string) (bool, error) { plan = text; return false, nil }
	if result, err := record.Run(t.Context(), y.o); result != nil || !errors.Is(err, record.ErrDeclined) {
		t.Errorf("%v, %v", result, err)
	}
	for _, q := range record.Questions() {
		if !strings.Contains(plan, q.Asks) {
			t.Errorf("the plan lacks question %d:\n%s", q.Number, plan)
		}
	}
	for _, words := range []string{recipient, "at most 7 mails", y.o.Out, "Sandbox"} {
		if !strings.Contains(plan, words) {
			t.Errorf("the plan lacks %q:\n%s", words, plan)
		}
	}
	if _, err := os.Stat(y.o.Out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
	if strings.Contains(plan, sandbox.DemoServerToken) {
		t.Error("the plan tells the token")
	}
}

// TestWithoutWebhooks: what needs them is not asked, and said to be open.
func TestWithoutWebhooks(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.o.Listen, y.o.PublicURL, y.o.Archive = "", "", false
	y.run()
	for _, q := range record.Questions() {
		a := y.read(q.Number)
		if skipped := q.Public || q.Optional != ""; skipped != (a.State == "not asked") || skipped != (a.Why != "") {
			t.Errorf("question %d: %s, %s", q.Number, a.State, a.Why)
		}
	}
	y.o.PublicURL = "http://127.0.0.1"
	y.clean()
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "old.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*record.Options){
		"POSTYARD_RECORD_TOKEN":                       func(o *record.Options) { o.Token = secret.String{} },
		"Postmark does not accept the token|HTTP 401": func(o *record.Options) { o.Token = secret.NewString("wrong-token-of-somebody") },
		"stream":                  func(o *record.Options) { o.Stream = "" },
		"does not exist":          func(o *record.Options) { o.Stream = "nowhere" },
		"recipient":               func(o *record.Options) { o.Recipient = "nobody" },
		"sender":                  func(o *record.Options) { o.Sender = "nobody" },
		"go together":             func(o *record.Options) { o.PublicURL = "" },
		"public URL":              func(o *record.Options) { o.PublicURL = "https://u:p@hooks.test" },
		"no question 13":          func(o *record.Options) { o.Only = []int{13} },
		"not empty":               func(o *record.Options) { o.Out = full },
		"Postmark gave no answer": func(o *record.Options) { o.Endpoint = "http://" + free(t) },
	} {
		o := y.o
		change(&o)
		result, err := record.Run(t.Context(), o)
		if err == nil || result != nil {
			t.Errorf("%s: %v, %v", name, result, err)
			continue
		}
		if !slices.ContainsFunc(strings.Split(name, "|"), func(words string) bool { return strings.Contains(err.Error(), words) }) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(err.Error(), o.Token.Reveal()) && !o.Token.IsZero() {
			t.Errorf("%s: the error tells the token: %v", name, err)
		}
	}
	y.nothingLeft()
}
