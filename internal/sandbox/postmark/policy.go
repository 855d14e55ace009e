package postmark

import (
	"net/http"
	"time"

	"postyard/internal/sandbox/hook"
)

// Headers of webhook requests. The trace id is the same for every try of one event (PM-sim 37).
const (
	headerTrace   = "X-PM-Webhook-Trace-Id"
	headerRetries = "X-PM-Retries-Remaining"
)

// ladder are the waits between the tries of an outbound event: nine retries in 72 minutes (PM-sim 38).
func ladder() []time.Duration {
	minutes := []int{1, 5, 15, 1, 5, 10, 10, 10, 15}
	waits := make([]time.Duration, len(minutes))
	for i, m := range minutes {
		waits[i] = time.Duration(m) * time.Minute
	}
	return waits
}

// judge reads the answer of a webhook: a 4xx other than 408 and 429 loses the event at once (PM-sim 38).
func judge(status int) hook.Verdict {
	switch {
	case status >= 200 && status < 300:
		return hook.Delivered
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return hook.Retry
	case status >= 400 && status < 500:
		return hook.Refused
	}
	return hook.Retry
}
