package postmark_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/sandbox"
)

// rawMessage is the full message without its template.
func rawMessage() provider.Outgoing {
	out := fullMessage()
	out.Content.Template = ""
	return out
}

func TestRawWireFormat(t *testing.T) {
	t.Parallel()
	bare := outgoing(1)[0]
	bare.Content.Template, bare.Content.Text, bare.Content.Subject = "", "Hi", ""
	for name, tc := range map[string]struct {
		path  string
		batch []provider.Outgoing
	}{
		"raw":       {"/email", []provider.Outgoing{rawMessage()}},
		"raw-batch": {"/email/batch", []provider.Outgoing{rawMessage(), bare}},
	} {
		requests := sent(t, tc.batch)
		if len(requests) != 1 || requests[0].path != tc.path {
			t.Fatalf("%s: %+v", name, requests)
		}
		golden(t, "send-"+name, requests[0].body)
	}
}

// Messages with and without templates go out in calls of their own, and every outcome is its message's.
func TestMixedBatch(t *testing.T) {
	t.Parallel()
	batch := outgoing(5)
	for _, i := range []int{1, 3} {
		batch[i].Content.Template, batch[i].Content.Text = "", "Hi"
	}
	var rec recorder
	conn := connection(serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) { playSend(w, r, nil) })))
	outcomes := newAdapter(t).Send(t.Context(), conn, batch)
	var paths []string
	for _, r := range rec.all() {
		paths = append(paths, r.path)
	}
	if diff := cmp.Diff([]string{"/email/batchWithTemplates", "/email/batch"}, paths); diff != "" {
		t.Error(diff)
	}
	for i, o := range outcomes {
		if o.Class != provider.Accepted || o.ProviderMessageID == "" {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
}

func TestCanCarryRaw(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*mail.Content)
		terms  provider.Terms
		code   string
	}{
		"raw":             {func(*mail.Content) {}, provider.Terms{Raw: true}, ""},
		"raw is off":      {func(*mail.Content) {}, provider.Terms{}, "missing_tpsp_template"},
		"text only":       {func(c *mail.Content) { c.HTML = "" }, provider.Terms{Raw: true}, ""},
		"no body":         {func(c *mail.Content) { c.HTML, c.Text = "", "" }, provider.Terms{Raw: true}, "missing_body"},
		"AMP alone":       {func(c *mail.Content) { c.HTML, c.Text, c.AMP = "", "", "<amp>" }, provider.Terms{Raw: true}, "missing_body"},
		"AMP as well":     {func(c *mail.Content) { c.AMP = "<amp>" }, provider.Terms{Raw: true}, "unsupported_amp"},
		"AMP, template":   {func(c *mail.Content) { c.AMP, c.Template = "<amp>", "x" }, provider.Terms{Raw: true}, ""},
		"template, empty": {func(c *mail.Content) { c.HTML, c.Text, c.Template = "", "", "x" }, provider.Terms{Raw: true}, ""},
		"too large":       {func(c *mail.Content) { c.HTML = strings.Repeat("x", 5<<20+1) }, provider.Terms{Raw: true}, "body_too_large"},
		"too large with preText": {func(c *mail.Content) { c.HTML, c.PreText = strings.Repeat("x", 5<<20), "p" }, provider.Terms{Raw: true},
			"body_too_large"},
		"metadata": {func(c *mail.Content) { c.Headers["TPSP_METADATA_messageId"] = "x" }, provider.Terms{Raw: true}, "invalid_metadata"},
	} {
		out := rawMessage()
		tc.change(out.Content)
		got := ""
		if bad := newAdapter(t).CanCarry(out.Content, tc.terms); bad != nil {
			got = bad.Code
		}
		if got != tc.code {
			t.Errorf("%s: %q, want %q", name, got, tc.code)
		}
	}
}

// What inboxes show beside the subject is the same by every way.
func TestRawPreheader(t *testing.T) {
	t.Parallel()
	out := rawMessage()
	out.Content.HTML, out.Content.PreText = "<p>x</p>", "soon <"
	var got struct {
		HTMLBody string `json:"HtmlBody"`
	}
	if err := json.Unmarshal(sent(t, []provider.Outgoing{out})[0].body, &got); err != nil {
		t.Fatal(err)
	}
	if want := mail.WithPreheader("<p>x</p>", "soon <"); got.HTMLBody != want {
		t.Errorf("%q, want %q", got.HTMLBody, want)
	}
}

// What was rendered may be larger than what was accepted. It is not sent, and may leave another way.
func TestRawTooLarge(t *testing.T) {
	t.Parallel()
	var rec recorder
	conn := connection(serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) { playSend(w, r, nil) })))
	batch := []provider.Outgoing{rawMessage(), rawMessage()}
	batch[0].Content.Text = strings.Repeat("x", 5<<20+1)
	outcomes := newAdapter(t).Send(t.Context(), conn, batch)
	if o := outcomes[0]; o.Class != provider.Rejected || !o.Elsewhere || !o.Unsent || o.Text == "" {
		t.Errorf("%+v", o)
	}
	if outcomes[1].Class != provider.Accepted || len(rec.all()) != 1 || rec.all()[0].path != "/email" {
		t.Errorf("%+v after %d calls", outcomes[1], len(rec.all()))
	}
}

