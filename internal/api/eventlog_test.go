package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/store"
)

const eventPath = "/api/v1/account/event"

func (w *world) eventCount(query string) int {
	w.t.Helper()
	var got countAnswer
	a := w.asAccount("GET", eventPath+"/count"+query, nil).ok(200, &got)
	wantKeys(w.t, a.body, "count")
	return got.Count
}

func TestEventsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	ids := w.mail("gavin@example.com", "peter@example.net", "Gavin@example.com")
	w.asSub("POST", suppressionPath, map[string]any{"manual": emails("jack@example.com")}).ok(200, nil)
	w.mail("jack@example.com") // processed, and dropped
	today := time.Now().UTC()
	from, to := today.AddDate(0, 0, -1).Format(time.DateOnly), today.AddDate(0, 0, 1).Format(time.DateOnly)
	for query, want := range map[string]int{
		"": 5, "?type=69": 3, "?type=0,1": 2, "?type=71": 0, "?from=" + from + "&to=" + to: 5, "?from=" + to: 0, "?to=" + from: 0,
		"?from=" + today.Add(-time.Hour).Format(time.RFC3339): 5, "?recipient=GAVIN@example.com": 2, "?messageId=" + ids[0]: 1, "?search=" + ids[1]: 1,
		"?search=EXAMPLE.com": 4, "?search=%25": 0, "?search=net&type=69": 1, "?search=net&type=1": 0, "?provider=postmark": 3, "?subAccountId=4711": 0,
		"?source=subaccount&sourceId=" + fmt.Sprint(w.subAccount.ID): 5, "?provider=sendgrid": 0, "?search=" + ids[0] + "&messageId=" + ids[1]: 0,
	} {
		if got := w.eventCount(query); got != want {
			t.Errorf("%q: %d, want %d", query, got, want)
		}
		var listed []eventAnswer
		if w.asAccount("GET", eventPath+query, nil).ok(200, &listed); len(listed) != want {
			t.Errorf("%q: %d are listed, want %d", query, len(listed), want)
		}
	}
	w.asAccount("GET", eventPath+"/count?type=x", nil).refused(400, "invalid_parameter", "type")
	w.asAccount("GET", eventPath+"/count?search="+strings.Repeat("x", 321), nil).refused(400, "invalid_parameter", "search")
	if got := w.call("GET", eventPath+"/count", map[string]string{"X-Account-ApiKey": w.secondAccount()}, nil); string(got.body) != "{\"count\":0}\n" {
		t.Errorf("a stranger counts %s", got.body)
	}
	for path, want := range map[string]int{"subaccount/count": 1, "subaccount/count?search=x": 0, "ippool/count": 1, "ippool/count?search=POSTMARK": 1, "ippool/count?search=x": 0} {
		var got countAnswer
		if w.asAccount("GET", "/api/v1/account/"+path, nil).ok(200, &got); got.Count != want {
			t.Errorf("%s: %d, want %d", path, got.Count, want)
		}
	}
	var pools []poolAnswer
	if w.asAccount("GET", "/api/v1/account/ippool/search?search=POSTmark", nil).ok(200, &pools); len(pools) != 1 {
		t.Errorf("%+v", pools)
	}
}

// A search goes through the log from its end, page by page.
func TestSearchPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	var to []string
	for i := range 12 {
		to = append(to, fmt.Sprintf("u%d@%s.example.com", i, []string{"a", "b"}[i%2]))
	}
	w.mail(to...)
	walk := func(query string) (seen []string) {
		for path := eventPath + query; path != ""; {
			var page []eventAnswer
			a := w.asAccount("GET", path, nil).ok(200, &page)
			for _, e := range page {
				seen = append(seen, strings.TrimSuffix(e.To, ".example.com"))
			}
			link := a.header.Get("Link")
			path, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
			if len(seen) > 20 {
				t.Fatal("it never ends")
			}
		}
		return seen
	}
	if diff := cmp.Diff([]string{"u11@b", "u9@b", "u7@b", "u5@b", "u3@b", "u1@b"}, walk("?search=@B.&limit=2")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"u2@a", "u4@a", "u6@a", "u8@a", "u10@a"}, walk("?search=@a.&limit=3&order=asc&offset=1")); diff != "" {
		t.Error(diff)
	}
	var first []eventAnswer
	w.asAccount("GET", eventPath+"?search=u3@", nil).ok(200, &first)
	var same []eventAnswer
	if w.asAccount("GET", eventPath+"?search="+first[0].EventID, nil).ok(200, &same); len(same) != 1 || same[0].EventID != first[0].EventID {
		t.Errorf("by its id: %+v", same)
	}
}

