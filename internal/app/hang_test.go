package app

import (
	"strings"
	"testing"
	"time"

	"postyard/internal/config"
)

// short has calls that hang end soon.
func short(cfg *config.Config, _ *Server) { cfg.CallTimeout = time.Second }

// TestAHangingProvider is noticed by a single message, gets no more mail but probes, and is used again by itself.
func TestAHangingProvider(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.faults(fault{"kind": "hang", "path": "/email"})
	began := time.Now()
	first := s.send("a@gmail.com")
	waitFor(t, "the hang to show", func() bool { return strings.HasPrefix(s.health(), "stopped: the provider hangs: no answer for 1s") })
	if took := time.Since(began); took > patience+9*time.Second {
		t.Errorf("noticed after %s", took)
	}
	more := s.send("b@gmail.com", "c@yahoo.com")
	for _, id := range more {
		if e := s.explain(id); len(e.Attempts) == 0 && !strings.Contains(e.Waiting, "the provider is not used for now") {
			t.Errorf("%+v", e)
		}
	}
	s.faults()
	s.want("[69 70 71]", 1, append(first, more...)...)
	waitFor(t, "the provider to be used again", func() bool { return s.health() == "ok: " })
}

// TestAHangOfHours: call after call hangs to its end, some of them after the provider has taken the mail. Nothing is lost or
// sent twice, and when the provider comes back, all is sent.
func TestAHangOfHours(t *testing.T) {
	t.Parallel()
	s := newStage(t, short)
	s.faults(fault{"kind": "hang", "path": "/email", "count": 3}, fault{"kind": "drip", "path": "/email", "count": 1}, fault{"kind": "hang", "path": "/email"})
	ids := s.send(addresses(30)...)
	end := time.After(8 * time.Second) // calls, probes, and questions about both
	for going := true; going; {
		select {
		case <-end:
			going = false
		case <-time.After(time.Second):
			ids = append(ids, s.send("more@gmail.com")...)
		}
	}
	// Between a probe, which is answered, and the trial's message, which is not, it counts as well for a moment.
	waitFor(t, "the provider to be stopped", func() bool { return strings.HasPrefix(s.health(), "stopped: ") })
	s.faults()
	s.want("[69 70 71]", 1, ids...)
}
