package storetest

import (
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

func reports(t *testing.T, b *bench) {
	id := b.send("ana@gmail.com")
	delivered := b.report(id, event.Delivered, "d1")
	if res := b.deliver(delivered, delivered, b.report(id, event.Opened, "o1")); res.Recorded != 2 || res.Duplicates != 1 {
		t.Errorf("result %+v", res)
	}
	nextDay := delivered
	nextDay.OccurredAt = delivered.OccurredAt.Add(24 * time.Hour) // as a list of the provider has it, that rounds
	if res := b.deliver(delivered, nextDay); res.Duplicates != 2 {
		t.Errorf("the same event later: %+v", res)
	}
	b.wantState(id, lifecycle.Delivered)
	b.wantTypes(id, 69, 70, 71, 75)
	if diff := cmp.Diff(map[event.Type]int64{69: 1, 70: 1, 71: 1, 75: 1}, b.counts()); diff != "" {
		t.Error(diff)
	}
	rest, err := b.store.Received(b.ctx(), b.now.Add(time.Hour), 10)
	b.must(err)
	if len(rest) != 0 {
		t.Errorf("%d receipts stay", len(rest))
	}
}

func overtaking(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	j := b.claim(1)[0]
	b.deliver(b.report(id, event.Delivered, "d1"))
	b.wantState(id, lifecycle.Delivered)
	b.wantTypes(id, 69, 70, 71)
	if b.backlog() != 0 {
		t.Errorf("backlog %d", b.backlog())
	}
	b.settle(accepted(&j, "pm-"+id.String()))
	b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Doubt, DueAt: b.now, Outcome: &provider.Outcome{Class: provider.Ambiguous}})
	b.wantState(id, lifecycle.Delivered)
	b.wantTypes(id, 69, 70, 71)
	if m := b.message(id); m.Attempts != 1 || m.ProviderID != "pm-"+id.String() {
		t.Errorf("message %+v", m)
	}
}

// confirming: some providers report that they have a message. The event that says so is there already, or is there once.
func confirming(t *testing.T, b *bench) {
	late := b.send("ana@gmail.com")
	res := b.deliver(b.report(late, event.Sent, "s1"))
	b.wantState(late, lifecycle.Sent)
	b.wantTypes(late, 69, 70)
	if res.Recorded != 0 || res.Duplicates != 1 {
		t.Errorf("%+v", res)
	}
	early := b.accept("ana@gmail.com")[0]
	j := b.claim(1)[0]
	if res := b.deliver(b.report(early, event.Sent, "s2"), b.report(early, event.Sent, "s2")); res.Recorded != 1 || res.Duplicates != 1 {
		t.Errorf("before it was known: %+v", res)
	}
	b.wantState(early, lifecycle.Sent)
	b.settle(accepted(&j, "pm-"+early.String()))
	copied := b.report(early, event.Sent, "s3")
	copied.Recipient = "copy@gmail.com"
	b.deliver(copied, b.report(early, event.Delivered, "d1"), b.report(early, event.Sent, "s4"))
	b.wantState(early, lifecycle.Delivered)
	b.wantTypes(early, 69, 70, 71)
	if diff := cmp.Diff(map[event.Type]int64{69: 2, 70: 2, 71: 1}, b.counts()); diff != "" {
		t.Error(diff)
	}
}

func neverRegress(t *testing.T, b *bench) {
	bounced := b.send("ana@gmail.com")
	b.deliver(b.report(bounced, event.HardBounced, "b1"), b.report(bounced, event.Delivered, "d1"), b.report(bounced, event.Opened, "o1"))
	b.wantState(bounced, lifecycle.Bounced)
	late := b.send("ana@gmail.com")
	b.deliver(b.report(late, event.Delivered, "d2"), b.report(late, event.HardBounced, "b2"))
	b.wantState(late, lifecycle.Bounced)
	soft := b.send("ana@gmail.com")
	b.deliver(b.report(soft, event.SoftBounced, "s1"))
	b.wantState(soft, lifecycle.Sent)
	final := b.report(soft, event.SoftBounced, "s2")
	final.Final = true
	b.deliver(final)
	b.wantState(soft, lifecycle.Bounced)
	spam := b.send("ana@gmail.com")
	b.deliver(b.report(spam, event.Spam, "c1"))
	b.wantState(spam, lifecycle.Sent)
	b.wantTypes(spam, 69, 70, 77)
}

