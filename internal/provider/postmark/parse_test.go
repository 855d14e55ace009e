package postmark_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
)

func readFixture(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "webhook", name+".json"))
	if err != nil {
		t.Fatalf("read the fixture: %v", err)
	}
	return body
}

// parseOne parses a body that holds one event.
func parseOne(t *testing.T, body []byte) provider.Report {
	t.Helper()
	reports, err := newAdapter(t).Parse(http.Header{}, body)
	if err != nil || len(reports) != 1 {
		t.Fatalf("Parse(%s) = %d reports, %v", body, len(reports), err)
	}
	return reports[0]
}

// change returns a fixture with some fields set, or removed when the value is nil.
func change(t *testing.T, name string, fields map[string]any) []byte {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal(readFixture(t, name), &object); err != nil {
		t.Fatalf("decode the fixture: %v", err)
	}
	for key, value := range fields {
		if value == nil {
			delete(object, key)
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatalf("encode %s: %v", key, err)
		}
		object[key] = text
	}
	body, err := json.Marshal(object)
	if err != nil {
		t.Fatalf("encode the fixture: %v", err)
	}
	return body
}

func TestParseDelivery(t *testing.T) {
	t.Parallel()
	want := provider.Report{
		Kind: event.Delivered, Type: 71, MessageID: messageID(1), ProviderMessageID: "3f1c2a9e-8d44-4b7e-9a51-0c6f2d7e1b90",
		Recipient: "ana@example.net", OccurredAt: time.Date(2026, 3, 2, 10, 15, 30, 123456700, time.UTC),
		SMTPCode: 250, SMTPDescription: "250 2.0.0 OK",
		Detail: event.Detail{SMTPCode: 250, SMTPDescription: "250 2.0.0 OK", Provider: map[string]string{
			"RecordType": "Delivery", "MessageID": "3f1c2a9e-8d44-4b7e-9a51-0c6f2d7e1b90", "MessageStream": "outbound",
			"Tag": "welcome", "ServerID": "23", "Recipient": "ana@example.net", "DeliveredAt": "2026-03-02T10:15:30.1234567Z",
			"Details": "250 2.0.0 OK", "Metadata.orderId": "A-77",
		}},
	}
	got := parseOne(t, readFixture(t, "delivery"))
	want.Identity = got.Identity
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseHardBounce(t *testing.T) {
	t.Parallel()
	got := parseOne(t, readFixture(t, "hardbounce"))
	if got.Type != 72 || got.Kind != event.HardBounced || !got.Final || got.Recipient != "ana@example.net" {
		t.Errorf("got %+v", got)
	}
	if got.SMTPCode != 550 || got.SMTPDescription != "550 5.1.1 no such user" {
		t.Errorf("SMTP reply %d %q", got.SMTPCode, got.SMTPDescription)
	}
	for key, want := range map[string]string{
		"ID": "4323372036854775807", "Type": "HardBounce", "TypeCode": "1", "Inactive": "true", "CanActivate": "true",
		"From": "noreply@sender.example", "Subject": "Hello", "Name": "Hard bounce",
	} {
		if got.Detail.Provider[key] != want {
			t.Errorf("Provider[%s] = %q, want %q", key, got.Detail.Provider[key], want)
		}
	}
}

func TestParseSoftBounceInsideAReport(t *testing.T) {
	t.Parallel()
	got := parseOne(t, readFixture(t, "softbounce"))
	if got.Type != 73 || !got.Final || got.SMTPCode != 452 || got.SMTPDescription != "452 4.2.2 mailbox full" {
		t.Errorf("got %+v", got)
	}
	if want := time.Date(2026, 3, 2, 10, 15, 31, 0, time.UTC); !got.OccurredAt.Equal(want) {
		t.Errorf("OccurredAt = %v, want %v", got.OccurredAt, want)
	}
	if _, ok := got.Detail.Provider["Tag"]; ok {
		t.Error("a null Tag is kept as text")
	}
}

func TestParseOpen(t *testing.T) {
	t.Parallel()
	got := parseOne(t, readFixture(t, "open"))
	want := event.Detail{
		UserAgent: &event.UserAgent{Family: "Chrome", Major: "140", Minor: "0", Patch: "7339"},
		OS:        &event.OperatingSystem{Family: "OS X", Major: "10", Minor: "15", Patch: "7"},
		Device:    &event.Device{Family: "WebMail"},
		Geo: &event.Geo{CountryCode: "US", Country: "United States", RegionCode: "TX", Region: "Texas", City: "Houston",
			PostalCode: "77058", Latitude: 29.5, Longitude: -95},
		TrackedIP: "203.0.113.42", RawUserAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)",
		Provider: got.Detail.Provider,
	}
	if diff := cmp.Diff(want, got.Detail); diff != "" || got.Type != 75 {
		t.Errorf("type %d (-want +got):\n%s", got.Type, diff)
	}
	if p := got.Detail.Provider; p["FirstOpen"] != "true" || p["ReadSeconds"] != "5" || p["Platform"] != "WebMail" {
		t.Errorf("Provider = %v", p)
	}
}

