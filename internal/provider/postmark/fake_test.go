package postmark_test

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
	"postyard/internal/provider/postmark"
	"postyard/internal/secret"
)

const testKey = "0badc0de-1111-4222-8333-444455556666"

// testNow is the adapter's clock in tests.
var testNow = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func newAdapter(t *testing.T) *postmark.Adapter {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return postmark.New(postmark.Config{
		Transport: transport, UserAgent: "Postyard/test", Now: func() time.Time { return testNow },
	})
}

func connection(endpoint string) provider.Connection {
	return provider.Connection{
		AccountID: 11, TPSPID: 33, Endpoint: endpoint, Key: secret.NewString(testKey), Stream: "outbound",
	}
}

// serve starts a server that ends with the test.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// answering starts a server that gives one answer to everything.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func messageID(n byte) mail.ID {
	id := uuid.MustParse("01930000-0000-7000-8000-000000000000")
	id[15] = n
	return id
}

func templated() *mail.Content {
	return &mail.Content{From: mail.Address{Email: "noreply@example.com"}, Template: "welcome-template"}
}

func outgoing(n int) []provider.Outgoing {
	batch := make([]provider.Outgoing, n)
	for i := range batch {
		batch[i] = provider.Outgoing{
			ID: messageID(byte(i)), AccountID: 11, SubAccountID: 22, TPSPID: 33, Mailbox: "gmail", Content: templated(),
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

// wire is what a fake reads of a message.
type wire struct {
	To            string
	TemplateAlias string
	MessageStream string
	Metadata      map[string]string
}

// readMessages decodes the body of either send call.
func readMessages(r *http.Request) ([]wire, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var several struct{ Messages []wire }
	switch r.URL.Path {
	case "/email/withTemplate", "/email":
		var one wire
		err := json.Unmarshal(body, &one)
		return []wire{one}, err
	case "/email/batch":
		err := json.Unmarshal(body, &several.Messages)
		return several.Messages, err
	}
	if err := json.Unmarshal(body, &several); err != nil {
		return nil, err
	}
	return several.Messages, nil
}

// playSend accepts each message, but for the recipients in refused.
func playSend(w http.ResponseWriter, r *http.Request, refused map[string]bool) {
	messages, err := readMessages(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	results := make([]map[string]any, len(messages))
	for i, m := range messages {
		results[i] = map[string]any{
			"To": m.To, "SubmittedAt": "2026-03-02T12:00:00.1234567Z", "MessageID": uuid.NewString(), "ErrorCode": 0,
			"Message": "OK",
		}
		if refused[m.To] {
			results[i] = map[string]any{"ErrorCode": 300, "Message": "Invalid 'To' address: '" + m.To + "'."}
		}
	}
	if r.URL.Path != "/email/withTemplate" && r.URL.Path != "/email" {
		reply(w, http.StatusOK, results)
		return
	}
	status := http.StatusOK
	if refused[messages[0].To] {
		status = http.StatusUnprocessableEntity
	}
	reply(w, status, results[0])
}

func reply(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
