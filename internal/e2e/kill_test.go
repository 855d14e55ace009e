package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"postyard/internal/demo"
	"postyard/internal/store/postgres/pgtest"
)

// senders is how many clients send at once while servers are killed.
const senders = 6

// chaosTime is how long the loops of faults go on; `make chaos` sets it.
const (
	chaosTime    = "POSTYARD_CHAOS_TIME"
	defaultChaos = 8 * time.Second
)

// leastKills is how often a loop kills at least, however slow the machine is.
const leastKills = 8

// chaos returns how long a loop of faults is to go on.
func chaos(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(chaosTime)
	if text == "" {
		return defaultChaos
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", chaosTime, err)
	}
	return d
}

// pace is how long a client waits between two messages: not at all in a long run, and so long in a short one that loops beside each other do
// not take the machine from each other.
func pace() time.Duration {
	if os.Getenv(chaosTime) != "" {
		return 0
	}
	return 15 * time.Millisecond
}

// seeded returns random numbers, and logs the seed that gives them again.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestKill kills the server again and again while messages are accepted and sent, with the sandbox as the witness.
func TestKill(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		killLoop(t, "--sandbox-url", witness(t))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		killLoop(t, "--sandbox-url", witness(t), "--database", pgtest.Database(t))
	})
	t.Run("SQLite, with the sandbox", func(t *testing.T) {
		t.Parallel()
		killLoop(t, "--sandbox-listen", "127.0.0.1:0")
	})
}

// witness starts a sandbox that outlives the servers, and is in trouble itself.
func witness(t *testing.T) (url string) {
	t.Helper()
	var listening struct{ URL string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	unsettle(t, listening.URL)
	return listening.URL
}

func killLoop(t *testing.T, args ...string) {
	args = append([]string{"demo", "--json", "--no-traffic", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, args...)
	acknowledged, random := newLedger(), seeded(t)
	kills := 0
	for end := time.Now().Add(chaos(t)); kills < leastKills || time.Now().Before(end); kills++ {
		p := start(t, args...)
		scene := &demo.Scene{}
		p.decode(`"accountApiKey"`, scene)
		load, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for j := range senders {
			running.Go(func() { acknowledged.sendUntil(load, t, scene, fmt.Sprintf("u%d-%d", kills, j)) })
		}
		acknowledged.waitFor(t, 20) // at least something is on its way
		if kills%50 == 0 {
			books(t, scene) // they balance at any moment
		}
		<-time.After(time.Duration(random.IntN(400)) * time.Millisecond)
		p.kill()
		stop()
		running.Wait()
	}
	t.Logf("%d kills", kills)
	p := start(t, args...)
	scene := &demo.Scene{}
	p.decode(`"accountApiKey"`, scene)
	calm(t, scene.SandboxURL)
	acknowledged.settle(t, scene, 2*time.Minute+chaos(t)) // what was on the wire at a kill is asked for, in rounds
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}
