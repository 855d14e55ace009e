package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/directory"
)

// unhurried asks so late about messages in doubt that a provider can be moved before.
func unhurried(cfg *config.Config, _ *Server) {
	cfg.AskAfter, cfg.BatchSize = []time.Duration{3 * time.Second, 4 * time.Second}, 10
}

func (s *stage) tpsp() *directory.TPSP {
	s.t.Helper()
	return s.server.directory.Current().AnyTPSP(s.TPSPID)
}

// TestMoveUnderLoad gives a provider another server's token and another stream while mail flows and the outcome of some of it is unknown:
// the old server is asked about that, and nothing arrives twice or not at all.
func TestMoveUnderLoad(t *testing.T) {
	t.Parallel()
	s := newStage(t, unhurried)
	const token = "another-server"
	s.control(http.MethodPost, "/sandbox/servers", fault{"name": "Another", "token": token}, nil)
	s.settings(fault{"dropWebhooks": true}) // no event settles what is in doubt
	var sending sync.WaitGroup
	var mu sync.Mutex
	var ids []string
	halt := make(chan struct{})
	for n := range 2 {
		sending.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-halt:
					return
				case <-time.After(20 * time.Millisecond):
				}
				sent := s.send(fmt.Sprintf("a%d.%d@gmail.com", n, k), fmt.Sprintf("b%d.%d@yahoo.com", n, k))
				mu.Lock()
				ids = append(ids, sent...)
				mu.Unlock()
			}
		})
	}
	arrived := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(ids) >= n }
	}
	waitFor(t, "mail", arrived(20))
	s.faults(fault{"kind": "reset_after", "path": "/email", "count": 2})
	doubt := s.send("doubt1@gmail.com", "doubt2@gmail.com", "doubt3@gmail.com")
	var left []fault
	waitFor(t, "answers to be lost", func() bool {
		s.control(http.MethodGet, "/sandbox/faults", nil, &left)
		return len(left) == 0
	})
	// Catching up would settle what is in doubt as well: it has to wait.
	lease := fmt.Sprintf("catch-up/%d", s.TPSPID)
	if held, err := s.server.store.Lease(t.Context(), lease, "test", time.Hour); err != nil || !held {
		t.Fatal(held, err)
	}
	old := s.tpsp()
	key, stream := token, "broadcast"
	changed, err := s.api.UpdateTPSP(t.Context(), s.TPSPID, client.TPSPChange{Key: &key, MessageStream: &stream})
	if err != nil {
		t.Fatal(err)
	}
	if changed.MessageStream != stream || changed.WebhookStatus.State != "registered" {
		t.Errorf("%+v", changed)
	}
	mu.Lock()
	before := len(ids)
	mu.Unlock()
	waitFor(t, "mail at the other server", arrived(before+20))
	close(halt)
	sending.Wait()
	ids = append(ids, doubt...)
	waitFor(t, "all to be settled", func() bool {
		n, err := s.server.store.Backlog(t.Context())
		return err == nil && n == 0
	})
	unknown := 0
	for _, id := range ids {
		if n := s.arrived(id); n != 1 {
			t.Errorf("%s arrived %d times", id, n)
		}
		e := s.explain(id)
		if e.Mark != "" || len(e.Attempts) != 1 {
			t.Errorf("%+v", e)
		}
		if s.attempts(id)[0].Answer == "has it" {
			unknown++
		}
	}
	if unknown == 0 {
		t.Error("nothing was in doubt")
	}
	t.Logf("%d messages, %d in doubt", len(ids), unknown)

	// The webhook moved with it.
	var servers []struct {
		Token    string
		Webhooks int
	}
	s.control(http.MethodGet, "/sandbox/servers", nil, &servers)
	for _, v := range servers {
		if want := map[bool]int{true: 1, false: 0}[v.Token == token]; v.Token != "" && v.Webhooks != want {
			t.Errorf("%d webhooks at the server %s", v.Webhooks, v.Token)
		}
	}
	now := s.tpsp()
	if len(now.Past) != 1 || now.Past[0].Removed.IsZero() || now.Webhook.Username == old.Webhook.Username || now.Past[0].Username != old.Webhook.Username {
		t.Errorf("%+v", now)
	}
	// A report that the provider repeats now still carries the old credentials.
	s.reportAs(now.As(&now.Past[0]), record("Open", doubt[0], "doubt1@gmail.com", time.Now()), http.StatusOK)
	waitFor(t, "the late open", func() bool { return slices.Contains(s.types(doubt[0]), 75) })
	// What the old server did not report, it tells when it is asked.
	if err := s.server.store.Release(t.Context(), lease, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.api.CatchUp(t.Context(), client.CatchUp{Since: "1h", TPSPID: s.TPSPID}); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if types := s.types(id); !slices.Contains(types, 71) {
			t.Errorf("%s: %v", id, types)
		}
	}
}

// TestRecreatedProvider has an event come late, after its provider was deleted and connected anew: it counts for the one that sent the mail.
func TestRecreatedProvider(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.settings(fault{"dropWebhooks": true})
	id := s.send("a@gmail.com")[0]
	s.want("[69 70]", 1, id)
	old := s.TPSPID
	if err := s.api.DeleteTPSP(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	made, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: 4, Name: "Again", Key: s.SandboxToken, Endpoint: s.SandboxURL, MessageStream: s.Stream})
	if err != nil {
		t.Fatal(err)
	}
	s.TPSPID = made.ID
	late := func(kind, tpsp string) {
		var r map[string]any
		if err := json.Unmarshal([]byte(record(kind, id, "a@gmail.com", time.Now())), &r); err != nil {
			t.Fatal(err)
		}
		r["Metadata"] = map[string]string{"messageId": id, "tpspId": tpsp}
		body, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		s.reportAs(s.tpsp(), string(body), http.StatusOK)
	}
	late("Delivery", fmt.Sprint(old))
	late("Open", "999") // no provider of the account's: it counts for the one that brought it
	s.events(id, 4)
	list, err := s.api.MessageEvents(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int32{old, old, old, made.ID} {
		if list[i].TPSPID != want {
			t.Errorf("event %d of %d counts for provider %d, want %d", i, list[i].Type, list[i].TPSPID, want)
		}
	}
}
