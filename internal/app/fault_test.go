package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/demo"
	"postyard/internal/secret"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { http.DefaultClient.CloseIdleConnections() }))
}

// stage is a demo that runs in the test's process.
type stage struct {
	*demo.Scene
	t   *testing.T
	api *client.Client
}

func newStage(t *testing.T) *stage {
	t.Helper()
	d, err := NewDemo(t.Context(), config.Config{Listen: "127.0.0.1:0", SandboxListen: "127.0.0.1:0", Data: t.TempDir(), AllowPrivate: true,
		NoTraffic: true, CallTimeout: 2 * time.Second, AskAfter: []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, time.Second},
		AmbiguousWait: time.Minute, MessageTTL: time.Hour, ProviderConcurrency: 4, BatchSize: 50, ShutdownGrace: 5 * time.Second},
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	scene, err := d.SetUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &stage{Scene: scene, t: t, api: &client.Client{URL: scene.URL, AccountKey: secret.NewString(scene.AccountAPIKey),
		SubAccountKey: secret.NewString(scene.SubAccounts[0].APIKey)}}
}

// control calls the sandbox's control API.
func (s *stage) control(method, path string, in, out any) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.SandboxURL+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil || res.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s (%v)", method, path, res.StatusCode, raw, err)
	}
}

// send sends one email with a recipient for each address, and returns the messages' ids.
func (s *stage) send(to ...string) []string {
	s.t.Helper()
	email := s.FirstEmail()
	first := email.To[0]
	email.To = nil
	for _, address := range to {
		first.Email = address
		email.To = append(email.To, first)
	}
	sent, err := s.api.Send(s.t.Context(), email)
	if err != nil {
		s.t.Fatal(err)
	}
	ids := make([]string, len(sent))
	for i := range sent {
		ids[i] = sent[i].MessageID
	}
	return ids
}

// events waits until a message has n events, and returns their types.
func (s *stage) events(id string, n int) string {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		list, err := s.api.MessageEvents(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		var types []int
		for _, e := range list {
			types = append(types, e.Type)
		}
		if len(types) >= n {
			return fmt.Sprint(types)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			s.t.Fatalf("events of %s: %v, want %d", id, types, n)
		}
	}
}

// arrived counts how often the provider took a message.
func (s *stage) arrived(id string) int {
	s.t.Helper()
	var box struct{ Total int }
	s.control(http.MethodGet, "/sandbox/messages?messageId="+id, nil, &box)
	return box.Total
}

func (s *stage) health() string {
	s.t.Helper()
	list, err := s.api.TPSPs(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return list[0].Health.State + ": " + list[0].Health.Reason
}

// TestFaults breaks the provider in every way that the sandbox knows, while messages are on their way. Each must arrive once.
func TestFaults(t *testing.T) {
	t.Parallel()
	type fault = map[string]any
	for name, rule := range map[string]fault{
		"maintenance":                     {"kind": "status", "status": 503, "count": 2},
		"maintenance, as a page":          {"kind": "status", "status": 503, "count": 1, "body": "<html>down</html>", "contentType": "text/html"},
		"too many requests":               {"kind": "status", "status": 429, "count": 1},
		"a fault of theirs":               {"kind": "status", "status": 500, "count": 1},
		"a gateway's fault, as a page":    {"kind": "status", "status": 502, "count": 1, "body": "<html>bad</html>", "contentType": "text/html"},
		"a token that is refused a while": {"kind": "status", "status": 401, "count": 1},
		"no answer":                       {"kind": "hang", "count": 1},
		"reset before it was taken":       {"kind": "reset_before", "count": 1},
		"reset after it was taken":        {"kind": "reset_after", "count": 1},
		"half an answer":                  {"kind": "truncate", "count": 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			rule["path"] = "/email"
			s.control(http.MethodPut, "/sandbox/faults", []fault{rule}, nil)
			for _, id := range s.send("a@gmail.com", "b@yahoo.com", "c@example.net") {
				if got := s.events(id, 3); got != "[69 70 71]" {
					t.Errorf("events %s", got)
				}
				if n := s.arrived(id); n != 1 {
					t.Errorf("arrived %d times", n)
				}
			}
		})
	}
}

// TestAccountFault stops the provider, says why, keeps the mail, and goes on by itself when the provider does.
func TestAccountFault(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.control(http.MethodPut, "/sandbox/faults", []map[string]any{{"path": "/email", "kind": "status", "status": 401}}, nil)
	ids := s.send("a@gmail.com", "b@gmail.com")
	waitFor(t, "the provider to stop", func() bool { return strings.HasPrefix(s.health(), "stopped: ") })
	if health := s.health(); !strings.Contains(health, "token") {
		t.Errorf("health %q does not give the provider's words", health)
	}
	s.control(http.MethodDelete, "/sandbox/faults", nil, nil)
	for _, id := range ids {
		if got := s.events(id, 3); got != "[69 70 71]" {
			t.Errorf("events %s", got)
		}
	}
	waitFor(t, "the provider to be used again", func() bool { return s.health() == "ok: " })
}

// TestMixedBatch sends one request whose recipients fare differently.
func TestMixedBatch(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bounced := "HardBounce@bounce.sandbox.test"
	if got := s.events(s.send(bounced)[0], 3); got != "[69 70 72]" {
		t.Fatalf("events of the bounce: %s", got)
	}
	ids := s.send("a@gmail.com", bounced, "b@yahoo.com")
	for i, want := range []string{"[69 70 71]", "[69 74]", "[69 70 71]"} {
		if got := s.events(ids[i], strings.Count(want, " ")+1); got != want {
			t.Errorf("recipient %d: events %s, want %s", i, got, want)
		}
	}
}

// TestUnknownSender keeps the mail of a sender whom the provider does not know, and says so, while others go on.
func TestUnknownSender(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	email := s.FirstEmail()
	email.From.Email = "hello@not-verified.example"
	if _, err := s.api.Send(t.Context(), email); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the refusal to show", func() bool {
		return strings.HasPrefix(s.health(), "impaired: mail from not-verified.example is refused")
	})
	if got := s.events(s.send("a@gmail.com")[0], 3); got != "[69 70 71]" {
		t.Errorf("events of another sender: %s", got)
	}
}

// TestEarlyWebhook delivers the event before the answer to the send; the sent event is still written, once.
func TestEarlyWebhook(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.control(http.MethodPut, "/sandbox/settings", map[string]any{"webhookBeforeAnswer": true, "duplicateWebhooks": true}, nil)
	for _, id := range s.send("a@gmail.com", "b@gmail.com") {
		if got := s.events(id, 3); got != "[69 70 71]" {
			t.Errorf("events %s", got)
		}
	}
}

// TestSecondDemo is refused while the first has the data.
func TestSecondDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := config.Config{Listen: "127.0.0.1:0", Data: dir, AskAfter: []time.Duration{time.Second}, CallTimeout: time.Second}
	first, err := NewServer(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewServer(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second server on the same data: %v", err)
	}
	reason := errors.New("enough")
	if err := first.Abort(reason); !errors.Is(err, reason) {
		t.Errorf("abort: %v", err)
	}
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
