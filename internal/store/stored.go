package store

import (
	"context"
	"time"
)

// StoredTemplates keeps the accounts' own templates, which are filled in by us whatever provider carries the message.
type StoredTemplates interface {
	// CreateTemplate stores a template and gives its id. ErrConflict: the account has one of this name.
	CreateTemplate(ctx context.Context, t *StoredTemplate) error

	// ChangeTemplate changes what is not nil. ErrNotFound: the account has no such template; ErrConflict: it has another one of the name.
	ChangeTemplate(ctx context.Context, accountID, id int32, c TemplateChange, at time.Time) error

	// DeleteTemplate removes a template for good: what was accepted has a copy of its own. ErrNotFound: the account has no such template.
	DeleteTemplate(ctx context.Context, accountID, id int32) error

	// StoredTemplate returns a template with its parts, or ErrNotFound.
	StoredTemplate(ctx context.Context, accountID, id int32) (*StoredTemplate, error)

	// StoredTemplateNamed returns the template of exactly this name with its parts, or ErrNotFound.
	StoredTemplateNamed(ctx context.Context, accountID int32, name string) (*StoredTemplate, error)

	// StoredTemplates returns the account's templates in the order of ids, without HTML, Text and Editor.
	StoredTemplates(ctx context.Context, accountID int32) ([]StoredTemplate, error)
}

// StoredTemplate is a template of an account.
type StoredTemplate struct {
	ID        int32 // given by the store
	AccountID int32
	Name      string // unique within the account
	Subject   string
	HTML      string
	Text      string
	Editor    string // JSON that an editor keeps with it, or empty
	Created   time.Time
	Updated   time.Time
}

// TemplateChange is what is changed of a template; nil stays as it is.
type TemplateChange struct{ Name, Subject, HTML, Text, Editor *string }
