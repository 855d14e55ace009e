package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/store/postgres/pgtest"
)

// repeater sends requests under keys, each until it is answered, and remembers the answers.
type repeater struct {
	t       *testing.T
	mu      sync.Mutex
	answers map[string]string // message id by key
	again   int               // answers that were former ones
	fresh   chan struct{}     // a request was answered
}

func newRepeater(t *testing.T) *repeater {
	return &repeater{t: t, answers: map[string]string{}, fresh: make(chan struct{}, 1)}
}

// address is where the mail under a key goes.
func address(key string) string { return key + "@gmail.com" }

// try sends the request of a key once, and tells whether it was answered.
func (r *repeater) try(ctx context.Context, url string, s *demo.Scene, key string) bool {
	email := s.FirstEmail()
	email.To[0].Email = address(key)
	var sent []client.Sent
	status, header, err := exchange(ctx, http.MethodPost, url+"/api/v1/subaccount/email/", map[string]string{
		"X-SubAccount-ApiKey": s.SubAccounts[0].APIKey, "Idempotency-Key": key}, email, &sent)
	switch {
	case err != nil || status == http.StatusConflict || status >= 500:
		return false
	case status != http.StatusOK || len(sent) != 1:
		r.t.Errorf("%s: status %d, %+v", key, status, sent)
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.answers[key]; before != "" && before != sent[0].MessageID {
		r.t.Errorf("%s was answered with %s, then with %s", key, before, sent[0].MessageID)
	}
	r.answers[key] = sent[0].MessageID
	if header.Get("Idempotent-Replayed") == "true" {
		r.again++
	}
	select {
	case r.fresh <- struct{}{}:
	default:
	}
	return true
}

// sendUntil goes on with key n of a sender, repeating each until it is answered, and returns the first that was not.
func (r *repeater) sendUntil(ctx context.Context, s *demo.Scene, sender, n int) int {
	for ctx.Err() == nil {
		if r.try(ctx, s.URL, s, fmt.Sprintf("k%d-%d", sender, n)) {
			n++
			continue
		}
		pause(ctx, 2*time.Millisecond)
	}
	return n
}

// check counts the messages to the address of each key: there must be the one that was answered.
func (r *repeater) check(s *demo.Scene) {
	r.t.Helper()
	for key, want := range r.answers {
		var events []struct{ MessageID string }
		status, err := call(r.t.Context(), http.MethodGet, s.URL+"/api/v1/account/event/?type=69&recipient="+address(key),
			map[string]string{"X-Account-ApiKey": s.AccountAPIKey}, nil, &events)
		if err != nil || status != http.StatusOK {
			r.t.Fatalf("events: %d (%v)", status, err)
		}
		if len(events) != 1 || events[0].MessageID != want {
			r.t.Errorf("%s: %d messages %v, want one, %s", key, len(events), events, want)
		}
	}
}

// TestKillUnderKeys kills the server again and again while clients send, and repeat what was not answered under the same key: each request is
// one message.
func TestKillUnderKeys(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); killUnderKeys(t) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); killUnderKeys(t, "--database", pgtest.Database(t)) })
}

func killUnderKeys(t *testing.T, args ...string) {
	args = append([]string{"demo", "--json", "--no-traffic", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--sandbox-listen", "127.0.0.1:0"}, args...)
	r, random := newRepeater(t), seeded(t)
	next := [senders]int{}
	const kills = 8
	for range kills {
		p := start(t, args...)
		scene := &demo.Scene{}
		p.decode(`"accountApiKey"`, scene)
		load, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for j := range next {
			running.Go(func() { next[j] = r.sendUntil(load, scene, j, next[j]) })
		}
		<-r.fresh
		<-time.After(time.Duration(random.IntN(150)) * time.Millisecond)
		p.kill()
		stop()
		running.Wait()
	}
	p := start(t, args...)
	scene := &demo.Scene{}
	p.decode(`"accountApiKey"`, scene)
	for j, n := range next { // what was not answered yet
		key := fmt.Sprintf("k%d-%d", j, n)
		eventually(t, key+" is answered", longest, func() bool { return r.try(t.Context(), scene.URL, scene, key) })
	}
	t.Logf("%d keys, %d answers were former ones", len(r.answers), r.again)
	r.check(scene)
	books(t, scene)
}

// TestNodesRaceForAKey sends each request to several nodes at once, while one of them is killed: it is one message, and every node that
// answers says which.
func TestNodesRaceForAKey(t *testing.T) {
	t.Parallel()
	var listening struct{ URL string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	c := newCluster(t, listening.URL)
	r := newRepeater(t)
	const keys, killedAt = 60, 30
	for i := range keys {
		key := fmt.Sprintf("race%d", i)
		if i == killedAt {
			killed := time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() { c.nodes[2].signal(syscall.SIGKILL) })
			defer killed.Stop()
		}
		var running sync.WaitGroup
		for _, n := range c.nodes {
			running.Go(func() {
				for try := range 100 {
					if r.try(t.Context(), "http://"+n.listen, c.scene, key) || n == c.nodes[2] {
						return
					}
					if try == 99 {
						t.Errorf("%s: no answer", key)
					}
					pause(t.Context(), 5*time.Millisecond)
				}
			})
		}
		running.Wait()
	}
	if len(r.answers) != keys {
		t.Errorf("%d of %d were answered", len(r.answers), keys)
	}
	t.Logf("%d answers were former ones", r.again)
	r.check(c.scene)
}
