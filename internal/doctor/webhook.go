package doctor

import (
	"context"
	"fmt"
	"slices"

	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/webhook"
)

// Webhooks knows the webhooks of accounts; *webhook.Service does.
type Webhooks interface {
	Endpoints(ctx context.Context, f store.EndpointFilter) ([]store.Endpoint, error)
	Standing(ctx context.Context, endpointID int32) (store.DeliveryCount, error)
}

// mostHooks is how many of the URLs that messages name are looked at.
const mostHooks = 100

// webhooks tells of webhooks to which events do not get through. An examination of one provider or IP pool leaves them out.
func (e *exam) webhooks(ctx context.Context) (list []Check, err error) {
	if e.TPSPID != 0 || e.Pool != "" || e.Template != "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTime)
	defer cancel()
	own, err := e.Webhooks.Endpoints(ctx, store.EndpointFilter{AccountID: e.accountID})
	if err != nil {
		return nil, err
	}
	named, err := e.Webhooks.Endpoints(ctx, store.EndpointFilter{AccountID: e.accountID, Named: true, Limit: mostHooks})
	if err != nil {
		return nil, err
	}
	all := slices.Concat(own, named)
	for i := range all {
		h := &all[i]
		n, err := e.Webhooks.Standing(ctx, h.ID)
		if err != nil {
			return nil, err
		}
		if c := hookCheck(h, n); c.Status != OK {
			list = append(list, c)
		}
	}
	if len(list) == 0 && len(own) > 0 {
		list = append(list, Check{Name: Hooks, Status: OK, Message: fmt.Sprintf("events get through to the webhooks of the account (%d)", len(own))})
	}
	return list, nil
}

// hookCheck tells of one webhook.
func hookCheck(h *store.Endpoint, n store.DeliveryCount) Check {
	c := Check{Name: Hooks, Status: OK}
	url := secret.MaskURL(h.URL) // reports are read by viewers, and passed on
	waiting := fmt.Sprintf("; %d events wait", n.Waiting)
	switch webhook.StateOf(h) {
	case webhook.Paused:
		c.Status, c.Message = Fail, fmt.Sprintf("webhook %d (%s) is paused since %s: %s%s", h.ID, url, moment(h.PausedAt), h.Paused, waiting)
		c.Fix = fmt.Sprintf("repair the receiver, then postyard webhooks resume %d", h.ID)
	case webhook.BackingOff:
		c.Status, c.Message = Fail, fmt.Sprintf("webhook %d (%s) fails since %s: %s%s", h.ID, url, moment(h.Standing.FailingAt), h.Standing.LastError, waiting)
		c.Fix = fmt.Sprintf("repair the receiver; it is tried again at %s, and what waits is kept", moment(h.Standing.NextTry))
	case webhook.Disabled:
		if n.Waiting > 0 {
			c.Status, c.Message = Warn, fmt.Sprintf("webhook %d (%s) is not enabled%s", h.ID, url, waiting)
			c.Fix = fmt.Sprintf(`PUT /api/v1/account/webhook/%d with {"enabled": true}, or delete it`, h.ID)
		}
	default:
		if n.GivenUp > 0 {
			c.Status, c.Message = Warn, fmt.Sprintf("%d events could not be posted to webhook %d (%s) and were given up", n.GivenUp, h.ID, url)
			c.Fix = fmt.Sprintf("postyard webhooks attempts %[1]d shows why; postyard webhooks replay %[1]d --missing posts them again", h.ID)
		}
	}
	return c
}
