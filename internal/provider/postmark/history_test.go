package postmark_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
)

// reach is how many entries of a list the fake shows, and the adapter asks for: a tenth of what Postmark does.
const reach = 1000

// archive is a fake of Postmark's read side with long lists, which it shows newest first.
type archive struct {
	recorder
	lists    map[string][]map[string]any // by path
	timeless bool                        // dates of queries count by the day
	handle   func(w http.ResponseWriter, r *http.Request) bool
}

var keysOf = map[string]string{"/messages/outbound": "Messages", "/bounces": "Bounces", "/messages/outbound/opens": "Opens",
	"/messages/outbound/clicks": "Clicks"}

func (a *archive) serve(t *testing.T) string {
	return serve(t, a.wrap(func(w http.ResponseWriter, r *http.Request) {
		if a.handle != nil && a.handle(w, r) {
			return
		}
		key, known := keysOf[r.URL.Path]
		if !known {
			reply(w, http.StatusOK, map[string]any{"MessageEvents": []any{}, "Opens": []any{}, "Clicks": []any{},
				"Suppressions": []any{}})
			return
		}
		q := r.URL.Query()
		offset, _ := strconv.Atoi(q.Get("offset"))
		count, _ := strconv.Atoi(q.Get("count"))
		if count < 1 || count > 500 || offset+count > reach {
			reply(w, http.StatusUnprocessableEntity, map[string]any{"ErrorCode": 700})
			return
		}
		list := a.within(a.lists[r.URL.Path], q)
		reply(w, http.StatusOK, map[string]any{"TotalCount": len(list), key: list[min(offset, len(list)):min(offset+count, len(list))]})
	}))
}

func (a *archive) within(list []map[string]any, q url.Values) []map[string]any {
	bound := func(name string, last bool) time.Time {
		text := q.Get(name)
		if text == "" {
			return time.Time{}
		}
		eastern := time.FixedZone("EST", -5*60*60)
		at, err := time.ParseInLocation("2006-01-02T15:04:05", text, eastern)
		if day, noTime := time.ParseInLocation(time.DateOnly, text[:10], eastern); noTime == nil && (err != nil || a.timeless) {
			at = day
			if last {
				at = day.AddDate(0, 0, 1)
			}
		}
		return at
	}
	from, to := bound("fromdate", false), bound("todate", true)
	kept := []map[string]any{}
	for _, m := range list {
		if at := m["at"].(time.Time); !at.Before(from) && (to.IsZero() || !at.After(to)) {
			kept = append(kept, m)
		}
	}
	return kept
}

// fill makes a list of n entries, the newest first, so far apart.
func fill(n int, newest time.Time, apart time.Duration, entry func(i int, at string) map[string]any) []map[string]any {
	list := make([]map[string]any, n)
	for i := range list {
		at := newest.Add(-time.Duration(i) * apart)
		list[i] = entry(i, at.Format(time.RFC3339))
		list[i]["at"] = at
	}
	return list
}

func bounceEntry(i int, at string) map[string]any {
	return map[string]any{"ID": i + 1, "Type": "HardBounce", "TypeCode": 1, "MessageID": "m" + strconv.Itoa(i), "Email": "a@b.test", "BouncedAt": at}
}

