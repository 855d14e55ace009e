package api

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/accept"
	"postyard/internal/directory"
)

// instantly takes every request and stores nothing.
type instantly struct{}

func (instantly) Accept(_ context.Context, _ *directory.SubAccount, r *accept.Request) ([]accept.Result, error) {
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
	h := New(Config{
		Sender: instantly{}, Accounts: &oneSubAccount{hash: sha256.Sum256([]byte(key))}, Log: slog.New(slog.DiscardHandler),
	})
	body := `{"from":{"email":"richard@piedpiper.com","name":"Richard"},"to":[{"email":"gavin@hooli.com","name":"Gavin",` +
		`"customFields":{"name":"Gavin"}}],"ippool":"postmark-pool","tpspTemplate":"welcome-template","groups":["welcome"]}`
	reader := strings.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, sendPath, nil)
	r.Header.Set("X-SubAccount-ApiKey", key)
	r.ContentLength = int64(len(body))
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		r.Body = io.NopCloser(reader)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
