//go:build !race

package programtest

var flags []string
