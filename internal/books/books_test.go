package books

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// lines shows differences: what they are about, and their words.
func lines(r *Report) []string {
	list := make([]string, len(r.Differences))
	for i, d := range r.Differences {
		of := fmt.Sprintf("message %d", d.Message[15])
		if !d.Day.IsZero() {
			of = d.Day.Format(time.DateOnly)
		}
		if c := d.Counter; c != nil {
			of += fmt.Sprintf(" sub-account %d %s mailbox %d type %d copy %t", c.SubAccountID, c.Egress, c.Mailbox, c.Type, c.Copy)
		}
		list[i] = fmt.Sprintf("%s of %s: %s | %s", d.Kind, of, d.Stored, d.Recomputed)
	}
	return list
}

func TestBalanced(t *testing.T) {
	t.Parallel()
	r := balanced(t).verify(DefaultAwaiting)
	if !r.OK() || len(r.Differences) != 0 {
		t.Errorf("differences: %s", strings.Join(lines(r), "\n"))
	}
	want := [lifecycle.Dropped + 1]int64{lifecycle.Queued: 2, lifecycle.Sending: 1, lifecycle.Unknown: 1, lifecycle.Sent: 3,
		lifecycle.Delivered: 1, lifecycle.Bounced: 1, lifecycle.Dropped: 1}
	if r.States != want || r.Messages != 10 || r.Attempts != 13 || r.Events != 25 || r.Days != 2 || !r.CheckedAt.Equal(now) {
		t.Errorf("%+v", r)
	}
}