func TestParseClickWithoutClient(t *testing.T) {
	t.Parallel()
	got := parseOne(t, readFixture(t, "click"))
	d := got.Detail
	if got.Type != 76 || d.ClickedURL != "https://shop.example/orders/77?a=1&b=2" || d.Provider["ClickLocation"] != "HTML" {
		t.Errorf("got %+v", got)
	}
	if d.UserAgent != nil || d.OS != nil || d.Geo != nil || d.TrackedIP != "" || d.Device == nil {
		t.Errorf("empty objects are kept: %+v", d)
	}
}

func TestParseSpamComplaint(t *testing.T) {
	t.Parallel()
	got := parseOne(t, readFixture(t, "spamcomplaint"))
	if got.Type != 77 || got.MessageID != (mail.ID{}) {
		t.Errorf("got %+v", got)
	}
	asBounce := parseOne(t, change(t, "spamcomplaint", map[string]any{"RecordType": "Bounce"}))
	if asBounce.Type != 77 || asBounce.Identity != got.Identity {
		t.Errorf("the old spelling is another event: %+v", asBounce)
	}
}

// TestParseEveryBounceType walks Postmark's published list.
func TestParseEveryBounceType(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		code  int
		want  event.Type
		final bool
	}{
		{"HardBounce", 1, 72, true},
		{"Transient", 2, 73, false},
		{"Unsubscribe", 16, 78, false},
		{"Subscribe", 32, 73, false},
		{"AutoResponder", 64, 73, false},
		{"AddressChange", 128, 73, false},
		{"DnsError", 256, 73, false},
		{"SpamNotification", 512, 73, true},
		{"OpenRelayTest", 1024, 73, false},
		{"Unknown", 2048, 73, true},
		{"SoftBounce", 4096, 73, true},
		{"VirusNotification", 8192, 73, true},
		{"ChallengeVerification", 16384, 73, false},
		{"BadEmailAddress", 100000, 73, true},
		{"SpamComplaint", 100001, 77, true},
		{"ManuallyDeactivated", 100002, 73, true},
		{"Unconfirmed", 100003, 73, false},
		{"Blocked", 100006, 73, true},
		{"SMTPApiError", 100007, 73, true},
		{"InboundError", 100008, 73, false},
		{"DMARCPolicy", 100009, 73, true},
		{"TemplateRenderingFailed", 100010, 73, true},
		{"TypeOfTheFuture", 200000, 73, true},
		{"SoftBounce", 1, 72, true}, // PM-29: the code alone is enough
		{"", 2, 73, false},
		{"", 0, 73, true},
	} {
		t.Run(fmt.Sprintf("%s %d", tc.name, tc.code), func(t *testing.T) {
			t.Parallel()
			got := parseOne(t, change(t, "softbounce", map[string]any{"Type": tc.name, "TypeCode": tc.code}))
			if got.Type != tc.want || got.Final != tc.final {
				t.Errorf("type %d, final %t; want %d, %t", got.Type, got.Final, tc.want, tc.final)
			}
		})
	}
}

