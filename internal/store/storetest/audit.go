package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/store"
)

// entry is what a member did to a provider.
func (b *bench) entry(operation, target string) store.AuditEntry {
	return store.AuditEntry{AccountID: b.account.ID, At: b.now, Actor: store.Actor{Kind: store.ByMember, ID: 3, Name: "Ana Ärmel", Role: "admin"},
		Address: "192.0.2.7", Method: "PUT", Path: "/api/v1/account/tpsp/4?force=true", Operation: operation, Target: target,
		Changes: []byte(`{"name":"b"}`), Before: []byte(`{"name":"a"}`)}
}

func (b *bench) audited(f store.AuditFilter) []store.AuditEntry {
	b.t.Helper()
	if f.AccountID == 0 {
		f.AccountID = b.account.ID
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	list, err := b.store.AuditEntries(b.ctx(), f)
	b.must(err)
	return list
}

func auditLog(t *testing.T, b *bench) {
	changed, added := b.entry("change a provider", "Postmark (4)"), b.entry("add a provider", "100%_sure")
	added.Actor, added.Changes, added.Before = store.Actor{Kind: store.BySubAccountKey, ID: 3, Name: "default"}, nil, nil
	b.must(b.store.BeginAudit(b.ctx(), &changed))
	b.now = b.now.Add(time.Hour)
	added.At = b.now
	b.must(b.store.BeginAudit(b.ctx(), &added))
	account, _ := b.newAccount("other")
	foreign := b.entry("change a provider", "Postmark (5)")
	foreign.AccountID = account.ID
	b.must(b.store.BeginAudit(b.ctx(), &foreign))
	if changed.ID <= 0 || added.ID <= changed.ID || foreign.ID <= added.ID {
		t.Errorf("ids %d, %d, %d", changed.ID, added.ID, foreign.ID)
	}
	if diff := cmp.Diff([]store.AuditEntry{added, changed}, b.audited(store.AuditFilter{})); diff != "" {
		t.Errorf("begun: %s", diff)
	}
	changed.Status = 200
	b.must(b.store.EndAudit(b.ctx(), changed.ID, 200))
	b.must(b.store.EndAudit(b.ctx(), foreign.ID+7, 200))
	b.restart()

	member, system := store.ByMember, store.BySystem
	for name, c := range map[string]struct {
		f    store.AuditFilter
		want []store.AuditEntry
	}{
		"all":                    {store.AuditFilter{}, []store.AuditEntry{added, changed}},
		"a page":                 {store.AuditFilter{Limit: 1}, []store.AuditEntry{added}},
		"the page after":         {store.AuditFilter{Limit: 1, Before: added.ID}, []store.AuditEntry{changed}},
		"a kind of actor":        {store.AuditFilter{Kind: &member}, []store.AuditEntry{changed}},
		"nobody":                 {store.AuditFilter{Kind: &system}, nil},
		"an actor":               {store.AuditFilter{Kind: &member, ActorID: 3}, []store.AuditEntry{changed}},
		"another one":            {store.AuditFilter{ActorID: 4}, nil},
		"an actor's name":        {store.AuditFilter{Actor: "DEFAUL"}, []store.AuditEntry{added}},
		"an operation":           {store.AuditFilter{Operation: "Add a"}, []store.AuditEntry{added}},
		"a target":               {store.AuditFilter{Search: "postmark (4"}, []store.AuditEntry{changed}},
		"what is no pattern":     {store.AuditFilter{Search: "%_"}, []store.AuditEntry{added}},
		"a name in another case": {store.AuditFilter{Search: "ÄRMEL"}, []store.AuditEntry{changed}},
		"an address":             {store.AuditFilter{Search: "192.0.2.7"}, []store.AuditEntry{added, changed}},
		"a time":                 {store.AuditFilter{From: start, To: b.now}, []store.AuditEntry{changed}},
		"since":                  {store.AuditFilter{From: b.now}, []store.AuditEntry{added}},
		"another account":        {store.AuditFilter{AccountID: account.ID}, []store.AuditEntry{foreign}},
	} {
		if diff := cmp.Diff(c.want, b.audited(c.f)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func auditForgotten(t *testing.T, b *bench) {
	const many = 501 // more than are forgotten at once
	for range many {
		e := b.entry("change a provider", "Postmark (4)")
		b.must(b.store.BeginAudit(b.ctx(), &e))
	}
	b.now = b.now.Add(time.Nanosecond)
	last := b.entry("delete a provider", "Postmark (4)")
	b.must(b.store.BeginAudit(b.ctx(), &last))
	sweep := func(now time.Time) {
		t.Helper()
		_, _, err := b.store.Expire(b.ctx(), store.Expiry{TTL: time.Hour, Now: now, Limit: 1})
		b.must(err)
	}
	sweep(start.Add(store.KeepAudit - time.Hour))
	if n := len(b.audited(store.AuditFilter{Limit: 2 * many})); n != many+1 {
		t.Errorf("%d entries that are to be kept", n)
	}
	sweep(start.Add(store.KeepAudit))
	if diff := cmp.Diff([]store.AuditEntry{last}, b.audited(store.AuditFilter{})); diff != "" {
		t.Errorf("kept: %s", diff)
	}
}
