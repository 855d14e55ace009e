package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// seen is what a recipient sees of a message.
type seen struct{ Subject, HTML, Text string }

// templatesAPI calls Postmark's templates API at a sandbox.
func templatesAPI(t *testing.T, base, method, path string, in any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+"/templates"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Postmark-Server-Token", sandbox.DemoServerToken)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		var words bytes.Buffer
		_, _ = words.ReadFrom(res.Body)
		t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, words.String())
	}
}

// otherSandbox starts another Postmark, with no template.
func otherSandbox(t *testing.T) string {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{DeliveryDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, box.Close()); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	templatesAPI(t, server.URL, http.MethodDelete, "/"+sandbox.DemoTemplateAlias, nil)
	return server.URL
}

// shop is a template with everything that renders in its own way, inside a layout.
func shop(t *testing.T, base string) {
	t.Helper()
	templatesAPI(t, base, http.MethodPost, "", map[string]any{"Name": "Frame", "Alias": "frame", "TemplateType": "Layout",
		"HtmlBody": "<html><h1>{{shop}}</h1>{{{ @content }}}<i>&copy; {{shop}}</i></html>", "TextBody": "{{shop}}\n\n{{{@content}}}\n"})
	templatesAPI(t, base, http.MethodPost, "", map[string]any{"Name": "Order", "Alias": "order", "LayoutTemplate": "frame",
		"Subject":  "{{name}}, your {{#each items}}{{what}} {{/each}}",
		"HtmlBody": "<p>{{name}} {{{html}}}</p>{{#each items}}<li>{{what}} {{../../name}}{{#gift}} (a gift){{/gift}}{{^gift}} (no gift){{/gift}}</li>{{/each}}",
		"TextBody": "{{name}}: {{#total}}{{.}}{{^total}}nothing{{/total}}"})
}

func order(pool string, more func(*client.Email)) client.Email {
	e := client.Email{From: client.Address{Email: "shop@example.com", Name: "Shop"}, IPPool: pool, TPSPTemplate: "order", Subject: "of the request",
		To: []client.Recipient{{Address: client.Address{Email: "ana@gmail.com"}, CustomFields: map[string]any{"name": "Ana & <Bo>"}}},
		CustomFields: map[string]any{"name": "nobody", "shop": "Löwe", "html": "<b>hi</b>", "total": 12.5,
			"items": []map[string]any{{"what": "tea", "gift": true}, {"what": "\"cup\"", "gift": false}}}}
	if more != nil {
		more(&e)
	}
	return e
}

// sees waits for a message at a sandbox and returns what its recipient sees.
func (s *stage) sees(box, id string) seen {
	s.t.Helper()
	var list struct {
		Messages []struct{ Subject, HTML, Text string }
	}
	waitFor(s.t, "the message "+id, func() bool {
		other := *s
		scene := *s.Scene
		scene.SandboxURL = box
		other.Scene = &scene
		other.control(http.MethodGet, "/sandbox/messages?messageId="+id, nil, &list)
		return len(list.Messages) > 0
	})
	m := list.Messages[0]
	return seen{m.Subject, m.HTML, m.Text}
}

// plainProvider is an adapter of a provider that has no templates. It keeps what it is handed.
type plainProvider struct {
	provider.Adapter
	mu   sync.Mutex
	sent map[string]*mail.Content
}

func (*plainProvider) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.CustomSMTP, BatchSize: 10}
}

func (*plainProvider) CanCarry(c *mail.Content, _ provider.Terms) *mail.FieldError {
	if !c.HasBody() || c.Template != "" {
		return mail.Invalid("missing_body", "htmlBody", "a body is needed")
	}
	return nil
}

func (p *plainProvider) Send(_ context.Context, _ provider.Connection, batch []provider.Outgoing) []provider.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	outcomes := make([]provider.Outcome, len(batch))
	for i, o := range batch {
		p.sent[o.ID.String()] = o.Content
		outcomes[i] = provider.Outcome{Class: provider.Accepted, ProviderMessageID: o.ID.String()}
	}
	return outcomes
}

func (p *plainProvider) got(id string) *mail.Content {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[id]
}

func (*plainProvider) Check(context.Context, provider.Connection) error { return nil }

