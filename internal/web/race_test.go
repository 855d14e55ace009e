//go:build race

package web_test

// buildFlags builds the program under test with the race detector when the tests run with it.
var buildFlags = []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false"}
