package postmark

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
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
	// Only the outermost object is taken apart, and encoding/json bounds the depth of what it finds valid.
	if !json.Valid(body) {
		return nil, fmt.Errorf("parse a Postmark webhook: not JSON (%d bytes)", len(body))
	}
	r, ok := split(body)
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
	return r["FromFull"] != nil && (r["ToFull"] != nil || r["OriginalRecipient"] != nil)
}

// maxAhead is how far the provider's clock may be ahead of ours.
const maxAhead = 24 * time.Hour

// base reads what all records have. It is not ok when there is nothing to attribute the event by.
func (a *Adapter) base(r record, kind event.Kind, recipientKey, dateKey string) (report provider.Report, date string, ok bool) {
	report = provider.Report{
		Kind:              kind,
		MessageID:         r.object("Metadata").messageID(),
		ProviderMessageID: strings.ToLower(r.text("MessageID", maxID)),
		Recipient:         r.text(recipientKey, maxAddress),
	}
	report.Type, _ = event.TypeOf(event.Postmark, kind) // Postmark's family has every kind that is parsed here
	at, dated := parseTime(r.text(dateKey, maxID))
	if dated {
		date = at.Format(time.RFC3339) // the read API may give fewer digits than a webhook
	} else {
		at, date = a.now().UTC(), r.text(dateKey, maxID) // the identity must not depend on our clock
	}
	if now := a.now().UTC(); at.After(now.Add(maxAhead)) {
		at = now // nothing has happened yet that is said to happen later; its day would show in statistics
	}
	report.OccurredAt = at
	report.Sample = isSample(r, report)
	ok = report.MessageID != (mail.ID{}) || report.ProviderMessageID != "" || report.Recipient != ""
	return report, date, ok
}

// isSample knows the made-up events of Postmark's test button and of its verification of webhooks.
func isSample(r record, report provider.Report) bool {
	if report.ProviderMessageID == (uuid.UUID{}).String() {
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
	report, _, ok := a.base(r, event.Delivered, "Recipient", "DeliveredAt")
	report.Identity = identity(recordDelivery, report.ProviderMessageID, strings.ToLower(report.Recipient))
	report.SMTPCode, report.SMTPDescription = smtpReply(r.text("Details", maxField))
	report.Detail = detailOf(r, report, recordDelivery, "Recipient", "DeliveredAt", "Details")
	return report, ok
}

func (a *Adapter) bounce(r record, name string) (provider.Report, bool) {
	typeName := r.text("Type", maxID)
	b := bounceOf(typeName, r.integer("TypeCode"))
	if name == recordSpamComplaint || b.kind == event.Spam {
		// A complaint was once seen as a Bounce; both spellings are one event.
		b, name, typeName = bounceTypes[recordSpamComplaint], recordSpamComplaint, recordSpamComplaint
	}
	report, date, ok := a.base(r, b.kind, "Email", "BouncedAt")
	report.Final = b.final
	report.Reason, report.Suppresses = suppresses(b.kind, r)
	id := r.text("ID", maxID)
	report.Identity = identity(name, id, report.ProviderMessageID)
	if r.integer("ID") == 0 {
		report.Identity = identity(name, id, report.ProviderMessageID, strings.ToLower(report.Recipient), typeName, date)
	}
	report.SMTPCode, report.SMTPDescription = smtpReply(r.text("Details", maxField))
	if report.SMTPDescription == "" {
		report.SMTPDescription = r.text("Description", maxField)
	}
	report.Detail = detailOf(r, report, name, "ID", "Type", "TypeCode", "Name", "Description", "Details", "Email", "From",
		"BouncedAt", "DumpAvailable", "Inactive", "CanActivate", "Subject")
	return report, ok
}

func (a *Adapter) engagement(r record, name string) (provider.Report, bool) {
	kind, fields := event.Opened, []string{"Recipient", "ReceivedAt", "FirstOpen", "ReadSeconds", "Platform"}
	if name == recordClick {
		kind, fields = event.Clicked, []string{"Recipient", "ReceivedAt", "ClickLocation", "OriginalLink", "Platform"}
	}
	report, date, ok := a.base(r, kind, "Recipient", "ReceivedAt")
	parts := []string{name, report.ProviderMessageID, strings.ToLower(report.Recipient), date, r.text("UserAgent", maxLong)}
	if name == recordClick {
		parts = append(parts, r.text("OriginalLink", maxLong))
	}
	report.Identity = identity(parts...)
	report.Detail = detailOf(r, report, name, fields...)
	return report, ok
}

// identity condenses the fields that tell one event from another. An event that is read back must get the identity that its
// webhook got, whichever came first, so only those fields count that both are known to have, and times count to the second:
//
//	Delivery               message, recipient: a message is delivered to a recipient once
//	Bounce, SpamComplaint  Postmark's id of it, message
//	Open, Click            message, recipient, second, user agent, and the link
func identity(fields ...string) string {
	h := sha256.New()
	for _, field := range fields {
		// The length keeps "a","bc" and "ab","c" apart. A hash does not fail.
		_, _ = io.WriteString(h, strconv.Itoa(len(field))+":"+field)
	}
	return "postmark:" + fields[0] + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}

// smtpReplyPattern finds "250 2.0.0 OK", "smtp;550 5.1.1 no such user", and the latter inside a longer report.
var smtpReplyPattern = regexp.MustCompile(`(?is)(?:^|smtp;)\s*(([245]\d\d)(?:[ \-].*)?)$`)

// smtpReply takes the remote server's reply apart; a text without a reply code is all description.
func smtpReply(details string) (code int, description string) {
	match := smtpReplyPattern.FindStringSubmatch(details)
	if match == nil {
		return 0, details
	}
	code, err := strconv.Atoi(match[2])
	if err != nil {
		return 0, details
	}
	return code, match[1]
}
