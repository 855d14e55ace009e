package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"postyard/internal/client"
)

// inState counts how many of some messages are in a state.
func (s *stage) inState(state string, ids []string) (n int) {
	s.t.Helper()
	for _, id := range ids {
		if s.explain(id).State == state {
			n++
		}
	}
	return n
}

// balanced checks the books.
func (s *stage) balanced() {
	s.t.Helper()
	if v, err := s.api.Verify(s.t.Context(), time.Hour); err != nil || !v.OK {
		s.t.Errorf("the books: %+v (%v)", v, err)
	}
}

func (s *stage) change(change client.TPSPChange) {
	s.t.Helper()
	if _, err := s.api.UpdateTPSP(s.t.Context(), s.TPSPID, change); err != nil {
		s.t.Fatal(err)
	}
}

// waitsFor checks why a message waits.
func (s *stage) waitsFor(id, reason string) {
	s.t.Helper()
	if got := s.explain(id); got.State != "queued" || !strings.Contains(got.Waiting, reason) {
		s.t.Errorf("%s waits: %q, want %q", got.State, got.Waiting, reason)
	}
}

// TestLimitHolds lets three of five messages out; the others say why they wait, and leave when the limit is raised.
func TestLimitHolds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	three, ten := 3, 10
	s.change(client.TPSPChange{RatePerHour: &three})
	ids := s.send("a@gmail.com", "b@gmail.com", "c@yahoo.com", "d@yahoo.com", "e@example.com")
	waitFor(t, "three to arrive", func() bool { return s.inState("delivered", ids) == 3 })
	for _, id := range ids {
		if s.explain(id).State == "queued" {
			s.waitsFor(id, "the provider's limit of 3 messages an hour is reached")
		}
	}
	var full struct {
		Usage struct {
			Total     int
			Mailboxes map[string]int
		}
	}
	path := fmt.Sprintf("/api/v1/account/tpsp/%d", s.TPSPID)
	if err := s.api.Account(t.Context(), http.MethodGet, path, nil, &full); err != nil || full.Usage.Total != 3 {
		t.Errorf("%+v, %v", full, err)
	}
	if n := s.inState("queued", ids); n != 2 {
		t.Errorf("%d wait", n)
	}
	began := time.Now()
	s.change(client.TPSPChange{RatePerHour: &ten})
	s.want("[69 70 71]", 1, ids...)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("they left after %s", took)
	}
	// A limit to one mailbox provider holds the mail to that one alone.
	s.change(client.TPSPChange{MailboxLimits: map[string]int{"gmail": 2}})
	held, free := s.send("f@gmail.com")[0], s.send("g@example.com")[0]
	s.want("[69 70 71]", 1, free)
	s.waitsFor(held, "the provider's limit of 2 messages an hour to gmail is reached")
	s.change(client.TPSPChange{MailboxLimits: map[string]int{"gmail": 0}})
	s.want("[69 70 71]", 1, held)
	s.balanced()
}

// TestDrillAndPauses has the only provider away, by a drill and by a pause, and the pool and the sub-account paused: mail is taken,
// waits, says why, and leaves at once when that is over.
func TestDrillAndPauses(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	pool := s.poolID()
	drill := func(seconds int) error { return s.api.Drill(t.Context(), s.TPSPID, seconds, nil) }
	active := func(on bool) error {
		_, err := s.api.UpdateTPSP(t.Context(), s.TPSPID, client.TPSPChange{Active: &on})
		return err
	}
	for name, brake := range map[string]struct {
		on, off func() error
		says    string
	}{
		"drill":       {func() error { return drill(60) }, func() error { return drill(0) }, "an outage of the provider is rehearsed until "},
		"provider":    {func() error { return active(false) }, func() error { return active(true) }, "the provider is paused"},
		"pool":        {func() error { return s.api.PausePool(t.Context(), pool, true) }, func() error { return s.api.PausePool(t.Context(), pool, false) }, `the IP pool "` + s.Pool + `" is paused`},
		"sub-account": {func() error { return s.api.PauseSubAccount(t.Context(), s.SubAccounts[0].ID, true) }, func() error { return s.api.PauseSubAccount(t.Context(), s.SubAccounts[0].ID, false) }, "is paused"},
	} {
		if err := brake.on(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ids := s.send(name+"-a@gmail.com", name+"-b@example.com")
		for _, id := range ids {
			s.waitsFor(id, brake.says)
		}
		began := time.Now()
		if err := brake.off(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.want("[69 70 71]", 1, ids...)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: they left after %s", name, took)
		}
	}
	s.balanced()
}

func (s *stage) poolID() int32 {
	s.t.Helper()
	pools, err := s.api.Pools(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range pools {
		if p.Name == s.Pool {
			return p.ID
		}
	}
	s.t.Fatalf("no pool %s", s.Pool)
	return 0
}

// TestADrillEnds by itself.
func TestADrillEnds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if err := s.api.Drill(t.Context(), s.TPSPID, 2, nil); err != nil {
		t.Fatal(err)
	}
	id := s.send("ana@gmail.com")[0]
	began := time.Now()
	s.want("[69 70 71]", 1, id)
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("it left after %s", took)
	}
}

// TestCancelWhileMailFlows cancels again and again while mail is accepted, sent and refused: every message has either arrived or
// is dropped, and the books balance.
func TestCancelWhileMailFlows(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.faults(fault{"kind": "status", "status": 503, "path": "/email", "probability": 0.2})
	pool, ids := s.poolID(), []string(nil)
	var cancelled int64
	for round := range 8 {
		if err := s.api.PausePool(t.Context(), pool, round%3 == 0); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			ids = append(ids, s.send(fmt.Sprintf("a%d-%d@gmail.com", round, i), fmt.Sprintf("b%d-%d@example.com", round, i))...)
		}
		done, err := s.api.Cancel(t.Context(), client.Cancel{IPPool: s.Pool})
		if err != nil || done.Cancelled > done.Matched {
			t.Fatalf("%+v, %v", done, err)
		}
		cancelled += done.Cancelled
	}
	s.faults()
	if err := s.api.PausePool(t.Context(), pool, false); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "an end of every message", func() bool { return s.inState("delivered", ids)+s.inState("dropped", ids) == len(ids) })
	for _, id := range ids {
		want := 1
		if s.explain(id).State == "dropped" {
			want = 0
		}
		if n := s.arrived(id); n != want {
			t.Errorf("%s: %s, and arrived %d times", id, s.explain(id).State, n)
		}
	}
	if n := s.inState("dropped", ids); int64(n) != cancelled || n < 30 {
		t.Errorf("%d were dropped, and %d cancelled", n, cancelled)
	}
	s.balanced()
}
