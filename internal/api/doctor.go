package api

import (
	"context"
	"net/http"
	"time"

	"postyard/internal/directory"
	"postyard/internal/doctor"
)

// Doctor looks for what keeps mail from flowing; *doctor.Service does.
type Doctor interface {
	Examine(ctx context.Context, accountID int32, q doctor.Question) ([]doctor.Check, error)
}

// checkAnswer is one thing that the doctor looked at.
type checkAnswer struct {
	Check   string `json:"check"`
	TPSPID  int32  `json:"tpspId"` // 0: it is about the account
	TPSP    string `json:"tpsp"`
	Status  string `json:"status"` // ok, warn, fail
	Message string `json:"message"`
	Fix     string `json:"fix"` // what repairs it, "" when it is ok
}

func (s *server) doctorOperations() []operation {
	return []operation{op(http.MethodGet, "/api/v1/account/doctor", accountKey, "look for what keeps mail from flowing, and tell how to repair it",
		s.forAccount(s.examine)).
		asks(parameter{Name: "tpspId", Kind: "integer", Summary: "only this provider"},
			parameter{Name: "template", Kind: "string", Summary: "the template that mail is to use"},
			parameter{Name: "ippool", Kind: "string", Summary: "the name of the IP pool that mail is to go through"}).
		answers(http.StatusOK, []checkAnswer{})}
}

func (s *server) examine(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	q := r.URL.Query()
	id, err := optionalID(q, "tpspId")
	if err != nil {
		return err
	}
	s.allowTime(w, r, doctor.Longest+time.Minute)
	list, err := s.Doctor.Examine(r.Context(), a.ID, doctor.Question{TPSPID: id, Template: q.Get("template"), Pool: q.Get("ippool")})
	if err != nil {
		return err
	}
	answers := make([]checkAnswer, len(list))
	for i, c := range list {
		answers[i] = checkAnswer{Check: c.Name, TPSPID: c.TPSPID, TPSP: c.TPSP, Status: string(c.Status), Message: c.Message, Fix: c.Fix}
	}
	return reply(w, http.StatusOK, answers)
}
