package sendgrid_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/sendgrid"
	"postyard/internal/secret"
)

const testKey = "SG.0badc0de11114222.8333444455556666"

// testNow is the adapter's clock in tests.
var testNow = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func newAdapter(t *testing.T) *sendgrid.Adapter {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return sendgrid.New(sendgrid.Config{
		Transport: transport, UserAgent: "Postyard/test", Now: func() time.Time { return testNow }, AllowPrivate: true,
	})
}

func connection(endpoint string) provider.Connection {
	return provider.Connection{AccountID: 11, TPSPID: 33, Endpoint: endpoint, Key: secret.NewString(testKey)}
}

// serve starts a server that ends with the test.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func messageID(n int) mail.ID {
	id := uuid.MustParse("01930000-0000-7000-8000-000000000000")
	id[14], id[15] = byte(n>>8), byte(n)
	return id
}

func plain() *mail.Content {
	return &mail.Content{From: mail.Address{Email: "noreply@example.com"}, Subject: "Hello", Text: "Hello there"}
}

// outgoing returns n messages with one content.
func outgoing(n int, content *mail.Content) []provider.Outgoing {
	batch := make([]provider.Outgoing, n)
	for i := range batch {
		batch[i] = provider.Outgoing{
			ID: messageID(i), AccountID: 11, SubAccountID: 22, TPSPID: 33, Mailbox: "gmail", Content: content,
			Recipient: mail.Recipient{Address: mail.Address{Email: fmt.Sprintf("user%d@recipient.example", i)}},
		}
	}
	return batch
}

// request is one that a server got.
type request struct {
	method, path string
	header       http.Header
	body         []byte
}

// recorder keeps requests and hands them to a handler with their body intact.
type recorder struct {
	mu       sync.Mutex
	requests []request
}

func (rec *recorder) wrap(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		rec.mu.Lock()
		rec.requests = append(rec.requests, request{r.Method, r.URL.RequestURI(), r.Header.Clone(), body})
		rec.mu.Unlock()
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		next(w, r)
	}
}

func (rec *recorder) all() []request {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([]request(nil), rec.requests...)
}

// wireAddress and wire are what a fake reads of a call.
type wireAddress struct{ Email, Name string }

type wire struct {
	Personalizations []struct {
		To, CC, BCC []wireAddress
		CustomArgs  map[string]string `json:"custom_args"`
	}
	From    wireAddress
	Subject string
	Content []struct{ Type, Value string }
}

func (r *request) wire(t *testing.T) (w wire) {
	t.Helper()
	if err := json.Unmarshal(r.body, &w); err != nil {
		t.Fatalf("%v\n%s", err, r.body)
	}
	return w
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// refuse answers as SendGrid does when it says no.
func refuse(w http.ResponseWriter, status int, message, field string) {
	one := map[string]any{"message": message, "field": nil, "help": nil}
	if field != "" {
		one["field"] = field
	}
	reply(w, status, map[string]any{"errors": []any{one}})
}

// playSend plays SendGrid for one send: it refuses the call when one of its recipients is among the refused.
func playSend(w http.ResponseWriter, r *http.Request, refused map[string]bool) {
	var call wire
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		refuse(w, http.StatusBadRequest, "Bad Request", "")
		return
	}
	for i, p := range call.Personalizations {
		for _, to := range p.To {
			if refused[to.Email] {
				refuse(w, http.StatusBadRequest, "Does not contain a valid address.", fmt.Sprintf("personalizations.%d.to.0.email", i))
				return
			}
		}
	}
	w.Header().Set("X-Message-Id", "mid-"+call.Personalizations[0].CustomArgs["messageId"])
	w.WriteHeader(http.StatusAccepted)
}

// accepting starts a SendGrid that takes everything.
func accepting(t *testing.T, rec *recorder) provider.Connection {
	t.Helper()
	return connection(serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) { playSend(w, r, nil) })))
}

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }
