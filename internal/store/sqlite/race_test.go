//go:build race

package sqlite

// How much of what is done at random; the race detector makes it slow.
const (
	seeds = 2
	cuts  = 10 // of the power, for each
)
