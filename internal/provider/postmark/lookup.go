package postmark

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

const (
	pageSize    = 500    // Postmark's most for a page
	maxSearch   = 10_000 // Postmark's most for offset + count
	fewMessages = 20     // up to so many messages are asked for one by one: as many calls as the longest search has pages
	parallel    = 8      // questions at a time
	searchSlack = 15 * time.Minute
)

// sentMessage is one entry of a search.
type sentMessage struct {
	MessageID  string
	ReceivedAt string
	Metadata   record
}

// Lookup implements provider.Adapter: it searches the outbound messages by the metadata that every send carries. Postmark
// shows a message some time after it took it, so "not found" is not final; see the caller.
//
// It reads pages, newest first, until all are found or what follows is older than since. Few messages, and those that
// remain when Postmark's limit or half of the time ends a search before that, are asked for one by one. What was found counts
// also when an error ended the search.
func (a *Adapter) Lookup(ctx context.Context, conn provider.Connection, ids []mail.ID, since time.Time) ([]provider.Found, error) {
	if isTrial(conn) {
		return nil, errTrial
	}
	s := search{adapter: a, conn: conn, since: since, missing: make(map[mail.ID]bool, len(ids))}
	for _, id := range ids {
		s.missing[id] = true
	}
	var err error
	if len(s.missing) > fewMessages {
		err = s.pages(ctx)
	} else {
		err = s.singly(ctx)
	}
	if err != nil {
		err = fmt.Errorf("look up %d messages: %w", len(ids), err)
	}
	return s.found, err
}

// search is one Lookup under way.
type search struct {
	adapter *Adapter
	conn    provider.Connection
	since   time.Time
	missing map[mail.ID]bool
	found   []provider.Found
	order   order // of the entries that were read
}

func (s *search) pages(ctx context.Context) error {
	half, cancel := halfOf(ctx)
	defer cancel()
	for offset := 0; offset < maxSearch; offset += pageSize {
		query := url.Values{
			"count": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(offset)},
			"metadata_" + tpspIDKey: {strconv.Itoa(int(s.conn.TPSPID))},
		}
		if !s.since.IsZero() {
			// Dates are days on the US East Coast, which is behind UTC: the day before is early enough everywhere.
			query.Set("fromdate", s.since.UTC().AddDate(0, 0, -1).Format(time.DateOnly))
		}
		page, err := s.page(half, query)
		switch {
		case err != nil && half.Err() != nil && ctx.Err() == nil:
			return s.singly(ctx)
		case err != nil:
			return err
		}
		if len(s.missing) == 0 || len(page) < pageSize || s.order.past(s.since) {
			return nil
		}
	}
	return s.singly(ctx)
}

// halfOf returns a context that ends when half of the time is over that ctx has.
func halfOf(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/2)
}

// singly asks for each missing message by its own id, until one question fails.
func (s *search) singly(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ids := make(chan mail.ID, len(s.missing))
	for id := range s.missing {
		ids <- id
	}
	close(ids)
	var taking sync.Mutex
	var asking sync.WaitGroup
	for range min(parallel, len(s.missing)) {
		asking.Go(func() {
			for id := range ids {
				if ctx.Err() != nil {
					return
				}
				list, err := s.read(ctx, url.Values{"count": {"1"}, "offset": {"0"}, "metadata_" + messageIDKey: {id.String()}})
				if err != nil {
					stop(err)
					return
				}
				taking.Lock()
				s.take(list)
				taking.Unlock()
			}
		})
	}
	asking.Wait()
	return context.Cause(ctx)
}

// page reads one page and takes what was missing from it.
func (s *search) page(ctx context.Context, query url.Values) ([]sentMessage, error) {
	list, err := s.read(ctx, query)
	for _, m := range list {
		if at, ok := parseTime(m.ReceivedAt); ok {
			s.order.observe(at)
		}
	}
	s.take(list)
	return list, err
}

func (s *search) read(ctx context.Context, query url.Values) ([]sentMessage, error) {
	const path = "/messages/outbound"
	query.Set("messagestream", s.conn.Stream)
	var answer struct{ Messages *[]sentMessage }
	if err := s.adapter.ask(ctx, s.conn, call{method: http.MethodGet, path: path, query: query}, &answer); err != nil {
		return nil, err
	}
	if answer.Messages == nil {
		return nil, unreadable(path)
	}
	return *answer.Messages, nil
}

func (s *search) take(list []sentMessage) {
	for _, m := range list {
		id := m.Metadata.messageID()
		if !s.missing[id] {
			continue
		}
		delete(s.missing, id)
		s.found = append(s.found, provider.Found{ID: id, ProviderMessageID: provider.Clean(m.MessageID, maxID)})
	}
}
