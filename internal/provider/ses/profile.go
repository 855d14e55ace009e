package ses

import (
	"fmt"
	"strconv"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/compose"
)

// Profile implements provider.Adapter.
func (*Adapter) Profile() provider.Profile {
	return provider.Profile{
		Type:  provider.AmazonSES,
		Name:  "ses",
		Title: "Amazon SES",
		Fields: []provider.Field{
			{Name: provider.FieldKey, Holds: "the access key id of an IAM user", Required: true},
			{Name: provider.FieldSecret, Holds: "the secret access key that belongs to it", Required: true},
			{Name: provider.FieldEndpoint, Holds: endpointForms + " where SES and SNS are reached", Required: true},
			{Name: provider.FieldDomain, Holds: "the region, " + defaultRegion + " unless it is given; with a URL that is not Amazon's only"},
		},
		Limits: []provider.Limit{
			{Of: "messages in one call", Most: fmt.Sprintf("1; Postyard makes up to %d calls beside each other, for up to %d messages", atOnce, batchSize)},
			{Of: "a message as MIME, in base64", Most: fmt.Sprintf("%d MB", maxMessage>>20)},
			{Of: "recipients of a message, copies included", Most: strconv.Itoa(mail.MaxAddressesPerEmail)},
			{Of: provider.MetadataPrefix + " headers", Most: fmt.Sprintf("%d, each with a key and a value of %d characters", maxUserTags, maxTag)},
			{Of: "a part without a space of a header's value", Most: fmt.Sprintf("%d bytes", compose.MaxToken)},
		},
		Events: words(),
		Approximations: []string{
			"opens and clicks are always tracked, whatever trackOpens and trackClicks say, because the configuration set " + configurationSet + " says so",
			"opens, clicks and unsubscriptions count for the to address, because Amazon SES does not say which recipient it was",
			"in " + provider.MetadataPrefix + " headers, which become tags, characters other than letters, digits, _ and - are replaced by _; one without a value is left out",
			"the first group becomes the tag group, made fit in the same way and cut to 256 characters; the others are known to Postyard only",
			"Amazon SES gives the message a Message-ID of its own",
			"soft bounces are final: Amazon SES reports them when it gives up",
			"when an access key is removed before the provider is, what stands at Amazon stays: the SNS topic and the event destination",
			"the configuration set " + configurationSet + " stays when the provider is removed: other connections to the same AWS account use it too",
		},
		Impossible: []string{
			"templates of Amazon SES are not used; mirrored and stored ones are rendered by Postyard",
			"Amazon SES cannot be asked whether it has a message, nor what became of messages: a message of unknown outcome waits for its event",
			"there is no IP pool that a message may name; dedicated IPs go with the configuration set",
			"access keys that end by themselves (with a session token) are not taken",
		},
	}
}

const suppressing = "suppresses the address"

// words are SES's types of events, with what else decides.
func words() []provider.Word {
	return []provider.Word{
		{Word: "Send", Kind: event.Sent},
		{Word: "Delivery", Kind: event.Delivered},
		{Word: "DeliveryDelay", None: true, Note: "Amazon SES goes on trying"},
		{Word: "Bounce, Permanent", Kind: event.HardBounced, Note: "final; " + suppressing},
		{Word: "Bounce, Permanent, Suppressed or " + onList, Kind: event.Dropped, Note: suppressing},
		{Word: "Bounce, Transient or Undetermined", Kind: event.SoftBounced, Note: "final"},
		{Word: "Complaint", Kind: event.Spam, Note: suppressing},
		{Word: "Complaint, " + onList, Kind: event.Dropped, Note: suppressing},
		{Word: "Complaint, not-spam", None: true},
		{Word: "Reject", Kind: event.Dropped},
		{Word: "Rendering Failure", Kind: event.RenderingFailure},
		{Word: "Open", Kind: event.Opened},
		{Word: "Click", Kind: event.Clicked},
		{Word: "Subscription", Kind: event.Unsubscribed, Note: suppressing},
		{Word: "Subscription, unsubscribeAll false", None: true},
	}
}

// Distinguish implements provider.Distinguisher: each region is an account of its own.
func (*Adapter) Distinguish(conn provider.Connection) string {
	t, bad := parse(conn)
	if bad != nil {
		return conn.Key.Reveal()
	}
	return fmt.Sprintf("%s %s %s", t.ses, t.region, t.keyID)
}
