package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

func acceptedIsReadable(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com", "bob@example.net")[0]
	m := b.message(id)
	if m.State != lifecycle.Queued || m.Mailbox != mailbox.Gmail || m.Recipient.Email != "ana@gmail.com" || m.Content.Subject != "Hello" ||
		m.SubAccountID != b.sub.ID || m.PoolID != b.pool.ID || !m.SubmittedAt.Equal(start) || m.Plan.Rule != "test" || m.Attempts != 0 {
		t.Errorf("message %+v", m)
	}
	b.wantTypes(id, 69)
	if got := b.counts(); got[69] != 2 {
		t.Errorf("counters %v, want 2 processed", got)
	}
	other, _ := b.newAccount("other")
	if _, err := b.store.Message(b.ctx(), other.ID, id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account reads the message: %v", err)
	}
	if b.backlog() != 2 {
		t.Errorf("backlog %d, want 2", b.backlog())
	}
}

func acceptedSurvives(t *testing.T, b *bench) {
	ids := b.accept("ana@gmail.com", "bob@example.net")
	installation, err := b.store.Installation(b.ctx())
	b.must(err)
	b.restart()
	for _, id := range ids {
		b.wantState(id, lifecycle.Queued)
	}
	again, err := b.store.Installation(b.ctx())
	b.must(err)
	if again != installation || again == "" || b.backlog() != 2 {
		t.Errorf("installation %q then %q, backlog %d", installation, again, b.backlog())
	}
	if n := len(b.claim(10)); n != 2 {
		t.Errorf("claimed %d after the restart, want 2", n)
	}
}

func claimOnce(t *testing.T, b *bench) {
	b.accept("a@gmail.com", "b@gmail.com", "c@gmail.com")
	seen := map[mail.ID]bool{}
	for range 4 {
		for _, j := range b.claim(2) {
			if seen[j.ID] {
				t.Errorf("%s claimed twice", j.ID)
			}
			seen[j.ID] = true
			if j.Attempt != 1 || j.Content.Template != "welcome" || j.Recipient.CC[0].Email != "copy@example.net" || j.Egress != b.egress() ||
				j.AccountID != b.account.ID || j.SubAccountID != b.sub.ID || j.Plan.First() != b.egress() {
				t.Errorf("job %+v", j)
			}
			b.wantState(j.ID, lifecycle.Sending)
		}
	}
	if len(seen) != 3 {
		t.Errorf("claimed %d of 3", len(seen))
	}
}

func claimSharesLanes(t *testing.T, b *bench) {
	var to []string
	for i := range 10 {
		to = append(to, fmt.Sprintf("u%d@gmail.com", i))
	}
	b.accept(append(to, "x@yahoo.com", "y@aol.com", "z@example.net")...)
	lanes := map[mailbox.Class]int{}
	for _, j := range b.claim(8) {
		lanes[j.Mailbox]++
	}
	want := map[mailbox.Class]int{mailbox.Yahoo: 1, mailbox.AOL: 1, mailbox.Default: 1}
	gmail := lanes[mailbox.Gmail]
	delete(lanes, mailbox.Gmail)
	if diff := cmp.Diff(want, lanes); diff != "" || gmail < 2 {
		t.Errorf("a full lane starves others (gmail %d): %s", gmail, diff)
	}
}

