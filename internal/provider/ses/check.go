package ses

import (
	"context"
	"net/http"
	"strings"

	"postyard/internal/provider"
)

// Check implements provider.Adapter: it asks SES about the account. Its errors are *provider.SetupError.
func (a *Adapter) Check(ctx context.Context, conn provider.Connection) error {
	t, bad := parse(conn)
	if bad != nil {
		return badSetting(bad)
	}
	var account struct {
		SendingEnabled    *bool
		EnforcementStatus string
		SendQuota         *struct{}
	}
	const action = "GetAccount"
	if err := a.ask(ctx, t, action, http.MethodGet, "/v2/email/account", nil, &account); err != nil {
		return setupError(err)
	}
	switch {
	case account.SendingEnabled == nil && account.SendQuota == nil:
		return setupError(unreadable(action))
	case strings.EqualFold(account.EnforcementStatus, "SHUTDOWN"):
		return &provider.SetupError{Code: "account_suspended", Message: "Amazon has shut the sending of this account down; its SES console says why"}
	case account.SendingEnabled != nil && !*account.SendingEnabled:
		return &provider.SetupError{Code: "sending_paused", Message: "sending is paused for this AWS account in this region; resume it in the SES console"}
	}
	return nil
}
