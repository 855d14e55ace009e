package sendgrid

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// eventFields are the names of an event's own fields. Custom arguments stand beside them, at the same level.
var eventFields = []string{
	"email", "timestamp", "event", "smtp-id", "sg_event_id", "sg_message_id", "category", "response", "attempt", "reason", "status", "type",
	"bounce_classification", "tls", "ip", "useragent", "sg_machine_open", "url", "url_offset", "asm_group_id",
}

// maxExtra is how many fields that are not SendGrid's are kept of an event: the user's metadata, and what SendGrid adds one day.
const maxExtra = 20

// detailOf collects what is known of an event beyond its type. SendGrid's fields are kept as it gave them; so are the user's custom
// arguments, under "Metadata.<key>".
func detailOf(r record, name string, report provider.Report) event.Detail {
	kept := make(map[string]string, len(r))
	d := event.Detail{SMTPCode: report.SMTPCode, SMTPDescription: report.SMTPDescription, Provider: kept}
	switch report.Kind {
	case event.Opened, event.Clicked:
		d.ClickedURL, d.RawUserAgent, d.TrackedIP = r.text("url", maxLong), r.text("useragent", maxLong), trackedIP(r)
	default: // elsewhere the address is that of a server
	}
	for _, field := range eventFields {
		most := maxField
		if field == "url" || field == "useragent" {
			most = maxLong
		}
		if value := r.text(field, most); value != "" {
			kept[field] = value
		}
	}
	kept["event"] = name
	if list := r.list("category", maxCategory); len(list) > 0 {
		kept["category"] = strings.Join(list, ", ")
	}
	keepExtra(kept, r)
	return d
}

// keepExtra keeps the fields that are neither SendGrid's nor ours, in the order of their names.
func keepExtra(to map[string]string, r record) {
	n := 0
	for _, key := range slices.Sorted(maps.Keys(r)) {
		if n == maxExtra || len(key) > maxID || slices.Contains(eventFields, key) || slices.Contains(ownKeys, key) {
			continue
		}
		if value := r.text(key, maxField); value != "" {
			to["Metadata."+provider.Clean(key, maxID)] = value
			n++
		}
	}
}

// trackedIP returns the address of whoever opened or clicked; "" when there is none.
func trackedIP(r record) string {
	ip, err := netip.ParseAddr(r.text("ip", maxID))
	if err != nil {
		return ""
	}
	return ip.WithZone("").String()
}