// history reads with a reader that counts identities.
func history(t *testing.T, a *archive, since time.Time) (found map[string]int, missing []string) {
	t.Helper()
	adapter := newAdapter(t)
	adapter.SetPause(func(ctx context.Context, _ int) error { return ctx.Err() })
	adapter.SetReach(reach, 1<<20)
	found = map[string]int{}
	missing, err := adapter.History(t.Context(), connection(a.serve(t)), provider.Past{Since: since,
		Open: func(context.Context, mail.ID) (bool, error) { return false, nil },
		Yield: func(reports []provider.Report) error {
			for _, r := range reports {
				found[r.Identity]++
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return found, missing
}

func TestHistoryStopsAtItsTime(t *testing.T) {
	t.Parallel()
	a := &archive{lists: map[string][]map[string]any{
		"/bounces": fill(900, testNow, time.Minute, bounceEntry),
		"/messages/outbound/opens": fill(3000, testNow, time.Minute, func(i int, at string) map[string]any {
			return engagementEntry("m"+strconv.Itoa(i), at)
		}),
	}}
	found, missing := history(t, a, testNow.Add(-time.Hour))
	if len(found) != 61+61 || len(missing) > 0 {
		t.Errorf("%d found, missing %q", len(found), missing)
	}
	if n := len(a.all()); n > 7 {
		t.Errorf("%d questions", n)
	}
}

// TestHistoryDividesLongLists: 2,400 bounces, 1,600 of them within four minutes.
func TestHistoryDividesLongLists(t *testing.T) {
	t.Parallel()
	burst := fill(1600, testNow.Add(-time.Hour), 150*time.Millisecond, bounceEntry)
	calm := fill(800, testNow.Add(-2*time.Hour), time.Second, func(i int, at string) map[string]any { return bounceEntry(30_000+i, at) })
	a := &archive{lists: map[string][]map[string]any{"/bounces": slices.Concat(burst, calm)}}
	found, missing := history(t, a, testNow.Add(-24*time.Hour))
	if len(found) != 2400 || len(missing) > 0 {
		t.Errorf("%d found, missing %q", len(found), missing)
	}
	// Where only days count, it is said what is missing, and no endless search is made.
	a = &archive{lists: a.lists, timeless: true}
	found, missing = history(t, a, testNow.Add(-3*time.Hour))
	if len(found) < reach || len(missing) != 1 || !strings.Contains(missing[0], "bounces") || len(a.all()) > 100 {
		t.Errorf("%d found in %d questions, missing %q", len(found), len(a.all()), missing)
	}
}

func opensOf(name string, n int) []map[string]any {
	return fill(n, testNow, time.Second, func(_ int, at string) map[string]any { return engagementEntry(name, at) })
}

// TestHistoryBeyondRetention: what Postmark has forgotten is named.
func TestHistoryBeyondRetention(t *testing.T) {
	t.Parallel()
	for days, want := range map[int]int{44: 0, 46: 1} {
		_, missing := history(t, &archive{}, testNow.AddDate(0, 0, -days))
		if len(missing) != want || want > 0 && !strings.Contains(missing[0], "before 2026-01-16") {
			t.Errorf("%d days: missing %q", days, missing)
		}
	}
}

// TestHistoryOfOpensOutOfReach asks for the rest message by message.
func TestHistoryOfOpensOutOfReach(t *testing.T) {
	t.Parallel()
	mine := messageID(1)
	a := &archive{lists: map[string][]map[string]any{
		"/messages/outbound/opens": fill(1100, testNow, 10*time.Millisecond, func(i int, at string) map[string]any {
			return engagementEntry("m"+strconv.Itoa(i), at)
		}),
		"/messages/outbound": {
			{"MessageID": "early", "ReceivedAt": testNow.Add(-time.Minute).Format(time.RFC3339), "Metadata": metadataOf(mine), "at": testNow},
			{"MessageID": "not-ours", "ReceivedAt": testNow.Add(-time.Minute).Format(time.RFC3339), "Metadata": map[string]string{}, "at": testNow},
		},
	}}
	a.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/messages/outbound/opens/early" {
			return false
		}
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset")) // more than a page
		reply(w, http.StatusOK, map[string]any{"TotalCount": 510, "Opens": opensOf("early", 510)[offset:min(offset+500, 510)]})
		return true
	}
	found, missing := history(t, a, testNow.Add(-time.Hour))
	if len(found) != reach+510 || len(missing) != 1 || !strings.Contains(missing[0], "opens of messages that were sent before") {
		t.Errorf("%d found, missing %q", len(found), missing)
	}
	for _, r := range a.all() {
		if strings.Contains(r.path, "not-ours") {
			t.Errorf("asked about somebody else's message: %s", r.path)
		}
	}
}

// TestHistoryAsksForWhatMatters: details of messages whose end is not known, and of those with copies.
func TestHistoryAsksForWhatMatters(t *testing.T) {
	t.Parallel()
	entry := func(name string, id byte, recipients ...string) map[string]any {
		return map[string]any{"MessageID": name, "ReceivedAt": testNow.Format(time.RFC3339), "Metadata": metadataOf(messageID(id)),
			"Recipients": recipients, "at": testNow}
	}
	var busy, most atomic.Int32
	var once sync.Once
	a := &archive{lists: map[string][]map[string]any{"/messages/outbound": {
		entry("ended", 1, "a@x.test"), entry("ended-with-copy", 2, "a@x.test", "b@x.test"), entry("open", 3, "a@x.test"), entry("gone", 3, "a@x.test"),
	}}}
	for i := range 40 {
		a.lists["/messages/outbound"] = append(a.lists["/messages/outbound"], entry(fmt.Sprintf("more%d", i), 3, "a@x.test"))
	}
	a.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/details") {
			return false
		}
		n := busy.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		defer busy.Add(-1)
		refused := false
		once.Do(func() { refused = true })
		switch {
		case refused:
			w.WriteHeader(http.StatusTooManyRequests)
		case strings.Contains(r.URL.Path, "/gone/"):
			reply(w, http.StatusUnprocessableEntity, map[string]any{"ErrorCode": 701})
		case strings.Contains(r.URL.Path, "/open/"):
			_, _ = w.Write(make([]byte, 2<<20))
		default:
			return false
		}
		return true
	}
	adapter := newAdapter(t)
	adapter.SetPause(func(ctx context.Context, _ int) error { return ctx.Err() })
	adapter.SetReach(reach, 1<<20)
	missing, err := adapter.History(t.Context(), connection(a.serve(t)), provider.Past{Since: testNow.Add(-time.Hour),
		Open:  func(_ context.Context, id mail.ID) (bool, error) { return id == messageID(3), nil },
		Yield: func([]provider.Report) error { return nil }})
	if err != nil || len(missing) != 1 || !strings.Contains(missing[0], "open") {
		t.Errorf("%v, missing %q", err, missing)
	}
	asked := map[string]bool{}
	for _, r := range a.all() {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(r.path, "/messages/outbound/"), "/details"); ok && !strings.HasPrefix(name, "more") {
			asked[name] = true
		}
	}
	if diff := cmp.Diff(map[string]bool{"ended-with-copy": true, "open": true, "gone": true}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if most.Load() > 2 { // details may be large
		t.Errorf("%d questions at once", most.Load())
	}
}

