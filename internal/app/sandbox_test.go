package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// What `postyard sandbox --seed` starts gives the same ids for the same seed, and its clock can be held.
func TestSeededSandbox(t *testing.T) {
	t.Parallel()
	ids := map[uint64][]string{}
	for _, seed := range []uint64{42, 42, 43} {
		box, err := NewSandbox(t.Context(), SandboxConfig{Listen: "127.0.0.1:0", Seed: seed}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- box.Run(ctx) }()
		call := func(method, path, body string) (answer map[string]any) {
			t.Helper()
			req, err := http.NewRequestWithContext(ctx, method, box.URL+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Postmark-Server-Token", SandboxToken)
			req.Header.Set("Content-Type", "application/json")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d %v %v", path, res.StatusCode, answer, err)
			}
			return answer
		}
		if held := call(http.MethodPut, "/sandbox/clock", `{"held":true}`)["held"]; held != true {
			t.Errorf("held: %v", held)
		}
		id, _ := call(http.MethodPost, "/email", `{"From":"app@example.com","To":"ana@example.net","TextBody":"Hello"}`)["MessageID"].(string)
		ids[seed] = append(ids[seed], id)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if ids[42][0] == "" || ids[42][0] != ids[42][1] || ids[42][0] == ids[43][0] {
		t.Errorf("%v", ids)
	}
}
