package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/provider"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

func withMail(c *config.Config, _ *Server) { c.SMTPListen = "127.0.0.1:0" }

type shownIP struct {
	ID       int32
	PublicIP string
	State    int
}

func (s *stage) ips() (list []shownIP) {
	s.t.Helper()
	s.account(http.MethodGet, "/api/v1/account/ip/", nil, &list)
	return list
}

func (s *stage) account(method, path string, in, out any) {
	s.t.Helper()
	if err := s.api.Account(s.t.Context(), method, path, in, out); err != nil {
		s.t.Fatal(err)
	}
}

// through sends one email through an IP pool.
func (s *stage) through(pool, to string) string {
	s.t.Helper()
	sent, err := s.api.Send(s.t.Context(), client.Email{From: client.Address{Email: "hello@example.com"}, Subject: "Hello", TextBody: "Hello",
		To: []client.Recipient{{Address: client.Address{Email: to}}}, IPPool: pool})
	if err != nil {
		s.t.Fatal(err)
	}
	return sent[0].MessageID
}

// wantBalance verifies the account.
func (s *stage) wantBalance() {
	s.t.Helper()
	var books struct {
		OK          bool
		Differences []any
	}
	if s.account(http.MethodGet, "/api/v1/account/verify", nil, &books); !books.OK {
		s.t.Errorf("%+v", books)
	}
}

// TestOwnIP sends through the demo's IP: what its mail server takes is sent, what it refuses for the recipient bounces and suppresses, and
// what it refuses for its own sake goes elsewhere.
func TestOwnIP(t *testing.T) {
	t.Parallel()
	s := newStage(t, withMail)
	list := s.ips()
	if len(list) != 1 || list[0].PublicIP != DemoIP || list[0].State != 1 {
		t.Fatalf("%+v", list)
	}
	own := map[string]any{"name": "own", "ips": []map[string]string{{"publicIP": DemoIP}}, "routingStrategy": 0, "warmupInterval": 24}
	s.account(http.MethodPost, "/api/v1/account/ippool", own, nil)

	taken := s.through("own", "ana@gmail.com")
	s.want("[0 9]", 1, taken)
	var box struct {
		Messages []struct {
			ID string `json:"id"`
		}
	}
	s.control(http.MethodGet, "/sandbox/messages?messageId="+taken, nil, &box)
	var got map[string]any
	s.control(http.MethodGet, "/sandbox/messages/"+box.Messages[0].ID, nil, &got)
	if text := strings.ToLower(fmt.Sprint(got)); !strings.Contains(text, "x-sendpost-message-uuid") || strings.Contains(text, "x-sendpost-tpsp") {
		t.Errorf("the mail: %v", got)
	}
	var m struct {
		IPID     int32 `json:"ipID"`
		PublicIP string
	}
	if s.account(http.MethodGet, "/api/v1/account/message/"+taken, nil, &m); m.IPID != list[0].ID || m.PublicIP != DemoIP {
		t.Errorf("%+v", m)
	}

	s.faults(fault{"provider": "smtp", "path": "/rcpt/gone@example.net", "kind": "status", "status": 550, "body": "5.1.1 no such user"},
		fault{"provider": "smtp", "path": "/rcpt/full@example.net", "kind": "status", "status": 554, "body": "5.2.2 mailbox full"},
		fault{"provider": "smtp", "path": "/rcpt/policy@example.net", "kind": "status", "status": 554, "body": "5.7.1 not from you"})
	gone, full, policy := s.through("own", "gone@example.net"), s.through("own", "full@example.net"), s.through("own", "policy@example.net")
	s.want("[0 4]", 0, gone)
	s.want("[0 3]", 0, full)
	s.want("[0 1]", 0, policy)
	for id, state := range map[string]string{taken: "sent", gone: "bounced", full: "bounced", policy: "dropped"} {
		if e := s.explain(id); e.State != state || len(e.Attempts) == 0 {
			t.Errorf("%s: %+v", state, e)
		}
	}
	events, err := s.api.MessageEvents(t.Context(), gone)
	if err != nil || events[1].SMTPDescription == "" || !strings.Contains(events[1].SMTPDescription, "no such user") {
		t.Errorf("%+v, %v", events, err)
	}
	s.faults()
	s.want("[0 1]", 0, s.through("own", "gone@example.net")) // suppressed
	s.want("[0 9]", 1, s.through("own", "full@example.net")) // not suppressed

	// With a provider beside it, mail goes on when the mail server does not want it.
	s.account(http.MethodPut, fmt.Sprintf("/api/v1/account/tpsp/%d", s.TPSPID), map[string]any{"allowRaw": true}, nil)
	s.account(http.MethodPost, "/api/v1/account/ippool", map[string]any{"name": "both", "ips": own["ips"], "tpsps": []int32{s.TPSPID}, "routingStrategy": 2,
		"routingMetaData": fmt.Sprintf(`{"IP_%d":"100","TPSP_%d":"0"}`, list[0].ID, s.TPSPID), "warmupInterval": 24}, nil)
	s.faults(fault{"provider": "smtp", "path": "/mail", "kind": "status", "status": 451, "body": "4.3.0 lookup failure"})
	moved := s.through("both", "bea@gmail.com")
	if types := s.events(moved, 3); !strings.HasPrefix(types, "[0 70") {
		t.Errorf("moved on: %s", types)
	}
	// A drill is as an outage is; and a pause has what waits planned anew.
	s.faults()
	path := fmt.Sprintf("/api/v1/account/ip/%d", list[0].ID)
	s.account(http.MethodPost, path+"/drill", map[string]any{"seconds": 600}, nil)
	waits := s.through("own", "cleo@gmail.com")
	waitFor(t, "a reason", func() bool { return strings.Contains(s.explain(waits).Waiting, "an outage of the IP is rehearsed") })
	s.account(http.MethodPut, path, map[string]any{"active": false}, nil)
	waitFor(t, "another reason", func() bool { return s.explain(waits).Waiting == "the IP is paused" })
	s.account(http.MethodPut, path, map[string]any{"active": true}, nil)
	s.account(http.MethodPost, path+"/drill", map[string]any{"seconds": 0}, nil)
	s.want("[0 9]", 1, waits)

	// Limits hold.
	s.account(http.MethodPut, path, map[string]any{"ratePerHour": 1}, nil)
	limited := s.through("own", "dan@gmail.com")
	waitFor(t, "the limit", func() bool {
		return strings.Contains(s.explain(limited).Waiting, "the IP's limit of 1 messages an hour is reached")
	})
	s.account(http.MethodPut, path, map[string]any{"ratePerHour": 0}, nil)
	s.want("[0 9]", 1, limited)
	s.wantBalance()
}

