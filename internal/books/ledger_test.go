package books

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

var (
	now   = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) // three days ago
)

// ledger is a store that only has books. Its pages are small, so that everything takes several.
type ledger struct {
	t        *testing.T
	entries  []store.Entry
	counters map[int64]map[store.Counter]int64
	firsts   map[int64]map[store.Counter]int64
	strays   []store.EntryEvent // events of messages that are not there
	seq      int64
	calls    int
	fail     int    // the call that fails, from 1
	live     func() // runs between two reads of a day
}

var errAway = errors.New("the store is away")

func (l *ledger) called(account int32) error {
	if account != 7 {
		l.t.Errorf("asked for account %d", account)
	}
	if l.calls++; l.calls == l.fail {
		return errAway
	}
	return nil
}

// Entries implements store.Books.
func (l *ledger) Entries(_ context.Context, account int32, after mail.ID, limit int) (list []store.Entry, err error) {
	if limit > entryPage {
		l.t.Errorf("a page of %d messages", limit)
	}
	for _, e := range l.entries {
		if slices.Compare(e.ID[:], after[:]) > 0 && len(list) < 2 {
			list = append(list, e)
		}
	}
	return list, l.called(account)
}

// Counted implements store.Books.
func (l *ledger) Counted(_ context.Context, account int32, day int64) (counters map[store.Counter]int64, upTo int64, err error) {
	counters = map[store.Counter]int64{}
	for key, n := range l.counters[day] {
		counters[key] = n
	}
	upTo = l.seq
	if l.live != nil {
		l.live()
	}
	return counters, upTo, l.called(account)
}

type placed struct {
	store.EntryEvent
	key store.Counter
}

// ofDay returns the events of a day in the order of a tally.
func (l *ledger) ofDay(day int64) (list []placed) {
	add := func(e *store.Entry, events []store.EntryEvent) {
		for _, happened := range events {
			if dayOf(happened.OccurredAt) == day {
				list = append(list, placed{happened, keyOf(e, happened)})
			}
		}
	}
	for i := range l.entries {
		add(&l.entries[i], l.entries[i].Events)
	}
	add(&store.Entry{SubAccountID: 3, Egress: 5}, l.strays)
	slices.SortFunc(list, func(a, b placed) int {
		if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
			return c
		}
		return int(a.Seq - b.Seq)
	})
	return list
}

func keyOf(e *store.Entry, happened store.EntryEvent) store.Counter {
	return store.Counter{SubAccountID: e.SubAccountID, Egress: e.Egress, Mailbox: 0, Type: happened.Type, Copy: happened.Copy}
}

// Tally implements store.Books.
func (l *ledger) Tally(_ context.Context, account int32, day, upTo int64, from store.TallyPlace, limit int) (counters map[store.Counter]int64, next store.TallyPlace, done bool, err error) {
	if limit > eventPage {
		l.t.Errorf("a page of %d events", limit)
	}
	counters, next, done = map[store.Counter]int64{}, from, true
	read := 0
	for _, p := range l.ofDay(day) {
		at := p.OccurredAt.UnixNano()
		if at < from.OccurredAt || at == from.OccurredAt && p.Seq <= from.Seq {
			continue
		}
		if read == 3 {
			done = false
			break
		}
		read++
		next = store.TallyPlace{OccurredAt: at, Seq: p.Seq}
		if p.Seq <= upTo {
			counters[p.key]++
		}
	}
	return counters, next, done, l.called(account)
}

// CountedFacets implements store.FacetBooks: this ledger has no facets.
func (l *ledger) CountedFacets(_ context.Context, account int32, day int64) (store.Figures, int64, error) {
	figures := store.NewFigures()
	for k, n := range l.firsts[day] {
		figures.Firsts[k] = n
	}
	return figures, l.seq, l.called(account)
}

// TallyFacets implements store.FacetBooks.
func (l *ledger) TallyFacets(_ context.Context, account int32, day, upTo int64, _ store.TallyPlace, _ int) (store.Figures, store.TallyPlace, bool, error) {
	figures := store.NewFigures()
	for _, p := range l.ofDay(day) {
		if p.Marks&store.MarkFirst != 0 && p.Seq <= upTo {
			figures.Firsts[p.key]++
		}
	}
	return figures, store.TallyPlace{}, true, l.called(account)
}

// NextDay implements store.Books.
func (l *ledger) NextDay(_ context.Context, account int32, from int64) (day int64, ok bool, err error) {
	see := func(d int64) {
		if d >= from && (!ok || d < day) {
			day, ok = d, true
		}
	}
	for d := range l.counters {
		see(d)
	}
	for _, e := range l.entries {
		for _, happened := range e.Events {
			see(dayOf(happened.OccurredAt))
		}
	}
	for _, happened := range l.strays {
		see(dayOf(happened.OccurredAt))
	}
	return day, ok, l.called(account)
}

// Types of events.
const (
	processed event.Type = 69
	sent      event.Type = 70
	delivered event.Type = 71
	hard      event.Type = 72
	soft      event.Type = 73
	dropped   event.Type = 74
	opened    event.Type = 75
	gridSent  event.Type = 14 // SendGrid's
)

