package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/client"
)

var (
	stateHeader      = []string{"STATE", "MESSAGES"}
	differenceHeader = []string{"DIFFERENCE", "OF", "STORED", "RECOMPUTED"}
)

// TestVerify checks the books of a demo that has sent something.
func TestVerify(t *testing.T) {
	t.Parallel()
	_, scene := startDemo(t, "--data", t.TempDir())
	user, api := environ(scene), apiOf(scene)
	wantEvents(t, api, scene.MessageID, 69, 70, 71)
	wantEvents(t, api, sendOne(t, scene, "HardBounce@bounce-testing.postmarkapp.com"), 69, 70, 72)

	r := run(t, user, "verify")
	states, said, ok := strings.Cut(r.out, "\n\n")
	if !ok || r.code != 0 || r.err != "" || !strings.HasPrefix(said, "Checked 2 messages, 2 attempts, 6 events and the counters of ") ||
		!strings.HasSuffix(said, "\nThe books balance.\n") {
		t.Fatalf("%+v", r)
	}
	want := [][]string{{"pending", "0"}, {"queued", "0"}, {"sending", "0"}, {"unknown", "0"}, {"sent", "0"}, {"delivered", "1"},
		{"bounced", "1"}, {"dropped", "0"}, {"all", "2"}}
	if diff := cmp.Diff(want, cells(t, states, stateHeader...)); diff != "" {
		t.Error(diff)
	}
	r = run(t, user, "verify", "--json", "--awaiting", "1h30m")
	var v client.Verification
	if err := json.Unmarshal([]byte(r.out), &v); err != nil || r.code != 0 || !v.OK || v.Messages["total"] != 2 || v.Events != 6 {
		t.Errorf("%+v (%v)", r, err)
	}
	if v, err := api.Verify(t.Context(), time.Hour); err != nil || !v.OK || v.Messages["bounced"] != 1 {
		t.Errorf("%+v (%v)", v, err)
	}
	r = run(t, user, "verify", "--awaiting", "-1h")
	if r.code != 1 || r.out != "" || !strings.Contains(r.err, "awaiting: must be a length of time") {
		t.Errorf("%+v", r)
	}
}

const differing = `{"ok": false, "checkedAt": 1, "tookMs": 2500, "messages": {"total": 7, "pending": 3, "queued": 2, "sending": 1, "unknown": 0,
	"sent": 4, "delivered": 0, "bounced": 0, "dropped": 0}, "events": 9, "attempts": 8, "days": 1, "differenceCount": 7, "differences": [
	{"kind": "counter", "messageID": "", "day": "2026-03-02", "counter": {"subAccountId": 3, "egress": "TPSP_5", "mailbox": "gmail", "type": 71,
		"name": "PM Delivered", "copy": true}, "stored": "3", "recomputed": "2 events"},
	{"kind": "facet", "messageID": "", "day": "2026-03-02", "counter": {"subAccountId": 3, "egress": "TPSP_5", "mailbox": "gmail", "type": 75, "name": "PM Open",
		"copy": false}, "facet": {"dimension": "client", "value": "Chrome", "subAccountId": 3}, "stored": "1 event", "recomputed": "2 events"},
	{"kind": "label", "messageID": "", "day": "2026-03-02", "counter": null, "facet": {"dimension": "group", "value": "g", "subAccountId": 3},
		"stored": "known on the day", "recomputed": "no message accepted on the day has it"},
	{"kind": "state", "messageID": "0198c0de-0000-7000-8000-000000000000", "day": "", "counter": null, "stored": "sent",
		"recomputed": "its events come to delivered"}],
	"awaitingCount": 101, "awaiting": [{"messageID": "m-1", "egress": "TPSP_5", "providerMessageId": "pm-1", "since": 1000000000}]}`

// TestVerifyDiffers runs the command against a server whose books do not balance: scripts notice, people are told where.
func TestVerifyDiffers(t *testing.T) {
	t.Parallel()
	user := []string{"POSTYARD_URL=" + answering(t, http.StatusOK, differing).URL, "POSTYARD_ACCOUNT_KEY=abc"}
	r := run(t, user, "verify")
	sections := strings.Split(r.out, "\n\n")
	if r.code != 1 || r.err != "postyard: the books differ in 7 places\n" || len(sections) != 5 || strings.Contains(r.out, "balance") {
		t.Fatalf("%+v", r)
	}
	if sections[1] != "Checked 7 messages, 8 attempts, 9 events and the counters of 1 day in 2.5s." {
		t.Errorf("%q", sections[1])
	}
	listed, more, _ := strings.Cut(sections[2], "\n... ")
	want := [][]string{
		{"counter", "2026-03-02 sub-account 3 TPSP_5 gmail 71 PM Delivered of copies", "3", "2 events"},
		{"facet", `2026-03-02 sub-account 3 TPSP_5 gmail 75 PM Open client "Chrome"`, "1 event", "2 events"},
		{"label", `2026-03-02 group "g" of sub-account 3`, "known on the day", "no message accepted on the day has it"},
		{"state", "0198c0de-0000-7000-8000-000000000000", "sent", "its events come to delivered"},
	}
	if diff := cmp.Diff(want, cells(t, listed, differenceHeader...)); diff != "" || more != "and 3 more" {
		t.Errorf("%s and %q", diff, more)
	}
	if sections[3] != "Sent, and without a report for more than 24h0m0s: 101 messages." ||
		strings.Join(strings.Fields(sections[4]), " ") != "MESSAGE SINCE PROVIDER ITS ID THERE m-1 1970-01-01 00:00:01.000Z TPSP_5 pm-1 ... and 100 more" {
		t.Errorf("%q, %q", sections[3], sections[4])
	}
	r = run(t, user, "verify", "--json")
	if r.code != 1 || !strings.HasPrefix(r.out, `{"ok": false`) || r.err != "postyard: the books differ in 7 places\n" {
		t.Errorf("%+v", r)
	}
}
