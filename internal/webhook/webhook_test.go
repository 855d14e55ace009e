package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/sendpost"
	"postyard/internal/ssrf"
	"postyard/internal/store"
)

// TestKinds holds every type of event against the toggles that get it.
func TestKinds(t *testing.T) {
	t.Parallel()
	names := map[string]store.HookKinds{"processed": store.HookProcessed, "sent": store.HookSent, "delivered": store.HookDelivered, "dropped": store.HookDropped,
		"smtp": store.HookDropped | store.HookSMTPDropped, "soft": store.HookSoftBounced, "hard": store.HookHardBounced, "open": store.HookOpened, "click": store.HookClicked,
		"unsubscribe": store.HookUnsubscribed, "spam": store.HookSpam}
	want := map[event.Type]string{
		0: "processed", 1: "dropped", 2: "delivered", 3: "soft", 4: "hard", 5: "open", 6: "click", 7: "unsubscribe", 8: "spam",
		14: "sent", 15: "delivered", 16: "soft", 17: "smtp", 18: "hard", 19: "soft", 20: "open", 21: "click", 22: "spam", 23: "unsubscribe", 24: "unsubscribe", 25: "unsubscribe",
		27: "sent", 28: "delivered", 29: "hard", 30: "soft", 31: "spam", 32: "smtp", 33: "open", 34: "click", 35: "smtp", 36: "unsubscribe",
		37: "sent", 38: "delivered", 39: "soft", 40: "smtp", 41: "hard", 42: "soft", 43: "open", 44: "click", 45: "spam", 46: "unsubscribe",
		48: "processed", 49: "sent", 50: "delivered", 51: "hard", 52: "soft", 53: "smtp", 54: "open", 55: "click", 56: "spam", 57: "unsubscribe",
		58: "processed", 59: "sent", 60: "delivered", 61: "soft", 62: "smtp", 63: "hard", 64: "soft", 65: "open", 66: "click", 67: "spam", 68: "unsubscribe",
		69: "processed", 70: "sent", 71: "delivered", 72: "hard", 73: "soft", 74: "smtp", 75: "open", 76: "click", 77: "spam", 78: "unsubscribe",
	}
	for _, info := range event.Catalogue() {
		name, ok := want[info.Type]
		if !ok {
			continue // of a family that came later
		}
		for _, marks := range []store.Marks{0, store.MarkFacets, store.MarkFirst | store.MarkFacets} {
			kinds := names[name]
			if marks&store.MarkFirst != 0 {
				switch name {
				case "open":
					kinds |= store.HookUniqueOpen
				case "click":
					kinds |= store.HookUniqueClick
				}
			}
			if got := kindsOf(&store.OutEvent{Type: info.Type, Marks: marks, Detail: []byte("{}")}); got != kinds {
				t.Errorf("%d (%s) with marks %d: %b, want %b", info.Type, info.Name, marks, got, kinds)
			}
		}
	}
	if got := kindsOf(&store.OutEvent{Type: 1, Detail: []byte(`{"smtpCode":550}`)}); got != names["smtp"] {
		t.Errorf("a drop by a mail server: %b", got)
	}
	if got := kindsOf(&store.OutEvent{Type: 13}); got != 0 {
		t.Errorf("an unknown type: %b", got)
	}
}

// TestSchedule adds the gaps up: ten tries over 75 hours.
func TestSchedule(t *testing.T) {
	t.Parallel()
	var sum time.Duration
	for _, g := range gaps {
		sum += g
	}
	if sum != 75*time.Hour || len(gaps) != mostTries-1 {
		t.Errorf("%d tries over %s", len(gaps)+1, sum)
	}
	for _, u := range []float64{0, 0.25, 0.999} {
		s := &Service{Config: Config{Jitter: func() float64 { return u }}}
		if got, want := s.spread(time.Hour), time.Duration(float64(time.Hour)*(0.8+0.4*u)); (got - want).Abs() > time.Microsecond {
			t.Errorf("jitter %v: %s, want %s", u, got, want)
		}
	}
}

