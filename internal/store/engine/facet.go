package engine

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postyard/internal/compare"
	"postyard/internal/event"
	"postyard/internal/route"
	"postyard/internal/store"
)

// FacetValue is a value of a dimension that an event counts under.
type FacetValue struct {
	Dimension store.Dimension
	Value     string
	Millis    int64 // of DimensionDelay
}

// LabelName returns the name under which a group or domain is counted, "" for none.
func LabelName(s string) string {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD") // what every engine takes
	}
	if len(s) > store.MaxLabelBytes {
		return store.OtherValue
	}
	return s
}

// Labels are the names that a message is counted under, each once.
type Labels struct {
	Domain string // "" when it is not whitelisted
	Groups []string
}

// LabelsOf returns the labels of a request as decide has them, which tells whether a name is counted on its own.
func LabelsOf(groups []string, domain string, decide func(d store.Dimension, name string) (bool, error)) (l Labels, err error) {
	for _, group := range groups {
		name := LabelName(group)
		if name == "" {
			continue
		}
		if name, err = decided(store.DimensionGroup, name, decide); err != nil {
			return l, err
		}
		if !slices.Contains(l.Groups, name) {
			l.Groups = append(l.Groups, name)
		}
	}
	if name := LabelName(domain); name != "" {
		l.Domain, err = decided(store.DimensionDomain, name, decide)
	}
	return l, err
}

func decided(d store.Dimension, name string, decide func(store.Dimension, string) (bool, error)) (string, error) {
	if name == store.OtherValue {
		return name, nil
	}
	if own, err := decide(d, name); own || err != nil {
		return name, err
	}
	return store.OtherValue, nil
}

// Encode returns the stored form of labels; that of none is empty.
func (l *Labels) Encode() []byte {
	if l.Domain == "" && len(l.Groups) == 0 {
		return []byte{}
	}
	b := appendName(nil, l.Domain)
	for _, group := range l.Groups {
		b = appendName(b, group)
	}
	return b
}

func appendName(b []byte, name string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(name))), name...)
}

// eachLabel reads stored labels. It ends where they cannot be read.
func eachLabel(labels []byte, see func(d store.Dimension, name string)) {
	for d := store.DimensionDomain; len(labels) > 0; d = store.DimensionGroup {
		n, k := binary.Uvarint(labels)
		if k <= 0 || n > uint64(len(labels)-k) {
			return
		}
		if n > 0 {
			see(d, string(labels[k:k+int(n)]))
		}
		labels = labels[k+int(n):]
	}
}

// LabelDay is where the names are kept that a sub-account's mail of a day is counted under.
type LabelDay struct {
	AccountID    int32
	SubAccountID int32
	Day          int64
	Dimension    store.Dimension
}

// Label is one of these names.
type Label struct {
	LabelDay
	Name string
}

// LabelBook remembers the names of days. It is no more than a memory: what is not in it is in the store.
type LabelBook struct {
	days map[LabelDay]map[string]bool
}

// maxLabelDays is how many days are remembered. With as many sub-accounts that all have their thousand groups, that is the
// most memory that it takes: a few hundred megabytes, and nobody is so unlucky.
const maxLabelDays = 4096

// Of returns the names of a day, nil when they are not known.
func (b *LabelBook) Of(d LabelDay) map[string]bool { return b.days[d] }

// Learn remembers the names of a day.
func (b *LabelBook) Learn(d LabelDay, names map[string]bool) {
	if b.days == nil {
		b.days = map[LabelDay]map[string]bool{}
	}
	b.days[d] = names
}

// Trim makes room. Names that were decided and are not stored yet must be so before.
func (b *LabelBook) Trim() {
	if len(b.days) >= maxLabelDays {
		b.days = nil
	}
}

// Forget forgets everything.
func (b *LabelBook) Forget() { b.days = nil }

// OwnFacets returns what an event itself tells of dimensions: a pure function of what is stored of it, whose values are few
// whatever a provider says.
func OwnFacets(t event.Type, d *event.Detail) []FacetValue {
	info, ok := event.Describe(t)
	if !ok {
		return nil
	}
	switch info.Kind {
	case event.HardBounced, event.SoftBounced:
		return []FacetValue{{Dimension: store.DimensionReason, Value: reasonOf(d)}}
	case event.Opened, event.Clicked:
		var client, system, device, country string
		if d.UserAgent != nil {
			client = d.UserAgent.Family
		}
		if d.OS != nil {
			system = d.OS.Family
		}
		if d.Device != nil {
			device = d.Device.Family
		}
		if d.Geo != nil {
			country = d.Geo.CountryCode
		}
		return []FacetValue{
			{Dimension: store.DimensionDevice, Value: nameIn(store.Names(store.DimensionDevice), device)},
			{Dimension: store.DimensionClient, Value: nameIn(store.Names(store.DimensionClient), client)},
			{Dimension: store.DimensionOS, Value: nameIn(store.Names(store.DimensionOS), system)},
			{Dimension: store.DimensionCountry, Value: countryOf(country)},
		}
	default:
		return nil
	}
}

// StoredFacets is OwnFacets of a stored detail.
func StoredFacets(t event.Type, detail []byte) ([]FacetValue, error) {
	info, ok := event.Describe(t)
	if !ok {
		return nil, nil
	}
	switch info.Kind {
	case event.HardBounced, event.SoftBounced, event.Opened, event.Clicked:
	case event.Sent:
		return storedFailover(detail)
	default:
		return nil, nil // not worth the decoder's time
	}
	var d event.Detail
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, fmt.Errorf("decode event detail: %w", err)
	}
	return OwnFacets(t, &d), nil
}

