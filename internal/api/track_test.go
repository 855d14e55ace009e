package api

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
	"postyard/internal/track"
)

// trackedMail is what a recipient got: the paths of its addresses.
type trackedMail struct{ id, open, click, leave string }

const trackedTarget = "https://shop.example.com/a?b=c&d=%20#e"

// tracked sends a message and makes its addresses, as if its provider did not track.
func (w *world) tracked() trackedMail {
	w.t.Helper()
	id := w.mail("ana@example.com")[0]
	yes := true
	c := &mail.Content{HTML: `<a href="https://shop.example.com/a?b=c&amp;d=%20#e">x</a>`, Text: "{{unsubscribe}}", TrackOpens: &yes, TrackClicks: &yes}
	out := w.tracking.Outgoing(route.TPSP(1), provider.Capabilities{Family: event.CustomSMTP},
		&store.Job{ID: uuid.MustParse(id), AccountID: w.account.ID, Content: c}, c)
	found := regexp.MustCompile(`href="([^"]+)".*src="([^"]+)"`).FindStringSubmatch(out.HTML)
	if found == nil {
		w.t.Fatalf("no addresses in %s", out.HTML)
	}
	cut := func(address string) string { return strings.TrimPrefix(address, w.url) }
	return trackedMail{id, cut(found[2]), cut(found[1]), cut(out.Text)}
}

func (w *world) eventsOf(id string) (list []eventAnswer) {
	w.t.Helper()
	w.asAccount("GET", "/api/v1/account/message/"+id+"/events", nil).ok(200, &list)
	return list
}

func TestTrackingAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	m := w.tracked()

	// A program that looks whether a link works is no reader.
	if a := w.call("HEAD", m.open, nil, nil); a.status != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d", a.status)
	}
	if a := w.call("HEAD", m.click, nil, nil); a.status != 302 || a.header.Get("Location") != trackedTarget {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	for range 2 {
		if a := w.call("GET", m.leave, nil, nil); a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("page: %d %v", a.status, a.header)
		}
	}
	if n := len(w.eventsOf(m.id)); n != 1 {
		t.Errorf("%d events, only the first is due", n)
	}

	for _, path := range []string{m.open, m.click, m.leave} {
		a := w.call("GET", path, map[string]string{"User-Agent": "Test/1", "X-Forwarded-For": "203.0.113.9, 192.0.2.4"}, nil)
		for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"X-Robots-Tag": "noindex, nofollow", "Set-Cookie": ""} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", path, name, got, want)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %s", path, csp)
		}
	}
	list := w.eventsOf(m.id)
	if len(list) != 3 || list[1].Type != 75 || list[2].Type != 76 {
		t.Fatalf("events %+v", list)
	}
	for _, e := range list[1:] {
		if e.EventMetadata.TrackedIP != "192.0.2.4" || e.EventMetadata.RawUserAgent != "Test/1" {
			t.Errorf("%+v", e)
		}
	}

	// One click (RFC 8058) in both encodings, and the button.
	for _, body := range []string{"List-Unsubscribe=One-Click", "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n", "",
		strings.Repeat("x", 1<<20)} {
		if a := w.call("POST", m.leave, map[string]string{"Content-Type": "multipart/form-data; boundary=x"}, body); a.status != 200 ||
			!strings.Contains(string(a.body), "You are unsubscribed") {
			t.Errorf("POST %.20q: %d %s", body, a.status, a.body)
		}
	}
	for _, path := range []string{m.open, m.click, m.leave} {
		if token := strings.Split(path, "/")[4]; strings.Contains(w.log.String(), token) || !strings.Contains(w.log.String(), strings.Split(path, token)[0]+"...") {
			t.Errorf("the log has %s", path)
		}
	}
	if list := w.eventsOf(m.id); len(list) != 4 || list[3].Type != 78 {
		t.Errorf("events %+v", list)
	}
}

