package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/limit"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// stored returns a TPSP as the store has it.
func (b *bench) stored(id int32) directory.TPSP {
	b.t.Helper()
	c, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	for _, p := range c.TPSPs {
		if p.ID == id {
			return p
		}
	}
	b.t.Fatalf("no TPSP %d", id)
	return directory.TPSP{}
}

// past is the connection of the bench's TPSP, replaced now.
func (b *bench) past() directory.PastHook {
	return directory.PastHook{TPSPID: b.tpsp.ID, Domain: "d", Endpoint: "https://old.example", Port: 1, SealedKey: []byte("token"), Secret: []byte("secret"),
		Stream: "outbound", Server: "7", Ref: "12", Username: "u", SealedPassword: []byte("p"), Switched: b.now, NextTry: b.now}
}

func movedProvider(t *testing.T, b *bench) {
	second, _ := b.newTPSP(b.account.ID, "Second", "token", "broadcast")
	if _, err := b.store.SaveTemplates(b.ctx(), b.tpsp.ID, []store.MirroredTemplate{{Template: provider.Template{Alias: "welcome"}}}, b.now); err != nil {
		t.Fatal(err)
	}
	b.must(b.store.UpdateHealth(b.ctx(), b.tpsp.ID, directory.Health{Stopped: true, Reason: "bad token", Since: b.now, ProbeAt: b.now, Wait: time.Minute}))
	b.must(b.store.Refuse(b.ctx(), b.tpsp.ID, directory.Refusal{Domain: "example.com", Reason: "no", Since: b.now}))
	b.must(b.store.Refuse(b.ctx(), second.ID, directory.Refusal{Domain: "example.com", Reason: "no", Since: b.now}))

	moved := b.tpsp
	moved.Name, moved.Limits = "Moved", limit.Limits{PerHour: 5, Mailbox: map[mailbox.Class]int{mailbox.Gmail: 2}}
	moved.Endpoint, moved.SealedKey, moved.KeyHash, moved.Stream = "https://new.example", []byte("new"), secret.Hash("new"), "letters"
	moved.Webhook = directory.Webhook{State: directory.WebhookPending, Username: "u2", SealedPassword: []byte("p2"), NextTry: b.now.Add(time.Second), Server: "8"}
	past, debt := b.past(), b.now.Add(-time.Hour)
	b.must(b.store.MoveTPSP(b.ctx(), &moved, &past, debt))
	if past.ID == 0 {
		t.Error("the past connection got no id")
	}
	b.restart()
	want := moved
	want.Past, want.CatchUp = []directory.PastHook{past}, debt
	if diff := cmp.Diff(want, b.stored(moved.ID)); diff != "" {
		t.Error(diff)
	}
	index, err := b.store.TemplateIndex(b.ctx())
	b.must(err)
	if len(index.Mirrors) != 1 || !index.Mirrors[0].SyncedAt.IsZero() || len(index.Templates) != 1 {
		t.Errorf("the templates are not to be read anew: %+v", index)
	}
	if got := b.stored(second.ID); len(got.Refused) != 1 || got.Past != nil {
		t.Errorf("another provider was touched: %+v", got)
	}

	// What becomes of the old webhook.
	past.Removed, past.ValidUntil, past.Error, past.Tries, past.NextTry = b.now, b.now.Add(time.Hour), "refused", 3, time.Time{}
	b.must(b.store.UpdatePastHook(b.ctx(), &past))
	if diff := cmp.Diff([]directory.PastHook{past}, b.stored(moved.ID).Past); diff != "" {
		t.Error(diff)
	}
	unknown := past
	unknown.ID += 100
	if err := b.store.UpdatePastHook(b.ctx(), &unknown); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown connection: %v", err)
	}

	// The same account and stream: nothing is replaced.
	moved.SealedKey = []byte("newer")
	b.must(b.store.MoveTPSP(b.ctx(), &moved, nil, time.Time{}))
	if got := b.stored(moved.ID); len(got.Past) != 1 || string(got.SealedKey) != "newer" || !got.CatchUp.Equal(debt) {
		t.Errorf("%+v", got)
	}

	// What the account has already, what it has not, and what was deleted.
	twin := moved
	twin.KeyHash, twin.Stream = secret.Hash("token"), "broadcast"
	if err := b.store.MoveTPSP(b.ctx(), &twin, nil, time.Time{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a key and stream that another has: %v", err)
	}
	foreign := moved
	foreign.AccountID++
	if err := b.store.MoveTPSP(b.ctx(), &foreign, nil, time.Time{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account: %v", err)
	}

	// What is long over is forgotten with the next move; what is still to be removed is not.
	later := past
	later.ID, later.Switched, later.Removed, later.Username = 0, b.now.Add(store.KeepPast+time.Hour), time.Time{}, "u3"
	b.must(b.store.MoveTPSP(b.ctx(), &moved, &later, debt))
	last := later
	last.ID, last.Switched = 0, later.Switched.Add(store.KeepPast+time.Hour)
	b.must(b.store.MoveTPSP(b.ctx(), &moved, &last, debt))
	if diff := cmp.Diff([]directory.PastHook{later, last}, b.stored(moved.ID).Past); diff != "" {
		t.Error(diff)
	}
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, moved.ID, false, b.now))
	if err := b.store.MoveTPSP(b.ctx(), &moved, nil, time.Time{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deleted one: %v", err)
	}
	if got := b.stored(moved.ID); len(got.Past) != 2 {
		t.Errorf("its webhooks are still to be removed: %+v", got)
	}
}

