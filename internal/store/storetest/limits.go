package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// claimLength is how long the suite's claims last.
const claimLength = time.Minute

func (b *bench) take(limit int) store.Claimed {
	b.t.Helper()
	claimed, err := b.store.Claim(b.ctx(), store.Claim{Egress: b.egress(), Limit: limit, Owner: b.owner("one"), Now: b.now, LeaseUntil: b.now.Add(claimLength)})
	b.must(err)
	return claimed
}

func (b *bench) setLimits(l limit.Limits) {
	b.t.Helper()
	p := b.tpsp
	p.Limits = l
	b.must(b.store.UpdateTPSP(b.ctx(), &p))
}

// limitsHold: whatever comes, in whichever order and over restarts, no 60 minutes and the length of a claim see more than the
// limits that stand, and nothing waits without a limit that says until when.
func limitsHold(t *testing.T, b *bench) {
	random := rand.New(rand.NewPCG(3, 7))
	domains := []string{"gmail.com", "yahoo.com", "example.com"}
	type permit struct {
		at    time.Time
		class mailbox.Class
	}
	var taken []permit
	limits := limit.Limits{}
	waiting := 0
	used := func(class mailbox.Class) (n int) {
		for _, p := range taken {
			if p.at.After(b.now.Add(-limit.Hour-claimLength)) && (class == "" || p.class == class) {
				n++
			}
		}
		return n
	}
	take := func(most int) store.Claimed {
		t.Helper()
		claimed := b.take(most)
		for i := range claimed.Jobs {
			j := &claimed.Jobs[i]
			if random.IntN(4) == 0 { // nothing of it is written
				b.settle(store.Settlement{Job: j, Trigger: lifecycle.Requeue, Outcome: &provider.Outcome{Class: provider.Transient, Unwritten: true}})
				continue
			}
			b.settle(accepted(j, ""))
			taken = append(taken, permit{b.now, j.Mailbox})
			waiting--
		}
		if len(claimed.Jobs) == 0 {
			return claimed
		}
		if limits.PerHour > 0 && used("") > limits.PerHour {
			t.Fatalf("%s: %d messages in the window, the limit is %d", b.now, used(""), limits.PerHour)
		}
		for _, j := range claimed.Jobs {
			if most, limited := limits.Mailbox[j.Mailbox]; limited && used(j.Mailbox) > most {
				t.Fatalf("%s: %d messages to %s in the window, the limit is %d", b.now, used(j.Mailbox), j.Mailbox, most)
			}
		}
		return claimed
	}
	for range 150 {
		switch random.IntN(6) {
		case 0:
			limits = limit.Limits{PerHour: random.IntN(3) * 30, Mailbox: map[mailbox.Class]int{}}
			for _, d := range domains {
				if n := random.IntN(3) * 10; n > 0 {
					limits.Mailbox[mailbox.ByDomain(d)] = n
				}
			}
			b.setLimits(limits)
		case 1, 2:
			var to []string
			for i := range random.IntN(20) {
				to = append(to, fmt.Sprintf("u%d@%s", i, domains[random.IntN(len(domains))]))
			}
			if len(to) > 0 {
				b.accept(to...)
				waiting += len(to)
			}
		case 3:
			b.now = b.now.Add(time.Duration(random.Int64N(int64(40 * time.Minute))))
		case 4:
			b.now = b.now.Add(time.Duration(random.Int64N(int64(time.Minute))))
			if random.IntN(8) == 0 {
				b.restart()
			}
		default:
			take(1 + random.IntN(30))
		}
		if random.IntN(10) > 0 {
			continue
		}
		for range 200 { // nothing is held back but by a limit, and only for as long as it says
			claimed := take(100)
			if len(claimed.Jobs) > 0 {
				continue
			}
			if waiting == 0 {
				break
			}
			if len(claimed.Full) == 0 || !claimed.Free.After(b.now) || claimed.Free.After(b.now.Add(limit.Hour+claimLength+limit.Span)) {
				t.Fatalf("%s: %d wait, and the claim says %+v", b.now, waiting, claimed)
			}
			b.now = claimed.Free
			if len(take(100).Jobs) == 0 {
				t.Fatalf("%s: no permit at the time that was promised", b.now)
			}
		}
		if waiting != 0 {
			t.Fatalf("%d still wait", waiting)
		}
	}
}