// TestWhoGetsWhat has webhooks of all kinds, and looks that each gets its events and no other, once, signed, and within a second.
func TestWhoGetsWhat(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.accept("before@gmail.com")
		pass(time.Second)
		kinds := map[string]store.HookKinds{}
		for k, i := store.HookKinds(1), 0; k&allKinds != 0; k, i = k<<1, i+1 {
			path := fmt.Sprintf("/only%d", i)
			kinds[path] = k
			w.hook("http://a.example"+path, k)
		}
		kinds["/all"], kinds["/none"] = allKinds, 0
		kinds["/opens"] = store.HookOpened | store.HookUniqueOpen
		ids := map[string]*store.Endpoint{}
		for _, path := range []string{"/all", "/none", "/opens"} {
			ids[path] = w.hook("http://a.example"+path, kinds[path])
		}
		disabled := w.hook("http://a.example/disabled", allKinds)
		off := false
		if _, err := w.service.Update(w.Context(), w.account, disabled.ID, Change{Enabled: &off}); err != nil {
			w.Fatal(err)
		}
		w.must(w.db.CreateEndpoint(w.Context(), &store.Endpoint{AccountID: w.other, URL: "http://a.example/other", Enabled: true, Kinds: allKinds, Secret: w.service.newSecret()}))
		id := w.accept("Ann@gmail.com")[0]
		for _, k := range []event.Kind{event.Delivered, event.Opened, event.Opened, event.Clicked, event.Clicked, event.SoftBounced, event.HardBounced, event.Spam,
			event.Unsubscribed, event.Dropped} {
			detail := event.Detail{SMTPCode: 250, SMTPDescription: "ok <&>"}
			if k == event.Opened {
				detail = event.Detail{Device: &event.Device{Family: "Desktop"}, Geo: &event.Geo{TimeZone: "Europe/Rome", CityID: "7"}, RawUserAgent: "Mozilla"}
			}
			w.report(id, "ann@gmail.com", k, detail)
		}
		w.report(id, "copy@example.net", event.Delivered, event.Detail{})
		pass(900 * time.Millisecond)
		log := w.log()
		recorded := map[string]store.Event{}
		want := map[string]map[string]int{}
		for path := range kinds {
			want[path] = map[string]int{}
		}
		opens, clicks := 0, 0
		for i := range log {
			e := &log[i]
			recorded[w.eventID(e)] = *e
			if e.MessageID != id {
				continue // before there were webhooks
			}
			info, _ := event.Describe(e.Type)
			fits := map[event.Kind]store.HookKinds{event.Processed: store.HookProcessed, event.Sent: store.HookSent, event.Delivered: store.HookDelivered,
				event.SoftBounced: store.HookSoftBounced, event.HardBounced: store.HookHardBounced, event.Opened: store.HookOpened, event.Clicked: store.HookClicked,
				event.Spam: store.HookSpam, event.Unsubscribed: store.HookUnsubscribed, event.Dropped: store.HookDropped | store.HookSMTPDropped}[info.Kind]
			if info.Kind == event.Opened {
				if opens++; opens == 1 {
					fits |= store.HookUniqueOpen
				}
			}
			if info.Kind == event.Clicked {
				if clicks++; clicks == 1 {
					fits |= store.HookUniqueClick
				}
			}
			for path, k := range kinds {
				if k&fits != 0 {
					want[path][w.eventID(e)] = 1
				}
			}
		}
		if len(want["/all"]) != 13 { // processed, the sent event that reports prove, and eleven reports
			w.Errorf("%d events", len(want["/all"]))
		}
		got := map[string]map[string]int{}
		for path := range kinds {
			got[path] = map[string]int{}
		}
		message := ""
		for _, c := range w.receivers["a.example"].all() {
			if got[c.path] == nil {
				w.Fatalf("%s got an event", c.path)
			}
			got[c.path][c.Event.EventID]++
			e := recorded[c.Event.EventID]
			if late := c.at.Sub(e.RecordedAt); late > time.Second {
				w.Errorf("%s after %s", c.Event.EventID, late)
			}
			if message == "" {
				message = string(c.EmailMessage)
			}
			if message != string(c.EmailMessage) {
				w.Errorf("another emailMessage: %s", c.EmailMessage)
			}
			if c.Event.Type != int(e.Type) || c.Event.SubmittedAt != e.OccurredAt.Unix() || c.Event.To != e.Recipient || c.Event.TPSPID != w.tpsp.ID ||
				c.Event.SMTPDescription != e.Detail.SMTPDescription || c.Event.MessageSubject != "Hello" {
				w.Errorf("%+v\n of %+v", c.Event, e)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Error(diff)
		}
		wantMessage := fmt.Sprintf(`{"messageID":"%s","accountID":1,"subAccountID":1,"ipID":0,"publicIP":"","localIP":"","emailType":"gmail","submittedAt":%d,`+
			`"from":{"name":"Shop","email":"shop@example.com"},"replyTo":{"name":"","email":""},"to":[{"name":"Ann","email":"Ann@gmail.com","customFields":{"own":"true"},`+
			`"cc":[{"name":"Copy","email":"copy@example.net","customFields":{}}],"bcc":[]}],"groups":["g"],"ipPool":"pool","headers":{"X-Order":"7"},`+
			`"customFields":{"n":"1","s":"x"},"trackOpens":false,"trackClicks":false,"webhookEndpoint":""}`, id, recorded[first(want["/all"])].RecordedAt.Unix())
		if diff := cmp.Diff(wantMessage, message); diff != "" {
			w.Error(diff)
		}
		if tries := w.tries(ids["/all"].ID); len(tries) != 13 || tries[0].Status != 200 || tries[0].Fate != store.Delivered || tries[0].Call != 1 {
			w.Errorf("%d tries: %+v", len(tries), tries)
		}
		if n := w.standing(ids["/all"].ID); n != (store.DeliveryCount{}) {
			w.Errorf("%+v", n)
		}
	})
}

