package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// Sizes of a page of messages.
const (
	defaultMessages = 20
	maxMessages     = 100
)

func typesOf(kind event.Kind) (types []event.Type) {
	for _, info := range event.Catalogue() {
		if info.Kind == kind {
			types = append(types, info.Type)
		}
	}
	return types
}

// listRecipientMessages lists the messages to an address, newest first. They are found by their first events, which an index has by
// recipient, and read one by one, because each may be as large as a request.
func (s *server) listRecipientMessages(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	text := chi.URLParam(r, "email")
	if r.URL.RawPath != "" { // the router matched that
		var err error
		if text, err = url.PathUnescape(text); err != nil {
			return notFound("this is not an address; there is nothing under it")
		}
	}
	email, err := mail.ParseEmail(text)
	if err != nil {
		return notFound("this is not an address; there is nothing under it")
	}
	q := r.URL.Query()
	f := store.EventFilter{AccountID: a.ID, Recipient: email, Types: processedTypes, Newest: true}
	if f.Limit, err = wholeNumber(q, "limit", defaultMessages, 1, maxMessages); err != nil {
		return err
	}
	if f.Offset, err = wholeNumber(q, "offset", 0, 0, maxOffset); err != nil {
		return err
	}
	if f.Before, err = s.cursor(q, "before"); err != nil {
		return err
	}
	events, err := s.Journal.Events(r.Context(), f)
	if err != nil {
		return err
	}
	if len(events) == f.Limit {
		cursor := s.eventID(events[len(events)-1].Seq)
		w.Header().Set("X-Next-Cursor", cursor)
		w.Header().Set("Link", "<"+nextPage(r.URL, true, cursor)+`>; rel="next"`)
	}
	n := 0
	return s.stream(w, r, contentType[0], "", func() (piece []byte, done bool, err error) {
		var b bytes.Buffer
		if n == 0 {
			b.WriteByte('[')
		}
		if n < len(events) {
			if n > 0 {
				b.WriteByte(',')
			}
			if err := s.writeMessage(r, &b, &events[n]); err != nil {
				return nil, false, err
			}
			n++
		}
		if done = n >= len(events); done {
			b.WriteString("]\n")
		}
		return b.Bytes(), done, nil
	})
}

func (s *server) writeMessage(r *http.Request, b *bytes.Buffer, e *store.Event) error {
	m, err := s.Journal.Message(r.Context(), e.AccountID, e.MessageID)
	if err != nil {
		return errors.Join(fmt.Errorf("message of event %d", e.Seq), err)
	}
	answer, err := s.messageAnswer(r, m)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answer); err != nil {
		return fmt.Errorf("encode message %s: %w", m.ID, err)
	}
	b.Truncate(b.Len() - 1) // the end of the line
	return nil
}
