package books

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"postyard/internal/store"
)

const secondsADay = 86400

// firstDay is the first one whose nanoseconds an int64 holds.
const firstDay = -106_751

// pair is a counter as it is stored and as its events make it.
type pair struct{ stored, counted int64 }

// checkDays compares the counters of every day with its events.
func (v *verification) checkDays(ctx context.Context) error {
	for from := int64(firstDay); ; {
		v.Progress()
		number, ok, err := v.books.NextDay(ctx, v.AccountID, from)
		if err != nil {
			return fmt.Errorf("look for days: %w", err)
		}
		if !ok {
			return nil
		}
		if err := v.checkDay(ctx, number); err != nil {
			return fmt.Errorf("day %s: %w", dateOf(number).Format(time.DateOnly), err)
		}
		from = number + 1
	}
}

func (v *verification) checkDay(ctx context.Context, number int64) error {
	v.Progress()
	stored, upTo, err := v.books.Counted(ctx, v.AccountID, number)
	if err != nil {
		return fmt.Errorf("read counters: %w", err)
	}
	pairs := make(map[store.Counter]pair, len(stored))
	for key, n := range stored {
		pairs[key] = pair{stored: n}
	}
	d := &day{upTo: upTo}
	v.days[number] = d
	v.report.Days++
	for place, done := (store.TallyPlace{}), false; !done; {
		v.Progress()
		var counted map[store.Counter]int64
		counted, place, done, err = v.books.Tally(ctx, v.AccountID, number, upTo, place, eventPage)
		if err != nil {
			return fmt.Errorf("count events: %w", err)
		}
		for key, n := range counted {
			p := pairs[key]
			p.counted += n
			pairs[key] = p
			d.events += n
		}
	}
	v.comparePairs(number, pairs)
	return v.checkFacets(ctx, number)
}

// comparePairs names the counters that are wrong, in an order that does not change from one verification to the next.
func (v *verification) comparePairs(number int64, pairs map[store.Counter]pair) {
	var wrong []store.Counter
	for key, p := range pairs {
		if p.stored != p.counted {
			wrong = append(wrong, key)
		}
	}
	slices.SortFunc(wrong, compareCounters)
	for i, key := range wrong {
		v.differ(Difference{Kind: KindCounter, Day: dateOf(number), Counter: &wrong[i],
			Stored: fmt.Sprint(pairs[key].stored), Recomputed: amount(pairs[key].counted, "event")})
	}
}

func compareCounters(a, b store.Counter) int {
	return cmp.Or(cmp.Compare(a.SubAccountID, b.SubAccountID), cmp.Compare(a.Egress, b.Egress), cmp.Compare(a.Mailbox, b.Mailbox),
		cmp.Compare(a.Type, b.Type), compareTruth(a.Copy, b.Copy))
}

func compareTruth(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// claim counts a message's events as those of their days.
func (v *verification) claim(e *store.Entry) {
	for i := range e.Events {
		happened := &e.Events[i]
		if d := v.days[dayOf(happened.OccurredAt)]; d != nil && happened.Seq <= d.upTo {
			d.claimed++
		}
	}
}

// compareDays names the days whose events are not those of the messages.
func (v *verification) compareDays() {
	numbers := make([]int64, 0, len(v.days))
	for number, d := range v.days {
		if d.events != d.claimed {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		d := v.days[number]
		v.differ(Difference{Kind: KindOwner, Day: dateOf(number), Stored: amount(d.events, "event"),
			Recomputed: "the messages have " + amount(d.claimed, "event")})
	}
}

// dayOf counts days since 1970-01-01 UTC.
func dayOf(t time.Time) int64 {
	seconds := t.Unix()
	number := seconds / secondsADay
	if seconds%secondsADay < 0 {
		number--
	}
	return number
}

func dateOf(number int64) time.Time { return time.Unix(number*secondsADay, 0).UTC() }

// amount is a number of things, in words.
func amount(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
