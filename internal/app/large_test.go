package app

import (
	"net/http"
	"strings"
	"testing"

	"postyard/internal/client"
)

// TestTooLargeOnceRendered has a message grow beyond what Postmark takes when it is given what a template looks like: it is not put on the
// wire there, but goes to the provider that has the template, or is dropped with words that say why. What leaves beside it arrives.
func TestTooLargeOnceRendered(t *testing.T) {
	t.Parallel()
	s := newStage(t, large)
	made := s.trial() // it has no template
	templatesAPI(t, s.SandboxURL, http.MethodPost, "", map[string]any{"Name": "Large", "Alias": "large", "Subject": "Large",
		"HtmlBody": "<p>" + strings.Repeat("words ", 120_000) + "</p>"})
	if _, err := s.api.SyncTemplates(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.api.Account(t.Context(), http.MethodPost, "/api/v1/account/ippool",
		map[string]any{"name": "both", "tpsps": []int32{made.ID, s.TPSPID}, "warmupInterval": 24}, nil); err != nil {
		t.Fatal(err)
	}
	send := func(pool string) (ids []string) {
		var sent []client.Sent
		if err := s.api.SubAccount(t.Context(), http.MethodPost, "/api/v1/subaccount/email/", map[string]any{
			"from": s.FirstEmail().From, "ippool": pool, "tpspTemplate": "large",
			"to":          []map[string]string{{"email": "a@gmail.com"}, {"email": "b@gmail.com"}},
			"attachments": []map[string]string{{"filename": "a.pdf", "content": strings.Repeat("A", 9_900_000)}},
		}, &sent); err != nil {
			t.Fatal(err)
		}
		for _, m := range sent {
			ids = append(ids, m.MessageID)
		}
		return ids
	}
	const words = "attachments in base64 included; Postmark takes 10485760"
	elsewhere := 0
	for _, id := range send("both") {
		s.want("[69 70 71]", 1, id)
		for _, a := range s.explain(id).Attempts {
			if strings.Contains(a.Text, words) {
				elsewhere++
			}
		}
	}
	if elsewhere == 0 {
		t.Error("no message went to the provider that cannot carry it")
	}
	small := s.sendRaw(made.IPPool.Name, "c@gmail.com")[0]
	for _, id := range send(made.IPPool.Name) {
		if got := s.events(id, 2); got != "[69 74]" {
			t.Errorf("events %s", got)
		}
		events, err := s.api.MessageEvents(t.Context(), id)
		if err != nil || !strings.Contains(events[1].SMTPDescription, words) {
			t.Errorf("%+v, %v", events, err)
		}
	}
	if got := s.events(small, 2); got != "[69 70]" {
		t.Errorf("the small one: %s", got)
	}
	s.settled()
	s.balanced()
}
