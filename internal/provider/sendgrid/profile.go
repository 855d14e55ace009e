package sendgrid

import (
	"fmt"
	"strconv"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// Profile implements provider.Adapter.
func (*Adapter) Profile() provider.Profile {
	return provider.Profile{
		Type:  provider.SendGrid,
		Name:  "sendgrid",
		Title: "SendGrid",
		Fields: []provider.Field{
			{Name: provider.FieldKey, Holds: "the API key, which may send mail, read the user's profile and change Event Webhooks", Required: true},
			{Name: provider.FieldSecret, Holds: "the API key, as SendPost has it there; it is kept as the key"},
			{Name: provider.FieldEndpoint, Holds: "the base URL of the API, " + defaultEndpoint + " unless it is given; subusers of the EU region have https://api.eu.sendgrid.com"},
		},
		Limits: []provider.Limit{
			{Of: "messages in one call, if all but their recipients is equal; others go one by one", Most: strconv.Itoa(maxPersonalizations)},
			{Of: "recipients in one call, copies included", Most: strconv.Itoa(maxRecipients)},
			{Of: "a message with its attachments, in base64", Most: fmt.Sprintf("%d MB", maxBody>>20)},
			{Of: "a group that becomes a category", Most: fmt.Sprintf("%d characters", maxCategory)},
			{Of: provider.MetadataPrefix + " headers together, as JSON", Most: fmt.Sprintf("%d bytes", maxCustomArgs-ownCustomArgs)},
		},
		Events: vocabulary(),
		Approximations: []string{
			fmt.Sprintf("the first %d groups that are ASCII become SendGrid's categories; the others are known to Postyard only", maxCategories),
			"an address that a message has twice, as a recipient or a copy, gets one mail",
			"events happen in whole seconds: one can seem up to a second earlier than it was",
			"the messages of one call share SendGrid's message id",
			"text beyond ASCII in a header's value is encoded (RFC 2047)",
		},
		Impossible: []string{
			"an ampBody is not carried",
			"a message without a subject is not carried",
			"headers that SendGrid reserves, such as X-SMTPAPI and X-SG-ID, cannot be set",
			"SendGrid cannot be asked whether it has a message, nor what became of it",
			"templates of SendGrid's are not used",
		},
	}
}

// vocabulary is SendGrid's: the words of event and, where they decide, of type and reason.
func vocabulary() []provider.Word {
	list := []provider.Word{
		{Word: "processed", Kind: event.Sent},
		{Word: "delivered", Kind: event.Delivered},
		{Word: "deferred", Kind: event.Deferred},
		{Word: "bounce, type bounce", Kind: event.HardBounced, Note: suppressing},
		{Word: "bounce, type blocked", Kind: event.SoftBounced, Note: "final"},
		{Word: "bounce, type expired", Kind: event.SoftBounced, Note: "final"},
		{Word: "bounce, any other type, status 5", Kind: event.HardBounced, Note: suppressing},
		{Word: "bounce, any other type, any other status", Kind: event.SoftBounced, Note: "final"},
	}
	for _, reason := range dropReasons() {
		w := provider.Word{Word: "dropped, " + reason, Kind: event.Dropped}
		switch d := dropOf(reason); {
		case d.suppresses:
			w.Note = suppressing
		case d.refused != provider.Accepted:
			w.Note = "sent again by another provider"
		}
		list = append(list, w)
	}
	return append(list,
		provider.Word{Word: "dropped, any other reason", Kind: event.Dropped},
		provider.Word{Word: "open", Kind: event.Opened},
		provider.Word{Word: "click", Kind: event.Clicked},
		provider.Word{Word: "spamreport", Kind: event.Spam, Note: suppressing},
		provider.Word{Word: "unsubscribe", Kind: event.Unsubscribed, Note: suppressing},
		provider.Word{Word: "group_unsubscribe", Kind: event.GroupUnsubscribe},
		provider.Word{Word: "group_resubscribe", Kind: event.GroupResubscribe},
	)
}

const suppressing = "suppresses the address"
