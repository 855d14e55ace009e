package engine

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/event"
)

// TestDetailIsReadAsWritten compares with what encoding/json would have written.
func TestDetailIsReadAsWritten(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[<>&"\\/\x00-\x1f\x80-\xff ]{1,9}`))
	number := rapid.OneOf(rapid.Float64Range(-180, 180), rapid.Float64())
	rapid.Check(t, func(t *rapid.T) {
		s := func(name string) string { return text.Draw(t, name) }
		d := event.Detail{SMTPCode: rapid.OneOf(rapid.Just(0), rapid.Int()).Draw(t, "code"), SMTPDescription: s("description"), ClickedURL: s("url"),
			TrackedIP: s("ip"), RawUserAgent: s("agent"), Provider: rapid.MapOfN(rapid.String(), text, 0, 3).Draw(t, "provider")}
		if rapid.Bool().Draw(t, "opened") {
			d.UserAgent = &event.UserAgent{Family: s("a"), Major: s("b"), Minor: s("c"), Patch: s("d")}
			d.OS = &event.OperatingSystem{Family: s("a"), Major: s("b"), Minor: s("c"), Patch: s("d"), PatchMinor: s("e")}
			d.Device = &event.Device{Family: s("a")}
			d.Geo = &event.Geo{CityID: s("a"), ContinentCode: s("b"), CountryCode: s("c"), PostalCode: s("d"), TimeZone: s("e"), City: s("f"), Country: s("g"),
				Region: s("h"), RegionCode: s("i"), Latitude: number.Draw(t, "latitude"), Longitude: number.Draw(t, "longitude")}
		}
		raw, err := Detail(&d)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var a, b event.Detail
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		if err := json.Unmarshal(want, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Fatalf("(-encoding/json +ours):\n%s", diff)
		}
	})
	if _, err := Detail(&event.Detail{Geo: &event.Geo{Latitude: math.NaN()}}); err == nil {
		t.Error("no error for a number that is none")
	}
	for name, d := range map[string]*event.Detail{"nil": nil, "empty": {}, "empty map": {Provider: map[string]string{}}} {
		if raw, err := Detail(d); err != nil || string(raw) != "{}" {
			t.Errorf("%s: %s (%v)", name, raw, err)
		}
	}
}

func BenchmarkDetail(b *testing.B) {
	d := event.Detail{UserAgent: &event.UserAgent{Family: "Chrome", Major: "140"}, OS: &event.OperatingSystem{Family: "macOS"}, Device: &event.Device{Family: "WebMail"},
		Geo: &event.Geo{City: "Houston", Latitude: 29.5, Longitude: -95}, Provider: map[string]string{"RecordType": "Open", "MessageStream": "outbound", "Tag": "welcome"}}
	for b.Loop() {
		if _, err := Detail(&d); err != nil {
			b.Fatal(err)
		}
	}
}
