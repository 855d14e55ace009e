//go:build race

package dispatch

// modelChecks is how many cases rapid goes through unless -rapid.checks says so. The race detector makes a history of TestModel cost ten
// times as much.
const modelChecks = 20
