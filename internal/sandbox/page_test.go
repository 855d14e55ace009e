package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postyard/internal/sandbox"
)

// page fetches a page as a browser does.
func (b *bench) page(path string, status int) string {
	b.t.Helper()
	a := b.raw(http.MethodGet, path, "", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if a.status != status {
		b.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	policy := a.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "script-src") {
		b.t.Errorf("%s: policy %q", path, policy)
	}
	return string(a.body)
}

// PM-sim 56.
func TestInboxPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if got := b.page("/", 200); !strings.Contains(got, "No mail yet") {
		t.Error("the empty inbox does not say so")
	}
	for i := range 51 {
		b.send(object{"To": fmt.Sprintf("u%d@example.net", i), "Subject": fmt.Sprintf("Subject-%d-", i)})
	}
	first := b.page("/sandbox", 200)
	if strings.Contains(first, "Subject-0-") || strings.Index(first, "Subject-50-") > strings.Index(first, "Subject-49-") ||
		!strings.Contains(first, "Page 1 of 2") {
		t.Error("the first page is not the newest 50")
	}
	if second := b.page("/sandbox/?page=2", 200); !strings.Contains(second, "Subject-0-") || strings.Contains(second, "Subject-1-") {
		t.Error("the second page is not the oldest mail")
	}
	for _, beyond := range []string{"9999", "99999999"} {
		if last := b.page("/sandbox?page="+beyond, 200); !strings.Contains(last, "Subject-0-") || !strings.Contains(last, "Page 2 of 2") {
			t.Errorf("page %s is not the last one", beyond)
		}
	}
	if none := b.page("/sandbox?page=9999&to=nobody@example.net", 200); !strings.Contains(none, "No mail for nobody@example.net") {
		t.Error("a page beyond an empty list does not say that there is none")
	}
	if found := b.page("/sandbox?to=U7@example.net", 200); !strings.Contains(found, "Subject-7-") || strings.Contains(found, "Subject-8-") {
		t.Error("the search does not narrow the list")
	}
	b.page("/sandbox?page=-5&to=%00", 200)
	b.page("/sandbox/mail/nope", 404)
}

// PM-sim 56: the mail is shown in a frame without rights; nothing of it becomes part of the page.
func TestMailPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.send(object{"Subject": `<script>alert("s")</script>`, "HtmlBody": `<p>"quoted"</p><script>alert(1)</script><a href="https://example.com/x?a=1&amp;b=2">x</a>`,
		"TextBody": "<i>text</i>", "Headers": []object{{"Name": "X-Evil", "Value": "<script>"}}, "Metadata": object{"<b>": "<u>"}})
	page := b.page("/sandbox/mail/"+id, 200)
	if strings.Contains(page, "<script") || strings.Contains(page, "<i>text") || strings.Contains(page, "<u>") {
		t.Error("the mail breaks out into the page")
	}
	for _, want := range []string{`sandbox=""`, `srcdoc="&lt;p&gt;`, "&lt;i&gt;text&lt;/i&gt;", "X-Evil", "https://example.com/x?a=1&amp;b=2"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing", want)
		}
	}
	form := func(values string) answer {
		return b.raw(http.MethodPost, "/sandbox/mail/"+id+"/events", values, "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html")
	}
	opened := form("kind=open")
	if opened.status != 200 || len(b.message(id).Events) != 1 {
		t.Errorf("open: %d, %+v", opened.status, b.message(id).Events)
	}
	if a := form("kind=sneeze"); a.status != 422 || !strings.Contains(string(a.body), "kind must be one of") {
		t.Errorf("%d", a.status)
	}
	b.ok(http.MethodGet, "/server", nil)
	if css := b.raw(http.MethodGet, "/sandbox/style.css", ""); css.status != 200 || !strings.HasPrefix(css.header.Get("Content-Type"), "text/css") {
		t.Errorf("style sheet: %d %s", css.status, css.header.Get("Content-Type"))
	}
}

