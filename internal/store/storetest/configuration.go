package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// directorySub makes a second sub-account and returns its id.
func directorySub(b *bench) int32 {
	b.t.Helper()
	s := directory.SubAccount{AccountID: b.account.ID, Name: "second", KeyHash: secret.Hash("second"), SealedKey: []byte("x"), Created: b.now}
	b.must(b.store.CreateSubAccount(b.ctx(), &s))
	return s.ID
}

func subAccounts(t *testing.T, b *bench) {
	id := directorySub(b)
	twin := directory.SubAccount{AccountID: b.account.ID, Name: "second", KeyHash: secret.Hash("twin"), SealedKey: []byte("x"), Created: b.now}
	if err := b.store.CreateSubAccount(b.ctx(), &twin); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a taken name: %v", err)
	}
	if err := b.store.RenameSubAccount(b.ctx(), b.account.ID, id, "default"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("rename to a taken name: %v", err)
	}
	if err := b.store.RenameSubAccount(b.ctx(), b.account.ID+1, id, "x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account renames: %v", err)
	}
	b.must(b.store.RenameSubAccount(b.ctx(), b.account.ID, id, "renamed"))
	if err := b.store.DeleteSubAccount(b.ctx(), b.account.ID+1, id, b.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account deletes: %v", err)
	}
	c, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	want := []directory.SubAccount{b.sub, {ID: id, AccountID: b.account.ID, Name: "renamed", KeyHash: secret.Hash("second"),
		SealedKey: []byte("x"), Created: b.now}}
	if diff := cmp.Diff(want, c.SubAccounts); diff != "" {
		t.Error(diff)
	}
	b.must(b.store.DeleteSubAccount(b.ctx(), b.account.ID, id, b.now))
	if err := b.store.DeleteSubAccount(b.ctx(), b.account.ID, id, b.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	again := directory.SubAccount{AccountID: b.account.ID, Name: "renamed", KeyHash: secret.Hash("again"), SealedKey: []byte("x"), Created: b.now}
	b.must(b.store.CreateSubAccount(b.ctx(), &again))
	if again.ID == id {
		t.Error("an id is used twice")
	}
}

func providers(t *testing.T, b *bench) {
	twin := directory.TPSP{AccountID: b.account.ID, Name: "twin", Type: provider.Postmark, KeyHash: secret.Hash("token"), Stream: "outbound",
		SealedKey: []byte("token"), Created: b.now}
	if err := b.store.CreateTPSP(b.ctx(), &twin, &route.Pool{Name: "twin-pool", Created: b.now}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("same token and stream twice: %v", err)
	}
	second, pool := b.newTPSP(b.account.ID, "Postmark", "token", "broadcast")
	if pool.Name != "postmark-pool-2" || pool.AutoTPSP != second.ID {
		t.Errorf("second pool %+v", pool)
	}
	webhook := directory.Webhook{State: directory.WebhookFailed, Ref: "12", Username: "u", SealedPassword: []byte("p"), Error: "refused",
		Tries: 3, NextTry: b.now, Server: "77", Probes: []provider.Probe{{Trigger: "Bounce", StatusCode: 502, Message: "no"}, {Trigger: "Open", Success: true}},
		Paused: []string{"Bounce"}}
	b.must(b.store.UpdateWebhook(b.ctx(), second.ID, webhook))
	other := webhook
	other.Username, other.State = "another", directory.WebhookRegistered
	if err := b.store.UpdateWebhook(b.ctx(), second.ID, other); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the webhook of other credentials: %v", err)
	}
	health := directory.Health{Stopped: true, Reason: "bad token", Since: b.now, ProbeAt: b.now.Add(time.Minute), Wait: time.Minute}
	b.must(b.store.UpdateHealth(b.ctx(), second.ID, health))
	if err := b.store.UpdateHealth(b.ctx(), 99, health); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("health of nobody: %v", err)
	}
	b.restart()
	c, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	second.Webhook, second.Health = webhook, health
	if diff := cmp.Diff([]directory.TPSP{b.tpsp, second}, c.TPSPs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]route.Pool{b.pool, pool}, c.Pools); diff != "" {
		t.Error(diff)
	}
	if err := b.store.DeleteTPSP(b.ctx(), b.account.ID+1, second.ID, true, b.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account deletes: %v", err)
	}
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, second.ID, false, b.now))
	c, err = b.store.LoadDirectory(b.ctx())
	b.must(err)
	if len(c.Pools) != 1 || len(c.TPSPs) != 2 || c.TPSPs[1].Deleted.IsZero() {
		t.Errorf("after the deletion: pools %+v, TPSPs %+v", c.Pools, c.TPSPs)
	}
	b.newTPSP(b.account.ID, "Postmark", "token", "broadcast") // may be connected again
}

func keyCheck(t *testing.T, b *bench) {
	fresh, err := b.store.KeyCheck(b.ctx())
	b.must(err)
	b.must(b.store.SetKeyCheck(b.ctx(), []byte{1, 2}))
	b.restart()
	kept, err := b.store.KeyCheck(b.ctx())
	b.must(err)
	if len(fresh) != 0 || string(kept) != "\x01\x02" {
		t.Errorf("key check %x, then %x", fresh, kept)
	}
}