func TestParseDates(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 10, 15, 30, 0, time.UTC)
	for date, want := range map[string]time.Time{
		"2026-03-02T10:15:30Z":                at,
		"2026-03-02T10:15:30.1Z":              at.Add(100 * time.Millisecond),
		"2026-03-02T10:15:30.1234567Z":        at.Add(123456700),
		"2026-03-02T10:15:30.123456789Z":      at.Add(123456789),
		"2026-03-02T05:15:30.1234567-05:00":   at.Add(123456700),
		"2026-03-02T06:15:30-0400":            at,
		"2026-03-02T10:15:30":                 at,
		"":                                    testNow,
		"yesterday":                           testNow,
		"0001-01-01T00:00:00Z":                testNow,
		"2099-01-01T00:00:00Z":                testNow,
		"9999-12-31T23:59:59Z":                testNow,
		"2026-03-02T10:15:30.12345678901234Z": at.Add(123456789),
	} {
		got := parseOne(t, change(t, "delivery", map[string]any{"DeliveredAt": date})).OccurredAt
		if !got.Equal(want) {
			t.Errorf("%q = %v, want %v", date, got, want)
		}
	}
	if got := parseOne(t, change(t, "delivery", map[string]any{"DeliveredAt": nil})); !got.OccurredAt.Equal(testNow) {
		t.Errorf("no date = %v", got.OccurredAt)
	}
}

func TestParseIdentity(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fixture   string
		different []map[string]any
		same      []map[string]any
	}{
		"delivery": {
			fixture: "delivery",
			different: []map[string]any{
				{"MessageID": "x"}, {"Recipient": "bob@example.net"},
				{"MessageID": "ab", "Recipient": "c@example.net"}, {"MessageID": "a", "Recipient": "bc@example.net"},
			},
			same: []map[string]any{
				{"DeliveredAt": "2026-03-02T05:15:30.1234567-05:00"}, {"DeliveredAt": "2026-03-02T10:15:31Z"}, {"Tag": "other"},
				{"Recipient": "Ana@Example.net"},
			},
		},
		"bounce": {
			fixture:   "hardbounce",
			different: []map[string]any{{"ID": int64(4323372036854775806)}, {"MessageID": "x"}},
			same: []map[string]any{
				{"Content": "the bounced mail"}, {"CanActivate": nil}, {"BouncedAt": nil}, {"Metadata": nil}, {"Type": "SoftBounce"},
			},
		},
		"bounce without id": {
			fixture:   "hardbounce",
			different: []map[string]any{{"ID": 0}, {"ID": 0, "Email": "bob@example.net"}, {"ID": 0, "BouncedAt": "2026-03-02T10:15:32Z"}},
		},
		"open": {
			fixture: "open",
			different: []map[string]any{
				{"ReceivedAt": "2026-03-02T11:00:01Z"}, {"UserAgent": "other"}, {"Recipient": "bob@example.net"},
			},
			same: []map[string]any{
				{"ReadSeconds": 6}, {"ReceivedAt": "2026-03-02T06:00:00.4999999-05:00"}, {"Geo": map[string]string{}}, {"Metadata": nil},
			},
		},
		"click": {
			fixture:   "click",
			different: []map[string]any{{"OriginalLink": "https://shop.example/"}, {"ReceivedAt": "2026-03-02T11:00:01Z"}},
			same:      []map[string]any{{"ClickLocation": "Text"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			original := parseOne(t, readFixture(t, tc.fixture)).Identity
			seen := map[string]bool{original: true}
			for _, fields := range tc.different {
				got := parseOne(t, change(t, tc.fixture, fields)).Identity
				if seen[got] {
					t.Errorf("%v has the identity of another event", fields)
				}
				seen[got] = true
			}
			for _, fields := range tc.same {
				if got := parseOne(t, change(t, tc.fixture, fields)).Identity; got != original {
					t.Errorf("%v has an identity of its own", fields)
				}
			}
		})
	}
}

