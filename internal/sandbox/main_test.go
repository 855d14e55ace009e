package sandbox_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(tidy{m})
}

// tidy runs the tests, and then ends the connections that no test waits for.
type tidy struct{ *testing.M }

// Run implements goleak.TestingM.
func (t tidy) Run() int {
	code := t.M.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}