func claimOrder(t *testing.T, b *bench) {
	var want []mail.ID
	for i := range 5 {
		b.now = start.Add(time.Duration(i) * time.Second)
		want = append(want, b.accept("ana@gmail.com")...)
	}
	var got []mail.ID
	for range 5 {
		for _, j := range b.claim(1) {
			got = append(got, j.ID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order: %s", diff)
	}
}

func delayedNotEarly(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	j := b.claim(1)[0]
	due := b.now.Add(time.Minute)
	b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Requeue, DueAt: due, Waiting: "transient: 503", Failed: true,
		Outcome: &provider.Outcome{Class: provider.Transient, HTTPStatus: 503}})
	if m := b.message(id); m.State != lifecycle.Queued || m.Waiting != "transient: 503" || !m.DueAt.Equal(due) || m.Attempts != 1 {
		t.Errorf("waiting message %+v", m)
	}
	next, err := b.store.NextDue(b.ctx(), b.egress())
	b.must(err)
	if diff := cmp.Diff(store.Due{Send: due}, next); diff != "" {
		t.Error(diff)
	}
	b.now = due.Add(-time.Nanosecond)
	if jobs := b.claim(1); len(jobs) != 0 {
		t.Errorf("claimed before it was due: %+v", jobs)
	}
	b.now = due
	jobs := b.claim(1)
	if len(jobs) != 1 || jobs[0].Attempt != 2 || jobs[0].Failures != 1 {
		t.Errorf("claimed %+v when due", jobs)
	}
	waiting, err := b.store.Waiting(b.ctx(), b.egress())
	b.must(err)
	if waiting != 1 {
		t.Errorf("%d pending while one is on the wire", waiting)
	}
}

func settleAccepted(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	j := b.claim(1)[0]
	b.settle(accepted(&j, "pm-1"))
	b.settle(accepted(&j, "pm-1"))
	b.wantState(id, lifecycle.Sent)
	b.wantTypes(id, 69, 70)
	if m := b.message(id); m.ProviderID != "pm-1" || m.Attempts != 1 || m.Egress != b.egress() {
		t.Errorf("sent message %+v", m)
	}
	if b.backlog() != 0 || b.counts()[70] != 1 {
		t.Errorf("backlog %d, counters %v", b.backlog(), b.counts())
	}
	b.restart()
	if b.backlog() != 0 {
		t.Errorf("backlog %d after the restart", b.backlog())
	}
}

func lostClaim(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	j := b.claim(1)[0]
	n, err := b.store.Recover(b.ctx(), store.Recovery{Node: b.store.Node(), Owner: b.owner("two"), Now: b.now, AskAt: b.now})
	b.must(err)
	if n != 1 {
		t.Fatalf("recovered %d", n)
	}
	b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Requeue})
	b.wantState(id, lifecycle.Unknown)
	typ := b.report(id, 4, "").Type
	b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Drop, Drop: &typ})
	b.wantState(id, lifecycle.Unknown)
}

func lostClaimProof(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	j := b.claim(1)[0]
	_, err := b.store.Recover(b.ctx(), store.Recovery{Node: b.store.Node(), Owner: b.owner("two"), Now: b.now, AskAt: b.now})
	b.must(err)
	b.settle(accepted(&j, "pm-1"))
	b.wantState(id, lifecycle.Sent)
	b.wantTypes(id, 69, 70)
	if b.backlog() != 0 {
		t.Errorf("backlog %d", b.backlog())
	}
}

func doubt(t *testing.T, b *bench) {
	id := b.accept("ana@gmail.com")[0]
	j := b.claim(1)[0]
	b.settle(store.Settlement{Job: &j, Trigger: lifecycle.Doubt, DueAt: b.now.Add(time.Second), Waiting: "time-out",
		Outcome: &provider.Outcome{Class: provider.Ambiguous}})
	b.wantState(id, lifecycle.Unknown)
	question := store.Claim{Egress: b.egress(), Limit: 10, Owner: b.owner("one"), Now: b.now, LeaseUntil: b.now.Add(time.Minute)}
	early, err := b.store.ClaimUnknown(b.ctx(), question)
	b.must(err)
	if len(early) != 0 {
		t.Fatalf("asked before its time: %+v", early)
	}
	since := b.now
	b.now = b.now.Add(time.Second)
	question.Now = b.now
	jobs, err := b.store.ClaimUnknown(b.ctx(), question)
	b.must(err)
	if len(jobs) != 1 || jobs[0].Attempt != 1 || jobs[0].Asks != 0 || !jobs[0].UnknownSince.Equal(since) || !jobs[0].SentAt.Equal(since) {
		t.Fatalf("claimed for asking: %+v", jobs)
	}
	b.settle(store.Settlement{Job: &jobs[0], Trigger: lifecycle.Doubt, Asked: true, DueAt: b.now})
	jobs, err = b.store.ClaimUnknown(b.ctx(), question)
	b.must(err)
	if len(jobs) != 1 || jobs[0].Asks != 1 {
		t.Fatalf("claimed for asking again: %+v", jobs)
	}
	b.settle(store.Settlement{Job: &jobs[0], Trigger: lifecycle.Requeue, Failed: true, Mark: store.MarkResent})
	if m := b.message(id); m.State != lifecycle.Queued || m.Mark != store.MarkResent {
		t.Errorf("after the last answer %+v", m)
	}
	if again := b.claim(1); len(again) != 1 || again[0].Attempt != 2 {
		t.Errorf("claimed %+v for the second send", again)
	}
}

