package dispatch

import (
	"fmt"
	"time"

	"postyard/internal/provider"
)

// When a breaker opens, and how it probes.
const (
	failuresInARow = 5
	recentCalls    = 20
	firstProbe     = 5 * time.Second
	lastProbe      = 60 * time.Second
)

// breaker decides whether an egress is used. It counts calls, not messages: it opens after five failures in a row, when
// more than half of the last twenty calls failed, or at once when the provider refuses the account. While it is open one
// message at a time probes the provider, after 5 s, 10 s, ... 60 s. It is not safe for concurrent use.
type breaker struct {
	recent  [recentCalls]bool // true: failed
	calls   int
	inARow  int
	open    bool
	reason  string
	since   time.Time
	probeAt time.Time
	wait    time.Duration
	probing bool
}

// permits returns how many messages may leave now: none, one probe, or all that fit (most).
func (b *breaker) permits(now time.Time, most int) int {
	switch {
	case !b.open:
		return most
	case b.probing || now.Before(b.probeAt):
		return 0
	default:
		return 1
	}
}

// began notes that a call is on the wire, and tells whether it is the probe of an open breaker.
func (b *breaker) began() (probe bool) {
	b.probing = b.open
	return b.probing
}

// ended notes how a call ended, by the gravest class among its outcomes. changed tells that the breaker opened or closed.
// While it is open only its probe counts: calls that began before say nothing about the provider of now.
func (b *breaker) ended(probe bool, class provider.Class, words string, now time.Time) (changed bool) {
	if b.open && !probe {
		return false
	}
	failed := class == provider.Transient || class == provider.Ambiguous || class == provider.Account
	if b.open {
		return b.probed(failed, words, now)
	}
	b.recent[b.calls%recentCalls] = failed
	b.calls++
	if !failed {
		b.inARow = 0
		return false
	}
	b.inARow++
	switch {
	case class == provider.Account:
		b.reason = words
	case b.inARow >= failuresInARow:
		b.reason = fmt.Sprintf("%d calls in a row failed, the last one with: %s", b.inARow, words)
	case b.mostFailed():
		b.reason = fmt.Sprintf("more than half of the last %d calls failed, the last one with: %s", recentCalls, words)
	default:
		return false
	}
	b.open, b.since, b.wait = true, now, firstProbe
	b.probeAt = now.Add(b.wait)
	return true
}

// probed closes the breaker, or puts the next probe off for longer.
func (b *breaker) probed(failed bool, words string, now time.Time) (closed bool) {
	if !failed {
		*b = breaker{}
		return true
	}
	b.probing = false
	b.wait = min(b.wait*2, lastProbe)
	b.probeAt = now.Add(b.wait)
	b.reason = words
	return false
}

func (b *breaker) mostFailed() bool {
	if b.calls < recentCalls {
		return false
	}
	n := 0
	for _, failed := range b.recent {
		if failed {
			n++
		}
	}
	return n > recentCalls/2
}

// pace is how much goes to a provider at once. It is halved when calls time out and grows again when they succeed.
type pace struct {
	batch, calls       int // now
	maxBatch, maxCalls int
}

func newPace(batch, calls int) pace {
	return pace{batch: batch, calls: calls, maxBatch: batch, maxCalls: calls}
}

func (p *pace) slower() { p.batch, p.calls = max(p.batch/2, 1), max(p.calls/2, 1) }

func (p *pace) faster() { p.batch, p.calls = min(p.batch*2, p.maxBatch), min(p.calls+1, p.maxCalls) }

// restart begins with single messages, so that a provider that has just come back is not flooded.
func (p *pace) restart() { p.batch, p.calls = 1, 1 }
