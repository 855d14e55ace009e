package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// newSub makes another sub-account.
func (b *bench) addSub(name string) int32 {
	b.t.Helper()
	s := directory.SubAccount{AccountID: b.account.ID, Name: name, KeyHash: secret.Hash(name), SealedKey: []byte("x"), Created: b.now}
	b.must(b.store.CreateSubAccount(b.ctx(), &s))
	return s.ID
}

func (b *bench) arrange(sub int32, parent, perHour *int32) error {
	a := store.Arrangement{Parent: parent, Now: b.now}
	if perHour != nil {
		n := int(*perHour)
		a.PerHour = &n
	}
	return b.store.ArrangeSubAccount(b.ctx(), b.account.ID, sub, a)
}

func (b *bench) putUnder(sub, parent int32) {
	b.t.Helper()
	b.must(b.arrange(sub, &parent, nil))
}

func (b *bench) limitSub(sub, perHour int32) {
	b.t.Helper()
	b.must(b.arrange(sub, nil, &perHour))
}

func (b *bench) paths() map[string][]int32 {
	b.t.Helper()
	got := map[string][]int32{}
	for _, s := range b.directory().SubAccounts {
		if len(s.Path) > 0 && s.Deleted.IsZero() {
			got[s.Name] = s.Path
		}
	}
	return got
}

// subAccountTree: sub-accounts stand under each other, never in a circle nor on too many levels, and nobody's parent is deleted.
func subAccountTree(t *testing.T, b *bench) {
	var ids [7]int32
	for i := range ids {
		ids[i] = b.addSub(fmt.Sprint(i))
	}
	stranger, theirs := b.newAccount("stranger")
	for i := 1; i < 5; i++ {
		b.putUnder(ids[i], ids[i-1])
	}
	none := int32(0)
	for what, test := range map[string]struct {
		sub, parent int32
		want        error
	}{
		"itself":               {ids[1], ids[1], store.ErrCircle},
		"one of its own":       {ids[0], ids[4], store.ErrCircle},
		"a sixth level":        {ids[5], ids[4], store.ErrTooDeep},
		"another account's":    {ids[5], theirs.ID, store.ErrNotFound},
		"nobody":               {ids[5], 1 << 30, store.ErrNotFound},
		"a sub-account unlike": {1 << 30, ids[0], store.ErrNotFound},
	} {
		if err := b.arrange(test.sub, &test.parent, nil); !errors.Is(err, test.want) {
			t.Errorf("under %s: %v", what, err)
		}
	}
	if err := b.store.ArrangeSubAccount(b.ctx(), stranger.ID, ids[4], store.Arrangement{Parent: &none, Now: b.now}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account moves: %v", err)
	}
	b.putUnder(ids[6], ids[5])
	if err := b.arrange(ids[5], &ids[3], nil); !errors.Is(err, store.ErrTooDeep) {
		t.Errorf("two levels under the fourth: %v", err)
	}
	b.putUnder(ids[5], ids[2])
	want := map[string][]int32{"1": {ids[0]}, "2": {ids[1], ids[0]}, "3": {ids[2], ids[1], ids[0]}, "4": {ids[3], ids[2], ids[1], ids[0]},
		"5": {ids[2], ids[1], ids[0]}, "6": {ids[5], ids[2], ids[1], ids[0]}}
	if diff := cmp.Diff(want, b.paths()); diff != "" {
		t.Error(diff)
	}
	if err := b.store.DeleteSubAccount(b.ctx(), b.account.ID, ids[5], b.now); !errors.Is(err, store.ErrHasChildren) {
		t.Errorf("deleted while another stands under it: %v", err)
	}
	b.must(b.store.DeleteSubAccount(b.ctx(), b.account.ID, ids[6], b.now))
	b.must(b.store.DeleteSubAccount(b.ctx(), b.account.ID, ids[5], b.now))
	if err := b.arrange(ids[4], &ids[5], nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("under a deleted one: %v", err)
	}
	b.putUnder(ids[2], 0)
	b.limitSub(ids[2], 70)
	b.must(b.store.BlockSubAccount(b.ctx(), b.account.ID, ids[2], store.Block{At: b.now, Reason: "spam"}))
	b.must(b.store.BlockSubAccount(b.ctx(), b.account.ID, ids[2], store.Block{At: b.now.Add(time.Hour), Reason: "more spam"}))
	if err := b.store.BlockSubAccount(b.ctx(), stranger.ID, ids[2], store.Block{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account unblocks: %v", err)
	}
	b.restart()
	if diff := cmp.Diff(map[string][]int32{"1": {ids[0]}, "3": {ids[2]}, "4": {ids[3], ids[2]}}, b.paths()); diff != "" {
		t.Error(diff)
	}
	for _, s := range b.directory().SubAccounts {
		if s.ID == ids[2] && (s.PerHour != 70 || !s.Blocked.Equal(b.now) || s.BlockReason != "more spam") {
			t.Errorf("read %+v", s)
		}
		if s.ID == ids[6] && (s.Deleted.IsZero() || !slices.Equal(s.Path, []int32{ids[5], ids[2]})) {
			t.Errorf("a deleted one that stood under another: %+v", s)
		}
	}
	b.must(b.store.BlockSubAccount(b.ctx(), b.account.ID, ids[2], store.Block{}))
	if s := b.subNamed("2"); !s.Blocked.IsZero() || s.BlockReason != "" {
		t.Errorf("unblocked %+v", s)
	}
}

func (b *bench) subNamed(name string) directory.SubAccount {
	b.t.Helper()
	for _, s := range b.directory().SubAccounts {
		if s.Name == name {
			return s
		}
	}
	b.t.Fatalf("no sub-account %q", name)
	return directory.SubAccount{}
}

// subAccountRaces: of two moves that would make a circle together, one is made.
func subAccountRaces(t *testing.T, b *bench) {
	one, two := b.addSub("one"), b.addSub("two")
	for range 10 {
		none := int32(0)
		b.must(errors.Join(b.arrange(one, &none, nil), b.arrange(two, &none, nil)))
		var errs [2]error
		var both sync.WaitGroup
		both.Go(func() { errs[0] = b.arrange(one, &two, nil) })
		both.Go(func() { errs[1] = b.arrange(two, &one, nil) })
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), store.ErrCircle) {
			t.Fatalf("both at once: %v", errs)
		}
	}
}

