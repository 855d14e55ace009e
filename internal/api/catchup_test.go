package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postyard/internal/catchup"
	"postyard/internal/directory"
	"postyard/internal/mail"
)

const catchUpPath = "/api/v1/account/catch-up"

func TestCatchUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.asAccount("POST", catchUpPath, "{}").ok(200, nil); string(a.body) != "[]\n" {
		t.Errorf("%s", a.body)
	}
	made := w.connect("Postmark", "outbound")
	var got []caughtUpAnswer
	a := w.asAccount("POST", catchUpPath+"/", map[string]any{"since": "48h", "tpspId": made.ID}).ok(200, &got)
	if len(got) != 1 || got[0].TPSPID != made.ID || got[0].Name != "Postmark" || got[0].Since == 0 || got[0].Error != "" || got[0].Missing == nil {
		t.Errorf("%s", a.body)
	}
	w.asAccount("POST", catchUpPath, map[string]any{"tpspId": made.ID + 1}).refused(404, "not_found", "")
	w.call("POST", catchUpPath, map[string]string{"X-Account-ApiKey": w.secondAccount()}, map[string]any{"tpspId": made.ID}).refused(404, "not_found", "")
	for _, since := range []any{"yesterday", "-1h", "9999h", "2020-01-01T00:00:00Z", time.Now().Add(time.Hour).Format(time.RFC3339)} {
		w.asAccount("POST", catchUpPath, map[string]any{"since": since}).refused(422, "invalid_since", "since")
	}
	w.asAccount("POST", catchUpPath, `{"since":5}`).refused(422, "wrong_type", "since")

	if held, err := w.db.Lease(t.Context(), "catch-up/1", "another node", time.Minute); err != nil || !held {
		t.Fatal(held, err)
	}
	w.asAccount("POST", catchUpPath, map[string]any{"tpspId": made.ID}).refused(http.StatusConflict, "catch_up_running", "tpspId")
	w.asAccount("POST", catchUpPath, "{}").ok(200, &got)
	if len(got) != 1 || got[0].Error == "" {
		t.Errorf("%+v", got)
	}
}

// patient is catching up that tells whether it may go on.
type patient struct{}

func (patient) CatchUp(ctx context.Context, _, _ int32, _ time.Time) ([]catchup.Result, error) {
	if _, limited := ctx.Deadline(); !limited {
		return nil, errors.New("it may take for ever")
	}
	return nil, ctx.Err()
}

func (patient) State(int32) catchup.State { return catchup.State{} }

// A proxy that cuts the connection does not end what was begun.
func TestCatchUpOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &server{Config: Config{CatchUp: patient{}, Log: slog.New(slog.DiscardHandler)}}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, catchUpPath, strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	if err := s.catchUp(httptest.NewRecorder(), r, &directory.Account{}); err != nil {
		t.Error(err)
	}
}

func TestPendingCatchUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	if made.CatchUp != nil {
		t.Errorf("%+v", made.CatchUp)
	}
	from := time.Now().Add(-time.Hour).UTC()
	if err := errors.Join(w.db.CatchUpFrom(t.Context(), made.ID, from), w.dir.Reload(t.Context())); err != nil {
		t.Fatal(err)
	}
	var list []tpspAnswer
	a := w.asAccount("GET", tpsps, nil).ok(200, &list)
	if len(list) != 1 || list[0].CatchUp == nil || *list[0].CatchUp != (catchUpAnswer{Since: from.UnixNano(), State: "waiting"}) {
		t.Errorf("%s", a.body)
	}
	// What a user asks for counts when it goes back as far.
	w.asAccount("POST", catchUpPath, map[string]any{"since": "30m"}).ok(200, nil)
	if w.asAccount("GET", tpsps, nil).ok(200, &list); list[0].CatchUp == nil {
		t.Error("a shorter look back paid the debt")
	}
	list = nil
	w.asAccount("POST", catchUpPath, "{}").ok(200, nil)
	if w.asAccount("GET", tpsps, nil).ok(200, &list); list[0].CatchUp != nil {
		t.Errorf("%+v", list[0].CatchUp)
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": now.Add(-24 * time.Hour), "48h": now.Add(-48 * time.Hour), "90m": now.Add(-90 * time.Minute), "0s": now,
		"2026-11-01T00:00:00Z": now.Add(-24 * time.Hour), "2026-11-01T01:00:00+01:00": now.Add(-24 * time.Hour),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	if _, err := parseSince("2026-11-01", now); err == nil {
		t.Error("a day is no instant")
	} else if _, ok := errors.AsType[*mail.FieldError](err); !ok {
		t.Error(err)
	}
}
