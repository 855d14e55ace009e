package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/client"
	"postyard/internal/demo"
)

// TestDemoForPrograms checks that standard output holds the one line that a script reads, whatever is logged.
func TestDemoForPrograms(t *testing.T) {
	t.Parallel()
	p, scene := startDemo(t, "--log-level", "debug", "--data", t.TempDir())
	wantEvents(t, apiOf(scene), scene.MessageID, 69, 70, 71)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if strings.Count(p.stdout(), "\n") != 1 {
		t.Fatalf("standard output is not one line: %q", p.stdout())
	}
	if p.output() == p.stdout() {
		t.Error("nothing was logged, so nothing was kept apart")
	}
	var printed map[string]any
	if err := json.Unmarshal([]byte(p.stdout()), &printed); err != nil {
		t.Fatal(err)
	}
	keys := slices.Sorted(maps.Keys(printed))
	want := []string{"accountApiKey", "accountId", "dashboard", "fallbackPool", "ip", "messageId", "pool", "providers", "sandboxToken", "sandboxUrl", "smtp", "stream", "subAccounts", "template", "tpspId", "url"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys: %s", diff)
	}
	for _, key := range keys {
		if value := printed[key]; value == "" || value == 0.0 || value == nil {
			t.Errorf("%s is %v", key, value)
		}
	}
	subAccounts, _ := printed["subAccounts"].([]any)
	if len(subAccounts) != 2 {
		t.Fatalf("sub-accounts %v", subAccounts)
	}
	for _, one := range subAccounts {
		fields, _ := one.(map[string]any)
		if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, []string{"apiKey", "id", "name"}) || fields["apiKey"] == "" || fields["id"] == 0.0 {
			t.Errorf("sub-account %v", one)
		}
	}
	for _, secret := range []string{scene.AccountAPIKey, scene.SubAccounts[0].APIKey, scene.SubAccounts[1].APIKey, scene.SandboxToken} {
		if strings.Count(p.output(), secret) != 1 { // in what was printed
			t.Errorf("a secret is in the log:\n%s", p.output())
		}
	}
}

