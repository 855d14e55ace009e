package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"postyard/internal/client"
	"postyard/internal/provider"
)

// trial connects the sandbox with Postmark's test token.
func (s *stage) trial() client.TPSP {
	s.t.Helper()
	n := client.NewTPSP{Type: int(provider.Postmark), Name: "Trial", Key: " postmark_api_test ", Endpoint: s.SandboxURL, AllowRaw: true}
	streams, err := s.api.Streams(s.t.Context(), n)
	if err != nil || len(streams) != 1 || streams[0].ID != "outbound" {
		s.t.Fatalf("streams %+v, %v", streams, err)
	}
	n.MessageStream = streams[0].ID
	made, err := s.api.CreateTPSP(s.t.Context(), n)
	if err != nil {
		s.t.Fatal(err)
	}
	return made
}

// sendRaw sends one email without a template through a pool, and returns the messages' ids.
func (s *stage) sendRaw(pool string, to ...string) (ids []string) {
	s.t.Helper()
	email := client.Email{From: s.FirstEmail().From, Subject: "Hello", TextBody: "Hello", IPPool: pool}
	for _, address := range to {
		email.To = append(email.To, client.Recipient{Address: client.Address{Email: address}})
	}
	sent, err := s.api.Send(s.t.Context(), email)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range sent {
		ids = append(ids, m.MessageID)
	}
	return ids
}

// settled waits until no message is under way.
func (s *stage) settled() {
	s.t.Helper()
	waitFor(s.t, "all to be settled", func() bool {
		n, err := s.server.store.Backlog(s.t.Context())
		return err == nil && n == 0
	})
}

// TestTestToken connects a provider with Postmark's test token: mail is taken and stays sent, and nothing is asked in vain.
func TestTestToken(t *testing.T) {
	t.Parallel()
	w := newWard(t, impatient)
	made := w.trial()
	if h := made.WebhookStatus; h.State != "none" || !strings.Contains(h.Message, "test token") {
		t.Errorf("%+v", h)
	}
	ids := w.sendRaw(made.IPPool.Name, "a@gmail.com", "b@yahoo.com")
	for _, id := range ids {
		if got := w.events(id, 2); got != "[69 70]" {
			t.Errorf("events %s", got)
		}
		if e := w.explain(id); e.State != "sent" || len(e.Attempts) != 1 || w.arrived(id) != 0 {
			t.Errorf("%+v", e)
		}
	}
	w.settled()

	// An answer that was lost falls under the policy: nobody is asked.
	w.faults(fault{"kind": "reset_after", "path": "/email", "count": 1})
	doubt := w.sendRaw(made.IPPool.Name, "c@gmail.com")[0]
	if got := w.events(doubt, 2); got != "[69 70]" {
		t.Errorf("events %s", got)
	}
	if first := w.attempts(doubt)[0]; !strings.HasPrefix(first.Answer, "cannot be asked") || w.explain(doubt).Mark != "resent" {
		t.Errorf("%+v", first)
	}

	// A template is Postmark's to refuse.
	email := w.FirstEmail()
	email.IPPool, email.To = made.IPPool.Name, email.To[:1]
	email.TPSPTemplate = "no-such-template"
	sent, err := w.api.Send(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.events(sent[0].MessageID, 2); got != "[69 74]" {
		t.Errorf("a template: %s", got)
	}

	// Nothing is read back, and none of that fails.
	caught, err := w.api.CatchUp(t.Context(), client.CatchUp{Since: "1h", TPSPID: made.ID})
	if err != nil || len(caught) != 1 || caught[0].Error != "" || caught[0].Reports != 0 {
		t.Errorf("%+v, %v", caught, err)
	}
	err = w.api.Account(t.Context(), http.MethodPost, fmt.Sprintf("/api/v1/account/tpsp/%d/webhook", made.ID), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "by webhook") {
		t.Errorf("registering a webhook: %v", err)
	}
	d := w.examine(client.Examination{TPSPID: made.ID})
	if failing := d.ailing("fail", diagnosis{}); len(failing) != 0 || d.status["token"] != "warn" || !strings.Contains(d.words["token"], "test token") ||
		d.status["stream"] != "ok" || d.status["webhook"] != "ok" {
		t.Errorf("%v: %v", failing, d.words)
	}
	w.settled()
	w.balanced()

	// A real token makes a real provider of it, and the test token a trial again.
	key := "another-server"
	w.control(http.MethodPost, "/sandbox/servers", fault{"name": "Another", "token": key}, nil)
	if now, err := w.api.UpdateTPSP(t.Context(), made.ID, client.TPSPChange{Key: &key}); err != nil || now.WebhookStatus.State != "registered" {
		t.Fatalf("%+v, %v", now.WebhookStatus, err)
	}
	delivered := w.sendRaw(made.IPPool.Name, "d@gmail.com")
	w.want("[69 70 71]", 1, delivered...)
	key = "POSTMARK_API_TEST"
	if now, err := w.api.UpdateTPSP(t.Context(), made.ID, client.TPSPChange{Key: &key}); err != nil || now.WebhookStatus.State != "none" {
		t.Fatalf("%+v, %v", now.WebhookStatus, err)
	}
	var servers []struct {
		Token    string
		Webhooks int
	}
	w.control(http.MethodGet, "/sandbox/servers", nil, &servers)
	for _, v := range servers {
		if v.Token == "another-server" && v.Webhooks != 0 {
			t.Errorf("%d webhooks are left", v.Webhooks)
		}
	}
	// What a pass met in the middle of a change has its next one in minutes: this one is asked for.
	waitFor(t, "a reading", func() bool {
		caught, err := w.api.CatchUp(t.Context(), client.CatchUp{Since: "1h", TPSPID: made.ID})
		return err == nil && len(caught) == 1 && caught[0].Error == "" // an error while another one is under way
	})
	if err := w.api.DeleteTPSP(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
	w.balanced()
}
