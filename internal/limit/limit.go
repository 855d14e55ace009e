// Package limit counts how many messages an egress, or a lane of it, may let go: at most so many in any 60 minutes, as the
// provider sees them (RT-12).
//
// A permit is taken when a message is claimed; the provider sees the message at any moment from then until the call's
// deadline. So what counts at a moment is all that was claimed in the 60 minutes before it and in the time that a claim may
// last. Permits are kept as numbers per [Span] of time, and a span counts until all of it has passed: what is let go is never
// more than allowed, and at most 3 % less.
//
// The package is pure; the store keeps the numbers, in the transaction that claims.
package limit

import (
	"maps"
	"time"

	"postyard/internal/mailbox"
)

// Span is the length of time whose permits are counted as one number. It is part of the stored form.
const Span = 15 * time.Second

// Hour is what limits are about.
const Hour = time.Hour

// The highest limits that can be set.
const (
	Most      = 100_000     // of a lane (CS-17)
	MostWhole = 100_000_000 // of an egress
)

// Limits are those of one egress, in messages in any 60 minutes; 0 is no limit.
type Limits struct {
	PerHour int
	Mailbox map[mailbox.Class]int // of its lanes
}

// Clone returns a copy that shares nothing.
func (l Limits) Clone() Limits {
	l.Mailbox = maps.Clone(l.Mailbox)
	return l
}

// Zero tells that nothing is limited.
func (l Limits) Zero() bool { return l.PerHour == 0 && len(l.Mailbox) == 0 }

// Use is how many permits were taken in one span.
type Use struct {
	Span int64
	N    int
}

// SpanOf returns the span of a moment.
func SpanOf(t time.Time) int64 { return t.UnixNano() / int64(Span) }

// First returns the first span that still counts at a moment, when a claim may last so long.
func First(now time.Time, claim time.Duration) int64 { return SpanOf(now.Add(-Hour - claim)) }

// Room returns how many permits are left at a moment under a limit above 0, after what was taken, in the order of spans. When
// none is left, free is when the next one will be.
func Room(perHour int, taken []Use, now time.Time, claim time.Duration) (room int, free time.Time) {
	first, used := First(now, claim), 0
	for _, u := range taken {
		if u.Span >= first {
			used += u.N
		}
	}
	if used < perHour {
		return perHour - used, time.Time{}
	}
	for _, u := range taken {
		if u.Span < first {
			continue
		}
		if used -= u.N; used < perHour {
			return 0, end(u.Span).Add(Hour + claim)
		}
	}
	return 0, now.Add(Hour + claim) // not reached: without any use there is room
}

// Sum returns how many permits were taken.
func Sum(taken []Use) (n int) {
	for _, u := range taken {
		n += u.N
	}
	return n
}

// end is when a span has passed.
func end(span int64) time.Time { return time.Unix(0, (span+1)*int64(Span)).UTC() }
