package postmark

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

// Mails whose delivery is due at the moment of a reset are gone, and nothing is raised for them.
func TestDeliveryOvertakenByReset(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	s, err := New(Deps{Clock: c, Timetable: clock.NewTimetable(c), Hooks: hook.New(c), Settings: settings.NewCurrent(settings.Default()),
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.Attach(store.Memory(c.Now))
	for range 2 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/email",
			strings.NewReader(`{"From":"app@example.com","To":"ana@example.net","TextBody":"Hello"}`))
		r.Header.Set(serverTokenHeader, DemoServerToken)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	mails := s.store.All()
	if err := s.Reset(true, s.store.Reset); err != nil {
		t.Fatal(err)
	}
	s.deliver(mails)
	for _, mail := range mails {
		if events := s.store.Events(mail); len(events) != 0 {
			t.Errorf("%+v", events)
		}
	}
}
