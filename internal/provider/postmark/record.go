package postmark

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// maxField caps an ordinary text field, in bytes.
const maxField = 512

// record is a JSON object of Postmark's, read field by field: a field that is missing, null or of another type than
// expected costs that field and not the event.
type record map[string]json.RawMessage

// text returns a string as it is, and a number or a boolean as it is written; "" for all else.
func (r record) text(key string, most int) string {
	raw := r[key]
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		return provider.Clean(plain(raw), most)
	case '{', '[', 'n':
		return ""
	default:
		return provider.Clean(string(raw), most)
	}
}

// integer returns a whole number, 0 for all else. Bounce ids are above 2^53: they never pass through a float.
func (r record) integer(key string) int64 {
	n, err := strconv.ParseInt(r.text(key, maxID), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// object returns a nested object, nil for all else.
func (r record) object(key string) record {
	nested, _ := split(r[key])
	return nested
}

// split takes a JSON object apart, whose text must be valid JSON: as json.Unmarshal into a map of raw messages would, for a
// third of the time. It is not ok for any other value than an object.
func split(raw []byte) (r record, ok bool) {
	s := scanner{raw: raw}
	if s.next() != '{' {
		return nil, false
	}
	r = record{}
	for s.at++; s.next() == '"'; s.at++ {
		key := s.value()
		s.next()
		s.at++ // the colon
		s.next()
		r[plain(key)] = s.value()
		if s.next() != ',' {
			break
		}
	}
	return r, s.next() == '}'
}

// plain decodes a JSON string.
func plain(raw []byte) string {
	if len(raw) >= 2 {
		if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
			return string(inner) // nothing in it is to be decoded
		}
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return ""
	}
	return s
}

// scanner goes through valid JSON. What is not valid ends early, and is never read beyond its end.
type scanner struct {
	raw []byte
	at  int
}

// next skips space and returns the byte there, 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.raw); s.at++ {
		switch c := s.raw[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// value skips the value that begins here, and returns it.
func (s *scanner) value() []byte {
	from, depth := s.at, 0
	for s.at < len(s.raw) {
		switch c := s.raw[s.at]; c {
		case '"':
			s.quoted()
			if depth == 0 {
				return s.raw[from:s.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']', ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return s.raw[from:s.at] // the end of a number or a word
			}
			if c == '}' || c == ']' {
				if depth--; depth == 0 {
					s.at++
					return s.raw[from:s.at]
				}
			}
		}
		s.at++
	}
	return s.raw[from:s.at]
}

// quoted skips a string.
func (s *scanner) quoted() {
	for s.at++; s.at < len(s.raw); s.at++ {
		switch s.raw[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
	s.at = min(s.at, len(s.raw))
}

// messageID returns our id from a record that is metadata; zero when there is none, or when it is not one of ours.
func (r record) messageID() mail.ID {
	text := r.text(messageIDKey, maxID)
	if len(text) != len(uuid.UUID{}.String()) {
		return mail.ID{} // the parser would also take braces and urn:uuid:
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return mail.ID{}
	}
	return id
}

// tpspID returns the id of our TPSP from a record that is metadata; 0 when there is none.
func (r record) tpspID() int32 {
	id, err := strconv.ParseInt(r.text(tpspIDKey, maxID), 10, 32)
	if err != nil || id < 0 {
		return 0
	}
	return int32(id)
}

// timeLayouts are the forms of Postmark's dates. Go reads 0 to 9 fraction digits with each.
var timeLayouts = []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00"}

// parseTime reads a date. One without an offset is UTC. Dates that nanoseconds since 1970 cannot hold, and the year 1 that
// Postmark's platform has for "no date", are none.
func parseTime(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, s)
		if err == nil && t.Year() > 1970 && t.Year() < 2200 {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