// TestHistoryDoesNotWaitForEver: an answer that does not come is asked for again.
func TestHistoryDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	var hung atomic.Bool
	a := &archive{lists: map[string][]map[string]any{"/bounces": fill(1, testNow, time.Minute, bounceEntry)}}
	a.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/bounces" || hung.Swap(true) {
			return false
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}
	adapter := newAdapter(t)
	adapter.SetPause(func(ctx context.Context, _ int) error { return ctx.Err() })
	adapter.SetPatience(200 * time.Millisecond)
	n := 0
	_, err := adapter.History(t.Context(), connection(a.serve(t)), provider.Past{Since: testNow.Add(-time.Hour),
		Yield: func(reports []provider.Report) error { n += len(reports); return nil }})
	if err != nil || n != 1 || !hung.Load() {
		t.Errorf("%d reports, %v", n, err)
	}
}

// TestFateOfADelayedMessage: what is read of its bounces does not say whose they are, its details do.
func TestFateOfADelayedMessage(t *testing.T) {
	t.Parallel()
	at := testNow.Format(time.RFC3339)
	a := &archive{lists: map[string][]map[string]any{"/bounces": {
		{"ID": 7, "Type": "Transient", "TypeCode": 2, "MessageID": "slow", "Email": "a@b.test", "BouncedAt": at, "at": testNow},
		{"ID": 8, "Type": "Transient", "TypeCode": 2, "MessageID": "another", "Email": "a@b.test", "BouncedAt": at, "at": testNow},
	}}}
	a.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/slow/details") {
			return false
		}
		reply(w, http.StatusOK, map[string]any{"MessageID": "slow", "Metadata": metadataOf(messageID(1)),
			"MessageEvents": []any{map[string]any{"Recipient": "a@b.test", "Type": "Transient", "ReceivedAt": at}}})
		return true
	}
	adapter := newAdapter(t)
	adapter.SetReach(reach, 1<<20)
	var got []provider.Report
	_, err := adapter.Fates(t.Context(), connection(a.serve(t)), []provider.Sent{{ID: messageID(1), ProviderMessageID: "slow"}},
		func(reports []provider.Report) error { got = append(got, reports...); return nil })
	if err != nil || len(got) != 1 || got[0].MessageID != messageID(1) || got[0].Type != 73 || got[0].Final {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestHistoryPassesOverSingleMessages: one that Postmark does not tell of is named, and does not keep back those after it.
func TestHistoryPassesOverSingleMessages(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		broken map[int]bool
		status int
		fails  bool
	}{
		"one":          {map[int]bool{1: true}, http.StatusInternalServerError, false},
		"unreadable":   {map[int]bool{1: true}, http.StatusOK, false},
		"all":          {nil, http.StatusInternalServerError, true},
		"a token":      {map[int]bool{1: true}, http.StatusUnauthorized, true},
		"too fast":     {map[int]bool{1: true}, http.StatusTooManyRequests, true},
		"no more room": {map[int]bool{1: true}, http.StatusInsufficientStorage, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &archive{lists: map[string][]map[string]any{}}
			var sent []provider.Sent
			for i := range 40 {
				sent = append(sent, provider.Sent{ID: messageID(byte(i)), ProviderMessageID: "m" + strconv.Itoa(i)})
				a.lists["/messages/outbound"] = append(a.lists["/messages/outbound"], map[string]any{"MessageID": "m" + strconv.Itoa(i),
					"ReceivedAt": testNow.Format(time.RFC3339), "Metadata": metadataOf(messageID(byte(i))), "at": testNow})
			}
			a.handle = func(w http.ResponseWriter, r *http.Request) bool {
				name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/messages/outbound/m"), "/details")
				if !ok {
					return false
				}
				if i, _ := strconv.Atoi(name); tc.broken == nil || tc.broken[i] {
					w.WriteHeader(tc.status)
					_, _ = w.Write([]byte("<html>"))
					return true
				}
				reply(w, http.StatusOK, map[string]any{"MessageID": "m" + name, "MessageEvents": []any{map[string]any{"Type": "Delivered",
					"Recipient": "a@b.test", "ReceivedAt": testNow.Format(time.RFC3339)}}})
				return true
			}
			adapter := newAdapter(t)
			adapter.SetPause(func(ctx context.Context, _ int) error { return ctx.Err() })
			adapter.SetReach(reach, 1<<20)
			conn := connection(a.serve(t))
			for step, read := range map[string]func(func([]provider.Report) error) ([]string, error){
				"History": func(yield func([]provider.Report) error) ([]string, error) {
					return adapter.History(t.Context(), conn, provider.Past{Since: testNow.Add(-time.Hour), Yield: yield,
						Open: func(context.Context, mail.ID) (bool, error) { return true, nil }})
				},
				"Fates": func(yield func([]provider.Report) error) ([]string, error) {
					return adapter.Fates(t.Context(), conn, sent, yield)
				},
			} {
				n := 0
				missing, err := read(func(reports []provider.Report) error { n += len(reports); return nil })
				if tc.fails {
					if err == nil {
						t.Errorf("%s: no error, missing %q", step, missing)
					}
				} else if err != nil || n != 39 || len(missing) != 1 || !strings.Contains(missing[0], "the message m1:") {
					t.Errorf("%s: %d reports, %v, missing %q", step, n, err, missing)
				}
			}
		})
	}
}

