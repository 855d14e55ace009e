package storetest

import (
	"cmp"
	"errors"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
)

func (b *bench) newIP(account int32, address string) *directory.TPSP {
	return &directory.TPSP{AccountID: account, Name: address, Type: provider.IP, KeyHash: secret.Hash(address), Created: b.now}
}

// egresses reads what can send.
func (b *bench) egresses() (list []directory.TPSP) {
	b.t.Helper()
	c, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	for _, t := range c.TPSPs {
		if len(t.SealedKey) == 0 {
			t.SealedKey = nil
		}
		if len(t.Webhook.SealedPassword) == 0 {
			t.Webhook.SealedPassword = nil
		}
		if len(t.Secret) == 0 {
			t.Secret = nil
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b directory.TPSP) int { return cmp.Compare(b.ID, a.ID) })
	return list
}

func ips(t *testing.T, b *bench) {
	one, two := b.newIP(b.account.ID, "203.0.113.7"), b.newIP(b.account.ID, "2001:db8::7")
	b.must(b.store.AllocateIPs(b.ctx(), []*directory.TPSP{one, two}))
	other, _ := b.newAccount("other")
	for _, taken := range []string{"203.0.113.7", "2001:db8::7"} {
		if err := b.store.AllocateIPs(b.ctx(), []*directory.TPSP{b.newIP(other.ID, "203.0.113.9"), b.newIP(other.ID, taken)}); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s twice: %v", taken, err)
		}
	}
	three := b.newIP(other.ID, "203.0.113.9") // nothing was stored of the lists that were refused
	b.must(b.store.AllocateIPs(b.ctx(), []*directory.TPSP{three}))
	if one.IPID() != 1 || two.IPID() != 2 || three.IPID() != 3 {
		t.Errorf("ids %d, %d, %d", one.IPID(), two.IPID(), three.IPID())
	}
	second, _ := b.newTPSP(b.account.ID, "Second", "token", "broadcast") // ids of TPSPs go on as before
	if second.ID != b.tpsp.ID+1 {
		t.Errorf("the next provider has the id %d", second.ID)
	}

	one.Paused, one.AutoWarmup, one.Policy = true, true, directory.AtMostOnce
	one.Limits = limit.Limits{PerHour: 50, Mailbox: map[mailbox.Class]int{mailbox.Gmail: 5}}
	b.must(b.store.UpdateTPSP(b.ctx(), one))
	todo, err := b.store.Replans(b.ctx())
	b.must(err)
	if len(todo) != 1 || todo[0].Egress != one.Egress() || todo[0].Reason != store.ReasonIPChanged {
		t.Errorf("to be planned anew: %+v", todo)
	}
	one.Health = directory.Health{Stopped: true, Reason: "refused", Since: b.now, ProbeAt: b.now, Wait: 5}
	b.must(b.store.UpdateHealth(b.ctx(), one.ID, one.Health))
	one.Refused = []directory.Refusal{{Domain: "example.com", Reason: "no", Since: b.now, ProbeAt: b.now, Wait: 5}}
	b.must(b.store.Refuse(b.ctx(), one.ID, one.Refused[0]))
	one.Drill = b.now
	b.must(b.store.Drill(b.ctx(), b.account.ID, one.ID, b.now))
	if err := b.store.Drill(b.ctx(), other.ID, one.ID, b.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account rehearses: %v", err)
	}
	b.restart()
	if diff := gocmp.Diff([]directory.TPSP{second, b.tpsp, *one, *two, *three}, b.egresses()); diff != "" {
		t.Error(diff)
	}

	// Nobody reports for an IP, so nothing is read back of it.
	if _, err := b.store.Listening(b.ctx(), 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Listening(b.ctx(), 0, 0); err != nil {
		t.Fatal(err)
	}
	for _, e := range b.egresses() {
		if e.IsIP() && !e.CatchUp.IsZero() {
			t.Errorf("%s is to be caught up with", e.Egress())
		}
	}

	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, two.ID, false, b.now))
	again := b.newIP(other.ID, "2001:db8::7")
	b.must(b.store.AllocateIPs(b.ctx(), []*directory.TPSP{again}))
	if again.IPID() != 4 {
		t.Errorf("an id is used twice: %d", again.IPID())
	}
}

