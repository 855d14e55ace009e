package directory

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"postyard/internal/provider"
	"postyard/internal/route"
)

// loader is a store that holds Contents, or is away.
type loader struct {
	mu       sync.Mutex
	contents Contents
	err      error
}

func (l *loader) DirectoryRevision(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.contents.Revision, l.err
}

func (l *loader) LoadDirectory(context.Context) (Contents, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.contents, l.err
}

func (l *loader) set(c Contents, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.contents, l.err = c, err
}

func key(b byte) KeyHash { return KeyHash{b} }

var then = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// twoTenants holds two accounts that have everything alike but the ids.
func twoTenants() Contents {
	return Contents{
		Accounts: []Account{{ID: 2, Name: "Beta", KeyHash: key(2)}, {ID: 1, Name: "Alpha", KeyHash: key(1)}},
		SubAccounts: []SubAccount{
			{ID: 12, AccountID: 1, Name: "news", KeyHash: key(12)}, {ID: 11, AccountID: 1, Name: "shop", KeyHash: key(11)},
			{ID: 21, AccountID: 2, Name: "shop", KeyHash: key(21)},
		},
		TPSPs: []TPSP{
			{ID: 103, AccountID: 1, Type: provider.Postmark, Deleted: then}, {ID: 102, AccountID: 1, Type: provider.Postmark},
			{ID: 101, AccountID: 1, Type: provider.Postmark}, {ID: 201, AccountID: 2, Type: provider.Postmark},
		},
		Pools: []route.Pool{
			{ID: 32, AccountID: 1, Name: "Default"}, {ID: 31, AccountID: 1, Name: "default", Members: []route.Egress{101, 102}},
			{ID: 41, AccountID: 2, Name: "default", Members: []route.Egress{201}},
		},
	}
}

func open(t *testing.T) *Snapshot {
	t.Helper()
	d, err := Open(t.Context(), &loader{contents: twoTenants()})
	if err != nil {
		t.Fatal(err)
	}
	return d.Current()
}

// ids returns the ids of a list, in its order.
func ids[T any](list []T, id func(T) int32) []int32 {
	got := []int32{}
	for _, item := range list {
		got = append(got, id(item))
	}
	return got
}

