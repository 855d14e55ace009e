package sandbox_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox"
	"postyard/internal/sandbox/journal"
)

// killed copies a data directory as a kill of the process would leave it, and appends what was being written.
func killed(t *testing.T, dir, torn string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "sandbox.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	after := t.TempDir()
	if err := os.WriteFile(filepath.Join(after, "sandbox.ndjson"), append(raw, torn...), 0o600); err != nil {
		t.Fatal(err)
	}
	return after
}

func in(dir string) func(*sandbox.Config) {
	return func(cfg *sandbox.Config) { cfg.DataDir = dir }
}

// Everything that was acknowledged is there after a kill, torn last line or not; deliveries that were due are made.
func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := setup(t, in(dir))
	r := listen(t, nil)
	hookID := before.hook(r, five())
	before.ok(http.MethodPost, "/message-streams", object{"ID": "news", "Name": "News", "MessageStreamType": "Broadcasts"})
	before.ok(http.MethodPost, "/templates", object{"Name": "N", "Alias": "note", "Subject": "{{a}}", "TextBody": "v1 {{a}}"})
	old := before.ok(http.MethodPost, "/email/withTemplate", templated(object{"TemplateAlias": "note", "TemplateModel": object{"a": "A"},
		"Metadata": object{"messageId": "m1"}})).field(t, "MessageID").(string)
	before.ok(http.MethodPut, "/templates/note", object{"TextBody": "v2 {{a}}"})
	bounced := before.send(object{"To": "hardbounce+1@bounce.sandbox.test"})
	before.pass()
	r.drain(t, 2)
	before.settled(old)
	before.settled(bounced)
	before.suppress("outbound", "gone@example.net")
	pending := before.send(object{"To": "late@example.net", "Cc": "gone@example.net"})
	wanted := before.message(old)

	for _, torn := range []string{"", `{"mails":[{"id":"half`} {
		after := setup(t, in(killed(t, dir, torn)))
		if diff := cmp.Diff(wanted, after.message(old)); diff != "" {
			t.Error(diff)
		}
		if wanted.Text != "v1 A" {
			t.Errorf("text %q", wanted.Text)
		}
		if n := after.stored(); n != 3 {
			t.Errorf("%d messages", n)
		}
		if total, _ := after.search("count=1&offset=0&metadata_messageid=m1"); total != 1 {
			t.Error("the search does not find it")
		}
		after.pass()
		got := r.next(t).json(t)
		if got["MessageID"] != pending || got["Recipient"] != "late@example.net" || got["RecordType"] != "Delivery" {
			t.Errorf("the pending delivery: %v", got)
		}
		after.settled(pending)
		if len(r.events) != 0 {
			t.Errorf("%d events too many", len(r.events))
		}
		after.api(http.MethodPost, "/email", mail(object{"To": "hardbounce+1@bounce.sandbox.test"})).want(t, 422, 406, "")
		after.api(http.MethodPost, "/email", mail(object{"To": "gone@example.net"})).want(t, 422, 406, "")
		after.ok(http.MethodPost, "/email", mail(object{"MessageStream": "news"}))
		if after.ok(http.MethodGet, "/templates/note", nil).field(t, "TextBody") != "v2 {{a}}" {
			t.Error("the template's edit is lost")
		}
		if got := after.ok(http.MethodGet, "/bounces?count=5&offset=0", nil).field(t, "TotalCount"); got != 1.0 {
			t.Errorf("%v bounces", got)
		}
		created := after.ok(http.MethodPost, "/webhooks", object{"Url": r.url})
		if id := created.field(t, "ID").(float64); int(id) <= hookID {
			t.Errorf("webhook id %v was given before", id)
		}
	}
}

// A webhook that was down when the process was killed gets its event after the restart, with the same bytes and trace.
func TestWebhookIsTakenUpAfterRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := setup(t, in(dir))
	status := make(chan int, 10)
	r := listen(t, func(hit) int { return <-status })
	status <- 200
	before.hook(r, object{"Delivery": object{"Enabled": true}})
	status <- 503
	id := before.send(nil)
	before.pass()
	first := r.next(t)
	after := setup(t, in(killed(t, dir, "")))
	status <- 200
	second := r.next(t)
	if string(first.body) != string(second.body) ||
		first.header.Get("X-PM-Webhook-Trace-Id") != second.header.Get("X-PM-Webhook-Trace-Id") {
		t.Errorf("%s\n%s", first.body, second.body)
	}
	after.settled(id)
	third := setup(t, in(killed(t, after.dir, "")))
	third.settled(id)
	if len(r.events) != 0 {
		t.Error("posted again although it had been taken")
	}
}

func TestDataDirectoryIsLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	setup(t, in(dir))
	if _, err := sandbox.New(sandbox.Config{DataDir: dir}); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("a second sandbox on the same directory: %v", err)
	}
}

func TestBrokenJournalIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sandbox.ndjson"), []byte("{}\nbroken\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.New(sandbox.Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}
}
