package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/secret"
)

// ledger is what a server acknowledged, in a loop in which it is killed. It is kept outside the server, as a client would.
type ledger struct {
	mu    sync.Mutex
	ids   map[string]bool
	fresh int
}

func newLedger() *ledger { return &ledger{ids: map[string]bool{}} }

func (l *ledger) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids[id] = true
	l.fresh++
}

// waitFor waits for n more acknowledgements.
func (l *ledger) waitFor(t *testing.T, n int) {
	t.Helper()
	eventually(t, "acknowledgements", time.Minute, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.fresh < n {
			return false
		}
		l.fresh = 0
		return true
	})
}

// sendUntil sends one message after another until ctx ends. The server is killed meanwhile, so calls may fail; what is not
// acknowledged is not in the ledger, and may arrive or not.
func (l *ledger) sendUntil(ctx context.Context, t *testing.T, s *demo.Scene, name string) {
	api := &client.Client{URL: s.URL, SubAccountKey: secret.NewString(s.SubAccounts[0].APIKey)}
	domains := []string{"gmail.com", "yahoo.com", "outlook.com", "example.net"}
	for n := 0; ctx.Err() == nil; n++ {
		email := s.FirstEmail()
		email.To[0].Email = fmt.Sprintf("%s-%d@%s", name, n, domains[n%len(domains)])
		sent, err := api.Send(ctx, email)
		var refusal *client.Error
		switch {
		case errors.As(err, &refusal) && refusal.Status < 500:
			t.Errorf("refused: %v", refusal)
			return
		case err != nil:
			select {
			case <-time.After(5 * time.Millisecond): // nobody is there; the loop starts another one
			case <-ctx.Done():
			}
		default:
			l.add(sent[0].MessageID)
			pause(ctx, pace())
		}
	}
}

// arrivals counts, by our id, how often each message is in the sandbox.
type arrivals struct {
	sandbox string
	times   map[string]int
	read    int
}

// look reads what came since the last look.
func (a *arrivals) look(t *testing.T) {
	t.Helper()
	for {
		var box inbox
		path := fmt.Sprintf("%s/sandbox/messages?limit=2000&offset=%d", a.sandbox, a.read)
		if _, err := call(t.Context(), http.MethodGet, path, nil, nil, &box); err != nil {
			t.Fatal(err)
		}
		for _, m := range box.Messages {
			a.times[m.Metadata["messageId"]]++
		}
		a.read += len(box.Messages)
		if len(box.Messages) == 0 {
			return
		}
	}
}

// settle waits until every acknowledged message has arrived, then holds the promises against what the sandbox has: none is
// lost (G1), none is there twice unless it carries the mark that says so (G2), and the books balance (G3).
func (l *ledger) settle(t *testing.T, s *demo.Scene, within time.Duration) {
	t.Helper()
	a := arrivals{sandbox: s.SandboxURL, times: map[string]int{}}
	var missing []string
	defer func() {
		if t.Failed() {
			l.explain(t, s, missing)
		}
	}()
	eventually(t, fmt.Sprintf("%d acknowledged messages arrive", len(l.ids)), within, func() bool {
		a.look(t)
		missing = missing[:0]
		for id := range l.ids {
			if a.times[id] == 0 {
				missing = append(missing, id)
			}
		}
		return len(missing) == 0
	})
	doubled, marked := 0, 0
	for id, n := range a.times {
		switch {
		case n == 1:
		case explanation(t, s, id).Mark == "resent":
			marked++
		default:
			doubled++
			t.Errorf("%s arrived %d times, and carries no mark", id, n)
		}
	}
	balance := books(t, s)
	t.Logf("%d acknowledged, %d arrived, %d twice, %d twice with a mark; books: %+v", len(l.ids), len(a.times), doubled, marked, balance)
}

type explained struct {
	State, Waiting, Mark string
	DueAt                int64
}

func explanation(t *testing.T, s *demo.Scene, id string) (e explained) {
	t.Helper()
	answered(t, s, "/api/v1/account/message/"+id+"/explain", &e)
	return e
}

// explain says of messages that did not arrive where the server thinks they are.
func (l *ledger) explain(t *testing.T, s *demo.Scene, missing []string) {
	for _, id := range missing[:min(len(missing), 10)] {
		t.Logf("missing %s: %+v", id, explanation(t, s, id))
	}
}

// balance is what verify says.
type balance struct {
	OK              bool
	DifferenceCount int
	Differences     []map[string]any
	Messages        map[string]int
	Events          int
}

// books has the server verify its books.
func books(t *testing.T, s *demo.Scene) (b balance) {
	t.Helper()
	answered(t, s, "/api/v1/account/verify", &b)
	if !b.OK {
		t.Errorf("the books differ in %d places, such as %v", b.DifferenceCount, b.Differences[:min(len(b.Differences), 5)])
	}
	return b
}

// answered reads what the server says at path. It asks again while nobody answers: a balancer passes over a node that was
// killed until it has been back for a while.
func answered(t *testing.T, s *demo.Scene, path string, into any) {
	t.Helper()
	eventually(t, "an answer to "+path, time.Minute, func() bool {
		status, err := call(t.Context(), http.MethodGet, s.URL+path, map[string]string{"X-Account-ApiKey": s.AccountAPIKey}, nil, into)
		if status >= http.StatusInternalServerError {
			return false
		}
		if err != nil || status != http.StatusOK {
			t.Fatalf("GET %s: %d (%v)", path, status, err)
		}
		return true
	})
}

// unsettle makes the provider fail now and then in every way, show messages late, and report early and twice.
func unsettle(t *testing.T, sandbox string) {
	t.Helper()
	type rule = map[string]any
	faults := []rule{
		{"path": "/email", "kind": "reset_after", "probability": 0.03}, {"path": "/email", "kind": "reset_before", "probability": 0.03},
		{"path": "/email", "kind": "truncate", "probability": 0.03}, {"path": "/email", "kind": "status", "status": 503, "probability": 0.02},
		{"path": "/email", "kind": "status", "status": 500, "probability": 0.02}, {"path": "/messages", "kind": "status", "status": 500, "probability": 0.1},
	}
	settings := rule{"searchLagMs": 300, "duplicateWebhooks": true, "webhookBeforeAnswer": true}
	for path, body := range map[string]any{"/sandbox/faults": faults, "/sandbox/settings": settings} {
		if status, err := call(t.Context(), http.MethodPut, sandbox+path, nil, body, nil); err != nil || status != http.StatusOK {
			t.Fatalf("PUT %s: %d (%v)", path, status, err)
		}
	}
}

// calm ends the faults, so that the last messages get through.
func calm(t *testing.T, sandbox string) {
	t.Helper()
	if _, err := call(t.Context(), http.MethodDelete, sandbox+"/sandbox/faults", nil, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// keysIn finds the keys that a server printed on the first start of a database.
func keysIn(output string) (account, subAccount string, found bool) {
	fields := strings.Fields(output)
	after := func(name string) string {
		i := slices.Index(fields, name)
		if i < 0 || i+1 == len(fields) {
			return ""
		}
		return fields[i+1]
	}
	account, subAccount = after("X-Account-ApiKey:"), after("X-SubAccount-ApiKey:")
	return account, subAccount, account != "" && subAccount != ""
}
