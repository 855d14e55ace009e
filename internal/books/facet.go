package books

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"postyard/internal/store"
)

// checkFacets compares what is counted of a day beside its counters: facets, first opens and clicks, and the labels of the
// messages accepted on it.
func (v *verification) checkFacets(ctx context.Context, number int64) error {
	v.Progress()
	stored, upTo, err := v.books.CountedFacets(ctx, v.AccountID, number)
	if err != nil {
		return fmt.Errorf("read facets: %w", err)
	}
	counted := store.NewFigures()
	for place, done := (store.TallyPlace{}), false; !done; {
		v.Progress()
		var some store.Figures
		some, place, done, err = v.books.TallyFacets(ctx, v.AccountID, number, upTo, place, eventPage)
		if err != nil {
			return fmt.Errorf("count facets: %w", err)
		}
		counted.Add(some)
	}
	v.compareFirsts(number, stored.Firsts, counted.Firsts)
	v.compareFacets(number, stored.Facets, counted.Facets)
	v.compareLabels(number, stored.Labels, counted.Labels)
	return nil
}

// differingKeys returns the keys of either map whose values are not those of the other, in a fixed order.
func differingKeys[K, V comparable](stored, counted map[K]V, compare func(a, b K) int) (wrong []K) {
	for k, value := range stored {
		if counted[k] != value {
			wrong = append(wrong, k)
		}
	}
	for k := range counted {
		if _, both := stored[k]; !both {
			wrong = append(wrong, k)
		}
	}
	slices.SortFunc(wrong, compare)
	return wrong
}

func (v *verification) compareFirsts(number int64, stored, counted map[store.Counter]int64) {
	wrong := differingKeys(stored, counted, compareCounters)
	for i, k := range wrong {
		v.differ(Difference{Kind: KindUnique, Day: dateOf(number), Counter: &wrong[i], Stored: fmt.Sprint(stored[k]),
			Recomputed: amount(counted[k], "event") + " marked as the first of a message"})
	}
}

func (v *verification) compareFacets(number int64, stored, counted map[store.Facet]store.Sum) {
	wrong := differingKeys(stored, counted, func(a, b store.Facet) int {
		return cmp.Or(cmp.Compare(a.Dimension, b.Dimension), cmp.Compare(a.Value, b.Value), compareCounters(counterOf(a), counterOf(b)))
	})
	for i, k := range wrong {
		counter := counterOf(k)
		v.differ(Difference{Kind: KindFacet, Day: dateOf(number), Counter: &counter, Facet: &wrong[i], Stored: describe(stored[k]), Recomputed: describe(counted[k])})
	}
}

func counterOf(f store.Facet) store.Counter {
	return store.Counter{SubAccountID: f.SubAccountID, Egress: f.Egress, Mailbox: f.Mailbox, Type: f.Type}
}

// describe is a sum in words, without what is zero in most.
func describe(s store.Sum) string {
	text := amount(s.N, "event")
	if s.Firsts != 0 {
		text += fmt.Sprintf(", %d of them the first of a message", s.Firsts)
	}
	if s.Millis != 0 {
		text += fmt.Sprintf(", %d ms together", s.Millis)
	}
	return text
}

func (v *verification) compareLabels(number int64, stored, counted map[store.Label]bool) {
	wrong := differingKeys(stored, counted, func(a, b store.Label) int {
		return cmp.Or(cmp.Compare(a.SubAccountID, b.SubAccountID), cmp.Compare(a.Dimension, b.Dimension), cmp.Compare(a.Name, b.Name))
	})
	for _, k := range wrong {
		d := Difference{Kind: KindLabel, Day: dateOf(number), Facet: &store.Facet{Dimension: k.Dimension, Value: k.Name, SubAccountID: k.SubAccountID},
			Stored: "not known on the day", Recomputed: "a message accepted on the day has it"}
		if stored[k] {
			d.Stored, d.Recomputed = "known on the day", "no message accepted on the day has it"
		}
		v.differ(d)
	}
}

// checkEngaged: a message remembers the kinds of which its first event was counted as such. Events of copies are none of them.
func checkEngaged(e *store.Entry, differ differing) {
	var engaged store.Engaged
	for i := range e.Events {
		happened := &e.Events[i]
		bit := store.EngagedBy(happened.Type)
		want := bit != 0 && !happened.Copy && engaged&bit == 0
		if is := happened.Marks&store.MarkFirst != 0; is != want {
			differ(KindUnique, fmt.Sprintf("event %d, %s, counts as the first one: %t", happened.Seq, nameOf(happened.Type), is), fmt.Sprint(want))
		}
		if want {
			engaged |= bit
		}
	}
	if engaged != e.Engaged {
		differ(KindUnique, fmt.Sprintf("engaged %d", e.Engaged), fmt.Sprintf("its events come to %d", engaged))
	}
}