// Every difference there is, one at a time. Each change leaves the rest of the books as it is.
func TestDifferences(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	for name, test := range map[string]struct {
		change func(l *ledger)
		want   []string
	}{
		"pending, and not in the queue": {
			func(l *ledger) { l.entries[aQueued].Queued = false },
			[]string{"queue of message 1: not in the queue | its own row says queued"},
		},
		"in the queue, and not pending": {
			func(l *ledger) { l.entries[aSent].Queued, l.entries[aSent].State = true, lifecycle.Queued },
			[]string{
				"queue of message 5: in the queue as queued | its own row says sent",
				"state of message 5: queued | its events come to sent",
			},
		},
		"a state of its own that is none while it is pending": {
			func(l *ledger) { l.entries[aSending].Stored = lifecycle.Unknown },
			[]string{"queue of message 3: in the queue as sending | its own row says unknown"},
		},
		"the state is behind the events": {
			func(l *ledger) {
				l.entries[aDelivered].Stored, l.entries[aDelivered].State = lifecycle.Sent, lifecycle.Sent
			},
			[]string{"state of message 6: sent | its events come to delivered"},
		},
		"the state is ahead of the events": {
			func(l *ledger) {
				l.entries[aSent].Stored, l.entries[aSent].State = lifecycle.Bounced, lifecycle.Bounced
			},
			[]string{"state of message 5: bounced | its events come to sent"},
		},
		"a state that there is not": {
			func(l *ledger) { l.entries[aSent].Stored, l.entries[aSent].State = 9, 9 },
			[]string{"state of message 5: invalid | its events come to sent"},
		},
		"pending although it was delivered": {
			func(l *ledger) { l.happen(anUnknown, delivered) },
			[]string{"state of message 4: unknown | its events come to delivered"},
		},
		"pending although it was sent": {
			func(l *ledger) { l.happen(aWaiting, sent) },
			[]string{"state of message 2: queued | its events come to sent"},
		},
		"processed twice": {
			func(l *ledger) { l.happen(aQueued, processed) },
			[]string{
				"events of message 1: the processed event is number 2 | it is the first of a message",
				"events of message 1: 2 processed events | a message has 1",
			},
		},
		"processed last": {
			func(l *ledger) {
				e := l.entries[aCarriedOver].Events
				e[0].Type, e[0].Effect, e[1].Type, e[1].Effect = e[1].Type, e[1].Effect, e[0].Type, e[0].Effect
			},
			[]string{"events of message 10: the processed event is number 2 | it is the first of a message"},
		},
		"never processed": {
			func(l *ledger) { l.forget(aDropped, 0) },
			[]string{"events of message 8: 0 processed events | a message has 1"},
		},
		"sent twice by one family": {
			func(l *ledger) { l.happen(aCarriedOver, sent) },
			[]string{"events of message 10: 2 events of type 70, PM Sent | a message has 1 at most"},
		},
		"delivered and never sent": {
			func(l *ledger) { l.forget(aDelivered, 1) },
			[]string{"events of message 6: delivered, without a sent event | a provider's message has 1"},
		},
		"dropped without an event": {
			func(l *ledger) { l.forget(aDropped, 1) },
			[]string{
				"state of message 8: dropped | its events come to sent",
				"events of message 8: dropped, without a dropped event | a dropped message has 1",
			},
		},
		"dropped by an event of a copy": {
			func(l *ledger) {
				e := &l.entries[aDropped]
				l.count(keyOf(e, e.Events[1]), e.Events[1].OccurredAt, -1)
				e.Events[1].Copy = true
				l.count(keyOf(e, e.Events[1]), e.Events[1].OccurredAt, 1)
			},
			[]string{
				"events of message 8: dropped, without a dropped event | a dropped message has 1",
				"events of message 8: event 18, PM Dropped, has the effect 5 | no such event has it",
			},
		},
		"a template that could not be rendered, without its effect": {
			func(l *ledger) {
				l.retype(aDropped, 1, 35)
				l.entries[aDropped].Events[1].Effect = store.EffectOf(lifecycle.Accept)
			},
			[]string{
				"state of message 8: dropped | its events come to sent",
				"events of message 8: event 18, SES Rendering Failure, has the effect 2 | no such event has it",
			},
		},
		"an event without its effect": {
			func(l *ledger) { l.entries[aSent].Events[3].Effect = store.NoEffect },
			[]string{"events of message 5: event 8, PM Open, has the effect 0 | no such event has it"},
		},
		"an event with another effect": {
			func(l *ledger) { l.entries[aDropped].Events[2].Effect = store.EffectOf(lifecycle.Bounce) },
			[]string{"events of message 8: event 24, PM Sent, has the effect 7 | no such event has it"},
		},
		"a processed event with an effect": {
			func(l *ledger) { l.entries[aSent].Events[0].Effect = store.EffectOf(lifecycle.Accept) },
			[]string{"events of message 5: event 5, PM Processed, has the effect 2 | no such event has it"},
		},
		"an effect that there is not": {
			func(l *ledger) { l.entries[aSent].Events[3].Effect = 77 },
			[]string{"events of message 5: event 8, PM Open, has the effect 77 | no such event has it"},
		},
		"a type that there is not": {
			func(l *ledger) { l.retype(aSent, 2, 999) },
			[]string{"events of message 5: event 7 of type 999 | there is no such type"},
		},
		"more attempts counted": {
			func(l *ledger) { l.entries[aSent].Attempts = 3 },
			[]string{"attempts of message 5: counts 3 attempts | 2 attempts recorded"},
		},
		"more attempts recorded": {
			func(l *ledger) { l.entries[aSent].Attempts = 1 },
			[]string{"attempts of message 5: counts 1 attempt | 2 attempts recorded"},
		},
		"a gap in the attempts": {
			func(l *ledger) { l.entries[aSent].Calls[1].N = 3 },
			[]string{"attempts of message 5: attempt 3 comes as number 2 | attempts are numbered from 1 on, without a gap"},
		},
		"attempts from 0 on": {
			func(l *ledger) { l.entries[aSent].Calls[0].N, l.entries[aSent].Calls[1].N = 0, 1 },
			[]string{"attempts of message 5: attempt 0 comes as number 1 | attempts are numbered from 1 on, without a gap"},
		},
		"open although the message was sent": {
			func(l *ledger) { l.entries[aCarriedOver].Calls[0].Finished = time.Time{} },
			[]string{"attempts of message 10: attempt 1 of 2 is open | the message is sent"},
		},
		"open, and so no proof": {
			func(l *ledger) { l.entries[aCarriedOver].Calls[1].Finished = time.Time{} },
			[]string{
				"attempts of message 10: attempt 2 of 2 is open | the message is sent",
				"proof of message 10: sent | no attempt was accepted, and no provider reported about it",
			},
		},
		"open although it waits": {
			func(l *ledger) { l.entries[aWaiting].Calls[0].Finished = time.Time{} },
			[]string{"attempts of message 2: attempt 1 of 1 is open | the message is queued"},
		},
		"open and not the last": {
			func(l *ledger) { l.entries[aSending].Calls[0].Finished = time.Time{} },
			[]string{"attempts of message 3: attempt 1 of 2 is open | the message is sending"},
		},
		"sending without an open attempt": {
			func(l *ledger) { l.entries[aSending].Calls[1].Finished = at(2 * time.Minute) },
			[]string{"attempts of message 3: attempt 2, the last one, has ended | the message is sending"},
		},
		"sending without an attempt": {
			func(l *ledger) { l.entries[aSending].Calls, l.entries[aSending].Attempts = nil, 0 },
			[]string{"attempts of message 3: sending | no attempt recorded"},
		},
		"unknown without an attempt": {
			func(l *ledger) { l.entries[anUnknown].Calls, l.entries[anUnknown].Attempts = nil, 0 },
			[]string{"attempts of message 4: unknown | no attempt recorded"},
		},
		"ended before it began": {
			func(l *ledger) { l.entries[aSent].Calls[0].Finished = at(-time.Hour) },
			[]string{"attempts of message 5: attempt 1 ended at 2026-03-02T09:00:00Z | it began at 2026-03-02T10:00:00Z"},
		},
		"ended in no way that there is": {
			func(l *ledger) { l.entries[aSent].Calls[0].Class = 7 },
			[]string{"attempts of message 5: attempt 1 ended with class 7 | there is no such class"},
		},
		"sent, and nobody said so": {
			func(l *ledger) { l.entries[aCarriedOver].Calls[1].Class = provider.Ambiguous },
			[]string{"proof of message 10: sent | no attempt was accepted, and no provider reported about it"},
		},
		"sent without an attempt": {
			func(l *ledger) { l.entries[aCarriedOver].Calls, l.entries[aCarriedOver].Attempts = nil, 0 },
			[]string{"proof of message 10: sent | no attempt was accepted, and no provider reported about it"},
		},
		"resent proves nothing": {
			func(l *ledger) { l.entries[anUnconfirmed].Mark = store.MarkResent },
			[]string{"proof of message 9: sent | no attempt was accepted, and no provider reported about it"},
		},
		"resent and never tried": {
			func(l *ledger) { l.entries[aQueued].Mark = store.MarkResent },
			[]string{"mark of message 1: mark 1 | no attempt recorded that could be in doubt"},
		},
		"unconfirmed while it waits": {
			func(l *ledger) { l.entries[aWaiting].Mark = store.MarkUnconfirmed },
			[]string{"mark of message 2: marked as sent without a confirmation | no sent event"},
		},
		"a mark that there is not": {
			func(l *ledger) { l.entries[aSent].Mark = 3 },
			[]string{"mark of message 5: mark 3 | there is no such mark"},
		},
		"a counter that is too high": {
			func(l *ledger) { l.count(store.Counter{SubAccountID: 3, Egress: 5, Type: hard}, start, 2) },
			[]string{"counter of 2026-03-02 sub-account 3 TPSP_5 mailbox 0 type 72 copy false: 3 | 1 event"},
		},
		"a counter that is too low": {
			func(l *ledger) { l.count(store.Counter{SubAccountID: 3, Egress: 5, Type: opened}, start, -1) },
			[]string{"counter of 2026-03-02 sub-account 3 TPSP_5 mailbox 0 type 75 copy false: 1 | 2 events"},
		},
		"a counter without events": {
			func(l *ledger) {
				l.count(store.Counter{SubAccountID: 4, Egress: 5, Mailbox: 2, Type: hard}, start.AddDate(-10, 0, 0), 1)
			},
			[]string{"counter of 2016-03-02 sub-account 4 TPSP_5 mailbox 2 type 72 copy false: 1 | 0 events"},
		},
		"events without a counter": {
			func(l *ledger) { delete(l.counters, dayOf(start)+1) },
			[]string{"counter of 2026-03-03 sub-account 3 TPSP_5 mailbox 0 type 72 copy true: 0 | 1 event"},
		},
		"events counted under another provider, and as those of copies": {
			func(l *ledger) {
				l.count(store.Counter{SubAccountID: 3, Egress: 5, Type: soft}, start, -1)
				l.count(store.Counter{SubAccountID: 3, Egress: -6, Type: soft}, start, 1)
				l.count(store.Counter{SubAccountID: 3, Egress: 5, Type: soft, Copy: true}, start, 1)
			},
			[]string{
				"counter of 2026-03-02 sub-account 3 IP_6 mailbox 0 type 73 copy false: 1 | 0 events",
				"counter of 2026-03-02 sub-account 3 TPSP_5 mailbox 0 type 73 copy false: 0 | 1 event",
				"counter of 2026-03-02 sub-account 3 TPSP_5 mailbox 0 type 73 copy true: 1 | 0 events",
			},
		},
		"a message that is gone": {
			func(l *ledger) {
				l.strays = append(l.strays, l.entries[aQueued].Events...)
				l.entries = l.entries[1:]
			},
			[]string{"owner of 2026-03-02: 24 events | the messages have 23 events"},
		},
		"an event that is listed twice": {
			func(l *ledger) {
				l.seq++
				l.strays = append(l.strays, store.EntryEvent{Seq: l.seq, Type: opened, OccurredAt: start})
				l.count(store.Counter{SubAccountID: 3, Egress: 5, Type: opened}, start, 1)
			},
			[]string{"owner of 2026-03-02: 25 events | the messages have 24 events"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := balanced(t)
			test.change(l)
			r := l.verify(DefaultAwaiting)
			if diff := cmp.Diff(test.want, lines(r)); diff != "" {
				t.Error(diff)
			}
			if r.OK() || r.DifferenceCount != int64(len(test.want)) {
				t.Errorf("%d differences, OK %t", r.DifferenceCount, r.OK())
			}
		})
	}
}

