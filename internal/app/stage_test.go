package app

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/demo"
	"postyard/internal/leaktest"
	"postyard/internal/provider"
	"postyard/internal/secret"
	"postyard/internal/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait for providers in trouble more than they work
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	leaktest.Main(m)
}

// stage is a demo that runs in the test's process.
type stage struct {
	*demo.Scene
	t      *testing.T
	api    *client.Client
	server *Server
}

// patience is how long a call on stage may be silent; the other times are as short.
const patience = time.Second

// longest is how long anything may take that should take seconds; the machine may be busy.
const longest = time.Minute

// newStage starts a demo whose only provider is Postmark; change may alter its configuration, and its server before it runs.
func newStage(t *testing.T, change ...func(*config.Config, *Server)) *stage {
	t.Helper()
	return newStageOf(t, []int{int(provider.Postmark)}, change...)
}

// newStageOf starts a demo with providers of these types; none are all.
func newStageOf(t *testing.T, only []int, change ...func(*config.Config, *Server)) *stage {
	t.Helper()
	cfg := config.Config{Listen: "127.0.0.1:0", SandboxListen: "127.0.0.1:0", Data: sqlitetest.Dir(t), AllowPrivate: true,
		NoTraffic: true, CallTimeout: 4 * time.Second, AskAfter: []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, time.Second},
		AmbiguousWait: time.Minute, MessageTTL: time.Hour, ProviderConcurrency: 4, BatchSize: 50, ShutdownGrace: 5 * time.Second}
	for _, f := range change {
		f(&cfg, nil)
	}
	d, err := NewDemo(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d.only = only
	d.server.dispatcher.Patience = patience
	for _, f := range change {
		f(&cfg, d.server)
	}
	runs(t, d.Run)
	scene, err := d.SetUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &stage{Scene: scene, t: t, server: d.server, api: &client.Client{URL: scene.URL, AccountKey: secret.NewString(scene.AccountAPIKey),
		SubAccountKey: secret.NewString(scene.SubAccounts[0].APIKey)}}
}

// runs has a server work until the test ends.
func runs(t *testing.T, run func(ctx context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
}

// as is the stage for a part of the test.
func (s *stage) as(t *testing.T) *stage {
	part := *s
	part.t = t
	return &part
}

// control calls the sandbox's control API.
func (s *stage) control(method, path string, in, out any) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.SandboxURL+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil || res.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s (%v)", method, path, res.StatusCode, raw, err)
	}
}

// send sends one email with a recipient for each address, and returns the messages' ids.
func (s *stage) send(to ...string) []string {
	s.t.Helper()
	email := s.FirstEmail()
	first := email.To[0]
	email.To = nil
	for _, address := range to {
		first.Email = address
		email.To = append(email.To, first)
	}
	sent, err := s.api.Send(s.t.Context(), email)
	if err != nil {
		s.t.Fatal(err)
	}
	ids := make([]string, len(sent))
	for i := range sent {
		ids[i] = sent[i].MessageID
	}
	return ids
}

// events waits until a message has n events, and returns their types.
func (s *stage) events(id string, n int) string {
	s.t.Helper()
	deadline := time.After(longest)
	for {
		types := s.types(id)
		if len(types) >= n {
			return fmt.Sprint(types)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			s.t.Fatalf("events of %s: %v, want %d", id, types, n)
		}
	}
}

// arrived counts how often the provider took a message.
func (s *stage) arrived(id string) int {
	s.t.Helper()
	var box struct{ Total int }
	s.control(http.MethodGet, "/sandbox/messages?messageId="+id, nil, &box)
	return box.Total
}

// types returns the types of a message's events, in the order of recording.
func (s *stage) types(id string) []int {
	s.t.Helper()
	list, err := s.api.MessageEvents(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	var types []int
	for _, e := range list {
		types = append(types, e.Type)
	}
	return types
}

// fault is a rule of the sandbox's.
type fault = map[string]any

// faults sets the sandbox's faults; none clears them.
func (s *stage) faults(rules ...fault) {
	s.t.Helper()
	s.control(http.MethodPut, "/sandbox/faults", slices.Concat([]fault{}, rules), nil)
}

func (s *stage) settings(changed fault) {
	s.t.Helper()
	s.control(http.MethodPut, "/sandbox/settings", changed, nil)
}

// want waits until messages have these events, and checks how often the provider got each.
func (s *stage) want(types string, arrived int, ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		if got := s.events(id, strings.Count(types, " ")+1); got != types {
			s.t.Errorf("%s: events %s, want %s", id, got, types)
		}
		if n := s.arrived(id); n != arrived {
			s.t.Errorf("%s arrived %d times", id, n)
		}
	}
}

// explanation is what explain says of a message.
type explanation struct {
	State, Waiting, Mark string
	Attempts             []client.Attempt
}

func (s *stage) explain(id string) (e explanation) {
	s.t.Helper()
	if err := s.api.Account(s.t.Context(), http.MethodGet, "/api/v1/account/message/"+url.PathEscape(id)+"/explain", nil, &e); err != nil {
		s.t.Fatal(err)
	}
	return e
}

func (s *stage) health() string {
	s.t.Helper()
	list, err := s.api.TPSPs(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return list[0].Health.State + ": " + list[0].Health.Reason
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(longest)
	for !holds() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
