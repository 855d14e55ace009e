package api

import (
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/sendpost"
	"postyard/internal/store"
)

// eventAnswer is SendPost's Event.
type eventAnswer = sendpost.Event[event.Detail]

func (s *server) eventAnswer(e *store.Event) eventAnswer {
	detail := e.Detail
	detail.Provider = nil // not in SendPost's schema; getProviderFields shows it
	return eventAnswer{
		EventID: s.eventID(e.Seq), Groups: orEmpty(e.Groups), IPID: e.IPID, IPPoolID: e.PoolID, TPSPID: e.TPSPID,
		MessageType: string(e.Mailbox), MessageSubject: e.Subject, AccountID: e.AccountID, SubAccountID: e.SubAccountID,
		MessageID: e.MessageID.String(), Type: int(e.Type), From: e.From.Email, FromName: e.From.Name, To: e.Recipient,
		ToName: e.ToName, SubmittedAt: nanos(e.OccurredAt), SMTPCode: detail.SMTPCode, SMTPDescription: detail.SMTPDescription,
		EventMetadata: detail,
	}
}

// eventID returns the public id of an event.
func (s *server) eventID(seq int64) string { return sendpost.EventID(s.Installation, seq) }

// seqOf reads an id that eventID gave out.
func (s *server) seqOf(id string) (int64, bool) { return sendpost.SeqOf(s.Installation, id) }

// listEvents lists events. Without an order they come as they were recorded, so pages by offset do not shift while new ones
// arrive; pages by cursor (after, before) never do.
func (s *server) listEvents(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	f, none, err := s.eventFilter(r.URL.Query(), a.ID)
	if err != nil {
		return err
	}
	if none {
		return reply(w, http.StatusOK, []eventAnswer{})
	}
	return s.replyEvents(w, r, f)
}

// replyEvents answers with one page of events, and says where the next one begins when this one is full.
func (s *server) replyEvents(w http.ResponseWriter, r *http.Request, f store.EventFilter) error {
	if err := s.eventPage(r.URL.Query(), &f); err != nil {
		return err
	}
	var events []store.Event
	var next int64
	var err error
	if mustSearch(&f) {
		events, next, err = s.searchEvents(r.Context(), f)
	} else {
		events, err = s.Journal.Events(r.Context(), f)
	}
	if err != nil {
		return err
	}
	answers := make([]eventAnswer, len(events))
	for i := range events {
		answers[i] = s.eventAnswer(&events[i])
	}
	if len(events) > 0 && len(events) >= f.Limit {
		next = events[len(events)-1].Seq
	}
	if next != 0 {
		cursor := s.eventID(next)
		w.Header().Set("X-Next-Cursor", cursor)
		w.Header().Set("Link", "<"+nextPage(r.URL, f.Newest, cursor)+`>; rel="next"`) // RFC 8288
	}
	return reply(w, http.StatusOK, answers)
}

// nextPage returns the same query, going on after the cursor.
func nextPage(u *url.URL, newest bool, cursor string) string {
	q := u.Query()
	q.Del("offset")
	if newest {
		q.Set("before", cursor)
	} else {
		q.Set("after", cursor)
	}
	return u.EscapedPath() + "?" + q.Encode()
}

func (s *server) getEvent(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := s.findEvent(r, a)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.eventAnswer(e))
}

// getProviderFields answers with what the provider said in its own words: RecordType, MessageID, Tag, ... (PM-31).
func (s *server) getProviderFields(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	e, err := s.findEvent(r, a)
	if err != nil {
		return err
	}
	fields := e.Detail.Provider
	if fields == nil {
		fields = map[string]string{}
	}
	return reply(w, http.StatusOK, fields)
}

func (s *server) findEvent(r *http.Request, a *directory.Account) (*store.Event, error) {
	seq, ok := s.seqOf(chi.URLParam(r, "id"))
	if !ok {
		return nil, notFound("this is not the id of an event of this server")
	}
	events, err := s.Journal.Events(r.Context(), store.EventFilter{AccountID: a.ID, After: seq - 1, Before: seq + 1, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(events) != 1 || events[0].Seq != seq {
		return nil, notFound("the account has no such event")
	}
	return &events[0], nil
}
