package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// How events are looked through.
const (
	exportPiece   = 1000             // events of one piece of an export
	lookAtOnce    = 20_000           // events that one question looks at
	countingFor   = 20 * time.Second // of a count that looks at events
	searchingFor  = 5 * time.Second  // of a page of a search; the cursor goes on
	countOvertime = 10 * time.Second // what is left to answer
)

// journalOperations are those that count and export events, and show what an address was sent.
func (s *server) journalOperations(v1 string) []operation {
	page := []parameter{
		{Name: "limit", Kind: "integer", Summary: "the most messages of the answer, 20 unless it is said"},
		{Name: "offset", Kind: "integer", Summary: "how many messages are skipped"},
		{Name: "before", Kind: "string", Summary: "from the X-Next-Cursor of the last page, to go on"},
	}
	return []operation{
		op(http.MethodGet, v1+"/account/event/count", accountKey, "count events", s.forAccount(s.countEvents)).
			asks(eventParameters...).answers(http.StatusOK, countAnswer{}),
		op(http.MethodPost, v1+"/account/event/export", accountKey, "export events as CSV or NDJSON", s.forAccount(s.exportEvents)).reads().
			asks(parameter{Name: "format", Kind: "string", Summary: "csv, or ndjson: one event a line, as the list has them"}).asks(eventParameters...).
			body(exportRequest{}).orNone().answers(http.StatusOK, nil).as("text/csv", "application/x-ndjson"),
		op(http.MethodGet, v1+"/account/recipient/{email}/messages", accountKey, "list the messages to an address, newest first", s.forAccount(s.listRecipientMessages)).
			asks(page...).answers(http.StatusOK, []messageAnswer{}),
		op(http.MethodGet, v1+"/account/subaccount/count", accountKey, "count sub-accounts", s.forAccount(s.countSubAccounts)).
			asks(searchParameter("name")).answers(http.StatusOK, countAnswer{}),
		op(http.MethodGet, v1+"/account/ippool/count", accountKey, "count IP pools", s.forAccount(s.countPools)).
			asks(searchParameter("name")).answers(http.StatusOK, countAnswer{}),
		op(http.MethodGet, v1+"/account/ippool/search", accountKey, "search IP pools by their names", s.forAccount(s.listPools)).
			asks(pageParameters("name")...).answers(http.StatusOK, []poolAnswer{}),
	}
}

// searchFilter reads a search: an id finds what has it, anything else is a part of an address.
func (s *server) searchFilter(q url.Values, f *store.EventFilter) (none bool, err error) {
	const most = 320 // no address is longer
	text := strings.TrimSpace(q.Get("search"))
	if len(text) > most {
		return false, badParameter("search", "must have at most "+strconv.Itoa(most)+" bytes")
	}
	if id, ok := messageID(text); ok {
		none = f.MessageID != (mail.ID{}) && f.MessageID != id
		f.MessageID = id
		return none, nil
	}
	if seq, ok := s.seqOf(text); ok {
		f.After, f.Before = seq-1, seq+1
		return false, nil
	}
	f.Search = text
	return false, nil
}

// mustSearch tells whether much of the log may have to be looked at for a page: no index finds what the filter selects.
func mustSearch(f *store.EventFilter) bool {
	if f.Recipient != "" || f.MessageID != (mail.ID{}) {
		return false
	}
	return f.Looks() || f.From.IsZero() && f.To.IsZero() && (len(f.Types) > 0 || f.TPSPIDs != nil || f.SubAccountID != 0 || f.Mailbox != "")
}

