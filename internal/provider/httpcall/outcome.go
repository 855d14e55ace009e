package httpcall

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postyard/internal/provider"
)

// Unanswered is what became of a message whose call had no answer: Ambiguous when all of it may have left. redact takes secrets out
// of the transport's words.
func (a Answer) Unanswered(redact func(string) string) provider.Outcome {
	class := provider.Transient
	if _, ok := errors.AsType[*SettingError](a.Err); ok {
		class = provider.Account
	} else if a.Written {
		class = provider.Ambiguous
	}
	return provider.Outcome{Class: class, Text: provider.Clean(redact(a.Err.Error()), provider.MaxText),
		Unsent: errors.Is(a.Err, provider.ErrLate), Unwritten: class == provider.Transient}
}

// StatusClass judges an answer that says nothing in the provider's language. It is then not the provider that speaks but
// something before it, or another service at a wrong endpoint, so a status that could be the operator's mistake blames the
// connection and spares the message.
func StatusClass(status int) provider.Class {
	switch {
	case status == http.StatusServiceUnavailable || status == http.StatusRequestTimeout ||
		status == http.StatusConflict || status == http.StatusTooEarly || status == http.StatusMisdirectedRequest:
		return provider.Transient
	case status == http.StatusTooManyRequests:
		return provider.Throttled
	case status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge ||
		status == http.StatusUnsupportedMediaType || status == http.StatusUnprocessableEntity ||
		status == http.StatusRequestHeaderFieldsTooLarge:
		return provider.Rejected
	case status >= 300 && status < 500:
		return provider.Account
	default:
		return provider.Ambiguous
	}
}

// Bounds of a wait that a provider asks for: less is noise, more is for the breaker to decide.
const (
	minRetryAfter = 250 * time.Millisecond
	maxRetryAfter = 15 * time.Minute
)

// RetryAfter reads delta seconds or an HTTP date (RFC 9110 section 10.2.3), 0 when there is none.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && !math.IsNaN(seconds) {
		// Clamped as a number first: a huge one would overflow a Duration.
		seconds = min(max(seconds, minRetryAfter.Seconds()), maxRetryAfter.Seconds())
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return Until(at, now)
	}
	return 0
}

// Until is the wait until a moment that a provider named, within the bounds of RetryAfter.
func Until(at, now time.Time) time.Duration {
	return min(max(at.Sub(now), minRetryAfter), maxRetryAfter)
}
