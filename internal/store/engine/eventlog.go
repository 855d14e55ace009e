package engine

import (
	"math"
	"slices"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// Countable tells whether counters say how many events a filter selects: it asks for whole days, sub-accounts, TPSPs, mailbox providers and types only.
func Countable(f *store.EventFilter) bool {
	return f.MessageID == (mail.ID{}) && f.Recipient == "" && !f.Looks() && f.After == 0 && f.Before == 0 &&
		Stamp(f.From)%DayLength == 0 && Stamp(f.To)%DayLength == 0
}

// CountedDays returns the first and the last day of a filter that is Countable.
func CountedDays(f *store.EventFilter) (from, to int64) {
	from, to = math.MinInt32, math.MaxInt32
	if !f.From.IsZero() {
		from = Day(f.From)
	}
	if !f.To.IsZero() {
		to = Day(f.To) - 1
	}
	return from, to
}

// Selective tells whether a filter names what an index finds few events by.
func Selective(f *store.EventFilter) bool { return f.MessageID != (mail.ID{}) || f.Recipient != "" }

// PlaceInTime returns where a look through a filter's events begins, and which moment it ends before.
func PlaceInTime(f *store.EventFilter, from store.TallyPlace) (begin store.TallyPlace, end int64) {
	end = math.MaxInt64
	if !f.To.IsZero() {
		end = Stamp(f.To)
	}
	if from == (store.TallyPlace{}) {
		from.OccurredAt = math.MinInt64
		if !f.From.IsZero() {
			from.OccurredAt = Stamp(f.From) // Seqs begin with 1
		}
	}
	return from, end
}

// SeqOrder is the order in which a filter's events are read.
func SeqOrder(f *store.EventFilter) string {
	if f.Newest {
		return "seq DESC"
	}
	return "seq"
}

// facetKinds are the kinds of events that OwnFacets tells dimensions of.
var facetKinds = map[store.Dimension][]event.Kind{
	store.DimensionReason: {event.HardBounced, event.SoftBounced},
	store.DimensionDevice: {event.Opened, event.Clicked}, store.DimensionClient: {event.Opened, event.Clicked},
	store.DimensionOS: {event.Opened, event.Clicked}, store.DimensionCountry: {event.Opened, event.Clicked},
}

// TypesOf returns the types of events that a filter may select: those it asks for, as far as they tell the dimensions that it asks for. all
// tells that it does not matter.
func TypesOf(f *store.EventFilter) (types []event.Type, all bool) {
	if len(f.Values) == 0 {
		return f.Types, len(f.Types) == 0
	}
	types = []event.Type{}
	for _, info := range event.Catalogue() {
		asked := len(f.Types) == 0 || slices.Contains(f.Types, info.Type)
		for d := range f.Values {
			asked = asked && slices.Contains(facetKinds[d], info.Kind)
		}
		if asked {
			types = append(types, info.Type)
		}
	}
	return types, false
}

// Candidate is an event of which the conditions of a query hold.
type Candidate struct {
	Seq        int64
	Type       event.Type
	OccurredAt int64
	Detail     []byte
}

// Sieve keeps those of a query's candidates that count under all values that a filter asks for: SQL does not tell.
type Sieve struct {
	values     map[store.Dimension]string
	skip, most int
	seqs       []int64
	kept, seen int
	last       store.TallyPlace
}

// NewSieve returns one that passes over skip of what it keeps, and is full with most after these.
func NewSieve(f *store.EventFilter, skip, most int) *Sieve {
	return &Sieve{values: f.Values, skip: skip, most: most}
}

// Look looks at the next candidate; full tells that no more are needed.
func (s *Sieve) Look(c *Candidate) (full bool, err error) {
	s.seen, s.last = s.seen+1, store.TallyPlace{OccurredAt: c.OccurredAt, Seq: c.Seq}
	facets, err := StoredFacets(c.Type, c.Detail)
	if err != nil {
		return false, err
	}
	found := 0
	for _, f := range facets {
		if value, asked := s.values[f.Dimension]; asked && value == f.Value {
			found++
		}
	}
	if found < len(s.values) {
		return false, nil
	}
	if s.kept++; s.kept > s.skip && len(s.seqs) < s.most {
		s.seqs = append(s.seqs, c.Seq)
	}
	return len(s.seqs) >= s.most, nil
}

// Seqs are those of what it kept and did not pass over.
func (s *Sieve) Seqs() []int64 { return s.seqs }

// Looked returns at how many candidates it looked, and where the last one is.
func (s *Sieve) Looked() (n int, last store.TallyPlace) { return s.seen, s.last }