// blocks: what waits of a blocked sub-account, and of those under it, stays; everything else goes.
func blocks(t *testing.T, b *bench) {
	top, middle, low := b.addSub("top"), b.addSub("middle"), b.addSub("low")
	b.putUnder(middle, top)
	b.putUnder(low, middle)
	ids := map[int32]string{}
	for _, sub := range []int32{top, middle, low, b.sub.ID} {
		b.sender(sub, b.pool.ID)(1, "gmail.com")
		ids[sub] = fmt.Sprint(sub)
	}
	want := func(what string, subs ...int32) {
		t.Helper()
		var got []int32
		claimed := b.take(10)
		for i := range claimed.Jobs {
			got = append(got, claimed.Jobs[i].SubAccountID)
			b.settle(accepted(&claimed.Jobs[i], ""))
		}
		slices.Sort(got)
		slices.Sort(subs)
		if diff := cmp.Diff(subs, got); diff != "" || len(claimed.Full) > 0 || !claimed.Free.IsZero() {
			t.Errorf("%s: %+v\n%s", what, claimed, diff)
		}
	}
	block := func(sub int32, at time.Time) {
		t.Helper()
		b.must(b.store.BlockSubAccount(b.ctx(), b.account.ID, sub, store.Block{At: at}))
	}
	block(middle, b.now)
	want("the middle one is blocked", top, b.sub.ID)
	block(top, b.now)
	block(middle, time.Time{})
	want("the top one is blocked")
	b.putUnder(low, 0)
	want("the low one stands alone", low)
	block(top, time.Time{})
	want("none is blocked", middle)
}

