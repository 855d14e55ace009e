package sendgrid

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

// simulator returns one that keeps everything in a file, filled with what is there.
func simulator(t testing.TB, path string) *Simulator {
	t.Helper()
	c := clock.NewManual(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	s := New(Deps{Clock: c, Timetable: clock.NewTimetable(c), Hooks: hook.New(c), Settings: settings.NewCurrent(settings.Default()),
		Log: slog.New(slog.DiscardHandler), Seed: 1})
	st, err := store.Open(path, c.Now, map[string]store.Restorer{Provider: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	s.Attach(st)
	return s
}

func (s *Simulator) request(method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+DemoKey)
	r.Header.Set("Content-Type", contentType)
	s.ServeHTTP(w, r)
	return w
}

// Whatever is sent, the answer is one that SendGrid gives: empty, or a list of errors. What is accepted goes its way to the end, tells
// webhooks what they can read, and is the same after a restart.
func FuzzSend(f *testing.F) {
	f.Add(`{"personalizations":[{"to":[{"email":"b@example.net"}],"custom_args":{"a":"b","event":"x"},"headers":{"X-A":"1"}}],` +
		`"from":{"email":"a@example.com"},"subject":"s","content":[{"type":"text/html","value":"<a href='https://x.example'>"}],"categories":["c"]}`)
	f.Add(`{"personalizations":[{"to":[{"email":"b@example.net","name":"B"}]},` +
		`{"to":[{"email":"deferred@bounce.sandbox.test"}],"cc":[{"email":"bounce@bounce.sandbox.test"}],"subject":"-n-",` +
		`"substitutions":{"-n-":"N"},"send_at":1}],"from":{"email":"a@example.com"},"subject":"s","content":[{"type":"text/plain","value":"t"}],` +
		`"attachments":[{"content":"aGk=","filename":"a"}],"asm":{"group_id":10},"ip_pool_name":"marketing"}`)
	f.Add(`{"Personalizations":[null],"personalizations":[{"to":{}}],"from":5,"subject":[],"content":[1,{"type":1}],"headers":{"a":"1","a":"2","":null}}`)
	f.Add(`{"personalizations":[{"to":[{"email":"b@example.net"}]}],"from":{"email":"a@example.com"},` +
		`"From":{"email":"c@example.com"},"subject":"s","content":[{"type":"text/plain","value":"t"}],"mail_settings":{"sandbox_mode":{"enable":true}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		path := filepath.Join(t.TempDir(), "journal")
		s := simulator(t, path)
		const hook = `{"url":"http://127.0.0.1:1/","enabled":true,"processed":true}`
		if w := s.request(http.MethodPost, "/v3/user/webhooks/event/settings", hook); w.Code != http.StatusCreated {
			t.Fatal(w.Body)
		}
		w := s.request(http.MethodPost, "/v3/mail/send", body)
		var errors struct{ Errors []problem }
		switch w.Code {
		case http.StatusOK, http.StatusAccepted:
			if w.Body.Len() > 0 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		case http.StatusBadRequest, http.StatusForbidden, http.StatusUnsupportedMediaType:
			if err := json.Unmarshal(w.Body.Bytes(), &errors); err != nil || len(errors.Errors) == 0 || errors.Errors[0].Message == "" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
		mails := s.store.All()
		if (w.Code == http.StatusAccepted) != (len(mails) > 0) {
			t.Fatalf("%d with %d mails", w.Code, len(mails))
		}
		for {
			made, err := s.steps(mails, false)
			if err != nil {
				t.Fatal(err)
			}
			if len(made) == 0 {
				break
			}
			out, err := s.tell(made, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range out {
				var events []map[string]any
				if err := json.Unmarshal(d.Body, &events); err != nil || len(events) == 0 || events[0]["event"] != eventProcessed {
					t.Errorf("%v: %s", err, d.Body)
				}
			}
		}
		after := simulator(t, copied(t, path))
		for i, mail := range after.store.All() {
			if view, was := mail.Content.View(), mails[i].Content.View(); !reflect.DeepEqual(view, was) || mail.ID != mails[i].ID ||
				!reflect.DeepEqual(after.store.Events(mail), s.store.Events(mails[i])) {
				t.Errorf("%+v, then %+v", was, view)
			}
		}
		if !reflect.DeepEqual(after.account.suppressions, s.account.suppressions) {
			t.Errorf("%v, then %v", s.account.suppressions, after.account.suppressions)
		}
	})
}

// Every recipient of a mail gets to an end, by the way that SendGrid goes, and never twice to the same place.
func TestStepsEnd(t *testing.T) {
	t.Parallel()
	ways := map[string]bool{"processed delivery": true, "processed bounce": true, "processed deferred delivery": true, "dropped": true,
		"processed delivery complaint": true, "processed delivery subscription": true}
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"a@example.net", "bounce@", "blocked@", "expired@", "deferred@", "complaint@", "unsubscribe@",
			"invalid@", "spam-content@", "blackhole@", "whatever@"}), 1, 5).Draw(t, "recipients")
		suppressed := rapid.SampledFrom([]string{"", "", reasonBounced}).Draw(t, "suppressed")
		m := &content{request: &request{}, own: &personalization{}}
		for i, name := range names {
			email := fmt.Sprintf("%s+%d@%s", strings.TrimSuffix(name, "@"), i, fateDomain)
			if !strings.HasSuffix(name, "@") {
				email = fmt.Sprint(i, name)
			}
			m.own.To.of = append(m.own.To.of, value[address]{of: address{Email: value[string]{of: email}}})
		}
		var events []store.Event
		for range 10 {
			events = append(events, m.steps(events, func(string) string { return suppressed })...)
		}
		for _, r := range m.own.recipients() {
			var way []string
			for _, e := range events {
				if e.Recipient == r {
					way = append(way, string(e.Kind))
				}
			}
			if got := strings.Join(way, " "); !ways[got] || suppressed != "" && got != "dropped" {
				t.Errorf("%s: %s", r, got)
			}
		}
	})
}

// Addresses as others have them, and what is none.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"a@example.com": true, "a.b+c@mail.example.co.uk": true, "o'neil@example.com": true, "ü@exämple.com": true, "a_b@x--y.example": true,
		"": false, "a": false, "@example.com": false, "a@": false, "a@localhost": false, "a b@example.com": false, "a@exa mple.com": false,
		"a@.example.com": false, "a@example.com.": false, "a@example..com": false, "<a@example.com>": false, "a@example.com\r\nBcc: b@example.com": false,
		"a,b@example.com": false, "a@-example.com": false, "a@exam_ple.com": false, "a@b@example.com": false,
	} {
		if isAddress(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// copied is a copy of a journal that is still open, as a kill would leave it.
func copied(t testing.TB, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(after, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return after
}