// A newcomer sees what to connect to, as it is now.
func TestInboxTellsWhatToConnectTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ok(http.MethodPost, "/message-streams", object{"ID": "news", "Name": "News", "MessageStreamType": "Broadcasts"})
	b.ok(http.MethodPost, "/templates", object{"Name": "N", "Alias": "note", "Subject": "s", "TextBody": "t"})
	b.hook(listen(t, nil), five())
	row := between(t, b.page("/sandbox", 200), `<dl class="connect"`, "</dl>")
	for _, want := range []string{b.url, sandbox.DemoServerToken, "outbound", "broadcast", "news", sandbox.DemoTemplateAlias, "note", "<dd>1</dd>"} {
		if !strings.Contains(row, want) {
			t.Errorf("%q is missing in %s", want, row)
		}
	}
	for _, other := range []string{"retired", "inbound"} {
		if strings.Contains(row, other) {
			t.Errorf("%q cannot be sent on: %s", other, row)
		}
	}
}

func between(t *testing.T, page, from, to string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, from)
	part, _, ended := strings.Cut(rest, to)
	if !found || !ended {
		t.Fatalf("no %s in %s", from, page)
	}
	return part
}

// The buttons say what happened, also when it is nothing new.
func TestButtonsTellWhatHappened(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.send(nil)
	b.pass()
	b.await(id, "delivery")
	for _, c := range []struct {
		form, notice string
		events       int
	}{
		{"kind=open", "ana@example.net opened the mail.", 2},
		{"kind=open", "ana@example.net opened the mail again: open number 2, reported as not the first.", 3},
		{"kind=click&url=https://example.com/a", "ana@example.net clicked https://example.com/a.", 4},
		{"kind=click&url=https://example.com/a", "ana@example.net has clicked https://example.com/a before: Postmark reports the first click", 4},
		{"kind=click&url=https://example.com/b", "ana@example.net clicked https://example.com/b.", 5},
		{"kind=unsubscribe", "ana@example.net unsubscribed.", 6},
		{"kind=unsubscribe", "ana@example.net is on the suppression list of outbound already: nothing changes.", 6},
		{"kind=complaint", "ana@example.net complained about the mail.", 8}, // and is suppressed
		{"kind=bounce", "The mail to ana@example.net bounced: HardBounce.", 10},
		{"kind=bounce&type=SoftBounce", "The mail to ana@example.net bounced: SoftBounce.", 11},
	} {
		a := b.raw(http.MethodPost, "/sandbox/mail/"+id+"/events", c.form, "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html")
		if a.status != 200 {
			t.Fatalf("%s: %d %s", c.form, a.status, a.body)
		}
		if notice := between(t, string(a.body), `<p class="notice" role="status">`, "</p>"); !strings.HasPrefix(notice, c.notice) {
			t.Errorf("%s: %q, want %q", c.form, notice, c.notice)
		}
		if got := len(b.message(id).Events); got != c.events {
			t.Errorf("%s: %d events, want %d", c.form, got, c.events)
		}
	}
	for _, other := range []string{"99999", "-1", "x"} {
		if page := b.page("/sandbox/mail/"+id+"?raised="+other, 200); strings.Contains(page, `class="notice"`) {
			t.Errorf("a notice of the event %s, which is not the mail's", other)
		}
	}
}