// forget removes an event of a message from all books.
func (l *ledger) forget(message, i int) {
	e := &l.entries[message]
	l.count(keyOf(e, e.Events[i]), e.Events[i].OccurredAt, -1)
	e.Events = append(e.Events[:i:i], e.Events[i+1:]...)
}

// retype makes another event of one, in all books.
func (l *ledger) retype(message, i int, typ event.Type) {
	e := &l.entries[message]
	l.count(keyOf(e, e.Events[i]), e.Events[i].OccurredAt, -1)
	e.Events[i].Type = typ
	l.count(keyOf(e, e.Events[i]), e.Events[i].OccurredAt, 1)
}

// A soft bounce and a template that cannot be rendered may end a message, and whatever is reported of a copy proves that the provider has the message.
func TestBalancedByReports(t *testing.T) {
	t.Parallel()
	l := balanced(t)
	l.add(lifecycle.Bounced, []provider.Class{provider.Accepted}, processed, sent, soft).Events[2].Effect = store.EffectOf(lifecycle.Bounce)
	l.retype(aDropped, 1, 35)
	l.add(lifecycle.Sent, []provider.Class{provider.Ambiguous}, processed, sent)
	l.seq++
	last := &l.entries[len(l.entries)-1]
	copied := store.EntryEvent{Seq: l.seq, Type: dropped, Copy: true, Effect: store.EffectOf(lifecycle.Accept), OccurredAt: start}
	last.Events = append(last.Events, copied)
	l.count(keyOf(last, copied), copied.OccurredAt, 1)
	if r := l.verify(DefaultAwaiting); !r.OK() {
		t.Errorf("%q", lines(r))
	}
}