// senderLimitsHold: whatever comes, no 60 minutes and the length of a claim see more messages of a sub-account and of those that stand
// under it than its limit, through whichever egress; nothing blocked goes; and nothing waits for a limit without a time when it is looked
// at again.
func senderLimitsHold(t *testing.T, b *bench) {
	random := rand.New(rand.NewPCG(11, 5))
	second, _ := b.newTPSP(b.account.ID, "Second", "token-2", "outbound")
	egresses := []route.Egress{b.egress(), second.Egress()}
	subs := []int32{b.sub.ID}
	for i := range 5 {
		subs = append(subs, b.addSub(fmt.Sprint(i)))
	}
	parent, limits, blocked := map[int32]int32{}, map[int32]int{}, map[int32]bool{}
	chain := func(sub int32) (list []int32) {
		for ; sub != 0; sub = parent[sub] {
			list = append(list, sub)
		}
		return list
	}
	type permit struct {
		at    time.Time
		chain []int32
	}
	var taken []permit
	waiting := 0
	used := func(sub int32) (n int) {
		for _, p := range taken {
			if p.at.After(b.now.Add(-limit.Hour-claimLength)) && slices.Contains(p.chain, sub) {
				n++
			}
		}
		return n
	}
	take := func(e route.Egress, most int) store.Claimed {
		t.Helper()
		claimed, err := b.store.Claim(b.ctx(), store.Claim{Egress: e, Limit: most, Owner: b.owner("one"), Now: b.now, LeaseUntil: b.now.Add(claimLength)})
		b.must(err)
		if len(claimed.Jobs) > most {
			t.Fatalf("%d claimed of %d", len(claimed.Jobs), most)
		}
		counted := map[int32]bool{}
		for i := range claimed.Jobs {
			j := &claimed.Jobs[i]
			for _, id := range chain(j.SubAccountID) {
				if counted[id] = true; blocked[id] {
					t.Fatalf("%s: a message of %d goes although %d is blocked", b.now, j.SubAccountID, id)
				}
			}
			taken = append(taken, permit{b.now, chain(j.SubAccountID)})
		}
		for id := range counted {
			if limits[id] > 0 && used(id) > limits[id] {
				t.Fatalf("%s: %d messages of %d in the window, the limit is %d", b.now, used(id), id, limits[id])
			}
		}
		taken = taken[:len(taken)-len(claimed.Jobs)]
		for i := range claimed.Jobs {
			j := &claimed.Jobs[i]
			if random.IntN(4) == 0 { // nothing of it is written
				b.settle(store.Settlement{Job: j, Trigger: lifecycle.Requeue, Egress: e, Outcome: &provider.Outcome{Class: provider.Transient, Unwritten: true}})
				continue
			}
			b.settle(accepted(j, ""))
			taken = append(taken, permit{b.now, chain(j.SubAccountID)})
			waiting--
		}
		return claimed
	}
	for range 140 {
		sub := subs[random.IntN(len(subs))]
		switch random.IntN(9) {
		case 0:
			limits[sub] = random.IntN(3) * 8
			b.limitSub(sub, int32(limits[sub]))
		case 1:
			to := subs[random.IntN(len(subs))]
			if random.IntN(3) == 0 {
				to = 0
			}
			err := b.arrange(sub, &to, nil)
			switch {
			case err == nil:
				parent[sub] = to
			case !errors.Is(err, store.ErrCircle) && !errors.Is(err, store.ErrTooDeep):
				t.Fatal(err)
			}
		case 2:
			blocked[sub] = random.IntN(3) == 0
			block := store.Block{}
			if blocked[sub] {
				block.At = b.now
			}
			b.must(b.store.BlockSubAccount(b.ctx(), b.account.ID, sub, block))
		case 3, 4:
			for range 1 + random.IntN(3) {
				s, _ := b.submission(fmt.Sprintf("a@%s", []string{"gmail.com", "yahoo.com"}[random.IntN(2)]), "b@example.com", "c@gmail.com")
				s.SubAccountID = subs[random.IntN(len(subs))]
				for i := range s.Messages {
					s.Messages[i].Plan = plan(egresses[random.IntN(2)])
				}
				b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
				waiting += 3
			}
		case 5:
			b.now = b.now.Add(time.Duration(random.Int64N(int64(40 * time.Minute))))
		case 6:
			b.now = b.now.Add(time.Duration(random.Int64N(int64(time.Minute))))
			if random.IntN(8) == 0 {
				b.restart()
			}
		default:
			take(egresses[random.IntN(2)], 1+random.IntN(20))
		}
		if random.IntN(20) > 0 {
			continue
		}
		for id, is := range blocked {
			if is {
				blocked[id] = false
				b.must(b.store.BlockSubAccount(b.ctx(), b.account.ID, id, store.Block{}))
			}
		}
		for range 400 { // nothing is held back but by a limit, and only for as long as it says
			one, two := take(egresses[0], 100), take(egresses[1], 100)
			if len(one.Jobs)+len(two.Jobs) > 0 || one.More || two.More {
				continue
			}
			if waiting == 0 {
				break
			}
			free := one.Free
			if free.IsZero() || !two.Free.IsZero() && two.Free.Before(free) {
				free = two.Free
			}
			if !free.After(b.now) || free.After(b.now.Add(limit.Hour+claimLength+limit.Span)) {
				t.Fatalf("%s: %d wait, and the claims say %+v and %+v", b.now, waiting, one, two)
			}
			b.now = free
		}
		if waiting != 0 {
			t.Fatalf("%d still wait", waiting)
		}
	}
}

