package sandbox_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// keysOf are the names of a payload's fields.
func keysOf(o object) []string {
	names := []string{}
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func fields(list string) []string {
	names := strings.Fields(list)
	slices.Sort(names)
	return names
}

// PM-sim 21, 41, 44: one Delivery for each recipient, under one MessageID, with exactly the documented keys.
func TestDelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, five())
	id := b.send(object{"To": "Ana <ana@example.net>", "Cc": "c@example.net", "Bcc": "b@example.net", "Tag": "welcome",
		"Metadata": object{"gw_message_id": "m_01"}})
	b.clock.Advance(199e6)
	b.pass()
	got := map[string]object{}
	for range 3 {
		p := r.next(t).json(t)
		got[p["Recipient"].(string)] = p
	}
	want := object{"RecordType": "Delivery", "MessageStream": "outbound", "ServerID": 1.0, "MessageID": id, "Recipient": "ana@example.net",
		"Tag": "welcome", "DeliveredAt": "2026-03-02T10:00:00.3990000Z", "Details": "250 2.0.0 OK", "Metadata": object{"gw_message_id": "m_01"}}
	if diff := cmp.Diff(want, got["ana@example.net"]); diff != "" {
		t.Error(diff)
	}
	if got["b@example.net"]["MessageID"] != id || got["c@example.net"]["MessageID"] != id {
		t.Errorf("%v", got)
	}
}

// With openDelivered a delivery is followed by a first open, where opens are noticed and the mail is delivered at all.
func TestOpenDelivered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPut, "/sandbox/settings", object{"openDelivered": true}, 200)
	want := map[string]string{}
	for changes, kinds := range map[*object]string{
		{"To": "ana@example.net"}:                             "delivery open",
		{"To": "text@example.net", "HtmlBody": nil}:           "delivery",
		{"To": "HardBounce@bounce-testing.postmarkapp.com"}:   "bounce subscription",
		{"To": "ana@example.net", "Cc": "copies@example.net"}: "delivery open delivery open",
	} {
		want[b.send(*changes)] = kinds
	}
	b.clock.Advance(time.Second)
	b.pass()
	for id, kinds := range want {
		b.settled(id)
		var got []string
		for _, e := range b.message(id).Events {
			got = append(got, e.Kind)
		}
		if strings.Join(got, " ") != kinds {
			t.Errorf("%v, want %s", got, kinds)
		}
	}
}

// A send takes effect and is answered after the latency, not before.
func TestSendLatency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPut, "/sandbox/settings", object{"sendLatencyMs": 20}, 200)
	body := text(t, mail(nil))
	answered := make(chan error, 1)
	go func() {
		a, err := b.try(http.MethodPost, "/email", body, serverToken, "sandbox-server-token", "Content-Type", "application/json")
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("status %d", a.status)
		}
		answered <- err
	}()
	done, cancel := timeout(t)
	defer cancel()
	if !b.clock.AwaitSleeper(done.Done(), start.Add(20*time.Millisecond)) {
		t.Fatal("nothing waits")
	}
	b.clock.Advance(19 * time.Millisecond)
	if n := b.stored(); n != 0 {
		t.Errorf("%d messages before the latency was over", n)
	}
	b.clock.Advance(time.Millisecond)
	if err := <-answered; err != nil || b.stored() != 1 {
		t.Errorf("%d messages (%v)", b.stored(), err)
	}
}

