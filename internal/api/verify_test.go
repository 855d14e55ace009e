package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
)

const verifyPath = "/api/v1/account/verify"

var verifyKeys = []string{"ok", "checkedAt", "tookMs", "messages", "events", "attempts", "days", "differences", "differenceCount", "awaiting", "awaitingCount"}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	ids := w.mail("a@example.com", "b@example.com", "c@example.com")
	w.report(made, ids[0], "Delivery", map[string]any{"Recipient": "a@example.com", "DeliveredAt": "2026-01-05T10:00:00Z"}).ok(200, nil)
	w.report(made, ids[1], "SpamComplaint", map[string]any{
		"ID": 7, "Type": "SpamComplaint", "TypeCode": 512, "Email": "b@example.com", "BouncedAt": "2020-11-05T10:00:00Z",
	}).ok(200, nil)
	w.until(events, 7)
	before := time.Now()
	var got verifyAnswer
	a := w.asAccount("GET", verifyPath+"/?awaiting=0s", nil).ok(200, &got)
	wantKeys(t, a.body, verifyKeys...)
	var parts struct {
		Messages json.RawMessage
		Awaiting []json.RawMessage
	}
	if err := json.Unmarshal(a.body, &parts); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, parts.Messages, "total", "pending", "queued", "sending", "unknown", "sent", "delivered", "bounced", "dropped")
	if got.Messages != (stateCounts{Total: 3, Pending: 1, Queued: 1, Sent: 1, Delivered: 1}) || !got.OK || got.Events != 7 || got.Attempts != 0 ||
		got.Days != 3 || got.Differences == nil || got.DifferenceCount != 0 || got.CheckedAt < nanos(before) || got.TookMs < 0 {
		t.Errorf("%s", a.body)
	}
	if len(parts.Awaiting) != 1 || got.AwaitingCount != 1 || got.Awaiting[0].MessageID != ids[1] || got.Awaiting[0].Egress != route.TPSP(made.ID).String() ||
		got.Awaiting[0].Since <= nanos(before.Add(-time.Hour)) {
		t.Fatalf("%s", a.body)
	}
	wantKeys(t, parts.Awaiting[0], "messageID", "egress", "providerMessageId", "since")
	if w.asAccount("GET", verifyPath, nil).ok(200, &got); got.AwaitingCount != 0 || got.Awaiting == nil {
		t.Errorf("awaiting for a day: %+v", got)
	}

	// Another account has books of its own; a sub-account has none.
	w.call("GET", verifyPath, map[string]string{"X-Account-ApiKey": w.secondAccount()}, nil).ok(200, &got)
	if got.Messages.Total != 0 || got.Days != 0 || !got.OK {
		t.Errorf("another account: %+v", got)
	}
	w.asSub("GET", verifyPath, nil).refused(401, "missing_api_key", "X-Account-ApiKey")
	for _, awaiting := range []string{"x", "24", "-1h", "87601h"} {
		w.asAccount("GET", verifyPath+"?awaiting="+awaiting, nil).refused(400, "invalid_parameter", "awaiting")
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	if a := w.asAccount("GET", verifyPath, nil); a.status < 500 {
		t.Errorf("without a database: %d %s", a.status, a.body)
	}
}

// ledger is a store with two messages in its books, and one counter.
type ledger struct {
	entries []store.Entry
	read    func(ctx context.Context, account int32) error // before a page of messages
}

func (l *ledger) Entries(ctx context.Context, account int32, after mail.ID, _ int) ([]store.Entry, error) {
	if l.read != nil {
		if err := l.read(ctx, account); err != nil {
			return nil, err
		}
	}
	for i, e := range l.entries {
		if e.ID[0] > after[0] {
			return l.entries[i : i+1], nil
		}
	}
	return nil, nil
}

func (l *ledger) Counted(context.Context, int32, int64) (map[store.Counter]int64, int64, error) {
	return map[store.Counter]int64{{SubAccountID: 4, Egress: 5, Mailbox: 1, Type: 71, Copy: true}: 3}, 9, nil
}

func (l *ledger) CountedFacets(context.Context, int32, int64) (store.Figures, int64, error) {
	return store.NewFigures(), 0, nil
}

func (l *ledger) TallyFacets(context.Context, int32, int64, int64, store.TallyPlace, int) (store.Figures, store.TallyPlace, bool, error) {
	return store.NewFigures(), store.TallyPlace{}, true, nil
}

func (l *ledger) Tally(context.Context, int32, int64, int64, store.TallyPlace, int) (map[store.Counter]int64, store.TallyPlace, bool, error) {
	return nil, store.TallyPlace{}, true, nil
}

