package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// record is one line of the journal; exactly one field is set.
type record struct {
	Mails  []mailRecord    `json:"mails,omitempty"`
	Raised []raisedRecord  `json:"raised,omitempty"`
	Done   *doneRecord     `json:"done,omitempty"`
	Put    *documentRecord `json:"put,omitempty"`
	Delete *documentRecord `json:"delete,omitempty"`
}

type mailRecord struct {
	ID       string          `json:"id"`
	Provider string          `json:"provider"`
	Server   string          `json:"server"`
	Stream   string          `json:"stream"`
	At       int64           `json:"at"` // Unix nanoseconds
	Raw      json.RawMessage `json:"raw"`
}

type raisedRecord struct {
	Mail   int     `json:"mail"`
	Events []Event `json:"events"`
}

type doneRecord struct {
	Mail  int   `json:"mail"`
	Event int64 `json:"event"`
	Hook  int   `json:"hook"`
}

type documentRecord struct {
	Provider string          `json:"provider"`
	Kind     string          `json:"kind"`
	ID       string          `json:"id"`
	Value    json.RawMessage `json:"value,omitempty"`
}

// line is the record as the journal has it.
func (r record) line() ([]byte, error) {
	line, err := json.Marshal(r)
	return append(line, '\n'), err
}

// record is the document as the journal has it.
func (d Document) record() (record, error) {
	value, err := json.Marshal(d.Value)
	return record{Put: &documentRecord{Provider: d.Provider, Kind: d.Kind, ID: d.ID, Value: value}}, err
}

// mailLine writes {"mails":[...]} by hand: the raw messages are the bulk of it and need no second encoding.
func mailLine(batch []New, mails []*Mail) []byte {
	var out bytes.Buffer
	out.WriteString(`{"mails":[`)
	for i, mail := range mails {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(`{"id":`)
		out.Write(quote(mail.ID))
		out.WriteString(`,"provider":`)
		out.Write(quote(mail.Provider))
		out.WriteString(`,"server":`)
		out.Write(quote(mail.Server))
		out.WriteString(`,"stream":`)
		out.Write(quote(mail.Stream))
		out.WriteString(`,"at":`)
		out.WriteString(strconv.FormatInt(mail.ReceivedAt.UnixNano(), 10))
		out.WriteString(`,"raw":`)
		compact(&out, batch[i].Raw)
		out.WriteByte('}')
	}
	out.WriteString("]}\n")
	return out.Bytes()
}

// quote encodes a string as JSON; strings always can be.
func quote(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return []byte(`""`)
	}
	return quoted
}

func raisedLine(batch []Raised) ([]byte, error) {
	records := make([]raisedRecord, len(batch))
	for i, r := range batch {
		records[i] = raisedRecord{Mail: r.Mail.Seq, Events: r.Events}
	}
	return record{Raised: records}.line()
}

// restore applies one line of the journal.
func (s *Store) restore(line []byte, providers map[string]Restorer) error {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	for _, m := range r.Mails {
		if err := s.restoreMail(m, providers); err != nil {
			return fmt.Errorf("message %s: %w", m.ID, err)
		}
	}
	for _, raised := range r.Raised {
		if err := s.restoreEvents(raised, providers); err != nil {
			return err
		}
	}
	if d := r.Done; d != nil {
		if d.Mail < 0 || d.Mail >= len(s.mails) {
			return fmt.Errorf("done: no message %d", d.Mail)
		}
		settle(s.mails[d.Mail], d.Event, d.Hook)
	}
	if r.Put != nil {
		return restoreDocument(*r.Put, r.Put.Value, providers)
	}
	if r.Delete != nil {
		return restoreDocument(*r.Delete, nil, providers)
	}
	return nil
}

func (s *Store) restoreMail(m mailRecord, providers map[string]Restorer) error {
	provider, ok := providers[m.Provider]
	if !ok {
		return fmt.Errorf("unknown provider %q", m.Provider)
	}
	mail := &Mail{Seq: len(s.mails), ID: m.ID, Provider: m.Provider, Server: m.Server, Stream: m.Stream,
		ReceivedAt: time.Unix(0, m.At).UTC()}
	content, keys, err := provider.RestoreMail(mail, m.Raw)
	if err != nil {
		return err
	}
	mail.Content = content
	s.insert(mail, keys)
	return nil
}

func (s *Store) restoreEvents(r raisedRecord, providers map[string]Restorer) error {
	if r.Mail < 0 || r.Mail >= len(s.mails) {
		return fmt.Errorf("events: no message %d", r.Mail)
	}
	mail := s.mails[r.Mail]
	mail.events = append(mail.events, r.Events...)
	for _, e := range r.Events {
		s.nextEvent = max(s.nextEvent, e.Seq+1)
	}
	providers[mail.Provider].RestoreEvents(mail, r.Events)
	return nil
}

func restoreDocument(d documentRecord, value json.RawMessage, providers map[string]Restorer) error {
	provider, ok := providers[d.Provider]
	if !ok {
		return fmt.Errorf("%s %s: unknown provider %q", d.Kind, d.ID, d.Provider)
	}
	if err := provider.RestoreDocument(d.Kind, d.ID, value); err != nil {
		return fmt.Errorf("%s %s: %w", d.Kind, d.ID, err)
	}
	return nil
}
