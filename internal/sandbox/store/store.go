package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"postyard/internal/sandbox/journal"
)

// Store is safe for concurrent use.
type Store struct {
	now func() time.Time

	mu        sync.RWMutex
	journal   *journal.Journal
	mails     []*Mail
	byID      map[string]*Mail
	index     map[string][]int32
	nextEvent int64
}

// Restorer rebuilds a provider's state while a journal is read, in the order in which things happened.
type Restorer interface {
	// RestoreDocument brings back a document; a nil value says that it was removed.
	RestoreDocument(kind, id string, value json.RawMessage) error
	// RestoreMail brings back the content and the keys of a mail from its raw bytes, which are its to keep.
	RestoreMail(mail *Mail, raw json.RawMessage) (Content, []string, error)
	// RestoreEvents tells about events that were raised for a mail.
	RestoreEvents(mail *Mail, events []Event)
}

// Memory returns an empty store that keeps nothing on disk. now is asked for the time of each mail.
func Memory(now func() time.Time) *Store {
	s := &Store{now: now}
	s.clear()
	return s
}

// Open returns a store that keeps everything in the journal file at path, filled with what is there. providers are the restorers
// by provider name; a record of an unknown provider is an error.
func Open(path string, now func() time.Time, providers map[string]Restorer) (*Store, error) {
	s := Memory(now)
	j, err := journal.Open(path, func(line []byte) error { return s.restore(line, providers) })
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s.journal = j
	return s, nil
}

// OnDisk tells whether there is a journal: without one, nobody needs the raw form of a mail.
func (s *Store) OnDisk() bool { return s.journal != nil }

// Close closes the journal. What is in memory can still be read.
func (s *Store) Close() error { return s.journal.Close() }

func (s *Store) clear() {
	s.mails, s.byID, s.index, s.nextEvent = nil, map[string]*Mail{}, map[string][]int32{}, 0
}

// Document is something that a provider keeps under a kind and an id.
type Document struct {
	Provider, Kind, ID string
	Value              any // its JSON form is kept
}

// Reset forgets all mails, events and documents, except those documents that are to stay. A kill leaves all of it or this.
func (s *Store) Reset(stay []Document) error {
	var lines []byte
	for _, d := range stay {
		r, err := d.record()
		if err != nil {
			return fmt.Errorf("store: reset: %s %s: %w", d.Kind, d.ID, err)
		}
		line, err := r.line()
		if err != nil {
			return fmt.Errorf("store: reset: %s %s: %w", d.Kind, d.ID, err)
		}
		lines = append(lines, line...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.journal.Replace(lines); err != nil {
		return fmt.Errorf("store: reset: %w", err)
	}
	s.clear()
	return nil
}

// Add accepts mails, all or none, and returns them in order. When it returns they are in the journal.
func (s *Store) Add(batch []New) ([]*Mail, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	if n := len(s.mails); n > 0 && s.mails[n-1].ReceivedAt.After(at) {
		at = s.mails[n-1].ReceivedAt
	}
	added := make([]*Mail, len(batch))
	for i, n := range batch {
		added[i] = &Mail{Seq: len(s.mails) + i, ID: n.ID, Provider: n.Provider, Server: n.Server, Stream: n.Stream,
			ReceivedAt: at, Content: n.Content}
	}
	if s.journal != nil {
		if err := s.journal.Append(mailLine(batch, added)); err != nil {
			return nil, fmt.Errorf("store: add: %w", err)
		}
	}
	for i, mail := range added {
		s.insert(mail, batch[i].Keys)
	}
	return added, nil
}

func (s *Store) insert(mail *Mail, keys []string) {
	s.mails = append(s.mails, mail)
	s.byID[mail.ID] = mail
	for _, key := range keys {
		list := s.index[key]
		if n := len(list); n > 0 && list[n-1] == int32(mail.Seq) {
			continue
		}
		s.index[key] = append(list, int32(mail.Seq))
	}
}

// Raise adds events to their mails, giving each its Seq, and returns them in order. When it returns they are in the journal.
// Mails that a Reset has removed get none.
func (s *Store) Raise(batch []Raised) ([]Raised, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch = slices.DeleteFunc(slices.Clone(batch), func(r Raised) bool { return !s.holds(r.Mail) || len(r.Events) == 0 })
	if len(batch) == 0 {
		return nil, nil
	}
	next := s.nextEvent
	for i := range batch {
		batch[i].Events = slices.Clone(batch[i].Events)
		for j := range batch[i].Events {
			batch[i].Events[j].Seq = next
			next++
		}
	}
	if s.journal != nil {
		line, err := raisedLine(batch)
		if err == nil {
			err = s.journal.Append(line)
		}
		if err != nil {
			return nil, fmt.Errorf("store: raise: %w", err)
		}
	}
	s.nextEvent = next
	for _, r := range batch {
		r.Mail.events = append(r.Mail.events, r.Events...)
	}
	return batch, nil
}

// Done notes that a webhook needs to hear of an event no more.
func (s *Store) Done(mail *Mail, event int64, hook int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.holds(mail) || !settle(mail, event, hook) {
		return nil
	}
	if err := s.write(record{Done: &doneRecord{Mail: mail.Seq, Event: event, Hook: hook}}); err != nil {
		return fmt.Errorf("store: done: %w", err)
	}
	return nil
}

// settle takes the hook from the event's pending ones; slices handed out by Events are left alone.
func settle(mail *Mail, event int64, hook int) bool {
	for i := range mail.events {
		e := &mail.events[i]
		if e.Seq != event || !slices.Contains(e.Pending, hook) {
			continue
		}
		e.Pending = slices.DeleteFunc(slices.Clone(e.Pending), func(id int) bool { return id == hook })
		return true
	}
	return false
}

// Put keeps a document, new or changed.
func (s *Store) Put(d Document) error {
	r, err := d.record()
	if err != nil {
		return fmt.Errorf("store: put %s: %w", d.Kind, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(r); err != nil {
		return fmt.Errorf("store: put %s: %w", d.Kind, err)
	}
	return nil
}

// Delete forgets a document; its value does not matter.
func (s *Store) Delete(d Document) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(record{Delete: &documentRecord{Provider: d.Provider, Kind: d.Kind, ID: d.ID}}); err != nil {
		return fmt.Errorf("store: delete %s: %w", d.Kind, err)
	}
	return nil
}

// write appends one record to the journal; the caller holds the lock.
func (s *Store) write(r record) error {
	if s.journal == nil {
		return nil
	}
	line, err := r.line()
	if err != nil {
		return err
	}
	return s.journal.Append(line)
}

func (s *Store) holds(mail *Mail) bool {
	return mail.Seq < len(s.mails) && s.mails[mail.Seq] == mail
}

// compact puts a JSON value on one line; raw is known to be valid.
func compact(out *bytes.Buffer, raw json.RawMessage) {
	if json.Compact(out, raw) != nil {
		out.WriteString("null")
	}
}
