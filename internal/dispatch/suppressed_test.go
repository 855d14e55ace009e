package dispatch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// suppressions are who gets no mail.
type suppressions struct {
	held store.Suppressed
	err  error
}

func (s suppressions) Suppressed(context.Context, []store.SuppressionKey) (store.Suppressed, error) {
	return s.held, s.err
}

// Who is suppressed when a message is about to leave gets nothing: a recipient's message is dropped, with the native type, a copy is left out.
func TestSuppressedSinceItWasAccepted(t *testing.T) {
	t.Parallel()
	r := runnerAt(func() time.Time { return clock })
	r.d.Providers = provider.Registry{provider.Postmark: postmark{}}
	target := &directory.TPSP{ID: 1, Type: provider.Postmark}
	jobs := make([]store.Job, 3)
	for i, to := range []string{"Ana@example.net", "bob@example.net", "carl@example.net"} {
		jobs[i] = store.Job{SubAccountID: 7, Egress: route.TPSP(1), Content: &mail.Content{}, Recipient: mail.Recipient{Address: mail.Address{Email: to},
			CC: []mail.Address{{Email: "Copy@example.net"}, {Email: "fine@example.net"}}, BCC: []mail.Address{{Email: "copy@example.net"}}}}
	}
	jobs[2].SubAccountID = 8
	r.d.Suppressions = suppressions{held: store.Suppressed{
		{SubAccountID: 7, Email: "ana@example.net"}:  {Reason: provider.SpamComplaint},
		{SubAccountID: 7, Email: "copy@example.net"}: {},
	}}
	outcomes := make([]provider.Outcome, len(jobs))
	list, places := r.outgoing(t.Context(), target, jobs, outcomes)
	if len(list) != 2 || places[0] != 1 || places[1] != 2 {
		t.Fatalf("%+v at %v", list, places)
	}
	if got := list[0].Recipient; len(got.CC) != 1 || got.CC[0].Email != "fine@example.net" || len(got.BCC) != 0 || len(jobs[1].Recipient.CC) != 2 {
		t.Errorf("copies: %+v", got)
	}
	if got := list[1].Recipient; len(got.CC) != 2 || len(got.BCC) != 1 {
		t.Errorf("of another sub-account: %+v", got)
	}
	s := decide(&jobs[0], &outcomes[0], provider.Capabilities{Family: event.Postmark}, Rules{}, clock, 0, func(route.Egress) bool { return true })
	if s.Trigger != lifecycle.Drop || *s.Drop != 1 || s.Detail.SMTPDescription != "the address is suppressed (spamComplaint)" || !s.Returns() {
		t.Errorf("%+v", s)
	}
	if end := summarize(outcomes[:1]); !end.unmade {
		t.Errorf("it counts for the egress: %+v", end)
	}

	r.d.Suppressions = suppressions{err: errors.New("away")}
	if list, _ = r.outgoing(t.Context(), target, jobs, outcomes); len(list) != 0 {
		t.Errorf("%d leave although nobody knows whether they may", len(list))
	}
	s = decide(&jobs[1], &outcomes[1], provider.Capabilities{Family: event.Postmark}, Rules{}, clock, 0, func(route.Egress) bool { return true })
	if s.Trigger != lifecycle.Requeue || s.Failed || s.Egress != jobs[1].Egress || !s.DueAt.Equal(clock.Add(storeRetry)) {
		t.Errorf("%+v", s)
	}
}

// What a provider delivers nothing to is known of the recipients of the message only.
func TestInactiveRecipients(t *testing.T) {
	t.Parallel()
	j := &store.Job{Recipient: mail.Recipient{Address: mail.Address{Email: "Ana@example.net"}, CC: []mail.Address{{Email: "copy@example.net"}}}}
	for name, c := range map[string]struct {
		outcome provider.Outcome
		want    int
	}{
		"delivered":     {provider.Outcome{Class: provider.Accepted}, 0},
		"a copy":        {provider.Outcome{Class: provider.Accepted, InactiveAddresses: []string{"COPY@example.net", "stranger@example.net"}}, 1},
		"all, by name":  {provider.Outcome{Class: provider.Inactive, InactiveAddresses: []string{"ana@example.net", "copy@example.net"}}, 2},
		"all, unnamed":  {provider.Outcome{Class: provider.Inactive}, 2},
		"one of a 406":  {provider.Outcome{Class: provider.Inactive, InactiveAddresses: []string{"ana@example.net"}}, 1},
		"refused":       {provider.Outcome{Class: provider.Rejected}, 0},
		"strangers":     {provider.Outcome{Class: provider.Accepted, InactiveAddresses: []string{"stranger@example.net"}}, 0},
		"nothing known": {provider.Outcome{Class: provider.Ambiguous}, 0},
	} {
		if got := inactiveOf(j, &c.outcome); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// As long as suppressions cannot be looked up, mail waits, and is not claimed again and again.
func TestLookingUpSuppressionsFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.suppressed = suppressions{err: errors.New("away")}
		q.add(100)
		stop := dispatching(t, q, postmark{sender: sender{send: func(_ context.Context, batch []provider.Outgoing) []provider.Outcome {
			t.Errorf("%d leave", len(batch))
			return make([]provider.Outcome, len(batch))
		}}})
		<-time.After(20*storeRetry + storeRetry/2)
		stop()
		q.mu.Lock()
		defer q.mu.Unlock()
		if n := len(q.claims); n < 10 || n > 60 {
			t.Errorf("%d claims in 20 s", n)
		}
		if len(q.waiting) != 100 {
			t.Errorf("%d wait", len(q.waiting))
		}
	})
}
