package app

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"postyard/internal/config"
	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// never has the provider asked so late that something else must come first.
func never(cfg *config.Config, _ *Server) {
	cfg.AskAfter, cfg.AmbiguousWait = []time.Duration{10 * time.Minute}, time.Hour
}

// large has all messages go out together, and gives the questions about them time.
func large(cfg *config.Config, _ *Server) { cfg.BatchSize, cfg.CallTimeout = 500, 30*time.Second }

// impatient gives up on a provider that cannot say what it has.
func impatient(cfg *config.Config, _ *Server) { cfg.AmbiguousWait = 1200 * time.Millisecond }

// TestManyInDoubt loses the answers to many messages at once. The provider has them all, and says so within seconds.
func TestManyInDoubt(t *testing.T) {
	t.Parallel()
	s := newStage(t, large)
	s.settings(fault{"dropWebhooks": true, "searchLagMs": 300})
	s.faults(fault{"kind": "reset_after", "path": "/email", "count": 3})
	ids := s.send(addresses(500)...)
	began := time.Now()
	waitFor(t, "the answers", func() bool {
		left, err := s.server.store.Backlog(t.Context())
		return err == nil && left == 0
	})
	t.Logf("settled after %s", time.Since(began))
	entries, err := s.server.store.Entries(t.Context(), s.AccountID, mail.ID{}, 1000)
	if err != nil || len(entries) != len(ids) {
		t.Fatalf("%d messages, %v", len(entries), err)
	}
	for _, e := range entries {
		if e.State != lifecycle.Sent || e.Mark != store.MarkNone || len(e.Events) != 2 || e.ProviderID == "" {
			t.Errorf("%+v", e)
		}
	}
	var box struct{ Total int }
	s.control(http.MethodGet, "/sandbox/messages?limit=0", nil, &box)
	if box.Total != len(ids) {
		t.Errorf("%d arrived of %d", box.Total, len(ids))
	}
}

// TestAnEventSettles a message whose outcome is unknown, long before anybody asks.
func TestAnEventSettles(t *testing.T) {
	t.Parallel()
	s := newStage(t, never)
	s.faults(fault{"kind": "reset_after", "path": "/email", "count": 1})
	ids := s.send("a@gmail.com", "b@gmail.com")
	s.want("[69 70 71]", 1, ids...)
	if e := s.explain(ids[0]); e.State != "delivered" || len(e.Attempts) != 1 || e.Mark != "" {
		t.Errorf("%+v", e)
	}
}

// TestAnEventDuringTheQuestion settles the message; the answer that comes later changes nothing.
func TestAnEventDuringTheQuestion(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.settings(fault{"dropWebhooks": true})
	s.faults(fault{"kind": "reset_after", "path": "/email", "count": 1}, fault{"kind": "drip", "path": "/messages", "count": 1})
	id := s.send("a@gmail.com")[0]
	waitFor(t, "the question", func() bool {
		var left []fault
		s.control(http.MethodGet, "/sandbox/faults", nil, &left)
		return len(left) == 0
	})
	s.report(record("Delivery", id, "a@gmail.com", time.Now()))
	s.want("[69 70 71]", 1, id)
	waitFor(t, "the answer", func() bool { return s.attempts(id)[0].Answer != "" })
	s.want("[69 70 71]", 1, id)
	if e := s.explain(id); e.State != "delivered" || len(e.Attempts) != 1 {
		t.Errorf("%+v", e)
	}
}

// attempts reads the attempts of a message from the store.
func (s *stage) attempts(id string) []store.Attempt {
	s.t.Helper()
	list, err := s.server.store.Attempts(s.t.Context(), s.AccountID, parseID(s.t, id))
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func parseID(t *testing.T, text string) (id mail.ID) {
	t.Helper()
	if err := id.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestPolicies decide about a message that the provider cannot answer for.
func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		policy        directory.Policy
		mark, answer  string
		types, events string
		arrived       int
	}{
		{directory.AtLeastOnce, "resent", "; policy at-least-once: sent again", "[69 70]", "", 2},
		{directory.AtMostOnce, "unconfirmed", "; policy at-most-once: left as sent", "[69 70]", "nobody confirmed that the provider has it", 1},
	} {
		t.Run(test.policy.String(), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, impatient)
			s.follow(test.policy)
			s.settings(fault{"dropWebhooks": true})
			s.faults(fault{"kind": "reset_after", "path": "/email", "count": 1}, fault{"kind": "status", "status": 500, "path": "/messages"})
			id := s.send("a@gmail.com")[0]
			waitFor(t, "the question to show", func() bool { return strings.Contains(s.explain(id).Waiting, "could not say") })
			s.want(test.types, test.arrived, id)
			if e := s.explain(id); e.Mark != test.mark || e.State != "sent" {
				t.Errorf("%+v", e)
			}
			first := s.attempts(id)[0]
			if first.Class.String() != "ambiguous" || first.Text == "" || !strings.HasPrefix(first.Answer, "could not say: ") || !strings.HasSuffix(first.Answer, test.answer) {
				t.Errorf("attempt %+v", first)
			}
			events, err := s.api.MessageEvents(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if got := events[len(events)-1].SMTPDescription; !strings.Contains(got, test.events) {
				t.Errorf("sent event says %q", got)
			}
		})
	}
}

// follow gives the provider a policy.
func (s *stage) follow(p directory.Policy) {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	changed := *s.server.directory.Current().TPSP(s.AccountID, s.TPSPID)
	changed.Policy = p
	if err := s.server.store.UpdateTPSP(ctx, &changed); err != nil {
		s.t.Fatal(err)
	}
	if err := s.server.directory.Reload(ctx); err != nil {
		s.t.Fatal(err)
	}
}
