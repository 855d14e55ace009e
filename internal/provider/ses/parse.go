package ses

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// validated begins what SES publishes when an event destination is made: it is no event, and no JSON.
const validated = "Successfully validated SNS topic"

// Parse implements provider.Adapter. What SNS posts holds one event, of one recipient or of several. Events that are SES's and say nothing
// that there is a type for (a delay) give no reports and no error.
func (a *Adapter) Parse(_ http.Header, body []byte) ([]provider.Report, error) {
	reports, err := a.parse(body)
	if err != nil {
		return nil, fmt.Errorf("parse a webhook of Amazon SES: %w", err)
	}
	return reports, nil
}

func (a *Adapter) parse(body []byte) ([]provider.Report, error) {
	e, err := readEnvelope(body)
	if err != nil {
		return nil, err
	}
	switch e.Type {
	case typeNotification:
	case typeConfirmation:
		return nil, nil // Greet has answered it
	case typeUnsubscribed:
		return nil, errors.New("the subscription of our webhook to its topic was ended; it is made again when the webhook is looked at next")
	default:
		return nil, fmt.Errorf("unknown Type %q", provider.Clean(e.Type, maxID))
	}
	if strings.HasPrefix(e.Message, validated) {
		return nil, nil
	}
	var r record
	if err := json.Unmarshal([]byte(e.Message), &r); err != nil || r == nil {
		return nil, fmt.Errorf("its message is not a JSON object (%d bytes)", len(e.Message))
	}
	h := &happening{now: a.Now().UTC(), name: r.text("eventType", maxID), mail: r.object("mail"), sns: e}
	if h.name == "" {
		h.name = r.text("notificationType", maxID) // as notifications of an identity have it
	}
	read, known := readers[h.name]
	if !known {
		return nil, fmt.Errorf("unknown eventType %q", h.name)
	}
	h.body, h.tags = r.object(read.body), h.mail.object("tags")
	if h.destination = addressed(h.mail.texts("destination", maxAddress)); h.mail == nil {
		return nil, errors.New("no mail in it")
	}
	h.detail = h.details()
	reports := read.by(h)
	for i := range reports {
		if reports[i].Recipient == "" {
			return nil, fmt.Errorf("%s of no recipient", h.name)
		}
	}
	return reports, nil
}

// happening is one event of SES's.
type happening struct {
	now         time.Time
	name        string // "Rendering Failure"
	mail        record
	tags        record   // of the message, ours and others
	body        record   // what is told of the event; nil when nothing is
	destination []string // everybody whom the message went to, its own recipient first
	sns         *envelope
	detail      event.Detail // what all reports have
}

// readers are how events are read, by their names, and where in the message what is told of them stands.
var readers = map[string]struct {
	body string
	by   func(*happening) []provider.Report
}{
	"Send":              {"send", func(h *happening) []provider.Report { return h.first(event.Sent) }},
	"Delivery":          {"delivery", (*happening).delivery},
	"Bounce":            {"bounce", (*happening).bounce},
	"Complaint":         {"complaint", (*happening).complaint},
	"Reject":            {"reject", func(h *happening) []provider.Report { return h.all(event.Dropped, "reason") }},
	"Open":              {"open", func(h *happening) []provider.Report { return h.first(event.Opened) }},
	"Click":             {"click", func(h *happening) []provider.Report { return h.first(event.Clicked) }},
	"Rendering Failure": {"failure", func(h *happening) []provider.Report { return h.all(event.RenderingFailure, "errorMessage") }},
	"Subscription":      {"subscription", (*happening).subscription},
	"DeliveryDelay":     {"deliveryDelay", func(*happening) []provider.Report { return nil }}, // SES goes on trying, and SendPost has no type for that
}

// first reports of the message's own recipient: SES does not say which one it was.
func (h *happening) first(kind event.Kind) []provider.Report {
	if len(h.destination) == 0 {
		return []provider.Report{h.report(kind, "")}
	}
	return []provider.Report{h.report(kind, h.destination[0])}
}

// all reports of everybody whom the message was to go to, with SES's words in a field of its.
func (h *happening) all(kind event.Kind, words string) []provider.Report {
	list := []provider.Report{}
	for _, to := range h.destination {
		r := h.report(kind, to)
		describe(&r, h.body.text(words, maxField))
		list = append(list, r)
	}
	if len(list) == 0 {
		list = h.first(kind)
	}
	return list
}

func (h *happening) delivery() (list []provider.Report) {
	to := addressed(h.body.texts("recipients", maxAddress))
	if len(to) == 0 {
		to = h.destination[:min(len(h.destination), 1)]
	}
	for _, email := range to {
		r := h.report(event.Delivered, email)
		describe(&r, h.body.text("smtpResponse", maxField))
		list = append(list, r)
	}
	if len(list) == 0 {
		list = h.first(event.Delivered)
	}
	return list
}

// bounce reads a bounce. Transient ones and those that SES cannot judge are final as well: SES has tried for as long as it does. An address
// on a suppression list got nothing, so that is no bounce.
func (h *happening) bounce() (list []provider.Report) {
	kind := event.SoftBounced
	if h.body.text("bounceType", maxID) == "Permanent" {
		kind = event.HardBounced
		if sub := h.body.text("bounceSubType", maxID); sub == "Suppressed" || sub == onList {
			kind = event.Dropped
		}
	}
	for _, one := range h.affected("bouncedRecipients") {
		r := h.report(kind, one.email)
		r.Final = kind != event.Dropped
		r.Suppresses, r.Reason = kind != event.SoftBounced, provider.HardBounce
		if !r.Suppresses {
			r.Reason = provider.Manual
		}
		describe(&r, one.text("diagnosticCode", maxField))
		keep(r.Detail.Provider, one.record)
		list = append(list, r)
	}
	return list
}

