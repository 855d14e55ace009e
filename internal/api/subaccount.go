package api

import (
	"fmt"
	"math"
	"net/http"

	"postyard/internal/directory"
)

// subAccountAnswer is SendPost's SubAccount. We have no SMTP credentials; their key stands with the value of a sub-account that has none.
// One under a blocked one is blocked as well.
type subAccountAnswer struct {
	ID                   int32    `json:"id"`
	APIKey               string   `json:"apiKey"` // in clear, as SendPost has it; masked for viewers
	Name                 string   `json:"name"`
	Labels               []label  `json:"labels"`
	SMTPAuths            []string `json:"smtpAuths"`
	Type                 int      `json:"type"` // 0 regular, 1 plus
	IsPlus               bool     `json:"isPlus"`
	Created              int64    `json:"created"`
	CreatedBy            *string  `json:"created_by"`
	UpdatedBy            *string  `json:"updated_by"`
	Blocked              bool     `json:"blocked"`
	BlockedAt            int32    `json:"blocked_at"` // seconds, 0 when it is not blocked. CL-6: Go clients have an int32 here
	BlockReason          string   `json:"block_reason"`
	HBExempt             bool     `json:"hb_exempt"`
	GenerateWeeklyReport bool     `json:"generate_weekly_report"`
	Handlers             []string `json:"handlers"`
}

// deletedAnswer is SendPost's answer to every deletion.
type deletedAnswer struct {
	ID      int32  `json:"id"`
	Message string `json:"message"`
}

func (s *server) subAccountAnswer(r *http.Request, a *directory.SubAccount) (subAccountAnswer, error) {
	key, err := s.Accounts.Key(a)
	if err != nil {
		return subAccountAnswer{}, fmt.Errorf("sub-account %d: %w", a.ID, err)
	}
	shown := key.Reveal()
	if !seesSecrets(r) {
		shown = key.Mask()
	}
	answer := subAccountAnswer{
		ID: a.ID, APIKey: shown, Name: a.Name, Created: nanos(a.Created),
		Labels: s.labelsOf(a), SMTPAuths: []string{}, Handlers: []string{},
	}
	if by := s.Directory.Current().Blocker(a); by != nil {
		answer.Blocked, answer.BlockedAt, answer.BlockReason = true, int32(min(by.Blocked.Unix(), math.MaxInt32)), by.BlockReason
	}
	return answer, nil
}

// replySubAccount answers with a sub-account, unless there was an error.
func (s *server) replySubAccount(w http.ResponseWriter, r *http.Request, status int, a *directory.SubAccount, err error) error {
	if err != nil {
		return err
	}
	answer, err := s.subAccountAnswer(r, a)
	if err != nil {
		return err
	}
	return reply(w, status, answer)
}

func (s *server) listSubAccounts(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	p, err := listPage(r.URL.Query())
	if err != nil {
		return err
	}
	list := cut(s.Accounts.SubAccounts(a.ID, p.search), p)
	answers := make([]subAccountAnswer, len(list))
	for i, sub := range list {
		if answers[i], err = s.subAccountAnswer(r, sub); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) createSubAccount(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in subAccountRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	labels, err := s.findLabels(a.ID, in.Labels)
	if err != nil {
		return err
	}
	sub, err := s.Accounts.CreateSubAccount(r.Context(), a.ID, orElse(in.Name, ""))
	if err == nil && len(labels) > 0 {
		sub, err = s.Accounts.LabelSubAccount(r.Context(), a.ID, sub.ID, labels)
	}
	return s.replySubAccount(w, r, http.StatusCreated, sub, err) // CL-3: clients want 201
}

func (s *server) getSubAccount(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	sub, err := s.Accounts.SubAccount(a.ID, id)
	return s.replySubAccount(w, r, http.StatusOK, sub, err)
}

// updateSubAccount changes what the body names. Without labels a name is required, as SendPost has it.
func (s *server) updateSubAccount(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	sub, err := s.Accounts.SubAccount(a.ID, id)
	if err != nil {
		return err // before the body is judged
	}
	var in subAccountRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	labels, err := s.findLabels(a.ID, in.Labels)
	if err != nil {
		return err
	}
	if in.Name != nil || in.Labels == nil {
		if sub, err = s.Accounts.RenameSubAccount(r.Context(), a.ID, id, orElse(in.Name, "")); err != nil {
			return err
		}
	}
	if in.Labels != nil {
		sub, err = s.Accounts.LabelSubAccount(r.Context(), a.ID, id, labels)
	}
	return s.replySubAccount(w, r, http.StatusOK, sub, err)
}

func (s *server) deleteSubAccount(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	sub, err := s.Accounts.DeleteSubAccount(r.Context(), a.ID, id)
	if err != nil {
		return err
	}
	s.Changed() // a pause of it has ended
	return reply(w, http.StatusOK, deletedAnswer{ID: id, Message: "Sub-Account (" + sub.Name + ") has been deleted successfully."})
}

// subAccountRequest is the body that makes or changes a sub-account. Labels are ours; absent, they stay.
type subAccountRequest struct {
	Name   *string          `json:"name"`
	Labels []labelReference `json:"labels"`
}

// nameRequest is the body of what has a name and nothing else that users give.
type nameRequest struct {
	Name string `json:"name"`
}

func readName(w http.ResponseWriter, r *http.Request) (string, error) {
	var in nameRequest
	err := decodeBody(w, r, &in)
	return in.Name, err
}