// A message that the operator's own mail server refused for its recipient's sake bounced and was never sent; one that a provider is to have
// had was.
func TestBalancedByARefusal(t *testing.T) {
	t.Parallel()
	l := balanced(t)
	add := func(typ event.Type) *store.Entry {
		e := l.add(lifecycle.Bounced, []provider.Class{provider.Rejected}, processed, hard)
		e.Events[1].Effect = store.EffectOf(lifecycle.Bounce)
		l.retype(len(l.entries)-1, 1, typ)
		return e
	}
	add(4)
	add(3)
	if r := l.verify(DefaultAwaiting); !r.OK() {
		t.Errorf("%q", lines(r))
	}
	add(72)
	if r := l.verify(DefaultAwaiting); len(r.Differences) != 1 || !strings.Contains(lines(r)[0], "bounced, without a sent event") {
		t.Errorf("%q", lines(r))
	}
}

// Nobody reports about mail through IPs and other mail servers, so it awaits no report.
func TestMailServersAreSilent(t *testing.T) {
	t.Parallel()
	l := balanced(t)
	before := l.verify(0).AwaitingCount
	l.entries[aSent].Egress = route.IP(1)
	if after := l.verify(0).AwaitingCount; before == 0 || after != before-1 {
		t.Errorf("%d await a report, and %d when one left through an IP", before, after)
	}
	for typ, less := range map[event.Type]int64{59: 1, 9: 1, 70: 0} {
		l := balanced(t)
		for i, happened := range l.entries[aSent].Events {
			if info, ok := event.Describe(happened.Type); ok && info.Kind == event.Sent {
				l.retype(aSent, i, typ)
			}
		}
		if after := l.verify(0).AwaitingCount; after != before-less {
			t.Errorf("%d await a report, and %d when one was sent as type %d", before, after, typ)
		}
	}
}

