//go:build !race

package dispatch

const modelChecks = 100
