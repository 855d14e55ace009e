package api

import (
	"net/http"
	"time"

	"postyard/internal/directory"
	"postyard/internal/store"
)

// failuresFor is how far back failed attempts are shown.
const failuresFor = 7 * 24 * time.Hour

// failuresAnswer are attempts that a provider did not accept.
type failuresAnswer struct {
	Attempts []failedAttempt `json:"attempts"` // of a week, the last one first, five at most
}

// failedAttempt is an attempt of a message.
type failedAttempt struct {
	MessageID string `json:"messageID"`
	attemptAnswer
}

// failureOperations tell what went wrong at providers, whatever became of the mail.
func (s *server) failureOperations(v1 string) []operation {
	return []operation{
		op(http.MethodGet, v1+"/account/tpsp/{id}/failures", accountKey, "list the last attempts that a provider did not accept", s.forAccount(s.listFailures)).
			answers(http.StatusOK, failuresAnswer{}),
	}
}

func (s *server) listFailures(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if _, err := s.Providers.TPSP(a.ID, id); err != nil {
		return err
	}
	found, err := s.Queue.FailedAttempts(r.Context(), a.ID, id, s.Now().Add(-failuresFor), store.MostFailures)
	if err != nil {
		return err
	}
	answer := failuresAnswer{Attempts: make([]failedAttempt, len(found))}
	for i := range found {
		answer.Attempts[i] = failedAttempt{found[i].MessageID.String(), s.attemptAnswerOf(&found[i].Attempt)}
	}
	return reply(w, http.StatusOK, answer)
}
