package providertest

import (
	"net/http"
	"testing"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
)

// Key is the secret in the connections of the suite. It must never show in anything that an adapter returns.
const Key = "5ec7e700-1111-4222-8333-0123456789ab"

// Harness is what the suite must know of an adapter and its provider.
type Harness struct {
	// New returns the adapter over that transport.
	New func(transport http.RoundTripper) provider.Adapter

	// Connection completes a connection that has ids, endpoint and key: a stream, a region, whatever Send needs.
	Connection func(conn provider.Connection) provider.Connection

	// Content returns what the messages of the suite carry.
	Content func() *mail.Content

	// Answer plays the provider for one send: it accepts each message under a provider id of its own, and refuses those
	// of the recipients in refused as invalid. It is called from several goroutines.
	Answer func(w http.ResponseWriter, r *http.Request, refused map[string]bool)

	// Search plays the provider's search for messages, when the adapter can look up: it knows those in has, by our id, and
	// their provider ids.
	Search func(w http.ResponseWriter, r *http.Request, has map[mail.ID]string)

	// Past plays the provider's read side: each of the messages in has, by our id, was delivered, and more may have happened.
	Past func(w http.ResponseWriter, r *http.Request, has map[mail.ID]string)

	// Told returns the webhook bodies that tell of what Past shows.
	Told func(has map[mail.ID]string) []Fixture

	// Statuses are the classes of answers that have a status and a body that is not the provider's language, where they
	// differ from DefaultStatuses.
	Statuses map[int]provider.Class

	// Fixtures are webhook bodies of the provider's; each is another event.
	Fixtures []Fixture

	// Sign makes the headers of an authentic webhook request.
	Sign func(want provider.Credentials) http.Header
}

// Fixture is a webhook body and the types of the events in it.
type Fixture struct {
	Name   string
	Header http.Header
	Body   []byte
	Want   []event.Type
}

// DefaultStatuses is what an HTTP status alone says of a send.
func DefaultStatuses() map[int]provider.Class {
	return map[int]provider.Class{
		http.StatusUnauthorized:        provider.Account,
		http.StatusForbidden:           provider.Account,
		http.StatusTooManyRequests:     provider.Throttled,
		http.StatusInternalServerError: provider.Ambiguous,
		http.StatusBadGateway:          provider.Ambiguous,
		http.StatusServiceUnavailable:  provider.Transient,
		http.StatusGatewayTimeout:      provider.Ambiguous,
	}
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"Capabilities":   testCapabilities,
		"SendInOrder":    testSendInOrder,
		"SendNothing":    testSendNothing,
		"SendConcurrent": testSendConcurrent,
		"Stages":         testStages,
		"Statuses":       testStatuses,
		"RetryAfter":     testRetryAfter,
		"Garbage":        testGarbage,
		"Redirect":       testRedirect,
		"Cancel":         testCancel,
		"Watch":          testWatch,
		"Lookup":         testLookup,
		"History":        testHistory,
		"HistoryFails":   testHistoryFails,
		"Setup":          testSetup,
		"Parse":          testParse,
		"ParseGarbage":   testParseGarbage,
		"Authentic":      testAuthentic,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

// adapter returns an adapter with a transport of its own, which ends with the test.
func (h Harness) adapter(t *testing.T) provider.Adapter {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return h.New(transport)
}

func (h Harness) connection(endpoint string) provider.Connection {
	return h.Connection(provider.Connection{
		AccountID: 1, TPSPID: 3, Endpoint: endpoint, Key: secret.NewString(Key),
	})
}

// parties are an adapter and its provider, whatever they speak.
type parties struct {
	adapter func(t *testing.T) provider.Adapter // ends with the test
	serve   func(t *testing.T, refused map[string]bool) provider.Connection
	content func() *mail.Content
}

func (h Harness) parties() parties {
	return parties{h.adapter, func(t *testing.T, refused map[string]bool) provider.Connection {
		return h.connection(serve(t, func(w http.ResponseWriter, r *http.Request) { h.Answer(w, r, refused) }))
	}, h.Content}
}

func (h Harness) batch(t *testing.T, n int) []provider.Outgoing { return h.parties().batch(t, n) }

// batch returns n messages to different recipients.
func (p parties) batch(t *testing.T, n int) []provider.Outgoing {
	t.Helper()
	content := p.content()
	batch := make([]provider.Outgoing, n)
	for i := range batch {
		batch[i] = provider.Outgoing{
			ID: newID(t), AccountID: 1, SubAccountID: 2, TPSPID: 3, Mailbox: "default", Content: content,
			Recipient: mail.Recipient{Address: mail.Address{Email: recipient(i)}},
		}
	}
	return batch
}
