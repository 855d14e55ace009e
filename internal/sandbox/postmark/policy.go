package postmark

import (
	"fmt"
	"net/http"
	"time"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/settings"
)

// Headers of webhook requests. The trace id is the same for every try of one event (PM-sim 37).
const (
	headerTrace   = "X-PM-Webhook-Trace-Id"
	headerRetries = "X-PM-Retries-Remaining"
)

// policyKey is what of the settings decides how a webhook is delivered.
type policyKey struct {
	ladder    string
	timeoutMS int64
}

// maxPolicies is how many policies are remembered; deliveries that wait keep theirs.
const maxPolicies = 100

// policyOf returns how webhooks are delivered under some settings (PM-sim 38). The caller holds mu.
func (s *Simulator) policyOf(now settings.Settings) (*hook.Policy, error) {
	key := policyKey{now.RetryLadder, now.WebhookTimeoutMS}
	if p := s.policies[key]; p != nil {
		return p, nil
	}
	ladder, err := settings.ParseLadder(now.RetryLadder)
	if err != nil {
		return nil, fmt.Errorf("postmark: %w", err) // not so: settings are checked when they are made
	}
	if s.policies == nil || len(s.policies) >= maxPolicies {
		s.policies = map[policyKey]*hook.Policy{}
	}
	p := &hook.Policy{Ladder: ladder, Judge: judge, RetriesHeader: http.CanonicalHeaderKey(headerRetries),
		TraceHeader: http.CanonicalHeaderKey(headerTrace), Timeout: time.Duration(now.WebhookTimeoutMS) * time.Millisecond}
	s.policies[key] = p
	return p, nil
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