// senderPermits: a permit counts at the sub-account and at those above it, is given back to them, but not to others that it has come to
// stand under meanwhile.
func senderPermits(t *testing.T, b *bench) {
	top, low := b.addSub("top"), b.addSub("low")
	b.putUnder(low, top)
	b.now = b.now.Add(time.Hour)
	b.limitSub(top, 2)
	b.sender(low, b.pool.ID)(3, "gmail.com")
	want := func(what string, ofTop, ofLow int) {
		t.Helper()
		p, err := b.store.SenderPermits(b.ctx(), []int32{top, low, b.sub.ID}, b.now, claimLength)
		b.must(err)
		if limit.Sum(p[top]) != ofTop || limit.Sum(p[low]) != ofLow || len(p[b.sub.ID]) != 0 {
			t.Errorf("%s: permits %+v, want %d and %d", what, p, ofTop, ofLow)
		}
	}
	unsent := func(j *store.Job) {
		t.Helper()
		b.settle(store.Settlement{Job: j, Trigger: lifecycle.Requeue, Outcome: &provider.Outcome{Class: provider.Transient, Unsent: true}})
	}
	claimed := b.take(10)
	if len(claimed.Jobs) != 2 {
		t.Fatalf("claimed %+v, the limit is 2", claimed)
	}
	want("two are on the wire", 2, 2)
	if again := b.take(10); len(again.Jobs) != 0 || !again.Free.After(b.now) || len(again.Full) > 0 {
		t.Fatalf("claimed %+v at the limit", again)
	}
	b.settle(accepted(&claimed.Jobs[1], ""))
	unsent(&claimed.Jobs[0])
	want("one is given back", 1, 1)
	claimed = b.take(10)
	if len(claimed.Jobs) != 1 {
		t.Fatalf("claimed %+v after one was given back", claimed)
	}
	b.putUnder(low, b.sub.ID)
	unsent(&claimed.Jobs[0])
	want("it moved meanwhile", 2, 1)
	b.limitSub(top, 0)
	b.now = b.now.Add(limit.Hour + claimLength + 2*limit.Span)
	want("all is past", 0, 0)
}

