package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/store"
)

func storedTemplates(t *testing.T, b *bench) {
	other, _ := b.newAccount("other")
	welcome := store.StoredTemplate{AccountID: b.account.ID, Name: "Wëlcome", Subject: "Hi {{name}}", HTML: "<p>" + strings.Repeat("ü", 1<<18), Text: "t",
		Editor: `{"a":[1]}`, Created: b.now, Updated: b.now}
	b.must(b.store.CreateTemplate(b.ctx(), &welcome))
	again := welcome
	if err := b.store.CreateTemplate(b.ctx(), &again); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same name twice: %v", err)
	}
	lower := store.StoredTemplate{AccountID: b.account.ID, Name: "wëlcome", Created: b.now, Updated: b.now} // names match exactly
	b.must(b.store.CreateTemplate(b.ctx(), &lower))
	theirs := store.StoredTemplate{AccountID: other.ID, Name: "Wëlcome", Text: "theirs", Created: b.now, Updated: b.now}
	b.must(b.store.CreateTemplate(b.ctx(), &theirs))

	read := func(want store.StoredTemplate) {
		t.Helper()
		byID, err := b.store.StoredTemplate(b.ctx(), want.AccountID, want.ID)
		b.must(err)
		byName, err := b.store.StoredTemplateNamed(b.ctx(), want.AccountID, want.Name)
		b.must(err)
		for _, got := range []*store.StoredTemplate{byID, byName} {
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Error(diff)
			}
		}
	}
	read(welcome)
	read(theirs)
	for name, err := range map[string]error{
		"read by id": second(b.store.StoredTemplate(b.ctx(), b.account.ID, theirs.ID)), "read by name": second(b.store.StoredTemplateNamed(b.ctx(), other.ID, "wëlcome")),
		"changed": b.store.ChangeTemplate(b.ctx(), other.ID, welcome.ID, store.TemplateChange{}, b.now), "deleted": b.store.DeleteTemplate(b.ctx(), other.ID, welcome.ID),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another account's template is %s: %v", name, err)
		}
	}

	later := b.now.Add(time.Hour)
	subject, editor := "", "null"
	b.must(b.store.ChangeTemplate(b.ctx(), b.account.ID, welcome.ID, store.TemplateChange{Subject: &subject, Editor: &editor}, later))
	welcome.Subject, welcome.Editor, welcome.Updated = subject, editor, later
	read(welcome)
	name, html, text := "Hello", "h", "x"
	b.must(b.store.ChangeTemplate(b.ctx(), b.account.ID, welcome.ID, store.TemplateChange{Name: &name, HTML: &html, Text: &text}, later))
	welcome.Name, welcome.HTML, welcome.Text = name, html, text
	read(welcome)
	if err := b.store.ChangeTemplate(b.ctx(), b.account.ID, lower.ID, store.TemplateChange{Name: &name}, later); !errors.Is(err, store.ErrConflict) {
		t.Errorf("renamed to another one's name: %v", err)
	}
	read(lower)

	heads, err := b.store.StoredTemplates(b.ctx(), b.account.ID)
	b.must(err)
	head := welcome
	head.HTML, head.Text, head.Editor = "", "", ""
	if diff := cmp.Diff([]store.StoredTemplate{head, lower}, heads); diff != "" {
		t.Error(diff)
	}
	b.must(b.store.DeleteTemplate(b.ctx(), b.account.ID, welcome.ID))
	if err := b.store.DeleteTemplate(b.ctx(), b.account.ID, welcome.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	fresh := store.StoredTemplate{AccountID: b.account.ID, Name: name, Created: b.now, Updated: b.now}
	b.must(b.store.CreateTemplate(b.ctx(), &fresh))
	if fresh.ID <= theirs.ID {
		t.Errorf("id %d of a deleted template is given out again", fresh.ID)
	}
	read(fresh)
}

func second[T any](_ T, err error) error { return err }
