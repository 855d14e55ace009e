package postmark_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/provider/providertest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Harness{
		New: func(transport http.RoundTripper) provider.Adapter {
			a := postmark.New(postmark.Config{Transport: transport, Now: func() time.Time { return testNow }})
			a.SetPause(func(ctx context.Context, _ int) error { return ctx.Err() })
			return a
		},
		Connection: func(conn provider.Connection) provider.Connection {
			conn.Stream = "outbound"
			return conn
		},
		Content:  templated,
		Answer:   playSend,
		Search:   playSearch,
		Past:     playPast,
		Told:     told,
		Fixtures: webhookFixtures(t),
		Sign: func(want provider.Credentials) http.Header {
			r := http.Request{Header: make(http.Header)}
			r.SetBasicAuth(want.Username, want.Password.Reveal())
			return r.Header
		},
	})
}

func playSearch(w http.ResponseWriter, r *http.Request, has map[mail.ID]string) {
	messages := []map[string]any{}
	wanted := r.URL.Query().Get("metadata_messageId")
	for id, providerID := range has {
		if wanted == "" || wanted == id.String() {
			messages = append(messages, map[string]any{
				"MessageID": providerID, "ReceivedAt": "2026-03-02T12:00:00Z",
				"Metadata": map[string]string{"messageId": id.String(), "tpspId": "3"},
			})
		}
	}
	reply(w, http.StatusOK, map[string]any{"TotalCount": len(messages), "Messages": messages})
}

func webhookFixtures(t *testing.T) []providertest.Fixture {
	t.Helper()
	var fixtures []providertest.Fixture
	for name, want := range map[string][]event.Type{
		"delivery": {71}, "hardbounce": {72}, "softbounce": {73}, "open": {75}, "click": {76}, "spamcomplaint": {77},
		"subscriptionchange": nil, "inbound": nil,
	} {
		body := readFixture(t, name)
		fixtures = append(fixtures, providertest.Fixture{Name: name, Body: []byte(strings.TrimSpace(string(body))), Want: want})
	}
	return fixtures
}
