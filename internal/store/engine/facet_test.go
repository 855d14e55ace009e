package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/compare"
	"postyard/internal/event"
	"postyard/internal/route"
	"postyard/internal/store"
)

// foreign is a text as a provider may send it: names that are known with something around them, and anything else.
func foreign() *rapid.Generator[string] {
	known := slices.Concat(store.Names(store.DimensionClient), store.Names(store.DimensionOS), store.Names(store.DimensionDevice), store.Names(store.DimensionReason), []string{"5.1.1", "DE", "unknown", ""})
	return rapid.OneOf(rapid.SampledFrom(known), rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) }),
		rapid.Custom(func(t *rapid.T) string {
			around := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 3), func(b []byte) string { return string(b) })
			return around.Draw(t, "before") + strings.ToUpper(rapid.SampledFrom(known).Draw(t, "name")) + around.Draw(t, "after")
		}))
}

// TestFacetsAreWhatIsStored: what an event counts under is what can be told from its row, in at most a few thousand ways, whatever
// a provider says.
func TestFacetsAreWhatIsStored(t *testing.T) {
	t.Parallel()
	known := map[string]bool{store.OtherValue: true, store.UnknownValue: true}
	for _, name := range slices.Concat(store.Names(store.DimensionClient), store.Names(store.DimensionOS), store.Names(store.DimensionDevice), store.Names(store.DimensionReason)) {
		known[name] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string { return foreign().Draw(t, name) }
		d := event.Detail{SMTPCode: rapid.IntRange(-1, 700).Draw(t, "code"), SMTPDescription: text("description"), UserAgent: &event.UserAgent{Family: text("client")},
			OS: &event.OperatingSystem{Family: text("os")}, Device: &event.Device{Family: text("device")}, Geo: &event.Geo{CountryCode: text("country")},
			Provider: map[string]string{"Type": text("type"), text("key"): text("value")}}
		typ := event.Type(rapid.IntRange(-1, 90).Draw(t, "event"))
		raw, err := Detail(&d)
		if err != nil {
			t.Fatal(err)
		}
		own := OwnFacets(typ, &d)
		stored, err := StoredFacets(typ, raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(own, stored); diff != "" {
			t.Fatalf("told (-) and stored (+): %s", diff)
		}
		for _, f := range own {
			if !known[f.Value] && len(f.Value) > len("5.7.99") {
				t.Fatalf("%s %q", f.Dimension, f.Value)
			}
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list       []string
		text, want string
	}{
		{store.Names(store.DimensionClient), "Chrome", "Chrome"}, {store.Names(store.DimensionClient), "chrome 35.0", "Chrome"}, {store.Names(store.DimensionClient), "Chrome Mobile 44", "Chrome Mobile"}, {store.Names(store.DimensionClient), "Chromecast", "(other)"},
		{store.Names(store.DimensionClient), "Mobile Safari", "Mobile Safari"}, {store.Names(store.DimensionClient), "iPhone", "iPhone"}, {store.Names(store.DimensionClient), "Unknown", "(unknown)"}, {store.Names(store.DimensionClient), "", "(unknown)"}, {store.Names(store.DimensionClient), "😀", "(other)"},
		{store.Names(store.DimensionOS), "OS X 10", "OS X"}, {store.Names(store.DimensionOS), "Mac OS X", "Mac OS X"}, {store.Names(store.DimensionOS), "Windows XP", "Windows"}, {store.Names(store.DimensionOS), "Windows Phone", "Windows Phone"},
		{store.Names(store.DimensionOS), "iOS 17", "iOS"}, {store.Names(store.DimensionOS), "Windows10", "Windows"}, {store.Names(store.DimensionDevice), "WebMail", "WebMail"}, {store.Names(store.DimensionDevice), "desktop", "Desktop"}, {store.Names(store.DimensionDevice), "Fridge", "(other)"},
	} {
		if got := nameIn(c.list, c.text); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
	for _, c := range []struct {
		d    event.Detail
		want string
	}{
		{event.Detail{Provider: map[string]string{"Type": "Blocked"}, SMTPDescription: "550 5.1.1"}, "Blocked"}, {event.Detail{Provider: map[string]string{"Type": "New"}}, "(other)"},
		{event.Detail{SMTPDescription: "smtp;550 5.7.26 policy"}, "5.7.26"}, {event.Detail{SMTPDescription: "at 10.5.1.1", SMTPCode: 421}, "5.1.1"}, {event.Detail{SMTPCode: 421}, "421"},
		{event.Detail{SMTPCode: 250}, "(unknown)"}, {event.Detail{}, "(unknown)"},
	} {
		if got := reasonOf(&c.d); got != c.want {
			t.Errorf("%+v: %q, want %q", c.d, got, c.want)
		}
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }), rapid.SampledFrom([]string{"", "a", "(other)", strings.Repeat("x", 256)}))
		groups, domain := rapid.SliceOf(text).Draw(t, "groups"), text.Draw(t, "domain")
		known := map[string]bool{}
		labels, err := LabelsOf(groups, domain, func(_ store.Dimension, name string) (bool, error) {
			if len(known) < 3 {
				known[name] = true
			}
			return known[name], nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var read Labels
		eachLabel(labels.Encode(), func(d store.Dimension, name string) {
			if !utf8.ValidString(name) || strings.Contains(name, "\x00") || len(name) > store.MaxLabelBytes || !known[name] && name != store.OtherValue {
				t.Fatalf("%q", name)
			}
			if d == store.DimensionDomain {
				read.Domain = name
			} else {
				read.Groups = append(read.Groups, name)
			}
		})
		if diff := cmp.Diff(labels, read); diff != "" {
			t.Fatal(diff)
		}
		if len(slices.Compact(slices.Sorted(slices.Values(read.Groups)))) != len(read.Groups) {
			t.Fatalf("%q", read.Groups)
		}
		eachLabel(rapid.SliceOf(rapid.Byte()).Draw(t, "anything"), func(store.Dimension, string) {})
	})
}

func TestDelay(t *testing.T) {
	t.Parallel()
	second := int64(time.Second)
	for _, c := range []struct {
		submitted, occurred int64
		want                string
		millis              int64
	}{
		{0, 0, "1", 0}, {5, 4, "1", 0}, {0, second, "1", 1000}, {0, second + 1, "2", 1000}, {0, 61 * second, "120", 61_000}, {0, 259_200 * second, "259200", 259_200_000},
		{0, 259_201 * second, "more", 259_201_000}, {math.MinInt64, math.MaxInt64, "more", 315_360_000_000}, {math.MaxInt64, math.MinInt64, "1", 0}, {-second, 0, "1", 1000},
	} {
		want := FacetValue{Dimension: store.DimensionDelay, Value: c.want, Millis: c.millis}
		if got := delayOf(c.submitted, c.occurred, false); got != want {
			t.Errorf("%d to %d: %+v, want %+v", c.submitted, c.occurred, got, want)
		}
		fine := delayOf(c.submitted, c.occurred, true)
		upTo, ok := compare.ReadSpan(fine.Value)
		if end := compare.CoarseOf(upTo); !ok || fine.Millis != c.millis || fine.Dimension != store.DimensionDelay || end == 0 != (c.want == store.BeyondSpans) || end != 0 && fmt.Sprint(end) != c.want {
			t.Errorf("%d to %d: %+v", c.submitted, c.occurred, fine)
		}
	}
}

// TestEveryDimensionIsStored: the tables take those that there are.
func TestEveryDimensionIsStored(t *testing.T) {
	t.Parallel()
	list := store.Dimensions()
	if len(list) != 9 || list[0] != store.DimensionGroup || list[8] != store.DimensionFailover || fmt.Sprint(list) != "[group domain reason device client os country delay failover]" {
		t.Errorf("%v", list)
	}
}

// TestCarried: what is counted when an event is recorded is what is read in its detail, and users see the detail as it was.
func TestCarried(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := event.Detail{SMTPCode: rapid.IntRange(0, 600).Draw(t, "code"), SMTPDescription: rapid.String().Draw(t, "text")}
		plain, err := Detail(&d)
		if err != nil {
			t.Fatal(err)
		}
		egress := rapid.Map(rapid.Int32Range(-3, 3), func(n int32) route.Egress { return route.Egress(n) })
		first, by := egress.Draw(t, "first"), egress.Draw(t, "by")
		raw, own := Carried(plain, first, by)
		stored, err := StoredFacets(70, raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(own, stored); diff != "" {
			t.Fatal(diff)
		}
		if away := first != 0 && first != by; away != (len(own) == 1) || away && own[0] != (FacetValue{Dimension: store.DimensionFailover, Value: fmt.Sprint(int32(first))}) {
			t.Fatalf("%d instead of %d: %+v", by, first, own)
		}
		var shown, want event.Detail
		if err := json.Unmarshal(raw, &shown); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if err := json.Unmarshal(plain, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, shown); diff != "" {
			t.Fatal(diff)
		}
	})
	if _, err := StoredFacets(70, []byte(insteadKey+"x}")); err == nil {
		t.Error("no error for a detail that cannot be read")
	}
}

// TestSpansOfTheirTime: a delivery counts anew as it was counted, whichever spans there were.
func TestSpansOfTheirTime(t *testing.T) {
	t.Parallel()
	tally := NewTally()
	for _, marks := range []store.Marks{0, store.MarkFacets, store.MarkFacets | store.MarkFine} {
		tally.Count(&TalliedEvent{Counter: store.Counter{Type: 71}, Marks: marks, OccurredAt: int64(4200 * time.Millisecond)}, 0)
	}
	want := map[store.Facet]store.Sum{
		{Dimension: store.DimensionDelay, Value: "5", Type: 71}:                                     {N: 1, Millis: 4200},
		{Dimension: store.DimensionDelay, Value: compare.SpanOf(4200 * time.Millisecond), Type: 71}: {N: 1, Millis: 4200},
	}
	if diff := cmp.Diff(want, tally.Facets); diff != "" {
		t.Error(diff)
	}
}
