package app

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/provider"
	"postyard/internal/secret"
)

// pair is a server and a sandbox that are started and stopped each for itself, on the same data and ports.
type pair struct {
	*stage
	sandbox    *Sandbox
	sandboxDir string
	serverDir  string
	stopServer func()
	stopBox    func()
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{stage: &stage{t: t}, sandboxDir: t.TempDir(), serverDir: t.TempDir()}
	p.startSandbox("127.0.0.1:0")
	p.startServer()
	t.Cleanup(func() { p.stopServer(); p.stopBox() })
	return p
}

// background runs something until the returned function is called, which may be more than once.
func (p *pair) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			p.t.Errorf("run: %v", err)
		}
	})
	return func() { cancel(); running.Wait() }
}

func (p *pair) startSandbox(listen string) {
	p.t.Helper()
	box, err := NewSandbox(p.t.Context(), SandboxConfig{Listen: listen, Data: p.sandboxDir}, slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	p.sandbox = box
	p.stopBox = p.background(box.Run)
}

func (p *pair) startServer() {
	p.t.Helper()
	d, err := NewDemo(p.t.Context(), config.Config{Listen: "127.0.0.1:0", SandboxURL: p.sandbox.URL, Data: p.serverDir, AllowPrivate: true,
		NoTraffic: true, CallTimeout: 2 * time.Second, AskAfter: []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, time.Second},
		AmbiguousWait: time.Minute, MessageTTL: time.Hour, ProviderConcurrency: 4, BatchSize: 50, ShutdownGrace: 5 * time.Second},
		slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	d.only = []int{int(provider.Postmark)}
	p.stopServer = p.background(d.Run)
	scene, err := d.SetUp(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	p.Scene, p.api = scene, &client.Client{URL: scene.URL, AccountKey: secret.NewString(scene.AccountAPIKey),
		SubAccountKey: secret.NewString(scene.SubAccounts[0].APIKey), HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// raise has something happen to a message at the provider.
func (p *pair) raise(id string, wishes ...map[string]any) {
	p.t.Helper()
	var box struct {
		Messages []struct{ ID string }
	}
	p.control(http.MethodGet, "/sandbox/messages?messageId="+id, nil, &box)
	for _, wish := range wishes {
		p.control(http.MethodPost, "/sandbox/messages/"+box.Messages[0].ID+"/events", wish, nil)
	}
}

// happened waits until the provider has something to tell of each message.
func (p *pair) happened(ids ...string) {
	p.t.Helper()
	for _, id := range ids {
		waitFor(p.t, "the delivery of "+id, func() bool {
			var box struct {
				Messages []struct{ Events []any }
			}
			p.control(http.MethodGet, "/sandbox/messages?messageId="+id, nil, &box)
			return len(box.Messages) == 1 && len(box.Messages[0].Events) > 0
		})
	}
}

// counters are the account's counters of today and yesterday.
func (p *pair) counters() string {
	p.t.Helper()
	var raw json.RawMessage
	now := time.Now().UTC()
	path := fmt.Sprintf("/api/v1/account/stat/aggregate?from=%s&to=%s", now.AddDate(0, 0, -1).Format(time.DateOnly), now.Format(time.DateOnly))
	if err := p.api.Account(p.t.Context(), http.MethodGet, path, nil, &raw); err != nil {
		p.t.Fatal(err)
	}
	return string(raw)
}

// sorted are the event types of a message, in the order of numbers.
func (p *pair) sorted(id string) string {
	p.t.Helper()
	list, err := p.api.MessageEvents(p.t.Context(), id)
	if err != nil {
		p.t.Fatal(err)
	}
	var types []int
	for _, e := range list {
		types = append(types, e.Type)
	}
	slices.Sort(types)
	return fmt.Sprint(types)
}

// plot is mail with all fates, and the events that have to be known of it in the end.
func (p *pair) plot() map[string]string {
	p.t.Helper()
	ids := p.send("ana@gmail.com", "HardBounce@bounce.sandbox.test", "SoftBounce@bounce.sandbox.test", "complaint@bounce.sandbox.test", "bob@yahoo.com")
	p.happened(ids...)
	return map[string]string{ids[0]: "[69 70 71 75 76 76]", ids[1]: "[69 70 72]", ids[2]: "[69 70 73]", ids[3]: "[69 70 71 77]", ids[4]: "[69 70 71 73 77]"}
}

// engage has the mail of plot opened, clicked and complained about.
func (p *pair) engage(want map[string]string) {
	p.t.Helper()
	for id, events := range want {
		switch events {
		case "[69 70 71 75 76 76]":
			p.raise(id, map[string]any{"kind": "open"}, map[string]any{"kind": "click", "url": "https://example.com/a"},
				map[string]any{"kind": "click", "url": "https://example.com/b?x=1&y=2"})
		case "[69 70 71 73 77]":
			p.raise(id, map[string]any{"kind": "bounce", "type": "AutoResponder"}, map[string]any{"kind": "complaint"})
		}
	}
}

func (p *pair) check(want map[string]string) {
	p.t.Helper()
	for id, events := range want {
		if got := p.sorted(id); got != events {
			p.t.Errorf("events %s, want %s", got, events)
		}
	}
}

// TestCatchUp: nothing is reported; a user asks for what happened; all of it shows, once, however often that is done.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.control(http.MethodPut, "/sandbox/settings", map[string]any{"dropWebhooks": true}, nil)
	want := p.plot()
	p.engage(want)
	got, err := p.api.CatchUp(t.Context(), client.CatchUp{Since: "1h"})
	if err != nil || len(got) != 1 || got[0].Error != "" || got[0].Recorded != 11 || got[0].MessagesAsked == 0 || len(got[0].Missing) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	p.check(want)
	counted := p.counters()
	for _, part := range []string{`"delivered":3`, `"hardBounced":1`, `"softBounced":2`, `"opened":1`, `"clicked":2`} {
		if !strings.Contains(counted, part) {
			t.Errorf("no %s in %s", part, counted)
		}
	}
	again, err := p.api.CatchUp(t.Context(), client.CatchUp{TPSPID: p.TPSPID})
	if err != nil || again[0].Recorded != 0 || again[0].Error != "" {
		t.Errorf("%+v, %v", again, err)
	}
	p.check(want)
	if now := p.counters(); now != counted {
		t.Errorf("counted again: %s, before %s", now, counted)
	}
}

// TestCatchUpAfterAbsence: the server is away for longer than webhooks are repeated. It catches up by itself, and the webhooks
// that come all the same are known already.
func TestCatchUpAfterAbsence(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.control(http.MethodPut, "/sandbox/settings", map[string]any{"deliveryDelayMs": 3_600_000}, nil)
	ids := p.send("ana@gmail.com")
	p.events(ids[0], 2)
	waitFor(t, "the server to have listened", func() bool { return p.listened() > 0 })
	p.stopServer()
	// It is delivered and read while nobody listens. A sandbox that starts delivers what waits, at the usual pace.
	p.stopBox()
	p.startSandbox(strings.TrimPrefix(p.sandbox.URL, "http://"))
	p.happened(ids[0])
	p.raise(ids[0], map[string]any{"kind": "open"})
	p.tried(ids[0], 2)
	p.listenedAgo(3 * time.Hour)
	p.startServer()
	if got := p.events(ids[0], 4); got != "[69 70 71 75]" {
		t.Errorf("events %s", got)
	}
	waitFor(t, "the end of catching up", func() bool {
		list, err := p.api.TPSPs(t.Context())
		return err == nil && list[0].CatchUp == nil
	})
	counted := p.counters()
	// The webhooks are still to be taken: a sandbox that starts brings them at once.
	p.stopBox()
	p.startSandbox(strings.TrimPrefix(p.sandbox.URL, "http://"))
	waitFor(t, "the webhooks to arrive", func() bool { return p.pending(ids[0]) == 0 })
	last := p.send("bob@yahoo.com")
	p.events(last[0], 3) // webhooks are taken in order
	if got := p.sorted(ids[0]); got != "[69 70 71 75]" {
		t.Errorf("events %s after the webhooks", got)
	}
	if now := p.counters(); strings.Count(now, `"opened":1`) != strings.Count(counted, `"opened":1`) {
		t.Errorf("%s, before the webhooks %s", now, counted)
	}
}

// TestWebhookIsPutRight: somebody removes the webhook at the provider. The next check puts it back, and what happened
// meanwhile is caught up with.
func TestWebhookIsPutRight(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for _, id := range p.hooks() {
		p.postmark(http.MethodDelete, fmt.Sprintf("/webhooks/%d", id), nil)
	}
	want := p.plot()
	p.engage(want)
	p.stopServer()
	p.startServer() // the first check is after a start, the others follow by the hour
	for id, events := range want {
		p.events(id, strings.Count(events, " ")+1)
	}
	p.check(want)
	if n := len(p.hooks()); n != 1 {
		t.Errorf("%d webhooks", n)
	}
	if got := p.events(p.send("eve@gmail.com")[0], 3); got != "[69 70 71]" {
		t.Errorf("the new webhook brings %s", got)
	}
}

// hooks lists the webhooks that stand at the provider.
func (p *pair) hooks() (ids []int64) {
	p.t.Helper()
	var list struct{ Webhooks []struct{ ID int64 } }
	p.postmark(http.MethodGet, "/webhooks", &list)
	for _, h := range list.Webhooks {
		ids = append(ids, h.ID)
	}
	return ids
}

// postmark calls the simulated Postmark.
func (p *pair) postmark(method, path string, out any) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.SandboxURL+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("X-Postmark-Server-Token", SandboxToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("%s %s: %d %s (%v)", method, path, res.StatusCode, raw, err)
	}
}

// pending counts the webhooks that were not taken for a message.
func (p *pair) pending(id string) (n int) {
	p.t.Helper()
	var box struct {
		Messages []struct {
			Events []struct{ WebhooksPending int }
		}
	}
	p.control(http.MethodGet, "/sandbox/messages?messageId="+id, nil, &box)
	for _, e := range box.Messages[0].Events {
		n += e.WebhooksPending
	}
	return n
}

// tried waits until n webhooks were tried in vain for a message.
func (p *pair) tried(id string, n int) {
	p.t.Helper()
	waitFor(p.t, "webhooks to fail", func() bool {
		var list struct{ Attempts []any }
		p.control(http.MethodGet, "/sandbox/webhooks", nil, &list)
		return p.pending(id) == n && len(list.Attempts) >= n
	})
}

// database opens the server's database beside it.
func (p *pair) database() *sql.DB {
	p.t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: filepath.Join(p.serverDir, "postyard.db"), RawQuery: "_pragma=busy_timeout(5000)"}).String())
	if err != nil {
		p.t.Fatal(err)
	}
	return db
}

func (p *pair) listened() (at int64) {
	p.t.Helper()
	db := p.database()
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(p.t.Context(), `SELECT listened_at FROM installation`).Scan(&at); err != nil {
		p.t.Fatal(err)
	}
	return at
}

// listenedAgo makes the server that is stopped have been away for so long.
func (p *pair) listenedAgo(d time.Duration) {
	p.t.Helper()
	db := p.database()
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(p.t.Context(), `UPDATE installation SET listened_at = listened_at - ?`, d.Nanoseconds()); err != nil {
		p.t.Fatal(err)
	}
}