// fullSenders: sub-accounts that have reached their limits keep nobody else waiting, however many they are and however much they have.
func fullSenders(t *testing.T, b *bench) {
	const senders = 25
	for i := range senders {
		sub := b.addSub(fmt.Sprint("full ", i))
		b.limitSub(sub, 1)
		b.sender(sub, b.pool.ID)(12, "gmail.com")
	}
	b.subAccount("last", b.pool.ID)(20, "gmail.com")
	last := b.subAccountNamed("last")
	served := map[int32]int{}
	var claimed store.Claimed
	for range 100 {
		claimed = b.take(4)
		for i := range claimed.Jobs {
			served[claimed.Jobs[i].SubAccountID]++
		}
		if len(claimed.Jobs) == 0 && !claimed.More {
			break
		}
	}
	if len(served) != senders+1 || served[last] != 20 {
		t.Errorf("served %v", served)
	}
	if len(claimed.Full) > 0 || !claimed.Free.After(b.now) || claimed.Free.After(b.now.Add(limit.Hour+claimLength+limit.Span)) {
		t.Errorf("the last claim says %+v", claimed)
	}
	b.limitSub(b.subAccountNamed("full 3"), 5) // what waits for it leaves there and then
	if claimed = b.take(10); len(claimed.Jobs) != 4 {
		t.Errorf("claimed %d of 4 more", len(claimed.Jobs))
	}
}

// siblings: what a parent's limit lets go is shared, by turns, also when it is one message at a time.
func siblings(t *testing.T, b *bench) {
	top := b.addSub("top")
	b.limitSub(top, 1)
	var subs []int32
	for i := range 3 {
		sub := b.addSub(fmt.Sprint(i))
		b.putUnder(sub, top)
		b.sender(sub, b.pool.ID)(10, "gmail.com")
		subs = append(subs, sub)
	}
	served := map[int32]int{}
	for range 9 {
		claimed := b.take(50)
		if len(claimed.Jobs) != 1 {
			t.Fatalf("claimed %d", len(claimed.Jobs))
		}
		served[claimed.Jobs[0].SubAccountID]++
		b.settle(accepted(&claimed.Jobs[0], ""))
		b.now = b.now.Add(limit.Hour + claimLength + 2*limit.Span)
	}
	for _, sub := range subs {
		if served[sub] != 3 {
			t.Errorf("served %v", served)
		}
	}
}

// oneLimitManyEgresses: claims at once, of several egresses, do not take more together than the limit of a sub-account.
func oneLimitManyEgresses(t *testing.T, b *bench) {
	egresses := []route.Egress{b.egress()}
	for i := range 3 {
		p, _ := b.newTPSP(b.account.ID, fmt.Sprint(i), fmt.Sprint("token", i), "outbound")
		egresses = append(egresses, p.Egress())
	}
	top, low := b.addSub("top"), b.addSub("low")
	b.putUnder(low, top)
	b.limitSub(top, 50)
	for _, e := range egresses {
		for _, sub := range []int32{top, low} {
			var to []string
			for i := range 40 {
				to = append(to, fmt.Sprintf("u%d@gmail.com", i))
			}
			s, _ := b.submission(to...)
			s.SubAccountID = sub
			for i := range s.Messages {
				s.Messages[i].Plan = plan(e)
			}
			b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
		}
	}
	counts := make([]int, len(egresses))
	var all sync.WaitGroup
	for i, e := range egresses {
		all.Go(func() {
			for range 10 {
				claimed, err := b.store.Claim(b.ctx(), store.Claim{Egress: e, Limit: 7, Owner: b.owner("one"), Now: b.now, LeaseUntil: b.now.Add(claimLength)})
				if err != nil {
					t.Error(err)
				}
				counts[i] += len(claimed.Jobs)
			}
		})
	}
	all.Wait()
	if sum := counts[0] + counts[1] + counts[2] + counts[3]; sum != 50 {
		t.Errorf("claimed %v, the limit is 50", counts)
	}
}

