package dispatch

import (
	"fmt"
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

func TestSendersLearn(t *testing.T) {
	t.Parallel()
	s := senders{}
	for i, step := range []struct {
		seen    senders
		changed bool
		reason  string
	}{
		{senders{"a.com": ""}, false, ""},
		{senders{"b.com": "not verified", "a.com": "pending"}, true, "mail from a.com is refused: pending; mail from b.com is refused: not verified"},
		{senders{"b.com": "not verified"}, false, "mail from a.com is refused: pending; mail from b.com is refused: not verified"},
		{senders{"a.com": "", "b.com": "not verified"}, true, "mail from b.com is refused: not verified"},
		{senders{}, false, "mail from b.com is refused: not verified"},
		{senders{"b.com": ""}, true, ""},
	} {
		if changed := s.learn(step.seen); changed != step.changed || s.reason() != step.reason {
			t.Errorf("step %d: changed %t, %q, want %t, %q", i, changed, s.reason(), step.changed, step.reason)
		}
	}
	for i := range 50 {
		s.learn(senders{fmt.Sprintf("%02d.com", i): "no"})
	}
	if n := strings.Count(s.reason(), "refused"); n != 5 {
		t.Errorf("the reason names %d domains", n)
	}
}
