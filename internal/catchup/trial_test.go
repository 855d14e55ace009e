package catchup

import (
	"testing"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
)

// What reports nothing, and never will, has no debt that waits for a webhook.
func TestStands(t *testing.T) {
	t.Parallel()
	s := &Service{Config: Config{Providers: provider.Registry{provider.Postmark: postmark.New(postmark.Config{})}}}
	for name, c := range map[string]struct {
		tpsp directory.TPSP
		want bool
	}{
		"registered": {directory.TPSP{Webhook: directory.Webhook{State: directory.WebhookRegistered}}, true},
		"failed":     {directory.TPSP{Webhook: directory.Webhook{State: directory.WebhookFailed, Error: "no"}}, false},
		"trial":      {directory.TPSP{Webhook: directory.Webhook{Error: "a test token"}}, true},
		"deleted":    {directory.TPSP{Webhook: directory.Webhook{Error: "left"}, Deleted: time.Now()}, false},
	} {
		c.tpsp.Type = provider.Postmark
		if got := s.stands(&c.tpsp); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
