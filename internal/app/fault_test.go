package app

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postyard/internal/config"
)

// TestFaults breaks the provider in every way that the sandbox knows, while messages are on their way. Each must arrive once.
func TestFaults(t *testing.T) {
	t.Parallel()
	rules := map[string]fault{
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
		"an answer that drips":            {"kind": "drip", "count": 1},
		"an answer to something else":     {"kind": "status", "status": 200, "count": 1, "body": "[]"},
		"a page of the hotel's network":   {"kind": "status", "status": 200, "count": 1, "body": "<html>hi</html>", "contentType": "text/html"},
		"a batch refused":                 {"kind": "status", "status": 422, "errorCode": 402, "path": "/email/batch"},
	}
	const stages = 4 // a server costs more than most faults
	names := slices.Sorted(maps.Keys(rules))
	for n := range stages {
		t.Run(fmt.Sprintf("stage %d", n), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			for i := n; i < len(names); i += stages {
				t.Run(names[i], func(t *testing.T) { s.as(t).survive(rules[names[i]]) })
			}
		})
	}
}

// survive sends some mail while the provider has a fault.
func (s *stage) survive(rule fault) {
	s.t.Helper()
	if rule["path"] == nil {
		rule["path"] = "/email"
	}
	s.faults(rule)
	s.want("[69 70 71]", 1, s.send("a@gmail.com", "b@yahoo.com", "c@example.net")...)
}

// TestRefusals are about the message: it is dropped, with the provider's words.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for name, rule := range map[string]fault{
		"an invalid field": {"status": 422, "errorCode": 300}, "no such template": {"status": 422, "errorCode": 1101},
		"an inactive recipient": {"status": 422, "errorCode": 406}, "nothing but a status": {"status": 400},
	} {
		rule["kind"], rule["path"], rule["count"] = "status", "/email", 1
		s.faults(rule)
		id := s.send(strings.ReplaceAll(name, " ", ".") + "@gmail.com")[0] // who is inactive is suppressed from then on
		s.want("[69 74]", 0, id)
		if e := s.explain(id); e.State != "dropped" || len(e.Attempts) != 1 {
			t.Errorf("%s: %+v", name, e)
		}
	}
	waitFor(t, "the provider to be well", func() bool { return s.health() == "ok: " })
}

// TestABadMessageStandsAlone: the provider refuses whole batches while one message is in them.
func TestABadMessageStandsAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.faults(fault{"kind": "status", "status": 422, "errorCode": 402, "path": "/email/batch"})
	ids := s.send(addresses(12)...)
	s.want("[69 70 71]", 1, ids...)
	s.faults(fault{"kind": "status", "status": 422, "errorCode": 300, "path": "/email/withTemplate", "count": 1},
		fault{"kind": "status", "status": 422, "errorCode": 402, "path": "/email/batch", "count": 3})
	dropped := 0
	for _, id := range s.send(addresses(8)...) { // halved to one, which is the bad one
		switch got := s.events(id, 2); {
		case got == "[69 74]" && s.arrived(id) == 0:
			dropped++
		default:
			s.want("[69 70 71]", 1, id)
		}
	}
	if dropped != 1 {
		t.Errorf("%d dropped, want the bad one", dropped)
	}
}

// addresses returns n recipients.
func addresses(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("u%d@%s", i, domains[i%len(domains)])
	}
	return list
}

// TestAccountFault stops the provider, says why, keeps the mail, and goes on by itself when the provider does.
func TestAccountFault(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.faults(fault{"path": "/email", "kind": "status", "status": 401})
	ids := s.send("a@gmail.com", "b@gmail.com")
	waitFor(t, "the provider to stop", func() bool { return strings.HasPrefix(s.health(), "stopped: ") })
	if health := s.health(); !strings.Contains(health, "token") {
		t.Errorf("health %q does not give the provider's words", health)
	}
	s.faults()
	s.want("[69 70 71]", 1, ids...)
	waitFor(t, "the provider to be used again", func() bool { return s.health() == "ok: " })
}

// TestMixedBatch sends one request whose recipients fare differently.
func TestMixedBatch(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	inactive := "inactive@example.net"
	s.synced()
	s.list(http.MethodPost, "", entry(inactive)) // which is not known here
	ids := s.send("a@gmail.com", inactive, "b@yahoo.com")
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
