package postmark

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// maxField caps an ordinary text field, in bytes.
const maxField = 512

// record is a JSON object of Postmark's, read field by field: a field that is missing, null or of another type than
// expected costs that field and not the event. Its fields stand as they came; of two with one key, the later one counts.
// A record is small and is asked for few fields, which costs less than a map does. All its text is one string: whoever keeps
// a part of it keeps all of it in memory.
type record []field

// field is a key and the JSON text of its value.
type field struct{ key, value string }

// raw returns the JSON text of a field, "" when it is missing.
func (r record) raw(key string) string {
	for i := len(r) - 1; i >= 0; i-- {
		if r[i].key == key {
			return r[i].value
		}
	}
	return ""
}

// without returns the record without some of its fields, and without the memory that they take.
func (r record) without(keys ...string) record {
	if r == nil {
		return nil
	}
	kept := make(record, 0, len(r))
	for _, f := range r {
		if !slices.Contains(keys, f.key) {
			kept = append(kept, field{strings.Clone(f.key), strings.Clone(f.value)})
		}
	}
	return kept
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *record) UnmarshalJSON(text []byte) error {
	var ok bool
	if *r, ok = split(string(text)); !ok && string(text) != "null" {
		return &json.UnmarshalTypeError{Value: "another value", Type: reflect.TypeFor[record]()}
	}
	return nil
}

// text returns a string as it is, and a number or a boolean as it is written; "" for all else.
func (r record) text(key string, most int) string {
	raw := r.raw(key)
	if raw == "" {
		return ""
	}
	switch raw[0] {
	case '"':
		if inner := raw[1:max(len(raw)-1, 1)]; len(inner) <= most && isPlain(inner) {
			return inner // neither to be decoded nor to be cleaned, as nearly all are
		}
		return provider.Clean(plain(raw), most)
	case '{', '[', 'n':
		return ""
	default:
		return provider.Clean(raw, most)
	}
}

// isPlain tells whether a JSON string surely stands for itself, and is clean.
func isPlain(inner string) bool {
	for i := range len(inner) {
		if c := inner[i]; c < ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return inner == "" || inner[0] != ' ' && inner[len(inner)-1] != ' '
}

// integer returns a whole number, 0 for all else. Bounce ids are above 2^53: they never pass through a float.
func (r record) integer(key string) int64 {
	text := r.text(key, maxID)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// object returns a nested object, nil for all else.
func (r record) object(key string) record {
	nested, _ := split(r.raw(key))
	return nested
}

// usualFields is how many fields a record has room for at first, at most.
const usualFields = 16

// split takes a JSON object apart, whose text must be valid JSON: as json.Unmarshal into a map of raw messages would. It is
// not ok for any other value than an object.
func split(text string) (r record, ok bool) {
	s := scanner{text: text}
	if s.next() != '{' {
		return nil, false
	}
	r = make(record, 0, min(strings.Count(text, ":"), usualFields))
	for s.at++; s.next() == '"'; s.at++ {
		key := s.value()
		s.next()
		s.at++ // the colon
		s.next()
		r = append(r, field{plain(key), s.value()})
		if s.next() != ',' {
			break
		}
	}
	return r, s.next() == '}'
}

// plain decodes a JSON string.
func plain(raw string) string {
	if len(raw) >= 2 {
		if inner := raw[1 : len(raw)-1]; strings.IndexByte(inner, '\\') < 0 && utf8.ValidString(inner) {
			return inner // nothing in it is to be decoded
		}
	}
	var s string
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return ""
	}
	return s
}

// scanner goes through valid JSON. What is not valid ends early, and is never read beyond its end.
type scanner struct {
	text string
	at   int
}

// next skips space and returns the byte there, 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// value skips the value that begins here, and returns it.
func (s *scanner) value() string {
	s.at = min(s.at, len(s.text))
	from, depth := s.at, 0
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case '"':
			s.quoted()
			if depth == 0 {
				return s.text[from:s.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']', ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return s.text[from:s.at] // the end of a number or a word
			}
			if c == '}' || c == ']' {
				if depth--; depth == 0 {
					s.at++
					return s.text[from:s.at]
				}
			}
		}
		s.at++
	}
	return s.text[from:s.at]
}

// quoted skips a string.
func (s *scanner) quoted() {
	s.at++
	if n := strings.IndexByte(s.text[s.at:], '"'); n == 0 || n > 0 && s.text[s.at+n-1] != '\\' {
		s.at += n + 1 // nothing is escaped at its end
		return
	}
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
	s.at = min(s.at, len(s.text))
}

// messageID returns our id from a record that is metadata; zero when there is none, or when it is not one of ours.
func (r record) messageID() mail.ID { return provider.OwnMessageID(r.text(messageIDKey, maxID)) }

// tpspID returns the id of our TPSP from a record that is metadata; 0 when there is none.
func (r record) tpspID() int32 { return provider.OwnTPSPID(r.text(tpspIDKey, maxID)) }

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
