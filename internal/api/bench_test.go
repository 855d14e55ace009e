package api

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/provider"
)

// instantly takes every request and stores nothing.
type instantly struct{ Sender }

func (instantly) Accept(_ context.Context, _ *directory.SubAccount, requests ...*accept.Request) ([]accept.Result, error) {
	r := requests[0]
	out := make([]accept.Result, len(r.Recipients))
	for i := range out {
		out[i] = accept.Result{To: r.Recipients[i].Email, ID: uuid.UUID{15: 1}, SubmittedAt: time.Unix(1, 0)}
	}
	return out, nil
}

// oneSubAccount knows one key.
type oneSubAccount struct {
	Accounts
	hash [sha256.Size]byte
	sub  directory.SubAccount
}

func (o *oneSubAccount) AuthenticateSubAccount(key string) *directory.SubAccount {
	if sha256.Sum256([]byte(key)) == o.hash {
		return &o.sub
	}
	return nil
}

// BenchmarkSendHandler is what a send costs above the connection and apart from the store: identification, decoding,
// encoding.
func BenchmarkSendHandler(b *testing.B) {
	const key = "pR0YIuxYSbVwmQi2Y8Qs"
	body := `{"from":{"email":"richard@piedpiper.com","name":"Richard"},"to":[{"email":"gavin@hooli.com","name":"Gavin",` +
		`"customFields":{"name":"Gavin"}}],"ippool":"postmark-pool","tpspTemplate":"welcome-template","groups":["welcome"]}`
	benchmarkHandler(b, Config{
		Sender: instantly{}, Accounts: &oneSubAccount{hash: sha256.Sum256([]byte(key))}, Log: slog.New(slog.DiscardHandler),
	}, sendPath, http.Header{"X-Subaccount-Apikey": {key}}, body)
}

// durable takes every webhook and stores nothing.
type durable struct{}

func (durable) Receive(context.Context, int32, provider.Type, http.Header, []byte) error { return nil }

// BenchmarkWebhookHandler is the same for a provider's webhook.
func BenchmarkWebhookHandler(b *testing.B) {
	benchmarkHandler(b, Config{Ingest: durable{}, Kinds: provider.Registry{}, Log: slog.New(slog.DiscardHandler)}, "/tpsp/postmark/account/1", nil,
		`{"RecordType":"Delivery","MessageID":"883953f4-6105-42a2-a16a-77a8eac79483"}`)
}

func benchmarkHandler(b *testing.B, c Config, path string, header http.Header, body string) {
	h, reader := New(c), strings.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, path, nil)
	maps.Copy(r.Header, header)
	r.ContentLength = int64(len(body))
	w := &discarded{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		r.Body = io.NopCloser(reader)
		clear(w.header)
		h.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

// discarded is an answer of which only the status counts.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header            { return d.header }
func (d *discarded) WriteHeader(status int)         { d.status = status }
func (d *discarded) Write(body []byte) (int, error) { return len(body), nil }