func permitsReturned(t *testing.T, b *bench) {
	b.setLimits(limit.Limits{PerHour: 2, Mailbox: map[mailbox.Class]int{mailbox.Gmail: 1}})
	b.accept("a@gmail.com", "b@gmail.com", "c@example.com", "d@example.com")
	want := func(whole, gmail int) {
		t.Helper()
		p, err := b.store.Permits(b.ctx(), b.egress(), b.now, claimLength)
		b.must(err)
		if limit.Sum(p.Whole) != whole || limit.Sum(p.Lanes[mailbox.Gmail]) != gmail {
			t.Errorf("permits %+v, want %d and %d to Gmail", p, whole, gmail)
		}
	}
	claimed := b.take(10)
	if len(claimed.Jobs) != 2 {
		t.Fatalf("%d claimed, want 2", len(claimed.Jobs))
	}
	want(2, 1)
	for i := range claimed.Jobs {
		if j := &claimed.Jobs[i]; j.Mailbox == mailbox.Gmail {
			late := store.Settlement{Job: j, Trigger: lifecycle.Requeue, Outcome: &provider.Outcome{Class: provider.Transient, Unsent: true}}
			b.settle(late)
			want(1, 0)
			b.settle(late) // the claim is over: what comes again gives nothing back
		} else {
			b.settle(store.Settlement{Job: j, Trigger: lifecycle.Requeue, Outcome: &provider.Outcome{Class: provider.Transient}})
		}
	}
	want(1, 0)
	b.now = b.now.Add(limit.Hour + claimLength + 2*limit.Span)
	want(0, 0)
}

// subAccount makes another sub-account, and returns a function that accepts mail of it.
func (b *bench) subAccount(name string, pool int32) func(n int, domain string) []mail.ID {
	b.t.Helper()
	s := directory.SubAccount{AccountID: b.account.ID, Name: name, KeyHash: secret.Hash(name), SealedKey: []byte("x"), Created: b.now}
	b.must(b.store.CreateSubAccount(b.ctx(), &s))
	return b.sender(s.ID, pool)
}

func (b *bench) subAccountNamed(name string) int32 {
	b.t.Helper()
	for _, s := range b.directory().SubAccounts {
		if s.Name == name {
			return s.ID
		}
	}
	b.t.Fatalf("no sub-account %q", name)
	return 0
}

func (b *bench) sender(sub, pool int32) func(n int, domain string) []mail.ID {
	return func(n int, domain string) []mail.ID {
		b.t.Helper()
		to := make([]string, n)
		for i := range to {
			to[i] = fmt.Sprintf("u%d@%s", i, domain)
		}
		s, ids := b.submission(to...)
		s.SubAccountID = sub
		for i := range s.Messages {
			s.Messages[i].PoolID = pool
		}
		b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
		b.now = b.now.Add(time.Second)
		return ids
	}
}

// turns: one sender's many messages do not hold up another one's few, nor do those to one mailbox provider those to another.
func turns(t *testing.T, b *bench) {
	bulk, second, third := b.sender(b.sub.ID, b.pool.ID), b.subAccount("second", b.pool.ID), b.subAccount("third", b.pool.ID)
	bulk(60, "gmail.com")
	bulk(20, "yahoo.com")
	second(3, "gmail.com")
	third(1, "gmail.com")
	count := func(jobs []store.Job) map[string]int {
		n := map[string]int{}
		for _, j := range jobs {
			n[fmt.Sprintf("%d %s", j.SubAccountID-b.sub.ID, j.Mailbox)]++
			b.settle(accepted(&j, ""))
		}
		return n
	}
	if diff := cmp.Diff(map[string]int{"0 gmail": 6, "1 gmail": 3, "2 gmail": 1, "0 yahoo": 10}, count(b.take(20).Jobs)); diff != "" {
		t.Errorf("the first claim:\n%s", diff)
	}
	second(4, "gmail.com")
	third(4, "gmail.com")
	got := map[string]int{}
	for range 8 { // one permit at a time
		for k, n := range count(b.take(1).Jobs) {
			got[k] += n
		}
	}
	if got["0 yahoo"] != 4 || got["0 gmail"]+got["1 gmail"]+got["2 gmail"] != 4 || got["0 gmail"] > 2 || got["1 gmail"] > 2 || got["2 gmail"] > 2 ||
		got["1 gmail"] == 0 || got["2 gmail"] == 0 {
		t.Errorf("one at a time: %v", got)
	}
}

