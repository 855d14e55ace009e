package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
)

// whoAndWhen: the clock goes with the machine's, as both are here, and the name stays.
func whoAndWhen(t *testing.T, b *bench) {
	before := b.store.Node()
	b.restart()
	if after := b.store.Node(); after != before || after == "" {
		t.Errorf("node %q, then %q", before, after)
	}
	if off := time.Since(b.store.Now()).Abs(); off > 10*time.Second {
		t.Errorf("the clock is %s off", off)
	}
}

func leases(t *testing.T, b *bench) {
	take := func(name, holder string, length time.Duration) bool {
		t.Helper()
		ok, err := b.store.Lease(b.ctx(), name, holder, length)
		b.must(err)
		return ok
	}
	first, renewed, other := take("sweep", "one", time.Hour), take("sweep", "one", time.Hour), take("sweep", "two", time.Hour)
	if !first || !renewed || other {
		t.Error("a lease is its holder's alone, and can be renewed")
	}
	if !take("audit", "two", time.Hour) {
		t.Error("another name is another lease")
	}
	b.must(b.store.Release(b.ctx(), "sweep", "two"))
	if take("sweep", "two", time.Hour) {
		t.Error("released by another")
	}
	b.must(b.store.Release(b.ctx(), "sweep", "one"))
	b.must(b.store.Release(b.ctx(), "sweep", "one"))
	if !take("sweep", "two", time.Millisecond) {
		t.Error("a released lease is free")
	}
	for end := time.Now().Add(10 * time.Second); !take("sweep", "three", time.Hour); {
		if time.Now().After(end) {
			t.Fatal("a lease does not end")
		}
	}
}

func (b *bench) catchUp() time.Time {
	b.t.Helper()
	c, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	for _, p := range c.TPSPs {
		if p.ID == b.tpsp.ID {
			return p.CatchUp
		}
	}
	b.t.Fatal("the TPSP is gone")
	return time.Time{}
}

func listening(t *testing.T, b *bench) {
	listen := func(silence time.Duration) time.Duration {
		t.Helper()
		gap, err := b.store.Listening(b.ctx(), silence, time.Minute)
		b.must(err)
		return gap
	}
	if gap := listen(0); gap != 0 || !b.catchUp().IsZero() {
		t.Errorf("the first record opens a gap of %s", gap)
	}
	b.restart()
	if gap := listen(time.Hour); gap != 0 || !b.catchUp().IsZero() {
		t.Errorf("a gap of %s within an hour", gap)
	}
	gone, _ := b.newTPSP(b.account.ID, "Postmark", "token", "broadcast")
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, gone.ID, false, b.now))
	var gap time.Duration
	for end := time.Now().Add(10 * time.Second); gap == 0 && time.Now().Before(end); {
		gap = listen(0)
	}
	first := b.catchUp()
	if since := b.store.Now().Sub(first); gap <= 0 || since < time.Minute || since > 2*time.Minute {
		t.Errorf("a gap of %s is caught up with from %s before", gap, since)
	}
	for end := time.Now().Add(10 * time.Second); listen(0) == 0 && time.Now().Before(end); {
	}
	if second := b.catchUp(); !second.Equal(first) {
		t.Errorf("a later gap moves the start from %s to %s", first, second)
	}
	c, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	for _, p := range c.TPSPs {
		if p.ID == gone.ID && !p.CatchUp.IsZero() {
			t.Error("a deleted TPSP is to be caught up with")
		}
	}
}

func catchUps(t *testing.T, b *bench) {
	from := start.Add(-time.Hour)
	b.must(b.store.CatchUpFrom(b.ctx(), b.tpsp.ID, from))
	b.must(b.store.CatchUpFrom(b.ctx(), b.tpsp.ID, from.Add(time.Minute)))
	if got := b.catchUp(); !got.Equal(from) {
		t.Errorf("from %s, want %s: the earlier time stays", got, from)
	}
	earlier := from.Add(-time.Minute)
	b.must(b.store.CatchUpFrom(b.ctx(), b.tpsp.ID, earlier))
	b.must(b.store.CaughtUp(b.ctx(), b.tpsp.ID, from)) // of the time that was set before
	if got := b.catchUp(); !got.Equal(earlier) {
		t.Errorf("from %s, want %s", got, earlier)
	}
	b.must(b.store.CaughtUp(b.ctx(), b.tpsp.ID, earlier))
	if got := b.catchUp(); !got.IsZero() {
		t.Errorf("from %s after it was caught up with", got)
	}
}

