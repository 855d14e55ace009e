package sandbox_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"postyard/internal/sandbox"
)

// A sandbox inside a test: serve the handler, run the background, send with the demo token, look at the inbox.
func Example() {
	box, err := sandbox.New(sandbox.Config{})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	server := httptest.NewServer(box.Handler())
	defer func() {
		stop()
		if err := <-ended; err != nil {
			panic(err)
		}
		server.Close()
		if err := box.Close(); err != nil {
			panic(err)
		}
	}()

	req, err := http.NewRequest(http.MethodPost, server.URL+"/email", strings.NewReader(
		`{"From":"app@example.com","To":"ana@example.net","Subject":"Hello","TextBody":"It works."}`))
	if err != nil {
		panic(err)
	}
	req.Header.Set("X-Postmark-Server-Token", sandbox.DemoServerToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer func() { _ = res.Body.Close() }()
	fmt.Println(res.Status)

	inbox, err := http.Get(server.URL + "/sandbox/messages?to=ana@example.net")
	if err != nil {
		panic(err)
	}
	defer func() { _ = inbox.Body.Close() }()
	list, err := io.ReadAll(inbox.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(strings.HasPrefix(string(list), `{"total":1,`))
	// Output:
	// 200 OK
	// true
}
