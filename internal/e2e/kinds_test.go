package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/secret"
)

// TestKinds has all kinds of providers in one pool, each in trouble of its own, with reports that come early and twice: nothing is lost, what
// is there twice carries the mark that says so, and the books balance.
func TestKinds(t *testing.T) {
	t.Parallel()
	t.Run("alive", func(t *testing.T) {
		t.Parallel()
		kindsLoop(t, func(load context.Context, l *ledger, _ *process, _ func() *process) {
			pause(load, chaos(t))
			l.waitFor(t, 400) // as many as give each kind of provider all its kinds of trouble
		})
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		random := seeded(t)
		kindsLoop(t, func(load context.Context, l *ledger, p *process, again func() *process) {
			kills := 0
			for end := time.Now().Add(chaos(t)); kills < leastKills/2 || time.Now().Before(end); kills++ {
				l.waitFor(t, 20)
				pause(load, time.Duration(random.IntN(1500))*time.Millisecond)
				p.kill()
				p = again()
			}
			t.Logf("%d kills", kills)
		})
	})
}

// kindsLoop runs a server with all kinds of providers, and sends while during goes on.
func kindsLoop(t *testing.T, during func(context.Context, *ledger, *process, func() *process)) {
	t.Helper()
	var listening struct{ URL string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--smtp-listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	args := []string{"serve", "--listen", freePort(t), "--data", t.TempDir(), "--allow-private", "--call-timeout", "2s", "--ask-after", "1s,2s,3s",
		"--ambiguous-wait", "5s", "--log-format", "json"}
	again := func() *process {
		p := start(t, args...)
		p.line(`"serving"`)
		return p
	}
	first := again()
	scene := connectKinds(t, "http://"+args[2], listening.URL, first)
	unsettleKinds(t, listening.URL)
	acknowledged := newLedger()
	load, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	for j := range senders {
		running.Go(func() { acknowledged.sendUntil(load, t, scene, fmt.Sprintf("k%d", j)) })
	}
	during(load, acknowledged, first, again)
	stop()
	running.Wait()
	calm(t, listening.URL)
	acknowledged.settle(t, scene, 2*time.Minute+chaos(t))
	for _, provider := range []string{"postmark", "sendgrid", "ses", "smtp"} {
		var box struct{ Total int }
		if _, err := call(t.Context(), http.MethodGet, listening.URL+"/sandbox/messages?limit=1&provider="+provider, nil, nil, &box); err != nil || box.Total == 0 {
			t.Errorf("%d mails left through %s (%v)", box.Total, provider, err)
		}
	}
}

// connectKinds connects each kind of provider that a sandbox plays, without a limit, and puts all into the pool that the scene is about.
func connectKinds(t *testing.T, server, sandbox string, p *process) *demo.Scene {
	t.Helper()
	key, ok := "", false
	eventually(t, "the keys are printed", 10*time.Second, func() bool {
		key, _, ok = keysIn(p.stdout())
		return ok
	})
	var smtp struct{ Addresses []string }
	if _, err := call(t.Context(), http.MethodGet, sandbox+"/sandbox/smtp", nil, nil, &smtp); err != nil || len(smtp.Addresses) == 0 {
		t.Fatalf("the sandbox's mail server: %+v (%v)", smtp, err)
	}
	scene, err := demo.SetUp(t.Context(), demo.Config{URL: server, AccountID: 1, AccountKey: secret.NewString(key), SandboxURL: sandbox,
		SMTPURL: smtp.Addresses[0], NoTraffic: true})
	if err != nil {
		t.Fatal(err)
	}
	api, without := apiOf(scene), 0
	pool := client.NewPool{Name: "all-kinds"}
	for _, one := range scene.Providers {
		if _, err := api.UpdateTPSP(t.Context(), one.ID, client.TPSPChange{RatePerHour: &without}); err != nil {
			t.Fatal(err)
		}
		pool.TPSPs = append(pool.TPSPs, one.ID)
	}
	if len(pool.TPSPs) != 4 {
		t.Fatalf("%+v", scene.Providers)
	}
	if _, err := api.CreatePool(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	scene.Pool = pool.Name
	return scene
}

// unsettleKinds is unsettle for each kind of provider.
func unsettleKinds(t *testing.T, sandbox string) {
	t.Helper()
	type rule = map[string]any
	var faults []rule
	for provider, path := range map[string]string{"postmark": "/email", "sendgrid": "/v3/mail/send", "ses": "/v2/email/outbound-emails"} {
		for _, f := range []rule{
			{"kind": "reset_after", "probability": 0.03}, {"kind": "reset_before", "probability": 0.02}, {"kind": "truncate", "probability": 0.02},
			{"kind": "status", "status": 503, "probability": 0.03}, {"kind": "status", "status": 500, "probability": 0.02},
		} {
			f["provider"], f["path"] = provider, path
			faults = append(faults, f)
		}
	}
	faults = append(faults, rule{"provider": "ses", "path": "/v2/email/outbound-emails", "kind": "status", "status": 400, "errorType": "ThrottlingException", "probability": 0.01},
		rule{"provider": "postmark", "path": "/messages", "kind": "status", "status": 500, "probability": 0.1})
	settings := rule{"searchLagMs": 300, "duplicateWebhooks": true, "webhookBeforeAnswer": true, "batchWebhooksMs": 200}
	for path, body := range map[string]any{"/sandbox/faults": faults, "/sandbox/settings": settings} {
		if status, err := call(t.Context(), http.MethodPut, sandbox+path, nil, body, nil); err != nil || status != http.StatusOK {
			t.Fatalf("PUT %s: %d (%v)", path, status, err)
		}
	}
}
