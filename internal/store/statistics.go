package store

import (
	"context"
	"time"

	"postyard/internal/compare"
	"postyard/internal/event"
	"postyard/internal/mailbox"
	"postyard/internal/route"
)

// Statistics adds up what is counted, for `to` recipients.
type Statistics interface {
	// Stats returns one sum for each key and event type, in the order of both. A key without events is left out. More than
	// f.Limit sums are cut off.
	Stats(ctx context.Context, f StatFilter) ([]Stat, error)

	// Lanes returns one sum for each egress, mailbox provider, value of the dimension and event type, in the order of all. What the sums
	// are by in the filter does not matter. More than f.Limit are cut off.
	Lanes(ctx context.Context, f StatFilter) ([]LaneStat, error)

	// FormerSubAccounts returns the names of the account's deleted sub-accounts, by their ids.
	FormerSubAccounts(ctx context.Context, accountID int32) (map[int32]string, error)
}

// StatKey is what sums are made for.
type StatKey uint8

// The keys.
const (
	ByNothing    StatKey = iota
	ByDay                // days since 1970-01-01 UTC
	ByEgress             // route.Egress
	BySubAccount         // its id
	ByMailbox            // mailbox.Class.ID
	ByValue              // of the dimension
)

// StatFilter selects counters, or facets when it has a dimension. Zero fields do not filter, but for the account.
type StatFilter struct {
	AccountID    int32
	SubAccountID int32
	Under        []int32 // sub-accounts that count with SubAccountID; without it they mean nothing
	Egress       route.Egress
	Mailbox      mailbox.Class
	Types        []event.Type
	From, To     time.Time // days, both included
	Dimension    Dimension
	Value        string // of the dimension
	By           StatKey
	Limit        int
}

// Stat is one sum. Key says of what, but for ByValue, where Value does.
type Stat struct {
	Key   int64
	Value string
	Type  event.Type
	Sum
}

// LaneStat is one sum of a lane.
type LaneStat struct {
	Egress  route.Egress
	Mailbox int    // mailbox.Class.ID
	Value   string // "" without a dimension
	Type    event.Type
	Sum
}

// Sum is what a counter or a facet comes to.
type Sum struct {
	N      int64 // events
	Firsts int64 // of them: the first open, or the first click, of their message that was recorded
	Millis int64 // of DimensionDelay: how long they took together
}

// Dimension is what events are counted by beside what a Counter has. The numbers are stored.
type Dimension uint8

// The dimensions. Those of labels are decided when a message is accepted and hold for all of its events; the others are told by
// the event.
const (
	NoDimension      Dimension = 0
	DimensionGroup   Dimension = 1 // groups of the request
	DimensionDomain  Dimension = 2 // the sender's domain, when the account has whitelisted it
	DimensionReason  Dimension = 3 // of bounces
	DimensionDevice  Dimension = 4 // of opens and clicks, like the next three
	DimensionClient  Dimension = 5
	DimensionOS      Dimension = 6
	DimensionCountry Dimension = 7 // ISO 3166 alpha-2
	DimensionDelay   Dimension = 8 // of deliveries: from acceptance to delivery, a span of package compare; before MarkFine one of DelaySpans

	// DimensionFailover is that of sent events whose message another egress carried than the first one of its plan: the value is that
	// one, as a number.
	DimensionFailover Dimension = 9
)

var dimensionNames = [...]string{"", "group", "domain", "reason", "device", "client", "os", "country", "delay", "failover"}

// Dimensions returns all dimensions in their order.
func Dimensions() []Dimension {
	list := make([]Dimension, len(dimensionNames)-1)
	for i := range list {
		list[i] = Dimension(i + 1)
	}
	return list
}

// String returns the dimension's public name.
func (d Dimension) String() string {
	if int(d) < len(dimensionNames) {
		return dimensionNames[d]
	}
	return "invalid"
}

// What values of facets there are beside the names themselves.
const (
	OtherValue   = "(other)"   // a label beyond MaxLabels, or a name that is not counted on its own
	UnknownValue = "(unknown)" // the provider did not say
)

// MaxLabelBytes is the most bytes of a group or domain that is counted by name; longer ones are OtherValue.
const MaxLabelBytes = 255

// DelaySpans returns the upper ends of the spans in which times to deliver are shown, in whole seconds and in their order. They are values
// of DimensionDelay of events without MarkFine; what took longer has the value BeyondSpans.
func DelaySpans() []int64 { return compare.CoarseSpans() }

// BeyondSpans is the value of what took longer than all spans.
const BeyondSpans = "more"

// MaxLabels is how many groups, and how many domains, of a sub-account are counted by name on a day. Messages with further ones
// count as OtherValue.
const MaxLabels = 1000

// Facet is what is counted together under a value of a dimension. Events of copies have none.
type Facet struct {
	Dimension    Dimension
	Value        string
	SubAccountID int32
	Egress       route.Egress
	Mailbox      int // mailbox.Class.ID
	Type         event.Type
}

// Label is a name that messages accepted on a day are counted under.
type Label struct {
	SubAccountID int32
	Dimension    Dimension
	Name         string
}

// Figures are what is counted of a day beside its counters.
type Figures struct {
	Firsts map[Counter]int64 // without those that are zero
	Facets map[Facet]Sum
	Labels map[Label]bool // of the messages accepted on the day, without OtherValue
}

// NewFigures returns figures of nothing.
func NewFigures() Figures {
	return Figures{Firsts: map[Counter]int64{}, Facets: map[Facet]Sum{}, Labels: map[Label]bool{}}
}

// Add adds other figures of the same day.
func (f *Figures) Add(other Figures) {
	for k, n := range other.Firsts {
		f.Firsts[k] += n
	}
	for k, s := range other.Facets {
		sum := f.Facets[k]
		f.Facets[k] = Sum{N: sum.N + s.N, Firsts: sum.Firsts + s.Firsts, Millis: sum.Millis + s.Millis}
	}
	for k := range other.Labels {
		f.Labels[k] = true
	}
}

// FacetBooks is the part of Books that is about Figures.
type FacetBooks interface {
	// CountedFacets returns what is stored of a day, and the Seq of the last event that it includes.
	CountedFacets(ctx context.Context, accountID int32, day int64) (figures Figures, upTo int64, err error)

	// TallyFacets counts the same anew from events and the labels of their messages, as Tally does. Events that were recorded
	// before there were facets have none.
	TallyFacets(ctx context.Context, accountID int32, day, upTo int64, from TallyPlace, limit int) (figures Figures, next TallyPlace, done bool, err error)
}

// Engaged tells what a message's recipient has done, as the message's row has it: one bit for each kind of which the first
// event was counted.
type Engaged uint8

// The bits of Engaged.
const (
	EngagedOpened  Engaged = 1
	EngagedClicked Engaged = 2
)

// EngagedBy returns the bit of an event's type, 0 for those that do not count so.
func EngagedBy(t event.Type) Engaged {
	info, ok := event.Describe(t)
	switch {
	case ok && info.Kind == event.Opened:
		return EngagedOpened
	case ok && info.Kind == event.Clicked:
		return EngagedClicked
	default:
		return 0
	}
}

// Marks say how an event was counted, as its row has it.
type Marks uint8

// The marks of events.
const (
	MarkFacets Marks = 1 // in facets
	MarkFirst  Marks = 2 // as the first one of its kind
	MarkFine   Marks = 4 // its time to deliver in a fine span
)
