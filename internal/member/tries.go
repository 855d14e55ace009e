package member

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"
)

// Attempts to sign in that fail are limited per address and per email. Of each so many are taken at once, and then one in a while.
const (
	triesPerAddress = 20
	addressRefill   = 6 * time.Second
	triesPerEmail   = 10
	emailRefill     = time.Minute

	// That attempts are refused because there are too many is told once in a while of each address and each email. That, and what is told of
	// nobody in particular, is limited as a whole.
	toldEvery      = 10 * time.Minute
	unprovenAtOnce = 100
	unprovenRefill = time.Minute

	busyFor = 5 * time.Second
)

// TriesError refuses an attempt because there were too many.
type TriesError struct {
	RetryAfter time.Duration
	Reason     string

	of string // the address or the email that there are too many of; "" when it is neither
}

// Error implements error.
func (e *TriesError) Error() string { return e.Reason }

// tries counts attempts by a key, in buckets. What is counted is fixed in size, so whoever comes with many keys can neither take memory nor make
// the count of another key be forgotten. Keys whose hashes agree share a bucket; which do, nobody outside can know.
type tries struct {
	most   float64
	refill time.Duration
	seed   maphash.Seed

	mu      sync.Mutex
	buckets [1 << 14]bucket
}

// bucket is how many attempts are taken, as of when.
type bucket struct {
	taken float64
	at    int64 // ns
}

func newTries(most int, refill time.Duration) *tries {
	return &tries{most: float64(most), refill: refill, seed: maphash.MakeSeed()}
}

func (t *tries) of(key string, now time.Time) *bucket {
	b := &t.buckets[maphash.String(t.seed, key)%uint64(len(t.buckets))]
	if passed := now.UnixNano() - b.at; passed > 0 {
		b.taken = max(0, b.taken-float64(passed)/float64(t.refill))
		b.at = now.UnixNano()
	}
	return b
}

// take counts an attempt before it is made, so that many at once are not more than many after another.
func (t *tries) take(key string, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.of(key, now)
	if b.taken+1 > t.most {
		return max(time.Second, time.Duration((b.taken+1-t.most)*float64(t.refill)))
	}
	b.taken++
	return 0
}

// giveBack takes a count back: the attempt did not fail.
func (t *tries) giveBack(key string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.of(key, now)
	b.taken = max(0, b.taken-1)
}

// limits are those of the attempts to sign in.
type limits struct {
	addresses, emails *tries
	told              *tries // that one of them was reached
	unproven          *tries // what is told of them, and of nobody in particular
}

func newLimits() *limits {
	return &limits{newTries(triesPerAddress, addressRefill), newTries(triesPerEmail, emailRefill), newTries(1, toldEvery), newTries(unprovenAtOnce, unprovenRefill)}
}

// take counts an attempt, or refuses it with a *TriesError. email may be "". back takes the count back.
func (l *limits) take(address, email string, now time.Time) (back func(), err error) {
	if wait := l.addresses.take(address, now); wait > 0 {
		return nil, &TriesError{wait, fmt.Sprintf("there were too many attempts from this address; try again in %s", wait.Round(time.Second)), address}
	}
	if email != "" {
		if wait := l.emails.take(email, now); wait > 0 {
			return nil, &TriesError{wait, fmt.Sprintf("there were too many attempts for this email; try again in %s", wait.Round(time.Second)), email}
		}
	}
	return func() {
		l.addresses.giveBack(address, now)
		if email != "" {
			l.emails.giveBack(email, now)
		}
	}, nil
}