// PM-sim 42, 44.
func TestBounceAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct {
		kind string
		code float64
	}{
		"HardBounce@bounce-testing.postmarkapp.com":          {"HardBounce", 1},
		"soft_bounce@bounce-testing.postmarkapp.com":         {"SoftBounce", 4096},
		"DMARCPOLICY@bounce-testing.postmarkapp.com":         {"DMARCPolicy", 100009},
		"whatever@bounce-testing.postmarkapp.com":            {"HardBounce", 1},
		"SpamComplaint@bounce-testing.postmarkapp.com":       {"HardBounce", 1},
		"Transient+7@bounce.sandbox.test":                    {"Transient", 2},
		"spamnotification@bounce.sandbox.test":               {"SpamNotification", 512},
		"bademailaddress+x@Bounce.Sandbox.Test":              {"BadEmailAddress", 100000},
		"anyone+X-PM-Bounce-Type@bounce.sandbox.test":        {"Blocked", 100006},
		"templaterenderingfailed+please@bounce.sandbox.test": {"TemplateRenderingFailed", 100010},
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := listen(t, nil)
			b.hook(r, object{"Bounce": object{"Enabled": true}, "Delivery": object{"Enabled": true}})
			changes := object{"To": address}
			if strings.Contains(address, "X-PM-Bounce-Type") {
				changes["Headers"] = []object{{"Name": "x-pm-bounce-type", "Value": "blocked"}}
			}
			b.send(changes)
			b.pass()
			h := r.next(t)
			p := h.json(t)
			if p["RecordType"] != "Bounce" || p["Type"] != want.kind || p["TypeCode"] != want.code || p["Email"] != address {
				t.Errorf("%s", h.body)
			}
			names := fields("RecordType MessageStream ID Type TypeCode Name Tag MessageID Metadata ServerID Description Details Email From " +
				"BouncedAt DumpAvailable Inactive CanActivate Subject")
			if diff := cmp.Diff(names, keysOf(p)); diff != "" {
				t.Error(diff)
			}
			if p["Inactive"] != (want.kind == "HardBounce") {
				t.Errorf("Inactive is %v", p["Inactive"])
			}
			if p["Subject"] != "Hello" || p["From"] != "app@example.com" {
				t.Errorf("subject %v, from %v", p["Subject"], p["From"])
			}
			if p["ID"].(float64) < 1<<53 {
				t.Errorf("ID %v does not need an int64", p["ID"])
			}
		})
	}
}

// PM-sim 42, 22: a hard bounce and a complaint make the recipient inactive on that stream, with a SubscriptionChange.
func TestHardBounceAndComplaintSuppress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][]string{
		"hardbounce+1@bounce.sandbox.test": {"Bounce", "SubscriptionChange"},
		"complaint+1@bounce.sandbox.test":  {"Delivery", "SpamComplaint", "SubscriptionChange"},
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := listen(t, nil)
			b.hook(r, all())
			b.send(object{"To": address})
			b.pass()
			seen := map[string]object{}
			for range want {
				p := r.next(t).json(t)
				seen[p["RecordType"].(string)] = p
			}
			for _, kind := range want {
				if seen[kind] == nil {
					t.Errorf("no %s among %v", kind, seen)
				}
			}
			change := seen["SubscriptionChange"]
			reason := "HardBounce"
			if len(want) == 3 {
				reason = "SpamComplaint"
				if c := seen["SpamComplaint"]; c["Type"] != "SpamComplaint" || c["TypeCode"] != 100001.0 || c["CanActivate"] != false || c["Email"] != address {
					t.Errorf("%v", c)
				}
			}
			names := fields("RecordType MessageID ServerID MessageStream ChangedAt Recipient Origin SuppressSending SuppressionReason Tag Metadata")
			if diff := cmp.Diff(names, keysOf(change)); diff != "" {
				t.Error(diff)
			}
			if change["SuppressSending"] != true || change["SuppressionReason"] != reason || change["Origin"] != "Recipient" {
				t.Errorf("%v", change)
			}
			b.api(http.MethodPost, "/email", mail(object{"To": strings.ToUpper(address[:1]) + address[1:]})).want(t, 422, 406, "")
			b.ok(http.MethodPost, "/email", mail(object{"To": address, "MessageStream": "broadcast"}))
		})
	}
}

// PM-sim 42.
func TestBlackholeIsDelivered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, address := range []string{"test@blackhole.postmarkapp.com", "blackhole@bounce.sandbox.test", "Blackhole+9@bounce.sandbox.test"} {
		id := b.send(object{"To": address})
		b.pass()
		b.await(id, "delivery")
	}
}

