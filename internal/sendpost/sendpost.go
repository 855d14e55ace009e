// Package sendpost holds SendPost's shapes that more than one way out has: the API, and the webhooks of accounts. The names of keys and their order
// are SendPost's.
//
// The package is pure.
package sendpost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"postyard/internal/event"
)

// Person is somebody with an address.
type Person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Event is an event. The API and webhooks differ in what they tell of it beyond that (M), and in the unit of SubmittedAt, which is when it happened:
// nanoseconds in the API, seconds in webhooks.
type Event[M any] struct {
	EventID         string   `json:"eventID"`
	Groups          []string `json:"groups"`
	IPID            int32    `json:"ipID"`
	IPPoolID        int32    `json:"ipPoolID"`
	DomainID        int32    `json:"domainID"`
	TPSPID          int32    `json:"tpspId"` // 0: native
	MessageType     string   `json:"messageType"`
	MessageSubject  string   `json:"messageSubject"`
	AccountID       int32    `json:"accountID"`
	SubAccountID    int32    `json:"subAccountID"`
	MessageID       string   `json:"messageID"`
	Type            int      `json:"type"`
	From            string   `json:"from"`
	FromName        string   `json:"fromName"`
	To              string   `json:"to"`
	ToName          string   `json:"toName"`
	SubmittedAt     int64    `json:"submittedAt"`
	SMTPCode        int      `json:"smtpCode"`
	SMTPDescription string   `json:"smtpDescription"`
	EventMetadata   M        `json:"eventMetadata"`
}

// Hook is the body of a webhook.
type Hook struct {
	Event        Event[HookMetadata] `json:"event"`
	EmailMessage json.RawMessage     `json:"emailMessage"` // a HookMessage, the same text in all events of a message
}

// HookMessage is what a webhook tells of the message.
type HookMessage struct {
	MessageID       string            `json:"messageID"`
	AccountID       int32             `json:"accountID"`
	SubAccountID    int32             `json:"subAccountID"`
	IPID            int32             `json:"ipID"`
	PublicIP        string            `json:"publicIP"`
	LocalIP         string            `json:"localIP"`
	EmailType       string            `json:"emailType"`
	SubmittedAt     int64             `json:"submittedAt"` // seconds
	From            Person            `json:"from"`
	ReplyTo         Person            `json:"replyTo"`
	To              []HookRecipient   `json:"to"`
	Groups          []string          `json:"groups"`
	IPPool          string            `json:"ipPool"`
	Headers         map[string]string `json:"headers"`
	CustomFields    map[string]string `json:"customFields"`
	TrackOpens      bool              `json:"trackOpens"`
	TrackClicks     bool              `json:"trackClicks"`
	WebhookEndpoint string            `json:"webhookEndpoint"`
}

// HookRecipient is a recipient, with its copies.
type HookRecipient struct {
	HookCopy
	CC  []HookCopy `json:"cc"`
	BCC []HookCopy `json:"bcc"`
}

// HookCopy is the recipient of a copy.
type HookCopy struct {
	Name         string            `json:"name"`
	Email        string            `json:"email"`
	CustomFields map[string]string `json:"customFields"`
}

// HookMetadata is what a webhook tells of an event beyond its type: the keys of both generations of SendPost's documents.
type HookMetadata struct {
	SMTPCode        int                    `json:"smtpCode,omitempty"`
	SMTPDescription string                 `json:"smtpDescription,omitempty"`
	UserAgent       *event.UserAgent       `json:"userAgent,omitempty"`
	OS              *event.OperatingSystem `json:"os,omitempty"`
	Device          *HookDevice            `json:"device,omitempty"`
	Geo             *HookGeo               `json:"geo,omitempty"`
	ClickedURL      string                 `json:"clickedURL,omitempty"`
	TrackedIP       string                 `json:"trackedIP,omitempty"`
	RawUserAgent    string                 `json:"rawUserAgent,omitempty"`
}

// HookDevice is the kind of machine. Its maker and model are not known, and the newer documents have keys for them.
type HookDevice struct {
	Family string `json:"Family"`
	Brand  string `json:"Brand"`
	Model  string `json:"Model"`
}

// HookGeo is a place, with the time zone in both spellings.
type HookGeo struct {
	event.Geo
	Timezone string `json:"timezone"`
}

// HookMetadataOf returns what webhooks tell of the detail of an event.
func HookMetadataOf(d *event.Detail) HookMetadata {
	m := HookMetadata{SMTPCode: d.SMTPCode, SMTPDescription: d.SMTPDescription, UserAgent: d.UserAgent, OS: d.OS, ClickedURL: d.ClickedURL,
		TrackedIP: d.TrackedIP, RawUserAgent: d.RawUserAgent}
	if d.Device != nil {
		m.Device = &HookDevice{Family: d.Device.Family}
	}
	if d.Geo != nil {
		m.Geo = &HookGeo{Geo: *d.Geo, Timezone: d.Geo.TimeZone}
	}
	return m
}

// seqDigits is how many hexadecimal digits of an event's sequence number stand in its id.
const seqDigits = 16

// EventID returns the public id of an event: unique over all installations, ordered within one.
func EventID(installation string, seq int64) string {
	return fmt.Sprintf("%s-%0*x", installation, seqDigits, uint64(seq))
}

// SeqOf reads an id that EventID gave out.
func SeqOf(installation, id string) (int64, bool) {
	digits, ok := strings.CutPrefix(id, installation+"-")
	if !ok || len(digits) != seqDigits {
		return 0, false
	}
	seq, err := strconv.ParseInt(digits, 16, 64)
	return seq, err == nil && seq > 0 && EventID(installation, seq) == id
}

// Texts shows custom fields as strings (CL-4): strings as they are, everything else as its JSON text.
func Texts(fields json.RawMessage) (map[string]string, error) {
	out := map[string]string{}
	if len(fields) == 0 {
		return out, nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(fields, &values); err != nil {
		return nil, fmt.Errorf("read customFields: %w", err)
	}
	for name, value := range values {
		var text string
		if value[0] == '"' {
			if err := json.Unmarshal(value, &text); err != nil {
				return nil, fmt.Errorf("read customFields.%s: %w", name, err)
			}
			out[name] = text
			continue
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return nil, fmt.Errorf("read customFields.%s: %w", name, err)
		}
		out[name] = compact.String()
	}
	return out, nil
}