// TestHalfAFate: what is known of a message is reported although its bounce cannot be read, and a store that fails is no
// fault of the message.
func TestHalfAFate(t *testing.T) {
	t.Parallel()
	a := &archive{}
	a.handle = func(w http.ResponseWriter, r *http.Request) bool {
		at := testNow.Format(time.RFC3339)
		switch r.URL.Path {
		case "/messages/outbound/m/details":
			reply(w, http.StatusOK, map[string]any{"MessageID": "m", "Metadata": metadataOf(messageID(1)), "MessageEvents": []any{
				map[string]any{"Recipient": "a@b.test", "Type": "Bounced", "ReceivedAt": at, "Details": map[string]any{"BounceID": "7"}},
				map[string]any{"Recipient": "c@d.test", "Type": "Delivered", "ReceivedAt": at}}})
		case "/bounces/7":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			return false
		}
		return true
	}
	adapter := newAdapter(t)
	adapter.SetPause(func(ctx context.Context, _ int) error { return ctx.Err() })
	conn, sent := connection(a.serve(t)), []provider.Sent{{ID: messageID(1), ProviderMessageID: "m"}}
	n := 0
	missing, err := adapter.Fates(t.Context(), conn, sent, func(reports []provider.Report) error { n += len(reports); return nil })
	if err != nil || n != 1 || len(missing) != 1 {
		t.Errorf("%d reports, %v, missing %q", n, err, missing)
	}
	late := fmt.Errorf("write: %w", context.DeadlineExceeded)
	if _, err := adapter.Fates(t.Context(), conn, sent, func([]provider.Report) error { return late }); !errors.Is(err, late) {
		t.Errorf("a store that fails: %v", err)
	}
}

