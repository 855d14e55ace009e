package postmark

import (
	"strings"

	"postyard/internal/event"
)

// bounceType is what a Type of a Bounce record means.
type bounceType struct {
	code  int64 // TypeCode
	kind  event.Kind
	final bool // Postmark gives up; otherwise it still tries, or the record is a reply and no refusal
}

// bounceTypes holds Postmark's types. PM-29 decides the kind: HardBounce is hard, a complaint is spam, a request for
// no more mail is an unsubscription, all else is soft.
// Whether it is final decides whether the message ends as bounced:
//
//	Transient, DnsError                          Postmark still tries
//	AutoResponder, AddressChange,                somebody or something answered: the mail arrived
//	ChallengeVerification, Unconfirmed
//	Subscribe, Unsubscribe, OpenRelayTest,       mail to the sender that is no answer to this message
//	InboundError
//	all others, unknown ones too                 it was refused, and Postmark will not try again
var bounceTypes = map[string]bounceType{
	"HardBounce":              {1, event.HardBounced, true},
	"Transient":               {2, event.SoftBounced, false},
	"Unsubscribe":             {16, event.Unsubscribed, false},
	"Subscribe":               {32, event.SoftBounced, false},
	"AutoResponder":           {64, event.SoftBounced, false},
	"AddressChange":           {128, event.SoftBounced, false},
	"DnsError":                {256, event.SoftBounced, false},
	"SpamNotification":        {512, event.SoftBounced, true},
	"OpenRelayTest":           {1024, event.SoftBounced, false},
	"Unknown":                 {2048, event.SoftBounced, true},
	"SoftBounce":              {4096, event.SoftBounced, true},
	"VirusNotification":       {8192, event.SoftBounced, true},
	"ChallengeVerification":   {16384, event.SoftBounced, false},
	"BadEmailAddress":         {100000, event.SoftBounced, true},
	"SpamComplaint":           {100001, event.Spam, true},
	"ManuallyDeactivated":     {100002, event.SoftBounced, true},
	"Unconfirmed":             {100003, event.SoftBounced, false},
	"Blocked":                 {100006, event.SoftBounced, true},
	"SMTPApiError":            {100007, event.SoftBounced, true},
	"InboundError":            {100008, event.SoftBounced, false},
	"DMARCPolicy":             {100009, event.SoftBounced, true},
	"TemplateRenderingFailed": {100010, event.SoftBounced, true},
}

// bounceOf decides by the type's name, and by its code where the name says nothing. TypeCode 1 is hard whatever the name.
func bounceOf(name string, code int64) bounceType {
	if code == bounceTypes["HardBounce"].code {
		return bounceTypes["HardBounce"]
	}
	for known, b := range bounceTypes {
		if strings.EqualFold(known, name) {
			return b
		}
	}
	if name == "" {
		for _, b := range bounceTypes {
			if b.code == code {
				return b
			}
		}
	}
	return bounceType{code, event.SoftBounced, true}
}
