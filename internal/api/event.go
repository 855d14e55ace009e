package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/store"
)

// eventAnswer is SendPost's Event.
type eventAnswer struct {
	EventID         string       `json:"eventID"`
	Groups          []string     `json:"groups"`
	IPID            int32        `json:"ipID"`
	IPPoolID        int32        `json:"ipPoolID"`
	DomainID        int32        `json:"domainID"`
	TPSPID          int32        `json:"tpspId"` // 0: native
	MessageType     string       `json:"messageType"`
	MessageSubject  string       `json:"messageSubject"`
	AccountID       int32        `json:"accountID"`
	SubAccountID    int32        `json:"subAccountID"`
	MessageID       string       `json:"messageID"`
	Type            int          `json:"type"`
	From            string       `json:"from"`
	FromName        string       `json:"fromName"`
	To              string       `json:"to"`
	ToName          string       `json:"toName"`
	SubmittedAt     int64        `json:"submittedAt"` // when it happened
	SMTPCode        int          `json:"smtpCode"`
	SMTPDescription string       `json:"smtpDescription"`
	EventMetadata   event.Detail `json:"eventMetadata"`
}

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

// seqDigits is how many hexadecimal digits of an event's sequence number stand in its id.
const seqDigits = 16

// eventID returns the public id of an event: unique over all installations, ordered within one.
func (s *server) eventID(seq int64) string {
	return fmt.Sprintf("%s-%0*x", s.Installation, seqDigits, uint64(seq))
}

// seqOf reads an id that eventID gave out.
func (s *server) seqOf(id string) (int64, bool) {
	digits, ok := strings.CutPrefix(id, s.Installation+"-")
	if !ok || len(digits) != seqDigits {
		return 0, false
	}
	seq, err := strconv.ParseInt(digits, 16, 64)
	return seq, err == nil && seq > 0 && s.eventID(seq) == id
}

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