// TestDemoForPeople pastes the commands that the demo prints into a shell.
func TestDemoForPeople(t *testing.T) {
	t.Parallel()
	p := start(t, "demo", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--data", t.TempDir())
	p.line("Ctrl-C ends it.")
	shown := p.stdout()
	scene := &demo.Scene{URL: firstMatch(t, shown, `runs at (http://\S+)\n`), SandboxURL: firstMatch(t, shown, `inbox is at (http://\S+)/sandbox\n`),
		AccountAPIKey: firstMatch(t, shown, `X-Account-ApiKey:\s+(\w{20})\n`), Pool: firstMatch(t, shown, `IP pool (\S+)\n`)}

	r := finish(t, nil, "bash", "-c", firstMatch(t, shown, `(?s)\n(  curl .*?)\n\n`))
	var sent []client.Sent
	if err := json.Unmarshal([]byte(r.out), &sent); err != nil || r.code != 0 || len(sent) != 1 || sent[0].ErrorCode != 0 {
		t.Fatalf("curl: %+v (%v)", r, err)
	}
	if got := waitForLetter(t, scene, sent[0].MessageID); got.To != "Ana <ana@gmail.com>" || got.TemplateAlias != "welcome-template" {
		t.Errorf("arrived: %+v", got)
	}

	command := firstMatch(t, shown, `(?s)See what became of it, in another terminal:\n\n(.*?)\n\n`)
	first := firstMatch(t, command, ` message (\S+)`)
	waitForLetter(t, scene, first)
	if r := finish(t, nil, "bash", "-c", command); r.code != 0 || !strings.Contains(r.out, first) || !strings.Contains(r.out, "PM Processed") {
		t.Errorf("%s: %+v", command, r)
	}

	drill := firstMatch(t, shown, `(?s)why a message leaves by SES:\n\n(.*?)\n\n`)
	lines := strings.Split(drill, "\n")
	variables, last := lines[0], lines[len(lines)-1]
	r = finish(t, nil, "bash", "-c", strings.Join(lines[:len(lines)-1], "\n"))
	id := firstMatch(t, r.out, `(?m)^bob@gmail.com +(\S+) +accepted$`)
	eventually(t, "the message leaves by SES", longest, func() bool {
		r := finish(t, nil, "bash", "-c", variables+"\n"+strings.Replace(last, "ID", id, 1))
		return strings.Contains(r.out, "Amazon SES sandbox") && strings.Contains(r.out, "an outage of the provider is rehearsed") && strings.Contains(r.out, "SES Delivered")
	})
	if code := p.interrupt(syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d after SIGINT", code)
	}
}

// TestDemoAgain starts a demo on the data of an earlier one: it goes on with what is there, also when the sandbox has moved.
func TestDemoAgain(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p, first := startDemo(t, "--data", data)
	wantEvents(t, apiOf(first), first.MessageID, 69, 70, 71)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}

	p, again := startDemo(t, "--data", data)
	want := *first
	want.MessageID = "" // none was sent
	if diff := cmp.Diff(&want, again); diff != "" {
		t.Errorf("before and after: %s", diff)
	}
	wantOneWebhook(t, again.SandboxURL, again.URL+"/tpsp/postmark/account/1")
	wantMail(t, again, first.MessageID)
	second := sendOne(t, again, "bob@example.net")
	wantEvents(t, apiOf(again), second, 69, 70, 71)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}

	elsewhere := freePort(t)
	_, moved := startDemo(t, "--no-traffic", "--data", data, "--sandbox-listen", elsewhere)
	want.SandboxURL = "http://" + elsewhere
	if diff := cmp.Diff(&want, moved); diff != "" {
		t.Errorf("before and after the move: %s", diff)
	}
	providers, err := apiOf(moved).TPSPs(t.Context())
	if err != nil || len(providers) != len(first.Providers) {
		t.Errorf("providers %+v (%v)", providers, err)
	}
	for _, p := range providers {
		if at := p.At(); at != moved.SandboxURL && at != moved.SMTP.URL {
			t.Errorf("%s is at %s", p.Name, at)
		}
	}
	third := sendOne(t, moved, "carl@example.net", "--pool", moved.Pool)
	wantEvents(t, apiOf(moved), third, 69, 70, 71)
	eventually(t, "no webhook has anything left to tell", longest, func() bool {
		letter := waitForLetter(t, moved, third)
		return len(letter.Events) == 1 && letter.Events[0].WebhooksPending == 0
	})
	wantEvents(t, apiOf(moved), third, 69, 70, 71) // also when the sandbox still knew the webhook of before
	wantMail(t, moved, third, second, first.MessageID)
}

// wantMail checks that the sandbox has the mail of these messages, in any order, and no other, and the server no other events.
func wantMail(t *testing.T, s *demo.Scene, ids ...string) {
	t.Helper()
	var box inbox
	if _, err := call(t.Context(), http.MethodGet, s.SandboxURL+"/sandbox/messages", nil, nil, &box); err != nil {
		t.Fatal(err)
	}
	var arrived []string
	for _, m := range box.Messages {
		arrived = append(arrived, m.Metadata["messageId"])
	}
	var accepted []client.Event
	if err := apiOf(s).Account(t.Context(), http.MethodGet, "/api/v1/account/event/?type=69", nil, &accepted); err != nil {
		t.Fatal(err)
	}
	var processed []string
	for _, e := range accepted {
		processed = append(processed, e.MessageID)
	}
	slices.Sort(ids)
	slices.Sort(arrived)
	slices.Sort(processed)
	if !slices.Equal(arrived, ids) || !slices.Equal(processed, ids) {
		t.Errorf("in the sandbox %q, accepted %q, want %q", arrived, processed, ids)
	}
}

