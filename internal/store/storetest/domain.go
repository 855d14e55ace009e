package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/store"
)

func domains(t *testing.T, b *bench) {
	one := directory.Domain{AccountID: b.account.ID, SubAccountID: b.sub.ID, Name: "example.com", Selector: "s1", PublicKey: "p1", Created: b.now}
	b.must(b.store.CreateDomain(b.ctx(), &one, []byte("k1")))
	again := one
	if err := b.store.CreateDomain(b.ctx(), &again, []byte("k")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same name twice: %v", err)
	}
	account, sub := b.newAccount("other")
	two := directory.Domain{AccountID: account.ID, SubAccountID: sub.ID, Name: "example.com", Selector: "s2", PublicKey: "p2", Created: b.now}
	b.must(b.store.CreateDomain(b.ctx(), &two, []byte("k2")))
	if err := b.store.DeleteDomain(b.ctx(), sub.ID, one.ID, b.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another sub-account deletes it: %v", err)
	}
	b.must(b.store.DeleteDomain(b.ctx(), b.sub.ID, one.ID, b.now))
	if err := b.store.DeleteDomain(b.ctx(), b.sub.ID, one.ID, b.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	three := directory.Domain{AccountID: b.account.ID, SubAccountID: b.sub.ID, Name: "example.com", Created: b.now, Selector: "s3", PublicKey: "p3"}
	b.must(b.store.CreateDomain(b.ctx(), &three, []byte("k3")))
	one.Deleted = b.now
	if diff := cmp.Diff([]directory.Domain{one, two, three}, b.domains()); diff != "" {
		t.Error(diff)
	}
	for id, want := range map[int32]string{one.ID: "", two.ID: "k2", three.ID: "k3", 999: ""} {
		b.wantDomainKey(id, want)
	}
}

// Domains of one name in an account have one key, for there is one place for it in DNS.
func domainKeys(t *testing.T, b *bench) {
	second := directory.SubAccount{AccountID: b.account.ID, Name: "second", KeyHash: directory.KeyHash{9}, SealedKey: []byte("sealed"), Created: b.now}
	b.must(b.store.CreateSubAccount(b.ctx(), &second))
	one := directory.Domain{AccountID: b.account.ID, SubAccountID: b.sub.ID, Name: "example.com", Selector: "s1", PublicKey: "p1", Created: b.now}
	b.must(b.store.CreateDomain(b.ctx(), &one, []byte("k1")))
	two := directory.Domain{AccountID: b.account.ID, SubAccountID: second.ID, Name: "example.com", Selector: "s2", PublicKey: "p2", Created: b.now}
	b.must(b.store.CreateDomain(b.ctx(), &two, []byte("k2")))
	if two.Selector != "s1" || two.PublicKey != "p1" {
		t.Errorf("the second one has a key of its own: %+v", two)
	}
	b.wantDomainKey(two.ID, "k1")

	// A domain from before there were keys gets one once.
	old := directory.Domain{AccountID: b.account.ID, SubAccountID: b.sub.ID, Name: "old.example", Created: b.now}
	b.must(b.store.CreateDomain(b.ctx(), &old, nil))
	b.wantDomainKey(old.ID, "")
	old.Selector, old.PublicKey = "s4", "p4"
	b.must(b.store.GiveDomainKey(b.ctx(), &old, []byte("k4")))
	b.wantDomainKey(old.ID, "k4")
	if err := b.store.GiveDomainKey(b.ctx(), &directory.Domain{AccountID: b.account.ID, ID: old.ID, Name: "x.example", Selector: "x"}, []byte("x")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a domain that has a key: %v", err)
	}
	b.must(b.store.DeleteDomain(b.ctx(), b.sub.ID, one.ID, b.now))
	b.wantDomainKey(one.ID, "")
	b.wantDomainKey(two.ID, "k1")
	one.Deleted = b.now
	if diff := cmp.Diff([]directory.Domain{one, two, old}, b.domains()); diff != "" {
		t.Error(diff)
	}
}

func domainChecks(t *testing.T, b *bench) {
	account, sub := b.newAccount("other")
	var all []directory.Domain
	for i, name := range []string{"a.example", "b.example", "c.example", "d.example"} {
		d := directory.Domain{AccountID: b.account.ID, SubAccountID: b.sub.ID, Name: name, Selector: "s", PublicKey: "p", Created: b.now}
		if i == 3 {
			d.AccountID, d.SubAccountID = account.ID, sub.ID
		}
		b.must(b.store.CreateDomain(b.ctx(), &d, []byte("k")))
		all = append(all, d)
	}
	b.must(b.store.DeleteDomain(b.ctx(), b.sub.ID, all[1].ID, b.now))
	b.must(b.store.DeleteSubAccount(b.ctx(), account.ID, sub.ID, b.now))
	due := func(at time.Time, most int) []store.DueDomain {
		list, err := b.store.DueDomains(b.ctx(), at, most)
		b.must(err)
		return list
	}
	if diff := cmp.Diff([]store.DueDomain{{ID: all[0].ID}, {ID: all[2].ID}}, due(b.now, 9)); diff != "" {
		t.Error(diff)
	}
	if list := due(b.now, 1); len(list) != 1 {
		t.Errorf("%d domains, want 1", len(list))
	}
	revision := func() int64 {
		n, err := b.store.DirectoryRevision(b.ctx())
		b.must(err)
		return n
	}
	began := b.now
	record := func(d *directory.Domain, next time.Time, tries int, want bool) {
		t.Helper()
		before := revision()
		changed, err := b.store.RecordDomainCheck(b.ctx(), store.DomainCheck{ID: d.ID, Checks: d.Checks, Began: began, Next: next, Tries: tries})
		b.must(err)
		if changed != want || b.store.Shared() && (revision() != before) != want {
			t.Errorf("%s: changed %t, revision %d after %d", d.Name, changed, revision(), before)
		}
	}
	all[0].Checks = directory.DomainChecks{DKIM: directory.RecordCheck{Verified: true}, SPF: directory.RecordCheck{Reason: "no \u00fc \"record\""},
		ReturnPath: directory.RecordCheck{Verified: true, Reason: "DNS is away"}, Track: directory.RecordCheck{Reason: "x"}, DMARC: directory.RecordCheck{Verified: true}}
	record(&all[0], b.now.Add(time.Hour), 0, true)
	record(&all[0], b.now.Add(2*time.Hour), 1, false)
	record(&all[2], b.now.Add(-time.Hour), 3, true) // "" and no checks differ
	record(&all[1], b.now, 0, false)                // it was deleted
	if diff := cmp.Diff([]store.DueDomain{{ID: all[2].ID, Tries: 3}}, due(b.now.Add(119*time.Minute), 9)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]store.DueDomain{{ID: all[2].ID, Tries: 3}, {ID: all[0].ID, Tries: 1}}, due(b.now.Add(2*time.Hour), 9)); diff != "" {
		t.Error(diff)
	}
	late := all[0]
	late.Checks, began = directory.DomainChecks{}, b.now.Add(-time.Second)
	record(&late, b.now, 0, false) // a later check was quicker
	if list := due(b.now, 9); len(list) != 1 {
		t.Errorf("due: %v", list)
	}
	all[1].Deleted = b.now
	if diff := cmp.Diff(all, b.domains()); diff != "" {
		t.Error(diff)
	}
}

func (b *bench) domains() []directory.Domain {
	got, err := b.store.LoadDirectory(b.ctx())
	b.must(err)
	return got.Domains
}

// wantDomainKey checks a domain's key; "" is none.
func (b *bench) wantDomainKey(id int32, want string) {
	b.t.Helper()
	got, err := b.store.DomainKey(b.ctx(), id)
	if want == "" && !errors.Is(err, store.ErrNotFound) || want != "" && (err != nil || string(got) != want) {
		b.t.Errorf("key of domain %d: %q, %v; want %q", id, got, err, want)
	}
}