func (*plainProvider) Register(context.Context, provider.Connection, provider.Hook) (string, bool, error) {
	return "hook", false, nil
}

// A message with a template looks the same from its own server, from another server that does not have it, and from a provider
// without templates.
func TestTemplatesSurviveFailover(t *testing.T) {
	t.Parallel()
	plain := &plainProvider{sent: map[string]*mail.Content{}}
	s := newStage(t, func(_ *config.Config, server *Server) {
		if server != nil {
			server.dispatcher.Providers[provider.CustomSMTP] = plain
			server.templates.Gap = 1
		}
	})
	waitFor(t, "the first sync", func() bool { return len(s.templates()) == 1 })
	shop(t, s.SandboxURL)

	otherURL := otherSandbox(t)
	other, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.Postmark), Name: "Other", Key: sandbox.DemoServerToken,
		Endpoint: otherURL, MessageStream: "broadcast", AllowRaw: true})
	if err != nil {
		t.Fatal(err)
	}
	smtp, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.CustomSMTP), Name: "Plain", Key: "x", Endpoint: s.SandboxURL})
	if err != nil {
		t.Fatal(err)
	}

	// Not known yet: without a body nothing can be sent, and the template is looked for in the background.
	_, err = s.api.Send(t.Context(), order(smtp.IPPool.Name, nil))
	if refusal, ok := errors.AsType[*client.Error](err); !ok || refusal.Code != "unknown_tpsp_template" {
		t.Fatalf("an unknown template: %v", err)
	}
	waitFor(t, "the template to be found", func() bool { return len(s.templates()) == 3 })

	own := s.sendOne(order(s.Pool, nil))
	want := s.sees(s.SandboxURL, own)
	if !strings.Contains(want.HTML, "<h1>L&#246;we</h1><p>Ana &amp; &lt;Bo&gt; <b>hi</b></p>") || want.Subject != `Ana & <Bo>, your tea "cup" ` {
		t.Errorf("the sandbox renders %+v", want)
	}
	raw := s.sendOne(order(other.IPPool.Name, func(e *client.Email) { e.HTMLBody, e.TextBody = "<p>body</p>", "body" }))
	if diff := cmp.Diff(want, s.sees(otherURL, raw)); diff != "" {
		t.Errorf("through another server: %s", diff)
	}
	if got := s.events(raw, 3); !strings.HasPrefix(got, "[69 70") {
		t.Errorf("events of a message without a template: %s", got)
	}
	bare := s.sendOne(order(smtp.IPPool.Name, nil))
	waitFor(t, "the plain provider", func() bool { return plain.got(bare) != nil })
	got := plain.got(bare)
	if diff := cmp.Diff(want, seen{got.Subject, got.HTML, got.Text}); diff != "" || got.Template != "" {
		t.Errorf("through a provider without templates: %s", diff)
	}
	s.bodies(plain, smtp.IPPool.Name, other.IPPool.Name, otherURL)
}

// bodies: the request's own body is used only where no template of the name is known.
func (s *stage) bodies(plain *plainProvider, smtpPool, rawPool, rawURL string) {
	s.t.Helper()
	unknown := func(e *client.Email) {
		e.TPSPTemplate, e.HTMLBody, e.TextBody = "nowhere", "<p>body</p>", "body"
	}
	want := seen{"of the request", "<p>body</p>", "body"}
	id := s.sendOne(order(smtpPool, unknown))
	waitFor(s.t, "the plain provider", func() bool { return plain.got(id) != nil })
	if got := plain.got(id); got.Subject != want.Subject || got.HTML != want.HTML || got.Text != want.Text {
		s.t.Errorf("%+v", got)
	}
	if got := s.sees(rawURL, s.sendOne(order(rawPool, unknown))); got != want {
		s.t.Errorf("%+v", got)
	}
	noTemplate := func(e *client.Email) { unknown(e); e.TPSPTemplate = "" }
	if got := s.sees(rawURL, s.sendOne(order(rawPool, noTemplate))); got != want {
		s.t.Errorf("%+v", got)
	}
	for name, tc := range map[string]struct {
		e    client.Email
		code string
	}{
		"raw is off":           {order(s.Pool, noTemplate), "missing_tpsp_template"},
		"raw without a body":   {order(rawPool, func(e *client.Email) { e.TPSPTemplate = "" }), "missing_body"},
		"no template, no body": {order(smtpPool, func(e *client.Email) { e.TPSPTemplate = "nowhere" }), "unknown_tpsp_template"},
	} {
		_, err := s.api.Send(s.t.Context(), tc.e)
		if refusal, ok := errors.AsType[*client.Error](err); !ok || refusal.Code != tc.code {
			s.t.Errorf("%s: %v", name, err)
		}
	}
}