// senderHoldExpiry: the time to live stands still while the limit of a sub-account above keeps a message waiting, also when it is moved.
func senderHoldExpiry(t *testing.T, b *bench) {
	b.dated = true
	top, low := b.addSub("top"), b.addSub("low")
	b.putUnder(low, top)
	b.limitSub(top, 1)
	began := b.now
	ids := b.sender(low, b.pool.ID)(2, "gmail.com")
	b.now = began
	claimed := b.take(5)
	if len(claimed.Jobs) != 1 {
		t.Fatalf("claimed %+v", claimed)
	}
	waits := ids[0]
	if claimed.Jobs[0].ID == waits {
		waits = ids[1]
	}
	b.settle(accepted(&claimed.Jobs[0], ""))
	until := b.take(5).Free.Sub(began)
	if until < limit.Hour {
		t.Fatalf("free after %s", until)
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
	b.now = began.Add(30 * time.Minute)
	b.putUnder(low, 0) // nothing holds it any more
	if n := expire(89 * time.Minute); n != 0 {
		t.Errorf("%d expired although they were held for half an hour", n)
	}
	if n := expire(90 * time.Minute); n != 1 {
		t.Errorf("%d expired, want 1", n)
	}
	b.wantState(waits, lifecycle.Dropped)
}

// heldFlows: what is held, however much of it comes first, keeps nobody waiting for longer than it takes to look at it; and when all is
// held, nothing asks for another look.
func heldFlows(t *testing.T, b *bench) {
	var urgent []int32
	for i := range 50 {
		p := route.Pool{AccountID: b.account.ID, Name: fmt.Sprint("urgent ", i), Members: []route.Egress{b.egress()}, Priority: 5, Created: b.now}
		b.must(b.store.CreatePool(b.ctx(), &p))
		b.must(b.store.PausePool(b.ctx(), b.account.ID, p.ID, true))
		urgent = append(urgent, p.ID)
	}
	blocked := b.addSub("blocked")
	b.must(b.store.BlockSubAccount(b.ctx(), b.account.ID, blocked, store.Block{At: b.now}))
	hold := func(sub int32, domain string) { // in every pool
		to := make([]string, len(urgent))
		for i := range to {
			to[i] = fmt.Sprintf("u%d@%s", i, domain)
		}
		s, _ := b.submission(to...)
		s.SubAccountID = sub
		for i := range s.Messages {
			s.Messages[i].PoolID = urgent[i]
		}
		b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
	}
	free := b.addSub("free")
	for i := range 32 {
		sub := b.addSub(fmt.Sprint("held ", i))
		hold(sub, "gmail.com")
		if i%3 == 0 { // a lane whose rounds are shorter
			hold(sub, "yahoo.com")
		}
		if i > 28 {
			b.putUnder(sub, blocked)
		}
	}
	behind := b.addSub("behind")
	open := route.Pool{AccountID: b.account.ID, Name: "open", Members: []route.Egress{b.egress()}, Priority: 5, Created: b.now}
	b.must(b.store.CreatePool(b.ctx(), &open))

	drain := func() (claims int, served map[int32]int) {
		served = map[int32]int{}
		for claims < 500 {
			claims++
			claimed := b.take(40)
			for i := range claimed.Jobs {
				served[claimed.Jobs[i].SubAccountID]++
			}
			if len(claimed.Jobs) == 0 && !claimed.More {
				break
			}
		}
		return claims, served
	}
	for range 3 {
		if n, served := drain(); n > 60 || len(served) > 0 {
			t.Fatalf("%d claims while all is held, served %v", n, served)
		}
	}
	b.sender(free, b.pool.ID)(3, "gmail.com")
	if served := len(b.take(40).Jobs); served != 3 {
		t.Errorf("%d served of a lower priority by one claim", served)
	}
	b.sender(behind, open.ID)(3, "gmail.com")
	b.sender(free, b.pool.ID)(3, "gmail.com")
	b.sender(free, b.pool.ID)(5, "yahoo.com")
	if n, served := drain(); n > 60 || served[behind] != 3 || served[free] != 8 || len(served) != 2 {
		t.Errorf("%d claims served %v", n, served)
	}
	b.must(b.store.BlockSubAccount(b.ctx(), b.account.ID, blocked, store.Block{}))
	for _, id := range urgent {
		b.must(b.store.PausePool(b.ctx(), b.account.ID, id, false))
	}
	_, served := drain()
	total := 0
	for _, k := range served {
		total += k
	}
	if total != (32+11)*len(urgent) {
		t.Errorf("%d served when all is free", total)
	}
}

// heldPriorities: what is held of however many priorities keeps nobody of a lower one waiting.
func heldPriorities(t *testing.T, b *bench) {
	for i := range 20 {
		p := route.Pool{AccountID: b.account.ID, Name: fmt.Sprint("held ", i), Members: []route.Egress{b.egress()}, Priority: 1 + i, Created: b.now}
		b.must(b.store.CreatePool(b.ctx(), &p))
		b.must(b.store.PausePool(b.ctx(), b.account.ID, p.ID, true))
		b.sender(b.sub.ID, p.ID)(1, "gmail.com")
	}
	b.sender(b.sub.ID, b.pool.ID)(2, "gmail.com")
	if n := len(b.take(10).Jobs); n != 2 {
		t.Errorf("%d of 2 served", n)
	}
}

// priorityTurns: of each priority all have their turns, while the same claims serve others as well: those behind many that are held, those
// behind more than a claim looks for, and all pools of a sub-account that has as many.
func priorityTurns(t *testing.T, b *bench) {
	pools := make([]int32, 40)
	for i := range pools {
		p := route.Pool{AccountID: b.account.ID, Name: fmt.Sprint("urgent ", i), Members: []route.Egress{b.egress()}, Priority: 5, Created: b.now}
		b.must(b.store.CreatePool(b.ctx(), &p))
		pools[i] = p.ID
	}
	put := func(sub int32, in ...int32) { // one message each
		to := make([]string, len(in))
		for i := range to {
			to[i] = fmt.Sprintf("u%d@gmail.com", i)
		}
		s, _ := b.submission(to...)
		s.SubAccountID = sub
		for i := range s.Messages {
			s.Messages[i].PoolID = in[i]
		}
		b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
	}
	claimAll := func(left map[int32]int, again ...int32) {
		t.Helper()
		for n := 0; len(left) > 0; n++ {
			if n == 25 {
				t.Fatalf("%d claims have not served %v", n, left)
			}
			put(b.sub.ID, b.pool.ID) // of a lower priority, and the first one; there is enough for all
			for _, j := range b.take(100).Jobs {
				if left[j.SubAccountID]--; left[j.SubAccountID] <= 0 {
					delete(left, j.SubAccountID)
				}
				if slices.Contains(again, j.SubAccountID) {
					put(j.SubAccountID, pools[0])
				}
				b.settle(accepted(&j, ""))
			}
		}
	}
	all, left := []int32{}, map[int32]int{}
	for i := range 20 {
		sub := b.addSub(fmt.Sprint("small ", i))
		put(sub, pools[0])
		all, left[sub] = append(all, sub), 1
	}
	claimAll(left, all...)

	put(all[3], pools...)
	claimAll(map[int32]int{all[3]: len(pools)}, all...)

	for _, pool := range pools[1:] {
		b.must(b.store.PausePool(b.ctx(), b.account.ID, pool, true))
	}
	for i := range 16 {
		put(b.addSub(fmt.Sprint("held ", i)), pools[1:]...)
	}
	behind := b.addSub("behind")
	put(behind, pools[0])
	claimAll(map[int32]int{behind: 1}, all...)
}
