package sendgrid

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
)

// Caps on a webhook body. SendGrid posts what gathers in some seconds.
const (
	maxWebhook = mail.MaxRequestBytes // more is not taken in
	maxEvents  = 25_000
)

// maxAhead is how far the provider's clock may be ahead of ours.
const maxAhead = 24 * time.Hour

// Names of events.
const (
	eventBounce  = "bounce"
	eventDropped = "dropped"
)

// eventKinds are the kinds of events by their names. A bounce is hard or soft by its type.
var eventKinds = map[string]event.Kind{
	"processed":         event.Sent,
	"delivered":         event.Delivered,
	"deferred":          event.Deferred,
	eventBounce:         event.HardBounced,
	eventDropped:        event.Dropped,
	"open":              event.Opened,
	"click":             event.Clicked,
	"spamreport":        event.Spam,
	"unsubscribe":       event.Unsubscribed,
	"group_unsubscribe": event.GroupUnsubscribe,
	"group_resubscribe": event.GroupResubscribe,
}

// Parse implements provider.Adapter. A body is a list of events, in no order, about messages of whoever uses the SendGrid account. What is
// no event, or an event that is not known, costs no other one; a body in which nothing is an event is an error.
func (a *Adapter) Parse(_ http.Header, body []byte) ([]provider.Report, error) {
	if len(body) > maxWebhook {
		return nil, fmt.Errorf("parse a SendGrid webhook: %d bytes are more than %d", len(body), maxWebhook)
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, fmt.Errorf("parse a SendGrid webhook: not a JSON list (%d bytes)", len(body))
	}
	if len(items) > maxEvents {
		return nil, fmt.Errorf("parse a SendGrid webhook: %d events are more than %d", len(items), maxEvents)
	}
	var reports []provider.Report
	events := 0
	for _, item := range items {
		var r record
		if json.Unmarshal(item, &r) != nil || r.text("event", maxID) == "" {
			continue
		}
		events++
		if report, ok := a.report(r); ok {
			reports = append(reports, report)
		}
	}
	if events == 0 {
		return nil, fmt.Errorf("parse a SendGrid webhook: none of %d items is an event", len(items))
	}
	return reports, nil
}

// report reads one event. It is not ok when the event is not known, or when there is nothing to attribute it by.
func (a *Adapter) report(r record) (report provider.Report, ok bool) {
	name := strings.ToLower(r.text("event", maxID))
	kind, ok := eventKinds[name]
	if !ok {
		return report, false
	}
	report = provider.Report{
		Kind:              kind,
		MessageID:         provider.OwnMessageID(r.text(messageIDKey, maxID)),
		TPSPID:            provider.OwnTPSPID(r.text(tpspIDKey, maxID)),
		ProviderMessageID: messageName(r.text("sg_message_id", maxField)),
		Recipient:         r.text("email", maxAddress),
		OccurredAt:        r.time("timestamp"),
		Identity:          identityOf(r, name),
	}
	// Nothing has happened yet that is said to happen later; its day would show in statistics.
	if now := a.now().UTC(); report.OccurredAt.IsZero() || report.OccurredAt.After(now.Add(maxAhead)) {
		report.OccurredAt = now
	}
	report.SMTPCode, report.SMTPDescription = smtpReply(replyOf(r))
	switch name {
	case eventBounce:
		report.Kind, report.Final = bounceOf(r)
		if report.Kind == event.HardBounced {
			report.Suppresses, report.Reason = true, provider.HardBounce
		}
	case eventDropped:
		d := dropOf(r.text("reason", maxField))
		report.Suppresses, report.Reason, report.Refused = d.suppresses, d.reason, d.refused
	case "spamreport":
		report.Suppresses, report.Reason = true, provider.SpamComplaint
	case "unsubscribe":
		report.Suppresses, report.Reason = true, provider.Unsubscribed
	}
	report.Type, _ = event.TypeOf(event.SendGrid, report.Kind) // SendGrid's family has every kind that is parsed here
	report.Sample = isSample(r, report)
	report.Detail = detailOf(r, name, report)
	return report, report.MessageID != (mail.ID{}) || report.ProviderMessageID != "" || report.Recipient != ""
}

