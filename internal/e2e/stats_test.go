package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStats runs the command against answers of each shape.
func TestStats(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, answer string
		args         []string
		header       []string
		want         [][]string
	}{
		{"days", `[{"date":"2026-03-02","stat":{"processed":3,"sent":2,"delivered":1,"dropped":0,"smtpDropped":0,"hardBounced":1,"softBounced":0,"opened":4,
			"clicked":0,"unsubscribed":0,"spam":0}}]`, nil,
			[]string{"DAY", "PROCESSED", "SENT", "DELIVERED", "DROPPED", "HARD", "SOFT", "OPENED", "CLICKED", "UNSUBSCRIBED", "SPAM"},
			[][]string{{"2026-03-02", "3", "2", "1", "0", "1", "0", "4", "0", "0", "0"}}},
		{"devices", `[{"device":"Mobile","opened":3,"uniqueOpened":2,"clicked":1,"uniqueClicked":1}]`, []string{"--by", "device", "--tpsp", "7"},
			[]string{"DEVICE", "OPENED", "OPENERS", "CLICKED", "CLICKERS"}, [][]string{{"Mobile", "3", "2", "1", "1"}}},
		{"nothing", `[]`, []string{"--by", "provider", "--tpsp", "7"}, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			user := []string{"POSTYARD_URL=" + answering(t, http.StatusOK, tc.answer).URL, "POSTYARD_ACCOUNT_KEY=abc"}
			r := run(t, user, append([]string{"stats"}, tc.args...)...)
			if r.code != 0 || r.err != "" {
				t.Fatalf("%+v", r)
			}
			if tc.header == nil {
				if r.out != "Nothing was counted on these days.\n" {
					t.Errorf("%+v", r)
				}
			} else if diff := cmp.Diff(tc.want, cells(t, strings.TrimSuffix(r.out, "\n"), tc.header...)); diff != "" {
				t.Errorf("%s\n%s", diff, r.out)
			}
			raw := run(t, user, append([]string{"stats", "--json"}, tc.args...)...)
			if raw.code != 0 || strings.TrimSpace(raw.out) != tc.answer {
				t.Errorf("%+v", raw)
			}
		})
	}
	user := []string{"POSTYARD_URL=http://127.0.0.1:1", "POSTYARD_ACCOUNT_KEY=abc"}
	for _, args := range [][]string{{"--by", "moon"}, {"--by", "tpsp", "--tpsp", "3"}, {"--by", "group"}, {"--tpsp", "x"}} {
		if r := run(t, user, slices.Concat([]string{"stats"}, args)...); r.code != 1 || r.out != "" || strings.Contains(r.err, "refused") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// TestStatsDelay shows the figures and the spans.
func TestStatsDelay(t *testing.T) {
	t.Parallel()
	user := []string{"POSTYARD_ACCOUNT_KEY=abc", "POSTYARD_URL=" + answering(t, http.StatusOK, `{"delivered":3,"meanMs":1500,"medianMs":1000,"p95Ms":4000,
		"spans":[{"upToSeconds":1,"delivered":2},{"upToSeconds":0,"delivered":1}]}`).URL}
	r := run(t, user, "stats", "--by", "delay")
	parts := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n\n")
	if r.code != 0 || len(parts) != 2 {
		t.Fatalf("%+v", r)
	}
	if diff := cmp.Diff([][]string{{"3", "1500", "1000", "4000"}}, cells(t, parts[0], "DELIVERED", "MEAN-MS", "MEDIAN-MS", "95%-MS")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{"1", "2"}, {"more", "1"}}, cells(t, parts[1], "SECONDS", "DELIVERED")); diff != "" {
		t.Error(diff)
	}
}
