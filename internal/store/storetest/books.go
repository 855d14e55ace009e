package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// pageSize is how many entries or events the suite reads at a time: few, so that it turns pages.
const pageSize = 3

// allEntries reads all entries of an account.
func allEntries(ctx context.Context, s store.Books, accountID int32) (all []store.Entry, err error) {
	for after := (mail.ID{}); ; after = all[len(all)-1].ID {
		page, err := s.Entries(ctx, accountID, after, pageSize)
		all = append(all, page...)
		if err != nil || len(page) < pageSize {
			return all, err
		}
	}
}

// CheckBooks looks for a message whose state, attempts and events do not agree, and for counters that are not their events.
// Mail may flow meanwhile.
func CheckBooks(ctx context.Context, s store.Books, accountID int32) error {
	all, err := allEntries(ctx, s, accountID)
	if err != nil {
		return err
	}
	for i := range all {
		if err := checkEntry(&all[i]); err != nil {
			return fmt.Errorf("message %s: %w (%+v)", all[i].ID, err, all[i])
		}
	}
	for from := int64(-100_000); ; { // no event is from before the year 1696
		day, ok, err := s.NextDay(ctx, accountID, from)
		if err != nil || !ok {
			return err
		}
		counted, upTo, err := s.Counted(ctx, accountID, day)
		if err != nil {
			return err
		}
		events, err := tallyDay(ctx, s, accountID, day, upTo)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(counted, events); diff != "" {
			return fmt.Errorf("day %d: counters (-) and events (+) differ: %s", day, diff)
		}
		if err := checkFigures(ctx, s, accountID, day); err != nil {
			return err
		}
		from = day + 1
	}
}

// tallyDay counts the events of a day in small steps.
func tallyDay(ctx context.Context, s store.Books, accountID int32, day, upTo int64) (map[store.Counter]int64, error) {
	sum := map[store.Counter]int64{}
	for from, done := (store.TallyPlace{}), false; !done; {
		var some map[store.Counter]int64
		var err error
		if some, from, done, err = s.Tally(ctx, accountID, day, upTo, from, pageSize); err != nil {
			return nil, err
		}
		for c, n := range some {
			sum[c] += n
		}
	}
	return sum, nil
}

// wantBooks checks what must always hold of the account.
func (b *bench) wantBooks() {
	b.t.Helper()
	if err := CheckBooks(b.ctx(), b.store, b.account.ID); err != nil {
		b.t.Error(err)
	}
}

func checkEntry(e *store.Entry) error {
	if e.Queued != e.State.Pending() || e.Queued != e.Stored.Pending() || !e.Queued && e.State != e.Stored {
		return fmt.Errorf("queued %t, state %s, stored %s", e.Queued, e.State, e.Stored)
	}
	for _, c := range e.Calls {
		if open := e.State == lifecycle.Sending && c.N == e.Attempts; open != c.Finished.IsZero() {
			return fmt.Errorf("call %d is finished at %s", c.N, c.Finished)
		}
	}
	if e.State == lifecycle.Sending && len(e.Calls) != e.Attempts {
		return fmt.Errorf("%d attempts, %d calls", e.Attempts, len(e.Calls))
	}
	if !slices.IsSortedFunc(e.Events, func(a, b store.EntryEvent) int { return int(a.Seq - b.Seq) }) {
		return errors.New("events are not in their order")
	}
	var engaged store.Engaged
	for _, v := range e.Events {
		bit := store.EngagedBy(v.Type)
		first := bit != 0 && !v.Copy && engaged&bit == 0
		if first {
			engaged |= bit
		}
		if first != (v.Marks&store.MarkFirst != 0) {
			return fmt.Errorf("event %d has the marks %d", v.Seq, v.Marks)
		}
	}
	if engaged != e.Engaged {
		return fmt.Errorf("engaged %d, the events say %d", e.Engaged, engaged)
	}
	if sum := e.Sum(); sum != e.Stored {
		return fmt.Errorf("the events say %s", sum)
	}
	return nil
}