func TestDemoTwice(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	_, scene := startDemo(t, "--no-traffic", "--data", data)
	for _, args := range [][]string{
		{"demo", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0"},
		{"demo", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--json"},
		{"demo", "--listen", "127.0.0.1:0", "--sandbox-url", scene.SandboxURL},
		{"serve", "--listen", "127.0.0.1:0"},
		{"sandbox", "--listen", "127.0.0.1:0", "--data", data + "/sandbox"},
	} {
		r := run(t, []string{"POSTYARD_DATA=" + data}, args...)
		if r.code != 1 || r.out != "" || !strings.Contains(r.err, "another process") || !strings.Contains(r.err, data) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	waitForLetter(t, scene, sendOne(t, scene, "ana@example.net")) // the first one goes on
}

func TestDemoNoTraffic(t *testing.T) {
	t.Parallel()
	p, scene := startDemo(t, "--no-traffic", "--data", t.TempDir())
	if strings.Contains(p.stdout(), "messageId") || scene.MessageID != "" {
		t.Errorf("a message is told of: %s", p.stdout())
	}
	wantMail(t, scene)
	id := sendOne(t, scene, "ana@example.net", "--pool", scene.Pool) // all is set up
	wantEvents(t, apiOf(scene), id, 69, 70, 71)
	wantMail(t, scene, id)
}

func TestDemoWithRunningSandbox(t *testing.T) {
	t.Parallel()
	var listening struct{ URL string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	data := t.TempDir()
	p, scene := startDemo(t, "--sandbox-url", listening.URL, "--data", data)
	if scene.SandboxURL != listening.URL {
		t.Fatalf("sandbox at %s, want %s", scene.SandboxURL, listening.URL)
	}
	wantEvents(t, apiOf(scene), scene.MessageID, 69, 70, 71)
	wantMail(t, scene, scene.MessageID)
	wantOneWebhook(t, listening.URL, fmt.Sprintf("%s/tpsp/postmark/account/%d", scene.URL, scene.AccountID))
	if _, err := os.Stat(data + "/sandbox"); !os.IsNotExist(err) {
		t.Errorf("a sandbox of its own was started (%v)", err)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if _, err := call(t.Context(), http.MethodGet, listening.URL+"/sandbox/health", nil, nil, nil); err != nil {
		t.Errorf("the sandbox ended with the demo: %v", err)
	}
}

// TestServeAgain checks that keys are shown once, and hold.
func TestServeAgain(t *testing.T) {
	t.Parallel()
	args := []string{"serve", "--listen", "127.0.0.1:0", "--log-level", "debug", "--log-format", "json", "--data", t.TempDir()}
	var keys []string
	var printed string
	for i := range 2 {
		p := start(t, args...)
		var serving struct{ URL string }
		p.decode(`"serving"`, &serving)
		if i == 0 {
			keys = []string{firstMatch(t, p.line("X-Account-ApiKey"), `X-Account-ApiKey:\s+(\w{20})`),
				firstMatch(t, p.line("X-SubAccount-ApiKey"), `X-SubAccount-ApiKey:\s+(\w{20})`)}
		}
		user := []string{"POSTYARD_URL=" + serving.URL, "POSTYARD_ACCOUNT_KEY=" + keys[0], "POSTYARD_SUBACCOUNT_KEY=" + keys[1]}
		if r := run(t, user, "events"); r.code != 0 || len(cells(t, r.out, eventHeader...)) != 0 {
			t.Errorf("start %d: account key: %+v", i, r)
		}
		r := run(t, user, "send", "--from", demo.Sender, "--to", "ana@example.net") // the key is good, but there is no provider
		if r.code != 1 || !strings.Contains(r.err, "HTTP 422") {
			t.Errorf("start %d: sub-account key: %+v", i, r)
		}
		if code := p.interrupt(syscall.SIGINT); code != 0 {
			t.Errorf("exit code %d after SIGINT", code)
		}
		printed += p.stdout()
		if i == 1 && p.stdout() != "" {
			t.Errorf("the second start prints %q", p.stdout())
		}
		for _, key := range keys {
			if strings.Count(p.output(), key) != 1-i {
				t.Errorf("start %d: a key is in the log:\n%s", i, p.output())
			}
		}
	}
	for _, key := range keys {
		if strings.Count(printed, key) != 1 {
			t.Errorf("a key was not printed once: %q", printed)
		}
	}
}