// Carried returns the detail of a sent event and what it counts under, beside its labels, when the plan's first choice was another egress than
// the one that carried the message: the detail says which, for those who count anew. Users do not see it.
func Carried(detail []byte, first, by route.Egress) ([]byte, []FacetValue) {
	if first == 0 || first == by {
		return detail, nil
	}
	number := strconv.FormatInt(int64(first), 10)
	b := append(append(make([]byte, 0, len(detail)+len(insteadKey)+16), insteadKey...), number...)
	if rest := detail[1:]; len(rest) > 1 {
		b = append(append(b, ','), rest...)
	} else {
		b = append(b, '}')
	}
	return b, []FacetValue{{Dimension: store.DimensionFailover, Value: number}}
}

// insteadKey is how the detail of a sent event begins that Carried has made.
const insteadKey = `{"insteadOf":`

// storedFailover is what Carried gave, of the detail that it gave.
func storedFailover(detail []byte) ([]FacetValue, error) {
	if !bytes.HasPrefix(detail, []byte(insteadKey)) {
		return nil, nil
	}
	var of struct {
		InsteadOf route.Egress `json:"insteadOf"`
	}
	if err := json.Unmarshal(detail, &of); err != nil {
		return nil, fmt.Errorf("decode detail of a sent event: %w", err)
	}
	return []FacetValue{{Dimension: store.DimensionFailover, Value: strconv.FormatInt(int64(of.InsteadOf), 10)}}, nil
}

// EachFacet calls see with every value that an event of a `to` recipient counts under: those of its message's labels, its own,
// and the time that a delivery took.
func EachFacet(t event.Type, labels []byte, own []FacetValue, submitted, occurred int64, marks store.Marks, see func(FacetValue)) {
	if len(labels) > 0 {
		eachLabel(labels, func(d store.Dimension, name string) { see(FacetValue{Dimension: d, Value: name}) })
	}
	for _, f := range own {
		see(f)
	}
	if info, ok := event.Describe(t); ok && info.Kind == event.Delivered {
		see(delayOf(submitted, occurred, marks&store.MarkFine != 0))
	}
}

var (
	delaySpans = store.DelaySpans()
	delayNames = func() []string {
		names := make([]string, len(delaySpans))
		for i, s := range delaySpans {
			names[i] = strconv.FormatInt(s, 10)
		}
		return names
	}()
)

// longestDelay is counted for what claims to have taken longer, so that no sum overflows.
const longestDelay = int64(compare.Longest)

// delayOf is the span of a delivery. Clocks differ, so one may seem to be earlier than the message: that took no time.
func delayOf(submitted, occurred int64, fine bool) FacetValue {
	took := occurred - submitted
	switch {
	case occurred < submitted:
		took = 0
	case took < 0 || took > longestDelay: // it may not fit
		took = longestDelay
	}
	f := FacetValue{Dimension: store.DimensionDelay, Value: store.BeyondSpans, Millis: took / int64(time.Millisecond)}
	if fine {
		f.Value = compare.SpanOf(time.Duration(took))
	} else if i, _ := slices.BinarySearch(delaySpans, (took+int64(time.Second)-1)/int64(time.Second)); i < len(delaySpans) {
		f.Value = delayNames[i]
	}
	return f
}

// enhanced finds an enhanced status code (RFC 3463) of a refusal.
var enhanced = regexp.MustCompile(`\b([45])\.([0-7])\.(\d{1,2})\b`)

// reasonOf is why a message bounced: the provider's type of the bounce, else the code of the reply.
func reasonOf(d *event.Detail) string {
	if name := d.Provider["Type"]; name != "" {
		for _, known := range store.Names(store.DimensionReason) {
			if strings.EqualFold(known, name) {
				return known
			}
		}
		return store.OtherValue
	}
	if code := enhanced.FindString(d.SMTPDescription); code != "" {
		return code
	}
	if d.SMTPCode >= 400 && d.SMTPCode < 600 {
		return strconv.Itoa(d.SMTPCode)
	}
	return store.UnknownValue
}

// nameIn returns the name of a list that a text is, or begins with as a word of its own.
func nameIn(list []string, text string) string {
	if text == "" {
		return store.UnknownValue
	}
	for _, name := range list {
		if len(text) >= len(name) && strings.EqualFold(text[:len(name)], name) && (len(text) == len(name) || !isWord(text[len(name)])) {
			return name
		}
	}
	if strings.EqualFold(text, "unknown") {
		return store.UnknownValue
	}
	return store.OtherValue
}

func isWord(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 }

// countryOf returns a country's code in capitals.
func countryOf(code string) string {
	if code == "" {
		return store.UnknownValue
	}
	if known, ok := store.CountryCode(code); ok {
		return known
	}
	return store.OtherValue
}

// Count adds an event to the sum of its key in sums, which may be nil: its Firsts are 0 or 1.
func Count[K comparable](sums *map[K]*store.Sum, key K, firsts, millis int64) {
	if *sums == nil {
		*sums = map[K]*store.Sum{}
	}
	sum := (*sums)[key]
	if sum == nil {
		sum = &store.Sum{}
		(*sums)[key] = sum
	}
	sum.N++
	sum.Firsts += firsts
	sum.Millis += millis
}