// short is a log that is looked through in short stretches, with a clock that moves when it is looked at.
type short struct {
	store.EventLog
	look int
}

func (s short) EventStretch(ctx context.Context, f store.EventFilter, _ int) (int64, bool, error) {
	return s.EventLog.EventStretch(ctx, f, s.look)
}

func (s short) CountEvents(ctx context.Context, f store.EventFilter, from store.TallyPlace, _ int) (int64, store.TallyPlace, bool, error) {
	return s.EventLog.CountEvents(ctx, f, from, s.look)
}

func (s short) EventsInTime(ctx context.Context, f store.EventFilter, from store.TallyPlace, _ int) ([]store.Event, store.TallyPlace, bool, error) {
	return s.EventLog.EventsInTime(ctx, f, from, s.look)
}

// In whatever stretches the log is looked through, a search finds the same; and when its time is over it says where to go on.
func TestSearchInStretches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	var to []string
	for i := range 10 {
		to = append(to, fmt.Sprintf("u%d@%s.example.com", i, []string{"a", "b", "b", "b"}[i%4]))
	}
	w.mail(to...)
	now := time.Now()
	s := &server{Config: Config{Journal: w.db, Now: func() time.Time { return now }}}
	for look := 1; look < 13; look++ {
		s.Events = short{w.db, look}
		for _, newest := range []bool{true, false} {
			for offset := range 4 {
				f := store.EventFilter{AccountID: w.account.ID, Search: "@a.", Newest: newest, Offset: offset, Limit: 2}
				events, next, err := s.searchEvents(t.Context(), f)
				want := []string{"u0", "u4", "u8"}
				if newest {
					slices.Reverse(want)
				}
				want = want[min(offset, 3):min(offset+2, 3)]
				got := []string{}
				for _, e := range events {
					got = append(got, e.Recipient[:2])
				}
				if err != nil || next != 0 || !slices.Equal(got, want) {
					t.Errorf("look %d, offset %d, newest %t: %v, want %v; %d, %v", look, offset, newest, got, want, next, err)
				}
			}
		}
	}
	s.Events = short{w.db, 3}
	s.Now = func() time.Time { now = now.Add(time.Hour); return now }
	f := store.EventFilter{AccountID: w.account.ID, Search: "@a.", Newest: true, Limit: 9}
	var got []string
	rounds := 0
	for {
		events, next, err := s.searchEvents(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			got = append(got, e.Recipient[:2])
		}
		if rounds++; next == 0 || rounds > 10 {
			break
		}
		f.Before = next
	}
	if !slices.Equal(got, []string{"u8", "u4", "u0"}) || rounds != 4 {
		t.Errorf("%v in %d rounds", got, rounds)
	}
	f.Offset, f.Before = 9, 0
	if _, _, err := s.searchEvents(t.Context(), f); err == nil {
		t.Error("a search that skips never ends")
	}
	if _, err := s.countAll(t.Context(), f, now); err == nil {
		t.Error("the count never ends")
	}
}

func (w *world) export(query string) answer {
	w.t.Helper()
	a := w.asAccount("POST", eventPath+"/export"+query, nil)
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		w.t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	return a
}