func copies(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	b.claim(1)
	r := b.report(id, event.HardBounced, "b1")
	r.Recipient = "COPY@example.net"
	b.deliver(r)
	b.wantState(id, lifecycle.Sent) // it proves that the provider has the message, and says nothing of the `to` recipient
	b.wantTypes(id, 69, 70, 72)
	if got := b.counts(); got[72] != 0 {
		t.Errorf("a copy's bounce is counted: %v", got)
	}
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, Recipient: "copy@Example.net", Limit: 10})
	b.must(err)
	if len(events) != 1 || !events[0].Copy || events[0].Recipient != "copy@example.net" {
		t.Errorf("events of the copy: %+v", events)
	}
}

func byProviderID(t *testing.T, b *bench) {
	id := b.send("ana@gmail.com")
	r := b.report(id, event.Spam, "c1")
	r.MessageID = mail.ID{}
	if res := b.deliver(r); res.Recorded != 1 {
		t.Errorf("result %+v", res)
	}
	b.wantTypes(id, 69, 70, 77)
}

// reconnected: the same stream, connected anew, reports about mail that left through the old connection.
func reconnected(t *testing.T, b *bench) {
	id := b.send("ana@gmail.com")
	b.deliver(b.report(id, event.Delivered, "d1"))
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, b.tpsp.ID, false, b.now))
	b.tpsp, b.pool = b.newTPSP(b.account.ID, "Postmark", "token", "outbound")
	complaint := b.report(id, event.Spam, "c1")
	complaint.MessageID = mail.ID{}
	if res := b.deliver(complaint, b.report(id, event.Delivered, "d1")); res.Recorded != 1 || res.Duplicates != 1 {
		t.Errorf("result %+v", res)
	}
	b.wantTypes(id, 69, 70, 71, 77)
}

func heldThenForeign(t *testing.T, b *bench) {
	r := b.report(mail.ID{1}, event.Delivered, "d1")
	r.MessageID = mail.ID{}
	r.ProviderMessageID = "someone-else"
	if res := b.deliver(r); res.Held != 1 {
		t.Errorf("result %+v", res)
	}
	early, err := b.store.Received(b.ctx(), b.now, 10)
	b.must(err)
	b.now = b.now.Add(time.Minute)
	due, err := b.store.Received(b.ctx(), b.now, 10)
	b.must(err)
	if len(early) != 0 || len(due) != 1 {
		t.Fatalf("held receipts: %d before, %d at their time", len(early), len(due))
	}
	res, err := b.store.Ingest(b.ctx(), []store.Parsed{{Receipt: due[0], Reports: []provider.Report{r}, Sent: 70, Now: b.now}})
	b.must(err)
	if res.Foreign != 1 {
		t.Errorf("result %+v", res)
	}
	left, err := b.store.Received(b.ctx(), b.now.Add(time.Hour), 10)
	b.must(err)
	if len(left) != 0 || len(b.counts()) != 0 {
		t.Errorf("%d receipts stay, counters %v", len(left), b.counts())
	}
}

func garbage(t *testing.T, b *bench) {
	b.must(b.store.Receive(b.ctx(), []store.Receipt{{AccountID: b.account.ID, TPSPID: b.tpsp.ID, Body: []byte("\x00\xff"), ReceivedAt: b.now}}))
	got, err := b.store.Received(b.ctx(), b.now, 10)
	b.must(err)
	if len(got) != 1 || string(got[0].Body) != "\x00\xff" || !got[0].ReceivedAt.Equal(b.now) || got[0].TPSPID != b.tpsp.ID {
		t.Fatalf("received %+v", got)
	}
	res, err := b.store.Ingest(b.ctx(), []store.Parsed{{Receipt: got[0], Garbage: "no JSON", Now: b.now}})
	b.must(err)
	left, err := b.store.Received(b.ctx(), b.now.Add(time.Hour), 10)
	b.must(err)
	if res.Garbage != 1 || len(left) != 0 {
		t.Errorf("result %+v, %d receipts stay", res, len(left))
	}
}

