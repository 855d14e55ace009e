package sendgrid_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
)

func parsed(t *testing.T, body string) []provider.Report {
	t.Helper()
	reports, err := newAdapter(t).Parse(nil, []byte(body))
	if err != nil {
		t.Fatalf("%v: %.200s", err, body)
	}
	return reports
}

// one parses a single event, with what each has.
func one(t *testing.T, fields string) provider.Report {
	t.Helper()
	reports := parsed(t, `[{"email":"a@recipient.example","timestamp":1772452800,"sg_event_id":"e","sg_message_id":"m.1","messageId":"`+messageID(1).String()+`",`+fields+`}]`)
	if len(reports) != 1 {
		t.Fatalf("%d reports of %s", len(reports), fields)
	}
	return reports[0]
}

func at(second int64) time.Time { return time.Unix(second, 0).UTC() }

// A batch of every kind of event.
func TestParseBatch(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile(filepath.Join("testdata", "webhook", "batch.json"))
	if err != nil {
		t.Fatal(err)
	}
	got := parsed(t, string(body))
	ada := provider.Report{MessageID: messageID(1), TPSPID: 33, ProviderMessageID: "midA", Recipient: "ada@recipient.example"}
	of := func(base provider.Report, typ event.Type, kind event.Kind, second int64, change func(r *provider.Report)) provider.Report {
		base.Type, base.Kind, base.OccurredAt = typ, kind, at(second)
		if change != nil {
			change(&base)
		}
		return base
	}
	other := func(n int, email string) provider.Report {
		r := ada
		r.MessageID, r.Recipient = messageID(n), email
		return r
	}
	want := []provider.Report{
		of(ada, 14, event.Sent, 1772452800, nil),
		of(ada, 16, event.Deferred, 1772452801, func(r *provider.Report) { r.SMTPCode, r.SMTPDescription = 451, "451 4.7.1 Try again later" }),
		of(ada, 15, event.Delivered, 0, func(r *provider.Report) {
			r.OccurredAt = time.UnixMilli(1772452802750).UTC()
			r.SMTPCode, r.SMTPDescription = 250, "250 2.0.0 OK 1772452802 abc"
		}),
		of(other(2, "bob@recipient.example"), 18, event.HardBounced, 1772452803, func(r *provider.Report) {
			r.SMTPCode, r.SMTPDescription = 550, "550 5.1.1 The email account that you tried to reach does not exist"
			r.Suppresses, r.Reason = true, provider.HardBounce
		}),
		of(other(3, "cat@recipient.example"), 19, event.SoftBounced, 1772452804, func(r *provider.Report) {
			r.SMTPCode, r.SMTPDescription, r.Final = 421, "421 4.7.0 message rejected", true
		}),
		of(other(4, "dan@recipient.example"), 19, event.SoftBounced, 1772452805, func(r *provider.Report) {
			r.SMTPDescription, r.Final = "unable to get mx info", true
		}),
		of(other(5, "eve@recipient.example"), 17, event.Dropped, 1772452806, func(r *provider.Report) {
			r.SMTPDescription, r.Suppresses, r.Reason = "Bounced Address", true, provider.HardBounce
		}),
		of(ada, 20, event.Opened, 1772452807, nil),
		of(ada, 21, event.Clicked, 1772452808, nil),
		of(ada, 22, event.Spam, 1772452809, func(r *provider.Report) { r.Suppresses, r.Reason = true, provider.SpamComplaint }),
		of(ada, 23, event.Unsubscribed, 1772452810, func(r *provider.Report) { r.Suppresses, r.Reason = true, provider.Unsubscribed }),
		of(ada, 24, event.GroupUnsubscribe, 1772452811, nil),
		of(ada, 25, event.GroupResubscribe, 1772452812, nil),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(provider.Report{}, "Identity", "Detail")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	identities := map[string]bool{}
	for _, r := range got {
		if r.Identity == "" || identities[r.Identity] {
			t.Errorf("identity %q", r.Identity)
		}
		identities[r.Identity] = true
	}
	wantDetails := map[int]event.Detail{
		0: {Provider: map[string]string{"event": "processed", "email": "ada@recipient.example", "timestamp": "1772452800", "category": "welcome, second",
			"smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>", "sg_event_id": "ZGVmZXJyZWQ=", "sg_message_id": "midA.filter0425p1mdw1.13037.57168B4A1D.0",
			"Metadata.order": "7"}},
		2: {SMTPCode: 250, SMTPDescription: "250 2.0.0 OK 1772452802 abc", Provider: map[string]string{"event": "delivered",
			"email": "ada@recipient.example", "timestamp": "1772452802.75", "response": "250 2.0.0 OK 1772452802 abc", "tls": "1", "ip": "167.89.17.173",
			"sg_event_id": "ev-delivered", "sg_message_id": "midA.recvd-1"}},
		7: {RawUserAgent: "Mozilla/5.0", TrackedIP: "203.0.113.10", Provider: map[string]string{"event": "open", "email": "ada@recipient.example",
			"timestamp": "1772452807", "useragent": "Mozilla/5.0", "ip": "203.0.113.10", "sg_machine_open": "true", "sg_event_id": "ev-open", "sg_message_id": "midA.x"}},
		8: {RawUserAgent: "Mozilla/5.0", TrackedIP: "2001:db8::7", ClickedURL: "https://example.com/offer?a=1&b=2", Provider: map[string]string{
			"event": "click", "email": "ada@recipient.example", "timestamp": "1772452808", "useragent": "Mozilla/5.0", "ip": "2001:db8::7",
			"url": "https://example.com/offer?a=1&b=2", "sg_event_id": "ev-click", "sg_message_id": "midA.x"}},
	}
	for i, want := range wantDetails {
		if diff := cmp.Diff(want, got[i].Detail); diff != "" {
			t.Errorf("detail %d (-want +got):\n%s", i, diff)
		}
	}
}

// Why SendGrid drops a message decides whether the address gets no mail any more, whether another provider may carry it, or neither.
func TestDropped(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]provider.Report{
		"Unsubscribed Address":              {Suppresses: true, Reason: provider.Unsubscribed},
		"Bounced Address":                   {Suppresses: true, Reason: provider.HardBounce},
		"bounced  address ":                 {Suppresses: true, Reason: provider.HardBounce},
		"Spam Reporting Address":            {Suppresses: true, Reason: provider.SpamComplaint},
		"Recipient List over Package Quota": {Refused: provider.Account},
		"Invalid":                           {},
		"Spam Content":                      {},
		"Invalid SMTPAPI header":            {},
		"a reason of tomorrow":              {},
		"":                                  {},
	} {
		got := one(t, `"event":"dropped","reason":`+quoted(reason))
		if got.Kind != event.Dropped || got.Type != 17 || got.Suppresses != want.Suppresses || got.Reason != want.Reason || got.Refused != want.Refused ||
			got.SenderOnly || got.SMTPCode != 0 || got.SMTPDescription != strings.TrimSpace(reason) {
			t.Errorf("%q: %+v", reason, got)
		}
	}
}

