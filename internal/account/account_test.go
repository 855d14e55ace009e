package account_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"postyard/internal/account"
	"postyard/internal/directory"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

// bundle is a Service over a real database.
type bundle struct {
	*account.Service
	db  *sqlite.DB
	dir *directory.Directory
	box *secret.Box
	now time.Time
}

func setup(t *testing.T) *bundle {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlitetest.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	dir, err := directory.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{db: db, dir: dir, box: secret.NewBox(secret.NewKey()), now: time.Unix(1_800_000_000, 17).UTC()}
	b.Service = account.New(dir, db, b.box, func() time.Time { return b.now })
	return b
}

func (b *bundle) bootstrap(t *testing.T) account.Fresh {
	t.Helper()
	fresh, created, err := b.Bootstrap(t.Context(), " Pied Piper ")
	if err != nil || !created {
		t.Fatalf("created %t, %v", created, err)
	}
	return fresh
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh := b.bootstrap(t)
	if a := fresh.Account; a.ID == 0 || a.Name != "Pied Piper" || !a.Created.Equal(b.now) {
		t.Errorf("%+v", a)
	}
	if s := fresh.SubAccount; s.ID == 0 || s.AccountID != fresh.Account.ID || s.Name != account.DefaultName || !s.Default {
		t.Errorf("%+v", s)
	}
	if a := b.AuthenticateAccount(fresh.AccountKey.Reveal()); a == nil || a.ID != fresh.Account.ID {
		t.Errorf("%+v", a)
	}
	if s := b.AuthenticateSubAccount(fresh.SubAccountKey.Reveal()); s == nil || s.ID != fresh.SubAccount.ID {
		t.Errorf("%+v", s)
	}
	for _, key := range []string{"", "x", fresh.SubAccountKey.Reveal(), strings.ToLower(fresh.AccountKey.Reveal())} {
		if a := b.AuthenticateAccount(key); a != nil {
			t.Errorf("%q is the key of %+v", key, a)
		}
	}
	if s := b.AuthenticateSubAccount(fresh.AccountKey.Reveal()); s != nil {
		t.Errorf("%+v", s)
	}
	again, created, err := b.Bootstrap(t.Context(), "Hooli")
	if err != nil || created || again.Account != nil || !again.AccountKey.IsZero() {
		t.Errorf("again: %+v, %t, %v", again, created, err)
	}
}

// After a restart the keys still work, and can still be shown; with another encryption key they only still work.
func TestKeysAfterARestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh := b.bootstrap(t)
	dir, err := directory.Open(t.Context(), b.db)
	if err != nil {
		t.Fatal(err)
	}
	restarted := account.New(dir, b.db, b.box, time.Now)
	a := restarted.AuthenticateAccount(fresh.AccountKey.Reveal())
	s := restarted.AuthenticateSubAccount(fresh.SubAccountKey.Reveal())
	if a == nil || s == nil {
		t.Fatal("a key is lost")
	}
	if key, err := restarted.AccountKey(a); err != nil || !key.Equal(fresh.AccountKey) {
		t.Errorf("%v", err)
	}
	if key, err := restarted.Key(s); err != nil || !key.Equal(fresh.SubAccountKey) {
		t.Errorf("%v", err)
	}
	stranger := account.New(dir, b.db, secret.NewBox(secret.NewKey()), time.Now)
	if _, err := stranger.Key(s); !errors.Is(err, secret.ErrOpen) {
		t.Errorf("%v", err)
	}
	if _, err := restarted.Key(&directory.SubAccount{SealedKey: a.SealedKey}); !errors.Is(err, secret.ErrOpen) {
		t.Errorf("an account's key opened as a sub-account's: %v", err)
	}
}

func TestSubAccounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.bootstrap(t).Account.ID
	made, err := b.CreateSubAccount(t.Context(), id, " News ")
	if err != nil || made.Name != "News" || made.AccountID != id || made.Default || !made.Created.Equal(b.now) {
		t.Fatalf("%+v, %v", made, err)
	}
	key, err := b.Key(made)
	if err != nil {
		t.Fatal(err)
	}
	if s := b.AuthenticateSubAccount(key.Reveal()); s == nil || s.ID != made.ID {
		t.Errorf("%+v", s)
	}
	if _, err := b.CreateSubAccount(t.Context(), id, "News"); !errors.Is(err, account.ErrNameTaken) {
		t.Errorf("%v", err)
	}
	if _, err := b.CreateSubAccount(t.Context(), id, "news"); err != nil { // names match exactly
		t.Errorf("%v", err)
	}
	if _, err := b.RenameSubAccount(t.Context(), id, made.ID, "news"); !errors.Is(err, account.ErrNameTaken) {
		t.Errorf("%v", err)
	}
	if s, err := b.RenameSubAccount(t.Context(), id, made.ID, "Letters"); err != nil || s.Name != "Letters" {
		t.Errorf("%+v, %v", s, err)
	}
	if got := b.SubAccounts(id, "e"); len(got) != 3 {
		t.Errorf("%d", len(got))
	}
	if got := b.SubAccounts(id, "LETT"); len(got) != 1 || got[0].ID != made.ID {
		t.Errorf("%+v", got)
	}
	if s, err := b.DeleteSubAccount(t.Context(), id, made.ID); err != nil || s.Name != "Letters" {
		t.Errorf("%+v, %v", s, err)
	}
	if s := b.AuthenticateSubAccount(key.Reveal()); s != nil {
		t.Errorf("the key of a deleted sub-account works")
	}
	if _, err := b.DeleteSubAccount(t.Context(), id, made.ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestDefaultSubAccountStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh := b.bootstrap(t)
	if _, err := b.DeleteSubAccount(t.Context(), fresh.Account.ID, fresh.SubAccount.ID); !errors.Is(err, account.ErrDefault) {
		t.Errorf("%v", err)
	}
	// Its name may change; it stays the default.
	s, err := b.RenameSubAccount(t.Context(), fresh.Account.ID, fresh.SubAccount.ID, "Main")
	if err != nil || !s.Default || s.Name != "Main" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAnotherAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh := b.bootstrap(t)
	stranger := fresh.Account.ID + 1
	if _, err := b.SubAccount(stranger, fresh.SubAccount.ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := b.RenameSubAccount(t.Context(), stranger, fresh.SubAccount.ID, "mine"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := b.DeleteSubAccount(t.Context(), stranger, fresh.SubAccount.ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if got := b.SubAccounts(stranger, ""); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestStoreAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh := b.bootstrap(t)
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateSubAccount(t.Context(), fresh.Account.ID, "News"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	// Keys are checked in memory: they go on working.
	if b.AuthenticateSubAccount(fresh.SubAccountKey.Reveal()) == nil {
		t.Error("a key does not work without the store")
	}
}

// A client that hangs up while its sub-account is made must not hide it from the directory.
func TestHangUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh := b.bootstrap(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := account.New(b.dir, hangUp{b.db, cancel}, b.box, time.Now)
	if _, err := s.CreateSubAccount(ctx, fresh.Account.ID, "News"); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() == nil || len(b.SubAccounts(fresh.Account.ID, "News")) != 1 {
		t.Errorf("ctx %v", ctx.Err())
	}
}

// hangUp ends the caller's context as soon as the store has written.
type hangUp struct {
	account.Store
	cancel context.CancelFunc
}

func (h hangUp) CreateSubAccount(ctx context.Context, s *directory.SubAccount) error {
	defer h.cancel()
	return h.Store.CreateSubAccount(ctx, s)
}

func TestLabels(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh := b.bootstrap(t)
	id := fresh.Account.ID
	vip, err := b.CreateLabel(t.Context(), id, " VIP ", " #fff ")
	if err != nil || vip.Name != "VIP" || vip.Color != "#fff" || !vip.Created.Equal(b.now) {
		t.Fatalf("%+v, %v", vip, err)
	}
	if _, err := b.CreateLabel(t.Context(), id, "VIP", ""); !errors.Is(err, account.ErrLabelTaken) {
		t.Errorf("the same name: %v", err)
	}
	if _, err := b.CreateLabel(t.Context(), id, "x", strings.Repeat("c", 33)); err == nil {
		t.Error("a color of 33 bytes")
	}
	sub, err := b.LabelSubAccount(t.Context(), id, fresh.SubAccount.ID, []int32{vip.ID, vip.ID})
	if err != nil || len(sub.Labels) != 1 {
		t.Errorf("%+v, %v", sub, err)
	}
	for name, err := range map[string]error{
		"another account's label": func() error { _, err := b.Label(id+1, vip.ID); return err }(),
		"updated by another":      func() error { _, err := b.UpdateLabel(t.Context(), id+1, vip.ID, "x", ""); return err }(),
		"deleted by another":      func() error { _, err := b.DeleteLabel(t.Context(), id+1, vip.ID); return err }(),
	} {
		if !errors.Is(err, account.ErrNoLabel) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.LabelSubAccount(t.Context(), id+1, fresh.SubAccount.ID, nil); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("labelled by another: %v", err)
	}
	if _, err := b.UpdateLabel(t.Context(), id, vip.ID, "very important", ""); err != nil {
		t.Error(err)
	}
	if list := b.Labels(id, "IMPORTANT"); len(list) != 1 || list[0].Color != "" {
		t.Errorf("%+v", list)
	}
	if _, err := b.DeleteLabel(t.Context(), id, vip.ID); err != nil {
		t.Error(err)
	}
	if sub, err := b.SubAccount(id, fresh.SubAccount.ID); err != nil || len(sub.Labels) != 0 {
		t.Errorf("%+v, %v", sub, err)
	}
}