func TestEventsAreExported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	mail := email("gavin@example.com", "peter@example.net")
	mail["from"] = map[string]any{"email": "richard@example.com", "name": `=HYPERLINK("http://x","y")`}
	mail["subject"], mail["groups"] = "\"Hi\", there", []string{"a", "b"}
	w.asSub("POST", "/api/v1/subaccount/email/", mail).ok(200, nil)
	w.mail("gavin@example.com")
	var listed []json.RawMessage
	w.asAccount("GET", eventPath, nil).ok(200, &listed)

	a := w.export("?format=ndjson")
	if got := a.header.Get("Content-Type"); got != mediaNDJSON {
		t.Errorf("Content-Type %q", got)
	}
	lines := bytes.Split(bytes.TrimSuffix(a.body, []byte("\n")), []byte("\n"))
	if len(lines) != 3 || len(listed) != 3 {
		t.Fatalf("%d lines, %d are listed", len(lines), len(listed))
	}
	for i := range lines {
		if !bytes.Equal(lines[i], listed[i]) {
			t.Errorf("%s is listed as %s", lines[i], listed[i])
		}
	}
	a = w.export("/?")
	rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	if err != nil || len(rows) != 4 || !slices.Equal(rows[0], eventColumns) || a.header.Get("Content-Disposition") != `attachment; filename="events.csv"` {
		t.Fatalf("%v %v %q", err, a.header, rows)
	}
	cell := func(row int, name string) string { return rows[row][slices.Index(eventColumns, name)] }
	if cell(1, "fromName") != `'=HYPERLINK("http://x","y")` || cell(1, "messageSubject") != "\"Hi\", there" || cell(1, "groups") != "a,b" || cell(1, "event") != "PM Processed" ||
		cell(1, "type") != "69" || cell(2, "to") != "peter@example.net" {
		t.Errorf("%q", rows)
	}
	if at, err := time.Parse(time.RFC3339Nano, cell(1, "submittedAt")); err != nil || time.Since(at) > time.Minute {
		t.Errorf("%v, %v", at, err)
	}
	for query, want := range map[string]int{"?recipient=gavin@example.com": 2, "?search=NET": 1, "?type=71": 0, "?provider=sendgrid": 0, "?to=2020-01-01": 0, "?from=2020-01-01&type=69": 3} {
		if got := bytes.Count(w.export(query+"&format=ndjson").body, []byte(`{"eventID"`)); got != want {
			t.Errorf("%s: %d lines, want %d", query, got, want)
		}
		if rows, err := csv.NewReader(bytes.NewReader(w.export(query + "&format=csv").body)).ReadAll(); err != nil || len(rows) != want+1 {
			t.Errorf("%s: %d rows, want %d, %v", query, len(rows), want+1, err)
		}
	}
	for body, want := range map[string]int{`{"format":"ndjson","type":[69],"recipient":"gavin@example.com"}`: 2, `{"format":"csv","search":"peter"}`: 2,
		fmt.Sprintf(`{"format":"ndjson","source":"subaccount","sourceId":%d,"tpspId":0}`, w.subAccount.ID): 3, `{"subAccountId":4711,"format":"ndjson"}`: 0, "{}": 4, " ": 4} {
		if got := bytes.Count(w.asAccount("POST", eventPath+"/export", body).body, []byte("\n")); got != want {
			t.Errorf("%s: %d lines, want %d", body, got, want)
		}
	}
	if got := w.asAccount("POST", eventPath+"/export?search=gavin&format=ndjson", `{"search":"peter"}`); bytes.Count(got.body, []byte("\n")) != 2 {
		t.Errorf("the query does not count: %s", got.body)
	}
	w.asAccount("POST", eventPath+"/export", `{"type":"x"}`).refused(422, "wrong_type", "type")
	w.asAccount("POST", eventPath+"/export?format=xlsx", nil).refused(400, "invalid_parameter", "format")
	w.asAccount("POST", eventPath+"/export?from=x", nil).refused(400, "invalid_parameter", "from")
	stranger := w.call("POST", eventPath+"/export?format=ndjson", map[string]string{"X-Account-ApiKey": w.secondAccount()}, nil)
	if stranger.status != 200 || len(stranger.body) != 0 {
		t.Errorf("a stranger gets %d %s", stranger.status, stranger.body)
	}
}

// asOperation has a handler serve an operation, as the router does.
func asOperation(o operation, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		exchangeOf(r.Context()).operation = &o
		h(w, r)
	}
}

// growing records an event after each piece: it must not become part of the export.
type growing struct {
	short
	grow   func()
	pieces int
	fail   int // this piece fails
}

func (g *growing) EventsInTime(ctx context.Context, f store.EventFilter, from store.TallyPlace, look int) ([]store.Event, store.TallyPlace, bool, error) {
	if g.pieces++; g.pieces == g.fail {
		return nil, from, false, store.ErrUnavailable
	}
	events, next, done, err := g.short.EventsInTime(ctx, f, from, look)
	g.grow()
	return events, next, done, err
}

// An export has what was there when it began, in whatever pieces; one that fails in the middle does not look like a whole one.
func TestExportInPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	w.mail("a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com")
	log := &growing{short: short{w.db, 2}, grow: func() { w.mail("late@example.com") }}
	s := &server{Config: Config{Journal: w.db, Events: log, Accounts: w.accounts, Directory: w.dir, Now: time.Now, Log: slog.New(slog.DiscardHandler)},
		throttle: newThrottle(0, time.Now)}
	api := httptest.NewServer(s.observe(asOperation(operation{}.reads(), s.forAccount(s.exportEvents))))
	t.Cleanup(api.Close)
	of := &world{t: t, url: api.URL, accountKey: w.accountKey}
	a := of.asAccount("POST", "/?format=ndjson", nil)
	if got := strings.Count(string(a.body), "\n"); got != 5 || strings.Contains(string(a.body), "late") || log.pieces < 3 {
		t.Errorf("%d events in %d pieces: %s", got, log.pieces, a.body)
	}
	log.pieces, log.fail = 0, 1
	of.asAccount("POST", "/", nil).refused(http.StatusServiceUnavailable, "unavailable", "")
	log.pieces, log.fail = 0, 2
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, of.url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Account-ApiKey", w.accountKey)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var whole bytes.Buffer
	if _, err := whole.ReadFrom(res.Body); err == nil || whole.Len() == 0 {
		t.Errorf("half an export is whole: %v, %s", err, whole.String())
	}
}