// TestIPGone starts a server without an IP that it had: the mail waits and says why, and leaves when the IP is back.
func TestIPGone(t *testing.T) {
	t.Parallel()
	box, err := NewSandbox(t.Context(), SandboxConfig{Listen: "127.0.0.1:0", SMTPListen: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	runUntilTheEnd(t, box.Run)
	login := strings.Replace(box.SMTPURL, "smtp://", "smtp://"+sandbox.DemoSMTPUser+":"+sandbox.DemoSMTPPassword+"@", 1)
	data := t.TempDir()
	s := &stage{t: t}
	serve := func(ips ...config.IP) (stop func()) {
		t.Helper()
		server, err := NewServer(t.Context(), config.Config{Listen: "127.0.0.1:0", Data: data, CallTimeout: 4 * time.Second, AskAfter: []time.Duration{time.Second},
			AmbiguousWait: time.Minute, MessageTTL: time.Hour, ProviderConcurrency: 4, BatchSize: 50, ShutdownGrace: 5 * time.Second, MaxBacklog: 1000, IPs: ips},
			slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		fresh, created, err := server.Bootstrap(t.Context(), "Test")
		if err != nil {
			t.Fatal(err)
		}
		if created {
			s.api = &client.Client{AccountKey: fresh.AccountKey, SubAccountKey: fresh.SubAccountKey}
		}
		s.api.URL = server.URL
		return runUntilTheEnd(t, server.Run)
	}
	own := config.IP{Address: "203.0.113.7", Server: secret.NewString(login + "?hello=yard.example.com")}
	stop := serve(own)
	s.account(http.MethodPost, "/api/v1/account/ippool", map[string]any{"name": "own", "ips": []map[string]string{{"publicIP": own.Address}}, "warmupInterval": 24}, nil)
	first := s.through("own", "ana@gmail.com")
	if got := s.events(first, 2); got != "[0 9]" {
		t.Errorf("events %s", got)
	}
	stop()

	stop = serve()
	if list := s.ips(); len(list) != 1 || list[0].State != 0 {
		t.Errorf("%+v", list)
	}
	waits := s.through("own", "bea@gmail.com")
	const why = "the IP is not in the server's configuration any more"
	if e := s.explain(waits); e.State != "queued" || e.Waiting != why {
		t.Errorf("%+v", e)
	}
	var checks []struct{ Check, Status, TPSP, Message, Fix string }
	s.account(http.MethodGet, "/api/v1/account/doctor", nil, &checks)
	told := false
	for _, c := range checks {
		told = told || c.Check == "in_use" && c.Status == "fail" && c.TPSP == own.Address && c.Message == why && strings.Contains(c.Fix, "203.0.113.7")
	}
	if !told {
		t.Errorf("%+v", checks)
	}
	stop()

	stop = serve(own)
	if got := s.events(waits, 2); got != "[0 9]" {
		t.Errorf("events %s", got)
	}
	s.account(http.MethodGet, "/api/v1/account/doctor", nil, &checks)
	for _, c := range checks {
		if c.Status == "fail" {
			t.Errorf("%+v", c)
		}
	}
	s.wantBalance()
	stop()
}

// runUntilTheEnd runs a part until it is stopped, at the end of the test at the latest.
func runUntilTheEnd(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func TestMailServers(t *testing.T) {
	t.Parallel()
	read := func(server string) (provider.Connection, error) {
		servers, err := mailServers([]config.IP{{Address: "203.0.113.7", Server: secret.NewString(server)}})
		return servers["203.0.113.7"], err
	}
	got, err := read("smtp+starttls://us%40er:pa%2Css@Smarthost.example.com:2525/?hello=yard.example.com")
	if err != nil || got.Endpoint != "smtp+starttls://smarthost.example.com" || got.Port != 2525 || got.Key.Reveal() != "us@er" || got.Secret.Reveal() != "pa,ss" ||
		got.Domain != "yard.example.com" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = read("smtps://10.0.0.5"); err != nil || got.Port != 465 || !got.Key.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"smtp://:hidden@host", "smtp://u:hidden@host/path", "smtp://u:hidden@host?tls=no", "smtp://u:hidden@host:0", "smtp://u:hid%zzden@host"} {
		if _, err := read(bad); err == nil || !strings.Contains(err.Error(), "203.0.113.7") || strings.Contains(err.Error(), "hid") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
