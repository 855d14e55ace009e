package postmark

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
	"postyard/internal/quickjson"
)

// maxWebhook caps a webhook body. Ours come without the bounced mail's content and have a few kilobytes.
const maxWebhook = 4 << 20

// Values of RecordType.
const (
	recordDelivery           = "Delivery"
	recordBounce             = "Bounce"
	recordSpamComplaint      = "SpamComplaint"
	recordOpen               = "Open"
	recordClick              = "Click"
	recordSubscriptionChange = "SubscriptionChange"
	recordInbound            = "Inbound"
)

// Parse implements provider.Adapter. A body holds one event for one recipient. Records that are Postmark's but no events of
// a message (a SubscriptionChange that repeats what Bounce and SpamComplaint say; inbound mail) give no reports and no error.
func (a *Adapter) Parse(_ http.Header, body []byte) ([]provider.Report, error) {
	if len(body) > maxWebhook {
		return nil, fmt.Errorf("parse a Postmark webhook: %d bytes are more than %d", len(body), maxWebhook)
	}
	// Only what is asked for is taken apart, and encoding/json bounds the depth of what it finds valid.
	if !quickjson.Valid(body) && !json.Valid(body) {
		return nil, fmt.Errorf("parse a Postmark webhook: not JSON (%d bytes)", len(body))
	}
	r, ok := split(string(body))
	if !ok {
		return nil, fmt.Errorf("parse a Postmark webhook: not a JSON object (%d bytes)", len(body))
	}
	var report provider.Report
	switch name := r.text("RecordType", maxID); name {
	case recordDelivery:
		report, ok = a.delivery(r)
	case recordBounce, recordSpamComplaint:
		report, ok = a.bounce(r, name)
	case recordOpen, recordClick:
		report, ok = a.engagement(r, name)
	case recordSubscriptionChange:
		return a.subscriptionChange(r), nil
	case recordInbound:
		return nil, nil
	case "":
		if r.isInbound() {
			return nil, nil
		}
		return nil, fmt.Errorf("parse a Postmark webhook: no RecordType")
	default:
		return nil, fmt.Errorf("parse a Postmark webhook: unknown RecordType %q", provider.Clean(name, maxID))
	}
	if !ok {
		return nil, fmt.Errorf("parse a Postmark webhook: neither a message nor a recipient in it")
	}
	return []provider.Report{report}, nil
}

// isInbound knows a received mail, which is the only record without a RecordType.
func (r record) isInbound() bool {
	return r.raw("FromFull") != "" && (r.raw("ToFull") != "" || r.raw("OriginalRecipient") != "")
}

// maxAhead is how far the provider's clock may be ahead of ours.
const maxAhead = 24 * time.Hour

// basis is what was read of a record for all kinds of events.
type basis struct {
	at       time.Time // when it happened, as the record says; zero when that is no date
	date     string
	metadata record
}

// moment returns what the identity of an event takes of its date. The read API may give fewer digits than a webhook. Where
// there is no date it is what stands in its place, because the identity must not depend on our clock.
func (b basis) moment() string {
	if b.at.IsZero() {
		return b.date
	}
	return b.at.Format(time.RFC3339)
}

// base reads what all records have. It is not ok when there is nothing to attribute the event by.
func (a *Adapter) base(r record, kind event.Kind, recipientKey, dateKey string) (report provider.Report, b basis, ok bool) {
	b = basis{metadata: r.object("Metadata"), date: r.text(dateKey, maxID)}
	b.at, _ = parseTime(b.date)
	report = provider.Report{
		Kind:              kind,
		MessageID:         b.metadata.messageID(),
		TPSPID:            b.metadata.tpspID(),
		ProviderMessageID: strings.ToLower(r.text("MessageID", maxID)),
		Recipient:         r.text(recipientKey, maxAddress),
		OccurredAt:        b.at,
	}
	report.Type, _ = event.TypeOf(event.Postmark, kind) // Postmark's family has every kind that is parsed here
	// Nothing has happened yet that is said to happen later; its day would show in statistics.
	if now := a.now().UTC(); b.at.IsZero() || b.at.After(now.Add(maxAhead)) {
		report.OccurredAt = now
	}
	report.Sample = isSample(r, report)
	ok = report.MessageID != (mail.ID{}) || report.ProviderMessageID != "" || report.Recipient != ""
	return report, b, ok
}

// sampleMessage is the message of Postmark's test button.
const sampleMessage = "00000000-0000-0000-0000-000000000000"

// isSample knows the made-up events of Postmark's test button and of its verification of webhooks.
func isSample(r record, report provider.Report) bool {
	if report.ProviderMessageID == sampleMessage {
		return true
	}
	if report.MessageID != (mail.ID{}) || !strings.EqualFold(report.Recipient, "john@example.com") {
		return false
	}
	switch r.server() {
	case 0, 23, 1234: // Open and Click have none
		return true
	}
	return false
}

