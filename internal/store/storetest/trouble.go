package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/store"
)

func (b *bench) delays(account, tpsp int32, limit int) (all []store.Delay, more bool) {
	b.t.Helper()
	all, more, err := b.store.Delays(b.ctx(), account, tpsp, limit)
	b.must(err)
	return all, more
}

// delays groups what waits, by why.
func delays(t *testing.T, b *bench) {
	b.dated = true
	stranger, _ := b.newAccount("stranger")
	if all, more := b.delays(b.account.ID, b.tpsp.ID, 10); len(all) != 0 || more {
		t.Errorf("nothing waits: %v, %t", all, more)
	}
	retried := b.accept("one@gmail.com")[0]
	b.now = b.now.Add(time.Second)
	again := b.accept("two@gmail.com")[0]
	jobs := b.claim(2)
	later := b.now.Add(time.Minute)
	for i := range jobs {
		b.settle(store.Settlement{Job: &jobs[i], Trigger: lifecycle.Requeue, DueAt: later.Add(time.Duration(i) * time.Second), Waiting: "the provider is away",
			Failed: true, Outcome: &provider.Outcome{Class: provider.Transient, Text: "refused"}})
	}
	unknown := b.accept("three@gmail.com")[0]
	b.settle(store.Settlement{Job: &b.claim(1)[0], Trigger: lifecycle.Doubt, DueAt: later, Waiting: "nobody knows",
		Outcome: &provider.Outcome{Class: provider.Ambiguous}})
	b.now = b.now.Add(time.Second)
	var ready []mail.ID
	for i := range 3 {
		ready = append(ready, b.accept(fmt.Sprintf("r%d@yahoo.com", i))...)
	}
	want := []store.Delay{
		{State: lifecycle.Queued, Mailbox: "gmail", PoolID: b.pool.ID, SubAccountID: b.sub.ID, Waiting: "the provider is away", N: 2, Oldest: retried,
			Since: start, DueFirst: later, DueLast: later.Add(time.Second)},
		{State: lifecycle.Unknown, Mailbox: "gmail", PoolID: b.pool.ID, SubAccountID: b.sub.ID, Waiting: "nobody knows", N: 1, Oldest: unknown,
			Since: start.Add(time.Second), DueFirst: later, DueLast: later},
		{State: lifecycle.Queued, Mailbox: "yahoo", PoolID: b.pool.ID, SubAccountID: b.sub.ID, N: 3, Since: start.Add(2 * time.Second)},
	}
	got, more := b.delays(b.account.ID, b.tpsp.ID, 10)
	if len(got) == 3 { // of one millisecond
		want[2].Oldest = got[2].Oldest
		if oldest := got[2].Oldest; oldest != ready[0] && oldest != ready[1] && oldest != ready[2] {
			t.Errorf("the oldest is %s", oldest)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || more {
		t.Errorf("more: %t, %s", more, diff)
	}
	if got, more := b.delays(b.account.ID, b.tpsp.ID, 2); len(got) != 3 || got[2].N != 2 || !more {
		t.Errorf("more: %t, %v", more, got)
	}
	if got, more := b.delays(stranger.ID, b.tpsp.ID, 10); len(got) != 0 || more {
		t.Errorf("another account sees %v", got)
	}
	if again == retried {
		t.Error("one id twice")
	}
}

// laneDelays show every lane, however much waits in another one.
func laneDelays(t *testing.T, b *bench) {
	b.dated = true
	stranger, _ := b.newAccount("stranger")
	look := func(account int32, limit int) store.LaneDelays {
		t.Helper()
		l, err := b.store.LaneDelays(b.ctx(), account, b.tpsp.ID, limit)
		b.must(err)
		return l
	}
	if l := look(b.account.ID, 10); len(l.Groups) != 0 || len(l.More) != 0 {
		t.Errorf("nothing waits: %+v", l)
	}
	retried := b.accept("one@gmail.com")[0]
	jobs := b.claim(1)
	later := b.now.Add(time.Minute)
	b.settle(store.Settlement{Job: &jobs[0], Trigger: lifecycle.Requeue, DueAt: later, Waiting: "the provider is away", Failed: true,
		Outcome: &provider.Outcome{Class: provider.Transient, Text: "refused"}})
	b.now = b.now.Add(time.Second)
	unknown := b.accept("two@icloud.com")[0]
	b.settle(store.Settlement{Job: &b.claim(1)[0], Trigger: lifecycle.Doubt, DueAt: later, Waiting: "nobody knows", Outcome: &provider.Outcome{Class: provider.Ambiguous}})
	b.now = b.now.Add(time.Second)
	for i := range 5 {
		b.accept(fmt.Sprintf("g%d@gmail.com", i))
	}
	b.now = b.now.Add(time.Second)
	yahoo := b.accept("y@yahoo.com")[0]
	group := func(state lifecycle.State, class mailbox.Class, waiting string, n int64, oldest mail.ID, since time.Duration, due time.Time) store.Delay {
		return store.Delay{State: state, Mailbox: class, PoolID: b.pool.ID, SubAccountID: b.sub.ID, Waiting: waiting, N: n, Oldest: oldest, Since: start.Add(since),
			DueFirst: due, DueLast: due}
	}
	for _, limit := range []int{10, 3} {
		got := look(b.account.ID, limit)
		want := store.LaneDelays{More: map[mailbox.Class]bool{}, Groups: []store.Delay{group(lifecycle.Queued, "gmail", "the provider is away", 1, retried, 0, later),
			group(lifecycle.Unknown, "icloud", "nobody knows", 1, unknown, time.Second, later),
			group(lifecycle.Queued, "gmail", "", min(5, int64(limit)), mail.ID{}, 2*time.Second, time.Time{}),
			group(lifecycle.Queued, "yahoo", "", 1, yahoo, 3*time.Second, time.Time{})}}
		if limit == 3 {
			want.More["gmail"] = true
		}
		if len(got.Groups) == len(want.Groups) { // all of them are of one millisecond
			want.Groups[2].Oldest = got.Groups[2].Oldest
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("of %d: %s", limit, diff)
		}
	}
	if got := look(b.account.ID, 1); !got.More["gmail"] || !got.More["icloud"] || !got.More["yahoo"] {
		t.Errorf("what reaches the limit may have more: %+v", got.More)
	}
	if got := look(stranger.ID, 10); len(got.Groups) != 0 || len(got.More) != 0 {
		t.Errorf("another account sees %+v", got)
	}
}

// failures are counted and shown, of the newest messages.
func failures(t *testing.T, b *bench) {
	b.dated = true
	stranger, _ := b.newAccount("stranger")
	look := func(account int32, since time.Time, limit int) store.Failures {
		t.Helper()
		f, err := b.store.Failures(b.ctx(), account, b.tpsp.ID, since, limit)
		b.must(err)
		return f
	}
	if f := look(b.account.ID, start, 10); len(f.Classes) != 0 || len(f.Newest) != 0 || !f.Last.IsZero() || !f.From.Equal(start) {
		t.Errorf("nothing was tried: %+v", f)
	}
	drop := b.report(mail.ID{}, event.Dropped, "").Type
	var ids []mail.ID
	for i := range 7 {
		b.now = start.Add(time.Duration(i) * time.Minute)
		ids = append(ids, b.accept("ana@gmail.com")...)
		class := provider.Rejected
		if i == 6 {
			class = provider.Account
		}
		b.settle(store.Settlement{Job: &b.claim(1)[0], Trigger: lifecycle.Drop, Drop: &drop, Outcome: &provider.Outcome{Class: class, HTTPStatus: 422, Code: "300",
			Text: fmt.Sprint("refused ", i)}})
	}
	b.now = start.Add(time.Hour)
	b.send("bo@gmail.com")
	f := look(b.account.ID, start, 100)
	if diff := cmp.Diff(map[string]int64{"rejected": 6, "account": 1}, f.Classes); diff != "" || !f.Last.Equal(b.now) || !f.From.Equal(start) {
		t.Errorf("%+v: %s", f, diff)
	}
	if len(f.Newest) != store.MostFailures {
		t.Fatalf("newest: %+v", f.Newest)
	}
	for i, a := range f.Newest {
		if n := 6 - i; a.MessageID != ids[n] || a.N != 1 || a.Text != fmt.Sprint("refused ", n) || a.Code != "300" || a.HTTPStatus != 422 || a.Egress != b.egress() ||
			!a.Finished.Equal(start.Add(time.Duration(n)*time.Minute)) {
			t.Errorf("failure %d: %+v", i, a)
		}
	}
	last, err := b.store.FailedAttempts(b.ctx(), b.account.ID, b.tpsp.ID, start.Add(5*time.Minute), 10)
	b.must(err)
	if diff := cmp.Diff(f.Newest[:2], last); diff != "" {
		t.Errorf("the last two: %s", diff)
	}
	if last, err := b.store.FailedAttempts(b.ctx(), stranger.ID, b.tpsp.ID, start, 10); err != nil || len(last) != 0 {
		t.Errorf("another account sees %+v, %v", last, err)
	}
	if f := look(b.account.ID, start.Add(5*time.Minute), 100); f.Classes["rejected"] != 1 || len(f.Newest) != 2 {
		t.Errorf("of the last two messages: %+v", f)
	}
	// The send and two failures are looked at; the third failure is the first that is not.
	if f := look(b.account.ID, start, 3); f.Classes["rejected"] != 1 || f.Classes["account"] != 1 || !f.From.Equal(start.Add(4*time.Minute)) {
		t.Errorf("bounded: %+v", f)
	}
	if f := look(stranger.ID, start, 100); len(f.Classes) != 0 || len(f.Newest) != 0 || !f.Last.IsZero() {
		t.Errorf("another account sees %+v", f)
	}
}

// strange counts what nobody could read, and what was not ours.
func strange(t *testing.T, b *bench) {
	stranger, _ := b.newAccount("stranger")
	look := func(account int32, since time.Time, limit int) store.Strange {
		t.Helper()
		s, err := b.store.Strange(b.ctx(), account, b.tpsp.ID, since, limit)
		b.must(err)
		return s
	}
	parsed := func(garbage string, reports ...provider.Report) store.Parsed {
		return store.Parsed{Fresh: true, Garbage: garbage, Reports: reports, Sent: 70, Now: b.now,
			Receipt: store.Receipt{AccountID: b.account.ID, TPSPID: b.tpsp.ID, Body: []byte("{}"), ReceivedAt: b.now}}
	}
	foreign := b.report(mail.ID{}, event.Delivered, "d1")
	foreign.ProviderMessageID = "someone-else"
	for i := range 3 {
		b.now = start.Add(time.Duration(i) * time.Hour)
		_, err := b.store.Ingest(b.ctx(), []store.Parsed{parsed(fmt.Sprint("no JSON ", i)), parsed("", foreign)})
		b.must(err)
	}
	if got := look(b.account.ID, start, 10); got != (store.Strange{Garbage: 3, Reason: "no JSON 2", Foreign: 3}) {
		t.Errorf("%+v", got)
	}
	if got := look(b.account.ID, start.Add(time.Hour), 1); got != (store.Strange{Garbage: 1, Reason: "no JSON 2", Foreign: 3}) {
		t.Errorf("bounded: %+v", got)
	}
	if got := look(b.account.ID, start.AddDate(0, 0, 1), 10); got != (store.Strange{}) {
		t.Errorf("of the next day: %+v", got)
	}
	if got := look(stranger.ID, start, 10); got != (store.Strange{}) {
		t.Errorf("another account sees %+v", got)
	}
}
