package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/store"
)

func accountLabels(t *testing.T, b *bench) {
	vip := directory.Label{AccountID: b.account.ID, Name: "VIP", Color: "#ff0000", Created: b.now}
	b.must(b.store.CreateLabel(b.ctx(), &vip))
	trial := directory.Label{AccountID: b.account.ID, Name: "trial", Created: b.now}
	b.must(b.store.CreateLabel(b.ctx(), &trial))
	again := directory.Label{AccountID: b.account.ID, Name: "VIP", Created: b.now}
	if err := b.store.CreateLabel(b.ctx(), &again); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same name twice: %v", err)
	}
	account, sub := b.newAccount("other")
	foreign := directory.Label{AccountID: account.ID, Name: "VIP", Created: b.now}
	b.must(b.store.CreateLabel(b.ctx(), &foreign))

	b.must(b.store.LabelSubAccount(b.ctx(), b.account.ID, b.sub.ID, []int32{trial.ID, vip.ID}))
	for name, err := range map[string]error{
		"another account's label":       b.store.LabelSubAccount(b.ctx(), b.account.ID, b.sub.ID, []int32{vip.ID, foreign.ID}),
		"another account's sub-account": b.store.LabelSubAccount(b.ctx(), b.account.ID, sub.ID, []int32{vip.ID}),
		"a label that is not there":     b.store.LabelSubAccount(b.ctx(), b.account.ID, b.sub.ID, []int32{foreign.ID + 7}),
		"another account changes it":    b.store.UpdateLabel(b.ctx(), &directory.Label{ID: vip.ID, AccountID: account.ID, Name: "mine"}),
		"another account deletes it":    b.store.DeleteLabel(b.ctx(), account.ID, vip.ID),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	taken := trial
	taken.Name = "VIP"
	if err := b.store.UpdateLabel(b.ctx(), &taken); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a name that is taken: %v", err)
	}
	trial.Name, trial.Color = "on trial", "green"
	b.must(b.store.UpdateLabel(b.ctx(), &trial))
	b.restart()
	b.wantLabels([]directory.Label{vip, trial, foreign}, []int32{vip.ID, trial.ID})

	b.must(b.store.DeleteLabel(b.ctx(), b.account.ID, vip.ID))
	if err := b.store.DeleteLabel(b.ctx(), b.account.ID, vip.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	b.wantLabels([]directory.Label{trial, foreign}, []int32{trial.ID})
	b.must(b.store.LabelSubAccount(b.ctx(), b.account.ID, b.sub.ID, nil))
	b.wantLabels([]directory.Label{trial, foreign}, nil)
	b.must(b.store.DeleteSubAccount(b.ctx(), account.ID, sub.ID, b.now))
	if err := b.store.LabelSubAccount(b.ctx(), account.ID, sub.ID, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deleted sub-account: %v", err)
	}
}

func (b *bench) wantLabels(labels []directory.Label, ofSub []int32) {
	b.t.Helper()
	got, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	if diff := cmp.Diff(labels, got.Labels); diff != "" {
		b.t.Errorf("labels: %s", diff)
	}
	for _, s := range got.SubAccounts {
		want := ofSub
		if s.ID != b.sub.ID {
			want = nil
		}
		if diff := cmp.Diff(want, s.Labels); diff != "" {
			b.t.Errorf("labels of %d: %s", s.ID, diff)
		}
	}
}