// PM-sim 56: a mail's page shows its webhook attempts, with what was answered and when the next try is, and every button.
func TestMailPageShowsAttempts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var down atomic.Bool
	r := listen(t, func(hit) int {
		if down.Load() {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	b.hook(r, five())
	down.Store(true)
	id := b.send(nil)
	b.pass()
	r.next(t)
	b.sleeper(start.Add(time.Minute + 200*time.Millisecond))
	page := b.page("/sandbox/mail/"+id, 200)
	attempts := between(t, page, `<ol class="attempts">`, "</ol>")
	for _, want := range []string{"Delivery", "retry", "status 503", "try 1 of 10", "next try", "2026-03-02 10:01:00", "webhook 1 of Sandbox", r.url} {
		if !strings.Contains(attempts, want) {
			t.Errorf("%q is missing in %s", want, attempts)
		}
	}
	if !strings.Contains(page, "1 webhook has not taken it yet") || !strings.Contains(b.page("/sandbox", 200), "1 webhook pending") {
		t.Error("what is pending is not shown")
	}
	for _, want := range []string{`value="open"`, `value="click"`, `value="complaint"`, `value="unsubscribe"`, `value="bounce"`, "<option>HardBounce</option>",
		"<option>DMARCPolicy</option>"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing", want)
		}
	}
	down.Store(false)
	b.clock.Advance(time.Minute)
	r.next(t)
	b.settled(id)
	attempts = between(t, b.page("/sandbox/mail/"+id, 200), `<ol class="attempts">`, "</ol>")
	if strings.Contains(attempts, "next try") || !strings.Contains(attempts, "try 2 of 10") || !strings.Contains(attempts, "delivered") {
		t.Errorf("%s", attempts)
	}
	if strings.Contains(b.page("/sandbox", 200), "pending") {
		t.Error("something is still pending")
	}
}

// PM-sim 56, 47: the page of webhooks shows those registered and all attempts, also for no mail, and its buttons test and verify.
func TestHookPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if page := b.page("/sandbox/hook", 200); !strings.Contains(page, "No webhook is registered") || !strings.Contains(page, "Nothing has been posted yet") {
		t.Errorf("%s", page)
	}
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "A & B", "token": "second-token"}, 200)
	var status atomic.Int64
	status.Store(200)
	r := listen(t, func(hit) int { return int(status.Load()) })
	second := []string{serverToken, "second-token", "Content-Type", "application/json"}
	b.raw(http.MethodPost, "/webhooks", text(t, object{"Url": strings.Replace(r.url, "http://", "http://in:secret@", 1),
		"Triggers": object{"SubscriptionChange": object{"Enabled": true}}}), second...)
	r.drain(t, 1)
	b.raw(http.MethodPost, "/message-streams/outbound/suppressions", `{"Suppressions":[{"EmailAddress":"ana@example.net"}]}`, second...)
	r.drain(t, 1)
	for len(b.attempts("")) == 0 {
		continue // until it is noted
	}
	page := b.page("/sandbox/hook", 200)
	for _, want := range []string{r.url, "webhook 1 of A &amp; B · outbound", `<span class="badge verified">SubscriptionChange</span>`, "1 registered",
		"no mail", "status 200", "try 1 of 10", `action="/sandbox/hook/1/test?server=A%20%26%20B"`, `action="/sandbox/hook/1/verify?server=A%20%26%20B"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in %s", want, page)
		}
	}
	if strings.Contains(page, "secret") || strings.Contains(page, "<script") {
		t.Error("a password, or a script")
	}
	press := func(path string, status int) string {
		t.Helper()
		a := b.raw(http.MethodPost, path, "", "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html")
		if a.status != status || !strings.HasPrefix(a.header.Get("Content-Security-Policy"), "default-src 'none';") {
			t.Errorf("%s: %d", path, a.status)
		}
		return string(a.body)
	}
	if page := press("/sandbox/hook/1/test?server=A%20%26%20B", 200); !strings.Contains(page, "Test of webhook 1 of A &amp; B: 1/1 samples were answered with 200.") {
		t.Errorf("%s", page)
	}
	r.drain(t, 1)
	status.Store(500)
	if page := press("/sandbox/hook/1/verify?server=A%20%26%20B", 200); !strings.Contains(page, "0/1 triggers verified successfully") ||
		!strings.Contains(page, "HTTP status code of 500") || !strings.Contains(page, `<span class="badge unverified">unverified</span>`) {
		t.Errorf("%s", page)
	}
	r.drain(t, 1)
	if page := press("/sandbox/hook/7/test", 404); !strings.Contains(page, "there is no such webhook") {
		t.Errorf("%s", page)
	}
	press("/sandbox/hook/x/verify", 404)
	b.page("/sandbox/hook?page=99", 200)
}

// PM-sim 56, 40: the pages say that the clock is held, or not the machine's.
func TestPagesTellAnOddClock(t *testing.T) {
	t.Parallel()
	b := setup(t, ownClock)
	odd := func() string {
		page := b.page("/sandbox/hook", 200)
		if !strings.Contains(page, "clock") {
			return ""
		}
		return between(t, page, `<p class="notice">`, "</p>")
	}
	if got := odd(); got != "" {
		t.Errorf("%s", got)
	}
	b.steer(http.MethodPost, "/sandbox/clock/advance", object{"ms": 3600000})
	if got := odd(); !strings.Contains(got, "1h0m0s ahead") {
		t.Errorf("%s", got)
	}
	b.steer(http.MethodPut, "/sandbox/clock", object{"held": true, "now": "2100-01-01T00:00:00Z"})
	if got := odd(); !strings.Contains(got, "held at 2100-01-01 00:00:00 UTC") {
		t.Errorf("%s", got)
	}
}