func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// A bounce is hard or soft by its type, and by its status where there is no type that is known.
func TestBounces(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]event.Kind{
		`"type":"bounce","status":"5.1.1"`:        event.HardBounced,
		`"type":"bounce"`:                         event.HardBounced,
		`"type":"Blocked","status":"5.7.1"`:       event.SoftBounced,
		`"type":"expired"`:                        event.SoftBounced,
		`"status":"5.1.1"`:                        event.HardBounced,
		`"status":"4.2.2"`:                        event.SoftBounced,
		`"reason":"550 no such user"`:             event.HardBounced,
		`"reason":"452 mailbox full"`:             event.SoftBounced,
		`"type":"new","status":"5.0.0"`:           event.HardBounced,
		`"type":7,"status":null,"reason":{"a":1}`: event.SoftBounced,
	} {
		got := one(t, `"event":"bounce",`+fields)
		if got.Kind != want || got.Final != (want == event.SoftBounced) || got.Suppresses != (want == event.HardBounced) {
			t.Errorf("%s: %+v", fields, got)
		}
	}
}

// One item that is no event, and one that is not known, cost no other one.
func TestParseOddItems(t *testing.T) {
	t.Parallel()
	good := `{"email":"a@recipient.example","timestamp":1772452800,"event":"delivered","sg_event_id":"e%d","sg_message_id":"m.1"}`
	for _, odd := range []string{`7`, `null`, `"text"`, `[]`, `{}`, `{"event":7}`, `{"event":null}`, `{"event":{"a":1}}`, `{"event":"delivered"}`,
		`{"event":"account_status_change","email":"a@b.c"}`, `{"event":"","email":"a@b.c"}`} {
		got := parsed(t, "["+fmt.Sprintf(good, 1)+","+odd+","+fmt.Sprintf(good, 2)+"]\r\n")
		if len(got) != 2 || got[0].Identity == got[1].Identity {
			t.Errorf("beside %s: %d reports", odd, len(got))
		}
	}
	if got := parsed(t, `[{"event":"account_status_change"}]`); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing": "", "null": "null", "number": "7", "text": `"x"`, "object": `{"event":"delivered","email":"a@b.c"}`, "empty list": "[]",
		"no event": `[{}, 7, null]`, "cut": `[{"event":"delivered"`, "deep": strings.Repeat("[", 20_000), "binary": "\x00\xff",
		"large": "[" + strings.Repeat(" ", 11<<20) + "]", "many": "[" + strings.Repeat(`{"event":"open"},`, 25_001) + "7]",
	} {
		if reports, err := newAdapter(t).Parse(nil, []byte(body)); err == nil || len(reports) > 0 {
			t.Errorf("%s: %d reports, %v", name, len(reports), err)
		}
	}
}

