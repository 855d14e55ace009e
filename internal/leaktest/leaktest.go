// Package leaktest fails the tests of a package that leave goroutines behind.
package leaktest

import (
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main is a TestMain. It ends the process.
func Main(m *testing.M) {
	goleak.VerifyTestMain(tidy{m}, goleak.Cleanup(os.Exit))
}

// tidy ends the connections that no test waits for: goleak's own cleanup comes after it has looked.
type tidy struct{ *testing.M }

// Run implements goleak.TestingM.
func (t tidy) Run() int {
	code := t.M.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}
