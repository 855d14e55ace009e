package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/provider/toy"
)

// A provider that nobody knows is one folder and one line of the registry: it is connected through the API, gets its webhook, carries
// mail, and its events and statistics are there.
func TestToyProvider(t *testing.T) {
	t.Parallel()
	const key = "toy-api-key"
	account := &toy.Server{Key: key, Refused: map[string]bool{"nobody@example.net": true}}
	server := httptest.NewServer(account)
	t.Cleanup(server.Close)
	s := newStage(t, func(_ *config.Config, server *Server) {
		if server != nil {
			server.adapters[toy.Type] = toy.New(toy.Config{Transport: server.transport, AllowPrivate: true}) // the line
		}
	})
	made, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(toy.Type), Name: "My toy", Key: key, Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if made.WebhookStatus.State != "registered" || made.IPPool.Name != "my-toy-pool" {
		t.Errorf("%+v", made)
	}
	email := client.Email{From: client.Address{Email: "shop@example.com"}, IPPool: made.IPPool.Name, Subject: "Hello", TextBody: "Hello"}
	for _, name := range []string{"reader", "gone", "angry", "nobody"} {
		email.To = append(email.To, client.Recipient{Address: client.Address{Email: name + "@example.net"}})
	}
	sent, err := s.api.Send(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the mails", func() bool { return len(account.Mails()) == 3 })
	for i, words := range [][]string{{"delivered", "opened", "clicked", "sneezed"}, {"bounced"}, {"delivered", "complained"}} {
		for _, word := range words {
			if err := account.Report(t.Context(), http.DefaultClient, sent[i].MessageID, word); err != nil {
				t.Fatalf("%s: %v", word, err)
			}
		}
	}
	for i, want := range []string{"[0 9 2 5 6]", "[0 9 4]", "[0 9 2 8]", "[0 1]"} {
		if got := s.events(sent[i].MessageID, strings.Count(want, " ")+1); got != want {
			t.Errorf("events of message %d: %s, want %s", i, got, want)
		}
	}
	var figures client.Totals
	today := time.Now().UTC()
	if err := s.api.Stats(t.Context(), client.StatsQuery{By: "total", TPSPID: made.ID, From: today.AddDate(0, 0, -1).Format(time.DateOnly), To: today.Format(time.DateOnly)}, &figures); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("3 sent, 2 delivered, 1 dropped, 1 bounced, 1 opened, 1 clicked", fmt.Sprintf("%d sent, %d delivered, %d dropped, %d bounced, %d opened, %d clicked",
		figures.Sent, figures.Delivered, figures.Dropped, figures.HardBounced, figures.Opened, figures.Clicked)); diff != "" {
		t.Error(diff)
	}
	var events []client.Event
	if err := s.api.Account(t.Context(), http.MethodGet, "/api/v1/account/event/?provider=toy", nil, &events); err != nil || len(events) != 14 {
		t.Errorf("%d events by the provider's name, %v", len(events), err)
	}
	for address, reason := range map[string]string{"gone@example.net": "2", "angry@example.net": "3", "reader@example.net": ""} { // hard bounce, spam complaint
		if got := s.suppressed(s.api, address); got != reason {
			t.Errorf("%s is suppressed for %q, want %q", address, got, reason)
		}
	}
	s.balances()
	if err := s.api.DeleteTPSP(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
	if err := account.Report(t.Context(), http.DefaultClient, sent[0].MessageID, "opened"); err != nil {
		t.Errorf("the webhook is not gone: %v", err)
	}
}

// TestToyIsOneFolder: nothing of the program knows the toy provider, so nothing of it had to be changed for it.
func TestToyIsOneFolder(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(filepath.ToSlash(path), "internal/provider/toy/") {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), "provider/toy") {
			t.Errorf("%s knows the toy provider", path)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("%d files, %v", files, err)
	}
}
