package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"postyard/internal/directory"
	"postyard/internal/mail"
)

// Labels manages the labels of accounts; *account.Service does.
type Labels interface {
	Label(accountID, id int32) (*directory.Label, error)
	Labels(accountID int32, search string) []*directory.Label
	CreateLabel(ctx context.Context, accountID int32, name, color string) (*directory.Label, error)
	UpdateLabel(ctx context.Context, accountID, id int32, name, color string) (*directory.Label, error)
	DeleteLabel(ctx context.Context, accountID, id int32) (*directory.Label, error)
	LabelSubAccount(ctx context.Context, accountID, id int32, labels []int32) (*directory.SubAccount, error)
}

// label is SendPost's Label, as a sub-account has it.
type label struct {
	ID      int32  `json:"id"`
	Name    string `json:"name"`
	Created int64  `json:"created"`
}

// labelAnswer is a label on its own.
type labelAnswer struct {
	label
	Color string `json:"color"`
}

// labelRequest makes or changes a label. What is absent of a change stays.
type labelRequest struct {
	Name  *string `json:"name"`
	Color *string `json:"color"`
}

// labelReference names a label: by its id, by its name, or by an object with one of them.
type labelReference struct {
	id   int32
	name string
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *labelReference) UnmarshalJSON(raw []byte) error {
	*l = labelReference{}
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '"':
		return json.Unmarshal(raw, &l.name)
	case '{':
		var in struct {
			ID   int32  `json:"id"`
			Name string `json:"name"`
		}
		err := json.Unmarshal(raw, &in)
		l.id, l.name = in.ID, in.Name
		return err
	default:
		return json.Unmarshal(raw, &l.id)
	}
}

// labelOperations are the operations on labels.
func (s *server) labelOperations(v1 string) []operation {
	const path = "/account/label"
	return []operation{
		op(http.MethodGet, v1+path, accountKey, "list labels", s.forAccount(s.listLabels)).
			asks(pageParameters("label's name")...).answers(http.StatusOK, []labelAnswer{}),
		op(http.MethodPost, v1+path, accountKey, "create a label", s.forAccount(s.createLabel)).
			body(labelRequest{}).answers(http.StatusOK, labelAnswer{}),
		op(http.MethodGet, v1+path+"/count", accountKey, "count labels", s.forAccount(s.countLabels)).
			asks(searchParameter("name")).answers(http.StatusOK, countAnswer{}),
		op(http.MethodGet, v1+path+"/{id}", accountKey, "read a label", s.forAccount(s.getLabel)).
			answers(http.StatusOK, labelAnswer{}),
		op(http.MethodPut, v1+path+"/{id}", accountKey, "change a label", s.forAccount(s.updateLabel)).
			body(labelRequest{}).answers(http.StatusOK, labelAnswer{}),
		op(http.MethodDelete, v1+path+"/{id}", accountKey, "delete a label", s.forAccount(s.deleteLabel)).
			answers(http.StatusOK, deletedAnswer{}),
	}
}

func labelOf(l *directory.Label) label {
	return label{ID: l.ID, Name: l.Name, Created: nanos(l.Created)}
}

func labelAnswerOf(l *directory.Label) labelAnswer {
	return labelAnswer{label: labelOf(l), Color: l.Color}
}

// labelsOf returns the labels of a sub-account.
func (s *server) labelsOf(a *directory.SubAccount) []label {
	list := []label{}
	now := s.Directory.Current()
	for _, id := range a.Labels {
		if l := now.Label(a.AccountID, id); l != nil {
			list = append(list, labelOf(l))
		}
	}
	return list
}

// findLabels finds the labels that a request names.
func (s *server) findLabels(accountID int32, list []labelReference) ([]int32, error) {
	ids, known := make([]int32, len(list)), s.Accounts.Labels(accountID, "")
	for i, ref := range list {
		for _, l := range known {
			if ref.id == l.ID || ref.id == 0 && strings.TrimSpace(ref.name) == l.Name {
				ids[i] = l.ID
			}
		}
		if ids[i] == 0 {
			named := fmt.Sprint(ref.id)
			if ref.id == 0 {
				const shown = 60
				named = fmt.Sprintf("%.*q", shown, ref.name)
			}
			return nil, mail.Invalid("unknown_label", fmt.Sprintf("labels[%d]", i), "the account has no label %s", named)
		}
	}
	return ids, nil
}

func (s *server) listLabels(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	p, err := listPage(r.URL.Query())
	if err != nil {
		return err
	}
	list := cut(s.Accounts.Labels(a.ID, p.search), p)
	answers := make([]labelAnswer, len(list))
	for i, l := range list {
		answers[i] = labelAnswerOf(l)
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) countLabels(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	return reply(w, http.StatusOK, countAnswer{len(s.Accounts.Labels(a.ID, strings.TrimSpace(r.URL.Query().Get("search"))))})
}

func (s *server) createLabel(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in labelRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	l, err := s.Accounts.CreateLabel(r.Context(), a.ID, orElse(in.Name, ""), orElse(in.Color, ""))
	return s.replyLabel(w, l, err)
}

func (s *server) getLabel(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	l, err := s.findLabel(r, a)
	return s.replyLabel(w, l, err)
}

func (s *server) updateLabel(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	l, err := s.findLabel(r, a)
	if err != nil {
		return err // before the body is judged
	}
	var in labelRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	l, err = s.Accounts.UpdateLabel(r.Context(), a.ID, l.ID, orElse(in.Name, l.Name), orElse(in.Color, l.Color))
	return s.replyLabel(w, l, err)
}

func (s *server) deleteLabel(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	l, err := s.Accounts.DeleteLabel(r.Context(), a.ID, id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, deletedAnswer{ID: id, Message: "Label (" + l.Name + ") has been deleted successfully"})
}

// findLabel finds the label that the path names.
func (s *server) findLabel(r *http.Request, a *directory.Account) (*directory.Label, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return s.Accounts.Label(a.ID, id)
}

// replyLabel answers with a label, unless there was an error.
func (s *server) replyLabel(w http.ResponseWriter, l *directory.Label, err error) error {
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, labelAnswerOf(l))
}

// orElse returns what is given, or what stands in its place.
func orElse[T any](given *T, absent T) T {
	if given == nil {
		return absent
	}
	return *given
}