func recovery(t *testing.T, b *bench) {
	sending := b.accept("a@gmail.com")[0]
	node := b.store.Node()
	b.claimAs(b.owner("dead"), 1)
	waiting := b.accept("b@gmail.com")[0]
	ask := b.now.Add(5 * time.Second)
	b.restart()
	for _, test := range []struct {
		name     string
		recovery store.Recovery
		want     int
	}{
		{"its lease has not ended", store.Recovery{}, 0},
		{"it is another node's", store.Recovery{Node: "other", Owner: store.OwnerOf("other", "alive")}, 0},
		{"the other's name only begins alike", store.Recovery{Node: node[:1], Owner: store.OwnerOf(node[:1], "alive")}, 0},
		{"it is this run's", store.Recovery{Node: node, Owner: b.owner("dead")}, 0},
		{"it is an earlier run's", store.Recovery{Node: node, Owner: b.owner("alive")}, 1},
		{"it is recovered already", store.Recovery{Node: node, Owner: b.owner("alive")}, 0},
	} {
		test.recovery.Now, test.recovery.AskAt = b.now, ask
		n, err := b.store.Recover(b.ctx(), test.recovery)
		b.must(err)
		if n != test.want {
			t.Errorf("%s: recovered %d, want %d", test.name, n, test.want)
		}
	}
	b.wantState(sending, lifecycle.Unknown)
	b.wantState(waiting, lifecycle.Queued)
	due, err := b.store.NextDue(b.ctx(), b.egress())
	b.must(err)
	if !due.Ready || !due.Ask.Equal(ask) {
		t.Errorf("due %+v", due)
	}
}

func expiry(t *testing.T, b *bench) {
	b.dated = true
	brief := route.Pool{AccountID: b.account.ID, Name: "brief", Members: []route.Egress{b.egress()}, TTL: time.Hour, Created: b.now}
	b.must(b.store.CreatePool(b.ctx(), &brief))
	long := route.Pool{AccountID: b.account.ID, Name: "long", Members: []route.Egress{b.egress()}, TTL: 48 * time.Hour, Created: b.now}
	b.must(b.store.CreatePool(b.ctx(), &long))
	in := map[string]mail.ID{"brief": b.sender(b.sub.ID, brief.ID)(1, "gmail.com")[0], "long": b.sender(b.sub.ID, long.ID)(1, "gmail.com")[0],
		"other": b.sender(b.sub.ID, b.pool.ID)(1, "gmail.com")[0]}
	began := b.now
	expire := func(after time.Duration, want int) {
		t.Helper()
		total := 0
		for last := (mail.ID{}); ; {
			n, next, err := b.store.Expire(b.ctx(), store.Expiry{TTL: 10 * time.Hour, Now: began.Add(after), After: last, Limit: 2})
			b.must(err)
			if total += n; next == (mail.ID{}) {
				break
			}
			last = next
		}
		if total != want {
			t.Errorf("%d expired after %s, want %d", total, after, want)
		}
	}
	expire(59*time.Minute, 0)
	expire(time.Hour, 1)
	b.wantState(in["brief"], lifecycle.Dropped)
	b.wantTypes(in["brief"], 69, 1)
	expire(9*time.Hour, 0)
	expire(10*time.Hour, 1)
	b.wantState(in["other"], lifecycle.Dropped)
	expire(47*time.Hour, 0)
	b.wantState(in["long"], lifecycle.Queued)
	expire(48*time.Hour, 1)
	if b.backlog() != 0 {
		t.Errorf("backlog %d", b.backlog())
	}
}

