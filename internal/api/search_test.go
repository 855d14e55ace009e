package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// seek finds messages, page by page, and returns their recipients in the order in which they were found.
func (w *world) seek(query string, limit int) (found []string) {
	w.t.Helper()
	before := ""
	for range 100 {
		var page searchAnswer
		w.asAccount("GET", fmt.Sprintf("/api/v1/account/message?limit=%d&before=%s&q=%s", limit, before, url.QueryEscape(query)), nil).ok(200, &page)
		for _, m := range page.Messages {
			found = append(found, m.To.Email)
		}
		if !page.More {
			if page.Cursor != "" || page.LookedBackTo != 0 {
				w.t.Errorf("the last page says %q, %d", page.Cursor, page.LookedBackTo)
			}
			return found
		}
		before = page.Cursor
	}
	w.t.Fatalf("%q never ends", query)
	return nil
}

// report has the provider of a message say something of it.
func (w *world) happens(id string, kind event.Kind, to, words string) {
	w.t.Helper()
	message, ok := messageID(id)
	if !ok {
		w.t.Fatal(id)
	}
	typ, _ := event.TypeOf(event.Postmark, kind)
	r := provider.Report{Kind: kind, Type: typ, MessageID: message, ProviderMessageID: "pm-" + id, Identity: fmt.Sprint(id, kind), Recipient: to, OccurredAt: time.Now(),
		SMTPDescription: words, Detail: event.Detail{SMTPDescription: words}}
	if _, err := w.db.Ingest(w.t.Context(), []store.Parsed{{Receipt: store.Receipt{AccountID: w.account.ID, TPSPID: w.dir.Current().TPSPs(w.account.ID)[0].ID}, Fresh: true,
		Reports: []provider.Report{r}, Sent: 70, Now: time.Now()}}); err != nil {
		w.t.Fatal(err)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Main mail", "outbound")
	first := email("ana@gmail.com", "bob@yahoo.com")
	first["groups"] = []string{"welcome", "Group 2"}
	var sent []emailResponse
	w.asSub("POST", sendPath, first).ok(200, &sent)
	second := email("eve@Example.net")
	second["subject"] = "Your invoice, 50% off"
	w.asSub("POST", sendPath, second).ok(200, nil)
	w.happens(sent[0].MessageID, event.HardBounced, "ana@gmail.com", "550 no such user")
	w.happens(sent[1].MessageID, event.Opened, "bob@yahoo.com", "")
	tpsp, pool := w.dir.Current().TPSPs(w.account.ID)[0], w.dir.Current().Pools(w.account.ID)[0]
	for query, want := range map[string]string{
		"":                                 "eve bob ana",
		"to:@gmail.com":                    "ana",
		"to:ANA@gmail.com":                 "ana",
		"to:a":                             "eve bob ana",
		"to:ana@gmail.com,eve@example.net": "eve ana",
		"-to:@gmail.com":                   "eve bob",
		"eve@example.net":                  "eve",
		sent[1].MessageID:                  "bob",
		"id:" + strings.ToUpper(sent[1].MessageID) + " status:sent": "bob",
		"status:bounced":                        "ana",
		"status:bounced,pending":                "eve ana",
		"status:pending -status:waiting":        "",
		"-status:bounced":                       "eve bob",
		"status:opened":                         "bob",
		"-status:opened":                        "eve ana",
		"status:pending status:bounced":         "",
		"from:@example.com":                     "eve bob ana",
		"from:richard":                          "eve bob ana",
		"from:richard@example.com -from:Rich":   "",
		"from:x@example.com":                    "",
		"subject:INVOICE":                       "eve",
		"-subject:invoice":                      "bob ana",
		`subject:"invoice, 50%"`:                "eve",
		"group:welcome":                         "bob ana",
		"group:Welcome":                         "",
		`group:"Group 2" -to:bob`:               "ana",
		"-group:welcome":                        "eve",
		"provider:postmark":                     "eve bob ana",
		`provider:"main MAIL"`:                  "eve bob ana",
		"provider:" + number(tpsp.ID):           "eve bob ana",
		"provider:tpsp_" + number(tpsp.ID):      "eve bob ana",
		"-provider:postmark":                    "",
		"provider:ses":                          "",
		"mailbox:gmail,yahoo":                   "bob ana",
		"pool:" + pool.Name:                     "eve bob ana",
		"pool:" + number(pool.ID):               "eve bob ana",
		"pool:777":                              "",
		"subaccount:" + number(w.subAccount.ID): "eve bob ana",
		"subaccount:" + w.subAccount.Name:       "eve bob ana",
		"mark:resent":                           "",
		"since:1h":                              "eve bob ana",
		"until:1h":                              "",
		"since:today until:today group:welcome mailbox:gmail": "ana",
		"since:1h until:2h": "",
	} {
		if sent[0].MessageID > sent[1].MessageID { // of one millisecond: ids decide which is the newer one
			want = strings.Replace(want, "bob ana", "ana bob", 1)
		}
		for _, limit := range []int{1, 2, 200} {
			got := w.seek(query, limit)
			for i := range got {
				got[i], _, _ = strings.Cut(got[i], "@")
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%q by %d: %v, want %s", query, limit, got, want)
			}
		}
	}
	for query, says := range map[string]string{"colour:red": "colour:", "provider:nobody": "provider:nobody", "pool:x": "pool:x", "subaccount:x": "subaccount:x", "status:opened,sent": "opened and clicked",
		"-id:" + sent[0].MessageID: "id:", "since:x": "since:x"} {
		p := w.asAccount("GET", "/api/v1/account/message?q="+url.QueryEscape(query), nil).refused(400, "invalid_parameter", "q")
		if !strings.Contains(p.Message, says) {
			t.Errorf("%q: %s", query, p.Message)
		}
	}
	w.asAccount("GET", "/api/v1/account/message?limit=201", nil).refused(400, "invalid_parameter", "limit")
	for _, cursor := range []string{"x", sent[0].MessageID + ".x", sent[0].MessageID + ".-1"} {
		w.asAccount("GET", "/api/v1/account/message?before="+cursor, nil).refused(400, "invalid_parameter", "before")
	}
	w.call("GET", "/api/v1/account/message?q=", map[string]string{"X-Account-ApiKey": w.secondAccount()}, nil).ok(200, nil)
}

// A hit tells what a list shows: where it stands, what happened last, and what it waits for.
func TestSearchHits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Main", "outbound")
	bounced := w.mail("ana@gmail.com")[0]
	w.happens(bounced, event.HardBounced, "ana@gmail.com", "550 no such user")
	pool := w.dir.Current().Pools(w.account.ID)[0]
	w.mail("bob@yahoo.com")
	w.asAccount("POST", fmt.Sprintf("/api/v1/account/ippool/%d/pause", pool.ID), nil).ok(200, nil)
	var page searchAnswer
	w.asAccount("GET", "/api/v1/account/message", nil).ok(200, &page)
	if len(page.Messages) != 2 || page.More {
		t.Fatalf("%+v", page)
	}
	waits, lost := page.Messages[0], page.Messages[1]
	if waits.State != "queued" || !strings.Contains(waits.Waiting, "is paused") || waits.LastEvent == nil || waits.LastEvent.Type != 69 || waits.Template == "" {
		t.Errorf("%+v", waits)
	}
	if lost.State != "bounced" || lost.Waiting != "" || lost.LastEvent == nil || lost.LastEvent.Words != "550 no such user" || lost.Provider != "Main" || lost.ProviderKind != "postmark" ||
		lost.MailboxProvider != "gmail" || lost.Pool != pool.Name || lost.SubAccount != w.subAccount.Name || lost.From.Name != "Richard" || lost.ID != bounced || len(lost.Groups) != 0 {
		t.Errorf("%+v, %+v", lost, lost.LastEvent)
	}
}

func TestMessageWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Main", "outbound")
	var hook struct{ ID int32 }
	w.asAccount("POST", "/api/v1/account/webhook", map[string]any{"url": "http://127.0.0.1:1/hook", "enabled": true, "processed": true}).ok(200, &hook)
	id := w.mail("ana@gmail.com")[0]
	w.eventually("it is tried and waits", func() bool {
		var list []messageHookAnswer
		w.asAccount("GET", "/api/v1/account/message/"+id+"/webhooks", nil).ok(200, &list)
		return len(list) == 1 && list[0].WebhookID == hook.ID && list[0].Type == 69 && list[0].State == "retry" && list[0].Attempts >= 1 && list[0].LastError != "" && list[0].NextTry > 0
	})
}

// One message that waits is cancelled, once.
func TestCancelOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Main", "outbound")
	ids := w.mail("ana@gmail.com", "bob@yahoo.com")
	var got cancelledAnswer
	for _, want := range []cancelledAnswer{{true, "dropped"}, {false, "dropped"}} {
		w.asAccount("POST", "/api/v1/account/message/"+ids[0]+"/cancel", nil).ok(200, &got)
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if left := w.seek("status:waiting", 10); fmt.Sprint(left) != "[bob@yahoo.com]" {
		t.Errorf("left: %v", left)
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tpsp := w.connect("Main", "outbound")
	w.asAccount("PUT", fmt.Sprintf("/api/v1/account/tpsp/%d", tpsp.ID), map[string]any{"allowRaw": true}).ok(200, nil)
	const hostile = `<p onclick="x()">Hello {{name}}</p><script>fetch("https://evil.example")</script><img src="https://evil.example/i.png">`
	var sent []emailResponse
	w.asSub("POST", sendPath, map[string]any{"from": map[string]any{"email": "richard@example.com"}, "replyTo": map[string]any{"email": "help@example.com"},
		"to":      []any{map[string]any{"email": "ana@gmail.com", "name": "Ana", "cc": []any{map[string]any{"email": "c@example.net"}}, "customFields": map[string]any{"name": "<Ana>"}}},
		"subject": "Hi {{name}} \u05e9", "htmlBody": hostile, "textBody": "Hello {{name}}", "headers": map[string]any{"X-Long": strings.Repeat("long ", 200)},
		"attachments": []any{map[string]any{"filename": "a.txt", "content": "aGVsbG8="}}}).ok(200, &sent)
	path := "/api/v1/account/message/" + sent[0].MessageID + "/content"
	var got contentAnswer
	w.asAccount("GET", path, nil).ok(200, &got)
	source := got.Source
	got.Source = nil
	want := contentAnswer{MessageID: sent[0].MessageID, From: person{Email: "richard@example.com"}, ReplyTo: &person{Email: "help@example.com"}, To: person{Name: "Ana", Email: "ana@gmail.com"},
		CC: []person{{Email: "c@example.net"}}, BCC: []person{}, Subject: "Hi <Ana> \u05e9", Headers: map[string]string{"X-Long": strings.Repeat("long ", 200)},
		HTML: strings.Replace(hostile, "{{name}}", "&lt;Ana&gt;", 1), Text: "Hello <Ana>", Model: json.RawMessage(`{"name":"\u003cAna\u003e"}`), Rendered: "request",
		Attachments: []attachmentAnswer{{Name: "a.txt", Type: "text/plain", Size: 5}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if source == nil || source.MediaType != "application/json" || !strings.Contains(source.Text, `"MessageStream": "outbound"`) || source.Truncated {
		t.Errorf("%+v", source)
	}
	page := w.asAccount("GET", path+"/html", nil)
	policy := page.header.Get("Content-Security-Policy")
	if page.status != 200 || !strings.Contains(string(page.body), "&lt;Ana&gt;") || page.header.Get("Content-Type") != "text/html; charset=utf-8" || page.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v %s", page.status, page.header, page.body)
	}
	for _, must := range []string{"sandbox;", "default-src 'none'", "img-src data:;"} {
		if !strings.Contains(policy, must) {
			t.Errorf("the policy is %q", policy)
		}
	}
	if strings.Contains(policy, "allow-") || strings.Contains(policy, "script") || strings.Contains(policy, "http") {
		t.Errorf("the policy is %q", policy)
	}
	if file := w.asAccount("GET", path+"/source", nil); file.status != 200 || !strings.Contains(file.header.Get("Content-Disposition"), ".json") || !json.Valid(file.body) {
		t.Errorf("%d %v", file.status, file.header)
	}
	if file := w.asAccount("GET", path+"/attachment/0", nil); file.status != 200 || string(file.body) != "hello" || file.header.Get("Content-Disposition") != `attachment; filename=a.txt` ||
		file.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%d %v %s", file.status, file.header, file.body)
	}
	for _, n := range []string{"1", "-1", "x"} {
		w.asAccount("GET", path+"/attachment/"+n, nil).refused(404, "not_found", "")
	}
}

// A template that its provider fills in is shown from the mirror, and what it is not known of is said.
func TestContentOfTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Main", "outbound")
	id := w.mail("ana@gmail.com")[0]
	path := "/api/v1/account/message/" + id + "/content"
	var got contentAnswer
	w.asAccount("GET", path, nil).ok(200, &got)
	if got.Rendered != "none" || got.HTML != "" || !strings.Contains(got.Note, "no copy of it") || got.Template == "" || got.Source == nil || !strings.Contains(got.Source.Text, "TemplateAlias") {
		t.Errorf("without a copy: %+v", got)
	}
	w.asAccount("POST", "/api/v1/account/templates/sync", map[string]any{}).ok(200, nil)
	w.asAccount("GET", path, nil).ok(200, &got)
	if got.Rendered != "provider" || got.HTML == "" || got.Note == "" {
		t.Errorf("with one: %+v", got)
	}
}