// searchEvents reads a page of what a filter selects, stretch by stretch, so that no question to the store lasts long. next is where
// to go on when the time was over before the page was full, else 0.
func (s *server) searchEvents(ctx context.Context, f store.EventFilter) (events []store.Event, next int64, err error) {
	until := s.Now().Add(searchingFor)
	for ctx.Err() == nil {
		end, last, err := s.Events.EventStretch(ctx, f, lookAtOnce)
		if err != nil {
			return nil, 0, err
		}
		stretch := f
		stretch.Limit = f.Limit - len(events)
		switch {
		case last:
		case f.Newest:
			stretch.After = end - 1
		default:
			stretch.Before = end + 1
		}
		found, err := s.Journal.Events(ctx, stretch)
		if err != nil {
			return nil, 0, err
		}
		if len(found) > 0 {
			events, f.Offset = append(events, found...), 0
		} else if f.Offset > 0 {
			skipped, err := s.Events.CountStretch(ctx, stretch)
			if err != nil {
				return nil, 0, err
			}
			f.Offset -= int(skipped)
		}
		if last || len(events) >= f.Limit {
			return events, 0, nil
		}
		if f.Newest {
			f.Before = end
		} else {
			f.After = end
		}
		switch over := s.Now().After(until); {
		case over && f.Offset == 0:
			return events, end, nil
		case over:
			return nil, 0, badParameter("offset", "there is too much to look through before this page; go on from the cursor of the last one")
		}
	}
	return nil, 0, ctx.Err()
}

// countAll counts what a filter selects, piece by piece, until a time.
func (s *server) countAll(ctx context.Context, f store.EventFilter, until time.Time) (total int64, err error) {
	for from, done := (store.TallyPlace{}), false; !done; {
		var n int64
		if n, from, done, err = s.Events.CountEvents(ctx, f, from, lookAtOnce); err != nil {
			return 0, err
		}
		total += n
		if !done && s.Now().After(until) {
			return 0, badParameter("from", "there is too much to look through; ask for fewer days, or for whole days by sub-account, provider, mailbox provider and type alone")
		}
	}
	return total, nil
}

func (s *server) countEvents(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	f, none, err := s.eventFilter(r.URL.Query(), a.ID)
	if err != nil {
		return err
	}
	if none {
		return reply(w, http.StatusOK, countAnswer{})
	}
	s.allowTime(w, r, countingFor+countOvertime)
	n, err := s.countAll(r.Context(), f, s.Now().Add(countingFor))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, countAnswer{int(n)})
}

// exportRequest says in a body what a query may say as well. What the query says counts.
type exportRequest struct {
	Format       string  `json:"format"`
	Search       string  `json:"search"`
	Type         []int32 `json:"type"`
	MessageID    string  `json:"messageId"`
	Recipient    string  `json:"recipient"`
	From         string  `json:"from"`
	To           string  `json:"to"`
	Provider     string  `json:"provider"`
	Source       string  `json:"source"`
	SourceID     int32   `json:"sourceId"`
	TPSPID       int32   `json:"tpspId"`
	IPID         int32   `json:"ipId"`
	SubAccountID int32   `json:"subAccountId"`
	Mailbox      string  `json:"mailbox"`
	Group        string  `json:"group"`
	Domain       string  `json:"domain"`
	Reason       string  `json:"reason"`
	Device       string  `json:"device"`
	Client       string  `json:"client"`
	OS           string  `json:"os"`
	Country      string  `json:"country"`
	First        bool    `json:"first"`
}

// exportQuery returns what a request asks for, in its query or its body, which may be empty.
func exportQuery(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	q := r.URL.Query()
	body, err := readBody(w, r, maxBody)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return q, err
	}
	var in exportRequest
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	types := make([]string, len(in.Type))
	for i, t := range in.Type {
		types[i] = number(t)
	}
	first := ""
	if in.First {
		first = "true"
	}
	for name, value := range map[string]string{"domain": in.Domain, "reason": in.Reason, "device": in.Device, "client": in.Client, "os": in.OS, "country": in.Country,
		"first": first, "format": in.Format, "search": in.Search, "type": strings.Join(types, ","), "messageId": in.MessageID,
		"recipient": in.Recipient, "from": in.From, "to": in.To, "provider": in.Provider, "mailbox": in.Mailbox, "group": in.Group, "source": in.Source,
		"sourceId": number(in.SourceID), "tpspId": number(in.TPSPID), "ipId": number(in.IPID), "subAccountId": number(in.SubAccountID)} {
		if value != "" && value != "0" && !q.Has(name) {
			q.Set(name, value)
		}
	}
	return q, nil
}

