package settings

import (
	"fmt"
	"strings"
	"time"
)

// Names of ladders. Postmark documents two for its events; three was its ladder until 2026 (PM-sim 38).
const (
	ladderNine  = "nine"
	ladderSix   = "six"
	ladderThree = "three"
	ladderNone  = "none"
)

const maxRetries = 20

// ParseLadder returns the waits between the tries of a webhook: of nine retries in 72 minutes, six in 51, three in 21, none, or waits
// such as "1s,5s,1m", each at most a day.
func ParseLadder(text string) ([]time.Duration, error) {
	switch text {
	case ladderNine:
		return minutes(1, 5, 15, 1, 5, 10, 10, 10, 15), nil
	case ladderSix:
		return minutes(1, 5, 10, 10, 10, 15), nil
	case ladderThree:
		return minutes(1, 5, 15), nil
	case ladderNone:
		return []time.Duration{}, nil
	}
	var waits []time.Duration
	for part := range strings.SplitSeq(text, ",") {
		wait, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil || wait < 0 || wait > maxDelay || len(waits) == maxRetries {
			return nil, fmt.Errorf("retryLadder must be nine, six, three, none, or at most %d waits of at most a day such as \"1s,5s,1m\"; got %q",
				maxRetries, text)
		}
		waits = append(waits, wait)
	}
	return waits, nil
}

// OwnLadder tells whether RetryLadder was made for all providers: nine, six and three are Postmark's, in whose place others have theirs.
func (s Settings) OwnLadder() bool {
	return s.RetryLadder != ladderNine && s.RetryLadder != ladderSix && s.RetryLadder != ladderThree
}

// FormatLadder is the text that ParseLadder reads.
func FormatLadder(waits []time.Duration) string {
	if len(waits) == 0 {
		return ladderNone
	}
	parts := make([]string, len(waits))
	for i, wait := range waits {
		parts[i] = wait.String()
	}
	return strings.Join(parts, ",")
}

func minutes(list ...int) []time.Duration {
	waits := make([]time.Duration, len(list))
	for i, m := range list {
		waits[i] = time.Duration(m) * time.Minute
	}
	return waits
}
