package api

import (
	"context"
	"net/http"
	"time"

	"postyard/internal/catchup"
	"postyard/internal/directory"
	"postyard/internal/mail"
)

// CatchUp reads back from providers what their webhooks did not bring; *catchup.Service does.
type CatchUp interface {
	CatchUp(ctx context.Context, accountID, tpspID int32, since time.Time) ([]catchup.Result, error)
	State(tpspID int32) catchup.State
}

const (
	usualPast  = 24 * time.Hour       // how far back is asked unless the request says it
	longPast   = 366 * 24 * time.Hour // no provider keeps its history for longer
	catchUpFor = 30 * time.Minute     // how long one request may take; it can be made again
)

// caughtUpAnswer tells what came of catching up with one TPSP.
type caughtUpAnswer struct {
	TPSPID        int32    `json:"tpspId"`
	Name          string   `json:"name"`
	Since         int64    `json:"since"`
	MessagesAsked int64    `json:"messagesAsked"` // one by one
	Reports       int64    `json:"reports"`       // what the provider told, whatever it was about
	Recorded      int64    `json:"recorded"`      // events that were new
	Duplicates    int64    `json:"duplicates"`    // events that were known
	Missing       []string `json:"missing"`       // what the provider does not let be read
	Error         string   `json:"error"`
}

// catchUpAnswer tells, with a TPSP, that events are still to be read back.
type catchUpAnswer struct {
	Since   int64  `json:"since"`
	State   string `json:"state"` // waiting, running, failed
	Message string `json:"message"`
	NextTry int64  `json:"nextTry"`
}

// pendingCatchUp is nil for a TPSP that need not be caught up with.
func (s *server) pendingCatchUp(t *directory.TPSP) *catchUpAnswer {
	if t.CatchUp.IsZero() {
		return nil
	}
	state := s.CatchUp.State(t.ID)
	answer := &catchUpAnswer{Since: nanos(t.CatchUp), State: "waiting", Message: state.Error, NextTry: nanos(state.NextTry)}
	switch {
	case state.Running:
		answer.State, answer.NextTry = "running", 0
	case state.Error != "":
		answer.State = "failed"
	}
	return answer
}

// catchUpRequest says what is to be read back.
type catchUpRequest struct {
	Since  string `json:"since"`  // an instant, or how long ago it was; the usual is a day
	TPSPID int32  `json:"tpspId"` // 0: all of the account
}

func (s *server) catchUp(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in catchUpRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	since, err := parseSince(in.Since, time.Now())
	if err != nil {
		return err
	}
	// It takes longer than other operations: the connection's deadlines are not for it.
	s.allowTime(w, r, catchUpFor+time.Minute)
	// Nor is its end for it: proxies cut what takes long, and what was begun is worth to be finished. The end of the server
	// ends it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), catchUpFor)
	defer cancel()
	results, err := s.CatchUp.CatchUp(ctx, a.ID, in.TPSPID, since)
	if err != nil {
		return err
	}
	answers := make([]caughtUpAnswer, len(results))
	for i, res := range results {
		answers[i] = caughtUpAnswer{TPSPID: res.TPSP.ID, Name: res.TPSP.Name, Since: nanos(res.Since), MessagesAsked: res.Asked,
			Reports: res.Reports, Recorded: res.Recorded, Duplicates: res.Duplicates, Missing: orEmpty(res.Missing)}
		if res.Err != nil {
			answers[i].Error = res.Words()
		}
	}
	return reply(w, http.StatusOK, answers)
}

// parseSince reads an instant, or a duration back from now.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now.Add(-usualPast), nil
	}
	since, err := time.Parse(time.RFC3339, text)
	if back, notBack := time.ParseDuration(text); notBack == nil {
		since, err = now.Add(-back), nil
	}
	if err != nil || since.After(now) || since.Before(now.Add(-longPast)) {
		return time.Time{}, mail.Invalid("invalid_since", "since", "since is an instant of the past year, as 2026-11-01T00:00:00Z, or how long "+
			"it was ago, as 48h")
	}
	return since, nil
}