// replyOf returns the words of the recipient's server, or SendGrid's where it was not asked.
func replyOf(r record) string {
	if response := r.text("response", maxField); response != "" {
		return response
	}
	return r.text("reason", maxField)
}

// bounceOf tells a hard bounce from a soft one, after which SendGrid gives up as well: by the type, or by the status where there is none
// that is known (SG-7).
func bounceOf(r record) (kind event.Kind, final bool) {
	switch strings.ToLower(r.text("type", maxID)) {
	case "bounce":
		return event.HardBounced, false
	case "blocked", "expired":
		return event.SoftBounced, true
	}
	status := r.text("status", maxID)
	if code, _ := smtpReply(r.text("reason", maxField)); status == "" && code != 0 {
		status = strconv.Itoa(code)
	}
	if strings.HasPrefix(status, "5") {
		return event.HardBounced, false
	}
	return event.SoftBounced, true
}

// drop is why SendGrid did not try to deliver a message that it had accepted.
type drop struct {
	suppresses bool
	reason     provider.Reason
	refused    provider.Class // Accepted: it is not for a reason of SendGrid's own
}

// drops are SendGrid's reasons. Those of its suppression lists are about the recipient, as a bounce was before; a quota is about the
// account, and another provider may carry the message; what is left (a malformed address, content that its filter takes for spam, an
// invalid header) is about the message, and ends it.
var drops = []struct {
	reason string
	drop
}{
	{"Unsubscribed Address", drop{suppresses: true, reason: provider.Unsubscribed}},
	{"Bounced Address", drop{suppresses: true, reason: provider.HardBounce}},
	{"Spam Reporting Address", drop{suppresses: true, reason: provider.SpamComplaint}},
	{"Recipient List over Package Quota", drop{refused: provider.Account}},
	{"Invalid", drop{}},
	{"Spam Content", drop{}},
	{"Invalid SMTPAPI header", drop{}},
}

// dropReasons returns SendGrid's reasons for a dropped event, as far as they are known.
func dropReasons() (list []string) {
	for _, d := range drops {
		list = append(list, d.reason)
	}
	return list
}

// dropOf judges a reason, in whatever case and spacing. One that is not known is about the message.
func dropOf(reason string) drop {
	reason = strings.Join(strings.Fields(reason), " ")
	for _, d := range drops {
		if strings.EqualFold(d.reason, reason) {
			return d.drop
		}
	}
	return drop{}
}

// isSample knows the made-up events of SendGrid's test button, which all have one message.
func isSample(r record, report provider.Report) bool {
	return report.MessageID == (mail.ID{}) && report.ProviderMessageID == "14c5d75ce93" && strings.EqualFold(r.text("email", maxAddress), "example@test.com")
}

// identityOf condenses what tells one event from another: SendGrid's id of it, which copies share. One without an id is told by its fields.
func identityOf(r record, name string) string {
	if id := r.text("sg_event_id", maxField); id != "" {
		return identity(name, id)
	}
	return identity(name, r.text("sg_message_id", maxField), strings.ToLower(r.text("email", maxAddress)), r.text("timestamp", maxID),
		r.text(messageIDKey, maxID), r.text("url", maxLong), r.text("useragent", maxLong), r.text("ip", maxID), replyOf(r), r.text("attempt", maxID))
}

func identity(fields ...string) string {
	text := make([]byte, 0, 512)
	for _, f := range fields {
		// The length keeps "a","bc" and "ab","c" apart.
		text = append(append(strconv.AppendInt(text, int64(len(f)), 10), ':'), f...)
	}
	sum := sha256.Sum256(text)
	return "sendgrid:" + fields[0] + ":" + hex.EncodeToString(sum[:16])
}
