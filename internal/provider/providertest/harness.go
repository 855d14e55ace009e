package providertest

import (
	"context"
	"net"
	"net/http"
	"testing"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
)

// Key is the secret in the connections of the suite. It must never show in anything that an adapter returns.
const Key = "5ec7e700-1111-4222-8333-0123456789ab"

// Least is the fewest cases of the suite.
const Least = 60

// Dial makes connections, as net.Dialer's DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Harness is what the suite must know of an adapter and its provider.
type Harness struct {
	// New returns an adapter that connects by dial, and may connect to loopback. What it holds ends with the test. Adapters that speak
	// HTTP give Transport(t, dial) to their configuration.
	New func(t *testing.T, dial Dial) provider.Adapter

	// Connection completes a connection that has ids, an endpoint and Key as its key: a stream, a region, whatever Send needs. It may
	// move Key to another field. The connection is as it is kept, after Normalize.
	Connection func(conn provider.Connection) provider.Connection

	// Content returns what the messages of the suite carry: without a template where the adapter takes such.
	Content func() *mail.Content

	// Wire is what the provider speaks: OverHTTP, but for one that does not speak HTTP.
	Wire Wire

	// Replies are answers in the provider's own words to a call with one message, and what they mean. Each class has at least one,
	// unless it is one of Never; answers that accept are not needed.
	Replies []Reply

	// Never are the classes that no answer of this provider has.
	Never []provider.Class

	// WholeCalls: when the provider refuses one message of a call it refuses all of them, and they come back with WholeCall.
	WholeCalls bool

	// SharedIDs: the messages of one call share the provider's id of it.
	SharedIDs bool

	// Given are connections as users give them, for an adapter that is a Normalizer.
	Given []Given

	// Search plays the provider's search for messages, when the adapter can look up: it knows those in has, by our id, and their
	// provider ids.
	Search func(w http.ResponseWriter, r *http.Request, has map[mail.ID]string)

	// Past plays the provider's read side, when the adapter Recalls: each of the messages in has, by our id, was delivered, and more may
	// have happened.
	Past func(w http.ResponseWriter, r *http.Request, has map[mail.ID]string)

	// Told returns the webhook bodies that tell of what Past shows.
	Told func(has map[mail.ID]string) []Fixture

	// Fixtures are webhook bodies of the provider's; each is another event. There is one at least for each kind in the adapter's profile.
	Fixtures []Fixture

	// Join makes one webhook body of several. Its arguments are bodies of fixtures, or what is none: it has to put that in the place of
	// an event. Nil: a body holds one event.
	Join func(bodies [][]byte) []byte

	// Hooks returns two webhooks and who calls them. Nil for a Silent adapter.
	Hooks func(t *testing.T) Hooks

	// SetUp starts a provider's side of one account, which ends with the test. Nil for a Silent adapter.
	SetUp func(t *testing.T) *Account
}

// Reply is an answer and what it means for the message.
type Reply struct {
	Name  string
	Bytes []byte           // the whole answer as it leaves; HTTPAnswer makes one
	Want  provider.Outcome // Class, SenderOnly, Elsewhere, Own, Bounce, RetryAfter; and Code and InactiveAddresses where they are not zero
}

// Given is a connection as a user gives it.
type Given struct {
	Name  string
	Conn  provider.Connection
	Want  provider.Connection // as it is kept; nothing when it is refused
	Field string              // that is refused; "" when it is not
}

// Fixture is a webhook body and what is in it.
type Fixture struct {
	Name       string
	Body       []byte            // before it is signed
	Want       []event.Type      // of the reports, in order
	Suppresses []provider.Reason // of those that suppress, in order
	Refused    []provider.Class  // of those with which the provider takes its acceptance back, in order
}

// Hooks are two webhooks of ours at one provider, and who calls them.
type Hooks struct {
	Conn         provider.Connection
	Ours, Others provider.Hook // as they are kept, with different credentials and proofs

	// Deliver makes the request with which the provider reports to a webhook.
	Deliver func(hook provider.Hook, body []byte) provider.Delivery

	// Forged are requests to Ours that somebody else makes: with a wrong key and, where that is possible, in other ways.
	Forged map[string]func(body []byte) provider.Delivery

	// Signed: the proof is over the body. Otherwise it is credentials, which whoever sees one request has.
	Signed bool

	// NeedsRef: without the hook's Ref it cannot be told who calls. The suite finds out by itself, and then wants it kept before the
	// provider calls; when it is said here, it has to be so.
	NeedsRef bool

	// Untold returns a connection by which it cannot be told now whether a delivery to Ours is authentic. Nil: it can always be told.
	Untold func(t *testing.T) (provider.Connection, provider.Delivery)
}

// Account is the provider's side of one account, with a webhook of nobody's at first.
type Account struct {
	Conn provider.Connection // with credentials that are good
	Hook provider.Hook       // to be registered: without a Ref

	// State lists what stands there for webhooks, one entry each (with all of its settings, and without ids that the provider makes up).
	// It does not matter what an entry looks like.
	State func() []string

	// Writes counts the calls so far that were to change something.
	Writes func() int

	// Live tells whether the provider may have called the webhook's URL by now, or may at any time.
	Live func() bool

	Spoil   func() // somebody changes ours, so that reports would not come as they should
	Remove  func() // somebody removes ours
	Foreign func() // others have webhooks there: one alike, at another URL, and whatever else ours must not be mistaken for
	Double  func() // somebody makes a copy of ours. Nil: the provider does not let them
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if n := len(cases); n < Least {
		t.Errorf("the suite has %d cases, fewer than %d", n, Least)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if t.Skipped() {
					t.Error("no case of the suite may be skipped")
				}
			}()
			c.test(t, h)
		})
	}
}

// Case is one case of the suite.
type Case struct {
	Name string // "Stage/reset after the message"
	test func(t *testing.T, h Harness)
}

// Transport returns a transport that connects by dial and ends with the test.
func Transport(t *testing.T, dial Dial) *http.Transport {
	t.Helper()
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// adapter returns an adapter that connects to wherever it likes.
func (h Harness) adapter(t *testing.T) provider.Adapter {
	t.Helper()
	return h.New(t, (&net.Dialer{}).DialContext)
}

// connection returns a connection to an endpoint.
func (h Harness) connection(endpoint string) provider.Connection {
	return h.Connection(provider.Connection{AccountID: 1, TPSPID: 3, Endpoint: endpoint, Key: secret.NewString(Key)})
}

// serve starts a provider that takes each message but those to the recipients in refused.
func (h Harness) serve(t *testing.T, refused map[string]bool) provider.Connection {
	t.Helper()
	return h.connection(h.Wire.Serve(t, refused))
}

// play starts a provider that plays each connection in one way.
func (h Harness) play(t *testing.T, play func(conn net.Conn)) provider.Connection {
	t.Helper()
	return h.connection(h.Wire.Endpoint(Listen(t, play), false))
}

// answer starts a provider that gives one answer to every call.
func (h Harness) answer(t *testing.T, answer []byte) provider.Connection {
	t.Helper()
	return h.play(t, func(conn net.Conn) {
		if _, ok := h.Wire.Hear(conn); ok {
			say(conn, answer)
		}
	})
}

// down returns a connection to nowhere.
func (h Harness) down(t *testing.T) provider.Connection {
	t.Helper()
	return h.connection(h.Wire.Endpoint(ClosedAddress(t), false))
}

// batch returns n messages to different recipients.
func (h Harness) batch(t *testing.T, n int) []provider.Outgoing {
	t.Helper()
	content := h.Content()
	batch := make([]provider.Outgoing, n)
	for i := range batch {
		batch[i] = provider.Outgoing{
			ID: newID(t), AccountID: 1, SubAccountID: 2, TPSPID: 3, Mailbox: "default", Content: content,
			Recipient: mail.Recipient{Address: mail.Address{Email: recipient(i)}},
		}
	}
	return batch
}

// several is how many messages the suite puts into one call.
func several(a provider.Adapter) int { return min(3, a.Capabilities().BatchSize) }