// PM-sim 43, 44.
func TestOpensAndClicks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, five())
	id := b.send(object{"Tag": "t", "To": "ana@example.net", "Cc": "ben@example.net", "TextBody": "See https://example.com/b?x=1&y=2."})
	b.pass()
	r.drain(t, 2)
	path := "/sandbox/messages/" + id + "/events"
	raise := func(body object) object {
		b.control(http.MethodPost, path, body, 200)
		return r.next(t).json(t)
	}
	common := "RecordType MessageStream Client OS Platform UserAgent Geo MessageID Metadata ReceivedAt Tag Recipient "
	first := raise(object{"kind": "open"})
	if diff := cmp.Diff(fields(common+"FirstOpen ReadSeconds"), keysOf(first)); diff != "" {
		t.Error(diff)
	}
	if first["FirstOpen"] != true || first["Recipient"] != "ana@example.net" {
		t.Errorf("%v", first)
	}
	if again := raise(object{"kind": "open", "recipient": "ANA@example.net"}); again["FirstOpen"] != false {
		t.Errorf("%v", again)
	}
	if other := raise(object{"kind": "open", "recipient": "ben@example.net"}); other["FirstOpen"] != true {
		t.Errorf("%v", other)
	}
	click := raise(object{"kind": "click"})
	if diff := cmp.Diff(fields(common+"ClickLocation OriginalLink"), keysOf(click)); diff != "" {
		t.Error(diff)
	}
	if click["OriginalLink"] != "https://example.com/a" || click["ClickLocation"] != "HTML" {
		t.Errorf("%v", click)
	}
	if a := b.control(http.MethodPost, path, object{"kind": "click"}, 200); !strings.Contains(string(a.body), `"events":[]`) {
		t.Errorf("Postmark reports a recipient's click on a link once: %s", a.body)
	} else if note, _ := a.field(t, "note").(string); !strings.Contains(note, "ana@example.net has clicked https://example.com/a before") ||
		!strings.Contains(note, "first click per link and recipient only") {
		t.Errorf("the note: %s", a.body)
	}
	if named := raise(object{"kind": "click", "url": "https://example.com/b?x=1&y=2"}); named["OriginalLink"] != "https://example.com/b?x=1&y=2" ||
		named["ClickLocation"] != "Text" {
		t.Errorf("%v", named)
	}
	if other := raise(object{"kind": "click", "recipient": "ben@example.net"}); other["Recipient"] != "ben@example.net" {
		t.Errorf("%v", other)
	}
	if p := raise(object{"kind": "complaint"}); p["RecordType"] != "SpamComplaint" || p["Email"] != "ana@example.net" {
		t.Errorf("%v", p)
	}
	if p := raise(object{"kind": "bounce", "recipient": "ben@example.net"}); p["Type"] != "HardBounce" || p["Email"] != "ben@example.net" {
		t.Errorf("%v", p)
	}
	if p := raise(object{"kind": "bounce", "type": "soft_bounce"}); p["RecordType"] != "Bounce" || p["Type"] != "SoftBounce" {
		t.Errorf("%v", p)
	}
}

// anchors is HTML with links, each with its number.
func anchors(format string, n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `<a href="`+format+`">x</a>`, i)
	}
	return out.String()
}

// Every link of a mail can be clicked, also those beyond what a page lists, spelt as in the source or as a browser has it.
func TestClickOnAnyLink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.send(object{"HtmlBody": anchors("https://example.com/?n=%d&amp;x", 150)})
	for _, url := range []string{"https://example.com/?n=149&x", "https://example.com/?n=148&amp;x"} {
		b.control(http.MethodPost, "/sandbox/messages/"+id+"/events", object{"kind": "click", "url": url}, 200)
	}
	if events := b.message(id).Events; len(events) != 2 || events[0].URL != "https://example.com/?n=149&x" || events[1].URL != "https://example.com/?n=148&x" {
		t.Errorf("%+v", events)
	}
}

