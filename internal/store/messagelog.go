package store

import (
	"context"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
)

// MessageLog looks through the messages of an account piece by piece, from the newest back: what one question looks at is bounded, however many
// there are.
type MessageLog interface {
	// MessagesBack looks at messages before a place, at most look of them and what is left of the last one's millisecond, and returns those that
	// the filter selects, at most limit. It returns the place to go on from, which names no message of another account, and done when there are
	// no more. Where f.Recipient says who got them, only the messages to that address are looked at;
	// where f.States are states of pending messages only, only those that are pending.
	MessagesBack(ctx context.Context, f MessageFilter, before MessagePlace, look, limit int) (found []FoundMessage, next MessagePlace, done bool, err error)

	// Heads reads what contents say of a message in a list: sender, subject and groups, by FoundMessage.ContentRef. Those that are not there are left out.
	Heads(ctx context.Context, refs []string) (map[string]Head, error)

	// LastEvents returns the event of each message of the account that was recorded last. Messages without one are left out.
	LastEvents(ctx context.Context, accountID int32, ids []mail.ID) (map[mail.ID]LastEvent, error)

	// DeliveriesOf returns what waits to be posted to endpoints of some events, and the tries that are still kept, the newest first, at most limit.
	DeliveriesOf(ctx context.Context, endpointIDs []int32, seqs []int64, limit int) ([]StandingDelivery, []Try, error)
}

// MessagePlace is a place among the messages of an account; the zero value is before the newest one. It is good for the filter that it came of.
type MessagePlace struct {
	ID  mail.ID // of the last one that was looked at, or no message's: before it all was
	Seq int64   // with a recipient: of its first event
}

// MessageFilter selects messages. Zero fields do not filter, but for the account.
type MessageFilter struct {
	AccountID int32
	ID        mail.ID
	Recipient string            // exact address, in any case of letters
	States    []lifecycle.State // any of them
	From, To  time.Time         // submitted, From included, To excluded
	Choices   []MessageChoice   // all of them
}

// Pending tells whether the filter selects pending messages only.
func (f *MessageFilter) Pending() bool {
	for _, state := range f.States {
		if !state.Pending() {
			return false
		}
	}
	return len(f.States) > 0
}

// MessageField is what a choice is about.
type MessageField uint8

// The fields. FieldGroup selects by labels: a message that counts under OtherValue may have the group or not.
const (
	FieldSubAccount MessageField = iota // ids
	FieldPool                           // ids
	FieldEgress                         // route.Egress: who has the message, or where it waits
	FieldMailbox                        // mailbox.Class.ID
	FieldMark                           // Mark
	FieldEngaged                        // bits of Engaged: has any of them
	FieldTo                             // Texts
	FieldGroup                          // Texts: whole names
)

// MessageChoice selects messages that have any of the values, or with Not those that have none.
type MessageChoice struct {
	Field   MessageField
	Numbers []int32
	Texts   []Text
	Not     bool
}

// Text is what an address is compared with, in any case of letters.
type Text struct {
	Value string
	How   TextMatch
}

// TextMatch is how texts are compared.
type TextMatch uint8

// The ways.
const (
	Whole TextMatch = iota
	AtEnd
	Within
)

// FoundMessage is a message in a list.
type FoundMessage struct {
	Message    // without its Content, Plan and ProviderID
	Engaged    Engaged
	ContentRef string
	Place      MessagePlace
}

// Head is what a list shows of a content.
type Head struct {
	From    mail.Address
	Subject string
	Groups  []string
}

// LastEvent is what happened to a message last.
type LastEvent struct {
	Seq        int64
	Type       event.Type
	OccurredAt time.Time
	Words      string // the provider's, or ours: smtpDescription
}

// StandingDelivery is a delivery that is not done.
type StandingDelivery struct {
	Delivery
	GivenUp bool
}