// freshReports come from the wire: what can be recorded leaves no receipt.
func freshReports(t *testing.T, b *bench) {
	id := b.send("ana@gmail.com")
	stranger := b.report(mail.ID{}, event.Delivered, "s1")
	stranger.ProviderMessageID = "someone-else"
	fresh := func(body string, reports ...provider.Report) store.Parsed {
		return store.Parsed{Fresh: true, Reports: reports, HoldTo: b.now.Add(time.Minute), Sent: 70, Now: b.now,
			Receipt: store.Receipt{AccountID: b.account.ID, TPSPID: b.tpsp.ID, Headers: map[string]string{"X": body}, Body: []byte(body), ReceivedAt: b.now}}
	}
	unreadable := fresh("\x00\xff")
	unreadable.Garbage = "no JSON"
	foreign := fresh("foreign", stranger)
	foreign.HoldTo = time.Time{}
	delivered := b.report(id, event.Delivered, "d1")
	batch := []store.Parsed{fresh("delivered", delivered, delivered), fresh("mixed", b.report(id, event.Opened, "o1"), stranger), unreadable, fresh("nothing"), foreign}
	res, err := b.store.Ingest(b.ctx(), batch)
	b.must(err)
	if diff := cmp.Diff(store.IngestResult{Recorded: 2, Duplicates: 1, Held: 1, Foreign: 1, Garbage: 1}, res); diff != "" {
		t.Errorf("result:\n%s", diff)
	}
	b.wantState(id, lifecycle.Delivered)
	b.wantTypes(id, 69, 70, 71, 75)
	early, err := b.store.Received(b.ctx(), b.now, 10)
	b.must(err)
	received := b.now
	b.restart()
	b.now = b.now.Add(time.Minute)
	due, err := b.store.Received(b.ctx(), b.now, 10)
	b.must(err)
	want := store.Receipt{AccountID: b.account.ID, TPSPID: b.tpsp.ID, Headers: map[string]string{"X": "mixed"}, Body: []byte("mixed"), ReceivedAt: received}
	if len(early) != 0 || len(due) != 1 || due[0].ID == 0 {
		t.Fatalf("held receipts: %v before, %v at their time", early, due)
	}
	again := store.Parsed{Receipt: due[0], Reports: batch[1].Reports, Sent: 70, Now: b.now}
	if due[0].ID = 0; !cmp.Equal(due[0], want) {
		t.Errorf("held: %s", cmp.Diff(want, due[0]))
	}
	res, err = b.store.Ingest(b.ctx(), []store.Parsed{again, fresh("delivered", delivered)})
	b.must(err)
	if diff := cmp.Diff(store.IngestResult{Duplicates: 2, Foreign: 1}, res); diff != "" {
		t.Errorf("result at its time:\n%s", diff)
	}
	if left, err := b.store.Received(b.ctx(), b.now.Add(time.Hour), 10); err != nil || len(left) != 0 {
		t.Errorf("receipts stay: %v, %v", left, err)
	}
}

// namedInBatch: what one report of a batch says of a message, the others are read by; and states follow each other.
func namedInBatch(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	b.claim(1)
	complaint, bounce := b.report(id, event.Spam, "c1"), b.report(id, event.HardBounced, "b1")
	complaint.MessageID = mail.ID{}
	if res := b.deliver(complaint, b.report(id, event.Delivered, "d1"), bounce, bounce); res.Recorded != 3 || res.Duplicates != 1 {
		t.Errorf("result %+v", res)
	}
	b.wantState(id, lifecycle.Bounced)
	b.wantTypes(id, 69, 70, 77, 71, 72)
	if b.backlog() != 0 {
		t.Errorf("backlog %d", b.backlog())
	}
	if got := b.counts(); got[70] != 1 {
		t.Errorf("counters %v", got)
	}
}

func foreignAccount(t *testing.T, b *bench) {
	id := b.send("ana@gmail.com")
	other, _ := b.newAccount("other")
	if res := b.deliverAs(other.ID, b.report(id, event.HardBounced, "b1")); res.Recorded != 0 || res.Held != 1 {
		t.Errorf("another account's report: %+v", res)
	}
	b.wantState(id, lifecycle.Sent)
}

