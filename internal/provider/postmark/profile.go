package postmark

import (
	"fmt"
	"strconv"
	"strings"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// Profile implements provider.Adapter.
func (*Adapter) Profile() provider.Profile {
	return provider.Profile{
		Type:  provider.Postmark,
		Name:  "postmark",
		Title: "Postmark",
		Fields: []provider.Field{
			{Name: provider.FieldKey, Holds: "the Server API Token of a server", Required: true},
			{Name: provider.FieldStream, Holds: "the id of a message stream of that server, such as outbound", Required: true},
			{Name: provider.FieldEndpoint, Holds: "the base URL of the API, " + defaultEndpoint + " unless it is given"},
		},
		Limits: []provider.Limit{
			{Of: "messages in one call", Most: strconv.Itoa(maxBatch)},
			{Of: "a message with its attachments, in base64", Most: fmt.Sprintf("%d MB", maxMessage>>20)},
			{Of: "htmlBody or textBody", Most: fmt.Sprintf("%d MB", maxPart>>20)},
			{Of: "name and address of the sender", Most: fmt.Sprintf("%d characters", maxFrom)},
			{Of: "the first group", Most: fmt.Sprintf("%d characters", maxTag)},
			{Of: provider.MetadataPrefix + " headers", Most: fmt.Sprintf("%d, each with a key of %d and a value of %d characters", maxUserMetadata, maxMetadataKey, maxMetadataValue)},
		},
		Events: words(),
		Approximations: []string{
			"the first group becomes Postmark's Tag; the others are known to Postyard only",
			"the subject in Postmark's metadata is cut to 80 characters",
			"a bounce that is neither hard nor a complaint nor an unsubscription is a soft one; of them, those that the table does not call final leave the message as it is",
		},
		Impossible: []string{
			"an ampBody is not carried",
			"files of types that can be run, such as .exe and .bat, are not carried",
			"deferrals are not reported",
			"there are no IP pools of Postmark's that a message may name",
		},
	}
}

const suppressing = "suppresses the address"

// words are Postmark's: those of RecordType, and beside Bounce those of its Type.
func words() []provider.Word {
	list := []provider.Word{
		{Word: recordDelivery, Kind: event.Delivered},
		{Word: recordOpen, Kind: event.Opened},
		{Word: recordClick, Kind: event.Clicked},
		{Word: recordSpamComplaint, Kind: event.Spam, Note: suppressing},
	}
	for _, name := range BounceTypes() {
		w := provider.Word{Word: recordBounce + ", " + name, Kind: bounceTypes[name].kind}
		switch {
		case w.Kind == event.HardBounced:
			w.Note = "final; suppresses the address, unless its Inactive is false"
		case w.Kind != event.SoftBounced:
			w.Note = suppressing
		case bounceTypes[name].final:
			w.Note = "final"
		}
		list = append(list, w)
	}
	return append(list,
		provider.Word{Word: recordBounce + ", any other type", Kind: event.SoftBounced, Note: "final"},
		provider.Word{Word: recordSubscriptionChange + ", by the recipient", Kind: event.Unsubscribed, Note: suppressing + "; read back only, because the webhook does not ask for it"},
		provider.Word{Word: recordSubscriptionChange + ", all others", None: true},
		provider.Word{Word: recordInbound, None: true},
	)
}

// Distinguish implements provider.Distinguisher: Postmark compares tokens without regard to case.
func (*Adapter) Distinguish(conn provider.Connection) string {
	return strings.ToLower(conn.Key.Reveal())
}