// What cannot be rendered for other providers says so; what fails for one model is dropped with the words.
func TestUnusableTemplates(t *testing.T) {
	t.Parallel()
	plain := &plainProvider{sent: map[string]*mail.Content{}}
	s := newStage(t, func(_ *config.Config, server *Server) {
		if server != nil {
			server.dispatcher.Providers[provider.CustomSMTP] = plain
		}
	})
	templatesAPI(t, s.SandboxURL, http.MethodPost, "", map[string]any{"Name": "News", "Alias": "news", "Subject": "News",
		"TextBody": "{{news}} {{{ pm:unsubscribe }}}"})
	templatesAPI(t, s.SandboxURL, http.MethodPost, "", map[string]any{"Name": "List", "Alias": "list", "Subject": "List",
		"TextBody": "{{#each items}}{{.}}{{/each}}"})
	smtp, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.CustomSMTP), Name: "Plain", Key: "x", Endpoint: s.SandboxURL})
	if err != nil {
		t.Fatal(err)
	}
	var synced []client.SyncedTemplates
	waitFor(t, "a sync", func() bool { // the first one, by itself, may be under way
		synced, err = s.api.SyncTemplates(t.Context(), 0)
		return err != nil || len(synced) != 1 || !strings.Contains(synced[0].Error, "already")
	})
	if err != nil || len(synced) != 1 || synced[0].Templates != 3 || synced[0].Unusable != 1 || synced[0].Error != "" {
		t.Fatalf("%+v %v", synced, err)
	}
	news := order(smtp.IPPool.Name, func(e *client.Email) { e.TPSPTemplate = "News" })
	_, err = s.api.Send(t.Context(), news)
	if refusal, ok := errors.AsType[*client.Error](err); !ok || refusal.Code != "unusable_tpsp_template" || !strings.Contains(refusal.Message, "unsubscribe") {
		t.Errorf("%v", err)
	}
	id := s.sendOne(order(smtp.IPPool.Name, func(e *client.Email) { e.TPSPTemplate, e.CustomFields["items"] = "list", "no list" }))
	s.events(id, 2)
	e := s.explain(id)
	if e.State != "dropped" || len(e.Attempts) != 1 || !strings.Contains(e.Attempts[0].Text, "used like an array") {
		t.Errorf("%+v", e)
	}
	if health := s.health(); !strings.HasPrefix(health, "ok") {
		t.Errorf("health %s", health)
	}
}

// A provider that no longer has a template refuses it, and the mirror follows.
func TestRemovedTemplate(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *config.Config, server *Server) {
		if server != nil {
			server.templates.Gap = 1
		}
	})
	waitFor(t, "the first sync", func() bool { return len(s.templates()) == 1 })
	templatesAPI(t, s.SandboxURL, http.MethodDelete, "/"+sandbox.DemoTemplateAlias, nil)
	id := s.send("ana@gmail.com")[0]
	s.events(id, 2)
	if e := s.explain(id); e.State != "dropped" || e.Attempts[len(e.Attempts)-1].Code != "1101" {
		t.Errorf("%+v", e)
	}
	waitFor(t, "the mirror to follow", func() bool { return len(s.templates()) == 0 })
}

func (s *stage) templates() []client.Template {
	s.t.Helper()
	list, err := s.api.Templates(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func (s *stage) sendOne(e client.Email) string {
	s.t.Helper()
	sent, err := (&client.Client{URL: s.URL, SubAccountKey: secret.NewString(s.SubAccounts[0].APIKey)}).Send(s.t.Context(), e)
	if err != nil {
		s.t.Fatal(err)
	}
	return sent[0].MessageID
}
