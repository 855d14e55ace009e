package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"postyard/internal/ingest"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// receive takes in a provider's webhook. It answers 200 once the body is durable, whatever is in it, because providers drop
// an event for good when they get a 4xx.
func (s *server) receive(w http.ResponseWriter, r *http.Request) error {
	t, ok := s.Kinds.Named(chi.URLParam(r, "provider"))
	if !ok {
		return notFound("there is no such provider")
	}
	accountID, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, mail.MaxRequestBytes)
	if err != nil {
		return err
	}
	if err := s.Ingest.Receive(r.Context(), accountID, t, r.Header, body); err != nil {
		if errors.Is(err, ingest.ErrUnauthorized) {
			w.Header().Set("WWW-Authenticate", `Basic realm="postyard"`)
		}
		return err
	}
	replyEncoded(w, http.StatusOK, taken)
	return nil
}

// taken is the answer to a webhook.
var taken = []byte("{}\n")

// statusAnswer is what the two operations for supervisors say.
type statusAnswer struct {
	Status string `json:"status"`
}

func (s *server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, http.StatusOK, statusAnswer{"alive"})
}

// pulseTimeout is how long the store may take to answer readyz.
const pulseTimeout = 2 * time.Second

func (s *server) readyz(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pulseTimeout)
	defer cancel()
	if s.Directory.Current() == nil {
		return &problem{status: http.StatusServiceUnavailable, Code: "not_ready", Message: "the configuration is not loaded yet"}
	}
	// No account has the id 0: the question costs next to nothing, but the store must work to answer it.
	if _, err := s.Journal.Events(ctx, store.EventFilter{Limit: 1}); err != nil {
		s.Log.WarnContext(ctx, "not ready", "error", err)
		return &problem{
			status: http.StatusServiceUnavailable, retryAfter: retryAfter, Code: "not_ready", Message: "the store does not answer",
		}
	}
	return reply(w, http.StatusOK, statusAnswer{"ready"})
}
