package ses

import (
	"slices"
	"strings"

	"postyard/internal/sandbox/store"
)

// Domains whose mailboxes have a fate: SES's own mailbox simulator, and the sandbox's.
const (
	simulatorDomain = "simulator.amazonses.com"
	sandboxDomain   = "bounce.sandbox.test"
)

// bounceTypes are the kinds of bounces, type and subtype, the usual one first.
var bounceTypes = []string{bounceGeneral, "Permanent/NoEmail", bounceSuppressed, bounceListed, "Transient/General", "Transient/MailboxFull",
	"Transient/MessageTooLarge", "Transient/ContentRejected", "Transient/AttachmentRejected", "Undetermined/Undetermined"}

const (
	bounceGeneral    = "Permanent/General"
	bounceSuppressed = "Permanent/Suppressed"
	bounceListed     = "Permanent/OnAccountSuppressionList"
)

// delayTypes are why a delivery may be delayed, the usual one first.
var delayTypes = []string{"General", "MailboxFull", "InternalFailure", "SpamDetected", "RecipientServerError", "IPFailure",
	"TransientCommunicationFailure", "BYOIPHostNameLookupUnavailable", "Undetermined", "SendingDeferral"}

// complaintTypes are the kinds of complaints, the usual one first.
var complaintTypes = []string{"abuse", "auth-failure", "fraud", "not-spam", "other", "virus"}

// foreign are names of bounces that other providers of the sandbox have, so that the same addresses can be used with all.
var foreign = map[string]string{"hardbounce": bounceGeneral, "softbounce": "Transient/General", "transient": "Transient/General",
	"permanent": bounceGeneral, "blocked": "Transient/General", "dnserror": "Transient/General", "spamnotification": "Transient/ContentRejected",
	"undetermined": "Undetermined/Undetermined", "bademailaddress": "Permanent/NoEmail"}

// BounceTypes returns the names of the types of bounces that a message can have, the usual one first.
func BounceTypes() []string { return slices.Clone(bounceTypes) }

// bounceNamed finds a type of bounce by its name, or that of its subtype, in any spelling.
func bounceNamed(name string) (string, bool) {
	wanted := squeeze(name)
	for _, known := range bounceTypes {
		_, subtype, _ := strings.Cut(known, "/")
		if wanted == squeeze(known) || wanted == squeeze(subtype) && subtype != "General" {
			return known, true
		}
	}
	known, ok := foreign[wanted]
	return known, ok
}

// squeeze takes away what spellings of one name differ in.
func squeeze(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "", "/", "", ".", "").Replace(strings.ToLower(name))
}

// simulated tells whether an address is of SES's mailbox simulator.
func simulated(email string) bool {
	_, domain, _ := splitAddress(strings.ToLower(email))
	return domain == simulatorDomain
}

// fate is what becomes of a message at an address.
func fate(email string) []store.Event {
	mailbox, domain, _ := splitAddress(strings.ToLower(email))
	mailbox, _, _ = strings.Cut(mailbox, "+")
	delivered := store.Event{Kind: store.Delivered, Recipient: email}
	complained := store.Event{Kind: store.Complained, Recipient: email, Type: complaintTypes[0]}
	bounced := func(kind string) []store.Event {
		return []store.Event{{Kind: store.Bounced, Recipient: email, Type: kind}}
	}
	switch domain {
	case simulatorDomain:
		switch mailbox {
		case "bounce":
			return bounced(bounceGeneral)
		case "suppressionlist":
			return bounced(bounceSuppressed)
		case "complaint":
			return []store.Event{delivered, complained}
		}
	case sandboxDomain:
		wanted := squeeze(mailbox)
		switch wanted {
		case "blackhole":
		case "complaint", "spamcomplaint":
			return []store.Event{delivered, complained}
		case "deliverydelay", "delay", "deferred":
			return []store.Event{{Kind: store.Deferred, Recipient: email, Type: delayTypes[0]}, delivered}
		default:
			if kind, ok := bounceNamed(wanted); ok {
				return bounced(kind)
			}
			return bounced(bounceGeneral)
		}
	}
	return []store.Event{delivered}
}

// refusal is why SES does not try to deliver a message at all, because of one of its recipients; "" when it does.
func refusal(recipients []string) string {
	for _, email := range recipients {
		mailbox, domain, _ := splitAddress(strings.ToLower(email))
		mailbox, _, _ = strings.Cut(mailbox, "+")
		if domain != sandboxDomain {
			continue
		}
		switch squeeze(mailbox) {
		case "reject":
			return eventReject
		case "renderingfailure":
			return eventRendering
		}
	}
	return ""
}
