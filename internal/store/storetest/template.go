package storetest

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
	"postyard/internal/store"
)

func mirrored(t provider.Template) store.MirroredTemplate {
	return store.MirroredTemplate{Template: t, Hash: sha256.Sum256([]byte(t.Subject + t.HTML + t.Text))}
}

func templates(t *testing.T, b *bench) {
	index := func() store.TemplateIndex {
		t.Helper()
		i, err := b.store.TemplateIndex(b.ctx())
		b.must(err)
		revision, err := b.store.TemplateRevision(b.ctx())
		b.must(err)
		if revision != i.Revision {
			t.Errorf("revision %d, in the index %d", revision, i.Revision)
		}
		return i
	}
	save := func(tpspID int32, at time.Time, list ...store.MirroredTemplate) store.MirrorChange {
		t.Helper()
		change, err := b.store.SaveTemplates(b.ctx(), tpspID, list, at)
		b.must(err)
		return change
	}
	if i := index(); len(i.Mirrors)+len(i.Templates) != 0 {
		t.Errorf("fresh: %+v", i)
	}
	layout := mirrored(provider.Template{Alias: "frame", Name: "Frame", Layout: true, HTML: "<html>{{{ @content }}}</html>"})
	welcome := mirrored(provider.Template{Alias: "welcome", Name: "Wëlcome", Around: "frame", Subject: "Hi {{name}}",
		HTML: strings.Repeat("<p>é</p>", 100_000), Text: "😀"})
	upper := mirrored(provider.Template{Alias: "Welcome", Name: "Another", Subject: "No", Text: "no"})
	upper.Fault = "line 1"
	if got := save(b.tpsp.ID, b.now, layout, welcome, upper); got != (store.MirrorChange{Added: 3}) {
		t.Errorf("first: %+v", got)
	}
	first := index()
	head := func(m store.MirroredTemplate, at time.Time) store.MirroredTemplate {
		m.TPSPID, m.AccountID, m.ChangedAt = b.tpsp.ID, b.account.ID, at
		m.Subject, m.HTML, m.Text = "", "", ""
		return m
	}
	want := store.TemplateIndex{Revision: first.Revision, Mirrors: []store.Mirror{{TPSPID: b.tpsp.ID, SyncedAt: b.now}},
		Templates: []store.MirroredTemplate{head(upper, b.now), head(layout, b.now), head(welcome, b.now)}}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	later := b.now.Add(time.Hour)
	if got := save(b.tpsp.ID, later, layout, welcome, upper); got != (store.MirrorChange{}) {
		t.Errorf("the same again: %+v", got)
	}
	if i := index(); i.Revision == first.Revision || !i.Mirrors[0].SyncedAt.Equal(later) {
		t.Errorf("the same again: %+v", i)
	}
	changed := welcome
	changed.Subject, changed.Hash = "Hello", sha256.Sum256([]byte("Hello"))
	fresh := mirrored(provider.Template{Alias: "fresh", Text: "x"})
	if got := save(b.tpsp.ID, later, changed, fresh); got != (store.MirrorChange{Added: 1, Changed: 1, Removed: 2}) {
		t.Errorf("changed: %+v", got)
	}
	b.restart()
	second := index()
	if second.Revision == first.Revision || len(second.Templates) != 2 || !second.Templates[1].ChangedAt.Equal(later) {
		t.Errorf("changed: %+v", second)
	}
	got, err := b.store.Template(b.ctx(), b.tpsp.ID, "welcome")
	b.must(err)
	changed.TPSPID, changed.AccountID, changed.ChangedAt = b.tpsp.ID, b.account.ID, later
	if diff := cmp.Diff(&changed, got); diff != "" {
		t.Error(diff)
	}
	for _, alias := range []string{"frame", "WELCOME", ""} {
		if _, err := b.store.Template(b.ctx(), b.tpsp.ID, alias); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", alias, err)
		}
	}
	templatesOfOthers(t, b, index, save)
}

// templatesOfOthers: TPSPs do not share templates, and those of deleted ones stay until they are dropped.
func templatesOfOthers(t *testing.T, b *bench, index func() store.TemplateIndex, save func(int32, time.Time, ...store.MirroredTemplate) store.MirrorChange) {
	before := index()
	other, _ := b.newTPSP(b.account.ID, "Other", "token two", "outbound")
	if got := save(other.ID, b.now); got != (store.MirrorChange{}) {
		t.Errorf("an empty server: %+v", got)
	}
	if i := index(); len(i.Mirrors) != 2 || i.Revision == before.Revision || len(i.Templates) != len(before.Templates) {
		t.Errorf("the first sync of an empty server: %+v", i)
	}
	save(other.ID, b.now, mirrored(provider.Template{Alias: "welcome", Text: "other"}))
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, other.ID, false, b.now))
	if kept, err := b.store.Template(b.ctx(), other.ID, "welcome"); err != nil || kept.Text != "other" {
		t.Errorf("of a deleted one: %+v %v", kept, err)
	}
	for _, id := range []int32{other.ID, other.ID + 1000} {
		if _, err := b.store.SaveTemplates(b.ctx(), id, nil, b.now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("TPSP %d: %v", id, err)
		}
	}
	before = index()
	b.must(b.store.DropTemplates(b.ctx(), other.ID))
	if i := index(); i.Revision == before.Revision || len(i.Templates) != len(before.Templates)-1 {
		t.Errorf("dropped: %+v", i)
	}
	before = index()
	b.must(b.store.DropTemplates(b.ctx(), other.ID))
	if i := index(); i.Revision != before.Revision {
		t.Error("nothing was dropped, and the revision changed")
	}
}
