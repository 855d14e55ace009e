package postmark

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

var _ provider.Inspector = (*Adapter)(nil)

// InspectHook implements provider.Inspector. It only lists: Postmark's own verification takes a webhook out of order when it fails.
func (a *Adapter) InspectHook(ctx context.Context, conn provider.Connection, hook provider.Hook) ([]string, error) {
	own, err := a.ownWebhooks(ctx, conn, hook, conn.Stream)
	if err != nil {
		return nil, a.setupError(ctx, conn, err)
	}
	if len(own) == 0 {
		return []string{fmt.Sprintf("there is none of ours on the message stream %q", provider.Clean(conn.Stream, maxID))}, nil
	}
	var faults []string
	if n := len(own) - 1; n > 0 {
		faults = append(faults, fmt.Sprintf("there are %d copies of it, which double every event", n))
	}
	if own[0].verified() { // else it sends nothing anyway
		for _, trigger := range a.paused(ctx, conn, own[0].ID) {
			faults = append(faults, fmt.Sprintf("Postmark has paused its trigger %s after failures", trigger))
		}
	}
	return append(faults, own[0].faults(hook)...), nil
}

// faults says in what a webhook differs from what is wanted. It does not show the password.
func (w *webhook) faults(hook provider.Hook) (faults []string) {
	differs := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	differs(w.URL != hook.URL, "it calls %q instead of %q", withoutUser(w.URL), hook.URL)
	differs(w.HTTPAuth == nil, "it has no credentials (HttpAuth)")
	differs(w.HTTPAuth != nil && (w.HTTPAuth.Username != hook.Credentials.Username || w.HTTPAuth.Password != hook.Credentials.Password.Reveal()),
		"its credentials (HttpAuth) are not ours")
	differs(!w.verified(), "it is unverified, so it sends no events")
	for _, t := range []struct {
		name     string
		is, want bool
	}{
		{"Open", w.Triggers.Open.Enabled, wantedTriggers.Open.Enabled},
		{"Click", w.Triggers.Click.Enabled, wantedTriggers.Click.Enabled},
		{"Delivery", w.Triggers.Delivery.Enabled, wantedTriggers.Delivery.Enabled},
		{"Bounce", w.Triggers.Bounce.Enabled, wantedTriggers.Bounce.Enabled},
		{"SpamComplaint", w.Triggers.SpamComplaint.Enabled, wantedTriggers.SpamComplaint.Enabled},
		{"SubscriptionChange", w.Triggers.SubscriptionChange.Enabled, wantedTriggers.SubscriptionChange.Enabled},
		{"Open.PostFirstOpenOnly", w.Triggers.Open.PostFirstOpenOnly, wantedTriggers.Open.PostFirstOpenOnly},
		{"Bounce.IncludeContent", w.Triggers.Bounce.IncludeContent, wantedTriggers.Bounce.IncludeContent},
		{"SpamComplaint.IncludeContent", w.Triggers.SpamComplaint.IncludeContent, wantedTriggers.SpamComplaint.IncludeContent},
	} {
		differs(t.is != t.want, "its trigger %s is %s", t.name, map[bool]string{true: "on", false: "off"}[t.is])
	}
	return faults
}

// withoutUser is a URL without what somebody may have put into it that is not for everybody: a user name, a password, a query.
func withoutUser(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "something that is no URL"
	}
	u.User, u.RawQuery = nil, ""
	return provider.Clean(u.String(), maxField)
}

// InspectTemplate implements provider.Inspector. It looks through the list: an alias in a path may be a word that means something else.
func (a *Adapter) InspectTemplate(ctx context.Context, conn provider.Connection, alias string) (provider.TemplateStanding, error) {
	listed, err := a.listTemplates(ctx, conn)
	if err != nil {
		return 0, a.setupError(ctx, conn, err)
	}
	standing := provider.TemplateMissing
	for _, t := range listed {
		switch {
		case !strings.EqualFold(orNone(t.Alias), alias):
		case t.TemplateType == typeLayout:
			standing = provider.TemplateLayout
		case !t.Active:
			standing = provider.TemplateInactive
		default:
			return provider.TemplateReady, nil
		}
	}
	return standing, nil
}

// Clock implements provider.Inspector: every answer of HTTP has a date, a refusal, too.
func (a *Adapter) Clock(ctx context.Context, conn provider.Connection) (time.Time, error) {
	const path = "/server"
	ans := a.do(ctx, conn, call{method: http.MethodGet, path: path})
	if ans.Status == 0 {
		return time.Time{}, a.setupError(ctx, conn, &httpcall.Failure{Text: "Postmark could not be reached: " +
			provider.Clean(httpcall.Redact(ans.Err.Error(), conn.Key.Reveal()), provider.MaxText), Cause: ctx.Err()})
	}
	at, err := http.ParseTime(ans.Header.Get("Date"))
	if err != nil {
		return time.Time{}, a.setupError(ctx, conn, unreadable(path))
	}
	return at, nil
}

// Sample implements provider.Inspector: the delivery that Postmark makes up to verify a webhook.
func (a *Adapter) Sample(conn provider.Connection, c provider.Credentials) (http.Header, []byte) {
	r := http.Request{Header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {a.userAgent}}}
	r.SetBasicAuth(c.Username, c.Password.Reveal())
	body, err := json.Marshal(map[string]any{"RecordType": recordDelivery, "ServerID": 23, "MessageStream": conn.Stream, "MessageID": uuid.UUID{}.String(),
		"Recipient": "john@example.com", "Tag": "", "DeliveredAt": a.now().UTC().Format(time.RFC3339), "Details": "", "Metadata": map[string]string{}})
	if err != nil {
		body = nil // texts and numbers can be encoded
	}
	return r.Header, body
}
