package engine

import (
	"postyard/internal/event"
	"postyard/internal/store"
)

// TalliedEvent is an event with what is to be known to count it anew.
type TalliedEvent struct {
	store.Counter
	Marks       store.Marks
	OccurredAt  int64
	Detail      []byte
	Labels      []byte // of its message
	SubmittedAt int64  // its message
}

// Tally counts figures anew from events.
type Tally struct{ store.Figures }

// NewTally returns one that has counted nothing.
func NewTally() *Tally { return &Tally{store.NewFigures()} }

// unreadable is the value under which an event counts whose detail cannot be read: no facet is stored of it, so that it is named.
const unreadable = "(unreadable)"

// Count counts an event of a day. The labels of the messages that were accepted on it are those of their processed events.
func (t *Tally) Count(e *TalliedEvent, day int64) {
	first := int64(0)
	if e.Marks&store.MarkFirst != 0 {
		t.Firsts[e.Counter]++
		first = 1
	}
	if e.Marks&store.MarkFacets == 0 {
		return
	}
	own, err := StoredFacets(e.Type, e.Detail)
	if err != nil {
		own = []FacetValue{{Dimension: store.DimensionReason, Value: unreadable}}
	}
	info, _ := event.Describe(e.Type)
	accepted := info.Kind == event.Processed && DayOf(e.SubmittedAt) == day
	EachFacet(e.Type, e.Labels, own, e.SubmittedAt, e.OccurredAt, e.Marks, func(f FacetValue) {
		key := store.Facet{Dimension: f.Dimension, Value: f.Value, SubAccountID: e.SubAccountID, Egress: e.Egress, Mailbox: e.Mailbox, Type: e.Type}
		s := t.Facets[key]
		t.Facets[key] = store.Sum{N: s.N + 1, Firsts: s.Firsts + first, Millis: s.Millis + f.Millis}
		if accepted && f.Value != store.OtherValue {
			t.Labels[store.Label{SubAccountID: e.SubAccountID, Dimension: f.Dimension, Name: f.Value}] = true
		}
	})
}
