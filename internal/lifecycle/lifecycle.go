// Package lifecycle is the state machine of a message. Whoever changes a message's state (dispatch with an outcome, ingest
// with a provider's report) asks Next, inside the transaction that writes the change; nobody decides a state elsewhere.
//
//	from              on            to         when
//	queued            Claim         sending    claimed by a sender; the intent is durable before the wire
//	queued            Drop          dropped    expired, cancelled, or suppressed meanwhile
//	sending           Accept        sent       the provider accepted
//	sending           Requeue       queued     it may be tried again, here or at the next egress, from its due time on
//	sending           Doubt         unknown    ambiguous outcome, or a crash between wire and record
//	sending           Drop          dropped    refused for good
//	unknown           Accept        sent       the provider has it, or the policy leaves it as sent
//	unknown           Doubt         unknown    the provider was asked and could not tell yet
//	unknown           Requeue       queued     the provider has it not, or the policy sends again
//	unknown           Drop          dropped    expired while nobody could tell
//	queued            Accept        sent       late proof that an earlier attempt had reached the provider
//	queued, sending,
//	unknown, sent     Deliver       delivered  the recipient's server has it; the report may overtake our own record
//	queued, sending,
//	unknown, sent,
//	delivered         Bounce        bounced    the recipient's server refused it, at once or later
//	sent              Drop          dropped    the provider gave up after accepting
//	sent              Requeue       queued     the provider takes its acceptance back; another one may carry it
//
// Everything else leaves the state as it is: a report that comes late, twice or out of order never moves a message back.
//
// The package is pure.
package lifecycle

// State is where a message stands.
type State uint8

// The states. A message is pending while it is Queued, Sending or Unknown.
const (
	Queued    State = iota // waits in its lane
	Sending                // claimed; an attempt is open
	Unknown                // an attempt ended without a clear outcome; the provider is being asked
	Sent                   // a provider has it
	Delivered              // the recipient's server has it
	Bounced                // hard, or soft and final
	Dropped                // nobody will try any more
)

var names = [...]string{"queued", "sending", "unknown", "sent", "delivered", "bounced", "dropped"}

// String returns the state's public name.
func (s State) String() string {
	if int(s) < len(names) {
		return names[s]
	}
	return "invalid"
}

// Pending tells whether the message still has to leave.
func (s State) Pending() bool { return s <= Unknown }

// Trigger is what happened to a message.
type Trigger uint8

// The triggers.
const (
	Claim   Trigger = iota // a sender takes the message
	Accept                 // a provider is known to have it
	Requeue                // it may be tried again
	Doubt                  // nobody knows whether the provider has it
	Drop                   // nobody will try any more
	Deliver                // the provider reports delivery
	Bounce                 // the provider reports a final bounce
)

type step struct {
	from State
	on   Trigger
}

var table = map[step]State{
	{Queued, Claim}: Sending,
	{Queued, Drop}:  Dropped,

	{Sending, Accept}:  Sent,
	{Sending, Requeue}: Queued,
	{Sending, Doubt}:   Unknown,
	{Sending, Drop}:    Dropped,

	{Unknown, Accept}:  Sent,
	{Unknown, Doubt}:   Unknown,
	{Unknown, Requeue}: Queued,
	{Unknown, Drop}:    Dropped,

	{Queued, Accept}: Sent,

	{Queued, Deliver}:  Delivered,
	{Sending, Deliver}: Delivered,
	{Unknown, Deliver}: Delivered,
	{Sent, Deliver}:    Delivered,

	{Queued, Bounce}:    Bounced,
	{Sending, Bounce}:   Bounced,
	{Unknown, Bounce}:   Bounced,
	{Sent, Bounce}:      Bounced,
	{Delivered, Bounce}: Bounced,

	{Sent, Drop}:    Dropped,
	{Sent, Requeue}: Queued,
}

// Next returns the state after a trigger. When the table has no such step, the state stays and moved is false.
func Next(from State, on Trigger) (to State, moved bool) {
	if to, ok := table[step{from, on}]; ok {
		return to, true
	}
	return from, false
}
