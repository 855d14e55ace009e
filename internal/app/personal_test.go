package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/sandbox"
	"postyard/internal/store"
)

// The same message, personalised, arrives through a mail server, through Postmark without a template, and through any other provider.
func TestPersonalised(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *config.Config, server *Server) {
		c.SMTPListen = "127.0.0.1:0"
		if server != nil {
			server.templates.Unsubscribe = func(j *store.Job, e route.Egress) string { return "https://example.com/u/" + j.Recipient.Email }
		}
	})
	otherURL := otherSandbox(t)
	raw, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.Postmark), Name: "Raw", Key: sandbox.DemoServerToken, Endpoint: otherURL,
		MessageStream: "broadcast", AllowRaw: true})
	if err != nil {
		t.Fatal(err)
	}
	smtp, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.CustomSMTP), Name: "Server", Key: s.SMTP.User, Secret: s.SMTP.Password,
		Endpoint: s.SMTP.URL})
	if err != nil {
		t.Fatal(err)
	}
	letter := func(pool string) client.Email {
		return client.Email{From: client.Address{Email: "shop@example.com"}, IPPool: pool, Subject: "{{name}}, {{order.count}} things",
			HTMLBody:     "<p>{{name}}: {{#each order.items}}<b>{{this}}</b>{{/each}} <a href=\"{{unsubscribe}}\">stop</a></p>",
			TextBody:     "{{name}}:\n{{#each order.items}}\n- {{this}}\n{{/each}}\n{{unsubscribe}}\n",
			CustomFields: map[string]any{"name": "all", "order": map[string]any{"count": 2, "items": []string{"tea", "<cup>"}}},
			To: []client.Recipient{{Address: client.Address{Email: "ana@example.net"}, CustomFields: map[string]any{"name": "Ana & Bo"}},
				{Address: client.Address{Email: "eve@example.net"}}}}
	}
	want := []seen{
		{"Ana & Bo, 2 things", "<p>Ana &amp; Bo: <b>tea</b><b>&lt;cup&gt;</b> <a href=\"https://example.com/u/ana@example.net\">stop</a></p>",
			"Ana & Bo:\n- tea\n- <cup>\nhttps://example.com/u/ana@example.net\n"},
		{"all, 2 things", "<p>all: <b>tea</b><b>&lt;cup&gt;</b> <a href=\"https://example.com/u/eve@example.net\">stop</a></p>",
			"all:\n- tea\n- <cup>\nhttps://example.com/u/eve@example.net\n"},
	}
	for _, through := range []struct{ pool, box string }{{smtp.IPPool.Name, s.SandboxURL}, {raw.IPPool.Name, otherURL}} {
		sent, err := s.api.Send(t.Context(), letter(through.pool))
		if err != nil {
			t.Fatal(err)
		}
		for i, one := range sent {
			got := s.sees(through.box, one.MessageID)
			got.Text = strings.ReplaceAll(got.Text, "\r\n", "\n")
			if diff := cmp.Diff(want[i], got); diff != "" {
				t.Errorf("%s: %s", through.pool, diff)
			}
		}
	}
	s.storedTemplate(smtp.IPPool.Name)
}

// storedTemplate sends with a template that is changed between acceptance and delivery: what was accepted leaves.
func (s *stage) storedTemplate(pool string) {
	s.t.Helper()
	brake := fmt.Sprint("/api/v1/account/subaccount/", s.SubAccounts[0].ID)
	var made struct {
		ID int32 `json:"id"`
	}
	if err := s.api.Account(s.t.Context(), http.MethodPost, "/api/v1/account/template/", map[string]any{"name": "Welcome Mail", "subject": "Welcome, {{name}}",
		"html": "<p>{{city}}</p>", "text": "{{city}}"}, &made); err != nil {
		s.t.Fatal(err)
	}
	if err := s.api.Account(s.t.Context(), http.MethodPost, brake+"/pause", nil, nil); err != nil {
		s.t.Fatal(err)
	}
	var sent []client.Sent
	if err := s.api.SubAccount(s.t.Context(), http.MethodPost, "/api/v1/subaccount/email/template", map[string]any{"from": map[string]any{"email": "shop@example.com"},
		"to":     []map[string]any{{"email": "ana@example.net", "customFields": map[string]any{"name": "Ana"}}},
		"ippool": pool, "template": "Welcome Mail", "templateVariables": map[string]any{"name": "you", "city": "Köln"}}, &sent); err != nil {
		s.t.Fatal(err)
	}
	path := fmt.Sprint("/api/v1/account/template/", made.ID)
	for _, call := range []struct {
		method string
		body   any
	}{{http.MethodPut, map[string]any{"html": "changed", "subject": "changed"}}, {http.MethodDelete, nil}} {
		if err := s.api.Account(s.t.Context(), call.method, path, call.body, nil); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.api.Account(s.t.Context(), http.MethodPost, brake+"/resume", nil, nil); err != nil {
		s.t.Fatal(err)
	}
	got := s.sees(s.SandboxURL, sent[0].MessageID)
	got.Text = strings.TrimSpace(got.Text)
	if diff := cmp.Diff(seen{"Welcome, Ana", "<p>Köln</p>", "Köln"}, got); diff != "" {
		s.t.Error(diff)
	}
}

// What cannot be filled in for one recipient drops that message, with the words.
func TestNotPersonalised(t *testing.T) {
	t.Parallel()
	plain := &plainProvider{sent: map[string]*mail.Content{}}
	s := newStage(t, func(_ *config.Config, server *Server) {
		if server != nil {
			server.dispatcher.Providers[provider.CustomSMTP] = plain
		}
	})
	smtp, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.CustomSMTP), Name: "Plain", Key: "x", Endpoint: s.SandboxURL})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := s.api.Send(t.Context(), client.Email{From: client.Address{Email: "shop@example.com"}, IPPool: smtp.IPPool.Name, Subject: "{{s}}", TextBody: "hello",
		To: []client.Recipient{{Address: client.Address{Email: "ana@example.net"}, CustomFields: map[string]any{"s": strings.Repeat("x", 3000)}},
			{Address: client.Address{Email: "eve@example.net"}, CustomFields: map[string]any{"s": "x"}}}})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the other recipient's message", func() bool { return plain.got(sent[1].MessageID) != nil })
	s.events(sent[0].MessageID, 2)
	if e := s.explain(sent[0].MessageID); e.State != "dropped" || len(e.Attempts) != 1 || !strings.Contains(e.Attempts[0].Text, "3000 characters") {
		t.Errorf("%+v", e)
	}
	if health := s.health(); !strings.HasPrefix(health, "ok") {
		t.Errorf("health %s", health)
	}
}
