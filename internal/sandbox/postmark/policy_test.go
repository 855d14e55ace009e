package postmark

import (
	"testing"
	"time"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
)

// PM-sim 38: both of Postmark's ladders, and what is made of the settings.
func TestPolicies(t *testing.T) {
	t.Parallel()
	s := &Simulator{}
	for ladder, want := range map[string]struct {
		retries int
		total   time.Duration
	}{"nine": {9, 72 * time.Minute}, "six": {6, 51 * time.Minute}, "three": {3, 21 * time.Minute}, "none": {0, 0}, "1s, 2m": {2, 121 * time.Second}} {
		now := settings.Default()
		now.RetryLadder, now.WebhookTimeoutMS = ladder, 5000
		p, err := s.policyOf(now)
		if err != nil {
			t.Fatal(err)
		}
		total := time.Duration(0)
		for _, wait := range p.Ladder {
			total += wait
		}
		if len(p.Ladder) != want.retries || total != want.total || p.Timeout != 5*time.Second {
			t.Errorf("%s: %d retries in %v, %v each", ladder, len(p.Ladder), total, p.Timeout)
		}
		if again, _ := s.policyOf(now); again != p {
			t.Errorf("%s: made anew", ladder)
		}
	}
}

// PM-sim 38.
func TestJudge(t *testing.T) {
	t.Parallel()
	for status := range 600 {
		want := hook.Retry
		switch {
		case status == 408 || status == 429:
		case status >= 200 && status < 300:
			want = hook.Delivered
		case status >= 400 && status < 500:
			want = hook.Refused
		}
		if got := judge(status); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}