// heldExpiry: the time for which a limit holds a lane does not count.
func heldExpiry(t *testing.T, b *bench) {
	b.dated = true
	b.setLimits(limit.Limits{Mailbox: map[mailbox.Class]int{mailbox.Gmail: 1}})
	held := b.accept("a@gmail.com", "b@gmail.com")
	other := b.accept("c@example.com")[0]
	began := b.now
	sent := b.claim(1)[0].ID
	if sent == other {
		sent = b.claim(1)[0].ID
	}
	waits := held[0]
	if sent == waits {
		waits = held[1]
	}
	claimed := b.take(5) // the lane is full
	if len(claimed.Full) != 1 {
		t.Fatalf("claimed %+v", claimed)
	}
	for _, j := range claimed.Jobs {
		b.settle(accepted(&j, ""))
	}
	until := claimed.Free.Sub(began)
	second, _ := b.newTPSP(b.account.ID, "Postmark", "token", "broadcast")
	n, err := b.store.Rearrange(b.ctx(), []store.Move{{ID: waits, From: b.egress(), To: second.Egress(), Waiting: "overflowed"}}, b.now)
	b.must(err)
	if n != 1 {
		t.Fatalf("%d moved", n)
	}
	expire := func(after time.Duration) int {
		t.Helper()
		n, _, err := b.store.Expire(b.ctx(), store.Expiry{TTL: time.Hour, Now: began.Add(after), Limit: 100})
		b.must(err)
		return n
	}
	if n := expire(until + 59*time.Minute); n != 0 {
		t.Errorf("%d expired while a limit held them for %s of it", n, until)
	}
	if n := expire(until + time.Hour); n != 1 {
		t.Errorf("%d expired, want 1", n)
	}
	b.wantState(waits, lifecycle.Dropped)
}

func deletedProvider(t *testing.T, b *bench) {
	second, _ := b.newTPSP(b.account.ID, "Second", "token-2", "outbound")
	alone, idsAlone := b.submission("a@gmail.com")
	both, idsBoth := b.submission("b@gmail.com")
	both.Messages[0].Plan = plan(b.egress(), second.Egress())
	b.must(b.store.Accept(b.ctx(), []store.Submission{alone, both}))
	if err := b.store.DeleteTPSP(b.ctx(), b.account.ID, b.tpsp.ID, false, b.now); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("deleted while messages wait: %v", err)
	}
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, b.tpsp.ID, true, b.now))
	late, _ := b.submission("late@gmail.com")
	if err := b.store.Accept(b.ctx(), []store.Submission{late}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("accepted for a deleted provider: %v", err)
	}
	n, err := b.store.Rearrange(b.ctx(), []store.Move{{ID: idsAlone[0], From: b.egress(), Drop: store.ReasonDeleted},
		{ID: idsBoth[0], From: b.egress(), To: second.Egress(), Waiting: store.ReasonDeleted}}, b.now)
	b.must(err)
	if n != 2 {
		t.Errorf("handled %d, want 2", n)
	}
	b.wantState(idsAlone[0], lifecycle.Dropped)
	b.wantTypes(idsAlone[0], 69, 1)
	if m := b.message(idsBoth[0]); m.State != lifecycle.Queued || m.Egress != second.Egress() || m.Waiting != store.ReasonDeleted {
		t.Errorf("moved message %+v", m)
	}
}

func sequences(t *testing.T, b *bench) {
	var seen []uint64
	for range 3 {
		s, _ := b.submission("a@gmail.com", "b@gmail.com")
		for i := range s.Messages {
			s.Messages[i].Spread = true
			s.Messages[i].Plan = func(seq uint64) store.Planned {
				seen = append(seen, seq)
				return store.Planned{Plan: route.Plan{Egresses: []route.Egress{b.egress()}}, Processed: 69}
			}
		}
		b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
		b.restart()
	}
	if diff := cmp.Diff([]uint64{0, 1, 2, 3, 4, 5}, seen); diff != "" {
		t.Errorf("sequence: %s", diff)
	}
}
