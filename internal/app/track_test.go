package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/sandbox"
	"postyard/internal/store"
)

// letter is a mail in the sandbox.
type letter struct {
	ID, Provider, Subject, HTML, Text string

	Headers []struct{ Name, Value string }
}

func (l *letter) header(name string) string {
	for _, h := range l.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// relay is a sandbox that takes mail by SMTP, connected to the stage as a provider.
type relay struct {
	*stage
	pool string
}

// mailServer starts one.
func (s *stage) mailServer() *relay {
	s.t.Helper()
	box, err := NewSandbox(s.t.Context(), SandboxConfig{Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := box.Run(ctx); err != nil {
			s.t.Errorf("run: %v", err)
		}
	})
	s.t.Cleanup(func() { stop(); running.Wait() })
	made, err := s.api.CreateTPSP(s.t.Context(), client.NewTPSP{Type: int(provider.CustomSMTP), Name: "Relay", Endpoint: box.SMTPURL,
		Key: sandbox.DemoSMTPUser, Secret: sandbox.DemoSMTPPassword})
	if err != nil {
		s.t.Fatal(err)
	}
	scene := *s.Scene
	scene.SandboxURL = box.URL
	part := *s
	part.Scene = &scene
	return &relay{&part, made.IPPool.Name}
}

// post sends an email to one recipient through the mail server, and returns the message's id.
func (m *relay) post(to string, email map[string]any) string {
	m.t.Helper()
	email["from"], email["to"], email["ippool"] = map[string]any{"email": "shop@example.com"}, []map[string]any{{"email": to}}, m.pool
	if email["subject"] == nil {
		email["subject"] = "Hello"
	}
	var sent []client.Sent
	if err := m.api.SubAccount(m.t.Context(), http.MethodPost, "/api/v1/subaccount/email/", email, &sent); err != nil {
		m.t.Fatal(err)
	}
	return sent[0].MessageID
}

// letter waits for a message to arrive.
func (m *relay) letter(id string) *letter {
	m.t.Helper()
	var box struct {
		Total    int
		Messages []letter
	}
	waitFor(m.t, "mail", func() bool {
		m.control(http.MethodGet, "/sandbox/messages?messageId="+id, nil, &box)
		return box.Total > 0
	})
	return &box.Messages[0]
}

// visit asks for an address as a recipient's program does, and follows nothing.
func visit(t *testing.T, method, address, body string) (status int, header http.Header, content string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Thunderbird/115.6.0")
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	noFollow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer noFollow.CloseIdleConnections()
	res, err := noFollow.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(raw)
}

func find(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in\n%s", pattern, text)
	}
	return found[1]
}

// TestTracking walks through what a recipient can do with a message that came by a mail server.
func TestTracking(t *testing.T) {
	t.Parallel()
	m := newStage(t).mailServer()
	const target = "https://shop.example.com/a?x=1&copy=2#top"
	id := m.post("ana@gmail.com", map[string]any{
		"htmlBody":   `<html><body><A title='x' HREF='https://shop.example.com/a?x=1&amp;copy=2#top'>buy</A> <a href="{{unsubscribe}}">no more</a></body></html>`,
		"textBody":   "https://shop.example.com/plain or leave: {{ unsubscribe }}",
		"trackOpens": true, "trackClicks": true,
	})
	l := m.letter(id)
	m.want("[58 59]", 1, id)
	pixel := find(t, l.HTML, `<img src="([^"]+)"[^>]*></body>`)
	link := find(t, l.HTML, `<A title='x' HREF='([^']+)'>`)
	leave := find(t, l.HTML, `<a href="([^"]+)">no more`)
	if want := "https://shop.example.com/plain or leave: " + leave; strings.TrimSpace(l.Text) != want {
		t.Errorf("text %q, want %q", l.Text, want)
	}
	if got := l.header("List-Unsubscribe"); got != "<"+leave+">" {
		t.Errorf("List-Unsubscribe: %s", got)
	}
	if got := l.header("List-Unsubscribe-Post"); got != "List-Unsubscribe=One-Click" {
		t.Errorf("List-Unsubscribe-Post: %s", got)
	}

	if status, header, body := visit(t, http.MethodGet, pixel, ""); status != http.StatusOK || header.Get("Content-Type") != "image/png" || !strings.HasPrefix(body, "\x89PNG") {
		t.Errorf("pixel: %d %v", status, header)
	}
	m.want("[58 59 65]", 1, id)
	if status, header, _ := visit(t, http.MethodGet, link, ""); status != http.StatusFound || header.Get("Location") != target {
		t.Errorf("link: %d to %q", status, header.Get("Location"))
	}
	m.want("[58 59 65 66]", 1, id)

	// Scanners follow links: that ends nothing.
	if status, _, body := visit(t, http.MethodGet, leave, ""); status != http.StatusOK || !strings.Contains(body, `<form method="post">`) ||
		!strings.Contains(body, "ana@gmail.com") {
		t.Errorf("page: %d %s", status, body)
	}
	m.want("[58 59 65 66]", 1, id)
	for range 2 {
		if status, _, body := visit(t, http.MethodPost, leave, "List-Unsubscribe=One-Click"); status != http.StatusOK || !strings.Contains(body, "You are unsubscribed") {
			t.Errorf("unsubscribe: %d %s", status, body)
		}
	}
	m.want("[58 59 65 66 68]", 1, id)
	list, err := m.api.Suppressions(t.Context(), client.SuppressionQuery{From: time.Now().AddDate(0, 0, -1), To: time.Now(), Type: "unsubscribe", Limit: 10})
	if err != nil || len(list) != 1 || list[0].Email != "ana@gmail.com" {
		t.Errorf("suppressions %+v (%v)", list, err)
	}
	m.want("[0 1]", 0, m.post("Ana@gmail.com", map[string]any{"textBody": "once more"}))
	m.balanced()
}

