package compare

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// coarse are the upper ends of the spans that are shown to people, in seconds.
var coarse = []int64{1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 259200}

// CoarseSpans returns the upper ends of the spans that are shown to people, in whole seconds and in their order.
func CoarseSpans() []int64 { return slices.Clone(coarse) }

// Longest is the longest time that is counted; what claims to have taken longer counts as that.
const Longest = 10 * 365 * 24 * time.Hour

// ends are the upper ends of the fine spans, in milliseconds. A span is as long as a tenth of its beginning, so that nothing in it is farther
// than 5 % from its middle, which is a whole number; it is a millisecond where that is less, and shorter where a coarse span ends.
var ends = func() (list []int64) {
	stops := make([]int64, len(coarse), len(coarse)+1)
	for i, s := range coarse {
		stops[i] = s * 1000
	}
	from := int64(0)
	for _, stop := range append(stops, Longest.Milliseconds()) {
		for from < stop {
			from = min(from+max(1, from/20*2), stop)
			list = append(list, from)
		}
	}
	return list
}()

const unit = "ms"

// names are what the fine spans are stored under. Those of coarse spans are bare numbers.
var names = func() []string {
	list := make([]string, len(ends))
	for i, end := range ends {
		list[i] = strconv.FormatInt(end, 10) + unit
	}
	return list
}()

// Spans returns the names of all fine spans in their order.
func Spans() []string { return slices.Clone(names) }

// SpanOf returns the name of the fine span in which a time is counted: its upper end with its unit, such as 4400ms.
func SpanOf(took time.Duration) string {
	i, _ := slices.BinarySearch(ends, (int64(min(max(took, 0), Longest))+int64(time.Millisecond)-1)/int64(time.Millisecond))
	return names[i]
}

// ReadSpan returns the upper end of a fine span in milliseconds; ok is false for what is none, as a coarse one.
func ReadSpan(name string) (upTo int64, ok bool) {
	text, ok := strings.CutSuffix(name, unit)
	if !ok {
		return 0, false
	}
	upTo, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false
	}
	_, ok = slices.BinarySearch(ends, upTo)
	return upTo, ok
}

// CoarseOf returns the upper end, in seconds, of the coarse span that a fine one is a part of; 0 when it is beyond all of them.
func CoarseOf(upTo int64) int64 {
	if i, _ := slices.BinarySearch(coarse, (upTo+999)/1000); i < len(coarse) {
		return coarse[i]
	}
	return 0
}

// Histogram counts times by the upper end of their fine span, in milliseconds.
type Histogram map[int64]int64

// Count is how many times there are.
func (h Histogram) Count() (n int64) {
	for _, of := range h {
		n += of
	}
	return n
}

// Percentile returns the time, in milliseconds, within which that many of a hundred are: the nearest rank, so it is about one that there
// was. It is wrong by 5 % of it at most, or by a millisecond. Of nothing it is 0.
func (h Histogram) Percentile(percent int64) int64 {
	n := h.Count()
	rank := (n*percent + 99) / 100
	for _, upTo := range slices.Sorted(maps.Keys(h)) {
		if rank -= h[upTo]; rank <= 0 && n > 0 {
			return within(upTo)
		}
	}
	return 0
}

// within returns the middle of a span, rounded up.
func within(upTo int64) int64 {
	i, _ := slices.BinarySearch(ends, upTo)
	if i == 0 {
		return upTo
	}
	return (ends[i-1] + upTo + 1) / 2
}
