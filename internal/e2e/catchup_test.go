package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"postyard/internal/client"
)

func TestCatchUpCommand(t *testing.T) {
	t.Parallel()
	_, scene := startDemo(t, "--data", t.TempDir(), "--no-traffic")
	r := run(t, environ(scene), "catch-up", "--since", "48h")
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	rows := cells(t, r.out, "ID", "PROVIDER", "SINCE", "ASKED", "NEW", "KNOWN", "RESULT")
	if len(rows) != len(scene.Providers) || rows[0][0] != strconv.Itoa(int(scene.TPSPID)) || rows[0][4] != "0" || rows[0][6] != "done" {
		t.Errorf("%q", rows)
	}
	r = run(t, environ(scene), "catch-up", "--tpsp", strconv.Itoa(int(scene.TPSPID)), "--json")
	var list []client.CaughtUp
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || r.code != 0 || len(list) != 1 || list[0].TPSPID != scene.TPSPID {
		t.Errorf("%+v (%v)", r, err)
	}
	for _, args := range [][]string{{"--tpsp", "999"}, {"--since", "tomorrow"}} {
		if r := run(t, environ(scene), append([]string{"catch-up"}, args...)...); r.code == 0 || !strings.HasPrefix(r.err, "postyard: ") {
			t.Errorf("%q: %+v", args, r)
		}
	}
}
