package e2e

import (
	"regexp"
	"strings"
	"testing"

	"postyard/internal/client"
)

// Whoever has a terminal breaks something, asks the doctor, and runs the command that it names.
func TestDoctorsCommandsRepair(t *testing.T) {
	t.Parallel()
	_, scene := startDemo(t, "--no-traffic", "--data", t.TempDir())
	ask := func() result { return run(t, environ(scene), "doctor") }
	healthy := ask()
	if healthy.code != 0 || strings.Contains(healthy.out, "\nfail") || !strings.Contains(healthy.out, "ok    token             Postmark sandbox (1): ") {
		t.Fatalf("healthy: %+v", healthy)
	}
	lines := func(r result) int { return strings.Count(r.out, "\n      ") } // of fixes
	for what, hurt := range map[string][]string{
		"a drill":              {"drill", "1"},
		"a paused IP pool":     {"pause", "--ippool", scene.Pool},
		"a paused sub-account": {"pause", "--sub-account", scene.SubAccounts[0].Name},
	} {
		if r := run(t, environ(scene), hurt...); r.code != 0 {
			t.Fatalf("%s: %+v", what, r)
		}
		id := sendOne(t, scene, "ana@gmail.com") // which waits
		ill := ask()
		if ill.code != 0 || lines(ill) <= lines(healthy) {
			t.Errorf("%s: %+v", what, ill)
		}
		for _, m := range regexp.MustCompile(`fix: postyard ((?:drill|resume) .*)`).FindAllStringSubmatch(ill.out, -1) {
			if r := run(t, environ(scene), strings.Fields(m[1])...); r.code != 0 {
				t.Errorf("%s: postyard %s: %+v", what, m[1], r)
			}
		}
		eventually(t, "the repair of "+what, longest, func() bool { return lines(ask()) == lines(healthy) })
		waitForLetter(t, scene, id)
	}
	r := run(t, environ(scene), "doctor", "--ippool", "nowhere", "--template", scene.Template, "--tpsp", "1")
	if r.code != 1 || !strings.Contains(r.out, `fail  pool              the account has no IP pool named "nowhere"`) || !strings.Contains(r.err, "1 check failed") {
		t.Errorf("%+v", r)
	}
	list, err := apiOf(scene).Doctor(t.Context(), client.Examination{TPSPID: 1})
	if err != nil || len(list) < 15 {
		t.Errorf("%v, %v", list, err)
	}
}