// following is a stream of events that has begun, or was refused.
type following struct {
	status int
	header http.Header
	lines  *bufio.Scanner
	end    func()
}

// stream follows events.
func (w *world) stream(query string, header map[string]string) following {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+"/api/v1/account/event/stream?"+query, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Account-ApiKey", w.accountKey)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = res.Body.Close() })
	if documented, err := watched(); err != nil {
		w.t.Fatal(err)
	} else if res.StatusCode == http.StatusOK { // as far as an answer goes that does not end
		if err := documented.check(req.Method, req.URL.Path, nil, res.StatusCode, res.Header, nil); err != nil {
			w.t.Error(err)
		}
	}
	return following{res.StatusCode, res.Header, bufio.NewScanner(res.Body), func() { _ = res.Body.Close() }}
}

// nextOf reads events off a stream until it has n; ids are those of the stream.
func nextOf(t *testing.T, lines *bufio.Scanner, n int) (events []eventAnswer, ids []string) {
	t.Helper()
	id := ""
	for len(events) < n && lines.Scan() {
		line := lines.Text()
		if after, ok := strings.CutPrefix(line, "id: "); ok {
			id = after
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok && data != "{}" {
			var e eventAnswer
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatal(err)
			}
			events, ids = append(events, e), append(ids, id)
		}
	}
	if len(events) < n {
		t.Fatalf("the stream ended after %d events: %v", len(events), lines.Err())
	}
	return events, ids
}