func (b *bench) nextDay(from int64) (int64, bool) {
	b.t.Helper()
	day, ok, err := b.store.NextDay(b.ctx(), b.account.ID, from)
	b.must(err)
	return day, ok
}

func entries(t *testing.T, b *bench) {
	sent := b.send("sent@gmail.com")
	delivered := b.send("ana@gmail.com")
	b.deliver(b.report(delivered, event.Delivered, "d1"), b.report(delivered, event.Opened, "o1"))
	dropped := b.accept("dropped@gmail.com")[0]
	typ := b.report(dropped, event.Dropped, "").Type
	b.settle(store.Settlement{Job: &b.claim(1)[0], Trigger: lifecycle.Drop, Drop: &typ, Outcome: &provider.Outcome{Class: provider.Rejected}})
	unknown := b.accept("unknown@gmail.com")[0]
	b.settle(store.Settlement{Job: &b.claim(1)[0], Trigger: lifecycle.Doubt, Outcome: &provider.Outcome{Class: provider.Ambiguous}})
	sending := b.accept("sending@gmail.com")[0]
	b.claim(1)
	queued := b.accept("queued@gmail.com")[0]

	type summary struct {
		ID       mail.ID
		State    lifecycle.State
		Stored   lifecycle.State
		Attempts int
		Calls    int
		Events   []event.Type
		Effects  []store.Effect
	}
	accept, drop, deliver := store.EffectOf(lifecycle.Accept), store.EffectOf(lifecycle.Drop), store.EffectOf(lifecycle.Deliver)
	want := []summary{
		{sent, lifecycle.Sent, lifecycle.Sent, 1, 1, []event.Type{69, 70}, []store.Effect{0, accept}},
		{delivered, lifecycle.Delivered, lifecycle.Delivered, 1, 1, []event.Type{69, 70, 71, 75}, []store.Effect{0, accept, deliver, accept}},
		{dropped, lifecycle.Dropped, lifecycle.Dropped, 1, 1, []event.Type{69, typ}, []store.Effect{0, drop}},
		{unknown, lifecycle.Unknown, lifecycle.Queued, 1, 1, []event.Type{69}, []store.Effect{0}},
		{sending, lifecycle.Sending, lifecycle.Queued, 1, 1, []event.Type{69}, []store.Effect{0}},
		{queued, lifecycle.Queued, lifecycle.Queued, 0, 0, []event.Type{69}, []store.Effect{0}},
	}
	var got []summary
	all, err := allEntries(b.ctx(), b.store, b.account.ID)
	b.must(err)
	for _, e := range all {
		s := summary{e.ID, e.State, e.Stored, e.Attempts, len(e.Calls), nil, nil}
		for _, v := range e.Events {
			s.Events, s.Effects = append(s.Events, v.Type), append(s.Effects, v.Effect)
		}
		got = append(got, s)
		if e.SubAccountID != b.sub.ID || e.Egress != b.egress() || !e.SubmittedAt.Equal(start) {
			t.Errorf("entry %+v", e)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	b.wantBooks()
	if others, err := b.store.Entries(b.ctx(), b.account.ID+1, mail.ID{}, 10); err != nil || len(others) != 0 {
		t.Errorf("another account reads %d entries (%v)", len(others), err)
	}
}

// manyEffects: whatever is reported in whatever order, the events lead to the state.
func manyEffects(t *testing.T, b *bench) {
	kinds := []event.Kind{event.Delivered, event.HardBounced, event.SoftBounced, event.Opened, event.Spam, event.Dropped}
	for i, first := range kinds {
		for k, second := range kinds {
			id := b.accept("ana@gmail.com")[0]
			if (i+k)%2 == 0 { // else the reports overtake the call
				b.settle(accepted(&b.claim(1)[0], "pm-"+id.String()))
			}
			one, two := b.report(id, first, fmt.Sprint(id, 1)), b.report(id, second, fmt.Sprint(id, 2))
			two.Final, one.Recipient = true, [...]string{"ana@gmail.com", "copy@example.net"}[k%2]
			b.deliver(one, two)
			back := b.refusal(id, b.egress(), fmt.Sprint(id, 3))
			if k%3 == 0 {
				back.ProviderMessageID = ""
			}
			three := b.report(id, second, fmt.Sprint(id, 4))
			if i%2 == 0 {
				b.tell(nil, back, three)
			} else {
				b.tell(nil, three, back)
			}
		}
	}
	b.wantBooks()
}

func tally(t *testing.T, b *bench) {
	var days []int64
	for i := range 3 {
		b.now = start.AddDate(0, 0, 2*i)
		days = append(days, b.now.Unix()/86400)
		id := b.send("ana@gmail.com")
		r := b.report(id, event.Opened, fmt.Sprint("copy", i))
		r.Recipient = "copy@example.net"
		b.deliver(b.report(id, event.Delivered, fmt.Sprint("d", i)), r)
	}
	var got []int64
	for day, ok := b.nextDay(0); ok; day, ok = b.nextDay(day + 1) {
		got = append(got, day)
	}
	if diff := cmp.Diff(days, got); diff != "" {
		t.Errorf("days: %s", diff)
	}
	if day, ok := b.nextDay(days[2] + 1); ok {
		t.Errorf("day %d after the last one", day)
	}
	if _, ok, err := b.store.NextDay(b.ctx(), b.account.ID+1, 0); ok || err != nil {
		t.Errorf("days of another account: %t, %v", ok, err)
	}
	counter := func(typ event.Type, isCopy bool) store.Counter {
		return store.Counter{SubAccountID: b.sub.ID, Egress: b.egress(), Mailbox: 0, Type: typ, Copy: isCopy}
	}
	want := map[store.Counter]int64{counter(69, false): 1, counter(70, false): 1, counter(71, false): 1, counter(75, true): 1}
	counted, upTo, err := b.store.Counted(b.ctx(), b.account.ID, days[2])
	b.must(err)
	if diff := cmp.Diff(want, counted); diff != "" {
		t.Errorf("counters: %s", diff)
	}
	b.accept("later@gmail.com") // recorded after the counters were read
	events, err := tallyDay(b.ctx(), b.store, b.account.ID, days[2], upTo)
	b.must(err)
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("events: %s", diff)
	}
	b.wantBooks()
}

// awaiting goes by the real time: ids are made by it.
func awaiting(t *testing.T, b *bench) {
	b.now = time.Now().UTC().Truncate(time.Millisecond)
	from := b.now
	var want []store.Awaited
	for range 5 {
		id := b.send("ana@gmail.com")
		want = append(want, store.Awaited{ID: id, AccountID: b.account.ID, ProviderID: "pm-" + id.String(), To: "ana@gmail.com"})
	}
	done := b.send("ana@gmail.com")
	b.deliver(b.report(done, event.Delivered, "d1"), b.report(want[0].ID, event.Opened, "o1"))
	b.accept("queued@gmail.com")
	ask := func(from, before time.Time) (got []store.Awaited) {
		for after := (mail.ID{}); ; {
			page, last, err := b.store.Awaiting(b.ctx(), b.egress(), from, before, after, 2)
			b.must(err)
			if got = append(got, page...); last == (mail.ID{}) {
				return got
			}
			if len(page) > 2 || last.String() <= after.String() {
				t.Fatalf("%d of 2, up to %s after %s", len(page), last, after)
			}
			after = last
		}
	}
	if diff := cmp.Diff(want, ask(from, from.Add(time.Minute))); diff != "" {
		t.Error(diff)
	}
	if got := ask(from.Add(-time.Hour), from.Add(-time.Minute)); len(got) != 0 {
		t.Errorf("awaited from before: %v", got)
	}
	if got, last, err := b.store.Awaiting(b.ctx(), b.egress()+1, from, from.Add(time.Minute), mail.ID{}, 10); err != nil || len(got) != 0 || last == (mail.ID{}) {
		t.Errorf("awaited of another egress: %v, %v", got, err)
	}
}