func stablePages(t *testing.T, b *bench) {
	for range 5 {
		b.accept("ana@gmail.com")
	}
	page := func(f store.EventFilter) []store.Event {
		f.AccountID, f.Limit = b.account.ID, 2
		events, err := b.store.Events(b.ctx(), f)
		b.must(err)
		return events
	}
	var byOffset, byCursor, newest []int64
	after, before := int64(0), int64(0)
	for i := range 3 {
		for _, e := range page(store.EventFilter{Offset: 2 * i}) {
			byOffset = append(byOffset, e.Seq)
		}
		for _, e := range page(store.EventFilter{After: after}) {
			byCursor = append(byCursor, e.Seq)
			after = e.Seq
		}
		for _, e := range page(store.EventFilter{Newest: true, Before: before}) {
			newest = append(newest, e.Seq)
			before = e.Seq
		}
		b.accept("new@gmail.com") // arrives between the pages
	}
	for i, seq := range byOffset {
		if i > 0 && seq <= byOffset[i-1] {
			t.Errorf("pages by offset repeat: %v", byOffset)
		}
	}
	if diff := cmp.Diff(byOffset, byCursor); diff != "" {
		t.Errorf("cursor: %s", diff)
	}
	for i, seq := range newest {
		if i > 0 && seq >= newest[i-1] {
			t.Errorf("pages of the newest repeat: %v", newest)
		}
	}
	if len(newest) != 5 {
		t.Errorf("newest first gave %d of the 5 that stood when the first page was read", len(newest))
	}
}

func eventFilters(t *testing.T, b *bench) {
	first := b.send("ana@gmail.com")
	b.now = start.AddDate(0, 0, 1)
	b.deliver(b.report(first, event.Opened, "o1"))
	sub := directorySub(b)
	second, ids := b.submission("bob@example.net")
	second.SubAccountID, second.Groups = sub, []string{"g2", "g10"}
	b.must(b.store.Accept(b.ctx(), []store.Submission{second}))
	for name, test := range map[string]struct {
		filter store.EventFilter
		want   int
	}{
		"all":             {store.EventFilter{}, 4},
		"message":         {store.EventFilter{MessageID: ids[0]}, 1},
		"types":           {store.EventFilter{Types: []event.Type{69, 75}}, 3},
		"recipient":       {store.EventFilter{Recipient: "ANA@gmail.com"}, 3},
		"sub-account":     {store.EventFilter{SubAccountID: sub}, 1},
		"provider":        {store.EventFilter{TPSPIDs: []int32{b.tpsp.ID}}, 4},
		"other provider":  {store.EventFilter{TPSPIDs: []int32{b.tpsp.ID + 1}}, 0},
		"no provider":     {store.EventFilter{TPSPIDs: []int32{}}, 0},
		"mailbox":         {store.EventFilter{Mailbox: mailbox.ByDomain("gmail.com")}, 3},
		"group":           {store.EventFilter{Group: "g1"}, 3},
		"both groups":     {store.EventFilter{Group: "g2"}, 4},
		"no such group":   {store.EventFilter{Group: "g"}, 0},
		"from":            {store.EventFilter{From: start.AddDate(0, 0, 1)}, 2},
		"to is excluded":  {store.EventFilter{To: start.AddDate(0, 0, 1)}, 2},
		"offset":          {store.EventFilter{Offset: 3}, 1},
		"another account": {store.EventFilter{AccountID: b.account.ID + 1}, 0},
	} {
		if test.filter.AccountID == 0 {
			test.filter.AccountID = b.account.ID
		}
		test.filter.Limit = 100
		got, err := b.store.Events(b.ctx(), test.filter)
		b.must(err)
		if len(got) != test.want {
			t.Errorf("%s: %d events, want %d", name, len(got), test.want)
		}
	}
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, MessageID: first, Types: []event.Type{75}, Limit: 1})
	b.must(err)
	if e := events[0]; e.From.Email != "shop@example.com" || e.From.Name != "Shop" || e.Subject != "Hello" || len(e.Groups) != 2 ||
		e.ToName != "Ana" || e.Detail.RawUserAgent != "test" || e.TPSPID != b.tpsp.ID || e.PoolID != b.pool.ID || !e.OccurredAt.Equal(b.now) {
		t.Errorf("event %+v", e)
	}
}
