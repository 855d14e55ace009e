package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// StoredTemplates keeps the accounts' own templates; *template.Service does.
type StoredTemplates interface {
	CreateStored(ctx context.Context, accountID int32, c store.TemplateChange) (*store.StoredTemplate, error)
	ChangeStored(ctx context.Context, accountID, id int32, c store.TemplateChange) (*store.StoredTemplate, error)
	CopyStored(ctx context.Context, accountID, id int32, name string) (*store.StoredTemplate, error)
	DeleteStored(ctx context.Context, accountID, id int32) (*store.StoredTemplate, error)
	Stored(ctx context.Context, accountID, id int32) (*store.StoredTemplate, error)
	StoredList(ctx context.Context, accountID int32, search string) ([]store.StoredTemplate, error)
}

// maxStoredBody is how many bytes a request has that brings a template: HTML and what an editor keeps.
const maxStoredBody = 8 << 20

// storedRequest is a template as it comes. What is absent or null stays as it is; the names that bodies have in a send are
// taken as well.
type storedRequest struct {
	Name     *string         `json:"name"`
	Subject  *string         `json:"subject"`
	HTML     *string         `json:"html"`
	Text     *string         `json:"text"`
	HTMLBody *string         `json:"htmlBody"`
	TextBody *string         `json:"textBody"`
	Editor   json.RawMessage `json:"editor"` // any JSON; it is kept and given back
}

func (in *storedRequest) change() store.TemplateChange {
	c := store.TemplateChange{Name: in.Name, Subject: in.Subject, HTML: in.HTML, Text: in.Text}
	if c.HTML == nil {
		c.HTML = in.HTMLBody
	}
	if c.Text == nil {
		c.Text = in.TextBody
	}
	if editor := string(in.Editor); editor != "" && editor != "null" {
		c.Editor = &editor
	}
	return c
}

// storedHead is a stored template in a list.
type storedHead struct {
	ID      int32  `json:"id"`
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Created int64  `json:"created"`
	Updated int64  `json:"updated"`
}

// storedAnswer is a stored template.
type storedAnswer struct {
	ID      int32           `json:"id"`
	Name    string          `json:"name"`
	Subject string          `json:"subject"`
	HTML    string          `json:"html"`
	Text    string          `json:"text"`
	Editor  json.RawMessage `json:"editor"` // null: there is none
	Created int64           `json:"created"`
	Updated int64           `json:"updated"`
}

func replyStored(w http.ResponseWriter, t *store.StoredTemplate, err error) error {
	if err != nil {
		return err
	}
	answer := storedAnswer{ID: t.ID, Name: t.Name, Subject: t.Subject, HTML: t.HTML, Text: t.Text, Created: nanos(t.Created), Updated: nanos(t.Updated)}
	if t.Editor != "" {
		answer.Editor = json.RawMessage(t.Editor)
	}
	return reply(w, http.StatusOK, answer)
}

// storedOperations are the operations on the account's own templates.
func (s *server) storedOperations(v1 string) []operation {
	path := v1 + "/account/template"
	return []operation{
		op(http.MethodGet, path, accountKey, "list the account's own templates", s.forAccount(s.listStored)).
			asks(pageParameters("name")...).answers(http.StatusOK, []storedHead{}),
		op(http.MethodPost, path, accountKey, "create a template", s.forAccount(s.createStored)).
			body(storedRequest{}).answers(http.StatusOK, storedAnswer{}),
		op(http.MethodGet, path+"/count", accountKey, "count the account's own templates", s.forAccount(s.countStored)).
			asks(parameter{Name: "search", Kind: "string", Summary: "part of the name"}).answers(http.StatusOK, countAnswer{}),
		op(http.MethodGet, path+"/{id}", accountKey, "read a template", s.forAccount(s.getStored)).
			answers(http.StatusOK, storedAnswer{}),
		op(http.MethodPut, path+"/{id}", accountKey, "change a template", s.forAccount(s.changeStored)).
			body(storedRequest{}).answers(http.StatusOK, storedAnswer{}),
		op(http.MethodDelete, path+"/{id}", accountKey, "delete a template", s.forAccount(s.deleteStored)).
			answers(http.StatusOK, deletedAnswer{}),
		op(http.MethodPost, path+"/{id}/copy", accountKey, "copy a template", s.forAccount(s.copyStored)).
			body(nameRequest{}).answers(http.StatusOK, storedAnswer{}),
	}
}

func (s *server) listStored(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	p, err := listPage(r.URL.Query())
	if err != nil {
		return err
	}
	list, err := s.Templates.StoredList(r.Context(), a.ID, p.search)
	if err != nil {
		return err
	}
	list = cut(list, p)
	answers := make([]storedHead, len(list))
	for i := range list {
		t := &list[i]
		answers[i] = storedHead{ID: t.ID, Name: t.Name, Subject: t.Subject, Created: nanos(t.Created), Updated: nanos(t.Updated)}
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) countStored(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	list, err := s.Templates.StoredList(r.Context(), a.ID, strings.TrimSpace(r.URL.Query().Get("search")))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, countAnswer{Count: len(list)})
}

func readStored(w http.ResponseWriter, r *http.Request) (store.TemplateChange, error) {
	var in storedRequest
	body, err := readBody(w, r, maxStoredBody)
	if err == nil {
		err = decode(body, &in)
	}
	return in.change(), err
}

func (s *server) createStored(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	change, err := readStored(w, r)
	if err != nil {
		return err
	}
	t, err := s.Templates.CreateStored(r.Context(), a.ID, change)
	return replyStored(w, t, err)
}

func (s *server) getStored(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	t, err := s.Templates.Stored(r.Context(), a.ID, id)
	return replyStored(w, t, err)
}

func (s *server) changeStored(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	change, err := readStored(w, r)
	if err != nil {
		return err
	}
	t, err := s.Templates.ChangeStored(r.Context(), a.ID, id, change)
	return replyStored(w, t, err)
}

// copyStored copies a template; the body, with a name, may be left out.
func (s *server) copyStored(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var in nameRequest
	body, err := readBody(w, r, maxBody)
	if err == nil && len(bytes.TrimSpace(body)) > 0 {
		err = decode(body, &in)
	}
	if err != nil {
		return err
	}
	t, err := s.Templates.CopyStored(r.Context(), a.ID, id, in.Name)
	return replyStored(w, t, err)
}

func (s *server) deleteStored(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	t, err := s.Templates.DeleteStored(r.Context(), a.ID, id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, deletedAnswer{ID: t.ID, Message: "Template (" + t.Name + ") has been deleted successfully."})
}

// stored returns the stored template that a send names, nil when it names none.
func (s *sendRequest) stored(needed bool) (*accept.Stored, error) {
	named := &accept.Stored{Name: strings.TrimSpace(s.Template), Variables: []accept.Variables{
		{Field: "templateVariables", Values: s.TemplateVariables}, {Field: "dynamicData", Values: s.DynamicData}}}
	switch raw := bytes.TrimSpace(s.TemplateID); {
	case len(raw) == 0 || string(raw) == "null":
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &named.ID); err != nil {
			return nil, mail.Invalid("wrong_type", "templateId", "templateId must be a string or a number")
		}
		named.ID = strings.TrimSpace(named.ID)
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		named.ID = string(raw)
	default:
		return nil, mail.Invalid("wrong_type", "templateId", "templateId must be a string or a number")
	}
	switch {
	case named.Name != "" || named.ID != "":
		return named, nil
	case needed:
		return nil, mail.Invalid("missing_template", "template", "a stored template is needed: its name as template, or its id as templateId")
	}
	return nil, nil
}
