package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"postyard/internal/mail"
	"postyard/internal/store"
)

// Limits of an account's own templates.
const (
	MaxStored     = 5000    // of an account
	MaxStoredName = 200     // characters
	MaxStoredPart = 4 << 20 // bytes of HTML, of text, and of what an editor keeps
)

// Errors of stored templates that callers decide on.
var (
	ErrNoStored  = errors.New("the account has no such template")
	ErrNameTaken = errors.New("the account has a template of this name already")
)

// CreateStored keeps a template of the account. It fails with a *mail.FieldError or ErrNameTaken.
func (s *Service) CreateStored(ctx context.Context, accountID int32, c store.TemplateChange) (*store.StoredTemplate, error) {
	if c.Name == nil {
		c.Name = new(string)
	}
	if err := s.checkChange(&c); err != nil {
		return nil, err
	}
	return s.keep(ctx, &store.StoredTemplate{AccountID: accountID, Name: *c.Name, Subject: orNone(c.Subject), HTML: orNone(c.HTML), Text: orNone(c.Text),
		Editor: orNone(c.Editor)})
}

func (s *Service) keep(ctx context.Context, t *store.StoredTemplate) (*store.StoredTemplate, error) {
	known, err := s.Store.StoredTemplates(ctx, t.AccountID)
	if err != nil {
		return nil, fmt.Errorf("create template: %w", err)
	}
	if len(known) >= MaxStored {
		return nil, mail.Invalid("too_many_templates", "", "an account has at most %d templates", MaxStored)
	}
	now := s.Now().UTC()
	t.Created, t.Updated = now, now
	if err := s.Store.CreateTemplate(ctx, t); err != nil {
		return nil, storedError("create template", err)
	}
	return t, nil
}

// ChangeStored changes what is not nil, and returns what it is then. It fails with a *mail.FieldError, ErrNoStored or ErrNameTaken.
func (s *Service) ChangeStored(ctx context.Context, accountID, id int32, c store.TemplateChange) (*store.StoredTemplate, error) {
	if err := s.checkChange(&c); err != nil {
		return nil, err
	}
	if err := s.Store.ChangeTemplate(ctx, accountID, id, c, s.Now().UTC()); err != nil {
		return nil, storedError("change template", err)
	}
	return s.Stored(ctx, accountID, id)
}

// CopyStored makes another template like one, with everything that it has. Without a name it is called after it.
func (s *Service) CopyStored(ctx context.Context, accountID, id int32, name string) (*store.StoredTemplate, error) {
	from, err := s.Stored(ctx, accountID, id)
	if err != nil {
		return nil, err
	}
	if name = strings.TrimSpace(name); name != "" {
		if bad := checkStoredName(name); bad != nil {
			return nil, bad
		}
		made := *from
		made.Name = name
		return s.keep(ctx, &made)
	}
	for n := 1; ; n++ {
		made, suffix := *from, " (copy)"
		if n > 1 {
			suffix = fmt.Sprintf(" (copy %d)", n)
		}
		made.Name = strings.TrimSpace(firstOf(from.Name, MaxStoredName-len(suffix))) + suffix
		if copied, err := s.keep(ctx, &made); n == MaxStored || !errors.Is(err, ErrNameTaken) {
			return copied, err
		}
	}
}

// firstOf returns the first so many characters.
func firstOf(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most])
}

// DeleteStored removes a template and returns what it was. Messages that were accepted with it keep what it gave them. It fails with ErrNoStored.
func (s *Service) DeleteStored(ctx context.Context, accountID, id int32) (*store.StoredTemplate, error) {
	t, err := s.Stored(ctx, accountID, id)
	if err != nil {
		return nil, err
	}
	return t, storedError("delete template", s.Store.DeleteTemplate(ctx, accountID, id))
}

// Stored returns a template of the account, or ErrNoStored.
func (s *Service) Stored(ctx context.Context, accountID, id int32) (*store.StoredTemplate, error) {
	t, err := s.Store.StoredTemplate(ctx, accountID, id)
	return t, storedError("read template", err)
}

// StoredNamed returns the account's template of exactly this name, or ErrNoStored.
func (s *Service) StoredNamed(ctx context.Context, accountID int32, name string) (*store.StoredTemplate, error) {
	t, err := s.Store.StoredTemplateNamed(ctx, accountID, name)
	return t, storedError("read template", err)
}

// StoredList returns the account's templates whose name contains search in any case, in the order of ids, without HTML, Text and Editor.
func (s *Service) StoredList(ctx context.Context, accountID int32, search string) ([]store.StoredTemplate, error) {
	list, err := s.Store.StoredTemplates(ctx, accountID)
	search = strings.ToLower(search)
	return slices.DeleteFunc(list, func(t store.StoredTemplate) bool { return !strings.Contains(strings.ToLower(t.Name), search) }),
		storedError("read templates", err)
}

// storedError is an error of the store in this package's words.
func storedError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return ErrNoStored
	case errors.Is(err, store.ErrConflict):
		return ErrNameTaken
	}
	return fmt.Errorf("%s: %w", what, err)
}

// checkChange applies the rules of templates to what is not nil, and trims the name. It returns a *mail.FieldError or nil.
func (s *Service) checkChange(c *store.TemplateChange) error {
	if c.Name != nil {
		name := strings.TrimSpace(*c.Name)
		if bad := checkStoredName(name); bad != nil {
			return bad
		}
		c.Name = &name
	}
	if c.Subject != nil {
		if n := utf8.RuneCountInString(*c.Subject); n > mail.MaxSubject || strings.ContainsAny(*c.Subject, "\r\n\x00") {
			return mail.Invalid("invalid_subject", "subject", "a subject is a single line of at most %d characters", mail.MaxSubject)
		}
		if bad := s.press.checkPart("subject", *c.Subject, false); bad != nil {
			return bad
		}
	}
	for _, part := range []struct {
		field string
		text  *string
		html  bool
	}{{"html", c.HTML, true}, {"text", c.Text, false}} {
		if part.text == nil {
			continue
		}
		if len(*part.text) > MaxStoredPart || strings.Contains(*part.text, "\x00") {
			return mail.Invalid("invalid_template", part.field, "it has at most %d bytes, none of them NUL", MaxStoredPart)
		}
		if bad := s.press.checkPart(part.field, *part.text, part.html); bad != nil {
			return bad
		}
	}
	if c.Editor != nil && (len(*c.Editor) > MaxStoredPart || *c.Editor != "" && !json.Valid([]byte(*c.Editor))) {
		return mail.Invalid("invalid_template", "editor", "it is JSON of at most %d bytes", MaxStoredPart)
	}
	return nil
}

func checkStoredName(name string) *mail.FieldError {
	switch {
	case name == "":
		return mail.Invalid("missing_name", "name", "a name is needed")
	case utf8.RuneCountInString(name) > MaxStoredName || strings.ContainsFunc(name, unicode.IsControl):
		return mail.Invalid("invalid_name", "name", "a name is a single line of at most %d characters", MaxStoredName)
	}
	return nil
}

func orNone(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
