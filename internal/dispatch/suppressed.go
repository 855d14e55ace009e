package dispatch

import (
	"context"
	"fmt"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// Suppressions knows who gets no mail; a store.Store does.
type Suppressions interface {
	Suppressed(ctx context.Context, list []store.SuppressionKey) (store.Suppressed, error)
}

// heldBack are recipients of a call that were suppressed since their messages were accepted.
type heldBack store.Suppressed

// suppressed looks who of the recipients is suppressed by now, copies included.
func (r *runner) suppressed(ctx context.Context, jobs []store.Job) (heldBack, error) {
	if r.d.Suppressions == nil {
		return nil, nil
	}
	keys := make([]store.SuppressionKey, 0, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		for _, list := range [][]mail.Address{{j.Recipient.Address}, j.Recipient.CC, j.Recipient.BCC} {
			for k := range list {
				keys = append(keys, keyOf(j, list[k].Email))
			}
		}
	}
	held, err := r.d.Suppressions.Suppressed(ctx, keys)
	return heldBack(held), err
}

func keyOf(j *store.Job, email string) store.SuppressionKey {
	return store.SuppressionKey{SubAccountID: j.SubAccountID, Email: strings.ToLower(email)}
}

// recipient returns to whom a message leaves, or what becomes of it when it does not: it is dropped, or waits when it is not known
// whether it may leave.
func (h heldBack) recipient(j *store.Job, failure error) (mail.Recipient, *provider.Outcome) {
	if failure != nil {
		return j.Recipient, &provider.Outcome{Class: provider.Transient, Unsent: true, RetryAfter: storeRetry,
			Text: fmt.Sprintf("it could not be looked up whether the recipient is suppressed: %v", failure)}
	}
	if len(h) == 0 {
		return j.Recipient, nil
	}
	if hit, found := h[keyOf(j, j.Recipient.Email)]; found {
		return j.Recipient, &provider.Outcome{Class: provider.Rejected, Unsent: true, Withheld: true, Text: hit.Words()}
	}
	return j.Recipient.Without(func(email string) bool { _, found := h[keyOf(j, email)]; return found }), nil
}