func TestMessagesOfARecipient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	ids := w.mail("gavin@example.com", "other@example.com", "Gavin@Example.com", "gavin+x@example.com")
	ids = append(ids, w.mail("gavin@example.com")...)
	w.asSub("POST", suppressionPath, map[string]any{"manual": emails("gavin@example.com")}).ok(200, nil)
	ids = append(ids, w.mail("gavin@example.com")...) // dropped
	list := func(address, query string) (got []string, a answer) {
		t.Helper()
		var messages []messageAnswer
		a = w.asAccount("GET", "/api/v1/account/recipient/"+address+"/messages"+query, nil).ok(200, &messages)
		for _, m := range messages {
			got = append(got, m.MessageID)
		}
		return got, a
	}
	want := []string{ids[5], ids[4], ids[2], ids[0]}
	for _, address := range []string{"gavin@example.com", "GAVIN@EXAMPLE.COM", "gavin%40example.com"} {
		if got, _ := list(address, ""); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	if got, _ := list("gavin%2Bx@example.com", "/"); !slices.Equal(got, ids[3:4]) {
		t.Errorf("%v", got)
	}
	if got, _ := list("gavin@example.com", "?limit=2&offset=1"); !slices.Equal(got, want[1:3]) {
		t.Errorf("%v", got)
	}
	got, a := list("gavin@example.com", "?limit=3")
	if !slices.Equal(got, want[:3]) {
		t.Errorf("%v", got)
	}
	if rest, _ := list("gavin@example.com", "?limit=3&before="+a.header.Get("X-Next-Cursor")); !slices.Equal(rest, want[3:]) || !strings.Contains(a.header.Get("Link"), "before=") {
		t.Errorf("%v, %s", rest, a.header.Get("Link"))
	}
	one := w.asAccount("GET", "/api/v1/account/message/"+ids[3], nil).ok(200, nil)
	if _, a := list("gavin%2Bx@example.com", ""); string(a.body) != "["+strings.TrimSpace(string(one.body))+"]\n" {
		t.Errorf("%s, want %s", a.body, one.body)
	}
	if _, a := list("nobody@example.com", ""); string(a.body) != "[]\n" {
		t.Errorf("%s", a.body)
	}
	for _, bad := range []string{"nobody", "a@b@@", "a%2F@b@"} {
		w.asAccount("GET", "/api/v1/account/recipient/"+bad+"/messages", nil).refused(http.StatusNotFound, "not_found", "")
	}
	w.asAccount("GET", "/api/v1/account/recipient/a@example.com/messages?limit=101", nil).refused(400, "invalid_parameter", "limit")
	stranger := w.call("GET", "/api/v1/account/recipient/gavin@example.com/messages", map[string]string{"X-Account-ApiKey": w.secondAccount()}, nil)
	if string(stranger.body) != "[]\n" {
		t.Errorf("a stranger sees %s", stranger.body)
	}
}

// endless is a log whose second piece never comes.
type endless struct {
	short
	asked  chan struct{}
	pieces int
}

func (e *endless) EventsInTime(ctx context.Context, f store.EventFilter, from store.TallyPlace, look int) ([]store.Event, store.TallyPlace, bool, error) {
	if e.pieces++; e.pieces == 1 {
		return e.short.EventsInTime(ctx, f, from, look)
	}
	close(e.asked)
	<-ctx.Done()
	return nil, from, false, ctx.Err()
}

// An export ends when the client goes.
func TestExportIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	w.mail("a@example.com", "b@example.com", "c@example.com")
	log := &endless{short: short{w.db, 1}, asked: make(chan struct{})}
	s := &server{Config: Config{Journal: w.db, Events: log, Accounts: w.accounts, Directory: w.dir, Now: time.Now, Log: slog.New(slog.DiscardHandler)},
		throttle: newThrottle(0, time.Now)}
	ended := make(chan struct{})
	handler := s.observe(asOperation(operation{}.reads(), s.forAccount(s.exportEvents)))
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, api.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Account-ApiKey", w.accountKey)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	<-log.asked
	cancel()
	<-ended
}
