// Package engine is what storage engines have in common: how things are written into rows, and what follows from a report or
// a deletion. It is pure, so every engine decides alike.
package engine

import (
	"crypto/sha256"
	"math"
	"slices"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Status is where a queue row stands. The numbers are stored.
type Status int16

// The statuses.
const (
	Ready   Status = 0 // may be claimed
	Delayed Status = 1 // may be claimed from its due time on
	Leased  Status = 2 // claimed for sending
	Unknown Status = 3 // nobody knows whether the provider has it; to be asked for from its due time on
	Asking  Status = 4 // claimed for asking
)

// State returns the state of a message whose queue row has the status.
func (s Status) State() lifecycle.State {
	switch s {
	case Leased:
		return lifecycle.Sending
	case Unknown, Asking:
		return lifecycle.Unknown
	default:
		return lifecycle.Queued
	}
}

// Told tells whether the provider has heard a message to the end, and may have it: what its recipient seems to do with it proves that.
func Told(s Status) bool { return s.State() == lifecycle.Unknown }

// UnreadableFor is how long a message that cannot be read is left alone.
const UnreadableFor = 15 * time.Minute

// ForgottenAtOnce is how many rows a transaction forgets at most, of what there may be much.
const ForgottenAtOnce = 500

// PermitsKept is how long permits are kept: longer than any limit looks back.
const PermitsKept = 3 * time.Hour

// AnswersAtOnce is how many kept answers a transaction forgets at most.
const AnswersAtOnce = 500

// Unreadable says why such a message waits.
func Unreadable(err error) string { return "it cannot be read: " + err.Error() }

// Expired says why a message is dropped that waited for too long.
func Expired(waiting string) string {
	reason := "expired before any provider took it"
	if waiting != "" {
		reason += "; last: " + waiting
	}
	return reason
}

// The first and the last time that fit into nanoseconds.
var (
	firstTime = time.Unix(0, math.MinInt64)
	lastTime  = time.Unix(0, math.MaxInt64)
)

// Stamp turns a time into nanoseconds since 1970; the zero time is 0. What is centuries away becomes the nearest time that
// fits.
func Stamp(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(firstTime):
		return math.MinInt64
	case t.After(lastTime):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}

// Time is the inverse of Stamp.
func Time(stamp int64) time.Time {
	if stamp == 0 {
		return time.Time{}
	}
	return time.Unix(0, stamp).UTC()
}

// DayLength is a day in the unit of Stamp.
const DayLength = int64(24 * time.Hour)

// Day counts days since 1970-01-01 UTC.
func Day(t time.Time) int64 { return DayOf(Stamp(t)) }

// DayOf is Day of a stamp: what is counted on a day is what is stored with a time of that day.
func DayOf(stamp int64) int64 {
	day := stamp / DayLength
	if stamp%DayLength < 0 {
		day--
	}
	return day
}

// DayStart returns the stamp of the day's beginning; days that no stamp reaches have the nearest one.
func DayStart(day int64) int64 {
	if limit := math.MaxInt64 / DayLength; day > limit || day < -limit {
		return math.MaxInt64 * max(min(day, 1), -1)
	}
	return day * DayLength
}

// FirstID returns an id that sorts before every UUIDv7 made at or after t (RFC 9562 section 5.7).
func FirstID(t time.Time) (id mail.ID) {
	ms := uint64(max(t.UnixMilli(), 0))
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id
}

// SeenDay is the day under which the reports about a message are kept: that of the message, which all copies of a report
// agree about. Their own times may lie on both sides of midnight, as a provider rounds them here and not there.
func SeenDay(id mail.ID) int64 {
	return TimeOfID(id).UnixMilli() / (DayLength / int64(time.Millisecond))
}

// FamilyBit returns the bit of a sent event's family: a message has one sent event of each family.
func FamilyBit(sent event.Type) int64 {
	info, _ := event.Describe(sent)
	return int64(1) << info.Family
}

// SeenKey identifies a report about a message: every copy of it has the same key. The keys begin with the message's time, so
// that those of a batch, whose messages are most likely of the same minutes, lie side by side.
func SeenKey(about mail.ID, identity string) (key [16]byte) {
	sum := sha256.Sum256(append(about[:], identity...))
	copy(key[copy(key[:], about[:6]):], sum[:])
	return key
}

// TriggerOf says what a report means for the state. Only the `to` address decides; reports about copies just prove that
// the provider has the message.
func TriggerOf(r *provider.Report, isCopy bool) lifecycle.Trigger {
	switch {
	case isCopy:
		return lifecycle.Accept
	case r.Kind == event.Delivered:
		return lifecycle.Deliver
	case r.Kind == event.HardBounced, r.Kind == event.SoftBounced && r.Final:
		return lifecycle.Bounce
	case r.Kind == event.Dropped && TakesBack(r):
		return lifecycle.Requeue
	case r.Kind == event.Dropped, r.Kind == event.RenderingFailure:
		return lifecycle.Drop
	default:
		return lifecycle.Accept
	}
}

// AddressOf finds an address as the request had it; the log keeps addresses in lower case, to be found by.
func AddressOf(r *mail.Recipient, email string) mail.Address { return r.AddressOf(email) }

// Content decodes a stored content.
func Content(body []byte) (*mail.Content, error) { return mail.DecodeContent(body) }

// Complete decodes into a message what is stored encoded.
func Complete(m *store.Message, class int, content, recipient, plan []byte) (err error) {
	if m.Mailbox, err = mailbox.ByID(class); err != nil {
		return err
	}
	if m.Content, err = Content(content); err != nil {
		return err
	}
	if err := mail.DecodeRecipient(recipient, &m.Recipient); err != nil {
		return err
	}
	return DecodePlan(plan, &m.Plan)
}

// PlansAlike tells whether two states of a pool make the same plans.
func PlansAlike(a, b *route.Pool) bool {
	return a.Strategy == b.Strategy && a.RoutingMetaData == b.RoutingMetaData && a.Overflow == b.Overflow && slices.Equal(a.Members, b.Members) &&
		slices.Equal(a.Targets, b.Targets)
}

// Spread counts the messages of a batch that need a place in the sequence of their pool.
func Spread(batch []store.Submission) map[int32]uint64 {
	wanted := map[int32]uint64{}
	for i := range batch {
		for j := range batch[i].Messages {
			if m := &batch[i].Messages[j]; m.Spread {
				wanted[m.PoolID]++
			}
		}
	}
	return wanted
}
