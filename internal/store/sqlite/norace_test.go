//go:build !race

package sqlite

// How much of what is done at random.
const (
	seeds = 10
	cuts  = 24 // of the power, for each
)
