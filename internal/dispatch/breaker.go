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
	doubtProbe     = 2 * time.Second
	firstProbe     = 5 * time.Second
	lastProbe      = 60 * time.Second

	// defaultPatience is how long a call may show no byte of an answer. With the time that the runner takes to notice, a
	// provider that hangs is known within 10 s.
	defaultPatience = 8 * time.Second
)

// breaker decides whether an egress is used. It counts calls, not messages: it opens after five failures in a row, when
// more than half of the last twenty calls failed, or at once when the provider refuses the account.
//
// While it is open no message leaves. The provider is probed after 5 s, 10 s, ... 60 s, by a call that carries none: whether it
// answers and takes our credentials. Then the egress is on trial: single messages go out, and the first failure opens the
// breaker again, for longer than before; the first success ends the trial. So an outage of hours costs no more than a message
// for each time that the provider seems to be well.
//
// Where little mail flows, five calls may take long. So after a failed call the provider is asked by probes as well, every two
// seconds: a probe that fails counts as another failure, one that does not says nothing about the calls.
//
// A call that has been silent for as long as patience lasts counts as failed there and then, and its end counts no more. When
// nothing at all was heard from the provider meanwhile, in whichever call, the provider hangs and the breaker opens, however
// few calls there are. Silence is a suspicion only: an answer to a silent call, late as it is, takes the failure back, and
// closes a breaker that silence has opened.
//
// A provider may also accept mail and take it back later, for the account's sake. That opens the breaker at once; and because it shows
// nothing then that a probe is answered and that the next message is accepted, the trial after it begins with a pause after the first
// one, for what the provider says of it, and it waits for up to 15 minutes before the next one.
//
// It is not safe for concurrent use.
type breaker struct {
	recent    [recentCalls]*flight
	calls     int
	inARow    int
	open      bool
	trial     bool // closed, until something fails
	wary      bool // on trial: that a message is accepted does not show yet that it is carried
	suspected bool // open because of silence
	reason    string
	since     time.Time
	closed    time.Time // when it closed last
	probeAt   time.Time
	wait      time.Duration // before the next probe, or the last one of a trial
	probing   bool          // a probe is on the wire
}

// due tells whether it is time to probe.
func (b *breaker) due(now time.Time) bool {
	return (b.open || b.doubted()) && !b.probing && !now.Before(b.probeAt)
}

// doubted tells whether the provider is to be probed although it is in use.
func (b *breaker) doubted() bool { return !b.open && !b.probeAt.IsZero() }

// quiet notes that a call has been silent for too long. alone tells that nothing else was heard meanwhile either. changed tells
// that the breaker opened.
func (b *breaker) quiet(f *flight, alone bool, patience time.Duration, now time.Time) (changed bool) {
	f.silent = true
	words := fmt.Sprintf("no answer for %s", patience)
	if b.open {
		return false
	}
	b.count(f, true)
	if alone {
		b.trip("the provider hangs: "+words, now)
	} else if !b.tooMany(words, now) {
		return false
	}
	b.suspected = true
	return true
}

// ended notes how a call ended, by the gravest class among its outcomes. changed tells that the breaker opened or closed.
// While it is open calls that began before say nothing about the provider of now, unless they were what was held against it.
func (b *breaker) ended(f *flight, class provider.Class, words string, now time.Time) (changed bool) {
	failed := class == provider.Transient || class == provider.Ambiguous || class == provider.Account
	switch {
	case f.silent && !failed:
		return b.acquit(f)
	case f.silent && (b.open || class != provider.Account):
		return false // counted before
	case b.open:
		return false
	}
	b.count(f, failed)
	if class == provider.Account {
		b.trip(words, now)
		return true
	}
	if !failed {
		b.trial = b.trial && b.wary
		b.wary = false
		return false
	}
	b.probeAt = now.Add(doubtProbe)
	return b.tooMany(words, now)
}

// tookBack notes that the provider took back what it had accepted in a call that began at some time. changed tells that the breaker
// opened. Of calls that began before it closed last it is known.
func (b *breaker) tookBack(began time.Time, reason string, now time.Time) (changed bool) {
	if b.open || began.Before(b.closed) {
		return false
	}
	b.trip(reason, now)
	return true
}

// try closes the breaker on trial.
func (b *breaker) try(now time.Time) {
	b.become(breaker{trial: true, wary: isReturn(b.reason), closed: now, wait: b.wait})
}

// acquit takes back that a call counted as failed.
func (b *breaker) acquit(f *flight) (changed bool) {
	f.failed, b.inARow = false, 0
	if b.open && b.suspected {
		b.become(breaker{closed: b.closed})
		return true
	}
	return false
}

// become changes everything but whether a probe is on the wire.
func (b *breaker) become(n breaker) {
	n.probing = b.probing
	*b = n
}

func (b *breaker) count(f *flight, failed bool) {
	f.failed = failed
	b.recent[b.calls%recentCalls] = f
	b.calls++
	b.inARow++
	if !failed {
		b.inARow, b.probeAt = 0, time.Time{}
	}
}

// tooMany opens the breaker when too many calls have failed.
func (b *breaker) tooMany(words string, now time.Time) bool {
	switch {
	case b.trial:
		b.trip(words, now)
	case b.inARow >= failuresInARow:
		b.trip(fmt.Sprintf("%d calls in a row failed, the last one with: %s", b.inARow, words), now)
	case b.mostFailed():
		b.trip(fmt.Sprintf("more than half of the last %d calls failed, the last one with: %s", recentCalls, words), now)
	default:
		return false
	}
	return true
}

// trip opens the breaker. One that opens on trial waits for longer than before.
func (b *breaker) trip(reason string, now time.Time) {
	wait, most := firstProbe, lastProbe
	if isReturn(reason) { // a probe cannot find out whether it has come to an end
		most = lastRefusal
	}
	if b.trial {
		wait = min(b.wait*2, most)
	}
	b.open, b.trial, b.wary, b.suspected, b.reason, b.since, b.wait = true, false, false, false, reason, now, wait
	b.probeAt = now.Add(b.wait)
}

// probed notes how a probe ended: it puts a stopped egress on trial, or the next probe off for longer. changed tells that the
// breaker opened or closed.
func (b *breaker) probed(failed bool, words string, now time.Time) (changed bool) {
	b.probing = false
	if !b.open {
		if !b.doubted() {
			return false
		}
		b.probeAt = time.Time{}
		if failed {
			b.count(&flight{}, true)
			b.probeAt = now.Add(doubtProbe)
			return b.tooMany(words, now)
		}
		return false
	}
	if !failed {
		b.try(now)
		return true
	}
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
	for _, f := range b.recent {
		if f.failed {
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
