package compare

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPublishedIntervals: the score method of Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine
// 17 (1998), table I, and what every table of it has of small samples.
func TestPublishedIntervals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k, n      int64
		low, high float64
	}{
		{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718},
		{0, 10, 0, 0.2775}, {1, 10, 0.0179, 0.4042}, {5, 10, 0.2366, 0.7634}, {10, 10, 0.7225, 1}, {50, 100, 0.4038, 0.5962}, {15, 20, 0.5313, 0.8881},
	} {
		low, high := Wilson(c.k, c.n)
		if math.Abs(low-c.low) > 0.00005 || math.Abs(high-c.high) > 0.00005 {
			t.Errorf("%d of %d: %.5f to %.5f, want %.4f to %.4f", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

// TestIntervals: an end is a rate from which what was seen is just z deviations away. So (k/n - p)² = z² p(1 - p)/n holds there; it is
// solved as a quadratic equation, in 300 bits.
func TestIntervals(t *testing.T) {
	t.Parallel()
	number := func(text string) *big.Float {
		f, _, err := big.ParseFloat(text, 10, 300, big.ToNearestEven)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	op := func() *big.Float { return new(big.Float).SetPrec(300) }
	quantile := number("1.95996398454005423552459443052055152795555")
	zz := op().Mul(quantile, quantile)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.Int64Range(1, 50), rapid.Int64Range(1, 1_000_000_000)).Draw(t, "n")
		k := rapid.OneOf(rapid.Int64Range(0, n), rapid.Int64Range(0, min(n, 3)), rapid.Int64Range(max(0, n-3), n)).Draw(t, "k")
		of, p := op().SetInt64(n), op().Quo(op().SetInt64(k), op().SetInt64(n))
		a := op().Add(op().SetInt64(1), op().Quo(zz, of))                                      // 1 + z²/n
		b := op().Neg(op().Add(op().Mul(op().SetInt64(2), p), op().Quo(zz, of)))               // -(2p + z²/n)
		d := op().Sub(op().Mul(b, b), op().Mul(op().SetInt64(4), op().Mul(a, op().Mul(p, p)))) // b² - 4ac, c = p²
		root := op()
		if d.Sign() > 0 {
			root.Sqrt(d)
		}
		end := func(sign int64) float64 {
			f, _ := op().Quo(op().Add(op().Neg(b), op().Mul(op().SetInt64(sign), root)), op().Mul(op().SetInt64(2), a)).Float64()
			return f
		}
		low, high := Wilson(k, n)
		wantLow, wantHigh := end(-1), end(1)
		if math.Abs(low-wantLow) > 1e-12 || math.Abs(high-wantHigh) > 1e-12 {
			t.Fatalf("%d of %d: %v to %v, want %v to %v", k, n, low, high, wantLow, wantHigh)
		}
		rate := float64(k) / float64(n)
		if low < 0 || low > rate || high < rate || high > 1 || low >= high {
			t.Fatalf("%d of %d: %v to %v", k, n, low, high)
		}
		otherLow, otherHigh := Wilson(n-k, n)
		if math.Abs(1-otherHigh-low) > 1e-12 || math.Abs(1-otherLow-high) > 1e-12 {
			t.Fatalf("%d of %d is not the mirror of the rest", k, n)
		}
	})
}

// nanoseconds draws times of all sizes.
func nanoseconds() *rapid.Generator[int64] {
	second := int64(time.Second)
	return rapid.OneOf(rapid.Int64Range(0, 20*int64(time.Millisecond)), rapid.Int64Range(0, 10*second), rapid.Int64Range(0, 7200*second), rapid.Int64Range(0, int64(Longest)),
		rapid.Map(rapid.SampledFrom(ends), func(end int64) int64 { return end * int64(time.Millisecond) }))
}

// TestPercentiles compares with the times themselves, sorted.
func TestPercentiles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(nanoseconds(), 1, 300).Draw(t, "times")
		h := Histogram{}
		for _, took := range times {
			upTo, ok := ReadSpan(SpanOf(time.Duration(took)))
			if !ok {
				t.Fatalf("%d has the span %q", took, SpanOf(time.Duration(took)))
			}
			h[upTo]++
		}
		slices.Sort(times)
		if h.Count() != int64(len(times)) {
			t.Fatalf("%d of %d", h.Count(), len(times))
		}
		for _, percent := range []int64{1, 25, 50, 95, 99, 100} {
			exact := float64(times[int(math.Ceil(float64(percent)/100*float64(len(times))-1e-9))-1]) / float64(time.Millisecond)
			if got := float64(h.Percentile(percent)); math.Abs(got-exact) > max(0.05*exact, 1) {
				t.Fatalf("%d %% of %d: %v ms, exactly %v ms", percent, len(times), got, exact)
			}
		}
	})
	if got := (Histogram{}).Percentile(95); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}

// TestSpans: the fine spans follow one another, each is part of one coarse one, and what is counted in one lies in it.
func TestSpans(t *testing.T) {
	t.Parallel()
	from := int64(0)
	for i, name := range Spans() {
		upTo, ok := ReadSpan(name)
		if !ok || upTo <= from || from >= 10 && upTo > from+from/10 || from < 10 && upTo != from+1 {
			t.Fatalf("span %d, %s, begins at %d", i, name, from)
		}
		first, last := SpanOf(time.Duration(from)*time.Millisecond+1), SpanOf(time.Duration(upTo)*time.Millisecond)
		if first != name || last != name {
			t.Fatalf("%s holds %s and %s", name, first, last)
		}
		if CoarseOf(upTo) != CoarseOf(from+1) {
			t.Fatalf("%s is in two spans of people", name)
		}
		from = upTo
	}
	if n := len(Spans()); n > 320 {
		t.Errorf("%d spans", n)
	}
	for upTo, want := range map[int64]int64{1: 1, 1000: 1, 1100: 2, 5000: 5, 5500: 10, 259_200_000: 259_200, 259_200_001: 0} {
		if got := CoarseOf(upTo); got != want {
			t.Errorf("%d ms: %d s, want %d", upTo, got, want)
		}
	}
	for _, took := range []time.Duration{math.MinInt64, -1, 0, math.MaxInt64} {
		if _, ok := ReadSpan(SpanOf(took)); !ok {
			t.Errorf("%d: %q", took, SpanOf(took))
		}
	}
	for _, name := range []string{"", "5", "more", "ms", "-1ms", "0ms", "23ms2", "1.5ms", strconv.FormatInt(math.MaxInt64, 10) + "0ms", "999999999999ms"} {
		if upTo, ok := ReadSpan(name); ok {
			t.Errorf("%q is %d", name, upTo)
		}
	}
}
