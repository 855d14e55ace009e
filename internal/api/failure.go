package api

import (
	"net/http"
	"time"

	"postyard/internal/directory"
)

// Which attempts are looked at for those that failed.
const (
	failuresFor = 7 * 24 * time.Hour // of messages submitted since
	failuresOf  = 5_000              // of these, the newest ones
)

// failuresAnswer are attempts that a provider did not accept.
type failuresAnswer struct {
	From     int64           `json:"from"`     // of messages submitted since then, in ns
	Attempts []failedAttempt `json:"attempts"` // the newest first, five at most
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
	found, err := s.Queue.Failures(r.Context(), a.ID, id, s.Now().Add(-failuresFor), failuresOf)
	if err != nil {
		return err
	}
	answer := failuresAnswer{From: nanos(found.From), Attempts: make([]failedAttempt, len(found.Newest))}
	for i := range found.Newest {
		answer.Attempts[i] = failedAttempt{found.Newest[i].MessageID.String(), s.attemptAnswerOf(&found.Newest[i].Attempt)}
	}
	return reply(w, http.StatusOK, answer)
}
