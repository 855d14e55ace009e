// Package compare has the arithmetic by which providers are compared: how sure the rate of something is, and the spans in which times to
// deliver are counted.
package compare

import "math"

// z is the quantile of the normal distribution that leaves 2.5 % above it: the intervals are those of 95 %.
const z = 1.959963984540054

// Wilson returns the ends of the 95 % interval (Wilson 1927, without a correction for continuity) of the rate at which something happens,
// of which k of n were seen. n must be positive, and k from 0 to n.
func Wilson(k, n int64) (low, high float64) {
	of, p := float64(n), float64(k)/float64(n)
	middle, half := p+z*z/(2*of), z*math.Sqrt(p*(1-p)/of+z*z/(4*of*of))
	low, high = (middle-half)/(1+z*z/of), (middle+half)/(1+z*z/of)
	if k == 0 { // both are exact there, and not only nearly
		low = 0
	}
	if k == n {
		high = 1
	}
	return low, high
}
