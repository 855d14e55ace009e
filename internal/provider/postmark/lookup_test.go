package postmark_test

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// activity is a fake of Postmark's search: messages in the order in which it shows them.
type activity struct {
	recorder
	messages []map[string]any
	slow     bool // pages take for ever
}

func sentAt(id mail.ID, at time.Time) map[string]any {
	return map[string]any{
		"MessageID": "pm-" + id.String(), "ReceivedAt": at.Format("2006-01-02T15:04:05.0000000Z07:00"),
		"Metadata": map[string]string{"messageId": id.String(), "tpspId": "33"},
	}
}

// foreign returns n messages that are not ours, one second apart, the newest first.
func foreign(n int, newest time.Time) []map[string]any {
	messages := make([]map[string]any, n)
	for i := range messages {
		messages[i] = map[string]any{
			"MessageID": strconv.Itoa(i), "ReceivedAt": newest.Add(-time.Duration(i) * time.Second).Format(time.RFC3339),
			"Metadata": map[string]string{"tpspId": "33"},
		}
	}
	return messages
}

func (a *activity) serve(t *testing.T) string {
	return serve(t, a.wrap(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		offset, err1 := strconv.Atoi(q.Get("offset"))
		count, err2 := strconv.Atoi(q.Get("count"))
		if err1 != nil || err2 != nil || count > 500 || offset+count > 10_000 {
			reply(w, 422, map[string]any{"ErrorCode": 700, "Message": "paging out of range"})
			return
		}
		list := a.messages
		id := q.Get("metadata_messageId")
		if id == "" && a.slow {
			<-r.Context().Done()
			return
		}
		if id != "" {
			list = slices.DeleteFunc(slices.Clone(list), func(m map[string]any) bool {
				return m["Metadata"].(map[string]string)["messageId"] != id
			})
		}
		page := list[min(offset, len(list)):min(offset+count, len(list))]
		reply(w, http.StatusOK, map[string]any{"TotalCount": len(list), "Messages": page})
	}))
}

func (a *activity) queries(t *testing.T) []url.Values {
	t.Helper()
	var queries []url.Values
	for _, r := range a.all() {
		u, err := url.Parse(r.path)
		if err != nil || u.Path != "/messages/outbound" || r.method != http.MethodGet || len(r.body) > 0 {
			t.Fatalf("%s %s with %d bytes", r.method, r.path, len(r.body))
		}
		queries = append(queries, u.Query())
	}
	return queries
}

