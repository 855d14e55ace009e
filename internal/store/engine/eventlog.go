package engine

import (
	"math"

	"postyard/internal/mail"
	"postyard/internal/store"
)

// Countable tells whether counters say how many events a filter selects: it asks for whole days, sub-accounts, TPSPs, mailbox providers and types only.
func Countable(f *store.EventFilter) bool {
	return f.MessageID == (mail.ID{}) && f.Recipient == "" && f.Search == "" && f.Group == "" && f.After == 0 && f.Before == 0 &&
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