// TestScannedOnTheWay: what opens a message before a mail server has taken it does not count as the server's word.
func TestScannedOnTheWay(t *testing.T) {
	t.Parallel()
	m := newStage(t).mailServer()
	ctx := t.Context()
	pools, err := m.api.Pools(ctx)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(pools, func(p client.Pool) bool { return p.Name == m.pool })
	if err := m.api.PausePool(ctx, pools[at].ID, true); err != nil {
		t.Fatal(err)
	}
	body := map[string]any{"htmlBody": "<p>Hello</p>", "trackOpens": true}
	id := m.post("ana@gmail.com", body)
	yes := true
	c := &mail.Content{HTML: "<p>Hello</p>", TrackOpens: &yes}
	j := &store.Job{ID: uuid.MustParse(id), AccountID: 1, Content: c}
	tpsps, err := m.api.TPSPs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	relay := tpsps[slices.IndexFunc(tpsps, func(p client.TPSP) bool { return p.Name == "Relay" })]
	pixel := find(t, m.server.tracking.Outgoing(route.TPSP(relay.ID), provider.Capabilities{}, j, c).HTML, `src="([^"]+)"`)
	if status, _, _ := visit(t, http.MethodGet, pixel, ""); status != http.StatusOK {
		t.Errorf("pixel: %d", status)
	}
	m.want("[58 65]", 0, id)
	if e := m.explain(id); e.State != "queued" {
		t.Errorf("explained as %+v", e)
	}
	if err := m.api.PausePool(ctx, pools[at].ID, false); err != nil {
		t.Fatal(err)
	}
	m.want("[58 65 59]", 1, id)
	if l := m.letter(id); find(t, l.HTML, `src="([^"]+)"`) != pixel {
		t.Errorf("the message left with another address: %s", l.HTML)
	}
	m.balanced()
}

// TestUnsubscribeByPostmark: whoever carries a message, its recipient can unsubscribe.
func TestUnsubscribeByPostmark(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	made, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.Postmark), Name: "Raw", Key: sandbox.DemoServerToken, Endpoint: s.SandboxURL,
		MessageStream: "broadcast", AllowRaw: true})
	if err != nil {
		t.Fatal(err)
	}
	raw := &relay{s, made.IPPool.Name}
	id := raw.post("ana@example.net", map[string]any{"htmlBody": `<a href="{{unsubscribe}}">leave</a> <a href="https://shop.example.com">shop</a>`})
	s.want("[69 70 71]", 1, id)
	l := raw.letter(id)
	leave := find(t, l.HTML, `<a href="([^"]+)">leave</a> <a href="https://shop.example.com">`)
	if l.header("List-Unsubscribe-Post") != "" {
		t.Errorf("headers %v are not for Postmark", l.Headers)
	}
	if status, _, body := visit(t, http.MethodPost, leave, "List-Unsubscribe=One-Click"); status != http.StatusOK {
		t.Errorf("unsubscribe: %d %s", status, body)
	}
	s.want("[69 70 71 78]", 1, id)
	s.want("[0 1]", 0, raw.post("ana@example.net", map[string]any{"htmlBody": "once more"}))
	s.balanced()
}

// TestAddressesOutliveTheServer: another process with the same data takes what is in mail that was sent before.
func TestAddressesOutliveTheServer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	j := &store.Job{ID: mail.ID{1}, AccountID: 1}
	var address string
	for run := range 2 {
		s, err := NewServer(t.Context(), config.Config{Listen: "127.0.0.1:0", Data: data, PublicURL: "https://post.example.com", ShutdownGrace: time.Second,
			ProviderConcurrency: 1}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		got := s.tracking.Unsubscribe(j, -1)
		if run == 1 && got != address || !strings.HasPrefix(got, "https://post.example.com/track/tpsp/unsubscribe/") {
			t.Errorf("run %d: %s, before %s", run, got, address)
		}
		address = got
		if err := s.Abort(nil); err != nil {
			t.Fatal(err)
		}
	}
}