// api calls the simulator's own API as Postmark's.
func (y *yard) api(method, path string, in any) {
	y.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		y.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(y.t.Context(), method, y.conn.Endpoint+path, strings.NewReader(string(body)))
	if err != nil {
		y.t.Fatal(err)
	}
	req.Header.Set("X-Postmark-Server-Token", sandbox.DemoServerToken)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		y.t.Fatal(err)
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusOK {
		y.t.Fatalf("%s %s: %d", method, path, res.StatusCode)
	}
}

func TestTemplatesOfTheSandbox(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.api("DELETE", "/templates/"+sandbox.DemoTemplateAlias, nil) // it stays readable, and is left out
	y.api("POST", "/templates", map[string]any{"Name": "Frame", "Alias": "frame", "TemplateType": "Layout", "HtmlBody": "<i>{{{ @content }}}</i>"})
	y.api("POST", "/templates", map[string]any{"Name": "No alias", "Subject": "s", "TextBody": "t"})
	want := []provider.Template{{Alias: "frame", Name: "Frame", Layout: true, HTML: "<i>{{{ @content }}}</i>"}}
	for i := range 97 {
		name := fmt.Sprintf("t%02d", i)
		layout := []string{"", "frame"}[i%2]
		y.api("POST", "/templates", map[string]any{"Name": name, "Alias": name, "Subject": "S " + name, "TextBody": "{{x}}", "LayoutTemplate": layout})
		want = append(want, provider.Template{Alias: name, Name: name, Around: layout, Subject: "S " + name, Text: "{{x}}"})
	}
	got, err := y.adapter.Templates(t.Context(), y.conn)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRawThroughTheSandbox(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	batch := []provider.Outgoing{y.message("ana@gmail.com"), y.message("bo@gmail.com"), y.message("cy@gmail.com")}
	for _, i := range []int{0, 2} {
		batch[i].Content.Template, batch[i].Content.HTML, batch[i].Content.Subject = "", "<p>Hi</p>", "Hello"
	}
	batch[1].Content.Template = "nowhere"
	outcomes := y.send(batch, provider.Accepted, provider.Rejected, provider.Accepted)
	if !outcomes[1].Elsewhere || outcomes[1].Code != "1101" {
		t.Errorf("%+v", outcomes[1])
	}
}

// templatesServer plays Postmark's templates API.
func templatesServer(t *testing.T, list func(offset string) string, one func(id string) (int, string)) provider.Connection {
	t.Helper()
	return connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if id, single := strings.CutPrefix(r.URL.Path, "/templates/"); single {
			status, body := one(id)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return
		}
		_, _ = w.Write([]byte(list(r.URL.Query().Get("Offset"))))
	}))
}

func entries(from, n int) string {
	var list []string
	for i := from; i < from+n; i++ {
		list = append(list, fmt.Sprintf(`{"Active":true,"TemplateId":%d,"Alias":"a%d","Name":"n","TemplateType":"Standard","LayoutTemplate":null}`, i, i))
	}
	return `{"TotalCount":1,"Templates":[` + strings.Join(list, ",") + `]}`
}

// What a server answers is judged, bounded, and asked for again where that may help.
func TestTemplatesOfTroubledServers(t *testing.T) {
	t.Parallel()
	const body = `{"TemplateId":%s,"Alias":"a%s","Name":"n","Subject":"s","HtmlBody":null,"TextBody":"x","TemplateType":"Standard"}`
	good := func(id string) (int, string) { return http.StatusOK, fmt.Sprintf(body, id, id) }
	once := func(string) string { return entries(1, 2) }
	var busy atomic.Int32
	for name, tc := range map[string]struct {
		list func(string) string
		one  func(string) (int, string)
		n    int
		err  string
	}{
		"well": {once, good, 2, ""},
		"busy at first": {once, func(id string) (int, string) {
			if busy.Add(1) < 3 {
				return http.StatusTooManyRequests, ""
			}
			return good(id)
		}, 2, ""},
		"down":              {once, func(string) (int, string) { return http.StatusServiceUnavailable, "" }, 0, "503"},
		"deleted meanwhile": {once, func(id string) (int, string) { return 422, `{"ErrorCode":1101,"Message":"gone"}` }, 0, ""},
		"refused":           {once, func(id string) (int, string) { return 401, `{"ErrorCode":10,"Message":"` + testKey + `"}` }, 0, "ErrorCode 10"},
		"another template":  {once, func(string) (int, string) { return good("7") }, 0, "not Postmark's"},
		"no list":           {func(string) string { return "{}" }, good, 0, "not Postmark's"},
		"no JSON":           {func(string) string { return "<html>" }, good, 0, "not Postmark's"},
		"the same for ever": {func(string) string { return entries(1, 100) }, good, 100, ""},
		"far too many":      {func(offset string) string { n := 0; _, _ = fmt.Sscan(offset, &n); return entries(n, 100) }, good, 0, "more than 500"},
		"far too much": {func(string) string { return entries(1, 9) }, func(id string) (int, string) {
			return http.StatusOK, strings.Replace(fmt.Sprintf(body, id, id), `"x"`, `"`+strings.Repeat("x", 2<<20)+`"`, 1)
		}, 0, "more than 16 MB"},
	} {
		adapter := newAdapter(t)
		adapter.SetPause(func(context.Context, int) error { return nil })
		got, err := adapter.Templates(t.Context(), templatesServer(t, tc.list, tc.one))
		if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) || len(got) != tc.n {
			t.Errorf("%s: %d templates, %v", name, len(got), err)
		}
		if err != nil && strings.Contains(err.Error(), testKey) {
			t.Errorf("%s: the key is shown: %v", name, err)
		}
	}
}