// TestParseSamples knows the bodies of Postmark's test button.
func TestParseSamples(t *testing.T) {
	t.Parallel()
	none := map[string]string{"example": "value"}
	for name, tc := range map[string]struct {
		fixture string
		fields  map[string]any
		want    bool
	}{
		"bounce": {"hardbounce", map[string]any{"ID": 42, "Tag": "Test", "MessageID": "00000000-0000-0000-0000-000000000000",
			"ServerID": 1234, "Email": "john@example.com", "Metadata": none}, true},
		"delivery":          {"delivery", map[string]any{"ServerID": 23, "Recipient": "john@example.com", "Metadata": none}, true},
		"open":              {"open", map[string]any{"Recipient": "john@example.com", "Metadata": none}, true},
		"click, no meta":    {"click", map[string]any{"Recipient": "john@example.com", "Metadata": nil}, true},
		"a real delivery":   {"delivery", nil, false},
		"foreign delivery":  {"delivery", map[string]any{"Metadata": none}, false},
		"real john":         {"delivery", map[string]any{"Recipient": "john@example.com"}, false},
		"john, real server": {"delivery", map[string]any{"Recipient": "john@example.com", "ServerID": 991, "Metadata": none}, false},
	} {
		if got := parseOne(t, change(t, tc.fixture, tc.fields)).Sample; got != tc.want {
			t.Errorf("%s: Sample = %t", name, got)
		}
	}
}

func TestParseTakesOddFields(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]map[string]any{
		"no metadata":          {"Metadata": nil},
		"metadata of numbers":  {"Metadata": map[string]any{"messageId": 5}},
		"garbage id":           {"Metadata": map[string]any{"messageId": "not-a-uuid"}},
		"id in braces":         {"Metadata": map[string]any{"messageId": "{01930000-0000-7000-8000-000000000001}"}},
		"metadata is a string": {"Metadata": "x"},
		"metadata is a list":   {"Metadata": []int{1}},
	} {
		if got := parseOne(t, change(t, "delivery", fields)); got.MessageID != (mail.ID{}) || got.Type != 71 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := parseOne(t, change(t, "open", map[string]any{
		"Tag": 5, "Client": "Chrome", "OS": []string{"x"}, "Platform": nil,
		"Geo":       map[string]any{"Coords": "north,south", "IP": "not an IP", "City": "a\x00b\ufffd"},
		"UserAgent": strings.Repeat("ü", 4000), "ServerId": 7,
	}))
	if got.Detail.Provider["Tag"] != "5" || got.Detail.Provider["ServerID"] != "7" || got.Detail.UserAgent != nil {
		t.Errorf("got %+v", got.Detail)
	}
	if got.Detail.TrackedIP != "" || got.Detail.Geo == nil || got.Detail.Geo.City != "a b\ufffd" {
		t.Errorf("Geo = %+v, IP %q", got.Detail.Geo, got.Detail.TrackedIP)
	}
	if n := len(got.Detail.RawUserAgent); n > 2048 || n < 2046 || !utf8.ValidString(got.Detail.RawUserAgent) {
		t.Errorf("the user agent has %d bytes", n)
	}
}

// TestParseManyMetadata: what is kept of too much is the same for every copy.
func TestParseManyMetadata(t *testing.T) {
	t.Parallel()
	metadata := make(map[string]string)
	for i := range 40 {
		metadata[fmt.Sprintf("key%02d", i)] = "value"
	}
	body := change(t, "delivery", map[string]any{"Metadata": metadata})
	first := parseOne(t, body)
	if _, ok := first.Detail.Provider["Metadata.key09"]; !ok || len(first.Detail.Provider) > 20 {
		t.Errorf("kept %v", first.Detail.Provider)
	}
	if diff := cmp.Diff(first, parseOne(t, body)); diff != "" {
		t.Errorf("a copy differs:\n%s", diff)
	}
}