func TestTail(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	w := newWorldWith(t, func(c *Config) { c.Stopping = stopping })
	w.connect("Main", "outbound")
	w.mail("early@gmail.com")
	all, gmail := w.stream("", nil), w.stream("mailbox=gmail", nil)
	if all.status != http.StatusOK || all.header.Get("Content-Type") != "text/event-stream" || all.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", all.status, all.header)
	}
	every, some := all.lines, gmail.lines
	every.Scan() // it has begun
	some.Scan()
	w.mail("ana@gmail.com")
	w.mail("bob@yahoo.com", "eve@gmail.com")
	events, ids := nextOf(t, every, 3)
	if got := events[0].To + events[1].To + events[2].To; got != "ana@gmail.combob@yahoo.comeve@gmail.com" || ids[1] != events[1].EventID {
		t.Errorf("%s %v", got, ids)
	}
	if filtered, _ := nextOf(t, some, 2); filtered[0].To+filtered[1].To != "ana@gmail.comeve@gmail.com" {
		t.Errorf("%+v", filtered)
	}
	again, _ := nextOf(t, w.stream("", map[string]string{"Last-Event-ID": ids[0]}).lines, 2)
	after, _ := nextOf(t, w.stream("after="+ids[1], nil).lines, 1)
	if again[0].EventID != ids[1] || again[1].EventID != ids[2] || after[0].EventID != ids[2] {
		t.Errorf("%+v, %+v", again, after)
	}
	if res := w.stream("after=x", nil); res.status != http.StatusBadRequest {
		t.Errorf("%d", res.status)
	}
	close(stopping)
	for every.Scan() {
	}
	if err := every.Err(); err != nil {
		t.Errorf("at the server's end: %v", err)
	}
}

// A member has fewer streams than the account, so one cannot take them all.
func TestTailLimitOfAMember(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(c *Config) { c.Stopping = nil })
	ann, bob := w.signIn(w.accountKey, "ann@example.com", "viewer"), w.signIn(w.accountKey, "bob@example.com", "viewer")
	follow := func(b *browser) following {
		headers := b.headers()
		headers["X-Account-ApiKey"] = ""
		return w.stream("", headers)
	}
	var open []following
	for range ownTails {
		open = append(open, follow(ann))
	}
	if res := follow(ann); open[ownTails-1].status != http.StatusOK || res.status != http.StatusTooManyRequests || res.header.Get("Retry-After") == "" {
		t.Errorf("the last one: %d, one more: %d", open[ownTails-1].status, res.status)
	}
	for name, res := range map[string]following{"another member": follow(bob), "the account's key": w.stream("", nil)} {
		if res.status != http.StatusOK {
			t.Errorf("%s: %d", name, res.status)
		}
	}
	open[0].end()
	w.eventually("there is room again", func() bool { return follow(ann).status == http.StatusOK })
}

// An account has so many streams, and one that is closed makes room.
func TestTailLimit(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(c *Config) { c.Stopping = nil })
	var open []following
	for range mostTails {
		res := w.stream("", nil)
		if res.status != http.StatusOK {
			t.Fatalf("%d", res.status)
		}
		open = append(open, res)
	}
	if res := w.stream("", nil); res.status != http.StatusTooManyRequests || res.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d", res.status)
	}
	if res := w.stream("", map[string]string{"X-Account-ApiKey": w.secondAccount()}); res.status != http.StatusOK {
		t.Errorf("another account: %d", res.status)
	}
	open[0].end()
	w.eventually("there is room again", func() bool { return w.stream("", nil).status == http.StatusOK })
}