func TestHistorySurvivesAPanic(t *testing.T) {
	t.Parallel()
	a := &archive{lists: map[string][]map[string]any{"/messages/outbound": {
		{"MessageID": "m", "ReceivedAt": testNow.Format(time.RFC3339), "Metadata": metadataOf(messageID(1)), "at": testNow}}}}
	_, err := newAdapter(t).History(t.Context(), connection(a.serve(t)), provider.Past{Since: testNow.Add(-time.Hour),
		Open:  func(context.Context, mail.ID) (bool, error) { panic("no such field") },
		Yield: func([]provider.Report) error { return nil }})
	if err == nil || !strings.Contains(err.Error(), "no such field") {
		t.Error(err)
	}
}

// TestHistoryOfSuppressions: each address is traced to a bounce or to a message, or is said not to be.
func TestHistoryOfSuppressions(t *testing.T) {
	t.Parallel()
	at := testNow.Add(-time.Minute).Format(time.RFC3339)
	entry := func(address, reason, origin, at string) map[string]any {
		return map[string]any{"EmailAddress": address, "SuppressionReason": reason, "Origin": origin, "CreatedAt": at}
	}
	bounce := func(id int, address, kind string) map[string]any {
		return map[string]any{"ID": id, "Type": kind, "MessageID": fmt.Sprint("b", id), "Email": address, "BouncedAt": at, "Inactive": true}
	}
	a := &archive{lists: map[string][]map[string]any{"/bounces": {bounce(1, "Listed@x.test", "HardBounce"), bounce(2, "spam@x.test", "SpamComplaint")}}}
	for _, b := range a.lists["/bounces"] {
		b["at"] = testNow
	}
	a.handle = func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		switch {
		case strings.HasSuffix(r.URL.Path, "/suppressions/dump"):
			if r.URL.Path != "/message-streams/outbound/suppressions/dump" || q.Get("fromdate") != "2026-03-01" {
				t.Errorf("asked %s", r.URL)
			}
			reply(w, http.StatusOK, map[string]any{"Suppressions": []any{
				entry("listed@x.test", "HardBounce", "Recipient", at), entry("spam@x.test", "SpamComplaint", "Recipient", at),
				entry("late@x.test", "HardBounce", "Recipient", at), entry("unknown@x.test", "SpamComplaint", "Recipient", at),
				entry("left@x.test", "ManualSuppression", "Recipient", at), entry("other@x.test", "ManualSuppression", "Recipient", at),
				entry("vague@x.test", "ManualSuppression", "Recipient", at), entry("operator@x.test", "ManualSuppression", "Customer", at),
				entry("old@x.test", "HardBounce", "Recipient", testNow.Add(-2*time.Hour).Format(time.RFC3339)), "odd",
			}})
		case q.Get("emailFilter") == "late@x.test":
			reply(w, http.StatusOK, map[string]any{"TotalCount": 3, "Bounces": []any{
				bounce(7, "late@x.test", "HardBounce"), bounce(8, "chocolate@x.test", "HardBounce"), bounce(9, "late@x.test", "SpamComplaint")}})
		case q.Get("emailFilter") != "":
			reply(w, http.StatusOK, map[string]any{"TotalCount": 0, "Bounces": []any{}})
		case q.Get("recipient") != "":
			name, _, _ := strings.Cut(q.Get("recipient"), "@")
			message := map[string]any{"MessageID": name, "ReceivedAt": at, "Metadata": metadataOf(messageID(5))}
			later := map[string]any{"MessageID": "later", "ReceivedAt": testNow.Add(time.Hour).Format(time.RFC3339), "Metadata": metadataOf(messageID(6))}
			if name == "other" {
				message["Metadata"] = map[string]any{}
			}
			reply(w, http.StatusOK, map[string]any{"TotalCount": 2, "Messages": []any{later, message}})
		case r.URL.Path == "/messages/outbound/left/details":
			change := func(recipient, suppress string) map[string]any {
				return map[string]any{"Type": "SubscriptionChanged", "Recipient": recipient, "ReceivedAt": at,
					"Details": map[string]any{"Origin": "Recipient", "SuppressSending": suppress}}
			}
			reply(w, http.StatusOK, map[string]any{"MessageID": "left", "Metadata": metadataOf(messageID(5)), "MessageEvents": []any{
				change("copy@x.test", "True"), change("left@x.test", "False"), change("Left@x.test", "True"), change("left@x.test", "True")}})
		default:
			return false
		}
		return true
	}
	adapter := newAdapter(t)
	adapter.SetReach(reach, 1<<20)
	got := map[string]provider.Report{}
	missing, err := adapter.History(t.Context(), connection(a.serve(t)), provider.Past{Since: testNow.Add(-time.Hour),
		Open: func(context.Context, mail.ID) (bool, error) { return false, nil },
		Yield: func(reports []provider.Report) error {
			for _, r := range reports {
				got[strings.ToLower(r.Recipient)+" "+r.ProviderMessageID+" "+strconv.Itoa(int(r.Type))] = r
			}
			return nil
		}})
	if err != nil || len(missing) != 1 || !strings.Contains(missing[0], "why 2 addresses are suppressed") {
		t.Errorf("%v, missing %q", err, missing)
	}
	want := []string{"late@x.test b7 72", "left@x.test left 78", "listed@x.test b1 72", "spam@x.test b2 77"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if left := got[want[1]]; left.MessageID != messageID(5) || left.Final || !left.OccurredAt.Equal(testNow.Add(-time.Minute)) {
		t.Errorf("%+v", left)
	}
}

