package postmark

import "strings"

// bounceType is one kind of bounce with its code and words.
type bounceType struct {
	name        string
	code        int
	title       string
	description string
}

// bounceTypes are all that Postmark lists, HardBounce first.
var bounceTypes = []bounceType{
	{"HardBounce", 1, "Hard bounce", "The server was unable to deliver your message (ex: unknown user, mailbox not found)."},
	{"Transient", 2, "Message delayed/Undeliverable",
		"The server could not temporarily deliver your message (ex: Message is delayed due to network troubles)."},
	{"Unsubscribe", 16, "Unsubscribe request", "Unsubscribe or Remove request."},
	{"Subscribe", 32, "Subscribe request", "Subscribe request from someone wanting to get added to the mailing list."},
	{"AutoResponder", 64, "Auto responder", "Automatic email responder (ex: \"Out of Office\" or \"On Vacation\")."},
	{"AddressChange", 128, "Address change", "The recipient has requested an address change."},
	{"DnsError", 256, "DNS error", "A temporary DNS error."},
	{"SpamNotification", 512, "Spam notification",
		"The message was delivered, but was either blocked by the user, or classified as spam, bulk mail, or had rejected content."},
	{"OpenRelayTest", 1024, "Open relay test", "The NDR is actually a test email message to see if the mail server is an open relay."},
	{"Unknown", 2048, "Unknown", "Unable to classify the NDR."},
	{"SoftBounce", 4096, "Soft bounce",
		"Unable to temporarily deliver message (i.e. mailbox full, account disabled, exceeds quota, out of disk space)."},
	{"VirusNotification", 8192, "Virus notification", "The bounce is actually a virus notification warning about a virus/code infected" +
		" message."},
	{"ChallengeVerification", 16384, "Spam challenge verification", "The bounce is a challenge asking for verification you actually" +
		" sent the email."},
	{"BadEmailAddress", 100000, "Invalid email address", "The address is not a valid email address."},
	{spamComplaint, 100001, "Spam complaint", "The subscriber explicitly marked this message as spam."},
	{"ManuallyDeactivated", 100002, "Manually deactivated", "The email was manually deactivated."},
	{"Unconfirmed", 100003, "Registration not confirmed", "The subscriber has not clicked on the confirmation link."},
	{"Blocked", 100006, "ISP block", "Blocked from this ISP due to content or blacklisting."},
	{"SMTPApiError", 100007, "SMTP API error", "An error occurred while accepting an email through the SMTP API."},
	{"InboundError", 100008, "Processing failed", "Unable to deliver inbound message to destination inbound hook."},
	{"DMARCPolicy", 100009, "DMARC Policy", "Email rejected due DMARC Policy."},
	{"TemplateRenderingFailed", 100010, "Template rendering failed", "An error occurred while attempting to render your template."},
}

const (
	hardBounce      = "HardBounce"
	spamComplaint   = "SpamComplaint"
	renderingFailed = "TemplateRenderingFailed"
)

// details is the remote server's answer that goes with a type.
func (b bounceType) details() string {
	switch b.name {
	case hardBounce:
		return "smtp;550 5.1.1 The email account that you tried to reach does not exist."
	case "Transient", "SoftBounce", "DnsError":
		return "smtp;451 4.3.0 Temporary failure, please try again later."
	case spamComplaint:
		return "abuse report received"
	case "Blocked", "SpamNotification", "DMARCPolicy", "VirusNotification":
		return "smtp;554 5.7.1 Message refused by policy."
	}
	return "Sandbox bounce of type " + b.name
}

func bounceTypeOf(name string) bounceType {
	for _, b := range bounceTypes {
		if b.name == name {
			return b
		}
	}
	return bounceTypes[0]
}

// Addresses with a fate (PM-sim 42). The local alias takes a +tag after the type, so that many recipients can share a fate.
const (
	bounceDomain      = "bounce-testing.postmarkapp.com"
	bounceLocalDomain = "bounce.sandbox.test"
	blackhole         = "blackhole"
	complaint         = "complaint"
	headerBounceType  = "X-PM-Bounce-Type"
)

// fate is what becomes of a message to an address.
type fate struct {
	bounce    string // the type, or empty
	complaint bool   // delivered first, then complained about
}

// fateOf reads the address. forced is the message's X-PM-Bounce-Type, which counts for these addresses only.
func fateOf(email, forced string) fate {
	mailbox, domain, _ := cutLast(strings.ToLower(email), '@')
	if domain != bounceDomain && domain != bounceLocalDomain {
		return fate{}
	}
	mailbox, _, _ = strings.Cut(mailbox, "+")
	if forced != "" {
		mailbox = forced
	}
	wanted := squeeze(mailbox)
	switch {
	case wanted == blackhole:
		return fate{}
	case domain == bounceLocalDomain && (wanted == complaint || wanted == squeeze(spamComplaint)):
		return fate{complaint: true}
	}
	if name, err := bounceNamed(wanted); err == nil {
		return fate{bounce: name}
	}
	return fate{bounce: hardBounce}
}

// squeeze makes HardBounce, hard_bounce and hard-bounce the same.
func squeeze(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}
