package postmark

import (
	"testing"
	"time"

	"postyard/internal/sandbox/hook"
)

// PM-sim 38.
func TestLadder(t *testing.T) {
	t.Parallel()
	total := time.Duration(0)
	for _, wait := range ladder() {
		total += wait
	}
	if len(ladder()) != 9 || total != 72*time.Minute {
		t.Errorf("%d retries in %v", len(ladder()), total)
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