// TestSandboxHistory compares what the simulator's webhooks told with what it lets be read back.
func TestSandboxHistory(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.register()
	began := time.Now().Add(-time.Minute)
	copied := y.message("ana@recipient.test", "copy@recipient.test")
	batch := []provider.Outgoing{copied, y.message("HardBounce@bounce.sandbox.test"), y.message("Transient+1@bounce.sandbox.test"),
		y.message("complaint@bounce.sandbox.test")}
	outcomes := y.send(batch, provider.Accepted, provider.Accepted, provider.Accepted, provider.Accepted)
	told := map[string]provider.Report{}
	hear := func(n int) {
		for range n {
			select {
			case r := <-y.reports:
				told[r.Identity] = r
			case <-time.After(patience):
				t.Fatalf("%d webhooks are missing", n)
			}
		}
	}
	hear(6) // delivered twice, two bounces, delivered and complained
	events := "/sandbox/messages/" + outcomes[0].ProviderMessageID + "/events"
	for _, wish := range []string{`{"kind":"open","recipient":"ana@recipient.test"}`, `{"kind":"open","recipient":"copy@recipient.test"}`,
		`{"kind":"click","recipient":"ana@recipient.test","url":"https://example.com/?a=1&b=2"}`} {
		y.control(http.MethodPost, events, wish)
	}
	hear(3)
	read := map[string]provider.Report{}
	missing, err := y.adapter.History(t.Context(), y.conn, provider.Past{Since: began,
		Open: func(context.Context, mail.ID) (bool, error) { return true, nil },
		Yield: func(reports []provider.Report) error {
			for _, r := range reports {
				read[r.Identity] = r
			}
			return nil
		}})
	if err != nil || len(missing) > 0 {
		t.Fatalf("%v, missing %q", err, missing)
	}
	for identity, want := range told {
		got, ok := read[identity]
		if !ok {
			t.Errorf("not read back: %+v", want)
			continue
		}
		if got.Type != want.Type || got.Final != want.Final || !got.OccurredAt.Equal(want.OccurredAt) || got.SMTPCode != want.SMTPCode ||
			got.ProviderMessageID != want.ProviderMessageID {
			t.Errorf("told %+v\nread %+v", want, got)
		}
	}
	if len(read) != len(told) {
		t.Errorf("%d told, %d read back", len(told), len(read))
	}
}

