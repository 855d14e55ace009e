package dispatch

import (
	"context"
	"errors"
	"testing"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// composer is an adapter that writes messages itself.
type composer struct{ postmark }

func (composer) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.CustomSMTP, BatchSize: 10, Composes: true}
}

// keys signs for one domain, and cannot read another one's key.
type keys struct{}

func (keys) Signer(_ context.Context, account, sub int32, from string) (provider.Sign, error) {
	switch {
	case from == "away.example":
		return nil, errors.New("the store is away")
	case from == "signed.example" && account == 3 && sub == 7:
		return func([]byte) ([]byte, error) { return []byte("Signature: x\r\n"), nil }, nil
	}
	return nil, nil
}

// Mail that an adapter composes gets the signer of its sender; what cannot be signed now waits, and is not held against the provider.
func TestSigners(t *testing.T) {
	t.Parallel()
	r := runnerAt(func() time.Time { return clock })
	r.d.Signers = keys{}
	jobs := make([]store.Job, 3)
	for i, from := range []string{"Shop@Signed.example", "shop@away.example", "shop@other.example"} {
		jobs[i] = store.Job{AccountID: 3, SubAccountID: 7, Egress: route.TPSP(1), Content: &mail.Content{From: mail.Address{Email: from}}}
	}
	for _, test := range []struct {
		adapter provider.Adapter
		places  []int
		signed  bool
	}{{composer{}, []int{0, 2}, true}, {postmark{}, []int{0, 1, 2}, false}} {
		r.d.Providers = provider.Registry{provider.CustomSMTP: test.adapter}
		outcomes := make([]provider.Outcome, len(jobs))
		list, places := r.outgoing(t.Context(), &directory.TPSP{ID: 1, Type: provider.CustomSMTP}, jobs, outcomes)
		if len(places) != len(test.places) || places[1] != test.places[1] || (list[0].Sign != nil) != test.signed || list[1].Sign != nil {
			t.Fatalf("%+v at %v", list, places)
		}
		if !test.signed {
			continue
		}
		s := decide(&jobs[1], &outcomes[1], provider.Capabilities{Family: event.CustomSMTP}, Rules{}, clock, 0, func(route.Egress) bool { return true })
		if s.Trigger != lifecycle.Requeue || s.Failed || s.Egress != jobs[1].Egress || !s.DueAt.Equal(clock.Add(storeRetry)) {
			t.Errorf("%+v", s)
		}
	}
}
