//go:build race

package programtest

// flags are the Makefile's.
var flags = []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-gcflags=modernc.org/libc=-race=false"}
