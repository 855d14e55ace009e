package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
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
