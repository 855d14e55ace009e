package doctor

import (
	"context"
	"strings"
	"testing"
	"time"

	"postyard/internal/store"
)

// noHooks is an account without webhooks.
type noHooks struct{}

func (noHooks) Endpoints(context.Context, store.EndpointFilter) ([]store.Endpoint, error) {
	return nil, nil
}

func (noHooks) Standing(context.Context, int32) (store.DeliveryCount, error) {
	return store.DeliveryCount{}, nil
}

// TestWebhookChecks tells of webhooks in every state.
func TestWebhookChecks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		endpoint store.Endpoint
		count    store.DeliveryCount
		want     Status
		words    string
		fix      string
	}{
		"fine":      {store.Endpoint{Enabled: true}, store.DeliveryCount{Waiting: 3}, OK, "", ""},
		"paused":    {store.Endpoint{ID: 7, Enabled: true, Paused: "it answered 410", PausedAt: now}, store.DeliveryCount{Waiting: 3}, Fail, "410; 3 events wait", "webhooks resume 7"},
		"backs off": {store.Endpoint{Enabled: true, Standing: store.EndpointStanding{Failures: 5, LastError: "HTTP 500", FailingAt: now}}, store.DeliveryCount{}, Fail, "HTTP 500", "tried again"},
		"gave up":   {store.Endpoint{ID: 7, Enabled: true}, store.DeliveryCount{GivenUp: 2}, Warn, "2 events", "replay 7 --missing"},
		"disabled":  {store.Endpoint{}, store.DeliveryCount{Waiting: 1}, Warn, "not enabled", "enabled"},
		"off":       {store.Endpoint{}, store.DeliveryCount{}, OK, "", ""},
	} {
		if got := hookCheck(&c.endpoint, c.count); got.Status != c.want || !strings.Contains(got.Message, c.words) || !strings.Contains(got.Fix, c.fix) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
