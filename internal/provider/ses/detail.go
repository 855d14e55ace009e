package ses

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// mostFields bounds how many fields of one object, and how many of a user's tags, are kept.
const mostFields = 20

// details collects what is known of an event beyond its type: what SES tells of it, under SES's names, and the user's tags, under
// "Metadata.<name>". Fields that we do not know are kept too: SES marks what programs opened and followed, and may tell more one day.
func (h *happening) details() event.Detail {
	kept := map[string]string{"eventType": h.name}
	if id := h.mail.text("messageId", maxID); id != "" {
		kept["messageId"] = id
	}
	keep(kept, h.body)
	if group := tagValue(h.tags, groupTag); group != "" {
		kept[groupTag] = group
	}
	n := 0
	for _, name := range slices.Sorted(maps.Keys(h.tags)) {
		if n == mostFields {
			break
		}
		if slices.Contains(ownTags, name) || strings.ContainsRune(name, ':') || len(name) > maxTag { // SES's own begin with "ses:"
			continue
		}
		if value := tagValue(h.tags, name); value != "" {
			kept["Metadata."+provider.Clean(name, maxTag)] = value
			n++
		}
	}
	d := event.Detail{Provider: kept}
	if h.name == "Open" || h.name == "Click" {
		d.RawUserAgent, d.ClickedURL = h.body.text("userAgent", maxLong), h.body.text("link", maxLong)
		if ip, err := netip.ParseAddr(h.body.text("ipAddress", maxID)); err == nil {
			d.TrackedIP = ip.WithZone("").String()
		}
	}
	return d
}

// keep copies the simple fields of an object, in the order of their names.
func keep(to map[string]string, r record) {
	n := 0
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if n == mostFields {
			return
		}
		if value := r.simple(name); value != "" && len(name) <= maxID {
			to[provider.Clean(name, maxID)] = value
			n++
		}
	}
}

// simple returns a string, and a number or a boolean as it is written; "" for all else.
func (r record) simple(key string) string {
	most := maxField
	if key == "link" || key == "userAgent" {
		most = maxLong
	}
	switch raw := r[key]; {
	case len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || raw[0] == 'n':
		return ""
	case raw[0] == '"':
		return r.text(key, most)
	default:
		return provider.Clean(string(raw), most)
	}
}

// describe gives a report what the recipient's server said: "smtp; 550 5.1.1 user unknown", "250 ok".
func describe(r *provider.Report, text string) {
	if before, after, ok := strings.Cut(text, ";"); ok && strings.EqualFold(strings.TrimSpace(before), "smtp") {
		text = strings.TrimSpace(after)
	}
	if r.SMTPDescription = text; len(text) >= 3 && (len(text) == 3 || text[3] == ' ' || text[3] == '-') {
		code := 0
		for _, c := range text[:3] {
			if c < '0' || c > '9' {
				code = 0
				break
			}
			code = 10*code + int(c-'0')
		}
		if code >= 200 && code < 600 {
			r.SMTPCode = code
		}
	}
	r.Detail.SMTPCode, r.Detail.SMTPDescription = r.SMTPCode, r.SMTPDescription
}
