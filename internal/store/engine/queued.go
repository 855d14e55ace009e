package engine

import (
	"encoding/json"
	"slices"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/store"
)

// QueuedRow is a row that Queued has looked at; K is the id of its content.
type QueuedRow[K comparable] struct {
	store.Queued
	Class     int // of the mailbox provider
	Plan      []byte
	Recipient []byte
	ContentID K
	Wanted    bool
}

// mostContents bounds the contents that one look takes into memory, in bytes.
const mostContents = 32 << 20

// CompleteQueued turns rows into messages, and reads each content once, when the filter wants them. It ends early when they take
// too much memory: last is how far it came. What cannot be read is left out; it waits, and says so when it is claimed.
func CompleteQueued[K comparable](rows []QueuedRow[K], f *store.QueuedFilter, read func(K) ([]byte, error)) (list []store.Queued, last mail.ID, err error) {
	contents, size := map[K]*mail.Content{}, 0
	for i := range rows {
		r := &rows[i]
		if r.Wanted && size > mostContents {
			return list, last, nil
		}
		last = r.ID
		if !r.Wanted || !r.complete(f) {
			continue
		}
		if f.Content {
			known, found := contents[r.ContentID]
			if !found {
				body, err := read(r.ContentID)
				if err != nil {
					return nil, mail.ID{}, err
				}
				size += len(body)
				known, _ = Content(body)
				contents[r.ContentID] = known
			}
			if r.Content = known; known == nil {
				continue
			}
		}
		list = append(list, r.Queued)
	}
	return list, last, nil
}

// complete decodes what is encoded; ok is false when it cannot be, or when the filter does not want the message after all.
func (r *QueuedRow[K]) complete(f *store.QueuedFilter) (ok bool) {
	var err error
	if r.Mailbox, err = mailbox.ByID(r.Class); err != nil || f.Mailboxes != nil && !slices.Contains(f.Mailboxes, r.Mailbox) {
		return false
	}
	if json.Unmarshal(r.Plan, &r.Queued.Plan) != nil {
		return false
	}
	return !f.Content || json.Unmarshal(r.Recipient, &r.Queued.Recipient) == nil
}
