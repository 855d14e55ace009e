//go:build race

package e2e

// buildFlags builds the program under test with the race detector when the tests run with it.
var buildFlags = []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false"}