func first(m map[string]int) string {
	for id := range m {
		return id
	}
	return ""
}

// TestShape compares a whole body with one that was written by hand.
func TestShape(t *testing.T) {
	t.Parallel()
	e := &store.OutEvent{Seq: 42, AccountID: 1, SubAccountID: 2, PoolID: 3, Egress: 4, Type: 76, Mailbox: "gmail", Recipient: "ann@gmail.com",
		OccurredAt: time.Unix(1795667443, 5), Detail: []byte(`{"smtpCode":1,"userAgent":{"Family":"F","Major":"1","Minor":"","Patch":""},"os":{"Family":"L"},"device":{"Family":"D"},` +
			`"geo":{"cityID":"9","timeZone":"UTC"},"clickedURL":"https://x.example/?a=1&b=<2>","trackedIP":"192.0.2.1","rawUserAgent":"UA","provider":{"MessageID":"private"}}`)}
	m := &told{message: json.RawMessage(`{"messageID":"m"}`), from: mail.Address{Email: "f@example.com", Name: "F"}, to: mail.Recipient{Address: mail.Address{Email: "Ann@gmail.com", Name: "Ann"}},
		subject: "S", groups: []string{}}
	body, err := bodyOf("abcd", e, m)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"event":{"eventID":"abcd-000000000000002a","groups":[],"ipID":0,"ipPoolID":3,"domainID":0,"tpspId":4,"messageType":"gmail","messageSubject":"S","accountID":1,` +
		`"subAccountID":2,"messageID":"00000000-0000-0000-0000-000000000000","type":76,"from":"f@example.com","fromName":"F","to":"Ann@gmail.com","toName":"Ann",` +
		`"submittedAt":1795667443,"smtpCode":1,"smtpDescription":"","eventMetadata":{"smtpCode":1,"userAgent":{"Family":"F","Major":"1","Minor":"","Patch":""},` +
		`"os":{"Family":"L","Major":"","Minor":"","Patch":"","PatchMinor":""},"device":{"Family":"D","Brand":"","Model":""},` +
		`"geo":{"cityID":"9","continentCode":"","countryCode":"","postalCode":"","timeZone":"UTC","city":"","country":"","region":"","regionCode":"","latitude":0,"longitude":0,"timezone":"UTC"},` +
		`"clickedURL":"https://x.example/?a=1&b=<2>","trackedIP":"192.0.2.1","rawUserAgent":"UA"}},"emailMessage":{"messageID":"m"}}`
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Error(diff)
	}
}

// TestTenTries has one event fail for good while others succeed: it is tried ten times over 75 hours, and kept.
func TestTenTries(t *testing.T) {
	t.Parallel()
	inPatientWorld(t, time.Hour, func(w *world) {
		e := w.hook("http://a.example/", store.HookProcessed)
		bad := w.accept("bad@gmail.com")[0].String()
		w.receivers["a.example"].set(func(c *call) (int, time.Duration) {
			if c.Event.MessageID == bad {
				return http.StatusInternalServerError, 0
			}
			return http.StatusOK, 0
		})
		began := time.Now()
		for _, gap := range append(gaps[:], time.Hour) {
			pass(gap / 2)
			w.accept("good@gmail.com")
			pass(gap - gap/2)
		}
		var at []time.Duration
		for _, c := range w.receivers["a.example"].all() {
			if c.Event.MessageID == bad {
				at = append(at, c.at.Sub(began).Round(time.Second))
			}
		}
		want := []time.Duration{0}
		for _, g := range gaps {
			want = append(want, want[len(want)-1]+g)
		}
		if diff := cmp.Diff(want, at); diff != "" {
			w.Error(diff)
		}
		if n := w.standing(e.ID); n.GivenUp != 1 || n.Waiting != 0 {
			w.Errorf("%+v", n)
		}
		if s := StateOf(w.endpoint(e.ID)); s != OK {
			w.Errorf("state %s", s)
		}
		w.receivers["a.example"].set(nil)
		if n, err := w.service.ReplayMissing(w.Context(), w.account, e.ID); n != 1 || err != nil {
			w.Errorf("%d replayed (%v)", n, err)
		}
		pass(time.Second)
		if n := w.standing(e.ID); n != (store.DeliveryCount{}) {
			w.Errorf("%+v", n)
		}
		if l := w.tries(e.ID); l[0].Call != 11 || l[0].Error != "" {
			w.Errorf("the last try: %+v", l[0])
		}
	})
}

// TestBackOff has a receiver die: it is tried by one event at a time, those that wait lose no try, and all come when it is back.
func TestBackOff(t *testing.T) {
	t.Parallel()
	inPatientWorld(t, time.Hour, func(w *world) {
		r := w.receivers["a.example"]
		e := w.hook("http://a.example/", store.HookProcessed)
		r.set(func(*call) (int, time.Duration) { return http.StatusServiceUnavailable, 0 })
		began := time.Now()
		var to []string
		for i := range 100 {
			to = append(to, fmt.Sprintf("u%d@gmail.com", i))
		}
		w.accept(to...)
		pass(time.Hour)
		w.accept("later@gmail.com")
		pass(time.Minute)
		calls := r.all()
		var probes []time.Duration
		for _, c := range calls {
			if at := c.at.Sub(began).Round(100 * time.Millisecond); at > 0 {
				probes = append(probes, at)
			}
		}
		// Before the fifth has failed, each that fails makes room for another one.
		if n := len(calls) - len(probes); n < callsOfLane || n > callsOfLane+backOffAfter {
			w.Errorf("%d calls at first", n)
		}
		for i, at := range probes {
			before := time.Duration(0)
			if i > 0 {
				before = probes[i-1]
			}
			if want := min(firstWait<<i, longestWait); (at - before - want).Abs() > 200*time.Millisecond {
				w.Errorf("probe %d after %s, want %s", i, at-before, want)
			}
		}
		now := w.endpoint(e.ID)
		if StateOf(now) != BackingOff || now.Standing.Failures != len(calls) || now.Standing.LastStatus != 503 || now.Standing.FailingAt.Sub(began) > time.Second {
			w.Errorf("%+v", now.Standing)
		}
		if n := w.standing(e.ID); n.Waiting != 101 || n.GivenUp != 0 {
			w.Errorf("%+v", n)
		}
		r.set(nil)
		pass(longestWait + time.Minute)
		ok := map[string]bool{}
		for _, c := range r.all()[len(calls):] {
			ok[c.Event.EventID] = true
		}
		if len(ok) != 101 {
			w.Errorf("%d events came", len(ok))
		}
		if now := w.endpoint(e.ID); StateOf(now) != OK || now.Standing.Failures != 0 || !now.Standing.FailingAt.IsZero() {
			w.Errorf("%+v", now.Standing)
		}
		if n := w.standing(e.ID); n != (store.DeliveryCount{}) {
			w.Errorf("%+v", n)
		}
	})
}

// TestResumeBackingOff has a user say that a receiver works again, by resuming and by another URL: it is tried at once, not after what the back-off has left.
func TestResumeBackingOff(t *testing.T) {
	t.Parallel()
	inPatientWorld(t, time.Hour, func(w *world) {
		a, b := w.receivers["a.example"], w.receivers["b.example"]
		away, moved := w.hook("http://a.example/", store.HookProcessed), w.hook("http://b.example/old", store.HookProcessed)
		fail := func(c *call) (int, time.Duration) {
			if c.path == "/new" {
				return http.StatusOK, 0
			}
			return http.StatusServiceUnavailable, 0
		}
		a.set(fail)
		b.set(fail)
		for i := range backOffAfter {
			w.accept(fmt.Sprintf("u%d@gmail.com", i))
		}
		pass(time.Hour)
		for _, e := range []*store.Endpoint{away, moved} {
			if now := w.endpoint(e.ID); StateOf(now) != BackingOff {
				w.Fatalf("%+v", now.Standing)
			}
		}
		a.set(nil)
		if _, err := w.service.Resume(w.Context(), w.account, away.ID); err != nil {
			w.Fatal(err)
		}
		url := "http://b.example/new"
		if _, err := w.service.Update(w.Context(), w.account, moved.ID, Change{URL: &url}); err != nil {
			w.Fatal(err)
		}
		pass(time.Second)
		for _, e := range []*store.Endpoint{away, moved} {
			if now := w.endpoint(e.ID); StateOf(now) != OK || w.standing(e.ID) != (store.DeliveryCount{}) {
				w.Errorf("%s: %+v", now.URL, now.Standing)
			}
		}
	})
}

// TestProbes has a receiver that cannot take one event, which no other one is posted along with for hours: those that come then get through.
func TestProbes(t *testing.T) {
	t.Parallel()
	inPatientWorld(t, time.Hour, func(w *world) {
		e := w.hook("http://a.example/", store.HookProcessed)
		w.receivers["a.example"].set(func(c *call) (int, time.Duration) {
			if c.Event.To == "bad@gmail.com" {
				return http.StatusInternalServerError, 0
			}
			return http.StatusOK, 0
		})
		w.accept("bad@gmail.com")
		pass(4 * time.Hour)
		if now := w.endpoint(e.ID); StateOf(now) != BackingOff {
			w.Fatalf("%+v", now.Standing)
		}
		w.accept("good@gmail.com", "better@gmail.com")
		pass(3 * longestWait)
		if n := w.standing(e.ID); n.Waiting != 1 || StateOf(w.endpoint(e.ID)) != OK {
			w.Errorf("%+v", n)
		}
		pass(80 * time.Hour)
		if n := w.standing(e.ID); n.Waiting != 0 || n.GivenUp != 1 {
			w.Errorf("%+v", n)
		}
	})
}

// slow is a store that records no tries for a while.
type slow struct {
	Store
	until time.Time
}

func (s *slow) RecordTries(ctx context.Context, list []store.Try, standings []store.EndpointStanding) error {
	if time.Now().Before(s.until) {
		return store.ErrUnavailable
	}
	return s.Store.RecordTries(ctx, list, standings)
}

// TestLateRecord has a try recorded only after the time of the next one: that is made all the same.
func TestLateRecord(t *testing.T) {
	t.Parallel()
	inPatientWorld(t, time.Hour, func(w *world) {
		e, r := w.hook("http://a.example/", store.HookProcessed), w.receivers["a.example"]
		r.set(func(*call) (int, time.Duration) { return http.StatusServiceUnavailable, 0 })
		w.stop()
		w.service.Store = &slow{w.service.Store, time.Now().Add(2 * gaps[0])}
		w.start()
		w.accept("ann@gmail.com")
		pass(time.Second)
		r.set(nil)
		pass(time.Minute)
		if n := w.standing(e.ID); n != (store.DeliveryCount{}) || len(r.all()) != 2 {
			w.Errorf("%+v after %d calls", n, len(r.all()))
		}
	})
}

// TestNamedStanding has a URL that messages name work again after it had failed when its endpoint was read: what it was then does not count later.
func TestNamedStanding(t *testing.T) {
	t.Parallel()
	inPatientWorld(t, time.Hour, func(w *world) {
		r := w.receivers["b.example"]
		fail := func(*call) (int, time.Duration) { return http.StatusServiceUnavailable, 0 }
		r.set(fail)
		w.named = "http://b.example/named"
		w.accept("ann@gmail.com")
		pass(time.Second)
		w.stop()
		w.start()
		w.accept("bob@gmail.com")
		pass(time.Second)
		r.set(nil)
		pass(giveUpAfter + time.Hour)
		r.set(fail)
		w.accept("cyd@gmail.com")
		pass(time.Second)
		named, err := w.service.Endpoints(w.Context(), store.EndpointFilter{AccountID: w.account, Named: true})
		w.must(err)
		if len(named) != 1 || StateOf(&named[0]) != OK || named[0].Standing.Failures != 1 {
			w.Errorf("%+v", named)
		}
	})
}

// TestPaused has endpoints paused by what they answer, by time and by a user: the queue stays, and new events join it, also over a restart.
func TestPaused(t *testing.T) {
	t.Parallel()
	inPatientWorld(t, time.Hour, func(w *world) {
		gone, failing, paused := w.hook("http://a.example/", store.HookProcessed), w.hook("http://b.example/", store.HookProcessed), w.hook("http://c.example/", store.HookProcessed)
		w.receivers["a.example"].set(func(*call) (int, time.Duration) { return http.StatusGone, 0 })
		w.receivers["b.example"].dead = true
		if _, err := w.service.Pause(w.Context(), w.account, paused.ID); err != nil {
			w.Fatal(err)
		}
		w.accept("one@gmail.com")
		pass(time.Minute)
		w.accept("two@gmail.com")
		pass(74 * time.Hour)
		if s := StateOf(w.endpoint(failing.ID)); s != BackingOff {
			w.Errorf("after 74 hours: %s", s)
		}
		pass(2 * time.Hour)
		w.accept("three@gmail.com")
		pass(time.Hour)
		w.stop()
		w.start()
		pass(time.Minute)
		for _, c := range []struct {
			e     *store.Endpoint
			words string
		}{{gone, "410"}, {failing, "75 hours; last: dial"}, {paused, "user"}} {
			if now := w.endpoint(c.e.ID); StateOf(now) != Paused || !strings.Contains(now.Paused, c.words) || now.PausedAt.IsZero() {
				w.Errorf("%s: %q", now.URL, now.Paused)
			}
			if n := w.standing(c.e.ID); n.Waiting != 3 || n.GivenUp != 0 {
				w.Errorf("%s: %+v", c.e.URL, n)
			}
		}
		if n := len(w.receivers["a.example"].all()); n != 1 {
			w.Errorf("%d calls to one that is gone", n)
		}
		w.receivers["a.example"].set(nil)
		w.receivers["b.example"].dead = false
		for _, e := range []*store.Endpoint{gone, failing, paused} {
			if now, err := w.service.Resume(w.Context(), w.account, e.ID); err != nil || StateOf(now) != OK {
				w.Errorf("%+v (%v)", now, err)
			}
		}
		pass(2 * time.Second)
		for host, n := range map[string]int{"a.example": 4, "b.example": 3, "c.example": 3} {
			if got := len(w.receivers[host].all()); got != n {
				w.Errorf("%s got %d calls, want %d", host, got, n)
			}
		}
		for _, e := range []*store.Endpoint{gone, failing, paused} {
			if n := w.standing(e.ID); n != (store.DeliveryCount{}) || StateOf(w.endpoint(e.ID)) != OK {
				w.Errorf("%s: %+v", e.URL, n)
			}
		}
	})
}

// TestIsolation has one receiver hang: another one gets its events at once.
func TestIsolation(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.hook("http://a.example/", store.HookProcessed)
		w.hook("http://b.example/", store.HookProcessed)
		w.receivers["a.example"].set(func(*call) (int, time.Duration) { return http.StatusOK, time.Hour })
		for i := range 30 {
			w.accept(fmt.Sprintf("u%d@gmail.com", i))
			pass(500 * time.Millisecond)
			if n := len(w.receivers["b.example"].all()); n != i+1 {
				w.Fatalf("%d of %d events came within half a second", n, i+1)
			}
		}
		if n := len(w.receivers["a.example"].all()); n < callsOfLane || n > 2*callsOfLane {
			w.Errorf("%d calls to the one that hangs", n)
		}
	})
}

// TestLongQueue has far more events wait than are kept in mind; each comes once.
func TestLongQueue(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		e := w.hook("http://a.example/", store.HookProcessed)
		if _, err := w.service.Pause(w.Context(), w.account, e.ID); err != nil {
			w.Fatal(err)
		}
		for range 26 {
			var to []string
			for i := range 100 {
				to = append(to, fmt.Sprintf("u%d@gmail.com", i))
			}
			w.accept(to...)
			pass(300 * time.Millisecond)
		}
		if _, err := w.service.Resume(w.Context(), w.account, e.ID); err != nil {
			w.Fatal(err)
		}
		w.accept("meanwhile@gmail.com")
		pass(30 * time.Second)
		times := w.receivers["a.example"].times()
		if len(times) != 2601 || len(w.receivers["a.example"].all()) != 2601 {
			w.Errorf("%d events in %d calls", len(times), len(w.receivers["a.example"].all()))
		}
		if n := w.standing(e.ID); n != (store.DeliveryCount{}) {
			w.Errorf("%+v", n)
		}
	})
}

// TestNamed has messages name URLs: one that is a webhook of the account as well gets each event once.
func TestNamed(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.hook("http://a.example/", store.HookProcessed)
		w.named = "http://b.example/named"
		id := w.accept("ann@gmail.com")[0]
		w.report(id, "ann@gmail.com", event.Delivered, event.Detail{})
		w.named = "http://a.example/"
		both := w.accept("bob@gmail.com")[0]
		w.report(both, "bob@gmail.com", event.Delivered, event.Detail{})
		w.named = ""
		w.accept("cyd@gmail.com")
		pass(time.Second)
		named, err := w.service.Endpoints(w.Context(), store.EndpointFilter{AccountID: w.account, Named: true})
		w.must(err)
		if len(named) != 2 {
			w.Fatalf("%+v", named)
		}
		if named[0].URL == "http://a.example/" { // they may have been made together
			named[0], named[1] = named[1], named[0]
		}
		types := func(host string) string {
			n := map[string]int{}
			for _, c := range w.receivers[host].all() {
				n[fmt.Sprint(c.Event.To, " ", c.Event.Type)]++
			}
			return fmt.Sprint(n)
		}
		if got := types("b.example"); got != "map[ann@gmail.com 69:1 ann@gmail.com 70:1 ann@gmail.com 71:1]" {
			w.Error(got)
		}
		if got := types("a.example"); got != "map[ann@gmail.com 69:1 bob@gmail.com 69:1 bob@gmail.com 70:1 bob@gmail.com 71:1 cyd@gmail.com 69:1]" {
			w.Error(got)
		}
		list, err := w.service.Endpoints(w.Context(), store.EndpointFilter{AccountID: w.account})
		w.must(err)
		if len(list) != 1 {
			w.Errorf("%d webhooks of the account", len(list))
		}
		// One of them is deleted while it fails; the next message makes it anew.
		r := w.receivers["b.example"]
		r.set(func(*call) (int, time.Duration) { return http.StatusServiceUnavailable, 0 })
		w.named = "http://b.example/named"
		w.accept("dan@gmail.com")
		pass(time.Second)
		if _, err := w.service.Delete(w.Context(), w.account, named[0].ID); err != nil {
			w.Fatal(err)
		}
		pass(time.Minute)
		r.set(nil)
		before := len(r.all())
		w.accept("eve@gmail.com")
		pass(5 * time.Minute)
		if calls := r.all()[before:]; len(calls) != 1 || calls[0].Event.To != "eve@gmail.com" {
			w.Errorf("%d calls", len(calls))
		}
	})
}

// TestReplay posts one event again, those of a time, and none of others.
func TestReplay(t *testing.T) {
	t.Parallel()
	inPatientWorld(t, time.Hour, func(w *world) {
		old := w.accept("old@gmail.com")[0]
		pass(time.Hour)
		e := w.hook("http://a.example/", store.HookProcessed)
		noon := time.Now()
		w.report(old, "old@gmail.com", event.Delivered, event.Detail{})
		w.accept("new@gmail.com")
		pass(time.Hour)
		log := w.log()
		if got := len(w.receivers["a.example"].all()); got != 1 || len(log) != 4 {
			w.Fatalf("%d calls, %d events", got, len(log))
		}
		replay := func(want int, do func() (int, error)) {
			w.Helper()
			before := len(w.receivers["a.example"].all())
			if n, err := do(); n != want || err != nil {
				w.Errorf("%d replayed, want %d (%v)", n, want, err)
			}
			pass(time.Second)
			if n := len(w.receivers["a.example"].all()) - before; n != want {
				w.Errorf("%d came, want %d", n, want)
			}
		}
		delivered := ""
		for i := range log {
			if log[i].Type == 71 {
				delivered = w.eventID(&log[i])
			}
		}
		replay(1, func() (int, error) { return w.service.ReplayEvent(w.Context(), w.account, e.ID, delivered) })
		if c := w.receivers["a.example"].all()[1]; c.Event.Type != 71 {
			w.Errorf("type %d came", c.Event.Type)
		}
		replay(2, func() (int, error) {
			return w.service.ReplayWindow(w.Context(), w.account, e.ID, noon.Add(-2*time.Hour), time.Now())
		})
		replay(1, func() (int, error) { return w.service.ReplayWindow(w.Context(), w.account, e.ID, noon, time.Now()) })
		replay(0, func() (int, error) { return w.service.ReplayMissing(w.Context(), w.account, e.ID) })
		for _, id := range []string{"", "test-00", "other-0000000000000001", sendpost.EventID("test", 99999)} {
			if _, err := w.service.ReplayEvent(w.Context(), w.account, e.ID, id); !isField(err) {
				w.Errorf("%q: %v", id, err)
			}
		}
		if _, err := w.service.ReplayEvent(w.Context(), w.other, e.ID, delivered); !errors.Is(err, ErrNotFound) {
			w.Error(err)
		}
	})
}

func isField(err error) bool {
	_, ok := errors.AsType[*mail.FieldError](err)
	return ok
}

// TestRotation verifies signatures with the library of Standard Webhooks, by the old secret and by the new one.
func TestRotation(t *testing.T) {
	t.Parallel()
	inPatientWorld(t, time.Hour, func(w *world) {
		e := w.hook("http://a.example/", store.HookProcessed)
		reveal := func() string {
			s, err := w.service.Secret(w.Context(), w.account, e.ID)
			w.must(err)
			return s.Reveal()
		}
		verify := func(secret string) bool {
			w.Helper()
			w.accept("ann@gmail.com")
			pass(time.Second)
			calls := w.receivers["a.example"].all()
			c := calls[len(calls)-1]
			v, err := webhooks.NewWebhook(secret)
			w.must(err)
			if c.header.Get("webhook-id") != c.Event.EventID {
				w.Errorf("%v", c.header)
			}
			// The library looks at the clock of the machine.
			signed := c.header.Clone()
			return v.VerifyIgnoringTimestamp(c.body, signed) == nil
		}
		old := reveal()
		if !strings.HasPrefix(old, "whsec_") || !verify(old) {
			w.Errorf("the first secret does not fit")
		}
		if _, err := w.service.Rotate(w.Context(), w.account, e.ID); err != nil {
			w.Fatal(err)
		}
		latest := reveal()
		if latest == old || !verify(old) || !verify(latest) {
			w.Error("both secrets are to fit")
		}
		pass(KeepFormer)
		if verify(old) || !verify(latest) {
			w.Error("only the new secret is to fit")
		}
	})
}

// TestTestCall posts samples of every type, and says what came of it.
func TestTestCall(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		e := w.hook("http://a.example/", 0)
		for _, info := range event.Catalogue() {
			got, err := w.service.Test(w.Context(), w.account, e.ID, info.Type)
			if err != nil || got.Status != 200 || got.Error != "" {
				w.Fatalf("%d: %+v (%v)", info.Type, got, err)
			}
			calls := w.receivers["a.example"].all()
			if c := calls[len(calls)-1]; c.Event.Type != int(info.Type) || c.Event.EventID != got.EventID || c.header.Get("webhook-signature") == "" {
				w.Errorf("%d: %+v", info.Type, c.Event)
			}
		}
		w.receivers["a.example"].set(func(*call) (int, time.Duration) { return http.StatusTeapot, time.Second })
		if got, err := w.service.Test(w.Context(), w.account, e.ID, 71); err != nil || got.Status != 418 || !strings.HasPrefix(got.Error, "HTTP 418") || got.Took < time.Second {
			w.Errorf("%+v (%v)", got, err)
		}
		w.receivers["a.example"].set(func(*call) (int, time.Duration) { return http.StatusOK, time.Minute })
		if got, err := w.service.Test(w.Context(), w.account, e.ID, 71); err != nil || got.Error != "no answer within 10s" {
			w.Errorf("%+v (%v)", got, err)
		}
		if _, err := w.service.Test(w.Context(), w.account, e.ID, 13); err != nil && !isField(err) {
			w.Error(err)
		}
		if len(w.log()) != 0 || len(w.tries(e.ID)) != 0 {
			w.Error("samples are stored")
		}
	})
}

// TestPrivate refuses addresses of the own network, when they are set and at the connect.
func TestPrivate(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.service.AllowPrivate = false
		for _, url := range []string{"", "http://a.example/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://u:p@a.example/", "ftp://a.example/", "a.example",
			"https://a.example/#x", "https://10.0.0.1/x", "https://" + strings.Repeat("a", 3000) + ".example/"} {
			if _, err := w.service.Create(w.Context(), w.account, Change{URL: &url}); !isField(err) {
				w.Errorf("%.40q: %v", url, err)
			}
		}
		if _, err := w.service.Create(w.Context(), w.account, Change{}); !isField(err) {
			w.Errorf("no URL: %v", err)
		}
	})
	s := New(Config{Transport: ssrf.NewTransport(ssrf.Options{}), Now: time.Now})
	a := s.call(t.Context(), &endpoint{Endpoint: store.Endpoint{URL: "http://127.0.0.1:9/secret-path"}, keys: [][]byte{{1}}}, "id", nil)
	if !strings.Contains(a.err, "not allowed") || strings.Contains(a.err, "secret-path") || a.status != 0 {
		t.Errorf("%+v", a)
	}
}

// TestAtMost refuses more webhooks than an account may have, and a URL twice.
func TestAtMost(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		for i := range MostEndpoints {
			w.hook(fmt.Sprintf("http://a.example/%d", i), 0)
		}
		url := "http://a.example/more"
		if _, err := w.service.Create(w.Context(), w.account, Change{URL: &url}); !errors.Is(err, ErrTooMany) {
			w.Error(err)
		}
		taken := "http://a.example/7"
		list, err := w.service.Endpoints(w.Context(), store.EndpointFilter{AccountID: w.account, Limit: 1})
		w.must(err)
		if _, err := w.service.Delete(w.Context(), w.account, list[0].ID); err != nil {
			w.Error(err)
		}
		if _, err := w.service.Create(w.Context(), w.account, Change{URL: &taken}); !errors.Is(err, ErrDuplicate) {
			w.Error(err)
		}
		if _, err := w.service.Update(w.Context(), w.other, list[0].ID+1, Change{URL: &url}); !errors.Is(err, ErrNotFound) {
			w.Error(err)
		}
	})
}

// TestHandOver has two servers on one store: one posts at a time, and the other goes on where it ended.
func TestHandOver(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		second := New(w.service.Config)
		second.Holder = "two"
		stopOne := w.stop
		w.service = second
		w.start()
		e := w.hook("http://a.example/", store.HookProcessed)
		for i := range 40 {
			w.accept(fmt.Sprintf("u%d@gmail.com", i))
			pass(250 * time.Millisecond)
			if i == 19 {
				stopOne()
			}
		}
		pass(3 * time.Second)
		if n := len(w.receivers["a.example"].all()); n != 40 || len(w.receivers["a.example"].times()) != 40 {
			w.Errorf("%d calls", n)
			w.Logf("%+v", w.tries(e.ID))
		}
	})
}