func emptiedPools(t *testing.T, b *bench) {
	second, auto := b.newTPSP(b.account.ID, "Second", "token", "broadcast")
	pool := func(name string, targets []int32, members ...route.Egress) *route.Pool {
		p := &route.Pool{AccountID: b.account.ID, Name: name, Members: members, Targets: targets, WarmupInterval: 24, Created: b.now}
		b.must(b.store.CreatePool(b.ctx(), p))
		return p
	}
	pool("both", nil, b.egress(), second.Egress())
	pool("z only", nil, second.Egress())
	pool("a only, with targets", []int32{b.pool.ID}, second.Egress())
	err := b.store.DeleteTPSP(b.ctx(), b.account.ID, second.ID, false, b.now)
	refused, ok := errors.AsType[*store.EmptyPoolsError](err)
	if !ok || !errors.Is(err, store.ErrConflict) {
		t.Fatalf("deleted: %v", err)
	}
	if diff := cmp.Diff([]string{"a only, with targets", "z only"}, refused.Pools); diff != "" {
		t.Error(diff)
	}
	if got := b.stored(second.ID); !got.Deleted.IsZero() {
		t.Error("it was deleted all the same")
	}
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, second.ID, true, b.now))
	c, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	left := map[string]int{}
	for i := range c.Pools {
		left[c.Pools[i].Name] = len(c.Pools[i].Members)
	}
	if diff := cmp.Diff(map[string]int{b.pool.Name: 1, "both": 1, "z only": 0, "a only, with targets": 0}, left); diff != "" {
		t.Errorf("with %s gone:\n%s", auto.Name, diff)
	}
	// Only its own pool, and one that has others: nothing is emptied.
	third, _ := b.newTPSP(b.account.ID, "Third", "token", "third")
	pool("more", nil, b.egress(), third.Egress())
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, third.ID, false, b.now))
}

// reportsBySender has a report come by another provider's webhook: it counts for the one that the report names.
func reportsBySender(t *testing.T, b *bench) {
	id := b.send("ana@gmail.com")
	old := b.tpsp
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, old.ID, true, b.now))
	b.tpsp, _ = b.newTPSP(b.account.ID, "Again", "token", "outbound") // deliver comes by its webhook now
	named, unnamed := b.report(id, event.Delivered, "delivered"), b.report(id, event.Opened, "opened")
	named.TPSPID = old.ID
	b.deliver(named, unnamed)
	for tpsp, want := range map[int32]int{old.ID: 3, b.tpsp.ID: 1} { // processed and sent as well
		list, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, TPSPIDs: []int32{tpsp}, Limit: 9})
		b.must(err)
		if len(list) != want {
			t.Errorf("%d events of provider %d, want %d", len(list), tpsp, want)
		}
	}
}
