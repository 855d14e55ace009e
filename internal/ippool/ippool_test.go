package ippool_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/ippool"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// world is a Service on a database with two accounts, each of which has two TPSPs with their pools.
type world struct {
	*ippool.Service
	t        *testing.T
	accounts [2]int32
	tpsps    [2][]int32
	changed  int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlitetest.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &world{t: t}
	for i := range w.accounts {
		a := &directory.Account{Name: fmt.Sprint("account ", i), KeyHash: directory.KeyHash{byte(i + 1)}, SealedKey: []byte{1}, Created: now}
		if err := db.CreateAccount(t.Context(), a, &directory.SubAccount{Name: "default", Default: true, KeyHash: directory.KeyHash{byte(i + 11)}, SealedKey: []byte{1}, Created: now}); err != nil {
			t.Fatal(err)
		}
		w.accounts[i] = a.ID
		for n := range 2 {
			tpsp := &directory.TPSP{AccountID: a.ID, Name: fmt.Sprint("tpsp ", n), Type: provider.Postmark, SealedKey: []byte{1}, KeyHash: directory.KeyHash{byte(n)}, Created: now}
			if err := db.CreateTPSP(t.Context(), tpsp, &route.Pool{Name: fmt.Sprint("auto ", n), Created: now}); err != nil {
				t.Fatal(err)
			}
			w.tpsps[i] = append(w.tpsps[i], tpsp.ID)
		}
	}
	dir, err := directory.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	w.Service = ippool.New(ippool.Config{Directory: dir, Store: db, Now: func() time.Time { return now }, Changed: func() { w.changed++ }})
	return w
}

// pool returns what makes a good pool of the first account, edited.
func (w *world) pool(name string, edit ...func(*ippool.Changes)) ippool.Changes {
	c := ippool.Changes{Name: &name, WarmupInterval: new(int), TPSPs: &w.tpsps[0]}
	*c.WarmupInterval = 24
	for _, e := range edit {
		e(&c)
	}
	return c
}

func (w *world) create(name string, edit ...func(*ippool.Changes)) *route.Pool {
	w.t.Helper()
	p, err := w.Create(w.t.Context(), w.accounts[0], w.pool(name, edit...))
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	return p
}

func set[T any](field **T, value T) { *field = &value }

func TestCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	over, aim := w.create("over"), w.create("aim")
	got := w.create("  mine ", func(c *ippool.Changes) {
		set(&c.TPSPs, []int32{w.tpsps[0][1], w.tpsps[0][0]})
		set(&c.Strategy, 2)
		set(&c.RoutingMetaData, fmt.Sprintf(`{"TPSP_%d":"70","TPSP_%d":"30"}`, w.tpsps[0][0], w.tpsps[0][1]))
		set(&c.Overflows, 1)
		set(&c.OverflowPool, " over")
		set(&c.Targets, []string{"aim "})
		set(&c.Priority, -7)
		set(&c.TTL, 90)
	})
	want := &route.Pool{AccountID: w.accounts[0], Name: "mine", Strategy: route.Volume, RoutingMetaData: got.RoutingMetaData,
		Members: []route.Egress{route.TPSP(w.tpsps[0][1]), route.TPSP(w.tpsps[0][0])}, Overflow: over.ID, Targets: []int32{aim.ID}, Priority: -7,
		TTL: 90 * time.Second, Revision: 1, WarmupInterval: 24, Created: now}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(route.Pool{}, "ID")); diff != "" {
		t.Error(diff)
	}
}

