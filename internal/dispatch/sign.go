package dispatch

import (
	"context"
	"fmt"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// Signers knows the keys with which mail is signed; *domain.Service does.
type Signers interface {
	// Signer returns what signs mail of a sub-account that comes from a domain; nil when nothing does.
	Signer(ctx context.Context, accountID, subAccountID int32, from string) (provider.Sign, error)
}

// signer returns what signs a message that an adapter composes, nil when nothing does. A message whose key cannot be had now waits: without
// its signature it may be refused for good.
func (r *runner) signer(ctx context.Context, capable provider.Capabilities, j *store.Job) (provider.Sign, *provider.Outcome) {
	if r.d.Signers == nil || !capable.Composes {
		return nil, nil
	}
	sign, err := r.d.Signers.Signer(ctx, j.AccountID, j.SubAccountID, mail.Domain(j.Content.From.Email))
	if err != nil {
		return nil, &provider.Outcome{Class: provider.Transient, Unsent: true, RetryAfter: storeRetry,
			Text: provider.Clean(fmt.Sprintf("the key that signs it cannot be had: %v", err), provider.MaxText)}
	}
	return sign, nil
}