// exportEvents streams what a filter selects, in the order in which it happened: what was recorded before the export began, and
// nothing else.
func (s *server) exportEvents(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	q, err := exportQuery(w, r)
	if err != nil {
		return err
	}
	f, none, err := s.eventFilter(q, a.ID)
	if err != nil {
		return err
	}
	write, mediaType, name := eventCSV, mediaCSV, "events.csv"
	switch format := q.Get("format"); format {
	case "", "csv":
	case "ndjson":
		write, mediaType, name = eventNDJSON, mediaNDJSON, "events.ndjson"
	default:
		return badParameter("format", "must be csv or ndjson")
	}
	if f.Before == 0 {
		last, err := s.Events.LastEvent(r.Context(), a.ID)
		if err != nil {
			return err
		}
		f.Before = last + 1
	}
	var from store.TallyPlace
	first := true
	return s.stream(w, r, mediaType, name, func() (piece []byte, done bool, err error) {
		var events []store.Event
		if done = none; !none {
			if events, from, done, err = s.Events.EventsInTime(r.Context(), f, from, exportPiece); err != nil {
				return nil, false, err
			}
		}
		answers := make([]eventAnswer, len(events))
		for i := range events {
			answers[i] = s.eventAnswer(&events[i])
		}
		var b bytes.Buffer
		err = write(&b, first, answers)
		first = false
		return b.Bytes(), done, err
	})
}

func eventNDJSON(b *bytes.Buffer, _ bool, events []eventAnswer) error {
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	for i := range events {
		if err := encoder.Encode(events[i]); err != nil {
			return err
		}
	}
	return nil
}

// eventColumns are those of an exported CSV file. Times are RFC 3339 in UTC.
var eventColumns = []string{"eventID", "type", "event", "submittedAt", "messageID", "accountID", "subAccountID", "ipPoolID", "tpspId", "ipID", "messageType", "from",
	"fromName", "to", "toName", "messageSubject", "groups", "smtpCode", "smtpDescription", "clickedURL", "trackedIP", "rawUserAgent"}

func eventCSV(b *bytes.Buffer, first bool, events []eventAnswer) error {
	file := newCSV(b)
	if first {
		file.row(append([]string{}, eventColumns...)...)
	}
	for i := range events {
		e := &events[i]
		d := &e.EventMetadata
		groups := strings.Join(e.Groups, ",")
		file.row(e.EventID, strconv.Itoa(e.Type), typeName(e.Type), csvTime(e.SubmittedAt), e.MessageID, number(e.AccountID), number(e.SubAccountID),
			number(e.IPPoolID), number(e.TPSPID), number(e.IPID), e.MessageType, e.From, e.FromName, e.To, e.ToName, e.MessageSubject, groups, strconv.Itoa(e.SMTPCode),
			e.SMTPDescription, d.ClickedURL, d.TrackedIP, d.RawUserAgent)
	}
	file.Flush()
	return file.Error()
}

func typeName(id int) string {
	info, _ := event.Describe(event.Type(id)) // one that is not known has no name
	return info.Name
}

func number(n int32) string { return strconv.Itoa(int(n)) }

// csvTime shows nanoseconds since 1970 as people and spreadsheets read them.
func csvTime(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

func (s *server) countSubAccounts(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	return reply(w, http.StatusOK, countAnswer{len(s.Accounts.SubAccounts(a.ID, strings.TrimSpace(r.URL.Query().Get("search"))))})
}

func (s *server) countPools(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	n, search := 0, strings.TrimSpace(r.URL.Query().Get("search"))
	for _, pool := range s.Directory.Current().Pools(a.ID) {
		if contains(pool.Name, search) {
			n++
		}
	}
	return reply(w, http.StatusOK, countAnswer{n})
}
