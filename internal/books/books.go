// Package books audits an account: it recomputes from attempts and events what the store also keeps as states and counters,
// and names every place where the two differ.
//
// It looks at three things, in this order:
//
//   - Days: the counters of each day are the events of that day, kind by kind, up to the last event that the counters include. So are
//     its facets (what is counted by group, domain, reason, ...), first opens and clicks, and the labels of its messages.
//   - Messages: each is in exactly one state, in the queue exactly while it is pending, and where its events and attempts
//     say that it is. The checks of a message are in message.go, one function for each.
//   - Both together: the events of a day are those of the messages, none more and none less.
//
// It works while mail flows. A message is read with all that belongs to it in one snapshot, so nothing is seen half done. The
// days come first: an event that was counted belongs to a message that is on disk by then, and whatever is recorded after
// the counters were read is left out by its Seq.
//
// It reads bounded pages, in key ranges, and keeps no more than the counters of one day, one number for each day, and the
// differences that it lists.
//
// What is found is not repaired: a difference is a bug, or somebody has edited the database, and both are for people.
package books

import (
	"context"
	"fmt"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
)

// What is read at once, and listed at most. All is counted.
const (
	entryPage       = 500
	eventPage       = 20_000
	maxDifferences  = 1000
	maxAwaiting     = 100
	DefaultAwaiting = 24 * time.Hour
)

// Options say what to verify.
type Options struct {
	AccountID int32
	Awaiting  time.Duration    // how long a sent message may be without a report before it is listed
	Now       func() time.Time // required
	Progress  func()           // called before every page, when it is not nil
}

// Report is what a verification found.
type Report struct {
	CheckedAt       time.Time // when it began
	Took            time.Duration
	States          [lifecycle.Dropped + 1]int64 // messages, by state
	Messages        int64
	Attempts        int64
	Events          int64 // of the messages
	Days            int64
	Differences     []Difference // the first 1,000
	DifferenceCount int64
	Awaiting        []Awaiting // the first 100
	AwaitingCount   int64
}

// OK tells whether the books balance.
func (r *Report) OK() bool { return r.DifferenceCount == 0 }

// Kind says what differs.
type Kind string

// The kinds of differences.
const (
	KindState    Kind = "state"    // the state is not what the events come to
	KindQueue    Kind = "queue"    // the message is pending and not in the queue, or the other way round
	KindEvents   Kind = "events"   // an event is missing, is there twice, stands in the wrong place, or says what it cannot
	KindAttempts Kind = "attempts" // the attempts are not those that were counted, or are open or closed when they must not be
	KindProof    Kind = "proof"    // nothing says that a provider has the message
	KindMark     Kind = "mark"     // the mark says what cannot have been
	KindCounter  Kind = "counter"  // a counter is not the number of its events
	KindOwner    Kind = "owner"    // a day has events that no message has
	KindFacet    Kind = "facet"    // what is counted by group, domain, reason, ... is not what its events come to
	KindUnique   Kind = "unique"   // a first open or click was not counted as one, or another one was
	KindLabel    Kind = "label"    // a name that mail of a day is counted under is of no message, or is not known
)

// Difference is one place where the books do not balance.
type Difference struct {
	Kind       Kind
	Message    mail.ID        // of which message, zero when it is about a day
	Day        time.Time      // of which day, zero when it is about a message
	Counter    *store.Counter // of which counter, nil for all other kinds
	Facet      *store.Facet   // of which facet, or label, nil for all other kinds
	Stored     string         // what the store says
	Recomputed string         // what attempts and events say
}

// Awaiting is a message that a provider has and has not reported about for long. The books balance without a report.
type Awaiting struct {
	Message    mail.ID
	Egress     route.Egress
	ProviderID string
	Since      time.Time // when the last that is known of it happened
}

// verification is one audit under way.
type verification struct {
	Options
	books  store.Books
	report Report
	days   map[int64]*day
}

// day is what is kept of a day after its counters were compared.
type day struct {
	upTo    int64 // the last event that the counters include
	events  int64 // of the day, up to that one
	claimed int64 // those of them that a message has
}

// Verify audits an account. An error means that it could not be finished.
func Verify(ctx context.Context, o Options, b store.Books) (*Report, error) {
	v := &verification{Options: o, books: b, days: map[int64]*day{}}
	if v.Progress == nil {
		v.Progress = func() {}
	}
	v.report.CheckedAt = o.Now()
	if err := v.checkDays(ctx); err != nil {
		return nil, err
	}
	if err := v.checkMessages(ctx); err != nil {
		return nil, err
	}
	v.compareDays()
	v.report.Took = o.Now().Sub(v.report.CheckedAt)
	return &v.report, nil
}

// differ records a difference.
func (v *verification) differ(d Difference) {
	v.report.DifferenceCount++
	if len(v.report.Differences) < maxDifferences {
		v.report.Differences = append(v.report.Differences, d)
	}
}

func (v *verification) checkMessages(ctx context.Context) error {
	for after := (mail.ID{}); ; {
		v.Progress()
		page, err := v.books.Entries(ctx, v.AccountID, after, entryPage)
		if err != nil {
			return fmt.Errorf("read messages: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		for i := range page {
			v.checkMessage(&page[i])
		}
		after = page[len(page)-1].ID
	}
}

func (v *verification) checkMessage(e *store.Entry) {
	r := &v.report
	r.Messages++
	r.Attempts += int64(len(e.Calls))
	r.Events += int64(len(e.Events))
	if int(e.State) < len(r.States) {
		r.States[e.State]++
	}
	check(e, func(kind Kind, stored, recomputed string) {
		v.differ(Difference{Kind: kind, Message: e.ID, Stored: stored, Recomputed: recomputed})
	})
	v.claim(e)
	v.await(e)
}

// await notes a message whose provider has been silent for too long. Nobody reports about mail through mail servers.
func (v *verification) await(e *store.Entry) {
	if e.State != lifecycle.Sent || len(e.Events) == 0 || e.Egress.IPID() != 0 || byMailServer(e) {
		return
	}
	since := e.Events[0].OccurredAt
	for _, happened := range e.Events {
		if happened.OccurredAt.After(since) {
			since = happened.OccurredAt
		}
	}
	if v.report.CheckedAt.Sub(since) <= v.Awaiting {
		return
	}
	v.report.AwaitingCount++
	if len(v.report.Awaiting) < maxAwaiting {
		v.report.Awaiting = append(v.report.Awaiting, Awaiting{e.ID, e.Egress, e.ProviderID, since})
	}
}

// byMailServer tells whether a mail server took a message, and no provider.
func byMailServer(e *store.Entry) (taken bool) {
	for _, happened := range e.Events {
		info, ok := event.Describe(happened.Type)
		switch {
		case !ok || info.Kind != event.Sent:
		case info.Family != event.Native && info.Family != event.CustomSMTP:
			return false
		default:
			taken = true
		}
	}
	return taken
}