var effects = map[event.Type]store.Effect{
	sent: store.EffectOf(lifecycle.Accept), gridSent: store.EffectOf(lifecycle.Accept), opened: store.EffectOf(lifecycle.Accept),
	soft: store.EffectOf(lifecycle.Accept), delivered: store.EffectOf(lifecycle.Deliver), hard: store.EffectOf(lifecycle.Bounce),
	dropped: store.EffectOf(lifecycle.Drop),
}

// add records a message with events, one second after the other, and counts them.
func (l *ledger) add(state lifecycle.State, classes []provider.Class, types ...event.Type) *store.Entry {
	e := store.Entry{ID: mail.ID{15: byte(len(l.entries) + 1)}, SubAccountID: 3, Egress: 5, SubmittedAt: start, State: state, Stored: state,
		Attempts: len(classes), ProviderID: fmt.Sprintf("pm-%d", len(l.entries)+1)}
	if state.Pending() {
		e.Queued, e.Stored = true, lifecycle.Queued
	}
	for i, class := range classes {
		began := start.Add(time.Duration(i) * time.Minute)
		e.Calls = append(e.Calls, store.Attempt{N: i + 1, Egress: 5, Began: began, Finished: began.Add(time.Second), Class: class})
	}
	if state == lifecycle.Sending {
		last := &e.Calls[len(e.Calls)-1]
		last.Finished, last.Class = time.Time{}, 0
	}
	l.entries = append(l.entries, e)
	for _, typ := range types {
		l.happen(len(l.entries)-1, typ)
	}
	return &l.entries[len(l.entries)-1]
}

// happen records an event of a message and counts it. It happens a second later than the one before it.
func (l *ledger) happen(i int, typ event.Type) {
	l.seq++
	happened := store.EntryEvent{Seq: l.seq, Type: typ, Effect: effects[typ], OccurredAt: start.Add(time.Duration(l.seq) * time.Second)}
	e := &l.entries[i]
	if bit := store.EngagedBy(typ); bit != 0 && e.Engaged&bit == 0 {
		e.Engaged |= bit
		happened.Marks = store.MarkFirst
		if l.firsts == nil {
			l.firsts = map[int64]map[store.Counter]int64{}
		}
		day := dayOf(happened.OccurredAt)
		if l.firsts[day] == nil {
			l.firsts[day] = map[store.Counter]int64{}
		}
		l.firsts[day][keyOf(e, happened)]++
	}
	e.Events = append(e.Events, happened)
	l.count(keyOf(e, happened), happened.OccurredAt, 1)
}

func (l *ledger) count(key store.Counter, at time.Time, n int64) {
	day := dayOf(at)
	if l.counters[day] == nil {
		l.counters[day] = map[store.Counter]int64{}
	}
	if l.counters[day][key] += n; l.counters[day][key] == 0 {
		delete(l.counters[day], key)
	}
}

// Messages of a balanced ledger, by their place.
const (
	aQueued = iota
	aWaiting
	aSending
	anUnknown
	aSent
	aDelivered
	aBounced
	aDropped
	anUnconfirmed
	aCarriedOver
)

// balanced returns a ledger with a message in every state.
func balanced(t *testing.T) *ledger {
	l := &ledger{t: t, counters: map[int64]map[store.Counter]int64{}}
	yes, no, doubt := provider.Accepted, provider.Transient, provider.Ambiguous
	l.add(lifecycle.Queued, nil, processed)
	l.add(lifecycle.Queued, []provider.Class{doubt}, processed).Mark = store.MarkResent
	l.add(lifecycle.Sending, []provider.Class{no, 0}, processed)
	l.add(lifecycle.Unknown, []provider.Class{no, doubt}, processed)
	l.add(lifecycle.Sent, []provider.Class{no, yes}, processed, sent, soft, opened)
	l.add(lifecycle.Delivered, []provider.Class{doubt}, processed, sent, delivered, opened) // the report proves it
	l.add(lifecycle.Bounced, []provider.Class{yes}, processed, sent, delivered, hard)
	l.add(lifecycle.Dropped, []provider.Class{provider.Rejected}, processed, dropped)
	l.add(lifecycle.Sent, []provider.Class{doubt}, processed, sent).Mark = store.MarkUnconfirmed
	l.add(lifecycle.Sent, []provider.Class{doubt, yes}, processed, gridSent, sent)
	// What is reported of a copy has no effect but to prove something, and a report may come after the end.
	l.happen(aDropped, sent)
	l.seq++
	copied := store.EntryEvent{Seq: l.seq, Type: hard, Copy: true, Effect: store.EffectOf(lifecycle.Accept), OccurredAt: start.AddDate(0, 0, 1)}
	l.entries[aSent].Events = append(l.entries[aSent].Events, copied)
	l.count(keyOf(&l.entries[aSent], copied), copied.OccurredAt, 1)
	return l
}

func (l *ledger) verify(awaiting time.Duration) *Report {
	l.t.Helper()
	report, err := Verify(l.t.Context(), Options{AccountID: 7, Awaiting: awaiting, Now: func() time.Time { return now }}, l)
	if err != nil {
		l.t.Fatal(err)
	}
	return report
}
