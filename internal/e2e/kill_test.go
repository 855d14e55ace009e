package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/secret"
)

const (
	kills   = 8
	senders = 6
)

// chaosTime is how long TestKill goes on: `make chaos` sets it, without it there are a few kills only.
const chaosTime = "POSTYARD_CHAOS_TIME"

// TestKill kills the server again and again while messages are accepted and sent. Every message whose acceptance was
// acknowledged must reach the sandbox, also when the provider itself is in trouble, and the books balance all the time.
func TestKill(t *testing.T) {
	t.Parallel()
	t.Run("the server alone", func(t *testing.T) {
		t.Parallel()
		var witness struct{ URL string }
		start(t, "sandbox", "--listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &witness)
		unsettle(t, witness.URL)
		killLoop(t, "--sandbox-url", witness.URL)
	})
	t.Run("with the sandbox", func(t *testing.T) {
		t.Parallel()
		killLoop(t, "--sandbox-listen", "127.0.0.1:0")
	})
}

func killLoop(t *testing.T, args ...string) {
	args = append([]string{"demo", "--json", "--no-traffic", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, args...)
	acknowledged := &ledger{ids: map[string]bool{}}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	more := enough(t)
	for i := 0; more(i); i++ {
		p := start(t, args...)
		scene := &demo.Scene{}
		p.decode(`"accountApiKey"`, scene)
		load, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for j := range senders {
			running.Go(func() { sendUntil(load, t, scene, fmt.Sprintf("u%d-%d", i, j), acknowledged) })
		}
		acknowledged.waitFor(t, 20) // at least something is on its way
		balance(t, scene)
		<-time.After(time.Duration(random.IntN(700)) * time.Millisecond)
		p.kill()
		stop()
		running.Wait()
	}
	p := start(t, args...)
	scene := &demo.Scene{}
	p.decode(`"accountApiKey"`, scene)
	if _, err := call(t.Context(), http.MethodDelete, scene.SandboxURL+"/sandbox/faults", nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	acknowledged.reach(t, scene.SandboxURL, 2*time.Minute+chaos(t)) // what was on the wire at a kill is asked for, in rounds
	balance(t, scene)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// balance checks that the books balance, whatever is going on.
func balance(t *testing.T, s *demo.Scene) {
	t.Helper()
	v, err := apiOf(s).Verify(t.Context(), time.Hour)
	if err != nil || !v.OK {
		t.Errorf("%d differences (%v): %+v", v.DifferenceCount, err, v.Differences[:min(len(v.Differences), 20)])
	}
}

// chaos returns how long the test is to go on; 0 is a few kills only.
func chaos(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(chaosTime)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", chaosTime, err)
	}
	return d
}

// enough returns what tells whether another kill follows.
func enough(t *testing.T) (more func(done int) bool) {
	t.Helper()
	d := chaos(t)
	if d == 0 {
		return func(done int) bool { return done < kills }
	}
	end := time.Now().Add(d)
	return func(int) bool { return time.Now().Before(end) }
}

// unsettle makes the provider fail now and then in every way, show messages late, and report twice.
func unsettle(t *testing.T, sandbox string) {
	t.Helper()
	type rule = map[string]any
	faults := []rule{
		{"path": "/email", "kind": "reset_after", "probability": 0.03}, {"path": "/email", "kind": "reset_before", "probability": 0.03},
		{"path": "/email", "kind": "truncate", "probability": 0.03}, {"path": "/email", "kind": "status", "status": 503, "probability": 0.02},
		{"path": "/email", "kind": "status", "status": 500, "probability": 0.02}, {"path": "/messages", "kind": "status", "status": 500, "probability": 0.1},
	}
	settings := rule{"searchLagMs": 300, "duplicateWebhooks": true}
	for path, body := range map[string]any{"/sandbox/faults": faults, "/sandbox/settings": settings} {
		if status, err := call(t.Context(), http.MethodPut, sandbox+path, nil, body, nil); err != nil || status != http.StatusOK {
			t.Fatalf("PUT %s: %d (%v)", path, status, err)
		}
	}
}

// ledger is what the server acknowledged.
type ledger struct {
	mu    sync.Mutex
	ids   map[string]bool
	fresh int
}

func (l *ledger) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids[id] = true
	l.fresh++
}

// waitFor waits for n more acknowledgements.
func (l *ledger) waitFor(t *testing.T, n int) {
	t.Helper()
	eventually(t, "acknowledgements", 30*time.Second, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.fresh < n {
			return false
		}
		l.fresh = 0
		return true
	})
}

// sendUntil sends one message after another until ctx ends. The server is killed meanwhile, so calls may fail.
func sendUntil(ctx context.Context, t *testing.T, s *demo.Scene, name string, acknowledged *ledger) {
	api := &client.Client{URL: s.URL, SubAccountKey: secret.NewString(s.SubAccounts[0].APIKey)}
	for n := 0; ctx.Err() == nil; n++ {
		email := s.FirstEmail()
		email.To[0].Email = fmt.Sprintf("%s-%d@example.net", name, n)
		sent, err := api.Send(ctx, email)
		var refusal *client.Error
		switch {
		case errors.As(err, &refusal):
			t.Errorf("refused: %v", refusal)
			return
		case err != nil:
			<-time.After(5 * time.Millisecond) // the server is gone; the loop ends soon
		default:
			acknowledged.add(sent[0].MessageID)
		}
	}
}

// reach waits until every acknowledged message is in the sandbox.
func (l *ledger) reach(t *testing.T, sandbox string, within time.Duration) {
	t.Helper()
	seen := map[string]int{}
	missing := 0
	read := 0
	eventually(t, fmt.Sprintf("%d acknowledged messages arrive", len(l.ids)), within, func() bool {
		for {
			var box inbox
			path := fmt.Sprintf("%s/sandbox/messages?limit=2000&offset=%d", sandbox, read)
			if _, err := call(t.Context(), http.MethodGet, path, nil, nil, &box); err != nil {
				t.Fatal(err)
			}
			for _, m := range box.Messages {
				seen[m.Metadata["messageId"]]++
			}
			read += len(box.Messages)
			if len(box.Messages) == 0 {
				break
			}
		}
		missing = 0
		for id := range l.ids {
			if seen[id] == 0 {
				missing++
			}
		}
		return missing == 0
	})
	doubled := 0
	for id, n := range seen {
		if n > 1 && l.ids[id] {
			doubled++
		}
	}
	t.Logf("%d acknowledged, %d arrived, %d twice", len(l.ids), len(seen), doubled)
}