func TestListsAreOfOneTenantAndSorted(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, test := range map[string]struct{ got, want []int32 }{
		"accounts":        {ids(s.Accounts(), func(a *Account) int32 { return a.ID }), []int32{1, 2}},
		"sub-accounts":    {ids(s.SubAccounts(1), func(a *SubAccount) int32 { return a.ID }), []int32{11, 12}},
		"of the other":    {ids(s.SubAccounts(2), func(a *SubAccount) int32 { return a.ID }), []int32{21}},
		"of nobody":       {ids(s.SubAccounts(3), func(a *SubAccount) int32 { return a.ID }), []int32{}},
		"TPSPs in use":    {ids(s.TPSPs(1), func(t *TPSP) int32 { return t.ID }), []int32{101, 102}},
		"TPSPs of 2":      {ids(s.TPSPs(2), func(t *TPSP) int32 { return t.ID }), []int32{201}},
		"TPSPs of nobody": {ids(s.TPSPs(0), func(t *TPSP) int32 { return t.ID }), []int32{}},
		"every TPSP":      {ids(s.EveryTPSP(), func(t *TPSP) int32 { return t.ID }), []int32{101, 102, 103, 201}},
		"pools":           {ids(s.Pools(1), func(p *route.Pool) int32 { return p.ID }), []int32{31, 32}},
		"pools of nobody": {ids(s.Pools(9), func(p *route.Pool) int32 { return p.ID }), []int32{}},
	} {
		if !slices.Equal(test.got, test.want) {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
}

// Every lookup by account and id, for every account and id: nothing of another tenant, nothing deleted.
func TestLookupsAreOfOneTenant(t *testing.T) {
	t.Parallel()
	s := open(t)
	subs := map[int32]int32{11: 1, 12: 1, 21: 2}
	tpsps := map[int32]int32{101: 1, 102: 1, 201: 2} // 103 was deleted
	pools := map[int32]int32{31: 1, 32: 1, 41: 2}
	for account := int32(0); account <= 3; account++ {
		for id := int32(0); id <= 250; id++ {
			mine := func(owner map[int32]int32) bool { return account != 0 && owner[id] == account }
			if got := s.SubAccount(account, id); (got != nil) != mine(subs) || got != nil && got.ID != id {
				t.Errorf("SubAccount(%d, %d) = %+v", account, id, got)
			}
			if got := s.TPSP(account, id); (got != nil) != mine(tpsps) || got != nil && got.ID != id {
				t.Errorf("TPSP(%d, %d) = %+v", account, id, got)
			}
			if got := s.Pool(account, id); (got != nil) != mine(pools) || got != nil && got.ID != id {
				t.Errorf("Pool(%d, %d) = %+v", account, id, got)
			}
		}
	}
}

func TestDeletedTPSPsStillAttributeEvents(t *testing.T) {
	t.Parallel()
	s := open(t)
	for id, known := range map[int32]bool{101: true, 103: true, 201: true, 0: false, 104: false} {
		if got := s.AnyTPSP(id); (got != nil) != known || got != nil && got.Egress() != route.Egress(id) {
			t.Errorf("AnyTPSP(%d) = %+v", id, got)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := open(t)
	for b := range byte(40) {
		account, sub := s.AccountByKey(key(b)), s.SubAccountByKey(key(b))
		if want := b == 1 || b == 2; (account != nil) != want || account != nil && account.ID != int32(b) {
			t.Errorf("AccountByKey(%d) = %+v", b, account)
		}
		if want := b == 11 || b == 12 || b == 21; (sub != nil) != want || sub != nil && sub.ID != int32(b) {
			t.Errorf("SubAccountByKey(%d) = %+v", b, sub)
		}
	}
	if got := s.Account(2); got == nil || got.Name != "Beta" {
		t.Errorf("Account(2) = %+v", got)
	}
	if got := s.Account(3); got != nil {
		t.Errorf("Account(3) = %+v", got)
	}
}

func TestPoolNamesAreExact(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, test := range []struct {
		account int32
		name    string
		want    int32
	}{
		{1, "default", 31}, {1, "Default", 32}, {2, "default", 41}, {2, "Default", 0}, {1, "DEFAULT", 0}, {1, " default", 0},
		{1, "", 0}, {3, "default", 0},
	} {
		got := s.PoolNamed(test.account, test.name)
		if got == nil && test.want != 0 || got != nil && got.ID != test.want {
			t.Errorf("PoolNamed(%d, %q) = %+v, want %d", test.account, test.name, got, test.want)
		}
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	l := &loader{contents: twoTenants()}
	d, err := Open(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	before := d.Current()

	away := errors.New("the store is away")
	l.set(Contents{}, away)
	if err := d.Reload(t.Context()); !errors.Is(err, away) {
		t.Errorf("Reload = %v, want the loader's error", err)
	}
	if d.Current() != before || d.Current().Account(1) == nil {
		t.Error("a failed reload replaced the snapshot")
	}

	changed := twoTenants()
	changed.Accounts, changed.TPSPs[1].Deleted = changed.Accounts[:1], then
	l.set(changed, nil)
	if err := d.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := d.Current(); now.Account(1) != nil || now.AccountByKey(key(1)) != nil || now.TPSP(1, 102) != nil {
		t.Error("the reload did not take effect")
	}
	if before.Account(1) == nil || before.TPSP(1, 102) == nil {
		t.Error("a reload changed a snapshot that was given out")
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	away := errors.New("the store is away")
	if _, err := Open(t.Context(), &loader{err: away}); !errors.Is(err, away) {
		t.Errorf("Open = %v, want the loader's error", err)
	}
}

// Readers and reloads go on at the same time; the race detector watches.
func TestReadersDoNotWait(t *testing.T) {
	t.Parallel()
	d, err := Open(t.Context(), &loader{contents: twoTenants()})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 50 {
				if err := d.Reload(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		running.Go(func() {
			for range 500 {
				if s := d.Current(); s.SubAccountByKey(key(11)) != s.SubAccount(1, 11) {
					t.Error("a snapshot does not agree with itself")
				}
			}
		})
	}
	running.Wait()
}

// TestRefresh reads the configuration anew when its revision has changed, and only then.
func TestRefresh(t *testing.T) {
	t.Parallel()
	l := &loader{contents: Contents{Revision: 1}}
	d, err := Open(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	first := d.Current()
	if err := d.Refresh(t.Context()); err != nil || d.Current() != first {
		t.Errorf("nothing changed, and it was read anew (%v)", err)
	}
	l.set(Contents{Revision: 2, Accounts: []Account{{ID: 1}}}, nil)
	if err := d.Refresh(t.Context()); err != nil || d.Current().Account(1) == nil {
		t.Errorf("another node's account is not seen (%v)", err)
	}
	l.set(Contents{}, errors.New("away"))
	if err := d.Refresh(t.Context()); err == nil || d.Current().Account(1) == nil {
		t.Errorf("the store is away: %v", err)
	}
}

// A TPSP as it was has the connection of then; the key of today where that opens the same account.
func TestPastConnections(t *testing.T) {
	t.Parallel()
	now := TPSP{ID: 7, AccountID: 1, Name: "p", SealedKey: []byte("key"), Stream: "c", Webhook: Webhook{Username: "u", Server: "2", State: WebhookRegistered}}
	now.Past = []PastHook{
		{SealedKey: []byte("revoked"), Stream: "c", Server: "2", Switched: then, Username: "u1", Ref: "1"}, // where it is today
		{SealedKey: []byte("other"), Stream: "a", Server: "1", Switched: then.Add(time.Hour), Username: "u2", Endpoint: "https://x.example"},
		{SealedKey: []byte("revoked"), Stream: "b", Server: "2", Switched: then.Add(2 * time.Hour), Username: "u3"},
		{SealedKey: []byte("revoked"), Stream: "b", Server: "2", Switched: then.Add(3 * time.Hour), Username: "u4"}, // as the one before
		{SealedKey: []byte("unknown"), Stream: "c", Switched: then.Add(4 * time.Hour), Username: "u5"},
	}
	list := func(from time.Time) (names []string) {
		for _, p := range now.Since(from) {
			names = append(names, p.Webhook.Username+" "+string(p.SealedKey)+" "+p.Stream)
			if p.ID != 7 || p.Name != "p" || p.Past != nil || p.Webhook.State != "" {
				t.Errorf("%+v", p)
			}
		}
		return names
	}
	for from, want := range map[time.Duration][]string{
		-time.Hour:                        {"u5 unknown c", "u4 key b", "u2 other a"},
		2*time.Hour + 30*time.Minute:      {"u5 unknown c", "u4 key b"},
		4*time.Hour + stale - time.Second: {"u5 unknown c"},
		4*time.Hour + stale:               nil,
	} {
		if got := list(then.Add(from)); !slices.Equal(got, want) {
			t.Errorf("since %s: %q, want %q", from, got, want)
		}
	}
	s := open(t)
	for _, c := range []struct {
		account, id int32
		owns        bool
	}{{1, 101, true}, {1, 103, true}, {1, 201, false}, {2, 201, true}, {1, 0, false}, {1, 999, false}} {
		if s.Owns(c.account, c.id) != c.owns {
			t.Errorf("account %d has %d: %t", c.account, c.id, !c.owns)
		}
	}
}

// IPs are found as egresses and by their own ids, and are no TPSPs.
func TestIPs(t *testing.T) {
	t.Parallel()
	c := twoTenants()
	c.TPSPs = append(c.TPSPs, TPSP{ID: -101, AccountID: 1, Type: provider.IP, Name: "203.0.113.7"}, TPSP{ID: -2, AccountID: 1, Type: provider.IP, Name: "203.0.113.8"},
		TPSP{ID: -3, AccountID: 1, Type: provider.IP, Name: "203.0.113.9", Deleted: then}, TPSP{ID: -4, AccountID: 2, Type: provider.IP, Name: "203.0.113.9"})
	d, err := Open(t.Context(), &loader{contents: c})
	if err != nil {
		t.Fatal(err)
	}
	s := d.Current()
	if got := ids(s.IPs(1), (*TPSP).IPID); !slices.Equal(got, []int32{2, 101}) {
		t.Errorf("the account's IPs: %v", got)
	}
	if got := ids(s.TPSPs(1), func(t *TPSP) int32 { return t.ID }); !slices.Equal(got, []int32{101, 102}) {
		t.Errorf("the account's TPSPs: %v", got)
	}
	if got := ids(s.EveryTPSP(), func(t *TPSP) int32 { return t.ID }); !slices.Equal(got, []int32{101, 102, 103, 201}) {
		t.Errorf("all TPSPs: %v", got)
	}
	if got := len(s.EveryEgress()); got != 8 {
		t.Errorf("%d egresses", got)
	}
	one, ip := s.Egress(route.TPSP(101)), s.Egress(route.IP(101))
	if one == nil || one.IsIP() || one.IPID() != 0 || ip == nil || !ip.IsIP() || ip.IPID() != 101 || ip.Egress() != route.IP(101) {
		t.Errorf("%+v, %+v", one, ip)
	}
	for name, found := range map[string]*TPSP{
		"another's": s.IP(1, 4), "deleted": s.IP(1, 3), "none": s.IP(1, 0), "below": s.IP(1, -101), "as a TPSP": s.TPSP(1, -101), "any TPSP": s.AnyTPSP(-101),
		"another's in use": s.Uses(1, route.IP(4)), "deleted in use": s.Uses(1, route.IP(3)), "no egress": s.Egress(0),
	} {
		if found != nil {
			t.Errorf("%s: %+v", name, found)
		}
	}
	if s.Uses(1, route.IP(2)) == nil || s.Uses(1, route.TPSP(101)) == nil || s.IP(1, 2) == nil || s.Egress(route.IP(3)) == nil {
		t.Error("in use, and not found")
	}
	if at := s.IPWithAddress("203.0.113.9"); at == nil || at.AccountID != 2 || s.IPWithAddress("203.0.113.10") != nil {
		t.Errorf("by address: %+v", at)
	}
}