// manySenders: everybody has a turn, also when there are more senders than a claim looks at, and when many others are paused.
func manySenders(t *testing.T, b *bench) {
	const senders = 20
	held := route.Pool{AccountID: b.account.ID, Name: "held", Members: []route.Egress{b.egress()}, Created: b.now}
	b.must(b.store.CreatePool(b.ctx(), &held))
	b.must(b.store.PausePool(b.ctx(), b.account.ID, held.ID, true))
	for i := range senders {
		b.subAccount(fmt.Sprint("held ", i), held.ID)(1, "gmail.com")
	}
	for i := range senders {
		b.subAccount(fmt.Sprint("sender ", i), b.pool.ID)(30, "gmail.com")
	}
	served := map[int32]int{}
	for range 6 {
		for _, j := range b.take(40).Jobs {
			served[j.SubAccountID]++
		}
	}
	if len(served) != senders {
		t.Errorf("%d of %d senders were served: %v", len(served), senders, served)
	}
}

func priorities(t *testing.T, b *bench) {
	urgent := route.Pool{AccountID: b.account.ID, Name: "urgent", Members: []route.Egress{b.egress()}, Priority: 5, Created: b.now}
	b.must(b.store.CreatePool(b.ctx(), &urgent))
	idle := route.Pool{AccountID: b.account.ID, Name: "idle", Members: []route.Egress{b.egress()}, Priority: -5, Created: b.now}
	b.must(b.store.CreatePool(b.ctx(), &idle))
	last := b.sender(b.sub.ID, idle.ID)(2, "gmail.com")
	middle := b.sender(b.sub.ID, b.pool.ID)(2, "gmail.com")
	first := b.subAccount("second", urgent.ID)(2, "gmail.com")
	var got []mail.ID
	for range 3 {
		for _, j := range b.take(2).Jobs {
			got = append(got, j.ID)
		}
	}
	want := append(append(first, middle...), last...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func pauses(t *testing.T, b *bench) {
	other := route.Pool{AccountID: b.account.ID, Name: "other", Members: []route.Egress{b.egress()}, Created: b.now}
	b.must(b.store.CreatePool(b.ctx(), &other))
	second := b.subAccount("second", b.pool.ID)
	inPool, ofSub := b.sender(b.sub.ID, other.ID)(1, "gmail.com"), second(1, "gmail.com")
	free := b.sender(b.sub.ID, b.pool.ID)(1, "gmail.com")
	sub := b.subAccountNamed("second")
	b.must(b.store.PausePool(b.ctx(), b.account.ID, other.ID, true))
	b.must(b.store.PauseSubAccount(b.ctx(), b.account.ID, sub, true))
	want := func(what string, ids ...mail.ID) {
		t.Helper()
		var got []mail.ID
		claimed := b.take(10)
		for _, j := range claimed.Jobs {
			got = append(got, j.ID)
		}
		if diff := cmp.Diff(ids, got); diff != "" || len(claimed.Full) > 0 {
			t.Errorf("%s: %v\n%s", what, claimed.Full, diff)
		}
	}
	want("two are paused", free...)
	b.must(b.store.PausePool(b.ctx(), b.account.ID, other.ID, false))
	want("the pool is resumed", inPool...)
	p := b.tpsp
	p.Paused = true
	b.must(b.store.UpdateTPSP(b.ctx(), &p))
	b.must(b.store.PauseSubAccount(b.ctx(), b.account.ID, sub, false))
	want("the provider is paused")
	p.Paused = false
	b.must(b.store.UpdateTPSP(b.ctx(), &p))
	b.must(b.store.Drill(b.ctx(), b.account.ID, p.ID, b.now.Add(time.Minute)))
	want("an outage is rehearsed")
	b.now = b.now.Add(time.Minute)
	want("all is over", ofSub...)
}

func queuedMessages(t *testing.T, b *bench) {
	stranger, _ := b.newAccount("stranger")
	second := b.subAccount("second", b.pool.ID)
	mine, theirs := b.sender(b.sub.ID, b.pool.ID)(3, "gmail.com"), second(2, "yahoo.com")
	claimed := b.take(1) // on the wire: it does not wait
	sub := b.subAccountNamed("second")
	look := func(f store.QueuedFilter) (ids []mail.ID) {
		t.Helper()
		for after := (mail.ID{}); ; {
			list, last, err := b.store.Queued(b.ctx(), f, after, 2)
			b.must(err)
			for _, q := range list {
				ids = append(ids, q.ID)
				if q.AccountID != b.account.ID || q.PoolID != b.pool.ID || q.Egress != b.egress() || q.Plan.First() != b.egress() || q.SubmittedAt.IsZero() ||
					f.Content != (q.Content != nil) || f.Content && (q.Content.Subject != "Hello" || q.Recipient.Name != "Ana") {
					t.Errorf("waiting %+v", q)
				}
			}
			if after = last; last == (mail.ID{}) {
				return ids
			}
		}
	}
	var all []mail.ID
	for _, id := range append(append([]mail.ID{}, mine...), theirs...) {
		if id != claimed.Jobs[0].ID {
			all = append(all, id)
		}
	}
	rest := func(ids []mail.ID) (list []mail.ID) {
		for _, id := range ids {
			if id != claimed.Jobs[0].ID {
				list = append(list, id)
			}
		}
		return list
	}
	for what, test := range map[string]struct {
		filter store.QueuedFilter
		want   []mail.ID
	}{
		"all":                 {store.QueuedFilter{}, all},
		"with contents":       {store.QueuedFilter{Content: true}, all},
		"of a sub-account":    {store.QueuedFilter{SubAccountID: sub}, rest(theirs)},
		"of the pool":         {store.QueuedFilter{PoolID: b.pool.ID}, all},
		"of another pool":     {store.QueuedFilter{PoolID: b.pool.ID + 1}, nil},
		"of the egress":       {store.QueuedFilter{Egress: b.egress()}, all},
		"of another egress":   {store.QueuedFilter{Egress: b.egress() + 1}, nil},
		"to a mailbox":        {store.QueuedFilter{Mailboxes: []mailbox.Class{mailbox.Gmail}}, rest(mine)},
		"that may move":       {store.QueuedFilter{Movable: true}, nil},
		"of another account ": {store.QueuedFilter{AccountID: stranger.ID}, nil},
	} {
		if test.filter.AccountID == 0 {
			test.filter.AccountID = b.account.ID
		}
		if diff := cmp.Diff(test.want, look(test.filter)); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
}

func moves(t *testing.T, b *bench) {
	second, _ := b.newTPSP(b.account.ID, "Postmark", "token", "broadcast")
	gone, _ := b.newTPSP(b.account.ID, "Postmark", "token", "gone")
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, gone.ID, true, b.now))
	ids := b.accept("a@gmail.com", "b@gmail.com", "c@gmail.com", "d@gmail.com")
	wire := b.claim(1)[0].ID
	var rest []mail.ID
	for _, id := range ids {
		if id != wire {
			rest = append(rest, id)
		}
	}
	plan := route.Plan{Egresses: []route.Egress{second.Egress()}, Rule: "anew"}
	n, err := b.store.Rearrange(b.ctx(), []store.Move{
		{ID: wire, From: b.egress(), To: second.Egress()},
		{ID: rest[0], From: b.egress(), To: second.Egress(), Plan: &plan, Waiting: "moved"},
		{ID: rest[1], From: b.egress(), Drop: "cancelled"},
		{ID: rest[2], From: second.Egress(), To: b.egress()}, // it does not wait there
		{ID: rest[2], From: b.egress(), To: gone.Egress()},   // which is gone
		{ID: mail.ID{1}, From: b.egress(), To: second.Egress()},
	}, b.now)
	b.must(err)
	if n != 2 {
		t.Errorf("%d rearranged, want 2", n)
	}
	b.wantState(wire, lifecycle.Sending)
	b.wantState(rest[1], lifecycle.Dropped)
	b.wantTypes(rest[1], 69, 1)
	if m := b.message(rest[0]); m.Egress != second.Egress() || m.Waiting != "moved" || m.Plan.Rule != "anew" || m.State != lifecycle.Queued {
		t.Errorf("moved %+v", m)
	}
	if m := b.message(rest[2]); m.Egress != b.egress() || m.Plan.Rule != "test" {
		t.Errorf("not moved %+v", m)
	}
	if got := b.backlog(); got != 3 {
		t.Errorf("backlog %d, want 3", got)
	}
	claimed, err := b.store.Claim(b.ctx(), store.Claim{Egress: second.Egress(), Limit: 9, Owner: b.owner("one"), Now: b.now, LeaseUntil: b.now.Add(claimLength)})
	b.must(err)
	if len(claimed.Jobs) != 1 || claimed.Jobs[0].ID != rest[0] {
		t.Errorf("claimed %+v", claimed.Jobs)
	}
}
