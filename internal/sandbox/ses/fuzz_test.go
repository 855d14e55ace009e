package ses

import (
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
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
	s := New(Deps{Clock: c, Timetable: clock.NewTimetable(c), Hooks: hook.New(c), Settings: settings.NewCurrent(settings.Default()),
		Log: slog.New(slog.DiscardHandler), Seed: 1})
	s.Attach(store.Memory(c.Now))
	return s
}

// signed is a request that the simulator takes for the account's own.
func signed(s *Simulator, method, path, service, contentType, body string) *http.Request {
	r := httptest.NewRequest(method, "http://sandbox.test/", strings.NewReader(body))
	r.URL.Path = path
	r.Header.Set("Content-Type", contentType)
	at := s.clock.Now()
	r.Header.Set("X-Amz-Date", at.Format(amzDateForm))
	a := authorization{keyID: DemoKeyID, date: at.Format("20060102"), region: Region, service: service, signed: []string{"host", "x-amz-date"}}
	encoded := "/"
	if service == serviceSES {
		encoded = canonicalPath(r.URL.EscapedPath())
	}
	scope := a.date + "/" + a.region + "/" + a.service + "/" + terminator
	toSign := algorithm + "\n" + at.Format(amzDateForm) + "\n" + scope + "\n" + hashed([]byte(canonicalRequest(r, encoded, a.signed, hashed([]byte(body)))))
	r.Header.Set("Authorization", algorithm+" Credential="+a.keyID+"/"+scope+", SignedHeaders=host;x-amz-date, Signature="+
		hex.EncodeToString(mac(signingKey(a), toSign)))
	return r
}

// Whatever is sent, the answer is JSON with a type of error where it is one, and what is accepted can be shown, told about and restored.
func FuzzSend(f *testing.F) {
	f.Add(`{"FromEmailAddress":"A <a@example.com>","Destination":{"ToAddresses":["b@example.net"],"BccAddresses":["reject@bounce.sandbox.test"]},` +
		`"Content":{"Simple":{"Subject":{"Data":"s"},"Body":{"Html":{"Data":"<a href='https://x.example'>"}},"Attachments":[{"FileName":"a","RawContent":"aGk="}]}},` +
		`"EmailTags":[{"Name":"messageId","Value":"1"}]}`)
	f.Add(`{"Content":{"Raw":{"Data":"RnJvbTogYUBleGFtcGxlLmNvbQ0KVG86IGJAZXhhbXBsZS5uZXQNCkNvbnRlbnQtVHlwZTogbXVsdGlwYXJ0L21peGVkOyBib3VuZGFyeT14DQoNCi0teA0KDQphDQo="}}}`)
	f.Add(`{"FromEmailAddress":5,"Destination":[],"Content":{"Simple":null,"Template":{}}}`)
	f.Add(`{"Destination":{"ToAddresses":["complaint@simulator.amazonses.com","<>","\"x, y\" <c@example.net>"]},"EmailTags":[null]}`)
	f.Fuzz(func(t *testing.T, body string) {
		s := simulator(t)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, signed(s, http.MethodPost, "/v2/email/outbound-emails", serviceSES, contentJSON, body))
		if w.Code == http.StatusInternalServerError || w.Code == http.StatusForbidden || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code != http.StatusOK && w.Header().Get(headerErrorType) == "" {
			t.Errorf("%d without a type of error", w.Code)
		}
		s.deliver(s.store.All())
		for _, mail := range s.store.All() {
			m := contentOf(mail)
			view, events := m.View(), s.store.Events(mail)
			if view.From == "" || len(view.Recipients) == 0 || len(events) == 0 {
				t.Errorf("%+v %v", view, events)
			}
			for _, e := range events {
				if raw, err := encode(payload(mail, e)); err != nil || !json.Valid(raw) {
					t.Errorf("%v: %v %s", e, err, raw)
				}
			}
			raw, err := json.Marshal(m.letter)
			if err != nil {
				t.Fatal(err)
			}
			again, keys, err := s.RestoreMail(mail, raw)
			if err != nil || len(keys) != len(m.keys()) || again.View().Subject != view.Subject {
				t.Errorf("restored: %v", err)
			}
		}
	})
}

// Whatever is asked of SNS, signed or by link, the answer is XML.
func FuzzQuery(f *testing.F) {
	f.Add("Action=CreateTopic&Version=2010-03-31&Name=a", true)
	f.Add("Action=Subscribe&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A123456789012%3At&Protocol=http&Endpoint=http://127.0.0.1/%01", true)
	f.Add("Action=ConfirmSubscription&TopicArn=x&Token=y", false)
	f.Add("Action=%zz&&=&Attributes.entry.1.key=Policy", true)
	f.Fuzz(func(t *testing.T, form string, bySignature bool) {
		s := simulator(t)
		for _, call := range []string{"Action=CreateTopic&Version=2010-03-31&Name=t", form, form} {
			r := signed(s, http.MethodPost, "/", serviceSNS, contentForm, call)
			if !bySignature {
				r = httptest.NewRequest(http.MethodGet, "http://sandbox.test/", nil)
				r.URL.RawQuery = call
			}
			w := httptest.NewRecorder()
			Front(s).ServeHTTP(w, r)
			if w.Code == http.StatusInternalServerError || xml.Unmarshal(w.Body.Bytes(), &struct{ XMLName xml.Name }{}) != nil {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
	})
}

// Any Authorization header is refused or taken apart; none panics, and none but the account's own is let through.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIASANDBOXSANDBOX00/20260302/us-east-1/ses/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20260302T100000Z")
	f.Add("AWS4-HMAC-SHA256 Credential=////aws4_request,SignedHeaders=;,Signature=zz", "x")
	f.Fuzz(func(t *testing.T, authorization, date string) {
		s := simulator(t)
		r := httptest.NewRequest(http.MethodGet, "http://sandbox.test/v2/email/account", nil)
		r.Header = http.Header{"Authorization": {authorization}, "X-Amz-Date": {date}}
		err := s.verify(r, nil, serviceSES)
		if f, ok := errors.AsType[*failure](err); !ok || f.status != http.StatusForbidden || f.kind == "" || f.code == "" {
			t.Errorf("%v", err)
		}
	})
}