// Each rule is broken alone; nothing is stored of it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("taken")
	for name, test := range map[string]struct {
		edit        func(*ippool.Changes)
		code, field string
		words       string
	}{
		"no name":           {func(c *ippool.Changes) { c.Name = nil }, "missing_name", "name", ""},
		"a blank name":      {func(c *ippool.Changes) { set(&c.Name, " ") }, "missing_name", "name", ""},
		"no interval":       {func(c *ippool.Changes) { c.WarmupInterval = nil }, "missing_warmup_interval", "warmupInterval", ""},
		"no time":           {func(c *ippool.Changes) { set(&c.WarmupInterval, 0) }, "invalid_warmup_interval", "warmupInterval", ""},
		"too long a time":   {func(c *ippool.Changes) { set(&c.WarmupInterval, 1<<40) }, "invalid_warmup_interval", "warmupInterval", ""},
		"a stranger's TPSP": {func(c *ippool.Changes) { set(&c.TPSPs, w.tpsps[1][:1]) }, "unknown_tpsp", "tpsps", fmt.Sprint(w.tpsps[1][0])},
		"no TPSP":           {func(c *ippool.Changes) { set(&c.TPSPs, []int32{0}) }, "unknown_tpsp", "tpsps", ""},
		"a TPSP twice":      {func(c *ippool.Changes) { set(&c.TPSPs, slices.Repeat(w.tpsps[0][:1], 2)) }, "duplicate_tpsp", "tpsps", ""},
		"nobody":            {func(c *ippool.Changes) { c.TPSPs = nil }, "empty_ippool", "tpsps", ""},
		"an IP":             {func(c *ippool.Changes) { set(&c.IPs, []string{"192.0.2.1"}) }, "unknown_ip", "ips", "192.0.2.1"},
		"a strategy":        {func(c *ippool.Changes) { set(&c.Strategy, 4) }, "unknown_strategy", "routingStrategy", ""},
		"metadata":          {func(c *ippool.Changes) { set(&c.RoutingMetaData, "[]") }, "invalid_metadata", "routingMetaData", ""},
		"a stranger's volume": {func(c *ippool.Changes) {
			set(&c.Strategy, 2)
			set(&c.RoutingMetaData, fmt.Sprintf(`{"TPSP_%d":"1"}`, w.tpsps[1][0]))
		}, "unknown_egress", "routingMetaData", ""},
		"an overflow":          {func(c *ippool.Changes) { set(&c.Overflows, 2) }, "unknown_overflow_strategy", "overflowStrategy", ""},
		"an overflow unnamed":  {func(c *ippool.Changes) { set(&c.Overflows, 1) }, "missing_overflow_pool", "overflowPoolName", ""},
		"an overflow of blank": {func(c *ippool.Changes) { set(&c.Overflows, 1); set(&c.OverflowPool, " ") }, "missing_overflow_pool", "overflowPoolName", ""},
		"an unknown overflow":  {func(c *ippool.Changes) { set(&c.OverflowPool, "nowhere") }, "unknown_ippool", "overflowPoolName", "nowhere"},
		"into itself":          {func(c *ippool.Changes) { set(&c.OverflowPool, "mine") }, "circular_ippool", "overflowPoolName", "mine"},
		"an unknown target":    {func(c *ippool.Changes) { set(&c.Targets, []string{"Taken"}) }, "unknown_ippool", "toAccountIPPools", "Taken"},
		"a target twice":       {func(c *ippool.Changes) { set(&c.Targets, []string{"taken", "taken"}) }, "duplicate_target", "toAccountIPPools", "taken"},
		"a blank target":       {func(c *ippool.Changes) { set(&c.Targets, []string{""}) }, "missing_ippool", "toAccountIPPools", ""},
		"too many targets":     {func(c *ippool.Changes) { set(&c.Targets, make([]string, 17)) }, "too_many_targets", "toAccountIPPools", ""},
		"too urgent":           {func(c *ippool.Changes) { set(&c.Priority, 101) }, "invalid_priority", "priority", ""},
		"too patient":          {func(c *ippool.Changes) { set(&c.TTL, 31*86400) }, "invalid_ttl", "ttl", ""},
		"a negative time":      {func(c *ippool.Changes) { set(&c.TTL, -1) }, "invalid_ttl", "ttl", ""},
	} {
		_, err := w.Create(t.Context(), w.accounts[0], w.pool("mine", test.edit))
		bad, ok := errors.AsType[*mail.FieldError](err)
		if !ok || bad.Code != test.code || bad.Field != test.field || !strings.Contains(bad.Message, test.words) {
			t.Errorf("%s: %+v (%v), want %s in %s with %q", name, bad, err, test.code, test.field, test.words)
		}
	}
	if _, err := w.Create(t.Context(), w.accounts[0], w.pool(" taken ")); !errors.Is(err, ippool.ErrNameTaken) {
		t.Errorf("a taken name: %v", err)
	}
	if n := len(w.Directory.Current().Pools(w.accounts[0])); n != 3 {
		t.Errorf("there are %d pools", n)
	}
	// Another account may have the name.
	if _, err := w.Create(t.Context(), w.accounts[1], w.pool("taken", func(c *ippool.Changes) { c.TPSPs = &w.tpsps[1] })); err != nil {
		t.Error(err)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("over")
	metaData := fmt.Sprintf(`{"TPSP_%d":"70","TPSP_%d":"30"}`, w.tpsps[0][0], w.tpsps[0][1])
	p := w.create("mine", func(c *ippool.Changes) {
		set(&c.Strategy, 2)
		set(&c.RoutingMetaData, metaData)
		set(&c.OverflowPool, "over")
	})
	update := func(c ippool.Changes) (*route.Pool, error) {
		return w.Update(t.Context(), w.accounts[0], p.ID, c)
	}
	want := *p
	for _, step := range []struct {
		name   string
		change func(*ippool.Changes)
		want   func()
	}{
		{"nothing", func(*ippool.Changes) {}, func() {}},
		{"its own name", func(c *ippool.Changes) { set(&c.Name, "mine ") }, func() {}},
		{"the name", func(c *ippool.Changes) { set(&c.Name, "renamed") }, func() { want.Name = "renamed" }},
		{"what it is already", func(c *ippool.Changes) { set(&c.Overflows, 1) }, func() {}},
		{"no overflow", func(c *ippool.Changes) { set(&c.Overflows, 0); set(&c.OverflowPool, "over") }, func() { want.Overflow = 0 }},
		{"one target", func(c *ippool.Changes) { set(&c.Targets, []string{"over"}) }, func() { want.Targets = []int32{p.Overflow} }},
		{"no IPs", func(c *ippool.Changes) { set(&c.IPs, []string{}) }, func() {}},
		{"round robin", func(c *ippool.Changes) { set(&c.Strategy, 0) }, func() { want.Strategy, want.RoutingMetaData = 0, "" }},
		{"one member", func(c *ippool.Changes) { set(&c.TPSPs, w.tpsps[0][1:]) }, func() { want.Members = want.Members[1:] }},
	} {
		var c ippool.Changes
		step.change(&c)
		got, err := update(c)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		step.want()
		if diff := cmp.Diff(&want, got, cmpopts.IgnoreFields(route.Pool{}, "Revision")); diff != "" {
			t.Errorf("%s:\n%s", step.name, diff)
		}
	}
	if w.changed != 9 {
		t.Errorf("told of %d changes", w.changed)
	}
	var c ippool.Changes
	set(&c.Name, "over")
	if _, err := update(c); !errors.Is(err, ippool.ErrNameTaken) {
		t.Errorf("a taken name: %v", err)
	}
	if _, err := w.Update(t.Context(), w.accounts[1], p.ID, ippool.Changes{}); !errors.Is(err, ippool.ErrNotFound) {
		t.Errorf("another account's pool: %v", err)
	}
}