func updatedProvider(t *testing.T, b *bench) {
	p := b.tpsp
	p.Name, p.Policy, p.Paused, p.AllowRaw = "Renamed", directory.AtMostOnce, true, true
	p.Limits = limit.Limits{PerHour: 500, Mailbox: map[mailbox.Class]int{mailbox.Gmail: 100, mailbox.Default: 7}}
	b.must(b.store.UpdateTPSP(b.ctx(), &p))
	b.must(b.store.Drill(b.ctx(), b.account.ID, p.ID, b.now))
	p.Drill = b.now
	refusal := directory.Refusal{Domain: "example.com", Reason: "not verified", Since: b.now, ProbeAt: b.now.Add(time.Minute), Wait: time.Minute}
	b.must(b.store.Refuse(b.ctx(), p.ID, directory.Refusal{Domain: "a.example", Reason: "r", Since: b.now, ProbeAt: b.now}))
	b.must(b.store.Refuse(b.ctx(), p.ID, refusal))
	refusal.Reason, refusal.Since, refusal.ProbeAt, refusal.Wait = "still not", b.now.Add(time.Second), b.now.Add(2*time.Minute), 2*time.Minute
	b.must(b.store.Refuse(b.ctx(), p.ID, refusal))
	b.must(b.store.Admit(b.ctx(), p.ID, "a.example"))
	refusal.Since = b.now
	p.Refused = []directory.Refusal{refusal}
	b.restart()
	if diff := cmp.Diff([]directory.TPSP{p}, b.directory().TPSPs); diff != "" {
		t.Error(diff)
	}
	p.Limits = limit.Limits{Mailbox: map[mailbox.Class]int{mailbox.Gmail: 5}}
	b.must(b.store.UpdateTPSP(b.ctx(), &p)) // takes what it took before: nothing to plan anew
	asked, err := b.store.Replans(b.ctx())
	b.must(err)
	if len(asked) != 1 || asked[0].Egress != p.Egress() || asked[0].PoolID != 0 || asked[0].Reason != store.ReasonProviderChanged {
		t.Errorf("to be planned anew: %+v", asked)
	}
	b.must(b.store.Drill(b.ctx(), b.account.ID, p.ID, time.Time{}))
	p.Drill = time.Time{}
	if diff := cmp.Diff([]directory.TPSP{p}, b.directory().TPSPs); diff != "" {
		t.Error(diff)
	}
	foreign := p
	foreign.AccountID++
	if err := b.store.UpdateTPSP(b.ctx(), &foreign); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account updates: %v", err)
	}
	if err := b.store.Drill(b.ctx(), b.account.ID+1, p.ID, b.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account drills: %v", err)
	}
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, b.tpsp.ID, true, b.now))
	if err := b.store.UpdateTPSP(b.ctx(), &p); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("updated after it was deleted: %v", err)
	}
}

// pools: what users make of them is kept; every change of one is a new revision.
func pools(t *testing.T, b *bench) {
	second, _ := b.newTPSP(b.account.ID, "Postmark", "token", "broadcast")
	other, _ := b.newAccount("other")
	p := route.Pool{AccountID: b.account.ID, Name: "both", Strategy: 2, RoutingMetaData: `{"TPSP_1":"1"}`, Created: b.now, WarmupInterval: 24,
		Members: []route.Egress{second.Egress(), b.egress()}, Overflow: b.pool.ID, Priority: -3, TTL: time.Hour, Paused: true}
	b.must(b.store.CreatePool(b.ctx(), &p))
	third := route.Pool{AccountID: b.account.ID, Name: "third", Targets: []int32{p.ID, b.pool.ID}, Overflow: p.ID, Created: b.now}
	b.must(b.store.CreatePool(b.ctx(), &third))
	twin := p
	if err := b.store.CreatePool(b.ctx(), &twin); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a taken name: %v", err)
	}
	b.must(b.store.CreatePool(b.ctx(), &route.Pool{AccountID: other.ID, Name: "both", Created: b.now}))
	find := func(id int32) *route.Pool {
		t.Helper()
		for _, p := range b.directory().Pools {
			if p.ID == id {
				return &p
			}
		}
		return nil
	}
	b.restart()
	if diff := cmp.Diff(&p, find(p.ID)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&third, find(third.ID)); diff != "" {
		t.Error(diff)
	}
	before := p.Revision
	p.Name, p.Strategy, p.Members, p.Overflow, p.Priority, p.TTL = "renamed", 0, []route.Egress{b.egress()}, 0, 1, 0
	p.Targets, p.RoutingMetaData = []int32{b.pool.ID}, ""
	b.must(b.store.UpdatePool(b.ctx(), &p))
	if p.Revision <= before {
		t.Errorf("revision %d after %d", p.Revision, before)
	}
	before, p.Paused = p.Revision, false // another node has paused it, of which this one does not know
	p.Name, p.TTL = "renamed again", time.Minute
	b.must(b.store.UpdatePool(b.ctx(), &p))
	if p.Revision != before {
		t.Errorf("revision %d after %d although the plans stay", p.Revision, before)
	}
	p.Paused = true
	if diff := cmp.Diff(&p, find(p.ID)); diff != "" {
		t.Error(diff)
	}
	for what, err := range map[string]error{
		"update": b.store.UpdatePool(b.ctx(), &route.Pool{ID: p.ID, AccountID: other.ID, Name: "x"}),
		"pause":  b.store.PausePool(b.ctx(), other.ID, p.ID, false),
		"delete": b.store.DeletePool(b.ctx(), other.ID, p.ID),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s by another account: %v", what, err)
		}
	}
	taken := p
	taken.Name = third.Name
	if err := b.store.UpdatePool(b.ctx(), &taken); !errors.Is(err, store.ErrConflict) {
		t.Errorf("renamed to a taken name: %v", err)
	}
	asked, err := b.store.Replans(b.ctx())
	b.must(err)
	if len(asked) != 1 || asked[0].PoolID != p.ID || asked[0].AccountID != b.account.ID || asked[0].Egress != 0 || asked[0].Reason != store.ReasonPoolChanged {
		t.Errorf("to be planned anew: %+v", asked)
	}
	b.must(b.store.Replanned(b.ctx(), asked[0].ID))
	b.must(b.store.DeletePool(b.ctx(), b.account.ID, p.ID))
	third.Overflow, third.Targets = 0, []int32{b.pool.ID}
	if diff := cmp.Diff(&third, find(third.ID)); diff != "" || find(p.ID) != nil {
		t.Errorf("after the deletion:\n%s", diff)
	}
	b.must(b.store.PauseSubAccount(b.ctx(), b.account.ID, b.sub.ID, true))
	if subs := b.directory().SubAccounts; !subs[0].Paused {
		t.Error("the sub-account is not paused")
	}
	if err := b.store.PauseSubAccount(b.ctx(), other.ID, b.sub.ID, false); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("paused by another account: %v", err)
	}
}

