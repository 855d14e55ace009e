package ses

import (
	"context"
	"errors"

	"postyard/internal/provider"
)

// Greet implements provider.Greeter. SNS asks when somebody subscribes our URL to a topic; we agree if it is ours, by SNS's API and not at
// the URL in the request. That a subscription has ended needs no answer, but people are to know of it: it is no greeting, so that Parse tells.
func (a *Adapter) Greet(ctx context.Context, conn provider.Connection, hook provider.Hook, d provider.Delivery) (greeting bool, err error) {
	e, err := readEnvelope(d.Body)
	if err != nil || e.Type != typeConfirmation {
		return false, nil //nolint:nilerr // what cannot be read is no greeting; Parse says what it is
	}
	if hook.Ref == "" || e.TopicArn != hook.Ref {
		return true, errors.New("the topic is not ours")
	}
	t, bad := parse(conn)
	if bad != nil {
		return true, errors.New(bad.Message)
	}
	if err := a.confirm(ctx, t, e.TopicArn, e.Token); err != nil {
		return true, setupError(err)
	}
	return true, nil
}
