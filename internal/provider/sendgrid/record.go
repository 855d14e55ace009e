package sendgrid

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"postyard/internal/provider"
)

// Caps on single values, in bytes.
const (
	maxID      = 100
	maxAddress = 320
	maxField   = 512
	maxLong    = 2048 // links, user agents
)

// record is an event of SendGrid's, read field by field: a field that is missing, null or of another type than expected costs that field
// and not the event.
type record map[string]json.RawMessage

// text returns a string as it is, and a number or a boolean as it is written; "" for all else.
func (r record) text(key string, most int) string { return textOf(r[key], most) }

func textOf(raw json.RawMessage, most int) string {
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return provider.Clean(s, most)
	case '{', '[', 'n':
		return ""
	default:
		return provider.Clean(string(raw), most)
	}
}

// list returns a list of texts, or one text as a list: SendGrid has both for categories.
func (r record) list(key string, most int) (list []string) {
	var items []json.RawMessage
	if json.Unmarshal(r[key], &items) != nil {
		items = []json.RawMessage{r[key]}
	}
	for _, item := range items[:min(len(items), maxCategories)] {
		if text := textOf(item, most); text != "" {
			list = append(list, text)
		}
	}
	return list
}

// time reads a Unix time in seconds, perhaps with a fraction, as a number or in quotes; zero when it is none.
func (r record) time(key string) time.Time {
	text := r.text(key, maxID)
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && 0 < seconds && seconds < maxUnix {
		return time.Unix(seconds, 0).UTC()
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 1 && seconds < maxUnix) {
		return time.Time{}
	}
	return time.UnixMilli(int64(seconds * 1000)).UTC()
}

// smtpReply takes the reply code off the remote server's reply: "550 5.1.1 no such user". A text without one is all description.
func smtpReply(text string) (code int, description string) {
	text = strings.TrimSpace(text)
	if len(text) < 3 || len(text) > 3 && text[3] != ' ' && text[3] != '-' {
		return 0, text
	}
	n, err := strconv.ParseUint(text[:3], 10, 16)
	if err != nil || n < 200 || n > 599 {
		return 0, text
	}
	return int(n), text
}