// Events of whoever else uses the account are read, and carry nothing of ours.
func TestParseForeign(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{``, `,"messageId":"7","tpspId":"x"`, `,"messageId":"{01930000-0000-7000-8000-000000000001}","tpspId":"-3"`, `,"messageId":["a"],"tpspId":99999999999`} {
		got := parsed(t, `[{"email":"a@recipient.example","timestamp":1772452800,"event":"open","sg_event_id":"e","sg_message_id":"theirs.1"`+fields+`}]`)
		if len(got) != 1 || got[0].MessageID != (mail.ID{}) || got[0].TPSPID != 0 || got[0].ProviderMessageID != "theirs" || got[0].Sample {
			t.Errorf("%s: %+v", fields, got)
		}
	}
}

func TestParseSample(t *testing.T) {
	t.Parallel()
	sample := `"email":"example@test.com","timestamp":1513299569,"event":"processed","sg_event_id":"e","sg_message_id":"14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"`
	if got := parsed(t, `[{`+sample+`}]`); len(got) != 1 || !got[0].Sample {
		t.Errorf("%+v", got)
	}
	if got := parsed(t, `[{`+sample+`,"messageId":"`+messageID(1).String()+`"}]`); got[0].Sample {
		t.Error("a message of ours is no sample")
	}
}

// A copy of an event has its identity, whatever order its fields come in; another event has another one.
func TestIdentity(t *testing.T) {
	t.Parallel()
	base := one(t, `"event":"open","ip":"192.0.2.1"`).Identity
	if again := one(t, `"ip":"192.0.2.99","event":"open"`).Identity; again != base {
		t.Error("SendGrid's id alone tells events apart")
	}
	named := func(fields string) string {
		return parsed(t, `[{"email":"A@recipient.example","event":"open","sg_message_id":"m.1",`+fields+`}]`)[0].Identity
	}
	a := named(`"timestamp":1772452800,"ip":"192.0.2.1"`)
	if b := named(`"ip":"192.0.2.1","timestamp":"1772452800"`); a != b {
		t.Error("without an id: a copy has another identity")
	}
	seen := map[string]bool{a: true, base: true}
	for _, fields := range []string{`"timestamp":1772452801,"ip":"192.0.2.1"`, `"timestamp":1772452800,"ip":"192.0.2.2"`, `"timestamp":1772452800,"url":"x"`,
		`"timestamp":1772452800,"sg_event_id":"f"`, `"timestamp":1772452800,"messageId":"x"`} {
		if id := named(fields); seen[id] {
			t.Errorf("%s has the identity of another", fields)
		} else {
			seen[id] = true
		}
	}
}