func TestParseIPv6AndVersions(t *testing.T) {
	t.Parallel()
	got := parseOne(t, change(t, "open", map[string]any{
		"Geo": map[string]any{"IP": "2001:DB8::1"}, "OS": map[string]any{"Name": "Windows 11"},
		"Client": map[string]any{"Name": "Apple Mail", "Family": "Apple Mail"},
	})).Detail
	if got.TrackedIP != "2001:db8::1" || got.Geo != nil {
		t.Errorf("IP %q, Geo %+v", got.TrackedIP, got.Geo)
	}
	if diff := cmp.Diff(&event.OperatingSystem{Family: "Windows 11", Major: "11"}, got.OS); diff != "" {
		t.Errorf("OS (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&event.UserAgent{Family: "Apple Mail"}, got.UserAgent); diff != "" {
		t.Errorf("client (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"unknown record":     `{"RecordType":"Levitation","MessageID":"x","Recipient":"a@b.example"}`,
		"nothing to go by":   `{"RecordType":"Delivery"}`,
		"record is a number": `{"RecordType":5}`,
		"a list":             `[{"RecordType":"Delivery","Recipient":"a@b.example"}]`,
		"two objects":        `{"RecordType":"Delivery","Recipient":"a@b.example"}{}`,
		"too long":           `{"RecordType":"Delivery","Recipient":"a@b.example","x":"` + strings.Repeat("x", 5<<20) + `"}`,
	} {
		if reports, err := newAdapter(t).Parse(http.Header{}, []byte(body)); err == nil {
			t.Errorf("%s: %d reports and no error", name, len(reports))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"delivery", "hardbounce", "softbounce", "open", "click", "spamcomplaint", "subscriptionchange", "inbound"} {
		f.Add(readFixture(f, name))
	}
	f.Add([]byte(`{"RecordType":"Bounce","ID":1e99,"TypeCode":1.5,"Email":null,"MessageID":"\u0000\ud800"}`))
	adapter := newFuzzAdapter()
	f.Fuzz(func(t *testing.T, body []byte) {
		reports, err := adapter.Parse(http.Header{}, body)
		if err != nil && len(reports) > 0 {
			t.Fatal("reports and an error")
		}
		for _, r := range reports {
			if r.Identity == "" || r.OccurredAt.IsZero() {
				t.Fatalf("no identity or no time: %+v", r)
			}
			if info, ok := event.Describe(r.Type); !ok || info.Kind != r.Kind || info.Family != event.Postmark {
				t.Fatalf("type %d is not kind %d", r.Type, r.Kind)
			}
			text, err := json.Marshal(r.Detail)
			if err != nil || len(text) > 64<<10 {
				t.Fatalf("the detail has %d bytes: %v", len(text), err)
			}
			for key, value := range r.Detail.Provider {
				if !utf8.ValidString(key+value) || strings.ContainsRune(key+value, 0) {
					t.Fatalf("%q = %q is not fit to keep", key, value)
				}
			}
			again, err := adapter.Parse(http.Header{}, body)
			if err != nil || cmp.Diff(reports, again) != "" {
				t.Fatalf("a copy differs: %v", err)
			}
		}
	})
}

// A report names the connection that carried the message, whichever webhook brings it (PM-30).
func TestReportsNameTheirProvider(t *testing.T) {
	t.Parallel()
	for value, want := range map[any]int32{"33": 33, 33: 33, "": 0, "-3": 0, "33.5": 0, "2147483648": 0, true: 0} {
		for _, fixture := range []string{"delivery", "open", "click"} {
			got := parseOne(t, change(t, fixture, map[string]any{"Metadata": map[string]any{"messageId": messageID(1).String(), "tpspId": value}}))
			if got.TPSPID != want {
				t.Errorf("%s with %v: %d", fixture, value, got.TPSPID)
			}
		}
	}
}
