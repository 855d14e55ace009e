package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/store/postgres/pgtest"
)

// TestBrakeCommands pauses, cancels and drills from the terminal.
func TestBrakeCommands(t *testing.T) {
	t.Parallel()
	_, scene := startDemo(t, "--no-traffic", "--data", t.TempDir())
	user, api := environ(scene), apiOf(scene)
	command := func(args ...string) string {
		t.Helper()
		r := run(t, user, args...)
		if r.code != 0 || r.err != "" {
			t.Fatalf("%q: %+v", args, r)
		}
		return r.out
	}
	waits := func(id, why string) {
		t.Helper()
		if got := explanation(t, scene, id); got.State != "queued" || !strings.Contains(got.Waiting, why) {
			t.Errorf("%+v, want %q", got, why)
		}
	}

	sub := scene.SubAccounts[0]
	for _, brake := range []struct{ flag, given, kind, name string }{
		{"--ippool", scene.Pool, "ippool", scene.Pool}, {"--sub-account", strconv.Itoa(int(sub.ID)), "sub-account", sub.Name},
	} {
		rows := cells(t, command("pause", brake.flag, brake.given), "ID", "KIND", "NAME", "STATE")
		if diff := cmp.Diff([][]string{{rows[0][0], brake.kind, brake.name, "paused"}}, rows); diff != "" {
			t.Error(diff)
		}
		id := sendOne(t, scene, "ana@example.net")
		waits(id, fmt.Sprintf("%q is paused", brake.name))
		var done struct {
			Kind, Name string
			ID         int32
			Paused     *bool
		}
		if err := json.Unmarshal([]byte(command("resume", brake.flag, brake.given, "--json")), &done); err != nil || done.Kind != brake.kind ||
			done.Name != brake.name || strconv.Itoa(int(done.ID)) != rows[0][0] || done.Paused == nil || *done.Paused {
			t.Errorf("%+v (%v)", done, err)
		}
		wantEvents(t, api, id, 69, 70, 71)
	}

	command("pause", "--ippool", scene.Pool)
	plain, news := sendOne(t, scene, "ana@example.net"), sendOne(t, scene, "bob@example.net", "--group", "news")
	if out := command("cancel", "--group", "news", "--dry-run"); out != "1 message would be cancelled.\n" {
		t.Errorf("%q", out)
	}
	waits(news, "is paused")
	if out := command("cancel", "--group", "news", "--ippool", scene.Pool, "--sub-account", sub.Name); out != "1 message cancelled.\n" {
		t.Errorf("%q", out)
	}
	if out := command("cancel", "--group", "news", "--json"); out != `{"cancelled":0,"dryRun":false,"matched":0}`+"\n" {
		t.Errorf("%q", out)
	}
	wantEvents(t, api, news, 69, 1)
	if out := command("events", "--message", news, "--type", "1"); !strings.Contains(out, "cancelled by the operator") {
		t.Errorf("%s", out)
	}
	waits(plain, "is paused")
	command("resume", "--ippool", scene.Pool)
	wantEvents(t, api, plain, 69, 70, 71)

	list, err := api.TPSPs(t.Context())
	if err != nil || len(list) == 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	rows := cells(t, command("drill", list[0].Name, "--seconds", "3600"), "ID", "PROVIDER", "STATE", "UNTIL", "REASON")
	if ends, err := time.Parse("2006-01-02 15:04:05.000Z", rows[0][3]); err != nil || rows[0][2] != "drill" || time.Until(ends) < 59*time.Minute {
		t.Errorf("%q (%v)", rows, err)
	}
	id := sendOne(t, scene, "ana@example.net")
	waits(id, "rehearsed until ")
	var after client.TPSP
	if err := json.Unmarshal([]byte(command("drill", strconv.Itoa(int(scene.TPSPID)), "--end", "--json")), &after); err != nil || after.Health.State != "ok" {
		t.Errorf("%+v (%v)", after, err)
	}
	wantEvents(t, api, id, 69, 70, 71)
	books(t, scene)
}

// TestKilledWhileCancelling kills the server in the middle of a cancellation, again and again: each message is either cancelled,
// with one event, or waits, and is cancelled in the end.
func TestKilledWhileCancelling(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		cancelAndKill(t)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		cancelAndKill(t, "--database", pgtest.Database(t))
	})
}

func cancelAndKill(t *testing.T, args ...string) {
	const n, each = 3000, 1000
	args = append([]string{"demo", "--json", "--no-traffic", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--data", t.TempDir()}, args...)
	random := seeded(t)
	begin := func() (*process, *demo.Scene) {
		p, scene := start(t, args...), &demo.Scene{}
		p.decode(`"accountApiKey"`, scene)
		return p, scene
	}
	p, scene := begin()
	if out := run(t, environ(scene), "pause", "--ippool", scene.Pool); out.code != 0 {
		t.Fatalf("%+v", out)
	}
	var ids []string
	for i := 0; i < n; i += each {
		email := client.Email{From: client.Address{Email: demo.Sender}, TPSPTemplate: scene.Template, IPPool: scene.Pool, Groups: []string{"news"}}
		for j := range each {
			email.To = append(email.To, client.Recipient{Address: client.Address{Email: fmt.Sprintf("u%d@example.net", i+j)}})
		}
		sent, err := apiOf(scene).Send(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sent {
			ids = append(ids, s.MessageID)
		}
	}
	kept := sendOne(t, scene, "kept@example.net", "--pool", scene.Pool)
	slices.Sort(ids) // in the order in which they are cancelled
	midway, dropped := 0, 0
	for range 3 {
		var running sync.WaitGroup
		running.Go(func() { _, _ = apiOf(scene).Cancel(t.Context(), client.Cancel{Group: "news"}) }) // the kill ends it
		sign := ids[min(dropped+random.IntN(400), n-1)]
		eventually(t, "that the cancellation is under way", time.Minute, func() bool { return explanation(t, scene, sign).State == "dropped" })
		p.kill()
		running.Wait()
		p, scene = begin()
		b := books(t, scene)
		if dropped = b.Messages["dropped"]; b.Messages["queued"]+dropped != n+1 {
			t.Fatalf("%+v", b)
		}
		if dropped > 0 && dropped < n {
			midway++
		}
	}
	done, err := apiOf(scene).Cancel(t.Context(), client.Cancel{Group: "news"})
	if err != nil {
		t.Fatal(err)
	}
	if midway == 0 {
		t.Error("no kill was in the middle")
	}
	t.Logf("%d kills were in the middle; the last run cancelled %d", midway, done.Cancelled)
	if b := books(t, scene); b.Messages["dropped"] != n || b.Messages["queued"] != 1 || b.Events != 2*n+1 {
		t.Errorf("%+v", b)
	}
	for i := 0; i < n; i += n / 5 {
		wantEvents(t, apiOf(scene), ids[i], 69, 1)
	}
	if out := run(t, environ(scene), "resume", "--ippool", scene.Pool); out.code != 0 {
		t.Fatalf("%+v", out)
	}
	wantEvents(t, apiOf(scene), kept, 69, 70, 71)
}
