package sendgrid

import (
	"strings"

	"postyard/internal/sandbox/store"
)

// fateDomain has recipients with a fate, as the simulators of other providers have them. A +tag after the name is ignored, so that many
// recipients can share a fate.
const fateDomain = "bounce.sandbox.test"

// Types of bounces.
const (
	bounceHard    = "bounce"
	bounceBlocked = "blocked"
	bounceExpired = "expired"
)

// dropReasons are why a mail is dropped.
var dropReasons = []string{reasonInvalid, reasonUnsubscribed, reasonBounced, reasonSpam, "Spam Content", "Invalid SMTPAPI header",
	"Recipient List over Package Quota"}

const (
	reasonInvalid      = "Invalid"
	reasonUnsubscribed = "Unsubscribed Address"
	reasonBounced      = "Bounced Address"
	reasonSpam         = "Spam Reporting Address"
)

// fate is what becomes of a mail to an address. The zero fate is to be delivered.
type fate struct {
	bounce string       // the type
	drop   string       // the reason
	defers bool         // before it is delivered
	then   *store.Event // what the recipient does afterwards
}

func fateOf(email string) fate {
	mailbox, domain, _ := strings.Cut(strings.ToLower(email), "@")
	if domain != fateDomain {
		return fate{}
	}
	mailbox, _, _ = strings.Cut(mailbox, "+")
	name := squeeze(mailbox)
	for _, reason := range dropReasons {
		if name == squeeze(reason) {
			return fate{drop: reason}
		}
	}
	switch name {
	case "blackhole", "delivered":
		return fate{}
	case "deferred", "transient":
		return fate{defers: true}
	case "complaint", "spamcomplaint", "spamreport":
		return fate{then: &store.Event{Kind: store.Complained}}
	case "unsubscribe":
		return fate{then: &store.Event{Kind: store.Subscribed, Type: eventUnsubscribe}}
	case bounceBlocked, "softbounce", "soft":
		return fate{bounce: bounceBlocked}
	case bounceExpired:
		return fate{bounce: bounceExpired}
	}
	return fate{bounce: bounceHard}
}

// squeeze makes HardBounce, hard_bounce and "Hard Bounce" the same.
func squeeze(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name))
}

// step is what happens next to a recipient of a mail, by what has happened so far: nil when the mail is through.
func (m *content) step(recipient string, before []store.Event, suppressed string) []store.Event {
	f := fateOf(recipient)
	taken, deferred := false, false
	for _, e := range before {
		if e.Recipient != recipient {
			continue
		}
		switch e.Kind {
		case store.Delivered, store.Bounced, store.Dropped:
			return nil
		case store.Processed:
			taken = true
		case store.Deferred:
			deferred = true
		}
	}
	one := func(kind store.Kind, finer string) []store.Event {
		return []store.Event{{Kind: kind, Recipient: recipient, Type: finer}}
	}
	switch {
	case !taken && suppressed != "":
		return one(store.Dropped, suppressed)
	case !taken && f.drop != "":
		return one(store.Dropped, f.drop)
	case !taken:
		return one(store.Processed, "")
	case f.bounce != "":
		return one(store.Bounced, f.bounce)
	case f.defers && !deferred:
		return one(store.Deferred, "")
	}
	events := one(store.Delivered, "")
	if f.then != nil {
		then := *f.then
		then.Recipient = recipient
		events = append(events, then)
	}
	return events
}
