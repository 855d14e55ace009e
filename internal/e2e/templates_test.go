package e2e

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postyard/internal/client"
)

// The templates of the provider are read and listed from the terminal, for people and for programs.
func TestTemplates(t *testing.T) {
	t.Parallel()
	_, scene := startDemo(t, "--no-traffic", "--data", t.TempDir())
	r := run(t, environ(scene), "templates", "sync", "--json")
	var synced []client.SyncedTemplates
	if err := json.Unmarshal([]byte(r.out), &synced); err != nil || r.code != 0 || len(synced) != 1 || synced[0].Templates != 1 || synced[0].Error != "" {
		t.Fatalf("%+v (%v)", r, err)
	}
	if r = run(t, environ(scene), "templates", "sync", "--tpsp", strconv.Itoa(int(synced[0].TPSPID))); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	rows := cells(t, r.out, "ID", "PROVIDER", "TEMPLATES", "ADDED", "CHANGED", "REMOVED", "UNUSABLE", "RESULT")
	if len(rows) != 1 || !slices.Equal(rows[0][2:], []string{"1", "0", "0", "0", "0", "done"}) {
		t.Errorf("%q", rows)
	}
	r = run(t, environ(scene), "templates", "list")
	rows = cells(t, r.out, "ALIAS", "NAME", "ID", "PROVIDER", "LAYOUT", "CHANGED", "READ", "STATE")
	if r.code != 0 || len(rows) != 1 || rows[0][0] != scene.Template || rows[0][7] != "usable" {
		t.Errorf("%+v", r)
	}
	if r = run(t, environ(scene), "templates", "sync", "--tpsp", "99"); r.code != 1 || !strings.Contains(r.err, "no such provider") {
		t.Errorf("%+v", r)
	}
}