func (l *ledger) NextDay(_ context.Context, _ int32, from int64) (int64, bool, error) {
	return 20000, from <= 20000, nil
}

func TestVerifyNamesDifferences(t *testing.T) {
	t.Parallel()
	id := mail.ID{1, 15: 9}
	s := &server{Config: Config{Log: slog.New(slog.DiscardHandler), Books: &ledger{entries: []store.Entry{{ID: id, Stored: lifecycle.Queued,
		Events: []store.EntryEvent{{Seq: 1, Type: 69, OccurredAt: time.Unix(1, 0)}}}}}}}
	w := httptest.NewRecorder()
	s.forAnyone(func(w http.ResponseWriter, r *http.Request) error { return s.verify(w, r, &directory.Account{ID: 1}) })(w,
		httptest.NewRequest(http.MethodGet, verifyPath, nil))
	var got verifyAnswer
	answer{t: t, status: w.Code, header: w.Header(), body: w.Body.Bytes()}.ok(200, &got)
	var raw struct{ Differences []json.RawMessage }
	if err := json.Unmarshal(w.Body.Bytes(), &raw); err != nil || len(raw.Differences) != 2 || got.OK || got.DifferenceCount != 2 {
		t.Fatalf("%s (%v)", w.Body, err)
	}
	for _, one := range raw.Differences {
		wantKeys(t, one, "kind", "messageID", "day", "counter", "facet", "stored", "recomputed")
	}
	counter, message := got.Differences[0], got.Differences[1]
	if counter.Kind != "counter" || counter.MessageID != "" || counter.Day != "2024-10-04" || counter.Stored != "3" || counter.Recomputed != "0 events" ||
		*counter.Counter != (counterAnswer{4, "TPSP_5", "yahoo", 71, "PM Delivered", true}) {
		t.Errorf("%s", raw.Differences[0])
	}
	if message.Kind != "queue" || message.MessageID != id.String() || message.Day != "" || message.Counter != nil || message.Stored == "" || message.Recomputed == "" {
		t.Errorf("%s", raw.Differences[1])
	}
}

// serve answers verifications of two accounts, by the number in the path, from a server with short deadlines.
func serveBooks(t *testing.T, b store.Books) *httptest.Server {
	t.Helper()
	s := &server{Config: Config{Log: slog.New(slog.DiscardHandler), Books: b}}
	h := s.observe(s.forAnyone(func(w http.ResponseWriter, r *http.Request) error {
		return s.verify(w, r, &directory.Account{ID: int32(len(r.URL.Path))})
	}))
	server := httptest.NewUnstartedServer(h)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func get(ctx context.Context, url string) (status int, code string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	var got struct{ Code string }
	err = json.NewDecoder(res.Body).Decode(&got)
	return res.StatusCode, got.Code, err
}

// A verification may take longer than the server gives a request.
func TestVerifyOutlivesDeadlines(t *testing.T) {
	t.Parallel()
	server := serveBooks(t, &ledger{
		entries: []store.Entry{{ID: mail.ID{1}}, {ID: mail.ID{2}}, {ID: mail.ID{3}}},
		read: func(ctx context.Context, _ int32) error {
			select {
			case <-time.After(150 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	if status, code, err := get(t.Context(), server.URL+"/"); status != 200 || err != nil {
		t.Errorf("%d %s %v", status, code, err)
	}
}

func TestOneVerificationAtATime(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan int32), make(chan struct{})
	server := serveBooks(t, &ledger{read: func(ctx context.Context, account int32) error {
		entered <- account
		select {
		case <-leave:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	ended := make(chan int)
	ask := func(ctx context.Context, path string) {
		go func() {
			status, _, _ := get(ctx, server.URL+path)
			ended <- status
		}()
	}
	ask(t.Context(), "/")
	<-entered
	if status, code, err := get(t.Context(), server.URL+"/"); status != 409 || code != "verification_running" || err != nil {
		t.Errorf("the second one: %d %s %v", status, code, err)
	}
	ask(t.Context(), "/2") // another account
	<-entered
	leave <- struct{}{}
	leave <- struct{}{}
	for range 2 {
		if status := <-ended; status != 200 {
			t.Errorf("status %d", status)
		}
	}

	// Who hangs up ends the verification, and another one may begin.
	gone, hangUp := context.WithCancel(t.Context())
	ask(gone, "/")
	<-entered
	hangUp()
	<-ended
	for {
		ask(t.Context(), "/")
		select {
		case <-entered:
			leave <- struct{}{}
			if status := <-ended; status != 200 {
				t.Errorf("after a client was gone: %d", status)
			}
			return
		case status := <-ended:
			if status != 409 {
				t.Fatalf("after a client was gone: %d", status)
			}
		}
	}
}