// PM-sim 43: only what is tracked can happen; refusals say why.
func TestEventsThatCannotHappen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plain := b.send(object{"HtmlBody": nil, "TextBody": "no link", "TrackOpens": true})
	untracked := b.send(object{"TrackLinks": "None"})
	htmlOnly := b.send(object{"TrackLinks": "HtmlOnly", "HtmlBody": nil})
	for name, c := range map[string]struct {
		id     string
		body   any
		status int
		text   string
	}{
		"unknown message":   {"nope", object{"kind": "open"}, 404, "there is no message"},
		"unknown kind":      {plain, object{"kind": "sneeze"}, 422, "kind must be one of"},
		"no kind":           {plain, object{}, 422, "kind must be one of"},
		"open without HTML": {plain, object{"kind": "open"}, 422, "HTML part"},
		"click, no link":    {plain, object{"kind": "click"}, 422, "no link"},
		"click, bad URL":    {plain, object{"kind": "click", "url": "javascript:1"}, 422, "http"},
		"wrong type":        {plain, `{"kind":5}`, 400, "kind must be a string, got a number"},
		"not an object":     {plain, `[]`, 400, "it must be an object, got a list"},
		"too large":         {plain, `{"kind":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "at most 1048576 bytes"},
		"click untracked":   {untracked, object{"kind": "click"}, 422, "TrackLinks is None"},
		"click in text":     {htmlOnly, object{"kind": "click"}, 422, "TrackLinks is HtmlOnly"},
		"unknown bounce":    {plain, object{"kind": "bounce", "type": "Rubber"}, 422, "type must be one of"},
		"foreign recipient": {plain, object{"kind": "bounce", "recipient": "x@example.net"}, 422, "was not sent to"},
		"broken JSON":       {plain, `{`, 400, "the JSON ends early"},
		"unknown field":     {plain, object{"kind": "open", "who": "x"}, 400, `unknown field "who"; known are kind, recipient, url, type`},
	} {
		a := b.control(http.MethodPost, "/sandbox/messages/"+c.id+"/events", c.body, c.status)
		if problem, _ := a.field(t, "error").(string); !strings.Contains(problem, c.text) {
			t.Errorf("%s: %q does not say %q", name, problem, c.text)
		}
		if strings.Contains(string(a.body), "Go ") || strings.Contains(string(a.body), "json:") || strings.Contains(string(a.body), "http: ") {
			t.Errorf("%s: the program's words: %s", name, a.body)
		}
	}
	b.control(http.MethodPost, "/sandbox/messages/"+untracked+"/events", object{"kind": "open"}, 200)
}

// A click may be on any link: who tests what follows from it need not look into the mail first.
func TestClickOnALinkOfOnesOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.send(nil)
	b.control(http.MethodPost, "/sandbox/messages/"+id+"/events", object{"kind": "click", "url": "https://example.com/elsewhere"}, 200)
	if events := b.message(id).Events; len(events) != 1 || events[0].URL != "https://example.com/elsewhere" {
		t.Errorf("%+v", events)
	}
}

// PM-sim 43, 44: an unsubscription takes the recipient off the stream, and is told as Postmark tells it.
func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, object{"SubscriptionChange": object{"Enabled": true}})
	id := b.send(object{"To": "ana@example.net, ben@example.net", "Tag": "t", "Metadata": object{"k": "v"}, "HtmlBody": nil, "TrackLinks": "None"})
	path := "/sandbox/messages/" + id + "/events"
	b.control(http.MethodPost, path, object{"kind": "unsubscribe", "recipient": "BEN@example.net"}, 200)
	want := object{"RecordType": "SubscriptionChange", "MessageID": id, "ServerID": 1.0, "MessageStream": "outbound",
		"ChangedAt": "2026-03-02T10:00:00.0000000Z", "Recipient": "ben@example.net", "Origin": "Recipient", "SuppressSending": true,
		"SuppressionReason": "ManualSuppression", "Tag": "t", "Metadata": object{"k": "v"}}
	if diff := cmp.Diff(want, r.next(t).json(t)); diff != "" {
		t.Error(diff)
	}
	list := b.ok(http.MethodGet, "/message-streams/outbound/suppressions/dump?Origin=Recipient", nil)
	if !strings.Contains(string(list.body), `"EmailAddress":"ben@example.net","SuppressionReason":"ManualSuppression","Origin":"Recipient"`) {
		t.Errorf("%s", list.body)
	}
	b.api(http.MethodPost, "/email", mail(object{"To": "ben@example.net"})).want(t, 422, 406, "")
	b.ok(http.MethodPost, "/email", mail(object{"To": "ben@example.net", "MessageStream": "broadcast"}))
	again := b.control(http.MethodPost, path, object{"kind": "unsubscribe", "recipient": "ben@example.net"}, 200)
	if note, _ := again.field(t, "note").(string); !strings.Contains(note, "on the suppression list of outbound already") || len(b.message(id).Events) != 1 {
		t.Errorf("%s", again.body)
	}
}

// PM-sim 44: dates in webhooks are written with seven digits and Z, or as the setting says. A complaint has the keys of a bounce.
func TestDatesOfWebhooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, all())
	id := b.send(nil)
	b.pass()
	r.drain(t, 1)
	b.clock.Advance(1234567 * time.Microsecond)
	for dates, want := range map[string]string{"digits": "2026-03-02T10:00:01.4345670Z", "plain": "2026-03-02T10:00:01Z",
		"offset": "2026-03-02T05:00:01.4345670-05:00"} {
		b.control(http.MethodPut, "/sandbox/settings", object{"webhookDates": dates}, 200)
		for _, wish := range []object{{"kind": "open"}, {"kind": "click", "url": "https://example.com/" + dates}, {"kind": "bounce"}, {"kind": "complaint"}} {
			b.control(http.MethodPost, "/sandbox/messages/"+id+"/events", wish, 200)
		}
		for range 6 { // a bounce and a complaint change the subscription, too
			p := r.next(t).json(t)
			key := map[any]string{"Open": "ReceivedAt", "Click": "ReceivedAt", "Bounce": "BouncedAt", "SpamComplaint": "BouncedAt",
				"SubscriptionChange": "ChangedAt"}[p["RecordType"]]
			if p[key] != want {
				t.Errorf("%s: %v of %v is %v", dates, key, p["RecordType"], p[key])
			}
			if p["RecordType"] != "SpamComplaint" {
				continue
			}
			names := fields("RecordType MessageStream ID Type TypeCode Name Tag MessageID Metadata ServerID Description Details Email From " +
				"BouncedAt DumpAvailable Inactive CanActivate Subject")
			if diff := cmp.Diff(names, keysOf(p)); diff != "" || p["Inactive"] != true || p["CanActivate"] != false {
				t.Errorf("%s%v", diff, p)
			}
		}
		b.control(http.MethodPut, "/sandbox/settings", object{"webhookDates": dates}, 200)
		b.api(http.MethodPost, "/message-streams/outbound/suppressions/delete", object{"Suppressions": []object{{"EmailAddress": "ana@example.net"}}})
		p := r.next(t).json(t)
		if p["SuppressSending"] != false || p["ChangedAt"] != want {
			t.Errorf("%s: %v", dates, p)
		}
	}
	details := b.ok(http.MethodGet, "/messages/outbound/"+id+"/details", nil)
	if !strings.Contains(string(details.body), `"2026-03-02T10:00:01.4345670Z"`) || strings.Contains(string(details.body), "-05:00") {
		t.Errorf("the read API's dates are not those of webhooks: %s", details.body)
	}
}

// PM-sim 46: with late webhooks, what happened first is told last.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, all())
	b.control(http.MethodPut, "/sandbox/settings", object{"lateWebhooks": "Delivery, Bounce", "lateWebhooksMs": 60000, "openDelivered": true}, 200)
	id := b.send(object{"Cc": "hardbounce@bounce.sandbox.test"})
	b.pass()
	early := []any{r.next(t).json(t)["RecordType"], r.next(t).json(t)["RecordType"]}
	if !slices.Contains(early, any("Open")) || !slices.Contains(early, any("SubscriptionChange")) {
		t.Errorf("%v", early)
	}
	b.sleeper(start.Add(60200 * time.Millisecond))
	b.clock.Advance(time.Minute - 1)
	if n := len(r.events); n != 0 {
		t.Errorf("%d late ones are early", n)
	}
	b.clock.Advance(1)
	late := map[any]object{}
	for range 2 {
		p := r.next(t).json(t)
		late[p["RecordType"]] = p
	}
	if late["Delivery"]["DeliveredAt"] != "2026-03-02T10:00:00.2000000Z" || late["Bounce"]["MessageID"] != id {
		t.Errorf("%v", late)
	}
	b.settled(id)
}

// PM-sim 50: each change of the suppressions by the API is told, with no message; no change is not. What was not told yet is told after a
// restart, with the same bytes and trace.
func TestSuppressionChangesAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	var down atomic.Bool
	r := listen(t, func(hit) int {
		if down.Load() {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	b.hook(r, object{"SubscriptionChange": object{"Enabled": true}})
	want := object{"RecordType": "SubscriptionChange", "MessageID": nil, "ServerID": 1.0, "MessageStream": "outbound",
		"ChangedAt": "2026-03-02T10:00:00.0000000Z", "Recipient": "Ana@example.net", "Origin": "Customer", "SuppressSending": true,
		"SuppressionReason": "ManualSuppression", "Tag": nil, "Metadata": object{}}
	change := func(b *bench, what string, addresses ...string) {
		list := []object{}
		for _, a := range addresses {
			list = append(list, object{"EmailAddress": a})
		}
		b.ok(http.MethodPost, "/message-streams/outbound/suppressions"+what, object{"Suppressions": list})
	}
	change(b, "", "Ana@example.net", "ana@EXAMPLE.net", "no address")
	first := r.next(t)
	if diff := cmp.Diff(want, first.json(t)); diff != "" {
		t.Error(diff)
	}
	change(b, "", "ana@example.net")                            // is there
	change(b, "/delete", "ana@example.net", "nobody@x.example") // the second is not
	second := r.next(t)
	want["SuppressSending"], want["SuppressionReason"], want["Recipient"] = false, nil, "ana@example.net"
	if diff := cmp.Diff(want, second.json(t)); diff != "" {
		t.Error(diff)
	}
	if a, b := first.header.Get("X-PM-Webhook-Trace-Id"), second.header.Get("X-PM-Webhook-Trace-Id"); a == "" || a == b {
		t.Errorf("traces %q and %q", a, b)
	}
	down.Store(true)
	change(b, "", "ben@example.net")
	missed := r.next(t)
	b.sleeper(start.Add(time.Minute))
	attempts := b.attempts("")
	if len(attempts) != 3 || attempts[0].Type != "SubscriptionChange" || !attempts[0].NextTry.Equal(start.Add(time.Minute)) {
		t.Errorf("%+v", attempts)
	}
	down.Store(false)
	after := setup(t, in(killed(t, dir, "")))
	again := r.next(t)
	if string(again.body) != string(missed.body) || again.header.Get("X-PM-Webhook-Trace-Id") != missed.header.Get("X-PM-Webhook-Trace-Id") ||
		again.json(t)["Recipient"] != "ben@example.net" {
		t.Errorf("%s\n%s", missed.body, again.body)
	}
	change(after, "", "cy@example.net")
	third := r.next(t)
	if got := third.header.Get("X-PM-Webhook-Trace-Id"); third.json(t)["Recipient"] != "cy@example.net" || got == missed.header.Get("X-PM-Webhook-Trace-Id") {
		t.Errorf("trace %s of %s", got, third.body)
	}
	for deadline := time.Now().Add(patience); ; { // until it is noted that all four were told
		raw, err := os.ReadFile(filepath.Join(after.dir, "sandbox.ndjson"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(raw), `"Pending":[]`) == 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not noted: %s", raw)
		}
	}
	last := setup(t, in(killed(t, after.dir, "")))
	change(last, "/delete", "cy@example.net")
	if got := r.next(t).json(t); got["Recipient"] != "cy@example.net" || got["SuppressSending"] != false {
		t.Errorf("told again although it was taken: %v", got)
	}
}

// PM-sim 45.
func TestFirstOpenOnlyAndContent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, object{"Open": object{"Enabled": true, "PostFirstOpenOnly": true}, "Bounce": object{"Enabled": true, "IncludeContent": true}})
	id := b.send(nil)
	path := "/sandbox/messages/" + id + "/events"
	b.control(http.MethodPost, path, object{"kind": "open"}, 200)
	b.control(http.MethodPost, path, object{"kind": "open"}, 200)
	b.control(http.MethodPost, path, object{"kind": "bounce"}, 200)
	got := map[any]object{}
	for range 2 {
		p := r.next(t).json(t)
		got[p["RecordType"]] = p
	}
	if content, _ := got["Bounce"]["Content"].(string); got["Open"] == nil || !strings.Contains(content, "could not be delivered") {
		t.Errorf("%v", got)
	}
	b.settled(id)
	if len(r.events) != 0 {
		t.Error("the second open was posted")
	}
}

// PM-sim 46: the webhook has been answered before the send is.
func TestWebhookBeforeAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var answered atomic.Bool
	r := listen(t, func(h hit) int {
		if answered.Load() {
			t.Error("the send was answered before the webhook")
		}
		return http.StatusOK
	})
	b.hook(r, object{"Delivery": object{"Enabled": true}})
	b.control(http.MethodPut, "/sandbox/settings", object{"webhookBeforeAnswer": true}, 200)
	id := b.send(nil)
	answered.Store(true)
	if len(r.events) != 1 {
		t.Fatalf("%d webhooks when the send was answered", len(r.events))
	}
	if got := r.next(t).json(t)["MessageID"]; got != id {
		t.Errorf("%v", got)
	}
}

// PM-sim 46: duplicates are the same event, with the same trace; dropped ones are listed with the message but not posted.
func TestDuplicateAndDroppedWebhooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, object{"Delivery": object{"Enabled": true}})
	b.control(http.MethodPut, "/sandbox/settings", object{"duplicateWebhooks": true}, 200)
	b.send(nil)
	b.pass()
	one, two := r.next(t), r.next(t)
	if string(one.body) != string(two.body) || one.header.Get("X-PM-Webhook-Trace-Id") != two.header.Get("X-PM-Webhook-Trace-Id") {
		t.Errorf("%s\n%s", one.body, two.body)
	}
	b.control(http.MethodPut, "/sandbox/settings", object{"duplicateWebhooks": false, "dropWebhooks": true}, 200)
	dropped := b.send(nil)
	b.pass()
	b.await(dropped, "delivery")
	b.control(http.MethodPut, "/sandbox/settings", object{"dropWebhooks": false}, 200)
	last := b.send(nil)
	b.pass()
	if got := r.next(t).json(t)["MessageID"]; got != last {
		t.Errorf("%v was posted, want %v", got, last)
	}
}

// A receiver that hangs on one URL holds up no other.
func TestSlowWebhookHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := make(chan struct{})
	var probing atomic.Bool
	probing.Store(true)
	slow := listen(t, func(hit) int {
		if !probing.Load() {
			<-release
		}
		return http.StatusOK
	})
	t.Cleanup(func() { close(release) })
	fast := listen(t, nil)
	on := object{"Delivery": object{"Enabled": true}}
	b.hook(slow, on)
	b.hook(fast, on)
	probing.Store(false)
	for i := range 100 {
		b.send(object{"To": fmt.Sprintf("u%d@example.net", i)})
	}
	b.pass()
	fast.drain(t, 100)
}