// A minute between the clocks of two nodes is no difference.
func TestClocksDiffer(t *testing.T) {
	t.Parallel()
	l := balanced(t)
	l.entries[aSent].Calls[0].Finished = l.entries[aSent].Calls[0].Began.Add(-clockSlack)
	if r := l.verify(DefaultAwaiting); !r.OK() {
		t.Errorf("%q", lines(r))
	}
}

// Mail flows while the books are checked: what is recorded after the counters were read does not count against them.
func TestLive(t *testing.T) {
	t.Parallel()
	l := balanced(t)
	l.live = func() {
		if l.seq > 200 {
			return
		}
		l.add(lifecycle.Sent, []provider.Class{provider.Accepted}, processed, sent)
		l.happen(aSent, opened)
	}
	if r := l.verify(DefaultAwaiting); !r.OK() || r.Events <= 25 {
		t.Errorf("%d events, %q", r.Events, lines(r))
	}
}

func TestAwaiting(t *testing.T) {
	t.Parallel()
	l := balanced(t)
	r := l.verify(time.Hour)
	want := []Awaiting{
		{mail.ID{15: 5}, 5, "pm-5", start.AddDate(0, 0, 1)}, // its last event is that of a copy
		{mail.ID{15: 9}, 5, "pm-9", l.entries[8].Events[1].OccurredAt},
		{mail.ID{15: 10}, 5, "pm-10", l.entries[9].Events[2].OccurredAt},
	}
	if diff := cmp.Diff(want, r.Awaiting); diff != "" || r.AwaitingCount != 3 || !r.OK() {
		t.Errorf("%d awaiting: %s", r.AwaitingCount, diff)
	}
	age := now.Sub(want[2].Since)
	if r := l.verify(age); r.AwaitingCount != 1 || r.Awaiting[0].Message != want[1].Message {
		t.Errorf("awaiting for more than %s: %+v", age, r.Awaiting)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t, counters: map[int64]map[store.Counter]int64{}}
	for i := range 600 {
		e := l.add(lifecycle.Sent, nil, processed, sent)
		e.ID, e.Attempts = mail.ID{14: byte(i >> 8), 15: byte(i)}, 1
		e.ID[0] = 1
	}
	r := l.verify(DefaultAwaiting)
	if len(r.Differences) != 1000 || r.DifferenceCount != 1200 || len(r.Awaiting) != 100 || r.AwaitingCount != 600 {
		t.Errorf("%d of %d differences, %d of %d awaiting", len(r.Differences), r.DifferenceCount, len(r.Awaiting), r.AwaitingCount)
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	if r := (&ledger{t: t}).verify(DefaultAwaiting); !r.OK() || r.Messages != 0 || r.Days != 0 {
		t.Errorf("%+v", r)
	}
}

// Whatever read fails, the verification is not finished, and says so.
func TestFailures(t *testing.T) {
	t.Parallel()
	whole := balanced(t)
	pages := 0
	if _, err := Verify(t.Context(), Options{AccountID: 7, Now: time.Now, Progress: func() { pages++ }}, whole); err != nil {
		t.Fatal(err)
	}
	if pages != whole.calls || pages < 15 {
		t.Errorf("progress was told %d times for %d reads", pages, whole.calls)
	}
	for i := range whole.calls {
		l := balanced(t)
		l.fail = i + 1
		if r, err := Verify(t.Context(), Options{AccountID: 7, Now: time.Now}, l); !errors.Is(err, errAway) || r != nil {
			t.Errorf("read %d failed: %v, %v", i+1, r, err)
		}
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	for at, want := range map[time.Time]int64{
		time.Unix(0, 0): 0, time.Unix(-1, 0): -1, time.Unix(86399, 999): 0, time.Unix(86400, 0): 1, time.Unix(-86400, 0): -1, time.Unix(-86401, 0): -2,
	} {
		if got := dayOf(at); got != want || dateOf(got).After(at) || !dateOf(got+1).After(at) {
			t.Errorf("%s is of day %d, want %d", at, got, want)
		}
	}
}
