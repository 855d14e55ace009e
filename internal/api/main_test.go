package api

import (
	"flag"
	"fmt"
	"net/http"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when goroutines are left over, and when the whole suite has an operation that no test made succeed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(whole{m})
}

// whole asks more of the tests when all of them ran.
type whole struct{ *testing.M }

func (w whole) Run() int {
	code := w.M.Run()
	http.DefaultClient.CloseIdleConnections()
	if code != 0 || flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.skip").Value.String() != "" ||
		flag.Lookup("test.list").Value.String() != "" || flag.Lookup("test.fuzz").Value.String() != "" {
		return code
	}
	seen, err := watched()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, name := range seen.unseen() {
		fmt.Println("no test has an answer of", name)
		code = 1
	}
	return code
}