// repeated answers every request with the same body.
type repeated []byte

func (b repeated) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(b))}, nil
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte(`{"TotalCount":1,"Messages":[{"MessageID":"m","ReceivedAt":"2026-03-02T12:00:00Z","Recipients":["a","b"],
		"Metadata":{"messageId":"01930000-0000-7000-8000-000000000001"}}],
		"Bounces":[{"ID":7,"Type":"HardBounce","MessageID":"m","Email":"a@b.test","BouncedAt":"2026-03-02T12:00:00Z"}],
		"Opens":[{"MessageID":"m","Recipient":"a@b.test","ReceivedAt":"2026-03-02T12:00:00Z"}],"Clicks":[{},null,7],
		"Suppressions":[{"EmailAddress":"a","SuppressionReason":"ManualSuppression","Origin":"Recipient","CreatedAt":"2026-03-02T12:00:00Z"},7],
		"MessageID":"m","MessageEvents":[{"Type":"Delivered","Recipient":"a","ReceivedAt":"2026-03-02T12:00:00Z"},
		{"Type":"SubscriptionChanged","Recipient":"a","ReceivedAt":"2026-03-02T12:00:00Z","Details":{"Origin":"Recipient","SuppressSending":"True"}},
		{"Type":"Bounced","Details":{"BounceID":"7"}}],"ID":7,"BouncedAt":"2026-03-02T12:00:00Z","Email":"a@b.test"}`))
	f.Add([]byte(`{"TotalCount":99999999999,"Messages":[],"Bounces":[],"Opens":[],"Clicks":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		adapter := postmark.New(postmark.Config{Transport: repeated(body), Now: func() time.Time { return testNow }})
		adapter.SetPause(func(context.Context, int) error { return context.Canceled })
		yield := func(reports []provider.Report) error {
			for _, r := range reports {
				if r.Identity == "" || r.OccurredAt.IsZero() || r.Recipient == "" || r.Sample {
					t.Fatalf("not fit to keep: %+v", r)
				}
			}
			return nil
		}
		conn := connection("http://postmark.invalid")
		_, _ = adapter.History(t.Context(), conn, provider.Past{Since: testNow.AddDate(0, 0, -1), Yield: yield,
			Open: func(context.Context, mail.ID) (bool, error) { return true, nil }})
		_, _ = adapter.Fates(t.Context(), conn, []provider.Sent{{ID: messageID(1)}, {ID: messageID(2), ProviderMessageID: "../x?y"}}, yield)
	})
}