// Times that cannot be are now.
func TestTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		`1772452800`: at(1772452800), `"1772452800"`: at(1772452800), `1772452800.5`: time.UnixMilli(1772452800500).UTC(), `1.7724528e9`: at(1772452800),
		`0`: testNow, `-5`: testNow, `null`: testNow, `"soon"`: testNow, `1e300`: testNow, `"NaN"`: testNow, `99999999999999999999`: testNow,
		`1772452800000`: testNow, `[1]`: testNow, `4102444800`: testNow,
	} {
		got := parsed(t, `[{"email":"a@recipient.example","event":"open","timestamp":`+text+`}]`)[0].OccurredAt
		if !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// Long and many fields are cut, and nobody's metadata hides SendGrid's fields.
func TestDetailIsBounded(t *testing.T) {
	t.Parallel()
	var extra strings.Builder
	for i := range 200 {
		fmt.Fprintf(&extra, `,"key%03d":%s`, i, quoted(strings.Repeat("x", 5000)))
	}
	long := quoted(strings.Repeat("ü\u0000", 5_000))
	got := one(t, `"event":"click","reason":`+long+`,"url":`+long+`,"useragent":`+long+`,"category":[`+strings.Repeat(long+",", 30)+`7]`+extra.String())
	if len(got.Detail.Provider) > 45 || got.Detail.Provider["Metadata.key000"] == "" {
		t.Errorf("%d fields are kept", len(got.Detail.Provider))
	}
	for key, value := range got.Detail.Provider {
		if len(value) > 4096 || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			t.Errorf("%s has %d bytes", key, len(value))
		}
	}
	if len(got.SMTPDescription) > 512 || len(got.Detail.ClickedURL) > 2048 || len(got.Detail.RawUserAgent) > 2048 {
		t.Errorf("%d, %d, %d bytes", len(got.SMTPDescription), len(got.Detail.ClickedURL), len(got.Detail.RawUserAgent))
	}
}

// Whatever comes, what is read is bounded, valid and the same the second time.
func FuzzParse(f *testing.F) {
	body, err := os.ReadFile(filepath.Join("testdata", "webhook", "batch.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	for _, seed := range []string{`[]`, `{}`, `[{"event":"bounce","email":7}]`, `[{"event":"open","timestamp":1e99,"email":"a@b.c"}]`, `[{"event":"click","email":"\ud800"}]`, `[[[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		adapter := newAdapter(t)
		reports, err := adapter.Parse(nil, body)
		again, _ := adapter.Parse(nil, body)
		if diff := cmp.Diff(reports, again); diff != "" {
			t.Fatal(diff)
		}
		if err != nil && (len(reports) > 0 || len(err.Error()) > 200) {
			t.Fatalf("%d reports, %v", len(reports), err)
		}
		for _, r := range reports {
			if want, ok := event.TypeOf(event.SendGrid, r.Kind); !ok || r.Type != want || r.Type < 14 || r.Type > 25 {
				t.Fatalf("type %d of kind %d", r.Type, r.Kind)
			}
			if r.Identity == "" || len(r.Identity) > 100 || r.OccurredAt.IsZero() || r.OccurredAt.After(testNow.Add(25*time.Hour)) || r.Tracked {
				t.Fatalf("%+v", r)
			}
			if len(r.Recipient) > 320 || len(r.ProviderMessageID) > 100 || !utf8.ValidString(r.Recipient+r.ProviderMessageID+r.SMTPDescription) {
				t.Fatalf("%+v", r)
			}
			if r.Refused != provider.Accepted && r.Kind != event.Dropped || r.Suppresses && r.Kind == event.SoftBounced {
				t.Fatalf("%+v", r)
			}
		}
	})
}

// Whatever the headers and the ref are, a request is believed or not, and nothing else.
func FuzzAuthentic(f *testing.F) {
	f.Add("hook-1 "+publicKeyOf("hook-1"), "1600112502", "MEUCIQ==", []byte("[]"))
	f.Add("", "", "", []byte{})
	f.Fuzz(func(t *testing.T, ref, timestamp, signature string, body []byte) {
		header := sign(keyOf("fuzz"), "1", body)
		header[timestampHeader], header[signatureHeader] = []string{timestamp}, []string{signature}
		ok, err := newAdapter(t).Authentic(t.Context(), connection(""), provider.Hook{Ref: ref}, provider.Delivery{Header: header, Body: body})
		if ok || err != nil {
			t.Fatalf("%t, %v", ok, err)
		}
	})
}