// server returns the server's id, in either spelling that was seen.
func (r record) server() int64 {
	if id := r.integer("ServerID"); id != 0 {
		return id
	}
	return r.integer("ServerId")
}

func (a *Adapter) delivery(r record) (provider.Report, bool) {
	report, basis, ok := a.base(r, event.Delivered, "Recipient", "DeliveredAt")
	report.Identity = identity(recordDelivery, report.ProviderMessageID, strings.ToLower(report.Recipient))
	report.SMTPCode, report.SMTPDescription = smtpReply(r.text("Details", maxField))
	report.Detail = detailOf(r, basis, report, recordDelivery, "Recipient", "DeliveredAt", "Details")
	return report, ok
}

func (a *Adapter) bounce(r record, name string) (provider.Report, bool) {
	typeName := r.text("Type", maxID)
	b := bounceOf(typeName, r.integer("TypeCode"))
	if name == recordSpamComplaint || b.kind == event.Spam {
		// A complaint was once seen as a Bounce; both spellings are one event.
		b, name, typeName = bounceTypes[recordSpamComplaint], recordSpamComplaint, recordSpamComplaint
	}
	report, basis, ok := a.base(r, b.kind, "Email", "BouncedAt")
	report.Final = b.final
	report.Reason, report.Suppresses = suppresses(b.kind, r)
	id := r.text("ID", maxID)
	report.Identity = identity(name, id, report.ProviderMessageID)
	if r.integer("ID") == 0 {
		report.Identity = identity(name, id, report.ProviderMessageID, strings.ToLower(report.Recipient), typeName, basis.moment())
	}
	report.SMTPCode, report.SMTPDescription = smtpReply(r.text("Details", maxField))
	if report.SMTPDescription == "" {
		report.SMTPDescription = r.text("Description", maxField)
	}
	report.Detail = detailOf(r, basis, report, name, "ID", "Type", "TypeCode", "Name", "Description", "Details", "Email", "From",
		"BouncedAt", "DumpAvailable", "Inactive", "CanActivate", "Subject")
	return report, ok
}

func (a *Adapter) engagement(r record, name string) (provider.Report, bool) {
	kind, fields := event.Opened, []string{"Recipient", "ReceivedAt", "FirstOpen", "ReadSeconds", "Platform"}
	if name == recordClick {
		kind, fields = event.Clicked, []string{"Recipient", "ReceivedAt", "ClickLocation", "OriginalLink", "Platform"}
	}
	report, basis, ok := a.base(r, kind, "Recipient", "ReceivedAt")
	parts := []string{name, report.ProviderMessageID, strings.ToLower(report.Recipient), basis.moment(), r.text("UserAgent", maxLong)}
	if name == recordClick {
		parts = append(parts, r.text("OriginalLink", maxLong))
	}
	report.Identity = identity(parts...)
	report.Detail = detailOf(r, basis, report, name, fields...)
	return report, ok
}

// identity condenses the fields that tell one event from another. An event that is read back must get the identity that its
// webhook got, whichever came first, so only those fields count that both are known to have, and times count to the second:
//
//	Delivery               message, recipient: a message is delivered to a recipient once
//	Bounce, SpamComplaint  Postmark's id of it, message
//	Open, Click            message, recipient, second, user agent, and the link
func identity(fields ...string) string {
	text := make([]byte, 0, 512)
	for _, f := range fields {
		// The length keeps "a","bc" and "ab","c" apart.
		text = append(append(strconv.AppendInt(text, int64(len(f)), 10), ':'), f...)
	}
	sum := sha256.Sum256(text)
	return string(hex.AppendEncode(append(append(append(text[:0], "postmark:"...), fields[0]...), ':'), sum[:16]))
}

// smtpReply takes the remote server's reply apart: "250 2.0.0 OK", "smtp;550 5.1.1 no such user", and the latter inside a longer
// report. A text without a reply code is all description.
func smtpReply(details string) (code int, description string) {
	for rest := details; ; {
		rest = strings.TrimLeft(rest, " \t\r\n\f")
		if code, ok := replyCode(rest); ok {
			return code, rest
		}
		for reply := false; !reply; {
			before, after, more := strings.Cut(rest, ";")
			if !more {
				return 0, details
			}
			rest, reply = after, endsWithSMTP(before)
		}
	}
}

func endsWithSMTP(s string) bool {
	const smtp = "smtp"
	return len(s) >= len(smtp) && strings.EqualFold(s[len(s)-len(smtp):], smtp)
}

// replyCode returns the reply code that a reply begins with (RFC 5321 section 4.2).
func replyCode(s string) (code int, ok bool) {
	if len(s) < 3 || len(s) > 3 && s[3] != ' ' && s[3] != '-' || s[0] != '2' && s[0] != '4' && s[0] != '5' ||
		s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0'), true
}