// A strategy is judged against the members that the pool is going to have.
func TestMembersLeaveTheStrategyBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("mine", func(c *ippool.Changes) {
		set(&c.Strategy, 3)
		set(&c.RoutingMetaData, fmt.Sprintf(`{"others":"[\"TPSP_%d\"]"}`, w.tpsps[0][0]))
	})
	var c ippool.Changes
	set(&c.TPSPs, w.tpsps[0][1:])
	_, err := w.Update(t.Context(), w.accounts[0], p.ID, c)
	if bad, ok := errors.AsType[*mail.FieldError](err); !ok || bad.Code != "unknown_egress" || !strings.Contains(bad.Message, route.TPSP(w.tpsps[0][0]).String()) {
		t.Errorf("%v", err)
	}
}

func TestPauseAndDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	over := w.create("over")
	w.create("first", func(c *ippool.Changes) { set(&c.OverflowPool, "over") })
	w.create("second", func(c *ippool.Changes) { set(&c.Targets, []string{"over"}) })
	for _, paused := range []bool{true, true, false} {
		got, err := w.Pause(t.Context(), w.accounts[0], over.ID, paused)
		if err != nil || got.Paused != paused || got.Revision != over.Revision {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if w.changed != 3 {
		t.Errorf("told of %d changes", w.changed)
	}
	if _, err := w.Pause(t.Context(), w.accounts[1], over.ID, true); !errors.Is(err, ippool.ErrNotFound) {
		t.Errorf("another account's pool is paused: %v", err)
	}
	if _, err := w.Delete(t.Context(), w.accounts[1], over.ID, true); !errors.Is(err, ippool.ErrNotFound) {
		t.Errorf("another account's pool is deleted: %v", err)
	}
	_, err := w.Delete(t.Context(), w.accounts[0], over.ID, true)
	if used, ok := errors.AsType[*ippool.UsedError](err); !ok || !slices.Equal(used.By, []string{"first", "second"}) || !strings.Contains(err.Error(), `"first", "second"`) {
		t.Fatalf("%v", err)
	}
	for _, name := range []string{"first", "second", "over"} {
		p := w.Directory.Current().PoolNamed(w.accounts[0], name)
		if got, err := w.Delete(t.Context(), w.accounts[0], p.ID, false); err != nil || got.Name != name {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := w.Pool(w.accounts[0], over.ID); !errors.Is(err, ippool.ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
}

// Whatever is changed in whatever order: no way leads back to a pool, and what is refused as a circle would be one.
func TestNoCircles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		w.create(name)
	}
	leadsTo := func(from map[string][]string, start, end string) bool {
		seen := map[string]bool{}
		var walk func(string) bool
		walk = func(at string) bool {
			for _, next := range from[at] {
				if next == end || !seen[next] && func() bool { seen[next] = true; return walk(next) }() {
					return true
				}
			}
			return false
		}
		return walk(start)
	}
	rapid.Check(t, func(t *rapid.T) {
		view := w.Directory.Current()
		edges := map[string][]string{}
		for _, name := range names {
			p := view.PoolNamed(w.accounts[0], name)
			for _, id := range append([]int32{p.Overflow}, p.Targets...) {
				if next := view.Pool(w.accounts[0], id); next != nil {
					edges[name] = append(edges[name], next.Name)
				}
			}
		}
		for _, name := range names {
			if leadsTo(edges, name, name) {
				t.Fatalf("%s leads to itself: %v", name, edges)
			}
		}
		name := rapid.SampledFrom(names).Draw(t, "name")
		over := rapid.SampledFrom(append(names, "")).Draw(t, "over")
		targets := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID).Draw(t, "targets")
		edges[name] = slices.Clone(targets)
		if over != "" {
			edges[name] = append(edges[name], over)
		}
		_, err := w.Update(w.t.Context(), w.accounts[0], view.PoolNamed(w.accounts[0], name).ID, ippool.Changes{OverflowPool: &over, Targets: &targets})
		bad, refused := errors.AsType[*mail.FieldError](err)
		switch circle := leadsTo(edges, name, name); {
		case err != nil && !refused:
			t.Fatal(err)
		case circle != refused:
			t.Fatalf("%s with %v: circle %t, %v", name, edges, circle, err)
		case refused && bad.Code != "circular_ippool":
			t.Fatalf("%+v", bad)
		}
	})
}

// A pool that was made without an interval may be sent back as it is, and be given one.
func TestAPoolWithoutAnInterval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.Directory.Current().PoolNamed(w.accounts[0], "auto 0")
	for _, hours := range []int{0, 24} {
		got, err := w.Update(t.Context(), w.accounts[0], p.ID, ippool.Changes{Name: &p.Name, WarmupInterval: &hours})
		if err != nil || got.WarmupInterval != hours {
			t.Errorf("%d: %+v, %v", hours, got, err)
		}
	}
	if _, err := w.Update(t.Context(), w.accounts[0], p.ID, ippool.Changes{WarmupInterval: new(int)}); err == nil {
		t.Error("the interval is taken away again")
	}
}
