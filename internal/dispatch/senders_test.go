package dispatch

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

func TestSendersIn(t *testing.T) {
	t.Parallel()
	refused, accepted := provider.Outcome{Class: provider.Account, SenderOnly: true, Text: "not verified"}, provider.Outcome{Class: provider.Accepted}
	for name, test := range map[string]struct {
		from     string
		outcomes []provider.Outcome
		want     senders
	}{
		"taken":                      {"a.com b.com", []provider.Outcome{accepted, accepted}, senders{"a.com": "", "b.com": ""}},
		"one refused":                {"A.com b.com", []provider.Outcome{refused, accepted}, senders{"a.com": "not verified", "b.com": ""}},
		"refused, then taken":        {"a.com a.com", []provider.Outcome{refused, accepted}, senders{"a.com": "not verified"}},
		"taken, then refused":        {"a.com a.com", []provider.Outcome{accepted, refused}, senders{"a.com": "not verified"}},
		"other outcomes say nothing": {"a.com b.com", []provider.Outcome{{Class: provider.Account, Text: "bad token"}, {Class: provider.Transient}}, senders{}},
	} {
		jobs := []store.Job{}
		for domain := range strings.FieldsSeq(test.from) {
			jobs = append(jobs, store.Job{Content: &mail.Content{From: mail.Address{Email: "shop@" + domain}}})
		}
		if diff := cmp.Diff(test.want, sendersIn(jobs, test.outcomes)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