func foundIDs(found []provider.Found) []mail.ID {
	var ids []mail.ID
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	slices.SortFunc(ids, func(a, b mail.ID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

func TestLookupOne(t *testing.T) {
	t.Parallel()
	a := activity{messages: []map[string]any{sentAt(messageID(1), testNow), sentAt(messageID(2), testNow)}}
	found, err := newAdapter(t).Lookup(t.Context(), connection(a.serve(t)), []mail.ID{messageID(2)}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]provider.Found{{ID: messageID(2), ProviderMessageID: "pm-" + messageID(2).String()}}, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []url.Values{{"count": {"1"}, "offset": {"0"}, "messagestream": {"outbound"},
		"metadata_messageId": {messageID(2).String()}}}
	if diff := cmp.Diff(want, a.queries(t)); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
}

// many returns more ids than are asked for one by one.
func many() []mail.ID {
	var ids []mail.ID
	for i := range 25 {
		ids = append(ids, messageID(byte(1+i)))
	}
	return ids
}

// TestLookupPages counts the calls: no page more than the answer needs, and none less.
func TestLookupPages(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	ids := many()
	var ours []map[string]any
	for _, id := range ids {
		ours = append(ours, sentAt(id, since))
	}
	reversed := foreign(1600, since)
	slices.Reverse(reversed)
	for name, tc := range map[string]struct {
		messages []map[string]any
		want     []mail.ID
		pages    int
	}{
		"at once":               {append(slices.Clone(ours), foreign(2000, since)...), ids, 1},
		"on the third page":     {append(foreign(1200, since.Add(time.Hour)), ours...), ids, 3},
		"one is missing":        {append(foreign(700, since.Add(time.Hour)), ours[1:]...), ids[1:], 2},
		"none, a short page":    {foreign(499, since), nil, 1},
		"none, a full page":     {foreign(500, since.Add(10*time.Second)), nil, 2},
		"the rest is older":     {append(slices.Clone(ours[:1]), foreign(9000, since.Add(-14*time.Minute))...), ids[:1], 1},
		"within the slack":      {append(foreign(500, since.Add(-5*time.Minute)), ours[1]), ids[1:2], 2},
		"oldest first":          {append(reversed, ours...), ids, 4},
		"all at the same time":  {append(sameTime(600, since.Add(-time.Hour)), ours...), ids, 2},
		"dates that are no use": {append(dateless(600), ours...), ids, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := activity{messages: tc.messages}
			found, err := newAdapter(t).Lookup(t.Context(), connection(a.serve(t)), ids, since)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, foundIDs(found)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			queries := a.queries(t)
			if len(queries) != tc.pages {
				t.Fatalf("%d pages, want %d", len(queries), tc.pages)
			}
			for i, q := range queries {
				want := url.Values{"count": {"500"}, "offset": {strconv.Itoa(500 * i)}, "messagestream": {"outbound"},
					"metadata_tpspId": {"33"}, "fromdate": {"2026-03-01"}}
				if diff := cmp.Diff(want, q); diff != "" {
					t.Errorf("query %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func sameTime(n int, at time.Time) []map[string]any {
	messages := foreign(n, at)
	for _, m := range messages {
		m["ReceivedAt"] = at.Format(time.RFC3339)
	}
	return messages
}

func dateless(n int) []map[string]any {
	messages := foreign(n, testNow)
	for _, m := range messages {
		m["ReceivedAt"] = nil
	}
	return messages
}

// TestLookupFew asks for few messages by name, whatever the traffic is.
func TestLookupFew(t *testing.T) {
	t.Parallel()
	a := activity{messages: append(foreign(20_000, testNow.Add(6*time.Hour)), sentAt(messageID(1), testNow))}
	found, err := newAdapter(t).Lookup(t.Context(), connection(a.serve(t)), []mail.ID{messageID(1), messageID(2)}, testNow)
	if diff := cmp.Diff([]mail.ID{messageID(1)}, foundIDs(found)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if n := len(a.queries(t)); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

// TestLookupBeyondTheSearch: when Postmark's search ends too early, the others are asked for by name.
func TestLookupBeyondTheSearch(t *testing.T) {
	t.Parallel()
	a := activity{messages: append(foreign(10_000, testNow.Add(3*time.Hour)), sentAt(messageID(1), testNow))}
	found, err := newAdapter(t).Lookup(t.Context(), connection(a.serve(t)), many(), testNow)
	if diff := cmp.Diff([]mail.ID{messageID(1)}, foundIDs(found)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if n := len(a.queries(t)); n != 45 {
		t.Errorf("%d calls, want 20 pages and 25 by name", n)
	}
}

// TestLookupError: when a later page fails, what was found before it counts, and the error says that the rest is not answered.
func TestLookupError(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]http.HandlerFunc{
		"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"422":       func(w http.ResponseWriter, _ *http.Request) { reply(w, 422, map[string]any{"ErrorCode": 700}) },
		"null list": func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]any{"Messages": nil}) },
		"cut short": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"TotalCount":1,"Messages":[{`)) },
		"code in 200": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, map[string]any{"ErrorCode": 10, "Messages": []int{}})
		},
		"other shapes": func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]any{"Messages": []int{1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.RawQuery, "offset=0") {
					reply(w, http.StatusOK, map[string]any{"Messages": append(foreign(499, testNow), sentAt(messageID(1), testNow))})
					return
				}
				fail(w, r)
			}))
			found, err := newAdapter(t).Lookup(t.Context(), conn, many(), testNow)
			if diff := cmp.Diff([]mail.ID{messageID(1)}, foundIDs(found)); err == nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// A search whose pages take too long leaves half of the time for asking one by one.
func TestLookupSlowPages(t *testing.T) {
	t.Parallel()
	a := activity{messages: []map[string]any{sentAt(messageID(1), testNow), sentAt(messageID(7), testNow)}, slow: true}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	found, err := newAdapter(t).Lookup(ctx, connection(a.serve(t)), many(), testNow)
	ids := foundIDs(found)
	slices.SortFunc(ids, func(x, y mail.ID) int { return bytes.Compare(x[:], y[:]) })
	if diff := cmp.Diff([]mail.ID{messageID(1), messageID(7)}, ids); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
