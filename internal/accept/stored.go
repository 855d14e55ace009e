package accept

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/store"
	"postyard/internal/template"
)

// Stored names a template of the account whose content a request leaves with, and the values that it brings for it.
type Stored struct {
	Name string // of the template; else its ID is looked for
	ID   string // in digits; what is no id of a template may be a name
	// Variables are objects, of which a later one wins over an earlier one, and the request's customFields over all of them.
	Variables []Variables
}

// Variables are values for a template.
type Variables struct {
	Field  string // of the request
	Values json.RawMessage
}

// Templates knows what can be filled in for recipients; *template.Service does.
type Templates interface {
	// Check says what is wrong with the tags of a content, or nil.
	Check(c *mail.Content) *mail.FieldError

	// Stored and StoredNamed return a template of the account, or template.ErrNoStored.
	Stored(ctx context.Context, accountID, id int32) (*store.StoredTemplate, error)
	StoredNamed(ctx context.Context, accountID int32, name string) (*store.StoredTemplate, error)
}

// personalise puts what a stored template has now into the content, so that a later change of the template changes nothing, and looks at
// the tags of the content.
func (s *Service) personalise(ctx context.Context, accountID int32, req *Request) error {
	if s.Templates == nil {
		return nil
	}
	if req.Stored != nil {
		if err := s.insert(ctx, accountID, req.Stored, &req.Content); err != nil {
			return err
		}
	}
	if bad := s.Templates.Check(&req.Content); bad != nil {
		return bad
	}
	return nil
}

// insert puts a template and the values for it into a content. The request's own subject goes before the template's; of the bodies the
// template's go first, and the request's fill in for those that it does not have.
func (s *Service) insert(ctx context.Context, accountID int32, stored *Stored, c *mail.Content) error {
	t, err := s.find(ctx, accountID, stored)
	if err != nil {
		return err
	}
	if strings.TrimSpace(c.Subject) == "" {
		c.Subject = t.Subject
	}
	if t.HTML != "" {
		c.HTML = t.HTML
	}
	if t.Text != "" {
		c.Text = t.Text
	}
	var values json.RawMessage
	for _, v := range stored.Variables {
		fields, ok := object(v.Values)
		if !ok {
			return mail.Invalid("invalid_template_variables", v.Field, "%s must be a JSON object", v.Field)
		}
		if values, err = mail.MergeFields(values, fields); err != nil {
			return fmt.Errorf("accept: %w", err)
		}
	}
	own, ok := object(c.CustomFields)
	if !ok {
		return nil // which is refused by and by
	}
	if len(values) > len("{}") {
		if c.CustomFields, err = mail.MergeFields(values, own); err != nil {
			return fmt.Errorf("accept: %w", err)
		}
	}
	return nil
}

// find returns the template that a request names.
func (s *Service) find(ctx context.Context, accountID int32, stored *Stored) (*store.StoredTemplate, error) {
	field, text := "template", stored.Name
	if text == "" {
		field, text = "templateId", stored.ID
	}
	named := func() (*store.StoredTemplate, error) { return s.Templates.StoredNamed(ctx, accountID, text) }
	numbered := func() (*store.StoredTemplate, error) {
		id, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, template.ErrNoStored
		}
		return s.Templates.Stored(ctx, accountID, int32(id))
	}
	ways := []func() (*store.StoredTemplate, error){named, numbered}
	if stored.Name == "" {
		ways[0], ways[1] = numbered, named
	}
	for _, find := range ways {
		t, err := find()
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, template.ErrNoStored) {
			return nil, fmt.Errorf("accept: %w", err)
		}
	}
	return nil, mail.Invalid("unknown_template", field, "the account has no template %q", text)
}
