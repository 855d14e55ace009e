package accept_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"postyard/internal/accept"
	"postyard/internal/mail"
	"postyard/internal/store"
	"postyard/internal/template"
)

// shelf has templates; one in whose parts there is a question mark is refused.
type shelf struct {
	list []store.StoredTemplate
	err  error
}

func (*shelf) Check(c *mail.Content) *mail.FieldError {
	if strings.Contains(c.Subject+c.HTML+c.Text, "?") && !c.Literal {
		return mail.Invalid("template_syntax", "htmlBody", "a question")
	}
	return nil
}

func (s *shelf) find(accountID int32, is func(*store.StoredTemplate) bool) (*store.StoredTemplate, error) {
	for i := range s.list {
		if t := &s.list[i]; t.AccountID == accountID && is(t) {
			return t, nil
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	return nil, template.ErrNoStored
}

func (s *shelf) Stored(_ context.Context, accountID, id int32) (*store.StoredTemplate, error) {
	return s.find(accountID, func(t *store.StoredTemplate) bool { return t.ID == id })
}

func (s *shelf) StoredNamed(_ context.Context, accountID int32, name string) (*store.StoredTemplate, error) {
	return s.find(accountID, func(t *store.StoredTemplate) bool { return t.Name == name })
}

func TestStoredTemplates(t *testing.T) {
	t.Parallel()
	templates := &shelf{list: []store.StoredTemplate{
		{ID: 1, AccountID: 1, Name: "one", Subject: "S", HTML: "H", Text: "T"}, {ID: 2, AccountID: 1, Name: "1", HTML: "h"}, {ID: 3, AccountID: 2, Name: "theirs"},
		{ID: 4, AccountID: 1, Name: "why?", HTML: "?"},
	}}
	b := simple(t, func(c *accept.Config) { c.Templates = templates })
	for name, tc := range map[string]struct {
		stored accept.Stored
		own    mail.Content
		want   string // subject, HTML, text, customFields
	}{
		"by name":       {accept.Stored{Name: "one"}, mail.Content{}, "S H T "},
		"a name first":  {accept.Stored{Name: "1"}, mail.Content{Subject: "s", Text: "own"}, "s h own "},
		"an id first":   {accept.Stored{ID: "1"}, mail.Content{HTML: "own"}, "S H T "},
		"an id as name": {accept.Stored{Name: "2"}, mail.Content{Subject: " "}, " h  "},
		"variables": {accept.Stored{Name: "one", Variables: []accept.Variables{{Field: "a", Values: json.RawMessage(`{"x":1,"y":1,"z":1}`)}, {Field: "b", Values: json.RawMessage(" null ")},
			{Field: "c", Values: json.RawMessage(`{"y":2,"z":2}`)}}}, mail.Content{CustomFields: json.RawMessage(` {"z":3}`)}, `S H T {"x":1,"y":2,"z":3}`},
		"no variables": {accept.Stored{Name: "one", Variables: []accept.Variables{{Field: "a"}, {Field: "b", Values: json.RawMessage("{}")}}}, mail.Content{}, "S H T "},
	} {
		stored, own := tc.stored, tc.own
		before := len(b.books.messages())
		b.mustAccept(request(func(r *accept.Request) {
			r.Stored = &stored
			r.Content.Subject, r.Content.HTML, r.Content.Text, r.Content.CustomFields = own.Subject, own.HTML, own.Text, own.CustomFields
		}))
		c := b.books.messages()[before].Content
		if got := strings.Join([]string{c.Subject, c.HTML, c.Text, string(c.CustomFields)}, " "); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	for name, tc := range map[string]struct {
		stored      accept.Stored
		code, field string
	}{
		"unknown":    {accept.Stored{Name: "nowhere"}, "unknown_template", "template"},
		"unknown id": {accept.Stored{ID: "77"}, "unknown_template", "templateId"},
		"theirs":     {accept.Stored{Name: "theirs"}, "unknown_template", "template"},
		"their id":   {accept.Stored{ID: "3"}, "unknown_template", "templateId"},
		"variables":  {accept.Stored{Name: "one", Variables: []accept.Variables{{Field: "dynamicData", Values: json.RawMessage("[]")}}}, "invalid_template_variables", "dynamicData"},
		"syntax":     {accept.Stored{Name: "why?"}, "template_syntax", "htmlBody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simple(t, func(c *accept.Config) { c.Templates = templates }).refuses(request(func(r *accept.Request) { r.Stored = &tc.stored }), tc.code, tc.field)
		})
	}
}

func TestStoredTemplatesAreAway(t *testing.T) {
	t.Parallel()
	b := simple(t, func(c *accept.Config) { c.Templates = &shelf{err: store.ErrUnavailable} })
	if _, err := b.accept(request(func(r *accept.Request) { r.Stored = &accept.Stored{Name: "one"} })); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	b.storedNothing()
}

// Tags are looked at in every request, unless it says that it has none.
func TestTagsAreChecked(t *testing.T) {
	t.Parallel()
	b := simple(t, func(c *accept.Config) { c.Templates = &shelf{} })
	b.refuses(request(func(r *accept.Request) { r.Content.Text = "?" }), "template_syntax", "htmlBody")
	b.mustAccept(request(func(r *accept.Request) { r.Content.Text, r.Content.Literal = "?", true }))
}
