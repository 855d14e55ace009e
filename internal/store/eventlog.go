package store

import "context"

// EventLog looks through the event log piece by piece: what one question looks at is bounded, however long the log is.
type EventLog interface {
	// LastEvent returns the Seq of the account's newest event, 0 when it has none.
	LastEvent(ctx context.Context, accountID int32) (int64, error)

	// EventsInTime looks at the account's events in the order in which they happened, at most look of them from a place on, and returns
	// those that the filter selects. Of a filter with a message or a recipient, only the events of that are looked at. Offset,
	// Limit and Newest mean nothing here. It returns the place to go on from, and done when there are no more.
	EventsInTime(ctx context.Context, f EventFilter, from TallyPlace, look int) (events []Event, next TallyPlace, done bool, err error)

	// CountEvents counts what EventsInTime returns, in the same pieces. What the counters say is counted at once.
	CountEvents(ctx context.Context, f EventFilter, from TallyPlace, look int) (n int64, next TallyPlace, done bool, err error)

	// EventStretch returns the Seq of the last one of the next look events of the account, between f.After and f.Before in the order of
	// f.Newest; last tells that there are no more than these, and end is then 0.
	EventStretch(ctx context.Context, f EventFilter, look int) (end int64, last bool, err error)

	// CountStretch counts what a filter selects between its After and its Before, all at once.
	CountStretch(ctx context.Context, f EventFilter) (int64, error)
}