func (b *bench) directory() directory.Contents {
	b.t.Helper()
	c, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	return c
}

// revisions: every change of the configuration shows, and mail does not.
func revisions(t *testing.T, b *bench) {
	revision := func() int64 {
		t.Helper()
		n, err := b.store.DirectoryRevision(b.ctx())
		b.must(err)
		c, err := b.store.LoadDirectory(b.ctx())
		b.must(err)
		if c.Revision != n {
			t.Errorf("revision %d, in the directory %d", n, c.Revision)
		}
		return n
	}
	if !b.store.Shared() {
		if first := revision(); first != revision() {
			t.Error("the only node need not look for changes, but is told of one")
		}
		return
	}
	seen := map[int64]string{revision(): "nothing"}
	changed := func(what string, err error) {
		t.Helper()
		b.must(err)
		n := revision()
		if before, ok := seen[n]; ok {
			t.Errorf("%s: revision %d is that of %s", what, n, before)
		}
		seen[n] = what
	}
	sub := directory.SubAccount{AccountID: b.account.ID, Name: "second", SealedKey: []byte("x"), Created: b.now}
	changed("create sub-account", b.store.CreateSubAccount(b.ctx(), &sub))
	changed("rename sub-account", b.store.RenameSubAccount(b.ctx(), b.account.ID, sub.ID, "renamed"))
	changed("delete sub-account", b.store.DeleteSubAccount(b.ctx(), b.account.ID, sub.ID, b.now))
	second, _ := b.newTPSP(b.account.ID, "Postmark", "token", "broadcast")
	changed("create provider", nil)
	changed("update provider", b.store.UpdateTPSP(b.ctx(), &second))
	changed("drill", b.store.Drill(b.ctx(), b.account.ID, second.ID, b.now))
	changed("refuse sender", b.store.Refuse(b.ctx(), second.ID, directory.Refusal{Domain: "a.example"}))
	changed("admit sender", b.store.Admit(b.ctx(), second.ID, "a.example"))
	made := route.Pool{AccountID: b.account.ID, Name: "made", Created: b.now}
	changed("create pool", b.store.CreatePool(b.ctx(), &made))
	changed("update pool", b.store.UpdatePool(b.ctx(), &made))
	changed("pause pool", b.store.PausePool(b.ctx(), b.account.ID, made.ID, true))
	changed("pause sub-account", b.store.PauseSubAccount(b.ctx(), b.account.ID, b.sub.ID, true))
	changed("resume sub-account", b.store.PauseSubAccount(b.ctx(), b.account.ID, b.sub.ID, false))
	changed("delete pool", b.store.DeletePool(b.ctx(), b.account.ID, made.ID))
	changed("update webhook", b.store.UpdateWebhook(b.ctx(), second.ID, directory.Webhook{State: directory.WebhookRegistered, Username: "u"}))
	past := directory.PastHook{Switched: b.now}
	changed("move provider", b.store.MoveTPSP(b.ctx(), &second, &past, b.now))
	changed("update past webhook", b.store.UpdatePastHook(b.ctx(), &past))
	changed("update health", b.store.UpdateHealth(b.ctx(), second.ID, directory.Health{Stopped: true, Reason: "r", Since: b.now}))
	changed("set catch-up", b.store.CatchUpFrom(b.ctx(), second.ID, b.now))
	changed("end catch-up", b.store.CaughtUp(b.ctx(), second.ID, b.now))
	changed("delete provider", b.store.DeleteTPSP(b.ctx(), b.account.ID, second.ID, false, b.now))
	changed("allocate IPs", b.store.AllocateIPs(b.ctx(), []*directory.TPSP{b.newIP(b.account.ID, "203.0.113.7")}))
	b.newAccount("third")
	changed("create account", nil)
	last := revision()
	b.send("ana@gmail.com")
	b.restart()
	if n := revision(); n != last {
		t.Errorf("revision %d, want %d: only mail was sent", n, last)
	}
}
