package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/store"
)

func domains(t *testing.T, b *bench) {
	one := directory.Domain{AccountID: b.account.ID, SubAccountID: b.sub.ID, Name: "example.com", Created: b.now}
	b.must(b.store.CreateDomain(b.ctx(), &one))
	again := one
	if err := b.store.CreateDomain(b.ctx(), &again); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same name twice: %v", err)
	}
	account, sub := b.newAccount("other")
	two := directory.Domain{AccountID: account.ID, SubAccountID: sub.ID, Name: "example.com", Created: b.now}
	b.must(b.store.CreateDomain(b.ctx(), &two))
	if err := b.store.DeleteDomain(b.ctx(), sub.ID, one.ID, b.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another sub-account deletes it: %v", err)
	}
	b.must(b.store.DeleteDomain(b.ctx(), b.sub.ID, one.ID, b.now))
	if err := b.store.DeleteDomain(b.ctx(), b.sub.ID, one.ID, b.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	three := directory.Domain{AccountID: b.account.ID, SubAccountID: b.sub.ID, Name: "example.com", Created: b.now}
	b.must(b.store.CreateDomain(b.ctx(), &three))
	one.Deleted = b.now
	got, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	if diff := cmp.Diff([]directory.Domain{one, two, three}, got.Domains); diff != "" {
		t.Error(diff)
	}
}