// mailThroughIP has an IP do what a TPSP does: members of pools, plans, claims, permits, events, counters, deletion.
func mailThroughIP(t *testing.T, b *bench) {
	ip := b.newIP(b.account.ID, "203.0.113.7")
	b.must(b.store.AllocateIPs(b.ctx(), []*directory.TPSP{ip}))
	e := ip.Egress()
	pool := route.Pool{AccountID: b.account.ID, Name: "own", Members: []route.Egress{e, b.egress(), route.IP(99)}, Created: b.now}
	b.must(b.store.CreatePool(b.ctx(), &pool))
	c, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	for _, p := range c.Pools {
		if p.ID == pool.ID && !slices.Equal(p.Members, []route.Egress{e, b.egress()}) {
			t.Errorf("members %v: an IP that is not there is left out", p.Members)
		}
	}
	ip.Limits.PerHour = 2
	b.must(b.store.UpdateTPSP(b.ctx(), ip))

	s, ids := b.submission("a@gmail.com", "b@gmail.com", "c@gmail.com")
	for i := range s.Messages {
		s.Messages[i].Plan = func(uint64) store.Planned {
			return store.Planned{Plan: route.Plan{Egresses: []route.Egress{e, b.egress()}, Rule: "test"}, Processed: 0}
		}
	}
	b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
	claim := func() store.Claimed {
		t.Helper()
		claimed, err := b.store.Claim(b.ctx(), store.Claim{Egress: e, Limit: 10, Owner: b.owner("one"), Now: b.now, LeaseUntil: b.now.Add(time.Minute)})
		b.must(err)
		return claimed
	}
	claimed := claim()
	if len(claimed.Jobs) != 2 {
		t.Fatalf("claimed %d: two leave in an hour", len(claimed.Jobs))
	}
	if rest := claim(); len(rest.Jobs) != 0 || len(rest.Full) != 1 {
		t.Errorf("claimed %d more, full %v", len(rest.Jobs), rest.Full)
	}
	taken, refused := &claimed.Jobs[0], &claimed.Jobs[1]
	hard := event.Type(4)
	b.settle(store.Settlement{Job: taken, Trigger: lifecycle.Accept, Egress: e, Sent: 9, Outcome: &provider.Outcome{ProviderMessageID: "id@example.com"}},
		store.Settlement{Job: refused, Trigger: lifecycle.Bounce, Egress: e, Drop: &hard, Inactive: []string{"B@gmail.com"},
			Detail:  event.Detail{SMTPCode: 550, SMTPDescription: "no such user"},
			Outcome: &provider.Outcome{Class: provider.Rejected, Bounce: event.HardBounced, Code: "550 5.1.1", Text: "no such user"}})
	b.wantState(taken.ID, lifecycle.Sent)
	b.wantTypes(taken.ID, 0, 9)
	b.wantState(refused.ID, lifecycle.Bounced)
	b.wantTypes(refused.ID, 0, 4)
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, TPSPIDs: []int32{int32(e)}, Limit: 10})
	b.must(err)
	if len(events) != 5 {
		t.Errorf("%d events of the IP", len(events))
	}
	for _, one := range events {
		if one.IPID != ip.IPID() || one.TPSPID != 0 {
			t.Errorf("an event through %d and %d", one.IPID, one.TPSPID)
		}
	}
	held, err := b.store.Suppressed(b.ctx(), []store.SuppressionKey{{SubAccountID: b.sub.ID, Email: "b@gmail.com"}})
	b.must(err)
	if hit, found := held[store.SuppressionKey{SubAccountID: b.sub.ID, Email: "b@gmail.com"}]; !found || hit.Reason != provider.HardBounce {
		t.Errorf("suppressed: %+v", held)
	}
	b.wantStats(store.StatFilter{By: store.ByEgress, Types: []event.Type{0, 4, 9}, Egress: e}, "-1 0: 3", "-1 4: 1", "-1 9: 1")

	waits := ids[2]
	if err := b.store.DeleteTPSP(b.ctx(), b.account.ID, ip.ID, false, b.now); !errors.Is(err, store.ErrConflict) {
		t.Errorf("deleted while a message waits: %v", err)
	}
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, ip.ID, true, b.now))
	n, err := b.store.Rearrange(b.ctx(), []store.Move{{ID: waits, From: e, To: b.egress(), Waiting: "moved"}}, b.now)
	b.must(err)
	if n != 1 || b.message(waits).Egress != b.egress() {
		t.Errorf("%d moved, to %s", n, b.message(waits).Egress)
	}
	if n, err := b.store.Rearrange(b.ctx(), []store.Move{{ID: waits, From: b.egress(), To: e}}, b.now); err != nil || n != 0 {
		t.Errorf("%d moved to a deleted IP, %v", n, err)
	}
	b.must(CheckBooks(b.ctx(), b.store, b.account.ID))
}
