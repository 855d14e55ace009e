package postmark

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"postyard/internal/mail"
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
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return ""
		}
		return clean(s, most)
	case '{', '[', 'n':
		return ""
	default:
		return clean(string(raw), most)
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
	var nested record
	if err := json.Unmarshal(r[key], &nested); err != nil {
		return nil
	}
	return nested
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
