package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/mailbox"
	"postyard/internal/store"
)

// inTime looks through the events of a filter in pieces of a size, and counts them so.
func (b *bench) inTime(f store.EventFilter, look int) (seqs []int64) {
	b.t.Helper()
	pieces := 0
	for from, done := (store.TallyPlace{}), false; !done; pieces++ {
		var some []store.Event
		var err error
		some, from, done, err = b.store.EventsInTime(b.ctx(), f, from, look)
		b.must(err)
		if len(some) > look {
			b.t.Errorf("a piece of %d has %d events", look, len(some))
		}
		for i := range some {
			seqs = append(seqs, some[i].Seq)
		}
		if pieces > 100 {
			b.t.Fatal("it never ends")
		}
	}
	counted := int64(0)
	for from, done := (store.TallyPlace{}), false; !done; {
		var n int64
		var err error
		n, from, done, err = b.store.CountEvents(b.ctx(), f, from, look)
		b.must(err)
		counted += n
	}
	if counted != int64(len(seqs)) {
		b.t.Errorf("%+v: %d events were counted, %d listed", f, counted, len(seqs))
	}
	return seqs
}

// eventsInTime: in whatever pieces, what a filter selects is there once, in the order of time.
func eventsInTime(t *testing.T, b *bench) {
	first := b.send("ana@gmail.com")
	b.later(26 * time.Hour)
	second := b.send("bob@example.net")
	b.deliver(b.report(first, event.Opened, "o1"), b.report(second, event.Delivered, "d"))
	early := b.report(first, event.Opened, "o2") // of the day before, known late
	early.OccurredAt = start.Add(time.Minute)
	other := b.report(first, event.Clicked, "copy")
	other.Recipient = "copy@example.net"
	b.deliver(early, other)
	sub := directorySub(b)
	third, _ := b.submission("eve@example.net", "eve@example.net")
	third.SubAccountID = sub
	b.must(b.store.Accept(b.ctx(), []store.Submission{third}))
	account, _ := b.newAccount("other")

	all, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, Limit: 100})
	b.must(err)
	if len(all) != 10 {
		t.Fatalf("%d events", len(all))
	}
	last, err := b.store.LastEvent(b.ctx(), b.account.ID)
	b.must(err)
	if last != all[9].Seq {
		t.Errorf("the last event is %d, want %d", last, all[9].Seq)
	}
	if last, err = b.store.LastEvent(b.ctx(), account.ID); err != nil || last != 0 {
		t.Errorf("of an account without events: %d, %v", last, err)
	}
	day := start.Truncate(24 * time.Hour)
	for name, f := range map[string]store.EventFilter{
		"all":             {},
		"types":           {Types: []event.Type{69, 75}},
		"sub-account":     {SubAccountID: sub},
		"provider":        {TPSPIDs: []int32{b.tpsp.ID}},
		"no provider":     {TPSPIDs: []int32{}},
		"a day":           {From: day, To: day.AddDate(0, 0, 1)},
		"from a day on":   {From: day.AddDate(0, 0, 1)},
		"to a day":        {To: day.AddDate(0, 0, 1)},
		"a day's type":    {From: day, To: day.AddDate(0, 0, 1), Types: []event.Type{75}, SubAccountID: b.sub.ID, TPSPIDs: []int32{b.tpsp.ID}},
		"from a moment":   {From: start.Add(time.Second)},
		"to a moment":     {To: start.Add(time.Minute)},
		"recipient":       {Recipient: "ANA@gmail.com"},
		"recipient's day": {Recipient: "ana@gmail.com", From: day.AddDate(0, 0, 1)},
		"message":         {MessageID: first},
		"search":          {Search: "EXAMPLE.n"},
		"search for %":    {Search: "%"},
		"mailbox":         {Mailbox: mailbox.ByDomain("gmail.com")},
		"mailbox's day":   {Mailbox: mailbox.ByDomain("gmail.com"), From: day, To: day.AddDate(0, 0, 1)},
		"group":           {Group: "g1"},
		"group's day":     {Group: "g1", From: day, To: day.AddDate(0, 0, 1)},
		"a snapshot":      {Before: all[5].Seq},
		"another account": {AccountID: account.ID},
		"since":           {After: all[3].Seq},
	} {
		f.AccountID = max(f.AccountID, b.account.ID)
		f.Limit = 100
		listed, err := b.store.Events(b.ctx(), f)
		b.must(err)
		slices.SortFunc(listed, func(x, y store.Event) int {
			if c := x.OccurredAt.Compare(y.OccurredAt); c != 0 {
				return c
			}
			return int(x.Seq - y.Seq)
		})
		var want []int64
		for i := range listed {
			want = append(want, listed[i].Seq)
		}
		for _, look := range []int{1, 3, 10, 11} {
			if diff := cmp.Diff(want, b.inTime(f, look)); diff != "" {
				t.Errorf("%s, in pieces of %d: %s", name, look, diff)
			}
		}
	}
	if n := len(b.inTime(store.EventFilter{AccountID: b.account.ID, Search: "EXAMPLE.n"}, 4)); n != 5 {
		t.Errorf("the search finds %d", n)
	}
}

// eventStretches: the log is cut into stretches of a length, from either end.
func eventStretches(t *testing.T, b *bench) {
	b.accept("a@example.net", "b@example.net", "c@example.net", "d@example.net", "e@example.net")
	account, sub := b.newAccount("other")
	foreign, _ := b.submission("x@example.net")
	foreign.AccountID, foreign.SubAccountID = account.ID, sub.ID
	b.must(b.store.Accept(b.ctx(), []store.Submission{foreign}))
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, Limit: 100})
	b.must(err)
	seq := func(i int) int64 { return events[i].Seq }
	for _, c := range []struct {
		f    store.EventFilter
		look int
		want string
	}{
		{store.EventFilter{}, 2, fmt.Sprint(seq(1), false)},
		{store.EventFilter{}, 5, fmt.Sprint(seq(4), false)},
		{store.EventFilter{}, 6, "0 true"},
		{store.EventFilter{After: seq(1)}, 2, fmt.Sprint(seq(3), false)},
		{store.EventFilter{After: seq(1), Before: seq(3)}, 2, "0 true"},
		{store.EventFilter{Newest: true}, 2, fmt.Sprint(seq(3), false)},
		{store.EventFilter{Newest: true, Before: seq(3)}, 3, fmt.Sprint(seq(0), false)},
		{store.EventFilter{Newest: true, Before: seq(3)}, 4, "0 true"},
		{store.EventFilter{After: seq(0), Before: seq(3), Search: "C@ex"}, 1, fmt.Sprint(seq(1), false)},
	} {
		c.f.AccountID = b.account.ID
		end, last, err := b.store.EventStretch(b.ctx(), c.f, c.look)
		b.must(err)
		n, err := b.store.CountStretch(b.ctx(), c.f)
		b.must(err)
		c.f.Limit = 100
		if listed, err := b.store.Events(b.ctx(), c.f); err != nil || int64(len(listed)) != n {
			t.Errorf("%+v: %d were counted, %d listed, %v", c.f, n, len(listed), err)
		}
		if got := fmt.Sprint(end, last); got != c.want {
			t.Errorf("%+v, %d: %s, want %s", c.f, c.look, got, c.want)
		}
	}
}
