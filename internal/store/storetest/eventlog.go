package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
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

// wantInTime: in whatever pieces, those events are there that a list has.
func (b *bench) wantInTime(name string, f store.EventFilter) (listed []store.Event) {
	b.t.Helper()
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
			b.t.Errorf("%s, in pieces of %d: %s", name, look, diff)
		}
	}
	return listed
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
		b.wantInTime(name, f)
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

// facetEvents: behind every number of a facet are as many events, however they are read; those of copies are not among them.
func facetEvents(t *testing.T, b *bench) {
	one, two := b.send("ana@gmail.com"), b.send("bob@example.net")
	s, ids := b.submission("eve@example.net")
	s.Domain = "example.com"
	b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
	b.settle(accepted(&b.claim(1)[0], "pm-"+ids[0].String()))
	to := map[mail.ID]string{one: "ana@gmail.com", two: "bob@example.net", ids[0]: "eve@example.net"}
	deliver := func(reports ...provider.Report) {
		for i := range reports {
			if reports[i].Recipient == "ana@gmail.com" {
				reports[i].Recipient = to[reports[i].MessageID]
			}
		}
		b.deliver(reports...)
	}
	bounce := func(id mail.ID, kind event.Kind, identity, text string) provider.Report {
		r := b.report(id, kind, identity)
		r.Detail = event.Detail{SMTPDescription: text}
		return r
	}
	phone := b.opened(two, event.Opened, "o3")
	phone.Detail.Device, phone.Detail.OS = &event.Device{Family: "Mobile"}, &event.OperatingSystem{Family: "iOS 17"}
	fridge := b.opened(two, event.Opened, "o4")
	fridge.Detail.Device, fridge.Detail.UserAgent, fridge.Detail.Geo = &event.Device{Family: "Fridge"}, nil, &event.Geo{CountryCode: "FR"}
	copied := b.opened(one, event.Opened, "o-copy")
	copied.Recipient = "copy@example.net"
	deliver(bounce(two, event.SoftBounced, "b1", "450 4.2.2 full"), bounce(one, event.SoftBounced, "b2", "450 4.2.2 full"), bounce(two, event.HardBounced, "b3", "550 5.1.1 who?"),
		b.report(two, event.HardBounced, "b4"), copied, b.opened(one, event.Opened, "o1"), b.opened(one, event.Opened, "o2"), b.opened(one, event.Clicked, "c1"), phone, fridge)
	b.later(26 * time.Hour)
	deliver(b.opened(one, event.Opened, "o5"), bounce(ids[0], event.HardBounced, "b5", "550 5.1.1 who?"), b.report(ids[0], event.Delivered, "d"))

	seen := 0
	for _, d := range store.Dimensions() {
		sums, err := b.store.Stats(b.ctx(), store.StatFilter{AccountID: b.account.ID, Dimension: d, By: store.ByValue, From: start, To: start.AddDate(0, 0, 2), Limit: 100})
		b.must(err)
		for _, sum := range sums {
			f := store.EventFilter{AccountID: b.account.ID, Types: []event.Type{sum.Type}, From: start.Truncate(24 * time.Hour)}
			switch d {
			case store.DimensionDomain:
				f.Domain = sum.Value
			case store.DimensionReason, store.DimensionDevice, store.DimensionClient, store.DimensionOS, store.DimensionCountry:
				f.Values = map[store.Dimension]string{d: sum.Value}
			default:
				continue
			}
			seen++
			for first, want := range map[bool]int64{false: sum.N, true: sum.Firsts} {
				f.First = first
				name := fmt.Sprintf("%s %q of type %d, first %t", d, sum.Value, sum.Type, first)
				if n := len(b.wantInTime(name, f)); int64(n) != want {
					t.Errorf("%s: %d events, %d are counted", name, n, want)
				}
				f.Recipient = "bob@example.net"
				b.wantInTime(name+" of one recipient", f)
				f.Recipient = ""
				whole := f
				whole.Limit = 100
				all, err := b.store.Events(b.ctx(), whole)
				b.must(err)
				if n, err := b.store.CountStretch(b.ctx(), f); err != nil || n != want {
					t.Errorf("%s: %d in a stretch, %d are counted, %v", name, n, want, err)
				}
				for i := range all { // in pages, from both ends
					page := f
					page.Offset, page.Limit = i, 1
					got, err := b.store.Events(b.ctx(), page)
					b.must(err)
					page.Offset, page.Newest = len(all)-1-i, true
					back, err := b.store.Events(b.ctx(), page)
					b.must(err)
					if diff := cmp.Diff([][]store.Event{all[i : i+1], all[i : i+1]}, [][]store.Event{got, back}); diff != "" {
						t.Errorf("%s, page %d: %s", name, i, diff)
					}
				}
			}
		}
	}
	if seen != 20 {
		t.Errorf("%d numbers were looked behind", seen)
	}
	values := func(dv ...string) map[store.Dimension]string {
		m := map[store.Dimension]string{}
		for i := 0; i < len(dv); i += 2 {
			m[map[string]store.Dimension{"reason": store.DimensionReason, "device": store.DimensionDevice, "os": store.DimensionOS, "group": store.DimensionGroup}[dv[i]]] = dv[i+1]
		}
		return m
	}
	for name, c := range map[string]struct {
		f    store.EventFilter
		want int
	}{
		"two values":         {store.EventFilter{Values: values("device", "Desktop", "os", "OS X")}, 4},
		"another system":     {store.EventFilter{Values: values("device", "Mobile", "os", "OS X")}, 0},
		"a bounce's device":  {store.EventFilter{Values: values("device", "Desktop", "reason", "5.1.1")}, 0},
		"of a type without":  {store.EventFilter{Values: values("reason", "5.1.1"), Types: []event.Type{71}}, 0},
		"none of the events": {store.EventFilter{Values: values("group", "g1")}, 0},
		"with a domain":      {store.EventFilter{Values: values("reason", "5.1.1"), Domain: "example.com"}, 1},
		"other domain":       {store.EventFilter{Domain: "example"}, 0},
		"a day":              {store.EventFilter{Values: values("device", "Desktop"), To: start.Add(time.Hour)}, 3},
		"a message":          {store.EventFilter{Values: values("reason", "4.2.2"), MessageID: two}, 1},
		"with a search":      {store.EventFilter{Values: values("reason", "4.2.2"), Search: "gmail"}, 1},
		"of a group":         {store.EventFilter{Values: values("reason", "4.2.2"), Group: "g2"}, 2},
		"firsts":             {store.EventFilter{First: true}, 3},
	} {
		c.f.AccountID = b.account.ID
		if n := len(b.wantInTime(name, c.f)); n != c.want {
			t.Errorf("%s: %d events, want %d", name, n, c.want)
		}
	}
}
