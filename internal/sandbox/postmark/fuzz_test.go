package postmark

import (
	"encoding/json"
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

func simulator(t testing.TB) *Simulator {
	t.Helper()
	c := clock.NewManual(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	s, err := New(Deps{Clock: c, Timetable: clock.NewTimetable(c), Hooks: hook.New(c),
		Settings: settings.NewCurrent(settings.Default()), Log: slog.New(slog.DiscardHandler), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Attach(store.Memory(c.Now))
	return s
}

// Whatever is sent, the answer is JSON with a documented status, what is accepted can be shown and restored, and a refusal names
// its ErrorCode.
func FuzzSend(f *testing.F) {
	for _, path := range []string{"/email", "/email/batch", "/email/withTemplate", "/email/batchWithTemplates"} {
		f.Add(path, `{"From":"a@example.com","To":"b@example.net, \"x, y\" <c@example.net>","TextBody":"t","Metadata":{"a":"b"},"Tag":null}`)
		f.Add(path, `[{"From":"a@example.com","To":"b@example.net","HtmlBody":"<a href='https://x.example'>","Attachments":[{"Name":"a","Content":"aGk="}]}]`)
		f.Add(path, `{"Messages":[{"From":"a@example.com","Cc":"hardbounce@bounce.sandbox.test","TemplateAlias":"welcome-template","TemplateModel":"{}"}]}`)
		f.Add(path, `{"From":5,"To":{},"TemplateId":1,"TemplateModel":{"steps":{}},"TrackOpens":"x"}`)
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " ?#%\r\n") {
			return
		}
		s := simulator(t)
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)).WithContext(t.Context())
		r.URL.Path = path
		r.Header.Set(serverTokenHeader, DemoServerToken)
		r.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code != http.StatusOK && w.Header().Get(headerErrorCode) == "" {
			t.Errorf("%d without an ErrorCode header", w.Code)
		}
		s.deliver(s.store.All())
		for _, mail := range s.store.All() {
			m := mail.Content.(*content)
			view := m.View()
			if view.From == "" || len(view.Recipients) == 0 || len(s.store.Events(mail)) < len(view.Recipients) {
				t.Errorf("%+v", view)
			}
			record := stored{Message: m.raw, Inactive: m.inactive}
			if m.template != nil {
				record.Template = m.template.TemplateID
			}
			raw, err := record.encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.RestoreMail(mail, raw); err != nil {
				t.Errorf("an accepted message cannot be restored: %v", err)
			}
		}
	})
}

// PM-sim 13: lists are cut at commas outside names and brackets.
func FuzzSplitList(f *testing.F) {
	f.Add(`"Last, First" <a@b.c>, d@e.f,,<g@h.i>`)
	f.Fuzz(func(t *testing.T, list string) {
		for _, entry := range splitList(list) {
			if strings.TrimSpace(entry) != entry || entry == "" {
				t.Errorf("%q", entry)
			}
			if a := parseEntry(entry); !strings.Contains(entry, a.Email) {
				t.Errorf("%q holds no %q", entry, a.Email)
			}
		}
	})
}