// onList is the subtype of what SES did not send because of the account's own suppression list.
const onList = "OnAccountSuppressionList"

// complaint reads a complaint. One that says that the mail is no spam is none, and one about mail that SES did not send is a drop.
func (h *happening) complaint() (list []provider.Report) {
	if strings.EqualFold(h.body.text("complaintFeedbackType", maxID), "not-spam") {
		return nil
	}
	kind := event.Spam
	if h.body.text("complaintSubType", maxID) == onList {
		kind = event.Dropped
	}
	for _, one := range h.affected("complainedRecipients") {
		r := h.report(kind, one.email)
		r.Suppresses, r.Reason = true, provider.SpamComplaint
		list = append(list, r)
	}
	return list
}

// subscription reads that a recipient changed what mail is wanted. Only an end of all of it is an unsubscription.
func (h *happening) subscription() []provider.Report {
	if all, told := h.body.object("newTopicPreferences").flag("unsubscribeAll"); told && !all {
		return nil
	}
	list := h.first(event.Unsubscribed)
	list[0].Suppresses, list[0].Reason = true, provider.Unsubscribed
	return list
}

// recipient is one of those whom a bounce or complaint is about.
type recipient struct {
	record
	email string
}

// affected lists those in a field; where SES names nobody, the message's only one.
func (h *happening) affected(field string) (list []recipient) {
	for _, one := range h.body.objects(field) {
		if email := addressed([]string{one.text("emailAddress", maxAddress)}); len(email) == 1 {
			list = append(list, recipient{one, email[0]})
		}
	}
	if len(list) == 0 {
		email := ""
		if len(h.destination) == 1 {
			email = h.destination[0]
		}
		list = append(list, recipient{nil, email})
	}
	return list
}

// addressed takes the addresses out of what may have names.
func addressed(list []string) (emails []string) {
	for _, s := range list {
		if strings.ContainsRune(s, '<') {
			if a, err := netmail.ParseAddress(s); err == nil {
				s = provider.Clean(a.Address, maxAddress)
			}
		}
		if s != "" {
			emails = append(emails, s)
		}
	}
	return emails
}

// maxAhead is how far SES's clock may be ahead of ours.
const maxAhead = 24 * time.Hour

// report is what all reports of an event have, for one recipient.
func (h *happening) report(kind event.Kind, email string) provider.Report {
	r := provider.Report{
		Kind: kind, MessageID: provider.OwnMessageID(tagValue(h.tags, messageIDTag)), TPSPID: provider.OwnTPSPID(tagValue(h.tags, tpspIDTag)),
		ProviderMessageID: h.mail.text("messageId", maxID), Recipient: email,
		Detail: h.detail,
	}
	r.Detail.Provider = maps.Clone(h.detail.Provider)
	r.Type, _ = event.TypeOf(event.AmazonSES, kind) // the family has every kind that is read here
	when := h.body.text("timestamp", maxID)
	if when == "" { // what happened when SES took the message, or a moment later
		when = h.mail.text("timestamp", maxID)
	}
	at, ok := moment(when)
	if !ok {
		at, ok = moment(h.sns.Timestamp)
	}
	// Nothing has happened yet that is said to happen later; its day would show in statistics.
	if r.OccurredAt = at; !ok || at.After(h.now.Add(maxAhead)) {
		r.OccurredAt = h.now
	}
	r.Identity = h.identity(r)
	return r
}

// identity condenses what tells one event from another. Of one event SNS may post several copies, and several topics may have it, each under
// an id of its own, so those do not count where SES says enough:
//
//	Send, Delivery, Reject, Rendering Failure   message, recipient: they happen once
//	Bounce, Complaint                           SES's id of the feedback, message, recipient
//	Open, Click, Subscription                   message, recipient, moment, user agent, address, and the link
func (h *happening) identity(r provider.Report) string {
	fields := []string{h.name, r.ProviderMessageID, strings.ToLower(r.Recipient)}
	switch h.name {
	case "Bounce", "Complaint":
		id := h.body.text("feedbackId", maxID)
		if id == "" {
			id = h.sns.MessageID
		}
		fields = append(fields, id)
	case "Open", "Click", "Subscription":
		when := h.body.text("timestamp", maxID)
		if when == "" {
			when = h.sns.MessageID
		}
		fields = append(fields, when, h.body.text("userAgent", maxLong), h.body.text("ipAddress", maxID), h.body.text("link", maxLong))
	}
	if r.ProviderMessageID == "" {
		fields = append(fields, h.sns.MessageID)
	}
	text := make([]byte, 0, 512)
	for _, f := range fields {
		text = append(append(strconv.AppendInt(text, int64(len(f)), 10), ':'), f...) // the length keeps "a","bc" and "ab","c" apart
	}
	sum := sha256.Sum256(text)
	return "ses:" + strings.ToLower(h.name) + ":" + hex.EncodeToString(sum[:16])
}

// tagValue returns the first value of a tag.
func tagValue(tags record, name string) string {
	if values := tags.texts(name, maxField); len(values) > 0 {
		return values[0]
	}
	return ""
}
