package ses

import (
	"encoding/json"
	"time"

	"postyard/internal/provider"
)

// record is a JSON object of SES's, read field by field: a field that is missing, null or of another type than expected costs that field
// and not the event.
type record map[string]json.RawMessage

// text returns a string cleaned; "" for all else.
func (r record) text(key string, most int) string {
	var s string
	if json.Unmarshal(r[key], &s) != nil {
		return ""
	}
	return provider.Clean(s, most)
}

// object returns a nested object, nil for all else.
func (r record) object(key string) record {
	var nested record
	if json.Unmarshal(r[key], &nested) != nil {
		return nil
	}
	return nested
}

// objects returns the objects in a list, those at the beginning of a long one.
func (r record) objects(key string) (list []record) {
	for _, item := range r.items(key) {
		var one record
		if json.Unmarshal(item, &one) == nil && one != nil {
			list = append(list, one)
		}
	}
	return list
}

// texts returns the strings in a list, those at the beginning of a long one.
func (r record) texts(key string, most int) (list []string) {
	for _, item := range r.items(key) {
		var s string
		if json.Unmarshal(item, &s) == nil {
			if s = provider.Clean(s, most); s != "" {
				list = append(list, s)
			}
		}
	}
	return list
}

// mostItems is more than a message has recipients: SES takes 50.
const mostItems = 100

func (r record) items(key string) (list []json.RawMessage) {
	if json.Unmarshal(r[key], &list) != nil {
		return nil
	}
	return list[:min(len(list), mostItems)]
}

// flag returns a boolean; ok is false for all else.
func (r record) flag(key string) (value, ok bool) {
	var b *bool
	if json.Unmarshal(r[key], &b) != nil || b == nil {
		return false, false
	}
	return *b, true
}

// timeLayouts are the forms of SES's dates; Go reads 0 to 9 fraction digits with each.
var timeLayouts = []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05"}

// moment reads a date. One that nanoseconds since 1970 cannot hold is none.
func moment(s string) (time.Time, bool) {
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, s)
		if err == nil && t.Year() > 1970 && t.Year() < 2200 {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