// TestTrackingLeadsNowhereElse: whatever is made of an address, it does not lead where nobody sent a link to.
func TestTrackingLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	m := w.tracked()
	token := m.click[strings.LastIndex(m.click, "/")+1:]
	other := []byte(token)
	other[30] ^= 'A' ^ 'B'
	for _, path := range []string{
		"/track/tpsp/click/" + string(other), "/track/tpsp/click/" + token[:len(token)-1], "/track/tpsp/click/" + token + "A", "/track/tpsp/click/" + token + "%0A",
		"/track/tpsp/click/" + token + "=", "/track/tpsp/click/" + token + "/https://evil.example", "/track/tpsp/click/https://evil.example",
		"/track/tpsp/click/?url=https://evil.example", "/track/tpsp/click/x?url=https://evil.example", "/track/tpsp/click//evil.example",
		"/track/tpsp/click/%2F%2Fevil.example", "/track/tpsp/click/..%2f..%2f", "/track/tpsp/open/" + token + "/1.png", "/track/tpsp/unsubscribe/" + token,
		strings.Replace(m.open, "/open/", "/click/", 1), strings.Replace(m.leave, "/unsubscribe/", "/click/", 1), "/track/tpsp/click/" + strings.Repeat("A", 50_000),
		"/track/tpsp/click/%00", "/track/tpsp/click/" + strings.ToUpper(token),
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			a := w.call(method, path, nil, nil)
			if a.status != 404 && a.status != 405 || a.header.Get("Location") != "" {
				t.Errorf("%s %.80s: %d to %q", method, path, a.status, a.header.Get("Location"))
			}
		}
	}
	for _, query := range []string{"?url=https://evil.example", "?u=//evil.example&redirect=https://evil.example"} {
		if a := w.call("GET", m.click+query, map[string]string{"Host": "evil.example", "X-Forwarded-Host": "evil.example"}, nil); a.header.Get("Location") != trackedTarget {
			t.Errorf("%s leads to %q", query, a.header.Get("Location"))
		}
	}
	if a := w.call("GET", "/track/tpsp/click/x", nil, nil); !strings.Contains(string(a.body), "This link is not complete") {
		t.Errorf("what people see: %s", a.body)
	}
	w.call("GET", "/track/tpsp/open/x/1.png", nil, nil).refused(404, "not_found", "")
	if n := len(w.eventsOf(m.id)); n < 2 || n > 3 { // what was accepted, and the click: one for each second in which it came
		t.Errorf("%d events", n)
	}
}

// What a page says of a message does not become a part of the page.
func TestTrackingPageIsEscaped(t *testing.T) {
	t.Parallel()
	const evil = `<script>alert(1)</script>"@example.com`
	for _, ended := range []bool{false, true} {
		w := httptest.NewRecorder()
		if err := (&server{}).page(w, http.StatusOK, view{Subscription: track.Subscription{From: evil, To: evil, Ended: ended}}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(w.Body.String(), "<script") || !strings.Contains(w.Body.String(), "alert(1)") {
			t.Errorf("%s", w.Body)
		}
	}
}

// TestTrackingWithoutStore: links work, unsubscribing says that it does not.
func TestTrackingWithoutStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	m := w.tracked()
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	if a := w.call("GET", m.open, nil, nil); a.status != 200 {
		t.Errorf("open: %d %s", a.status, a.body)
	}
	if a := w.call("GET", m.click, nil, nil); a.status != 302 || a.header.Get("Location") != trackedTarget {
		t.Errorf("click: %d %s", a.status, a.body)
	}
	for _, method := range []string{"GET", "POST"} {
		if p := w.call(method, m.leave, nil, nil).refused(503, "unavailable", ""); p.Message == "" {
			t.Errorf("%s: %+v", method, p)
		}
	}
	if log := w.log.String(); !strings.Contains(log, "could not be recorded") {
		t.Error("nothing is told of it")
	}
}

func TestRemoteIP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		remote, want string
		forwarded    []string
	}{
		{"198.51.100.1:5", "198.51.100.1", nil},
		{"198.51.100.1:5", "198.51.100.1", []string{"203.0.113.9"}}, // anybody can say that
		{"127.0.0.1:5", "203.0.113.9", []string{"203.0.113.9"}},
		{"10.1.2.3:5", "203.0.113.9", []string{"192.0.2.1", "made up, 203.0.113.9"}},
		{"[fd00::1]:5", "2001:db8::9", []string{"2001:db8::9"}},
		{"[::ffff:10.0.0.1]:5", "203.0.113.9", []string{"::ffff:203.0.113.9"}},
		{"10.1.2.3:5", "10.1.2.3", []string{"<script>"}},
		{"10.1.2.3:5", "10.1.2.3", []string{""}},
		{"@", "", nil},
		{"[fe80::1%eth0]:5", "fe80::1", nil},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		for _, f := range c.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		if got := (&server{}).visitorIP(r); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.remote, c.forwarded, got, c.want)
		}
	}
}
